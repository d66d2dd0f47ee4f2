"""Validation of sequences and of their initial states."""

import functools
from typing import Any, TypeAlias

import sonnet as snt
import tensorflow as tf

from dnc import _checks, _cores
from dnc.allocation import EPSILON, Freeness
from dnc.core import DNC

Size: TypeAlias = Any  # An integer, or a tensor if the size is known only when the graph runs.


def to_tensors(inputs: Any, dtype: tf.DType | None = None) -> Any:
    """Returns the inputs as tensors: floating-point arrays in `dtype`, if one is given."""
    convert = functools.partial(_checks.to_tensor, "inputs", dtype=dtype)
    return tf.nest.map_structure(convert, inputs)


def floating_dtype(x: Any) -> tf.DType | None:
    """Returns the first floating-point dtype among the tensors of a nest, or `None`."""
    dtypes = [part.dtype for part in tf.nest.flatten(x) if tf.is_tensor(part)]
    return next((dtype for dtype in dtypes if dtype.is_floating), None)


def check_inputs(core: snt.RNNCore, inputs: Any, time_major: bool) -> tuple[Size, Size]:
    """Returns the number of steps and the batch size of the inputs, a nest of tensors.

    Raises:
      ValueError: if there are no inputs, their first two axes are missing or differ, or the inputs
        of a `DNC` do not have three axes.
    """
    parts = tf.nest.flatten(inputs)
    axes = "[T, B, ...]" if time_major else "[B, T, ...]"
    if not parts:
        raise ValueError("inputs must be a tensor or a nest of tensors, got an empty nest.")
    for part in parts:
        if part.shape.rank is None or part.shape.rank < 2:
            raise ValueError(f"inputs must have shape {axes}, got shape {part.shape}.")
        if not part.shape[:2].is_compatible_with(parts[0].shape[:2]):
            raise ValueError(
                f"All inputs must start with the same {axes}, got shapes "
                f"{' and '.join(str(part.shape) for part in parts)}."
            )
    if isinstance(core, DNC) and tf.is_tensor(inputs) and inputs.shape.rank != 3:
        one = "inputs[:, None]" if time_major else "inputs[None]"
        raise ValueError(
            f"inputs of a dnc.DNC must have shape {axes.replace('...', 'X')}, got shape "
            f"{inputs.shape}. Pass a single sequence as a batch of one: {one}."
        )
    sizes = [
        size if size is not None else tf.shape(parts[0])[axis]
        for axis, size in enumerate(parts[0].shape[:2])
    ]
    num_steps, batch_size = sizes if time_major else reversed(sizes)
    return num_steps, batch_size


def check_checkpoint_every(value: Any, num_steps: Size) -> int:
    """Returns `value` if it is an integer >= 1 and the number of steps is known."""
    value = _checks.check_size("checkpoint_every", value)
    if not isinstance(num_steps, int):
        raise ValueError(
            "checkpoint_every needs inputs of a known number of steps, got inputs whose number of "
            "steps is unknown in the graph. Set it with tf.ensure_shape."
        )
    return value


def check_state(core: snt.RNNCore, state: Any, expected: Any) -> Any:
    """Returns `state` as tensors if it has the structure, shapes and dtypes of `expected`."""
    try:
        tf.nest.assert_same_structure(expected, state)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"initial_state must be {_checks.structure_text(expected)}, the structure that "
            f"core.initial_state() returns, got {_checks.structure_text(state)}, or parts that "
            "differ."
        ) from error
    checked = []
    for path, part, example in zip(
        _cores.part_paths(expected), tf.nest.flatten(state), tf.nest.flatten(expected), strict=True
    ):
        name = ".".join(["initial_state", *path])
        if part is None or example is None:
            if part is not example:
                raise ValueError(
                    f"{name} must be {'None' if example is None else 'a tensor'}, as "
                    f"core.initial_state() returns it, got {_checks.structure_text(part)}."
                )
        else:
            part = _checks.to_tensor(name, part, example.dtype)
            part = _checks.check_tensor(name, part, example.shape, example.dtype)
            if name.endswith(".usage"):
                part = _check_usage(core, name, part)
        checked.append(part)
    return tf.nest.pack_sequence_as(state, checked)


def check_sequence_length(sequence_length: Any, num_steps: Size, batch_size: Size) -> tf.Tensor:
    """Returns the lengths as int32 if they are integers [B] in 0..T, else raises `ValueError`."""
    lengths = tf.convert_to_tensor(sequence_length)
    is_integer = lengths.dtype.is_integer
    lengths = _check("sequence_length", lengths, is_integer, "integers", "[B]", [batch_size])
    given = tf.get_static_value(lengths)
    lengths = _checks.require(
        tf.reduce_all((lengths >= 0) & (lengths <= tf.cast(num_steps, lengths.dtype))),
        f"sequence_length must be between 0 and the number of steps, "
        f"{num_steps if isinstance(num_steps, int) else 'T'}"
        + ("." if given is None else f", got {given.tolist()}."),
        lengths,
    )
    return tf.cast(lengths, tf.int32)


def check_reset(reset: Any, num_steps: Size, batch_size: Size, time_major: bool) -> tf.Tensor:
    """Returns `reset` as a tensor if it is [T, B] booleans, or [B, T], else raises `ValueError`."""
    reset = tf.convert_to_tensor(reset)
    axes, sizes = ("[T, B]", [num_steps, batch_size])
    if not time_major:
        axes, sizes = ("[B, T]", [batch_size, num_steps])
    return _check("reset", reset, reset.dtype == tf.bool, "booleans", axes, sizes)


def check_batched(state: Any) -> None:
    """Raises `ValueError` if a part of the state has no batch axis."""
    for part in tf.nest.flatten(state):
        if part.shape.rank == 0:
            raise ValueError(
                "sequence_length and reset apply to each example separately, so every part of the "
                "state must have a batch axis, got a scalar."
            )


def _check_usage(core: snt.RNNCore, name: str, usage: tf.Tensor) -> tf.Tensor:
    """Returns `usage` if it is in [0, 1] except for rounding, as `Freeness` requires.

    NaN passes, because it comes from divergence, not from a wrongly constructed state.
    """
    fits = ~tf.reduce_any((usage < -0.5 * EPSILON) | (usage > 1.0 + EPSILON))
    if tf.get_static_value(fits) or not any(isinstance(x, Freeness) for x in core.submodules):
        return usage
    return _checks.require(
        fits, f"{name} must be in [0, 1], got other numbers. Clip it, or make a new state.", usage
    )


def _check(
    name: str, value: tf.Tensor, is_kind: bool, kind: str, axes: str, sizes: list[Any]
) -> tf.Tensor:
    """Returns `value` if it has the right kind and sizes, which may be tensors."""
    static = [tf.get_static_value(size) for size in sizes]
    if not is_kind or not value.shape.is_compatible_with(static):
        raise ValueError(
            f"{name} must be {kind} of shape {axes} = {static}, got {value.dtype.name} of shape "
            f"{value.shape}."
        )
    if not value.shape.is_fully_defined() or None in static:  # A size of 1 would be broadcast.
        value = _checks.require(
            tf.reduce_all(tf.equal(tf.shape(value), sizes)),
            f"{name} must have shape {axes}, the sizes of the inputs.",
            value,
        )
    return value
