"""Links with a sharpness."""

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from dnc.linkage import LinkageInputs
from dnc.sharp_links import EPSILON, SharpLinkage, sharpen
from dnc.unrolling.fused.linkage import linkage_step
from dnc.unrolling.fused.registry import Part, fused_part, fuses


@fuses(SharpLinkage)
class FusedSharpLinkage(Part):
    """`SharpLinkage`: keeps the directional weights of its linkage."""

    @staticmethod
    def fits(linkage: SharpLinkage) -> bool:
        """Whether the directional weights are sharpened once."""
        return type(linkage.linkage) is not SharpLinkage

    def __init__(self, linkage: SharpLinkage, num_reads: int):
        inner = linkage.linkage
        self._inner: Part = fused_part(inner, linkage_step(inner), num_reads)
        self._num_directions = 2 * linkage.num_writes
        self.num_residuals = self._num_directions * num_reads
        self.recomputes = self._inner.recomputes
        self.grows_linearly = self._inner.grows_linearly

    @property
    def variables(self) -> Sequence[tf.Variable]:  # type: ignore[override]
        """Trainable variables that the linkage reads."""
        return self._inner.variables

    def pack(self, state: Any) -> Any:
        """Returns the state as the linkage inside uses it."""
        return self._inner.pack(state)

    def unpack(self, state: Any) -> Any:
        """Inverts `pack`."""
        return self._inner.unpack(state)

    def step(self, arguments: Any, weights: Any = ()) -> tuple[Any, tf.Tensor]:
        """Returns directions [B, R, 2 V, N] and the next state, and residuals [B, 2 V R, N]."""
        del weights
        (directions, state), _ = self._inner.step(arguments)
        sharpened = sharpen(directions, arguments[0].fields["sharpness"])
        return (sharpened, state), tf.concat(tf.unstack(directions, axis=2), axis=1)

    def gradient(
        self,
        arguments: Any,
        results: Any,
        residuals: tf.Tensor,
        d_results: Any,
        products: Any = (),
    ) -> tuple[tuple[LinkageInputs, Any], list[tf.Tensor]]:
        """Returns the gradients."""
        del products
        (sharpened, next_state), (d_sharpened, d_next_state) = results, d_results
        sharpness = arguments[0].fields["sharpness"][..., tf.newaxis]
        directions = tf.stack(tf.split(residuals, self._num_directions, axis=1), axis=2)
        # S(d, s) = softmax(s log(d + eps)). The maximum has no gradient where d < 0.
        raised = tf.maximum(directions, 0.0) + EPSILON
        total = tf.reduce_sum(sharpened * d_sharpened, axis=3, keepdims=True)
        d_logits = sharpened * (d_sharpened - total)
        d_sharpness = tf.reduce_sum(d_logits * tf.math.log(raised), axis=3)
        d_directions = tf.where(
            directions < 0.0, tf.zeros([], raised.dtype), sharpness * d_logits / raised
        )
        (d_inputs, d_state), by_variable = self._inner.gradient(
            arguments, (directions, next_state), (), (d_directions, d_next_state)
        )
        before = d_inputs.fields.get("sharpness", 0.0)
        fields = {**d_inputs.fields, "sharpness": before + d_sharpness}
        return (d_inputs._replace(fields=fields), d_state), by_variable
