"""Keras weights of cores, and the parts that several cores share.

This module imports Keras, so only `dnc.keras` imports it.
"""

import contextlib
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import sonnet as snt
import tensorflow as tf

from dnc import _config

# The Keras variable of each TensorFlow variable, by `id`. All cells share this table, so a core in
# several cells is counted and trained once. A Keras variable keeps its TensorFlow variable alive.
_keras_variables: weakref.WeakValueDictionary[int, keras.Variable] = weakref.WeakValueDictionary()

# All cells. Each has a `core`.
cells: weakref.WeakSet[Any] = weakref.WeakSet()


@contextlib.contextmanager
def outside_of_tracing() -> Iterator[None]:
    """Leaves the graph and stateless scope in which Keras traces a model, to create variables.

    In a stateless scope Keras cannot make a Keras variable from a TensorFlow variable.
    """
    # On exit, a stateless scope restores the scope before it. Without one, it leaves all scopes.
    inner = keras.StatelessScope(initialize_variables=False)
    inner.__enter__()
    scope, inner.original_scope = inner.original_scope, None
    inner.__exit__()
    try:
        with tf.init_scope():
            yield
    finally:
        inner.original_scope = scope
        inner.__exit__()


def keras_variable(variable: tf.Variable) -> keras.Variable:
    """Returns the Keras variable whose value is `variable`.

    Raises:
      RuntimeError: if Keras made a copy.
    """
    if id(variable) not in _keras_variables:
        # Keras uses a `tf.Variable` as it is.
        made = keras.Variable(
            variable,
            trainable=variable.trainable,
            dtype=variable.dtype.name,
            autocast=False,
            name=variable.name.split(":")[0].replace("/", "_"),
        )
        if made.value is not variable:
            raise RuntimeError(
                f"Keras {keras.__version__} copies variables, so the core would not be trained. "
                "Use Keras 3.12 to 3.15, with which this was tested."
            )
        _keras_variables[id(variable)] = made
        return made
    return _keras_variables[id(variable)]


@keras.saving.register_keras_serializable(package="dnc")
class _LoadedParts(dict[int, Any]):
    """Shared parts of the cores that Keras makes while it loads a model, by "shared_id"."""

    def get_config(self) -> dict[str, Any]:
        """Returns the empty configuration, because the parts themselves are never saved."""
        return {}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> "_LoadedParts":
        """Returns an empty collection."""
        return cls(**config)


def loaded_parts() -> _LoadedParts:
    """Returns the shared parts of the model that Keras is loading, or none if it is not loading."""
    # Keras makes an object with a "shared_object_id" once in each `load_model`.
    return keras.saving.deserialize_keras_object(
        {
            "module": __name__,
            "class_name": "_LoadedParts",
            "config": {},
            "registered_name": "dnc>_LoadedParts",
            "shared_object_id": "dnc",
        }
    )


def describe(core: snt.RNNCore) -> dict[str, Any]:
    """Returns the core's description. Parts that are also in other cells have a "shared_id"."""

    def modules(core: snt.RNNCore) -> set[tf.Module]:
        return {core, *core.submodules}

    in_cells = [modules(cell.core) for cell in cells]
    shared = {part for part in modules(core) if sum(part in cell for cell in in_cells) > 1}
    return _config.describe(core, shared)
