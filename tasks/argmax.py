"""Argmax: see digits, then say where the first greatest one was.

The episodes are laid out as in `tasks.digits`.
"""

import tensorflow as tf

from tasks import base
from tasks.digits import DigitTask


@base.register("argmax")
class Argmax(DigitTask):
    """The place of the first greatest digit, from 0."""

    def right_answer(self, digits: tf.Tensor) -> tf.Tensor:
        """Returns the places."""
        return tf.argmax(digits, axis=1)
