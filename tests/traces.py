"""Traces and event files for the tests."""

import numpy as np
import tensorflow as tf
from tensorboard.compat.proto import summary_pb2

from dnc_trace import header, schema

SIZES = {"T": 5, "B": 3, "X": 4, "Y": 2, "Z": 2, "H": 7, "N": 6, "W": 3, "R": 2, "V": 1}


def make_trace(seed=0, optional=True, **sizes):
    """Arrays of random numbers in [0, 1), and the meta data."""
    rng = np.random.default_rng(seed)
    sizes = {**SIZES, **sizes}
    fields = {**schema.FIELDS, **schema.OPTIONAL_FIELDS} if optional else schema.FIELDS
    arrays = {
        name: rng.random([sizes[axis] for axis in axes], np.float32)
        for name, axes in fields.items()
    }
    arrays["sequence_length"] = rng.integers(1, sizes["T"] + 1, sizes["B"])
    return arrays, {"linkage": "dense", "task": "copy", "tokens": None}


def write_blobs(directory, blobs, tag="episode", steps=(0,), plugin_name=header.PLUGIN_NAME):
    """Writes a record for each step, as a training does."""
    metadata = summary_pb2.SummaryMetadata(
        plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name=plugin_name),
        data_class=summary_pb2.DATA_CLASS_BLOB_SEQUENCE,
    )
    writer = tf.summary.create_file_writer(str(directory))
    with writer.as_default():
        for step in steps:
            assert tf.summary.write(tag, tf.constant(blobs), step, metadata)
    writer.close()
