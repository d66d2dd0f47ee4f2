"""Associative recall: see items, then one of them again, and say which followed it.

An episode of m items of r rows, b bits wide (Graves et al. 2014, section 4.3), with q = m (r + 1):

======================  ============================  =========================
steps                   observation (b + 2 wide)      target (b wide)
======================  ============================  =========================
k (r + 1)               delimiter in channel b        0
k (r + 1) + 1 ..        item k's rows in 0..          0
q and q + r + 1         delimiter in channel b + 1    0
q + 1 .. q + r          the rows of one item again    0
q + r + 2 ..            0                             the rows of the next item
======================  ============================  =========================

Answers count (mask 1) in the last r steps. The item asked for is never the last.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tasks import base


@base.register("associative_recall")
class AssociativeRecall(base.BitTask):
    """The associative recall task."""

    def __init__(
        self,
        num_bits: int = 6,
        batch_size: int = 16,
        min_items: int = 2,
        max_items: int = 6,
        rows_per_item: int = 3,
    ):
        """Creates the task.

        Args:
          num_bits: width b of a row, >= 1.
          batch_size: episodes in a batch, >= 1.
          min_items: least number m of items, >= 2; drawn uniformly.
          max_items: greatest number of items, >= `min_items`.
          rows_per_item: number r of rows of an item, >= 1.

        Raises:
          ValueError: if an option is out of range.
        """
        base.check_positive(num_bits=num_bits, batch_size=batch_size, rows_per_item=rows_per_item)
        base.check_range("items", min_items, max_items, at_least=2)
        self.num_bits = num_bits
        self.batch_size = batch_size
        self.max_items = max_items
        self.rows_per_item = rows_per_item
        self.sizes = {"items": (min_items, max_items)}
        self.num_steps = base.check_num_steps((max_items + 2) * (rows_per_item + 1))
        self.input_size = num_bits + 2
        self.target_size = num_bits

    def batch(self, seed: Any, step: Any, sizes: Mapping[str, Any] | None = None) -> base.Batch:
        """Returns a batch that depends on its arguments alone."""
        keys = base.split(seed, step, 3)
        shape = [self.batch_size, self.max_items, self.rows_per_item, self.num_bits]
        number = self.draw_size("items", keys[1], sizes)
        # An equal chance for each item but the last.
        drawn = base.uniform_numbers(keys[2], [self.batch_size])
        asked = tf.cast(drawn * tf.cast(number - 1, tf.float32), tf.int32)
        items = base.uniform_integers(keys[0], shape, 0, 1)
        return self.encode(items, number, tf.minimum(asked, number - 2))

    def encode(self, items: Any, number: Any, asked: Any) -> base.Batch:
        """Lays out given episodes as observations, targets and mask.

        Args:
          items: [B, max_items, rows_per_item, num_bits], 0 or 1; those that are too many are
            ignored.
          number: [B], number of items, in [2, max_items].
          asked: [B], which item is shown again, in [0, number - 2].
        """
        rows = tf.reshape(tf.cast(items, tf.float32), [self.batch_size, -1, self.num_bits])
        number, asked = tf.cast(number, tf.int32), tf.cast(asked, tf.int32)
        per_item = self.rows_per_item
        t = tf.range(self.num_steps)[:, tf.newaxis]
        question = number * (per_item + 1)  # The step of the first delimiter.
        item, row = t // (per_item + 1), t % (per_item + 1) - 1
        is_item = (t < question) & (row >= 0)
        is_question = (t > question) & (t <= question + per_item)
        answer = question + per_item + 2
        is_answer = (t >= answer) & (t < answer + per_item)
        observations = tf.concat(
            [
                base.place(rows, item * per_item + row + 0 * number, is_item)
                + base.place(rows, asked * per_item + t - question - 1, is_question),
                base.channel((t < question) & (row < 0)),
                base.channel((t == question) | (t == answer - 1)),
            ],
            axis=2,
        )
        target = base.place(rows, (asked + 1) * per_item + t - answer, is_answer)
        return base.Batch(observations, target, tf.cast(is_answer, tf.float32))

    def step_labels(self, batch: base.Batch) -> list[list[str]]:
        """Returns for each episode "item 1", "1.1", ..., "which", "? 1", ..., "next", "1", ..."""
        observations = np.asarray(batch.observations)
        rows = range(1, self.rows_per_item + 1)
        labels = []
        for b in range(observations.shape[1]):
            episode = []
            for item in range(1, int(observations[:, b, -2].sum()) + 1):
                episode += [f"item {item}", *(f"{item}.{row}" for row in rows)]
            episode += ["which", *(f"? {row}" for row in rows), "next", *map(str, rows)]
            labels.append(base.padded(episode, self.num_steps))
        return labels
