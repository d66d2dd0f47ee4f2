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
    """Runs a core over batches of a task's splits "validation" and "test".

    A task that generates its episodes has fresh ones there: no batch of the training is drawn
    again. (A small task has few different episodes. Then the same one may come up in both.)
    """

    def __init__(self, core: Core, task: tasks.Task, seed: int, jit: bool = True):
        """Prepares the evaluation.

        Args:
          core: the core to evaluate.
          task: source of the batches, all of its batch size.
          seed: the training's seed, >= 0.
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
          number: number of batches; `None`: all episodes of the split once, or batches without end
            if the task generates them.
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
          num_episodes: minimum number of episodes, >= 1, if the task generates them; else all
            episodes of the split count.
          num_examples: number of episodes to include as text.

        Raises:
          ValueError: if data cannot be read.
        """
        answers = self.answers(split)
        if not self._is_finite(split):
            answers = itertools.islice(answers, math.ceil(num_episodes / self._task.batch_size))
        return self._task.report(answers, num_examples)

    def metrics(self, first_batch: int, num_batches: int) -> dict[str, float]:
        """Returns the task's metrics, averaged over the batches from number `first_batch` on."""
        found = [
            self._task.metrics(outputs, batch)
            for batch, outputs in self.answers("validation", first_batch, num_batches)
        ]
        return mean_of(found, self._task.metric_names)

    def final(self, step: int) -> dict[str, float]:
        """Returns the metrics of `NUM_BATCHES` fresh batches, others for each training step."""
        return self.metrics(_sets(step)[1], NUM_BATCHES)

    def is_solved(self, step: int) -> bool:
        """Whether two sets of fresh batches have no error: one picks the step, one confirms it.

        The second is the set of `final`.
        """
        return all(
            self.metrics(first_batch, NUM_BATCHES)["solved_sequences"] == 1.0
            for first_batch in _sets(step)
        )

    def validate(self, step: int) -> dict[str, float]:
        """Returns metrics by name, by whose error the best training step is chosen.

        They are over all episodes that are kept for validation. A task that generates its episodes
        has the metrics of `final`.
        """
        if self._is_finite("validation"):
            return dict(self.report("validation").metrics)
        return self.final(step)

    def sample_at(self, step: int) -> str:
        """Returns a fresh episode and the core's answer as text, others for each training step."""
        batch, outputs = next(self.answers("validation", _sets(step)[0], 1))
        return self._task.to_human_readable(batch, outputs)

    def _is_finite(self, split: str) -> bool:
        return self._task.every_batch(split) is not None

    def _program(self, split: str, num_steps: int) -> Any:
        """Returns a program for batches of a number of time steps, the same one at each call."""
        if (split, num_steps) not in self._programs:
            core, task, seed = self._core, self._task.of_length(num_steps), self._seed

            def answer(step: tf.Tensor) -> tuple[tasks.Batch, Any]:
                batch = episodes.collect(core, task, split, seed, step)
                return batch, episodes.replay(core, batch)

            program = tf.function(answer, jit_compile=self._jit)
            # Concrete: for a function of several lengths TensorFlow warns of retracing.
            self._programs[split, num_steps] = program.get_concrete_function(
                tf.constant(0, tf.int64)
            )
        return self._programs[split, num_steps]

    def _replay(self, num_steps: int, like: tasks.Batch) -> Any:
        """Returns a program that replays batches of a number of time steps."""
        if ("", num_steps) not in self._programs:
            core = self._core
            program = tf.function(lambda batch: episodes.replay(core, batch), jit_compile=self._jit)
            self._programs["", num_steps] = program.get_concrete_function(like)
        return self._programs["", num_steps]


def _sets(step: int) -> tuple[int, int]:
    """Numbers of the first batches of two sets; each training step has its own two."""
    return 2 * NUM_BATCHES * step, 2 * NUM_BATCHES * step + NUM_BATCHES
