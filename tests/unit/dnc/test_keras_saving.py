"""Keras models with cores: described, saved and loaded, traced, and with one core in two places."""

import json

import keras
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
import dnc.keras
from tests.keras_layers import assert_close, make_layer, sequences, small_layer


@pytest.fixture(autouse=True)
def same_variables_each_time():
    keras.utils.set_random_seed(0)


def saved_and_loaded(model, folder):
    """The model that Keras loads after it saved `model`."""
    model.save(folder / "model.keras")
    return keras.models.load_model(folder / "model.keras")


def small_cell():
    return dnc.keras.RNNCell(
        {
            "access": {"memory_size": 3, "word_size": 2},
            "controller": {"hidden_size": 4},
            "output_size": 2,
        }
    )


# Laid out, as one step is quicker to trace than a loop.
PARTS = {
    "layer": lambda: small_layer(unroll=True),
    "cell": lambda: keras.layers.RNN(small_cell(), unroll=True),
    "Sequential": lambda: keras.Sequential([small_layer(unroll=True), keras.layers.Dense(2)]),
    "Bidirectional": lambda: keras.layers.Bidirectional(small_layer(unroll=True)),
    "stateful": lambda: small_layer(unroll=True, stateful=True),
}


class _MadeByTracing:
    """A model or layer without a `build` method, which Keras builds by tracing `call`."""

    def __init__(self, part="layer", **kwargs):
        super().__init__(**kwargs)
        self.name_of_part, self.part = part, PARTS[part]()

    def call(self, inputs):
        return self.part(inputs)

    def get_config(self):
        return {**super().get_config(), "part": self.name_of_part}


@keras.saving.register_keras_serializable(package="test_keras")
class OwnModel(_MadeByTracing, keras.Model):
    pass


@keras.saving.register_keras_serializable(package="test_keras")
class OwnLayer(_MadeByTracing, keras.layers.Layer):
    pass


class TestTraced:
    @pytest.mark.parametrize("part", [part for part in PARTS if part != "layer"])
    def test_a_loaded_model_of_your_own_gives_the_same(self, part, tmp_path):
        model, inputs = OwnModel(part), sequences(num_steps=1)
        outputs = model(inputs)
        loaded = saved_and_loaded(model, tmp_path)
        np.testing.assert_array_equal(loaded(inputs), outputs)
        assert loaded.count_params() == model.count_params()

    def test_a_loaded_model_of_your_own_trains_on(self, tmp_path):
        model, inputs = OwnModel(), sequences(num_steps=1)
        model.compile("adam", "mse", run_eagerly=True)
        model.train_on_batch(inputs, tf.ones([3, 2]))
        loaded = saved_and_loaded(model, tmp_path)
        np.testing.assert_array_equal(loaded(inputs), model(inputs))
        slots = model.optimizer.variables
        assert len(slots) == 2 + 2 * len(model.trainable_weights)
        for slot, loaded_slot in zip(slots, loaded.optimizer.variables, strict=True):
            np.testing.assert_array_equal(loaded_slot, slot)
        for each in (model, loaded):
            each.train_on_batch(inputs, tf.ones([3, 2]))
        np.testing.assert_array_equal(loaded(inputs), model(inputs))

    def test_a_trained_model_of_your_own_can_be_exported(self, tmp_path):
        model, inputs = OwnModel(), sequences(num_steps=1)
        model.compile("sgd", "mse", run_eagerly=True)
        model.fit(inputs.numpy(), np.ones([3, 2]), verbose=0)
        model.export(tmp_path / "exported", verbose=False)
        exported = tf.saved_model.load(tmp_path / "exported")
        assert_close(exported.serve(inputs), model(inputs))

    @pytest.mark.parametrize("kind", [OwnModel, OwnLayer])
    def test_your_own_model_or_layer_can_be_part_of_another(self, kind):
        part, inputs = kind(), keras.Input([1, 5])
        model = keras.Model(inputs, part(inputs))
        x = sequences(num_steps=1)
        assert_close(model(x), part.part(x))
        assert len(model.trainable_weights) == len(part.part.core.variables)

    def test_a_stateful_layer_is_built_by_tracing(self):
        model, x = OwnModel("stateful"), sequences(num_steps=1)
        model(keras.Input(batch_shape=x.shape))
        first, second = model(x), model(x)
        assert np.abs(first - second).max() > 1e-3
        model.part.reset_state()
        np.testing.assert_array_equal(model(x), first)

    def test_in_mixed_precision_the_weights_are_still_the_variables(self):
        model = keras.Sequential([OwnLayer(dtype="mixed_bfloat16")])
        model(keras.Input([1, 5]))
        part = model.layers[0].part
        for weight, variable in zip(part.weights, part.core.variables, strict=True):
            assert weight.value is variable


def two_cells(core):
    return [dnc.keras.RNN(dnc.keras.RNNCell(core), unroll=True) for _ in range(2)]


def two_layers_with_one_memory(core):
    return [dnc.keras.DNC(core.access, snt.LSTM(4), 2, unroll=True) for _ in range(2)]


def cell_and_layer(core):
    layer = dnc.keras.DNC(core.access, core.controller, 2, unroll=True)
    return [keras.layers.RNN(dnc.keras.RNNCell(core)), layer]


def make_shared(layers_of):
    """A functional model, and the core that both of its layers have, wholly or in part."""
    core = dnc.DNC(dnc.MemoryAccess(3, 2), snt.LSTM(4), 2)
    inputs = keras.Input([1, 5])
    return keras.Model(inputs, [layer(inputs) for layer in layers_of(core)]), core


def variables_of(layers):
    return {id(variable) for layer in layers for variable in layer.cell.core.variables}


class TestShared:
    def test_one_core_in_two_cells_is_counted_once(self):
        model, core = make_shared(two_cells)
        assert model.count_params() == sum(np.prod(v.shape) for v in core.variables)
        assert len(model.weights) == len(core.variables)

    def test_one_core_in_two_cells_is_trained_once_each_step(self):
        model, core = make_shared(two_cells)
        model.compile(keras.optimizers.SGD(0.5), ["mse", "mse"], run_eagerly=True)
        inputs = sequences(num_steps=1)
        with tf.GradientTape() as tape:
            loss = sum(tf.reduce_mean(outputs**2) for outputs in model(inputs))
        gradients = tape.gradient(loss, core.trainable_variables)
        before = [variable.numpy() for variable in core.trainable_variables]
        model.train_on_batch(inputs, [tf.zeros([3, 2])] * 2)
        for variable, old, gradient in zip(
            core.trainable_variables, before, gradients, strict=True
        ):
            np.testing.assert_allclose(variable, old - 0.5 * gradient, atol=1e-6)

    @pytest.mark.parametrize("layers_of", [two_cells, two_layers_with_one_memory, cell_and_layer])
    def test_a_loaded_model_shares_the_same_parts(self, layers_of, tmp_path):
        model, _ = make_shared(layers_of)
        loaded = saved_and_loaded(model, tmp_path)
        layers = model.layers[1:]
        assert loaded.count_params() == model.count_params()
        assert len(variables_of(loaded.layers[1:])) == len(variables_of(layers))
        inputs = sequences(num_steps=1)
        for outputs, expected in zip(loaded(inputs), model(inputs), strict=True):
            np.testing.assert_array_equal(outputs, expected)
        # Each loading makes a core of its own.
        again = keras.models.load_model(tmp_path / "model.keras")
        assert not variables_of(again.layers[1:]) & variables_of(loaded.layers[1:])

    def test_a_configuration_alone_makes_a_core_of_its_own(self):
        model, core = make_shared(two_cells)
        cell = model.layers[1].cell
        clones = [dnc.keras.RNNCell.from_config(cell.get_config()) for _ in range(2)]
        assert len({core, *(clone.core for clone in clones)}) == 3


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


def core_of_new_parts():
    """A core with all parts that version 0.1 lacks."""
    access = dnc.MemoryAccess(
        5,
        3,
        write_content=dnc.MaskedCosineWeights(1, 3, dnc.oneplus, mask_min=0.1),
        read_content=dnc.UsedMaskedCosineWeights(1, 3),
        linkage=dnc.SharpLinkage(dnc.TemporalLinkage(5)),
        freeness=dnc.SoftmaxAllocation(5),
        layer_norm=True,
        deallocate=True,
        initial_memory=dnc.LearnedWord(3, initial_value=0.5),
    )
    return core_of(dnc.LearnedState(dnc.LayerNormLSTM(4)), access=access, bypass_dropout=0.1)


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
    "AppendedContext": lambda: core_of(dnc.AppendedContext(snt.LSTM(4), 2, 3)),
    "constant memory": lambda: core_of(
        snt.LSTM(4), access=dnc.MemoryAccess(3, 2, initial_memory=0.25)
    ),
    "new parts": core_of_new_parts,
    "every option": lambda: core_of(
        snt.LSTM(7), 2, 0.5, access=every_option_of_access(), with_bias=False
    ),
    "float64": lambda: core_of(
        dnc.EmbeddedInputs(snt.GRU(4, dtype=tf.float64), 3, 2, dtype=tf.float64)
    ),
}


def through_json(config):
    """The configuration as it comes back from a file; it must not have changed."""
    read = json.loads(json.dumps(config))
    assert read == config
    return read


def assert_same_cell(cell, other):
    """Asserts that a step of two cells gives the same once one has the other's weights."""
    inputs = sequences(num_steps=1, dtype=cell.variable_dtype)[:, 0]
    cell.build(inputs.shape), other.build(inputs.shape)
    assert [(w.name, w.shape, w.dtype) for w in cell.weights] == [
        (w.name, w.shape, w.dtype) for w in other.weights
    ]
    other.set_weights(cell.get_weights())
    states = cell.get_initial_state(3)
    expected, _ = cell(inputs, states)
    assert np.abs(tf.cast(expected, tf.float64)).max() > 0.01
    assert_close(other(inputs, states)[0], expected)


@pytest.mark.parametrize("name", DESCRIBABLE)
def test_a_cell_comes_back_from_its_configuration(name):
    dtype = "float64" if name == "float64" else None
    cell = dnc.keras.RNNCell(DESCRIBABLE[name](), name="my_cell", dtype=dtype)
    config = cell.get_config()
    clone = dnc.keras.RNNCell.from_config(through_json(config))
    assert clone.get_config() == config
    assert clone.name == "my_cell"
    assert clone.core is not cell.core
    assert_same_cell(cell, clone)


@pytest.mark.parametrize("name", DESCRIBABLE)
def test_a_layer_comes_back_from_its_configuration(name):
    core = DESCRIBABLE[name]()
    layer = dnc.keras.DNC(
        core.access,
        core.controller,
        core.output_size[0],
        core.clip_value,
        with_bias=core.output_linear.with_bias,
        name="my_dnc",
        dtype="float64" if name == "float64" else None,
    )
    config = layer.get_config()
    clone = dnc.keras.DNC.from_config(through_json(config))
    assert clone.get_config() == config
    assert clone.name == "my_dnc"
    assert clone.core is not layer.core
    if name == "every option":
        assert_same_cell(layer.cell, clone.cell)


@pytest.mark.parametrize("dtype", ["mixed_bfloat16", "float64"])
def test_a_layer_comes_back_with_its_precision(dtype):
    layer = make_layer("DNC", dtype=dtype)
    clone = dnc.keras.DNC.from_config(through_json(layer.get_config()))
    assert clone.get_config() == layer.get_config()
    assert clone.dtype_policy == layer.dtype_policy
    assert_same_cell(layer.cell, clone.cell)


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
    look_up = {
        "class": "UsedCosineWeights",
        "num_heads": 2,
        "word_size": 3,
        "strength_op": {"function": "oneplus"},
    }
    assert config == {
        "class": "DNC",
        "access": {
            "class": "MemoryAccess",
            "memory_size": 5,
            "word_size": 3,
            "num_reads": 2,
            "num_writes": 2,
            "write_content": look_up,
            "read_content": look_up,
            "linkage": {"class": "TemporalLinkage", "memory_size": 5, "num_writes": 2},
            "freeness": {"class": "Freeness", "memory_size": 5, "stop_write_gradient": False},
            "with_bias": False,
            "layer_norm": False,
            "deallocate": False,
            "initial_memory": 0.0,
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
        "bypass_dropout": 0.0,
    }


def test_a_configuration_of_new_parts_names_their_arguments():
    config = dnc.keras.RNNCell(core_of_new_parts()).get_config()["core"]
    access, controller = config["access"], config["controller"]
    assert config["bypass_dropout"] == 0.1
    assert controller == {
        "class": "LearnedState",
        "core": {"class": "LayerNormLSTM", "hidden_size": 4, "dtype": "float32"},
    }
    assert (access["layer_norm"], access["deallocate"]) == (True, True)
    assert access["initial_memory"] == {
        "class": "LearnedWord",
        "word_size": 3,
        "initial_value": 0.5,
        "dtype": "float32",
    }
    assert access["write_content"]["mask_min"] == 0.1
    assert access["linkage"]["linkage"]["class"] == "TemporalLinkage"


def test_a_description_without_the_new_arguments_is_loaded():
    cell = dnc.keras.RNNCell(DESCRIBABLE["every option"]())
    config = cell.get_config()
    del config["core"]["bypass_dropout"]
    for name in ("layer_norm", "deallocate", "initial_memory"):
        del config["core"]["access"][name]
    assert_same_cell(cell, dnc.keras.RNNCell.from_config(through_json(config)))


def test_a_model_with_new_parts_is_saved_and_loaded(tmp_path):
    model = keras.Sequential([keras.layers.RNN(dnc.keras.RNNCell(core_of_new_parts()))])
    inputs = sequences(num_steps=2)
    model(inputs)
    core = model.layers[0].cell.core
    core.access.initial_memory.word.assign([0.1, 0.2, 0.3])
    loaded = saved_and_loaded(model, tmp_path)
    np.testing.assert_array_equal(loaded(inputs), model(inputs))
    word = loaded.layers[0].cell.core.access.initial_memory.word
    np.testing.assert_allclose(word, [0.1, 0.2, 0.3])


# The core "every option" as version 0.1 described it.
OF_VERSION_0_1 = {
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
    "controller": {"class": "LSTM", "hidden_size": 7, "projection_size": None, "dtype": "float32"},
    "output_size": 2,
    "clip_value": 0.5,
    "with_bias": False,
    "compute_dtype": None,
}


@pytest.mark.parametrize("compute_dtype", [None, "bfloat16"])
def test_a_cell_of_version_0_1_is_loaded(compute_dtype):
    core = {**OF_VERSION_0_1, "compute_dtype": compute_dtype}
    cell = dnc.keras.RNNCell.from_config({"name": "rnn_cell", "dtype": "float32", "core": core})
    expected = dnc.keras.RNNCell(DESCRIBABLE["every option"]())
    assert cell.get_config()["core"] == expected.get_config()["core"]


def test_a_core_of_version_0_1_without_links_has_the_same_interface():
    linkage = {"class": "NoLinkage", "memory_size": 5, "num_writes": 2}
    old = {**OF_VERSION_0_1, "access": {**OF_VERSION_0_1["access"], "linkage": linkage}}
    cell, with_links = dnc.keras.RNNCell(old), dnc.keras.RNNCell(OF_VERSION_0_1)
    interface = cell.core.access.interface
    assert interface.widths == with_links.core.access.interface.widths
    clone = dnc.keras.RNNCell.from_config(through_json(cell.get_config()))
    assert_same_cell(cell, clone)
    # The content mode scales the words read.
    state = cell.core.initial_state(3)
    for x in tf.unstack(sequences(num_steps=2), axis=1):
        access, state = (step := cell.core.step(x, state)).access, step.state
        assert np.max(access.read_mode.content) < 0.5
        expected = access.read_mode.content[..., tf.newaxis] * access.read_content_weights
        assert_close(access.state.read_weights, expected)


def test_a_layer_of_version_0_1_is_loaded():
    arguments = {
        name: value
        for name, value in OF_VERSION_0_1.items()
        if name not in ("class", "compute_dtype")
    }
    policy = {"class_name": "DTypePolicy", "config": {"name": "mixed_bfloat16"}, "module": "keras"}
    layer = dnc.keras.DNC.from_config({**arguments, "return_sequences": True, "dtype": policy})
    assert isinstance(layer.core.access.read_content, dnc.UsedCosineWeights)
    assert layer.core.access.write_content.strength_op is dnc.oneplus
    assert layer(sequences()).dtype == tf.float32


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


def test_a_registered_function_is_described_by_its_name():
    @keras.saving.register_keras_serializable(package="test_keras")
    def my_core():
        return core_of(lambda x: tf.tanh(x))

    cell = dnc.keras.RNNCell(my_core)
    config = cell.get_config()
    assert config["core"]["config"] == "test_keras>my_core"
    clone = dnc.keras.RNNCell.from_config(through_json(config))
    assert clone.get_config() == config
    assert clone.core is not cell.core


@keras.saving.register_keras_serializable(package="test_keras")
class ScaledLookUp(dnc.CosineWeights):
    """A look-up of your own with one more argument."""

    def __init__(self, num_heads, word_size, scale, strength_op=tf.nn.softplus, name=None):
        super().__init__(num_heads, word_size, strength_op, name)
        self.scale = scale

    def __call__(self, memory, keys, strengths, usage=None):
        return super().__call__(memory, keys, self.scale * strengths, usage)

    def get_config(self):
        names = ("num_heads", "word_size", "scale", "strength_op")
        return {name: getattr(self, name) for name in names}


@keras.saving.register_keras_serializable(package="test_keras")
class Residual(snt.RNNCore):
    """A controller of your own that consists of parts and has a `from_config`."""

    def __init__(self, core, activations, name=None):
        super().__init__(name)
        self.core, self.activations = core, activations

    def __call__(self, inputs, prev_state):
        outputs, state = self.core(inputs, prev_state)
        for activation in self.activations:
            outputs = outputs + activation(outputs)
        return outputs, state

    def initial_state(self, batch_size, **kwargs):
        return self.core.initial_state(batch_size, **kwargs)

    def get_config(self):
        return {"parts": {"core": self.core, "activations": self.activations}}

    @classmethod
    def from_config(cls, config):
        return cls(**config["parts"])


@keras.saving.register_keras_serializable(package="test_keras")
def tripled(x):
    return 3.0 * x


@keras.saving.register_keras_serializable(package="test_keras")
class Head(snt.Module):
    """An output layer of your own."""

    def __init__(self, output_size, name=None):
        super().__init__(name)
        self.output_size = output_size
        self.hidden, self.linear = snt.Linear(4), snt.Linear(output_size)

    def __call__(self, inputs):
        return self.linear(tf.tanh(self.hidden(inputs)))

    def get_config(self):
        return {"output_size": self.output_size}


def core_with_look_ups():
    look_ups = {
        "write_content": ScaledLookUp(1, 4, 2.0, dnc.oneplus),
        "read_content": ScaledLookUp(2, 4, np.float32(0.5), tripled),
    }
    return core_of(snt.LSTM(7), access=dnc.MemoryAccess(6, 4, 2, **look_ups))


YOURS = {
    "look-ups": core_with_look_ups,
    "controller": lambda: core_of(Residual(snt.GRU(5), [dnc.oneplus, tripled])),
    "function as controller": lambda: core_of(tripled),
    "output layer": lambda: core_of(snt.LSTM(7), Head(2)),
}


@pytest.mark.parametrize("name", YOURS)
@pytest.mark.parametrize("kind", ["cell", "layer"])
def test_a_model_with_registered_parts_of_your_own_is_saved_and_loaded(kind, name, tmp_path):
    core = YOURS[name]()
    if kind == "cell":
        layer = keras.layers.RNN(dnc.keras.RNNCell(core), unroll=True)
    else:
        output = core.output_linear if name == "output layer" else 3
        layer = dnc.keras.DNC(core.access, core.controller, output, unroll=True)
    model = keras.Sequential([keras.Input([1, 5]), layer])
    x = sequences(num_steps=1)
    expected = model(x)
    loaded = saved_and_loaded(model, tmp_path)
    np.testing.assert_array_equal(loaded(x), expected)
    cells = [each.layers[0].cell for each in (model, loaded)]
    assert cells[1].get_config()["core"] == cells[0].get_config()["core"]
    kinds = [[type(part) for part in cell.core.submodules] for cell in cells]
    assert kinds[1] == kinds[0]


def test_a_description_of_your_own_part_has_its_registered_name_and_arguments():
    access = dnc.keras.RNNCell(core_with_look_ups()).get_config()["core"]["access"]
    assert access["read_content"] == {
        "class": "test_keras>ScaledLookUp",
        "num_heads": 2,
        "word_size": 4,
        "scale": 0.5,
        "strength_op": {"function": "test_keras>tripled"},
    }


class MyLinkage(dnc.TemporalLinkage):
    """A part of your own that is not registered."""


class Forgetful(dnc.Freeness):
    """A part of your own that does not keep an argument."""

    def __init__(self, memory_size, rate, name=None):
        super().__init__(memory_size, name=name)


def test_a_class_in_a_scope_of_keras_is_described_by_its_attributes():
    with keras.saving.custom_object_scope({"MyLinkage": MyLinkage}):
        core = core_of(snt.LSTM(7), access=dnc.MemoryAccess(6, 4, linkage=MyLinkage(6)))
        cell = dnc.keras.RNNCell(core)
        clone = dnc.keras.RNNCell.from_config(through_json(cell.get_config()))
    assert type(clone.core.access.linkage) is MyLinkage

    cell = dnc.keras.RNNCell(
        core_of(snt.LSTM(7), access=dnc.MemoryAccess(6, 4, freeness=Forgetful(6, 0.5)))
    )
    message = r"Forgetful must have .* none for rate. Add .*get_config"
    with (
        keras.saving.custom_object_scope({"Forgetful": Forgetful}),
        pytest.raises(ValueError, match=message),
    ):
        cell.get_config()


@pytest.mark.parametrize(
    ("core", "message"),
    [
        (
            lambda: core_of(snt.VanillaRNN(7)),
            r"A VanillaRNN cannot be serialized. Supported classes are DNC, .*"
            r"register_keras_serializable.*get_config.* Or give dnc.keras.RNNCell a registered",
        ),
        (
            lambda: core_of(snt.DeepRNN([snt.LSTM(7)])),
            r"A DeepRNN cannot .*give dnc.keras.RNNCell a registered function that makes the core",
        ),
        (
            lambda: core_of(snt.LSTM(7), access=dnc.MemoryAccess(6, 4, linkage=MyLinkage(6))),
            r"A MyLinkage cannot .*Decorate the class with @keras.saving.register_keras_serial",
        ),
        (
            lambda: core_of(lambda x: tf.tanh(x)),
            r"FeedForward\(network=.*<lambda>.*\) cannot .*Decorate your own functions",
        ),
        (
            lambda: core_of(
                snt.LSTM(7), access=dnc.MemoryAccess(6, 4, strength_op=lambda x: tf.nn.relu(x))
            ),
            r"CosineWeights\(strength_op=.*<lambda>.*\) cannot .*functions softplus, oneplus",
        ),
        (
            lambda: core_of(Residual(snt.GRU(5), [tf.constant(1.0)])),
            r"Residual\(parts=.*\) cannot be serialized. Supported arguments are JSON values",
        ),
    ],
    ids=["VanillaRNN", "DeepRNN", "linkage", "function as controller", "strength_op", "tensor"],
)
def test_a_part_that_cannot_be_described_is_refused_with_the_remedy(core, message):
    core = core()
    layer = dnc.keras.DNC(core.access, core.controller, 3)
    for saved in (dnc.keras.RNNCell(core), layer):
        with pytest.raises(ValueError, match=message):
            saved.get_config()


@pytest.mark.parametrize(
    ("controller", "message"),
    [
        (
            {"class": "Transformer"},
            r"class must be .*DNC, .*, or a name registered .*got 'Transformer'",
        ),
        ({"hidden_sizes": [3]}, r"Cannot construct LSTM from .*'hidden_sizes': \[3\]"),
        ({"class": "DeepLSTM", "hidden_size": 3}, r"Cannot construct DeepLSTM .*'hidden_size'"),
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
        ({"class": ["Memory"]}, r"class must be one of .*got \['Memory'\]"),
        ({"class": "softplus"}, r"class must be one of .*got 'softplus'"),
        ({"slots": 4}, r"Cannot construct MemoryAccess from arguments {'slots': 4}"),
        ({"memory_size": 0}, r"memory_size must be an integer >= 1, got 0"),
        ({"class": "LSTM", "hidden_size": 4}, r"access must be a dnc.MemoryAccess"),
        ({"strength_op": "relu"}, r"strength_op must be one of softplus, oneplus.*got 'relu'"),
        ({"content_weights": "Cosine"}, r"content_weights must be one of .*got 'Cosine'"),
        (
            {"linkage": {"slots": 4}},
            r"Cannot construct TemporalLinkage from arguments {'slots': 4}",
        ),
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
