"""Lessons: from easy to hard episodes, with replay of other lessons."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tasks import draws

Ranges = Mapping[str, tuple[int, int]]


class Lesson(NamedTuple):
    """One lesson of a curriculum.

    Attributes:
      ranges: minimum and maximum of the task's sizes in this lesson, by name. A size that is not
        named has the task's own range.
      memory_size: number of memory slots N during the lesson; `None`: as configured.
    """

    ranges: Ranges
    memory_size: int | None = None


@dataclasses.dataclass(frozen=True)
class Lessons:
    """A sequence of lessons, and the rules by which training proceeds through it.

    Attributes:
      lessons: the lessons, the easiest first; empty: there is no curriculum.
      replay: fraction of the episodes that belong to another lesson, in [0, 1).
      replay_any: whether these may belong to later lessons, not only to earlier ones.
      threshold: criterion for the next lesson, see `Task.passes`.
      window: number of episodes, >= 1, over which the criterion is measured.
    """

    lessons: tuple[Lesson, ...] = ()
    replay: float = 0.0
    replay_any: bool = False
    threshold: float = 1.0
    window: int = 1600

    def __post_init__(self):
        """Checks the numbers.

        Raises:
          ValueError: if one is out of range.
        """
        if not 0 <= self.replay < 1:
            raise ValueError(f"replay must be >= 0 and < 1, got {self.replay!r}.")
        if not self.window >= 1:
            raise ValueError(f"window must be >= 1, got {self.window!r}.")

    def __len__(self) -> int:
        return len(self.lessons)

    def __getitem__(self, number: int) -> Lesson:
        return self.lessons[number]

    def vary(self, name: str) -> bool:
        """Returns whether any lesson has its own range of a size."""
        return any(name in lesson.ranges for lesson in self.lessons)

    def draw(
        self, split: str, seed: Any, step: Any, lesson: Any, batch_size: int
    ) -> tf.Tensor | None:
        """Returns the lesson of each episode of a batch, int32 [B]; `None` without a lesson.

        Args:
          split, seed, step: as for `draws.keys`.
          lesson: number of the current lesson, from 0, or an integer scalar tensor; `None`: none.
          batch_size: number of episodes B.
        """
        if lesson is None or not self.lessons:
            return None
        current = tf.fill([batch_size], tf.cast(lesson, tf.int32))
        if not self.replay:
            return current
        # The task draws its episodes with the keys of the steps >= 0.
        which, other = draws.keys(split, seed, -1 - tf.cast(step, tf.int64), 2)
        last = len(self) - 1 if self.replay_any else tf.cast(lesson, tf.int32)
        replayed = draws.uniform_integers(which, [batch_size], 0, last)
        return tf.where(draws.uniform_numbers(other, [batch_size]) < self.replay, replayed, current)

    def range(self, name: str, whole: tuple[int, int], lesson: tf.Tensor) -> tuple[Any, Any]:
        """Returns the minimum and the maximum of a size for episodes of these lessons.

        Args:
          name: name of the size.
          whole: the task's own range.
          lesson: int32 [B], see `draw`.

        Returns:
          Two int32 tensors [B].
        """
        of_each = tf.constant([each.ranges.get(name, whole) for each in self.lessons], tf.int32)
        low, high = tf.unstack(tf.gather(of_each, lesson), axis=1)
        return low, high


def naive(sizes: Ranges, replay: float = 0.0, replay_any: bool = False, **more: Any) -> Lessons:
    """Returns one lesson for each value of the first size, from its minimum to its maximum.

    With `replay` 0.1 these are the lessons that Collier & Beel 2018 call "look back", with 0.2 and
    `replay_any` "look back and forward".

    Args:
      sizes: the task's sizes.
      replay, replay_any: as in `Lessons`.
      **more: further attributes of `Lessons`.
    """
    name, (minimum, maximum) = next(iter(sizes.items()))
    lessons = tuple(Lesson({name: (size, size)}) for size in range(minimum, maximum + 1))
    return Lessons(lessons, replay, replay_any, **more)


def exponential(sizes: Ranges, **more: Any) -> Lessons:
    """Returns lessons in which the maximum of the first size doubles (Rae et al. 2016).

    Args:
      sizes: the task's sizes.
      **more: further attributes of `Lessons`.
    """
    name, (minimum, maximum) = next(iter(sizes.items()))
    sizes_up_to = [minimum]
    while sizes_up_to[-1] < maximum:
        sizes_up_to.append(min(2 * sizes_up_to[-1], maximum))
    return Lessons(tuple(Lesson({name: (minimum, size)}) for size in sizes_up_to), **more)


# By the values of --curriculum.
CURRICULA: Mapping[str, Callable[..., Lessons]] = {
    "naive": naive,
    "look_back": lambda sizes, **more: naive(sizes, replay=0.1, **more),
    "look_back_and_forward": lambda sizes, **more: naive(
        sizes, replay=0.2, replay_any=True, **more
    ),
    "exponential": exponential,
}
PAPER = "paper"  # For tasks with lessons from a paper, see `Task.curriculum`.
CURRICULUM_NAMES: Sequence[str] = ("none", PAPER, *CURRICULA)
