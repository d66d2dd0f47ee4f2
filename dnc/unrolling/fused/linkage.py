"""Temporal links, dense; and linkages that are recomputed."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from dnc import _cores
from dnc.linkage import (
    LinkageInputs,
    TemporalLinkage,
    TemporalLinkageState,
    update_precedence_weights,
)
from dnc.unrolling.fused.products import inner, outer, times, times_transposed
from dnc.unrolling.fused.registry import Part, fuses


def linkage_step(linkage: Any) -> Callable[..., tuple[tf.Tensor, Any]]:
    """Returns one step of any linkage, for `Recomputed`."""
    compute = _cores.unchecked(linkage)

    def step(inputs: LinkageInputs, state: Any) -> tuple[tf.Tensor, Any]:
        directions, next_state = compute(inputs, state)
        return tf.concat([directions.backward, directions.forward], axis=2), next_state

    return step


@fuses(TemporalLinkage)
class FusedTemporalLinkage(Part):
    """`TemporalLinkage`. The links of its state are a tuple here: [B, N, N] for each write head."""

    grows_linearly = False

    def __init__(self, linkage: TemporalLinkage, num_reads: int):
        del linkage, num_reads  # There is nothing to set.

    def pack(self, state: TemporalLinkageState) -> TemporalLinkageState:
        """Returns a tuple of links in place of one tensor."""
        return state._replace(link=tuple(tf.unstack(state.link, axis=1)))

    def unpack(self, state: TemporalLinkageState) -> TemporalLinkageState:
        """Inverts `pack`."""
        return state._replace(link=tf.stack(state.link, axis=1))

    def step(self, arguments: Any, weights: Any = ()) -> tuple[Any, tuple[()]]:
        """Returns the directional weights and the next state for `LinkageInputs` and the state.

        The weights are [B, R, 2 V, N]: backward for each write head, then forward.
        """
        del weights
        (write_weights, read_weights, _), state = arguments
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
        precedence = update_precedence_weights(state.precedence_weights, write_weights)
        directions = tf.stack(backward + forward, axis=2)
        return (directions, TemporalLinkageState(tuple(links), precedence)), ()

    def gradient(
        self, arguments: Any, results: Any, residuals: Any, d_results: Any, products: Any = ()
    ) -> tuple[tuple[LinkageInputs, Any], list[tf.Tensor]]:
        """Returns the gradients."""
        del residuals, products
        (write_weights, read_weights, _), state = arguments
        (_, next_state), (d_directions, d_next_state) = results, d_results
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
        d_inputs = LinkageInputs(tf.concat(d_writes, axis=1) + d_write, d_read_weights)
        d_precedence += tf.concat(d_precedences, axis=1)
        return (d_inputs, TemporalLinkageState(tuple(d_links), d_precedence)), []


def precedence_gradient(
    precedence_weights: tf.Tensor, write_weights: tf.Tensor, d_updated: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns gradients w.r.t. w and p of p' = (1 - sum of w) p + w, all [B, V, N]."""
    written = tf.reduce_sum(write_weights, axis=2, keepdims=True)
    return d_updated - inner(d_updated, precedence_weights), (1.0 - written) * d_updated


def _decay(write_weights: tf.Tensor) -> tf.Tensor:
    """1 - w[i] - w[j], [B, N] to [B, N, N]."""
    return 1.0 - write_weights[:, :, tf.newaxis] - write_weights[:, tf.newaxis, :]


def _without_diagonal(link: tf.Tensor) -> tf.Tensor:
    return tf.where(tf.eye(link.shape[-1], dtype=tf.bool), tf.zeros([], link.dtype), link)
