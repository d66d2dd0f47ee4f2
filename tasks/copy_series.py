"""Copy series: several copy problems one after another, with fewer slots than rows.

The memory has to be freed and reused (Graves et al. 2016, Extended Data Fig. 1). An episode is
a number of copies, each with its own l rows, b bits wide:

=====================  ============================  =====================
steps of each copy     observation (b + 1 wide)      target (b wide)
=====================  ============================  =====================
0 .. l - 1             the rows in channels 0..      0
l                      delimiter in channel b        0
l + 1 .. 2 l           0                             the rows
2 l + 1 (if blank)     0                             0
=====================  ============================  =====================

Answers count (mask 1) in steps l + 1 to 2 l of each copy. With `mask_all`, all steps count.
"""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tasks import draws, encoding
from tasks.answers import BitTask
from tasks.base import Batch, make_batch
from tasks.options import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class CopySeries(BitTask):
    """The copy series task: reproduce sequences one after another, with fewer slots than rows.

    The defaults are the paper's: 10 copies of 5 rows.
    """

    name = "copy_series"

    num_bits: int = option(6, "Width b of a row.", minimum=1)
    min_copies: int = option(10, "Minimum number of copies; drawn uniformly.", minimum=1)
    max_copies: int = option(10, "Maximum number of copies.", minimum=1)
    min_length: int = option(
        5, "Minimum number l of rows; drawn uniformly for each copy.", minimum=1
    )
    max_length: int = option(5, "Maximum number of rows.", minimum=1)
    blank: bool = option(False, "Whether each copy ends with an empty step.")
    mask_all: bool = option(False, "Whether all steps count, not only the answers.")

    input_size = property(lambda self: self.num_bits + 1)
    output_size = property(lambda self: self.num_bits)
    num_steps = property(lambda self: self.max_copies * (2 * self.max_length + 1 + self.blank))

    def batch(self, split: str, seed: Any, step: Any, lesson: Any = None) -> Batch:
        """Returns a batch that depends on its arguments alone."""
        keys = draws.keys(split, seed, step, 3)
        lesson = self.draw_lessons(split, seed, step, lesson)
        shape = [self.batch_size, self.max_copies]
        lengths = self.draw_size("length", keys[1], lesson, [self.max_copies])
        rows = draws.uniform_integers(keys[0], [*shape, self.max_length, self.num_bits], 0, 1)
        return self.encode(rows, lengths, self.draw_size("copies", keys[2], lesson))

    def encode(self, rows: Any, lengths: Any, copies: Any) -> Batch:
        """Lays out given episodes as observations, targets and mask.

        Args:
          rows: [B, max_copies, max_length, num_bits], 0 or 1; surplus rows are ignored.
          lengths: [B, max_copies], in [1, max_length].
          copies: [B], in [1, max_copies].
        """
        rows = tf.reshape(tf.cast(rows, tf.float32), [self.batch_size, -1, self.num_bits])
        lengths, copies = tf.cast(lengths, tf.int32), tf.cast(copies, tf.int32)
        ends = tf.cumsum(2 * lengths + 1 + self.blank, axis=1)  # [B, copies]
        t = tf.range(self.num_steps)[:, tf.newaxis]
        number = tf.reduce_sum(tf.cast(t[:, :, tf.newaxis] >= ends, tf.int32), axis=2)  # [T, B]
        is_there = number < copies
        number = tf.minimum(number, self.max_copies - 1)

        def of_copy(values: tf.Tensor) -> tf.Tensor:
            return tf.transpose(tf.gather(values, tf.transpose(number), batch_dims=1))

        length = of_copy(lengths)
        step = t - of_copy(ends) + 2 * length + 1 + self.blank  # of the copy
        first_row = number * self.max_length
        is_answer = is_there & (step > length) & (step <= 2 * length)
        observations = tf.concat(
            [
                encoding.place(rows, first_row + step, is_there & (step < length)),
                encoding.channel(is_there & (step == length)),
            ],
            axis=2,
        )
        target = encoding.place(rows, first_row + step - length - 1, is_answer)
        mask = is_there if self.mask_all else is_answer
        return make_batch(observations, target, mask)

    def step_labels(self, batch: Batch) -> list[list[str]]:
        """Returns labels "1 row 1", ..., "copy", "1.1", ..., then the labels of copy 2, ..."""
        ends = np.asarray(batch.observations)[:, :, -1]
        labels = []
        for b in range(ends.shape[1]):
            episode: list[str] = []
            for number, end in enumerate(np.flatnonzero(ends[:, b]), start=1):
                length = end - len(episode)
                episode += [f"{number} row {row}" for row in range(1, length + 1)]
                episode += ["copy", *(f"{number}.{row}" for row in range(1, length + 1))]
                episode += [""] * self.blank
            labels.append(encoding.padded(episode, self.num_steps))
        return labels
