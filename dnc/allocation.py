"""Dynamic allocation: the usage of every slot, and which slots to write to next.

Paper: Graves et al., Nature 538 (2016), Methods, "Dynamic memory allocation". Shapes: B batch, N
memory slots, R read heads, V write heads.
"""

import functools
import operator
from collections.abc import Iterable
from typing import Any, NamedTuple

import sonnet as snt
import tensorflow as tf

from dnc import _checks

# Minimum usage that allocation sees, so that the gradient of a product of usages is finite.
EPSILON = 1e-6

# Up to this number of slots, allocation compares every two slots instead of sorting them.
LARGEST_COMPARED = 256


def product(factors: Iterable[tf.Tensor]) -> tf.Tensor:
    """Multiplies one tensor for each head.

    Not `tf.reduce_prod`: its gradient divides by the factors, which may be exactly 0.
    """
    return functools.reduce(operator.mul, factors)


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
        inputs = _checks.check_fields(
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
