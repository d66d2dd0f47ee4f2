"""Transfer of a running state to a memory of a different size."""

import numbers
from typing import Any, TypeVar

import tensorflow as tf

from dnc import _checks
from dnc.allocation import usage_after_write
from dnc.linkage import resize_slots
from dnc.parts import AccessState

State = TypeVar("State")


def resize_memory(state: State, memory_size: int, *, tolerance: float = 0.0) -> State:
    """Returns a state with a different number of memory slots, which keep their contents.

    No variable depends on the number of slots, so a network that was trained with a small memory
    can continue with a larger one, even in the middle of a sequence:

        >>> import dnc
        >>> import sonnet as snt
        >>> core = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(8), output_size=2)
        >>> outputs, state = dnc.unroll(core, tf.ones([5, 1, 2]))
        >>> resize_memory(state, 64).access_state.memory.shape
        TensorShape([1, 64, 3])

    The new state is for a core with the same variables and `MemoryAccess(64, 3)`. A checkpoint of
    either core restores into the other.

    Args:
      state: a `DNCState`, an `AccessState`, or a nest that contains some; all are resized.
      memory_size: the new number of slots, >= 1. The additional slots of a larger memory are
        empty and contain zeros, whatever `initial_memory` is. A smaller one lacks the last slots.
      tolerance: maximum, in [0, 1], of the usage (including the last write) and of the read weights
        of a slot that may be dropped. A soft look-up writes a little to every slot, so exact zeros
        may be rare.

    Raises:
      ValueError: if a slot in use would be dropped; if `memory_size` or `tolerance` is out of
        range; if `state` contains no memory, or one with a linkage that cannot be resized, or one
        whose parts do not fit together.
        (In a graph, where usage is unknown, dropping a used slot raises
        `tf.errors.InvalidArgumentError` when the graph runs. XLA does not check.)
    """
    memory_size = _checks.check_size("memory_size", memory_size)
    if not isinstance(tolerance, numbers.Real) or not 0.0 <= tolerance <= 1.0:
        raise ValueError(f"tolerance must be in [0, 1], got {tolerance!r}.")
    found = []

    def resize(part: Any) -> Any:
        if isinstance(part, AccessState):
            found.append(part)
            return _resize_access(part, memory_size, tolerance)
        if isinstance(part, tuple):
            parts = [resize(inner) for inner in part]
            return type(part)(*parts) if hasattr(part, "_fields") else tuple(parts)
        if isinstance(part, list):
            return [resize(inner) for inner in part]
        if isinstance(part, dict):
            return {key: resize(inner) for key, inner in part.items()}
        return part

    resized = resize(state)
    if not found:
        raise ValueError(
            "state must be a DNCState, an AccessState or a nest that contains one, "
            f"got {_checks.structure_text(state)}."
        )
    return resized


def _resize_access(state: AccessState, memory_size: int, tolerance: float) -> AccessState:
    if not hasattr(state.linkage, "resize"):
        raise ValueError(
            "The linkage's state must have a method `resize(memory_size)`, such as "
            f"TemporalLinkageState.resize, got {_checks.structure_text(state.linkage)}."
        )
    memory = _checks.check_tensor("memory", state.memory, [None, None, None])
    batch_size, slots, _ = memory.shape
    dtype = memory.dtype
    _checks.check_tensor("read_weights", state.read_weights, [batch_size, None, slots], dtype)
    _checks.check_tensor("write_weights", state.write_weights, [batch_size, None, slots], dtype)
    _checks.check_tensor("usage", state.usage, [batch_size, slots], dtype)
    if memory_size < slots:
        state = _check_unused(state, memory_size, tolerance)
    return AccessState(
        memory=resize_slots(state.memory, memory_size, axes=(1,)),
        read_weights=resize_slots(state.read_weights, memory_size, axes=(2,)),
        write_weights=resize_slots(state.write_weights, memory_size, axes=(2,)),
        linkage=state.linkage.resize(memory_size),
        usage=resize_slots(state.usage, memory_size, axes=(1,)),
    )


def _check_unused(state: AccessState, memory_size: int, tolerance: float) -> AccessState:
    """Returns `state` if the slots from number `memory_size` on are unused, or raises an error."""
    used = tf.maximum(
        usage_after_write(state.usage, state.write_weights),
        tf.reduce_max(state.read_weights, axis=1),
    )[:, memory_size:]
    largest = tf.reduce_max(used, axis=0)  # Over the batch.
    message = (
        f"Cannot shrink the memory from {state.usage.shape[1]} to {memory_size} slots: slots that "
        f"would be dropped are in use by more than tolerance={tolerance}"
    )
    known = tf.get_static_value(largest)
    if known is not None:
        slots = [memory_size + slot for slot, value in enumerate(known) if value > tolerance]
        if slots:
            message += f" (slots {slots}, up to {max(known):.3g})"
    message += ". Free them first, keep more slots, or raise the tolerance."
    return _checks.require(tf.reduce_all(largest <= tolerance), message, state)
