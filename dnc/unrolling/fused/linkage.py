"""Temporal links, dense."""

from typing import Any, NamedTuple

import tensorflow as tf

from dnc import linkage
from dnc.linkage import LinkageInputs, TemporalLinkage, TemporalLinkageState
from dnc.unrolling.fused.products import inner, outer, times, times_transposed


class LinkageGradient(NamedTuple):
    """Gradients by what one step of a linkage depends on."""

    write_weights: tf.Tensor  # [B, Wn, N]
    read_weights: tf.Tensor  # [B, R, N]
    state: Any


class DenseLinks:
    """`TemporalLinkage`. The links of its state are a tuple here: [B, N, N] for each write head."""

    is_small = False  # Whether the state grows with N only, not with N x N.

    def __init__(self, linkage: TemporalLinkage):
        del linkage  # There is nothing to set.

    def pack(self, state: TemporalLinkageState) -> TemporalLinkageState:
        """From the linkage's state to the one used here; likewise for gradients."""
        return state._replace(link=tuple(tf.unstack(state.link, axis=1)))

    def unpack(self, state: TemporalLinkageState) -> TemporalLinkageState:
        """The inverse of `pack`."""
        return state._replace(link=tf.stack(state.link, axis=1))

    def step(
        self, inputs: LinkageInputs, state: TemporalLinkageState
    ) -> tuple[tf.Tensor, TemporalLinkageState]:
        """Returns where the links lead and the next state.

        The former is [B, R, 2 Wn, N]: backwards by those of each write head, then forwards.
        """
        write_weights, read_weights = inputs
        links, backward, forward = [], [], []
        heads = zip(
            state.link,
            tf.unstack(write_weights, axis=1),
            tf.unstack(state.precedence_weights, axis=1),
            strict=True,
        )
        for link, w, p in heads:
            new_link = _decay(w) * link + w[:, :, tf.newaxis] * p[:, tf.newaxis, :]
            links.append(_without_diagonal(new_link))
            backward.append(times(read_weights, links[-1]))
            forward.append(times_transposed(read_weights, links[-1]))
        precedence = linkage.update_precedence_weights(state.precedence_weights, write_weights)
        directions = tf.stack(backward + forward, axis=2)
        return directions, TemporalLinkageState(tuple(links), precedence)

    def gradient(
        self,
        inputs: LinkageInputs,
        state: TemporalLinkageState,
        next_state: TemporalLinkageState,
        d_directions: tf.Tensor,
        d_next_state: TemporalLinkageState,
    ) -> LinkageGradient:
        """Gradients by inputs and state of `step`."""
        write_weights, read_weights = inputs
        num_writes = len(state.link)
        d_directions = tf.unstack(d_directions, axis=2)
        d_read_weights, d_links, d_writes, d_precedences = 0.0, [], [], []
        for i in range(num_writes):
            d_backward, d_forward = d_directions[i], d_directions[num_writes + i]
            # b = r L', f = r L'^T
            new_link = next_state.link[i]
            d_read_weights += times(d_forward, new_link) + times_transposed(d_backward, new_link)
            d_new_link = d_next_state.link[i] + outer(
                tf.concat([d_forward, read_weights], axis=1),
                tf.concat([read_weights, d_backward], axis=1),
            )
            # L'[i,j] = (1 - w[i] - w[j]) L[i,j] + w[i] p[j], and 0 for i = j
            d_new_link = _without_diagonal(d_new_link)
            w = write_weights[:, i : i + 1]
            p = state.precedence_weights[:, i : i + 1]
            decayed, ones = d_new_link * state.link[i], tf.ones_like(w)
            d_writes.append(
                times_transposed(p, d_new_link)
                - times(ones, decayed)
                - times_transposed(ones, decayed)
            )
            d_precedences.append(times(w, d_new_link))
            d_links.append(_decay(write_weights[:, i]) * d_new_link)

        d_write, d_precedence = precedence_gradient(
            state.precedence_weights, write_weights, d_next_state.precedence_weights
        )
        return LinkageGradient(
            write_weights=tf.concat(d_writes, axis=1) + d_write,
            read_weights=d_read_weights,
            state=TemporalLinkageState(
                tuple(d_links), tf.concat(d_precedences, axis=1) + d_precedence
            ),
        )


def precedence_gradient(
    precedence_weights: tf.Tensor, write_weights: tf.Tensor, d_updated: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Gradients by write weights and precedence of p' = (1 - sum of w) p + w, all [B, Wn, N]."""
    written = tf.reduce_sum(write_weights, axis=2, keepdims=True)
    return d_updated - inner(d_updated, precedence_weights), (1.0 - written) * d_updated


def _decay(write_weights: tf.Tensor) -> tf.Tensor:
    """1 - w[i] - w[j], [B, N] to [B, N, N]."""
    return 1.0 - write_weights[:, :, tf.newaxis] - write_weights[:, tf.newaxis, :]


def _without_diagonal(link: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.eye(link.shape[-1], dtype=tf.bool), tf.zeros([], link.dtype), link)
