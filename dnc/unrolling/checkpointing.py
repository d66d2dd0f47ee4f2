"""Back-propagation that keeps only the state of every k-th step.

The steps in between are run again when their gradients are taken. `tf.recompute_grad` in a loop
cannot do this, because TensorFlow does not differentiate such a loop if it reads variables.
"""

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from dnc import _nests
from dnc.unrolling.derivatives import gradients
from dnc.unrolling.loops import graph_loop

# Maps a sequence, the state before it, and the state to restart from, to the outputs of its steps
# (a nest) and the state after it.
Run = Callable[[Any, Any, Any], tuple[Any, Any]]


def checkpointed(run: Run, every: int, spec: Any) -> Run:
    """Returns a function that runs `run` on segments, with the same results and gradients.

    Args:
      run: function to run on each segment.
      every: number k >= 1 of steps of a segment; the last segment may be shorter.
      spec: nest of `tf.TensorSpec`s (or tensors) of the outputs of one step.
    """

    def run_in_segments(sequence: Any, state: Any, fresh_state: Any) -> tuple[Any, Any]:
        results = []
        for segments in _split(sequence, every):
            outputs, state = _run_segments(run, spec, segments, state, fresh_state)
            results.append(outputs)
        return tf.nest.map_structure(lambda *parts: tf.concat(parts, axis=0), *results), state

    return run_in_segments


def _split(sequence: Any, length: int) -> list[Any]:
    """Returns the segments of `length` steps, [S, k, ...], and a shorter one at the end, if any."""
    num_steps = _nests.length(sequence)
    begin_of_rest = num_steps - num_steps % length

    def cut(begin: int, end: int, length: int) -> Any:
        sizes = [(end - begin) // length, length]
        return tf.nest.map_structure(
            lambda x: _nests.reshape_first(x[begin:end], 1, sizes), sequence
        )

    groups = [(0, begin_of_rest, length), (begin_of_rest, num_steps, num_steps % length)]
    return [cut(begin, end, size) for begin, end, size in groups if begin < end]


def _run_segments(
    run: Run, spec: Any, segments: Any, state: Any, fresh_state: Any
) -> tuple[Any, Any]:
    """Runs one segment after another, and each again when gradients are taken.

    Args:
      run: function to run on each.
      spec: as for `checkpointed`.
      segments: nest of tensors [S, k, ...].
      state: state before the first segment.
      fresh_state: passed on to `run`.

    Returns:
      The outputs of the steps of all segments, [S k, ...], and the last state.
    """
    arguments = (segments, state, fresh_state)

    @tf.custom_gradient
    def run_all(*given: tf.Tensor) -> tuple[list[tf.Tensor], Any]:
        segments, state, fresh_state = _with_floating(arguments, given)
        outputs, starts, last = _forward(run, spec, segments, state, fresh_state)

        def gradient(*d_results: tf.Tensor, variables: Any = None) -> Any:
            d_outputs, d_last = tf.nest.pack_sequence_as((outputs, last), d_results)
            d_arguments, d_variables = _backward(
                run, (segments, starts, fresh_state), d_outputs, d_last, variables or []
            )
            return (d_arguments, d_variables) if variables else d_arguments

        return tf.nest.flatten((outputs, last)), gradient

    results = run_all(*_floating(arguments))
    outputs, last = tf.nest.pack_sequence_as((spec, state), results)
    join = functools.partial(_nests.reshape_first, num_axes=2, sizes=[-1])
    return tf.nest.map_structure(join, outputs), last


def _forward(
    run: Run, spec: Any, segments: Any, state: Any, fresh_state: Any
) -> tuple[Any, Any, Any]:
    """Returns the outputs of all segments, the states before each segment, and the last state."""
    length = tf.nest.flatten(segments)[0].shape[1]
    segment_spec = tf.nest.map_structure(lambda x: tf.TensorSpec([length, *x.shape], x.dtype), spec)
    (outputs, states), last = graph_loop(
        lambda segment, state: run(segment, state, fresh_state),
        state,
        segments,
        segment_spec,
        keep_states=True,
    )
    starts = tf.nest.map_structure(
        lambda first, x: tf.concat([first[tf.newaxis], x[:-1]], axis=0), state, states
    )
    return outputs, starts, last


def _backward(
    run: Run, kept: tuple[Any, Any, Any], d_outputs: Any, d_last: Any, variables: Sequence[Any]
) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
    """Takes the gradients of all segments, the last segment first.

    Args:
      run: function that was run on each.
      kept: the segments, the states before each, and the fresh state.
      d_outputs: gradients w.r.t. the outputs of the segments, [S, k, ...].
      d_last: gradients w.r.t. the last state.
      variables: variables that `run` reads.

    Returns:
      The gradients w.r.t. the floating-point parts of segments, first state and fresh state, and
      w.r.t. the variables.
    """
    segments, starts, fresh_state = kept
    num_segments = _nests.length(segments)
    d_outputs = _floating(d_outputs)

    def body(s: tf.Tensor, d_state: Any, d_fresh: Any, d_variables: Any, arrays: Any) -> Any:
        d_segment, d_state, d_fresh_now, d_variables_now = _segment_gradients(
            run,
            (_nests.at(segments, s), _nests.at(starts, s), fresh_state),
            [*_nests.at(d_outputs, s), *d_state],
            variables,
        )
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
    return [*_nests.stack(arrays), *d_state, *d_fresh], d_variables


def _segment_gradients(
    run: Run, arguments: tuple[Any, Any, Any], d_results: list[tf.Tensor], variables: Sequence[Any]
) -> list[list[tf.Tensor]]:
    """Runs a segment again to get gradients w.r.t. each of its arguments, and w.r.t. the variables.

    All are lists of floating-point parts.
    """
    found = gradients(
        lambda *given: _floating(run(*_with_floating(arguments, given))),
        _floating(arguments),
        d_results,
        variables,
    )
    parts = iter(found)
    by_argument = [list(itertools.islice(parts, len(_floating(x)))) for x in arguments]
    return [*by_argument, list(parts)]


def _floating(nest: Any) -> list[tf.Tensor]:
    return [part for part in tf.nest.flatten(nest) if part.dtype.is_floating]


def _with_floating(nest: Any, floating: Sequence[tf.Tensor]) -> Any:
    """Returns a nest with its floating-point parts replaced."""
    others = iter(floating)
    return tf.nest.map_structure(lambda x: next(others) if x.dtype.is_floating else x, nest)
