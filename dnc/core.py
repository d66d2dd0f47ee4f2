"""The Differentiable Neural Computer: a controller and a memory as one recurrent core."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import sonnet as snt
import tensorflow as tf

from dnc import _checks, _cores, _nests
from dnc.access import MemoryAccess
from dnc.controllers import FeedForward
from dnc.dropout import Dropout
from dnc.parts import AccessState, AccessStep


class DNCState(NamedTuple):
    """State of a `DNC`."""

    access_output: Any  # [B, R, W], the words read at the last step
    access_state: AccessState
    controller_state: Any  # the controller's own state, e.g. `snt.LSTMState`
    bypass: Any = ()  # `DropoutState` of the bypass dropout; () without dropout


class DNCStep(NamedTuple):
    """All quantities of one step of a `DNC`."""

    outputs: tf.Tensor  # [B, Y]
    controller_output: tf.Tensor  # [B, H], after clipping
    access: AccessStep
    state: DNCState


class DNC(snt.RNNCore):
    """Differentiable Neural Computer (Graves et al., Nature 538, 2016).

    At each step the controller sees the input and the words last read, and directs what the memory
    writes and reads. The output is a linear function of the controller output and the words just
    read:

        h_t = controller([x_t; r_{t-1}]),   r_t = access(h_t),   y_t = W [h_t; r_t] + b

    Use it like any Sonnet core:

        >>> core = DNC(
        ...     access=MemoryAccess(memory_size=16, word_size=8, num_reads=2),
        ...     controller=snt.LSTM(32),
        ...     output_size=5,
        ... )
        >>> sequence = tf.zeros([7, 3, 6])  # time, batch, input width
        >>> outputs, state = snt.dynamic_unroll(core, sequence, core.initial_state(batch_size=3))
        >>> outputs.shape
        TensorShape([7, 3, 5])
    """

    def __init__(
        self,
        access: MemoryAccess | Mapping[str, Any],
        controller: snt.RNNCore | Callable[[tf.Tensor], tf.Tensor] | Mapping[str, Any],
        output_size: int | Callable[[tf.Tensor], tf.Tensor],
        clip_value: float | None = None,
        name: str = "dnc",
        *,
        with_bias: bool = True,
        bypass_dropout: float = 0.0,
    ):
        """Creates the core.

        Args:
          access: the memory, or the keyword arguments of a `MemoryAccess`.
          controller: any `snt.RNNCore` with an output of shape [B, H]; any callable or module that
            maps [B, X + R W] to [B, H]; or the keyword arguments of an `snt.LSTM`. Its variables
            must belong to a `tf.Module`: variables of a Keras layer are not found.
          output_size: width Y of the output, >= 1; or a custom output layer: a module or
            callable that maps [B, H + R W], the controller output and the words just read, to
            [B, Y].
          clip_value: bound on the absolute value of the controller's output and state and of the
            output; > 0, `None` for no bound. The released training script uses 20.
          name: name of the module.
          with_bias: whether the linear output layer has a bias (released code) or not (paper).
          bypass_dropout: rate, in [0, 1), of a `dnc.Dropout` on the way from the controller to the
            output, which bypasses the memory: y_t = W [dropout(h_t); r_t] + b. It makes the network
            rely on its memory (Franke et al. 2018: 0.1). 0 means no dropout. As with every
            `dnc.Dropout`, nothing is dropped before `dnc.seed_dropout`.

        Raises:
          ValueError: if an argument is out of range or of an unsupported type.
        """
        super().__init__(name=name)
        if clip_value is not None:
            clip_value = _checks.check_bound("clip_value", clip_value, ", or None for no clipping")
        self._clip_value = clip_value
        self._input_size: int | None = None  # Known after the first call, as is the next.
        self._hidden_size: int | None = None
        self._controller_size: Any = None  # Inferred when it is first needed.

        if isinstance(access, Mapping):
            access = _checks.call_with(MemoryAccess, access)
        if not isinstance(access, MemoryAccess):
            raise ValueError(
                f"access must be a dnc.MemoryAccess or a dict of its arguments, got {access!r}."
            )
        self.access = access

        if isinstance(controller, Mapping):
            controller = _checks.call_with(snt.LSTM, controller)
        elif callable(controller) and not isinstance(controller, snt.RNNCore):
            controller = FeedForward(controller)
        if not isinstance(controller, snt.RNNCore):
            raise ValueError(
                "controller must be an snt.RNNCore, a callable, or a dict of snt.LSTM arguments, "
                f"got {controller!r}."
            )
        self.controller = controller
        self.bypass = Dropout(bypass_dropout, name="bypass") if bypass_dropout else None
        if callable(output_size):
            self.output_linear: Any = output_size
            self._output_size = getattr(output_size, "output_size", None)  # Or known later.
        else:
            self._output_size = _checks.check_size("output_size", output_size)
            self.output_linear = snt.Linear(
                self._output_size, with_bias=with_bias, name="output_linear"
            )

    def __call__(
        self, inputs: tf.Tensor, prev_state: DNCState, training: bool | None = None
    ) -> tuple[tf.Tensor, DNCState]:
        """Performs one step.

        Args:
          inputs: [B, X]. A floating-point array is cast to the dtype of the state.
          prev_state: `DNCState` of the previous step.
          training: passed on to a controller and a custom output layer with a parameter `training`
            or `is_training`. `None` keeps their own defaults.

        Returns:
          The output [B, Y] and the next `DNCState`.

        Raises:
          ValueError: if a rank, a width, a dtype or the structure of the state does not fit; or, in
            the first call, if the step depends on a trainable variable that is not among the core's
            `trainable_variables`.
        """
        step = self.step(inputs, prev_state, training)
        return step.outputs, step.state

    def step(
        self, inputs: tf.Tensor, prev_state: DNCState, training: bool | None = None
    ) -> DNCStep:
        """Performs one step, as `__call__` does, and returns all of its quantities.

        Unused quantities are pruned from a compiled graph.

        Raises:
          ValueError: as for `__call__`.
        """
        inputs = self._check(inputs, prev_state)
        step = _cores.call_checked(self, self._compute, inputs, prev_state, training)
        self._input_size, self._output_size = inputs.shape[1], step.outputs.shape[1]
        self._hidden_size = step.controller_output.shape[1]
        return step

    def _compute(self, inputs: tf.Tensor, prev_state: DNCState, training: bool | None) -> DNCStep:
        controller_output, controller_state = _cores.call_with_training(
            self.controller,
            tf.concat([inputs, flatten_words(prev_state.access_output)], axis=1),
            prev_state.controller_state,
            training=training,
        )
        controller_output = self.clip(controller_output)
        controller_state = _nests.map_tensors(self.clip, controller_state)
        access = self.access.compute(controller_output, prev_state.access_state)
        hidden, bypass_state = controller_output, prev_state.bypass
        if self.bypass is not None:
            hidden, bypass_state = self.bypass(hidden, bypass_state)
        hidden_and_words = tf.concat([hidden, flatten_words(access.read_words)], axis=1)
        outputs = _cores.call_with_training(self.output_linear, hidden_and_words, training=training)
        return DNCStep(
            outputs=self.clip(outputs),
            controller_output=controller_output,
            access=access,
            state=DNCState(access.read_words, access.state, controller_state, bypass_state),
        )

    def initial_state(self, batch_size: Any, dtype: Any = None) -> DNCState:
        """Returns the state before the first step: an empty memory, the controller's initial state.

        Args:
          batch_size: an integer >= 0 or a scalar integer tensor.
          dtype: float32 or float64; by default the dtype of the controller's state, as set by
            `snt.LSTM(64, dtype=tf.float64)`. Without a state it is the dtype of the variables, or
            float32 before there are any.

        Raises:
          ValueError: if `dtype` is not allowed, or the controller's state has a different dtype.
        """
        batch_size = _checks.check_batch_size(batch_size)
        dtype = None if dtype is None else _checks.check_state_dtype(dtype)
        controller_state = _cores.initial_state(self.controller, batch_size, dtype)
        for part in tf.nest.flatten(controller_state):
            if part is None or not part.dtype.is_floating:
                continue
            dtype = dtype or _checks.check_state_dtype(part.dtype)
            if part.dtype != dtype:
                raise ValueError(
                    f"The controller's state is {part.dtype.name}, but {dtype.name} was requested "
                    f"or given as inputs. Pass {part.dtype.name}, e.g. "
                    f"tf.cast(inputs, tf.{part.dtype.name}), or make the controller with "
                    f"dtype=tf.{dtype.name}."
                )
        dtype = dtype or self._dtype_of_weights() or tf.float32
        return DNCState(
            access_output=tf.zeros([batch_size, *self.access.output_size], dtype),
            access_state=self.access.initial_state(batch_size, dtype),
            controller_state=controller_state,
            bypass=() if self.bypass is None else self.bypass.initial_state(batch_size),
        )

    @property
    def state_size(self) -> DNCState:
        """Shapes of one example's state: the shapes in `initial_state` without the batch axis."""
        if self._controller_size is None:
            self._controller_size = _cores.state_size(self.controller)
        return DNCState(
            access_output=self.access.output_size,
            access_state=self.access.state_size,
            controller_state=self._controller_size,
            bypass=() if self.bypass is None else self.bypass.state_size,
        )

    @property
    def output_size(self) -> tf.TensorShape:
        """Shape of one example's output; unknown before the first call of a custom output layer."""
        return tf.TensorShape([self._output_size])

    @property
    def input_size(self) -> int | None:
        """Width X of the input; `None` before the first call."""
        return self._input_size

    @property
    def hidden_size(self) -> int | None:
        """Width H of the controller's output; `None` before the first call."""
        return self._hidden_size

    @property
    def clip_value(self) -> float | None:
        """Bound on controller output, controller state and output; `None` for no bound."""
        return self._clip_value

    @property
    def bypass_dropout(self) -> float:
        """Rate of the dropout on the way from the controller to the output."""
        return 0.0 if self.bypass is None else self.bypass.rate

    def clip(self, x: tf.Tensor) -> tf.Tensor:
        """Clips a floating-point tensor to [-clip_value, clip_value]."""
        if self._clip_value is None or not x.dtype.is_floating:
            return x
        return tf.clip_by_value(x, -self._clip_value, self._clip_value)

    def _check(self, inputs: tf.Tensor, prev_state: DNCState) -> tf.Tensor:
        if not tf.is_tensor(inputs):
            dtype = getattr(getattr(prev_state, "access_output", None), "dtype", None)
            inputs = _checks.to_tensor("inputs", inputs, dtype)
        inputs = _checks.check_tensor("inputs", inputs, [None, self._input_size])
        _checks.check_state_dtype(inputs.dtype)
        expected = self._dtype_of_weights()
        if expected is not None and expected != inputs.dtype:
            raise ValueError(
                f"inputs must be {expected.name} like the core's variables, got "
                f"{inputs.dtype.name}. Pass {expected.name}, e.g. "
                f"tf.cast(inputs, tf.{expected.name})."
            )
        dtype, batch_size = inputs.dtype, inputs.shape[0]
        sizes: Any = self.state_size
        # The other parts are checked below.
        own = sizes._replace(access_state=None, controller_state=None, bypass=None)
        _checks.check_state("state", prev_state, own, dtype, batch_size)
        self.access.check_state("state.access_state", prev_state.access_state, inputs)
        # Controllers may carry integer state, so only floating-point parts need the dtype.
        _checks.check_state(
            "state.controller_state",
            prev_state.controller_state,
            sizes.controller_state,
            dtype,
            batch_size,
            strict=False,
        )
        return inputs

    def _dtype_of_weights(self) -> tf.DType | None:
        """Returns the dtype of the interface layer's weights; `None` before they exist."""
        linear = getattr(self.access.interface, "linear", None)
        return getattr(getattr(linear, "w", None), "dtype", None)


def flatten_words(x: tf.Tensor) -> tf.Tensor:
    """Reshapes [B, R, W] to [B, R W]."""
    return tf.reshape(x, [-1, x.shape[1] * x.shape[2]])
