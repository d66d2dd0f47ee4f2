"""Write and read heads: writing and reading with the weightings that the parts compute.

Paper: Graves et al., Nature 538 (2016), Methods, "Interface parameters" and "Memory addressing".
Shapes: B batch, N memory slots, W word size, R read heads, V write heads.
"""

from typing import NamedTuple

import tensorflow as tf

from dnc.allocation import product


class ReadMode(NamedTuple):
    """Shares of content and links in the weighting of each read head; they sum to 1."""

    backward: tf.Tensor  # [B, R, V], pi[1] of the paper
    forward: tf.Tensor  # [B, R, V], pi[3]
    content: tf.Tensor  # [B, R], pi[2]


def write_weights(
    write_gate: tf.Tensor, allocation_gate: tf.Tensor, allocation: tf.Tensor, content: tf.Tensor
) -> tf.Tensor:
    """w^w = g^w (g^a a + (1 - g^a) c^w).

    Args:
      write_gate: [B, V], in [0, 1].
      allocation_gate: [B, V], in [0, 1].
      allocation: [B, V, N].
      content: [B, V, N].

    Returns:
      [B, V, N], each row summing to at most `write_gate`.
    """
    write_gate = write_gate[:, :, tf.newaxis]
    allocation_gate = allocation_gate[:, :, tf.newaxis]
    return write_gate * (allocation_gate * allocation + (1.0 - allocation_gate) * content)


def deallocate(memory: tf.Tensor, retention: tf.Tensor) -> tf.Tensor:
    """M <- M psi 1^T: erases slots to the extent that free gates set them free.

    (Not in the paper: Csordas & Schmidhuber 2019, section 3.2.)

    Args:
      memory: [B, N, W].
      retention: [B, N], psi.

    Returns:
      [B, N, W].
    """
    return memory * retention[:, :, tf.newaxis]


def erase_and_write(
    memory: tf.Tensor, weights: tf.Tensor, erase_vectors: tf.Tensor, write_vectors: tf.Tensor
) -> tf.Tensor:
    """M <- M prod_i (1 - w^i e^i^T) + sum_i w^i v^i^T over the write heads.

    Args:
      memory: [B, N, W].
      weights: [B, V, N], write weightings.
      erase_vectors: [B, V, W], in [0, 1].
      write_vectors: [B, V, W].

    Returns:
      [B, N, W].
    """
    kept = 1.0 - weights[:, :, :, tf.newaxis] * erase_vectors[:, :, tf.newaxis, :]
    kept = product(tf.unstack(kept, axis=1))
    return memory * kept + tf.matmul(weights, write_vectors, transpose_a=True)


def read_mode(modes: tf.Tensor | None, content: tf.Tensor, num_writes: int) -> ReadMode:
    """Splits the modes of the read heads.

    Args:
      modes: [B, R, 1 + 2 V]; `None` for heads that read by content alone.
      content: [B, R, N], content weights.
      num_writes: number of write heads V.
    """
    if modes is None:
        ones = tf.ones_like(content[:, :, 0])
        zeros = tf.zeros_like(tf.stack([ones] * num_writes, axis=2))
        return ReadMode(backward=zeros, forward=zeros, content=ones)
    backward, forward, content_mode = tf.split(modes, [num_writes, num_writes, 1], axis=2)
    return ReadMode(backward, forward, tf.squeeze(content_mode, axis=2))


def read_weights(
    mode: ReadMode, content: tf.Tensor, forward: tf.Tensor, backward: tf.Tensor
) -> tf.Tensor:
    """w^r = pi[1] b + pi[2] c + pi[3] f, with the links of every write head.

    Args:
      mode: `ReadMode`.
      content: [B, R, N].
      forward: [B, R, V, N].
      backward: [B, R, V, N].

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
