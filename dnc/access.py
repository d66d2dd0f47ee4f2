"""MemoryAccess: one step of writing to and reading from the memory."""

from collections.abc import Callable
from typing import Any, NamedTuple

import sonnet as snt
import tensorflow as tf

from dnc import _checks
from dnc.allocation import Freeness, FreenessInputs, product, usage_after_write
from dnc.content import CosineWeights
from dnc.interface import Interface, InterfaceFields, ReadMode
from dnc.linkage import LinkageInputs, TemporalLinkage


class AccessState(NamedTuple):
    """What a `MemoryAccess` carries from step to step."""

    memory: Any  # [B, N, W]
    read_weights: Any  # [B, R, N]
    write_weights: Any  # [B, Wn, N]
    linkage: Any  # the linkage's own state, e.g. `TemporalLinkageState`
    usage: Any  # [B, N]


def check_access_state(
    name: str, state: Any, sizes: AccessState, dtype: tf.DType, batch_size: int | None
) -> None:
    """Raises `ValueError` unless `state` is an `AccessState` of these sizes and this dtype.

    Of the linkage's part only what is of floating point must have the dtype: it may well number
    slots.
    """
    _checks.check_state(name, state, sizes._replace(linkage=None), dtype, batch_size)
    linkage = f"{name}.linkage"
    _checks.check_state(linkage, state.linkage, sizes.linkage, dtype, batch_size, strict=False)


class AccessStep(NamedTuple):
    """Every quantity of one step, for whoever looks inside: `MemoryAccess`, traces, tests."""

    interface: InterfaceFields
    allocation_weights: tf.Tensor  # [B, Wn, N], a
    write_content_weights: tf.Tensor  # [B, Wn, N], c^w
    read_content_weights: tf.Tensor  # [B, R, N], c^r
    forward_weights: tf.Tensor  # [B, R, Wn, N], f
    backward_weights: tf.Tensor  # [B, R, Wn, N], b
    read_words: tf.Tensor  # [B, R, W], r
    state: AccessState


def write_weights(
    write_gate: tf.Tensor, allocation_gate: tf.Tensor, allocation: tf.Tensor, content: tf.Tensor
) -> tf.Tensor:
    """w^w = g^w (g^a a + (1 - g^a) c^w).

    Args:
      write_gate: [B, Wn], in [0, 1].
      allocation_gate: [B, Wn], in [0, 1].
      allocation: [B, Wn, N].
      content: [B, Wn, N].

    Returns:
      [B, Wn, N], each row summing to at most `write_gate`.
    """
    write_gate = write_gate[:, :, tf.newaxis]
    allocation_gate = allocation_gate[:, :, tf.newaxis]
    return write_gate * (allocation_gate * allocation + (1.0 - allocation_gate) * content)


def erase_and_write(
    memory: tf.Tensor, weights: tf.Tensor, erase_vectors: tf.Tensor, write_vectors: tf.Tensor
) -> tf.Tensor:
    """M <- M prod_i (1 - w^i e^i^T) + sum_i w^i v^i^T over the write heads.

    Args:
      memory: [B, N, W].
      weights: [B, Wn, N], write weightings.
      erase_vectors: [B, Wn, W], in [0, 1].
      write_vectors: [B, Wn, W].

    Returns:
      [B, N, W].
    """
    kept = 1.0 - weights[:, :, :, tf.newaxis] * erase_vectors[:, :, tf.newaxis, :]
    kept = product(tf.unstack(kept, axis=1))
    return memory * kept + tf.matmul(weights, write_vectors, transpose_a=True)


def read_weights(
    mode: ReadMode, content: tf.Tensor, forward: tf.Tensor, backward: tf.Tensor
) -> tf.Tensor:
    """w^r = pi[1] b + pi[2] c + pi[3] f, with the links of every write head.

    Args:
      mode: `ReadMode`.
      content: [B, R, N].
      forward: [B, R, Wn, N].
      backward: [B, R, Wn, N].

    Returns:
      [B, R, N], each row summing to at most 1.
    """
    return (
        tf.reduce_sum(mode.backward[..., tf.newaxis] * backward, axis=2)
        + tf.reduce_sum(mode.forward[..., tf.newaxis] * forward, axis=2)
        + mode.content[..., tf.newaxis] * content
    )


def read_words(memory: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """r = M^T w^r.

    Args:
      memory: [B, N, W].
      weights: [B, R, N].

    Returns:
      [B, R, W].
    """
    return tf.matmul(weights, memory)


class MemoryAccess(snt.RNNCore):
    """Reads and writes an external memory as the interface vector says (Methods of the paper).

    A core whose input is a controller's output, whose output are the words read, and whose state is
    the memory with all that is known about it.

        >>> access = MemoryAccess(memory_size=16, word_size=8, num_reads=2)
        >>> words, state = access(tf.zeros([3, 32]), access.initial_state(batch_size=3))
        >>> words.shape, state.memory.shape
        (TensorShape([3, 2, 8]), TensorShape([3, 16, 8]))

    The variables do not depend on `memory_size`.
    """

    def __init__(
        self,
        memory_size: int = 128,
        word_size: int = 20,
        num_reads: int = 1,
        num_writes: int = 1,
        *,
        linkage: snt.RNNCore | None = None,
        freeness: snt.RNNCore | None = None,
        content_weights: Callable[..., snt.Module] = CosineWeights,
        strength_op: Callable[[tf.Tensor], tf.Tensor] = tf.nn.softplus,
        with_bias: bool = True,
        name: str = "memory_access",
    ):
        """Creates the core.

        Args:
          memory_size: number of slots N, >= 1.
          word_size: width W of a slot, >= 1.
          num_reads: number of read heads R, >= 1.
          num_writes: number of write heads Wn, >= 1.
          linkage: core that follows the order of writes; by default a dense `TemporalLinkage`.
          freeness: core that keeps the usage and allocates; by default `Freeness(memory_size)`.
          content_weights: makes the content look-ups: `CosineWeights` as in the paper, or
            `UsedCosineWeights`, which empty slots do not disturb; called with the number of heads,
            `word_size`, `strength_op` and a `name`.
          strength_op: activation of the look-up strengths: `tf.nn.softplus` as in the released
            code, `dnc.oneplus` as in the paper.
          with_bias: whether the interface layer has a bias (released code) or not (paper).
          name: name of the module.

        Raises:
          ValueError: if a size is not a positive integer, or a part was made for other sizes.
        """
        super().__init__(name=name)
        self._memory_size = _checks.check_size("memory_size", memory_size)
        self._word_size = _checks.check_size("word_size", word_size)
        self._num_reads = _checks.check_size("num_reads", num_reads)
        self._num_writes = _checks.check_size("num_writes", num_writes)

        self.interface = Interface(word_size, num_reads, num_writes, with_bias=with_bias)
        self.freeness = Freeness(memory_size) if freeness is None else freeness
        self.linkage = TemporalLinkage(memory_size, num_writes) if linkage is None else linkage
        _checks.check_callable("content_weights", content_weights)
        self.write_content = content_weights(
            num_writes, word_size, strength_op, name="write_content"
        )
        self.read_content = content_weights(num_reads, word_size, strength_op, name="read_content")

        for part, sizes in (
            ("freeness", {"memory_size": self._memory_size}),
            ("linkage", {"memory_size": self._memory_size, "num_writes": self._num_writes}),
        ):
            for size, expected in sizes.items():
                if (actual := getattr(getattr(self, part), size, None)) != expected:
                    raise ValueError(
                        f"{part} must have {size}={expected} like the access, got {actual}."
                    )

    def __call__(self, inputs: tf.Tensor, prev_state: AccessState) -> tuple[tf.Tensor, AccessState]:
        """Writes, then reads.

        Args:
          inputs: the controller's output, [B, H].
          prev_state: `AccessState` of the step before.

        Returns:
          The words read, [B, R, W], and the next `AccessState`.

        Raises:
          ValueError: if a rank, a width, a dtype or the structure of the state does not fit.
        """
        inputs = _checks.check_tensor("controller output", inputs, [None, None])
        check_access_state(
            "memory access state", prev_state, self.state_size, inputs.dtype, inputs.shape[0]
        )
        step = self._step(inputs, prev_state)
        return step.read_words, step.state

    def _step(
        self,
        inputs: tf.Tensor,
        prev_state: AccessState,
        compute_dtype: tf.DType | None = None,
    ) -> AccessStep:
        """`__call__` with every intermediate quantity, for a state that was checked.

        Those not used cost nothing in a compiled graph.
        """
        interface = self.interface(inputs, compute_dtype)

        allocation, usage = self.freeness(
            FreenessInputs(
                write_weights=prev_state.write_weights,
                read_weights=prev_state.read_weights,
                free_gate=interface.free_gate,
                write_gates=interface.allocation_gate * interface.write_gate,
            ),
            prev_state.usage,
        )
        write_content = self.write_content(
            prev_state.memory, interface.write_keys, interface.write_strengths, usage
        )
        new_write_weights = write_weights(
            interface.write_gate, interface.allocation_gate, allocation, write_content
        )
        memory = erase_and_write(
            prev_state.memory, new_write_weights, interface.erase_vectors, interface.write_vectors
        )

        directions, linkage_state = self.linkage(
            LinkageInputs(new_write_weights, prev_state.read_weights), prev_state.linkage
        )
        read_content = self.read_content(
            memory,
            interface.read_keys,
            interface.read_strengths,
            usage_after_write(usage, new_write_weights),
        )
        new_read_weights = read_weights(
            interface.read_mode, read_content, directions.forward, directions.backward
        )

        return AccessStep(
            interface=interface,
            allocation_weights=allocation,
            write_content_weights=write_content,
            read_content_weights=read_content,
            forward_weights=directions.forward,
            backward_weights=directions.backward,
            read_words=read_words(memory, new_read_weights),
            state=AccessState(memory, new_read_weights, new_write_weights, linkage_state, usage),
        )

    def initial_state(self, batch_size: Any, dtype: Any = tf.float32) -> AccessState:
        """Returns the state of an empty memory: all zero.

        Args:
          batch_size: an integer >= 0 or a scalar integer tensor.
          dtype: float32 or float64.
        """
        batch_size, dtype = _checks.check_batch_size(batch_size), _checks.check_state_dtype(dtype)
        return AccessState(
            memory=tf.zeros([batch_size, self._memory_size, self._word_size], dtype),
            read_weights=tf.zeros([batch_size, self._num_reads, self._memory_size], dtype),
            write_weights=tf.zeros([batch_size, self._num_writes, self._memory_size], dtype),
            linkage=self.linkage.initial_state(batch_size, dtype),
            usage=self.freeness.initial_state(batch_size, dtype),
        )

    @property
    def memory_size(self) -> int:
        """Number of slots N."""
        return self._memory_size

    @property
    def word_size(self) -> int:
        """Width W of a slot."""
        return self._word_size

    @property
    def num_reads(self) -> int:
        """Number of read heads R."""
        return self._num_reads

    @property
    def num_writes(self) -> int:
        """Number of write heads Wn."""
        return self._num_writes

    @property
    def state_size(self) -> AccessState:
        """Shapes of one example's state."""
        return AccessState(
            memory=tf.TensorShape([self._memory_size, self._word_size]),
            read_weights=tf.TensorShape([self._num_reads, self._memory_size]),
            write_weights=tf.TensorShape([self._num_writes, self._memory_size]),
            linkage=self.linkage.state_size,
            usage=self.freeness.state_size,
        )

    @property
    def output_size(self) -> tf.TensorShape:
        """Shape of the words read for one example."""
        return tf.TensorShape([self._num_reads, self._word_size])
