"""The implementation that `dnc.unroll` chooses, and its warnings; `snt.DeepRNN` around a DNC."""

import functools

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from dnc.unrolling.implementations import reason_against
from tests.models import (
    MODES,
    after_some_steps,
    assert_same,
    graph,
    make_core,
    random_inputs,
    with_gradients,
)

NUM_STEPS, BATCH_SIZE, INPUT_SIZE = 5, 3, 5
SPEC = tf.TensorSpec([None, INPUT_SIZE])
LENGTHS = [5, 2, 0]
RESET = np.array([[0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 1], [1, 0, 0]], bool)

step_by_step = functools.partial(dnc.unroll, implementation="steps")
fused = functools.partial(dnc.unroll, implementation="fused")


def dropout(x):
    return tf.nn.dropout(x, 0.5)


def core_with(controller, **options):
    return dnc.DNC(dnc.MemoryAccess(4, 3), controller, 2, **options)


def inputs_of(num_steps=3):
    return random_inputs(num_steps, 2, dtype=tf.float32)


class TestChoice:
    def test_auto_is_fused_in_a_graph_and_step_by_step_in_eager_mode(self, taken):
        core = make_core()
        dnc.unroll(core, inputs_of())
        assert not taken
        graph(dnc.unroll)(core, inputs_of())
        assert taken == [core]

    @pytest.mark.parametrize("mode", ["eager", "graph"])
    def test_steps_are_never_fused(self, mode, taken):
        core = make_core()
        results = MODES[mode](step_by_step)(core, inputs_of())
        assert_same(results, snt.static_unroll(core, inputs_of(), core.initial_state(2)), 1e-6)
        assert not taken

    def test_an_unknown_name_is_an_error(self):
        with pytest.raises(ValueError, match=r'"auto", "fused" or "steps", got \'fast\''):
            dnc.unroll(make_core(), inputs_of(), implementation="fast")

    def test_fused_in_eager_mode_is_an_error_that_says_where_to_call_it(self):
        with pytest.raises(ValueError, match=r"eager mode: call dnc.unroll in a tf.function"):
            fused(make_core(), inputs_of())

    def test_fused_without_steps_returns_no_outputs(self):
        assert graph(fused)(make_core(), inputs_of(0))[0].shape == [0, 2, 3]

    @pytest.mark.parametrize(
        ("make", "options", "reason"),
        [
            (make_core, {"return_all_states": True}, "return_all_states=True"),
            (lambda: snt.LSTM(4), {}, "a core without a dnc.DNC"),
            (lambda: core_with(dropout), {}, "RandomUniform"),
        ],
    )
    def test_fused_is_an_error_that_says_why_not(self, make, options, reason):
        core = make()
        with pytest.raises(ValueError, match=f'{core.name} with .*"fused", .* support {reason}'):
            graph(functools.partial(fused, core, **options))(inputs_of())


class TestWarning:
    """The suite turns warnings into errors: what must not warn need only be run."""

    def test_it_comes_once_for_each_core_and_reason(self):
        core, other = core_with(dropout), core_with(dropout, name="other")
        around = snt.DeepRNN([tf.nn.relu, core])
        with pytest.warns(UserWarning) as said:
            for each in (core, core, other, around):
                outputs, _ = graph(functools.partial(dnc.unroll, each))(inputs_of())
                assert outputs.shape == [3, 2, 2]
        texts = [str(warning.message) for warning in said]
        assert len(texts) == 3
        for text, name in zip(texts, ["dnc", "other", "deep_rnn"], strict=True):
            assert text.startswith(
                f"dnc.unroll falls back to the step-by-step loop for {name}: the fused "
                "implementation does not support RandomUniform ("
            )
            assert 'implementation="steps"' in text

    def test_there_is_none_where_the_steps_were_asked_for_or_there_is_no_other_way(self):
        core = core_with(dropout)
        dnc.unroll(core, inputs_of())
        graph(step_by_step)(core, inputs_of())
        graph(functools.partial(dnc.unroll, core, return_all_states=True))(inputs_of())
        graph(functools.partial(dnc.unroll, core))(inputs_of(0))
        graph(dnc.unroll)(snt.DeepRNN([snt.LSTM(4), dropout]), inputs_of())
        dnc.record(core, inputs_of())

    def test_it_names_the_line_that_called_unroll(self):
        core = core_with(dropout)
        with pytest.warns(UserWarning) as said:
            graph(lambda: dnc.unroll(core, inputs_of()))()
        assert said[0].filename == __file__


class CountingLSTM(snt.RNNCore):
    """An LSTM with integers and `None` in its state, and with a nest as its output."""

    def __init__(self):
        super().__init__()
        self.lstm = snt.LSTM(4, dtype=tf.float64)

    def __call__(self, inputs, prev_state):
        outputs, lstm = self.lstm(inputs, prev_state["lstm"])
        return {"lstm": outputs}, {"lstm": lstm, "count": prev_state["count"] + 1, "none": None}

    def initial_state(self, batch_size):
        lstm = self.lstm.initial_state(batch_size)
        return {"lstm": lstm, "count": tf.zeros([batch_size], tf.int32), "none": None}


memory = functools.partial(make_core, dtype=tf.float64)  # With three outputs.
lstm = functools.partial(snt.LSTM, dtype=tf.float64)
STACKS = {
    "the tutorial's": lambda: [
        snt.Linear(4),
        tf.nn.relu,
        memory(input_size=4),
        tf.nn.relu,
        snt.Linear(2),
    ],
    "of one layer": lambda: [memory()],
    "with two DNCs": lambda: [memory(), tf.nn.softplus, memory(input_size=3, seed=1)],
    "with LSTMs": lambda: [lstm(4), memory(input_size=4), snt.LayerNorm(-1, True, True), lstm(2)],
    "with networks": lambda: [
        snt.Sequential([snt.Linear(6), snt.LayerNorm(1, True, True), tf.tanh]),
        snt.nets.MLP([5, 4], activation=tf.sigmoid),
        memory(input_size=4),
    ],
    "in a stack": lambda: [snt.Linear(4), snt.DeepRNN([tf.nn.elu, memory(input_size=4)])],
    "with a nest": lambda: [memory(), CountingLSTM()],
    "side by side": lambda: [
        dnc.Parallel([memory(), snt.LSTM(2, dtype=tf.float64), memory()]),
        snt.Linear(2),
    ],
    "with dropout": lambda: [dnc.Dropout(0.5), memory(), dnc.Dropout(0.2), snt.Linear(2)],
}


SLOW = {"with LSTMs", "with a nest"}


def make_stack(name):
    """A stack in which no variable is zero, and a state in which no two slots are equally used."""
    core, rng = snt.DeepRNN(STACKS[name]()), np.random.default_rng(3)

    def state_of(layer):
        if isinstance(layer, dnc.DNC):
            return after_some_steps(layer, BATCH_SIZE)
        if isinstance(layer, dnc.Parallel):
            return tuple(map(state_of, layer.cores))
        if isinstance(layer, snt.DeepRNN):
            return tuple(state_of(part) for part in layer._layers if isinstance(part, snt.RNNCore))
        return layer.initial_state(BATCH_SIZE)

    state = dnc.seed_dropout(state_of(core), (1, 2))
    core(tf.zeros([BATCH_SIZE, INPUT_SIZE], tf.float64), state)  # Creates the variables.
    for variable in core.trainable_variables:
        variable.assign_add(rng.normal(size=variable.shape) / 9)
    return core, state


def compare(name, mode="graph", **options):
    """The layers of a stack, each over the whole sequence, give what the stack's steps give."""
    core, state = make_stack(name)
    inputs = random_inputs(NUM_STEPS, BATCH_SIZE)
    run = functools.partial(with_gradients, fused, core, **options)
    options.pop("checkpoint_every", None)
    plain = with_gradients(step_by_step, core, inputs, state, **options)
    assert_same(MODES[mode](run)(inputs, state), plain, 1e-10)


class TestDeepRNN:  # Compiled, and with less memory: tests/system/test_unrolling.py.
    MASKS = {"sequence_length": LENGTHS, "reset": RESET}

    # The others: tests/system/test_unrolling.py.
    @pytest.mark.parametrize("name", sorted(STACKS.keys() - SLOW))
    def test_values_states_and_gradients_are_those_of_the_steps(self, name, taken):
        compare(name, **self.MASKS)
        assert len(taken) == (2 if name in ("with two DNCs", "side by side") else 1)

    def test_so_they_are_without_lengths_and_resets(self):
        compare("the tutorial's")

    def test_batch_major_and_reversed(self):
        core, state = make_stack("the tutorial's")
        inputs = tf.transpose(random_inputs(NUM_STEPS, BATCH_SIZE), [1, 0, 2])
        options = {"sequence_length": LENGTHS, "reset": RESET.T, "time_major": False}
        run = functools.partial(with_gradients, core=core, reverse=True, **options)
        plain = run(step_by_step, inputs=inputs, state=state)
        assert_same(graph(run)(fused, inputs=inputs, state=state), plain, 1e-10)

    def test_the_padding_may_be_anything_and_its_outputs_are_0(self):
        core, state = make_stack("the tutorial's")
        inputs = random_inputs(NUM_STEPS, BATCH_SIZE).numpy()
        inputs[np.arange(NUM_STEPS)[:, np.newaxis] >= LENGTHS] = np.nan
        run = graph(functools.partial(with_gradients, fused, core, sequence_length=LENGTHS))
        (outputs, last), gradients = run(tf.constant(inputs), state)
        assert all(np.all(np.isfinite(x)) for x in tf.nest.flatten((outputs, last, gradients)))
        assert not np.any(outputs[2:, 1]) and not np.any(outputs[:, 2])
        assert np.all(outputs[:, 0])

    def test_one_trace_serves_any_number_of_steps_and_any_batch_size(self):
        core, state = make_stack("with LSTMs")
        traces = []

        @graph(
            input_signature=[
                tf.TensorSpec([None, None, INPUT_SIZE], tf.float64),
                tf.nest.map_structure(
                    lambda x: tf.TensorSpec([None, *x.shape[1:]], x.dtype), state
                ),
            ]
        )
        def run(inputs, state):
            traces.append(1)
            return fused(core, inputs, state)

        for num_steps, batch_size in [(4, 2), (1, 3)]:
            inputs = random_inputs(num_steps, batch_size)
            start = tf.nest.map_structure(lambda x, b=batch_size: x[:b], state)
            assert_same(run(inputs, start), step_by_step(core, inputs, start), 1e-10)
        assert len(traces) == 1

    def test_variables_are_created_inside_the_function(self, taken):
        core = snt.DeepRNN([snt.Linear(4), core_with(snt.LSTM(5)), snt.nets.MLP([3, 2])])
        outputs, _ = tf.function(lambda x: dnc.unroll(core, x))(inputs_of())
        assert_same(outputs, dnc.unroll(core, inputs_of())[0], 1e-5)
        assert len(core.trainable_variables) == 13
        assert taken

    def test_token_inputs_reach_a_core_that_embeds_them(self, taken):
        class Embedding(snt.RNNCore):
            def __init__(self):
                super().__init__()
                self.embed = snt.Embed(7, 4)

            def __call__(self, inputs, prev_state):
                return self.embed(inputs), prev_state

            def initial_state(self, batch_size, dtype=None):
                return ()

        core = snt.DeepRNN([Embedding(), core_with(snt.LSTM(5))])
        tokens = np.array([[1, 4], [0, 2], [3, 3]])
        outputs, _ = graph(fused)(core, tokens)
        assert_same(outputs, dnc.unroll(core, tokens)[0], 1e-5)
        assert taken

    @pytest.mark.parametrize(
        ("layer", "reason"),
        [
            (dropout, "the function dropout as a layer of an snt.DeepRNN"),
            (functools.partial(tf.nn.softmax, axis=0), "a partial as a layer"),
            (snt.LayerNorm(0, True, True), "a LayerNorm as a layer"),
            (snt.nets.MLP([4], dropout_rate=0.5), "a MLP as a layer"),
            (snt.nets.MLP([4], activation=dropout), "a MLP as a layer"),
            (snt.Sequential([snt.Linear(4), dropout]), "a Sequential as a layer"),
            (snt.DeepRNN([core_with(dropout)]), "RandomUniform ("),
            (
                snt.deep_rnn_with_residual_connections([make_core()]),
                "a _LegacyDeepRNN around its dnc.DNC",
            ),
        ],
    )
    def test_a_layer_that_may_mix_examples_is_a_reason_against(self, layer, reason):
        core = snt.DeepRNN([make_core(), layer])
        assert reason_against(core, SPEC, None).startswith(reason)

    def test_a_custom_getter_is_a_reason_against(self):
        core = snt.DeepRNN([make_core()])
        with snt.custom_variable_getter(lambda variable: 2.0 * variable):
            assert reason_against(core, SPEC, None) == "a custom variable getter"

    def test_a_subclass_is_a_reason_against(self):
        class Residual(snt.DeepRNN):
            """A core that might do anything."""

        core = Residual([make_core()])
        assert reason_against(core, SPEC, None) == "a Residual around its dnc.DNC"


class TestTraining:
    """`training` reaches a core that takes it."""

    class Doubling(snt.RNNCore):
        """Doubles its output in training."""

        def __call__(self, inputs, prev_state, training=False):
            return (2.0 if training else 1.0) * inputs, prev_state

        def initial_state(self, batch_size, dtype=None):
            return ()

    @pytest.mark.parametrize("mode", ["eager", "graph"])
    @pytest.mark.parametrize("checkpoint_every", [None, 2])
    def test_it_is_passed_on(self, mode, checkpoint_every):
        run = functools.partial(dnc.unroll, self.Doubling(), checkpoint_every=checkpoint_every)
        for training, factor in ((None, 1.0), (True, 2.0), (False, 1.0)):
            outputs, _ = MODES[mode](functools.partial(run, training=training))(inputs_of())
            np.testing.assert_array_equal(outputs, factor * inputs_of())

    def test_a_core_without_it_does_without(self):
        core = snt.LSTM(4)
        expected = dnc.unroll(core, inputs_of())
        assert_same(dnc.unroll(core, inputs_of(), training=True), expected, 0)

    def test_a_controller_that_takes_it_is_fused(self, taken):
        core = core_with(dnc.ClippedSignal(self.Doubling()), name="doubling")
        outputs, _ = graph(functools.partial(dnc.unroll, core, training=True))(inputs_of())
        assert_same(outputs, dnc.unroll(core, inputs_of(), training=True)[0], 1e-5)
        assert not np.allclose(outputs, dnc.unroll(core, inputs_of())[0])
        assert core in taken

    @pytest.mark.parametrize("controller", [dnc.FeedForward([4]), snt.LSTM(4)])
    def test_a_controller_that_does_not_is_fused(self, controller, taken):
        graph(functools.partial(fused, core_with(controller), training=True))(inputs_of())
        assert taken

    def test_a_stack_does_not_pass_it_on_either_way(self, taken):
        core = snt.DeepRNN([self.Doubling(), core_with(self.Doubling()), self.Doubling()])
        run = functools.partial(dnc.unroll, core, inputs_of())
        expected, _ = run()
        assert_same(run(training=True)[0], expected, 0)
        assert_same(graph(functools.partial(run, training=True))()[0], expected, 1e-5)
        assert taken

    def test_what_repeats_in_one_mode_may_not_in_another(self):
        class Noisy(self.Doubling):
            def __call__(self, inputs, prev_state, training=False):
                return (dropout(inputs) if training else inputs), prev_state

        core = Noisy()
        dnc.unroll(core, inputs_of(), checkpoint_every=2)
        with pytest.raises(ValueError, match="would not do the same again"):
            dnc.unroll(core, inputs_of(), checkpoint_every=2, training=True)
