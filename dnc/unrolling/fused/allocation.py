"""Usage and allocation."""

from typing import Any, NamedTuple

import tensorflow as tf

from dnc import allocation
from dnc.allocation import EPSILON, Freeness, FreenessInputs
from dnc.unrolling.fused.products import products_of_others, times


class Allocation(NamedTuple):
    """What each write head is offered, and how that came about."""

    weights: tf.Tensor  # [B, Wn, N]
    # The product of the usages of all slots before in the free list: the weights without the factor
    # 1 - u[i], which may be 0. [B, Wn, N]
    used_before: tf.Tensor
    free_list: Any  # [B, Wn, N], int32, if slots are sorted; else ()


def is_sorted(num_slots: int) -> bool:
    """Whether slots are sorted to allocate, instead of compared with each other."""
    return num_slots > allocation.LARGEST_COMPARED


def free_list_spec(
    batch_size: int | None, num_writes: int, num_slots: int
) -> tf.TensorSpec | tuple[()]:
    """What the free list of an `Allocation` looks like."""
    if not is_sorted(num_slots):
        return ()
    return tf.TensorSpec([batch_size, num_writes, num_slots], tf.int32)


def update(inputs: FreenessInputs, usage: tf.Tensor) -> tf.Tensor:
    """Usage after the previous step's write and reads, [B, N]."""
    usage = allocation.usage_after_write(usage, inputs.write_weights)
    return allocation.usage_after_read(usage, inputs.free_gate, inputs.read_weights)


def update_gradient(
    module: Freeness, inputs: FreenessInputs, usage: tf.Tensor, d_updated: tf.Tensor
) -> tuple[FreenessInputs, tf.Tensor]:
    """Gradients by the inputs (`write_gates` excepted) and the usage of `update`."""
    after_write = allocation.usage_after_write(usage, inputs.write_weights)
    free_gate = inputs.free_gate[:, :, tf.newaxis]
    kept = tf.unstack(1.0 - free_gate * inputs.read_weights, axis=1)
    other_kept, all_kept = products_of_others(kept)
    d_product = d_updated * after_write
    d_kept = tf.stack([d_product if x is None else d_product * x for x in other_kept], axis=1)
    d_after_write = d_updated * all_kept

    untouched = tf.unstack(1.0 - inputs.write_weights, axis=1)
    other_untouched, all_untouched = products_of_others(untouched)
    if module.stop_write_gradient:
        d_write_weights = tf.zeros_like(inputs.write_weights)
    else:
        d_written = d_after_write * (1.0 - usage)
        d_write_weights = tf.stack(
            [d_written if x is None else d_written * x for x in other_untouched], axis=1
        )
    d_inputs = FreenessInputs(
        write_weights=d_write_weights,
        read_weights=-d_kept * free_gate,
        free_gate=-tf.reduce_sum(d_kept * inputs.read_weights, axis=2),
        write_gates=None,
    )
    return d_inputs, d_after_write * all_untouched


def allocate(usage: tf.Tensor, write_gates: tf.Tensor) -> Allocation:
    """`allocation.write_allocation_weights`, with what its gradient needs."""
    weights: list[tf.Tensor] = []
    used_before, free_lists = [], []
    gates = tf.unstack(write_gates, axis=1)
    num_slots = usage.shape[1]
    for i in range(len(gates)):
        if i > 0:
            usage = _after_allocation(usage, gates[i - 1], weights[-1])
        unused = allocation.unused_share(usage)
        if is_sorted(num_slots):
            product, free_list = allocation.product_by_sorting(unused)
            free_lists.append(free_list)
        else:
            product = allocation.product_by_comparison(unused)
        used_before.append(product)
        weights.append(unused * product)
    return Allocation(
        tf.stack(weights, axis=1),
        tf.stack(used_before, axis=1),
        tf.stack(free_lists, axis=1) if is_sorted(num_slots) else (),
    )


def allocate_gradient(
    usage: tf.Tensor, write_gates: tf.Tensor, allocation: Allocation, d_weights: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor | None]:
    """Gradients by the usage [B, N] and the gates [B, Wn]; `None` for those of a single head."""
    gates, weights = tf.unstack(write_gates, axis=1), tf.unstack(allocation.weights, axis=1)
    usages = [usage]
    for gate, head_weights in zip(gates[:-1], weights[:-1], strict=True):
        usages.append(_after_allocation(usages[-1], gate, head_weights))

    d_heads = tf.unstack(d_weights, axis=1)
    d_gates = [tf.zeros_like(gates[-1])]
    d_usage = None
    for i in reversed(range(len(gates))):
        d_head = d_heads[i]
        if d_usage is not None:  # By what the next head finds.
            gate, unused = gates[i][:, tf.newaxis], 1.0 - usages[i]
            d_gates.append(tf.reduce_sum(d_usage * unused * weights[i], axis=1))
            d_head += d_usage * unused * gate
            d_usage *= 1.0 - gate * weights[i]
        free_list = allocation.free_list[:, i] if is_sorted(usage.shape[1]) else None
        d_own = _head_gradient(
            usages[i], weights[i], allocation.used_before[:, i], free_list, d_head
        )
        d_usage = d_own if d_usage is None else d_usage + d_own
    return d_usage, tf.stack(d_gates[::-1], axis=1) if len(gates) > 1 else None


def _after_allocation(usage: tf.Tensor, gate: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """What the next write head finds: u + (1 - u) g a."""
    return usage + (1.0 - usage) * gate[:, tf.newaxis] * weights


def _head_gradient(
    usage: tf.Tensor,
    weights: tf.Tensor,
    used_before: tf.Tensor,
    free_list: tf.Tensor | None,
    d_weights: tf.Tensor,
) -> tf.Tensor:
    """Gradient by the usage that one head finds, all [B, N].

    a[i] = (1 - u[i]) P[i], and a[k] has u[i] as a factor for each slot k after i:
    du[i] = -P[i] da[i] + sum over these k of a[k] da[k] / u[i].
    """
    unused = allocation.unused_share(usage)
    mass = weights * d_weights
    if free_list is None:
        # A product: in a sum of choices XLA would compute the mass anew for every two slots.
        comes_after = tf.cast(allocation.comes_after(unused), mass.dtype)
        later = tf.squeeze(times(mass[:, tf.newaxis], comes_after), axis=1)
    else:
        in_order = tf.gather(mass, free_list, batch_dims=1)
        later = tf.math.cumsum(in_order, axis=1, exclusive=True, reverse=True)
        later = allocation.to_slots(later, free_list)
    return (1.0 - EPSILON) * (later / (1.0 - unused) - used_before * d_weights)
