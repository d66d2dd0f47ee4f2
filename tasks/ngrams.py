"""Dynamic n-grams: predict the next bit of a sequence with new statistics in each episode.

Each episode has its own probability of a 1 after each of the 2^c sequences of the last c bits,
drawn from Beta(1/2, 1/2) (Graves et al. 2014, section 4.4). The first c bits are uniformly random.

=====  ==========================  ===============
steps  observation (1 wide)        target (1 wide)
=====  ==========================  ===============
0      0                           bit 0
t      bit t - 1                   bit t
=====  ==========================  ===============

All steps count (mask 1). No prediction is always right: `excess_bits` is the difference between the
loss and the minimum that the bits so far allow.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tasks import draws, encoding
from tasks.answers import BitTask, masked_sigmoid_cross_entropy
from tasks.base import Batch, make_batch
from tasks.options import option

# In bits per episode. The paper's NTM came within about 2 of the optimum, its LSTM within 5.
_SOLVED = 3.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class NGrams(BitTask):
    """The dynamic n-grams task: predict the next bit from the statistics so far."""

    name = "ngrams"

    metric_names = ("excess_bits", "solved_sequences")

    min_length: int = option(200, "Minimum number of bits; drawn uniformly.", minimum=1)
    max_length: int = option(200, "Maximum number of bits.", minimum=1)
    context: int = option(
        5, "Number c of bits on which the next one depends.", minimum=1, maximum=16
    )

    input_size = property(lambda self: 1)
    output_size = property(lambda self: 1)
    num_steps = property(lambda self: self.max_length)

    def batch(self, split: str, seed: Any, step: Any, lesson: Any = None) -> Batch:
        """Returns a batch that depends on its arguments alone."""
        keys = draws.keys(split, seed, step, 3)
        lesson = self.draw_lessons(split, seed, step, lesson)
        uniform = draws.uniform_numbers(keys[0], [self.batch_size, 2**self.context])
        # The inverse of the distribution function of Beta(1/2, 1/2).
        probabilities = tf.sin(0.5 * np.pi * uniform) ** 2
        drawn = draws.uniform_numbers(keys[1], [self.num_steps, self.batch_size])
        return self.encode(probabilities, drawn, self.draw_size("length", keys[2], lesson))

    def encode(self, probabilities: Any, drawn: Any, lengths: Any) -> Batch:
        """Draws the bits and lays out the episodes.

        Args:
          probabilities: [B, 2^context], of a 1 after each context. The last bit of a context is
            the lowest bit of its number.
          drawn: [max_length, B], in [0, 1): the bit is 1 where this is less than its probability.
          lengths: [B], in [1, max_length].
        """
        probabilities = tf.cast(probabilities, tf.float32)

        def next_bit(before: tuple[tf.Tensor, ...], at: tuple[tf.Tensor, ...]) -> Any:
            (context, _), (step, draw) = before, at
            known = tf.gather(probabilities, context, batch_dims=1)
            bit = tf.cast(draw < tf.where(step < self.context, 0.5, known), tf.int32)
            return (2 * context + bit) % 2**self.context, bit

        none = tf.zeros([self.batch_size], tf.int32)
        steps = tf.range(self.num_steps)
        _, bits = tf.scan(next_bit, (steps, tf.cast(drawn, tf.float32)), (none, none))
        is_there = steps[:, tf.newaxis] < tf.cast(lengths, tf.int32)
        target = encoding.channel(is_there, tf.cast(bits, tf.float32))
        observations = tf.pad(target[:-1], [[1, 0], [0, 0], [0, 0]])
        observations *= tf.cast(is_there, tf.float32)[:, :, tf.newaxis]
        return make_batch(observations, target, is_there)

    def is_solved(self, metrics: Mapping[str, float]) -> bool:
        """Returns whether the loss is less than 3 bits per sequence above the minimum."""
        return metrics["excess_bits"] < _SOLVED

    def metrics(self, outputs: tf.Tensor, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns `excess_bits`, and `solved_sequences`: 1 if there are fewer than 3 excess bits.

        One episode is little evidence for or against a predictor, so the mean of the batch counts.
        """
        loss = masked_sigmoid_cross_entropy(
            outputs, batch.target, batch.mask, log_prob_in_bits=True
        )
        excess = loss - tf.reduce_mean(self.optimal_loss(batch))
        return {
            "excess_bits": excess,
            "solved_sequences": tf.cast(excess < _SOLVED, outputs.dtype),
        }

    def optimal_loss(self, batch: Batch) -> tf.Tensor:
        """Returns the minimum of the expected loss, in bits per episode, [B].

        The Bayesian prediction (N1 + 1/2) / (N0 + N1 + 1) reaches it, where N0 and N1 are the
        numbers of zeros and ones so far after the same context.
        """
        bits = tf.cast(batch.target[:, :, 0], tf.int32)  # [T, B]
        contexts = tf.zeros_like(bits)
        for k in range(1, min(self.context, self.num_steps) + 1):
            contexts += 2 ** (k - 1) * tf.pad(bits[: self.num_steps - k], [[k, 0], [0, 0]])
        one_hot = tf.one_hot(contexts, 2**self.context)  # [T, B, C]
        seen = tf.cast(tf.range(self.num_steps) >= self.context, tf.float32)
        one_hot *= seen[:, tf.newaxis, tf.newaxis]
        ones = tf.cumsum(one_hot * batch.target, axis=0, exclusive=True)
        all_ = tf.cumsum(one_hot, axis=0, exclusive=True)
        n1 = tf.reduce_sum(ones * one_hot, axis=2)
        n = tf.reduce_sum(all_ * one_hot, axis=2)
        probability = (n1 + 0.5) / (n + 1.0)
        of_bit = tf.where(bits == 1, probability, 1.0 - probability)
        return -tf.reduce_sum(tf.math.log(of_bit) * batch.mask, axis=0) / np.log(2.0)
