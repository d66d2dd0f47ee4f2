"""Layers without a state, applied to all time steps at once."""

from collections.abc import Callable
from typing import Any

import sonnet as snt
import tensorflow as tf

from dnc import _nests

# Elementwise functions of one tensor with a finite slope at 0, because there may be zeros in the
# padding that the step-by-step loop does not have.
_FUNCTIONS = (
    tf.identity,
    tf.nn.elu,
    tf.nn.gelu,
    tf.nn.leaky_relu,
    tf.nn.relu,
    tf.nn.relu6,
    tf.nn.selu,
    tf.nn.silu,
    tf.nn.softplus,
    tf.nn.softsign,
    tf.sigmoid,
    tf.tanh,
)
_AXES_OF_ROWS: tuple[Any, ...] = ((-1,), (1,), [-1], [1], slice(1, None))


def treats_rows_alone(layer: Any) -> bool:
    """Whether a layer is known to map each row of its input [B, ...] without seeing the others."""
    kind = type(layer)
    if kind is snt.Sequential:
        return all(treats_rows_alone(part) for part in layer._layers)
    if kind is snt.nets.MLP:
        parts = [*layer._layers, layer._activation]
        return layer._dropout_rate in (None, 0) and all(treats_rows_alone(part) for part in parts)
    if kind is snt.LayerNorm:
        return layer._axis in _AXES_OF_ROWS
    return kind is snt.Linear or any(layer is function for function in _FUNCTIONS)


def apply_to_all_steps(layer: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor) -> tf.Tensor:
    """Maps [T, B, ...] to [T, B, ...] by a layer that treats rows alone."""
    rows = layer(_nests.reshape_first(x, 2, [-1]))
    steps = _nests.reshape_first(rows, 1, tf.shape(x)[:2])
    return tf.ensure_shape(steps, [*x.shape[:2], *rows.shape[1:]])
