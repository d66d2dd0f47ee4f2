"""What addition and argmax have in common: see digits, then say a number that follows from them.

An episode of l digits from 0 to d - 1 (an implementation in Chainer, and pytorch-dnc):

============  ==================================  ====================
steps         observation (d + 1 wide)            target (1 wide)
============  ==================================  ====================
0 .. l - 1    1 in the channel of the digit       0
l             delimiter in channel d              the answer, a number
============  ==================================  ====================

The last step counts (mask 1); or all do. The loss is the squared error.
"""

import abc
from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tasks import base


class DigitTask(base.NumberTask):
    """What addition and argmax have in common."""

    def __init__(
        self,
        num_digits: int = 5,
        batch_size: int = 16,
        min_length: int = 2,
        max_length: int = 12,
        mask_all: bool = False,
    ):
        """Creates the task.

        Args:
          num_digits: number d of different digits, >= 1.
          batch_size: episodes in a batch, >= 1.
          min_length: least number l of digits, >= 1; drawn uniformly.
          max_length: greatest number of digits, >= `min_length`.
          mask_all: whether all steps count, with target 0 before the last.

        Raises:
          ValueError: if an option is out of range.
        """
        base.check_positive(num_digits=num_digits, batch_size=batch_size)
        base.check_range("length", min_length, max_length)
        self.num_digits = num_digits
        self.batch_size = batch_size
        self.max_length = max_length
        self.mask_all = mask_all
        self.sizes = {"length": (min_length, max_length)}
        self.num_steps = base.check_num_steps(max_length + 1)
        self.input_size = num_digits + 1
        self.target_size = 1

    def batch(self, seed: Any, step: Any, sizes: Mapping[str, Any] | None = None) -> base.Batch:
        """Returns a batch that depends on its arguments alone."""
        keys = base.split(seed, step, 2)
        shape = [self.batch_size, self.max_length]
        digits = base.uniform_integers(keys[0], shape, 0, self.num_digits - 1)
        return self.encode(digits, self.draw_size("length", keys[1], sizes))

    def encode(self, digits: Any, lengths: Any) -> base.Batch:
        """Lays out given episodes as observations, targets and mask.

        Args:
          digits: [B, max_length], in [0, num_digits - 1]; those from the episode's length on are
            ignored.
          lengths: [B], in [1, max_length].
        """
        digits, lengths = tf.cast(digits, tf.int32), tf.cast(lengths, tf.int32)
        t = tf.range(self.num_steps)[:, tf.newaxis]
        is_end = t == lengths
        shown = base.place(tf.one_hot(digits, self.num_digits), t, t < lengths)
        observations = tf.concat([shown, base.channel(is_end)], axis=2)
        digits = tf.where(tf.range(self.max_length) < lengths[:, tf.newaxis], digits, -1)
        target = base.channel(is_end, tf.cast(self.right_answer(digits), tf.float32))
        mask = t <= lengths if self.mask_all else is_end
        return base.Batch(observations, target, tf.cast(mask, tf.float32))

    @abc.abstractmethod
    def right_answer(self, digits: tf.Tensor) -> tf.Tensor:
        """Returns the answers [B] for digits [B, max_length], -1 where there is none."""

    def step_labels(self, batch: base.Batch) -> list[list[str]]:
        """Returns for each episode its digits, then "= " and the answer."""
        observations, target = (np.asarray(part) for part in batch[:2])
        labels = []
        for b in range(observations.shape[1]):
            end = int(observations[:, b, -1].argmax())
            digits = observations[:end, b].argmax(axis=1)
            answer = f"= {target[end, b, 0]:.0f}"
            labels.append(base.padded([*map(str, digits), answer], self.num_steps))
        return labels
