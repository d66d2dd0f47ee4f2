"""Cores that also run over a sequence backwards."""

from typing import Any, NamedTuple

import sonnet as snt
import tensorflow as tf

from dnc import _cores
from dnc.unrolling.sequences import unroll


class BidirectionalState(NamedTuple):
    """State of a `Bidirectional`."""

    forward: Any  # of the core
    backward: Any  # of the core that runs from the end


class Bidirectional(snt.Module):
    """A core that sees the outputs of another core, which runs over the sequence backwards.

        context = unroll(backward, x, reverse=True),   y = unroll(forward, [x; context])

    It needs the whole sequence before its first step, so it is not causal, cannot answer while it
    reads, and is not a core itself (Franke et al. 2018: the bidirectional DNC). As in that paper,
    `AppendedContext` around the forward core's controller appends the context to its output.

        >>> import dnc
        >>> controller = dnc.AppendedContext(snt.LSTM(8), input_size=5, context_size=6)
        >>> core = dnc.DNC(dnc.MemoryAccess(4, 3), controller, output_size=2)
        >>> outputs, state = Bidirectional(core, snt.LSTM(6)).unroll(tf.zeros([7, 3, 5]))
        >>> outputs.shape
        TensorShape([7, 3, 2])

    Attributes:
      forward: the core.
      backward: the core that runs backwards.
    """

    def __init__(self, forward: snt.RNNCore, backward: snt.RNNCore, name: str = "bidirectional"):
        """Joins two cores.

        Args:
          forward: any `snt.RNNCore`; its inputs are the inputs of the sequence, [B, X], followed by
            the outputs of `backward`, [B, C].
          backward: any `snt.RNNCore` that maps [B, X] to [B, C].
          name: name of the module.

        Raises:
          ValueError: if either is not an `snt.RNNCore`.
        """
        super().__init__(name=name)
        for which, core in (("forward", forward), ("backward", backward)):
            if not isinstance(core, snt.RNNCore):
                raise ValueError(f"{which} must be an snt.RNNCore, got {core!r}.")
        self.forward, self.backward = forward, backward

    def unroll(
        self,
        inputs: Any,
        initial_state: BidirectionalState | None = None,
        *,
        sequence_length: Any = None,
        checkpoint_every: int | None = None,
        training: bool | None = None,
        implementation: str = "auto",
    ) -> tuple[tf.Tensor, BidirectionalState]:
        """Runs both cores over a sequence.

        Args:
          inputs: [T, B, X].
          initial_state: state before the sequence; by default the cores' initial states.
          sequence_length: see `dnc.unroll`.
          checkpoint_every: see `dnc.unroll`.
          training: see `dnc.unroll`.
          implementation: see `dnc.unroll`.

        Returns:
          The outputs of the forward core, [T, B, ...], and the last states.

        Raises:
          ValueError: as for `dnc.unroll`.
        """
        state = initial_state or BidirectionalState(None, None)
        options: dict[str, Any] = {
            "sequence_length": sequence_length,
            "checkpoint_every": checkpoint_every,
            "training": training,
        }
        with_context, backward = self.with_context(inputs, state.backward, **options)
        outputs, forward = unroll(
            self.forward, with_context, state.forward, implementation=implementation, **options
        )
        return outputs, BidirectionalState(forward, backward)

    def with_context(
        self, inputs: Any, initial_state: Any = None, **options: Any
    ) -> tuple[tf.Tensor, Any]:
        """Returns the inputs of the forward core, [T, B, X + C], and the backward core's state.

        Args:
          inputs: [T, B, X].
          initial_state: state of the backward core.
          **options: see `dnc.unroll`.
        """
        context, state = unroll(self.backward, inputs, initial_state, reverse=True, **options)
        return tf.concat([tf.cast(inputs, context.dtype), context], axis=2), state

    def initial_state(self, batch_size: Any, dtype: Any = None) -> BidirectionalState:
        """Returns the initial states of both cores."""
        cores = (self.forward, self.backward)
        return BidirectionalState(*(_cores.initial_state(x, batch_size, dtype) for x in cores))
