"""No temporal links."""

import tensorflow as tf

from dnc.linkage import LinkageInputs, NoLinkage, NoLinkageState
from dnc.unrolling.fused.linkage import LinkageGradient


class NoLinks:
    """`NoLinkage`, in the manner of `DenseLinks`."""

    is_small = True

    def __init__(self, linkage: NoLinkage):
        self._num_writes = linkage.num_writes

    def pack(self, state: NoLinkageState) -> NoLinkageState:
        """There is nothing to pack."""
        return state

    unpack = pack

    def step(
        self, inputs: LinkageInputs, state: NoLinkageState
    ) -> tuple[tf.Tensor, NoLinkageState]:
        """Returns zeros [B, R, 2 Wn, N] and the state."""
        zeros = tf.zeros_like(inputs.read_weights)[:, :, tf.newaxis]
        return tf.repeat(zeros, 2 * self._num_writes, axis=2), state

    def gradient(
        self,
        inputs: LinkageInputs,
        state: NoLinkageState,
        next_state: NoLinkageState,
        d_directions: tf.Tensor,
        d_next_state: NoLinkageState,
    ) -> LinkageGradient:
        """Gradients by inputs and state of `step`: zeros."""
        del next_state, d_directions, d_next_state
        zeros = tf.nest.map_structure(tf.zeros_like, inputs)
        return LinkageGradient(zeros.write_weights, zeros.read_weights, state)
