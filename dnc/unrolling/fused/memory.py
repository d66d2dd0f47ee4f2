"""One step of the memory, forwards and backwards. docs/performance.md derives the gradients."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from dnc import heads
from dnc.access import AccessState, MemoryAccess
from dnc.allocation import FreenessInputs, product, usage_after_write
from dnc.linkage import LinkageInputs
from dnc.unrolling.derivatives import gradients
from dnc.unrolling.fused.allocation import AllocationStep, RecomputedFreeness
from dnc.unrolling.fused.content import LookUpGradient, Memory, RecomputedLookUp, slot_norms
from dnc.unrolling.fused.interface import RecomputedInterface
from dnc.unrolling.fused.linkage import RecomputedLinkage
from dnc.unrolling.fused.products import (
    inner,
    outer,
    products_of_others,
    times,
    times_transposed,
)
from dnc.unrolling.fused.registry import Recomputed, fused, fuses

Fields = Mapping[str, tf.Tensor]
Product = Callable[[tf.Tensor], tf.Tensor]


class MemoryState(NamedTuple):
    """`AccessState` as it is used here. In a gradient, `norms` is ()."""

    words: Any  # [B, W, N], the memory, transposed
    norms: Any  # [B, 1, N], `slot_norms(words)`
    read_weights: Any  # [B, R, N]
    write_weights: Any  # [B, V, N]
    linkage: Any
    usage: Any  # [B, N]


class StoredState(NamedTuple):
    """A state that is kept for the backward pass, as few tensors: each is copied at every step."""

    # What every two slots, or two links of a slot, are computed from. The backward loop fetches it
    # one step ahead, so that it is an array of its own: otherwise XLA would look it up among the
    # arrays of all steps for every two slots.
    prefetched: Any
    rest: Any


class Residuals(NamedTuple):
    """What the backward pass needs of a step, besides the states before and after it."""

    interface: Any
    rows: Any  # [B, K, N], weightings and what the parts keep
    free_list: Any


class _Weightings(NamedTuple):
    """`Residuals.rows`, taken apart. `None`: the part keeps nothing."""

    allocation: Any  # [B, V, N]
    used_before: Any  # [B, V, N]
    write_residuals: Any
    write_content: Any  # [B, V, N]
    read_residuals: Any
    read_content: Any  # [B, R, N]
    directions: Any  # [B, R, 2 V, N], backward before forward


class MemoryGradient(NamedTuple):
    """Gradients w.r.t. the arguments of one step of the memory."""

    hidden: tf.Tensor  # [B, H]
    state: Any
    vector: Any  # [B, I], w.r.t. the interface vector before its activations
    variables: Sequence[tf.Tensor]


class _Step(NamedTuple):
    """A step of which the gradient is taken."""

    fields: Fields
    state: MemoryState  # before the step
    next_state: MemoryState
    weightings: _Weightings


class _ReadGradient(NamedTuple):
    words: tf.Tensor  # [B, W, N], w.r.t. the memory just written
    write_weights: tf.Tensor
    usage: tf.Tensor
    directions: tf.Tensor  # [B, R, 2 V, N]
    fields: Fields
    content: Fields  # w.r.t. the look-up's fields, by its own names
    variables: Sequence[tf.Tensor]


@fuses(MemoryAccess)
class FusedMemory:
    """`MemoryAccess`, made of fused or recomputed parts."""

    def __init__(self, access: MemoryAccess):
        self._access = access
        self._interface = fused(access.interface, RecomputedInterface)
        self._freeness = fused(access.freeness, RecomputedFreeness, access.num_writes)
        self._linkage = fused(access.linkage, RecomputedLinkage)
        self._write_content = fused(access.write_content, RecomputedLookUp)
        self._read_content = fused(access.read_content, RecomputedLookUp)
        self._has_links = "read_mode" in access.own_field_names("linkage")

        self._parts = (
            self._interface,
            self._freeness,
            self._write_content,
            self._linkage,
            self._read_content,
        )

    @property
    def variables(self) -> list[tf.Variable]:
        """Trainable variables that `step` reads, except `weights`."""
        return [variable for part in self._parts for variable in part.variables]

    @property
    def recomputes(self) -> bool:
        """Whether parts run again in the backward pass."""
        return any(part.recomputes for part in self._parts)

    # --- States.

    def pack(self, state: AccessState) -> MemoryState:
        """Returns the state as it is used here."""
        words = tf.transpose(state.memory, [0, 2, 1])
        return MemoryState(
            words=words,
            norms=slot_norms(words),
            read_weights=state.read_weights,
            write_weights=state.write_weights,
            linkage=self._linkage.pack(state.linkage),
            usage=state.usage,
        )

    def pack_gradient(self, d_state: AccessState) -> MemoryState:
        """`pack` for gradients."""
        return self.pack(d_state)._replace(norms=())

    def unpack(self, state: MemoryState) -> AccessState:
        """The inverse of `pack` and `pack_gradient`."""
        return AccessState(
            memory=tf.transpose(state.words, [0, 2, 1]),
            read_weights=state.read_weights,
            write_weights=state.write_weights,
            linkage=self._linkage.unpack(state.linkage),
            usage=state.usage,
        )

    def store_state(self, state: MemoryState) -> StoredState:
        """Packs a state to be kept for the backward pass."""
        rows = [state.norms, state.read_weights, state.write_weights, state.usage[:, tf.newaxis]]
        joined = tf.concat(rows, axis=1)
        if self._linkage.grows_linearly:
            return StoredState((joined, state.linkage), state.words)
        return StoredState(joined, (state.words, state.linkage))

    def restore_state(self, stored: StoredState) -> MemoryState:
        """The inverse of `store_state`."""
        if self._linkage.grows_linearly:
            (joined, linkage), words = stored
        else:
            joined, (words, linkage) = stored
        sizes = [1, self._access.num_reads, self._access.num_writes, 1]
        norms, read_weights, write_weights, usage = tf.split(joined, sizes, axis=1)
        usage = tf.squeeze(usage, axis=1)
        return MemoryState(words, norms, read_weights, write_weights, linkage, usage)

    # --- Residuals.

    def residuals_spec(self, batch_size: int | None, dtype: tf.DType) -> Residuals:
        """Returns the specs of the residuals of a step."""
        num_rows = sum(size for _, size in self._row_sizes())
        return Residuals(
            self._interface.residuals_spec(batch_size, dtype),
            tf.TensorSpec([batch_size, num_rows, self._access.memory_size], dtype),
            self._freeness.free_list_spec(batch_size),
        )

    def vector_spec(self, batch_size: int | None, dtype: tf.DType) -> Any:
        """Returns the spec of `MemoryGradient.vector`."""
        return self._interface.residuals_spec(batch_size, dtype)

    def _row_sizes(self) -> list[tuple[str, int]]:
        num_reads, num_writes = self._access.num_reads, self._access.num_writes
        return [
            ("allocation", num_writes),
            ("used_before", self._freeness.num_residuals),
            ("write_residuals", self._write_content.num_residuals),
            ("write_content", num_writes),
            ("read_residuals", self._read_content.num_residuals),
            ("read_content", num_reads),
            ("directions", 2 * num_writes * num_reads if self._has_links else 0),
        ]

    def _join_rows(self, weightings: _Weightings) -> tf.Tensor:
        rows = [rows for rows in weightings[:-1] if rows is not None]
        if self._has_links:
            rows += tf.unstack(weightings.directions, axis=2)
        return tf.concat(rows, axis=1)

    def _cut_rows(self, joined: tf.Tensor) -> _Weightings:
        names, sizes = zip(*((name, size) for name, size in self._row_sizes() if size), strict=True)
        rows = dict(zip(names, tf.split(joined, sizes, axis=1), strict=True))
        if self._has_links:
            by_direction = tf.split(rows["directions"], 2 * self._access.num_writes, axis=1)
            rows["directions"] = tf.stack(by_direction, axis=2)
        return _Weightings(*(rows.get(name) for name in _Weightings._fields))

    # --- Forwards.

    def weights(self) -> Any:
        """Returns the weights that `step` takes."""
        return self._interface.weights()

    def step(
        self, hidden: tf.Tensor, state: MemoryState, weights: Any
    ) -> tuple[tf.Tensor, MemoryState, Residuals]:
        """Writes and reads.

        Args:
          hidden: [B, H], controller output.
          state: before the step.
          weights: `weights()`.

        Returns:
          The words read [B, R, W], the next state, and what `gradient` needs.
        """
        fields, interface = self._interface.step(hidden, weights)
        allocated = self._freeness.step(self._freeness_inputs(fields, state), state.usage)
        write_content, write_residuals = self._write_content.step(
            Memory(state.words, state.norms), self._own("write_content", fields), allocated.usage
        )
        write_weights = heads.write_weights(
            fields["write_gate"], fields["allocation_gate"], allocated.weights, write_content
        )
        words = state.words * product(_kept_shares(fields, write_weights)) + outer(
            fields["write_vectors"], write_weights
        )
        memory = Memory(words, slot_norms(words))

        directions, linkage = self._linkage.step(
            self._linkage_inputs(fields, write_weights, state), state.linkage
        )
        read_content, read_residuals = self._read_content.step(
            memory,
            self._own("read_content", fields),
            usage_after_write(allocated.usage, write_weights),
        )
        read_weights = read_content
        if self._has_links:
            modes, content_mode = _modes(fields)
            read_weights = tf.reduce_sum(modes * directions, axis=2) + content_mode * read_content

        rows = _Weightings(
            allocated.weights,
            allocated.used_before,
            write_residuals,
            write_content,
            read_residuals,
            read_content,
            directions,
        )
        next_state = MemoryState(*memory, read_weights, write_weights, linkage, allocated.usage)
        residuals = Residuals(interface, self._join_rows(rows), allocated.free_list)
        return times_transposed(read_weights, words), next_state, residuals

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
        self,
        hidden: tf.Tensor,
        state: MemoryState,
        next_state: MemoryState,
        residuals: Residuals,
        products: list[Product],
        d_read_words: tf.Tensor,
        d_next_state: MemoryState,
    ) -> MemoryGradient:
        """Returns the gradients w.r.t. the arguments of `step`.

        Args:
          hidden: as for `step`.
          state: before the step.
          next_state: after it.
          residuals: as `step` returned them.
          products: for each of the weights, the function that multiplies with it transposed.
          d_read_words: [B, R, W], gradient w.r.t. the words read.
          d_next_state: gradient w.r.t. the next state.
        """
        fields = self._interface.fields(hidden, residuals.interface)
        step = _Step(fields, state, next_state, self._cut_rows(residuals.rows))
        read = self._read_gradient(step, d_read_words, d_next_state)
        links = self._linkage.gradient(
            self._linkage_inputs(fields, next_state.write_weights, state),
            state.linkage,
            next_state.linkage,
            read.directions,
            d_next_state.linkage,
        )
        d_write_weights = read.write_weights + links.write_weights
        d_kept, d_vectors, d_write_weights = _memory_gradient(step, read.words, d_write_weights)
        d_content, d_allocation, d_gates = _write_weights_gradient(step, d_write_weights)
        write = self._write_content.gradient(
            Memory(state.words, state.norms),
            self._own("write_content", fields),
            next_state.usage,
            step.weightings.write_content,
            step.weightings.write_residuals,
            d_content,
        )
        d_usage = read.usage if write.usage is None else read.usage + write.usage
        allocated = self._freeness.gradient(
            self._freeness_inputs(fields, state),
            state.usage,
            AllocationStep(
                step.weightings.allocation,
                next_state.usage,
                step.weightings.used_before,
                residuals.free_list,
            ),
            d_allocation,
            d_usage,
        )
        if allocated.write_gates is not None:
            d_gates["allocation_gate"] += allocated.write_gates * fields["write_gate"]
            d_gates["write_gate"] += allocated.write_gates * fields["allocation_gate"]

        d_fields = _sum_by_name(
            d_vectors,
            d_gates,
            read.fields,
            self._named("read_content", read.content),
            self._named("write_content", write.fields),
            self._named("freeness", allocated.fields),
            self._named("linkage", links.fields),
        )
        d_hidden, d_vector, d_variables = self._interface.gradient(
            hidden, residuals.interface, d_fields, products
        )
        d_state = MemoryState(
            words=_add_look_up(d_kept, state.words, [], write),
            norms=(),
            read_weights=links.read_weights + allocated.read_weights,
            write_weights=allocated.write_weights,
            linkage=links.state,
            usage=allocated.usage,
        )
        by_variable = [
            *d_variables,
            *allocated.variables,
            *write.variables,
            *links.variables,
            *read.variables,
        ]
        return MemoryGradient(d_hidden, d_state, d_vector, by_variable)

    def _read_gradient(
        self, step: _Step, d_read_words: tf.Tensor, d_next_state: MemoryState
    ) -> _ReadGradient:
        """Gradients through the words read, and the weights that they were read with."""
        fields, next_state, weightings = step.fields, step.next_state, step.weightings
        d_read_weights = d_next_state.read_weights + times(d_read_words, next_state.words)
        if self._has_links:
            modes, content_mode = _modes(fields)
            d_by_mode = d_read_weights[:, :, tf.newaxis]
            d_directions, d_content = modes * d_by_mode, content_mode * d_read_weights
            d_modes = tf.reduce_sum(weightings.directions * d_by_mode, axis=3)
            d_content_mode = inner(weightings.read_content, d_read_weights)
            d_fields = {"read_mode": tf.concat([d_modes, d_content_mode], axis=2)}
        else:
            d_content, d_fields = d_read_weights, {}
            zeros = tf.zeros_like(d_read_weights)
            d_directions = tf.stack([zeros] * (2 * self._access.num_writes), axis=2)

        usage_arguments = [next_state.usage, next_state.write_weights]
        found = self._read_content.gradient(
            Memory(next_state.words, next_state.norms),
            self._own("read_content", fields),
            usage_after_write(*usage_arguments),
            weightings.read_content,
            weightings.read_residuals,
            d_content,
        )
        d_usage, d_write_weights = d_next_state.usage, d_next_state.write_weights
        if found.usage is not None:
            d_arguments = gradients(usage_after_write, usage_arguments, found.usage)
            d_usage, d_write_weights = d_usage + d_arguments[0], d_write_weights + d_arguments[1]
        d_words = _add_look_up(
            d_next_state.words, next_state.words, [(d_read_words, next_state.read_weights)], found
        )
        return _ReadGradient(
            d_words,
            d_write_weights,
            d_usage,
            d_directions,
            d_fields,
            found.fields,
            found.variables,
        )

    def _named(self, part: str, fields: Fields) -> Fields:
        """Fields of a part by their names in the interface."""
        names = self._access.own_field_names(part)
        return {name: fields[own] for own, name in names.items() if own in fields}

    def weight_gradients(self, hidden: tf.Tensor, d_vectors: Any, weights: Any) -> Any:
        """Returns the gradients w.r.t. `weights()`, from all steps, [T B, ...]."""
        return self._interface.weight_gradients(hidden, d_vectors, weights)


class RecomputedMemory:
    """A subclass of `MemoryAccess`, or one with a replaced method."""

    recomputes = True

    def __init__(self, access: MemoryAccess):
        def step(hidden: tf.Tensor, state: AccessState) -> tuple[tf.Tensor, AccessState]:
            results = access.compute(hidden, state)
            return results.read_words, results.state

        self._recomputed = Recomputed(step)

    @property
    def variables(self) -> Sequence[tf.Variable]:
        """Trainable variables that the access reads."""
        return self._recomputed.variables

    def pack(self, state: AccessState) -> AccessState:
        """Returns the state as it is."""
        return state

    pack_gradient = unpack = pack

    def store_state(self, state: AccessState) -> StoredState:
        """Packs a state to be kept for the backward pass."""
        return StoredState((), state)

    def restore_state(self, stored: StoredState) -> AccessState:
        """The inverse of `store_state`."""
        return stored.rest

    def residuals_spec(self, batch_size: int | None, dtype: tf.DType) -> tuple[()]:
        """Returns (): nothing is kept of a step."""
        del batch_size, dtype
        return ()

    vector_spec = residuals_spec

    def weights(self) -> tuple[()]:
        """Returns (): the variables are read where they are used."""
        return ()

    def step(
        self, hidden: tf.Tensor, state: AccessState, weights: tuple[()]
    ) -> tuple[tf.Tensor, AccessState, tuple[()]]:
        """Returns the words read [B, R, W], the next state, and () for what `gradient` needs."""
        del weights
        return (*self._recomputed(hidden, state), ())

    def gradient(
        self,
        hidden: tf.Tensor,
        state: AccessState,
        next_state: AccessState,
        residuals: tuple[()],
        products: list[Product],
        d_read_words: tf.Tensor,
        d_next_state: AccessState,
    ) -> MemoryGradient:
        """Returns the gradients w.r.t. the arguments of `step`."""
        del next_state, residuals, products
        (d_hidden, d_state), d_variables = self._recomputed.gradient(
            (hidden, state), (d_read_words, d_next_state)
        )
        return MemoryGradient(d_hidden, d_state, (), d_variables)

    def weight_gradients(
        self, hidden: tf.Tensor, d_vectors: tuple[()], weights: tuple[()]
    ) -> tuple[()]:
        """Returns (): all gradients are those w.r.t. `variables`."""
        del hidden, d_vectors, weights
        return ()


def _memory_gradient(
    step: _Step, d_words: tf.Tensor, d_write_weights: tf.Tensor
) -> tuple[tf.Tensor, dict[str, tf.Tensor], tf.Tensor]:
    """Gradients through erasing and writing: w.r.t. memory, vectors and write weights."""
    fields, write_weights = step.fields, step.next_state.write_weights
    others, all_kept = products_of_others(_kept_shares(fields, write_weights))
    d_all_kept = d_words * step.state.words
    d_erased, d_erase_vectors = [], []
    for i, other in enumerate(others):
        d_kept = d_all_kept if other is None else d_all_kept * other
        d_erased.append(times(fields["erase_vectors"][:, i : i + 1], d_kept))
        d_erase_vectors.append(-times_transposed(write_weights[:, i : i + 1], d_kept))
    d_write_weights += times(fields["write_vectors"], d_words) - tf.concat(d_erased, axis=1)
    d_vectors = {
        "erase_vectors": tf.concat(d_erase_vectors, axis=1),
        "write_vectors": times_transposed(write_weights, d_words),
    }
    return d_words * all_kept, d_vectors, d_write_weights


def _write_weights_gradient(
    step: _Step, d_write_weights: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]:
    """Gradients w.r.t. write content weights, allocation weights and gates."""
    write_gate = step.fields["write_gate"][:, :, tf.newaxis]
    allocation_gate = step.fields["allocation_gate"][:, :, tf.newaxis]
    allocation, content = step.weightings.allocation, step.weightings.write_content
    mixed = allocation_gate * allocation + (1.0 - allocation_gate) * content
    d_mixed = write_gate * d_write_weights
    d_gates = {
        "write_gate": tf.reduce_sum(d_write_weights * mixed, axis=2),
        "allocation_gate": tf.reduce_sum(d_mixed * (allocation - content), axis=2),
    }
    return (1.0 - allocation_gate) * d_mixed, allocation_gate * d_mixed, d_gates


def _add_look_up(
    d_words: tf.Tensor,
    words: tf.Tensor,
    pairs: list[tuple[tf.Tensor, tf.Tensor]],
    found: LookUpGradient,
) -> tf.Tensor:
    """Adds outer products and the gradient of a look-up to the gradient w.r.t. the memory."""
    if found.rows is not None:
        pairs = [*pairs, (found.rows, found.columns)]
    if pairs:
        rows, columns = (tf.concat(parts, axis=1) for parts in zip(*pairs, strict=True))
        d_words += outer(rows, columns)
    if found.slots is not None:
        d_words += words * found.slots
    return d_words if found.words is None else d_words + found.words


def _sum_by_name(*groups: Fields) -> Fields:
    """Adds up gradients w.r.t. fields."""
    total: dict[str, tf.Tensor] = {}
    for group in groups:
        for name, x in group.items():
            total[name] = total[name] + x if name in total else x
    return total


def _kept_shares(fields: Fields, write_weights: tf.Tensor) -> list[tf.Tensor]:
    """Share of the memory that each write head keeps, 1 - e w^T: [B, W, N] for each."""
    erase_vectors = tf.unstack(fields["erase_vectors"], axis=1)
    return [
        1.0 - e[:, :, tf.newaxis] * w[:, tf.newaxis, :]
        for e, w in zip(erase_vectors, tf.unstack(write_weights, axis=1), strict=True)
    ]


def _modes(fields: Fields) -> tuple[tf.Tensor, tf.Tensor]:
    """Modes of the directions, [B, R, 2 V, 1], and of content, [B, R, 1]."""
    modes = fields["read_mode"]
    return modes[:, :, :-1, tf.newaxis], modes[:, :, -1:]
