"""Repeat copy: see a short pattern of bits and a number, then repeat the pattern that many times.

An episode of a pattern of l rows and r repeats, b bits wide:

==================  ===========================  ==========================
steps               observation (b + 2 wide)     target (b + 1 wide)
==================  ===========================  ==========================
0                   start marker in channel b    0
1 .. l              the pattern in channels 0..  0
l + 1               r / norm_max in channel b+1  0
l + 2 .. l + 1 + lr 0                            the pattern, r times over
l + 2 + lr          0                            end marker in channel b
==================  ===========================  ==========================

Answers count (mask 1) from step l + 2 to the end marker. After it, up to the length of the longest
possible episode, all values are zero. This is the task of DeepMind's released DNC, which pads only
to the longest episode of a batch; the padding does not change the loss.

With `layout="numpy"` (DNC-NumPy), all steps up to the end marker count. The observation has r
itself in channel 0, the start marker in channel 1, and the pattern from channel 2 on. The target
has the end marker in channel 0, and the pattern from channel 1 on.
"""

import dataclasses
from typing import Any

import numpy as np
import tensorflow as tf

from tasks import draws, encoding
from tasks.answers import BitTask, masked_sigmoid_cross_entropy
from tasks.base import Batch, make_batch
from tasks.options import option


@dataclasses.dataclass(frozen=True, kw_only=True)
class RepeatCopy(BitTask):
    """The repeat copy task: reproduce a pattern several times."""

    name = "repeat_copy"

    num_bits: int = option(4, "Width b of the pattern.", minimum=1)
    min_length: int = option(1, "Minimum length l of the pattern; drawn uniformly.", minimum=1)
    max_length: int = option(2, "Maximum length.", minimum=1)
    min_repeats: int = option(1, "Minimum number r of repeats; drawn uniformly.", minimum=1)
    max_repeats: int = option(2, "Maximum number of repeats.", minimum=1)
    norm_max: int = option(
        10,
        "Divisor of the number of repeats in the observation; unused in the numpy layout.",
        minimum=1,
    )
    log_prob_in_bits: bool = option(False, "Whether the loss is in bits instead of nats.")
    time_average_cost: bool = option(
        False, "Whether the loss is averaged, not summed, over the steps that count."
    )
    layout: str = option("deepmind", "Layout of an episode.", choices=("deepmind", "numpy"))

    input_size = property(lambda self: self.num_bits + 2)
    output_size = property(lambda self: self.num_bits + 1)
    num_steps = property(lambda self: self.max_length * (self.max_repeats + 1) + 3)
    _number_channel = property(lambda self: 0 if self.layout == "numpy" else self.num_bits + 1)
    _unit = property(lambda self: 1 if self.layout == "numpy" else self.norm_max)

    def batch(self, split: str, seed: Any, step: Any, lesson: Any = None) -> Batch:
        """Returns a batch that depends on its arguments alone."""
        keys = draws.keys(split, seed, step, 3)
        lesson = self.draw_lessons(split, seed, step, lesson)
        shape = [self.batch_size, self.max_length, self.num_bits]
        return self.encode(
            patterns=draws.uniform_integers(keys[0], shape, 0, 1),
            lengths=self.draw_size("length", keys[1], lesson),
            repeats=self.draw_size("repeats", keys[2], lesson),
        )

    def encode(self, patterns: Any, lengths: Any, repeats: Any) -> Batch:
        """Lays out given episodes as observations, targets and mask.

        Args:
          patterns: [B, max_length, num_bits], 0 or 1; rows from the episode's length on are
            ignored.
          lengths: [B], in [1, max_length].
          repeats: [B], in [1, max_repeats].
        """
        patterns = tf.cast(patterns, tf.float32)
        lengths, repeats = tf.cast(lengths, tf.int32), tf.cast(repeats, tf.int32)
        t = tf.range(self.num_steps)[:, tf.newaxis]  # [T, 1], against [B]
        answer_start = lengths + 2
        answer_end = answer_start + lengths * repeats

        is_answer = (t >= answer_start) & (t < answer_end)
        shown = encoding.place(patterns, t - 1, (t >= 1) & (t <= lengths))
        start = encoding.channel((t == 0) & tf.ones_like(t + lengths, tf.bool))
        number = encoding.channel(t == lengths + 1, tf.cast(repeats, tf.float32) / self._unit)
        said = encoding.place(patterns, (t - answer_start) % lengths, is_answer)
        end = encoding.channel(t == answer_end)
        if self.layout == "deepmind":
            observations, target = [shown, start, number], [said, end]
            mask = is_answer | (t == answer_end)
        else:
            observations, target = [number, start, shown], [end, said]
            mask = t <= answer_end
        return make_batch(tf.concat(observations, axis=2), tf.concat(target, axis=2), mask)

    def loss(self, outputs: tf.Tensor, batch: Batch) -> tf.Tensor:
        """Returns the masked sigmoid cross-entropy, averaged over the batch."""
        return masked_sigmoid_cross_entropy(
            outputs, batch.target, batch.mask, self.time_average_cost, self.log_prob_in_bits
        )

    def step_labels(self, batch: Batch) -> list[list[str]]:
        """Returns labels "start", "row 1", ..., "x 3", "1.1", "1.2", ..., "end".

        "x 3" is the number of repeats, and "2.1" is the first row of the second repeat.
        """
        observations, mask = np.asarray(batch.observations), np.asarray(batch.mask)
        labels = []
        for b in range(mask.shape[1]):
            length = np.flatnonzero(observations[:, b, self._number_channel])[0] - 1
            repeats = (np.flatnonzero(mask[:, b])[-1] - length - 2) // length
            episode = ["start", *(f"row {row + 1}" for row in range(length)), f"x {repeats}"]
            episode += [f"{r + 1}.{row + 1}" for r in range(repeats) for row in range(length)]
            episode.append("end")
            labels.append(encoding.padded(episode, self.num_steps))
        return labels

    def to_human_readable(
        self, batch: Batch, outputs: Any = None, whole_batch: bool = False
    ) -> str:
        """Returns the first episode (or all) as text, with the unscaled number of repeats."""
        units = np.ones(self.input_size)
        units[self._number_channel] = self._unit
        batch = batch._replace(observations=np.asarray(batch.observations) * units)
        return super().to_human_readable(batch, outputs, whole_batch)
