"""Loops over the time steps of a sequence."""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from dnc import _nests
from dnc.unrolling.derivatives import gradients

Step = Callable[[Any, Any], tuple[Any, Any]]
# From a sequence, the state before it, and the state to start anew from; to what comes out of its
# steps, and the state after it.
Run = Callable[[Any, Any, Any], tuple[Any, Any]]


def scan(
    step: Step, state: Any, sequence: Any, output_spec: Any | None, keep_states: bool
) -> tuple[tuple[Any, Any], Any]:
    """Runs `step` on each entry of a sequence.

    Args:
      step: maps an entry and the state to an output and the next state.
      state: before the first step.
      sequence: nest of tensors [T, ...].
      output_spec: what `step` returns as its output, for a loop in a graph; `None` for a loop in
        Python.
      keep_states: whether all states are wanted.

    Returns:
      The outputs and, if wanted, the states of all steps, else (); the last state.
    """
    if output_spec is None:
        return _python_loop(step, state, sequence, keep_states)
    return _graph_loop(step, state, sequence, output_spec, keep_states)


def checkpointed(run: Run, every: int, spec: Any) -> Run:
    """Returns `run`, but so that only the state of every so many steps is kept for the gradients.

    Args:
      run: what to run on each segment.
      every: number of steps of a segment.
      spec: what comes out of one step of `run`.
    """

    def run_in_segments(sequence: Any, state: Any, fresh_state: Any) -> tuple[Any, Any]:
        num_steps = tf.nest.flatten(sequence)[0].shape[0]
        num_segments, rest = divmod(num_steps, every)
        results: list[Any] = []
        join = functools.partial(_nests.reshape_first, num_axes=2, sizes=[-1])
        for number, length in ((num_segments, every), (min(rest, 1), rest)):
            if number == 0:
                continue
            begin = num_steps - number * length if results else 0
            split = functools.partial(_nests.reshape_first, num_axes=1, sizes=[number, length])
            segments = tf.nest.map_structure(
                lambda x, split=split, i=begin, j=begin + number * length: split(x[i:j]), sequence
            )
            segment_spec = tf.nest.map_structure(
                lambda x, k=length: tf.TensorSpec([k, *x.shape], x.dtype), spec
            )
            outputs, state = _run_segments(run, segment_spec, segments, state, fresh_state)
            results.append(tf.nest.map_structure(join, outputs))
        return tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0), *results), state

    return run_in_segments


def _run_segments(
    run: Run, spec: Any, segments: Any, state: Any, fresh_state: Any
) -> tuple[Any, Any]:
    """Runs one segment after the other, and each again when gradients are taken.

    Not by `tf.recompute_grad` in a loop: TensorFlow cannot differentiate that loop when there are
    variables in it.

    Args:
      run: what to run on each.
      spec: what comes out of a segment.
      segments: nest of tensors [S, k, ...].
      state: before the first segment.
      fresh_state: passed on to `run`.

    Returns:
      What comes out of all segments, [S, k, ...], and the last state.
    """
    num_segments = tf.nest.flatten(segments)[0].shape[0]
    arguments = (segments, state, fresh_state)

    @tf.custom_gradient
    def run_all(*given: tf.Tensor) -> tuple[list[tf.Tensor], Any]:
        segments, state, fresh_state = _with_floating(arguments, given)

        def step(segment: Any, state: Any) -> tuple[Any, Any]:
            return run(segment, state, fresh_state)

        (outputs, states), last = _graph_loop(step, state, segments, spec, keep_states=True)
        starts = tf.nest.map_structure(
            lambda first, x: tf.concat([first[tf.newaxis], x[:-1]], axis=0), state, states
        )
        results = (outputs, last)
        structure.append(results)

        def gradient(*d_results: tf.Tensor, variables: Any = None) -> Any:
            variables = variables or []
            d_outputs, d_last = tf.nest.pack_sequence_as(results, d_results)
            d_outputs = _floating(d_outputs)

            def body(
                s: tf.Tensor, d_state: Any, d_fresh: Any, d_variables: Any, arrays: Any
            ) -> Any:
                again = (_nests.at(segments, s), _nests.at(starts, s), fresh_state)
                sources = _floating(again)
                found = gradients(
                    lambda *parts: _floating(run(*_with_floating(again, parts))),
                    sources,
                    [*_nests.at(d_outputs, s), *d_state],
                    variables,
                )
                sizes = [len(_floating(part)) for part in again]
                d_segment, d_state, d_fresh_now, d_variables_now = _cut(found, sizes)
                return (
                    s - 1,
                    d_state,
                    _nests.add(d_fresh, d_fresh_now),
                    _nests.add(d_variables, d_variables_now),
                    _nests.write(arrays, s, d_segment),
                )

            segment_spec = [tf.TensorSpec(x.shape[1:], x.dtype) for x in _floating(segments)]
            _, d_state, d_fresh, d_variables, arrays = tf.while_loop(
                lambda s, *_: s >= 0,
                body,
                (
                    tf.constant(num_segments - 1),
                    _floating(d_last),
                    _nests.zeros_like(_floating(fresh_state)),
                    [tf.zeros_like(variable) for variable in variables],
                    _nests.arrays_like(segment_spec, num_segments),
                ),
                maximum_iterations=num_segments,
                parallel_iterations=1,
            )
            by_arguments = [*_nests.stack(arrays), *d_state, *d_fresh]
            return (by_arguments, d_variables) if variables else by_arguments

        return tf.nest.flatten(results), gradient

    structure: list[Any] = []
    flat = run_all(*_floating(arguments))
    return tf.nest.pack_sequence_as(structure[0], flat)


def _floating(nest: Any) -> list[tf.Tensor]:
    return [part for part in tf.nest.flatten(nest) if part.dtype.is_floating]


def _with_floating(nest: Any, floating: Sequence[tf.Tensor]) -> Any:
    """The nest with other parts of floating point."""
    others = iter(floating)
    return tf.nest.map_structure(lambda x: next(others) if x.dtype.is_floating else x, nest)


def _cut(parts: list[Any], sizes: Sequence[int]) -> list[list[Any]]:
    """Lists of the given sizes, and what is left."""
    ends = list(itertools.accumulate(sizes, initial=0))
    return [parts[i:j] for i, j in zip(ends, [*ends[1:], len(parts)], strict=True)]


def _python_loop(
    step: Step, state: Any, sequence: Any, keep_states: bool
) -> tuple[tuple[Any, Any], Any]:
    outputs, states = [], []
    for t in range(tf.nest.flatten(sequence)[0].shape[0]):
        output, state = step(tf.nest.map_structure(lambda x, t=t: x[t], sequence), state)
        outputs.append(output)
        states.append(state if keep_states else ())
    stack = functools.partial(tf.nest.map_structure, lambda *parts: tf.stack(parts))
    return (stack(*outputs), stack(*states)), state


def _graph_loop(
    step: Step, state: Any, sequence: Any, output_spec: Any, keep_states: bool
) -> tuple[tuple[Any, Any], Any]:
    any_part = tf.nest.flatten(sequence)[0]
    num_steps = _nests.length(sequence)
    if any_part.shape[0] == 0:  # An empty array of unknown batch size has no shape.
        batch_size = tf.shape(any_part)[1]
        none = functools.partial(
            tf.nest.map_structure, lambda x: tf.zeros([0, batch_size, *x.shape[1:]], x.dtype)
        )
        return (none(output_spec), none(state) if keep_states else ()), state

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
