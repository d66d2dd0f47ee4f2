"""Loops over the time steps of a sequence."""

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from dnc import _nests

# Maps an entry of a sequence and the state to an output and the next state.
Step = Callable[[Any, Any], tuple[Any, Any]]


def scan(
    step: Step, state: Any, sequence: Any, output_spec: Any | None, keep_states: bool
) -> tuple[tuple[Any, Any], Any]:
    """Runs `step` on each entry of a sequence.

    Args:
      step: maps an entry and the state to an output and the next state.
      state: state before the first step.
      sequence: nest of tensors [T, ...].
      output_spec: nest of `tf.TensorSpec`s of the output of `step`; needed in a graph and where the
        sequence is empty, else `None`.
      keep_states: whether to return all states.

    Returns:
      The outputs and the states of all steps, or () in place of the states; the last state.
    """
    if tf.nest.flatten(sequence)[0].shape[0] == 0:
        return _no_steps(state, sequence, output_spec, keep_states), state
    loop = python_loop if tf.executing_eagerly() else graph_loop
    return loop(step, state, sequence, output_spec, keep_states)


def python_loop(
    step: Step, state: Any, sequence: Any, output_spec: Any, keep_states: bool
) -> tuple[tuple[Any, Any], Any]:
    """Runs `scan` as a loop in Python, which records all steps on the tape."""
    del output_spec
    outputs, states = [], []
    for t in range(_nests.length(sequence)):
        output, state = step(_nests.at(sequence, t), state)
        outputs.append(output)
        states.append(state if keep_states else ())
    stack = functools.partial(tf.nest.map_structure, lambda *parts: tf.stack(parts))
    return (stack(*outputs), stack(*states)), state


def graph_loop(
    step: Step, state: Any, sequence: Any, output_spec: Any, keep_states: bool
) -> tuple[tuple[Any, Any], Any]:
    """Runs `scan` as a loop of TensorFlow."""
    num_steps = _nests.length(sequence)
    arrays = tf.nest.map_structure(
        lambda x: tf.TensorArray(x.dtype, num_steps).unstack(x), sequence
    )

    def body(t: tf.Tensor, state: Any, outputs: Any, states: Any) -> tuple[Any, Any, Any, Any]:
        inputs = tf.nest.map_structure(lambda array: array.read(t), arrays)
        output, next_state = step(inputs, state)
        tf.nest.map_structure(lambda new, old: new.set_shape(old.shape), next_state, state)
        outputs = _nests.write(outputs, t, output)
        states = _nests.write(states, t, next_state) if keep_states else states
        return t + 1, next_state, outputs, states

    _, state, outputs, states = tf.while_loop(
        lambda t, *_: t < num_steps,
        body,
        (
            tf.constant(0),
            state,
            _nests.arrays_like(output_spec, num_steps),
            _nests.arrays_like(state, num_steps) if keep_states else (),
        ),
        maximum_iterations=num_steps,
        parallel_iterations=1,  # Each step needs the one before.
    )
    return (_nests.stack(outputs), _nests.stack(states)), state


def _no_steps(state: Any, sequence: Any, output_spec: Any, keep_states: bool) -> tuple[Any, Any]:
    """Returns outputs and states of no steps. (An empty array of unknown size has no shape.)"""
    batch_size = tf.shape(tf.nest.flatten(sequence)[0])[1]
    empty = functools.partial(
        tf.nest.map_structure, lambda x: tf.zeros([0, batch_size, *x.shape[1:]], x.dtype)
    )
    return empty(output_spec), empty(state) if keep_states else ()
