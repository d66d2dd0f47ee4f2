"""Content look-ups. The memory is stored transposed here, as [B, W, N].

Sums over words then run over W rows of N numbers each, which XLA computes N numbers at a time, and
not over N rows of W numbers each, which it would sum one number at a time.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from dnc import _cores
from dnc.access import split_extras
from dnc.content import (
    EPSILON,
    CosineWeights,
    UsedCosineWeights,
    oneplus,
    used_softmax,
    weighted_softmax,
)
from dnc.unrolling.derivatives import gradients
from dnc.unrolling.fused.products import inner, times, times_transposed
from dnc.unrolling.fused.registry import Recomputed, fuses

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


class LookUpGradient(NamedTuple):
    """Gradients w.r.t. the arguments of a look-up.

    The gradient w.r.t. the words is the sum of the outer product of `rows` and `columns`, the words
    times `slots`, and `words`. `None` stands for zero. The caller merges outer products.
    """

    fields: Fields
    rows: tf.Tensor | None = None  # [B, H, W]
    columns: tf.Tensor | None = None  # [B, H, N]
    slots: tf.Tensor | None = None  # [B, 1, N]
    words: tf.Tensor | None = None  # [B, W, N]
    usage: tf.Tensor | None = None  # [B, N]
    variables: Sequence[tf.Tensor] = ()


@fuses(CosineWeights)
class FusedCosineWeights:
    """`CosineWeights`: keeps the cosines of a step."""

    recomputes = False
    variables: Sequence[tf.Variable] = ()

    def __init__(self, look_up: CosineWeights):
        self._strength_op = look_up.strength_op
        self.num_residuals = look_up.num_heads  # Rows [B, N] kept for the backward pass.

    @staticmethod
    def fits(look_up: CosineWeights) -> bool:
        """Whether the strengths have an activation without variables or side effects."""
        return look_up.strength_op in (tf.nn.softplus, oneplus)

    def step(
        self, memory: Memory, fields: Fields, usage: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns the weights [B, H, N] and what `gradient` needs, `num_residuals` rows."""
        keys = fields["keys"]
        norms = _key_norms(keys) * memory.norms
        cosines = times(keys, memory.words) / (norms + EPSILON)
        return self._weights(cosines, fields["strengths"], usage), cosines

    def gradient(
        self,
        memory: Memory,
        fields: Fields,
        usage: tf.Tensor,
        weights: tf.Tensor,
        cosines: tf.Tensor,
        d_weights: tf.Tensor,
    ) -> LookUpGradient:
        """Returns the gradients w.r.t. the arguments of `step`."""
        d_cosines, d_strengths, d_usage = self._weights_gradient(
            cosines, fields["strengths"], usage, weights, d_weights
        )
        keys, key_norms = fields["keys"], _key_norms(fields["keys"])
        d_products = d_cosines / (key_norms * memory.norms + EPSILON)
        d_norm_products = -d_products * cosines
        d_keys = times_transposed(d_products, memory.words)
        d_key_norms = tf.reduce_sum(d_norm_products * memory.norms, axis=2, keepdims=True)
        d_keys += d_key_norms / key_norms * keys
        d_norms = tf.reduce_sum(d_norm_products * key_norms, axis=1, keepdims=True)
        return LookUpGradient(
            fields={"keys": d_keys, "strengths": d_strengths},
            rows=keys,
            columns=d_products,
            slots=d_norms / memory.norms,
            usage=d_usage,
        )

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
        """Gradients w.r.t. cosines, strengths and usage."""
        del usage
        strengths = strengths[:, :, tf.newaxis]
        d_logits = weights * (d_weights - inner(weights, d_weights))
        d_cosines = d_logits * self._strength_op(strengths)
        (d_strengths,) = gradients(self._strength_op, [strengths], inner(d_logits, cosines))
        return d_cosines, tf.squeeze(d_strengths, axis=2), None


@fuses(UsedCosineWeights)
class FusedUsedCosineWeights(FusedCosineWeights):
    """`UsedCosineWeights`: its softmax is differentiated by TensorFlow."""

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


class RecomputedLookUp:
    """Any other look-up."""

    recomputes = True
    num_residuals = 0

    def __init__(self, look_up: Any):
        compute = _cores.unchecked(look_up)

        def weights(words: tf.Tensor, fields: Fields, usage: tf.Tensor) -> tf.Tensor:
            memory = tf.transpose(words, [0, 2, 1])
            return split_extras(compute(memory, usage=usage, **fields))[0]

        self._recomputed = Recomputed(weights)

    @property
    def variables(self) -> Sequence[tf.Variable]:
        """Trainable variables that the look-up reads."""
        return self._recomputed.variables

    def step(
        self, memory: Memory, fields: Fields, usage: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns the weights [B, H, N]; nothing is kept for `gradient`."""
        return self._recomputed(memory.words, fields, usage), None

    def gradient(
        self,
        memory: Memory,
        fields: Fields,
        usage: tf.Tensor,
        weights: tf.Tensor,
        residuals: None,
        d_weights: tf.Tensor,
    ) -> LookUpGradient:
        """Returns the gradients w.r.t. the arguments of `step`."""
        del weights, residuals
        arguments = (memory.words, fields, usage)
        (d_words, d_fields, d_usage), d_variables = self._recomputed.gradient(arguments, d_weights)
        return LookUpGradient(d_fields, words=d_words, usage=d_usage, variables=d_variables)
