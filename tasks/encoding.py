"""Layout of episodes: rows and channels of observations and targets, labels, text pictures."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow as tf


def place(rows: tf.Tensor, index: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
    """Returns rows[b, index[t, b]] where present, else 0.

    Args:
      rows: [B, L, C].
      index: int32 [T, B], or a shape that broadcasts to it; any number where not present.
      present: bool [T, B].

    Returns:
      [T, B, C].
    """
    index = tf.transpose(tf.where(present, index, 0))
    gathered = tf.transpose(tf.gather(rows, index, batch_dims=1), [1, 0, 2])
    return tf.where(present[:, :, tf.newaxis], gathered, 0.0)


def channel(present: tf.Tensor, value: tf.Tensor | float = 1.0) -> tf.Tensor:
    """Returns a channel [T, B, 1]: the value where present [T, B], else 0."""
    return tf.where(present, value, 0.0)[:, :, tf.newaxis]


def padded(labels: Sequence[str], num_steps: int) -> list[str]:
    """Returns labels with empty ones added, up to a number of steps."""
    return [*labels, *[""] * (num_steps - len(labels))]


def bit_grid(rows: Sequence[Sequence[float]]) -> str:
    """Draws one line per row and one column per time step.

    `-` stands for 0. Whole numbers have no decimal places, other numbers have one.
    """
    cells = [
        ["-" if x == 0 else f"{x:.{int(abs(x - round(x)) > 1e-4)}f}" for x in row] for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "+" + " ".join(cell.rjust(n) for cell, n in zip(row, widths, strict=True)) + "+"
        for row in cells
    )


def lengths_of(mask: tf.Tensor) -> tf.Tensor:
    """Returns the number of steps up to the last one where an answer counts, int32 [B].

    Args:
      mask: [T, B].
    """
    steps = tf.range(1, mask.shape[0] + 1)[:, tf.newaxis]
    return tf.reduce_max(tf.where(mask > 0, steps, 0), axis=0)


def answer_steps(mask: Any) -> list[int]:
    """Returns the number of steps that count in each episode, for mask [T, B]."""
    return [int(number) for number in np.sum(np.asarray(mask) > 0, axis=0)]
