"""Copy series: several copy problems one after another, with fewer slots than rows.

The memory has to be freed and used again (Graves et al. 2016, Extended Data Fig. 1). An episode is
a number of copies, each with its own l rows, b bits wide:

=====================  ============================  =====================
steps of each copy     observation (b + 1 wide)      target (b wide)
=====================  ============================  =====================
0 .. l - 1             the rows in channels 0..      0
l                      delimiter in channel b        0
l + 1 .. 2 l           0                             the rows
2 l + 1 (if blank)     0                             0
=====================  ============================  =====================

Answers count (mask 1) in steps l + 1 to 2 l of each copy; or all steps do.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tasks import base


@base.register("copy_series")
class CopySeries(base.BitTask):
    """The copy series task."""

    def __init__(
        self,
        num_bits: int = 6,
        batch_size: int = 16,
        min_copies: int = 10,
        max_copies: int = 10,
        min_length: int = 5,
        max_length: int = 5,
        blank: bool = False,
        mask_all: bool = False,
    ):
        """Creates the task; by default that of the paper, of 10 copies of 5 rows.

        Args:
          num_bits: width b of a row, >= 1.
          batch_size: episodes in a batch, >= 1.
          min_copies: least number of copies, >= 1; drawn uniformly for each episode.
          max_copies: greatest number of copies, >= `min_copies`.
          min_length: least number l of rows, >= 1; drawn uniformly for each copy.
          max_length: greatest number of rows, >= `min_length`.
          blank: whether each copy ends with a step without anything.
          mask_all: whether all steps count, not the answers alone.

        Raises:
          ValueError: if an option is out of range.
        """
        base.check_positive(num_bits=num_bits, batch_size=batch_size)
        base.check_range("copies", min_copies, max_copies)
        base.check_range("length", min_length, max_length)
        self.num_bits = num_bits
        self.batch_size = batch_size
        self.max_copies, self.max_length = max_copies, max_length
        self.blank, self.mask_all = blank, mask_all
        self.sizes = {"copies": (min_copies, max_copies), "length": (min_length, max_length)}
        self.num_steps = base.check_num_steps(max_copies * (2 * max_length + 1 + blank))
        self.input_size = num_bits + 1
        self.target_size = num_bits

    def batch(self, seed: Any, step: Any, sizes: Mapping[str, Any] | None = None) -> base.Batch:
        """Returns a batch that depends on its arguments alone.

        A given length is that of all copies of an episode.
        """
        keys = base.split(seed, step, 3)
        shape = [self.batch_size, self.max_copies]
        lengths = base.uniform_integers(keys[1], shape, *self.sizes["length"])
        if sizes and "length" in sizes:
            lengths = tf.broadcast_to(tf.cast(sizes["length"], tf.int32)[:, tf.newaxis], shape)
        rows = base.uniform_integers(keys[0], [*shape, self.max_length, self.num_bits], 0, 1)
        return self.encode(rows, lengths, self.draw_size("copies", keys[2], sizes))

    def encode(self, rows: Any, lengths: Any, copies: Any) -> base.Batch:
        """Lays out given episodes as observations, targets and mask.

        Args:
          rows: [B, max_copies, max_length, num_bits], 0 or 1; those that are too many are ignored.
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
                base.place(rows, first_row + step, is_there & (step < length)),
                base.channel(is_there & (step == length)),
            ],
            axis=2,
        )
        target = base.place(rows, first_row + step - length - 1, is_answer)
        mask = is_there if self.mask_all else is_answer
        return base.Batch(observations, target, tf.cast(mask, tf.float32))

    def step_labels(self, batch: base.Batch) -> list[list[str]]:
        """Returns for each episode "1 row 1", ..., "copy", "1.1", ..., then of copy 2, ..."""
        ends = np.asarray(batch.observations)[:, :, -1]
        labels = []
        for b in range(ends.shape[1]):
            episode: list[str] = []
            for number, end in enumerate(np.flatnonzero(ends[:, b]), start=1):
                length = end - len(episode)
                episode += [f"{number} row {row}" for row in range(1, length + 1)]
                episode += ["copy", *(f"{number}.{row}" for row in range(1, length + 1))]
                episode += [""] * self.blank
            labels.append(base.padded(episode, self.num_steps))
        return labels
