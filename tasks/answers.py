"""Kinds of answers: bits and numbers, each with its loss and its metrics."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from tasks.base import Batch, Task


@dataclasses.dataclass(frozen=True, kw_only=True)
class BitTask(Task):
    """A task whose answers are bits. Outputs are logits, and a logit above 0 stands for 1."""

    metric_names: ClassVar[tuple[str, ...]] = ("wrong_bits", "solved_sequences")

    def loss(self, outputs: tf.Tensor, batch: Batch) -> tf.Tensor:
        """Returns the sigmoid cross-entropy in nats per episode, over the steps that count."""
        return masked_sigmoid_cross_entropy(outputs, batch.target, batch.mask)

    def is_solved(self, metrics: Mapping[str, float]) -> bool:
        """Returns whether a sequence has below 0.1 wrong bits on average (Collier & Beel 2018)."""
        return metrics["wrong_bits"] < 0.1

    def metrics(self, outputs: tf.Tensor, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns `wrong_bits` per sequence and `solved_sequences`, the fraction with none."""
        return bit_metrics(outputs, batch.target, batch.mask)

    def answer(self, outputs: Any) -> Any:
        """Returns the bits."""
        return (np.asarray(outputs) > 0).astype(np.float32)


@dataclasses.dataclass(frozen=True, kw_only=True)
class NumberTask(Task):
    """A task whose answer is a whole number, the target of the last step that counts."""

    metric_names: ClassVar[tuple[str, ...]] = ("absolute_error", "solved_sequences")

    def is_solved(self, metrics: Mapping[str, float]) -> bool:
        """Returns whether at least 99 % of the rounded answers are right."""
        return metrics["solved_sequences"] >= 0.99

    def loss(self, outputs: tf.Tensor, batch: Batch) -> tf.Tensor:
        """Returns the squared error, averaged over the steps that count, then over the batch."""
        mask = batch.mask
        error = tf.reduce_sum(tf.math.squared_difference(outputs, batch.target), axis=2) * mask
        return tf.reduce_mean(tf.reduce_sum(error, axis=0) / tf.reduce_sum(mask, axis=0))

    def metrics(self, outputs: tf.Tensor, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns `absolute_error` of the answer, and `solved_sequences`.

        An episode is solved if the rounded answer is right.
        """
        mask = tf.convert_to_tensor(batch.mask)
        last = tf.cast(tf.equal(tf.cumsum(mask, reverse=True), 1.0), outputs.dtype) * mask
        error = tf.reduce_sum(tf.abs(outputs - batch.target) * last[:, :, tf.newaxis], axis=[0, 2])
        return {
            "absolute_error": tf.reduce_mean(error),
            "solved_sequences": tf.reduce_mean(tf.cast(error < 0.5, outputs.dtype)),
        }


def masked_sigmoid_cross_entropy(
    logits: tf.Tensor,
    target: tf.Tensor,
    mask: tf.Tensor,
    time_average: bool = False,
    log_prob_in_bits: bool = False,
) -> tf.Tensor:
    """Returns the sigmoid cross-entropy of the steps that count, averaged over the batch.

    Args:
      logits: [T, B, Y].
      target: [T, B, Y], in [0, 1].
      mask: [T, B], the weight of each step.
      time_average: whether to average, not sum, over the steps that count.
      log_prob_in_bits: whether the result is in bits instead of nats.

    Returns:
      A scalar.
    """
    cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=logits)
    loss = tf.reduce_sum(tf.reduce_sum(cross_entropy, axis=2) * mask, axis=0)
    if time_average:
        loss /= tf.reduce_sum(mask, axis=0) + np.finfo(loss.dtype.as_numpy_dtype).eps
    loss = tf.reduce_mean(loss)
    return loss / np.log(2.0) if log_prob_in_bits else loss


def bit_metrics(logits: tf.Tensor, target: tf.Tensor, mask: tf.Tensor) -> dict[str, tf.Tensor]:
    """Returns metrics of answers that consist of bits. A logit above 0 stands for 1.

    Args:
      logits: [T, B, Y].
      target: [T, B, Y], 0 or 1.
      mask: [T, B], 0 or 1.

    Returns:
      `wrong_bits`: mean number of wrong bits in an episode; `solved_sequences`: fraction of
      episodes without a wrong bit.
    """
    wrong = tf.cast(tf.not_equal(logits > 0.0, target > 0.5), logits.dtype) * mask[:, :, tf.newaxis]
    wrong_bits = tf.reduce_sum(wrong, axis=[0, 2])
    return {
        "wrong_bits": tf.reduce_mean(wrong_bits),
        "solved_sequences": tf.reduce_mean(tf.cast(tf.equal(wrong_bits, 0.0), logits.dtype)),
    }
