"""Key-value retrieval: see pairs, then the keys in another order, and output the value of each.

An episode of l pairs of a key and a value, each h = b / 2 bits wide (Csordas & Schmidhuber 2019):

===================  ======================================  ==============
steps                observation (b + 1 wide)                target (h wide)
===================  ======================================  ==============
0 .. l - 1           a key, then its value, in 0 .. b - 1    0
l                    delimiter in channel b                  0
l + 1 .. 2 l         the keys in another order in 0 .. h - 1  their values
2 l + 1              delimiter in channel b                  0
===================  ======================================  ==============

With `two_way`, b + 2 wide, values also serve as questions for their keys:

====================  ========================================  ===========
steps                 observation (b + 2 wide)                  target
====================  ========================================  ===========
0 .. l - 1            a key, then its value, in 0 .. b - 1      0
l                     delimiter in channel b                    0
l + 1 .. 2 l          the keys in another order in 0 .. h - 1   their values
2 l + 1               delimiter in channel b + 1                0
2 l + 2 .. 3 l + 1    the values in a third order in 0 .. h - 1  their keys
3 l + 2               delimiters in channels b and b + 1        0
====================  ========================================  ===========

All steps count (mask 1). The keys of an episode differ; with `two_way` so do the values.
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
class KeyValue(BitTask):
    """The key-value task: output values for keys, and keys for values."""

    name = "key_value"

    num_bits: int = option(12, "Width b of a pair, an even number.", minimum=2, maximum=24)
    min_length: int = option(2, "Minimum number l of pairs; drawn uniformly.", minimum=1)
    max_length: int = option(
        16, "Maximum number of pairs, at most the number of keys, 2^(b / 2).", minimum=1
    )
    two_way: bool = option(False, "Whether to ask for the keys of values as well.")

    input_size = property(lambda self: self.num_bits + 1 + self.two_way)
    output_size = property(lambda self: self.num_bits // 2)
    num_steps = property(lambda self: (3 if self.two_way else 2) * (self.max_length + 1))

    def check(self) -> None:
        """Raises `ValueError` if pairs cannot be halved, or there are fewer keys than pairs."""
        if self.num_bits % 2:
            raise ValueError(f"num_bits must be even, got {self.num_bits}.")
        half = self.num_bits // 2
        if self.max_length > 2**half:
            raise ValueError(
                f"max_length must be at most {2**half}, the number of keys of {half} bits (half of "
                f"num_bits), got {self.max_length}."
            )

    def batch(self, split: str, seed: Any, step: Any, lesson: Any = None) -> Batch:
        """Returns a batch that depends on its arguments alone."""
        keys = draws.keys(split, seed, step, 5)
        lesson = self.draw_lessons(split, seed, step, lesson)
        lengths = self.draw_size("length", keys[0], lesson)
        return self.encode(
            keys=self._distinct(keys[1]),
            values=self._distinct(keys[2]) if self.two_way else self._any(keys[2]),
            lengths=lengths,
            order=draws.permutations(keys[3], lengths, self.max_length),
            second_order=draws.permutations(keys[4], lengths, self.max_length),
        )

    def encode(
        self, keys: Any, values: Any, lengths: Any, order: Any, second_order: Any = None
    ) -> Batch:
        """Lays out given episodes as observations, targets and mask.

        Args:
          keys: [B, max_length, num_bits / 2], 0 or 1; keys from the episode's length on are
            ignored.
          values: [B, max_length, num_bits / 2], in the same form.
          lengths: [B], in [1, max_length].
          order: [B, max_length], numbers of the pairs in the order of the questions.
          second_order: the same for values, with `two_way`.
        """
        keys, values = tf.cast(keys, tf.float32), tf.cast(values, tf.float32)
        lengths = tf.cast(lengths, tf.int32)
        t = tf.range(self.num_steps)[:, tf.newaxis]

        def in_order(rows: tf.Tensor, order: Any) -> tf.Tensor:
            return tf.gather(rows, order, batch_dims=1)

        is_pair = t < lengths
        is_question = (t > lengths) & (t <= 2 * lengths)
        shown = encoding.place(keys, t, is_pair)
        shown += encoding.place(in_order(keys, order), t - lengths - 1, is_question)
        target = encoding.place(in_order(values, order), t - lengths - 1, is_question)
        first, second = t == lengths, t == 2 * lengths + 1
        if self.two_way:
            end = 3 * lengths + 2
            is_question = (t > 2 * lengths + 1) & (t < end)
            index = t - 2 * lengths - 2
            shown += encoding.place(in_order(values, second_order), index, is_question)
            target += encoding.place(in_order(keys, second_order), index, is_question)
            channels = [encoding.channel(first | (t == end)), encoding.channel(second | (t == end))]
        else:
            end = 2 * lengths + 1
            channels = [encoding.channel(first | second)]
        observations = tf.concat([shown, encoding.place(values, t, is_pair), *channels], axis=2)
        return make_batch(observations, target, t <= end)

    def step_labels(self, batch: Batch) -> list[list[str]]:
        """Returns labels "pair 1", ..., "values", "key of 3", ..., "end".

        With `two_way`, "keys", "value of 2", ... come before the end.
        """
        observations, target = np.asarray(batch.observations), np.asarray(batch.target)
        half = self.output_size
        labels = []
        for b in range(observations.shape[1]):
            length = int(np.flatnonzero(observations[:, b, self.num_bits])[0])
            pairs = observations[:length, b, : self.num_bits]

            def number(key: np.ndarray, value: np.ndarray, pairs: np.ndarray = pairs) -> int:
                same = (pairs[:, :half] == key).all(axis=1) & (pairs[:, half:] == value).all(axis=1)
                return int(np.flatnonzero(same)[0]) + 1

            shown, said = observations[:, b, :half], target[:, b]
            episode = [*(f"pair {pair + 1}" for pair in range(length)), "values"]
            asked = range(length + 1, 2 * length + 1)
            episode += [f"key of {number(shown[t], said[t])}" for t in asked]
            if self.two_way:
                asked = range(2 * length + 2, 3 * length + 2)
                episode += ["keys", *(f"value of {number(said[t], shown[t])}" for t in asked)]
            labels.append(encoding.padded([*episode, "end"], self.num_steps))
        return labels

    def _any(self, key: tf.Tensor) -> tf.Tensor:
        return draws.uniform_integers(
            key, [self.batch_size, self.max_length, self.output_size], 0, 1
        )

    def _distinct(self, key: tf.Tensor) -> tf.Tensor:
        """Returns the bits of different numbers, [B, max_length, num_bits / 2]."""
        everything = tf.fill([self.batch_size], 2**self.output_size)
        codes = draws.permutations(key, everything, 2**self.output_size)[:, : self.max_length]
        return tf.bitwise.right_shift(codes[:, :, tf.newaxis], tf.range(self.output_size)) % 2
