"""The parts that have a step and gradient written by hand, and the wrapper of all others.

`@fuses(Part)` binds a class in this package to a plain part. `fused_part` returns it for instances
of exactly that class. A subclass or a part with a replaced method may compute anything, so it is
`Recomputed` instead, like every part without a class here.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import tensorflow as tf

from dnc.unrolling.derivatives import gradients

Fused = TypeVar("Fused", bound=type)

_FUSED: dict[type, Any] = {}


class StoredState(NamedTuple):
    """A state kept for the backward pass, in few tensors, as each is copied at every step."""

    # Used for all pairs of slots, or of links of a slot. The backward loop fetches it one step
    # ahead, so that it is a separate array. Otherwise XLA would look it up among the arrays of all
    # steps for every pair.
    prefetched: Any
    rest: Any


class Part:
    """One step of a part of a core, forwards and backwards.

    `step(arguments, weights)` returns the results and the residuals, which `gradient` needs in
    addition to the arguments and results. Both take and return nests of tensors. `gradient` returns
    the gradients w.r.t. the arguments, and the quantities whose sums over all steps
    `variable_gradients` takes, by default the gradients w.r.t. `variables`.
    """

    step: Callable[..., tuple[Any, Any]]
    gradient: Callable[..., tuple[Any, list[tf.Tensor]]]
    recomputes = False  # Whether the step runs again in the backward pass.
    grows_linearly = True  # Whether the state grows with N only, not with N x N.
    num_residuals = 0  # Number of rows [B, N] among the residuals.
    variables: Sequence[tf.Variable] = ()  # Trainable variables that the step itself reads.

    def pack(self, state: Any) -> Any:
        """Returns the state as it is used here."""
        return state

    def unpack(self, state: Any) -> Any:
        """Inverts `pack` and `pack_gradient`."""
        return state

    def pack_gradient(self, d_state: Any) -> Any:
        """Returns a gradient w.r.t. the state as it is used here."""
        return self.pack(d_state)

    def store(self, state: Any) -> StoredState:
        """Packs a state to be kept for the backward pass."""
        return StoredState((), state)

    def restore(self, stored: StoredState) -> Any:
        """Inverts `store`."""
        return stored.rest

    def no_sums(self) -> list[tf.Tensor]:
        """Returns zeros of the shapes of the sums over the steps."""
        return [tf.zeros_like(x) for x in self.variables]

    def variable_gradients(self, sums: list[tf.Tensor]) -> list[tf.Tensor]:
        """Returns the gradients w.r.t. `variables`, from the sums over all steps."""
        return sums

    def weights(self) -> list[tf.Tensor]:
        """Returns the weights that the steps take. Their gradients are taken for all steps."""
        return []

    def weight_gradients(self, inputs: Any, d_products: tf.Tensor) -> list[tf.Tensor]:
        """Returns the gradients w.r.t. `weights()`, from all steps, [T B, ...]."""
        del inputs, d_products
        return []

    def prepare(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the arguments of the steps for the inputs of all steps, [T B, X]."""
        return inputs

    def results_again(self, arguments: Any, residuals: Any) -> Any:
        """Returns the results of a step in the backward pass."""
        del residuals
        return self.step(arguments)[0]

    def residuals_spec(self, batch_size: int | None, dtype: tf.DType) -> Any:
        """Returns `tf.TensorSpec`s of the residuals that are not rows."""
        del batch_size, dtype
        return ()


class Recomputed(Part):
    """A part that runs again, under a tape, when its gradient is taken.

    It must be repeatable. It keeps nothing.
    """

    recomputes = True

    def __init__(self, function: Callable[..., Any]):
        """Wraps a function from nests of tensors to a nest of tensors."""
        self._function = function
        self.variables: list[tf.Variable] = []  # Known after the first step.

    def step(self, arguments: tuple[Any, ...], weights: Any = ()) -> tuple[Any, tuple[()]]:
        """Returns the results of the function."""
        del weights
        with tf.GradientTape() as tape:
            results = self._function(*arguments)
        known = {variable.ref() for variable in self.variables}
        self.variables += [x for x in tape.watched_variables() if x.ref() not in known]
        return results, ()

    def gradient(
        self,
        arguments: tuple[Any, ...],
        results: Any,
        residuals: tuple[()],
        d_results: Any,
        products: Any = (),
    ) -> tuple[Any, list[tf.Tensor]]:
        """Returns the gradients; entries of `d_results` for integers are ignored."""
        del results, residuals, products
        flat = tf.nest.flatten(arguments)

        def function(*flat: tf.Tensor) -> Any:
            return self._function(*tf.nest.pack_sequence_as(arguments, flat))

        found = gradients(function, flat, d_results, self.variables)
        return tf.nest.pack_sequence_as(arguments, found[: len(flat)]), found[len(flat) :]


def fuses(*parts: type) -> Callable[[Fused], Fused]:
    """Binds a `Part` with a gradient written by hand to the plain parts that it replaces.

    It is made from the plain part. It may have a static method `fits(part)`.
    """

    def register(kind: Fused) -> Fused:
        _FUSED.update(dict.fromkeys(parts, kind))
        return kind

    return register


def fused_part(part: Any, function: Callable[..., Any], *arguments: Any) -> Any:
    """Returns the `Part` for a plain part.

    Args:
      part: the plain part.
      function: one step of it, for a part without a gradient written by hand.
      *arguments: further arguments of the class with a gradient written by hand.
    """
    return make_fused(part, *arguments) if is_fused(part) else Recomputed(function)


def is_fused(part: Any) -> bool:
    """Whether a plain part has a gradient written by hand."""
    kind = _FUSED.get(type(part))
    if kind is None or is_patched(part):
        return False
    return getattr(kind, "fits", lambda _: True)(part)


def make_fused(part: Any, *arguments: Any) -> Any:
    """Returns the `Part` with a gradient written by hand, for a plain part that has one."""
    return _FUSED[type(part)](part, *arguments)


def is_patched(part: Any) -> bool:
    """Whether an instance replaces a method or property of its class."""
    return any(hasattr(type(part), name) for name in vars(part) if not name.startswith("_self_"))
