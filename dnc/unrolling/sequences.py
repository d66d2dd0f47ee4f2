"""Runs cores over sequences."""

from typing import Any, NamedTuple

import sonnet as snt
import tensorflow as tf

from dnc import _cores, _nests
from dnc.core import DNC
from dnc.dropout import with_keys_of
from dnc.unrolling import validation
from dnc.unrolling.checkpointing import Run, checkpointed
from dnc.unrolling.implementations import IMPLEMENTATIONS, is_fused, unroll_fused
from dnc.unrolling.steps import output_spec_of, step_spec, unroll_steps


def unroll(
    core: snt.RNNCore,
    inputs: Any,
    initial_state: Any = None,
    *,
    sequence_length: Any = None,
    reset: Any = None,
    reverse: bool = False,
    time_major: bool = True,
    return_all_states: bool = False,
    checkpoint_every: int | None = None,
    training: bool | None = None,
    implementation: str = "auto",
) -> tuple[Any, Any]:
    """Runs a core over a sequence, or a batch of sequences of different lengths.

        >>> import dnc
        >>> core = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(8), output_size=2)
        >>> sequence = tf.random.normal([7, 3, 5])  # time, batch, input width
        >>> outputs, state = unroll(core, sequence, sequence_length=[7, 2, 4])
        >>> outputs.shape
        TensorShape([7, 3, 2])

    Past its end an example's state is kept and its output is 0, whatever the padding contains. The
    results are as if each example had been run alone.

    For truncated back-propagation through time, pass the state on to the next segment, outside the
    tape that recorded it. The contents of the memory are carried along, but gradients are not:

        >>> state = core.initial_state(batch_size=3)
        >>> for segment in tf.split(tf.random.normal([20, 3, 5]), 4):
        ...     with tf.GradientTape() as tape:
        ...         outputs, state = unroll(core, segment, state)
        ...         loss = tf.reduce_mean(outputs**2)
        ...     gradients = tape.gradient(loss, core.trainable_variables)

    In a graph, as in a `tf.function`, a `dnc.DNC` uses the fused implementation, with a backward
    pass written by hand. It is several times faster than `snt.dynamic_unroll`, with the same
    outputs and gradients (docs/performance.md). Custom parts, such as another controller, run again
    in the backward pass, so they must return the same results when they run again.

    Every `dnc.DNC` in an `snt.DeepRNN` or a `dnc.Parallel` is also fused. The layers run one after
    another, each over the whole sequence. The layers that are not cores must be `snt.Linear`,
    `snt.LayerNorm` over the last axis, `snt.nets.MLP` without dropout, elementwise activations such
    as `tf.nn.relu`, or `snt.Sequential` of these.

    Args:
      core: any `snt.RNNCore`.
      inputs: [T, B, ...], or a nest of such tensors; [T, B, X] for a `dnc.DNC`. Floating-point
        arrays are cast to the dtype of the state; tensors must have it.
      initial_state: state before the first step; `core.initial_state(B)` by default, in the dtype
        of the inputs if these are tensors. The usage of a memory must be in [0, 1].
      sequence_length: [B], integers in 0..T: the number of steps of each example. All T by default.
      reset: [T, B], booleans. Where true, the example restarts from `core.initial_state(B)` before
        that step, as at the start of an episode in reinforcement learning, whatever `initial_state`
        was passed. (Only the key of a `dnc.Dropout` restarts from `initial_state`.)
      reverse: whether each example runs from its last step to its first. Inputs, `reset`, outputs
        and states keep their places in time; the last state is the one after the first time step.
      time_major: whether time is the first axis of inputs, `reset`, outputs and, if returned, all
        states. If false, the batch is first and time second.
      return_all_states: whether to return the states after every step, with the axes of the
        outputs, instead of the last state. The core then runs step by step.
      checkpoint_every: number k of steps, >= 1. Only the state of every k-th step is kept for the
        gradients, and the steps in between are run again when the gradients are taken. This takes
        memory for T/k + k instead of T steps, and up to twice the time of the forward pass. Memory
        is smallest for k near sqrt(T). The core must be repeatable, so it must not contain dropout
        other than `dnc.Dropout`, or batch normalisation in training. `None` runs no step again.
      training: passed on to a core with a parameter `training` or `is_training`, such as a
        `dnc.DNC`, which passes it on to its controller. An `snt.DeepRNN` has none. `None` leaves
        the core's own default.
      implementation: "steps" calls the core once per step. "fused" requires the fused
        implementation. "auto" uses it if possible. If the parts of a core with a `dnc.DNC` in it
        make it impossible in a graph, one warning states the reason.

    Returns:
      The outputs [T, B, ...] (a nest, if the core's are) and the state after the last step.

    Raises:
      ValueError: if inputs, `sequence_length` or `reset` do not fit together, a length is negative
        or larger than T, or the state is not one of this core; if `checkpoint_every` is not a
        positive integer, given where T is not known, or the core draws random numbers or assigns
        variables; if the core depends on a trainable variable that is not among its
        `trainable_variables`, such as one of a Keras layer; or if `implementation` is none of the
        three, or "fused" is not possible, as in eager mode. (A graph in which lengths, sizes or
        usage are unknown raises `tf.errors.InvalidArgumentError` when it runs. XLA does not check.
        A graph in which T and B are both unknown cannot run for T = 0.)
    """
    if implementation not in IMPLEMENTATIONS:
        raise ValueError(
            f'implementation must be "auto", "fused" or "steps", got {implementation!r}.'
        )
    given = _check(core, inputs, initial_state, sequence_length, reset, time_major)
    sequence = _reverse_steps(given.sequence, given.lengths) if reverse else given.sequence
    if checkpoint_every is not None:
        checkpoint_every = validation.check_checkpoint_every(checkpoint_every, given.num_steps)

    has_steps = tf.get_static_value(given.num_steps) != 0
    output_spec = None
    if checkpoint_every is not None or not has_steps or not tf.executing_eagerly():
        output_spec = output_spec_of(core, sequence["inputs"], given.dtype, training)
    takes_fused = has_steps and is_fused(
        core, implementation, sequence["inputs"], given.dtype, return_all_states, training
    )

    def run(sequence: Any, state: Any, fresh_state: Any) -> tuple[Any, Any]:
        arguments = (core, sequence, state, fresh_state, given.state_like)
        if takes_fused:
            outputs, last = unroll_fused(*arguments, given.dtype, training)
            return (outputs, ()), last
        return unroll_steps(*arguments, output_spec, return_all_states, training)

    run_all: Run = run
    if checkpoint_every is not None and has_steps:
        if not (takes_fused and isinstance(core, DNC)):  # A DNC that is fused was checked.
            _cores.check_repeatable(core, step_spec(sequence["inputs"]), given.dtype, training)
        step_results = (output_spec, given.state if return_all_states else ())
        run_all = checkpointed(run, checkpoint_every, step_results)
    (outputs, states), last = run_all(sequence, given.state, given.fresh_state)

    results = (outputs, states)
    if reverse:
        results = _reverse_steps(results, given.lengths)
    if not time_major:
        results = _swap_time_and_batch(results)
    outputs, states = results
    return outputs, _nests.with_none(states if return_all_states else last, given.state_like)


def bidirectional_unroll(
    forward: snt.RNNCore,
    backward: snt.RNNCore,
    inputs: Any,
    initial_states: Any = None,
    *,
    sequence_length: Any = None,
    time_major: bool = True,
    checkpoint_every: int | None = None,
    training: bool | None = None,
    implementation: str = "auto",
) -> tuple[Any, tuple[Any, Any]]:
    """Runs one core from the first step to the last and another from the last to the first.

        >>> import dnc
        >>> cores = [dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(8), 2), snt.LSTM(6)]
        >>> sequence = tf.random.normal([7, 3, 5])  # time, batch, input width
        >>> outputs, states = bidirectional_unroll(*cores, sequence, sequence_length=[7, 2, 4])
        >>> outputs.shape
        TensorShape([7, 3, 8])

    Args:
      forward: any `snt.RNNCore`.
      backward: another one, whose outputs have the same structure.
      inputs: [T, B, ...], or a nest of such tensors, as for `unroll`.
      initial_states: a pair of initial states, each of which may be `None`; by default the states
        that the cores return.
      sequence_length: [B], integers in 0..T: the number of steps of each example. The second core
        starts from the last of them. All T by default.
      time_major: whether time is the first axis of inputs and outputs, or the second.
      checkpoint_every: see `unroll`.
      training: see `unroll`.
      implementation: see `unroll`.

    Returns:
      The outputs of both at each time step, concatenated along the last axis, [T, B, Y1 + Y2], and
      the pair of their last states. The second of these is the state after the first time step.

    Raises:
      ValueError: as for `unroll`; or if `initial_states` is not a pair.
    """
    first, second = _check_pair(initial_states)
    options: dict[str, Any] = {
        "sequence_length": sequence_length,
        "time_major": time_major,
        "checkpoint_every": checkpoint_every,
        "training": training,
        "implementation": implementation,
    }
    outputs, last = unroll(forward, inputs, first, **options)
    other_outputs, other_last = unroll(backward, inputs, second, reverse=True, **options)
    joined = tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=-1), outputs, other_outputs)
    return joined, (last, other_last)


class _Given(NamedTuple):
    """Checked arguments of `unroll`: time-major tensors."""

    sequence: dict[str, Any]  # `inputs`; with lengths also `running`, if given also `reset`
    state: Any  # before the first step, with () in place of each `None`
    fresh_state: Any  # also with () in place of `None`
    state_like: Any  # a state with its `None`
    lengths: Any  # [B], int32, or `None`
    num_steps: Any
    dtype: tf.DType | None  # of inputs or state, if these were tensors


def _check(
    core: snt.RNNCore,
    given_inputs: Any,
    initial_state: Any,
    lengths: Any,
    reset: Any,
    time_major: bool,
) -> _Given:
    inputs = validation.to_tensors(given_inputs)
    num_steps, batch_size = validation.check_inputs(core, inputs, time_major)
    if lengths is not None:
        lengths = validation.check_sequence_length(lengths, num_steps, batch_size)
    if reset is not None:
        reset = validation.check_reset(reset, num_steps, batch_size, time_major)

    floating_dtype = validation.floating_dtype
    dtype = floating_dtype(given_inputs) or floating_dtype(initial_state)
    state_like = state = fresh_state = _cores.initial_state(core, batch_size, dtype)
    if initial_state is not None:
        state = validation.check_state(core, initial_state, fresh_state)
        fresh_state = with_keys_of(fresh_state, state)
    state, fresh_state = _nests.without_none(state), _nests.without_none(fresh_state)
    if lengths is not None or reset is not None:
        validation.check_batched(state)

    inputs = validation.to_tensors(given_inputs, dtype or floating_dtype(fresh_state))
    sequence = {"inputs": inputs} | ({} if reset is None else {"reset": reset})
    if not time_major:
        sequence = _swap_time_and_batch(sequence)
    if lengths is not None:
        sequence = _mask(sequence, lengths, num_steps)
    return _Given(sequence, state, fresh_state, state_like, lengths, num_steps, dtype)


def _mask(sequence: dict[str, Any], lengths: tf.Tensor, num_steps: Any) -> dict[str, Any]:
    """Returns the sequence with `running` [T, B] in it, and with zeros in the padding.

    Padding may be infinite, and so may the gradients of its unused results.
    """
    running = tf.range(num_steps)[:, tf.newaxis] < lengths
    inputs = sequence["inputs"]
    inputs = _nests.where(running, inputs, _nests.zeros_like(inputs))
    return {**sequence, "inputs": inputs, "running": running}


def _check_pair(states: Any) -> tuple[Any, Any]:
    if states is None:
        return None, None
    if not isinstance(states, (tuple, list)) or len(states) != 2:
        raise ValueError(
            "initial_states must be a pair: the initial states of the forward and of the backward "
            f"core, got {states!r}."
        )
    return states[0], states[1]


def _reverse_steps(x: Any, lengths: tf.Tensor | None) -> Any:
    """Reverses the steps of each example in a nest [T, B, ...]; the padding stays last."""

    def reverse(part: tf.Tensor) -> tf.Tensor:
        if lengths is None:
            return tf.reverse(part, [0])
        return tf.reverse_sequence(part, lengths, seq_axis=0, batch_axis=1)

    return tf.nest.map_structure(reverse, x)


def _swap_time_and_batch(x: Any) -> Any:
    def swap(part: tf.Tensor) -> tf.Tensor:
        if part.shape.rank < 2:  # Without a batch axis.
            return part
        return tf.transpose(part, [1, 0, *range(2, part.shape.rank)])

    return tf.nest.map_structure(swap, x)
