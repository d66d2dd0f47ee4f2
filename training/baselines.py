"""Baselines for comparison with a DNC: an LSTM and a Neural Turing Machine."""

from typing import Any, NamedTuple

import sonnet as snt
import tensorflow as tf


class LSTMBaseline(snt.RNNCore):
    """LSTM layers and a linear layer: a DNC without its memory."""

    def __init__(self, controller: snt.RNNCore, output_size: int, clip_value: float | None = None):
        """Creates the core.

        Args:
          controller: the LSTM, or any core.
          output_size: width Y of the output.
          clip_value: bound on the absolute value of the output; `None`: no bound.
        """
        super().__init__(name="lstm_baseline")
        self.controller = controller
        self.output_linear = snt.Linear(output_size, name="output_linear")
        self._clip_value = clip_value

    def __call__(self, inputs: tf.Tensor, prev_state: Any) -> tuple[tf.Tensor, Any]:
        """Performs one step: [B, X] to [B, Y]."""
        hidden, state = self.controller(inputs, prev_state)
        return _clip(self.output_linear(hidden), self._clip_value), state

    def initial_state(self, batch_size: Any) -> Any:
        """Returns the controller's initial state."""
        return self.controller.initial_state(batch_size)


class NTMState(NamedTuple):
    """State of a Neural Turing Machine."""

    memory: Any  # [B, N, W]
    weights: Any  # [B, R + V, N], read heads first, then write heads
    words: Any  # [B, R, W], the words read
    controller: Any


class NTM(snt.RNNCore):
    """Neural Turing Machine (Graves et al. 2014).

    Each head emits a key k, strength beta, gate g, shift s over {-1, 0, 1} and sharpening gamma:

        w_c = softmax(beta cosine(k, M)),   w_g = g w_c + (1 - g) w_{t-1}
        w   = (w_g * s)^gamma / sum (w_g * s)^gamma              (* is circular convolution)

    Write heads also emit e and a: M <- M (1 - w e^T) + w a^T. Heads read the memory before it is
    written. The memory starts at 1e-6 and every head at slot 0 (Collier & Beel 2018: training from
    a constant is faster than from random or learned values).
    """

    def __init__(
        self,
        controller: snt.RNNCore,
        memory_size: int,
        word_size: int,
        num_reads: int,
        num_writes: int,
        output_size: int,
        clip_value: float | None = None,
    ):
        """Creates the core.

        Args:
          controller: any core.
          memory_size: number of slots N.
          word_size: width W of a slot.
          num_reads: number of read heads R.
          num_writes: number of write heads V.
          output_size: width Y of the output.
          clip_value: bound on controller and core outputs; `None`: no bound.
        """
        super().__init__(name="ntm")
        self.controller = controller
        self._memory_size, self._word_size = memory_size, word_size
        self._num_reads, self._num_writes = num_reads, num_writes
        self._clip_value = clip_value
        heads = num_reads + num_writes
        self.interface = snt.Linear(
            heads * (word_size + 6) + 2 * num_writes * word_size, name="interface"
        )
        self.output_linear = snt.Linear(output_size, name="output_linear")

    def __call__(self, inputs: tf.Tensor, prev_state: NTMState) -> tuple[tf.Tensor, NTMState]:
        """Performs one step: [B, X] to [B, Y]."""
        reads, writes, width = self._num_reads, self._num_writes, self._word_size
        heads = reads + writes
        hidden, controller_state = self.controller(
            tf.concat([inputs, snt.flatten(prev_state.words)], axis=1), prev_state.controller
        )
        hidden = _clip(hidden, self._clip_value)

        keys, scalars, shifts, erase, add = tf.split(
            self.interface(hidden),
            [heads * width, heads * 3, heads * 3, writes * width, writes * width],
            axis=1,
        )
        strengths, gates, sharpening = tf.split(scalars, 3, axis=1)
        weights = address(
            prev_state.memory,
            prev_state.weights,
            keys=tf.reshape(keys, [-1, heads, width]),
            strengths=tf.nn.softplus(strengths),
            gates=tf.sigmoid(gates),
            shifts=tf.nn.softmax(tf.reshape(shifts, [-1, heads, 3])),
            sharpening=1.0 + tf.nn.softplus(sharpening),
        )
        words = tf.matmul(weights[:, :reads], prev_state.memory)
        memory = prev_state.memory
        erase = tf.reshape(tf.sigmoid(erase), [-1, writes, width])
        add = tf.reshape(add, [-1, writes, width])
        for i in range(writes):
            w = weights[:, reads + i, :, tf.newaxis]
            memory = memory * (1.0 - w * erase[:, tf.newaxis, i]) + w * add[:, tf.newaxis, i]
        outputs = self.output_linear(tf.concat([hidden, snt.flatten(words)], axis=1))
        state = NTMState(memory, weights, words, controller_state)
        return _clip(outputs, self._clip_value), state

    def initial_state(self, batch_size: Any) -> NTMState:
        """Returns the state before the first step."""
        heads = self._num_reads + self._num_writes
        return NTMState(
            memory=tf.fill([batch_size, self._memory_size, self._word_size], 1e-6),
            weights=tf.one_hot(tf.zeros([batch_size, heads], tf.int32), self._memory_size),
            words=tf.zeros([batch_size, self._num_reads, self._word_size]),
            controller=self.controller.initial_state(batch_size),
        )


def address(
    memory: tf.Tensor,
    prev_weights: tf.Tensor,
    keys: tf.Tensor,
    strengths: tf.Tensor,
    gates: tf.Tensor,
    shifts: tf.Tensor,
    sharpening: tf.Tensor,
) -> tf.Tensor:
    """Returns the weightings [B, H, N] of heads, addressed by content and by location.

    Args:
      memory: [B, N, W].
      prev_weights: [B, H, N], from the previous step.
      keys: [B, H, W].
      strengths: [B, H], beta >= 0.
      gates: [B, H], g in [0, 1]; 1 for content alone.
      shifts: [B, H, 3], the shares that move one slot down, stay, and move one slot up; sum 1.
      sharpening: [B, H], gamma >= 1.
    """
    memory, prev_weights = tf.convert_to_tensor(memory), tf.convert_to_tensor(prev_weights)
    keys, shifts = tf.convert_to_tensor(keys), tf.convert_to_tensor(shifts)
    strengths, gates, sharpening = (
        tf.convert_to_tensor(x, memory.dtype) for x in (strengths, gates, sharpening)
    )
    norms = _norm(keys)[:, :, tf.newaxis] * _norm(memory)[:, tf.newaxis]
    similarity = tf.matmul(keys, memory, transpose_b=True) / (norms + 1e-6)
    by_content = tf.nn.softmax(strengths[:, :, tf.newaxis] * similarity)
    gates = gates[:, :, tf.newaxis]
    weights = gates * by_content + (1.0 - gates) * prev_weights
    down, stay, up = tf.unstack(shifts[:, :, tf.newaxis], axis=3)
    weights = (
        down * tf.roll(weights, -1, axis=2) + stay * weights + up * tf.roll(weights, 1, axis=2)
    )
    # x^gamma as exp(gamma log x), whose gradient is finite even where x is 0.
    sharpened = tf.exp(sharpening[:, :, tf.newaxis] * tf.math.log(weights + 1e-12))
    return sharpened / tf.reduce_sum(sharpened, axis=2, keepdims=True)


def _norm(x: tf.Tensor) -> tf.Tensor:
    """Returns the length of vectors along the last axis, with a finite gradient even at 0."""
    return tf.sqrt(tf.reduce_sum(tf.square(x), axis=-1) + 1e-12)


def _clip(x: tf.Tensor, bound: float | None) -> tf.Tensor:
    return x if bound is None else tf.clip_by_value(x, -bound, bound)
