"""Runs a core over a sequence."""

from collections.abc import Callable
from typing import Any

import sonnet as snt
import tensorflow as tf

from dnc import _checks, _cores


def unroll(
    core: snt.RNNCore,
    inputs: Any,
    initial_state: Any = None,
    *,
    sequence_length: Any = None,
    reset: Any = None,
    time_major: bool = True,
    return_all_states: bool = False,
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

    Args:
      core: any `snt.RNNCore`.
      inputs: [T, B, ...], or a nest of such tensors.
      initial_state: state before the first step; `core.initial_state(B)` by default, in the dtype
        of the inputs.
      sequence_length: [B], integers in 0..T: the number of steps of each example. All T by default.
      reset: [T, B], booleans. Where true, the example starts anew from `core.initial_state(B)`
        before that step, as at the start of an episode in reinforcement learning; it does so
        whatever `initial_state` was passed.
      time_major: whether time is the first axis of inputs, `reset`, outputs and, if returned, all
        states. If false, the batch is first and time second.
      return_all_states: whether to return the states after every step, with the axes of the
        outputs, instead of the last state.

    Returns:
      The outputs [T, B, ...] (a nest, if the core's are) and the state after the last step.

    Raises:
      ValueError: if inputs, `sequence_length` or `reset` do not fit together, a length is negative
        or larger than T, or the state is not one of this core. (In a graph lengths may not be known
        yet: then `tf.errors.InvalidArgumentError` when it runs; XLA does not check.)
    """
    inputs = tf.nest.map_structure(tf.convert_to_tensor, inputs)
    num_steps, batch_size = _sizes(inputs, time_major)
    if not time_major:
        inputs = tf.nest.map_structure(_swap_time_and_batch, inputs)
        reset = None if reset is None else _swap_time_and_batch(tf.convert_to_tensor(reset))
    dtype = _state_dtype(inputs)

    # Outside of the loop: this creates the variables and tells what an output looks like.
    step_specs = tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape[1:], x.dtype), inputs)
    example, _ = _cores.run_on_zeros(core, step_specs, dtype)
    fresh_state = _cores.initial_state(core, batch_size, dtype)
    if initial_state is None:
        initial_state = fresh_state
    initial_state = tf.nest.map_structure(tf.convert_to_tensor, initial_state)
    if sequence_length is not None or reset is not None:
        _check_batched(initial_state)

    sequence = {"inputs": inputs}
    if sequence_length is not None:
        sequence_length = _check_sequence_length(sequence_length, num_steps, batch_size)
        running = tf.range(num_steps)[:, tf.newaxis] < sequence_length
        # What stands in the padding may be infinite, and so the gradient of what is not used.
        sequence["inputs"] = _where(running, inputs, _zeros_like(inputs))
        sequence["running"] = running
    if reset is not None:
        sequence["reset"] = _check_reset(reset, num_steps, batch_size)

    def step(x: dict[str, Any], state: Any) -> tuple[Any, Any]:
        started = _where(x["reset"], fresh_state, state) if "reset" in x else state
        outputs, next_state = core(x["inputs"], started)
        if "running" in x:
            outputs = _where(x["running"], outputs, _zeros_like(outputs))
            next_state = _where(x["running"], next_state, state)
        return outputs, next_state

    outputs, all_states, state = _scan(
        step,
        initial_state,
        sequence,
        num_steps,
        output_example=example,
        keep_states=return_all_states,
    )
    result = (outputs, all_states if return_all_states else state)
    if time_major:
        return result
    swapped = result if return_all_states else outputs
    swapped = tf.nest.map_structure(_swap_time_and_batch, swapped)
    return swapped if return_all_states else (swapped, state)


def _scan(
    step: Callable[[Any, Any], tuple[Any, Any]],
    state: Any,
    sequence: Any,
    num_steps: int | tf.Tensor,
    output_example: Any,
    keep_states: bool,
) -> tuple[Any, Any, Any]:
    """Returns the outputs of `step` for each entry of `sequence`, all states, and the last state.

    `output_example` is an output for some batch size; all states are () unless kept.
    """
    batch_size = tf.nest.flatten(sequence)[0].shape[1]

    def array_like(x: tf.Tensor) -> tf.TensorArray:
        return tf.TensorArray(x.dtype, num_steps, element_shape=[batch_size, *x.shape[1:]])

    def write(arrays: Any, t: tf.Tensor, values: Any) -> Any:
        return tf.nest.map_structure(lambda array, value: array.write(t, value), arrays, values)

    def stack(arrays: Any) -> Any:
        return tf.nest.map_structure(lambda array: array.stack(), arrays)

    arrays = tf.nest.map_structure(
        lambda x: tf.TensorArray(x.dtype, num_steps).unstack(x), sequence
    )

    def body(t: tf.Tensor, state: Any, outputs: Any, states: Any) -> tuple[Any, Any, Any, Any]:
        inputs = tf.nest.map_structure(lambda array: array.read(t), arrays)
        output, next_state = step(inputs, state)
        tf.nest.map_structure(lambda new, old: new.set_shape(old.shape), next_state, state)
        outputs = write(outputs, t, output)
        states = write(states, t, next_state) if keep_states else states
        return t + 1, next_state, outputs, states

    _, state, outputs, states = tf.while_loop(
        lambda t, *_: t < num_steps,
        body,
        (
            tf.constant(0),
            state,
            tf.nest.map_structure(array_like, output_example),
            tf.nest.map_structure(array_like, state) if keep_states else (),
        ),
        maximum_iterations=num_steps,
        parallel_iterations=1,  # Each step needs the one before.
    )
    return stack(outputs), stack(states), state


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


def _state_dtype(inputs: Any) -> tf.DType:
    dtypes = [part.dtype for part in tf.nest.flatten(inputs) if part.dtype.is_floating]
    return dtypes[0] if dtypes else tf.float32


def _check_sequence_length(
    sequence_length: Any, num_steps: int | tf.Tensor, batch_size: int | tf.Tensor
) -> tf.Tensor:
    lengths = tf.convert_to_tensor(sequence_length)
    expected = [tf.get_static_value(batch_size)]
    if not lengths.dtype.is_integer or not lengths.shape.is_compatible_with(expected):
        raise ValueError(
            f"sequence_length must be integers of shape [B] = {expected}, got "
            f"{lengths.dtype.name} of shape {lengths.shape}."
        )
    lengths = tf.cast(lengths, tf.int32)
    given = tf.get_static_value(lengths)
    return _checks.require(
        tf.reduce_all((lengths >= 0) & (lengths <= num_steps)),
        f"sequence_length must be between 0 and the number of steps, "
        f"{num_steps if isinstance(num_steps, int) else 'T'}"
        + ("." if given is None else f", got {given.tolist()}."),
        lengths,
    )


def _check_reset(reset: Any, num_steps: int | tf.Tensor, batch_size: int | tf.Tensor) -> tf.Tensor:
    reset = tf.convert_to_tensor(reset)
    expected = [tf.get_static_value(num_steps), tf.get_static_value(batch_size)]
    if reset.dtype != tf.bool or not reset.shape.is_compatible_with(expected):
        raise ValueError(
            f"reset must be booleans of shape [T, B] = {expected}, got {reset.dtype.name} of shape "
            f"{reset.shape}."
        )
    return reset


def _check_batched(state: Any) -> None:
    for part in tf.nest.flatten(state):
        if part.shape.rank == 0:
            raise ValueError(
                "sequence_length and reset treat each example on its own: every part of the "
                "state must have a batch axis, got a scalar."
            )


def _where(mask: tf.Tensor, x: Any, y: Any) -> Any:
    """Chooses between two nests, by a mask over their leading axes."""

    def choose(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        ones = [1] * (x.shape.rank - mask.shape.rank)
        return tf.where(tf.reshape(mask, [*tf.unstack(tf.shape(mask)), *ones]), x, y)

    return tf.nest.map_structure(choose, x, y)


def _zeros_like(x: Any) -> Any:
    return tf.nest.map_structure(tf.zeros_like, x)


def _swap_time_and_batch(x: tf.Tensor) -> tf.Tensor:
    return tf.transpose(x, [1, 0, *range(2, x.shape.rank)])
