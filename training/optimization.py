"""From gradients to updates: optimizers, the learning-rate schedule, and weight decay."""

import dataclasses
from collections.abc import Sequence

import sonnet as snt
import tensorflow as tf


def rmsprop(
    variables: Sequence[tf.Variable], learning_rate: float, epsilon: float, momentum: float = 0.0
) -> snt.optimizers.RMSProp:
    """Returns TensorFlow 1's RMSProp: Sonnet's, but the mean square starts at 1 instead of 0.

    ms <- 0.9 ms + 0.1 g^2,   mom <- momentum mom + learning_rate g / sqrt(ms + epsilon),
    variable <- variable - mom

    This keeps the first updates small, on which the released training depends.
    """
    optimizer = snt.optimizers.RMSProp(learning_rate, momentum=momentum, epsilon=epsilon)
    optimizer.apply([tf.zeros_like(variable) for variable in variables], variables)  # Creates `ms`.
    for mean_square in optimizer.ms:
        mean_square.assign(tf.ones_like(mean_square))
    return optimizer


def adam(
    variables: Sequence[tf.Variable], learning_rate: float, epsilon: float
) -> snt.optimizers.Adam:
    """Returns Sonnet's Adam, with its variables created."""
    optimizer = snt.optimizers.Adam(learning_rate, epsilon=epsilon)
    optimizer.apply([tf.zeros_like(variable) for variable in variables], variables)
    optimizer.step.assign(0)
    return optimizer


@dataclasses.dataclass(frozen=True)
class Update:
    """Update of the variables in a training step.

    Attributes:
      optimizer: the optimizer with its state; its learning rate is a number.
      max_grad_norm: bound on the gradients' global norm, > 0.
      decay: the first step of the decay of the learning rate, >= 0, and the number of steps over
        which it decays linearly to 0, >= 1; `None`: it is constant.
      weight_decay: decoupled weight decay (Loshchilov & Hutter 2019), multiplied by the learning
        rate, >= 0.
    """

    optimizer: snt.Optimizer
    max_grad_norm: float
    decay: tuple[int, int] | None = None
    weight_decay: float = 0.0

    @tf.autograph.experimental.do_not_convert  # See `episodes.replay`.
    def apply(
        self, gradients: Sequence[tf.Tensor], variables: Sequence[tf.Variable], step: tf.Tensor
    ) -> None:
        """Updates the variables.

        Args:
          gradients: one for each variable, clipped.
          variables: the variables of the optimizer.
          step: number of updates so far.
        """
        constant = learning_rate = self.optimizer.learning_rate
        if self.decay:
            first, number = self.decay
            part_done = tf.cast(step - first, tf.float32) / number
            learning_rate *= tf.clip_by_value(1.0 - part_done, 0.0, 1.0)
        if self.weight_decay:
            for variable in variables:
                if variable.shape.rank > 1:
                    variable.assign_sub(learning_rate * self.weight_decay * variable)
        self.optimizer.learning_rate = learning_rate  # A tensor is allowed.
        try:
            self.optimizer.apply(gradients, variables)
        finally:
            self.optimizer.learning_rate = constant
