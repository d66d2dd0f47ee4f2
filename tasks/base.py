"""Tasks: sources of episodes, with their loss, metrics and text."""

import abc
import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, TypeVar

import numpy as np
import tensorflow as tf

from tasks import draws, options
from tasks.encoding import bit_grid, lengths_of
from tasks.lessons import CURRICULA, Lessons
from tasks.options import option
from tasks.report import Report, mean_of

T = TypeVar("T", bound="Task")


class Batch(NamedTuple):
    """A batch of episodes, time-major and zero-padded.

    Attributes:
      observations: [T, B, X].
      target: [T, B, ...], the right answers.
      mask: [T, B], the weight of each step in the loss, 0 where no answer is required.
      lengths: int32 [B], number of time steps of each episode.
      extras: further arrays for the loss or the report, [T, B, ...] or [B], in any nest.
    """

    observations: Any
    target: Any
    mask: Any
    lengths: Any
    extras: Any = ()

    def episode(self, number: int) -> "Batch":
        """Returns one episode as a batch."""
        own = slice(number, number + 1)
        return tf.nest.map_structure(lambda x: x[own] if len(x.shape) == 1 else x[:, own], self)


class Benchmark(NamedTuple):
    """A standard test of a task, with a published result if there is one.

    Attributes:
      name: description of the test, such as "London, paths of 7".
      task: the task with the episodes of the test.
      published: published percentages of right answers after each lesson of the paper, the last
        one for the trained network; empty: unknown.
      memory_size: number of memory slots; `None`: as configured.
    """

    name: str
    task: "Task"
    published: Sequence[float] = ()
    memory_size: int | None = None


class Contents(NamedTuple):
    """Contents of the steps of episodes, as classes.

    Attributes:
      classes: [T, B, G], a class in each of G groups, from 0; -1 for steps without contents.
      names: names of the classes of each group. A text consists of one name from each group.
    """

    classes: Any
    names: Sequence[Sequence[str]]


def make_batch(observations: Any, target: Any, mask: Any, extras: Any = ()) -> Batch:
    """Returns a batch whose episodes end with their last answer; the mask may be boolean."""
    mask = tf.cast(mask, tf.float32)
    return Batch(observations, target, mask, lengths_of(mask), extras)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task(abc.ABC):
    """A source of episodes. Subclasses are frozen dataclasses whose fields are options.

    Attributes:
      name: name of the task; the path of the class by default.
      metric_names: keys of the result of `metrics`. The first is the error, for which 0 is best.
      num_values: number of the core's outputs, the last ones, that are values of a policy.
      notes: messages to print before training.
      batch_size: number of episodes B in a batch.
      lessons: the curriculum; empty: all sizes from the beginning.
    """

    name: ClassVar[str]
    metric_names: ClassVar[tuple[str, ...]]
    num_values: ClassVar[int] = 0
    notes: ClassVar[Sequence[str]] = ()

    batch_size: int = option(16, "Number of episodes in a batch.", minimum=1, maximum=2**31 - 1)
    # Not hashable, because its ranges are mappings.
    lessons: Lessons = dataclasses.field(default_factory=Lessons, hash=False)

    def __init_subclass__(cls, **arguments: Any):
        """Gives a class without a name of its own the default name."""
        super().__init_subclass__(**arguments)
        if "name" not in vars(cls):
            cls.name = f"{cls.__module__}:{cls.__qualname__}"

    def __post_init__(self):
        """Checks the options.

        Raises:
          ValueError: if an option is not of its kind or out of range, or a lesson varies a size
            that does not exist.
          TypeError: if the class has options but is not a dataclass.
        """
        if any(isinstance(x, dataclasses.Field) for x in vars(type(self)).values()):
            raise TypeError(
                f"{type(self).__name__} must have the decorator "
                "@dataclasses.dataclass(frozen=True, kw_only=True)."
            )
        options.check(self)
        self.check()
        varied = {name for lesson in self.lessons for name in lesson.ranges}
        if unknown := sorted(varied - self.sizes.keys()):
            raise ValueError(
                f"{self.name} has no size {', '.join(unknown)} that lessons could vary; it has "
                f"{', '.join(self.sizes) or 'none'}."
            )
        for number, lesson in enumerate(self.lessons, 1):
            for name, (low, high) in lesson.ranges.items():
                maximum = self.sizes[name][1]
                if not low <= high <= maximum:
                    raise ValueError(
                        f"Lesson {number} has {name} from {low} to {high}; the task has up to "
                        f"{maximum}."
                    )
        # TensorFlow counts time steps in 32 bits.
        if self.num_steps >= 2**31:
            raise ValueError(
                f"Episodes may have at most {2**31 - 1:,} time steps, got {self.num_steps:,}."
            )

    def check(self) -> None:  # noqa: B027  Most tasks have no such rule.
        """Raises `ValueError` if options that are in range contradict each other."""

    @property
    @abc.abstractmethod
    def input_size(self) -> int:
        """Width X of an observation."""

    @property
    @abc.abstractmethod
    def output_size(self) -> int:
        """Width Y of the core's outputs."""

    @property
    @abc.abstractmethod
    def num_steps(self) -> int:
        """Number of time steps T of a batch; of the longest batch if `steps_of_batch` varies."""

    @property
    def sizes(self) -> Mapping[str, tuple[int, int]]:
        """Minimum and maximum of each size of an episode, such as "length".

        These are the options min_length and max_length. Lessons and evaluation vary the first size.
        """
        return options.ranges(self)

    def curriculum(self, name: str, **more: Any) -> Lessons:
        """Returns lessons for this task.

        Args:
          name: one of `lessons.CURRICULUM_NAMES`, not "none".
          **more: further attributes of `Lessons`.

        Raises:
          ValueError: if the task has no sizes that lessons could vary, or no lessons of this name.
        """
        if not self.sizes:
            raise ValueError(f"Task {self.name} has no sizes: use curriculum=none.")
        if name not in CURRICULA:
            raise ValueError(
                f"Task {self.name} has no curriculum {name}; it has {', '.join(CURRICULA)}."
            )
        return CURRICULA[name](self.sizes, **more)

    def with_size(self: T, name: str, size: int) -> T:
        """Returns this task with all episodes of one size, and without lessons."""
        sizes = {f"min_{name}": size, f"max_{name}": size}
        return dataclasses.replace(self, lessons=Lessons(), **sizes)

    def steps_of_batch(self, split: str, seed: int, step: int, lesson: int | None = None) -> int:
        """Returns the number of time steps of a batch, for which a program is compiled.

        The arguments are as for `batch`, but integers. By default all batches have `num_steps`.
        """
        return self.num_steps

    def of_length(self: T, num_steps: int) -> T:
        """Returns this task, restricted to batches of `num_steps` time steps.

        Its own `num_steps` is this number, so that a compiled program has static shapes.
        """
        return self

    @abc.abstractmethod
    def batch(self, split: str, seed: Any, step: Any, lesson: Any = None) -> Batch:
        """Returns a batch that depends on the arguments alone.

        Args:
          split: "train", "validation" or "test".
          seed: integer >= 0, or integer scalar tensor.
          step: number of the batch, of the same type.
          lesson: number of the lesson, from 0, of the same type; `None`: episodes of all sizes.
        """

    def every_batch(self, split: str) -> Iterator[Batch] | None:
        """Returns all episodes of a split once, in batches; `None` if the task generates episodes.

        Raises:
          ValueError: if data cannot be read.
        """
        return None

    @abc.abstractmethod
    def loss(self, outputs: Any, batch: Batch) -> tf.Tensor:
        """Returns the loss, a scalar that is a mean over the B episodes.

        The loss of a batch is then the mean of the losses of its parts, which may be on different
        devices.

        Args:
          outputs: the core's outputs [T, B, Y].
          batch: the batch.
        """

    @abc.abstractmethod
    def metrics(self, outputs: Any, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns scalars by name, averaged over the batch.

        `solved_sequences` is the fraction of episodes without an error.
        """

    @abc.abstractmethod
    def is_solved(self, metrics: Mapping[str, float]) -> bool:
        """Returns whether these metrics, over many fresh episodes of all sizes, mean success."""

    def passes(self, metrics: Mapping[str, float]) -> bool:
        """Returns whether these metrics, over the lessons' window, lead to the next lesson."""
        return metrics[self.error_name] < self.lessons.threshold

    def report(self, answers: Iterable[tuple[Batch, Any]], num_examples: int = 0) -> Report:
        """Returns the result of an evaluation.

        Args:
          answers: batches with the core's outputs.
          num_examples: number of episodes to include as text.
        """
        found: list[dict[str, tf.Tensor]] = []
        examples: list[str] = []
        for batch, outputs in answers:
            found.append(self.metrics(outputs, batch))
            for b in range(min(num_examples - len(examples), self.batch_size)):
                own = tf.nest.map_structure(lambda x, b=b: x[:, b : b + 1], outputs)
                examples.append(self.to_human_readable(batch.episode(b), own))
        metrics = mean_of(found, self.metric_names)
        return Report(metrics, is_solved=self.is_solved(metrics), examples=examples)

    def right(self, metrics: Mapping[str, float]) -> float:
        """Returns the share of right answers, for comparison with published results."""
        return metrics["solved_sequences"]

    def benchmarks(self) -> Sequence[Benchmark]:
        """Returns the standard tests of this task; by default there are none."""
        return ()

    @property
    def error_name(self) -> str:
        """Name of the metric that is the error."""
        return self.metric_names[0]

    def describe_error(self, error: float) -> str:
        """Returns an error as text."""
        return f"{error:.4g} {self.error_name.replace('_', ' ')} per sequence"

    def draw_size(
        self, name: str, key: tf.Tensor, lesson: tf.Tensor | None, shape: Sequence[int] = ()
    ) -> tf.Tensor:
        """Draws sizes uniformly from the range of the task, or of each episode's lesson.

        Args:
          name: name of the size.
          key: key of the random numbers.
          lesson: result of `draw_lessons`.
          shape: further axes.

        Returns:
          int32 [B, *shape].
        """
        whole, shape = self.sizes[name], [self.batch_size, *shape]
        if lesson is None or not self.lessons.vary(name):
            return draws.uniform_integers(key, shape, *whole)
        low, high = self.lessons.range(name, whole, lesson)
        low, high = (tf.reshape(x, [-1] + [1] * (len(shape) - 1)) for x in (low, high))
        number = tf.cast(high - low + 1, tf.float32)
        drawn = tf.cast(draws.uniform_numbers(key, shape) * number, tf.int32)
        return tf.minimum(low + drawn, high)

    def draw_lessons(self, split: str, seed: Any, step: Any, lesson: Any) -> tf.Tensor | None:
        """Returns the lesson of each episode, int32 [B], for the arguments of `batch`."""
        return self.lessons.draw(split, seed, step, lesson, self.batch_size)

    def answer(self, outputs: Any) -> Any:
        """Returns the answers in outputs [T, B, Y], in the form of the target."""
        return np.asarray(outputs, np.float32)

    def to_human_readable(
        self, batch: Batch, outputs: Any = None, whole_batch: bool = False
    ) -> str:
        """Returns the first episode (or all) as text.

        Time runs from left to right, and `-` stands for 0.

        Args:
          batch: a batch of this task, as tensors or arrays.
          outputs: the core's outputs [T, B, Y], shown where the mask is not 0; or `None`.
          whole_batch: whether to show all episodes.
        """
        observations, target, mask = (np.asarray(part) for part in batch[:3])
        parts = [("Observations", observations), ("Targets", target)]
        if outputs is not None:
            parts.append(("Model Output", self.answer(outputs) * mask[:, :, np.newaxis]))
        episodes = []
        for b in range(mask.shape[1] if whole_batch else 1):
            length = np.flatnonzero(mask[:, b])[-1] + 1
            grids = (f"{title}:\n{bit_grid(part[:length, b].T)}" for title, part in parts)
            episodes.append("\n\n".join(grids))
        return "\n\n\n".join(episodes)

    def step_labels(self, batch: Batch) -> list[list[str]] | None:
        """Returns a label for each step of each episode, B lists of T strings; or `None`.

        Further lines of a label are a picture of the step.
        """
        return None

    def contents(self, batch: Batch) -> Contents | None:
        """Returns the contents of each step, for decoders of a memory; or `None`."""
        return None


class Record(NamedTuple):
    """One time step of an interactive episode, for the batch that training replays.

    Attributes:
      target: [B, ...].
      mask: [B].
      extras: arrays [B, ...] in any nest.
    """

    target: Any
    mask: Any
    extras: Any = ()


@dataclasses.dataclass(frozen=True, kw_only=True)
class InteractiveTask(Task):
    """A task in which the next observation depends on the answers of the network.

    `training.episodes.collect` runs the network step by step, without gradients, and returns its
    observations in a `Batch`. Training then replays these observations with one unroll.
    Observations and actions are constants, both in imitation learning and in policy gradients, so
    the gradients are exact. Episodes that have ended have a mask of 0.
    """

    @abc.abstractmethod
    def start(self, split: str, seed: Any, step: Any, lesson: Any = None) -> tuple[Any, tf.Tensor]:
        """Returns the state of the environment, a nest, and the first observations [B, X].

        The arguments are as for `batch`.
        """

    @abc.abstractmethod
    def respond(
        self, environment: Any, outputs: Any, key: tf.Tensor
    ) -> tuple[Any, tf.Tensor, Record]:
        """Returns the environment's response to the outputs of one time step.

        Args:
          environment: state of the environment.
          outputs: the core's outputs [B, Y] for the last observations.
          key: key of random numbers, a different one for each time step.

        Returns:
          The next state, of the same shapes; the next observations [B, X]; and the record of this
          time step.
        """

    def batch(self, split: str, seed: Any, step: Any, lesson: Any = None) -> Batch:
        """Raises an error, because an episode requires a network.

        Raises:
          TypeError: always.
        """
        raise TypeError(f"Episodes of {self.name} depend on a network: use episodes.collect.")
