"""From the last step to the first, and in both directions."""

import functools

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from tests.models import (
    MODES,
    after_some_steps,
    assert_same,
    make_core,
    random_inputs,
    with_gradients,
)

NUM_STEPS, BATCH_SIZE = 4, 3
LENGTHS = [4, 2, 0]
RESET = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0], [0, 1, 0]], bool)

reversed_unroll = functools.partial(dnc.unroll, reverse=True)


class Identity(snt.RNNCore):
    """Returns its inputs, and as its state what it has seen, in the order in which it saw it."""

    def __call__(self, inputs, prev_state):
        return inputs, tf.concat([prev_state[:, 1:], inputs], axis=1)

    def initial_state(self, batch_size, dtype=tf.float64):
        return tf.zeros([batch_size, NUM_STEPS], dtype)


def flip(x, lengths=(NUM_STEPS,) * BATCH_SIZE):
    """The first steps of each example in reverse order, [T, B, ...], in NumPy."""
    x = np.array(x)
    for b, length in enumerate(lengths):
        x[:length, b] = x[:length, b][::-1]
    return x


class TestReverse:
    @pytest.mark.parametrize("lengths", [None, LENGTHS])
    def test_it_sees_the_last_step_first_and_outputs_keep_their_places(self, lengths):
        inputs = random_inputs(NUM_STEPS, BATCH_SIZE, 1)
        outputs, seen = reversed_unroll(Identity(), inputs, sequence_length=lengths)
        for b, length in enumerate(lengths or [NUM_STEPS] * BATCH_SIZE):
            x = inputs[:length, b, 0]
            np.testing.assert_array_equal(outputs[:length, b, 0], x)
            np.testing.assert_array_equal(seen[b, NUM_STEPS - length :], x[::-1])
            assert not np.any(outputs[length:, b])

    @pytest.mark.parametrize("mode", MODES)
    def test_it_is_the_unroll_of_the_reversed_sequence(self, mode):
        core = make_core(dtype=tf.float64)
        inputs, state = random_inputs(NUM_STEPS, BATCH_SIZE), after_some_steps(core)
        options = {"sequence_length": LENGTHS}
        run = functools.partial(reversed_unroll, core, reset=RESET, **options)
        outputs, last = MODES[mode](run)(inputs, state)
        reset = flip(RESET, LENGTHS)
        expected, expected_last = dnc.unroll(
            core, tf.constant(flip(inputs, LENGTHS)), state, reset=reset, **options
        )
        assert_same((outputs, last), (tf.constant(flip(expected, LENGTHS)), expected_last), 1e-10)

    def test_all_states_keep_their_places(self):
        core = make_core(dtype=tf.float64)
        inputs, state = random_inputs(NUM_STEPS, BATCH_SIZE), after_some_steps(core)
        run = functools.partial(reversed_unroll, core, inputs, state, sequence_length=LENGTHS)
        _, states = run(return_all_states=True)
        _, last = run()
        # The state after the first time step is the last one; past its end an example holds it.
        assert_same(tf.nest.map_structure(lambda x: x[0], states), last)
        assert_same(tf.nest.map_structure(lambda x: x[-1, 1:], states), example(last, 1))
        _, at_last_step = core(inputs[-1], state)
        assert_same(tf.nest.map_structure(lambda x: x[-1, :1], states), example(at_last_step, 0, 1))

    def test_gradients_stay_with_their_steps_and_none_reaches_the_padding(self):
        core = make_core(dtype=tf.float64)
        inputs, state = random_inputs(NUM_STEPS, BATCH_SIZE), after_some_steps(core)
        options = {"sequence_length": LENGTHS, "reset": RESET}
        run = functools.partial(with_gradients, reversed_unroll, core, inputs, state, **options)
        _, gradients = run()  # With less memory, in a graph: tests/system/test_unrolling.py.
        by_inputs = gradients[len(core.trainable_variables)]
        for b, length in enumerate(LENGTHS):
            assert np.all(np.any(by_inputs[:length, b], axis=1))
            assert not np.any(by_inputs[length:, b])

    def test_batch_major_is_the_same_with_axes_swapped(self):
        core, inputs = snt.LSTM(4, dtype=tf.float64), random_inputs(NUM_STEPS, BATCH_SIZE)
        options = {"sequence_length": LENGTHS, "return_all_states": True}
        expected = reversed_unroll(core, inputs, reset=RESET, **options)
        swapped = reversed_unroll(
            core, np.swapaxes(inputs, 0, 1), reset=RESET.T, time_major=False, **options
        )
        assert_same(tf.nest.map_structure(lambda x: np.swapaxes(x, 0, 1), swapped), expected, 0)

    def test_what_is_reversed_twice_is_as_it_was(self):
        core, inputs = snt.GRU(4, dtype=tf.float64), random_inputs(NUM_STEPS, BATCH_SIZE)
        mirrored = tf.constant(flip(inputs))
        outputs, state = dnc.unroll(core, inputs)
        again, same_state = reversed_unroll(core, mirrored)
        assert_same((tf.constant(flip(again)), same_state), (outputs, state), 0)

    def test_integers_booleans_and_nests_are_reversed(self):
        class Both(snt.RNNCore):
            def __call__(self, inputs, prev_state):
                return inputs, prev_state + inputs["number"]

            def initial_state(self, batch_size):
                return tf.zeros([batch_size], tf.int32)

        inputs = {
            "number": np.arange(6, dtype=np.int32).reshape(3, 2),
            "flag": np.array([[True, False], [False, False], [True, True]]),
        }
        for mode in MODES.values():
            run = mode(functools.partial(reversed_unroll, Both(), sequence_length=[3, 2]))
            outputs, total = run(inputs)
            np.testing.assert_array_equal(outputs["number"], [[0, 1], [2, 3], [4, 0]])
            np.testing.assert_array_equal(outputs["flag"], [[1, 0], [0, 0], [1, 0]])
            np.testing.assert_array_equal(total, [6, 4])


def example(nest, start, stop=None):
    return tf.nest.map_structure(lambda x: x[start:stop], nest)


class TestBidirectional:
    @pytest.mark.parametrize("mode", ["eager", "graph"])
    def test_it_is_two_unrolls_side_by_side(self, mode):
        forward, backward = make_core(dtype=tf.float64), snt.LSTM(4, dtype=tf.float64)
        inputs = random_inputs(NUM_STEPS, BATCH_SIZE)
        states = (after_some_steps(forward), None)
        run = functools.partial(
            dnc.bidirectional_unroll, forward, backward, sequence_length=LENGTHS
        )
        outputs, last = MODES[mode](run)(inputs, states)
        one, last_of_one = dnc.unroll(forward, inputs, states[0], sequence_length=LENGTHS)
        other, last_of_other = reversed_unroll(backward, inputs, sequence_length=LENGTHS)
        expected = (tf.concat([one, other], axis=2), (last_of_one, last_of_other))
        assert_same((outputs, last), expected, 1e-10)
        assert outputs.shape == [NUM_STEPS, BATCH_SIZE, 3 + 4]

    def test_nests_are_joined_part_by_part_batch_first(self):
        class Twice(snt.RNNCore):
            def __call__(self, inputs, prev_state):
                return {"a": inputs, "b": 2.0 * inputs}, prev_state

            def initial_state(self, batch_size):
                return ()

        inputs = random_inputs(BATCH_SIZE, NUM_STEPS)
        outputs, _ = dnc.bidirectional_unroll(
            Twice(), Twice(), inputs, time_major=False, checkpoint_every=2
        )
        both = tf.concat([inputs, inputs], axis=2)
        assert_same(outputs, {"a": both, "b": 2.0 * both}, 0)

    def test_both_directions_learn(self):
        cores = [make_core(), make_core(seed=1)]
        with tf.GradientTape() as tape:
            outputs, _ = MODES["graph"](dnc.bidirectional_unroll)(
                *cores, random_inputs(NUM_STEPS, 2, dtype=tf.float32), implementation="fused"
            )
            loss = tf.reduce_sum(outputs**2)
        variables = [variable for core in cores for variable in core.trainable_variables]
        assert all(np.any(gradient) for gradient in tape.gradient(loss, variables))

    @pytest.mark.parametrize("states", [(None,), snt.GRU(4).initial_state(2), {"a": 1, "b": 2}])
    def test_states_that_are_no_pair_are_an_error(self, states):
        with pytest.raises(ValueError, match="initial_states must be a pair"):
            dnc.bidirectional_unroll(snt.GRU(4), snt.GRU(4), np.zeros([2, 2, 3]), states)
