"""Cores in Keras: the same numbers as `dnc.unroll`, masks, states, training, several precisions."""

import contextlib
import io
import runpy

import keras
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
import dnc.keras
from tests.keras_layers import KINDS, assert_close, make_layer, sequences, small_layer, unroll
from tests.models import make_core, random_state


@pytest.fixture(autouse=True)
def same_variables_each_time():
    keras.utils.set_random_seed(0)


def values(variables):
    return [variable.numpy() for variable in variables]


class StartsAtOne(snt.LSTM):
    """A controller with an initial state of ones."""

    def initial_state(self, batch_size, **kwargs):
        return tf.nest.map_structure(tf.ones_like, super().initial_state(batch_size, **kwargs))


class TestOutputs:
    @pytest.mark.parametrize("kind", KINDS)
    def test_outputs_and_last_state_are_those_of_unroll(self, kind):
        layer = make_layer(kind, return_sequences=True, return_state=True)
        inputs = sequences()
        outputs, *state = layer(inputs)
        expected, expected_state = unroll(layer.cell.core, inputs)
        assert np.abs(expected).max() > 0.1
        assert_close(outputs, expected)
        state = layer.cell.pack_state(state)
        assert isinstance(state, dnc.DNCState)
        assert_close(state, expected_state)

    def test_without_sequences_the_output_is_the_last_one(self):
        layer = make_layer("DNC")
        inputs = sequences()
        assert_close(layer(inputs), unroll(layer.cell.core, inputs)[0][:, -1])

    def test_a_given_initial_state_is_continued_from(self):
        layer = make_layer("DNC", return_sequences=True, return_state=True)
        inputs, start = sequences(), random_state(layer.cell.core, 3, tf.float32)
        outputs, *state = layer(inputs, initial_state=layer.cell.flatten_state(start))
        expected, expected_state = unroll(layer.cell.core, inputs, start)
        assert np.abs(expected - unroll(layer.cell.core, inputs)[0]).max() > 0.1
        assert_close(outputs, expected)
        assert_close(layer.cell.pack_state(state), expected_state)

    def test_go_backwards_runs_from_the_last_step_to_the_first(self):
        layer = make_layer("DNC", return_sequences=True, go_backwards=True)
        inputs = sequences()
        assert_close(layer(inputs), unroll(layer.cell.core, inputs[:, ::-1])[0])

    def test_laid_out_steps_give_the_same_as_the_loop(self):
        layer = make_layer("DNC", return_sequences=True, return_state=True, unroll=True)
        inputs = sequences()
        outputs, *state = layer(inputs)
        expected, expected_state = unroll(layer.cell.core, inputs)
        assert_close(outputs, expected)
        assert_close(layer.cell.pack_state(state), expected_state)

    @pytest.mark.parametrize("kind", KINDS)
    def test_bidirectional_runs_two_cores_one_of_them_backwards(self, kind):
        both = keras.layers.Bidirectional(make_layer(kind, return_sequences=True))
        inputs = sequences(num_steps=2)
        outputs = both(inputs)
        forward, backward = both.forward_layer.cell.core, both.backward_layer.cell.core
        assert forward is not backward
        assert len(both.trainable_weights) == 14
        expected = tf.concat(
            [unroll(forward, inputs)[0], unroll(backward, inputs[:, ::-1])[0][:, ::-1]], axis=2
        )
        assert_close(outputs, expected)

    def test_dense_heads_come_after_the_outputs_of_all_steps(self):
        layer, dense = make_layer("DNC", return_sequences=True), keras.layers.Dense(2)
        head = keras.layers.TimeDistributed(keras.layers.Dense(2))
        inputs = sequences(num_steps=2)
        outputs = layer(inputs)
        expected, _ = unroll(layer.core, inputs)
        assert_close(dense(outputs), expected @ dense.kernel.value)
        assert_close(head(outputs), expected @ head.layer.kernel.value)

    def test_a_functional_model_knows_the_shapes_of_outputs_and_state(self):
        layer = make_layer("DNC", return_sequences=True, return_state=True)
        inputs = keras.Input([None, 5])
        start = [keras.Input([size]) for size in layer.cell.state_size]
        outputs, *state = layer(inputs, initial_state=start)
        assert outputs.shape == (None, None, 3)
        sizes = [2 * 4, 6 * 4, 2 * 6, 1 * 6, 1 * 6 * 6, 1 * 6, 6, 7, 7]
        assert [part.shape for part in state] == [(None, size) for size in sizes]
        assert make_layer("DNC")(inputs).shape == (None, 3)

        model = keras.Model([inputs, start], [outputs, state])
        given = random_state(layer.core, 3, tf.float32)
        flat = [part.numpy() for part in layer.cell.flatten_state(given)]
        for num_steps in (4, 2):
            x = sequences(num_steps=num_steps).numpy()
            outputs, state = model([x, flat])
            expected, expected_state = unroll(layer.core, x, given)
            np.testing.assert_allclose(outputs, expected, atol=1e-5)
            for part, expected_part in zip(
                state, layer.cell.flatten_state(expected_state), strict=True
            ):
                np.testing.assert_allclose(part, expected_part, atol=1e-5)

    def test_inputs_may_be_integers(self):
        layer = keras.layers.RNN(dnc.keras.RNNCell(make_core()))
        inputs = np.arange(20, dtype=np.int32).reshape([2, 2, 5]) % 4
        assert_close(layer(inputs), unroll(layer.cell.core, inputs.astype(np.float32))[0][:, -1])


class TestCell:
    def test_a_cell_called_alone_is_the_core(self):
        core = make_core(num_writes=2)
        cell = dnc.keras.RNNCell(core)
        assert cell.output_size == 3
        x, state = tf.ones([3, 5]), random_state(core, 3, tf.float32)
        flat = cell.flatten_state(state)
        assert [part.shape for part in flat] == [(3, size) for size in cell.state_size]
        assert_close(cell.pack_state(flat), state, atol=0)
        outputs, next_flat = cell(x, flat)
        expected, expected_state = core(x, state)
        assert_close(outputs, expected)
        assert_close(cell.pack_state(next_flat), expected_state)
        assert_close(cell.pack_state(cell.get_initial_state(3)), core.initial_state(3), atol=0)
        assert_close(cell.pack_state([part.numpy() for part in flat]), state, atol=0)
        for wrong in (
            flat[:-1],
            [*flat, flat[-1]],
            [*flat[1:], flat[0]],
            tf.nest.flatten(state),
            state,
        ):
            with pytest.raises(
                ValueError, match=r"The state must be a list of tensors .*8, 24, 12.*got"
            ):
                cell.pack_state(wrong)

    @pytest.mark.parametrize("layer_of", [keras.layers.RNN, dnc.keras.RNN])
    def test_the_width_of_your_own_output_layer_is_known_after_the_first_step(self, layer_of):
        core = dnc.DNC(dnc.MemoryAccess(3, 2), snt.LSTM(4), snt.nets.MLP([4, 2]))
        layer = layer_of(dnc.keras.RNNCell(core), return_sequences=True)
        assert layer(keras.Input([None, 5])).shape == (None, None, 2)
        inputs = sequences(num_steps=2)
        assert_close(layer(inputs), unroll(core, inputs)[0])
        assert len(layer.trainable_weights) == len(core.trainable_variables) == 3 + 2 + 4

    @pytest.mark.parametrize(
        "core",
        [
            3,
            snt.LSTM(7),
            snt.Linear(3),
            dnc.MemoryAccess(4, 3, 2),  # Its outputs are of rank 3.
            {"class": "Freeness", "memory_size": 3},
            lambda: 3,
            lambda: snt.LSTM(7),
        ],
    )
    def test_a_cell_needs_a_core_with_sizes(self, core):
        with pytest.raises(ValueError, match=r"core must be a core with state_size and an output"):
            dnc.keras.RNNCell(core)


class TestStateful:
    @pytest.mark.parametrize("kind", KINDS)
    def test_a_stateful_layer_continues_until_it_is_reset(self, kind):
        layer = make_layer(kind, return_sequences=True, stateful=True)
        inputs = sequences(batch_size=2)
        whole, last_state = unroll(layer.cell.core, inputs)
        first, second = layer(inputs[:, :2]), layer(inputs[:, 2:])
        assert_close(first, whole[:, :2])
        assert_close(second, whole[:, 2:])
        state = layer.cell.pack_state([part.value for part in layer.states])
        assert_close(tf.nest.map_structure(tf.convert_to_tensor, state), last_state)
        assert np.abs(layer(inputs[:, :2]) - first).max() > 1e-3
        layer.reset_state()
        assert_close(layer(inputs[:, :2]), first)

    @pytest.mark.parametrize("kind", ["DNC", "RNN"])
    def test_a_reset_restores_the_initial_state_of_the_core(self, kind):
        access, controller = dnc.MemoryAccess(3, 2), StartsAtOne(4)
        if kind == "DNC":
            layer = dnc.keras.DNC(access, controller, 2, stateful=True)
        else:
            cell = dnc.keras.RNNCell(dnc.DNC(access, controller, 2))
            layer = dnc.keras.RNN(cell, stateful=True)
        layer.reset_state()  # Not yet built.
        inputs = sequences(batch_size=2, num_steps=1)
        first, second = layer(inputs), layer(inputs)
        assert np.abs(first - second).max() > 1e-3
        layer.reset_state()
        np.testing.assert_array_equal(layer(inputs), first)


class TestMask:
    @pytest.mark.parametrize(
        ("start", "zeros"),
        [("own state", False), ("own state", True), ("given state", False)],
        ids=["output repeated", "output zero", "given state"],
    )
    def test_padding_holds_the_state(self, start, zeros):
        layer = make_layer(
            "DNC", return_sequences=True, return_state=True, zero_output_for_mask=zeros
        )
        lengths, padding = [4, 1, 3], -9.0
        inputs = sequences().numpy()
        for example, length in enumerate(lengths):
            inputs[example, length:] = padding
        state, given = None, {}
        if start == "given state":
            state = random_state(layer.core, 3, tf.float32)
            given = {"initial_state": layer.cell.flatten_state(state)}
        masked = keras.layers.Masking(mask_value=padding)(inputs)
        outputs, *last_state = layer(masked, **given)
        expected, expected_state = unroll(layer.core, inputs, state, sequence_length=lengths)
        for example, length in enumerate(lengths):
            assert_close(outputs[example, :length], expected[example, :length])
            held = 0 * outputs[example, 0] if zeros else outputs[example, length - 1]
            for step in range(length, 4):
                np.testing.assert_array_equal(outputs[example, step], held)
        assert_close(layer.cell.pack_state(last_state), expected_state)

    def test_a_decoder_with_symbolic_states_uses_the_mask(self):
        decoder = small_layer()
        start = [keras.Input([size]) for size in decoder.cell.state_size]
        inputs = keras.Input([4, 5])
        masked = keras.layers.Masking(mask_value=-9.0)(inputs)
        model = keras.Model([inputs, start], decoder(masked, initial_state=start))
        given = [np.full([1, part.shape[1]], 0.1, np.float32) for part in start]
        short = sequences(batch_size=1, num_steps=2).numpy()
        padded = np.pad(short, [(0, 0), (0, 2), (0, 0)], constant_values=-9.0)
        expected, _ = unroll(decoder.core, short, decoder.cell.pack_state(given))
        assert_close(model([padded, given]), expected[:, -1])

    def test_a_given_mask_comes_before_the_mask_of_the_inputs(self):
        layer = small_layer()
        inputs = sequences(batch_size=1, num_steps=3).numpy()
        inputs[0, 1] = -9.0
        masked = keras.layers.Masking(mask_value=-9.0)(inputs)
        start = layer.cell.get_initial_state(1)
        everything = np.ones([1, 3], bool)
        expected, _ = unroll(layer.core, masked)
        assert_close(layer(masked, mask=everything, initial_state=start), expected[:, -1])

    @pytest.mark.parametrize(
        ("kind", "laid_out"),
        [("DNC", False), ("DNC", True), ("RNN of RNNCell", False)],
        ids=["DNC, loop", "DNC, laid out", "RNN of RNNCell, loop"],
    )
    def test_steps_that_an_explicit_mask_skips_leave_no_trace(self, kind, laid_out):
        layer = make_layer(kind, return_sequences=True, return_state=True, unroll=laid_out)
        inputs = sequences(batch_size=2)
        mask = np.array([[True, False, True, True], [False, True, True, False]])
        start = random_state(layer.cell.core, 2, tf.float32)
        outputs, *state = layer(inputs, mask=mask, initial_state=layer.cell.flatten_state(start))
        state = layer.cell.pack_state(state)
        for example in range(2):

            def alone(part, i=example):
                return part[i : i + 1]

            kept = alone(inputs).numpy()[:, mask[example]]
            expected, expected_state = unroll(
                layer.cell.core, kept, tf.nest.map_structure(alone, start)
            )
            assert_close(outputs[example][mask[example]], expected[0])
            assert_close(tf.nest.map_structure(alone, state), expected_state)
        np.testing.assert_array_equal(outputs[0, 1], outputs[0, 0])
        np.testing.assert_array_equal(outputs[1, 0], np.zeros(3))

    def test_backwards_with_a_mask_laid_out_steps_equal_the_loop(self):
        options = {"return_sequences": True, "return_state": True, "zero_output_for_mask": True}
        loop = small_layer(go_backwards=True, **options)
        laid_out = small_layer(go_backwards=True, unroll=True, **options)
        inputs = sequences(batch_size=2)
        mask = np.array([[True, True, True, False], [True, False, False, False]])
        loop.build(inputs.shape), laid_out.build(inputs.shape)
        laid_out.set_weights(loop.get_weights())
        outputs, expected = laid_out(inputs, mask=mask), loop(inputs, mask=mask)
        assert_close(outputs, expected)
        np.testing.assert_array_equal(np.any(outputs[0], axis=2), mask[:, ::-1])
        assert laid_out.go_backwards

    def test_bidirectional_laid_out_steps_mask_both_directions(self):
        both = keras.layers.Bidirectional(small_layer(unroll=True, return_sequences=True))
        lengths = [4, 1]
        inputs = sequences(batch_size=2)
        mask = np.arange(4) < np.array(lengths)[:, np.newaxis]
        outputs = both(inputs, mask=mask).numpy()
        for example, length in enumerate(lengths):
            alone = inputs[example : example + 1, :length]
            forward, _ = unroll(both.forward_layer.core, alone)
            backward, _ = unroll(both.backward_layer.core, alone[:, ::-1])
            expected = np.concatenate([forward, backward[:, ::-1]], axis=2)[0]
            np.testing.assert_allclose(outputs[example, :length], expected, atol=1e-6)
            assert not np.any(outputs[example, length:])

    def test_a_mask_of_other_steps_is_refused(self):
        layer = make_layer("DNC")
        for shape in ([2, 3], [3, 4], [2, 4, 1], [4]):
            with pytest.raises(ValueError, match=r"mask must have shape \[B, T\] = .*2, 4.*got"):
                layer(sequences(batch_size=2), mask=np.ones(shape, bool))
        with pytest.raises(ValueError, match=r"mask must have shape .*got a list. Pass an array"):
            layer(sequences(batch_size=2), mask=[[True] * 4] * 2)


def echo_model(layer):
    model = keras.Sequential([layer, keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01), "mse", run_eagerly=True)
    inputs = sequences(batch_size=8, num_steps=2).numpy()
    return model, inputs, inputs[:, :, :1]


class TestTraining:
    def test_fit_trains_every_variable_of_the_core(self):
        # In a graph, and compiled by XLA, see tests/system/test_keras.py.
        layer = make_layer("RNN of RNNCell", return_sequences=True)
        model, inputs, targets = echo_model(layer)
        core = layer.cell.core
        variables, before = core.trainable_variables, values(core.trainable_variables)
        history = model.fit(inputs, targets, epochs=6, verbose=0).history["loss"]

        assert len(variables) == 7
        assert core.trainable_variables == variables
        for variable, old in zip(variables, before, strict=True):
            assert np.any(variable.numpy() != old), variable.name
        assert history[-1] < 0.9 * history[0]
        # Adam: two slots for each weight, besides its counter and its learning rate.
        slots = model.optimizer.variables[2:]
        assert len(slots) == 2 * len(model.trainable_weights) == 2 * (7 + 2)
        assert all(np.any(slot) for slot in slots)

    def test_learned_starts_are_trained_and_a_bypass_needs_a_key(self):
        access = dnc.MemoryAccess(3, 2, initial_memory=dnc.LearnedWord(2))
        controller = dnc.LearnedState(snt.LSTM(4))
        core = dnc.DNC(access, controller, 2, bypass_dropout=0.5)
        cell = dnc.keras.RNNCell(core)
        layer = dnc.keras.RNN(cell)
        model, inputs = keras.Sequential([layer]), sequences(num_steps=2)
        model.compile(keras.optimizers.SGD(0.5), "mse", run_eagerly=True)
        model.train_on_batch(inputs, tf.ones([3, 2]))
        assert np.any(access.initial_memory.word != np.float32(1e-6))
        assert all(np.any(part) for part in controller.state)

        # Without a key nothing is dropped, in training either.
        expected = unroll(core, inputs)[0][:, -1]
        assert_close(layer(inputs, training=True), expected)
        keyed = dnc.seed_dropout(core.initial_state(3), (0, 1))
        dropped = layer(inputs, initial_state=cell.flatten_state(keyed))
        assert np.abs(dropped - expected).max() > 1e-3

    @pytest.mark.parametrize("kind", KINDS)
    def test_the_weights_are_the_variables_of_the_core(self, kind):
        layer = make_layer(kind)
        layer(sequences(num_steps=1))
        core = layer.cell.core
        assert len(layer.trainable_weights) == len(layer.weights) == len(core.variables) == 7
        for weight, variable in zip(layer.weights, core.variables, strict=True):
            assert weight.value is variable
        layer.set_weights([np.full(weight.shape, 0.5) for weight in layer.weights])
        assert all(np.all(variable == 0.5) for variable in core.variables)
        core.output_linear.b.assign([1.0, 2.0, 3.0])
        assert any(np.array_equal(weight, [1, 2, 3]) for weight in layer.get_weights())

    def test_a_step_of_training_follows_the_gradient_of_unroll(self):
        layer = make_layer("DNC", return_sequences=True)
        model = keras.Sequential([layer])
        model.compile(keras.optimizers.SGD(0.5), "mse", run_eagerly=True)
        inputs = sequences(num_steps=2)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(unroll(layer.core, inputs)[0] ** 2)
        gradients = tape.gradient(loss, layer.core.trainable_variables)
        before = values(layer.core.trainable_variables)
        model.train_on_batch(inputs, tf.zeros([3, 2, 3]))
        for variable, old, gradient in zip(
            layer.core.trainable_variables, before, gradients, strict=True
        ):
            np.testing.assert_allclose(variable, old - 0.5 * gradient, atol=1e-6)

    def test_a_frozen_layer_is_not_trained(self):
        layer = make_layer("DNC", return_sequences=True)
        layer.trainable = False
        model, inputs, targets = echo_model(layer)
        model.train_on_batch(inputs, targets)
        dense = model.layers[-1]
        before, dense_before = values(layer.core.variables), values(dense.weights)
        model.train_on_batch(inputs, targets)
        trained = [weight.path for weight in model.trainable_weights]
        assert trained == [weight.path for weight in dense.weights]
        assert len(model.non_trainable_weights) == 7
        for variable, old in zip(layer.core.variables, before, strict=True):
            np.testing.assert_array_equal(variable, old)
        for weight, old in zip(values(dense.weights), dense_before, strict=True):
            assert np.any(weight != old)

    def test_the_summary_counts_the_variables_of_the_core(self):
        layer = make_layer("DNC")
        model = keras.Sequential([keras.Input([None, 5]), layer])
        count = sum(np.prod(variable.shape) for variable in layer.core.trainable_variables)
        assert model.count_params() == layer.count_params() == count == 900
        text = io.StringIO()
        model.summary(print_fn=lambda line: text.write(line + "\n"))
        assert "Total params: 900 " in text.getvalue()
        assert "Trainable params: 900 " in text.getvalue()


class SonnetControllerInTraining(snt.RNNCore):
    """A controller that cannot be called without `is_training`."""

    def __init__(self, record):
        super().__init__()
        self._record, self._linear = record, snt.Linear(4)

    def __call__(self, inputs, prev_state, is_training):
        self._record(is_training)
        return self._linear(inputs), prev_state

    def initial_state(self, batch_size):
        return ()


class KerasControllerInTraining(keras.layers.Layer):
    """A controller without variables that has `training` as other Keras layers."""

    def __init__(self, record):
        super().__init__()
        self._record = record

    def call(self, inputs, training=None):
        self._record(training)
        return inputs[:, :4]


def function_in_training(record):
    def f(inputs):
        return inputs[:, :4]

    def controller(inputs, training=False):
        record(training)
        return f(inputs)

    return controller


IN_TRAINING = {
    "function": function_in_training,
    "Keras layer": KerasControllerInTraining,
    "Sonnet core": SonnetControllerInTraining,
    "wrapped": lambda record: dnc.ClippedSignal(
        dnc.InputsOnly(dnc.EmbeddedInputs(SonnetControllerInTraining(record), 5, 5), 7)
    ),
    "DNC": lambda record: dnc.DNC(dnc.MemoryAccess(2, 2), SonnetControllerInTraining(record), 4),
}


class TestTrainingArgument:
    @pytest.mark.parametrize("name", IN_TRAINING)
    def test_a_controller_is_told_whether_it_is_in_training(self, name):
        calls = []
        layer = dnc.keras.DNC(dnc.MemoryAccess(3, 2), IN_TRAINING[name](calls.append), 2)
        inputs = sequences(batch_size=1, num_steps=2)
        layer.build(inputs.shape)
        for training in (True, False):
            calls.clear()
            layer(inputs, training=training)
            assert set(calls) == {training}

    def test_dropout_is_on_in_fit_and_off_in_predict(self):
        layer = dnc.keras.DNC(dnc.MemoryAccess(3, 2), keras.layers.Dropout(0.5), 2)
        model = keras.Sequential([layer])
        model.compile(keras.optimizers.SGD(0.0), "mse", run_eagerly=True)
        inputs = sequences(batch_size=2, num_steps=2).numpy()
        targets = model.predict(inputs, verbose=0)
        np.testing.assert_array_equal(model.predict(inputs, verbose=0), targets)
        assert model.fit(inputs, targets, verbose=0).history["loss"][0] > 1e-6
        assert model.evaluate(inputs, targets, verbose=0) == 0

    def test_controllers_without_the_argument_are_called_as_ever(self):
        multilayer_perceptron = snt.nets.MLP([4])  # It refuses `is_training` without dropout.
        for controller in (multilayer_perceptron, tf.nn.relu, lambda x: x, np.tanh):
            core = dnc.DNC(dnc.MemoryAccess(3, 2), controller, 2)
            state, inputs = core.initial_state(1), tf.ones([1, 2])
            assert_close(core(inputs, state, training=True), core(inputs, state))


def record_states(monkeypatch, cell):
    """Returns a list that gets the dtypes of the state whenever the cell makes a step."""
    recorded, pack_state = [], cell.pack_state

    def spy(states):
        recorded.append({part.dtype for part in states})
        return pack_state(states)

    monkeypatch.setattr(cell, "pack_state", spy)
    return recorded


class TestPrecision:
    def test_in_mixed_precision_a_layer_computes_in_float32(
        self, monkeypatch, policy="mixed_float16", eagerly=True
    ):
        # In a graph, with bfloat16, and by `fit` of a loop: system tests.
        layer = make_layer("DNC", dtype=policy, return_sequences=True, unroll=not eagerly)
        recorded = record_states(monkeypatch, layer.cell)
        assert {weight.dtype for weight in layer.weights} == {"float32"}
        inputs = sequences(num_steps=2)
        outputs = layer(inputs)
        assert outputs.dtype == tf.float32
        assert_close(outputs, unroll(layer.core, inputs)[0], atol=1e-6)

        before = values(layer.core.trainable_variables)
        model = keras.Sequential([layer, keras.layers.Dense(1, dtype=policy)])
        model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=False, run_eagerly=eagerly)
        history = model.fit(
            inputs.numpy(), np.ones([*inputs.shape[:2], 1]), epochs=3, verbose=0
        ).history["loss"]
        assert np.all(np.isfinite(history))
        assert history[-1] < history[0]
        for variable, old in zip(layer.core.trainable_variables, before, strict=True):
            assert variable.dtype == tf.float32
            assert np.all(np.isfinite(variable))
            assert np.any(variable.numpy() != old), variable.name
        assert len(recorded) > 2
        assert all(dtypes == {tf.float32} for dtypes in recorded)

    def test_the_global_policy_holds_for_a_layer_without_one(self):
        with contextlib.ExitStack() as stack:
            stack.callback(keras.config.set_dtype_policy, keras.config.dtype_policy())
            keras.config.set_dtype_policy("mixed_bfloat16")
            layer = make_layer("DNC")
        assert {weight.dtype for weight in layer.weights} == {"float32"}
        assert layer(sequences(num_steps=1)).dtype == tf.float32

    def test_a_layer_between_layers_of_mixed_precision_gets_and_gives_what_they_need(self):
        layer = make_layer("DNC", dtype="mixed_bfloat16")
        with contextlib.ExitStack() as stack:
            stack.callback(keras.config.set_dtype_policy, keras.config.dtype_policy())
            keras.config.set_dtype_policy("mixed_bfloat16")
            model = keras.Sequential([keras.layers.Dense(5), layer, keras.layers.Dense(2)])
        inputs = sequences(num_steps=2)
        features = model.layers[0](inputs)
        assert features.dtype == tf.bfloat16
        expected, _ = unroll(layer.core, tf.cast(features, tf.float32))
        assert_close(model.layers[1](features), expected[:, -1])
        assert model(inputs).dtype == tf.bfloat16

    def test_a_stateful_layer_in_mixed_precision_has_a_float32_state(self):
        layer = make_layer("DNC", dtype="mixed_bfloat16", stateful=True, return_state=True)
        _, *state = layer(sequences(batch_size=2))
        for part, kept in zip(state, layer.states, strict=True):
            np.testing.assert_array_equal(part, kept)
        memory = layer.cell.pack_state(state).access_state.memory
        assert memory.dtype == tf.float32
        assert np.any(memory != tf.cast(tf.cast(memory, tf.bfloat16), tf.float32))

    def test_a_cell_may_have_a_policy_of_its_own(self):
        core = dnc.DNC(dnc.MemoryAccess(6, 4), snt.LSTM(7), 3)
        layer = keras.layers.RNN(dnc.keras.RNNCell(core, dtype="mixed_bfloat16"))
        # The output has the policy of the layer around the cell.
        assert layer(sequences(num_steps=1)).dtype == tf.float32
        assert {weight.dtype for weight in layer.weights} == {"float32"}
        assert {part.dtype for part in layer.cell.get_initial_state(2)} == {tf.float32}

    def test_a_layer_may_compute_in_float64(self):
        layer = make_layer("DNC", dtype="float64", return_sequences=True, return_state=True)
        assert {weight.dtype for weight in layer.weights} == {"float64"}
        inputs = sequences(dtype=tf.float64)
        outputs, *state = layer(inputs)
        expected, expected_state = unroll(layer.core, inputs)
        assert outputs.dtype == tf.float64
        assert_close(outputs, expected, atol=1e-12)
        assert_close(layer.cell.pack_state(state), expected_state, atol=1e-12)

        core = make_core(dtype=tf.float64)
        layer = keras.layers.RNN(dnc.keras.RNNCell(core, dtype="float64"), dtype="float64")
        assert_close(layer(inputs), unroll(core, inputs)[0][:, -1], atol=1e-12)

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
    def test_a_state_of_low_precision_is_refused(self, dtype):
        with pytest.raises(ValueError, match="The state must be float32 or float64"):
            make_layer("DNC", dtype=dtype)(sequences())


def test_another_backend_ends_in_an_error_with_the_remedy(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ImportError, match=r"runs on jax. Set .* KERAS_BACKEND=tensorflow before"):
        runpy.run_path(dnc.keras.__file__)
