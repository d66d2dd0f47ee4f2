"""Copy: see a sequence of bits, then say it. The first task of the NTM paper.

An episode of l rows, b bits wide (Graves et al. 2014, section 4.1):

============  ============================  =====================
steps         observation (b + 1 wide)      target (b wide)
============  ============================  =====================
0 .. l - 1    the rows in channels 0..      0
l             delimiter in channel b        0
l + 1 .. 2 l  0                             the rows
============  ============================  =====================

Answers count (mask 1) from step l + 1 on.
"""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tasks import base


@base.register("copy")
class Copy(base.BitTask):
    """The copy task."""

    def __init__(
        self,
        num_bits: int = 8,
        batch_size: int = 16,
        min_length: int = 1,
        max_length: int = 20,
    ):
        """Creates the task.

        Args:
          num_bits: width b of a row, >= 1.
          batch_size: episodes in a batch, >= 1.
          min_length: least number l of rows, >= 1; lengths are drawn uniformly.
          max_length: greatest number of rows, >= `min_length`.

        Raises:
          ValueError: if an option is out of range.
        """
        base.check_positive(num_bits=num_bits, batch_size=batch_size)
        base.check_range("length", min_length, max_length)
        self.num_bits = num_bits
        self.batch_size = batch_size
        self.max_length = max_length
        self.sizes = {"length": (min_length, max_length)}
        self.num_steps = base.check_num_steps(2 * max_length + 1)
        self.input_size = num_bits + 1
        self.target_size = num_bits

    def batch(self, seed: Any, step: Any, sizes: Mapping[str, Any] | None = None) -> base.Batch:
        """Returns a batch that depends on its arguments alone."""
        keys = base.split(seed, step, 2)
        shape = [self.batch_size, self.max_length, self.num_bits]
        rows = base.uniform_integers(keys[0], shape, 0, 1)
        return self.encode(rows, self.draw_size("length", keys[1], sizes))

    def encode(self, rows: Any, lengths: Any) -> base.Batch:
        """Lays out given episodes as observations, targets and mask.

        Args:
          rows: [B, max_length, num_bits], 0 or 1; those from the episode's length on are ignored.
          lengths: [B], in [1, max_length].
        """
        rows, lengths = tf.cast(rows, tf.float32), tf.cast(lengths, tf.int32)
        t = tf.range(self.num_steps)[:, tf.newaxis]
        is_answer = (t > lengths) & (t <= 2 * lengths)
        observations = tf.concat(
            [base.place(rows, t, t < lengths), base.channel(t == lengths)], axis=2
        )
        target = base.place(rows, t - lengths - 1, is_answer)
        return base.Batch(observations, target, tf.cast(is_answer, tf.float32))

    def step_labels(self, batch: base.Batch) -> list[list[str]]:
        """Returns for each episode "row 1", ..., "copy", "1", "2", ..."""
        return [
            base.padded(
                [*(f"row {row + 1}" for row in range(n)), "copy", *map(str, range(1, n + 1))],
                self.num_steps,
            )
            for n in base.answer_steps(batch)
        ]
