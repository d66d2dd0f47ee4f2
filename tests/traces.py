"""Traces and event files for the tests."""

import numpy as np
import tensorflow as tf
from tensorboard.compat.proto import summary_pb2

from dnc_trace import header
from dnc_trace.quantities import QUANTITIES

SIZES = {"T": 5, "B": 3, "X": 4, "Y": 2, "Z": 2, "H": 7, "N": 6, "W": 3, "R": 2, "V": 1}
EXTRAS = {
    "read_masks": {"axes": "TBRW", "before": "read_content_weights"},
    "similarities": {"axes": "TBVN", "before": "write_content_weights"},
    "temperature": {"axes": "TB", "before": "read_weights"},
    "habits": {"axes": "TB?", "before": "read_weights"},
}


def make_trace(seed=0, optional=True, extras=False, **sizes):
    """Returns arrays of random numbers in [0, 1), and the meta data."""
    rng = np.random.default_rng(seed)
    sizes = {**SIZES, "?": 4, **sizes}
    declared = EXTRAS if extras else {}
    axes_of = {name: q.axes for name, q in QUANTITIES.items() if optional or not q.optional}
    axes_of |= {name: each["axes"] for name, each in declared.items()}
    arrays = {
        name: rng.random([sizes[axis] for axis in axes], np.float32)
        for name, axes in axes_of.items()
    }
    arrays["sequence_length"] = rng.integers(1, sizes["T"] + 1, sizes["B"])
    meta = {"linkage": "dense", "task": "copy", "tokens": None}
    return arrays, {**meta, "declared": declared} if extras else meta


def write_blobs(directory, blobs, tag="episode", steps=(0,), plugin_name=header.PLUGIN_NAME):
    """Writes a record for each step, as a training run does."""
    metadata = summary_pb2.SummaryMetadata(
        plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name=plugin_name),
        data_class=summary_pb2.DATA_CLASS_BLOB_SEQUENCE,
    )
    writer = tf.summary.create_file_writer(str(directory))
    with writer.as_default():
        for step in steps:
            assert tf.summary.write(tag, tf.constant(blobs), step, metadata)
    writer.close()
