"""Operations on nests of tensors."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf


def where(mask: tf.Tensor, x: Any, y: Any) -> Any:
    """Chooses between two nests, by a mask over their leading axes."""

    def choose(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        with_all_axes = (..., *[tf.newaxis] * (x.shape.rank - mask.shape.rank))
        return tf.where(mask[with_all_axes], x, y)

    return tf.nest.map_structure(choose, x, y)


def map_tensors(function: Callable[..., Any], x: Any, *others: Any) -> Any:
    """Applies a function to all parts of nests except `None`, which is kept."""
    return tf.nest.map_structure(
        lambda part, *parts: None if part is None else function(part, *parts), x, *others
    )


def without_none(x: Any) -> Any:
    """Replaces each `None` in a nest by (), as TensorFlow's loops cannot carry `None`."""
    return tf.nest.map_structure(lambda part: () if part is None else part, x)


def with_none(x: Any, like: Any) -> Any:
    """Inverts `without_none`, for a nest that had `None` where `like` has it."""
    parts = iter(tf.nest.flatten(x))
    return map_tensors(lambda _: next(parts), like)


def zeros_like(x: Any) -> Any:
    """Returns a nest of zeros of the same shapes."""
    return tf.nest.map_structure(tf.zeros_like, x)


def add(x: Any, y: Any) -> Any:
    """Adds two nests, part by part."""
    return tf.nest.map_structure(tf.add, x, y)


def at(x: Any, t: tf.Tensor) -> Any:
    """Returns entry `t` of each part along its first axis."""
    return tf.nest.map_structure(lambda part: part[t], x)


def arrays_like(x: Any, size: int | tf.Tensor) -> Any:
    """Returns a nest of `tf.TensorArray`s for `size` values like `x`, tensors or their specs."""
    return tf.nest.map_structure(
        lambda part: tf.TensorArray(part.dtype, size, element_shape=part.shape), x
    )


def write(arrays: Any, t: int | tf.Tensor, values: Any) -> Any:
    """Writes entry `t` of each array."""
    return tf.nest.map_structure(lambda array, value: array.write(t, value), arrays, values)


def stack(arrays: Any) -> Any:
    """Stacks the entries of each array along a new first axis."""
    return tf.nest.map_structure(lambda array: array.stack(), arrays)


def length(x: Any) -> int | tf.Tensor:
    """Returns the size of the first axis of all parts, as an integer if it is known."""
    part = tf.nest.flatten(x)[0]
    return tf.shape(part)[0] if part.shape[0] is None else part.shape[0]


def reshape_first(x: tf.Tensor, num_axes: int, sizes: list[int]) -> tf.Tensor:
    """Reshapes the first axes of a tensor to the given sizes."""
    return tf.reshape(x, tf.concat([sizes, tf.shape(x)[num_axes:]], axis=0))
