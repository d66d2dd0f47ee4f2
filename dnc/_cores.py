"""Functions for any `snt.RNNCore` that Sonnet's interface lacks."""

import functools
import inspect
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import sonnet as snt
import tensorflow as tf

from dnc import _nests


def initial_state(core: snt.RNNCore, batch_size: Any, dtype: tf.DType | None) -> Any:
    """Returns the core's initial state, in `dtype` if it is given and the core accepts it."""
    if dtype is None:
        return core.initial_state(batch_size)
    try:
        return core.initial_state(batch_size, dtype=dtype)
    except TypeError:
        return core.initial_state(batch_size)  # Sonnet's own cores are made for one dtype.


def state_size(core: snt.RNNCore) -> Any:
    """Returns the shapes of one example's state, a nest of `tf.TensorShape`s."""
    if hasattr(core, "state_size"):
        return core.state_size
    # Sonnet's own cores have no `state_size`: infer it from an example.
    example = initial_state(core, 1, tf.float32)
    return _nests.map_tensors(lambda part: part.shape[1:], example)


_with_checked_variables: weakref.WeakSet[Any] = weakref.WeakSet()


def call_checked(module: Any, function: Callable[..., Any], *args: Any) -> Any:
    """Returns `function(*args)`, which runs a module, and checks the variables it depends on.

    The check runs once for each module, at the first call that can be differentiated.

    Raises:
      ValueError: if the results depend on a trainable variable that is missing from
        `module.trainable_variables`, such as a variable of a Keras layer, which would never be
        trained.
    """
    if not isinstance(module, tf.Module) or module in _with_checked_variables:
        return function(*args)
    if has_custom_getter(module):  # The getter returns something other than the variables.
        return function(*args)
    probe = tf.zeros([])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(probe)
        echo = tf.identity(probe)
        results = function(*args)
    if tape.gradient(echo, probe) is None:  # In `tf.init_scope` no tape records.
        return results
    # (Not `module.trainable_variables`: Sonnet raises an error if there are none.)
    own = tf.Module.trainable_variables.fget(module)
    # A variable of `tf.distribute` consists of several `values`.
    own = {x.ref() for variable in own for x in (variable, *getattr(variable, "values", ()))}
    if others := [x for x in tape.watched_variables() if x.ref() not in own]:
        floating = [x for x in tf.nest.flatten(results) if x is not None and x.dtype.is_floating]
        found = zip(others, tape.gradient(floating, others), strict=True)
        if lost := [variable.name for variable, gradient in found if gradient is not None]:
            raise ValueError(
                f"{module.name} depends on variables that are missing from its "
                f"trainable_variables and would never be trained: {', '.join(lost)}. Only "
                "variables in a tf.Module are found, not variables of Keras layers or of "
                "functions. Use Sonnet's modules, e.g. snt.Linear for keras.layers.Dense, or "
                "assign the variables to an attribute of the core, e.g. core.others = [variable]. "
                "Apply tf.stop_gradient to values that must not be trained."
            )
    _with_checked_variables.add(module)
    return results


def has_custom_getter(module: tf.Module) -> bool:
    """Whether a context of `snt.custom_variable_getter` for the module is active."""
    getter: Any = type(module).__getattribute__
    return getter is not object.__getattribute__


def call_without_none(
    core: snt.RNNCore, state_like: Any, inputs: Any, state: Any, training: bool | None = None
) -> tuple[Any, Any]:
    """Calls a core with a state that has () where its usual state, `state_like`, has `None`."""
    call = functools.partial(call_with_training, core, training=training)
    outputs, next_state = call_checked(core, call, inputs, _nests.with_none(state, state_like))
    return outputs, _nests.without_none(next_state)


def part_paths(state: Any) -> list[tuple[str, ...]]:
    """Returns the fields, keys or positions that lead to each tensor, in the order of `tf.nest`."""
    paths = _paths(state)
    num_parts = len(tf.nest.flatten(state))
    # For any other container only the order is known.
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


def call_with_training(module: Callable[..., Any], *args: Any, training: bool | None = None) -> Any:
    """Returns `module(*args)`, with `training` as a further argument if the module accepts it.

    `None` keeps the module's own default.
    """
    name = None if training is None else _training_parameter(module)
    return module(*args) if name is None else module(*args, **{name: training})


def _training_parameter(module: Callable[..., Any]) -> str | None:
    """Returns the name of the parameter for `training`, in Keras or in Sonnet; `None` if none."""
    # A Keras layer has its parameters in `call`.
    is_sonnet = isinstance(module, snt.Module)
    of_module = parameters(type(module).__call__ if is_sonnet else getattr(module, "call", module))
    if "training" in of_module:
        return "training"
    # `snt.nets.MLP` has `is_training=None` and accepts a value only with dropout.
    sonnet_parameter = of_module.get("is_training")
    if sonnet_parameter is not None and sonnet_parameter.default is not None:
        return "is_training"
    return None


def parameters(function: Callable[..., Any]) -> Mapping[str, inspect.Parameter]:
    """Returns the parameters of a function or a module's method by name; none if it hides them."""
    # Sonnet wraps the methods of its modules. The original is in the closure of the wrapper.
    if inspect.isfunction(function) and "decorator_fn" in function.__code__.co_freevars:
        function = inspect.getclosurevars(function).nonlocals["f"]
    try:
        return inspect.signature(function).parameters
    except ValueError:  # Some functions written in C have no signature.
        return {}


# Parts of the names of stateful operations whose result or effect differs when they run again.
_NOT_REPEATABLE = ("Random", "Rng", "Multinomial", "TruncatedNormal", "PyFunc", "Assign")


def not_repeatable(
    core: snt.RNNCore, inputs: Any, dtype: tf.DType | None, training: bool | None = None
) -> str | None:
    """Returns an operation that draws random numbers or changes variables in a step, or `None`.

    Args:
      core: a core that has been called before.
      inputs: the inputs of one step, a nest of `tf.TensorSpec`s [B, ...].
      dtype: as for `run_on_zeros`.
      training: see `call_with_training`.
    """

    def step() -> Any:
        zeros = tf.nest.map_structure(lambda x: tf.zeros([1, *x.shape[1:]], x.dtype), inputs)
        results = call_with_training(core, zeros, state, training=training)
        return tf.nest.flatten(_nests.without_none(results))

    state = initial_state(core, 1, dtype)  # It may be random, but it is not run again.
    with tf.init_scope():
        graph = tf.function(step, autograph=False).get_concrete_function().graph.as_graph_def()
    functions = (node for function in graph.library.function for node in function.node_def)
    for node in (*graph.node, *functions):
        if not node.op.startswith("Stateless") and any(x in node.op for x in _NOT_REPEATABLE):
            return f"{node.op} ({node.name})"
    return None


def check_repeatable(
    core: snt.RNNCore, inputs: Any, dtype: tf.DType | None, training: bool | None = None
) -> None:
    """Raises `ValueError` if a step would not do the same when it is run again for gradients.

    See `not_repeatable`.
    """
    if operation := not_repeatable(core, inputs, dtype, training):
        raise ValueError(
            f"checkpoint_every runs steps again for the gradients, and a step of {core.name} would "
            f"not do the same again: it contains {operation}. Use dnc.Dropout for dropout, move "
            "the operation out of the core, or omit checkpoint_every."
        )


def run_on_zeros(
    core: snt.RNNCore, inputs: Any, dtype: tf.DType | None, training: bool | None = None
) -> tuple[Any, Any]:
    """Runs one step on one example of zeros, outside of the graph and loop being built.

    This creates the core's variables where their initial values can be computed.

    Args:
      core: the core.
      inputs: the inputs of one step, a nest of `tf.TensorSpec`s [B, ...].
      dtype: floating point dtype of the initial state; `None` for the core's own.
      training: see `call_with_training`.

    Returns:
      The core's output and next state for one example.

    Raises:
      ValueError: if a size other than the batch size is unknown.
    """
    for part in tf.nest.flatten(inputs):
        if not part.shape[1:].is_fully_defined():
            raise ValueError(
                "The core's variables need inputs of known width, got inputs of shape "
                f"{part.shape} for one step."
            )
    with tf.init_scope():
        zeros = tf.nest.map_structure(lambda x: tf.zeros([1, *x.shape[1:]], x.dtype), inputs)
        run = functools.partial(call_with_training, core, training=training)
        return call_checked(core, run, zeros, initial_state(core, 1, dtype))


def unchecked(part: Any) -> Callable[..., Any]:
    """Returns the function that runs a part of a core, without checks if possible.

    `__call__` of this package's parts checks the arguments and calls `compute`. A subclass may
    override either. The override nearest to its class counts.
    """
    for kind in type(part).__mro__:
        if "compute" in vars(kind):
            return part.compute
        if "__call__" in vars(kind):
            break
    return part
