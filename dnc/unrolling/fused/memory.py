"""One step of the memory, forwards and backwards."""

from typing import Any, NamedTuple

import tensorflow as tf

from dnc import access as plain
from dnc.access import AccessState, MemoryAccess
from dnc.allocation import Freeness, FreenessInputs, product, usage_after_write
from dnc.interface import SIGMOID_FIELDS, InterfaceFields, ReadMode
from dnc.linkage import LinkageInputs, NoLinkage, TemporalLinkage
from dnc.sparse_linkage import SparseTemporalLinkage
from dnc.unrolling.derivatives import gradients
from dnc.unrolling.fused import allocation as usage
from dnc.unrolling.fused import content as look_up
from dnc.unrolling.fused.content import LookUp
from dnc.unrolling.fused.linkage import DenseLinks
from dnc.unrolling.fused.no_links import NoLinks
from dnc.unrolling.fused.products import inner, outer, products_of_others, times, times_transposed
from dnc.unrolling.fused.sparse_linkage import SparseLinkage


class State(NamedTuple):
    """`AccessState` as it is used here. A gradient by it has `()` for the norms."""

    memory: Any  # [B, W, N]: transposed, see `look_up`
    norms: Any  # [B, 1, N], `look_up.slot_norms(memory)`
    read_weights: Any  # [B, R, N]
    write_weights: Any  # [B, Wn, N]
    linkage: Any
    usage: Any  # [B, N]


class Kept(NamedTuple):
    """What the backward pass needs of a step, besides the states before and after."""

    allocation: usage.Allocation
    write_cosines: Any  # [B, Wn, N]
    write_content: Any  # [B, Wn, N]
    read_cosines: Any  # [B, R, N]
    read_content: Any  # [B, R, N]
    directions: Any  # [B, R, 2 Wn, N], backward before forward


class Stored(NamedTuple):
    """A state to be kept for the backward pass, as few tensors: each is a copy at every step."""

    # What is used for every two slots, or two links of a slot. It is fetched a step before it is
    # needed, so that it is an array of its own then: XLA would look it up among those of all steps
    # anew for every two slots.
    fetched: Any
    others: Any


_LINKS: dict[type, type[DenseLinks | SparseLinkage | NoLinks]] = {
    TemporalLinkage: DenseLinks,
    SparseTemporalLinkage: SparseLinkage,
    NoLinkage: NoLinks,
}


class Access:
    """`MemoryAccess` without its interface layer."""

    def __init__(self, access: MemoryAccess):
        self._access = access
        self._links = _LINKS[type(access.linkage)](access.linkage)

    def pack(self, state: AccessState) -> State:
        """From an `AccessState` to the state used here."""
        memory = tf.transpose(state.memory, [0, 2, 1])
        return State(
            memory=memory,
            norms=look_up.slot_norms(memory),
            read_weights=state.read_weights,
            write_weights=state.write_weights,
            linkage=self._links.pack(state.linkage),
            usage=state.usage,
        )

    def pack_gradient(self, d_state: AccessState) -> State:
        """`pack` for gradients."""
        return self.pack(d_state)._replace(norms=())

    def unpack(self, state: State) -> AccessState:
        """The inverse of `pack` and `pack_gradient`."""
        return AccessState(
            memory=tf.transpose(state.memory, [0, 2, 1]),
            read_weights=state.read_weights,
            write_weights=state.write_weights,
            linkage=self._links.unpack(state.linkage),
            usage=state.usage,
        )

    def store_state(self, state: State) -> Stored:
        """Packs a state to be kept for the backward pass."""
        rows = [state.norms, state.read_weights, state.write_weights, state.usage[:, tf.newaxis]]
        rows = tf.concat(rows, axis=1)
        if self._links.is_small:
            return Stored((rows, state.linkage), state.memory)
        return Stored(rows, (state.memory, state.linkage))

    def restore_state(self, stored: Stored) -> State:
        """The inverse of `store_state`."""
        if self._links.is_small:
            (rows, linkage), memory = stored
        else:
            rows, (memory, linkage) = stored
        num_reads, num_writes = self._access.num_reads, self._access.num_writes
        rows = tf.split(rows, [1, num_reads, num_writes, 1], axis=1)
        norms, read_weights, write_weights, new_usage = rows
        new_usage = tf.squeeze(new_usage, axis=1)
        return State(memory, norms, read_weights, write_weights, linkage, new_usage)

    def store_kept(self, kept: Kept) -> tuple[tf.Tensor, Any]:
        """Packs what `step` returned to be kept for the backward pass."""
        directions = tf.unstack(kept.directions, axis=2)
        rows = [*kept.allocation[:2], *kept[1:-1], *directions]
        return tf.concat(rows, axis=1), kept.allocation.free_list

    def kept_spec(self, batch_size: int | None, dtype: tf.DType) -> tuple[tf.TensorSpec, Any]:
        """What `store_kept` returns looks like."""
        access = self._access
        num_rows = 4 * access.num_writes + 2 * access.num_reads * (1 + access.num_writes)
        free_list = usage.free_list_spec(batch_size, access.num_writes, access.memory_size)
        return tf.TensorSpec([batch_size, num_rows, access.memory_size], dtype), free_list

    def restore_kept(self, stored: tuple[tf.Tensor, Any]) -> Kept:
        """The inverse of `store_kept`."""
        rows, free_list = stored
        num_reads, num_writes = self._access.num_reads, self._access.num_writes
        rows = tf.split(
            rows, [num_writes] * 4 + [num_reads] * 2 + [num_reads] * 2 * num_writes, axis=1
        )
        allocation = usage.Allocation(rows[0], rows[1], free_list)
        write_cosines, write_content, read_cosines, read_content, *directions = rows[2:]
        return Kept(
            allocation,
            write_cosines,
            write_content,
            read_cosines,
            read_content,
            tf.stack(directions, axis=2),
        )

    def step(self, interface: tf.Tensor, state: State) -> tuple[tf.Tensor, State, Kept]:
        """Writes and reads.

        Args:
          interface: [B, I], activated interface vector.
          state: before the step.

        Returns:
          The words read [B, R W], the next state, and what `gradient` needs.
        """
        access, fields = self._access, self._access.interface.cut(interface)

        freeness = _freeness_inputs(access.freeness, fields, state)
        new_usage = usage.update(freeness, state.usage)
        allocation = usage.allocate(new_usage, freeness.write_gates)
        write_look_up = _write_look_up(fields, state, new_usage)
        write_cosines = look_up.cosines(write_look_up)
        write_content = look_up.weights(access.write_content, write_cosines, write_look_up)
        write_weights = plain.write_weights(
            fields.write_gate, fields.allocation_gate, allocation.weights, write_content
        )

        memory = state.memory * product(_kept_shares(fields, write_weights)) + outer(
            fields.write_vectors, write_weights
        )
        norms = look_up.slot_norms(memory)

        directions, linkage = self._links.step(
            LinkageInputs(write_weights, state.read_weights), state.linkage
        )
        next_state = State(memory, norms, None, write_weights, linkage, new_usage)
        read_look_up = _read_look_up(fields, next_state)
        read_cosines = look_up.cosines(read_look_up)
        read_content = look_up.weights(access.read_content, read_cosines, read_look_up)
        modes, content_mode = _stacked_modes(fields)
        read_weights = tf.reduce_sum(modes * directions, axis=2) + content_mode * read_content
        words = times_transposed(read_weights, memory)

        kept = Kept(
            allocation, write_cosines, write_content, read_cosines, read_content, directions
        )
        return words, next_state._replace(read_weights=read_weights), kept

    def gradient(
        self,
        interface: tf.Tensor,
        state: State,
        next_state: State,
        kept: Kept,
        d_words: tf.Tensor,
        d_next_state: State,
    ) -> tuple[tf.Tensor, State]:
        """Gradients by the interface vector *before* its activation, and by the state of `step`.

        Args:
          interface: as for `step`.
          state: before the step.
          next_state: after it.
          kept: what `step` returned.
          d_words: [B, R, W], gradient by the words read.
          d_next_state: gradient by the next state.
        """
        access, fields = self._access, self._access.interface.cut(interface)
        memory, write_weights = next_state.memory, next_state.write_weights

        # Words read, and the weights that they were read with.
        d_read_weights = d_next_state.read_weights + times(d_words, memory)
        modes, content_mode = _stacked_modes(fields)
        d_directions = modes * d_read_weights[:, :, tf.newaxis]
        d_modes = tf.reduce_sum(kept.directions * d_read_weights[:, :, tf.newaxis], axis=3)
        d_content_mode = inner(kept.read_content, d_read_weights)

        # Content to read.
        d_read = look_up.gradient(
            access.read_content,
            _read_look_up(fields, next_state),
            kept.read_cosines,
            kept.read_content,
            content_mode * d_read_weights,
        )
        d_memory = (
            d_next_state.memory
            + outer(
                tf.concat([d_words, fields.read_keys], axis=1),
                tf.concat([next_state.read_weights, d_read.products], axis=1),
            )
            + memory * d_read.slots
        )
        d_usage, d_write_weights = d_next_state.usage, d_next_state.write_weights
        if d_read.usage is not None:
            d_inputs = gradients(usage_after_write, [next_state.usage, write_weights], d_read.usage)
            d_usage, d_write_weights = d_usage + d_inputs[0], d_write_weights + d_inputs[1]

        # Links.
        d_links = self._links.gradient(
            LinkageInputs(write_weights, state.read_weights),
            state.linkage,
            next_state.linkage,
            d_directions,
            d_next_state.linkage,
        )
        d_write_weights += d_links.write_weights

        # Erasing and writing.
        others, all_kept = products_of_others(_kept_shares(fields, write_weights))
        d_all_kept = d_memory * state.memory
        d_erased, d_erase_vectors = [], []
        for i, other in enumerate(others):
            d_kept = d_all_kept if other is None else d_all_kept * other
            d_erased.append(times(fields.erase_vectors[:, i : i + 1], d_kept))
            d_erase_vectors.append(-times_transposed(write_weights[:, i : i + 1], d_kept))
        d_write_weights += times(fields.write_vectors, d_memory) - tf.concat(d_erased, axis=1)
        d_write_vectors = times_transposed(write_weights, d_memory)

        # Where to write.
        write_gate = fields.write_gate[:, :, tf.newaxis]
        allocation_gate = fields.allocation_gate[:, :, tf.newaxis]
        allocation, content = kept.allocation.weights, kept.write_content
        mixed = allocation_gate * allocation + (1.0 - allocation_gate) * content
        d_mixed = write_gate * d_write_weights
        d_write_gate = tf.reduce_sum(d_write_weights * mixed, axis=2)
        d_allocation_gate = tf.reduce_sum(d_mixed * (allocation - content), axis=2)

        # Content to write to.
        d_write = look_up.gradient(
            access.write_content,
            _write_look_up(fields, state, next_state.usage),
            kept.write_cosines,
            content,
            (1.0 - allocation_gate) * d_mixed,
        )
        if d_write.usage is not None:
            d_usage += d_write.usage
        d_prev_memory = (
            d_memory * all_kept
            + outer(fields.write_keys, d_write.products)
            + state.memory * d_write.slots
        )

        # Allocation and usage.
        freeness = _freeness_inputs(access.freeness, fields, state)
        d_allocation_usage, d_gates = usage.allocate_gradient(
            next_state.usage, freeness.write_gates, kept.allocation, allocation_gate * d_mixed
        )
        if d_gates is not None:
            d_allocation_gate += d_gates * fields.write_gate
            d_write_gate += d_gates * fields.allocation_gate
        d_freeness, d_prev_usage = usage.update_gradient(
            access.freeness, freeness, state.usage, d_usage + d_allocation_usage
        )

        d_backward, d_forward = tf.split(d_modes, 2, axis=2)
        d_fields = InterfaceFields(
            read_keys=d_read.keys,
            read_strengths=d_read.strengths,
            write_keys=d_write.keys,
            write_strengths=d_write.strengths,
            erase_vectors=tf.concat(d_erase_vectors, axis=1),
            write_vectors=d_write_vectors,
            free_gate=d_freeness.free_gate,
            allocation_gate=d_allocation_gate,
            write_gate=d_write_gate,
            read_mode=ReadMode(d_backward, d_forward, tf.squeeze(d_content_mode, axis=2)),
        )
        d_state = State(
            memory=d_prev_memory,
            norms=(),
            read_weights=d_links.read_weights + d_freeness.read_weights,
            write_weights=d_freeness.write_weights,
            linkage=d_links.state,
            usage=d_prev_usage,
        )
        return _activation_gradient(fields, d_fields), d_state


def _freeness_inputs(freeness: Freeness, fields: InterfaceFields, state: State) -> FreenessInputs:
    write_weights = state.write_weights
    if freeness.stop_write_gradient:  # (`update_gradient` sees to the first derivative.)
        write_weights = tf.stop_gradient(write_weights)
    return FreenessInputs(
        write_weights=write_weights,
        read_weights=state.read_weights,
        free_gate=fields.free_gate,
        write_gates=fields.allocation_gate * fields.write_gate,
    )


def _write_look_up(fields: InterfaceFields, state: State, new_usage: tf.Tensor) -> LookUp:
    """The look-up before writing: in the memory of the step before."""
    return LookUp(fields.write_keys, fields.write_strengths, state.memory, state.norms, new_usage)


def _read_look_up(fields: InterfaceFields, next_state: State) -> LookUp:
    """The look-up for reading: in the memory just written."""
    used = usage_after_write(next_state.usage, next_state.write_weights)
    return LookUp(
        fields.read_keys, fields.read_strengths, next_state.memory, next_state.norms, used
    )


def _kept_shares(fields: InterfaceFields, write_weights: tf.Tensor) -> list[tf.Tensor]:
    """What each write head leaves of the memory, 1 - e w^T: [B, W, N] for each."""
    heads = zip(
        tf.unstack(fields.erase_vectors, axis=1), tf.unstack(write_weights, axis=1), strict=True
    )
    return [1.0 - e[:, :, tf.newaxis] * w[:, tf.newaxis, :] for e, w in heads]


def _stacked_modes(fields: InterfaceFields) -> tuple[tf.Tensor, tf.Tensor]:
    """The modes that follow links, [B, R, 2 Wn, 1], in the order of the directions; content's."""
    modes = tf.concat([fields.read_mode.backward, fields.read_mode.forward], axis=2)
    return modes[..., tf.newaxis], fields.read_mode.content[:, :, tf.newaxis]


def _activation_gradient(fields: InterfaceFields, d_fields: InterfaceFields) -> tf.Tensor:
    """Gradient by the interface vector before its activations, [B, I]."""
    d_raw = d_fields._asdict()
    for name in SIGMOID_FIELDS:
        gate = getattr(fields, name)
        d_raw[name] *= gate * (1.0 - gate)
    modes, d_modes = _all_modes(fields.read_mode), _all_modes(d_fields.read_mode)
    d_raw["read_mode"] = modes * (d_modes - inner(modes, d_modes))
    parts = [tf.reshape(part, [-1, part.shape[1] * _width(part)]) for part in d_raw.values()]
    return tf.concat(parts, axis=1)


def _all_modes(mode: ReadMode) -> tf.Tensor:
    """[B, R, 1 + 2 Wn], in the order of the interface vector."""
    return tf.concat([mode.backward, mode.forward, mode.content[:, :, tf.newaxis]], axis=2)


def _width(part: tf.Tensor) -> int:
    return part.shape[2] if part.shape.rank == 3 else 1
