"""The choice between the steps of a core and the fused implementation, and the latter's use.

The fused implementation runs a `dnc.DNC`. An `snt.DeepRNN` with DNCs among its layers is taken
apart: its layers run one after the other, each over the whole sequence.
"""

import warnings
import weakref
from typing import Any

import sonnet as snt
import tensorflow as tf

from dnc import _cores, _nests
from dnc.controllers import ClippedSignal, EmbeddedInputs, FeedForward, InputsOnly
from dnc.core import DNC, is_observed
from dnc.unrolling import fused, layers
from dnc.unrolling.steps import output_spec_of, unroll_steps

IMPLEMENTATIONS = ("auto", "fused", "steps")

_warned_of: weakref.WeakKeyDictionary[snt.RNNCore, set[str]] = weakref.WeakKeyDictionary()


def is_fused(
    core: snt.RNNCore,
    implementation: str,
    dtype: tf.DType | None,
    return_all_states: bool,
    training: bool | None,
) -> bool:
    """Whether to run a core by the fused implementation.

    Where "auto" falls back to the steps of a core because of what the core is made of, a warning
    says why, once for each core and reason.

    Args:
      core: a core that was called before.
      implementation: one of `IMPLEMENTATIONS`.
      dtype: as for `_cores.run_on_zeros`.
      return_all_states: whether all states are to be returned.
      training: see `dnc.unroll`.

    Raises:
      ValueError: if "fused" is not possible.
    """
    if implementation == "steps":
        return False
    reason: str | None
    remedy = 'Pass implementation="steps"'
    if tf.executing_eagerly():
        reason, remedy = "it is called in eager mode", "Call it in a tf.function"
    elif return_all_states:
        reason = "return_all_states=True needs every step"
    elif is_observed():
        reason = "an observer needs every step"
    elif not _has_dnc(core):
        reason = "there is no dnc.DNC in it"
    else:
        reason = reason_against(core, dtype, training)
        if reason is not None and implementation == "auto":
            _warn_once(core, reason)
    if reason is not None and implementation == "fused":
        raise ValueError(
            f'dnc.unroll cannot run {core.name} with implementation="fused": {reason}. {remedy}.'
        )
    return reason is None


def reason_against(
    core: snt.RNNCore, dtype: tf.DType | None, training: bool | None = None
) -> str | None:
    """Returns why the DNCs in a core cannot run by the fused implementation; `None` if they can.

    Args:
      core: a core that was called before.
      dtype: as for `_cores.run_on_zeros`.
      training: see `dnc.unroll`.
    """
    if isinstance(core, DNC):
        return _reason_against_dnc(core, dtype, training)
    if not _has_dnc(core):
        return None  # A layer like any other, which runs by its steps.
    if type(core) is not snt.DeepRNN:
        return f"a {type(core).__name__} around its dnc.DNC may compute anything"
    if _cores.has_custom_getter(core):
        return "a custom variable getter is active"
    for layer in core._layers:
        if isinstance(layer, snt.RNNCore):
            reason = reason_against(layer, dtype)
            if reason is not None:
                return reason
        elif not layers.treats_rows_alone(layer):
            name = getattr(layer, "__name__", type(layer).__name__)
            return f"its layer {name} is not known to treat each example and step alone"
    return None


def unroll_fused(
    core: snt.RNNCore,
    sequence: dict[str, Any],
    state: Any,
    fresh_state: Any,
    state_like: Any,
    dtype: tf.DType | None,
) -> tuple[Any, Any]:
    """Returns outputs and last state of a core, which there must be no `reason_against`.

    Arguments are those of `unroll_steps`; `dtype` is as for `_cores.run_on_zeros`.
    """
    if isinstance(core, DNC):
        return fused.unroll(core, sequence, state, fresh_state)
    if not _has_dnc(core):
        spec = output_spec_of(core, sequence["inputs"], dtype)
        (outputs, _), last = unroll_steps(core, sequence, state, fresh_state, state_like, spec)
        return outputs, last

    x, last_states = sequence["inputs"], []
    states = zip(state, fresh_state, state_like, strict=True)
    for layer in core._layers:
        if isinstance(layer, snt.RNNCore):
            x, last = unroll_fused(layer, {**sequence, "inputs": x}, *next(states), dtype)
            last_states.append(last)
        else:
            x = layers.apply_to_all_steps(layer, x)
    if "running" in sequence:
        x = _nests.where(sequence["running"], x, _nests.zeros_like(x))
    return x, tuple(last_states)


def _has_dnc(core: snt.RNNCore) -> bool:
    return any(isinstance(part, DNC) for part in (core, *core.submodules))


def _reason_against_dnc(core: DNC, dtype: tf.DType | None, training: bool | None) -> str | None:
    state = _cores.initial_state(core, 1, dtype)
    if any(part is None for part in tf.nest.flatten(state)):
        return "its state contains None"
    if training is not None and _uses_training(core):
        return f"it may depend on training={training}"
    inputs = tf.TensorSpec([None, core.input_size], state.access_output.dtype)
    return fused.reason_against(core, inputs, dtype)


# The attributes that `training` is passed on to.
_INNER = {
    DNC: ("controller", "output_linear"),
    ClippedSignal: ("core",),
    EmbeddedInputs: ("core",),
    FeedForward: ("_network",),
    InputsOnly: ("core",),
}


def _uses_training(module: Any) -> bool:
    """Whether `training` may make a difference to a module."""
    inner = _INNER.get(type(module))
    if inner is None:
        return _cores.takes_training(module)
    return any(_uses_training(getattr(module, name)) for name in inner)


def _warn_once(core: snt.RNNCore, reason: str) -> None:
    reasons = _warned_of.setdefault(core, set())
    if reason in reasons:
        return
    reasons.add(reason)
    warnings.warn(
        f"dnc.unroll falls back to the step-by-step loop for {core.name}: {reason}. Pass "
        'implementation="steps" to choose that loop without this warning.',
        stacklevel=4,  # The caller of dnc.unroll.
    )
