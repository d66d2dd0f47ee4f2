"""Learned initial states that do not depend on the number of slots."""

from typing import Any

import sonnet as snt
import tensorflow as tf

from dnc import _checks, _cores
from dnc.controllers import Wrapper


class LearnedWord(snt.Module):
    """A word that every slot contains before the first step, and that is learned like any weight.

    >>> import dnc
    >>> access = dnc.MemoryAccess(16, 8, initial_memory=LearnedWord(8))
    >>> [variable.shape for variable in access.initial_memory.trainable_variables]
    [TensorShape([8])]

    Attributes:
      word: variable [W].
    """

    def __init__(
        self,
        word_size: int,
        *,
        initial_value: float = 1e-6,
        dtype: tf.DType = tf.float32,
        name: str = "learned_word",
    ):
        """Creates the word.

        Args:
          word_size: width W of the memory's slots.
          initial_value: value of each element before training.
          dtype: float32 or float64.
          name: name of the module.

        Raises:
          ValueError: if an argument is out of range.
        """
        super().__init__(name=name)
        self._word_size = _checks.check_size("word_size", word_size)
        self._initial_value = _checks.check_finite("initial_value", initial_value)
        dtype = _checks.check_state_dtype(dtype)
        self.word = tf.Variable(
            tf.fill([word_size], tf.constant(initial_value, dtype)), name="word"
        )

    @property
    def word_size(self) -> int:
        """Width W."""
        return self._word_size

    @property
    def initial_value(self) -> float:
        """Value of each element before training."""
        return self._initial_value

    @property
    def dtype(self) -> tf.DType:
        """Dtype of the word."""
        return self.word.dtype


class LearnedState(Wrapper):
    """A controller whose initial state is learned like any weight, starting from zeros.

    >>> core = LearnedState(snt.LSTM(16))
    >>> output, state = core(tf.zeros([2, 10]), core.initial_state(batch_size=2))
    >>> sorted(variable.shape[0] for variable in core.state)
    [16, 16]

    Attributes:
      core: the wrapped core.
      state: variables, one for each part of the state.
    """

    def __init__(self, core: snt.RNNCore, name: str = "learned_state"):
        """Wraps a core.

        Args:
          core: any `snt.RNNCore` with a floating-point state.
          name: name of the module.

        Raises:
          ValueError: if `core` is not an `snt.RNNCore`.
        """
        super().__init__(core, name)
        example = tf.nest.flatten(core.initial_state(1))
        self.state = [tf.Variable(part[0], name="initial_state") for part in example]

    def __call__(
        self, inputs: tf.Tensor, prev_state: Any, training: bool | None = None
    ) -> tuple[tf.Tensor, Any]:
        """Performs one step of the wrapped core and passes on its errors."""
        return _cores.call_with_training(self.core, inputs, prev_state, training=training)

    def initial_state(self, batch_size: Any, **kwargs: Any) -> Any:
        """Returns the learned state, the same for each example."""
        zeros = self.core.initial_state(batch_size, **kwargs)
        learned = tf.nest.pack_sequence_as(zeros, list(self.state))
        return tf.nest.map_structure(lambda x, value: x * 0.0 + value, zeros, learned)
