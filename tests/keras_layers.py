"""Keras layers with cores, and their inputs, for the tests."""

import keras
import numpy as np
import tensorflow as tf

import dnc
import dnc.keras
from tests.models import make_core, random_inputs

KINDS = ["DNC", "RNN of RNNCell"]


def make_layer(kind, dtype=None, **options):
    """Makes and builds a layer of either kind with inputs [B, T, 5] and outputs of width 3."""
    if kind == "RNN of RNNCell":
        return keras.layers.RNN(dnc.keras.RNNCell(make_core()), **options)
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


def small_layer(**options):
    """Makes a layer that is quick to trace, with outputs of width 2."""
    return dnc.keras.DNC({"memory_size": 3, "word_size": 2}, {"hidden_size": 4}, 2, **options)


def sequences(batch_size=3, num_steps=4, dtype=tf.float32, seed=0):
    """Draws inputs [B, T, 5]."""
    return tf.transpose(random_inputs(num_steps, batch_size, dtype=dtype, seed=seed), [1, 0, 2])


def unroll(core, inputs, *args, **kwargs):
    """Calls `dnc.unroll`, batch first."""
    return dnc.unroll(core, inputs, *args, time_major=False, **kwargs)


def assert_close(actual, expected, atol=1e-6):
    """Asserts the same structure and dtypes, and values within `atol`."""
    tf.nest.assert_same_structure(actual, expected)
    for x, y in zip(tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True):
        assert x.dtype == y.dtype
        np.testing.assert_allclose(x, y, rtol=0, atol=atol)
