"""Cores in Keras 3, on its TensorFlow backend.

`DNC` is a layer. `RNNCell` makes any core a cell for `RNN`, or for Keras' own `keras.layers.RNN`.
The weights of all three are the core's own variables, so a network that is trained in Keras is
the same network everywhere else.

Importing this module registers the classes. Import it before `keras.models.load_model`.

Keras saves a core in a `.keras` file as a description: the class and the arguments of each part.
Register your own classes, as you do with your own layers:

    >>> import dnc
    >>> @keras.saving.register_keras_serializable(package="my_package")
    ... class MyLinkage(dnc.TemporalLinkage):
    ...     def get_config(self):
    ...         return {"memory_size": self.memory_size, "num_writes": self.num_writes}

`get_config` returns the arguments of the constructor, which may be other parts.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import sonnet as snt
import tensorflow as tf

from dnc import _config, _cores, _keras_weights
from dnc import core as _core
from dnc.access import MemoryAccess

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        f"dnc.keras needs Keras' TensorFlow backend, but Keras runs on {keras.backend.backend()}. "
        "Set the environment variable KERAS_BACKEND=tensorflow before you import Keras."
    )


@keras.saving.register_keras_serializable(package="dnc")
class RNNCell(keras.layers.Layer):
    """A core as a cell for `RNN` or `keras.layers.RNN`.

        >>> import dnc
        >>> core = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(8), output_size=2)
        >>> layer = keras.layers.RNN(RNNCell(core), return_sequences=True)
        >>> layer(tf.zeros([3, 7, 5])).shape  # batch, time, input width
        TensorShape([3, 7, 2])

    Keras needs the state as a flat list of vectors of one dtype. In it, every part of the core's
    state, integers included, is one [B, size] tensor. `pack_state` and `flatten_state` convert.

    Several cells may share a core, and several cores a part. Each variable is then one weight.
    `keras.models.load_model` restores the sharing; `keras.models.clone_model` does not.
    """

    def __init__(
        self, core: snt.RNNCore | Callable[[], snt.RNNCore] | Mapping[str, Any], **kwargs: Any
    ):
        """Creates the cell.

        Args:
          core: a core with `state_size` and an `output_size` [Y], such as a `dnc.DNC`; a function
            that makes one; or the description of one from `get_config`. A function that is
            registered with `keras.saving.register_keras_serializable` can be saved, whatever the
            core consists of.
          **kwargs: arguments of `keras.layers.Layer`. With a mixed policy such as "mixed_bfloat16"
            the cell computes in the dtype of the variables, float32.

        Raises:
          ValueError: if `core` is none of these, or its description is wrong.
        """
        super().__init__(**kwargs)
        # Keras casts the state to the compute dtype, but the memory needs full precision.
        self.dtype_policy = keras.DTypePolicy(self.variable_dtype)
        self._make_core = None
        if isinstance(core, Mapping):
            core = keras.saving.deserialize_keras_object(core) if "class_name" in core else core
        if isinstance(core, Mapping):
            core = _config.make(core, default="DNC", made=_keras_weights.loaded_parts())
        elif callable(core) and not isinstance(core, tf.Module):
            self._make_core = core
            core = core()
        rank = getattr(getattr(core, "output_size", None), "rank", None)
        if not isinstance(core, snt.RNNCore) or not hasattr(core, "state_size") or rank != 1:
            raise ValueError(
                "core must be a core with state_size and an output_size [Y], such as a dnc.DNC, or "
                f"a function that makes one, got {core!r}."
            )
        self.core = core
        self.state_size = [size.num_elements() for size in tf.nest.flatten(core.state_size)]
        state = _cores.initial_state(core, 1, tf.as_dtype(self.variable_dtype))
        self._state_dtypes = [part.dtype for part in tf.nest.flatten(state)]
        _keras_weights.cells.add(self)

    @property
    def output_size(self) -> int | None:
        """Width Y of the output; `None` before a custom output layer has run."""
        return self.core.output_size[0]

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Creates the core's variables and makes them weights of this layer."""
        dtype = tf.as_dtype(self.variable_dtype)
        with _keras_weights.outside_of_tracing():
            _cores.run_on_zeros(self.core, tf.TensorSpec(input_shape, dtype), dtype, training=False)
            self._weights_of_core = [
                _keras_weights.keras_variable(variable) for variable in self.core.variables
            ]
        self.built = True

    def call(
        self, inputs: tf.Tensor, states: Sequence[tf.Tensor], training: bool | None = None
    ) -> tuple[tf.Tensor, Any]:
        """Performs one step.

        Args:
          inputs: [B, X].
          states: the state as a flat list.
          training: passed on to a core that has a parameter `training` or `is_training`. A
            `dnc.DNC` passes it on to its controller.

        Returns:
          The outputs [B, Y] and the next state as a flat list.

        Raises:
          ValueError: if the state does not fit.
        """
        inputs = tf.cast(inputs, self.variable_dtype)
        outputs, state = _cores.call_with_training(
            self.core, inputs, self.pack_state(states), training=training
        )
        return outputs, self.flatten_state(state)

    def get_initial_state(self, batch_size: Any = None) -> list[tf.Tensor]:
        """Returns the core's initial state as a flat list."""
        dtype = tf.as_dtype(self.variable_dtype)
        return self.flatten_state(_cores.initial_state(self.core, batch_size, dtype))

    def pack_state(self, states: Sequence[tf.Tensor]) -> Any:
        """Returns the core's state, such as a `dnc.DNCState`, from its flat list.

        Raises:
          ValueError: if the list does not have the shapes of this core's state.
        """
        given = [list(getattr(part, "shape", [])) for part in states]
        if [shape[1:] for shape in given] != [[size] for size in self.state_size]:
            raise ValueError(
                f"The state must be a list of tensors [B, size] of sizes {self.state_size}, got "
                f"shapes {given}."
            )
        sizes = tf.nest.flatten(self.core.state_size)
        parts = [
            tf.cast(tf.reshape(part, [-1, *size]), dtype)
            for part, size, dtype in zip(states, sizes, self._state_dtypes, strict=True)
        ]
        return tf.nest.pack_sequence_as(self.core.state_size, parts)

    def flatten_state(self, state: Any) -> list[tf.Tensor]:
        """Returns the core's state as a flat list of tensors [B, size]."""
        parts = zip(tf.nest.flatten(state), self.state_size, strict=True)
        return [tf.cast(tf.reshape(part, [-1, size]), self.variable_dtype) for part, size in parts]

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration of the cell and its core, without values of variables.

        Raises:
          ValueError: if the core has parts that cannot be described.
        """
        if self._make_core is not None:
            core = keras.saving.serialize_keras_object(self._make_core)
        else:
            core = _keras_weights.describe(self.core)
        return {**super().get_config(), "core": core}


@keras.saving.register_keras_serializable(package="dnc")
class RNN(keras.layers.RNN):
    """A `keras.layers.RNN` that also handles masks, and cells whose initial state is not 0.

        >>> import dnc
        >>> core = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(8), output_size=2)
        >>> layer = RNN(RNNCell(core), stateful=True)
        >>> layer(tf.zeros([3, 7, 5])).shape  # batch, time, input width
        TensorShape([3, 2])

    It has the same arguments. It differs where Keras' own layer

    - resets the state of a stateful layer to 0 instead of the cell's initial state;
    - ignores the mask of its inputs if `initial_state` is given;
    - with `unroll`, `go_backwards` and `zero_output_for_mask` (which `keras.layers.Bidirectional`
      sets) replaces the outputs of the wrong steps with 0;
    - cannot be stateful in a model that Keras traces to build it.
    """

    go_backwards: bool  # Assigned by Keras.

    def build(self, sequences_shape: Any, initial_state_shape: Any = None) -> None:
        """Creates the variables of the cell and, if stateful, of the state."""
        with _keras_weights.outside_of_tracing():
            super().build(sequences_shape, initial_state_shape)

    def call(
        self,
        sequences: tf.Tensor,
        initial_state: Sequence[tf.Tensor] | None = None,
        mask: tf.Tensor | None = None,
        training: bool = False,
        sequences_mask: tf.Tensor | None = None,
    ) -> Any:
        """Runs over a batch of sequences.

        Args:
          sequences: [B, T, X].
          initial_state: a flat list as `return_state` returns it; by default the cell's own.
          mask: booleans [B, T]. Steps where it is false are skipped and keep the state. By default
            the mask of the `sequences`, made by a `Masking` or `Embedding` layer.
          training: passed on to the cell.
          sequences_mask: the mask of the `sequences`, which Keras passes if there is an
            `initial_state`.

        Returns:
          The output [B, Y], or [B, T, Y] with `return_sequences`. With `return_state`, a list of
          the output and the parts of the last state.

        Raises:
          ValueError: if the mask or the state does not fit.
        """
        if mask is None:
            mask = sequences_mask
        if mask is not None:
            shape = getattr(mask, "shape", None)
            if shape is None or not sequences.shape[:2].is_compatible_with(shape):
                given = f"a {type(mask).__name__}" if shape is None else shape
                raise ValueError(
                    f"mask must have shape [B, T] = {sequences.shape[:2]}, got {given}. Pass an "
                    "array or a tensor of booleans."
                )
        return super().call(sequences, initial_state, mask, training)

    def inner_loop(
        self, sequences: tf.Tensor, initial_state: Any, mask: Any, training: bool = False
    ) -> Any:
        """Runs the cell over the steps; see `keras.layers.RNN`."""
        if mask is None or not (self.unroll and self.go_backwards):
            return super().inner_loop(sequences, initial_state, mask, training)
        # Keras reverses the mask for the state, but not for `zero_output_for_mask`.
        self.go_backwards = False
        try:
            sequences, mask = tf.reverse(sequences, axis=[1]), tf.reverse(mask, axis=[1])
            return super().inner_loop(sequences, initial_state, mask, training)
        finally:
            self.go_backwards = True

    def reset_state(self) -> None:
        """Sets the state of a stateful layer to the cell's initial state."""
        if self.states:
            initial_state = self.get_initial_state(self.states[0].shape[0])
            for part, value in zip(self.states, initial_state, strict=True):
                part.assign(value)


@keras.saving.register_keras_serializable(package="dnc")
class DNC(RNN):
    """A Differentiable Neural Computer as a Keras layer.

        >>> layer = DNC(
        ...     access={"memory_size": 16, "word_size": 8, "num_reads": 2},
        ...     controller={"hidden_size": 32},
        ...     output_size=5,
        ...     return_sequences=True,
        ... )
        >>> model = keras.Sequential([keras.Input([None, 6]), layer, keras.layers.Dense(1)])
        >>> model.count_params()
        9040

    It maps [B, T, X], batch first, to [B, Y] or, with `return_sequences`, to [B, T, Y].
    """

    def __init__(
        self,
        access: MemoryAccess | Mapping[str, Any],
        controller: snt.RNNCore | Mapping[str, Any],
        output_size: int | Callable[[tf.Tensor], tf.Tensor] | Mapping[str, Any],
        clip_value: float | None = None,
        *,
        with_bias: bool = True,
        return_sequences: bool = False,
        return_state: bool = False,
        go_backwards: bool = False,
        stateful: bool = False,
        unroll: bool = False,
        zero_output_for_mask: bool = False,
        **kwargs: Any,
    ):
        """Creates the layer.

        Args:
          access: the memory, or the arguments of a `dnc.MemoryAccess`.
          controller: any controller of a `dnc.DNC`, or the arguments of an `snt.LSTM`. A `.keras`
            file can contain `snt.LSTM`, `snt.GRU`, the controllers of this package, `dnc.DNC`, and
            registered classes. For any other controller, use an `RNNCell` with a registered
            function that makes the core.
          output_size: width Y of the output, >= 1, or an output layer; see `dnc.DNC`.
          clip_value: see `dnc.DNC`.
          with_bias: see `dnc.DNC`.
          return_sequences: whether to return the outputs of all steps instead of the last one.
          return_state: whether to also return the parts of the last state, a flat list of
            [B, size] tensors. `layer.cell.pack_state` converts them to a `dnc.DNCState`.
          go_backwards: whether to run from the last step to the first.
          stateful: whether a batch continues from the last state of the previous batch.
          unroll: whether to build the graph of each step instead of a loop.
          zero_output_for_mask: whether the output of a masked step is 0 instead of the previous
            output. The state is kept in either case.
          **kwargs: arguments of `keras.layers.Layer`. With a mixed `dtype` policy, such as
            "mixed_bfloat16", the layer computes and returns float32, the dtype of the variables.
            The next layer casts its inputs.

        Raises:
          ValueError: if an argument is out of range or of an unsupported type.
        """
        policy = keras.dtype_policies.get(kwargs.pop("dtype", None) or keras.config.dtype_policy())
        core = _core.DNC(
            _make(access, "MemoryAccess", policy.variable_dtype),
            _make(controller, "LSTM", policy.variable_dtype),
            _make(output_size, "", policy.variable_dtype),
            clip_value,
            with_bias=with_bias,
        )
        super().__init__(
            RNNCell(core, dtype=policy.variable_dtype),
            return_sequences=return_sequences,
            return_state=return_state,
            go_backwards=go_backwards,
            stateful=stateful,
            unroll=unroll,
            zero_output_for_mask=zero_output_for_mask,
            dtype=policy.variable_dtype,
            **kwargs,
        )

    @property
    def core(self) -> _core.DNC:
        """The `dnc.DNC` that the layer runs."""
        return self.cell.core

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration of the layer, without values of variables.

        Raises:
          ValueError: if the access or the controller has parts that cannot be described.
        """
        config = super().get_config()
        del config["cell"]
        core = _keras_weights.describe(self.core)
        names = ("access", "controller", "output_size", "clip_value", "with_bias")
        return {**config, **{name: core[name] for name in names}}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> "DNC":
        """Returns the layer that `get_config` described, with new variables."""
        del custom_objects
        return cls(**config)


def _make(part: Any, kind: str, dtype: str) -> Any:
    """Makes a part from its description, if given one; a controller in the dtype of the weights."""
    if not isinstance(part, Mapping):
        return part
    if kind == "LSTM" and part.get("class", kind) in ("LSTM", "GRU", "DeepLSTM"):
        part = {"dtype": dtype, **part}
    return _config.make(part, default=kind, made=_keras_weights.loaded_parts())
