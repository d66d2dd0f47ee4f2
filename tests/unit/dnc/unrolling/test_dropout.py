"""`dnc.Dropout`: off unless it is given a key, and the same when a step is run again."""

import functools
import itertools

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from dnc import _cores
from tests.models import MODES, assert_same, graph, random_inputs, with_gradients


def ones(*shape, dtype=tf.float64):
    return tf.ones(shape, dtype)


def masks_of(core, seed, num_steps=1, batch_size=1, width=16):
    """The kept inputs of each step, [T, B, X]."""
    state = dnc.seed_dropout(core.initial_state(batch_size), seed)
    return dnc.unroll(core, ones(num_steps, batch_size, width), state)[0].numpy() != 0


class TestDropout:
    @pytest.mark.parametrize("mode", MODES)
    def test_without_a_key_nothing_is_dropped(self, mode):
        core, inputs = dnc.Dropout(0.5), random_inputs(4, 3)
        outputs, state = MODES[mode](functools.partial(dnc.unroll, core))(inputs)
        np.testing.assert_array_equal(outputs, inputs)
        np.testing.assert_array_equal(state.key, np.zeros([3, 2]))

    @pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.9])
    def test_numbers_are_dropped_at_its_rate_and_the_mean_stays(self, rate):
        core = dnc.Dropout(rate)
        state = dnc.seed_dropout(core.initial_state(50), (1, 2))
        outputs, _ = dnc.unroll(core, ones(10, 50, 40), state)
        values = np.unique(outputs)
        assert set(np.round(values * (1 - rate), 12)) == ({0.0, 1.0} if rate else {1.0})
        # 20,000 numbers: four standard deviations.
        limit = 4 * np.sqrt(rate * (1 - rate) / 20_000)
        assert abs(np.mean(outputs.numpy() == 0) - rate) <= limit
        for axes in ((0, 1), (0, 2), (1, 2)):  # Nor do columns, examples or steps differ.
            kept = np.mean(outputs.numpy() != 0, axis=axes)
            number = 20_000 / kept.size
            assert np.max(np.abs(kept - (1 - rate))) <= 5 * np.sqrt(rate * (1 - rate) / number)

    @pytest.mark.parametrize("dtype", [tf.float32, tf.float64, tf.bfloat16])
    def test_all_ways_to_run_it_drop_the_same_in_any_dtype(self, dtype):
        core = dnc.Dropout(0.3)
        state = dnc.seed_dropout(core.initial_state(3), (5, 6))
        inputs = tf.ones([4, 3, 7], dtype)
        kept = dnc.unroll(core, ones(4, 3, 7), state)[0].numpy() != 0
        for mode in MODES.values():
            outputs, _ = mode(functools.partial(dnc.unroll, core))(inputs, state)
            assert outputs.dtype == dtype
            expected = tf.cast(kept, dtype) / tf.constant(0.7, dtype)
            np.testing.assert_allclose(
                tf.cast(outputs, tf.float32), tf.cast(expected, tf.float32), rtol=1e-2
            )

    def test_a_step_that_is_run_again_is_the_same(self):
        core, inputs = dnc.Dropout(0.5), random_inputs(1, 3)[0]
        state = dnc.seed_dropout(core.initial_state(3), (0, 0))
        assert_same(core(inputs, state), core(inputs, state), 0)

    def test_masks_of_steps_examples_layers_and_seeds_differ(self):
        core = snt.DeepRNN([dnc.Dropout(0.5), lambda x: tf.ones_like(x), dnc.Dropout(0.5)])
        alone = dnc.Dropout(0.5)
        masks = [
            *masks_of(core, (0, 1), 5, 4, 32).reshape([-1, 32]),
            *masks_of(alone, (0, 1), 5, 4, 32).reshape([-1, 32]),
            *masks_of(alone, (0, 2), 5, 4, 32).reshape([-1, 32]),
            *masks_of(alone, (1, 0), 5, 4, 32).reshape([-1, 32]),
        ]
        # By chance two masks of 32 agree in 16 numbers, and in 30 or more once in 1e7 pairs.
        agreements = [np.sum(a == b) for a, b in itertools.combinations(masks, 2)]
        assert max(agreements) < 30
        assert abs(np.mean(agreements) - 16) < 0.3

    def test_gradients_are_those_of_what_was_kept(self):
        core, inputs = dnc.Dropout(0.5), random_inputs(1, 3)[0]
        state = dnc.seed_dropout(core.initial_state(3), (0, 1))
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs, _ = core(inputs, state)
        gradient = tape.gradient(outputs, inputs)
        np.testing.assert_array_equal(gradient, np.where(outputs != 0, 2.0, 0.0))

    def test_what_is_dropped_may_be_infinite(self):
        core = dnc.Dropout(0.5)
        state = dnc.seed_dropout(core.initial_state(1), (0, 1))
        kept = core(ones(1, 64), state)[0] != 0
        outputs, _ = core(tf.where(kept, 1.0, np.inf), state)
        assert np.all(np.isfinite(outputs))

    @pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5, float("nan"), "0.5", None, True])
    def test_a_rate_outside_of_0_to_1_is_an_error(self, rate):
        with pytest.raises(ValueError, match=r"rate must be a number in \[0, 1\), got"):
            dnc.Dropout(rate)

    @pytest.mark.parametrize(
        ("inputs", "message"),
        [
            (np.ones([2, 3, 4]), r"inputs must have shape \[\?, \?\]"),
            (np.ones([2, 3], int), "inputs must .* a floating dtype|floating point"),
        ],
    )
    def test_inputs_of_another_kind_are_an_error(self, inputs, message):
        core = dnc.Dropout(0.5)
        with pytest.raises(ValueError, match=message):
            core(inputs, core.initial_state(2))

    def test_a_state_of_another_kind_is_an_error(self):
        with pytest.raises(ValueError, match=r"prev_state must be a DropoutState\(key\)"):
            dnc.Dropout(0.5)(np.ones([2, 3]), tf.zeros([2, 2], tf.int64))


class TestSeedDropout:
    def test_all_but_the_keys_stays_as_it_is(self):
        core = snt.DeepRNN([snt.LSTM(4), dnc.Dropout(0.5)])
        state = {"core": core.initial_state(3), "nothing": None, "list": [tf.ones([3])]}
        seeded = dnc.seed_dropout(state, (1, 2))
        tf.nest.assert_same_structure(seeded, state)
        assert np.all(seeded["core"][1].key.numpy() > 0)
        assert seeded["core"][0].hidden is state["core"][0].hidden
        assert seeded["list"][0] is state["list"][0]

    def test_a_state_without_dropout_is_returned(self):
        state = snt.LSTM(4).initial_state(3)
        assert_same(dnc.seed_dropout(state, (1, 2)), state, 0)

    def test_a_traced_seed_gives_the_keys_of_the_same_numbers(self):
        state = dnc.Dropout(0.5).initial_state(3)
        step = tf.Variable(7, dtype=tf.int64)
        expected = dnc.seed_dropout(state, (3, 7)).key
        for seed in ([3, step], tf.constant([3, 7]), np.array([3, 7]), (np.int32(3), step)):
            run = graph(lambda seed=seed: dnc.seed_dropout(state, seed).key)
            np.testing.assert_array_equal(run(), expected)
        traced = graph(lambda seed: dnc.seed_dropout(state, seed).key, jit_compile=True)
        np.testing.assert_array_equal(traced(tf.constant([3, 7])), expected)

    @pytest.mark.parametrize("seed", [(1,), (1, 2, 3), (1.0, 2.0), np.ones([2, 2], int)])
    def test_a_seed_that_is_not_two_integers_is_an_error(self, seed):
        with pytest.raises(ValueError, match="seed must be two integers"):
            dnc.seed_dropout(dnc.Dropout(0.5).initial_state(3), seed)

    def test_keys_of_many_examples_differ(self):
        keys = dnc.seed_dropout(dnc.Dropout(0.5).initial_state(10_000), (0, 0)).key.numpy()
        assert len({tuple(key) for key in keys}) == 10_000


def with_dropout(controller_rate=0.5):
    """Dropout in front of a DNC and in its controller, and the stack's state with keys."""
    controller = snt.DeepRNN([snt.LSTM(6, dtype=tf.float64), dnc.Dropout(controller_rate)])
    core = dnc.DNC(dnc.MemoryAccess(4, 3), controller, 2)
    model = snt.DeepRNN([snt.Linear(5), dnc.Dropout(0.5), core])
    state = model.initial_state(3, dtype=tf.float64)
    model(random_inputs(1, 3)[0], state)
    return model, dnc.seed_dropout(state, (0, 1))


class TestInUnroll:
    # Both at once, in a stack: tests/system/test_unrolling.py.
    @pytest.mark.parametrize(("mode", "checkpoint_every"), [("graph", None), ("eager", 2)])
    def test_all_implementations_give_the_same(self, mode, checkpoint_every):
        model, state = with_dropout()
        reset = np.array([[0, 0, 0], [0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 0, 0]], bool)
        options = {"sequence_length": [5, 3, 0], "reset": reset}
        run = functools.partial(with_gradients, dnc.unroll, model, **options)
        expected = run(random_inputs(5, 3), state)
        run = MODES[mode](functools.partial(run, checkpoint_every=checkpoint_every))
        assert_same(run(random_inputs(5, 3), state), expected, 1e-10)

    def test_training_is_fused(self):
        model, state = with_dropout()
        run = functools.partial(dnc.unroll, model, implementation="fused")
        graph(run)(random_inputs(5, 3), state)

    def test_a_step_is_known_to_repeat(self):
        core = dnc.Dropout(0.5)
        _cores.check_repeatable(core, tf.TensorSpec([None, 3]), tf.float32)

    def test_evaluation_differs_from_training(self):
        model, state = with_dropout()
        inputs = random_inputs(5, 3)
        first, _ = dnc.unroll(model, inputs)
        assert_same(dnc.unroll(model, inputs)[0], first, 0)
        assert not np.allclose(dnc.unroll(model, inputs, state)[0], first)

    def test_past_its_end_an_example_keeps_its_key(self):
        core = dnc.Dropout(0.5)
        state = dnc.seed_dropout(core.initial_state(3), (0, 1))
        _, last = dnc.unroll(core, ones(5, 3, 2), state, sequence_length=[5, 3, 0])
        np.testing.assert_array_equal(last.key[:, 0], state.key[:, 0])
        np.testing.assert_array_equal(last.key[:, 1] - state.key[:, 1], [5, 3, 0])

    @pytest.mark.parametrize("mode", MODES)
    def test_a_reset_restarts_from_the_key_that_was_passed(self, mode):
        core = dnc.Dropout(0.5)
        state = dnc.seed_dropout(core.initial_state(2), (0, 1))
        reset = np.array([[0, 0], [0, 0], [1, 0], [0, 0]], bool)
        run = MODES[mode](functools.partial(dnc.unroll, core, reset=reset))
        kept = run(ones(4, 2, 32), state)[0].numpy() != 0
        np.testing.assert_array_equal(kept[2:, 0], kept[:2, 0])
        assert np.any(kept[2:, 1] != kept[:2, 1])

    def test_a_reset_in_evaluation_drops_nothing(self):
        outputs, _ = dnc.unroll(dnc.Dropout(0.5), ones(3, 2, 4), reset=np.ones([3, 2], bool))
        np.testing.assert_array_equal(outputs, ones(3, 2, 4))

    def test_it_is_recorded_as_it_was_run(self):
        model, state = with_dropout()
        inputs = random_inputs(5, 3)
        expected, _ = dnc.unroll(model, inputs, state)
        np.testing.assert_allclose(dnc.record(model, inputs, state).outputs, expected, atol=1e-12)
