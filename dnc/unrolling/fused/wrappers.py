"""Wrappers of controllers, around one that has a gradient written by hand."""

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

from dnc.context import AppendedContext
from dnc.controllers import ClippedSignal, EmbeddedInputs, Wrapper
from dnc.core import DNC
from dnc.initial import LearnedState
from dnc.unrolling.fused.controllers import unless_clipped
from dnc.unrolling.fused.registry import Part, fuses, is_fused, make_fused


@fuses(LearnedState)
class FusedWrapper(Part):
    """A wrapper with the steps of the wrapped controller, such as `LearnedState`."""

    @staticmethod
    def fits(wrapper: Wrapper) -> bool:
        """Whether the wrapped controller has a gradient written by hand."""
        return is_fused(wrapper.core)

    def __init__(self, wrapper: Any, core: DNC):
        self._wrapper, self._core = wrapper, core
        self._inner: Part = make_fused(wrapper.core, core)

    @property
    def variables(self) -> Sequence[tf.Variable]:  # type: ignore[override]
        """Trainable variables that the wrapped controller reads."""
        return self._inner.variables

    def no_sums(self) -> list[tf.Tensor]:
        """Returns zeros of the shapes of the sums over the steps."""
        return self._inner.no_sums()

    def variable_gradients(self, sums: list[tf.Tensor]) -> list[tf.Tensor]:
        """Returns the gradients w.r.t. `variables`, from the sums over all steps."""
        return self._inner.variable_gradients(sums)

    def prepare(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the inputs of `step`, for the inputs of all steps, [T B, X]."""
        return self._inner.prepare(inputs)

    def weights(self) -> list[tf.Tensor]:
        """Returns the matrices that `step` multiplies by."""
        return self._inner.weights()

    def weight_gradients(self, inputs: Any, d_products: tf.Tensor) -> list[tf.Tensor]:
        """Returns the gradients w.r.t. `weights`."""
        return self._inner.weight_gradients(inputs, d_products)

    def residuals_spec(self, batch_size: int | None, dtype: tf.DType) -> Any:
        """Returns the specs of what a step keeps for `gradient`."""
        return self._inner.residuals_spec(batch_size, dtype)

    def step(self, arguments: Any, weights: list[tf.Tensor]) -> tuple[Any, Any]:
        """Returns the output and the next state for inputs, words and state, and residuals."""
        return self._inner.step(arguments, weights)

    def gradient(
        self,
        arguments: Any,
        results: Any,
        residuals: Any,
        d_results: Any,
        products: list[Callable[[tf.Tensor], tf.Tensor]],
    ) -> tuple[Any, list[tf.Tensor]]:
        """Returns the gradients. `products` multiply by the transposed weights."""
        return self._inner.gradient(arguments, results, residuals, d_results, products)


@fuses(ClippedSignal)
class FusedClippedSignal(FusedWrapper):
    """`ClippedSignal`: bounds the gradients w.r.t. output and next state."""

    def gradient(
        self,
        arguments: Any,
        results: Any,
        residuals: Any,
        d_results: Any,
        products: list[Callable[[tf.Tensor], tf.Tensor]],
    ) -> tuple[Any, list[tf.Tensor]]:
        """Returns the gradients."""
        bound = self._wrapper.bound
        d_results = tf.nest.map_structure(lambda d: tf.clip_by_value(d, -bound, bound), d_results)
        return super().gradient(arguments, results, residuals, d_results, products)


@fuses(EmbeddedInputs)
class FusedEmbeddedInputs(FusedWrapper):
    """`EmbeddedInputs`: embeds the inputs of all steps at once."""

    def prepare(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the inputs of `step`."""
        size = self._wrapper.input_size
        embedded = tf.matmul(inputs[:, :size], self._wrapper.embedding)
        return super().prepare(tf.concat([embedded, inputs[:, size:]], axis=1))


@fuses(AppendedContext)
class FusedAppendedContext(FusedWrapper):
    """`AppendedContext`: a step takes the context after the inputs of the wrapped controller."""

    def prepare(self, inputs: tf.Tensor) -> tf.Tensor:
        """Returns the inputs of `step`."""
        sizes = [self._wrapper.input_size, self._wrapper.context_size, -1]
        x, context, others = tf.split(inputs, sizes, axis=1)
        prepared = super().prepare(tf.concat([x, others], axis=1))
        return tf.concat([prepared, context], axis=1)

    def weight_gradients(self, inputs: Any, d_products: tf.Tensor) -> list[tf.Tensor]:
        """Returns the gradients w.r.t. `weights`."""
        return super().weight_gradients(inputs, self._cut(d_products)[0])

    def step(self, arguments: Any, weights: list[tf.Tensor]) -> tuple[Any, Any]:
        """Returns the output and the next state for inputs, words and state, and residuals."""
        inputs, *others = arguments
        inputs, context = self._cut(inputs)
        (output, state), residuals = super().step((inputs, *others), weights)
        return (tf.concat([output, self._core.clip(context)], axis=1), state), residuals

    def gradient(
        self,
        arguments: Any,
        results: Any,
        residuals: Any,
        d_results: Any,
        products: list[Callable[[tf.Tensor], tf.Tensor]],
    ) -> tuple[Any, list[tf.Tensor]]:
        """Returns the gradients."""
        inputs, *others = arguments
        inputs, context = self._cut(inputs)
        d_output, d_context = self._cut(d_results[0])
        (d_inputs, *d_others), by_variable = super().gradient(
            (inputs, *others), results, residuals, (d_output, d_results[1]), products
        )
        d_context = unless_clipped(self._core, context, d_context)
        return (tf.concat([d_inputs, d_context], axis=1), *d_others), by_variable

    def _cut(self, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Cuts the context off the end of each row."""
        size = self._wrapper.context_size
        return x[:, :-size], x[:, -size:]
