"""Cores side by side."""

from collections.abc import Sequence
from typing import Any

import sonnet as snt
import tensorflow as tf

from dnc import _cores


class Parallel(snt.RNNCore):
    """Cores side by side: each sees the inputs, and their outputs are joined.

        y_t = [y_t^1; ...; y_t^n]

    For example, a policy and its value function, each with its own memory (Graves et al. 2016):

        >>> import dnc
        >>> policy = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(8), output_size=7)
        >>> value = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(8), output_size=1)
        >>> core = Parallel([policy, value])
        >>> outputs, state = dnc.unroll(core, tf.zeros([9, 2, 5]))
        >>> outputs.shape
        TensorShape([9, 2, 8])

    Attributes:
      cores: the cores.
    """

    def __init__(self, cores: Sequence[snt.RNNCore], name: str = "parallel"):
        """Joins cores.

        Args:
          cores: any `snt.RNNCore`s whose outputs are tensors [B, Y] of one dtype.
          name: name of the module.

        Raises:
          ValueError: if there are none, or one is not an `snt.RNNCore`.
        """
        super().__init__(name=name)
        if not cores or not all(isinstance(core, snt.RNNCore) for core in cores):
            raise ValueError(f"cores must be one or more snt.RNNCores, got {cores!r}.")
        self.cores = tuple(cores)

    def __call__(
        self, inputs: Any, prev_state: tuple[Any, ...], training: bool | None = None
    ) -> tuple[tf.Tensor, tuple[Any, ...]]:
        """Performs one step; `training` is passed on to the cores that have such a parameter."""
        pairs = zip(self.cores, prev_state, strict=True)
        steps = [
            _cores.call_with_training(core, inputs, own, training=training) for core, own in pairs
        ]
        outputs, states = zip(*steps, strict=True)
        return tf.concat(outputs, axis=-1), states

    def initial_state(self, batch_size: Any, dtype: Any = None) -> tuple[Any, ...]:
        """Returns the initial states of the cores."""
        return tuple(_cores.initial_state(core, batch_size, dtype) for core in self.cores)
