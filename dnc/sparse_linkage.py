"""A bounded number of temporal links: the K strongest of each slot instead of all N.

A `TemporalLinkage` keeps N x N links, a `SparseTemporalLinkage` N x K. Most dense links are nearly
zero, because a slot is written right after few others. Of each row of the link matrix the K
largest entries and their columns are kept, without renormalisation. Dropping links only makes
later ones weaker, so each kept link is at most the dense one, and the bounds of the dense links
(every row sums to at most 1, and so does every column with its precedence) still hold.

The paper (Methods, "Sparse link matrix") truncates the weightings instead, and rescales them to a
sum of 1. A write of weight 0.001 then counts as a full write, and a write of weight 0 is 0 / 0.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from dnc import _checks
from dnc.linkage import (
    DirectionalWeights,
    Linkage,
    LinkageInputs,
    resize_slots,
    update_precedence_weights,
)

NO_LINK = -1  # The column of an entry without a link.


class SparseLinks(NamedTuple):
    """The strongest links of each slot: L[i, columns[i, k]] = values[i, k], all others 0."""

    values: Any  # [B, V, N, K], >= 0
    columns: Any  # [B, V, N, K], int32; distinct in each row, except -1 for no link


class SparseTemporalLinkageState(NamedTuple):
    """The order in which slots were written."""

    link: SparseLinks
    precedence_weights: Any  # [B, V, N]

    def resize(self, memory_size: int) -> "SparseTemporalLinkageState":
        """Returns the state with empty slots added, or the last slots dropped.

        Raises:
          ValueError: if the shapes do not fit each other.
        """
        precedence = _checks.check_tensor("precedence_weights", self.precedence_weights, [None] * 3)
        batch_size, num_writes, slots = precedence.shape
        links = tf.TensorShape([num_writes, slots, None])
        sizes = SparseTemporalLinkageState(
            SparseLinks(links, links), tf.TensorShape([num_writes, slots])
        )
        _checks.check_state(
            "linkage state", self, sizes, precedence.dtype, batch_size, strict=False
        )
        _checks.check_tensor("columns", self.link.columns, self.link.values.shape, tf.int32)
        columns = resize_slots(self.link.columns + 1, memory_size, axes=(2,)) - 1  # 0 means none.
        dropped = columns >= memory_size
        return SparseTemporalLinkageState(
            link=SparseLinks(
                values=only(~dropped, resize_slots(self.link.values, memory_size, axes=(2,))),
                columns=tf.where(dropped, NO_LINK, columns),
            ),
            precedence_weights=resize_slots(self.precedence_weights, memory_size, axes=(2,)),
        )


def update_sparse_links(
    links: SparseLinks, precedence_weights: tf.Tensor, write_weights: tf.Tensor, num_candidates: int
) -> SparseLinks:
    """Keeps the K largest of (1 - w[i] - w[j]) L[i,j] + w[i] p[j] in each row i, j != i.

    Only the `num_candidates` largest p[j] are considered for new links, the same for all rows.

    Args:
      links: `SparseLinks` before this write.
      precedence_weights: [B, V, N], *before* this write.
      write_weights: [B, V, N].
      num_candidates: number of columns that may get new links, in 1..N.

    Returns:
      The `SparseLinks` after this write.
    """
    values, columns = links
    num_slots, num_links = values.shape[2:]
    w_i = write_weights[..., tf.newaxis]

    # Old links, weakened.
    kept = values * (1.0 - w_i - gather_slots(write_weights, columns))

    # New links, to the slots written last.
    p_j, j = tf.math.top_k(precedence_weights, num_candidates)  # [B, V, C]
    is_other_slot = j[..., tf.newaxis, :] != tf.range(num_slots)[:, tf.newaxis]
    new = only(is_other_slot, w_i * p_j[..., tf.newaxis, :])  # [B, V, N, C]

    # A new link to a column that is already linked is added to the old link.
    same = columns[..., tf.newaxis] == j[..., tf.newaxis, tf.newaxis, :]  # [B, V, N, K, C]
    kept += tf.reduce_sum(only(same, new[..., tf.newaxis, :]), axis=4)
    new = only(~tf.reduce_any(same, axis=3), new)

    new_columns = tf.broadcast_to(j[..., tf.newaxis, :], tf.shape(new))
    all_links = SparseLinks(
        tf.concat([kept, new], axis=3), tf.concat([columns, new_columns], axis=3)
    )
    return strongest_links(all_links, num_links)


def strongest_links(links: SparseLinks, num_links: int) -> SparseLinks:
    """Returns the `num_links` largest entries of each row, the first among equal entries.

    The choice of entries has no gradient, just as the order of the free list has none.

    Args:
      links: `SparseLinks` [B, V, N, L].
      num_links: number K of links to keep, in 1..L.
    """
    one, other = links.values[..., :, tf.newaxis], links.values[..., tf.newaxis, :]
    position = tf.range(links.values.shape[3])
    comes_first = (other > one) | ((other == one) & (position < position[:, tf.newaxis]))
    rank = tf.reduce_sum(tf.cast(comes_first, tf.int32), axis=4)  # [B, V, N, L]
    is_chosen = rank[..., tf.newaxis, :] == tf.range(num_links)[:, tf.newaxis]
    values = tf.reduce_sum(only(is_chosen, links.values[..., tf.newaxis, :]), axis=4)
    is_link = values > 0.0  # Rounding may give less than 0.
    # Counted from 1, so that the sum of one column and zeros is 0 where there is no link.
    columns = tf.reduce_sum(only(is_chosen, links.columns[..., tf.newaxis, :] + 1), axis=4)
    return SparseLinks(only(is_link, values), tf.where(is_link, columns - 1, NO_LINK))


def gather_slots(weights: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
    """weights[columns], 0 where there is no link.

    Args:
      weights: [B, H, N].
      columns: [B, H, N, K], int32.

    Returns:
      [B, H, N, K].
    """
    gathered = tf.gather(weights, tf.maximum(columns, 0), batch_dims=2)
    return only(columns != NO_LINK, gathered)


def only(condition: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Returns `x` where the condition holds, else 0."""
    return tf.where(condition, x, tf.zeros([], x.dtype))


def sparse_forward_weights(links: SparseLinks, read_weights: tf.Tensor) -> tf.Tensor:
    """f = L r: f[i] = sum_k values[i, k] r[columns[i, k]].

    Args:
      links: `SparseLinks` [B, V, N, K].
      read_weights: [B, R, N].

    Returns:
      [B, R, V, N].
    """
    by_slot = tf.transpose(read_weights, [0, 2, 1])
    linked = tf.gather(by_slot, tf.maximum(links.columns, 0), batch_dims=1)  # [B, V, N, K, R]
    # Where there is no link the value is 0.
    return tf.einsum("bwnk,bwnkr->brwn", links.values, linked)


def sparse_backward_weights(links: SparseLinks, read_weights: tf.Tensor) -> tf.Tensor:
    """b = L^T r: b[j] = sum of values[i, k] r[i] over all i, k with columns[i, k] = j.

    Args:
      links: `SparseLinks` [B, V, N, K].
      read_weights: [B, R, N].

    Returns:
      [B, R, V, N].
    """
    num_reads = read_weights.shape[1]
    batch_size, num_writes, num_slots, _ = tf.unstack(tf.shape(links.columns))
    graph = tf.reshape(tf.range(batch_size * num_writes), [batch_size, num_writes, 1, 1])
    target = tf.where(links.columns == NO_LINK, NO_LINK, graph * num_slots + links.columns)
    parts = tf.einsum("bwnk,brn->bwnkr", links.values, read_weights)
    sums = tf.math.unsorted_segment_sum(  # It ignores negative targets.
        tf.reshape(parts, [-1, num_reads]),
        tf.reshape(target, [-1]),
        batch_size * num_writes * num_slots,
    )
    sums = tf.reshape(sums, [batch_size, num_writes, num_slots, num_reads])
    return tf.transpose(sums, [0, 3, 1, 2])


class SparseTemporalLinkage(Linkage):
    """A linkage that keeps the K strongest links of each slot, in O(N K).

    It replaces a `TemporalLinkage`. The two agree exactly for K = N, or for K = 1 if each write
    goes to a single slot:

        >>> import dnc
        >>> linkage = SparseTemporalLinkage(memory_size=1024, num_links=8)
        >>> access = dnc.MemoryAccess(memory_size=1024, word_size=16, linkage=linkage)
        >>> access.state_size.linkage.link.values
        TensorShape([1, 1024, 8])
    """

    def __init__(
        self,
        memory_size: int,
        num_writes: int = 1,
        num_links: int = 8,
        *,
        num_candidates: int | None = None,
        name: str = "sparse_temporal_linkage",
    ):
        """Creates the core.

        Args:
          memory_size: number of slots N, >= 1. Any number of read heads can follow the links.
          num_writes: number of write heads V, >= 1; each has its own links.
          num_links: number K of links kept for each slot, in 1..N.
          num_candidates: number of recently written slots that may get new links at a step, in
            1..N; `num_links` by default.
          name: name of the module.

        Raises:
          ValueError: if a number is out of range.
        """
        super().__init__(memory_size, num_writes, name)
        self._num_links = _checks.check_size("num_links", num_links)
        if num_candidates is None:
            num_candidates = num_links
        self._num_candidates = _checks.check_size("num_candidates", num_candidates)
        for what, number in (("num_links", num_links), ("num_candidates", num_candidates)):
            if number > memory_size:
                raise ValueError(f"{what} must be at most memory_size={memory_size}, got {number}.")

    def compute(
        self, inputs: LinkageInputs, prev_state: SparseTemporalLinkageState
    ) -> tuple[DirectionalWeights, SparseTemporalLinkageState]:
        """Computes the result of `__call__` for checked arguments."""
        write_weights, read_weights = inputs.write_weights, inputs.read_weights
        links = update_sparse_links(
            prev_state.link, prev_state.precedence_weights, write_weights, self._num_candidates
        )
        directions = DirectionalWeights(
            forward=sparse_forward_weights(links, read_weights),
            backward=sparse_backward_weights(links, read_weights),
        )
        precedence_weights = update_precedence_weights(prev_state.precedence_weights, write_weights)
        return directions, SparseTemporalLinkageState(links, precedence_weights)

    def initial_state(self, batch_size: Any, dtype: Any = tf.float32) -> SparseTemporalLinkageState:
        """Returns the state before any write: no links."""
        batch_size, dtype = _checks.check_batch_size(batch_size), _checks.check_state_dtype(dtype)
        sizes = self.state_size
        return SparseTemporalLinkageState(
            link=SparseLinks(
                values=tf.zeros([batch_size, *sizes.link.values], dtype),
                columns=tf.fill([batch_size, *sizes.link.columns], NO_LINK),
            ),
            precedence_weights=tf.zeros([batch_size, *sizes.precedence_weights], dtype),
        )

    @property
    def num_links(self) -> int:
        """Number K of links kept for each slot."""
        return self._num_links

    @property
    def num_candidates(self) -> int:
        """Number of recently written slots that may get new links at a step."""
        return self._num_candidates

    @property
    def state_size(self) -> SparseTemporalLinkageState:
        """Shapes of one example's state."""
        links = tf.TensorShape([self._num_writes, self._memory_size, self._num_links])
        return SparseTemporalLinkageState(
            link=SparseLinks(values=links, columns=links),
            precedence_weights=tf.TensorShape([self._num_writes, self._memory_size]),
        )
