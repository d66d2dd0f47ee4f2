"""Argmax: see digits, then output the place of their first maximum.

The episodes are laid out as in `tasks.digits`.
"""

import dataclasses

import tensorflow as tf

from tasks.digits import DigitTask


@dataclasses.dataclass(frozen=True, kw_only=True)
class Argmax(DigitTask):
    """The argmax task: output the place of the first maximum of digits, from 0."""

    name = "argmax"

    def right_answer(self, digits: tf.Tensor) -> tf.Tensor:
        """Returns the places."""
        return tf.argmax(digits, axis=1)
