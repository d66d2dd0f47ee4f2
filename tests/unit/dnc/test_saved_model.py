"""A core written as a SavedModel, loaded in this process."""

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from tests.models import make_core


def core_with(controller):
    """A core of unseen inputs, without variables."""
    return dnc.DNC(dnc.MemoryAccess(6, 4, num_reads=2), controller, 3, 20.0)


def test_cores_of_sonnet_are_exported_too(tmp_path):
    x = tf.ones([2, 4])
    for core, names in ((snt.LSTM(3), ["hidden", "cell"]), (snt.GRU(3), ["state"])):
        path = tmp_path / core.name
        dnc.export(core, path, input_size=4)
        loaded = tf.saved_model.load(path)
        state = core.initial_state(2)
        results = loaded.signatures["step"](
            inputs=x, **dict(zip(names, tf.nest.flatten(state), strict=True))
        )
        outputs, state = core(x, state)
        np.testing.assert_allclose(results["outputs"], outputs, atol=1e-6)
        for name, part in zip(names, tf.nest.flatten(state), strict=True):
            np.testing.assert_allclose(results[name], part, atol=1e-6)


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (
            lambda: core_with(snt.LSTM(7)),
            {},
            "export needs the width of the inputs. Pass input_size",
        ),
        (make_core, {"input_size": 4}, "input_size must be the core's, 5, got 4"),
        (
            lambda: core_with(snt.LSTM(7)),
            {"input_size": 0},
            "input_size must be an integer >= 1, got 0",
        ),
        (make_core, {"dtype": tf.int32}, "dtype must be a floating point type, got int32"),
        (make_core, {"dtype": tf.bfloat16}, "The state must be float32 or float64"),
        (make_core, {"dtype": tf.float64}, r"is float32, but float64 was requested"),
    ],
    ids=["size unknown", "another size", "size 0", "integers", "low precision", "another dtype"],
)
def test_what_cannot_be_exported_is_refused_and_nothing_is_written(
    make, options, message, tmp_path
):
    with pytest.raises(ValueError, match=message):
        dnc.export(make(), tmp_path / "model", **options)
    assert not (tmp_path / "model").exists()
