"""The interface vector: what the controller tells the memory at each step.

One linear layer maps the controller output to a vector that is cut into named fields, in the order
of the paper (Methods, "Interface parameters"), for R read heads, Wn write heads and word size W:

================  ==========  ==========================================================
field             width       activation
================  ==========  ==========================================================
read_keys         R W         none
read_strengths    R           none here: the look-up applies its `strength_op`
write_keys        Wn W        none
write_strengths   Wn          none here, likewise
erase_vectors     Wn W        sigmoid
write_vectors     Wn W        none
free_gate         R           sigmoid
allocation_gate   Wn          sigmoid
write_gate        Wn          sigmoid
read_mode         R (1+2 Wn)  softmax over the modes of each head: backward and forward
                              along the links of each write head, then content
================  ==========  ==========================================================

With one write head the width is R W + 3 W + 5 R + 3. (The released code has ten linear layers side
by side: the same function. The paper orders the modes backward, content, forward.)
"""

import math
from typing import NamedTuple

import sonnet as snt
import tensorflow as tf

from dnc import _checks, _cores

SIGMOID_FIELDS = ("erase_vectors", "free_gate", "allocation_gate", "write_gate")


class ReadMode(NamedTuple):
    """How much each read head follows the links or looks up content; a head's modes sum to 1."""

    backward: tf.Tensor  # [B, R, Wn], pi[1] of the paper
    forward: tf.Tensor  # [B, R, Wn], pi[3]
    content: tf.Tensor  # [B, R], pi[2]


class InterfaceFields(NamedTuple):
    """The interface vector of one step, cut and activated."""

    read_keys: tf.Tensor  # [B, R, W], k^r
    read_strengths: tf.Tensor  # [B, R], beta^r before its activation
    write_keys: tf.Tensor  # [B, Wn, W], k^w
    write_strengths: tf.Tensor  # [B, Wn], beta^w before its activation
    erase_vectors: tf.Tensor  # [B, Wn, W] in [0, 1], e
    write_vectors: tf.Tensor  # [B, Wn, W], v
    free_gate: tf.Tensor  # [B, R] in [0, 1], f
    allocation_gate: tf.Tensor  # [B, Wn] in [0, 1], g^a
    write_gate: tf.Tensor  # [B, Wn] in [0, 1], g^w
    read_mode: ReadMode  # pi


class Interface(snt.Module):
    """Maps the controller output to `InterfaceFields` by one linear layer."""

    def __init__(
        self,
        word_size: int,
        num_reads: int,
        num_writes: int,
        with_bias: bool = True,
        name: str = "interface",
    ):
        """Creates the layer.

        Args:
          word_size: width W of a memory slot, >= 1.
          num_reads: number of read heads R, >= 1.
          num_writes: number of write heads Wn, >= 1.
          with_bias: whether the layer has a bias (released code) or not (paper).
          name: name of the module.
        """
        super().__init__(name=name)
        word_size = _checks.check_size("word_size", word_size)
        num_reads = _checks.check_size("num_reads", num_reads)
        num_writes = _checks.check_size("num_writes", num_writes)
        self._num_writes = num_writes
        self._shapes: dict[str, tuple[int, ...]] = dict(
            read_keys=(num_reads, word_size),
            read_strengths=(num_reads,),
            write_keys=(num_writes, word_size),
            write_strengths=(num_writes,),
            erase_vectors=(num_writes, word_size),
            write_vectors=(num_writes, word_size),
            free_gate=(num_reads,),
            allocation_gate=(num_writes,),
            write_gate=(num_writes,),
            read_mode=(num_reads, 1 + 2 * num_writes),
        )
        self.linear = snt.Linear(sum(self.widths.values()), with_bias=with_bias, name="linear")

    @property
    def widths(self) -> dict[str, int]:
        """Width of each field, in the order in which the linear layer's columns hold them."""
        return {name: math.prod(shape) for name, shape in self._shapes.items()}

    def __call__(
        self, controller_output: tf.Tensor, compute_dtype: tf.DType | None = None
    ) -> InterfaceFields:
        """Computes the fields from the controller output [B, H].

        The linear layer computes in `compute_dtype`, if one is given and the variables exist; the
        activations and the fields are in the dtype of the controller output.

        Raises:
          ValueError: if the rank, the width or the dtype does not fit.
        """
        weights = getattr(self.linear, "w", None)  # Created by the first call.
        expected = (
            ([None, None], None) if weights is None else ([None, weights.shape[0]], weights.dtype)
        )
        controller_output = _checks.check_tensor("controller output", controller_output, *expected)
        vector = _cores.call_in(compute_dtype, self.linear, controller_output)
        return self.cut(self.activate(vector))

    def activate(self, vector: tf.Tensor) -> tf.Tensor:
        """Applies the activations of the table above to interface vectors [B, I]."""
        parts = self._split(vector)
        for name in SIGMOID_FIELDS:
            parts[name] = tf.sigmoid(parts[name])
        modes = tf.reshape(parts["read_mode"], [-1, *self._shapes["read_mode"]])
        parts["read_mode"] = tf.reshape(tf.nn.softmax(modes), [-1, self.widths["read_mode"]])
        return tf.concat(list(parts.values()), axis=1)

    def cut(self, activated: tf.Tensor) -> InterfaceFields:
        """Cuts activated interface vectors [B, I] into fields."""
        fields = {
            name: tf.reshape(part, [-1, *self._shapes[name]])
            for name, part in self._split(activated).items()
        }
        backward, forward, content = tf.split(
            fields["read_mode"], [self._num_writes, self._num_writes, 1], axis=2
        )
        fields["read_mode"] = ReadMode(backward, forward, tf.squeeze(content, axis=2))
        return InterfaceFields(**fields)

    def _split(self, vector: tf.Tensor) -> dict[str, tf.Tensor]:
        parts = tf.split(vector, list(self.widths.values()), axis=1)
        return dict(zip(self.widths, parts, strict=True))
