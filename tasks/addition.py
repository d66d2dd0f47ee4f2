"""Addition: see digits, then say their sum.

The episodes are laid out as in `tasks.digits`.
"""

import tensorflow as tf

from tasks import base
from tasks.digits import DigitTask


@base.register("addition")
class Addition(DigitTask):
    """The sum of the digits."""

    def right_answer(self, digits: tf.Tensor) -> tf.Tensor:
        """Returns the sums."""
        return tf.reduce_sum(tf.maximum(digits, 0), axis=1)
