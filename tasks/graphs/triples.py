"""Triples of labels, as a network sees and outputs them (Graves et al. 2016, Methods).

A triple has source, edge and destination. A label, from 0 to 999, is three decimal digits, each
one-hot: 30 channels, hundreds first. In a blank label they are all 0. An observation has two more
channels: one is 1 at the first step of each phase after the description, the other while an answer
is required. The network outputs a triple as nine groups of ten logits.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tasks import encoding

BLANK = -1
END = 0  # An answer ends with a triple of this label.
DIGITS = 9  # Of a triple.
WIDTH = 10 * DIGITS


def one_hot(triples: Any) -> tf.Tensor:
    """Returns labels [..., 3], from 0 to 999 or `BLANK`, as channels [..., 90]."""
    labels = tf.cast(triples, tf.int32)[..., tf.newaxis]
    digits = tf.where(labels == BLANK, BLANK, labels // tf.constant([100, 10, 1]) % 10)
    return tf.reshape(tf.one_hot(digits, 10), [*labels.shape[:-2], WIDTH])


def labels(channels: Any) -> np.ndarray:
    """Returns the labels [..., 3] of channels or logits [..., 90]; `BLANK` where all are 0."""
    groups = np.reshape(np.asarray(channels), [*np.shape(channels)[:-1], 3, 3, 10])
    found = groups.argmax(axis=-1) @ [100, 10, 1]
    return np.where((groups == 0).all(axis=(-1, -2)), BLANK, found)


def text(triple: Sequence[int]) -> str:
    """Returns a triple as text, such as "031 204 007", with "_" for a blank label."""
    return " ".join("_" if label == BLANK else f"{label:03d}" for label in triple)


def observations(
    shown: Iterable[tuple[tf.Tensor, tf.Tensor, tf.Tensor]],
    starts: tf.Tensor,
    answers: tf.Tensor,
) -> tf.Tensor:
    """Returns observations [T, B, 92].

    Args:
      shown: rows of triples [B, L, 3], the number of the row shown at each step, int32 [T, B], and
        whether one is shown, bool [T, B].
      starts: bool [T, B], whether a phase begins.
      answers: bool [T, B], whether an answer is required.
    """
    seen = sum(encoding.place(one_hot(rows), index, present) for rows, index, present in shown)
    return tf.concat([seen, encoding.channel(starts), encoding.channel(answers)], axis=2)
