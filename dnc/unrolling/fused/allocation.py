"""Usage and allocation."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from dnc import _cores, allocation
from dnc.allocation import EPSILON, Freeness, FreenessInputs
from dnc.unrolling.fused.products import products_of_others, times
from dnc.unrolling.fused.registry import Part, fuses


def freeness_step(freeness: Any, with_retention: bool) -> Callable[..., tuple[Any, ...]]:
    """Returns one step of any core that tracks the usage and allocates, for `Recomputed`."""
    compute = _cores.unchecked(freeness)

    def step(inputs: FreenessInputs, usage: tf.Tensor) -> tuple[Any, ...]:
        allocated, usage = compute(inputs, usage)
        return allocated.weights, usage, allocated.retention if with_retention else ()

    return step


def _is_sorted(num_slots: int) -> bool:
    """Whether slots are sorted to allocate, instead of compared with each other."""
    return num_slots > allocation.LARGEST_COMPARED


@fuses(Freeness)
class FusedFreeness(Part):
    """`Freeness`.

    For each write head it keeps the product of the usages of all earlier slots in the free list:
    the weights without the factor 1 - u[i], which may be 0. If it sorts, it also keeps the free
    list.
    """

    def __init__(self, freeness: Freeness, num_writes: int):
        self._stop_write_gradient = freeness.stop_write_gradient
        self._num_slots = freeness.memory_size
        self.num_residuals = num_writes

    def residuals_spec(self, batch_size: int | None, dtype: tf.DType) -> Any:
        """Returns the spec of the free list, or () for none."""
        if not _is_sorted(self._num_slots):
            return ()
        return tf.TensorSpec([batch_size, self.num_residuals, self._num_slots], tf.int32)

    def step(self, arguments: Any, weights: Any = ()) -> tuple[Any, tuple[tf.Tensor, Any]]:
        """Returns weights [B, V, N], usage and retention for `FreenessInputs` and usage."""
        del weights
        inputs = self._stop_gradient(arguments[0])
        usage = allocation.usage_after_write(arguments[1], inputs.write_weights)
        retention = allocation.retention(inputs.fields["free_gate"], inputs.read_weights)
        usage *= retention
        allocated: list[tf.Tensor] = []
        used_before, free_lists = [], []
        head_usage, gates = usage, tf.unstack(inputs.write_gates, axis=1)
        for i in range(len(gates)):
            if i > 0:
                head_usage = _after_allocation(head_usage, gates[i - 1], allocated[-1])
            unused = _unused(head_usage)
            if _is_sorted(self._num_slots):
                product, free_list = _used_before_by_sorting(unused)
                free_lists.append(free_list)
            else:
                product = allocation.used_before_by_comparison(unused)
            used_before.append(product)
            allocated.append(unused * product)
        free_list = tf.stack(free_lists, axis=1) if free_lists else ()
        results = (tf.stack(allocated, axis=1), usage, retention)
        return results, (tf.stack(used_before, axis=1), free_list)

    def gradient(
        self, arguments: Any, results: Any, residuals: Any, d_results: Any, products: Any = ()
    ) -> tuple[tuple[FreenessInputs, tf.Tensor], list[tf.Tensor]]:
        """Returns the gradients; `d_retention` may be ()."""
        inputs = self._stop_gradient(arguments[0])
        d_weights, d_usage, d_retention = d_results
        d_allocation_usage, d_gates = self._allocation_gradient(
            inputs, results, residuals, d_weights
        )
        d_usage += d_allocation_usage
        return self._usage_gradient(inputs, arguments[1], d_usage, d_retention, d_gates), []

    def _stop_gradient(self, inputs: FreenessInputs) -> FreenessInputs:
        """Stops second derivatives at the write weights, as `gradient` stops first ones."""
        if not self._stop_write_gradient:
            return inputs
        return inputs._replace(write_weights=tf.stop_gradient(inputs.write_weights))

    def _allocation_gradient(
        self, inputs: FreenessInputs, results: Any, residuals: Any, d_weights: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Returns gradients w.r.t. usage [B, N] and gates [B, V], which is `None` for one head."""
        used_before, free_lists = residuals
        gates = tf.unstack(inputs.write_gates, axis=1)
        weights = tf.unstack(results[0], axis=1)
        usages = [results[1]]
        for gate, head_weights in zip(gates[:-1], weights[:-1], strict=True):
            usages.append(_after_allocation(usages[-1], gate, head_weights))

        d_heads = tf.unstack(d_weights, axis=1)
        d_gates = [tf.zeros_like(gates[-1])]
        d_usage = None
        for i in reversed(range(len(gates))):
            d_head = d_heads[i]
            if d_usage is not None:  # Through the usage that the next head sees.
                gate, unused = gates[i][:, tf.newaxis], 1.0 - usages[i]
                d_gates.append(tf.reduce_sum(d_usage * unused * weights[i], axis=1))
                d_head += d_usage * unused * gate
                d_usage *= 1.0 - gate * weights[i]
            free_list = free_lists[:, i] if _is_sorted(self._num_slots) else None
            d_own = _head_gradient(usages[i], weights[i], used_before[:, i], free_list, d_head)
            d_usage = d_own if d_usage is None else d_usage + d_own
        return d_usage, tf.stack(d_gates[::-1], axis=1) if len(gates) > 1 else None

    def _usage_gradient(
        self,
        inputs: FreenessInputs,
        prev_usage: tf.Tensor,
        d_usage: tf.Tensor,
        d_retention: Any,
        d_gates: tf.Tensor | None,
    ) -> tuple[FreenessInputs, tf.Tensor]:
        """Returns gradients through the usage after the previous step's write and reads."""
        after_write = allocation.usage_after_write(prev_usage, inputs.write_weights)
        free_gate = inputs.fields["free_gate"][:, :, tf.newaxis]
        kept = tf.unstack(1.0 - free_gate * inputs.read_weights, axis=1)
        other_kept, all_kept = products_of_others(kept)
        d_product = d_usage * after_write
        if tf.is_tensor(d_retention):
            d_product += d_retention
        d_kept = tf.stack([d_product if x is None else d_product * x for x in other_kept], axis=1)
        d_after_write = d_usage * all_kept

        untouched = tf.unstack(1.0 - inputs.write_weights, axis=1)
        other_untouched, all_untouched = products_of_others(untouched)
        if self._stop_write_gradient:
            d_write_weights = tf.zeros_like(inputs.write_weights)
        else:
            d_written = d_after_write * (1.0 - prev_usage)
            d_write_weights = tf.stack(
                [d_written if x is None else d_written * x for x in other_untouched], axis=1
            )
        d_free_gate = -tf.reduce_sum(d_kept * inputs.read_weights, axis=2)
        d_inputs = FreenessInputs(
            d_write_weights, -d_kept * free_gate, d_gates, {"free_gate": d_free_gate}
        )
        return d_inputs, d_after_write * all_untouched


def _unused(usage: tf.Tensor) -> tf.Tensor:
    """1 - u, with u raised to at least `EPSILON`."""
    return 1.0 - (EPSILON + (1.0 - EPSILON) * usage)


def _used_before_by_sorting(unused: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Computes `allocation.used_before_by_sorting`, and the free list [B, N]."""
    sorted_unused, free_list = tf.math.top_k(unused, k=tf.shape(unused)[1])
    products = tf.math.cumprod(1.0 - sorted_unused, axis=1, exclusive=True)
    return _to_slots(products, free_list), free_list


def _to_slots(x: tf.Tensor, free_list: tf.Tensor) -> tf.Tensor:
    """Reorders [B, N] from the order of the free list to the order of the slots."""
    batch_size, slots = tf.unstack(tf.shape(x))
    target = free_list + slots * tf.range(batch_size)[:, tf.newaxis]
    by_slot = tf.scatter_nd(tf.reshape(target, [-1, 1]), tf.reshape(x, [-1]), [batch_size * slots])
    return tf.reshape(by_slot, [batch_size, slots])


def _comes_after(unused: tf.Tensor) -> tf.Tensor:
    """Whether slot j comes after slot i in the free list, [B, N (j), N (i)]."""
    slots = tf.range(unused.shape[1])
    j_is_higher = slots[:, tf.newaxis] > slots
    unused_j, unused_i = unused[:, :, tf.newaxis], unused[:, tf.newaxis, :]
    return (unused_j < unused_i) | ((unused_j == unused_i) & j_is_higher)


def _after_allocation(usage: tf.Tensor, gate: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """Returns the usage that the next write head sees, u + (1 - u) g a."""
    return usage + (1.0 - usage) * gate[:, tf.newaxis] * weights


def _head_gradient(
    usage: tf.Tensor,
    weights: tf.Tensor,
    used_before: tf.Tensor,
    free_list: tf.Tensor | None,
    d_weights: tf.Tensor,
) -> tf.Tensor:
    """Returns the gradient w.r.t. the usage that one head sees, all [B, N].

    a[i] = (1 - u[i]) P[i], and a[k] has u[i] as a factor for each slot k after i:
    du[i] = -P[i] da[i] + sum over these k of a[k] da[k] / u[i].
    """
    unused = _unused(usage)
    mass = weights * d_weights
    if free_list is None:
        # A product: in a sum of choices XLA would compute the mass again for all pairs of slots.
        comes_after = tf.cast(_comes_after(unused), mass.dtype)
        later = tf.squeeze(times(mass[:, tf.newaxis], comes_after), axis=1)
    else:
        in_order = tf.gather(mass, free_list, batch_dims=1)
        later = tf.math.cumsum(in_order, axis=1, exclusive=True, reverse=True)
        later = _to_slots(later, free_list)
    return (1.0 - EPSILON) * (later / (1.0 - unused) - used_before * d_weights)
