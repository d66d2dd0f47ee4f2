"""Automatic differentiation of small functions that are run again in a backward pass."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


def gradients(
    function: Callable[..., Any],
    arguments: Sequence[tf.Tensor],
    d_results: Any,
    variables: Sequence[tf.Variable] = (),
) -> list[tf.Tensor]:
    """Returns the gradients w.r.t. a function's arguments, and then w.r.t. variables it reads.

    `d_results` are the gradients w.r.t. its results. The gradients w.r.t. arguments that are
    integers or have no influence are zero.
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
