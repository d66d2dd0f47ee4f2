"""Content look-ups. The memory is stored transposed here, as [B, W, N].

Sums over words then run over W rows of N numbers each, which XLA adds N numbers at a time. It would
add N rows of W numbers each one number at a time.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from dnc import _cores
from dnc.content import (
    EPSILON,
    CosineWeights,
    UsedCosineWeights,
    oneplus,
    used_softmax,
    weighted_softmax,
)
from dnc.parts import split_extras
from dnc.unrolling.derivatives import gradients
from dnc.unrolling.fused.products import inner, outer, times, times_transposed
from dnc.unrolling.fused.registry import Part, fuses

Fields = Mapping[str, tf.Tensor]


class Memory(NamedTuple):
    """The memory that a look-up searches."""

    words: Any  # [B, W, N]
    norms: Any  # [B, 1, N], `slot_norms(words)`


def slot_norms(words: tf.Tensor) -> tf.Tensor:
    """|M[i]| = sqrt(sum of squares + eps) of every slot, [B, 1, N]."""
    return tf.sqrt(tf.reduce_sum(tf.square(words), axis=1, keepdims=True) + EPSILON)


def _key_norms(keys: tf.Tensor) -> tf.Tensor:
    return tf.sqrt(tf.reduce_sum(tf.square(keys), axis=2, keepdims=True) + EPSILON)


class FactoredGradient(NamedTuple):
    """A gradient w.r.t. the memory: the outer product of rows and columns, plus words * slots.

    With it the caller can take one product with the outer products of other heads.
    """

    rows: tf.Tensor  # [B, H, W]
    columns: tf.Tensor  # [B, H, N]
    slots: tf.Tensor  # [B, 1, N]


def add_to_memory(
    d_words: tf.Tensor,
    words: tf.Tensor,
    d_memory: FactoredGradient | Memory,
    pair: Sequence[tf.Tensor] = (),
) -> tf.Tensor:
    """Adds the gradient of a look-up, and the outer product of a pair, to `d_words`."""
    if isinstance(d_memory, Memory):
        d_words += d_memory.words
        return d_words + outer(*pair) if pair else d_words
    factors = (d_memory.rows, d_memory.columns)
    if pair:
        factors = tuple(tf.concat(parts, axis=1) for parts in zip(pair, factors, strict=True))
    return d_words + outer(*factors) + words * d_memory.slots


def look_up_step(look_up: Any) -> Callable[..., tf.Tensor]:
    """Returns one step of any look-up, for `Recomputed`."""
    compute = _cores.unchecked(look_up)

    def step(memory: Memory, fields: Fields, usage: tf.Tensor) -> tf.Tensor:
        words = tf.transpose(memory.words, [0, 2, 1])
        return split_extras(compute(words, usage=usage, **fields))[0]

    return step


@fuses(CosineWeights)
class FusedCosineWeights(Part):
    """`CosineWeights`: keeps the cosines of a step."""

    def __init__(self, look_up: CosineWeights):
        self._strength_op = look_up.strength_op
        self.num_residuals = look_up.num_heads

    @staticmethod
    def fits(look_up: CosineWeights) -> bool:
        """Whether the strengths have an activation without variables or side effects."""
        return look_up.strength_op in (tf.nn.softplus, oneplus)

    def step(self, arguments: Any, weights: Any = ()) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the weights [B, H, N] for a `Memory`, fields and usage, and the cosines."""
        del weights
        memory, fields, usage = arguments
        norms = _key_norms(fields["keys"]) * memory.norms
        cosines = times(fields["keys"], memory.words) / (norms + EPSILON)
        return self._weights(cosines, fields["strengths"], usage), cosines

    def gradient(
        self,
        arguments: Any,
        results: tf.Tensor,
        residuals: tf.Tensor,
        d_results: tf.Tensor,
        products: Any = (),
    ) -> tuple[tuple[FactoredGradient, Fields, tf.Tensor | None], list[tf.Tensor]]:
        """Returns the gradients; `None` for the usage, which has no influence."""
        (memory, fields, usage), cosines = arguments, residuals
        d_cosines, d_strengths, d_usage = self._weights_gradient(
            cosines, fields["strengths"], usage, results, d_results
        )
        keys, key_norms = fields["keys"], _key_norms(fields["keys"])
        d_products = d_cosines / (key_norms * memory.norms + EPSILON)
        d_norm_products = -d_products * cosines
        d_keys = times_transposed(d_products, memory.words)
        d_key_norms = tf.reduce_sum(d_norm_products * memory.norms, axis=2, keepdims=True)
        d_keys += d_key_norms / key_norms * keys
        d_norms = tf.reduce_sum(d_norm_products * key_norms, axis=1, keepdims=True)
        d_memory = FactoredGradient(keys, d_products, d_norms / memory.norms)
        return (d_memory, {"keys": d_keys, "strengths": d_strengths}, d_usage), []

    def _weights(self, cosines: tf.Tensor, strengths: tf.Tensor, usage: tf.Tensor) -> tf.Tensor:
        del usage
        return weighted_softmax(cosines, strengths, self._strength_op)

    def _weights_gradient(
        self,
        cosines: tf.Tensor,
        strengths: tf.Tensor,
        usage: tf.Tensor,
        weights: tf.Tensor,
        d_weights: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        """Returns gradients w.r.t. cosines, strengths and usage."""
        del usage
        strengths = strengths[:, :, tf.newaxis]
        d_logits = weights * (d_weights - inner(weights, d_weights))
        d_cosines = d_logits * self._strength_op(strengths)
        (d_strengths,) = gradients(self._strength_op, [strengths], inner(d_logits, cosines))
        return d_cosines, tf.squeeze(d_strengths, axis=2), None


@fuses(UsedCosineWeights)
class FusedUsedCosineWeights(FusedCosineWeights):
    """`UsedCosineWeights`: TensorFlow differentiates its softmax."""

    def _weights(self, cosines: tf.Tensor, strengths: tf.Tensor, usage: tf.Tensor) -> tf.Tensor:
        return used_softmax(cosines, strengths, usage, self._strength_op)

    def _weights_gradient(
        self,
        cosines: tf.Tensor,
        strengths: tf.Tensor,
        usage: tf.Tensor,
        weights: tf.Tensor,
        d_weights: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None]:
        del weights
        found = gradients(self._weights, [cosines, strengths, usage], d_weights)
        return found[0], found[1], found[2]
