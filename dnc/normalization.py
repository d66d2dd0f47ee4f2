"""An LSTM with layer normalisation, for use as a controller."""

from typing import Any

import sonnet as snt
import tensorflow as tf

from dnc import _checks


class LayerNormLSTM(snt.RNNCore):
    """LSTM whose gates and cell are normalised (Ba et al. 2016; Franke et al. 2018: for a DNC).

    Each of the four gates i, f, g, o and the cell is normalised over its H elements, to mean 0 and
    variance 1, and then scaled and shifted by learned vectors:

        [i f g o] = x W_x + h W_h,   c' = s(LN(f)) c + s(LN(i)) tanh(LN(g)),
        h' = s(LN(o)) tanh(LN(c'))

    with the sigmoid s. The shift of the forget gate is 1 before training.

    >>> core = LayerNormLSTM(16)
    >>> output, state = core(tf.zeros([2, 10]), core.initial_state(batch_size=2))
    >>> output.shape
    TensorShape([2, 16])

    Attributes:
      input_to_hidden: variable [X, 4 H], W_x, after the first call.
      hidden_to_hidden: variable [H, 4 H], W_h.
      gate_norms: the normalisations of i, f, g and o.
      cell_norm: the normalisation of the cell.
    """

    def __init__(
        self, hidden_size: int, *, dtype: tf.DType = tf.float32, name: str = "layer_norm_lstm"
    ):
        """Creates the core.

        Args:
          hidden_size: H, >= 1.
          dtype: float32 or float64.
          name: name of the module.

        Raises:
          ValueError: if the size is not a positive integer or the dtype is not allowed.
        """
        super().__init__(name=name)
        self._hidden_size = _checks.check_size("hidden_size", hidden_size)
        self._dtype = _checks.check_state_dtype(dtype)

        def norm(name: str, offset: float = 0.0) -> snt.LayerNorm:
            initial = snt.initializers.Constant(offset)
            return snt.LayerNorm(-1, True, True, offset_init=initial, name=name)

        offsets = {"input_gate": 0.0, "forget_gate": 1.0, "candidate": 0.0, "output_gate": 0.0}
        self.gate_norms = [norm(name, offset) for name, offset in offsets.items()]
        self.cell_norm = norm("cell")

    def __call__(
        self, inputs: tf.Tensor, prev_state: snt.LSTMState
    ) -> tuple[tf.Tensor, snt.LSTMState]:
        """Performs one step.

        Args:
          inputs: [B, X].
          prev_state: `snt.LSTMState` of the previous step.

        Returns:
          The hidden state [B, H] and the next state.

        Raises:
          ValueError: if a rank, a width, a dtype or the structure of the state does not fit.
        """
        width = self.input_to_hidden.shape[0] if hasattr(self, "input_to_hidden") else None
        inputs = _checks.check_tensor("inputs", inputs, [None, width], self._dtype)
        _checks.check_state("prev_state", prev_state, self.state_size, self._dtype, inputs.shape[0])
        self._create_weights(inputs)
        gates = tf.matmul(inputs, self.input_to_hidden)
        gates += tf.matmul(prev_state.hidden, self.hidden_to_hidden)
        parts = zip(self.gate_norms, tf.split(gates, 4, axis=1), strict=True)
        i, f, g, o = (norm(part) for norm, part in parts)
        cell = tf.sigmoid(f) * prev_state.cell + tf.sigmoid(i) * tf.tanh(g)
        hidden = tf.sigmoid(o) * tf.tanh(self.cell_norm(cell))
        return hidden, snt.LSTMState(hidden, cell)

    @snt.once
    def _create_weights(self, inputs: tf.Tensor) -> None:
        size, width = self._hidden_size, inputs.shape[1]

        def matrix(rows: int, name: str) -> tf.Variable:
            draw = snt.initializers.TruncatedNormal(stddev=rows**-0.5)
            return tf.Variable(draw([rows, 4 * size], self._dtype), name=name)

        self.input_to_hidden = matrix(width, "input_to_hidden")
        self.hidden_to_hidden = matrix(size, "hidden_to_hidden")

    def initial_state(self, batch_size: Any) -> snt.LSTMState:
        """Returns zeros."""
        zeros = tf.zeros([_checks.check_batch_size(batch_size), self._hidden_size], self._dtype)
        return snt.LSTMState(zeros, zeros)

    @property
    def hidden_size(self) -> int:
        """Width H of the output."""
        return self._hidden_size

    @property
    def dtype(self) -> tf.DType:
        """Dtype of variables and state."""
        return self._dtype

    @property
    def state_size(self) -> snt.LSTMState:
        """Shapes of one example's state."""
        shape = tf.TensorShape([self._hidden_size])
        return snt.LSTMState(shape, shape)

    @property
    def output_size(self) -> tf.TensorShape:
        """Shape of one example's output."""
        return tf.TensorShape([self._hidden_size])
