"""Cores that also see a sequence from its end."""

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
    """A core that sees the outputs of another one, which runs over the sequence from its end.

        context = unroll(backward, x, reverse=True),   y = unroll(forward, [x; context])

    So it needs the whole sequence before its first step, and is not a core itself: it is not
    causal, and cannot answer while it reads (Franke et al. 2018: the bidirectional DNC). With
    `AppendedContext` around the forward core's controller the context is part of the controller's
    output, as it is there.

        >>> import dnc
        >>> controller = dnc.AppendedContext(snt.LSTM(8), input_size=5, context_size=6)
        >>> core = dnc.DNC(dnc.MemoryAccess(4, 3), controller, output_size=2)
        >>> outputs, state = Bidirectional(core, snt.LSTM(6)).unroll(tf.zeros([7, 3, 5]))
        >>> outputs.shape
        TensorShape([7, 3, 2])

    Attributes:
      forward: the core.
      backward: the core that runs from the end.
    """

    def __init__(self, forward: snt.RNNCore, backward: snt.RNNCore, name: str = "bidirectional"):
        """Joins two cores.

        Args:
          forward: any `snt.RNNCore`; its inputs are the inputs of the sequence, [B, X], followed by
            the outputs of `backward`, [B, C].
          backward: any `snt.RNNCore` from [B, X] to [B, C].
          name: name of the module.

        Raises:
          ValueError: if one is not an `snt.RNNCore`.
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
          initial_state: state before the sequence; by default the cores' own.
          sequence_length: see `dnc.unroll`, as for the others.
          checkpoint_every: see `dnc.unroll`.
          training: see `dnc.unroll`.
          implementation: see `dnc.unroll`.

        Returns:
          The outputs of the forward core, [T, B, ...], and the last states.

        Raises:
          ValueError: as `dnc.unroll`.
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
