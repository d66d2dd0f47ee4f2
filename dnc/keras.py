"""The core as a Keras 3 cell and as a Keras 3 layer, for Keras' TensorFlow backend.

`RNNCell` goes into `keras.layers.RNN`; `DNC` is the whole layer. Their weights are the core's own
variables, so a network that Keras trained is the same network everywhere else.

Importing this module registers both classes: do so before `keras.models.load_model`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import sonnet as snt
import tensorflow as tf

from dnc import _config, _cores
from dnc import core as _core
from dnc.access import MemoryAccess

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        f"dnc.keras needs Keras' TensorFlow backend, but Keras runs on {keras.backend.backend()}: "
        "set the environment variable KERAS_BACKEND=tensorflow before Keras is imported."
    )


@keras.saving.register_keras_serializable(package="dnc")
class RNNCell(keras.layers.Layer):
    """A core as a cell for `keras.layers.RNN`.

        >>> import dnc
        >>> core = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(8), output_size=2)
        >>> layer = keras.layers.RNN(RNNCell(core), return_sequences=True)
        >>> layer(tf.zeros([3, 7, 5])).shape  # batch, time, input width
        TensorShape([3, 7, 2])

    Keras wants the state as a flat list of vectors of one dtype: every part of the core's state is
    one [B, size] tensor there, whole numbers, too. `pack_state` and `flatten_state` convert.
    """

    def __init__(
        self, core: snt.RNNCore | Callable[[], snt.RNNCore] | Mapping[str, Any], **kwargs: Any
    ):
        """Creates the cell.

        Args:
          core: a core with `state_size` and an `output_size` [Y], as a `dnc.DNC` has; or a function
            that makes one; or what `get_config` wrote for one. To save a model whose core has parts
            of your own, give a function, and register it with
            `keras.saving.register_keras_serializable()`.
          **kwargs: of `keras.layers.Layer`. A mixed policy such as "mixed_bfloat16" counts as that
            of the weights: what the core computes in, its own `compute_dtype` says.

        Raises:
          ValueError: if `core` is none of these.
        """
        super().__init__(**kwargs)
        # Keras casts the state to the compute dtype, and the memory needs the precision.
        self.dtype_policy = keras.DTypePolicy(self.variable_dtype)
        self._make_core = None
        if isinstance(core, Mapping):
            core = keras.saving.deserialize_keras_object(core) if "class_name" in core else core
        if isinstance(core, Mapping):
            core = _config.make(core, default="DNC")
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
        self.output_size = core.output_size[0]
        self.state_size = [size.num_elements() for size in tf.nest.flatten(core.state_size)]
        state = _cores.initial_state(core, 1, tf.as_dtype(self.variable_dtype))
        self._state_dtypes = [part.dtype for part in tf.nest.flatten(state)]

    def build(self, input_shape: Sequence[int | None]) -> None:
        """Creates the core's variables and makes them weights of this layer."""
        dtype = tf.as_dtype(self.variable_dtype)
        _cores.run_on_zeros(self.core, tf.TensorSpec(input_shape, dtype), dtype)
        # Keras sees only its own variables. Given a `tf.Variable`, they use it as it is.
        self._weights_of_core = [
            keras.Variable(
                variable,
                trainable=variable.trainable,
                dtype=variable.dtype.name,
                name=variable.name.split(":")[0].replace("/", "_"),
            )
            for variable in self.core.variables
        ]
        for weight, variable in zip(self._weights_of_core, self.core.variables, strict=True):
            if weight.value is not variable:
                raise RuntimeError(
                    f"Keras {keras.__version__} copies variables: the core would not be trained. "
                    "Use Keras 3.12 to 3.15, with which this was tested."
                )
        self.built = True

    def call(self, inputs: tf.Tensor, states: Sequence[tf.Tensor]) -> tuple[tf.Tensor, Any]:
        """Performs one step: inputs [B, X] and the flat state to outputs [B, Y] and the next."""
        inputs = tf.cast(inputs, self.variable_dtype)
        outputs, state = self.core(inputs, self.pack_state(states))
        return outputs, self.flatten_state(state)

    def get_initial_state(self, batch_size: Any = None) -> list[tf.Tensor]:
        """Returns the core's initial state in Keras' form."""
        dtype = tf.as_dtype(self.variable_dtype)
        return self.flatten_state(_cores.initial_state(self.core, batch_size, dtype))

    def pack_state(self, states: Sequence[tf.Tensor]) -> Any:
        """Returns the core's state, such as a `dnc.DNCState`, of Keras' list.

        Raises:
          ValueError: if the list is not that of a state of this core.
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
        """Returns Keras' list, [B, size] each, of the core's state."""
        parts = zip(tf.nest.flatten(state), self.state_size, strict=True)
        return [tf.cast(tf.reshape(part, [-1, size]), self.variable_dtype) for part, size in parts]

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration of the cell and its core, without values of variables.

        Raises:
          ValueError: if the core has parts that cannot be written down.
        """
        if self._make_core is not None:
            core = keras.saving.serialize_keras_object(self._make_core)
        else:
            core = _config.describe(self.core)
        return {**super().get_config(), "core": core}


@keras.saving.register_keras_serializable(package="dnc")
class DNC(keras.layers.RNN):
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

    Batch first and time second, [B, T, X] to [B, Y] or, with `return_sequences`, to [B, T, Y].
    """

    def __init__(
        self,
        access: MemoryAccess | Mapping[str, Any],
        controller: snt.RNNCore | Mapping[str, Any],
        output_size: int,
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
          controller: any controller of a `dnc.DNC`, or the arguments of an `snt.LSTM`. A layer to
            be saved as a `.keras` file needs one that a configuration can describe: `snt.LSTM`,
            `snt.GRU`, `dnc.DeepLSTM`, `dnc.FeedForward` of layer sizes, or `dnc.DNC` of these; for
            any other use an `RNNCell`, with a function that makes the core.
          output_size: width Y of the output, >= 1.
          clip_value: see `dnc.DNC`.
          with_bias: see `dnc.DNC`.
          return_sequences: whether to return the outputs of all steps, or that of the last one.
          return_state: whether to return the parts of the last state, too, as a flat list of
            [B, size] tensors; `layer.cell.pack_state` makes a `dnc.DNCState` of them.
          go_backwards: whether to run from the last step to the first.
          stateful: whether a batch goes on from the state in which the one before ended.
          unroll: whether to lay out the steps one by one instead of in a loop.
          zero_output_for_mask: whether the output of a masked step is 0, or that of the last one;
            the state is held in either case.
          **kwargs: of `keras.layers.Layer`. A `dtype` of "mixed_bfloat16" or "mixed_float16" makes
            controller and linear layers compute in it; memory, states and outputs stay in float32
            (the next layer casts as it needs).

        Raises:
          ValueError: if an argument is out of range or of no usable kind.
        """
        policy = keras.dtype_policies.get(kwargs.pop("dtype", None) or keras.config.dtype_policy())
        mixed = policy.compute_dtype != policy.variable_dtype
        core = _core.DNC(
            _make(access, "MemoryAccess", policy.variable_dtype),
            _make(controller, "LSTM", policy.variable_dtype),
            output_size,
            clip_value,
            with_bias=with_bias,
            compute_dtype=policy.compute_dtype if mixed else None,
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
        self._given_policy = policy

    @property
    def core(self) -> _core.DNC:
        """The `dnc.DNC` that the layer runs."""
        return self.cell.core

    def call(
        self,
        sequences: tf.Tensor,
        initial_state: Sequence[tf.Tensor] | None = None,
        mask: tf.Tensor | None = None,
        training: bool = False,
    ) -> Any:
        """Runs over a batch of sequences.

        Args:
          sequences: [B, T, X].
          initial_state: a flat list as `return_state` gives it; the core's own by default.
          mask: [B, T], booleans: where false, the step is left out and the state held. Keras fills
            it in from a `Masking` or `Embedding` layer before, unless `initial_state` is given.
          training: makes no difference.

        Returns:
          The output [B, Y], or [B, T, Y] with `return_sequences`; with `return_state` a list of it
          and the parts of the last state.

        Raises:
          ValueError: if the mask or the state does not fit.
        """
        if mask is not None and not mask.shape.is_compatible_with(sequences.shape[:2]):
            raise ValueError(
                f"mask must have shape [B, T] = {sequences.shape[:2]}, got {mask.shape}."
            )
        return super().call(sequences, initial_state, mask, training)

    def get_config(self) -> dict[str, Any]:
        """Returns the configuration of the layer, without values of variables.

        Raises:
          ValueError: if the access or the controller has parts that cannot be written down.
        """
        config = super().get_config()
        del config["cell"]
        core = _config.describe(self.core)
        names = ("access", "controller", "output_size", "clip_value", "with_bias")
        policy = keras.dtype_policies.serialize(self._given_policy)
        return {**config, **{name: core[name] for name in names}, "dtype": policy}

    @classmethod
    def from_config(cls, config: Mapping[str, Any], custom_objects: Any = None) -> "DNC":
        """Returns the layer that `get_config` described, with new variables."""
        del custom_objects
        return cls(**config)


def _make(part: Any, kind: str, dtype: str) -> Any:
    """Makes a part of its description, if it is one; a controller in the dtype of the weights."""
    if not isinstance(part, Mapping):
        return part
    if kind == "LSTM" and part.get("class", kind) in ("LSTM", "GRU", "DeepLSTM"):
        part = {"dtype": dtype, **part}
    return _config.make(part, default=kind)
