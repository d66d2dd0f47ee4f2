"""What the package asks of any `snt.RNNCore`, beyond what Sonnet's interface has."""

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


def run_on_zeros(core: snt.RNNCore, inputs: Any, dtype: tf.DType | None) -> tuple[Any, Any]:
    """Runs one step on one example of zeros, outside of the graph and loop being built.

    That creates the core's variables where their initial values can be computed, and shows what the
    core returns.

    Args:
      core: the core.
      inputs: what one step takes, a nest of `tf.TensorSpec`s [B, ...].
      dtype: floating point dtype of the initial state; `None` for the core's own.

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
        return core(zeros, initial_state(core, 1, dtype))


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
