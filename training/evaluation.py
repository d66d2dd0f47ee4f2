"""Evaluation of a core on episodes that it was not trained on."""

import itertools
import math
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

import tasks
from tasks.report import mean_of
from training import episodes
from training.episodes import Core

BATCH_SIZE, NUM_BATCHES = 100, 10  # 1,000 episodes.


class Evaluation:
    """Evaluation of a core on batches of a task's splits "validation" and "test".

    A task that generates its episodes draws fresh ones there: no training batch is drawn again. (A
    small task has few different episodes, so the same one may still occur in both.)
    """

    def __init__(self, core: Core, task: tasks.Task, seed: int, jit: bool = True):
        """Prepares the evaluation.

        Args:
          core: the core to evaluate.
          task: source of the batches, which have its batch size.
          seed: seed of the training run, >= 0.
          jit: whether to compile with XLA.
        """
        self._core = core
        self._task = task
        self._seed = seed
        self._jit = jit
        self._programs: dict[tuple[str, int], Any] = {}

    def answers(
        self, split: str, first: int = 0, number: int | None = None
    ) -> Iterator[tuple[tasks.Batch, Any]]:
        """Yields batches with the core's outputs [T, B, Y].

        Args:
          split: "train", "validation" or "test".
          first: number of the first batch.
          number: number of batches; `None`: all episodes of the split once, or endless batches if
            the task generates them.
        """
        if number is None and (every_batch := self._task.every_batch(split)) is not None:
            for batch in every_batch:
                yield batch, self._replay(batch.observations.shape[0], batch)(batch)
            return
        steps = itertools.count(first) if number is None else range(first, first + number)
        for step in steps:
            num_steps = self._task.steps_of_batch(split, self._seed, step)
            yield self._program(split, num_steps)(tf.constant(step, tf.int64))

    def report(
        self, split: str, num_episodes: int = BATCH_SIZE * NUM_BATCHES, num_examples: int = 0
    ) -> tasks.Report:
        """Returns the task's report.

        Args:
          split: "validation" or "test".
          num_episodes: minimum number of episodes, >= 1, if the task generates them; otherwise all
            episodes of the split are used.
          num_examples: number of episodes to include as text.

        Raises:
          ValueError: if data cannot be read.
        """
        answers = self.answers(split)
        if not self._is_finite(split):
            answers = itertools.islice(answers, math.ceil(num_episodes / self._task.batch_size))
        return self._task.report(answers, num_examples)

    def metrics(self, first_batch: int, num_batches: int) -> dict[str, float]:
        """Returns the task's metrics, averaged over `num_batches` batches from `first_batch` on."""
        found = [
            self._task.metrics(outputs, batch)
            for batch, outputs in self.answers("validation", first_batch, num_batches)
        ]
        return mean_of(found, self._task.metric_names)

    def final(self, step: int) -> dict[str, float]:
        """Returns the metrics of `NUM_BATCHES` fresh batches, which differ for each `step`."""
        return self.metrics(_sets(step)[1], NUM_BATCHES)

    def is_solved(self, step: int) -> bool:
        """Returns whether two sets of fresh batches have no error.

        The first set selects the training step. The second, which `final` also uses, confirms it.
        """
        return all(
            self.metrics(first_batch, NUM_BATCHES)["solved_sequences"] == 1.0
            for first_batch in _sets(step)
        )

    def validate(self, step: int) -> dict[str, float]:
        """Returns the metrics, by name, whose error selects the best training step.

        They are measured on all validation episodes. A task that generates its episodes has the
        metrics of `final`.
        """
        if self._is_finite("validation"):
            return dict(self.report("validation").metrics)
        return self.final(step)

    def sample_at(self, step: int) -> str:
        """Returns a fresh episode and the core's answer as text, different for each `step`."""
        batch, outputs = next(self.answers("validation", _sets(step)[0], 1))
        return self._task.to_human_readable(batch, outputs)

    def _is_finite(self, split: str) -> bool:
        return self._task.every_batch(split) is not None

    def _program(self, split: str, num_steps: int) -> Any:
        """Returns the program for batches of `num_steps` time steps, compiled at the first call."""
        if (split, num_steps) not in self._programs:
            core, task, seed = self._core, self._task.of_length(num_steps), self._seed

            def answer(step: tf.Tensor) -> tuple[tasks.Batch, Any]:
                batch = episodes.collect(core, task, split, seed, step)
                return batch, episodes.replay(core, batch)

            program = tf.function(answer, jit_compile=self._jit)
            # Concrete, because TensorFlow warns of retracing if one function has several lengths.
            self._programs[split, num_steps] = program.get_concrete_function(
                tf.constant(0, tf.int64)
            )
        return self._programs[split, num_steps]

    def _replay(self, num_steps: int, like: tasks.Batch) -> Any:
        """Returns the program that replays batches of `num_steps` time steps."""
        if ("", num_steps) not in self._programs:
            core = self._core
            program = tf.function(lambda batch: episodes.replay(core, batch), jit_compile=self._jit)
            self._programs["", num_steps] = program.get_concrete_function(like)
        return self._programs["", num_steps]


def _sets(step: int) -> tuple[int, int]:
    """Returns the numbers of the first batches of the two sets for a training step."""
    return 2 * NUM_BATCHES * step, 2 * NUM_BATCHES * step + NUM_BATCHES
