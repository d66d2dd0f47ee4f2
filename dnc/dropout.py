"""Dropout whose random numbers are a function of the state, so that steps can be run again."""

import itertools
import math
import numbers
from typing import Any, NamedTuple

import sonnet as snt
import tensorflow as tf
import tree

from dnc import _checks, _nests

# A multiplicative hash of 32 bits; https://github.com/skeeto/hash-prospector ("lowbias32").
_MASK = 2**32 - 1
_MULTIPLIERS = (0x7FEB352D, 0x846CA68B)
_START = 0x9E3779B9


class DropoutState(NamedTuple):
    """The key of the masks that a `Dropout` draws."""

    key: Any  # [B, 2], integers >= 0: a random number, 0 for no dropout, and a number that counts


class Dropout(snt.RNNCore):
    """Dropout as a recurrent core, with the key of its random numbers as its state.

    At each step it replaces each element of the input by 0 with probability p, the rate, and
    divides it by 1 - p otherwise. The choice depends on the state alone, and each step changes the
    key. So a step that is run again drops the same elements, as `checkpoint_every`, `dnc.record`
    and `dnc.export` require.

    **Without a key nothing is dropped.** `initial_state` has none, so a model is evaluated like any
    other. A training step passes an initial state with keys, from `dnc.seed_dropout`:

        >>> import dnc
        >>> controller = snt.DeepRNN([snt.LSTM(64), dnc.Dropout(0.1)])
        >>> core = dnc.DNC(dnc.MemoryAccess(16, 8), controller, output_size=5)
        >>> model = snt.DeepRNN([snt.Linear(32), tf.nn.relu, dnc.Dropout(0.1), core])
        >>> inputs = tf.random.normal([7, 3, 6])  # time, batch, input width

        >>> def train(step):
        ...     state = dnc.seed_dropout(model.initial_state(3), seed=(0, step))
        ...     with tf.GradientTape() as tape:
        ...         outputs, _ = dnc.unroll(model, inputs, state)
        ...         loss = tf.reduce_mean(outputs**2)
        ...     return tape.gradient(loss, model.trainable_variables)
        >>> gradients = train(step=0)

        >>> outputs, _ = dnc.unroll(model, inputs)  # evaluation: nothing is dropped

    In truncated back-propagation through time the state that is passed on to the next segment
    contains the keys. Where `reset` of `dnc.unroll` is true, an example restarts with the key of
    the initial state that was passed.
    """

    def __init__(self, rate: float, name: str = "dropout"):
        """Creates the core.

        Args:
          rate: probability that an element is dropped, in [0, 1).
          name: name of the module.

        Raises:
          ValueError: if the rate is not in [0, 1).
        """
        super().__init__(name=name)
        if not isinstance(rate, numbers.Real) or isinstance(rate, bool) or not 0 <= rate < 1:
            raise ValueError(f"rate must be a number in [0, 1), got {rate!r}.")
        self._rate: float = float(rate)

    def __call__(
        self, inputs: tf.Tensor, prev_state: DropoutState
    ) -> tuple[tf.Tensor, DropoutState]:
        """Performs one step.

        Args:
          inputs: [B, X], of any floating point dtype.
          prev_state: `DropoutState` of the previous step.

        Returns:
          The inputs with some elements dropped, [B, X], and the next `DropoutState`.

        Raises:
          ValueError: if the inputs are not floating-point tensors [B, X], or the state does not
            belong to this core.
        """
        inputs = _checks.check_tensor("inputs", inputs, [None, None])
        if not isinstance(prev_state, DropoutState):
            raise ValueError(
                "prev_state must be a DropoutState(key), as initial_state() returns it, got "
                f"{_checks.structure_text(prev_state)}."
            )
        stream, count = tf.split(prev_state.key, 2, axis=1)
        is_on = stream != 0
        bits = _hash(stream, count, tf.range(tf.shape(inputs, tf.int64)[1]))
        is_dropped = is_on & (bits < math.ceil(self._rate * 2**32))
        scale = tf.where(is_on, tf.constant(1.0 / (1.0 - self._rate), inputs.dtype), 1.0)
        outputs = tf.where(is_dropped, tf.zeros([], inputs.dtype), inputs * scale)
        return outputs, DropoutState(tf.concat([stream, count + tf.cast(is_on, count.dtype)], 1))

    def initial_state(self, batch_size: Any, dtype: Any = None) -> DropoutState:
        """Returns the state in which nothing is dropped: a key of zeros, of int64.

        Args:
          batch_size: an integer >= 0 or a scalar integer tensor.
          dtype: ignored.
        """
        del dtype
        return DropoutState(tf.zeros([_checks.check_batch_size(batch_size), 2], tf.int64))

    @property
    def rate(self) -> float:
        """Probability that an element is dropped."""
        return self._rate

    @property
    def state_size(self) -> DropoutState:
        """Shape of one example's state."""
        return DropoutState(tf.TensorShape([2]))


def seed_dropout(state: Any, seed: Any) -> Any:
    """Returns a state with a random key in every `DropoutState` in it, for a training step.

    Each example and each `Dropout` gets a different key. All else is returned unchanged.

        >>> import dnc
        >>> core = snt.DeepRNN([snt.LSTM(8), dnc.Dropout(0.5)])
        >>> state = dnc.seed_dropout(core.initial_state(3), seed=(0, 1))
        >>> state[1].key.shape
        TensorShape([3, 2])

    Args:
      state: the state of any core, a nest.
      seed: two integers of at most 32 bits, such as a seed and the number of the training step; a
        pair or a tensor [2]. The same seed gives the same keys.

    Raises:
      ValueError: if the seed does not have two integers.
    """
    pair = seed if isinstance(seed, (tuple, list)) else tf.unstack(seed)
    words = [tf.convert_to_tensor(word) for word in pair]
    if len(words) != 2 or not all(x.dtype.is_integer and x.shape.rank == 0 for x in words):
        raise ValueError(f"seed must be two integers, such as (seed, step), got {seed!r}.")
    words = [tf.cast(word, tf.int64) for word in words]
    layers = itertools.count()

    def seeded(part: Any) -> DropoutState | None:
        if not isinstance(part, DropoutState):
            return None  # `traverse` then visits its parts.
        layer = tf.constant(next(layers), tf.int64)
        example = tf.range(tf.cast(_nests.length(part), tf.int64))[:, tf.newaxis]
        key = _hash(*words, layer, example, tf.range(2, dtype=tf.int64))
        return DropoutState(tf.ensure_shape(tf.maximum(key, 1), part.key.shape))

    return tree.traverse(seeded, state)


def with_keys_of(state: Any, other: Any) -> Any:
    """Returns `state` with the keys of `other`, a state of the same core."""
    others: list[DropoutState] = []
    tree.traverse(lambda x: others.append(x) if isinstance(x, DropoutState) else None, other)
    keys = iter(others)
    return tree.traverse(lambda x: next(keys) if isinstance(x, DropoutState) else None, state)


def _hash(*words: tf.Tensor) -> tf.Tensor:
    """Returns pseudo-random numbers in 0..2^32 - 1 for integers, which broadcast."""
    bits = tf.constant(_START, tf.int64)
    for word in words:
        bits = _mix(tf.bitwise.bitwise_xor(bits, tf.bitwise.bitwise_and(word, _MASK)))
    return bits


def _mix(x: tf.Tensor) -> tf.Tensor:
    """Permutes 0..2^32 - 1 so that each bit of the result depends on every bit."""
    x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, 16))
    x = tf.bitwise.bitwise_and(x * _MULTIPLIERS[0], _MASK)
    x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, 15))
    x = tf.bitwise.bitwise_and(x * _MULTIPLIERS[1], _MASK)
    return tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, 16))
