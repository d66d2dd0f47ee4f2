"""Dynamic allocation: the usage of every slot, and the choice of slots to write to.

Paper: Graves et al., Nature 538 (2016), Methods, "Dynamic memory allocation". Shapes: B batch, N
memory slots, R read heads, V write heads.
"""

import functools
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import sonnet as snt
import tensorflow as tf

from dnc import _checks
from dnc.interface import Field

# Minimum usage that allocation sees, so that the gradient of a product of usages is finite.
EPSILON = 1e-6

# Up to this number of slots, allocation compares all pairs of slots instead of sorting them.
LARGEST_COMPARED = 256


def product(factors: Iterable[tf.Tensor]) -> tf.Tensor:
    """Multiplies tensors, one for each head.

    It avoids `tf.reduce_prod`, whose gradient divides by the factors, which may be exactly 0.
    """
    return functools.reduce(operator.mul, factors)


def usage_after_write(prev_usage: tf.Tensor, write_weights: tf.Tensor) -> tf.Tensor:
    """u + (1 - u) w, with w = 1 - prod_i (1 - w^i) over the write heads.

    Args:
      prev_usage: [B, N], in [0, 1].
      write_weights: [B, V, N], the writes since then.

    Returns:
      [B, N], in [0, 1].
    """
    untouched = product(1.0 - w for w in tf.unstack(write_weights, axis=1))
    return prev_usage + (1.0 - prev_usage) * (1.0 - untouched)


def retention(free_gate: tf.Tensor, read_weights: tf.Tensor) -> tf.Tensor:
    """psi = prod_i (1 - f^i w^{r,i}): the share of each slot that the free gates retain.

    Usage after the reads is u psi.

    Args:
      free_gate: [B, R], in [0, 1].
      read_weights: [B, R, N], the previous read weightings.

    Returns:
      [B, N], in [0, 1].
    """
    kept = 1.0 - free_gate[:, :, tf.newaxis] * read_weights
    return product(tf.unstack(kept, axis=1))


def allocation_weights(usage: tf.Tensor) -> tf.Tensor:
    """a[phi_j] = (1 - u[phi_j]) prod_{i<j} u[phi_i], with phi the slots from least to most used.

    Equal usages are taken in slot order. Usage is first raised to at least `EPSILON`, so that the
    gradient of the product, which divides by it, is finite. The order itself has no gradient, as in
    the paper.

    Small memories compare all pairs of slots instead of sorting them, which is faster on a CPU with
    XLA.

    Args:
      usage: [B, N], in [0, 1].

    Returns:
      [B, N], in [0, 1], with sum 1 - prod_i u_i.
    """
    unused = 1.0 - (EPSILON + (1.0 - EPSILON) * usage)
    num_slots = usage.shape[1]
    if num_slots is not None and num_slots <= LARGEST_COMPARED:
        return unused * used_before_by_comparison(unused)
    return unused * used_before_by_sorting(unused)


def used_before_by_comparison(unused: tf.Tensor) -> tf.Tensor:
    """prod_j u[j] over the slots j before i in the free list, by comparing all pairs.

    Args:
      unused: [B, N], 1 - u.

    Returns:
      [B, N], in [0, 1], for each slot i.
    """
    slots = tf.range(unused.shape[1])
    j_is_lower = slots[:, tf.newaxis] < slots
    unused_j, unused_i = unused[:, :, tf.newaxis], unused[:, tf.newaxis, :]
    comes_before = (unused_j > unused_i) | ((unused_j == unused_i) & j_is_lower)
    log_usage = tf.math.log(1.0 - unused)[:, :, tf.newaxis]
    return tf.exp(tf.reduce_sum(tf.where(comes_before, log_usage, 0.0), axis=1))


def used_before_by_sorting(unused: tf.Tensor) -> tf.Tensor:
    """prod_j u[j] over the slots j before i in the free list, along the sorted slots.

    Args:
      unused: [B, N], 1 - u.

    Returns:
      [B, N], in [0, 1], for each slot i.
    """
    # Of equal values `top_k` takes the lowest index first.
    sorted_unused, free_list = tf.math.top_k(unused, k=tf.shape(unused)[1])
    products = tf.math.cumprod(1.0 - sorted_unused, axis=1, exclusive=True)
    batch_size, slots = tf.unstack(tf.shape(unused))
    target = free_list + slots * tf.range(batch_size)[:, tf.newaxis]
    by_slot = tf.scatter_nd(
        tf.reshape(target, [-1, 1]), tf.reshape(products, [-1]), [batch_size * slots]
    )
    return tf.reshape(by_slot, [batch_size, slots])


def write_allocation_weights(usage: tf.Tensor, write_gates: tf.Tensor) -> tf.Tensor:
    """Allocates for several write heads. Each sees the usage that the heads before it will leave.

    a^i = allocation(u^i), u^{i+1} = u^i + (1 - u^i) g^i a^i, with u^1 = u.

    Args:
      usage: [B, N], in [0, 1].
      write_gates: [B, V], in [0, 1]: allocation gate times write gate of each head.

    Returns:
      [B, V, N]; not yet multiplied by the gates.
    """
    return _one_after_another(usage, write_gates, lambda head, usage: allocation_weights(usage))


def softmax_allocation_weights(
    usage: tf.Tensor, write_gates: tf.Tensor, strengths: tf.Tensor
) -> tf.Tensor:
    """Computes `write_allocation_weights` with allocation(u) = softmax(beta (1 - u)).

    Args:
      usage: as for `write_allocation_weights`.
      write_gates: as for `write_allocation_weights`.
      strengths: [B, V], beta >= 0 of each head.

    Returns:
      [B, V, N], each row summing to 1.
    """
    return _one_after_another(
        usage,
        write_gates,
        lambda head, usage: tf.nn.softmax(strengths[:, head, tf.newaxis] * (1.0 - usage)),
    )


def _one_after_another(
    usage: tf.Tensor, write_gates: tf.Tensor, allocate: Callable[[int, tf.Tensor], tf.Tensor]
) -> tf.Tensor:
    """Stacks allocate(head, usage), where each head sees the usage that the previous ones leave."""
    gates = tf.unstack(write_gates, axis=1)
    allocations = [allocate(0, usage)]
    for head, gate in enumerate(gates[:-1], start=1):
        usage += (1.0 - usage) * gate[:, tf.newaxis] * allocations[-1]
        allocations.append(allocate(head, usage))
    return tf.stack(allocations, axis=1)


class FreenessInputs(NamedTuple):
    """Inputs of one step of `Freeness`."""

    write_weights: tf.Tensor  # [B, V, N], of the previous step
    read_weights: tf.Tensor  # [B, R, N], of the previous step
    write_gates: tf.Tensor  # [B, V], allocation gate times write gate
    fields: Mapping[str, tf.Tensor]  # its interface fields: `free_gate` [B, R]


class Allocation(NamedTuple):
    """Outputs of one step of `Freeness`."""

    weights: tf.Tensor  # [B, V, N], a
    retention: tf.Tensor  # [B, N] in [0, 1], psi
    extras: Mapping[str, tf.Tensor] = {}  # further quantities to record, see `MemoryAccess`


class Freeness(snt.RNNCore):
    """Usage of every slot, and allocation of unused ones. The state is the usage, [B, N].

    Writing to a slot marks it as used. Reading it with an open free gate frees it again.
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

        Raises:
          ValueError: if the size is not a positive integer.
        """
        super().__init__(name=name)
        self._memory_size = _checks.check_size("memory_size", memory_size)
        self._stop_write_gradient = stop_write_gradient

    def fields(self) -> dict[str, Field]:
        """Returns the interface fields: a free gate for each read head."""
        return {"free_gate": Field("R", tf.sigmoid)}

    def __call__(
        self, inputs: FreenessInputs, prev_state: tf.Tensor
    ) -> tuple[Allocation, tf.Tensor]:
        """Updates the usage and allocates.

        Args:
          inputs: `FreenessInputs`: the weightings of the previous step and the gates of this one.
          prev_state: the usage before the previous step's write, [B, N].

        Returns:
          The `Allocation` and the usage [B, N], in [0, 1].

        Raises:
          ValueError: if a shape or dtype does not fit.
        """
        usage = _checks.check_tensor("usage", prev_state, [None, self._memory_size])
        inputs = _checks.check_inputs(FreenessInputs, inputs)
        check = functools.partial(_checks.check_like, usage)
        write_weights = check("write_weights", inputs.write_weights, [None, self._memory_size])
        read_weights = check("read_weights", inputs.read_weights, [None, self._memory_size])
        write_gates = check("write_gates", inputs.write_gates, write_weights.shape[1:2])
        free_gate = check("free_gate", inputs.fields.get("free_gate"), read_weights.shape[1:2])
        fields = {**inputs.fields, "free_gate": free_gate}
        return self.compute(FreenessInputs(write_weights, read_weights, write_gates, fields), usage)

    def compute(
        self, inputs: FreenessInputs, prev_state: tf.Tensor
    ) -> tuple[Allocation, tf.Tensor]:
        """Computes the result of `__call__` for checked arguments."""
        write_weights = inputs.write_weights
        if self._stop_write_gradient:
            write_weights = tf.stop_gradient(write_weights)
        retained = retention(inputs.fields["free_gate"], inputs.read_weights)
        usage = usage_after_write(prev_state, write_weights) * retained
        return Allocation(self.allocate(usage, inputs), retained), usage

    def allocate(self, usage: tf.Tensor, inputs: FreenessInputs) -> tf.Tensor:
        """Returns the allocation weights of all write heads, [B, V, N].

        Args:
          usage: [B, N], in [0, 1].
          inputs: checked inputs of the step.
        """
        return write_allocation_weights(usage, inputs.write_gates)

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
    def output_size(self) -> Allocation:
        """Shapes of one example's outputs, for any number of write heads."""
        slots = tf.TensorShape([self._memory_size])
        return Allocation(weights=tf.TensorShape([None, self._memory_size]), retention=slots)


class SoftmaxAllocation(Freeness):
    """`Freeness` that allocates by a softmax over free slots: a = softmax(beta (1 - u)).

    It needs no sorting, and its gradient reaches the order of the slots. Each write head emits its
    strength beta >= 0. (Not in the paper; proposed by Ben-Ari & Bekker 2017.) Slots that are
    equally used get equal weights.
    """

    def fields(self) -> dict[str, Field]:
        """Returns the interface fields: free gates, and a strength for each write head."""
        return {**super().fields(), "allocation_strengths": Field("V", tf.nn.softplus)}

    def __call__(
        self, inputs: FreenessInputs, prev_state: tf.Tensor
    ) -> tuple[Allocation, tf.Tensor]:
        """Updates the usage and allocates, as `Freeness` does.

        Raises:
          ValueError: if a shape or dtype does not fit.
        """
        inputs = _checks.check_inputs(FreenessInputs, inputs)
        usage = _checks.check_tensor("usage", prev_state, [None, self.memory_size])
        _checks.check_like(
            usage,
            "allocation_strengths",
            inputs.fields.get("allocation_strengths"),
            tf.convert_to_tensor(inputs.write_gates).shape[1:2],
        )
        return super().__call__(inputs, usage)

    def allocate(self, usage: tf.Tensor, inputs: FreenessInputs) -> tf.Tensor:
        """Returns the allocation weights of all write heads, [B, V, N]."""
        strengths = inputs.fields["allocation_strengths"]
        return softmax_allocation_weights(usage, inputs.write_gates, strengths)
