"""The steps of a core, one after another."""

import functools
from collections.abc import Callable
from typing import Any

import sonnet as snt
import tensorflow as tf

from dnc import _cores, _nests
from dnc.unrolling.loops import scan


def unroll_steps(
    core: snt.RNNCore,
    sequence: dict[str, Any],
    state: Any,
    fresh_state: Any,
    state_like: Any,
    output_spec: Any | None,
    keep_states: bool = False,
    training: bool | None = None,
) -> tuple[tuple[Any, Any], Any]:
    """Runs a core by calling it once per step.

    Args:
      core: any `snt.RNNCore`.
      sequence: `inputs`, a nest of tensors [T, B, ...]; if given, `running` and `reset`, [T, B]
        booleans.
      state: state before the first step, with () in place of `None`.
      fresh_state: state to restart from where `reset` is true, also with () in place of `None`.
      state_like: a state of the core, with its `None`.
      output_spec: see `scan`.
      keep_states: whether to return all states.
      training: see `_cores.call_with_training`.

    Returns:
      The outputs and the states of all steps, or () in place of the states; the last state.
    """
    call = functools.partial(_cores.call_without_none, core, state_like, training=training)
    step = functools.partial(_step, call, fresh_state)
    return scan(step, state, sequence, output_spec, keep_states)


def output_spec_of(
    core: snt.RNNCore, inputs: Any, dtype: tf.DType | None, training: bool | None = None
) -> Any:
    """Returns `tf.TensorSpec`s of the core's output at one step, and creates its variables.

    Args:
      core: any `snt.RNNCore`.
      inputs: nest of tensors [T, B, ...].
      dtype: as for `_cores.run_on_zeros`.
      training: as for `_cores.run_on_zeros`.
    """
    example, _ = _cores.run_on_zeros(core, step_spec(inputs), dtype, training)
    batch_size = tf.nest.flatten(inputs)[0].shape[1]
    return tf.nest.map_structure(
        lambda x: tf.TensorSpec([batch_size, *x.shape[1:]], x.dtype), example
    )


def step_spec(inputs: Any) -> Any:
    """Returns `tf.TensorSpec`s [B, ...] of one step of inputs [T, B, ...]."""
    return tf.nest.map_structure(lambda x: tf.TensorSpec(x.shape[1:], x.dtype), inputs)


def _step(
    call: Callable[..., Any], fresh_state: Any, x: dict[str, Any], state: Any
) -> tuple[Any, Any]:
    """Performs one step of a core, called by `call`, with the masks in `x`, if there are any."""
    started = _nests.where(x["reset"], fresh_state, state) if "reset" in x else state
    outputs, next_state = call(x["inputs"], started)
    if "running" in x:
        outputs = _nests.where(x["running"], outputs, _nests.zeros_like(outputs))
        next_state = _nests.where(x["running"], next_state, state)
    return outputs, next_state
