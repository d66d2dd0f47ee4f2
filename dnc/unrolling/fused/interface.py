"""The fields of the interface, computed from the product of its linear layer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sonnet as snt
import tensorflow as tf

from dnc.content import oneplus
from dnc.interface import Interface
from dnc.unrolling.fused import normalization
from dnc.unrolling.fused.normalization import normalize, normalize_gradient
from dnc.unrolling.fused.products import inner
from dnc.unrolling.fused.registry import Part, Recomputed, fuses, is_patched

Fields = Mapping[str, tf.Tensor]

# Gradient w.r.t. the argument of an activation, from its value and the gradient w.r.t. it.
_DERIVATIVES: dict[Any, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
    None: lambda y, d_y: d_y,
    tf.sigmoid: lambda y, d_y: d_y * (y * (1.0 - y)),
    tf.nn.softmax: lambda y, d_y: y * (d_y - inner(y, d_y)),
    oneplus: lambda y, d_y: d_y * (1.0 - tf.exp(1.0 - y)),
}


@fuses(Interface)
class FusedInterface(Part):
    """`Interface`: maps the vector [B, I] that its linear layer computes to the fields.

    The residuals are the vector after those activations that have a known derivative. The others
    run again in the backward pass. With layer normalisation the residuals also contain the vector
    before scale and offset, and 1 / std.
    """

    def __init__(self, interface: Interface):
        self._linear, self._fields = interface.linear, interface.fields
        self._norm: snt.LayerNorm | None = interface.norm
        self._widths: list[int] = list(interface.widths.values())
        self._recomputed = {
            name: Recomputed(field.activation)
            for name, field in interface.fields.items()
            if field.activation is not None and not _is_known(field)
        }
        self.recomputes = bool(self._recomputed)

    @staticmethod
    def fits(interface: Interface) -> bool:
        """Whether the fields come from a plain linear layer, normalised or not."""
        is_plain = type(interface.linear) is snt.Linear and not is_patched(interface.linear)
        return is_plain and (interface.norm is None or normalization.is_known(interface.norm))

    @property
    def variables(self) -> Sequence[tf.Variable]:  # type: ignore[override]
        """Trainable variables of the normalisation, and those that activations read."""
        of_activations = [x for part in self._recomputed.values() for x in part.variables]
        if self._norm is None:
            return of_activations
        of_norm = [self._norm.scale, self._norm.offset]
        return [*(x for x in of_norm if x is not None), *of_activations]

    def weights(self) -> list[tf.Tensor]:
        """Returns the matrix [H, I] and, if there is one, the bias [I]."""
        variables = [self._linear.w, self._linear.b] if self._linear.with_bias else [self._linear.w]
        return [tf.convert_to_tensor(variable) for variable in variables]

    def weight_gradients(self, inputs: tf.Tensor, d_products: tf.Tensor) -> list[tf.Tensor]:
        """Returns gradients w.r.t. `weights` from the controller outputs [T B, H] of all steps."""
        d_matrix = tf.matmul(inputs, d_products, transpose_a=True)
        d_bias = tf.reduce_sum(d_products, axis=0)
        return [d_matrix, d_bias] if self._linear.with_bias else [d_matrix]

    def residuals_spec(self, batch_size: int | None, dtype: tf.DType) -> tf.TensorSpec:
        """Returns the spec of the residuals."""
        width = sum(self._widths)
        return tf.TensorSpec([batch_size, width if self._norm is None else 2 * width + 1], dtype)

    def step(self, arguments: Any, weights: Any = ()) -> tuple[Fields, tf.Tensor]:
        """Returns the fields and the residuals."""
        del weights
        (vector,) = arguments
        of_norm: tuple[tf.Tensor, ...] = ()
        if self._norm is not None:
            of_norm = normalize(vector)
            vector = of_norm[0] * self._norm.scale
            if self._norm.offset is not None:
                vector += self._norm.offset
        fields = self._cut(vector)
        for name, x in fields.items():
            activation = self._fields[name].activation
            if activation is not None and name not in self._recomputed:
                fields[name] = activation(x)
        residuals = tf.concat([self._join(fields), *of_norm], axis=1)
        return self._recomputed_too(fields), residuals

    def results_again(self, arguments: Any, residuals: tf.Tensor) -> Fields:
        """Returns the fields of a step in the backward pass."""
        del arguments
        return self._recomputed_too(self._cut(residuals[:, : sum(self._widths)]))

    def _recomputed_too(self, fields: dict[str, tf.Tensor]) -> Fields:
        """Applies the activations that run again in the backward pass."""
        return fields | {name: x.step((fields[name],))[0] for name, x in self._recomputed.items()}

    def gradient(
        self,
        arguments: Any,
        results: Any,
        residuals: tf.Tensor,
        d_results: Fields,
        products: Any = (),
    ) -> tuple[tuple[tf.Tensor], list[tf.Tensor]]:
        """Returns the gradients."""
        del arguments, results, products
        d_vector, d_variables = {}, []
        for name, kept in self._cut(residuals[:, : sum(self._widths)]).items():
            d_field = d_results[name]
            if name in self._recomputed:
                (d_field,), found = self._recomputed[name].gradient((kept,), (), (), d_field)
                d_variables += found
            else:
                d_field = _DERIVATIVES[self._fields[name].activation](kept, d_field)
            d_vector[name] = d_field
        d_normalized = self._join(d_vector)
        if self._norm is None:
            return (d_normalized,), d_variables
        d_product, by_norm = self._norm_gradient(residuals, d_normalized)
        return (d_product,), [*by_norm, *d_variables]

    def _norm_gradient(
        self, residuals: tf.Tensor, d_vector: tf.Tensor
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """Returns gradients w.r.t. the product of the linear layer, and w.r.t. scale and offset."""
        assert self._norm is not None
        width = sum(self._widths)
        _, normalized, inverse_std = tf.split(residuals, [width, width, 1], axis=1)
        d_product = normalize_gradient(normalized, inverse_std, d_vector * self._norm.scale)
        found = [tf.reduce_sum(d_vector * normalized, axis=0)]
        if self._norm.offset is not None:
            found.append(tf.reduce_sum(d_vector, axis=0))
        return d_product, found

    def _cut(self, vector: tf.Tensor) -> dict[str, tf.Tensor]:
        parts = tf.split(vector, self._widths, axis=1)
        return {
            name: tf.reshape(part, [-1, *field.shape])
            for (name, field), part in zip(self._fields.items(), parts, strict=True)
        }

    def _join(self, fields: Fields) -> tf.Tensor:
        widths = zip(self._fields, self._widths, strict=True)
        return tf.concat([tf.reshape(fields[name], [-1, width]) for name, width in widths], axis=1)


def _is_known(field: Any) -> bool:
    return any(field.activation is known for known in _DERIVATIVES) and (
        # `inner` sums over the last of three axes.
        field.activation is not tf.nn.softmax or len(field.shape) == 2
    )
