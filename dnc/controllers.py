"""Controllers for a `dnc.DNC`, in addition to Sonnet's recurrent cores."""

from collections.abc import Callable, Sequence
from typing import Any

import sonnet as snt
import tensorflow as tf

from dnc import _checks, _cores, _nests


class FeedForward(snt.RNNCore):
    """A controller without recurrence, so that only the memory carries information over time.

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
          network: any Sonnet module or callable that maps [B, X] to [B, H], or the layer size(s) of
            a multilayer perceptron with a ReLU after every layer.
          name: name of the module.

        Raises:
          ValueError: if a layer size is not a positive integer, or the network is recurrent.
        """
        super().__init__(name=name)
        self._input_size: int | None = None  # Known after the first call, as is the dtype.
        self._dtype: tf.DType | None = None
        self._output_size: int | None = None
        self._sizes: Sequence[int] | None = None
        if hasattr(network, "state_size") or isinstance(network, snt.RNNCore):
            raise ValueError(
                f"FeedForward takes a network without a state, got {network!r}. For a recurrent "
                "controller use an snt.RNNCore instead, e.g. snt.LSTM(64) for a "
                "keras.layers.LSTMCell(64)."
            )
        if callable(network):
            self._network = network
        else:
            sizes = network if isinstance(network, Sequence) else [network]
            if not sizes:
                raise ValueError("FeedForward needs at least one layer size, got none.")
            self._sizes = [_checks.check_size("layer size", size) for size in sizes]
            self._network = snt.nets.MLP(self._sizes, activate_final=True)
            self._output_size = self._sizes[-1]

    def __call__(
        self, inputs: tf.Tensor, prev_state: tuple[()], training: bool | None = None
    ) -> tuple[tf.Tensor, tuple[()]]:
        """Returns the network's output for `inputs` and the empty state.

        Args:
          inputs: [B, X].
          prev_state: ignored.
          training: passed on to a network that accepts it, as in `dnc.DNC`.

        Raises:
          ValueError: if the inputs do not fit the layers.
        """
        del prev_state
        if self._sizes is not None:
            inputs = _checks.check_tensor("inputs", inputs, [None, self._input_size], self._dtype)
            self._input_size, self._dtype = inputs.shape[1], inputs.dtype
        return _cores.call_with_training(self._network, inputs, training=training), ()

    def initial_state(self, batch_size: Any, dtype: Any = tf.float32) -> tuple[()]:
        """Returns the empty state."""
        del batch_size, dtype
        return ()

    @property
    def network(self) -> Sequence[int] | Callable[[tf.Tensor], tf.Tensor]:
        """The layer sizes, or the network that the core was made with."""
        return self._network if self._sizes is None else self._sizes

    @property
    def state_size(self) -> tuple[()]:
        """Shapes of the empty state: none."""
        return ()

    @property
    def output_size(self) -> tf.TensorShape:
        """Shape of one example's output. Its size is unknown for a custom network."""
        return tf.TensorShape([self._output_size])


class Wrapper(snt.RNNCore):
    """A controller that wraps another one and has the same state."""

    def __init__(self, core: snt.RNNCore, name: str):
        super().__init__(name=name)
        if not isinstance(core, snt.RNNCore):
            raise ValueError(f"{type(self).__name__} wraps an snt.RNNCore, got {core!r}.")
        self.core = core

    def initial_state(self, batch_size: Any, **kwargs: Any) -> Any:
        """Returns the wrapped core's initial state."""
        return self.core.initial_state(batch_size, **kwargs)


class ClippedSignal(Wrapper):
    """A controller that clips the gradients that flow back through it.

    The forward pass is the wrapped core's. In the backward pass, at each time step, the gradients
    with respect to the core's output and next state are clipped element by element, so that they
    cannot grow over many steps. (The paper clips the gradients with respect to the activations of
    its LSTM to [-10, 10].)

        >>> core = ClippedSignal(snt.LSTM(16), 10.0)
        >>> output, state = core(tf.zeros([2, 10]), core.initial_state(batch_size=2))
        >>> output.shape
        TensorShape([2, 16])
    """

    def __init__(self, core: snt.RNNCore, bound: float = 10.0, name: str = "clipped_signal"):
        """Wraps a core.

        Args:
          core: any `snt.RNNCore`.
          bound: maximum absolute value of each element of a gradient, > 0.
          name: name of the module.

        Raises:
          ValueError: if `core` is not an `snt.RNNCore`, or the bound is not positive.
        """
        super().__init__(core, name)
        self._bound = _checks.check_bound("bound", bound)

    def __call__(
        self, inputs: tf.Tensor, prev_state: Any, training: bool | None = None
    ) -> tuple[tf.Tensor, Any]:
        """Performs one step of the wrapped core and passes on its errors."""
        step = _cores.call_with_training(self.core, inputs, prev_state, training=training)
        return _nests.map_tensors(self._clip_gradient, step)

    @property
    def bound(self) -> float:
        """Maximum absolute value of each element of a gradient."""
        return self._bound

    def _clip_gradient(self, x: tf.Tensor) -> tf.Tensor:
        if not x.dtype.is_floating:
            return x

        @tf.custom_gradient
        def identity(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
            return tf.identity(x), lambda dy: tf.clip_by_value(dy, -self._bound, self._bound)

        return identity(x)


class InputsOnly(Wrapper):
    """A controller that does not see the words read.

    Its input is x_t instead of the paper's [x_t; r_{t-1}^1; ...; r_{t-1}^R]. With `FeedForward`
    inside, the interface vector then depends on the input of the same time step alone, so it cannot
    drift in sequences longer than in training.

        >>> core = InputsOnly(FeedForward([16]), 10)
        >>> output, state = core(tf.zeros([2, 10 + 8]), core.initial_state(batch_size=2))
        >>> output.shape
        TensorShape([2, 16])
    """

    def __init__(self, core: snt.RNNCore, input_size: int, name: str = "inputs_only"):
        """Wraps a core.

        Args:
          core: any `snt.RNNCore`.
          input_size: width X of the DNC's input x_t, which precedes the words read.
          name: name of the module.

        Raises:
          ValueError: if `core` is not an `snt.RNNCore`, or the size is not a positive integer.
        """
        super().__init__(core, name)
        self._input_size = _checks.check_size("input_size", input_size)

    def __call__(
        self, inputs: tf.Tensor, prev_state: Any, training: bool | None = None
    ) -> tuple[tf.Tensor, Any]:
        """Performs one step of the wrapped core and passes on its errors.

        Raises:
          ValueError: if the inputs are narrower than `input_size`.
        """
        check_width(self, inputs, self._input_size)
        inputs = inputs[:, : self._input_size]
        return _cores.call_with_training(self.core, inputs, prev_state, training=training)

    @property
    def input_size(self) -> int:
        """Width of the wrapped core's input."""
        return self._input_size


class EmbeddedInputs(Wrapper):
    """A controller that sees a learned embedding of the DNC's input, next to the words read.

    The embedding x_t E replaces x_t. It suits wide inputs with few nonzero elements, such as
    one-hot words. The initial elements of E have variance 1.

        >>> core = EmbeddedInputs(snt.LSTM(16), input_size=1000, embedding_size=32)
        >>> output, state = core(tf.zeros([2, 1000 + 8]), core.initial_state(batch_size=2))
        >>> output.shape
        TensorShape([2, 16])
    """

    def __init__(
        self,
        core: snt.RNNCore,
        input_size: int,
        embedding_size: int,
        *,
        dtype: tf.DType = tf.float32,
        name: str = "embedded_inputs",
    ):
        """Wraps a core.

        Args:
          core: any `snt.RNNCore`.
          input_size: width X of the DNC's input x_t, which precedes the words read.
          embedding_size: width of the embedding.
          dtype: float32 or float64.
          name: name of the module.

        Raises:
          ValueError: if `core` is not an `snt.RNNCore`, or a size is not a positive integer.
        """
        super().__init__(core, name)
        self._input_size = _checks.check_size("input_size", input_size)
        size = _checks.check_size("embedding_size", embedding_size)
        dtype = _checks.check_state_dtype(dtype)
        # A layer's weights are initialised for inputs with a variance of about 1. One-hot inputs
        # have a variance near 0, so they would hardly change the gates of an LSTM.
        draw = snt.initializers.RandomNormal()
        self.embedding = tf.Variable(draw([input_size, size], dtype), name="embedding")

    def __call__(
        self, inputs: tf.Tensor, prev_state: Any, training: bool | None = None
    ) -> tuple[tf.Tensor, Any]:
        """Performs one step of the wrapped core and passes on its errors.

        Raises:
          ValueError: if the inputs are narrower than `input_size`.
        """
        check_width(self, inputs, self._input_size)
        embedded = tf.matmul(inputs[:, : self._input_size], self.embedding)
        inputs = tf.concat([embedded, inputs[:, self._input_size :]], axis=1)
        return _cores.call_with_training(self.core, inputs, prev_state, training=training)

    @property
    def input_size(self) -> int:
        """Width X of the DNC's input."""
        return self._input_size

    @property
    def embedding_size(self) -> int:
        """Width of the embedding."""
        return self.embedding.shape[1]

    @property
    def dtype(self) -> tf.DType:
        """Dtype of the embedding."""
        return self.embedding.dtype


class DeepLSTM(snt.RNNCore):
    """The paper's controller, a stack of LSTMs with skip connections.

    The input reaches every layer, and every layer reaches the output. Layer l sees the input, its
    own state and the output of layer l - 1 at the same time step. The core's output is the
    concatenation of all layers' outputs (Methods, "Controller network"):

        h_t^l = LSTM_l([x_t; h_t^{l-1}], h_{t-1}^l, s_{t-1}^l),   output = [h_t^1; ...; h_t^L]

    >>> core = DeepLSTM([16, 16])
    >>> output, state = core(tf.zeros([2, 10]), core.initial_state(batch_size=2))
    >>> output.shape, len(state)
    (TensorShape([2, 32]), 2)
    """

    def __init__(
        self,
        hidden_sizes: Sequence[int],
        *,
        dtype: tf.DType = tf.float32,
        name: str = "deep_lstm",
    ):
        """Creates the core.

        Args:
          hidden_sizes: hidden size of each layer, from the input to the output.
          dtype: float32 or float64.
          name: name of the module.

        Raises:
          ValueError: if there is no layer, or a size is not a positive integer.
        """
        super().__init__(name=name)
        if not isinstance(hidden_sizes, Sequence) or not hidden_sizes:
            raise ValueError(
                f"hidden_sizes must be a list of layer sizes, such as [256], got {hidden_sizes!r}."
            )
        self._hidden_sizes = [_checks.check_size("hidden size", size) for size in hidden_sizes]
        self._dtype = _checks.check_state_dtype(dtype)
        self._input_size: int | None = None  # Known after the first call.
        self._layers = snt.deep_rnn_with_skip_connections(
            [snt.LSTM(size, dtype=self._dtype) for size in self._hidden_sizes]
        )

    def __call__(self, inputs: tf.Tensor, prev_state: Any) -> tuple[tf.Tensor, Any]:
        """Performs one step.

        Args:
          inputs: [B, X].
          prev_state: one `snt.LSTMState` for each layer.

        Returns:
          The hidden states of all layers, [B, sum of hidden sizes], and the next state.

        Raises:
          ValueError: if a rank, a width, a dtype or the structure of the state does not fit.
        """
        inputs = _checks.check_tensor("inputs", inputs, [None, self._input_size], self._dtype)
        sizes, batch_size = self.state_size, inputs.shape[0]
        _checks.check_state("prev_state", prev_state, sizes, inputs.dtype, batch_size)
        self._input_size = inputs.shape[1]
        return self._layers(inputs, prev_state)

    def initial_state(self, batch_size: Any) -> tuple[snt.LSTMState, ...]:
        """Returns zeros, one `snt.LSTMState` for each layer."""
        return self._layers.initial_state(batch_size)

    @property
    def hidden_sizes(self) -> Sequence[int]:
        """Hidden size of each layer."""
        return self._hidden_sizes

    @property
    def dtype(self) -> tf.DType:
        """Dtype of variables and state."""
        return self._dtype

    @property
    def state_size(self) -> tuple[snt.LSTMState, ...]:
        """Shapes of one example's state."""
        shapes = [tf.TensorShape([size]) for size in self._hidden_sizes]
        return tuple(snt.LSTMState(shape, shape) for shape in shapes)

    @property
    def output_size(self) -> tf.TensorShape:
        """Shape of one example's output."""
        return tf.TensorShape([sum(self._hidden_sizes)])


def check_width(wrapper: Wrapper, inputs: tf.Tensor, width: int) -> None:
    """Raises `ValueError` unless inputs [B, X] are at least `width` wide."""
    if inputs.shape[1] < width:
        raise ValueError(
            f"{type(wrapper).__name__} needs inputs of width {width} or more, got shape "
            f"{inputs.shape}."
        )
