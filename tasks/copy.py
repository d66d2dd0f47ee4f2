"""Copy: see a sequence of bits, then reproduce it. The first task of the NTM paper.

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

import dataclasses
from typing import Any

import tensorflow as tf

from tasks import draws, encoding
from tasks.answers import BitTask
from tasks.base import Batch, make_batch
from tasks.options import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Copy(BitTask):
    """The copy task: reproduce a sequence."""

    name = "copy"

    num_bits: int = option(8, "Width b of a row.", minimum=1)
    min_length: int = option(1, "Minimum number l of rows; drawn uniformly.", minimum=1)
    max_length: int = option(20, "Maximum number of rows.", minimum=1)

    input_size = property(lambda self: self.num_bits + 1)
    output_size = property(lambda self: self.num_bits)
    num_steps = property(lambda self: 2 * self.max_length + 1)

    def batch(self, split: str, seed: Any, step: Any, lesson: Any = None) -> Batch:
        """Returns a batch that depends on its arguments alone."""
        keys = draws.keys(split, seed, step, 2)
        lesson = self.draw_lessons(split, seed, step, lesson)
        shape = [self.batch_size, self.max_length, self.num_bits]
        rows = draws.uniform_integers(keys[0], shape, 0, 1)
        return self.encode(rows, self.draw_size("length", keys[1], lesson))

    def encode(self, rows: Any, lengths: Any) -> Batch:
        """Lays out given episodes as observations, targets and mask.

        Args:
          rows: [B, max_length, num_bits], 0 or 1; rows from the episode's length on are ignored.
          lengths: [B], in [1, max_length].
        """
        rows, lengths = tf.cast(rows, tf.float32), tf.cast(lengths, tf.int32)
        t = tf.range(self.num_steps)[:, tf.newaxis]
        is_answer = (t > lengths) & (t <= 2 * lengths)
        observations = tf.concat(
            [encoding.place(rows, t, t < lengths), encoding.channel(t == lengths)], axis=2
        )
        target = encoding.place(rows, t - lengths - 1, is_answer)
        return make_batch(observations, target, is_answer)

    def step_labels(self, batch: Batch) -> list[list[str]]:
        """Returns labels "row 1", ..., "copy", "1", "2", ..."""
        return [
            encoding.padded(
                [*(f"row {row + 1}" for row in range(n)), "copy", *map(str, range(1, n + 1))],
                self.num_steps,
            )
            for n in encoding.answer_steps(batch.mask)
        ]
