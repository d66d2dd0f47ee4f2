"""Descriptions of cores as JSON values, from which a core of the same kind and sizes can be made.

A description is a dict with the name of a class under "class" and the arguments of its constructor.
An argument that is a part is a description itself, and a function is {"function": its name}. A part
that belongs to several cores also has a "shared_id". Values of variables are not included.
"""

import inspect
from collections.abc import Callable, Collection, Mapping, MutableMapping
from typing import Any

import keras
import numpy as np
import sonnet as snt
import tensorflow as tf

from dnc import _checks, _cores
from dnc._version_0_1 import NoLinkageWithModes
from dnc.access import MemoryAccess
from dnc.allocation import Freeness, SoftmaxAllocation
from dnc.content import (
    CosineWeights,
    MaskedCosineWeights,
    UsedCosineWeights,
    UsedMaskedCosineWeights,
    oneplus,
)
from dnc.context import AppendedContext
from dnc.controllers import ClippedSignal, DeepLSTM, EmbeddedInputs, FeedForward, InputsOnly
from dnc.core import DNC
from dnc.initial import LearnedState, LearnedWord
from dnc.linkage import NoLinkage, TemporalLinkage
from dnc.normalization import LayerNormLSTM
from dnc.sharp_links import SharpLinkage
from dnc.sparse_linkage import SparseTemporalLinkage

_CLASSES: dict[str, Any] = {
    kind.__name__: kind
    for kind in (
        *(DNC, MemoryAccess, Freeness, SoftmaxAllocation, LearnedWord),
        *(CosineWeights, UsedCosineWeights, MaskedCosineWeights, UsedMaskedCosineWeights),
        *(TemporalLinkage, SparseTemporalLinkage, SharpLinkage, NoLinkage, NoLinkageWithModes),
        *(snt.LSTM, snt.GRU, LayerNormLSTM, DeepLSTM, FeedForward),
        *(ClippedSignal, EmbeddedInputs, InputsOnly, LearnedState, AppendedContext),
    )
}
_FUNCTIONS: dict[str, Any] = {"softplus": tf.nn.softplus, "oneplus": oneplus}

# Class of an argument whose description does not name one.
_DEFAULTS = {
    "access": "MemoryAccess",
    "controller": "LSTM",
    "core": "LSTM",
    "linkage": "TemporalLinkage",
    "freeness": "Freeness",
    "write_content": "CosineWeights",
    "read_content": "CosineWeights",
}


def describe(part: Any, shared: Collection[tf.Module] = ()) -> dict[str, Any]:
    """Returns the description of a core or of a part of one.

    The part's `get_config` returns the arguments. A part without this method has an attribute for
    each parameter of its constructor.

    Args:
      part: the core or part: an instance of a class in this package, of `snt.LSTM` or `snt.GRU`, or
        of a class that is registered with Keras.
      shared: modules whose descriptions get a "shared_id".

    Raises:
      ValueError: if `part` or one of its parts or arguments cannot be described.
    """
    name = _name_of(type(part), _CLASSES)
    if name is None:
        raise _cannot_serialize(
            f"A {type(part).__name__}",
            f"classes are {', '.join(_CLASSES)} and classes registered with Keras. Decorate the "
            "class with @keras.saving.register_keras_serializable(package=...), and give it a "
            "method get_config() that returns the arguments of its constructor",
        )
    arguments = {
        key: _to_json(f"{type(part).__name__}({key}={value!r})", value, shared)
        for key, value in _arguments(part).items()
    }
    identity = {"shared_id": id(part)} if part in shared else {}
    return {"class": name, **identity, **arguments}


def make(
    description: Mapping[str, Any], default: str, made: MutableMapping[int, Any] | None = None
) -> Any:
    """Returns the core or part that `describe` described.

    Args:
      description: a description. Without "class" these are the arguments of the `default` class.
      default: name of a class.
      made: shared parts by their "shared_id". Parts already in it are used, others are added. By
        default every description makes new parts.

    Raises:
      ValueError: if the class is unknown or does not accept the arguments.
    """
    arguments = dict(description)
    name, identity = arguments.pop("class", default), arguments.pop("shared_id", None)
    if made is not None and identity in made:
        return made[identity]
    kind = _find("class", name, _CLASSES)
    if kind is DNC:
        arguments.pop("compute_dtype", None)  # An argument of version 0.1.
    if kind is MemoryAccess and {"content_weights", "strength_op"} <= arguments.keys():
        arguments = _of_version_0_1(arguments)
    arguments = {key: _from_json(key, value, made) for key, value in arguments.items()}
    if hasattr(kind, "from_config"):
        part = kind.from_config(arguments)
    else:
        part = _checks.call_with(kind, arguments)
    if made is not None and identity is not None:
        made[identity] = part
    return part


def _of_version_0_1(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the arguments of an access that version 0.1 described, with its `NoLinkage`."""
    linkage = arguments.get("linkage")
    if isinstance(linkage, Mapping) and linkage.get("class") == "NoLinkage":
        linkage = {**linkage, "class": NoLinkageWithModes.__name__}
    return {**arguments, "linkage": linkage}


def _arguments(part: Any) -> Mapping[str, Any]:
    """Returns the arguments that make a part like `part`, by name."""
    if hasattr(part, "get_config"):
        return part.get_config()
    constructor = type(part).__init__
    if constructor in _ARGUMENTS:
        return _ARGUMENTS[constructor](part)
    _, *names = _cores.parameters(constructor)
    names = [name for name in names if name != "name"]
    if missing := [name for name in names if not hasattr(part, name)]:
        raise ValueError(
            f"{type(part).__name__} must have an attribute for each parameter of its constructor, "
            f"but has none for {', '.join(missing)}. Add the attributes, or a method get_config() "
            "that returns the arguments."
        )
    return {name: getattr(part, name) for name in names}


def _arguments_of_dnc(core: DNC) -> dict[str, Any]:
    layer: Any = core.output_linear
    is_default = type(layer) is snt.Linear
    return {
        "access": core.access,
        "controller": core.controller,
        "output_size": layer.output_size if is_default else layer,
        "clip_value": core.clip_value,
        "with_bias": layer.with_bias if is_default else True,
        "bypass_dropout": core.bypass_dropout,
    }


def _arguments_of_access(access: MemoryAccess) -> dict[str, Any]:
    sizes = ("memory_size", "word_size", "num_reads", "num_writes")
    parts = ("write_content", "read_content", "linkage", "freeness")
    return {
        **{name: getattr(access, name) for name in (*sizes, *parts)},
        "with_bias": access.with_bias,
        "layer_norm": access.interface.norm is not None,
        "deallocate": access.deallocate,
        "initial_memory": access.initial_memory,
    }


def _arguments_of_lstm(controller: snt.LSTM) -> dict[str, Any]:
    state = controller.initial_state(1)
    hidden_size, output_size = state.cell.shape[1], state.hidden.shape[1]
    return {
        "hidden_size": hidden_size,
        "projection_size": None if output_size == hidden_size else output_size,
        "dtype": state.cell.dtype,
    }


def _arguments_of_gru(controller: snt.GRU) -> dict[str, Any]:
    state = controller.initial_state(1)
    return {"hidden_size": state.shape[1], "dtype": state.dtype}


# By constructor, because a subclass with the same constructor has the same arguments.
_ARGUMENTS: dict[Any, Callable[[Any], dict[str, Any]]] = {
    DNC.__init__: _arguments_of_dnc,
    MemoryAccess.__init__: _arguments_of_access,
    snt.LSTM.__init__: _arguments_of_lstm,
    snt.GRU.__init__: _arguments_of_gru,
}


def _to_json(what: str, value: Any, shared: Collection[tf.Module]) -> Any:
    """Returns an argument as JSON values. Messages name it `what`."""
    if isinstance(value, tf.Module):
        return describe(value, shared)
    if isinstance(value, tf.DType):
        return value.name
    if isinstance(value, Mapping):
        return {key: _to_json(what, inner, shared) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_to_json(what, inner, shared) for inner in value]
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    name = _name_of(value, _FUNCTIONS) if callable(value) else None
    if name is None:
        raise _cannot_serialize(
            what,
            f"arguments are JSON values, parts, dtypes, the functions {', '.join(_FUNCTIONS)} and "
            "functions registered with Keras. Decorate your own functions with "
            "@keras.saving.register_keras_serializable(package=...)",
        )
    return {"function": name}


def _from_json(key: str, value: Any, made: MutableMapping[int, Any] | None) -> Any:
    """Returns the argument named `key` from the result of `_to_json`."""
    if isinstance(value, Mapping):
        if value.keys() == {"function"}:
            return _find(key, value["function"], _FUNCTIONS)
        if "class" in value or key in _DEFAULTS:
            return make(value, _DEFAULTS.get(key, ""), made)
        return {inner_key: _from_json(inner_key, inner, made) for inner_key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_from_json("", inner, made) for inner in value]
    if key == "dtype" and value is not None:
        return tf.as_dtype(value)
    # Configurations written by hand or by version 0.1 contain names alone.
    if key == "strength_op" and isinstance(value, str):
        return _find(key, value, _FUNCTIONS)
    if key == "content_weights" and isinstance(value, str):
        return _find(key, value, _CLASSES)
    return value


def _name_of(x: Any, known: Mapping[str, Any]) -> str | None:
    """Returns the name of a class or function that is known or registered; `None` for others."""
    for name, named in known.items():
        if x is named:
            return name
    if not hasattr(x, "__name__"):
        return None
    name = keras.saving.get_registered_name(x)
    return name if keras.saving.get_registered_object(name) is x else None


def _find(key: str, name: Any, known: Mapping[str, Any]) -> Any:
    """Returns the class or function that has a name from `_name_of`."""
    found = None
    if isinstance(name, str):
        found = known.get(name) or keras.saving.get_registered_object(name)
    if not (inspect.isclass(found) if known is _CLASSES else callable(found)):
        raise ValueError(
            f"{key} must be one of {', '.join(known)}, or a name registered with Keras, got "
            f"{name!r}. Import the module that registers it first."
        )
    return found


def _cannot_serialize(what: str, supported: str) -> ValueError:
    return ValueError(
        f"{what} cannot be serialized. Supported {supported}. Or give dnc.keras.RNNCell a "
        "registered function that makes the core."
    )
