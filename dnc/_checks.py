"""Validation of arguments.

Each function raises one `ValueError` that states what was expected and what was given.
"""

import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import tensorflow as tf

Nest = TypeVar("Nest")


def check_size(name: str, value: Any, minimum: int = 1) -> int:
    """Returns `value` as an int, or raises `ValueError` unless it is an integer >= `minimum`."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < minimum:
        raise ValueError(f"{name} must be an integer >= {minimum}, got {value!r}.")
    return int(value)


def check_bound(name: str, value: Any, otherwise: str = "") -> Any:
    """Returns `value`, or raises `ValueError` unless it is a number > 0.

    `otherwise`, which ends the message, names further allowed values.
    """
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not value > 0:
        raise ValueError(f"{name} must be a number > 0{otherwise}, got {value!r}.")
    return value


def check_finite(name: str, value: Any) -> float:
    """Returns `value` as a float, or raises `ValueError` unless it is a finite number."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not math.isfinite(value):
        raise ValueError(f"{name} must be a finite number, got {value!r}.")
    return float(value)


def check_share(name: str, value: Any) -> float:
    """Returns `value` as a float, or raises `ValueError` unless it is a number in [0, 1]."""
    is_number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if not is_number or not 0 <= value <= 1:
        raise ValueError(f"{name} must be a number in [0, 1], got {value!r}.")
    return float(value)


def check_callable(name: str, value: Any) -> Any:
    """Returns `value`, or raises `ValueError` unless it can be called."""
    if not callable(value):
        raise ValueError(f"{name} must be callable, got {value!r}.")
    return value


def call_with(kind: Any, arguments: Mapping[str, Any]) -> Any:
    """Returns `kind(**arguments)`, or raises `ValueError` if `kind` does not accept them."""
    try:
        return kind(**arguments)
    except TypeError as error:
        raise ValueError(
            f"Cannot construct {kind.__name__} from arguments {dict(arguments)}: {error}."
        ) from error


def check_batch_size(batch_size: Any) -> Any:
    """Raises `ValueError` unless `batch_size` is an integer >= 0 or a scalar integer tensor."""
    if tf.is_tensor(batch_size):
        if batch_size.shape.rank != 0 or not batch_size.dtype.is_integer:
            raise ValueError(
                "batch_size must be an integer or a scalar integer tensor, got a tensor of shape "
                f"{batch_size.shape} and dtype {batch_size.dtype.name}."
            )
        return batch_size
    return check_size("batch_size", batch_size, minimum=0)


def check_dtype(dtype: Any) -> tf.DType:
    """Returns `dtype` as a `tf.DType`; raises `ValueError` unless it is a floating point type."""
    try:
        result = tf.as_dtype(dtype)
    except TypeError as error:
        raise ValueError(f"dtype must be a floating point type, got {dtype!r}.") from error
    if not result.is_floating:
        raise ValueError(f"dtype must be a floating point type, got {result.name}.")
    return result


def check_state_dtype(dtype: Any) -> tf.DType:
    """Returns `dtype` as a `tf.DType`; raises `ValueError` unless it is float32 or float64."""
    result = check_dtype(dtype)
    if result.size < tf.float32.size:
        raise ValueError(
            f"The state must be float32 or float64, got {result.name}: allocation and softmax need "
            "the precision."
        )
    return result


def to_tensor(name: str, value: Any, dtype: Any = None) -> tf.Tensor:
    """Returns `value` as a tensor.

    A floating-point array is cast to `dtype`, if one is given, because its float64 may only be
    NumPy's default. A tensor keeps its dtype.

    Raises:
      ValueError: if `value` is a ragged or sparse tensor, or cannot be converted.
    """
    if isinstance(value, tf.RaggedTensor):
        raise ValueError(
            f"{name} must be a dense tensor, got a RaggedTensor. Pass {name}.to_tensor() and, to "
            f"dnc.unroll, also time_major=False and sequence_length={name}.row_lengths()."
        )
    if isinstance(value, (tf.SparseTensor, tf.IndexedSlices)):
        raise ValueError(f"{name} must be a dense tensor, got a {type(value).__name__}.")
    if tf.is_tensor(value):
        return tf.convert_to_tensor(value)
    try:
        value = tf.convert_to_tensor(value)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{name} must be a tensor or an array, got a {type(value).__name__}."
        ) from error
    return tf.cast(value, dtype) if dtype is not None and value.dtype.is_floating else value


def check_tensor(
    name: str, value: Any, shape: list[int | None], dtype: tf.DType | None = None
) -> tf.Tensor:
    """Returns `value` as a tensor, or raises `ValueError` unless its shape and dtype are as given.

    Args:
      name: name of the tensor in the message.
      value: a tensor or array.
      shape: expected shape; `None` entries accept any size.
      dtype: expected dtype; `None` accepts any floating point type.
    """
    if not isinstance(value, tf.Tensor):
        value = to_tensor(name, value)
    expected_dtype = dtype.name if dtype is not None else "a floating point dtype"
    dtype_fits = value.dtype == dtype if dtype is not None else value.dtype.is_floating
    if not dtype_fits or not value.shape.is_compatible_with(shape):
        raise ValueError(
            f"{name} must have shape {_shape_text(shape)} and {expected_dtype}, "
            f"got shape {_shape_text(value.shape)} and {value.dtype.name}."
        )
    return value


def check_state(
    name: str, state: Any, sizes: Any, dtype: tf.DType, batch_size: int | None, strict: bool = True
) -> None:
    """Raises `ValueError` unless `state` has the structure, shapes and dtype of a core's state.

    Args:
      name: name of the state in the message.
      state: the state that was passed.
      sizes: the core's `state_size`: a nest of tuples and named tuples of per-example
        `tf.TensorShape`s. Other structures are not checked.
      dtype: expected dtype of every tensor.
      batch_size: expected leading dimension, `None` if unknown.
      strict: whether integers and booleans are also rejected.
    """
    if isinstance(sizes, tf.TensorShape):
        if not strict and tf.is_tensor(state) and (state.dtype.is_integer or state.dtype.is_bool):
            dtype = state.dtype
        check_tensor(name, state, [batch_size, *sizes], dtype)
        return
    if not isinstance(sizes, tuple):
        return
    fields = getattr(sizes, "_fields", None)
    same_fields = getattr(state, "_fields", None) == fields
    if not isinstance(state, tuple) or not same_fields or len(state) != len(sizes):
        expected = f"({', '.join(fields)})" if fields else f" of {len(sizes)}"
        raise ValueError(
            f"{name} must be a {type(sizes).__name__}{expected}, as initial_state() returns it, "
            f"got {structure_text(state)}."
        )
    for field, part, size in zip(fields or range(len(sizes)), state, sizes, strict=True):
        check_state(f"{name}.{field}", part, size, dtype, batch_size, strict)


def check_inputs(kind: Any, values: Any) -> Any:
    """Returns a tuple or list of a part's inputs as the named tuple `kind`.

    Raises:
      ValueError: if it is not a tuple or list, or has the wrong number of entries.
    """
    fewest = len(kind._fields) - len(kind._field_defaults)
    if not isinstance(values, (tuple, list)) or not fewest <= len(values) <= len(kind._fields):
        raise ValueError(
            f"inputs must be {kind.__name__}({', '.join(kind._fields)}), got "
            f"{structure_text(values)}."
        )
    return kind(*values)


def check_like(like: tf.Tensor, name: str, value: Any, size: Sequence[int | None]) -> tf.Tensor:
    """Calls `check_tensor` with an example's size, and the batch size and dtype of `like`."""
    return check_tensor(name, value, [like.shape[0], *size], like.dtype)


def _shape_text(shape: Any) -> str:
    shape = tf.TensorShape(shape)
    if shape.rank is None:
        return "[unknown]"
    return "[" + ", ".join("?" if size is None else str(size) for size in shape) + "]"


def structure_text(value: Any) -> str:
    """Returns a description for messages: the kind of a value, and its shape or fields."""
    if tf.is_tensor(value):
        return f"a tensor of shape {_shape_text(value.shape)}"
    if fields := getattr(value, "_fields", None):
        return f"a {type(value).__name__}({', '.join(fields)})"
    if isinstance(value, (tuple, list)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}"


def require(condition: tf.Tensor, message: str, value: Nest) -> Nest:
    """Returns `value`, a tensor or a nest of tensors, if the scalar `condition` holds.

    Raises:
      ValueError: if the condition is known and does not hold. In a graph where it is unknown,
        `tf.errors.InvalidArgumentError` is raised when the graph runs. (XLA has no assertions.)
    """
    known = tf.get_static_value(condition)
    if known is None:
        with tf.control_dependencies([tf.debugging.Assert(condition, [message])]):
            return tf.nest.map_structure(tf.identity, value)
    if not known:
        raise ValueError(message)
    return value
