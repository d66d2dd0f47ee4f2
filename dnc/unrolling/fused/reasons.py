"""Why a core cannot be unrolled by this package."""

from typing import Any

import tensorflow as tf

from dnc import _cores
from dnc.core import DNC
from dnc.unrolling.fused.loop import FusedUnroll
from dnc.unrolling.fused.registry import is_patched


def reason_against(core: Any, inputs: tf.TensorSpec, dtype: tf.DType | None) -> str | None:
    """Returns why a core cannot be unrolled by this package, or `None` if it can.

    Args:
      core: a core that was called before.
      inputs: the inputs of one step, [B, X].
      dtype: dtype of the initial state; `None` for the core's own.
    """
    if type(core) is not DNC:
        return f"{type(core).__name__} is not dnc.DNC itself, but may compute something else"
    if is_patched(core):
        return "it has a replaced method"
    if any(map(_cores.has_custom_getter, (core, *core.submodules))):
        return "a custom variable getter is active"
    if FusedUnroll(core).recomputes:
        operation = _cores.not_repeatable(core, inputs, dtype)
        if operation is not None:
            return f"a step that runs again would not do the same again, as it has {operation}"
    return None
