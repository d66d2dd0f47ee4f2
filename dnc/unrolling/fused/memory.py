"""One step of the memory, forwards and backwards. docs/performance.md derives the gradients."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from dnc import _cores, heads
from dnc.access import MemoryAccess
from dnc.allocation import FreenessInputs, product, usage_after_write
from dnc.linkage import LinkageInputs
from dnc.parts import AccessState
from dnc.unrolling.derivatives import gradients
from dnc.unrolling.fused.allocation import freeness_step
from dnc.unrolling.fused.content import Memory, add_to_memory, look_up_step, slot_norms
from dnc.unrolling.fused.heads import (
    gates_gradient,
    kept_shares,
    modes_of,
    sum_by_name,
    write_gradient,
    write_weights_gradient,
)
from dnc.unrolling.fused.linkage import linkage_step
from dnc.unrolling.fused.products import inner, outer, times, times_transposed
from dnc.unrolling.fused.registry import Part, StoredState, fused_part, fuses

Fields = Mapping[str, tf.Tensor]


class MemoryState(NamedTuple):
    """`AccessState` as it is used here. In a gradient, `norms` is ()."""

    words: Any  # [B, W, N], the memory, transposed
    norms: Any  # [B, 1, N], `slot_norms(words)`
    read_weights: Any  # [B, R, N]
    write_weights: Any  # [B, V, N]
    linkage: Any
    usage: Any  # [B, N]


class Residuals(NamedTuple):
    """Quantities of a step that the backward pass needs, besides the states before and after it."""

    rows: Any  # [B, K, N], weightings, and residuals of the parts for each slot
    others: Any  # residuals of the interface and the allocation


class _Step(NamedTuple):
    """A step whose gradient is taken."""

    fields: Fields
    state: MemoryState  # before the step
    next_state: MemoryState
    rows: dict[str, tf.Tensor]
    memory: Memory  # that was searched and written


def access_step(access: MemoryAccess) -> Callable[..., tuple[tf.Tensor, AccessState]]:
    """Returns one step of any `MemoryAccess`, for `Recomputed`."""

    def step(hidden: tf.Tensor, state: AccessState) -> tuple[tf.Tensor, AccessState]:
        results = access.compute(hidden, state)
        return results.read_words, results.state

    return step


@fuses(MemoryAccess)
class FusedMemory(Part):
    """`MemoryAccess`: maps an interface vector and the state to the words read and the next state.

    Where the interface is recomputed, it takes the controller output instead of the vector.
    """

    def __init__(self, access: MemoryAccess):
        self._access = access
        self._interface = fused_part(access.interface, _cores.unchecked(access.interface))
        self._freeness = fused_part(
            access.freeness, freeness_step(access.freeness, access.deallocate), access.num_writes
        )
        self._linkage = fused_part(access.linkage, linkage_step(access.linkage), access.num_reads)
        self._write_content = fused_part(access.write_content, look_up_step(access.write_content))
        self._read_content = fused_part(access.read_content, look_up_step(access.read_content))
        self._has_links = "read_mode" in access.own_field_names("linkage")
        self._parts: tuple[Part, ...] = (
            self._read_content,
            self._linkage,
            self._write_content,
            self._freeness,
            self._interface,
        )
        self.recomputes = any(part.recomputes for part in self._parts)

    @property
    def variables(self) -> Sequence[tf.Variable]:  # type: ignore[override]
        """Trainable variables that the parts read."""
        return [variable for part in self._parts for variable in part.variables]

    def weights(self) -> list[tf.Tensor]:
        """Returns the weights of the interface."""
        return self._interface.weights()

    def weight_gradients(self, inputs: Any, d_products: tf.Tensor) -> list[tf.Tensor]:
        """Returns the gradients w.r.t. `weights()`."""
        return self._interface.weight_gradients(inputs, d_products)

    # --- States.

    def pack(self, state: AccessState) -> MemoryState:
        """Returns the memory transposed, with the norms of its slots."""
        words = tf.transpose(state.memory, [0, 2, 1])
        return MemoryState(
            words=words,
            norms=slot_norms(words),
            read_weights=state.read_weights,
            write_weights=state.write_weights,
            linkage=self._linkage.pack(state.linkage),
            usage=state.usage,
        )

    def unpack(self, state: MemoryState) -> AccessState:
        """Inverts `pack` and `pack_gradient`."""
        return AccessState(
            memory=tf.transpose(state.words, [0, 2, 1]),
            read_weights=state.read_weights,
            write_weights=state.write_weights,
            linkage=self._linkage.unpack(state.linkage),
            usage=state.usage,
        )

    def pack_gradient(self, d_state: AccessState) -> MemoryState:
        """Packs gradients as `pack` does, without norms."""
        return self.pack(d_state)._replace(norms=())

    def store(self, state: MemoryState) -> StoredState:
        """Packs a state to be kept for the backward pass."""
        usage = state.usage[:, tf.newaxis]
        joined = tf.concat([state.norms, state.read_weights, state.write_weights, usage], axis=1)
        if self._linkage.grows_linearly:
            return StoredState((joined, state.linkage), state.words)
        return StoredState(joined, (state.words, state.linkage))

    def restore(self, stored: StoredState) -> MemoryState:
        """Inverts `store`."""
        if self._linkage.grows_linearly:
            (joined, linkage), words = stored
        else:
            joined, (words, linkage) = stored
        sizes = [1, self._access.num_reads, self._access.num_writes, 1]
        norms, read_weights, write_weights, usage = tf.split(joined, sizes, axis=1)
        return MemoryState(words, norms, read_weights, write_weights, linkage, usage[:, 0])

    # --- Residuals.

    def residuals_spec(self, batch_size: int | None, dtype: tf.DType) -> Residuals:
        """Returns the specs of the residuals of a step."""
        num_rows = sum(self._row_sizes().values())
        parts = (self._interface, self._freeness)
        return Residuals(
            tf.TensorSpec([batch_size, num_rows, self._access.memory_size], dtype),
            tuple(part.residuals_spec(batch_size, dtype) for part in parts),
        )

    def _row_sizes(self) -> dict[str, int]:
        num_reads, num_writes = self._access.num_reads, self._access.num_writes
        sizes = {
            "allocation": num_writes,
            "used_before": self._freeness.num_residuals,
            "retention": 1 if self._access.deallocate else 0,
            "write_residuals": self._write_content.num_residuals,
            "write_content": num_writes,
            "read_residuals": self._read_content.num_residuals,
            "read_content": num_reads,
            "link_residuals": self._linkage.num_residuals,
            "directions": 2 * num_writes * num_reads if self._has_links else 0,
        }
        return {name: size for name, size in sizes.items() if size}

    def _cut_rows(self, joined: tf.Tensor) -> dict[str, tf.Tensor]:
        sizes = self._row_sizes()
        # In one split, because splitting a part again would cost XLA another pass.
        num_directions = 2 * self._access.num_writes if self._has_links else 0
        num_rows = [size for name, size in sizes.items() if name != "directions"]
        num_rows += [self._access.num_reads] * num_directions
        parts = tf.split(joined, num_rows, axis=1)
        rows = dict(zip(sizes, parts, strict=False))
        if self._has_links:
            rows["directions"] = tf.stack(parts[-num_directions:], axis=2)
        return rows

    # --- Forwards.

    def step(self, arguments: Any, weights: Any = ()) -> tuple[Any, Residuals]:
        """Writes and reads."""
        del weights
        vector, state = arguments
        fields, of_interface = self._interface.step((vector,))
        (allocation, usage, retention), of_freeness = self._freeness.step(
            (self._freeness_inputs(fields, state), state.usage)
        )
        used_before, free_list = of_freeness or (None, ())
        memory = self._memory_to_write(state, retention)
        write_content, write_residuals = self._write_content.step(
            (memory, self._own("write_content", fields), usage)
        )
        write_weights = heads.write_weights(
            fields["write_gate"], fields["allocation_gate"], allocation, write_content
        )
        words = memory.words * product(kept_shares(fields, write_weights)) + outer(
            fields["write_vectors"], write_weights
        )
        memory = Memory(words, slot_norms(words))

        (directions, linkage), link_residuals = self._linkage.step(
            (self._linkage_inputs(fields, write_weights, state), state.linkage)
        )
        used = usage_after_write(usage, write_weights)
        read_content, read_residuals = self._read_content.step(
            (memory, self._own("read_content", fields), used)
        )
        read_weights, by_direction = read_content, []
        if self._has_links:
            modes, content_mode = modes_of(fields)
            read_weights = tf.reduce_sum(modes * directions, axis=2) + content_mode * read_content
            by_direction = tf.unstack(directions, axis=2)

        retained = retention[:, tf.newaxis] if self._access.deallocate else None
        rows = [allocation, used_before, retained, write_residuals, write_content]
        rows += [read_residuals, read_content, link_residuals, *by_direction]
        rows = [x for x in rows if tf.is_tensor(x)]
        next_state = MemoryState(*memory, read_weights, write_weights, linkage, usage)
        results = (times_transposed(read_weights, words), next_state)
        return results, Residuals(tf.concat(rows, axis=1), (of_interface, free_list))

    def _memory_to_write(self, state: MemoryState, retention: Any) -> Memory:
        """Returns the memory that is searched and written, after any erasure of freed slots."""
        if not self._access.deallocate:
            return Memory(state.words, state.norms)
        words = state.words * retention[:, tf.newaxis]
        return Memory(words, slot_norms(words))

    def _own(self, part: str, fields: Fields) -> Fields:
        return self._access.own_fields(part, fields)

    def _freeness_inputs(self, fields: Fields, state: MemoryState) -> FreenessInputs:
        gates = fields["allocation_gate"] * fields["write_gate"]
        own = self._own("freeness", fields)
        return FreenessInputs(state.write_weights, state.read_weights, gates, own)

    def _linkage_inputs(
        self, fields: Fields, write_weights: tf.Tensor, state: MemoryState
    ) -> LinkageInputs:
        return LinkageInputs(write_weights, state.read_weights, self._own("linkage", fields))

    # --- Backwards.

    def gradient(
        self, arguments: Any, results: Any, residuals: Residuals, d_results: Any, products: Any = ()
    ) -> tuple[tuple[tf.Tensor, MemoryState], list[tf.Tensor]]:
        """Returns the gradients; the words among the results are not needed."""
        (vector, state), (_, next_state), (d_read_words, d_next) = arguments, results, d_results
        of_interface, free_list = residuals.others
        fields = self._interface.results_again((vector,), of_interface)
        rows = self._cut_rows(residuals.rows)
        retention = tf.squeeze(rows["retention"], axis=1) if self._access.deallocate else ()
        memory = self._memory_to_write(state, retention)
        step = _Step(fields, state, next_state, rows, memory)

        d_words, d_read_content, d_directions, d_mode = self._read_gradient(
            step, d_read_words, d_next
        )
        d_words, d_write_weights, d_usage, d_read_fields, by_read = self._read_content_gradient(
            step, d_words, d_read_content, d_next
        )
        (d_links, d_linkage), by_linkage = self._linkage.gradient(
            (self._linkage_inputs(fields, next_state.write_weights, state), state.linkage),
            (rows.get("directions"), next_state.linkage),
            rows.get("link_residuals"),
            (d_directions, d_next.linkage),
        )
        d_write_weights += d_links.write_weights
        d_words, d_allocation, d_used, d_write_fields, by_write = self._write_gradient(
            step, d_words, d_write_weights
        )
        d_retention: Any = ()
        if self._access.deallocate:
            d_retention = tf.reduce_sum(d_words * state.words, axis=1)
            d_words *= rows["retention"]
        (d_freeness, d_prev_usage), by_freeness = self._freeness.gradient(
            (self._freeness_inputs(fields, state), state.usage),
            (rows["allocation"], next_state.usage, retention),
            (rows.get("used_before"), free_list),
            (d_allocation, d_usage if d_used is None else d_usage + d_used, d_retention),
        )
        d_fields = sum_by_name(
            d_mode,
            self._named("read_content", d_read_fields),
            d_write_fields,
            gates_gradient(fields, d_freeness.write_gates),
            self._named("freeness", d_freeness.fields),
            self._named("linkage", d_links.fields),
        )
        missing = {name: tf.zeros_like(x) for name, x in fields.items() if name not in d_fields}
        (d_vector,), by_interface = self._interface.gradient(
            (vector,), fields, of_interface, {**d_fields, **missing}
        )
        d_state = MemoryState(
            words=d_words,
            norms=(),
            read_weights=d_links.read_weights + d_freeness.read_weights,
            write_weights=d_freeness.write_weights,
            linkage=d_linkage,
            usage=d_prev_usage,
        )
        return (d_vector, d_state), [
            *by_read,
            *by_linkage,
            *by_write,
            *by_freeness,
            *by_interface,
        ]

    def _write_gradient(
        self, step: _Step, d_words: tf.Tensor, d_write_weights: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor | None, Fields, list[tf.Tensor]]:
        """Returns gradients w.r.t. old memory, allocation, usage, fields and look-up variables."""
        fields, memory = step.fields, step.memory
        d_kept, d_vectors, d_writes = write_gradient(
            fields, memory.words, step.next_state.write_weights, d_words
        )
        d_allocation, d_content, d_gates = write_weights_gradient(
            fields, step.rows["allocation"], step.rows["write_content"], d_write_weights + d_writes
        )
        (d_memory, d_own, d_used), by_variable = self._write_content.gradient(
            (memory, self._own("write_content", fields), step.next_state.usage),
            step.rows["write_content"],
            step.rows.get("write_residuals"),
            d_content,
        )
        d_fields = sum_by_name({**d_vectors, **d_gates}, self._named("write_content", d_own))
        d_words = add_to_memory(d_kept, memory.words, d_memory)
        return d_words, d_allocation, d_used, d_fields, by_variable

    def _read_gradient(
        self, step: _Step, d_read_words: tf.Tensor, d_next: MemoryState
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, Fields]:
        """Returns gradients w.r.t. memory, content weights, directions and modes."""
        d_words = (d_next.words, d_read_words, step.next_state.read_weights)
        d_read_weights = d_next.read_weights + times(d_read_words, step.next_state.words)
        if not self._has_links:
            zeros = tf.zeros_like(d_read_weights)
            no_directions = tf.stack([zeros] * (2 * self._access.num_writes), axis=2)
            return d_words, d_read_weights, no_directions, {}
        modes, content_mode = modes_of(step.fields)
        d_by_mode = d_read_weights[:, :, tf.newaxis]
        d_modes = tf.reduce_sum(step.rows["directions"] * d_by_mode, axis=3)
        d_content_mode = inner(step.rows["read_content"], d_read_weights)
        d_mode = {"read_mode": tf.concat([d_modes, d_content_mode], axis=2)}
        return d_words, content_mode * d_read_weights, modes * d_by_mode, d_mode

    def _read_content_gradient(
        self,
        step: _Step,
        d_words: tuple[tf.Tensor, tf.Tensor, tf.Tensor],
        d_content: tf.Tensor,
        d_next: MemoryState,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, Fields, list[tf.Tensor]]:
        """Returns gradients w.r.t. memory, write weights, usage, look-up fields and variables."""
        next_state = step.next_state
        usage_arguments = [next_state.usage, next_state.write_weights]
        (d_memory, d_fields, d_used), by_variable = self._read_content.gradient(
            (
                Memory(next_state.words, next_state.norms),
                self._own("read_content", step.fields),
                usage_after_write(*usage_arguments),
            ),
            step.rows["read_content"],
            step.rows.get("read_residuals"),
            d_content,
        )
        d_usage, d_write_weights = d_next.usage, d_next.write_weights
        if d_used is not None:
            d_arguments = gradients(usage_after_write, usage_arguments, d_used)
            d_usage, d_write_weights = d_usage + d_arguments[0], d_write_weights + d_arguments[1]
        d_next_words, *pair = d_words
        d_all_words = add_to_memory(d_next_words, next_state.words, d_memory, pair)
        return d_all_words, d_write_weights, d_usage, d_fields, by_variable

    def _named(self, part: str, fields: Fields) -> Fields:
        """Returns the fields of a part by their names in the interface."""
        names = self._access.own_field_names(part)
        return {name: fields[own] for own, name in names.items() if own in fields}
