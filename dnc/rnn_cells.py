"""The core as a TF1-style RNN cell, for `tf.compat.v1.nn.dynamic_rnn` and similar functions."""

from typing import Any

import sonnet as snt
import tensorflow as tf

from dnc import _checks, _cores, _nests


def rnn_cell(core: snt.RNNCore) -> "RNNCell":
    """Returns a cell for `dynamic_rnn`, `static_rnn` and `bidirectional_dynamic_rnn`.

        >>> import dnc
        >>> core = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(8), output_size=2)
        >>> outputs, state = tf.compat.v1.nn.dynamic_rnn(
        ...     rnn_cell(core),
        ...     tf.zeros([3, 7, 5]),  # batch, time, input width
        ...     sequence_length=[7, 2, 4],
        ...     dtype=tf.float32,
        ... )
        >>> outputs.shape, state.access_state.memory.shape
        (TensorShape([3, 7, 2]), TensorShape([3, 4, 3]))

    The cell works in eager mode, in a `tf.function` and in a `tf.Graph` with a session. A core's
    variables belong to the graph in which it first ran, so make the core inside the graph.

    Args:
      core: a core with `initial_state`, `state_size` and `output_size`, such as a `dnc.DNC`.

    Raises:
      ValueError: if the core lacks one of them.
    """
    return RNNCell(core)


class RNNCell:
    """A core with the methods of an RNN cell of TensorFlow 1.

    Attributes:
      core: the wrapped core. The cell's variables are the core's.
    """

    def __init__(self, core: snt.RNNCore):
        """Wraps `core`, see `rnn_cell`."""
        if not all(hasattr(core, name) for name in ("state_size", "output_size", "initial_state")):
            raise ValueError(
                "rnn_cell needs a core with initial_state, state_size and output_size, such as a "
                f"dnc.DNC, got {core!r}."
            )
        self.core = core
        self._has_run = False
        # TensorFlow's loops cannot carry `None`, which the state of some cores contains.
        self._state_like = core.state_size
        self._has_none = any(part is None for part in tf.nest.flatten(self._state_like))

    def __call__(self, inputs: tf.Tensor, state: Any, scope: Any = None) -> tuple[tf.Tensor, Any]:
        """Performs one step.

        Args:
          inputs: [B, X].
          state: a state as `zero_state` returns it.
          scope: ignored; a parameter for TensorFlow 1.

        Returns:
          The outputs [B, Y] and the next state.
        """
        del scope
        if not self._has_run:  # Create the variables outside of TensorFlow's loop.
            inputs = tf.convert_to_tensor(inputs)
            _cores.run_on_zeros(self.core, tf.TensorSpec(inputs.shape, inputs.dtype), inputs.dtype)
            self._has_run = True
        if self._has_none:
            return _cores.call_without_none(self.core, self._state_like, inputs, state)
        return _cores.call_checked(self.core, self.core, inputs, state)

    def zero_state(self, batch_size: Any, dtype: Any) -> Any:
        """Returns the core's initial state, with () for `None`. (The name is from TensorFlow 1.)

        Raises:
          ValueError: if `dtype` is missing or is not a floating point type.
        """
        if dtype is None:
            raise ValueError("zero_state needs a dtype, such as tf.float32, got None.")
        state = _cores.initial_state(self.core, batch_size, _checks.check_dtype(dtype))
        return _nests.without_none(state)

    def get_initial_state(
        self, inputs: Any = None, batch_size: Any = None, dtype: Any = None
    ) -> Any:
        """Returns the initial state for a batch of inputs, or for a batch size and a dtype.

        Raises:
          ValueError: if neither is given, or `dtype` differs from the dtype of the inputs.
        """
        if inputs is not None:
            inputs = tf.convert_to_tensor(inputs)
            if dtype is not None and dtype != inputs.dtype:
                raise ValueError(
                    f"dtype must be the dtype of the inputs, {inputs.dtype.name}, got "
                    f"{tf.as_dtype(dtype).name}."
                )
            batch_size, dtype = tf.shape(inputs)[0], inputs.dtype
        if batch_size is None:
            raise ValueError("get_initial_state needs inputs, or batch_size and dtype.")
        return self.zero_state(batch_size, dtype)

    @property
    def state_size(self) -> Any:
        """Shapes of one example's state."""
        return _nests.without_none(self._state_like)

    @property
    def output_size(self) -> tf.TensorShape:
        """Shape of one example's output."""
        return self.core.output_size

    @property
    def variables(self) -> tuple[tf.Variable, ...]:
        """The core's variables."""
        return self.core.variables

    @property
    def trainable_variables(self) -> tuple[tf.Variable, ...]:
        """The core's trainable variables."""
        return self.core.trainable_variables
