"""What a task is: where its batches come from, what is a good answer, how a person reads one."""

import abc
import inspect
from collections.abc import Callable, Mapping, Sequence
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
      num_steps: time steps T of a batch, the same for all; or of the longest, see `lengths`.
      input_size: width X of an observation.
      target_size: width Y of a target.
      sizes: what makes an episode harder, such as "length": the least and the greatest it can be,
        from the options min_length and max_length. The first is what a curriculum goes through.
      metric_names: the keys of what `metrics` returns: first the error, of which 0 is best.
      name: what `get` knows it by.
      notes: what who trains on it should be told.
    """

    name: str = ""
    metric_names: tuple[str, ...] = ("wrong_bits", "solved_sequences")
    batch_size: int
    num_steps: int
    input_size: int
    target_size: int
    sizes: Mapping[str, tuple[int, int]]
    notes: Sequence[str] = ()

    @property
    def lengths(self) -> Sequence[int]:
        """The time steps that batches to train on can have: a program is compiled for each."""
        return [self.num_steps]

    @abc.abstractmethod
    def batch(self, seed: Any, step: Any, sizes: Mapping[str, Any] | None = None) -> Batch:
        """Returns a batch that depends on its arguments alone.

        Args:
          seed: an integer or integer scalar tensor, as is `step`.
          step: number of the batch.
          sizes: int32 [B] by name, of `Task.sizes`, in their ranges: how large each episode is.
            What is not given is drawn uniformly.
        """

    def with_batch(
        self,
        seed: Any,
        step: Any,
        function: Callable[[Batch], Any],
        sizes: Mapping[str, Any] | None = None,
    ) -> Any:
        """Returns `function(batch)` for the batch of these arguments.

        In a graph, where the number of time steps must be known, a task whose batches differ in
        length calls the function for each of its lengths, in a branch of its own.
        """
        return function(self.batch(seed, step, sizes))

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
    def is_solved(self, metrics: Mapping[str, float]) -> bool:
        """Whether metrics over many fresh episodes of the largest size mean that it is solved."""

    @property
    def error_name(self) -> str:
        """Name of the metric that tells how wrong answers are."""
        return self.metric_names[0]

    def describe_error(self, error: float) -> str:
        """Returns such an error as text."""
        return f"{error:.4g} {self.error_name.replace('_', ' ')} per sequence"

    def draw_size(self, name: str, key: tf.Tensor, given: Mapping[str, Any] | None) -> tf.Tensor:
        """Returns the sizes of this name that are given, or draws them: int32 [B]."""
        if given and name in given:
            return tf.ensure_shape(tf.cast(given[name], tf.int32), [self.batch_size])
        return uniform_integers(key, [self.batch_size], *self.sizes[name])

    def answer(self, logits: Any) -> Any:
        """Returns what logits [T, B, Y] say, as it is compared with the target."""
        return np.asarray(logits, np.float32)

    def to_human_readable(self, batch: Batch, logits: Any = None, whole_batch: bool = False) -> str:
        """Returns the first episode (or all) as text.

        Time runs from left to right, `-` stands for 0.

        Args:
          batch: a batch of this task, as tensors or arrays.
          logits: the model's answer [T, B, Y], shown where the mask is 1; or `None`.
          whole_batch: whether to show all episodes.
        """
        observations, target, mask = (np.asarray(part) for part in batch)
        parts = [("Observations", observations), ("Targets", target)]
        if logits is not None:
            parts.append(("Model Output", self.answer(logits) * mask[:, :, np.newaxis]))
        episodes = []
        for b in range(mask.shape[1] if whole_batch else 1):
            length = np.flatnonzero(mask[:, b])[-1] + 1
            grids = (f"{title}:\n{bit_grid(part[:length, b].T)}" for title, part in parts)
            episodes.append("\n\n".join(grids))
        return "\n\n\n".join(episodes)

    def step_labels(self, batch: Batch) -> list[list[str]] | None:
        """Returns what to call each step of each episode, B lists of T strings, to label a picture.

        `None` if there is nothing to say.
        """
        return None


class BitTask(Task):
    """A task whose answers are bits: logits above 0 stand for 1."""

    def cost(self, logits: tf.Tensor, target: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Returns the sigmoid cross-entropy in nats per episode, over the steps that count."""
        return masked_sigmoid_cross_entropy(logits, target, mask)

    def is_solved(self, metrics: Mapping[str, float]) -> bool:
        """Whether there are less than 0.1 wrong bits per sequence (Collier & Beel 2018)."""
        return metrics["wrong_bits"] < 0.1

    def metrics(self, logits: tf.Tensor, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns `wrong_bits` per sequence and `solved_sequences`, the fraction with none."""
        return bit_metrics(logits, batch.target, batch.mask)

    def answer(self, logits: Any) -> Any:
        """Returns the bits."""
        return (np.asarray(logits) > 0).astype(np.float32)


class NumberTask(Task):
    """A task whose answer is a whole number, the target of the last step that counts."""

    metric_names = ("absolute_error", "solved_sequences")

    def is_solved(self, metrics: Mapping[str, float]) -> bool:
        """Whether at least 99 % of the answers, rounded, are right."""
        return metrics["solved_sequences"] >= 0.99

    def cost(self, logits: tf.Tensor, target: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Returns the squared error: its mean over the steps that count, then over the batch."""
        error = tf.reduce_sum(tf.math.squared_difference(logits, target), axis=2) * mask
        return tf.reduce_mean(tf.reduce_sum(error, axis=0) / tf.reduce_sum(mask, axis=0))

    def metrics(self, logits: tf.Tensor, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns `absolute_error` of the answer, and `solved_sequences`.

        Solved are those where the answer, rounded, is right.
        """
        mask = tf.convert_to_tensor(batch.mask)
        last = tf.cast(tf.equal(tf.cumsum(mask, reverse=True), 1.0), logits.dtype) * mask
        error = tf.reduce_sum(tf.abs(logits - batch.target) * last[:, :, tf.newaxis], axis=[0, 2])
        return {
            "absolute_error": tf.reduce_mean(error),
            "solved_sequences": tf.reduce_mean(tf.cast(error < 0.5, logits.dtype)),
        }


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


def split(seed: Any, step: Any, number: int) -> list[tf.Tensor]:
    """Returns so many keys of random numbers, which depend on `seed` and `step` alone."""
    key = tf.stack([tf.cast(seed, tf.int64), tf.cast(step, tf.int64)])
    return tf.unstack(tf.random.split(key, number, alg=RANDOM_ALGORITHM))


def uniform_integers(key: tf.Tensor, shape: Sequence[int], minimum: Any, maximum: Any) -> tf.Tensor:
    """Returns int32 numbers from `minimum` to `maximum`, both included."""
    return tf.random.stateless_uniform(
        shape, key, minimum, maximum + 1, tf.int32, alg=RANDOM_ALGORITHM
    )


def uniform_numbers(
    key: tf.Tensor, shape: Sequence[int], minimum: float = 0.0, maximum: float = 1.0
) -> tf.Tensor:
    """Returns float32 numbers from `minimum` to below `maximum`."""
    return tf.random.stateless_uniform(shape, key, minimum, maximum, alg=RANDOM_ALGORITHM)


def permutations(key: tf.Tensor, lengths: tf.Tensor, max_length: int) -> tf.Tensor:
    """Returns for each length l a random order of 0 .. l - 1, then l .. max_length - 1.

    Args:
      key: of the random numbers.
      lengths: [B].
      max_length: L.

    Returns:
      int32 [B, L].
    """
    place = tf.range(max_length)
    drawn = uniform_numbers(key, [lengths.shape[0], max_length])
    drawn = tf.where(place < lengths[:, tf.newaxis], drawn, 1.0 + tf.cast(place, tf.float32))
    return tf.argsort(drawn, axis=1)


def place(rows: tf.Tensor, index: tf.Tensor, present: tf.Tensor) -> tf.Tensor:
    """Returns rows[b, index[t, b]] where present, else 0.

    Args:
      rows: [B, L, C].
      index: int32 [T, B] or what broadcasts to it; anything where not present.
      present: bool [T, B].

    Returns:
      [T, B, C].
    """
    index = tf.transpose(tf.where(present, index, 0))
    gathered = tf.transpose(tf.gather(rows, index, batch_dims=1), [1, 0, 2])
    return tf.where(present[:, :, tf.newaxis], gathered, 0.0)


def channel(present: tf.Tensor, value: tf.Tensor | float = 1.0) -> tf.Tensor:
    """Returns a channel [T, B, 1]: the value where present [T, B], else 0."""
    return tf.where(present, value, 0.0)[:, :, tf.newaxis]


def check_range(name: str, minimum: Any, maximum: Any, at_least: int = 1) -> None:
    """Raises `ValueError` unless `at_least` <= `minimum` <= `maximum`.

    `name` is the option without min_ or max_.
    """
    check_positive(**{f"min_{name}": minimum, f"max_{name}": maximum})
    if minimum < at_least:
        raise ValueError(f"min_{name} must be at least {at_least}, got {minimum}.")
    if minimum > maximum:
        raise ValueError(f"min_{name} must be at most max_{name}, got {minimum} > {maximum}.")


def check_positive(**values: Any) -> None:
    """Raises `ValueError` unless every value is an integer >= 1."""
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
            raise ValueError(f"{name} must be an integer >= 1, got {value!r}.")


def check_choice(name: str, value: Any, allowed: Sequence[str]) -> None:
    """Raises `ValueError` unless the value is one of those allowed."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}.")


def check_num_steps(num_steps: int) -> int:
    """Returns the length of an episode, or raises `ValueError` if it is more than can be counted.

    TensorFlow counts time steps in 32 bits.
    """
    if num_steps >= 2**31:
        raise ValueError(f"Episodes may have at most {2**31 - 1:,} time steps, got {num_steps:,}.")
    return num_steps


def answer_steps(batch: Batch) -> list[int]:
    """Returns the number of steps that count, of each episode."""
    return [int(number) for number in np.sum(np.asarray(batch.mask) > 0, axis=0)]


def padded(labels: Sequence[str], num_steps: int) -> list[str]:
    """Returns labels with empty ones added, up to so many."""
    return [*labels, *[""] * (num_steps - len(labels))]


def bit_grid(rows: Sequence[Sequence[float]]) -> str:
    """Draws one line a row, one column a time step.

    `-` stands for 0, whole numbers are whole, others have one digit after the point.
    """
    cells = [
        ["-" if x == 0 else f"{x:.{int(abs(x - round(x)) > 1e-4)}f}" for x in row] for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return "\n".join(
        "+" + " ".join(cell.rjust(n) for cell, n in zip(row, widths, strict=True)) + "+"
        for row in cells
    )
