"""Content look-ups. The memory stands transposed here: [B, W, N]."""

from typing import NamedTuple

import tensorflow as tf

from dnc.content import EPSILON, CosineWeights
from dnc.unrolling.derivatives import gradients
from dnc.unrolling.fused.products import inner, times, times_transposed

# A row of W numbers for each slot is summed number by number, W rows of N numbers are summed N
# numbers at a time: that is why the memory is transposed.


def slot_norms(memory: tf.Tensor) -> tf.Tensor:
    """|M[i]| = sqrt(sum of squares + eps) of every slot, [B, 1, N]."""
    return tf.sqrt(tf.reduce_sum(tf.square(memory), axis=1, keepdims=True) + EPSILON)


def _key_norms(keys: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(tf.reduce_sum(tf.square(keys), axis=2, keepdims=True) + EPSILON)


class LookUp(NamedTuple):
    """What a look-up depends on."""

    keys: tf.Tensor  # [B, H, W]
    strengths: tf.Tensor  # [B, H], before their activation
    memory: tf.Tensor  # [B, W, N]
    norms: tf.Tensor  # [B, 1, N], `slot_norms(memory)`
    usage: tf.Tensor  # [B, N]


class LookUpGradient(NamedTuple):
    """Gradients by what a look-up depends on."""

    keys: tf.Tensor  # [B, H, W]
    strengths: tf.Tensor  # [B, H]
    # That by the memory is outer(keys, products) + memory * slots: left so, since the caller can
    # add the outer product of other heads in the same go.
    products: tf.Tensor  # [B, H, N], gradient by k . M[i]
    slots: tf.Tensor  # [B, 1, N]
    usage: tf.Tensor | None  # [B, N]; `None` for zero


def cosines(of: LookUp) -> tf.Tensor:
    """The cosine similarity of every key and slot, [B, H, N]."""
    return times(of.keys, of.memory) / (_key_norms(of.keys) * of.norms + EPSILON)


def weights(module: CosineWeights, cosines: tf.Tensor, of: LookUp) -> tf.Tensor:
    """The module's weighting for given cosines, [B, H, N]."""
    return module._normalise(cosines, of.strengths, of.usage)


def gradient(
    module: CosineWeights,
    of: LookUp,
    cosines: tf.Tensor,
    weights: tf.Tensor,
    d_weights: tf.Tensor,
) -> LookUpGradient:
    """Gradients by all that the weights depend on."""
    if type(module) is CosineWeights:
        strengths = of.strengths[:, :, tf.newaxis]
        d_logits = weights * (d_weights - inner(weights, d_weights))
        d_cosines = d_logits * module.strength_op(strengths)
        (d_strengths,) = gradients(module.strength_op, [strengths], inner(d_logits, cosines))
        d_strengths, d_usage = tf.squeeze(d_strengths, axis=2), None
    else:
        d_cosines, d_strengths, d_usage = gradients(
            module._normalise, [cosines, of.strengths, of.usage], d_weights
        )

    key_norms = _key_norms(of.keys)
    d_products = d_cosines / (key_norms * of.norms + EPSILON)
    d_norm_products = -d_products * cosines
    d_keys = times_transposed(d_products, of.memory)
    d_key_norms = tf.reduce_sum(d_norm_products * of.norms, axis=2, keepdims=True)
    d_keys += d_key_norms / key_norms * of.keys
    d_slots = tf.reduce_sum(d_norm_products * key_norms, axis=1, keepdims=True) / of.norms
    return LookUpGradient(d_keys, d_strengths, d_products, d_slots, d_usage)
