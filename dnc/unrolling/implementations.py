"""The choice between the steps of a core and the fused implementation, and use of the latter.

The fused implementation runs a `dnc.DNC`. An `snt.DeepRNN` with DNCs among its layers is taken
apart: its layers run one after another, each over the whole sequence. Cores side by side are also
taken apart.
"""

import warnings
import weakref
from typing import Any

import sonnet as snt
import tensorflow as tf

from dnc import _cores, _nests
from dnc.core import DNC
from dnc.parallel import Parallel
from dnc.unrolling import fused, layers
from dnc.unrolling.steps import output_spec_of, step_spec, unroll_steps

IMPLEMENTATIONS = ("auto", "fused", "steps")

_warned_of: weakref.WeakKeyDictionary[snt.RNNCore, set[str]] = weakref.WeakKeyDictionary()


def is_fused(
    core: snt.RNNCore,
    implementation: str,
    inputs: Any,
    dtype: tf.DType | None,
    return_all_states: bool,
    training: bool | None,
) -> bool:
    """Whether to run a core by the fused implementation.

    If "auto" falls back to the steps of a core because of its parts, a warning states the reason,
    once for each core and reason.

    Args:
      core: a core that has its variables.
      implementation: one of `IMPLEMENTATIONS`.
      inputs: nest of tensors [T, B, ...].
      dtype: as for `_cores.run_on_zeros`.
      return_all_states: whether all states are to be returned.
      training: see `dnc.unroll`.

    Raises:
      ValueError: if "fused" is not possible.
    """
    if implementation == "steps":
        return False
    reason, remedy = None, 'pass implementation="auto" or "steps"'
    if tf.executing_eagerly():
        reason, remedy = "eager mode", f"call dnc.unroll in a tf.function, or {remedy}"
    elif return_all_states:
        reason = "return_all_states=True"
    elif not _has_dnc(core):
        reason = "a core without a dnc.DNC"
    else:
        reason = reason_against(core, step_spec(inputs), dtype, training)
        if reason is not None and implementation == "auto":
            _warn_once(core, reason)
    if reason is not None and implementation == "fused":
        raise ValueError(
            f'dnc.unroll cannot run {core.name} with implementation="fused", which does not '
            f"support {reason}: {remedy}."
        )
    return reason is None


def reason_against(
    core: snt.RNNCore, inputs: Any, dtype: tf.DType | None, training: bool | None = None
) -> str | None:
    """Returns the part of a core that the fused implementation does not support, or `None`.

    Args:
      core: a core that has its variables.
      inputs: inputs of one step, a nest of `tf.TensorSpec`s [B, ...].
      dtype: as for `_cores.run_on_zeros`.
      training: see `dnc.unroll`.
    """
    reason = _reason_against(core)
    dncs = (part for part in (core, *core.submodules) if type(part) is DNC)
    if reason is not None or not any(map(fused.recomputes, dncs)):
        return reason
    operation = _cores.not_repeatable(core, inputs, dtype, training)
    return operation and f"{operation}, which does not do the same when it runs again"


def unroll_fused(
    core: snt.RNNCore,
    sequence: dict[str, Any],
    state: Any,
    fresh_state: Any,
    state_like: Any,
    dtype: tf.DType | None,
    training: bool | None = None,
) -> tuple[Any, Any]:
    """Returns outputs and last state of a core for which `is_fused` holds.

    Arguments are as for `unroll_steps`; `dtype` is as for `_cores.run_on_zeros`.
    """
    if isinstance(core, DNC):
        return fused.unroll(core, sequence, state, fresh_state, training)
    if not _has_dnc(core):
        spec = output_spec_of(core, sequence["inputs"], dtype)
        (outputs, _), last = unroll_steps(core, sequence, state, fresh_state, state_like, spec)
        return outputs, last

    if isinstance(core, Parallel):
        each = zip(core.cores, state, fresh_state, state_like, strict=True)
        found = [
            unroll_fused(own, sequence, now, fresh, like, dtype, training)
            for own, now, fresh, like in each
        ]
        return tf.concat([y for y, _ in found], axis=-1), tuple(last for _, last in found)

    x, last_states = sequence["inputs"], []
    states = zip(state, fresh_state, state_like, strict=True)
    for layer in core._layers:
        if isinstance(layer, snt.RNNCore):
            # An `snt.DeepRNN` does not pass `training` on.
            x, last = unroll_fused(layer, {**sequence, "inputs": x}, *next(states), dtype)
            last_states.append(last)
        else:
            x = layers.apply_to_all_steps(layer, x)
    if "running" in sequence:
        x = _nests.where(sequence["running"], x, _nests.zeros_like(x))
    return x, tuple(last_states)


def _has_dnc(core: snt.RNNCore) -> bool:
    return any(isinstance(part, DNC) for part in (core, *core.submodules))


def _reason_against(core: snt.RNNCore) -> str | None:
    """Returns the part of a core that the fused implementation does not support, or `None`."""
    if isinstance(core, DNC):
        return fused.reason_against(core)
    if not _has_dnc(core):
        return None  # An ordinary layer, which runs step by step.
    if type(core) not in (snt.DeepRNN, Parallel):
        return f"a {type(core).__name__} around its dnc.DNC"
    if _cores.has_custom_getter(core):
        return "a custom variable getter"
    if isinstance(core, Parallel):
        reasons = map(_reason_against, core.cores)
    else:
        reasons = map(_reason_against_layer, core._layers)
    return next((reason for reason in reasons if reason is not None), None)


def _reason_against_layer(layer: Any) -> str | None:
    if isinstance(layer, snt.RNNCore):
        return _reason_against(layer)
    if layers.treats_rows_alone(layer):
        return None
    is_function = hasattr(layer, "__name__")
    name = f"the function {layer.__name__}" if is_function else f"a {type(layer).__name__}"
    return f"{name} as a layer of an snt.DeepRNN"


def _warn_once(core: snt.RNNCore, reason: str) -> None:
    reasons = _warned_of.setdefault(core, set())
    if reason in reasons:
        return
    reasons.add(reason)
    warnings.warn(
        f"dnc.unroll falls back to the step-by-step loop for {core.name}: the fused implementation "
        f'does not support {reason}. Pass implementation="steps" to choose that loop.',
        stacklevel=4,  # The caller of dnc.unroll.
    )
