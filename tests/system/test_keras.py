"""Keras models with cores: in graphs, loaded by another process; and what is imported."""

import importlib
import os
import pathlib
import subprocess
import sys
import textwrap

import keras
import numpy as np
import pytest
import sonnet as snt

import dnc
import dnc.keras
from tests.unit.dnc.test_keras import TestPrecision as Precision

ROOT = pathlib.Path(__file__).parents[2]

# A module that the process saving a model and the process loading it both import.
CORE = """
    import keras
    import sonnet as snt
    import tensorflow as tf

    import dnc


    @keras.saving.register_keras_serializable(package="elsewhere")
    def make_core():
        access = dnc.MemoryAccess(5, 4, strength_op=lambda x: 2.0 * tf.nn.sigmoid(x))
        return dnc.DNC(access, snt.VanillaRNN(6), 3)


    @keras.saving.register_keras_serializable(package="elsewhere")
    class Model(keras.Model):
        def __init__(self, **kwargs):
            super().__init__(**kwargs)
            self.layer = dnc.keras.DNC({"memory_size": 5, "word_size": 4}, {"hidden_size": 6}, 3)

        def call(self, inputs):
            return self.layer(inputs)
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
        results[name + " parameters"] = model.count_params()
        if name == "layer":
            for i, variable in enumerate(model.optimizer.variables):
                results[f"optimizer {i}"] = variable
    np.savez("results.npz", **results)
"""


def run(code, *flags, folder=ROOT):
    """Runs code in a process that must end well."""
    process = subprocess.run(
        [sys.executable, *flags, "-c", textwrap.dedent(code)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr


def saved_models(module):
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
    layer = dnc.keras.DNC(
        {"memory_size": 6, "word_size": 4, "num_reads": 2},
        {"hidden_size": 7},
        output_size=3,
        clip_value=20.0,
        return_sequences=True,
    )
    inputs = keras.Input([None, 5])
    shared = dnc.DNC(dnc.MemoryAccess(6, 4), snt.LSTM(7), 3)
    forwards, backwards = (
        dnc.keras.RNN(dnc.keras.RNNCell(shared), go_backwards=go_backwards)
        for go_backwards in (False, True)
    )
    return {
        "layer": keras.Sequential([inputs, layer]),
        "cell": keras.Sequential(
            [
                inputs,
                keras.layers.RNN(dnc.keras.RNNCell(core), return_sequences=True),
                keras.layers.Dense(2),
            ]
        ),
        "function": keras.Sequential(
            [inputs, keras.layers.RNN(dnc.keras.RNNCell(module.make_core))]
        ),
        "subclass": module.Model(),
        "shared": keras.Model(
            inputs, keras.layers.Concatenate()([forwards(inputs), backwards(inputs)])
        ),
    }


def test_saved_models_give_the_same_in_another_process(tmp_path, monkeypatch):
    keras.utils.set_random_seed(0)
    (tmp_path / "core_made_elsewhere.py").write_text(textwrap.dedent(CORE))
    monkeypatch.syspath_prepend(tmp_path)
    models = saved_models(importlib.import_module("core_made_elsewhere"))
    inputs = np.random.default_rng(0).normal(size=[3, 4, 5]).astype(np.float32)
    expected = {name: model(inputs) for name, model in models.items()}
    models["layer"].compile("adam", "mse", run_eagerly=True)
    models["layer"].train_on_batch(inputs, np.ones([3, 4, 3]))
    expected["layer"] = models["layer"](inputs)
    np.save(tmp_path / "inputs.npy", inputs)
    for name, model in models.items():
        model.save(tmp_path / f"{name}.keras")
        model.save_weights(tmp_path / f"{name}.weights.h5")
        (tmp_path / f"{name}.json").write_text(model.to_json())

    run(LOAD, folder=tmp_path)
    results = np.load(tmp_path / "results.npz")
    for name, model in models.items():
        assert np.abs(expected[name]).max() > 0.01
        np.testing.assert_allclose(results[f"{name} loaded"], expected[name], atol=1e-6)
        np.testing.assert_allclose(results[f"{name} weights loaded"], expected[name], atol=1e-6)
        assert np.abs(results[f"{name} new"] - expected[name]).max() > 0.01
        assert results[f"{name} parameters"] == model.count_params()
    assert list(results["layer classes"]) == ["DNC"]
    assert list(results["cell classes"]) == ["RNN", "Dense"]
    slots = models["layer"].optimizer.variables
    assert len(slots) == 2 + 2 * 7
    for i, slot in enumerate(slots):
        np.testing.assert_array_equal(results[f"optimizer {i}"], slot)
    assert f"optimizer {len(slots)}" not in results


@pytest.mark.parametrize(
    ("linkage", "jit_compile"),
    [("TemporalLinkage", False), ("TemporalLinkage", True), ("NoLinkage", True)],
    ids=["graph", "XLA", "XLA without links"],
)
def test_fit_of_a_loop_in_a_graph_is_fit_in_eager_mode(linkage, jit_compile):
    # As arrays come from `fit`, the batch size is unknown to the graph.
    inputs = np.random.default_rng(0).normal(size=[3, 3, 5]).astype(np.float32)
    access = {"memory_size": 3, "word_size": 2, "linkage": {"class": linkage, "memory_size": 3}}
    in_graph, eager = (
        dnc.keras.DNC(access, {"hidden_size": 4}, 2, return_sequences=True) for _ in range(2)
    )
    in_graph.build(inputs.shape), eager.build(inputs.shape)
    eager.set_weights(in_graph.get_weights())
    before = in_graph.get_weights()
    losses = []
    for layer, how in ((eager, {"run_eagerly": True}), (in_graph, {"jit_compile": jit_compile})):
        model = keras.Sequential([layer])
        model.compile(keras.optimizers.SGD(0.1), "mse", **how)
        history = model.fit(inputs, np.ones([3, 3, 2]), epochs=3, verbose=0)
        losses.append(history.history["loss"])
    assert losses[0][2] < losses[0][0]
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    assert all(np.any(new != old) for new, old in zip(in_graph.get_weights(), before, strict=True))


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
    run(IMPORT, "-W", "error")


def test_in_mixed_precision_a_layer_in_a_graph_computes_in_float32(monkeypatch):
    Precision().test_in_mixed_precision_a_layer_computes_in_float32(
        monkeypatch, policy="mixed_bfloat16", eagerly=False
    )
