"""From easy to hard episodes: lessons, each with greater sizes than the one before."""

from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

import tasks

KINDS = ("none", "naive", "look_back", "look_back_and_forward", "exponential")
# How much of a batch is not of the current lesson.
_ELSEWHERE = {"naive": 0.0, "look_back": 0.1, "look_back_and_forward": 0.2}


class Curriculum:
    """Draws the size of each episode by the lesson that the training has got to.

    Kinds (Collier & Beel 2018; Rae et al. 2016 for the last):

    none: sizes are drawn uniformly from the task's range.
    naive: all of the lesson's size, which grows by 1.
    look_back: 90 % of the lesson's size, 10 % of earlier ones.
    look_back_and_forward: 80 % of the lesson's size, 20 % of any in the task's range.
    exponential: uniformly up to the lesson's size, which doubles.

    Attributes:
      lesson: number of the lesson, from 0, an int64 variable; to be saved with the training.
      num_lessons: how many there are.
    """

    def __init__(self, kind: str, task: tasks.Task, threshold: float = 1.0):
        """Starts at the first lesson.

        Args:
          kind: one of `KINDS`.
          task: its first size is what grows.
          threshold: the next lesson comes when the task's error is less than this.

        Raises:
          ValueError: if the task has no sizes, and there are to be lessons.
        """
        self.lesson = tf.Variable(0, dtype=tf.int64, trainable=False, name="lesson")
        self._kind, self._task, self._threshold = kind, task, threshold
        if kind == "none":
            self.num_lessons = 1
            return
        if not task.sizes:
            raise ValueError(f"Task {task.name} has no sizes, so there is no curriculum for it.")
        self._name, (self._least, self._greatest) = next(iter(task.sizes.items()))
        if kind == "exponential":
            sizes = [self._least]
            while sizes[-1] < self._greatest:
                sizes.append(2 * sizes[-1])
            self.num_lessons = len(sizes)
        else:
            self.num_lessons = self._greatest - self._least + 1

    def with_batch(self, seed: Any, step: Any, function: Callable[[tasks.Batch], Any]) -> Any:
        """Returns `function(batch)` for a training step's batch, of the current lesson."""
        return self._task.with_batch(seed, step, function, self._sizes(seed, step))

    def advance(self, metrics: Mapping[str, float]) -> bool:
        """Goes to the next lesson if there is one and the error is low enough; returns whether."""
        lesson = int(self.lesson)
        if lesson + 1 >= self.num_lessons:
            return False
        if not metrics[self._task.error_name] < self._threshold:
            return False
        self.lesson.assign(lesson + 1)
        return True

    def __str__(self) -> str:
        """The lesson as text."""
        if self._kind == "none":
            return ""
        size = int(self._size(self.lesson))
        return f"lesson {int(self.lesson) + 1} of {self.num_lessons} ({self._name} {size})"

    def _size(self, lesson: Any) -> tf.Tensor:
        """The greatest size of a lesson."""
        lesson = tf.cast(lesson, tf.int32)
        if self._kind == "exponential":
            return tf.minimum(self._least * 2**lesson, self._greatest)
        return self._least + lesson

    def _sizes(self, seed: Any, step: Any) -> dict[str, tf.Tensor] | None:
        if self._kind == "none":
            return None
        shape, size = [self._task.batch_size], self._size(self.lesson)
        # A second seed: the task draws from the first.
        keys = tasks.base.split(seed, -1 - tf.cast(step, tf.int64), 2)
        uniform = tasks.base.uniform_integers
        if self._kind == "exponential":
            return {self._name: uniform(keys[0], shape, self._least, size)}
        greatest = self._greatest if self._kind == "look_back_and_forward" else size
        other = uniform(keys[0], shape, self._least, greatest)
        is_other = tasks.base.uniform_numbers(keys[1], shape) < _ELSEWHERE[self._kind]
        return {self._name: tf.where(is_other, other, size)}
