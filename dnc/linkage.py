"""Temporal links: the order of writes, followed forwards and backwards from the last read.

Paper: Graves et al., Nature 538 (2016), Methods, "Temporal memory linkage". Shapes: B batch, N
memory slots, R read heads, V write heads.
"""

import abc
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import sonnet as snt
import tensorflow as tf

from dnc import _checks
from dnc.interface import Field


def update_link(
    link: tf.Tensor, precedence_weights: tf.Tensor, write_weights: tf.Tensor
) -> tf.Tensor:
    """L[i,j] <- (1 - w[i] - w[j]) L[i,j] + w[i] p[j], and L[i,i] = 0.

    L[i,j] is the degree to which slot i was written right after slot j.

    Args:
      link: [B, V, N, N], one graph for each write head.
      precedence_weights: [B, V, N], *before* this write.
      write_weights: [B, V, N].

    Returns:
      [B, V, N, N], every row and column summing to at most 1.
    """
    w_i = write_weights[:, :, :, tf.newaxis]
    w_j = write_weights[:, :, tf.newaxis, :]
    p_j = precedence_weights[:, :, tf.newaxis, :]
    updated = (1.0 - w_i - w_j) * link + w_i * p_j
    # Not `tf.linalg.set_diag`: XLA cannot compile its gradient for a batch of unknown size.
    to_itself = tf.eye(link.shape[-1], dtype=tf.bool)
    return tf.where(to_itself, tf.zeros([], updated.dtype), updated)


def update_precedence_weights(precedence_weights: tf.Tensor, write_weights: tf.Tensor) -> tf.Tensor:
    """p <- (1 - sum_i w[i]) p + w: the degree to which each slot was written last.

    Args:
      precedence_weights: [B, V, N].
      write_weights: [B, V, N].

    Returns:
      [B, V, N], each row summing to at most 1.
    """
    written = tf.reduce_sum(write_weights, axis=2, keepdims=True)
    return (1.0 - written) * precedence_weights + write_weights


def forward_weights(link: tf.Tensor, read_weights: tf.Tensor) -> tf.Tensor:
    """f = L r: the slots written right after the slots read.

    Args:
      link: [B, V, N, N].
      read_weights: [B, R, N].

    Returns:
      [B, R, V, N].
    """
    return tf.einsum("bwij,brj->brwi", link, read_weights)


def backward_weights(link: tf.Tensor, read_weights: tf.Tensor) -> tf.Tensor:
    """b = L^T r: the slots written right before the slots read.

    Args:
      link: [B, V, N, N].
      read_weights: [B, R, N].

    Returns:
      [B, R, V, N].
    """
    return tf.einsum("bwij,bri->brwj", link, read_weights)


class TemporalLinkageState(NamedTuple):
    """The order in which slots were written."""

    link: Any  # [B, V, N, N]
    precedence_weights: Any  # [B, V, N]

    def resize(self, memory_size: int) -> "TemporalLinkageState":
        """Returns the state with empty slots added, or the last slots dropped.

        Raises:
          ValueError: if the shapes do not fit each other.
        """
        precedence = _checks.check_tensor("precedence_weights", self.precedence_weights, [None] * 3)
        batch_size, num_writes, slots = precedence.shape
        sizes = TemporalLinkageState(
            tf.TensorShape([num_writes, slots, slots]), tf.TensorShape([num_writes, slots])
        )
        _checks.check_state("linkage state", self, sizes, precedence.dtype, batch_size)
        return TemporalLinkageState(
            link=resize_slots(self.link, memory_size, axes=(2, 3)),
            precedence_weights=resize_slots(self.precedence_weights, memory_size, axes=(2,)),
        )


class LinkageInputs(NamedTuple):
    """Inputs of one step of a linkage."""

    write_weights: tf.Tensor  # [B, V, N]
    read_weights: tf.Tensor  # [B, R, N], of the previous step
    fields: Mapping[str, tf.Tensor] = {}  # its interface fields


class DirectionalWeights(NamedTuple):
    """Outputs of one step of a linkage."""

    forward: Any  # [B, R, V, N]
    backward: Any  # [B, R, V, N]
    extras: Mapping[str, tf.Tensor] = {}  # further quantities to record, see `MemoryAccess`


class Linkage(snt.RNNCore):
    """Base class of the linkages, which remember the order of writes.

    A subclass defines `compute` and `state_size`. If its initial state is not all zero, it also
    defines `initial_state`.
    """

    def __init__(self, memory_size: int, num_writes: int, name: str):
        """Creates the core; see `TemporalLinkage`."""
        super().__init__(name=name)
        self._memory_size = _checks.check_size("memory_size", memory_size)
        self._num_writes = _checks.check_size("num_writes", num_writes)

    def fields(self) -> dict[str, Field]:
        """Returns the interface fields: the modes of each read head.

        Backward along the links of each write head, forward along them, and content.
        """
        return {"read_mode": Field(("R", 1 + 2 * self._num_writes), tf.nn.softmax)}

    def __call__(self, inputs: LinkageInputs, prev_state: Any) -> tuple[DirectionalWeights, Any]:
        """Records a write, then follows the links from the previous reads.

        Args:
          inputs: `LinkageInputs`: the write weights of this step and the read weights of the
            previous one.
          prev_state: the linkage's state before this write.

        Returns:
          `DirectionalWeights` and the next state.

        Raises:
          ValueError: if a shape, a dtype or the structure of the state does not fit.
        """
        inputs, slots = _checks.check_inputs(LinkageInputs, inputs), self._memory_size
        write_weights = _checks.check_tensor(
            "write_weights", inputs.write_weights, [None, self._num_writes, slots]
        )
        read_weights = _checks.check_like(
            write_weights, "read_weights", inputs.read_weights, [None, slots]
        )
        batch_size, dtype = write_weights.shape[0], write_weights.dtype
        _checks.check_state(
            "linkage state", prev_state, self.state_size, dtype, batch_size, strict=False
        )
        return self.compute(LinkageInputs(write_weights, read_weights, inputs.fields), prev_state)

    @abc.abstractmethod
    def compute(self, inputs: LinkageInputs, prev_state: Any) -> tuple[DirectionalWeights, Any]:
        """Computes the result of `__call__` for checked arguments."""

    def initial_state(self, batch_size: Any, dtype: Any = tf.float32) -> Any:
        """Returns the state before any write: all zero."""
        batch_size, dtype = _checks.check_batch_size(batch_size), _checks.check_state_dtype(dtype)
        return tf.nest.map_structure(
            lambda size: tf.zeros([batch_size, *size], dtype), self.state_size
        )

    @property
    def memory_size(self) -> int:
        """Number of slots N."""
        return self._memory_size

    @property
    def num_writes(self) -> int:
        """Number of write heads V."""
        return self._num_writes

    @property
    @abc.abstractmethod
    def state_size(self) -> Any:
        """Shapes of one example's state."""

    @property
    def output_size(self) -> DirectionalWeights:
        """Shapes of one example's directional weights.

        The number of read heads is set by the caller.
        """
        size = tf.TensorShape([None, self._num_writes, self._memory_size])
        return DirectionalWeights(forward=size, backward=size)


class TemporalLinkage(Linkage):
    """A linkage that keeps the links between all slots and follows them in both directions.

    >>> linkage = TemporalLinkage(memory_size=3)
    >>> state = linkage.initial_state(batch_size=1)
    >>> one_hot = lambda i: tf.one_hot([[i]], 3)
    >>> for slot in (0, 2, 1):
    ...     inputs = LinkageInputs(write_weights=one_hot(slot), read_weights=one_hot(2))
    ...     directions, state = linkage(inputs, state)
    >>> int(tf.argmax(directions.forward[0, 0, 0])), int(tf.argmax(directions.backward[0, 0, 0]))
    (1, 0)
    """

    def __init__(self, memory_size: int, num_writes: int = 1, *, name: str = "temporal_linkage"):
        """Creates the core.

        Args:
          memory_size: number of slots N, >= 1. Any number of read heads can follow the links.
          num_writes: number of write heads V, >= 1; each has its own links.
          name: name of the module.
        """
        super().__init__(memory_size, num_writes, name)

    def compute(
        self, inputs: LinkageInputs, prev_state: TemporalLinkageState
    ) -> tuple[DirectionalWeights, TemporalLinkageState]:
        """Computes the result of `__call__` for checked arguments."""
        # The links need the precedence *before* this write.
        link = update_link(prev_state.link, prev_state.precedence_weights, inputs.write_weights)
        precedence_weights = update_precedence_weights(
            prev_state.precedence_weights, inputs.write_weights
        )
        directions = DirectionalWeights(
            forward=forward_weights(link, inputs.read_weights),
            backward=backward_weights(link, inputs.read_weights),
        )
        return directions, TemporalLinkageState(link, precedence_weights)

    @property
    def state_size(self) -> TemporalLinkageState:
        """Shapes of one example's state."""
        heads, slots = self._num_writes, self._memory_size
        return TemporalLinkageState(
            link=tf.TensorShape([heads, slots, slots]),
            precedence_weights=tf.TensorShape([heads, slots]),
        )


class NoLinkageState(NamedTuple):
    """The empty state."""

    def resize(self, memory_size: int) -> "NoLinkageState":
        """Returns the empty state, which fits any size."""
        del memory_size
        return self


class NoLinkage(Linkage):
    """A linkage without links, for read heads that read by content alone.

    It declares no read modes, so the interface is narrower than with links.

    >>> import dnc
    >>> access = dnc.MemoryAccess(64, 16, linkage=NoLinkage(64))
    >>> access.initial_state(batch_size=2).linkage
    NoLinkageState()
    >>> "read_mode" in access.interface.fields
    False
    """

    def __init__(self, memory_size: int, num_writes: int = 1, *, name: str = "no_linkage"):
        """Creates the core.

        Args:
          memory_size: number of slots N, >= 1.
          num_writes: number of write heads V, >= 1.
          name: name of the module.

        Raises:
          ValueError: if a number is out of range.
        """
        super().__init__(memory_size, num_writes, name)

    def fields(self) -> dict[str, Field]:
        """Returns no interface fields, because there are no links to follow."""
        return {}

    def compute(
        self, inputs: LinkageInputs, prev_state: NoLinkageState
    ) -> tuple[DirectionalWeights, NoLinkageState]:
        """Returns directional weights of 0 and the empty state."""
        # XLA cannot differentiate `tf.repeat` for a batch of unknown size, as in Keras' `fit`.
        zeros = tf.zeros_like(
            inputs.read_weights[:, :, tf.newaxis] + inputs.write_weights[:, tf.newaxis]
        )
        return DirectionalWeights(forward=zeros, backward=zeros), prev_state

    @property
    def state_size(self) -> NoLinkageState:
        """Shapes of the empty state: none."""
        return NoLinkageState()


def resize_slots(x: tf.Tensor, memory_size: int, axes: Sequence[int]) -> tf.Tensor:
    """Pads the given axes with zeros at the end, or truncates them, to size `memory_size`."""
    x = tf.convert_to_tensor(x)
    begin, size, padding = [0] * x.shape.rank, [-1] * x.shape.rank, [[0, 0]] * x.shape.rank
    for axis in axes:
        size[axis] = min(x.shape[axis], memory_size)
        padding[axis] = [0, memory_size - size[axis]]
    return tf.pad(tf.slice(x, begin, size), padding)
