"""Associative recall: see items, then one of them again, and output the item that followed it.

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

Answers count (mask 1) in the last r steps. The item shown again is never the last.
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
class AssociativeRecall(BitTask):
    """The associative recall task: output the item that followed another."""

    name = "associative_recall"

    num_bits: int = option(6, "Width b of a row.", minimum=1)
    min_items: int = option(2, "Minimum number m of items; drawn uniformly.", minimum=2)
    max_items: int = option(6, "Maximum number of items.", minimum=2)
    rows_per_item: int = option(3, "Number r of rows of an item.", minimum=1)

    input_size = property(lambda self: self.num_bits + 2)
    output_size = property(lambda self: self.num_bits)
    num_steps = property(lambda self: (self.max_items + 2) * (self.rows_per_item + 1))

    def batch(self, split: str, seed: Any, step: Any, lesson: Any = None) -> Batch:
        """Returns a batch that depends on its arguments alone."""
        keys = draws.keys(split, seed, step, 3)
        lesson = self.draw_lessons(split, seed, step, lesson)
        shape = [self.batch_size, self.max_items, self.rows_per_item, self.num_bits]
        number = self.draw_size("items", keys[1], lesson)
        # Each item except the last is equally likely.
        drawn = draws.uniform_numbers(keys[2], [self.batch_size])
        asked = tf.cast(drawn * tf.cast(number - 1, tf.float32), tf.int32)
        items = draws.uniform_integers(keys[0], shape, 0, 1)
        return self.encode(items, number, tf.minimum(asked, number - 2))

    def encode(self, items: Any, number: Any, asked: Any) -> Batch:
        """Lays out given episodes as observations, targets and mask.

        Args:
          items: [B, max_items, rows_per_item, num_bits], 0 or 1; surplus items are
            ignored.
          number: [B], number of items, in [2, max_items].
          asked: [B], number of the item that is shown again, in [0, number - 2].
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
                encoding.place(rows, item * per_item + row + 0 * number, is_item)
                + encoding.place(rows, asked * per_item + t - question - 1, is_question),
                encoding.channel((t < question) & (row < 0)),
                encoding.channel((t == question) | (t == answer - 1)),
            ],
            axis=2,
        )
        target = encoding.place(rows, (asked + 1) * per_item + t - answer, is_answer)
        return make_batch(observations, target, is_answer)

    def step_labels(self, batch: Batch) -> list[list[str]]:
        """Returns labels "item 1", "1.1", ..., "which", "? 1", ..., "next", "1", ..."""
        observations = np.asarray(batch.observations)
        rows = range(1, self.rows_per_item + 1)
        labels = []
        for b in range(observations.shape[1]):
            episode = []
            for item in range(1, int(observations[:, b, -2].sum()) + 1):
                episode += [f"item {item}", *(f"{item}.{row}" for row in rows)]
            episode += ["which", *(f"? {row}" for row in rows), "next", *map(str, rows)]
            labels.append(encoding.padded(episode, self.num_steps))
        return labels
