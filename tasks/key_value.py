"""Key-value retrieval: see pairs, then the keys in another order, and say the value of each.

An episode of l pairs of a key and a value, each h = b / 2 bits wide (Csordas & Schmidhuber 2019):

===================  ======================================  ==============
steps                observation (b + 1 wide)                target (h wide)
===================  ======================================  ==============
0 .. l - 1           a key, then its value, in 0 .. b - 1    0
l                    delimiter in channel b                  0
l + 1 .. 2 l         the keys in another order in 0 .. h - 1  their values
2 l + 1              delimiter in channel b                  0
===================  ======================================  ==============

With `two_way`, b + 2 wide, values are asked for their keys, too:

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

All steps count (mask 1). The keys of an episode differ; with `two_way` the values do, too.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tasks import base


@base.register("key_value")
class KeyValue(base.BitTask):
    """The key-value task."""

    def __init__(
        self,
        num_bits: int = 12,
        batch_size: int = 16,
        min_length: int = 2,
        max_length: int = 16,
        two_way: bool = False,
    ):
        """Creates the task.

        Args:
          num_bits: width b of a pair, even, from 2 to 24.
          batch_size: episodes in a batch, >= 1.
          min_length: least number l of pairs, >= 1; drawn uniformly.
          max_length: greatest number of pairs, >= `min_length`, at most the number of keys.
          two_way: whether keys are asked for, too.

        Raises:
          ValueError: if an option is out of range.
        """
        base.check_positive(num_bits=num_bits, batch_size=batch_size)
        base.check_range("length", min_length, max_length)
        if num_bits % 2 or num_bits > 24:
            raise ValueError(f"num_bits must be even and at most 24, got {num_bits}.")
        if max_length > 2 ** (num_bits // 2):
            raise ValueError(
                f"max_length must be at most {2 ** (num_bits // 2)}: keys of {num_bits // 2} bits "
                f"(half of num_bits) can be no more; got {max_length}."
            )
        self.num_bits = num_bits
        self.batch_size = batch_size
        self.max_length = max_length
        self.two_way = two_way
        self.sizes = {"length": (min_length, max_length)}
        self.num_steps = base.check_num_steps((3 if two_way else 2) * (max_length + 1))
        self.input_size = num_bits + 1 + two_way
        self.target_size = num_bits // 2

    def batch(self, seed: Any, step: Any, sizes: Mapping[str, Any] | None = None) -> base.Batch:
        """Returns a batch that depends on its arguments alone."""
        keys = base.split(seed, step, 5)
        lengths = self.draw_size("length", keys[0], sizes)
        return self.encode(
            keys=self._distinct(keys[1]),
            values=self._distinct(keys[2]) if self.two_way else self._any(keys[2]),
            lengths=lengths,
            order=base.permutations(keys[3], lengths, self.max_length),
            second_order=base.permutations(keys[4], lengths, self.max_length),
        )

    def encode(
        self, keys: Any, values: Any, lengths: Any, order: Any, second_order: Any = None
    ) -> base.Batch:
        """Lays out given episodes as observations, targets and mask.

        Args:
          keys: [B, max_length, num_bits / 2], 0 or 1; those from the episode's length on are
            ignored.
          values: likewise.
          lengths: [B], in [1, max_length].
          order: [B, max_length], which pair is asked for first, second, ...
          second_order: likewise, for values, with `two_way`.
        """
        keys, values = tf.cast(keys, tf.float32), tf.cast(values, tf.float32)
        lengths = tf.cast(lengths, tf.int32)
        t = tf.range(self.num_steps)[:, tf.newaxis]

        def in_order(rows: tf.Tensor, order: Any) -> tf.Tensor:
            return tf.gather(rows, order, batch_dims=1)

        is_pair = t < lengths
        is_question = (t > lengths) & (t <= 2 * lengths)
        shown = base.place(keys, t, is_pair)
        shown += base.place(in_order(keys, order), t - lengths - 1, is_question)
        target = base.place(in_order(values, order), t - lengths - 1, is_question)
        first, second = t == lengths, t == 2 * lengths + 1
        if self.two_way:
            end = 3 * lengths + 2
            is_question = (t > 2 * lengths + 1) & (t < end)
            index = t - 2 * lengths - 2
            shown += base.place(in_order(values, second_order), index, is_question)
            target += base.place(in_order(keys, second_order), index, is_question)
            channels = [base.channel(first | (t == end)), base.channel(second | (t == end))]
        else:
            end = 2 * lengths + 1
            channels = [base.channel(first | second)]
        observations = tf.concat([shown, base.place(values, t, is_pair), *channels], axis=2)
        return base.Batch(observations, target, tf.cast(t <= end, tf.float32))

    def step_labels(self, batch: base.Batch) -> list[list[str]]:
        """Returns for each episode "pair 1", ..., "values", "key of 3", ..., "end".

        With `two_way`, "keys", "value of 2", ... come before the end.
        """
        observations, target = np.asarray(batch.observations), np.asarray(batch.target)
        half = self.target_size
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
            labels.append(base.padded([*episode, "end"], self.num_steps))
        return labels

    def _any(self, key: tf.Tensor) -> tf.Tensor:
        return base.uniform_integers(
            key, [self.batch_size, self.max_length, self.target_size], 0, 1
        )

    def _distinct(self, key: tf.Tensor) -> tf.Tensor:
        """Bits of different numbers, [B, max_length, num_bits / 2]."""
        everything = tf.fill([self.batch_size], 2**self.target_size)
        codes = base.permutations(key, everything, 2**self.target_size)[:, : self.max_length]
        return tf.bitwise.right_shift(codes[:, :, tf.newaxis], tf.range(self.target_size)) % 2
