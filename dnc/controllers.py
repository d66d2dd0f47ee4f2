"""Controllers for a `dnc.DNC`, besides the recurrent cores that Sonnet has."""

from collections.abc import Callable, Sequence
from typing import Any

import sonnet as snt
import tensorflow as tf

from dnc import _checks


class FeedForward(snt.RNNCore):
    """A controller without recurrence: all that is remembered is in the memory.

    The paper uses one for its copy tasks (Extended Data Fig. 1 and 4).

        >>> core = FeedForward([128, 64])
        >>> output, state = core(tf.zeros([2, 10]), core.initial_state(batch_size=2))
        >>> output.shape, state
        (TensorShape([2, 64]), ())
    """

    def __init__(
        self,
        network: int | Sequence[int] | Callable[[tf.Tensor], tf.Tensor],
        name: str = "feed_forward",
    ):
        """Creates the core.

        Args:
          network: any Sonnet module or callable that maps [B, X] to [B, H]; or the layer size(s) of
            a multilayer perceptron with ReLU after every layer.
          name: name of the module.

        Raises:
          ValueError: if a layer size is not a positive integer.
        """
        super().__init__(name=name)
        self._output_size: int | None = None
        if callable(network):
            self._network = network
        else:
            sizes = network if isinstance(network, Sequence) else [network]
            if not sizes:
                raise ValueError("FeedForward needs at least one layer size, got none.")
            sizes = [_checks.check_size("layer size", size) for size in sizes]
            self._network = snt.nets.MLP(sizes, activate_final=True)
            self._output_size = sizes[-1]

    def __call__(self, inputs: tf.Tensor, prev_state: tuple[()]) -> tuple[tf.Tensor, tuple[()]]:
        """Returns the network's output for `inputs` and the empty state."""
        del prev_state
        return self._network(inputs), ()

    def initial_state(self, batch_size: Any, dtype: Any = tf.float32) -> tuple[()]:
        """Returns the empty state."""
        del batch_size, dtype
        return ()

    @property
    def state_size(self) -> tuple[()]:
        """The empty state has no shapes."""
        return ()

    @property
    def output_size(self) -> tf.TensorShape:
        """Shape of one example's output; of unknown size if it comes from a given network."""
        return tf.TensorShape([self._output_size])
