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


PARTS = {
    "layer": small_layer,
    "cell": lambda: keras.layers.RNN(small_cell()),
    "Sequential": lambda: keras.Sequential([small_layer(), keras.layers.Dense(2)]),
    "Bidirectional": lambda: keras.layers.Bidirectional(small_layer()),
    "stateful": lambda: small_layer(stateful=True),
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
    @pytest.mark.parametrize("part", PARTS)
    def test_a_loaded_model_of_your_own_gives_the_same(self, part, tmp_path):
        model, inputs = OwnModel(part), sequences(num_steps=2)
        outputs = model(inputs)
        loaded = saved_and_loaded(model, tmp_path)
        np.testing.assert_array_equal(loaded(inputs), outputs)
        assert loaded.count_params() == model.count_params()

    def test_a_loaded_model_of_your_own_trains_on(self, tmp_path):
        model, inputs = OwnModel(), sequences(num_steps=2)
        model.compile("adam", "mse", run_eagerly=True)
        model.train_on_batch(inputs, tf.ones([3, 2]))
        loaded = saved_and_loaded(model, tmp_path)
        slots = model.optimizer.variables
        assert len(slots) == 2 + 2 * len(model.trainable_weights)
        for slot, loaded_slot in zip(slots, loaded.optimizer.variables, strict=True):
            np.testing.assert_array_equal(loaded_slot, slot)
        for each in (model, loaded):
            each.train_on_batch(inputs, tf.ones([3, 2]))
        np.testing.assert_array_equal(loaded(inputs), model(inputs))

    def test_a_trained_model_of_your_own_can_be_exported(self, tmp_path):
        model, inputs = OwnModel(), sequences(num_steps=2)
        model.compile("sgd", "mse", run_eagerly=True)
        model.fit(inputs.numpy(), np.ones([3, 2]), verbose=0)
        model.export(tmp_path / "exported", verbose=False)
        exported = tf.saved_model.load(tmp_path / "exported")
        assert_close(exported.serve(inputs), model(inputs))

    @pytest.mark.parametrize("kind", [OwnModel, OwnLayer])
    def test_your_own_model_or_layer_can_be_part_of_another(self, kind):
        part, inputs = kind(), keras.Input([2, 5])
        model = keras.Model(inputs, part(inputs))
        x = sequences(num_steps=2)
        assert_close(model(x), part.part(x))
        assert len(model.trainable_weights) == len(part.part.core.variables)

    def test_a_stateful_layer_is_built_by_tracing(self):
        model, x = OwnModel("stateful"), sequences(num_steps=2)
        model(keras.Input(batch_shape=x.shape))
        first, second = model(x), model(x)
        assert np.abs(first - second).max() > 1e-3
        model.part.reset_state()
        np.testing.assert_array_equal(model(x), first)

    def test_in_mixed_precision_the_weights_are_still_the_variables(self):
        model = keras.Sequential([OwnLayer(dtype="mixed_bfloat16")])
        model(keras.Input([2, 5]))
        part = model.layers[0].part
        for weight, variable in zip(part.weights, part.core.variables, strict=True):
            assert weight.value is variable


def two_cells(core):
    return [dnc.keras.RNN(dnc.keras.RNNCell(core)) for _ in range(2)]


def two_layers_with_one_memory(core):
    return [dnc.keras.DNC(core.access, snt.LSTM(4), 2) for _ in range(2)]


def cell_and_layer(core):
    layer = dnc.keras.DNC(core.access, core.controller, 2)
    return [keras.layers.RNN(dnc.keras.RNNCell(core)), layer]


def make_shared(layers_of):
    """A functional model, and the core that both of its layers have, wholly or in part."""
    core = dnc.DNC(dnc.MemoryAccess(3, 2), snt.LSTM(4), 2)
    inputs = keras.Input([2, 5])
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
        inputs = sequences(num_steps=2)
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
        inputs = sequences(num_steps=2)
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
