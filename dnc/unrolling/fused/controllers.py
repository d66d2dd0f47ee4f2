"""One step of the controller with its bound, forwards and backwards."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import sonnet as snt
import tensorflow as tf

from dnc import _cores
from dnc.controllers import FeedForward
from dnc.core import DNC
from dnc.normalization import LayerNormLSTM
from dnc.unrolling.fused import normalization
from dnc.unrolling.fused.normalization import normalize, normalize_gradient
from dnc.unrolling.fused.registry import Part, fuses, is_patched


def controller_step(core: DNC, training: bool | None) -> Callable[..., tuple[tf.Tensor, Any]]:
    """Returns one step of any controller, for `Recomputed`."""
    call = functools.partial(_cores.call_with_training, core.controller, training=training)

    def step(inputs: tf.Tensor, words: tf.Tensor, state: Any) -> tuple[tf.Tensor, Any]:
        return tf.nest.map_structure(core.clip, call(tf.concat([inputs, words], axis=1), state))

    return step


class _FusedGates(Part):
    """An LSTM: each product with its weights is taken once for all steps, or once per step.

    W_x is the part of the weights for the inputs x, and W the rest, for the words r and the hidden
    state h of the previous step. `prepare` returns x W_x for all steps, and W is the only one of
    `weights`.
    """

    def __init__(self, lstm: Any, core: DNC):
        self._core, self._lstm = core, lstm
        self._size: int = lstm.hidden_to_hidden.shape[0]
        self._words_width = core.access.num_reads * core.access.word_size

    def prepare(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the inputs of `step`, [T B, 4 H], for the inputs of all steps, [T B, X]."""
        return tf.matmul(inputs, self._lstm.input_to_hidden[: inputs.shape[1]])

    def weights(self) -> list[tf.Tensor]:
        """Returns the matrices that `step` multiplies by."""
        from_words = self._lstm.input_to_hidden[-self._words_width :]
        return [tf.concat([from_words, self._lstm.hidden_to_hidden], axis=0)]

    def weight_gradients(self, inputs: Any, d_products: tf.Tensor) -> list[tf.Tensor]:
        """Returns the gradients w.r.t. `weights`, from the words and states of all steps."""
        words, states = inputs
        recurrent = tf.concat([words, states.hidden], axis=1)
        return [tf.matmul(recurrent, d_products, transpose_a=True)]

    def _sums(self, arguments: Any, weights: list[tf.Tensor]) -> tf.Tensor:
        """Returns [x r h] times all weights, [B, 4 H]."""
        inputs, words, state = arguments
        return inputs + tf.matmul(tf.concat([words, state.hidden], axis=1), weights[0])

    def _clipped(self, hidden: tf.Tensor, cell: tf.Tensor) -> tuple[tf.Tensor, snt.LSTMState]:
        """Returns the output and the next state."""
        hidden, cell = self._core.clip(hidden), self._core.clip(cell)
        return hidden, snt.LSTMState(hidden, cell)

    def _unclipped(
        self, hidden: tf.Tensor, cell: tf.Tensor, d_results: Any
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns gradients w.r.t. hidden state and cell before clipping."""
        d_output, d_state = d_results
        d_hidden = unless_clipped(self._core, hidden, d_output + d_state.hidden)
        return d_hidden, unless_clipped(self._core, cell, d_state.cell)

    def _recurrent(
        self, d_sums: tf.Tensor, products: list[Callable[[tf.Tensor], tf.Tensor]]
    ) -> list[tf.Tensor]:
        """Returns gradients w.r.t. the words and the hidden state of the previous step."""
        return tf.split(products[0](d_sums), [self._words_width, self._size], axis=1)


@fuses(snt.LSTM)
class FusedLSTM(_FusedGates):
    """`snt.LSTM`, with the cell c of the previous step:

    [i f g o] = x W_x + b + [r h] W,   c' = s(f) c + s(i) tanh(g),   h' = s(o) tanh(c')
    """

    @staticmethod
    def fits(lstm: snt.LSTM) -> bool:
        """Whether this is an LSTM without projection."""
        output_size, gates_size = lstm.hidden_to_hidden.shape
        return 4 * output_size == gates_size

    def prepare(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the inputs of `step`, [T B, 4 H], for the inputs of all steps, [T B, X]."""
        return super().prepare(inputs) + self._lstm.b

    def residuals_spec(self, batch_size: int | None, dtype: tf.DType) -> tf.TensorSpec:
        """Returns the spec of the sums that a step keeps for `gradient`."""
        return tf.TensorSpec([batch_size, 4 * self._size], dtype)

    def step(
        self, arguments: Any, weights: list[tf.Tensor]
    ) -> tuple[tuple[tf.Tensor, snt.LSTMState], tf.Tensor]:
        """Returns the output and the next state for inputs, words and state, and the sums."""
        sums = self._sums(arguments, weights)
        gates = _activate(tf.split(sums, 4, axis=1))
        cell = _next_cell(gates, arguments[2].cell)
        return self._clipped(gates.o * tf.tanh(cell), cell), sums

    def gradient(
        self,
        arguments: Any,
        results: Any,
        residuals: tf.Tensor,
        d_results: Any,
        products: list[Callable[[tf.Tensor], tf.Tensor]],
    ) -> tuple[tuple[tf.Tensor, tf.Tensor, snt.LSTMState], list[tf.Tensor]]:
        """Returns the gradients. `products` multiply by the transposed weights."""
        del results
        prev_cell, gates = arguments[2].cell, _activate(tf.split(residuals, 4, axis=1))
        cell = _next_cell(gates, prev_cell)
        tanh_cell = tf.tanh(cell)
        d_hidden, d_cell = self._unclipped(gates.o * tanh_cell, cell, d_results)
        d_cell += d_hidden * gates.o * (1.0 - tf.square(tanh_cell))
        d_gates = _gates_gradient(gates, prev_cell, d_cell, d_hidden * tanh_cell)
        d_sums = tf.concat(d_gates, axis=1)
        d_words, d_previous = self._recurrent(d_sums, products)
        return (d_sums, d_words, snt.LSTMState(d_previous, d_cell * gates.f)), []


@fuses(LayerNormLSTM)
class FusedLayerNormLSTM(_FusedGates):
    """`LayerNormLSTM`: keeps its normalised sums and cell, before scale and offset, and 1 / std."""

    @staticmethod
    def fits(lstm: LayerNormLSTM) -> bool:
        """Whether its normalisations are known."""
        norms = [*lstm.gate_norms, lstm.cell_norm]
        return all(normalization.is_known(norm) and norm._create_offset for norm in norms)

    @property
    def variables(self) -> list[tf.Variable]:  # type: ignore[override]
        """Scales and offsets of the gates, then of the cell."""
        norms = [*self._lstm.gate_norms, self._lstm.cell_norm]
        return [variable for norm in norms for variable in (norm.scale, norm.offset)]

    def no_sums(self) -> list[tf.Tensor]:
        """Returns zeros for the sums w.r.t. scales and offsets, [5 H] each."""
        return [tf.zeros([5 * self._size], self._lstm.dtype)] * 2

    def variable_gradients(self, sums: list[tf.Tensor]) -> list[tf.Tensor]:
        """Returns the gradients w.r.t. `variables`."""
        pairs = zip(*(tf.split(x, 5) for x in sums), strict=True)
        return [d for pair in pairs for d in pair]

    def residuals_spec(self, batch_size: int | None, dtype: tf.DType) -> tf.TensorSpec:
        """Returns the spec of what a step keeps for `gradient`."""
        return tf.TensorSpec([batch_size, 5 * self._size + 5], dtype)

    def step(
        self, arguments: Any, weights: list[tf.Tensor]
    ) -> tuple[tuple[tf.Tensor, snt.LSTMState], tf.Tensor]:
        """Returns the output and the next state for inputs, words and state, and residuals."""
        sums = tf.reshape(self._sums(arguments, weights), [-1, 4, self._size])
        normalized, inverse_std = normalize(sums)
        gates = self._gates(normalized)
        cell = _next_cell(gates, arguments[2].cell)
        normalized_cell, inverse_cell_std = normalize(cell)
        hidden = gates.o * self._tanh_cell(normalized_cell)
        normalized = tf.reshape(normalized, [-1, 4 * self._size])
        parts = [normalized, normalized_cell, tf.squeeze(inverse_std, axis=2), inverse_cell_std]
        return self._clipped(hidden, cell), tf.concat(parts, axis=1)

    def gradient(
        self,
        arguments: Any,
        results: Any,
        residuals: tf.Tensor,
        d_results: Any,
        products: list[Callable[[tf.Tensor], tf.Tensor]],
    ) -> tuple[tuple[tf.Tensor, tf.Tensor, snt.LSTMState], list[tf.Tensor]]:
        """Returns the gradients; w.r.t. scales and offsets they are [5 H] each."""
        del results
        prev_cell, size = arguments[2].cell, self._size
        normalized, inverse_std, inverse_cell_std = tf.split(residuals, [5 * size, 4, 1], axis=1)
        normalized_sums = tf.reshape(normalized[:, : 4 * size], [-1, 4, size])
        normalized_cell = normalized[:, 4 * size :]
        gates, tanh_cell = self._gates(normalized_sums), self._tanh_cell(normalized_cell)
        cell = _next_cell(gates, prev_cell)
        d_hidden, d_cell = self._unclipped(gates.o * tanh_cell, cell, d_results)
        d_shifted_cell = d_hidden * gates.o * (1.0 - tf.square(tanh_cell))
        d_cell += normalize_gradient(
            normalized_cell, inverse_cell_std, d_shifted_cell * self._lstm.cell_norm.scale
        )
        d_gates = _gates_gradient(gates, prev_cell, d_cell, d_hidden * tanh_cell)
        scales = tf.stack([norm.scale for norm in self._lstm.gate_norms])
        d_sums = normalize_gradient(
            normalized_sums, inverse_std[..., tf.newaxis], tf.stack(d_gates, axis=1) * scales
        )
        d_sums = tf.reshape(d_sums, [-1, 4 * size])
        d_words, d_previous = self._recurrent(d_sums, products)
        d_shifted = tf.concat([*d_gates, d_shifted_cell], axis=1)
        sums = [tf.reduce_sum(d_shifted * normalized, axis=0), tf.reduce_sum(d_shifted, axis=0)]
        return (d_sums, d_words, snt.LSTMState(d_previous, d_cell * gates.f)), sums

    def _gates(self, normalized: tf.Tensor) -> "_Gates":
        """Returns the gates from the normalised sums [B, 4, H]."""
        parts = zip(self._lstm.gate_norms, tf.unstack(normalized, axis=1), strict=True)
        return _activate([x * norm.scale + norm.offset for norm, x in parts])

    def _tanh_cell(self, normalized: tf.Tensor) -> tf.Tensor:
        norm = self._lstm.cell_norm
        return tf.tanh(normalized * norm.scale + norm.offset)


class _Gates(NamedTuple):
    """Gates of an LSTM, activated: input gate, forget gate, candidate and output gate, [B, H]."""

    i: tf.Tensor
    f: tf.Tensor
    g: tf.Tensor
    o: tf.Tensor


def _activate(parts: Sequence[tf.Tensor]) -> _Gates:
    i, f, g, o = parts
    return _Gates(tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o))


def _next_cell(gates: _Gates, cell: tf.Tensor) -> tf.Tensor:
    return gates.f * cell + gates.i * gates.g


def _gates_gradient(
    gates: _Gates, cell: tf.Tensor, d_next_cell: tf.Tensor, d_output_gate: tf.Tensor
) -> list[tf.Tensor]:
    """Returns gradients w.r.t. the arguments of the activations."""
    i, f, g, o = gates
    return [
        d_next_cell * g * i * (1.0 - i),
        d_next_cell * cell * f * (1.0 - f),
        d_next_cell * i * (1.0 - tf.square(g)),
        d_output_gate * o * (1.0 - o),
    ]


def unless_clipped(core: DNC, x: tf.Tensor, d_clipped: tf.Tensor) -> tf.Tensor:
    """Returns the gradient w.r.t. x, from the gradient w.r.t. the clipped x."""
    if core.clip_value is None:
        return d_clipped
    return tf.where(tf.abs(x) > core.clip_value, tf.zeros([], x.dtype), d_clipped)


@fuses(FeedForward)
class FusedFeedForward(Part):
    """`dnc.FeedForward` of one layer: h = relu(x W_x + b + r W), with x W_x + b for all steps."""

    @staticmethod
    def fits(controller: FeedForward) -> bool:
        """Whether this is one linear layer with ReLU, made from its size."""
        parts = controller.submodules
        if list(map(type, parts)) != [snt.nets.MLP, snt.Linear] or any(map(is_patched, parts)):
            return False
        return not callable(controller.network) and parts[0]._activation is tf.nn.relu

    def __init__(self, controller: FeedForward, core: DNC):
        self._core = core
        _, self._layer = controller.submodules
        self._words_width = core.access.num_reads * core.access.word_size

    def prepare(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the inputs of `step`, [T B, H], for the inputs of all steps, [T B, X]."""
        return tf.matmul(inputs, self._layer.w[: inputs.shape[1]]) + self._layer.b

    def weights(self) -> list[tf.Tensor]:
        """Returns the matrix by which `step` multiplies the words read."""
        return [self._layer.w[-self._words_width :]]

    def residuals_spec(self, batch_size: int | None, dtype: tf.DType) -> tf.TensorSpec:
        """Returns the spec of what a step keeps for `gradient`."""
        return tf.TensorSpec([batch_size, self._layer.output_size], dtype)

    def step(
        self, arguments: Any, weights: list[tf.Tensor]
    ) -> tuple[tuple[tf.Tensor, tuple[()]], tf.Tensor]:
        """Returns the output and the empty state for inputs, words and state, and the sums."""
        inputs, words, state = arguments
        sums = inputs + tf.matmul(words, weights[0])
        return (self._core.clip(tf.nn.relu(sums)), state), sums

    def gradient(
        self,
        arguments: Any,
        results: Any,
        residuals: tf.Tensor,
        d_results: Any,
        products: list[Callable[[tf.Tensor], tf.Tensor]],
    ) -> tuple[tuple[tf.Tensor, tf.Tensor, tuple[()]], list[tf.Tensor]]:
        """Returns the gradients. `products` multiply by the transposed weights."""
        del arguments, results
        d_output = unless_clipped(self._core, residuals, d_results[0])
        d_sums = tf.where(residuals > 0.0, d_output, tf.zeros([], residuals.dtype))
        return (d_sums, products[0](d_sums), ()), []

    def weight_gradients(self, inputs: Any, d_products: tf.Tensor) -> list[tf.Tensor]:
        """Returns the gradients w.r.t. `weights`, from the words and states of all steps."""
        return [tf.matmul(inputs[0], d_products, transpose_a=True)]
