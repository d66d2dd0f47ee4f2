"""Runs a core over a sequence."""

import functools
from collections.abc import Callable
from typing import Any

import sonnet as snt
import tensorflow as tf
from absl import logging

from dnc import _checks, _cores, _nests
from dnc.allocation import EPSILON, Freeness
from dnc.core import DNC, is_observed
from dnc.unrolling import fused
from dnc.unrolling.loops import checkpointed, scan


def unroll(
    core: snt.RNNCore,
    inputs: Any,
    initial_state: Any = None,
    *,
    sequence_length: Any = None,
    reset: Any = None,
    time_major: bool = True,
    return_all_states: bool = False,
    checkpoint_every: int | None = None,
) -> tuple[Any, Any]:
    """Runs a core over a sequence, or a batch of sequences of different lengths.

        >>> import dnc
        >>> core = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(8), output_size=2)
        >>> sequence = tf.random.normal([7, 3, 5])  # time, batch, input width
        >>> outputs, state = unroll(core, sequence, sequence_length=[7, 2, 4])
        >>> outputs.shape
        TensorShape([7, 3, 2])

    Past its end an example's state is held and its output is 0, whatever the padding contains: each
    example comes out as if it had been run alone.

    Truncated back-propagation through time is to pass the state on to the next segment, outside the
    tape that recorded it; what is in the memory is carried along, gradients are not:

        >>> state = core.initial_state(batch_size=3)
        >>> for segment in tf.split(tf.random.normal([20, 3, 5]), 4):
        ...     with tf.GradientTape() as tape:
        ...         outputs, state = unroll(core, segment, state)
        ...         loss = tf.reduce_mean(outputs**2)
        ...     gradients = tape.gradient(loss, core.trainable_variables)

    In a graph, such as that of a `tf.function`, a `dnc.DNC` runs several times faster than through
    `snt.dynamic_unroll`, with the same outputs and gradients, by a backward pass written by hand
    (docs/performance.md). All its parts must come from this package and Sonnet and not be
    subclasses, and its controller must be known to return the same when it is run again: an
    `snt.LSTM`, `snt.GRU`, `snt.VanillaRNN`, `dnc.DeepLSTM`, `dnc.FeedForward` of layer sizes, or
    one of these in a `dnc.ClippedSignal`, `dnc.EmbeddedInputs` or `dnc.InputsOnly`. The plain steps
    are run for other cores (a line in the log says why), in eager mode, and to return all states.
    Layers before and after the DNC are best applied to whole sequences, outside:
    `snt.BatchApply(layer)(sequence)`.

    Args:
      core: any `snt.RNNCore`.
      inputs: [T, B, ...], or a nest of such tensors; [T, B, X] for a `dnc.DNC`. Arrays of floating
        point are cast to the dtype of the state; tensors must have it.
      initial_state: state before the first step; `core.initial_state(B)` by default, in the dtype
        of the inputs if these are tensors. The usage of a memory must be in [0, 1].
      sequence_length: [B], integers in 0..T: the number of steps of each example. All T by default.
      reset: [T, B], booleans. Where true, the example starts anew from `core.initial_state(B)`
        before that step, as at the start of an episode in reinforcement learning; it does so
        whatever `initial_state` was passed.
      time_major: whether time is the first axis of inputs, `reset`, outputs and, if returned, all
        states. If false, the batch is first and time second.
      return_all_states: whether to return the states after every step, with the axes of the
        outputs, instead of the last state.
      checkpoint_every: number k of steps. Only the state of every k-th step is kept for the
        gradients, and the steps between are computed again when the gradients are taken: memory for
        T/k + k instead of T steps, for up to twice the time forwards. About sqrt(T) needs the
        least memory. The core must return the same when it is run again: no dropout, no batch
        normalisation in training. `None` keeps what all steps need.

    Returns:
      The outputs [T, B, ...] (a nest, if the core's are) and the state after the last step.

    Raises:
      ValueError: if inputs, `sequence_length` or `reset` do not fit together, a length is negative
        or larger than T, or the state is not one of this core; if `checkpoint_every` is not a
        positive integer, given where T is not known, or the core draws random numbers or assigns
        variables; or if the core depends on a trainable variable that is not among its
        `trainable_variables`, such as one of a Keras layer. (In a graph lengths, sizes and usage
        may not be known yet: then `tf.errors.InvalidArgumentError` when it runs; XLA does not
        check. A graph that knows neither T nor B cannot run for T = 0.)
    """
    given_inputs = inputs
    inputs = _to_tensors(given_inputs)
    num_steps, batch_size = _sizes(inputs, time_major)
    _check_rank(core, inputs, time_major)
    if checkpoint_every is not None:
        checkpoint_every = _checks.check_size("checkpoint_every", checkpoint_every)
        if not isinstance(num_steps, int):
            raise ValueError(
                "checkpoint_every needs inputs of a known number of steps, got inputs of shape "
                f"{tf.nest.flatten(inputs)[0].shape}."
            )
    if sequence_length is not None:
        sequence_length = check_sequence_length(sequence_length, num_steps, batch_size)
    if reset is not None:
        reset = _check_reset(reset, num_steps, batch_size, time_major)
    dtype = _floating_dtype(given_inputs) or _floating_dtype(initial_state)
    fresh_state = _cores.initial_state(core, batch_size, dtype)
    inputs = _to_tensors(given_inputs, dtype or _floating_dtype(fresh_state))
    if not time_major:
        inputs, reset = _swap_time_and_batch((inputs, reset))
    if initial_state is None:
        initial_state = fresh_state
    else:
        initial_state = _check_state(core, initial_state, fresh_state)
    state_like, call = fresh_state, functools.partial(_cores.call_checked, core, core)
    has_none = any(part is None for part in tf.nest.flatten(state_like))
    if has_none:
        call = functools.partial(_cores.call_without_none, core, state_like)
        fresh_state = _nests.without_none(fresh_state)
        initial_state = _nests.without_none(initial_state)
    if sequence_length is not None or reset is not None:
        _check_batched(initial_state)

    sequence = {"inputs": inputs}
    if sequence_length is not None:
        running = tf.range(num_steps)[:, tf.newaxis] < sequence_length
        # What stands in the padding may be infinite, and so the gradient of what is not used.
        sequence["inputs"] = _nests.where(running, inputs, _nests.zeros_like(inputs))
        sequence["running"] = running
    if reset is not None:
        sequence["reset"] = reset

    is_empty = tf.get_static_value(num_steps) == 0
    is_graph = is_empty or not tf.executing_eagerly()
    segment_length = None if is_empty else checkpoint_every
    output_spec = None
    if is_graph or segment_length is not None:
        # Outside of the loop: this creates the variables and tells what an output looks like.
        specs = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape[1:], x.dtype), inputs)
        output_spec = _output_spec(core, specs, batch_size, dtype)

    def run(sequence: Any, state: Any, fresh_state: Any) -> tuple[Any, Any]:
        if (
            is_graph
            and not is_empty
            and not return_all_states
            and _has_fast_way(core, specs, dtype)
        ):
            outputs, state = fused.unroll(core, sequence, state, fresh_state)
            return (outputs, ()), state
        step = functools.partial(_step, call, fresh_state)
        return scan(step, state, sequence, output_spec if is_graph else None, return_all_states)

    if segment_length is not None and (
        not isinstance(core, DNC) or fused.reason_against(core, specs, dtype) is not None
    ):
        _cores.check_repeatable(core, specs, dtype)
    spec = (output_spec, initial_state if return_all_states else ())
    run_all = run if segment_length is None else checkpointed(run, segment_length, spec)
    (outputs, states), state = run_all(sequence, initial_state, fresh_state)
    if not time_major:
        outputs, states = _swap_time_and_batch((outputs, states))
    state = states if return_all_states else state
    return outputs, _nests.with_none(state, state_like) if has_none else state


@functools.cache
def _say_once(message: str) -> None:
    logging.info("%s", message)


def _has_fast_way(core: snt.RNNCore, specs: Any, dtype: Any) -> bool:
    if isinstance(core, DNC):
        reason = "an observer" if is_observed() else fused.reason_against(core, specs, dtype)
    elif any(isinstance(part, DNC) for part in core.submodules):
        reason = f"a {type(core).__name__} around its dnc.DNC"
    else:
        return False  # There is no other way, and nothing to say.
    if reason is not None:
        _say_once(f"dnc.unroll runs the plain steps of {core.name}, since it has {reason}.")
    return reason is None


def _step(
    call: Callable[..., Any], fresh_state: Any, x: dict[str, Any], state: Any
) -> tuple[Any, Any]:
    """One step of a core, called by `call`, with the masks in `x`, if there are any."""
    started = _nests.where(x["reset"], fresh_state, state) if "reset" in x else state
    outputs, next_state = call(x["inputs"], started)
    if "running" in x:
        outputs = _nests.where(x["running"], outputs, _nests.zeros_like(outputs))
        next_state = _nests.where(x["running"], next_state, state)
    return outputs, next_state


def _sizes(inputs: Any, time_major: bool) -> tuple[int | tf.Tensor, int | tf.Tensor]:
    """Returns the number of steps and the batch size, as integers where they are known."""
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
    sizes = [
        size if size is not None else tf.shape(parts[0])[axis]
        for axis, size in enumerate(parts[0].shape[:2])
    ]
    num_steps, batch_size = sizes if time_major else reversed(sizes)
    return num_steps, batch_size


def _output_spec(
    core: snt.RNNCore, inputs: Any, batch_size: int | tf.Tensor, dtype: tf.DType | None
) -> Any:
    """What the core returns as the output of one step, from what the step takes."""
    example, _ = _cores.run_on_zeros(core, inputs, dtype)
    size = tf.get_static_value(batch_size)
    return tf.nest.map_structure(lambda x: tf.TensorSpec([size, *x.shape[1:]], x.dtype), example)


def _to_tensors(inputs: Any, dtype: tf.DType | None = None) -> Any:
    """Returns the inputs as tensors: arrays of floating point in `dtype`, if one is given."""
    convert = functools.partial(_checks.to_tensor, "inputs", dtype=dtype)
    return tf.nest.map_structure(convert, inputs)


def _floating_dtype(x: Any) -> tf.DType | None:
    """Returns the first floating point dtype among the tensors of a nest; `None` without one."""
    dtypes = [part.dtype for part in tf.nest.flatten(x) if tf.is_tensor(part)]
    return next((dtype for dtype in dtypes if dtype.is_floating), None)


def _check_rank(core: snt.RNNCore, inputs: Any, time_major: bool) -> None:
    """Raises `ValueError` unless the inputs of a DNC have three axes."""
    if not isinstance(core, DNC) or not tf.is_tensor(inputs) or inputs.shape.rank in (None, 3):
        return
    axes, one = ("[T, B, X]", "inputs[:, None]") if time_major else ("[B, T, X]", "inputs[None]")
    raise ValueError(
        f"inputs of a dnc.DNC must have shape {axes}, got shape {inputs.shape}. Pass a single "
        f"sequence as a batch of one: {one}."
    )


def _check_state(core: snt.RNNCore, state: Any, expected: Any) -> Any:
    """Returns `state` as tensors if it has the structure, shapes and dtypes of `expected`."""
    try:
        tf.nest.assert_same_structure(expected, state)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"initial_state must be {_checks.structure_text(expected)}, as core.initial_state() "
            f"returns it, got {_checks.structure_text(state)} or one of other parts."
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


def _check_usage(core: snt.RNNCore, name: str, usage: tf.Tensor) -> tf.Tensor:
    """Returns `usage` if it is in [0, 1] but for rounding, as `Freeness` needs it.

    NaN passes: it is a state that has diverged, not one that was put together wrongly.
    """
    fits = ~tf.reduce_any((usage < -0.5 * EPSILON) | (usage > 1.0 + EPSILON))
    if tf.get_static_value(fits) or not any(isinstance(x, Freeness) for x in core.submodules):
        return usage
    return _checks.require(
        fits, f"{name} must be in [0, 1], got other numbers. Clip it, or make a new state.", usage
    )


def check_sequence_length(
    sequence_length: Any, num_steps: int | tf.Tensor, batch_size: int | tf.Tensor
) -> tf.Tensor:
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


def _check_reset(
    reset: Any, num_steps: int | tf.Tensor, batch_size: int | tf.Tensor, time_major: bool
) -> tf.Tensor:
    reset = tf.convert_to_tensor(reset)
    axes, sizes = ("[T, B]", [num_steps, batch_size])
    if not time_major:
        axes, sizes = ("[B, T]", [batch_size, num_steps])
    return _check("reset", reset, reset.dtype == tf.bool, "booleans", axes, sizes)


def _check(
    name: str, value: tf.Tensor, is_kind: bool, kind: str, axes: str, sizes: list[Any]
) -> tf.Tensor:
    """Returns `value` if it is of its kind and of the expected sizes, which may be tensors."""
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


def _check_batched(state: Any) -> None:
    for part in tf.nest.flatten(state):
        if part.shape.rank == 0:
            raise ValueError(
                "sequence_length and reset treat each example on its own: every part of the "
                "state must have a batch axis, got a scalar."
            )


def _swap_time_and_batch(x: Any) -> Any:
    def swap(part: tf.Tensor | None) -> tf.Tensor | None:
        if part is None or part.shape.rank < 2:  # Absent, or without a batch axis.
            return part
        return tf.transpose(part, [1, 0, *range(2, part.shape.rank)])

    return tf.nest.map_structure(swap, x)
