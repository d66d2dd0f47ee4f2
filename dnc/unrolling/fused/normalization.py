"""Layer normalisation."""

from typing import Any

import sonnet as snt
import tensorflow as tf

from dnc.unrolling.fused.registry import is_patched

EPSILON = 1e-5  # The default of `snt.LayerNorm`.

_LANES = 16  # Number of elements that a processor adds at a time.


def is_known(norm: Any) -> bool:
    """Whether this is an `snt.LayerNorm` over the last axis, with a scale."""
    is_plain = type(norm) is snt.LayerNorm and not is_patched(norm)
    return is_plain and (norm._axis, norm._eps, norm._create_scale) == ((-1,), EPSILON, True)


def normalize(x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns (x - mean) / std and 1 / std, with std = sqrt(variance + eps), over the last axis."""
    centred = x - _mean(x)
    variance = _mean(tf.square(centred))
    inverse_std = tf.math.rsqrt(variance + EPSILON)
    return centred * inverse_std, inverse_std


def normalize_gradient(
    normalized: tf.Tensor, inverse_std: tf.Tensor, d_normalized: tf.Tensor
) -> tf.Tensor:
    """Returns the gradient w.r.t. x of `normalize`, from its results."""
    slope = _mean(d_normalized * normalized)
    return inverse_std * (d_normalized - _mean(d_normalized) - normalized * slope)


def _mean(x: tf.Tensor) -> tf.Tensor:
    """Takes the mean over the last axis, [..., N] to [..., 1]."""
    rows, left = divmod(x.shape[-1], _LANES)
    if left == 0:  # XLA adds up these rows many elements at a time, but a single row one by one.
        x = tf.reduce_mean(tf.reshape(x, [-1, *x.shape[1:-1], rows, _LANES]), axis=-2)
    return tf.reduce_mean(x, axis=-1, keepdims=True)
