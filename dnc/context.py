"""A controller with a context that another core has computed."""

from typing import Any

import sonnet as snt
import tensorflow as tf

from dnc import _checks, _cores
from dnc.controllers import Wrapper, check_width


class AppendedContext(Wrapper):
    """A controller that appends a part of its input, the context, to its output.

    For inputs [x_t; context_t; r_{t-1}] the output is [core([x_t; r_{t-1}]); context_t].

        >>> core = AppendedContext(snt.LSTM(16), input_size=5, context_size=6)
        >>> output, state = core(tf.zeros([2, 5 + 6 + 8]), core.initial_state(batch_size=2))
        >>> output.shape
        TensorShape([2, 22])
    """

    def __init__(
        self, core: snt.RNNCore, input_size: int, context_size: int, name: str = "appended_context"
    ):
        """Wraps a core.

        Args:
          core: any `snt.RNNCore`.
          input_size: width X of x_t.
          context_size: width C of the context, which follows x_t.
          name: name of the module.

        Raises:
          ValueError: if `core` is not an `snt.RNNCore`, or a size is not a positive integer.
        """
        super().__init__(core, name)
        self._input_size = _checks.check_size("input_size", input_size)
        self._context_size = _checks.check_size("context_size", context_size)

    def __call__(
        self, inputs: tf.Tensor, prev_state: Any, training: bool | None = None
    ) -> tuple[tf.Tensor, Any]:
        """Performs one step of the wrapped core and passes on its errors.

        Raises:
          ValueError: if the inputs are narrower than input and context.
        """
        check_width(self, inputs, self._input_size + self._context_size)
        sizes = [self._input_size, self._context_size, -1]
        x, context, words = tf.split(inputs, sizes, axis=1)
        output, state = _cores.call_with_training(
            self.core, tf.concat([x, words], axis=1), prev_state, training=training
        )
        return tf.concat([output, context], axis=1), state

    @property
    def input_size(self) -> int:
        """Width X of x_t."""
        return self._input_size

    @property
    def context_size(self) -> int:
        """Width C of the context."""
        return self._context_size
