"""Which parts have a step and gradient written by hand, and what happens to all others.

A class in this package is bound to a plain part by `@fuses(Part)`. `fused` returns it for
instances of exactly that class: a subclass or a part with a replaced method may compute anything,
so it is recomputed by `Recomputed` instead, like every part that this package does not know.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import tensorflow as tf

from dnc.unrolling.derivatives import gradients

Fused = TypeVar("Fused", bound=type)

_FUSED: dict[type, Any] = {}


def fuses(*parts: type) -> Callable[[Fused], Fused]:
    """Binds a class with a step and gradient written by hand to the parts that it stands for.

    The class is called with the part. It may have a static method `fits(part)`.
    """

    def register(fused: Fused) -> Fused:
        _FUSED.update(dict.fromkeys(parts, fused))
        return fused

    return register


def fused(part: Any, otherwise: Callable[..., Any], *arguments: Any) -> Any:
    """Returns what runs a part in the fused unroll.

    Args:
      part: the part.
      otherwise: class for parts without a gradient written by hand.
      *arguments: further arguments of both classes.
    """
    kind = _FUSED.get(type(part))
    if kind is None or is_patched(part) or not getattr(kind, "fits", lambda _: True)(part):
        kind = otherwise
    return kind(part, *arguments)


def is_patched(part: Any) -> bool:
    """Whether an instance has a method or property that is not that of its class."""
    return any(hasattr(type(part), name) for name in vars(part) if not name.startswith("_self_"))


class Recomputed:
    """A function that runs again, under a tape, when its gradient is taken.

    It must return the same when it runs again.

    Attributes:
      variables: trainable variables that it read, known after the first call.
    """

    def __init__(self, function: Callable[..., Any]):
        """Wraps a function from nests of tensors to a nest of tensors."""
        self._function = function
        self.variables: list[tf.Variable] = []

    def __call__(self, *arguments: Any) -> Any:
        """Returns the results of the function."""
        with tf.GradientTape() as tape:
            results = self._function(*arguments)
        known = {variable.ref() for variable in self.variables}
        self.variables += [x for x in tape.watched_variables() if x.ref() not in known]
        return results

    def gradient(self, arguments: tuple[Any, ...], d_results: Any) -> tuple[Any, list[tf.Tensor]]:
        """Returns gradients w.r.t. the arguments, and w.r.t. `variables`.

        Args:
          arguments: the arguments of the call.
          d_results: gradient of the loss w.r.t. the results; entries for integers are ignored.
        """
        flat = tf.nest.flatten(arguments)

        def results(*flat: tf.Tensor) -> Any:
            return self._function(*tf.nest.pack_sequence_as(arguments, flat))

        found = gradients(results, flat, d_results, self.variables)
        d_arguments = tf.nest.pack_sequence_as(arguments, found[: len(flat)])
        return d_arguments, found[len(flat) :]
