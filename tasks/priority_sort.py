"""Priority sort: see rows with priorities, then say them in that order.

With `layout="ntm"` (Graves et al. 2014, section 4.5), an episode of l rows, b bits wide, of which
the n = 4 l / 5 (rounded down, at least 1) with the highest priorities are asked for:

==============  =======================================================  ======================
steps           observation (b + 2 wide)                                 target (b wide)
==============  =======================================================  ======================
0 .. l - 1      a row in channels 0.., its priority in channel b         0
l               delimiter in channel b + 1                               0
l + 1 .. l + n  0                                                        the rows, highest first
==============  =======================================================  ======================

Answers count (mask 1). With `layout="chainer"` (an implementation in Chainer), all are asked for:

==============  =======================================================  ======================
steps           observation (b + 2 wide)                                 target (b wide)
==============  =======================================================  ======================
0 .. l - 2      priority in channel 0, a row in channels 1..             0
l - 1           delimiter in channel b + 1                               0
l               0                                                        0
l + 1 ..        0                                                        the rows, lowest first
==============  =======================================================  ======================

There all 2 l steps count. Priorities are drawn uniformly from [-1, 1).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tasks import base

LAYOUTS = ("ntm", "chainer")


@base.register("priority_sort")
class PrioritySort(base.BitTask):
    """The priority sort task."""

    def __init__(
        self,
        num_bits: int = 8,
        batch_size: int = 16,
        min_length: int = 20,
        max_length: int = 20,
        layout: str = "ntm",
    ):
        """Creates the task.

        Args:
          num_bits: width b of a row, >= 1.
          batch_size: episodes in a batch, >= 1.
          min_length: least l, >= 1, or >= 2 for the layout "chainer"; drawn uniformly.
          max_length: greatest l, >= `min_length`.
          layout: "ntm" or "chainer".

        Raises:
          ValueError: if an option is out of range.
        """
        base.check_positive(num_bits=num_bits, batch_size=batch_size)
        base.check_choice("layout", layout, LAYOUTS)
        base.check_range("length", min_length, max_length, at_least=1 + (layout == "chainer"))
        self.num_bits = num_bits
        self.batch_size = batch_size
        self.layout = layout
        self.sizes = {"length": (min_length, max_length)}
        steps = max_length + 1 + self._num_answers(max_length)
        self.num_steps = base.check_num_steps(2 * max_length if layout == "chainer" else steps)
        self.max_rows = max_length - (layout == "chainer")
        self.input_size = num_bits + 2
        self.target_size = num_bits

    def batch(self, seed: Any, step: Any, sizes: Mapping[str, Any] | None = None) -> base.Batch:
        """Returns a batch that depends on its arguments alone."""
        keys = base.split(seed, step, 3)
        shape = [self.batch_size, self.max_rows]
        return self.encode(
            rows=base.uniform_integers(keys[0], [*shape, self.num_bits], 0, 1),
            priorities=base.uniform_numbers(keys[1], shape, -1.0, 1.0),
            lengths=self.draw_size("length", keys[2], sizes),
        )

    def encode(self, rows: Any, priorities: Any, lengths: Any) -> base.Batch:
        """Lays out given episodes as observations, targets and mask.

        Args:
          rows: [B, max_rows, num_bits], 0 or 1, where max_rows is the greatest l, or one less for
            the layout "chainer"; those that are too many are ignored.
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
        bits = base.place(rows, t, shown)
        priority = base.place(priorities[:, :, tf.newaxis], t, shown)
        end = base.channel(t == number)
        parts = [bits, priority, end] if is_ntm else [priority, bits, end]
        target = base.place(in_order, t - first, is_answer)
        mask = is_answer if is_ntm else t < 2 * lengths
        return base.Batch(tf.concat(parts, axis=2), target, tf.cast(mask, tf.float32))

    def step_labels(self, batch: base.Batch) -> list[list[str]]:
        """Returns for each episode the priorities, "sort", then "no. 1", "no. 2", ..."""
        observations, mask = np.asarray(batch.observations), np.asarray(batch.mask)
        priority = self.num_bits if self.layout == "ntm" else 0
        labels = []
        for b in range(observations.shape[1]):
            end = int(np.flatnonzero(observations[:, b, -1])[0])
            last = int(np.flatnonzero(mask[:, b])[-1])
            episode = [f"{x:+.2f}" for x in observations[:end, b, priority]] + ["sort"]
            episode += [""] * (self.layout == "chainer")
            episode += [f"no. {k + 1}" for k in range(last + 1 - len(episode))]
            labels.append(base.padded(episode, self.num_steps))
        return labels

    @staticmethod
    def _num_answers(length: Any) -> Any:
        number = 4 * length // 5
        return tf.maximum(number, 1) if tf.is_tensor(number) else max(number, 1)
