"""Usage and allocation."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from dnc import _cores, allocation
from dnc.allocation import EPSILON, Freeness, FreenessInputs
from dnc.unrolling.fused.products import products_of_others, times
from dnc.unrolling.fused.registry import Recomputed, fuses


class AllocationStep(NamedTuple):
    """Results of one step of a `Freeness`."""

    weights: tf.Tensor  # [B, V, N]
    usage: tf.Tensor  # [B, N]
    # For the backward pass. The product of the usages of all slots before in the free list, which
    # is the weights without the factor 1 - u[i], as that may be 0. [B, V, N]
    used_before: Any = None
    free_list: Any = ()  # [B, V, N], int32, if slots are sorted


class AllocationGradient(NamedTuple):
    """Gradients w.r.t. the arguments of a `Freeness`."""

    write_weights: tf.Tensor  # [B, V, N]
    read_weights: tf.Tensor  # [B, R, N]
    write_gates: tf.Tensor | None  # [B, V]; `None` for zero
    fields: Mapping[str, tf.Tensor]
    usage: tf.Tensor  # [B, N]
    variables: Sequence[tf.Tensor] = ()


def _is_sorted(num_slots: int) -> bool:
    """Whether slots are sorted to allocate, instead of compared with each other."""
    return num_slots > allocation.LARGEST_COMPARED


@fuses(Freeness)
class FusedFreeness:
    """`Freeness`: keeps the products of usages, and the free list where slots are sorted."""

    recomputes = False
    variables: Sequence[tf.Variable] = ()

    def __init__(self, freeness: Freeness, num_writes: int):
        self._stop_write_gradient = freeness.stop_write_gradient
        self._num_slots = freeness.memory_size
        self.num_residuals = num_writes  # Rows [B, N] kept for the backward pass.

    def free_list_spec(self, batch_size: int | None) -> Any:
        """Returns the `tf.TensorSpec` of the free list, or () for none."""
        if not _is_sorted(self._num_slots):
            return ()
        return tf.TensorSpec([batch_size, self.num_residuals, self._num_slots], tf.int32)

    def step(self, inputs: FreenessInputs, usage: tf.Tensor) -> AllocationStep:
        """Updates the usage and allocates."""
        inputs = self._stop_gradient(inputs)
        usage = allocation.usage_after_write(usage, inputs.write_weights)
        usage *= allocation.retention(inputs.fields["free_gate"], inputs.read_weights)
        weights: list[tf.Tensor] = []
        used_before, free_lists = [], []
        head_usage, gates = usage, tf.unstack(inputs.write_gates, axis=1)
        for i in range(len(gates)):
            if i > 0:
                head_usage = _after_allocation(head_usage, gates[i - 1], weights[-1])
            unused = _unused(head_usage)
            if _is_sorted(self._num_slots):
                product, free_list = _used_before_by_sorting(unused)
                free_lists.append(free_list)
            else:
                product = allocation.used_before_by_comparison(unused)
            used_before.append(product)
            weights.append(unused * product)
        return AllocationStep(
            tf.stack(weights, axis=1),
            usage,
            tf.stack(used_before, axis=1),
            tf.stack(free_lists, axis=1) if free_lists else (),
        )

    def gradient(
        self,
        inputs: FreenessInputs,
        prev_usage: tf.Tensor,
        step: AllocationStep,
        d_weights: tf.Tensor,
        d_usage: tf.Tensor,
    ) -> AllocationGradient:
        """Returns the gradients w.r.t. the arguments of `step`."""
        inputs = self._stop_gradient(inputs)
        d_allocation_usage, d_gates = self._allocation_gradient(inputs, step, d_weights)
        return self._usage_gradient(inputs, prev_usage, d_usage + d_allocation_usage, d_gates)

    def _stop_gradient(self, inputs: FreenessInputs) -> FreenessInputs:
        """Stops second derivatives at the write weights, as `gradient` stops first ones."""
        if not self._stop_write_gradient:
            return inputs
        return inputs._replace(write_weights=tf.stop_gradient(inputs.write_weights))

    def _allocation_gradient(
        self, inputs: FreenessInputs, step: AllocationStep, d_weights: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """Gradients w.r.t. the usage [B, N] and the gates [B, V]; `None` for a single head."""
        gates = tf.unstack(inputs.write_gates, axis=1)
        weights = tf.unstack(step.weights, axis=1)
        usages = [step.usage]
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
            free_list = step.free_list[:, i] if _is_sorted(self._num_slots) else None
            d_own = _head_gradient(usages[i], weights[i], step.used_before[:, i], free_list, d_head)
            d_usage = d_own if d_usage is None else d_usage + d_own
        return d_usage, tf.stack(d_gates[::-1], axis=1) if len(gates) > 1 else None

    def _usage_gradient(
        self,
        inputs: FreenessInputs,
        prev_usage: tf.Tensor,
        d_usage: tf.Tensor,
        d_gates: tf.Tensor | None,
    ) -> AllocationGradient:
        """Gradients through the usage after the previous step's write and reads."""
        after_write = allocation.usage_after_write(prev_usage, inputs.write_weights)
        free_gate = inputs.fields["free_gate"][:, :, tf.newaxis]
        kept = tf.unstack(1.0 - free_gate * inputs.read_weights, axis=1)
        other_kept, all_kept = products_of_others(kept)
        d_product = d_usage * after_write
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
        return AllocationGradient(
            write_weights=d_write_weights,
            read_weights=-d_kept * free_gate,
            write_gates=d_gates,
            fields={"free_gate": -tf.reduce_sum(d_kept * inputs.read_weights, axis=2)},
            usage=d_after_write * all_untouched,
        )


class RecomputedFreeness:
    """Any other core that keeps the usage and allocates."""

    recomputes = True
    num_residuals = 0

    def __init__(self, freeness: Any, num_writes: int):
        del num_writes
        compute = _cores.unchecked(freeness)

        def step(inputs: FreenessInputs, usage: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            allocated, usage = compute(inputs, usage)
            return allocated.weights, usage

        self._recomputed = Recomputed(step)

    @property
    def variables(self) -> Sequence[tf.Variable]:
        """Trainable variables that the core reads."""
        return self._recomputed.variables

    def free_list_spec(self, batch_size: int | None) -> Any:
        """Returns (): there is no free list."""
        del batch_size
        return ()

    def step(self, inputs: FreenessInputs, usage: tf.Tensor) -> AllocationStep:
        """Updates the usage and allocates."""
        return AllocationStep(*self._recomputed(inputs, usage))

    def gradient(
        self,
        inputs: FreenessInputs,
        prev_usage: tf.Tensor,
        step: AllocationStep,
        d_weights: tf.Tensor,
        d_usage: tf.Tensor,
    ) -> AllocationGradient:
        """Returns the gradients w.r.t. the arguments of `step`."""
        del step
        (d_inputs, d_prev_usage), d_variables = self._recomputed.gradient(
            (inputs, prev_usage), (d_weights, d_usage)
        )
        return AllocationGradient(
            write_weights=d_inputs.write_weights,
            read_weights=d_inputs.read_weights,
            write_gates=d_inputs.write_gates,
            fields=d_inputs.fields,
            usage=d_prev_usage,
            variables=d_variables,
        )


def _unused(usage: tf.Tensor) -> tf.Tensor:
    """1 - u, with u raised to at least `EPSILON`."""
    return 1.0 - (EPSILON + (1.0 - EPSILON) * usage)


def _used_before_by_sorting(unused: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """`allocation.used_before_by_sorting`, and the free list [B, N]."""
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
    """The usage that the next write head sees, u + (1 - u) g a."""
    return usage + (1.0 - usage) * gate[:, tf.newaxis] * weights


def _head_gradient(
    usage: tf.Tensor,
    weights: tf.Tensor,
    used_before: tf.Tensor,
    free_list: tf.Tensor | None,
    d_weights: tf.Tensor,
) -> tf.Tensor:
    """Gradient w.r.t. the usage that one head sees, all [B, N].

    a[i] = (1 - u[i]) P[i], and a[k] has u[i] as a factor for each slot k after i:
    du[i] = -P[i] da[i] + sum over these k of a[k] da[k] / u[i].
    """
    unused = _unused(usage)
    mass = weights * d_weights
    if free_list is None:
        # A product: in a sum of choices XLA would compute the mass again for every two slots.
        comes_after = tf.cast(_comes_after(unused), mass.dtype)
        later = tf.squeeze(times(mass[:, tf.newaxis], comes_after), axis=1)
    else:
        in_order = tf.gather(mass, free_list, batch_dims=1)
        later = tf.math.cumsum(in_order, axis=1, exclusive=True, reverse=True)
        later = _to_slots(later, free_list)
    return (1.0 - EPSILON) * (later / (1.0 - unused) - used_before * d_weights)
