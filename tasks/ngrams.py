"""Dynamic n-grams: predict the next bit of a sequence whose statistics are new each time.

Each episode has its own probability of a 1 after each of the 2^c sequences of the last c bits,
drawn from Beta(1/2, 1/2) (Graves et al. 2014, section 4.4). The first c bits are 0 or 1 alike.

=====  ==========================  ===============
steps  observation (1 wide)        target (1 wide)
=====  ==========================  ===============
0      0                           bit 0
t      bit t - 1                   bit t
=====  ==========================  ===============

All steps count (mask 1). Nobody can be always right: `excess_bits` is by how much the answer is
worse than the best that can be known from the bits so far.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tasks import base

# In bits per episode. The NTM of the paper came within about 2 of the optimum, its LSTM 5.
_SOLVED = 3.0


@base.register("ngrams")
class NGrams(base.BitTask):
    """The dynamic n-grams task."""

    metric_names = ("excess_bits", "solved_sequences")

    def __init__(
        self,
        batch_size: int = 16,
        min_length: int = 200,
        max_length: int = 200,
        context: int = 5,
    ):
        """Creates the task.

        Args:
          batch_size: episodes in a batch, >= 1.
          min_length: least number of bits, >= 1; drawn uniformly.
          max_length: greatest number of bits, >= `min_length`.
          context: number c of bits that the next one depends on, from 1 to 16.

        Raises:
          ValueError: if an option is out of range.
        """
        base.check_positive(batch_size=batch_size, context=context)
        base.check_range("length", min_length, max_length)
        if context > 16:
            raise ValueError(f"context must be at most 16, got {context}.")
        self.batch_size = batch_size
        self.context = context
        self.sizes = {"length": (min_length, max_length)}
        self.num_steps = base.check_num_steps(max_length)
        self.input_size = self.target_size = 1

    def batch(self, seed: Any, step: Any, sizes: Mapping[str, Any] | None = None) -> base.Batch:
        """Returns a batch that depends on its arguments alone."""
        keys = base.split(seed, step, 3)
        uniform = base.uniform_numbers(keys[0], [self.batch_size, 2**self.context])
        # The inverse of the distribution function of Beta(1/2, 1/2).
        probabilities = tf.sin(0.5 * np.pi * uniform) ** 2
        draws = base.uniform_numbers(keys[1], [self.num_steps, self.batch_size])
        return self.encode(probabilities, draws, self.draw_size("length", keys[2], sizes))

    def encode(self, probabilities: Any, draws: Any, lengths: Any) -> base.Batch:
        """Draws the bits and lays out the episodes.

        Args:
          probabilities: [B, 2^context], of a 1 after each context. The last bit is the lowest of
            the context's number.
          draws: [max_length, B], in [0, 1): the bit is 1 where this is less than its probability.
          lengths: [B], in [1, max_length].
        """
        probabilities = tf.cast(probabilities, tf.float32)

        def next_bit(before: tuple[tf.Tensor, ...], drawn: tuple[tf.Tensor, ...]) -> Any:
            (context, _), (step, draw) = before, drawn
            known = tf.gather(probabilities, context, batch_dims=1)
            bit = tf.cast(draw < tf.where(step < self.context, 0.5, known), tf.int32)
            return (2 * context + bit) % 2**self.context, bit

        none = tf.zeros([self.batch_size], tf.int32)
        steps = tf.range(self.num_steps)
        _, bits = tf.scan(next_bit, (steps, tf.cast(draws, tf.float32)), (none, none))
        is_there = steps[:, tf.newaxis] < tf.cast(lengths, tf.int32)
        target = base.channel(is_there, tf.cast(bits, tf.float32))
        observations = tf.pad(target[:-1], [[1, 0], [0, 0], [0, 0]])
        observations *= tf.cast(is_there, tf.float32)[:, :, tf.newaxis]
        return base.Batch(observations, target, tf.cast(is_there, tf.float32))

    def is_solved(self, metrics: Mapping[str, float]) -> bool:
        """Whether it is less than 3 bits per sequence worse than the best possible."""
        return metrics["excess_bits"] < _SOLVED

    def metrics(self, logits: tf.Tensor, batch: base.Batch) -> dict[str, tf.Tensor]:
        """Returns `excess_bits`, and `solved_sequences`: 1 if these are less than 3.

        One episode says little about a prediction, so that is judged by the mean of the batch.
        """
        cost = base.masked_sigmoid_cross_entropy(
            logits, batch.target, batch.mask, log_prob_in_bits=True
        )
        excess = cost - tf.reduce_mean(self.optimal_cost(batch))
        return {
            "excess_bits": excess,
            "solved_sequences": tf.cast(excess < _SOLVED, logits.dtype),
        }

    def optimal_cost(self, batch: base.Batch) -> tf.Tensor:
        """Returns the least cost that can be expected, in bits per episode, [B].

        It is that of the Bayesian prediction (N1 + 1/2) / (N0 + N1 + 1) from how often 0 and 1 came
        after the same context before.
        """
        bits = tf.cast(batch.target[:, :, 0], tf.int32)  # [T, B]
        contexts = tf.zeros_like(bits)
        for k in range(1, self.context + 1):
            contexts += 2 ** (k - 1) * tf.pad(
                bits[: self.num_steps - k], [[min(k, self.num_steps), 0], [0, 0]]
            )
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
