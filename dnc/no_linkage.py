"""A memory that does not follow the order of writes."""

from typing import Any, NamedTuple

import tensorflow as tf

from dnc import _checks
from dnc.addressing import DirectionalWeights, Linkage, LinkageInputs


class NoLinkageState(NamedTuple):
    """Nothing."""

    def resize(self, memory_size: int) -> "NoLinkageState":
        """Returns nothing, of any size."""
        del memory_size
        return self


class NoLinkage(Linkage):
    """Takes the place of `TemporalLinkage` where reads are to go by content alone.

    Links lead nowhere: what the read modes give to going backwards and forwards reads 0. The
    interface stays as it is, so variables can be loaded from a core with links, and into one.

    >>> import dnc
    >>> access = dnc.MemoryAccess(64, 16, linkage=NoLinkage(64))
    >>> access.initial_state(batch_size=2).linkage
    NoLinkageState()
    """

    def __init__(self, memory_size: int, num_writes: int = 1, *, name: str = "no_linkage"):
        """Creates the core.

        Args:
          memory_size: number of slots N, >= 1.
          num_writes: number of write heads Wn, >= 1.
          name: name of the module.

        Raises:
          ValueError: if a number is out of range.
        """
        super().__init__(memory_size, num_writes, name)

    def __call__(
        self, inputs: LinkageInputs, prev_state: NoLinkageState
    ) -> tuple[DirectionalWeights, NoLinkageState]:
        """Returns directional weights of 0 and the empty state.

        Raises:
          ValueError: if a shape, a dtype or the structure of the state does not fit.
        """
        write_weights, read_weights = self._check_call(inputs, prev_state)
        # XLA cannot differentiate `tf.repeat` for a batch of unknown size, as in Keras' `fit`.
        zeros = tf.zeros_like(read_weights[:, :, tf.newaxis] + write_weights[:, tf.newaxis])
        return DirectionalWeights(forward=zeros, backward=zeros), prev_state

    def initial_state(self, batch_size: Any, dtype: Any = tf.float32) -> NoLinkageState:
        """Returns the empty state."""
        _checks.check_batch_size(batch_size)
        _checks.check_state_dtype(dtype)
        return NoLinkageState()

    @property
    def state_size(self) -> NoLinkageState:
        """The empty state has no shapes."""
        return NoLinkageState()
