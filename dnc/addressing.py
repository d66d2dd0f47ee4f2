"""Where to read and write: by content, by allocation, and by the order of writes.

One function an equation, and three modules that carry the state the equations need:

=============  ==============================================  =================
paper          function                                        module
=============  ==============================================  =================
C(M, k, beta)  `cosine_similarity`, `weighted_softmax`         `CosineWeights`
(not in it)    `cosine_similarity`, `used_softmax`             `UsedCosineWeights`
u, psi         `usage_after_write`, `usage_after_read`         `Freeness`
a              `allocation_weights`                            `Freeness`
L, p           `update_link`, `update_precedence_weights`      `TemporalLinkage`
f, b           `forward_weights`, `backward_weights`           `TemporalLinkage`
=============  ==============================================  =================

Paper: Graves et al., *Hybrid computing using a neural network with dynamic external memory*, Nature
538 (2016). Shapes: B batch, N memory slots, W word size, R read heads, Wn write heads.
"""

import functools
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import sonnet as snt
import tensorflow as tf

from dnc import _checks

# Added under the square root of a norm and to the product of two norms, so that an empty slot or a
# zero key has similarity 0 and a finite gradient; and the least usage that allocation sees.
EPSILON = 1e-6

# Up to this number of slots, allocation compares every two slots instead of sorting them.
LARGEST_COMPARED = 256


# --- Content-based addressing ---------------------------------------------------------------------


def oneplus(x: tf.Tensor) -> tf.Tensor:
    """1 + log(1 + exp(x)): the paper's strength activation, >= 1. (Released code: softplus.)"""
    return 1.0 + tf.nn.softplus(x)


def cosine_similarity(memory: tf.Tensor, keys: tf.Tensor) -> tf.Tensor:
    """D(k, M[i]) = k . M[i] / (|k| |M[i]| + eps), with |x| = sqrt(sum x^2 + eps).

    Args:
      memory: [B, N, W].
      keys: [B, H, W], one key for each of H heads.

    Returns:
      [B, H, N], in (-1, 1); 0 for an all-zero key or slot.
    """
    dot = tf.matmul(keys, memory, transpose_b=True)
    key_norms = tf.sqrt(tf.reduce_sum(tf.square(keys), axis=2) + EPSILON)
    slot_norms = tf.sqrt(tf.reduce_sum(tf.square(memory), axis=2) + EPSILON)
    return dot / (key_norms[:, :, tf.newaxis] * slot_norms[:, tf.newaxis, :] + EPSILON)


def weighted_softmax(
    activations: tf.Tensor,
    strengths: tf.Tensor,
    strength_op: Callable[[tf.Tensor], tf.Tensor] = tf.nn.softplus,
) -> tf.Tensor:
    """softmax_i(strength_op(strength) * activation[i]).

    Args:
      activations: [B, H, N].
      strengths: [B, H], before `strength_op`.
      strength_op: maps strengths to beta >= 0.

    Returns:
      [B, H, N], each row summing to 1.
    """
    return tf.nn.softmax(activations * strength_op(strengths)[:, :, tf.newaxis])


def used_softmax(
    activations: tf.Tensor,
    strengths: tf.Tensor,
    usage: tf.Tensor,
    strength_op: Callable[[tf.Tensor], tf.Tensor] = tf.nn.softplus,
) -> tf.Tensor:
    """u[i] exp(beta x[i] - m) / (sum_j u[j] exp(beta x[j] - m) + eps), m the largest used beta x.

    A softmax in which each slot counts as much as it is used. (Not in the paper.)

    Args:
      activations: [B, H, N], x.
      strengths: [B, H], before `strength_op`.
      usage: [B, N], in [0, 1].
      strength_op: maps strengths to beta >= 0.

    Returns:
      [B, H, N], each row summing to 1, or to 0 if no slot is used.
    """
    logits = activations * strength_op(strengths)[:, :, tf.newaxis]
    usage = usage[:, tf.newaxis, :]
    used_logits = tf.where(usage > 0.0, logits, logits.dtype.min)
    largest = tf.reduce_max(used_logits, axis=2, keepdims=True)
    # An unused slot may well be more similar than any used one: that must not overflow.
    shares = usage * tf.exp(tf.minimum(logits - largest, 0.0))
    return shares / (tf.reduce_sum(shares, axis=2, keepdims=True) + EPSILON)


class CosineWeights(snt.Module):
    """Content-based weighting: C(M, k, beta)[i] = softmax_i(beta D(k, M[i])).

    >>> look_up = CosineWeights(num_heads=1, word_size=2)
    >>> memory = tf.constant([[[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]])
    >>> weights = look_up(memory, keys=tf.constant([[[1.0, 0.0]]]), strengths=tf.constant([[5.0]]))
    >>> int(tf.argmax(weights[0, 0]))
    0
    """

    def __init__(
        self,
        num_heads: int,
        word_size: int,
        strength_op: Callable[[tf.Tensor], tf.Tensor] = tf.nn.softplus,
        name: str = "cosine_weights",
    ):
        """Creates the look-up.

        Args:
          num_heads: number of keys looked up at once, >= 1.
          word_size: width W of keys and memory slots, >= 1.
          strength_op: maps raw strengths to beta >= 0: `tf.nn.softplus` as in the released code,
            `dnc.oneplus` as in the paper.
          name: name of the module.

        Raises:
          ValueError: if a size is not a positive integer, or `strength_op` cannot be called.
        """
        super().__init__(name=name)
        self._num_heads = _checks.check_size("num_heads", num_heads)
        self._word_size = _checks.check_size("word_size", word_size)
        self._strength_op = _checks.check_callable("strength_op", strength_op)

    def __call__(
        self,
        memory: tf.Tensor,
        keys: tf.Tensor,
        strengths: tf.Tensor,
        usage: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Returns the weighting of every slot for every key.

        Args:
          memory: [B, N, W].
          keys: [B, num_heads, W].
          strengths: [B, num_heads], before `strength_op`.
          usage: [B, N], in [0, 1]; only `UsedCosineWeights` needs it.

        Returns:
          [B, num_heads, N], each row summing to 1 (with `UsedCosineWeights`, to 0 if no slot is
          used).

        Raises:
          ValueError: if a shape or dtype does not fit.
        """
        memory = _checks.check_tensor("memory", memory, [None, None, self._word_size])
        batch_size, dtype = memory.shape[0], memory.dtype
        keys = _checks.check_tensor(
            "keys", keys, [batch_size, self._num_heads, self._word_size], dtype
        )
        strengths = _checks.check_tensor(
            "strengths", strengths, [batch_size, self._num_heads], dtype
        )
        return self._normalise(cosine_similarity(memory, keys), strengths, usage)

    def _normalise(
        self, similarities: tf.Tensor, strengths: tf.Tensor, usage: tf.Tensor | None
    ) -> tf.Tensor:
        """Makes weightings of similarities [B, num_heads, N]."""
        del usage
        return weighted_softmax(similarities, strengths, self._strength_op)

    @property
    def strength_op(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """Maps raw strengths to beta."""
        return self._strength_op


class UsedCosineWeights(CosineWeights):
    """Content-based weighting among the slots in use: each counts as much as it is used.

    In the softmax of `CosineWeights` an empty slot has similarity 0 and so the share of exp(0): the
    more empty slots, the less is left for the others, and a network trained with a small memory
    reads blurred words from a large one. Here a slot of usage 0 has no share, so empty slots make
    no difference, however many there are. Swap it in with
    `MemoryAccess(..., content_weights=UsedCosineWeights)`.

    >>> look_up = UsedCosineWeights(num_heads=1, word_size=2)
    >>> memory = tf.constant([[[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]]])
    >>> key, strength = tf.constant([[[1.0, 0.0]]]), tf.constant([[1.0]])
    >>> look_up(memory, key, strength, usage=tf.constant([[1.0, 1.0, 0.0]])).numpy().round(2)
    array([[[0.79, 0.21, 0.  ]]], dtype=float32)
    """

    def _normalise(
        self, similarities: tf.Tensor, strengths: tf.Tensor, usage: tf.Tensor | None
    ) -> tf.Tensor:
        batch_size, _, num_slots = similarities.shape
        usage = _checks.check_tensor("usage", usage, [batch_size, num_slots], similarities.dtype)
        return used_softmax(similarities, strengths, usage, self._strength_op)


# --- Dynamic allocation ---------------------------------------------------------------------------


def usage_after_write(prev_usage: tf.Tensor, write_weights: tf.Tensor) -> tf.Tensor:
    """u + (1 - u) w, with w = 1 - prod_i (1 - w^i) over the write heads.

    Args:
      prev_usage: [B, N], in [0, 1].
      write_weights: [B, Wn, N], the writes since then.

    Returns:
      [B, N], in [0, 1].
    """
    untouched = product(1.0 - w for w in tf.unstack(write_weights, axis=1))
    return prev_usage + (1.0 - prev_usage) * (1.0 - untouched)


def usage_after_read(usage: tf.Tensor, free_gate: tf.Tensor, read_weights: tf.Tensor) -> tf.Tensor:
    """u psi, with the retention psi = prod_i (1 - f^i w^{r,i}).

    What was read and set free is unused again.

    Args:
      usage: [B, N], in [0, 1].
      free_gate: [B, R], in [0, 1].
      read_weights: [B, R, N], the previous read weightings.

    Returns:
      [B, N], in [0, 1].
    """
    kept = 1.0 - free_gate[:, :, tf.newaxis] * read_weights
    return usage * product(tf.unstack(kept, axis=1))


def allocation_weights(usage: tf.Tensor) -> tf.Tensor:
    """a[phi_j] = (1 - u[phi_j]) prod_{i<j} u[phi_i], with phi the slots from least to most used.

    Equal usages are taken in slot order. Usage is first raised to at least `EPSILON`, so that the
    gradient of the product, which divides by it, is finite. The order itself has no gradient, as in
    the paper.

    Small memories compare every two slots instead of sorting, which is faster there on a CPU with
    XLA.

    Args:
      usage: [B, N], in [0, 1].

    Returns:
      [B, N], in [0, 1], with sum 1 - prod_i u_i.
    """
    unused = unused_share(usage)
    return unused * usage_before(unused)


def unused_share(usage: tf.Tensor) -> tf.Tensor:
    """1 - u, with u raised to at least `EPSILON`: what the order of allocation goes by."""
    return 1.0 - (EPSILON + (1.0 - EPSILON) * usage)


def usage_before(unused: tf.Tensor) -> tf.Tensor:
    """prod_j u[j] over the slots j that come before i in the free list, for each slot i.

    Args:
      unused: [B, N], 1 - u.

    Returns:
      [B, N], in [0, 1].
    """
    slots = unused.shape[1]
    if slots is not None and slots <= LARGEST_COMPARED:
        return product_by_comparison(unused)
    return product_by_sorting(unused)[0]


def comes_before(unused: tf.Tensor) -> tf.Tensor:
    """Whether slot j comes before slot i in the free list, [B, N (j), N (i)]."""
    unused_j, unused_i, j_is_lower, _ = _pairs(unused)
    return (unused_j > unused_i) | ((unused_j == unused_i) & j_is_lower)


def comes_after(unused: tf.Tensor) -> tf.Tensor:
    """Whether slot j comes after slot i in the free list, [B, N (j), N (i)]."""
    unused_j, unused_i, _, j_is_higher = _pairs(unused)
    return (unused_j < unused_i) | ((unused_j == unused_i) & j_is_higher)


def _pairs(unused: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    """What to compare slots j, along the rows, with slots i by; whether j < i, and j > i."""
    slots = tf.range(unused.shape[1])
    j, i = slots[:, tf.newaxis], slots[tf.newaxis, :]
    return unused[:, :, tf.newaxis], unused[:, tf.newaxis, :], j < i, j > i


def product_by_comparison(unused: tf.Tensor) -> tf.Tensor:
    """`usage_before` as the sum of logarithms over all slots that come before."""
    log_usage = tf.math.log(1.0 - unused)[:, :, tf.newaxis]
    return tf.exp(tf.reduce_sum(tf.where(comes_before(unused), log_usage, 0.0), axis=1))


def product_by_sorting(unused: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """`usage_before` as the cumulative product along the free list, and that list [B, N]."""
    # Of equal values `top_k` takes the lowest index first.
    sorted_unused, free_list = tf.math.top_k(unused, k=tf.shape(unused)[1])
    products = tf.math.cumprod(1.0 - sorted_unused, axis=1, exclusive=True)
    return to_slots(products, free_list), free_list


def to_slots(x: tf.Tensor, free_list: tf.Tensor) -> tf.Tensor:
    """Puts what is in the order of the free list into the order of the slots, both [B, N]."""
    batch_size, slots = tf.unstack(tf.shape(x))
    target = free_list + slots * tf.range(batch_size)[:, tf.newaxis]
    by_slot = tf.scatter_nd(tf.reshape(target, [-1, 1]), tf.reshape(x, [-1]), [batch_size * slots])
    return tf.reshape(by_slot, [batch_size, slots])


def write_allocation_weights(usage: tf.Tensor, write_gates: tf.Tensor) -> tf.Tensor:
    """Allocation for several write heads: each sees as used what the heads before it will fill.

    a^i = allocation(u^i), u^{i+1} = u^i + (1 - u^i) g^i a^i, with u^1 = u.

    Args:
      usage: [B, N], in [0, 1].
      write_gates: [B, Wn], in [0, 1]: allocation gate times write gate of each head.

    Returns:
      [B, Wn, N]; not yet multiplied by the gates.
    """
    allocations = [allocation_weights(usage)]
    for gate in tf.unstack(write_gates, axis=1)[:-1]:
        usage += (1.0 - usage) * gate[:, tf.newaxis] * allocations[-1]
        allocations.append(allocation_weights(usage))
    return tf.stack(allocations, axis=1)


class FreenessInputs(NamedTuple):
    """What one step of `Freeness` takes."""

    write_weights: tf.Tensor  # [B, Wn, N], previous
    read_weights: tf.Tensor  # [B, R, N], previous
    free_gate: tf.Tensor  # [B, R]
    write_gates: tf.Tensor  # [B, Wn], allocation gate times write gate


class Freeness(snt.RNNCore):
    """Usage of every slot, and which slots to allocate next. The state is the usage, [B, N].

    Slots become used by writing and free again when a read head with an open free gate has read
    them.
    """

    def __init__(
        self, memory_size: int, *, stop_write_gradient: bool = True, name: str = "freeness"
    ):
        """Creates the core.

        Args:
          memory_size: number of slots N, >= 1. Any number of read and write heads can use them.
          stop_write_gradient: whether the gradient stops at the previous write weights, as in the
            released code. The paper does not mention it.
          name: name of the module.
        """
        super().__init__(name=name)
        self._memory_size = _checks.check_size("memory_size", memory_size)
        self._stop_write_gradient = stop_write_gradient

    def __call__(
        self, inputs: FreenessInputs, prev_state: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Updates the usage and allocates.

        Args:
          inputs: `FreenessInputs`: the weightings of the previous step and the gates of this one.
          prev_state: usage before that, [B, N].

        Returns:
          Allocation weights [B, Wn, N] and usage [B, N].

        Raises:
          ValueError: if a shape or dtype does not fit.
        """
        usage = _checks.check_tensor("usage", prev_state, [None, self._memory_size])
        inputs = _check_fields(
            inputs,
            FreenessInputs(
                write_weights=[None, self._memory_size],
                read_weights=[None, self._memory_size],
                free_gate=[None],
                write_gates=[None],
            ),
            like=usage,
        )
        for gates, weights in (("free_gate", "read_weights"), ("write_gates", "write_weights")):
            num_heads = getattr(inputs, weights).shape[1]
            _checks.check_tensor(gates, getattr(inputs, gates), [None, num_heads])
        write_weights = inputs.write_weights
        if self._stop_write_gradient:
            write_weights = tf.stop_gradient(write_weights)
        usage = usage_after_write(usage, write_weights)
        usage = usage_after_read(usage, inputs.free_gate, inputs.read_weights)
        return write_allocation_weights(usage, inputs.write_gates), usage

    def initial_state(self, batch_size: Any, dtype: Any = tf.float32) -> tf.Tensor:
        """Returns the usage of an empty memory: zeros [B, N]."""
        return tf.zeros(
            [_checks.check_batch_size(batch_size), self._memory_size],
            _checks.check_state_dtype(dtype),
        )

    @property
    def memory_size(self) -> int:
        """Number of slots N."""
        return self._memory_size

    @property
    def stop_write_gradient(self) -> bool:
        """Whether the gradient stops at the previous write weights."""
        return self._stop_write_gradient

    @property
    def state_size(self) -> tf.TensorShape:
        """Shape of one example's state."""
        return tf.TensorShape([self._memory_size])

    @property
    def output_size(self) -> tf.TensorShape:
        """Shape of one example's allocation weights; the number of write heads is the caller's."""
        return tf.TensorShape([None, self._memory_size])


# --- Temporal links -------------------------------------------------------------------------------


def update_link(
    link: tf.Tensor, precedence_weights: tf.Tensor, write_weights: tf.Tensor
) -> tf.Tensor:
    """L[i,j] <- (1 - w[i] - w[j]) L[i,j] + w[i] p[j], and L[i,i] = 0.

    L[i,j] says how much slot i was written right after slot j.

    Args:
      link: [B, Wn, N, N], one graph for each write head.
      precedence_weights: [B, Wn, N], *before* this write.
      write_weights: [B, Wn, N].

    Returns:
      [B, Wn, N, N], every row and column summing to at most 1.
    """
    w_i = write_weights[:, :, :, tf.newaxis]
    w_j = write_weights[:, :, tf.newaxis, :]
    p_j = precedence_weights[:, :, tf.newaxis, :]
    updated = (1.0 - w_i - w_j) * link + w_i * p_j
    # Not `tf.linalg.set_diag`: XLA cannot compile its gradient for a batch of unknown size.
    to_itself = tf.eye(link.shape[-1], dtype=tf.bool)
    return tf.where(to_itself, tf.zeros([], updated.dtype), updated)


def update_precedence_weights(precedence_weights: tf.Tensor, write_weights: tf.Tensor) -> tf.Tensor:
    """p <- (1 - sum_i w[i]) p + w: how much each slot was the last one written.

    Args:
      precedence_weights: [B, Wn, N].
      write_weights: [B, Wn, N].

    Returns:
      [B, Wn, N], each row summing to at most 1.
    """
    written = tf.reduce_sum(write_weights, axis=2, keepdims=True)
    return (1.0 - written) * precedence_weights + write_weights


def forward_weights(link: tf.Tensor, read_weights: tf.Tensor) -> tf.Tensor:
    """f = L r: the slots written right after those read.

    Args:
      link: [B, Wn, N, N].
      read_weights: [B, R, N].

    Returns:
      [B, R, Wn, N].
    """
    return tf.einsum("bwij,brj->brwi", link, read_weights)


def backward_weights(link: tf.Tensor, read_weights: tf.Tensor) -> tf.Tensor:
    """b = L^T r: the slots written right before those read.

    Args:
      link: [B, Wn, N, N].
      read_weights: [B, R, N].

    Returns:
      [B, R, Wn, N].
    """
    return tf.einsum("bwij,bri->brwj", link, read_weights)


class TemporalLinkageState(NamedTuple):
    """The order in which slots were written."""

    link: Any  # [B, Wn, N, N]
    precedence_weights: Any  # [B, Wn, N]

    def resize(self, memory_size: int) -> "TemporalLinkageState":
        """Returns the state with empty slots added, or the last slots dropped.

        Raises:
          ValueError: if the shapes do not fit each other.
        """
        precedence = _checks.check_tensor("precedence_weights", self.precedence_weights, [None] * 3)
        batch_size, num_writes, slots = precedence.shape
        sizes = TemporalLinkageState(
            tf.TensorShape([num_writes, slots, slots]), tf.TensorShape([num_writes, slots])
        )
        _checks.check_state("linkage state", self, sizes, precedence.dtype, batch_size)
        return TemporalLinkageState(
            link=resize_slots(self.link, memory_size, axes=(2, 3)),
            precedence_weights=resize_slots(self.precedence_weights, memory_size, axes=(2,)),
        )


class LinkageInputs(NamedTuple):
    """What one step of `TemporalLinkage` takes."""

    write_weights: tf.Tensor  # [B, Wn, N]
    read_weights: tf.Tensor  # [B, R, N], previous


class DirectionalWeights(NamedTuple):
    """What one step of `TemporalLinkage` returns."""

    forward: Any  # [B, R, Wn, N]
    backward: Any  # [B, R, Wn, N]


class Linkage(snt.RNNCore):
    """What all linkages have, whatever they remember of the order of writes."""

    def __init__(self, memory_size: int, num_writes: int, name: str):
        super().__init__(name=name)
        self._memory_size = _checks.check_size("memory_size", memory_size)
        self._num_writes = _checks.check_size("num_writes", num_writes)

    @property
    def memory_size(self) -> int:
        """Number of slots N."""
        return self._memory_size

    @property
    def num_writes(self) -> int:
        """Number of write heads Wn."""
        return self._num_writes

    @property
    def output_size(self) -> DirectionalWeights:
        """Shapes of one example's directional weights; the number of read heads is the caller's."""
        size = tf.TensorShape([None, self._num_writes, self._memory_size])
        return DirectionalWeights(forward=size, backward=size)

    def _check_call(
        self, inputs: LinkageInputs, prev_state: Any, strict: bool = True
    ) -> LinkageInputs:
        """Returns the inputs as tensors if they and the state are of the right sizes.

        Without `strict` the state may also hold whole numbers.
        """
        slots = self._memory_size
        inputs = _check_fields(inputs, LinkageInputs([self._num_writes, slots], [None, slots]))
        dtype, batch_size = inputs.write_weights.dtype, inputs.write_weights.shape[0]
        sizes = self.state_size
        _checks.check_state("linkage state", prev_state, sizes, dtype, batch_size, strict)
        return inputs


class TemporalLinkage(Linkage):
    """Remembers the order of writes and follows it, forwards and backwards, from the last read.

    >>> linkage = TemporalLinkage(memory_size=3)
    >>> state = linkage.initial_state(batch_size=1)
    >>> one_hot = lambda i: tf.one_hot([[i]], 3)
    >>> for slot in (0, 2, 1):
    ...     inputs = LinkageInputs(write_weights=one_hot(slot), read_weights=one_hot(2))
    ...     directions, state = linkage(inputs, state)
    >>> int(tf.argmax(directions.forward[0, 0, 0])), int(tf.argmax(directions.backward[0, 0, 0]))
    (1, 0)
    """

    def __init__(self, memory_size: int, num_writes: int = 1, *, name: str = "temporal_linkage"):
        """Creates the core.

        Args:
          memory_size: number of slots N, >= 1. Any number of read heads can follow the links.
          num_writes: number of write heads Wn, >= 1; each has its own links.
          name: name of the module.
        """
        super().__init__(memory_size, num_writes, name)

    def __call__(
        self, inputs: LinkageInputs, prev_state: TemporalLinkageState
    ) -> tuple[DirectionalWeights, TemporalLinkageState]:
        """Takes note of a write, then follows the links from the previous reads.

        Args:
          inputs: `LinkageInputs`: the write weights of this step and the read weights of the
            previous one.
          prev_state: `TemporalLinkageState` before this write.

        Returns:
          `DirectionalWeights` and the next `TemporalLinkageState`.

        Raises:
          ValueError: if a shape, a dtype or the structure of the state does not fit.
        """
        write_weights, read_weights = self._check_call(inputs, prev_state)
        # The links need the precedence *before* this write.
        link = update_link(prev_state.link, prev_state.precedence_weights, write_weights)
        precedence_weights = update_precedence_weights(prev_state.precedence_weights, write_weights)
        directions = DirectionalWeights(
            forward=forward_weights(link, read_weights),
            backward=backward_weights(link, read_weights),
        )
        return directions, TemporalLinkageState(link, precedence_weights)

    def initial_state(self, batch_size: Any, dtype: Any = tf.float32) -> TemporalLinkageState:
        """Returns the state before any write: all zero."""
        batch_size, dtype = _checks.check_batch_size(batch_size), _checks.check_state_dtype(dtype)
        return TemporalLinkageState(
            *(tf.zeros([batch_size, *size], dtype) for size in self.state_size)
        )

    @property
    def state_size(self) -> TemporalLinkageState:
        """Shapes of one example's state."""
        heads, slots = self._num_writes, self._memory_size
        return TemporalLinkageState(
            link=tf.TensorShape([heads, slots, slots]),
            precedence_weights=tf.TensorShape([heads, slots]),
        )


# --- Helpers --------------------------------------------------------------------------------------


def product(factors: Iterable[tf.Tensor]) -> tf.Tensor:
    """Multiplies one tensor for each head.

    Not `tf.reduce_prod`: its gradient divides by the factors, which may be exactly 0.
    """
    return functools.reduce(operator.mul, factors)


def resize_slots(x: tf.Tensor, memory_size: int, axes: Sequence[int]) -> tf.Tensor:
    """Adds zeros at the end of the given axes, or cuts them off there, up to `memory_size`."""
    x = tf.convert_to_tensor(x)
    begin, size, padding = [0] * x.shape.rank, [-1] * x.shape.rank, [[0, 0]] * x.shape.rank
    for axis in axes:
        size[axis] = min(x.shape[axis], memory_size)
        padding[axis] = [0, memory_size - size[axis]]
    return tf.pad(tf.slice(x, begin, size), padding)


def _check_fields(values: Any, sizes: Any, like: tf.Tensor | None = None) -> Any:
    """Checks each tensor of a tuple against per-example sizes, a `NamedTuple` of its fields.

    All are also checked against one batch size and dtype. Returns them as such a `NamedTuple`.
    """
    if not isinstance(values, (tuple, list)) or len(values) != len(sizes):
        raise ValueError(
            f"inputs must be {type(sizes).__name__}({', '.join(sizes._fields)}), "
            f"got {_checks.structure_text(values)}."
        )
    checked = []
    for name, value, size in zip(sizes._fields, values, sizes, strict=True):
        batch_size, dtype = (None, None) if like is None else (like.shape[0], like.dtype)
        like = _checks.check_tensor(name, value, [batch_size, *size], dtype)
        checked.append(like)
    return type(sizes)(*checked)
