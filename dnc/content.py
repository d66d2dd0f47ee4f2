"""Content look-ups: weightings of slots by their similarity to a key.

Paper: C(M, k, beta) of Graves et al., Nature 538 (2016), Methods, "Content-based addressing".
Shapes: B batch, N memory slots, W word size, H heads.
"""

from collections.abc import Callable
from typing import Any

import sonnet as snt
import tensorflow as tf

from dnc import _checks
from dnc.interface import Field

# Added under the square root of a norm and to the product of two norms, so that an empty slot or a
# zero key has similarity 0 and a finite gradient.
EPSILON = 1e-6


def oneplus(x: tf.Tensor) -> tf.Tensor:
    """1 + log(1 + exp(x)): the paper's strength activation, >= 1. (Released code: softplus.)"""
    return 1.0 + tf.nn.softplus(x)


def cosine_similarity(memory: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """D(k, M[i]) = k . M[i] / (|k| |M[i]| + eps), with |x| = sqrt(sum x^2 + eps).

    Args:
      memory: [B, N, W].
      keys: [B, H, W], one key for each of H heads.

    Returns:
      [B, H, N], in (-1, 1); 0 for an all-zero key or slot.
    """
    dot = tf.matmul(keys, memory, transpose_b=True)
    key_norms = tf.sqrt(tf.reduce_sum(tf.square(keys), axis=2) + EPSILON)
    slot_norms = tf.sqrt(tf.reduce_sum(tf.square(memory), axis=2) + EPSILON)
    return dot / (key_norms[:, :, tf.newaxis] * slot_norms[:, tf.newaxis, :] + EPSILON)


def masked_cosine_similarity(memory: tf.Tensor, keys: tf.Tensor, masks: tf.Tensor) -> tf.Tensor:
    """D(k * m, M[i] * m), the cosine of those elements of key and slot that a mask selects.

    Args:
      memory: [B, N, W].
      keys: [B, H, W], one key for each of H heads.
      masks: [B, H, W], in [0, 1].

    Returns:
      [B, H, N], in (-1, 1); `cosine_similarity` where all masks are 1.
    """
    keys, squares = keys * masks, tf.square(masks)
    dot = tf.matmul(keys * masks, memory, transpose_b=True)
    key_norms = tf.sqrt(tf.reduce_sum(tf.square(keys), axis=2, keepdims=True) + EPSILON)
    slot_norms = tf.sqrt(tf.matmul(squares, tf.square(memory), transpose_b=True) + EPSILON)
    return dot / (key_norms * slot_norms + EPSILON)


def weighted_softmax(
    activations: tf.Tensor,
    strengths: tf.Tensor,
    strength_op: Callable[[tf.Tensor], tf.Tensor] = tf.nn.softplus,
) -> tf.Tensor:
    """softmax_i(strength_op(strength) * activation[i]).

    Args:
      activations: [B, H, N].
      strengths: [B, H], before `strength_op`.
      strength_op: maps strengths to beta >= 0.

    Returns:
      [B, H, N], each row summing to 1.
    """
    return tf.nn.softmax(activations * strength_op(strengths)[:, :, tf.newaxis])


def used_softmax(
    activations: tf.Tensor,
    strengths: tf.Tensor,
    usage: tf.Tensor,
    strength_op: Callable[[tf.Tensor], tf.Tensor] = tf.nn.softplus,
) -> tf.Tensor:
    """u[i] exp(beta x[i] - m) / (sum_j u[j] exp(beta x[j] - m) + eps), m the largest used beta x.

    A softmax in which each slot counts by its usage. (Not in the paper.)

    Args:
      activations: [B, H, N], x.
      strengths: [B, H], before `strength_op`.
      usage: [B, N], in [0, 1].
      strength_op: maps strengths to beta >= 0.

    Returns:
      [B, H, N], each row summing to 1, or to 0 if no slot is used.
    """
    logits = activations * strength_op(strengths)[:, :, tf.newaxis]
    usage = usage[:, tf.newaxis, :]
    used_logits = tf.where(usage > 0.0, logits, logits.dtype.min)
    largest = tf.reduce_max(used_logits, axis=2, keepdims=True)
    # An unused slot may be more similar than any used one, which must not cause overflow.
    shares = usage * tf.exp(tf.minimum(logits - largest, 0.0))
    return shares / (tf.reduce_sum(shares, axis=2, keepdims=True) + EPSILON)


class CosineWeights(snt.Module):
    """Content-based weighting: C(M, k, beta)[i] = softmax_i(beta D(k, M[i])).

    A part of a `MemoryAccess`, which calls it with the memory, the usage and the interface fields
    that `fields` declares.

    >>> look_up = CosineWeights(num_heads=1, word_size=2)
    >>> memory = tf.constant([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]])
    >>> weights = look_up(memory, keys=tf.constant([[[1.0, 0.0]]]), strengths=tf.constant([[5.0]]))
    >>> int(tf.argmax(weights[0, 0]))
    0
    """

    def __init__(
        self,
        num_heads: int,
        word_size: int,
        strength_op: Callable[[tf.Tensor], tf.Tensor] = tf.nn.softplus,
        name: str = "cosine_weights",
    ):
        """Creates the look-up.

        Args:
          num_heads: number of keys looked up at once, >= 1.
          word_size: width W of keys and memory slots, >= 1.
          strength_op: maps raw strengths to beta >= 0: `tf.nn.softplus` as in the released code,
            `dnc.oneplus` as in the paper.
          name: name of the module.

        Raises:
          ValueError: if a size is not a positive integer, or `strength_op` cannot be called.
        """
        super().__init__(name=name)
        self._num_heads = _checks.check_size("num_heads", num_heads)
        self._word_size = _checks.check_size("word_size", word_size)
        self._strength_op = _checks.check_callable("strength_op", strength_op)

    def fields(self) -> dict[str, Field]:
        """Returns the interface fields: a key and a strength for each head."""
        return {"keys": Field("HW"), "strengths": Field("H")}

    def __call__(
        self,
        memory: tf.Tensor,
        keys: tf.Tensor,
        strengths: tf.Tensor,
        usage: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Returns the weighting of every slot for every key.

        Args:
          memory: [B, N, W].
          keys: [B, num_heads, W].
          strengths: [B, num_heads], before `strength_op`.
          usage: [B, N], in [0, 1]; needed by `UsedCosineWeights` only.

        Returns:
          [B, num_heads, N], each row summing to 1 (with `UsedCosineWeights`, to 0 if no slot is
          used).

        Raises:
          ValueError: if a shape or dtype does not fit.
        """
        return self.compute(*self._check(memory, keys, strengths, usage))

    def _check(self, memory: Any, keys: Any, strengths: Any, usage: Any) -> tuple[Any, ...]:
        """Returns the arguments as tensors if they fit together."""
        memory = _checks.check_tensor("memory", memory, [None, None, self._word_size])
        (batch_size, num_slots, _), dtype = memory.shape, memory.dtype
        keys = _checks.check_tensor(
            "keys", keys, [batch_size, self._num_heads, self._word_size], dtype
        )
        strengths = _checks.check_tensor(
            "strengths", strengths, [batch_size, self._num_heads], dtype
        )
        if usage is not None:
            usage = _checks.check_tensor("usage", usage, [batch_size, num_slots], dtype)
        return memory, keys, strengths, usage

    def compute(
        self, memory: tf.Tensor, keys: tf.Tensor, strengths: tf.Tensor, usage: tf.Tensor | None
    ) -> tf.Tensor:
        """Computes the result of `__call__` for checked arguments."""
        return self.normalize(cosine_similarity(memory, keys), strengths, usage)

    def normalize(
        self, similarities: tf.Tensor, strengths: tf.Tensor, usage: tf.Tensor | None
    ) -> tf.Tensor:
        """Returns the weighting [B, H, N] for similarities of that shape."""
        del usage
        return weighted_softmax(similarities, strengths, self._strength_op)

    @property
    def num_heads(self) -> int:
        """Number of keys looked up at once."""
        return self._num_heads

    @property
    def word_size(self) -> int:
        """Width W of keys and memory slots."""
        return self._word_size

    @property
    def strength_op(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """Function from raw strengths to beta."""
        return self._strength_op


class UsedCosineWeights(CosineWeights):
    """Content-based weighting among the slots in use: each counts by its usage.

    In the softmax of `CosineWeights` an empty slot has similarity 0 and still contributes exp(0).
    The more slots are empty, the less weight is left for the others, so a network trained with a
    small memory reads blurred words from a large one. Here a slot of usage 0 has no weight, so the
    number of empty slots does not matter. To use it, construct
    `MemoryAccess(..., content_weights=UsedCosineWeights)`.

    >>> look_up = UsedCosineWeights(num_heads=1, word_size=2)
    >>> memory = tf.constant([[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]])
    >>> key, strength = tf.constant([[[1.0, 0.0]]]), tf.constant([[1.0]])
    >>> look_up(memory, key, strength, usage=tf.constant([[1.0, 1.0, 0.0]])).numpy().round(2)
    array([[[0.79, 0.21, 0.  ]]], dtype=float32)
    """

    def normalize(
        self, similarities: tf.Tensor, strengths: tf.Tensor, usage: tf.Tensor | None
    ) -> tf.Tensor:
        """Returns the weighting [B, H, N] for similarities of that shape.

        Raises:
          ValueError: if there is no usage.
        """
        if usage is None:
            raise ValueError(f"{type(self).__name__} needs the usage of the slots, got None.")
        return used_softmax(similarities, strengths, usage, self._strength_op)


class MaskedCosineWeights(CosineWeights):
    """Content-based weighting by part of a word: softmax_i(beta D(k * m, M[i] * m)).

    Each head emits a mask m in (0, 1)^W along with its key, so that it can search by one part of
    the words and retrieve the other (Csordas & Schmidhuber 2019, section 3.1). With a floor
    `mask_min` the field is mask_min + (1 - mask_min) sigmoid(x).

    >>> look_up = MaskedCosineWeights(num_heads=1, word_size=2)
    >>> memory = tf.constant([[[1.0, 9.0], [0.0, 9.0], [1.0, 0.0]]])
    >>> key, strength, mask = ([[[1.0, 0.0]]], [[5.0]], [[[1.0, 0.0]]])
    >>> look_up(memory, key, strength, masks=mask).numpy().round(2)
    array([[[0.5, 0. , 0.5]]], dtype=float32)
    """

    def __init__(
        self,
        num_heads: int,
        word_size: int,
        strength_op: Callable[[tf.Tensor], tf.Tensor] = tf.nn.softplus,
        *,
        mask_min: float = 0.0,
        name: str = "masked_cosine_weights",
    ):
        """Creates the look-up.

        Args:
          num_heads: as for `CosineWeights`.
          word_size: as for `CosineWeights`.
          strength_op: as for `CosineWeights`.
          mask_min: minimum of a mask, in [0, 1]; 1 gives `CosineWeights`. The authors use 0.1 for
            associative recall and 0 elsewhere.
          name: name of the module.

        Raises:
          ValueError: as for `CosineWeights`, or if `mask_min` is not in [0, 1].
        """
        super().__init__(num_heads, word_size, strength_op, name)
        self._mask_min = _checks.check_share("mask_min", mask_min)

    def fields(self) -> dict[str, Field]:
        """Returns the interface fields: a key, a strength and a mask for each head."""
        activation = self._floored_sigmoid if self._mask_min else tf.sigmoid
        return {**super().fields(), "masks": Field("HW", activation)}

    def _floored_sigmoid(self, x: tf.Tensor) -> tf.Tensor:
        return self._mask_min + (1.0 - self._mask_min) * tf.sigmoid(x)

    def __call__(  # type: ignore[override]  # It needs the masks, too.
        self,
        memory: tf.Tensor,
        keys: tf.Tensor,
        strengths: tf.Tensor,
        usage: tf.Tensor | None = None,
        *,
        masks: tf.Tensor,
    ) -> tf.Tensor:
        """Returns the weighting of every slot for every key.

        Args:
          memory: as for `CosineWeights`.
          keys: as for `CosineWeights`.
          strengths: as for `CosineWeights`.
          usage: as for `CosineWeights`.
          masks: [B, num_heads, W], in [0, 1].

        Returns:
          [B, num_heads, N].

        Raises:
          ValueError: if a shape or dtype does not fit.
        """
        memory, keys, strengths, usage = self._check(memory, keys, strengths, usage)
        masks = _checks.check_tensor("masks", masks, keys.shape, memory.dtype)
        return self.compute(memory, keys, strengths, usage, masks)

    def compute(  # type: ignore[override]
        self,
        memory: tf.Tensor,
        keys: tf.Tensor,
        strengths: tf.Tensor,
        usage: tf.Tensor | None,
        masks: tf.Tensor,
    ) -> tf.Tensor:
        """Computes the result of `__call__` for checked arguments."""
        return self.normalize(masked_cosine_similarity(memory, keys, masks), strengths, usage)

    @property
    def mask_min(self) -> float:
        """Minimum of a mask."""
        return self._mask_min


class UsedMaskedCosineWeights(UsedCosineWeights, MaskedCosineWeights):
    """`MaskedCosineWeights` among the slots in use, as in `UsedCosineWeights`."""
