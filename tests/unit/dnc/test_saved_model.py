"""A core written as a SavedModel, loaded in this process."""

import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from tests.models import make_core


def core_with(controller):
    """A core of unseen inputs, without variables."""
    return dnc.DNC(dnc.MemoryAccess(6, 4, num_reads=2), controller, 3, 20.0)


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
