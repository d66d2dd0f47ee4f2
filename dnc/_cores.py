"""Functions that the package needs of any `snt.RNNCore` and that Sonnet's interface lacks."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import sonnet as snt
import tensorflow as tf


def initial_state(core: snt.RNNCore, batch_size: Any, dtype: tf.DType | None) -> Any:
    """Returns the core's initial state, in `dtype` if one is given and the core lets one choose."""
    if dtype is None:
        return core.initial_state(batch_size)
    try:  # Sonnet hides the signature of its modules' methods: it can only be tried.
        return core.initial_state(batch_size, dtype=dtype)
    except TypeError:
        return core.initial_state(batch_size)  # Sonnet's own cores are made for one dtype.


def state_size(core: snt.RNNCore) -> Any:
    """Returns the shapes of one example's state, a nest of `tf.TensorShape`s."""
    if hasattr(core, "state_size"):
        return core.state_size
    # Sonnet's own cores do not tell, but show.
    example = initial_state(core, 1, tf.float32)
    return tf.nest.map_structure(lambda part: part.shape[1:], example)


def part_paths(state: Any) -> list[tuple[str, ...]]:
    """Returns the fields, keys or positions that lead to each tensor, in the order of `tf.nest`."""
    paths = _paths(state)
    num_parts = len(tf.nest.flatten(state))
    # Of other containers than these only the order is known.
    return paths if len(paths) == num_parts else [(str(number),) for number in range(num_parts)]


def _paths(state: Any) -> list[tuple[str, ...]]:
    if isinstance(state, Mapping):
        inner = [(str(key), state[key]) for key in sorted(state)]
    elif isinstance(state, (tuple, list)):
        names = getattr(state, "_fields", range(len(state)))
        inner = [(str(name), part) for name, part in zip(names, state, strict=True)]
    else:
        return [()]
    return [(name, *path) for name, part in inner for path in _paths(part)]


def call(module: Callable[..., Any], *args: Any, training: bool | None = None) -> Any:
    """Returns `module(*args)`, with `training` as a further argument if the module takes it.

    `None` leaves the module's own default.
    """
    name = None if training is None else _training_parameter(module)
    return module(*args) if name is None else module(*args, **{name: training})


def _training_parameter(module: Callable[..., Any]) -> str | None:
    """Returns the name of the parameter for `training`, Keras' or Sonnet's; `None` if none."""
    function = getattr(module, "call", module)  # Keras layers have their parameters there.
    if isinstance(module, snt.Module):
        # Sonnet hides the signatures of its modules' methods in a closure.
        method = type(module).__call__
        function = inspect.getclosurevars(method).nonlocals.get("f", method)
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # Some functions written in C have no signature.
        return None
    if "training" in parameters:
        return "training"
    # `snt.nets.MLP` has `is_training=None` and accepts a value only with dropout.
    sonnet_parameter = parameters.get("is_training")
    if sonnet_parameter is not None and sonnet_parameter.default is not None:
        return "is_training"
    return None


def run_on_zeros(
    core: snt.RNNCore, inputs: Any, dtype: tf.DType | None, training: bool | None = None
) -> tuple[Any, Any]:
    """Runs one step on one example of zeros, outside of the graph and loop being built.

    That creates the core's variables where their initial values can be computed.

    Args:
      core: the core.
      inputs: the inputs of one step, a nest of `tf.TensorSpec`s [B, ...].
      dtype: floating point dtype of the initial state; `None` for the core's own.
      training: see `call`.

    Returns:
      The core's output and next state for one example.

    Raises:
      ValueError: if a size other than the batch's is unknown.
    """
    for part in tf.nest.flatten(inputs):
        if not part.shape[1:].is_fully_defined():
            raise ValueError(
                "The core's variables need inputs of known width, got inputs of shape "
                f"{part.shape} for one step."
            )
    with tf.init_scope():
        zeros = tf.nest.map_structure(lambda x: tf.zeros([1, *x.shape[1:]], x.dtype), inputs)
        return call(core, zeros, initial_state(core, 1, dtype), training=training)


def call_in(dtype: tf.DType | None, module: Callable[..., Any], *args: Any) -> Any:
    """Returns `module(*args)`, computed with variables and arguments cast to `dtype`.

    What is returned is cast back to the dtype of the first argument. The variables exist already.
    `None` means to compute in the dtypes as they are.
    """
    if dtype is None or dtype == args[0].dtype:
        return module(*args)

    def cast(x: Any, to: tf.DType) -> Any:
        return tf.cast(x, to) if x.dtype.is_floating else x

    with snt.custom_variable_getter(lambda variable: cast(variable, dtype)):
        results = module(*tf.nest.map_structure(lambda x: cast(x, dtype), args))
    return tf.nest.map_structure(lambda x: cast(x, args[0].dtype), results)
