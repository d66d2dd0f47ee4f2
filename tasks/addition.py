"""Addition: see digits, then output their sum.

The episodes are laid out as in `tasks.digits`.
"""

import dataclasses

import tensorflow as tf

from tasks.digits import DigitTask


@dataclasses.dataclass(frozen=True, kw_only=True)
class Addition(DigitTask):
    """The addition task: output the sum of digits."""

    name = "addition"

    def right_answer(self, digits: tf.Tensor) -> tf.Tensor:
        """Returns the sums."""
        return tf.reduce_sum(tf.maximum(digits, 0), axis=1)
