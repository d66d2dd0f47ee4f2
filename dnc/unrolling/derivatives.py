"""Automatic differentiation of functions that run again in the backward pass."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf


def gradients(
    function: Callable[..., Any],
    arguments: Sequence[tf.Tensor],
    d_results: Any,
    variables: Sequence[tf.Variable] = (),
) -> list[tf.Tensor]:
    """Returns gradients w.r.t. a function's arguments, then w.r.t. variables that it reads.

    Args:
      function: maps tensors to a nest of tensors.
      arguments: tensors.
      d_results: gradient of the loss w.r.t. the results, a nest like them; entries for integer
        results are ignored.
      variables: trainable variables.

    Returns:
      A tensor for each argument and variable; zeros for integer and unused ones.
    """
    sources = [x for x in arguments if x.dtype.is_floating]
    with tf.GradientTape() as tape:
        tape.watch(sources)
        results = tf.nest.flatten(function(*arguments))
    pairs = zip(results, tf.nest.flatten(d_results), strict=True)
    targets, d_targets = zip(*((x, d) for x, d in pairs if x.dtype.is_floating), strict=True)
    found = iter(
        tape.gradient(
            list(targets),
            [*sources, *variables],
            output_gradients=list(d_targets),
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        )
    )
    by_arguments = [next(found) if x.dtype.is_floating else tf.zeros_like(x) for x in arguments]
    return [*by_arguments, *found]
