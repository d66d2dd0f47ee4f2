"""Random numbers that depend only on their key, so that a batch is a pure function."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

SPLITS = ("train", "validation", "test")
# By default XLA may choose another generator. With this one, the same key gives the same numbers
# with and without compilation, on every device.
ALGORITHM = "philox"


def keys(split: str, seed: Any, step: Any, number: int) -> list[tf.Tensor]:
    """Returns keys of random numbers that depend on the arguments alone.

    Training has its own keys. Validation and test share theirs: the episodes that a task
    generates are new in either, and nothing is learned from them.

    Args:
      split: one of `SPLITS`.
      seed: integer >= 0, or integer scalar tensor.
      step: number of the batch, an integer or integer scalar tensor.
      number: number of keys.

    Raises:
      ValueError: if there is no such split.
    """
    if split not in SPLITS:
        raise ValueError(f"split must be one of {', '.join(SPLITS)}, got {split!r}.")
    seed = tf.cast(seed, tf.int64)
    key = tf.stack([seed if split == "train" else -1 - seed, tf.cast(step, tf.int64)])
    return tf.unstack(tf.random.split(key, number, alg=ALGORITHM))


def fold_in(key: tf.Tensor, number: Any) -> tf.Tensor:
    """Returns a key that depends on another key and an integer."""
    return tf.random.fold_in(key, number, alg=ALGORITHM)


def uniform_integers(key: tf.Tensor, shape: Sequence[int], minimum: Any, maximum: Any) -> tf.Tensor:
    """Returns int32 numbers from `minimum` to `maximum`, inclusive."""
    return tf.random.stateless_uniform(shape, key, minimum, maximum + 1, tf.int32, alg=ALGORITHM)


def uniform_numbers(
    key: tf.Tensor, shape: Sequence[int], minimum: float = 0.0, maximum: float = 1.0
) -> tf.Tensor:
    """Returns float32 numbers from `minimum` to below `maximum`."""
    # TensorFlow and XLA make floats from different bits. These are always XLA's numbers.
    bits = tf.random.stateless_uniform(shape, key, None, None, tf.uint32, alg=ALGORITHM)
    drawn = tf.cast(tf.bitwise.right_shift(bits, tf.constant(9, tf.uint32)), tf.float32) * 2.0**-23
    return drawn * (maximum - minimum) + minimum


def any_of(key: tf.Tensor, is_choice: tf.Tensor) -> tf.Tensor:
    """Draws one of the places [..., K] that are choices, each equally likely; int32 [...]."""
    score = uniform_numbers(key, is_choice.shape)
    return tf.argmax(tf.where(is_choice, score, -1.0), axis=-1, output_type=tf.int32)


def permutations(key: tf.Tensor, lengths: tf.Tensor, max_length: int) -> tf.Tensor:
    """Returns a random order of 0 .. l - 1, then l .. max_length - 1, for each length l.

    Args:
      key: key of the random numbers.
      lengths: [B].
      max_length: L.

    Returns:
      int32 [B, L].
    """
    place = tf.range(max_length)
    drawn = uniform_numbers(key, [lengths.shape[0], max_length])
    drawn = tf.where(place < lengths[:, tf.newaxis], drawn, 1.0 + tf.cast(place, tf.float32))
    return tf.argsort(drawn, axis=1)
