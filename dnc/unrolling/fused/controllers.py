"""One step of the controller with its bound, forwards and backwards."""

import functools
import math
from collections.abc import Callable
from typing import Any

import sonnet as snt
import tensorflow as tf

from dnc import _cores
from dnc.controllers import ClippedSignal, EmbeddedInputs, FeedForward
from dnc.core import DNC
from dnc.unrolling.fused.registry import Part, fuses, is_patched


def controller_step(core: DNC, training: bool | None) -> Callable[..., tuple[tf.Tensor, Any]]:
    """Returns one step of any controller, for `Recomputed`."""
    call = functools.partial(_cores.call_with_training, core.controller, training=training)

    def step(inputs: tf.Tensor, words: tf.Tensor, state: Any) -> tuple[tf.Tensor, Any]:
        return tf.nest.map_structure(core.clip, call(tf.concat([inputs, words], axis=1), state))

    return step


@fuses(snt.LSTM, ClippedSignal, EmbeddedInputs)
class FusedLSTM(Part):
    """`snt.LSTM`: each product with its weights is one for all steps, or one a step.

    With the inputs x, the words read before r, and hidden state h and cell c of the step before:

        [i f g o] = x W_x + b + [r h] W,   c' = s(f) c + s(i) tanh(g),   h' = s(o) tanh(c')

    x W_x + b is what `prepare` returns for all steps, W is the only one of `weights`. In a
    `dnc.EmbeddedInputs` it is x E W_x + b. In a `dnc.ClippedSignal` gradients are bounded.
    """

    @staticmethod
    def fits(controller: snt.RNNCore) -> bool:
        """Whether this is an LSTM without projection, embedded and clipped by known wrappers."""
        wrappers, lstm = _unwrap(controller)
        if type(lstm) is not snt.LSTM or any(map(is_patched, [lstm, *wrappers])):
            return False
        output_size, gates_size = lstm.hidden_to_hidden.shape
        is_embedded_once = [type(wrapper) for wrapper in wrappers].count(EmbeddedInputs) <= 1
        return 4 * output_size == gates_size and is_embedded_once

    def __init__(self, controller: snt.RNNCore, core: DNC):
        self._core = core
        wrappers, self._lstm = _unwrap(controller)
        self._embedding, self._bound = None, math.inf
        for wrapper in wrappers:
            if type(wrapper) is EmbeddedInputs:
                self._embedding = wrapper.embedding
            else:
                self._bound = min(wrapper.bound, self._bound)
        self._words_width = core.access.num_reads * core.access.word_size

    def prepare(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the inputs of `step`, [T B, 4 H], for the inputs of all steps, [T B, X]."""
        if self._embedding is not None:
            inputs = tf.matmul(inputs, self._embedding)
        from_inputs = self._lstm.input_to_hidden[: inputs.shape[1]]
        return tf.matmul(inputs, from_inputs) + self._lstm.b

    def weights(self) -> list[tf.Tensor]:
        """Returns the matrices that `step` multiplies with."""
        from_words = self._lstm.input_to_hidden[-self._words_width :]
        return [tf.concat([from_words, self._lstm.hidden_to_hidden], axis=0)]

    def residuals_spec(self, batch_size: int | None, dtype: tf.DType) -> tf.TensorSpec:
        """Returns the spec of what a step keeps for `gradient`."""
        return tf.TensorSpec([batch_size, 4 * self._lstm.hidden_to_hidden.shape[0]], dtype)

    def step(
        self, arguments: Any, weights: list[tf.Tensor]
    ) -> tuple[tuple[tf.Tensor, snt.LSTMState], tf.Tensor]:
        """Returns the output and the next state, for inputs, words and state; the gates."""
        inputs, words, state = arguments
        gates = inputs + tf.matmul(tf.concat([words, state.hidden], axis=1), weights[0])
        hidden, cell = self._activate(gates, state.cell)[:2]
        hidden, cell = self._core.clip(hidden), self._core.clip(cell)
        return (hidden, snt.LSTMState(hidden, cell)), gates

    def gradient(
        self,
        arguments: Any,
        results: Any,
        residuals: tf.Tensor,
        d_results: Any,
        products: list[Callable[[tf.Tensor], tf.Tensor]],
    ) -> tuple[tuple[tf.Tensor, tf.Tensor, snt.LSTMState], list[tf.Tensor]]:
        """Returns the gradients. `products` multiply with the transposed weights."""
        del results
        (_, _, state), (d_output, d_next_state) = arguments, d_results
        hidden, cell, i, f, g, o, tanh_cell = self._activate(residuals, state.cell)
        d_hidden = self._bounded(d_output) + self._bounded(d_next_state.hidden)
        d_hidden = _unless_clipped(self._core, hidden, d_hidden)
        d_cell = _unless_clipped(self._core, cell, self._bounded(d_next_state.cell))
        d_cell += d_hidden * o * (1.0 - tf.square(tanh_cell))
        d_gates = tf.concat(
            [
                d_cell * g * i * (1.0 - i),
                d_cell * state.cell * f * (1.0 - f),
                d_cell * i * (1.0 - tf.square(g)),
                d_hidden * tanh_cell * o * (1.0 - o),
            ],
            axis=1,
        )
        d_recurrent = products[0](d_gates)
        d_words, d_previous = tf.split(d_recurrent, [self._words_width, -1], axis=1)
        return (d_gates, d_words, snt.LSTMState(d_previous, d_cell * f)), []

    def weight_gradients(self, inputs: Any, d_products: tf.Tensor) -> list[tf.Tensor]:
        """Returns the gradients w.r.t. `weights`, from the words and states of all steps."""
        words, states = inputs
        recurrent = tf.concat([words, states.hidden], axis=1)
        return [tf.matmul(recurrent, d_products, transpose_a=True)]

    def _activate(self, gates: tf.Tensor, cell: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Hidden state and cell before clipping, the four gates, and tanh of the cell."""
        i, f, g, o = tf.split(gates, 4, axis=1)
        i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
        cell = f * cell + i * g
        tanh_cell = tf.tanh(cell)
        return o * tanh_cell, cell, i, f, g, o, tanh_cell

    def _bounded(self, gradient: tf.Tensor) -> tf.Tensor:
        if self._bound == math.inf:
            return gradient
        return tf.clip_by_value(gradient, -self._bound, self._bound)


def _unless_clipped(core: DNC, x: tf.Tensor, d_clipped: tf.Tensor) -> tf.Tensor:
    """Gradient w.r.t. x, from the gradient w.r.t. what the core clips x to."""
    if core.clip_value is None:
        return d_clipped
    return tf.where(tf.abs(x) > core.clip_value, tf.zeros([], x.dtype), d_clipped)


def _unwrap(controller: snt.RNNCore) -> tuple[list[snt.RNNCore], snt.RNNCore]:
    """Returns the `EmbeddedInputs` and `ClippedSignal` around a controller, and the controller."""
    wrappers = []
    while type(controller) in (ClippedSignal, EmbeddedInputs):
        wrappers.append(controller)
        controller = controller.core
    return wrappers, controller


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
        """Returns the matrix that `step` multiplies the words read with."""
        return [self._layer.w[-self._words_width :]]

    def residuals_spec(self, batch_size: int | None, dtype: tf.DType) -> tf.TensorSpec:
        """Returns the spec of what a step keeps for `gradient`."""
        return tf.TensorSpec([batch_size, self._layer.output_size], dtype)

    def step(
        self, arguments: Any, weights: list[tf.Tensor]
    ) -> tuple[tuple[tf.Tensor, tuple[()]], tf.Tensor]:
        """Returns the output and the empty state, for inputs, words and state; the sums."""
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
        """Returns the gradients. `products` multiply with the transposed weights."""
        del arguments, results
        d_output = _unless_clipped(self._core, residuals, d_results[0])
        d_sums = tf.where(residuals > 0.0, d_output, tf.zeros([], residuals.dtype))
        return (d_sums, products[0](d_sums), ()), []

    def weight_gradients(self, inputs: Any, d_products: tf.Tensor) -> list[tf.Tensor]:
        """Returns the gradients w.r.t. `weights`, from the words and states of all steps."""
        return [tf.matmul(inputs[0], d_products, transpose_a=True)]
