"""What a task is: where its batches come from, what is a good answer, how a person reads one."""

import abc
import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

# Named because the default lets XLA choose another generator: with it the same (seed, step) gives
# the same batch with and without compilation, on every device.
RANDOM_ALGORITHM = "philox"


class Batch(NamedTuple):
    """One batch of episodes, time-major, zero-padded to the task's largest number of steps."""

    observations: Any  # [T, B, X]
    target: Any  # [T, B, Y]
    mask: Any  # [T, B], 1 where an answer is required


class Task(abc.ABC):
    """A supply of episodes, with the loss and the metrics that go with them.

    Attributes:
      batch_size: episodes B in a batch.
      num_steps: time steps T of a batch, the same for all batches.
      input_size: width X of an observation.
      target_size: width Y of a target.
      metric_names: the keys of what `metrics` returns.
      name: what `get` knows it by.
    """

    name: str = ""
    metric_names: tuple[str, ...] = ("wrong_bits", "solved_sequences")
    batch_size: int
    num_steps: int
    input_size: int
    target_size: int

    @abc.abstractmethod
    def batch(self, seed: Any, step: Any) -> Batch:
        """Returns a batch that depends on `seed` and `step` alone.

        Both are integers or integer scalar tensors.
        """

    @abc.abstractmethod
    def cost(self, logits: tf.Tensor, target: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Returns the loss, a scalar, for logits [T, B, Y]: a mean over the B episodes.

        So that of a batch is the mean of those of its parts, which may be on different devices.
        """

    @abc.abstractmethod
    def metrics(self, logits: tf.Tensor, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns scalars by name, averaged over the batch.

        `solved_sequences` is the fraction without error.
        """

    @abc.abstractmethod
    def to_human_readable(self, batch: Batch, logits: Any = None, whole_batch: bool = False) -> str:
        """Returns the first episode (or all), and the answer that `logits` give, as text."""

    def step_labels(self, batch: Batch) -> list[list[str]] | None:
        """Returns what to call each step of each episode, B lists of T strings, to label a picture.

        `None` if there is nothing to say.
        """
        return None


_TASKS: dict[str, type[Task]] = {}


def register(name: str) -> Callable[[type[Task]], type[Task]]:
    """Class decorator: makes a task known to `get` under `name`."""

    def add(task: type[Task]) -> type[Task]:
        _TASKS[name] = task
        task.name = name
        return task

    return add


def names() -> list[str]:
    """Returns the names of all tasks."""
    return sorted(_TASKS)


def defaults(name: str) -> dict[str, Any]:
    """Returns the options of a task with their defaults.

    Raises:
      ValueError: if there is no such task.
    """
    parameters = inspect.signature(_find(name)).parameters.values()
    return {parameter.name: parameter.default for parameter in parameters}


def get(name: str, **options: Any) -> Task:
    """Returns the task called `name`.

    Args:
      name: one of `names()`.
      **options: any of `defaults(name)`.

    Raises:
      ValueError: if there is no such task or option, or an option is out of range.
    """
    allowed = defaults(name)
    if unknown := sorted(options.keys() - allowed.keys()):
        raise ValueError(
            f"Task {name} has no option {', '.join(unknown)}; it has {', '.join(allowed)}."
        )
    return _find(name)(**options)


def _find(name: str) -> type[Task]:
    if name not in _TASKS:
        raise ValueError(f"Unknown task {name!r}; there are: {', '.join(names())}.")
    return _TASKS[name]


def masked_sigmoid_cross_entropy(
    logits: tf.Tensor,
    target: tf.Tensor,
    mask: tf.Tensor,
    time_average: bool = False,
    log_prob_in_bits: bool = False,
) -> tf.Tensor:
    """Sigmoid cross-entropy of the steps that count, averaged over the batch.

    Args:
      logits: [T, B, Y].
      target: [T, B, Y], in [0, 1].
      mask: [T, B], the weight of each step.
      time_average: whether to divide by each episode's number of steps that count; else their sum.
      log_prob_in_bits: whether the result is in bits; else in nats.

    Returns:
      A scalar.
    """
    cross_entropy = tf.nn.sigmoid_cross_entropy_with_logits(labels=target, logits=logits)
    loss = tf.reduce_sum(tf.reduce_sum(cross_entropy, axis=2) * mask, axis=0)
    if time_average:
        loss /= tf.reduce_sum(mask, axis=0) + np.finfo(loss.dtype.as_numpy_dtype).eps
    loss = tf.reduce_mean(loss)
    return loss / np.log(2.0) if log_prob_in_bits else loss


def bit_metrics(logits: tf.Tensor, target: tf.Tensor, mask: tf.Tensor) -> dict[str, tf.Tensor]:
    """Metrics of answers made of bits, a logit above 0 being a 1.

    Args:
      logits: [T, B, Y].
      target: [T, B, Y], 0 or 1.
      mask: [T, B], 0 or 1.

    Returns:
      `wrong_bits`: mean number of wrong bits in an episode; `solved_sequences`: fraction of
      episodes without a wrong bit.
    """
    wrong = tf.cast(tf.not_equal(logits > 0.0, target > 0.5), logits.dtype) * mask[:, :, tf.newaxis]
    wrong_bits = tf.reduce_sum(wrong, axis=[0, 2])
    return {
        "wrong_bits": tf.reduce_mean(wrong_bits),
        "solved_sequences": tf.reduce_mean(tf.cast(tf.equal(wrong_bits, 0.0), logits.dtype)),
    }


def check_range(name: str, minimum: Any, maximum: Any) -> None:
    """Raises `ValueError` unless 1 <= `minimum` <= `maximum`.

    `name` is the option without min_ or max_.
    """
    check_positive(**{f"min_{name}": minimum, f"max_{name}": maximum})
    if minimum > maximum:
        raise ValueError(f"min_{name} must be at most max_{name}, got {minimum} > {maximum}.")


def check_positive(**values: Any) -> None:
    """Raises `ValueError` unless every value is an integer >= 1."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"{name} must be an integer >= 1, got {value!r}.")


def check_num_steps(num_steps: int) -> int:
    """Returns the length of an episode, or raises `ValueError` if it is more than can be counted.

    TensorFlow counts time steps in 32 bits.
    """
    if num_steps >= 2**31:
        raise ValueError(f"Episodes may have at most {2**31 - 1:,} time steps, got {num_steps:,}.")
    return num_steps


def bit_grid(rows: Sequence[Sequence[float]]) -> str:
    """Draws one line a row, one column a time step: `-` for 0, else the rounded number."""
    return "\n".join(
        "+" + " ".join("-" if value == 0 else f"{value:.0f}" for value in row) + "+" for row in rows
    )
