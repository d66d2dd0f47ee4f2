"""Repeat copy: see a short pattern of bits and a number, then say the pattern that many times.

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
possible episode, all is zero. This is the task of DeepMind's released DNC, which pads only to the
longest episode of a batch; the padding changes no loss.

With `layout="numpy"` (DNC-NumPy) the channels are in another order, and all steps count up to the
end marker: r itself in channel 0 of the observation, the start marker in 1, the pattern from 2 on;
the end marker in channel 0 of the target, the pattern from 1 on.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tasks import base

LAYOUTS = ("deepmind", "numpy")


@base.register("repeat_copy")
class RepeatCopy(base.BitTask):
    """The repeat copy task."""

    def __init__(
        self,
        num_bits: int = 4,
        batch_size: int = 16,
        min_length: int = 1,
        max_length: int = 2,
        min_repeats: int = 1,
        max_repeats: int = 2,
        norm_max: int = 10,
        log_prob_in_bits: bool = False,
        time_average_cost: bool = False,
        layout: str = "deepmind",
    ):
        """Creates the task.

        Args:
          num_bits: width b of the pattern, >= 1.
          batch_size: episodes in a batch, >= 1.
          min_length: least length l of the pattern, >= 1; lengths are drawn uniformly.
          max_length: greatest length, >= `min_length`.
          min_repeats: least number r of repeats, >= 1; repeats are drawn uniformly.
          max_repeats: greatest number, >= `min_repeats`.
          norm_max: what the number of repeats is divided by in the observation, > 0.
          log_prob_in_bits: whether `cost` is in bits; else in nats.
          time_average_cost: whether `cost` is averaged over the steps that count; else summed.
          layout: "deepmind" or "numpy", where `norm_max` means nothing.

        Raises:
          ValueError: if an option is out of range.
        """
        base.check_positive(num_bits=num_bits, batch_size=batch_size)
        base.check_range("length", min_length, max_length)
        base.check_range("repeats", min_repeats, max_repeats)
        if not norm_max > 0:
            raise ValueError(f"norm_max must be > 0, got {norm_max!r}.")
        base.check_choice("layout", layout, LAYOUTS)
        self.layout = layout
        self.num_bits = num_bits
        self.batch_size = batch_size
        self.min_length, self.max_length = min_length, max_length
        self.min_repeats, self.max_repeats = min_repeats, max_repeats
        self.norm_max = norm_max if layout == "deepmind" else 1
        self.log_prob_in_bits = log_prob_in_bits
        self.time_average_cost = time_average_cost

        self.sizes = {"length": (min_length, max_length), "repeats": (min_repeats, max_repeats)}
        self.num_steps = base.check_num_steps(max_length * (max_repeats + 1) + 3)
        self.input_size = num_bits + 2
        self.target_size = num_bits + 1
        self._number_channel = 0 if layout == "numpy" else num_bits + 1

    def batch(self, seed: Any, step: Any, sizes: Mapping[str, Any] | None = None) -> base.Batch:
        """Returns a batch that depends on its arguments alone."""
        keys = base.split(seed, step, 3)
        shape = [self.batch_size, self.max_length, self.num_bits]
        return self.encode(
            patterns=base.uniform_integers(keys[0], shape, 0, 1),
            lengths=self.draw_size("length", keys[1], sizes),
            repeats=self.draw_size("repeats", keys[2], sizes),
        )

    def encode(self, patterns: Any, lengths: Any, repeats: Any) -> base.Batch:
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
        shown = base.place(patterns, t - 1, (t >= 1) & (t <= lengths))
        start = base.channel((t == 0) & tf.ones_like(t + lengths, tf.bool))
        number = base.channel(t == lengths + 1, tf.cast(repeats, tf.float32) / self.norm_max)
        said = base.place(patterns, (t - answer_start) % lengths, is_answer)
        end = base.channel(t == answer_end)
        if self.layout == "deepmind":
            observations, target = [shown, start, number], [said, end]
            mask = is_answer | (t == answer_end)
        else:
            observations, target = [number, start, shown], [end, said]
            mask = t <= answer_end
        return base.Batch(
            tf.concat(observations, axis=2), tf.concat(target, axis=2), tf.cast(mask, tf.float32)
        )

    def cost(self, logits: tf.Tensor, target: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Returns the masked sigmoid cross-entropy, averaged over the batch."""
        return base.masked_sigmoid_cross_entropy(
            logits, target, mask, self.time_average_cost, self.log_prob_in_bits
        )

    def step_labels(self, batch: base.Batch) -> list[list[str]]:
        """Returns for each episode "start", "row 1", ..., "x 3", "1.1", "1.2", ..., "end".

        "x 3" is the number of repeats, "2.1" the first row the second time.
        """
        observations, mask = np.asarray(batch.observations), np.asarray(batch.mask)
        labels = []
        for b in range(mask.shape[1]):
            length = np.flatnonzero(observations[:, b, self._number_channel])[0] - 1
            repeats = (np.flatnonzero(mask[:, b])[-1] - length - 2) // length
            episode = ["start", *(f"row {row + 1}" for row in range(length)), f"x {repeats}"]
            episode += [f"{r + 1}.{row + 1}" for r in range(repeats) for row in range(length)]
            episode.append("end")
            labels.append(base.padded(episode, self.num_steps))
        return labels

    def to_human_readable(
        self, batch: base.Batch, logits: Any = None, whole_batch: bool = False
    ) -> str:
        """Returns the first episode (or all) as text, with the number of repeats as it is."""
        units = np.ones(self.input_size)
        units[self._number_channel] = self.norm_max
        batch = batch._replace(observations=np.asarray(batch.observations) * units)
        return super().to_human_readable(batch, logits, whole_batch)
