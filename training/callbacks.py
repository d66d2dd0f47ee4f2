"""Callbacks of a training run: reports, lessons, success, validation, checkpoints, faults."""

import math
from collections.abc import Callable, Mapping

import tensorflow as tf

from tasks import Task
from training.evaluation import Evaluation
from training.loop import Callback, Loop, NotFiniteError
from training.messages import say, warn
from training.numerics import Guard
from training.probe import Probe
from training.progress import Progress
from training.reporting import Display, EventFile

_TESTED = 2  # Batches of each test after a lesson.
_NEARLY_SOLVED = 0.98  # Share of the sequences from which a check, of two thousand, is worthwhile.


class Report(Callback):
    """Callback that shows recent means and a sample, and writes them for TensorBoard."""

    def __init__(self, interval: int, evaluation: Evaluation, display: Display, events: EventFile):
        """Prepares the reports.

        Args:
          interval: steps between reports.
          evaluation: source of the samples.
          display: display of the reports.
          events: file for scalars.
        """
        self.interval = interval
        self._evaluation, self._display, self._events = evaluation, display, events
        self.means: dict[str, float] = {}  # of the last report

    def begin(self, loop: Loop) -> None:
        """Starts the display."""
        self._display.begin(loop.step)

    def poll(self, loop: Loop) -> None:
        """Shows the step."""
        self._display.advance(loop.step)

    def after(self, loop: Loop) -> None:
        """Reports."""
        self.means = loop.progress.means.take()
        if not self.means:
            return  # All steps were skipped.
        loop.progress.loss = self.means["loss"]
        note = lesson_note(loop.training.task, int(loop.training.lesson))
        with self._events.open():
            sample = self._evaluation.sample_at(loop.step)
            self._display.write(loop.step, self.means, sample, note)

    def end(self, loop: Loop) -> None:
        """Ends the display."""
        self._display.close()


class Curriculum(Callback):
    """Callback that starts the next lesson when a window of episodes meets the task's criterion."""

    def __init__(self, task: Task, tests: Mapping[str, Evaluation], events: EventFile):
        """Prepares the lessons.

        Args:
          task: a task with lessons.
          tests: evaluations to run after each lesson, by name.
          events: file for scalars.
        """
        self._task, self._tests, self._events = task, tests, events
        self.interval = math.ceil(task.lessons.window / task.batch_size)

    def after(self, loop: Loop) -> None:
        """Measures the criterion."""
        means, lesson = loop.progress.window.take(), loop.training.lesson
        if not means:
            return
        with self._events.open():
            tf.summary.scalar("lesson/number", int(lesson) + 1, loop.step)
            tf.summary.scalar("lesson/error", means[self._task.error_name], loop.step)
        if int(lesson) + 1 < len(self._task.lessons) and self._task.passes(means):
            lesson.assign_add(1)
            error = self._task.describe_error(means[self._task.error_name])
            say(f"step {loop.step:,}: {error}. Now {lesson_note(self._task, int(lesson))}")
            self._test(loop.step, int(lesson))

    def _test(self, step: int, num_passed: int) -> None:
        for name, evaluation in self._tests.items():
            right = self._task.right(evaluation.metrics(0, _TESTED))
            say(f"  After lesson {num_passed}: {name}: {right:.1%} right")
            with self._events.open():
                tf.summary.scalar(f"benchmarks/{name}", right, step)


def lesson_note(task: Task, number: int) -> str:
    """Returns the number and the ranges of a lesson as text; "" for a task without lessons."""
    if not task.lessons:
        return ""
    ranges = task.lessons[number].ranges.items()
    sizes = (
        f"{name} {low}" + (f" to {high}" if high > low else "") for name, (low, high) in ranges
    )
    return f"lesson {number + 1} of {len(task.lessons)} ({', '.join(sizes)})"


class Success(Callback):
    """Callback that stops as soon as fresh sequences have no error."""

    def __init__(self, report: Report, evaluation: Evaluation):
        """Prepares a check by `evaluation` whenever a report is nearly perfect."""
        self.interval, self._report, self._evaluation = report.interval, report, evaluation

    def begin(self, loop: Loop) -> None:
        """Checks a resumed run that has no result yet."""
        if loop.progress.solved is None:
            loop.progress.solved = loop.step > 0 and self._evaluation.is_solved(loop.step)
        self._stop(loop)

    def after(self, loop: Loop) -> None:
        """Checks for success if the last report was nearly perfect."""
        if self._report.means.get("solved_sequences", 0.0) > _NEARLY_SOLVED:
            loop.progress.solved = self._evaluation.is_solved(loop.step)
            self._stop(loop)

    def _stop(self, loop: Loop) -> None:
        if loop.progress.solved:
            loop.stop("solved")


class Look(Callback):
    """Callback that records for TensorBoard how the memory behaves in fixed episodes."""

    def __init__(self, interval: int | None, probe: Probe, events: EventFile):
        """Prepares looks into the memory.

        Args:
          interval: steps between looks; `None`: no looks.
          probe: recorder of the episodes.
          events: file for the looks.
        """
        self.interval, self._probe, self._events = interval, probe, events
        self._shown_step: int | None = None

    def begin(self, loop: Loop) -> None:
        """Looks at the untrained memory. A resumed run has already looked where it stopped."""
        if loop.step == 0:
            self.after(loop)
        self._shown_step = loop.step

    def after(self, loop: Loop) -> None:
        """Looks into the memory."""
        with self._events.open():
            self._probe.write(loop.step, loop.progress.module_norms.take())
        self._shown_step = loop.step

    def end(self, loop: Loop) -> None:
        """Looks at the end. This comes after saving, so it does not change a resumed run."""
        if self._shown_step != loop.step and isinstance(loop.failure, NotFiniteError | None):
            self.after(loop)


class Validation(Callback):
    """Callback that measures the error on data that is not used for training."""

    def __init__(
        self,
        interval: int,
        task: Task,
        evaluation: Evaluation,
        events: EventFile,
        *,
        stops_when_solved: bool = False,
        patience: int | None = None,
    ):
        """Prepares the validations.

        Args:
          interval: steps between validations.
          task: the task.
          evaluation: source of the metrics.
          events: file for scalars.
          stops_when_solved: whether to stop as soon as the task is solved.
          patience: consecutive validations without improvement after which to stop; `None`: never.
        """
        self.interval = interval
        self._task, self._evaluation, self._events = task, evaluation, events
        self._stops_when_solved, self._patience = stops_when_solved, patience

    def begin(self, loop: Loop) -> None:
        """Stops a run that has nothing left to do."""
        self._stop(loop)

    def after(self, loop: Loop) -> None:
        """Validates."""
        step, progress = loop.step, loop.progress
        metrics = self._evaluation.validate(step)
        error = metrics[self._task.error_name]
        progress.validated(step, error)
        if self._stops_when_solved:
            progress.solved = self._task.is_solved(metrics)
        best = "" if progress.not_better else ", the best so far"
        say(f"step {step:,}: validation: {self._task.describe_error(error)}{best}")
        with self._events.open():
            for name, value in metrics.items():
                tf.summary.scalar(f"validation/{name}", value, step)
        self._stop(loop)

    def _stop(self, loop: Loop) -> None:
        if self._stops_when_solved and loop.progress.solved:
            loop.stop("solved")
        elif self._patience and loop.progress.not_better >= self._patience:
            loop.stop("no_progress")


class Limits(Callback):
    """Callback that stops after a number of steps, or on request."""

    def __init__(self, num_steps: int, is_interrupted: Callable[[], bool]):
        """Sets the limits.

        Args:
          num_steps: number of steps in total.
          is_interrupted: returns whether to stop now.
        """
        self._num_steps, self._is_interrupted = num_steps, is_interrupted

    def next_step(self, step: int) -> int:
        """Returns the last step."""
        return self._num_steps

    def begin(self, loop: Loop) -> None:
        """Stops a run that has nothing left to do."""
        if loop.step >= self._num_steps:
            loop.stop("finished")
        self._interrupt(loop)

    def poll(self, loop: Loop) -> None:
        """Stops on request; the reports of this step are still made."""
        self._interrupt(loop)

    def after(self, loop: Loop) -> None:
        """Stops at the last step."""
        loop.stop("finished")

    def _interrupt(self, loop: Loop) -> None:
        if self._is_interrupted():
            loop.stop("interrupted")


class Checkpoints(Callback):
    """Callback that saves the run at intervals, after each validation, and at its end."""

    def __init__(self, interval: int | None, validation_interval: int | None, at_start: bool):
        """Prepares the checkpoints.

        Args:
          interval: steps between checkpoints; `None`: no checkpoints at intervals.
          validation_interval: steps between validations, whose error selects the best checkpoint;
            `None`: the training loss selects it.
          at_start: whether to save before the first step as well.
        """
        self.interval, self._validation_interval, self._at_start = (
            interval,
            validation_interval,
            at_start,
        )

    def next_step(self, step: int) -> int | None:
        """Returns the next multiple of either interval."""
        intervals = filter(None, (self.interval, self._validation_interval))
        return min((step - step % n + n for n in intervals), default=None)

    def begin(self, loop: Loop) -> None:
        """Saves the initial state."""
        if self._at_start and loop.step == 0:
            self.after(loop)

    def after(self, loop: Loop) -> None:
        """Saves; if that fails, training continues."""
        if loop.ending:
            return  # `end` saves.
        if error := self._save(loop):
            warn(
                f"Cannot save step {loop.step:,} in {loop.run.directory}: {error.strerror}. "
                f"Training continues. {loop.run.last_saved}"
            )

    def end(self, loop: Loop) -> None:
        """Saves the last step, unless it is saved already or training failed before the first."""
        if loop.step != loop.run.saved_step and not (loop.failure and loop.step == 0):
            loop.unsaved = self._save(loop)

    def _save(self, loop: Loop) -> OSError | None:
        """Saves the current step. Returns the error if that fails."""
        loss = loop.progress.loss
        if self._validation_interval:  # A checkpoint between validations cannot be the best.
            step, error = loop.progress.validation or (0, math.nan)
            loss = error if step == loop.step else math.nan
        try:
            loop.run.save(loop.step, loop.progress.state(), loss)
        except OSError as error:
            return error
        return None


class Faults(Callback):
    """Callback that explains non-finite steps, then skips them, goes back, or ends training."""

    def __init__(self, policy: str, limit: int):
        """Sets the policy.

        Args:
          policy: "stop", "skip" or "restore", see `Guard`.
          limit: maximum number of consecutive skips or restores.
        """
        self._policy, self._guard = policy, Guard(policy, limit)

    def not_finite(self, loop: Loop) -> None:
        """Applies the policy."""
        run, training = loop.run, loop.training
        line = training.explain(run.directory, run.checkpoint)
        decision = self._guard.decide(loop.step)
        if decision == "skip":
            training.skip()
            warn(f"{line} Skipping this step.")
            return
        if decision == "restore" and (state := run.go_back()) is not None:
            rate = training.learning_rate / 2.0
            before = Progress.of(state, rate)
            progress = loop.progress
            progress.means, progress.module_norms = before.means, before.module_norms
            progress.window, progress.loss = before.window, before.loss
            progress.learning_rate = training.learning_rate = rate
            warn(f"{line} Back to step {loop.step:,} with a learning rate of {rate:.3g}.")
            return
        why = "There is no checkpoint to go back to"
        if decision == "stop":
            why = "Training ends" + ("" if self._policy == "stop" else " after too many in a row")
        raise NotFiniteError(
            f"{line} {why}. Look at the report; try a lower learning_rate or max_grad_norm, "
            "max_signal=10, or another nan_policy."
        )
