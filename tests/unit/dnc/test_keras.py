"""The core in Keras: the same numbers, trained, masked, saved, described, in several precisions."""

import contextlib
import importlib
import io
import json
import runpy
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
import dnc.keras
from tests.models import make_core, random_inputs, random_state

KINDS = ["DNC", "RNN of RNNCell"]


@pytest.fixture(autouse=True)
def same_variables_each_time():
    keras.utils.set_random_seed(0)


def make_layer(kind, dtype=None, **options):
    """Either form of a layer with inputs [B, T, 5] and outputs of width 3."""
    if kind == "DNC":
        layer = dnc.keras.DNC(
            {"memory_size": 6, "word_size": 4, "num_reads": 2},
            {"hidden_size": 7},
            output_size=3,
            clip_value=20.0,
            dtype=dtype,
            **options,
        )
        layer.build((2, None, 5))
        return layer
    return keras.layers.RNN(dnc.keras.RNNCell(make_core()), **options)


def sequences(batch_size=3, num_steps=4, dtype=tf.float32, seed=0):
    """Inputs [B, T, 5]."""
    return tf.transpose(random_inputs(num_steps, batch_size, dtype=dtype, seed=seed), [1, 0, 2])


def unroll(core, inputs, *args, **kwargs):
    """`dnc.unroll`, batch first."""
    return dnc.unroll(core, inputs, *args, time_major=False, **kwargs)


def assert_close(actual, expected, atol=1e-6):
    tf.nest.assert_same_structure(actual, expected)
    for x, y in zip(tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=0, atol=atol)


def values(variables):
    return [variable.numpy() for variable in variables]


# The numbers of `dnc.unroll`.


@pytest.mark.parametrize("kind", KINDS)
def test_outputs_and_last_state_are_those_of_unroll(kind):
    layer = make_layer(kind, return_sequences=True, return_state=True)
    inputs = sequences()
    outputs, *state = layer(inputs)
    expected, expected_state = unroll(layer.cell.core, inputs)
    assert np.abs(expected).max() > 0.1
    assert_close(outputs, expected)
    state = layer.cell.pack_state(state)
    assert isinstance(state, dnc.DNCState)
    assert_close(state, expected_state)


@pytest.mark.parametrize("kind", KINDS)
def test_without_sequences_the_output_is_that_of_the_last_step(kind):
    layer = make_layer(kind)
    inputs = sequences()
    assert_close(layer(inputs), unroll(layer.cell.core, inputs)[0][:, -1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_given_initial_state_is_gone_on_from(kind):
    layer = make_layer(kind, return_sequences=True, return_state=True)
    inputs, start = sequences(), random_state(layer.cell.core, 3, tf.float32)
    outputs, *state = layer(inputs, initial_state=layer.cell.flatten_state(start))
    expected, expected_state = unroll(layer.cell.core, inputs, start)
    assert np.abs(expected - unroll(layer.cell.core, inputs)[0]).max() > 0.1
    assert_close(outputs, expected)
    assert_close(layer.cell.pack_state(state), expected_state)


@pytest.mark.parametrize("kind", KINDS)
def test_go_backwards_runs_from_the_last_step_to_the_first(kind):
    layer = make_layer(kind, return_sequences=True, go_backwards=True)
    inputs = sequences()
    assert_close(layer(inputs), unroll(layer.cell.core, inputs[:, ::-1])[0])


@pytest.mark.parametrize("kind", KINDS)
def test_laid_out_steps_give_the_same_as_the_loop(kind):
    layer = make_layer(kind, return_sequences=True, return_state=True, unroll=True)
    inputs = sequences()
    outputs, *state = layer(inputs)
    expected, expected_state = unroll(layer.cell.core, inputs)
    assert_close(outputs, expected)
    assert_close(layer.cell.pack_state(state), expected_state)


@pytest.mark.parametrize("kind", KINDS)
def test_a_stateful_layer_goes_on_until_it_is_reset(kind):
    layer = make_layer(kind, return_sequences=True, stateful=True)
    inputs = sequences(batch_size=2, num_steps=6)
    whole, last_state = unroll(layer.cell.core, inputs)
    first, second = layer(inputs[:, :3]), layer(inputs[:, 3:])
    assert_close(first, whole[:, :3])
    assert_close(second, whole[:, 3:])
    state = layer.cell.pack_state([part.value for part in layer.states])
    assert_close(tf.nest.map_structure(tf.convert_to_tensor, state), last_state)
    assert np.abs(layer(inputs[:, :3]) - first).max() > 1e-3
    layer.reset_state()
    assert_close(layer(inputs[:, :3]), first)


@pytest.mark.parametrize("zeros", [False, True], ids=["output repeated", "output zero"])
def test_after_the_last_step_that_masking_leaves_the_state_is_held(zeros):
    layer = make_layer("DNC", return_sequences=True, return_state=True, zero_output_for_mask=zeros)
    lengths, padding = [4, 1, 3], -9.0
    inputs = sequences().numpy()
    for example, length in enumerate(lengths):
        inputs[example, length:] = padding
    # Without an initial state: Keras drops the mask that an input carries where one is given.
    outputs, *state = layer(keras.layers.Masking(mask_value=padding)(inputs))
    expected, expected_state = unroll(layer.core, inputs, sequence_length=lengths)
    for example, length in enumerate(lengths):
        assert_close(outputs[example, :length], expected[example, :length])
        held = 0 * outputs[example, 0] if zeros else outputs[example, length - 1]
        for step in range(length, 4):
            np.testing.assert_array_equal(outputs[example, step], held)
    assert_close(layer.cell.pack_state(state), expected_state)


@pytest.mark.parametrize("laid_out", [False, True], ids=["loop", "laid out"])
@pytest.mark.parametrize("kind", KINDS)
def test_steps_that_an_explicit_mask_skips_leave_no_trace(kind, laid_out):
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


def test_a_mask_of_other_steps_is_refused():
    layer = make_layer("DNC")
    for shape in ([2, 3], [3, 4], [2, 4, 1], [4]):
        with pytest.raises(ValueError, match=r"mask must have shape \[B, T\] = .*2, 4.*got"):
            layer(sequences(batch_size=2), mask=np.ones(shape, bool))


@pytest.mark.parametrize("kind", KINDS)
def test_bidirectional_runs_two_cores_one_of_them_backwards(kind):
    both = keras.layers.Bidirectional(make_layer(kind, return_sequences=True))
    inputs = sequences()
    outputs = both(inputs)
    forward, backward = both.forward_layer.cell.core, both.backward_layer.cell.core
    assert forward is not backward
    assert len(both.trainable_weights) == 14
    expected = tf.concat(
        [unroll(forward, inputs)[0], unroll(backward, inputs[:, ::-1])[0][:, ::-1]], axis=2
    )
    assert_close(outputs, expected)


def test_dense_heads_come_after_the_outputs_of_all_steps():
    layer, dense = make_layer("DNC", return_sequences=True), keras.layers.Dense(2)
    head = keras.layers.TimeDistributed(keras.layers.Dense(2))
    inputs = sequences()
    outputs = layer(inputs)
    expected, _ = unroll(layer.core, inputs)
    assert_close(dense(outputs), expected @ dense.kernel.value)
    assert_close(head(outputs), expected @ head.layer.kernel.value)


def test_a_functional_model_knows_the_shapes_of_outputs_and_state():
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
        outputs, state = model.predict_on_batch([x, flat])
        expected, expected_state = unroll(layer.core, x, given)
        np.testing.assert_allclose(outputs, expected, atol=1e-5)
        for part, expected_part in zip(
            state, layer.cell.flatten_state(expected_state), strict=True
        ):
            np.testing.assert_allclose(part, expected_part, atol=1e-5)


def test_a_cell_called_alone_is_the_core():
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


def test_inputs_may_be_integers():
    layer = keras.layers.RNN(dnc.keras.RNNCell(make_core()))
    inputs = np.arange(30, dtype=np.int32).reshape([2, 3, 5]) % 4
    assert_close(layer(inputs), unroll(layer.cell.core, inputs.astype(np.float32))[0][:, -1])


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
def test_a_cell_needs_a_core_that_tells_its_sizes(core):
    with pytest.raises(ValueError, match=r"core must be a core with state_size and an output"):
        dnc.keras.RNNCell(core)


# Training.


def echo_model(layer, **options):
    model = keras.Sequential([layer, keras.layers.Dense(1)])
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=False, **options)
    inputs = sequences(batch_size=8).numpy()
    return model, inputs, inputs[:, :, :1]


@pytest.mark.parametrize(
    ("kind", "eagerly"), [("DNC", False), ("RNN of RNNCell", True)], ids=["graph", "eager"]
)
def test_fit_trains_every_variable_of_the_core(kind, eagerly):
    layer = make_layer(kind, return_sequences=True)
    model, inputs, targets = echo_model(layer, run_eagerly=eagerly)
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


@pytest.mark.parametrize("kind", KINDS)
def test_the_weights_are_the_variables_of_the_core_themselves(kind):
    layer = make_layer(kind)
    layer(sequences())
    core = layer.cell.core
    assert len(layer.trainable_weights) == len(layer.weights) == len(core.variables) == 7
    for weight, variable in zip(layer.weights, core.variables, strict=True):
        assert weight.value is variable
    layer.set_weights([np.full(weight.shape, 0.5) for weight in layer.weights])
    assert all(np.all(variable == 0.5) for variable in core.variables)
    core.output_linear.b.assign([1.0, 2.0, 3.0])
    assert any(np.array_equal(weight, [1, 2, 3]) for weight in layer.get_weights())


def test_a_step_of_training_follows_the_gradient_of_unroll():
    layer = make_layer("DNC", return_sequences=True)
    model = keras.Sequential([layer])
    model.compile(keras.optimizers.SGD(0.5), "mse", run_eagerly=True)
    inputs = sequences()
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(unroll(layer.core, inputs)[0] ** 2)
    gradients = tape.gradient(loss, layer.core.trainable_variables)
    before = values(layer.core.trainable_variables)
    model.train_on_batch(inputs, tf.zeros([3, 4, 3]))
    for variable, old, gradient in zip(
        layer.core.trainable_variables, before, gradients, strict=True
    ):
        np.testing.assert_allclose(variable, old - 0.5 * gradient, atol=1e-6)


def test_a_frozen_layer_is_not_trained():
    layer = make_layer("DNC", return_sequences=True)
    layer.trainable = False
    model, inputs, targets = echo_model(layer, run_eagerly=True)
    model.train_on_batch(inputs, targets)
    dense = model.layers[-1]
    before, dense_before = values(layer.core.variables), values(dense.weights)
    model.train_on_batch(inputs, targets)
    assert [weight.path for weight in model.trainable_weights] == [w.path for w in dense.weights]
    assert len(model.non_trainable_weights) == 7
    for variable, old in zip(layer.core.variables, before, strict=True):
        np.testing.assert_array_equal(variable, old)
    assert all(np.any(w != old) for w, old in zip(values(dense.weights), dense_before, strict=True))


def test_the_summary_counts_the_variables_of_the_core():
    layer = make_layer("DNC")
    model = keras.Sequential([keras.Input([None, 5]), layer])
    count = sum(np.prod(variable.shape) for variable in layer.core.trainable_variables)
    assert model.count_params() == layer.count_params() == count == 900
    text = io.StringIO()
    model.summary(print_fn=lambda line: text.write(line + "\n"))
    assert "Total params: 900 " in text.getvalue()
    assert "Trainable params: 900 " in text.getvalue()


def test_fit_may_be_compiled_by_xla():
    # As arrays come from `fit`, the batch size is unknown to the graph.
    compiled, eager = (make_layer("DNC", return_sequences=True) for _ in range(2))
    eager.set_weights(compiled.get_weights())
    losses = []
    for layer, how in ((eager, {"run_eagerly": True}), (compiled, {"jit_compile": True})):
        model = keras.Sequential([layer])
        model.compile(keras.optimizers.SGD(0.1), "mse", **how)
        assert model.jit_compile is (layer is compiled)
        history = model.fit(sequences().numpy(), np.ones([3, 4, 3]), epochs=3, verbose=0)
        losses.append(history.history["loss"])
    assert losses[0][2] < losses[0][0]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)


# Saving.

FUNCTION = """
    import keras
    import sonnet as snt
    import tensorflow as tf

    import dnc


    @keras.saving.register_keras_serializable(package="elsewhere")
    def make_core():
        access = dnc.MemoryAccess(5, 4, strength_op=lambda x: 2.0 * tf.nn.sigmoid(x))
        return dnc.DNC(access, snt.VanillaRNN(6), 3)
"""

LOAD = """
    import json
    import pathlib

    import numpy as np

    import dnc

    dnc.keras  # Registers the classes, and imports Keras.
    import keras

    import core_made_elsewhere

    inputs = np.load("inputs.npy")
    results = {}
    for path in sorted(pathlib.Path().glob("*.keras")):
        name = path.stem
        model = keras.models.load_model(path)
        results[name + " loaded"] = model(inputs)
        again = keras.models.model_from_json(pathlib.Path(name + ".json").read_text())
        results[name + " new"] = again(inputs)
        again.load_weights(name + ".weights.h5")
        results[name + " weights loaded"] = again(inputs)
        results[name + " classes"] = [type(layer).__name__ for layer in model.layers]
        if name == "layer":
            for i, variable in enumerate(model.optimizer.variables):
                results[f"optimizer {i}"] = variable
    np.savez("results.npz", **results)
"""


def saved_models(make_core):
    access = dnc.MemoryAccess(
        6,
        4,
        num_reads=2,
        num_writes=2,
        content_weights=dnc.UsedCosineWeights,
        strength_op=dnc.oneplus,
        with_bias=False,
    )
    core = dnc.DNC(access, dnc.DeepLSTM([5, 4]), 3, 20.0, with_bias=False)
    return {
        "layer": keras.Sequential(
            [keras.Input([None, 5]), make_layer("DNC", return_sequences=True)]
        ),
        "cell": keras.Sequential(
            [
                keras.Input([None, 5]),
                keras.layers.RNN(dnc.keras.RNNCell(core), return_sequences=True),
                keras.layers.Dense(2),
            ]
        ),
        "function": keras.Sequential(
            [keras.Input([None, 5]), keras.layers.RNN(dnc.keras.RNNCell(make_core))]
        ),
    }


def test_saved_models_give_the_same_in_another_process(tmp_path, monkeypatch):
    (tmp_path / "core_made_elsewhere.py").write_text(textwrap.dedent(FUNCTION))
    monkeypatch.syspath_prepend(tmp_path)
    models = saved_models(importlib.import_module("core_made_elsewhere").make_core)
    inputs = sequences().numpy()
    models["layer"].compile("adam", "mse", run_eagerly=True)
    models["layer"].train_on_batch(inputs, np.ones([3, 4, 3]))
    np.save(tmp_path / "inputs.npy", inputs)
    for name, model in models.items():
        model.save(tmp_path / f"{name}.keras")
        model.save_weights(tmp_path / f"{name}.weights.h5")
        (tmp_path / f"{name}.json").write_text(model.to_json())

    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(LOAD)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
    results = np.load(tmp_path / "results.npz")
    for name, model in models.items():
        expected = model(inputs)
        assert np.abs(expected).max() > 0.01
        np.testing.assert_allclose(results[f"{name} loaded"], expected, atol=1e-6)
        np.testing.assert_allclose(results[f"{name} weights loaded"], expected, atol=1e-6)
        assert np.abs(results[f"{name} new"] - expected).max() > 0.01
    assert list(results["layer classes"]) == ["DNC"]
    assert list(results["cell classes"]) == ["RNN", "Dense"]
    slots = models["layer"].optimizer.variables
    assert len(slots) == 2 + 2 * 7
    for i, slot in enumerate(slots):
        np.testing.assert_array_equal(results[f"optimizer {i}"], slot)
    assert f"optimizer {len(slots)}" not in results


# Configurations.


def core_of(controller, output_size=3, clip_value=None, *, access=None, **options):
    return dnc.DNC(access or dnc.MemoryAccess(6, 4), controller, output_size, clip_value, **options)


def every_option_of_access():
    return dnc.MemoryAccess(
        5,
        3,
        num_reads=2,
        num_writes=2,
        linkage=dnc.TemporalLinkage(5, 2),
        freeness=dnc.Freeness(5, stop_write_gradient=False),
        content_weights=dnc.UsedCosineWeights,
        strength_op=dnc.oneplus,
        with_bias=False,
    )


DESCRIBABLE = {
    "LSTM": lambda: core_of(snt.LSTM(7)),
    "LSTM with projection": lambda: core_of(snt.LSTM(7, projection_size=4)),
    "GRU": lambda: core_of(snt.GRU(7)),
    "DeepLSTM": lambda: core_of(dnc.DeepLSTM([5, 4])),
    "ClippedSignal": lambda: core_of(dnc.ClippedSignal(snt.LSTM(5), 2.0)),
    "EmbeddedInputs": lambda: core_of(dnc.EmbeddedInputs(dnc.FeedForward([5]), 3, 2)),
    "InputsOnly": lambda: core_of(dnc.InputsOnly(dnc.FeedForward([5]), 3)),
    "FeedForward": lambda: core_of(dnc.FeedForward([8, 7])),
    "FeedForward of one size": lambda: core_of(dnc.FeedForward(7)),
    "DNC": lambda: core_of(core_of(snt.GRU(4), 7, 2.0, access=every_option_of_access())),
    "every option": lambda: core_of(
        snt.LSTM(7), 2, 0.5, access=every_option_of_access(), with_bias=False
    ),
    "bfloat16": lambda: core_of(snt.LSTM(7), compute_dtype=tf.bfloat16),
    "float16": lambda: core_of(dnc.FeedForward([7]), compute_dtype=tf.float16),
}


def through_json(config):
    """The configuration as it comes back from a file; it must not have changed."""
    read = json.loads(json.dumps(config))
    assert read == config
    return read


def assert_same_model(layer, other):
    """Asserts that two layers give the same once one has the other's weights."""
    inputs = sequences(dtype=layer.cell.variable_dtype)
    layer(inputs), other(inputs)
    assert [(w.name, w.shape, w.dtype) for w in layer.weights] == [
        (w.name, w.shape, w.dtype) for w in other.weights
    ]
    other.set_weights(layer.get_weights())
    expected = tf.cast(layer(inputs), tf.float64)
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(tf.cast(other(inputs), tf.float64), expected, atol=1e-6)


@pytest.mark.parametrize("name", DESCRIBABLE)
def test_a_cell_comes_back_from_its_configuration(name):
    cell = dnc.keras.RNNCell(DESCRIBABLE[name](), name="my_cell")
    config = cell.get_config()
    clone = dnc.keras.RNNCell.from_config(through_json(config))
    assert clone.get_config() == config
    assert clone.name == "my_cell"
    assert clone.core is not cell.core
    assert_same_model(keras.layers.RNN(cell), keras.layers.RNN(clone))


@pytest.mark.parametrize("name", [name for name in DESCRIBABLE if "float" not in name])
def test_a_layer_comes_back_from_its_configuration(name):
    core = DESCRIBABLE[name]()
    layer = dnc.keras.DNC(
        core.access,
        core.controller,
        core.output_size[0],
        core.clip_value,
        with_bias=core.output_linear.with_bias,
        name="my_dnc",
    )
    config = layer.get_config()
    clone = dnc.keras.DNC.from_config(through_json(config))
    assert clone.get_config() == config
    assert clone.name == "my_dnc"
    assert_same_model(layer, clone)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "float64"])
def test_a_layer_comes_back_with_its_precision(dtype):
    layer = make_layer("DNC", dtype=dtype)
    clone = dnc.keras.DNC.from_config(through_json(layer.get_config()))
    assert clone.get_config() == layer.get_config()
    assert clone.dtype_policy == layer.dtype_policy
    assert clone.core.compute_dtype == layer.core.compute_dtype
    assert_same_model(layer, clone)


@pytest.mark.parametrize(
    "option",
    [
        "return_sequences",
        "return_state",
        "go_backwards",
        "stateful",
        "unroll",
        "zero_output_for_mask",
    ],
)
def test_a_layer_comes_back_with_the_options_of_a_recurrent_layer(option):
    for value in (True, False):
        config = dnc.keras.DNC({}, {"hidden_size": 7}, 3, **{option: value}).get_config()
        assert config[option] is value
        clone = dnc.keras.DNC.from_config(through_json(config))
        assert getattr(clone, option) is value


def test_a_configuration_names_classes_and_their_arguments():
    config = dnc.keras.RNNCell(DESCRIBABLE["every option"]()).get_config()["core"]
    assert config == {
        "class": "DNC",
        "access": {
            "class": "MemoryAccess",
            "memory_size": 5,
            "word_size": 3,
            "num_reads": 2,
            "num_writes": 2,
            "linkage": {"class": "TemporalLinkage", "memory_size": 5, "num_writes": 2},
            "freeness": {"class": "Freeness", "memory_size": 5, "stop_write_gradient": False},
            "content_weights": "UsedCosineWeights",
            "strength_op": "oneplus",
            "with_bias": False,
        },
        "controller": {
            "class": "LSTM",
            "hidden_size": 7,
            "projection_size": None,
            "dtype": "float32",
        },
        "output_size": 2,
        "clip_value": 0.5,
        "with_bias": False,
        "compute_dtype": None,
    }


def test_parts_may_be_given_as_descriptions():
    layer = dnc.keras.DNC(
        {
            "memory_size": 5,
            "word_size": 3,
            "freeness": {"memory_size": 5, "stop_write_gradient": False},
            "content_weights": "UsedCosineWeights",
            "strength_op": "oneplus",
        },
        {"class": "DeepLSTM", "hidden_sizes": [4, 3]},
        output_size=2,
    )
    access = layer.core.access
    assert not access.freeness.stop_write_gradient
    assert isinstance(access.read_content, dnc.UsedCosineWeights)
    assert access.write_content.strength_op is dnc.oneplus
    assert layer.core.controller.hidden_sizes == [4, 3]

    cell = dnc.keras.RNNCell(
        {"access": {"word_size": 3}, "controller": {"hidden_size": 4}, "output_size": 2}
    )
    assert isinstance(cell.core.controller, snt.LSTM)
    assert cell.core.access.memory_size == 128


def test_a_registered_function_is_written_down_by_its_name():
    @keras.saving.register_keras_serializable(package="test_keras")
    def my_core():
        return core_of(lambda x: tf.tanh(x))

    cell = dnc.keras.RNNCell(my_core)
    config = cell.get_config()
    assert config["core"]["config"] == "test_keras>my_core"
    clone = dnc.keras.RNNCell.from_config(through_json(config))
    assert clone.get_config() == config
    assert clone.core is not cell.core


class MyLinkage(dnc.TemporalLinkage):
    """A part of one's own, even if it is one of the package by inheritance."""


@pytest.mark.parametrize(
    ("core", "message"),
    [
        (
            lambda: core_of(snt.VanillaRNN(7)),
            r"A VanillaRNN cannot be written down .*what can: DNC, .*"
            r"give dnc.keras.RNNCell a function that makes the core .*register_keras_serializable",
        ),
        (
            lambda: core_of(snt.DeepRNN([snt.LSTM(7)])),
            r"A DeepRNN cannot .*give dnc.keras.RNNCell a function that makes the core",
        ),
        (
            lambda: core_of(snt.LSTM(7), access=dnc.MemoryAccess(6, 4, linkage=MyLinkage(6))),
            r"A MyLinkage cannot .*give dnc.keras.RNNCell a function that makes the core",
        ),
        (
            lambda: core_of(lambda x: tf.tanh(x)),
            r"A FeedForward of a given network cannot .*layer sizes.*give dnc.keras.RNNCell",
        ),
        (
            lambda: core_of(
                snt.LSTM(7), access=dnc.MemoryAccess(6, 4, strength_op=lambda x: tf.nn.relu(x))
            ),
            r"<lambda> .*cannot .*what can: softplus, oneplus.*give dnc.keras.RNNCell",
        ),
    ],
    ids=["VanillaRNN", "DeepRNN", "linkage", "function as controller", "strength_op"],
)
def test_what_cannot_be_written_down_is_refused_with_what_can(core, message):
    core = core()
    layer = dnc.keras.DNC(core.access, core.controller, 3)
    for saved in (dnc.keras.RNNCell(core), layer):
        with pytest.raises(ValueError, match=message):
            saved.get_config()
    assert layer(sequences()).shape == (3, 3)  # All the same it can be used.


@pytest.mark.parametrize(
    ("controller", "message"),
    [
        ({"class": "Transformer"}, r"class must be one of DNC, .*, InputsOnly, got 'Transformer'"),
        ({"hidden_sizes": [3]}, r"LSTM cannot be made of {.*'hidden_sizes': \[3\]"),
        ({"class": "DeepLSTM", "hidden_size": 3}, r"DeepLSTM cannot be made of .*'hidden_size'"),
    ],
    ids=["unknown class", "LSTM", "DeepLSTM"],
)
def test_a_description_of_no_controller_is_refused(controller, message):
    with pytest.raises(ValueError, match=message):
        dnc.keras.DNC({}, controller, 3)


@pytest.mark.parametrize(
    ("access", "message"),
    [
        ({"class": "Memory"}, r"class must be one of .*got 'Memory'"),
        ({"slots": 4}, r"MemoryAccess cannot be made of {'slots': 4}"),
        ({"memory_size": 0}, r"memory_size must be an integer >= 1, got 0"),
        ({"class": "LSTM", "hidden_size": 4}, r"access must be a dnc.MemoryAccess"),
        ({"strength_op": "relu"}, r"strength_op must be one of softplus, oneplus.*got 'relu'"),
        ({"content_weights": "Cosine"}, r"content_weights must be one of .*got 'Cosine'"),
        ({"linkage": {"slots": 4}}, r"TemporalLinkage cannot be made of {'slots': 4}"),
        (
            {"memory_size": 5, "freeness": {"memory_size": 4}},
            r"freeness must have memory_size=5 like the access, got 4",
        ),
    ],
    ids=lambda value: str(value) if isinstance(value, dict) else "",
)
def test_a_description_of_no_memory_is_refused(access, message):
    with pytest.raises(ValueError, match=message):
        dnc.keras.DNC(access, {"hidden_size": 7}, 3)


# Precision.


def record_states(monkeypatch, cell):
    """Returns a list that gets the dtypes of the state whenever the cell makes a step."""
    recorded, pack_state = [], cell.pack_state

    def spy(states):
        recorded.append({part.dtype for part in states})
        return pack_state(states)

    monkeypatch.setattr(cell, "pack_state", spy)
    return recorded


@pytest.mark.parametrize(
    ("policy", "dtype", "eagerly"),
    [("mixed_bfloat16", tf.bfloat16, False), ("mixed_float16", tf.float16, True)],
    ids=["bfloat16 in a graph", "float16 in eager mode"],
)
def test_in_mixed_precision_weights_and_state_stay_in_float32(policy, dtype, eagerly, monkeypatch):
    layer = make_layer("DNC", dtype=policy, return_sequences=True)
    recorded = record_states(monkeypatch, layer.cell)
    assert layer.core.compute_dtype == dtype
    assert {weight.dtype for weight in layer.weights} == {"float32"}
    inputs = sequences()
    outputs = layer(inputs)
    assert outputs.dtype == tf.float32
    assert_close(outputs, unroll(layer.core, inputs)[0], atol=1e-6)
    full = make_layer("DNC", return_sequences=True)
    full.set_weights(layer.get_weights())
    difference = np.abs(full(inputs) - outputs).max()
    assert 0 < difference < 0.05

    before = values(layer.core.trainable_variables)
    model = keras.Sequential([layer, keras.layers.Dense(1, dtype=policy)])
    model.compile(keras.optimizers.Adam(0.01), "mse", jit_compile=False, run_eagerly=eagerly)
    history = model.fit(inputs.numpy(), np.ones([3, 4, 1]), epochs=3, verbose=0).history["loss"]
    assert np.all(np.isfinite(history))
    assert history[-1] < history[0]
    for variable, old in zip(layer.core.trainable_variables, before, strict=True):
        assert variable.dtype == tf.float32
        assert np.all(np.isfinite(variable))
        assert np.any(variable.numpy() != old), variable.name
    assert len(recorded) > 4
    assert all(dtypes == {tf.float32} for dtypes in recorded)


def test_the_global_policy_holds_for_a_layer_without_one():
    with contextlib.ExitStack() as stack:
        stack.callback(keras.config.set_dtype_policy, keras.config.dtype_policy())
        keras.config.set_dtype_policy("mixed_bfloat16")
        layer = make_layer("DNC")
    assert layer.core.compute_dtype == tf.bfloat16
    assert {weight.dtype for weight in layer.weights} == {"float32"}
    assert layer(sequences()).dtype == tf.float32
    clone = dnc.keras.DNC.from_config(through_json(layer.get_config()))
    assert clone.core.compute_dtype == tf.bfloat16


def test_a_stateful_layer_in_mixed_precision_carries_its_state_in_float32():
    layer = make_layer("DNC", dtype="mixed_bfloat16", stateful=True, return_state=True)
    _, *state = layer(sequences(batch_size=2))
    for part, kept in zip(state, layer.states, strict=True):
        np.testing.assert_array_equal(part, kept)
    memory = layer.cell.pack_state(state).access_state.memory
    assert memory.dtype == tf.float32
    assert np.any(memory != tf.cast(tf.cast(memory, tf.bfloat16), tf.float32))


def test_a_cell_may_have_a_policy_of_its_own():
    core = dnc.DNC(dnc.MemoryAccess(6, 4), snt.LSTM(7), 3, compute_dtype=tf.bfloat16)
    layer = keras.layers.RNN(dnc.keras.RNNCell(core, dtype="mixed_bfloat16"))
    assert layer(sequences()).dtype == tf.float32  # The policy of the layer around it.
    assert {weight.dtype for weight in layer.weights} == {"float32"}
    assert {part.dtype for part in layer.cell.get_initial_state(2)} == {tf.float32}


def test_a_layer_may_compute_in_float64():
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
def test_a_state_of_low_precision_is_refused(dtype):
    with pytest.raises(ValueError, match="The state must be float32 or float64"):
        make_layer("DNC", dtype=dtype)(sequences())


# Importing.


def test_another_backend_ends_in_an_error_that_says_what_to_do(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(ImportError, match=r"runs on jax: set .* KERAS_BACKEND=tensorflow before"):
        runpy.run_path(dnc.keras.__file__)


IMPORT = """
    import sys

    import sonnet  # And TensorFlow with it, and what of Keras they import.


    def keras_modules():
        return {name for name in sys.modules if "keras" in name}


    before = keras_modules()
    import dnc

    assert keras_modules() == before, sorted(keras_modules() - before)
    assert "keras" in dnc.__all__
    assert dnc.keras.RNNCell.__module__ == "dnc.keras"
"""


def test_importing_dnc_imports_no_more_of_keras_and_warns_of_nothing():
    process = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(IMPORT)],
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr
