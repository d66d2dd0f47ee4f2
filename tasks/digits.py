"""Base of addition and argmax: see digits, then output a number that follows from them.

An episode of l digits from 0 to d - 1 (as in pytorch-dnc and an implementation in Chainer):

============  ==================================  ====================
steps         observation (d + 1 wide)            target (1 wide)
============  ==================================  ====================
0 .. l - 1    1 in the channel of the digit       0
l             delimiter in channel d              the answer, a number
============  ==================================  ====================

The last step counts (mask 1), or with `mask_all`, all steps. The loss is the squared error.
"""

import abc
import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tasks import draws, encoding
from tasks.answers import NumberTask
from tasks.base import Batch, make_batch
from tasks.options import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class DigitTask(NumberTask):
    """A task about digits."""

    num_digits: int = option(5, "Number d of different digits.", minimum=1)
    min_length: int = option(2, "Minimum number l of digits; drawn uniformly.", minimum=1)
    max_length: int = option(12, "Maximum number of digits.", minimum=1)
    mask_all: bool = option(False, "Whether all steps count, with target 0 before the last.")

    input_size = property(lambda self: self.num_digits + 1)
    output_size = property(lambda self: 1)
    num_steps = property(lambda self: self.max_length + 1)

    def batch(self, split: str, seed: Any, step: Any, lesson: Any = None) -> Batch:
        """Returns a batch that depends on its arguments alone."""
        keys = draws.keys(split, seed, step, 2)
        lesson = self.draw_lessons(split, seed, step, lesson)
        shape = [self.batch_size, self.max_length]
        digits = draws.uniform_integers(keys[0], shape, 0, self.num_digits - 1)
        return self.encode(digits, self.draw_size("length", keys[1], lesson))

    def encode(self, digits: Any, lengths: Any) -> Batch:
        """Lays out given episodes as observations, targets and mask.

        Args:
          digits: [B, max_length], in [0, num_digits - 1]; digits from the episode's length on are
            ignored.
          lengths: [B], in [1, max_length].
        """
        digits, lengths = tf.cast(digits, tf.int32), tf.cast(lengths, tf.int32)
        t = tf.range(self.num_steps)[:, tf.newaxis]
        is_end = t == lengths
        shown = encoding.place(tf.one_hot(digits, self.num_digits), t, t < lengths)
        observations = tf.concat([shown, encoding.channel(is_end)], axis=2)
        digits = tf.where(tf.range(self.max_length) < lengths[:, tf.newaxis], digits, -1)
        target = encoding.channel(is_end, tf.cast(self.right_answer(digits), tf.float32))
        mask = t <= lengths if self.mask_all else is_end
        return make_batch(observations, target, mask)

    @abc.abstractmethod
    def right_answer(self, digits: tf.Tensor) -> tf.Tensor:
        """Returns the answers [B] for digits [B, max_length], with -1 after the last digit."""

    def step_labels(self, batch: Batch) -> list[list[str]]:
        """Returns the digits of each episode, then "= " and the answer."""
        observations, target = (np.asarray(part) for part in batch[:2])
        labels = []
        for b in range(observations.shape[1]):
            end = int(observations[:, b, -1].argmax())
            digits = observations[:end, b].argmax(axis=1)
            answer = f"= {target[end, b, 0]:.0f}"
            labels.append(encoding.padded([*map(str, digits), answer], self.num_steps))
        return labels
