"""Links with a sharpness, so that directional weights do not blur from step to step.

Csordas & Schmidhuber, "Improving Differentiable Neural Computers Through Memory Masking,
De-allocation, and Link Distribution Sharpness Control" (2019), section 3.3.
"""

from typing import Any

import tensorflow as tf

from dnc.content import oneplus
from dnc.interface import Field
from dnc.linkage import DirectionalWeights, Linkage, LinkageInputs

EPSILON = 1e-6


def sharpen(weights: tf.Tensor, sharpness: tf.Tensor) -> tf.Tensor:
    """S(d, s)[i] = (d[i] + eps)^s / sum_j (d[j] + eps)^s, as softmax_i(s log(d[i] + eps)).

    Args:
      weights: [..., N], d >= 0 (below 0 only by rounding).
      sharpness: [...], s >= 0.

    Returns:
      [..., N], each row summing to 1. Where d is 0 everywhere, the weights are equal.
    """
    logarithms = tf.math.log(tf.maximum(weights, 0.0) + EPSILON)
    return tf.nn.softmax(sharpness[..., tf.newaxis] * logarithms)


class SharpLinkage(Linkage):
    """A linkage that sharpens the forward and backward weights of another one.

    A link to a slot that was written with a soft weighting is soft itself, and following it step by
    step blurs the reads. Here each read head emits a sharpness s >= 1 for each direction and write
    head, which `sharpen` applies.

    >>> import dnc
    >>> access = dnc.MemoryAccess(16, 8, linkage=SharpLinkage(dnc.TemporalLinkage(16)))
    >>> access.interface.fields["sharpness"].shape
    (1, 2)

    Attributes:
      linkage: the linkage whose weights are sharpened.
    """

    def __init__(self, linkage: Linkage, name: str = "sharp_linkage"):
        """Wraps a linkage.

        Args:
          linkage: a linkage with read modes, such as `TemporalLinkage(memory_size)`.
          name: name of the module.

        Raises:
          ValueError: if `linkage` is not such a linkage.
        """
        if not isinstance(linkage, Linkage) or "read_mode" not in linkage.fields():
            raise ValueError(
                "SharpLinkage wraps a linkage with read modes, such as "
                f"dnc.TemporalLinkage(memory_size), got {linkage!r}."
            )
        super().__init__(linkage.memory_size, linkage.num_writes, name)
        self.linkage = linkage

    def fields(self) -> dict[str, Field]:
        """Returns the interface fields: the fields of the linkage, and the sharpness.

        Backward along the links of each write head, then forward.
        """
        return {**self.linkage.fields(), "sharpness": Field(("R", 2 * self.num_writes), oneplus)}

    def compute(self, inputs: LinkageInputs, prev_state: Any) -> tuple[DirectionalWeights, Any]:
        """Computes the result of `__call__` for checked arguments."""
        directions, state = self.linkage.compute(inputs, prev_state)
        backward, forward = tf.split(inputs.fields["sharpness"], 2, axis=2)
        return directions._replace(
            forward=sharpen(directions.forward, forward),
            backward=sharpen(directions.backward, backward),
        ), state

    def extras(self) -> dict[str, str]:
        """Returns the extras of the linkage."""
        return getattr(self.linkage, "extras", dict)()

    def initial_state(self, batch_size: Any, dtype: Any = tf.float32) -> Any:
        """Returns the linkage's initial state."""
        return self.linkage.initial_state(batch_size, dtype)

    @property
    def state_size(self) -> Any:
        """Shapes of one example's state, which is the state of the linkage."""
        return self.linkage.state_size
