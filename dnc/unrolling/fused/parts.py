"""The parts that the fused unroll stands for, and where a core may have them."""

from typing import Any

import sonnet as snt
import tensorflow as tf

from dnc import _cores
from dnc.access import MemoryAccess
from dnc.allocation import Freeness
from dnc.content import CosineWeights, UsedCosineWeights, oneplus
from dnc.controllers import ClippedSignal, DeepLSTM, EmbeddedInputs, FeedForward, InputsOnly
from dnc.core import DNC
from dnc.interface import Interface
from dnc.linkage import NoLinkage, TemporalLinkage
from dnc.sparse_linkage import SparseTemporalLinkage

# Functions of one tensor, element by element, that depend on nothing else.
_FUNCTIONS = (
    tf.nn.softplus,
    oneplus,
    tf.nn.relu,
    tf.nn.elu,
    tf.exp,
    tf.abs,
    tf.identity,
    tf.tanh,
    tf.sigmoid,
)
_LOOK_UPS = (CosineWeights, UsedCosineWeights)
# They return the same when they are run again with the same arguments, and have no side effects.
_CONTROLLERS = (
    snt.LSTM,
    snt.GRU,
    snt.VanillaRNN,
    DeepLSTM,
    FeedForward,
    ClippedSignal,
    EmbeddedInputs,
    InputsOnly,
)

# For each class, the attributes that hold other parts, and what these may be: instances of exactly
# one of the classes (a subclass may do anything), or one of the functions. No other attribute may
# hold a module, a function or a tensor.
_PARTS: dict[type, dict[str, tuple[Any, ...]]] = {
    DNC: {"access": (MemoryAccess,), "controller": _CONTROLLERS, "output_linear": (snt.Linear,)},
    MemoryAccess: {
        "interface": (Interface,),
        "freeness": (Freeness,),
        "linkage": (TemporalLinkage, SparseTemporalLinkage, NoLinkage),
        "write_content": _LOOK_UPS,
        "read_content": _LOOK_UPS,
    },
    Interface: {"linear": (snt.Linear,)},
    Freeness: {},
    TemporalLinkage: {},
    SparseTemporalLinkage: {},
    NoLinkage: {},
    CosineWeights: {"_strength_op": _FUNCTIONS},
    UsedCosineWeights: {"_strength_op": _FUNCTIONS},
    ClippedSignal: {"core": _CONTROLLERS},
    EmbeddedInputs: {"core": _CONTROLLERS},
    InputsOnly: {"core": _CONTROLLERS},
    DeepLSTM: {"_layers": (snt.DeepRNN.__base__,)},
    snt.DeepRNN.__base__: {"_layers": (snt.LSTM,)},
    FeedForward: {"_network": (snt.nets.MLP,)},
    snt.nets.MLP: {"_layers": (snt.Linear,), "_activation": _FUNCTIONS},
    snt.LSTM: {},
    snt.GRU: {},
    snt.VanillaRNN: {
        "_input_to_hidden": (snt.Linear,),
        "_hidden_to_hidden": (snt.Linear,),
        "_activation": _FUNCTIONS,
    },
    snt.Linear: {},
}


def reason_against(core: DNC) -> str | None:
    """Returns why `core` cannot be unrolled by this package, or `None` if it can.

    This package has gradients of the classes in the table only. Any other part would silently get
    a wrong gradient, so everything that a core holds is checked.
    """
    if type(core) is not DNC:
        return f"a {type(core).__name__} as the core"
    if core.compute_dtype is not None:
        return f"compute_dtype={core.compute_dtype.name}"
    reason = _reason_against_part(core, path="")
    if reason is None and not all(variable.trainable for variable in core.controller.variables):
        reason = "a controller with variables that are not trained"
    return reason


def _reason_against_part(part: snt.Module, path: str) -> str | None:
    kind = type(part)
    if _cores.has_custom_getter(part):
        return "a custom variable getter"
    places = _PARTS[kind]
    for name, value in vars(part).items():
        where = path + name.lstrip("_")
        if hasattr(kind, name):
            return f"a {where} that is not its class's"
        # What TensorFlow keeps for checkpoints, and what is used to create variables only.
        if name.startswith("_self_") or name.endswith("_init"):
            continue
        known = places.get(name, ())
        for held in tf.nest.flatten(value):
            if type(held) in known:
                reason = _reason_against_part(held, f"{where}.")
                if reason is not None:
                    return reason
            elif not any(held is x for x in known) and (known or _may_compute(held)):
                return f"{_name(held)} as {where}"
    return None


def _may_compute(x: Any) -> bool:
    """Whether an attribute is more than plain data and variables."""
    is_tensor = tf.is_tensor(x) and not isinstance(x, tf.Variable)
    return is_tensor or callable(x) or isinstance(x, tf.Module)


def _name(x: Any) -> str:
    if isinstance(x, tf.Module) or not hasattr(x, "__name__"):
        return f"a {type(x).__name__}"
    return f"the function {x.__name__}"
