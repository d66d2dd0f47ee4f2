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
"""

from typing import Any

import numpy as np
import tensorflow as tf

from tasks import base


@base.register("repeat_copy")
class RepeatCopy(base.Task):
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
          time_average_cost: whether `cost` is averaged over the steps of an answer; else summed.

        Raises:
          ValueError: if an option is out of range.
        """
        base.check_positive(num_bits=num_bits, batch_size=batch_size)
        base.check_range("length", min_length, max_length)
        base.check_range("repeats", min_repeats, max_repeats)
        if not norm_max > 0:
            raise ValueError(f"norm_max must be > 0, got {norm_max!r}.")
        self.num_bits = num_bits
        self.batch_size = batch_size
        self.min_length, self.max_length = min_length, max_length
        self.min_repeats, self.max_repeats = min_repeats, max_repeats
        self.norm_max = norm_max
        self.log_prob_in_bits = log_prob_in_bits
        self.time_average_cost = time_average_cost

        self.num_steps = base.check_num_steps(max_length * (max_repeats + 1) + 3)
        self.input_size = num_bits + 2
        self.target_size = num_bits + 1

    def batch(self, seed: Any, step: Any) -> base.Batch:
        """Returns a batch that depends on `seed` and `step` alone."""
        key = tf.stack([tf.cast(seed, tf.int64), tf.cast(step, tf.int64)])
        keys = tf.unstack(tf.random.split(key, 3, alg=base.RANDOM_ALGORITHM))

        def uniform(key: tf.Tensor, shape: list[int], minimum: int, maximum: int) -> tf.Tensor:
            return tf.random.stateless_uniform(
                shape, key, minimum, maximum + 1, tf.int32, alg=base.RANDOM_ALGORITHM
            )

        return self.encode(
            patterns=uniform(keys[0], [self.batch_size, self.max_length, self.num_bits], 0, 1),
            lengths=uniform(keys[1], [self.batch_size], self.min_length, self.max_length),
            repeats=uniform(keys[2], [self.batch_size], self.min_repeats, self.max_repeats),
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

        def rows(index: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
            """patterns[b, index[t, b]] where present, else 0."""
            index = tf.transpose(tf.where(present, index, 0))
            gathered = tf.transpose(tf.gather(patterns, index, batch_dims=1), [1, 0, 2])
            return tf.where(present[:, :, tf.newaxis], gathered, 0.0)

        def channel(present: tf.Tensor, value: tf.Tensor | float = 1.0) -> tf.Tensor:
            return tf.where(present, value, 0.0)[:, :, tf.newaxis]

        everywhere = tf.ones_like(t + lengths, tf.bool)
        observations = tf.concat(
            [
                rows(t - 1 + 0 * lengths, (t >= 1) & (t <= lengths)),
                channel((t == 0) & everywhere),
                channel(t == lengths + 1, tf.cast(repeats, tf.float32) / self.norm_max),
            ],
            axis=2,
        )
        target = tf.concat(
            [
                rows((t - answer_start) % lengths, (t >= answer_start) & (t < answer_end)),
                channel(t == answer_end),
            ],
            axis=2,
        )
        mask = tf.cast((t >= answer_start) & (t <= answer_end), tf.float32)
        return base.Batch(observations, target, mask)

    def cost(self, logits: tf.Tensor, target: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Returns the masked sigmoid cross-entropy, averaged over the batch."""
        return base.masked_sigmoid_cross_entropy(
            logits, target, mask, self.time_average_cost, self.log_prob_in_bits
        )

    def metrics(self, logits: tf.Tensor, batch: base.Batch) -> dict[str, tf.Tensor]:
        """Returns `wrong_bits` per sequence and `solved_sequences`, the fraction with none."""
        return base.bit_metrics(logits, batch.target, batch.mask)

    def step_labels(self, batch: base.Batch) -> list[list[str]]:
        """Returns for each episode "start", "row 1", ..., "x 3", "1.1", "1.2", ..., "end".

        "x 3" is the number of repeats, "2.1" the first row the second time.
        """
        mask = np.asarray(batch.mask)
        labels = []
        for b in range(mask.shape[1]):
            answers = np.flatnonzero(mask[:, b])
            length = answers[0] - 2
            repeats = (len(answers) - 1) // length
            episode = ["start", *(f"row {row + 1}" for row in range(length)), f"x {repeats}"]
            episode += [f"{r + 1}.{row + 1}" for r in range(repeats) for row in range(length)]
            episode.append("end")
            labels.append(episode + [""] * (len(mask) - len(episode)))
        return labels

    def to_human_readable(
        self, batch: base.Batch, logits: Any = None, whole_batch: bool = False
    ) -> str:
        """Returns the first episode (or all) as text.

        Time runs from left to right, `-` stands for 0, repeats are a number.

        Args:
          batch: a batch of this task, as tensors or arrays.
          logits: the model's answer [T, B, num_bits + 1], shown where the mask is 1; or `None`.
          whole_batch: whether to show all episodes.
        """
        observations, target, mask = (np.asarray(part) for part in batch)
        answer = None if logits is None else (np.asarray(logits) > 0) * mask[:, :, np.newaxis]
        observations = observations * np.append(np.ones(self.num_bits + 1), self.norm_max)
        episodes = []
        for b in range(mask.shape[1] if whole_batch else 1):
            length = np.flatnonzero(mask[:, b])[-1] + 1
            parts = [("Observations", observations), ("Targets", target)]
            if answer is not None:
                parts.append(("Model Output", answer))
            episodes.append(
                "\n\n".join(
                    f"{title}:\n{base.bit_grid(part[:length, b].T)}" for title, part in parts
                )
            )
        return "\n\n\n".join(episodes)
