"""Temporal links, sparse. Here the K links of a slot are stored in K rows, as [B, K, N].

The computations for each of the few links then run over many slots at a time.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from dnc.linkage import LinkageInputs, update_precedence_weights
from dnc.sparse_linkage import (
    NO_LINK,
    SparseLinks,
    SparseTemporalLinkage,
    SparseTemporalLinkageState,
    only,
)
from dnc.unrolling.fused.linkage import precedence_gradient
from dnc.unrolling.fused.registry import Part, fuses


class Links(NamedTuple):
    """Links of one write head."""

    values: Any  # [B, K, N]
    columns: Any  # [B, K, N], int32
    # [B, K, N], int32: index of the old link (from 0) or new link (from K) that became this one
    sources: Any


class SparseState(NamedTuple):
    """`SparseTemporalLinkageState` as it is used here. Gradients w.r.t. integers are ignored."""

    links: tuple[Links, ...]  # one for each write head
    precedence_weights: Any  # [B, V, N]


class _Update(NamedTuple):
    """Intermediate quantities of the update of one write head, with C candidates for new links."""

    candidates: tf.Tensor  # [B, C], int32: columns that new links may lead to
    precedence: tf.Tensor  # [B, C], the precedence of these columns
    is_other_slot: tf.Tensor  # [B, C, N]: a slot is not linked to itself
    is_there: tf.Tensor  # [B, K, C, N]: the old link leads to the candidate
    decay: tf.Tensor  # [B, K, N]: 1 - w[i] - w[j] for old links


@fuses(SparseTemporalLinkage)
class FusedSparseTemporalLinkage(Part):
    """`SparseTemporalLinkage`."""

    def __init__(self, linkage: SparseTemporalLinkage, num_reads: int):
        del num_reads
        self._num_candidates = linkage.num_candidates

    def pack(self, state: SparseTemporalLinkageState) -> SparseState:
        """Returns the state as it is used here, for the linkage's state; also for gradients."""
        values, columns = (tf.unstack(tf.transpose(x, [1, 0, 3, 2])) for x in state.link)
        links = [Links(v, c, tf.zeros_like(c)) for v, c in zip(values, columns, strict=True)]
        return SparseState(tuple(links), state.precedence_weights)

    def unpack(self, state: SparseState) -> SparseTemporalLinkageState:
        """Inverts `pack`."""
        values, columns = (
            tf.transpose(tf.stack(x), [1, 0, 3, 2])
            for x in zip(*(links[:2] for links in state.links), strict=True)
        )
        return SparseTemporalLinkageState(SparseLinks(values, columns), state.precedence_weights)

    def step(self, arguments: Any, weights: Any = ()) -> tuple[Any, tuple[()]]:
        """See `FusedTemporalLinkage`."""
        del weights
        (write_weights, read_weights, _), state = arguments
        reads_by_slot = tf.transpose(read_weights, [0, 2, 1])
        new_links, backward, forward = [], [], []
        heads = zip(
            state.links,
            tf.unstack(write_weights, axis=1),
            tf.unstack(state.precedence_weights, axis=1),
            strict=True,
        )
        for links, w, p in heads:
            links = self._update(links, w, p)
            backward.append(_follow_backward(links, reads_by_slot))
            forward.append(_follow_forward(links, reads_by_slot))
            new_links.append(links)
        precedence = update_precedence_weights(state.precedence_weights, write_weights)
        directions = tf.stack(backward + forward, axis=2)
        return (directions, SparseState(tuple(new_links), precedence)), ()

    def gradient(
        self, arguments: Any, results: Any, residuals: Any, d_results: Any, products: Any = ()
    ) -> tuple[tuple[LinkageInputs, Any], list[tf.Tensor]]:
        """See `FusedTemporalLinkage`."""
        del residuals, products
        (write_weights, read_weights, _), state = arguments
        (_, next_state), (d_directions, d_next_state) = results, d_results
        reads_by_slot = tf.transpose(read_weights, [0, 2, 1])
        num_writes = len(state.links)
        d_directions = tf.unstack(d_directions, axis=2)
        d_reads, d_links, d_writes, d_precedences = 0.0, [], [], []
        for i in range(num_writes):
            new_links, d_new_links = next_state.links[i], d_next_state.links[i]
            d_backward, d_forward = (
                tf.transpose(d, [0, 2, 1]) for d in (d_directions[i], d_directions[num_writes + i])
            )
            # b[j] = sum of v r[i] and f[i] = sum of v r[j] over all links, of value v, from i to j.
            d_new_values = d_new_links.values + tf.reduce_sum(
                _at_columns(new_links, d_backward) * reads_by_slot[:, tf.newaxis]
                + _at_columns(new_links, reads_by_slot) * d_forward[:, tf.newaxis],
                axis=3,
            )
            d_reads += _follow_forward(new_links, d_backward)
            d_reads += _follow_backward(new_links, d_forward)
            d_values, d_write, d_precedence = self._update_gradient(
                state.links[i],
                write_weights[:, i],
                state.precedence_weights[:, i],
                new_links,
                d_new_values,
            )
            d_links.append(d_new_links._replace(values=d_values))
            d_writes.append(d_write)
            d_precedences.append(d_precedence)

        d_write, d_precedence = precedence_gradient(
            state.precedence_weights, write_weights, d_next_state.precedence_weights
        )
        d_inputs = LinkageInputs(tf.stack(d_writes, axis=1) + d_write, d_reads)
        d_precedence += tf.stack(d_precedences, axis=1)
        return (d_inputs, SparseState(tuple(d_links), d_precedence)), []

    def _prepare(self, links: Links, w: tf.Tensor, p: tf.Tensor) -> _Update:
        precedence, candidates = tf.math.top_k(p, self._num_candidates)
        is_there = links.columns[:, :, tf.newaxis] == candidates[:, tf.newaxis, :, tf.newaxis]
        w_j = only(links.columns != NO_LINK, _gather(w, links.columns))
        return _Update(
            candidates,
            precedence,
            candidates[:, :, tf.newaxis] != tf.range(w.shape[1]),
            is_there,
            1.0 - w[:, tf.newaxis] - w_j,
        )

    def _update(self, links: Links, w: tf.Tensor, p: tf.Tensor) -> Links:
        """Computes `sparse_linkage.update_sparse_links` for one write head."""
        num_links = links.values.shape[1]
        update = self._prepare(links, w, p)
        new = only(update.is_other_slot, w[:, tf.newaxis] * update.precedence[:, :, tf.newaxis])
        old = links.values * update.decay
        old += tf.reduce_sum(only(update.is_there, new[:, tf.newaxis]), axis=2)
        new = only(~tf.reduce_any(update.is_there, axis=1), new)
        values = tf.concat([old, new], axis=1)  # [B, K + C, N]
        candidates = tf.broadcast_to(update.candidates[:, :, tf.newaxis], tf.shape(new))
        columns = tf.concat([links.columns, candidates], axis=1)

        # Among equal links, the old ones come first.
        one, other = values[:, tf.newaxis], values[:, :, tf.newaxis]  # Rank `one` among all others.
        position = tf.range(values.shape[1])[:, tf.newaxis]
        other_is_earlier = (position < position[:, 0])[..., tf.newaxis]
        comes_first = (other > one) | ((other == one) & other_is_earlier)
        rank = tf.reduce_sum(tf.cast(comes_first, tf.int32), axis=1)
        chosen = rank[:, tf.newaxis] == tf.range(num_links)[:, tf.newaxis, tf.newaxis]
        values = tf.reduce_sum(only(chosen, values[:, tf.newaxis]), axis=2)
        # Counted from 1, so that the sum of one number and zeros is that number.
        sources = tf.reduce_sum(only(chosen, position + 1), axis=2) - 1
        columns = tf.reduce_sum(only(chosen, columns[:, tf.newaxis] + 1), axis=2) - 1
        is_link = values > 0.0  # Rounding may give less than 0.
        none = tf.constant(NO_LINK)
        return Links(
            only(is_link, values),
            tf.where(is_link, columns, none),
            tf.where(is_link, sources, none),
        )

    def _update_gradient(
        self, links: Links, w: tf.Tensor, p: tf.Tensor, new_links: Links, d_new_values: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """Returns gradients w.r.t. the old values, the write weights and the precedence."""
        num_links, num_slots = links.values.shape[1:]
        update = self._prepare(links, w, p)

        # The choice of links has no gradient. The gradient goes to the origin of each link.
        position = tf.range(num_links + self._num_candidates)[:, tf.newaxis, tf.newaxis]
        came_from = new_links.sources[:, tf.newaxis] == position
        d_all = tf.reduce_sum(only(came_from, d_new_values[:, tf.newaxis]), axis=2)
        d_old, d_new = d_all[:, :num_links], d_all[:, num_links:]

        # new[c,i] = w[i] p[c], c != i, is a separate link, or part of an old one.
        d_part = tf.reduce_sum(only(update.is_there, d_old[:, :, tf.newaxis]), axis=1)
        d_new = only(update.is_other_slot, d_new + d_part)
        d_w = tf.reduce_sum(d_new * update.precedence[:, :, tf.newaxis], axis=1)
        d_candidates = tf.reduce_sum(d_new * w[:, tf.newaxis], axis=2)
        is_candidate = update.candidates[:, :, tf.newaxis] == tf.range(num_slots)
        d_p = tf.reduce_sum(only(is_candidate, d_candidates[:, :, tf.newaxis]), axis=1)

        # old[k,i] = (1 - w[i] - w[j]) v[k,i] + its part of new
        d_decay = d_old * links.values
        to_columns = _scatter(d_decay[..., tf.newaxis], links.columns)
        d_w -= tf.reduce_sum(d_decay, axis=1) + tf.squeeze(to_columns, axis=2)
        return d_old * update.decay, d_w, d_p


def _follow_forward(links: Links, reads_by_slot: tf.Tensor) -> tf.Tensor:
    """Sums the reads of the slots that the links of a slot lead to: [B, N, R] to [B, R, N]."""
    found = tf.reduce_sum(links.values[..., tf.newaxis] * _at_columns(links, reads_by_slot), axis=1)
    return tf.transpose(found, [0, 2, 1])


def _follow_backward(links: Links, reads_by_slot: tf.Tensor) -> tf.Tensor:
    """Sums the reads of the slots whose links lead to a slot: [B, N, R] to [B, R, N]."""
    parts = links.values[..., tf.newaxis] * reads_by_slot[:, tf.newaxis]
    return tf.transpose(_scatter(parts, links.columns), [0, 2, 1])


def _at_columns(links: Links, by_slot: tf.Tensor) -> tf.Tensor:
    """Returns by_slot[columns]: [B, N, R] to [B, K, N, R]; arbitrary where there is no link."""
    return _gather(by_slot, links.columns)


def _gather(by_slot: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    return tf.gather(by_slot, tf.maximum(columns, 0), batch_dims=1)


def _scatter(parts: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """Adds up the parts of links that lead to the same slot: [B, K, N, R] to [B, N, R]."""
    batch_size, _, num_slots = tf.unstack(tf.shape(columns))
    first = num_slots * tf.range(batch_size)[:, tf.newaxis, tf.newaxis]
    target = tf.where(columns == NO_LINK, NO_LINK, columns + first)
    sums = tf.math.unsorted_segment_sum(  # It ignores negative targets.
        tf.reshape(parts, [-1, parts.shape[3]]),
        tf.reshape(target, [-1]),
        batch_size * num_slots,
    )
    return tf.reshape(sums, [batch_size, num_slots, parts.shape[3]])
