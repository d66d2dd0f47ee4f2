"""Descriptions of cores as JSON values, to make a core of the same kind and sizes elsewhere.

A description is a dict with the name of the class under "class" and its arguments. A part that
belongs to several cores also has a "shared_id". Values of variables are not included.
"""

from collections.abc import Callable, Collection, Mapping, MutableMapping
from typing import Any

import sonnet as snt
import tensorflow as tf

from dnc import _checks
from dnc.access import MemoryAccess
from dnc.allocation import Freeness
from dnc.content import CosineWeights, UsedCosineWeights, oneplus
from dnc.controllers import ClippedSignal, DeepLSTM, EmbeddedInputs, FeedForward, InputsOnly
from dnc.core import DNC
from dnc.linkage import NoLinkage, TemporalLinkage
from dnc.sparse_linkage import SparseTemporalLinkage

# Functions and classes that a description names where they are arguments.
_NAMED = {
    "softplus": tf.nn.softplus,
    "oneplus": oneplus,
    "CosineWeights": CosineWeights,
    "UsedCosineWeights": UsedCosineWeights,
}


def describe(part: Any, shared: Collection[tf.Module] = ()) -> dict[str, Any]:
    """Returns the description of a core or of a part of one.

    Args:
      part: the core or part.
      shared: modules whose descriptions get a "shared_id".

    Raises:
      ValueError: if `part` is of a kind that cannot be described.
    """
    entry = _KINDS.get(type(part))
    if entry is None:
        raise _cannot_describe(
            f"A {type(part).__name__}", ", ".join(kind.__name__ for kind in _KINDS)
        )
    arguments = {
        name: describe(value, shared) if isinstance(value, tf.Module) else value
        for name, value in entry(part).items()
    }
    identity = {"shared_id": id(part)} if part in shared else {}
    return {"class": type(part).__name__, **identity, **arguments}


def make(
    description: Mapping[str, Any], default: str, made: MutableMapping[int, Any] | None = None
) -> Any:
    """Returns the core or part that `describe` described.

    Args:
      description: a description. Without "class" these are the arguments of the `default` class.
      default: name of a class.
      made: shared parts by their "shared_id": those already in it are used, others are added. By
        default every description makes new parts.

    Raises:
      ValueError: if the class is unknown or the arguments are not its own.
    """
    arguments = dict(description)
    name, identity = arguments.pop("class", default), arguments.pop("shared_id", None)
    if made is not None and identity in made:
        return made[identity]
    kinds = {kind.__name__: kind for kind in _KINDS}
    if name not in kinds:
        raise ValueError(f"class must be one of {', '.join(kinds)}, got {name!r}.")
    for key, value in arguments.items():
        if key in ("strength_op", "content_weights") and isinstance(value, str):
            if value not in _NAMED:
                raise ValueError(f"{key} must be one of {', '.join(_NAMED)}, got {value!r}.")
            arguments[key] = _NAMED[value]
        elif key == "dtype" or key == "compute_dtype":
            arguments[key] = None if value is None else tf.as_dtype(value)
        elif key in _PARTS and isinstance(value, Mapping):
            arguments[key] = make(value, _PARTS[key], made)
    part = _checks.call_with(kinds[name], arguments)
    if made is not None and identity is not None:
        made[identity] = part
    return part


def _cannot_describe(what: str, allowed: str) -> ValueError:
    return ValueError(
        f"{what} cannot be written down as a configuration; what can: {allowed}. To save a model "
        "with another part, give dnc.keras.RNNCell a function that makes the core and is "
        "registered with keras.saving.register_keras_serializable()."
    )


def _name_of(value: Any) -> str:
    for name, named in _NAMED.items():
        if value is named:
            return name
    raise _cannot_describe(repr(value), ", ".join(_NAMED))


def _describe_dnc(core: DNC) -> dict[str, Any]:
    return {
        "access": core.access,
        "controller": core.controller,
        "output_size": core.output_size[0],
        "clip_value": None if core.clip_value is None else float(core.clip_value),
        "with_bias": core.output_linear.with_bias,
        "compute_dtype": None if core.compute_dtype is None else core.compute_dtype.name,
    }


def _describe_access(access: MemoryAccess) -> dict[str, Any]:
    return {
        "memory_size": access.memory_size,
        "word_size": access.word_size,
        "num_reads": access.num_reads,
        "num_writes": access.num_writes,
        "linkage": access.linkage,
        "freeness": access.freeness,
        "content_weights": _name_of(type(access.read_content)),
        "strength_op": _name_of(access.read_content.strength_op),
        "with_bias": access.interface.linear.with_bias,
    }


def _describe_feed_forward(controller: FeedForward) -> dict[str, Any]:
    if controller.sizes is None:
        raise _cannot_describe("A FeedForward of a given network", "those of layer sizes")
    return {"network": list(controller.sizes)}


def _describe_lstm(controller: snt.LSTM) -> dict[str, Any]:
    state = controller.initial_state(1)
    hidden_size, output_size = state.cell.shape[1], state.hidden.shape[1]
    return {
        "hidden_size": hidden_size,
        "projection_size": None if output_size == hidden_size else output_size,
        "dtype": state.cell.dtype.name,
    }


def _describe_gru(controller: snt.GRU) -> dict[str, Any]:
    state = controller.initial_state(1)
    return {"hidden_size": state.shape[1], "dtype": state.dtype.name}


# Arguments by name for each kind, in which parts stand for their own descriptions.
_KINDS: dict[type, Callable[[Any], dict[str, Any]]] = {
    DNC: _describe_dnc,
    MemoryAccess: _describe_access,
    TemporalLinkage: lambda part: {"memory_size": part.memory_size, "num_writes": part.num_writes},
    SparseTemporalLinkage: lambda part: {
        "memory_size": part.memory_size,
        "num_writes": part.num_writes,
        "num_links": part.num_links,
        "num_candidates": part.num_candidates,
    },
    NoLinkage: lambda part: {"memory_size": part.memory_size, "num_writes": part.num_writes},
    Freeness: lambda part: {
        "memory_size": part.memory_size,
        "stop_write_gradient": part.stop_write_gradient,
    },
    snt.LSTM: _describe_lstm,
    snt.GRU: _describe_gru,
    DeepLSTM: lambda part: {"hidden_sizes": list(part.hidden_sizes), "dtype": part.dtype.name},
    FeedForward: _describe_feed_forward,
    ClippedSignal: lambda part: {"core": part.core, "bound": float(part.bound)},
    EmbeddedInputs: lambda part: {
        "core": part.core,
        "input_size": part.input_size,
        "embedding_size": part.embedding_size,
        "dtype": part.embedding.dtype.name,
    },
    InputsOnly: lambda part: {"core": part.core, "input_size": part.input_size},
}

# Arguments that are descriptions themselves, and the default class of each.
_PARTS = {
    "access": "MemoryAccess",
    "controller": "LSTM",
    "core": "LSTM",
    "linkage": "TemporalLinkage",
    "freeness": "Freeness",
}
