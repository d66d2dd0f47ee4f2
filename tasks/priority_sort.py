"""Priority sort: see rows with priorities, then output them in order of priority.

With `layout="ntm"` (Graves et al. 2014, section 4.5), an episode of l rows, b bits wide, whose
answer is the n = 4 l / 5 rows (rounded down, at least 1) with the highest priorities:

==============  =======================================================  ======================
steps           observation (b + 2 wide)                                 target (b wide)
==============  =======================================================  ======================
0 .. l - 1      a row in channels 0.., its priority in channel b         0
l               delimiter in channel b + 1                               0
l + 1 .. l + n  0                                                        the rows, highest first
==============  =======================================================  ======================

Answers count (mask 1). With `layout="chainer"` (an implementation in Chainer), it is all rows:

==============  =======================================================  ======================
steps           observation (b + 2 wide)                                 target (b wide)
==============  =======================================================  ======================
0 .. l - 2      priority in channel 0, a row in channels 1..             0
l - 1           delimiter in channel b + 1                               0
l               0                                                        0
l + 1 ..        0                                                        the rows, lowest first
==============  =======================================================  ======================

In this layout all 2 l steps count. Priorities are drawn uniformly from [-1, 1).
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
class PrioritySort(BitTask):
    """The priority sort task: output rows in order of priority."""

    name = "priority_sort"

    num_bits: int = option(8, "Width b of a row.", minimum=1)
    min_length: int = option(20, "Minimum l; drawn uniformly. At least 2 for chainer.", minimum=1)
    max_length: int = option(20, "Maximum l.", minimum=1)
    layout: str = option("ntm", "Layout of an episode.", choices=("ntm", "chainer"))

    input_size = property(lambda self: self.num_bits + 2)
    output_size = property(lambda self: self.num_bits)

    @property
    def num_steps(self) -> int:
        """Number of steps of the longest episode."""
        if self.layout == "chainer":
            return 2 * self.max_length
        return self.max_length + 1 + self._num_answers(self.max_length)

    @property
    def max_rows(self) -> int:
        """Maximum number of rows."""
        return self.max_length - (self.layout == "chainer")

    def check(self) -> None:
        """Raises `ValueError` if there are no rows."""
        if self.layout == "chainer" and self.min_length < 2:
            raise ValueError(
                f"min_length must be >= 2 for the layout chainer, got {self.min_length}."
            )

    def batch(self, split: str, seed: Any, step: Any, lesson: Any = None) -> Batch:
        """Returns a batch that depends on its arguments alone."""
        keys = draws.keys(split, seed, step, 3)
        lesson = self.draw_lessons(split, seed, step, lesson)
        shape = [self.batch_size, self.max_rows]
        return self.encode(
            rows=draws.uniform_integers(keys[0], [*shape, self.num_bits], 0, 1),
            priorities=draws.uniform_numbers(keys[1], shape, -1.0, 1.0),
            lengths=self.draw_size("length", keys[2], lesson),
        )

    def encode(self, rows: Any, priorities: Any, lengths: Any) -> Batch:
        """Lays out given episodes as observations, targets and mask.

        Args:
          rows: [B, max_rows, num_bits], 0 or 1; surplus rows are ignored.
          priorities: [B, max_rows], in [-1, 1].
          lengths: [B], the l of each episode.
        """
        rows, priorities = tf.cast(rows, tf.float32), tf.cast(priorities, tf.float32)
        lengths = tf.cast(lengths, tf.int32)
        is_ntm = self.layout == "ntm"
        number = lengths if is_ntm else lengths - 1
        is_row = tf.range(self.max_rows) < number[:, tf.newaxis]
        rank = tf.where(is_row, -priorities if is_ntm else priorities, 2.0)
        in_order = tf.gather(rows, tf.argsort(rank, axis=1, stable=True), batch_dims=1)

        t = tf.range(self.num_steps)[:, tf.newaxis]
        first, num_answers = lengths + 1, self._num_answers(lengths) if is_ntm else number
        is_answer = (t >= first) & (t < first + num_answers)
        shown = t < number
        bits = encoding.place(rows, t, shown)
        priority = encoding.place(priorities[:, :, tf.newaxis], t, shown)
        end = encoding.channel(t == number)
        parts = [bits, priority, end] if is_ntm else [priority, bits, end]
        target = encoding.place(in_order, t - first, is_answer)
        mask = is_answer if is_ntm else t < 2 * lengths
        return make_batch(tf.concat(parts, axis=2), target, mask)

    def step_labels(self, batch: Batch) -> list[list[str]]:
        """Returns the priorities of each episode, then "sort", "no. 1", "no. 2", ..."""
        observations, mask = np.asarray(batch.observations), np.asarray(batch.mask)
        priority = self.num_bits if self.layout == "ntm" else 0
        labels = []
        for b in range(observations.shape[1]):
            end = int(np.flatnonzero(observations[:, b, -1])[0])
            last = int(np.flatnonzero(mask[:, b])[-1])
            episode = [f"{x:+.2f}" for x in observations[:end, b, priority]] + ["sort"]
            episode += [""] * (self.layout == "chainer")
            episode += [f"no. {k + 1}" for k in range(last + 1 - len(episode))]
            labels.append(encoding.padded(episode, self.num_steps))
        return labels

    @staticmethod
    def _num_answers(length: Any) -> Any:
        number = 4 * length // 5
        return tf.maximum(number, 1) if tf.is_tensor(number) else max(number, 1)
