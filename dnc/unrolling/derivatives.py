"""Gradients by TensorFlow, for small functions that are computed again in the backward pass."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


def gradients(
    function: Callable[..., Any],
    arguments: Sequence[tf.Tensor],
    d_results: Any,
    variables: Sequence[tf.Variable] = (),
) -> list[tf.Tensor]:
    """Returns the gradients by a function's arguments, and then by variables that it reads.

    The gradients by its results are `d_results`. Those by what has no influence, or by arguments of
    whole numbers, are zero.
    """
    sources = [x for x in arguments if x.dtype.is_floating]
    with tf.GradientTape() as tape:
        tape.watch(sources)
        results = function(*arguments)
    found = iter(
        tape.gradient(
            results,
            [*sources, *variables],
            output_gradients=d_results,
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
    )
    by_arguments = [next(found) if x.dtype.is_floating else tf.zeros_like(x) for x in arguments]
    return [*by_arguments, *found]
