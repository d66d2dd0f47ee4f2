"""The interface layer: a product at each step, and one for its weights' gradient over all steps."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sonnet as snt
import tensorflow as tf

from dnc import _cores
from dnc.interface import Field, Interface
from dnc.unrolling.fused.products import inner
from dnc.unrolling.fused.registry import Recomputed, fuses, is_patched

Fields = Mapping[str, tf.Tensor]
Product = Callable[[tf.Tensor], tf.Tensor]

# Gradient w.r.t. the argument of an activation from its value and the gradient w.r.t. that.
_DERIVATIVES: dict[Any, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    None: lambda y, d_y: d_y,
    tf.sigmoid: lambda y, d_y: d_y * (y * (1.0 - y)),
    tf.nn.softmax: lambda y, d_y: y * (d_y - inner(y, d_y)),
}


@fuses(Interface)
class FusedInterface:
    """`Interface`: keeps its vector [B, I], in which known activations are applied."""

    def __init__(self, interface: Interface):
        self._linear = interface.linear
        self._fields: dict[str, Field] = interface.fields
        self._widths: list[int] = list(interface.widths.values())
        self._activations = {
            name: Recomputed(field.activation)
            for name, field in interface.fields.items()
            if field.activation is not None and not _is_known(field)
        }

    @staticmethod
    def fits(interface: Interface) -> bool:
        """Whether the fields come from a plain linear layer."""
        return type(interface.linear) is snt.Linear and not is_patched(interface.linear)

    @property
    def recomputes(self) -> bool:
        """Whether activations run again in the backward pass."""
        return bool(self._activations)

    @property
    def variables(self) -> Sequence[tf.Variable]:
        """Trainable variables that activations read."""
        return [x for activation in self._activations.values() for x in activation.variables]

    def weights(self) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the matrix [H, I] and the bias [I], or the scalar 0 without one."""
        matrix = tf.convert_to_tensor(self._linear.w)
        bias = self._linear.b if self._linear.with_bias else tf.zeros([], matrix.dtype)
        return matrix, tf.convert_to_tensor(bias)

    def residuals_spec(self, batch_size: int | None, dtype: tf.DType) -> tf.TensorSpec:
        """Returns the spec of what a step keeps, and of the gradient w.r.t. the vector."""
        return tf.TensorSpec([batch_size, sum(self._widths)], dtype)

    def step(self, hidden: tf.Tensor, weights: tuple[tf.Tensor, tf.Tensor]) -> tuple[Fields, Any]:
        """Returns the fields for the controller output [B, H], and what `gradient` needs."""
        matrix, bias = weights
        fields, residuals = {}, []
        for name, x in self._cut(tf.matmul(hidden, matrix) + bias).items():
            field = self._fields[name]
            if name in self._activations:
                fields[name], kept = self._activations[name](x), x
            else:
                kept = fields[name] = x if field.activation is None else field.activation(x)
            residuals.append(kept)
        return fields, self._join(residuals)

    def fields(self, hidden: tf.Tensor, residuals: tf.Tensor) -> Fields:
        """Returns the fields of a step again."""
        del hidden
        fields = self._cut(residuals)
        return {**fields, **{name: op(fields[name]) for name, op in self._activations.items()}}

    def gradient(
        self, hidden: tf.Tensor, residuals: tf.Tensor, d_fields: Fields, products: list[Product]
    ) -> tuple[tf.Tensor, tf.Tensor, list[tf.Tensor]]:
        """Returns the gradients w.r.t. the controller output, the vector [B, I], and `variables`.

        Args:
          hidden: the controller output.
          residuals: what `step` kept.
          d_fields: gradients w.r.t. the fields; of fields that are not in it, 0.
          products: function that multiplies with the transposed matrix.
        """
        del hidden
        d_vector, d_variables = [], []
        for name, kept in self._cut(residuals).items():
            d_field = d_fields[name] if name in d_fields else tf.zeros_like(kept)
            if name in self._activations:
                (d_x,), found = self._activations[name].gradient((kept,), d_field)
                d_variables += found
            else:
                d_x = _DERIVATIVES[self._fields[name].activation](kept, d_field)
            d_vector.append(d_x)
        joined = self._join(d_vector)
        return products[0](joined), joined, d_variables

    def weight_gradients(
        self, hidden: tf.Tensor, d_vectors: tf.Tensor, weights: tuple[tf.Tensor, tf.Tensor]
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns gradients w.r.t. `weights` from all steps, [T B, H] and [T B, I]."""
        d_bias = tf.reduce_sum(d_vectors, axis=0 if weights[1].shape.rank == 1 else None)
        return tf.matmul(hidden, d_vectors, transpose_a=True), d_bias

    def _cut(self, vector: tf.Tensor) -> dict[str, tf.Tensor]:
        parts = tf.split(vector, self._widths, axis=1)
        return {
            name: tf.reshape(part, [-1, *field.shape])
            for (name, field), part in zip(self._fields.items(), parts, strict=True)
        }

    def _join(self, parts: Sequence[tf.Tensor]) -> tf.Tensor:
        flat = [
            tf.reshape(part, [-1, width]) for part, width in zip(parts, self._widths, strict=True)
        ]
        return tf.concat(flat, axis=1)


class RecomputedInterface:
    """Any other module that maps the controller output to the fields."""

    recomputes = True

    def __init__(self, interface: Any):
        self._recomputed = Recomputed(_cores.unchecked(interface))

    @property
    def variables(self) -> Sequence[tf.Variable]:
        """Trainable variables that the module reads."""
        return self._recomputed.variables

    def weights(self) -> tuple[()]:
        """Returns (): the variables are read where they are used."""
        return ()

    def residuals_spec(self, batch_size: int | None, dtype: tf.DType) -> tuple[()]:
        """Returns (): nothing is kept of a step."""
        del batch_size, dtype
        return ()

    def step(self, hidden: tf.Tensor, weights: tuple[()]) -> tuple[Fields, Any]:
        """Returns the fields, and () for what `gradient` needs."""
        del weights
        return self._recomputed(hidden), ()

    def fields(self, hidden: tf.Tensor, residuals: tuple[()]) -> Fields:
        """Returns the fields of a step again."""
        del residuals
        return self._recomputed(hidden)

    def gradient(
        self, hidden: tf.Tensor, residuals: tuple[()], d_fields: Fields, products: list[Product]
    ) -> tuple[tf.Tensor, tuple[()], list[tf.Tensor]]:
        """Returns the gradients w.r.t. the controller output, (), and `variables`."""
        fields = self.fields(hidden, residuals)
        zeros = {name: tf.zeros_like(x) for name, x in fields.items() if name not in d_fields}
        (d_hidden,), d_variables = self._recomputed.gradient((hidden,), {**d_fields, **zeros})
        return d_hidden, (), d_variables

    def weight_gradients(
        self, hidden: tf.Tensor, d_vectors: tuple[()], weights: tuple[()]
    ) -> tuple[()]:
        """Returns (): all gradients are those w.r.t. `variables`."""
        return ()


def _is_known(field: Field) -> bool:
    return any(field.activation is known for known in _DERIVATIVES) and (
        # `inner` sums over the last of three axes.
        field.activation is not tf.nn.softmax or len(field.shape) == 2
    )
