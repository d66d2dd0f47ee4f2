"""The loop around the training step: reports, looks into the memory, checkpoints, and its end."""

import dataclasses
import math
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from training.curriculum import Curriculum
from training.distribution import Distribution, SharedRun
from training.evaluation import Evaluation
from training.messages import NO_MEMORY, OUT_OF_MEMORY, say, warn
from training.numerics import Guard
from training.probe import Probe
from training.reporting import EventFile, Interruption, Means, Report
from training.step import TrainingStep

_SECONDS_BETWEEN_LOOKS = 0.5  # How long the compiled loop runs before Ctrl-C is noticed.


class Plan(NamedTuple):
    """When to do what.

    Attributes:
      num_steps: training steps in all, >= 1.
      report_interval: steps between reports, >= 1.
      checkpoint_interval: steps between checkpoints, >= 1; `None`: only at the end.
      summary_interval: steps between looks into the memory, >= 1; `None`: none.
      stop_when_solved: whether to stop as soon as fresh sequences have no error; with validations,
        as soon as one of them says that the task is solved.
      nan_policy: what to do about steps that are not finite, see `Guard`.
      nan_limit: how often in a row, >= 1.
      validation_interval: steps between validations, each of which is a checkpoint, >= 1; `None`:
        none, and the best checkpoint is that with the smallest training loss.
      patience: after how many validations without a better one to stop, >= 1; `None`: never.
    """

    num_steps: int
    report_interval: int = 100
    checkpoint_interval: int | None = 1000
    summary_interval: int | None = 1000
    stop_when_solved: bool = False
    nan_policy: str = "stop"
    nan_limit: int = 10
    validation_interval: int | None = None
    patience: int | None = None

    @property
    def looks_for_success(self) -> bool:
        """Whether to look between validations, of which there are none, if it is solved."""
        return self.stop_when_solved and not self.validation_interval

    def steps_until_something(self, step: int) -> int:
        """Returns how many steps there are from `step` to where this has anything to do."""
        intervals = (
            self.report_interval,
            self.checkpoint_interval,
            self.summary_interval,
            self.validation_interval,
        )
        to_multiples = [interval - step % interval for interval in intervals if interval]
        return min(self.num_steps - step, *to_multiples)


@dataclasses.dataclass
class Progress:
    """What a training remembers besides its variables, from one checkpoint to the next.

    With it a resumed run reports, keeps and stops as if it had never been interrupted.

    Attributes:
      learning_rate: of the optimizer; may be lower than at the beginning.
      means: of loss and metrics since the last report.
      module_norms: since the last look into the memory.
      loss: the mean in the last report; NaN before the first.
      solved: whether fresh sequences had no error; `None`: nobody looked.
      validation: step and error of the last validation; `None`: there was none.
      best_error: the smallest error in a validation so far.
      not_better: how many validations there were since then.
    """

    learning_rate: float
    means: Means = dataclasses.field(default_factory=Means)
    module_norms: Means = dataclasses.field(default_factory=Means)
    loss: float = math.nan
    solved: bool | None = None
    validation: tuple[int, float] | None = None
    best_error: float = math.inf
    not_better: int = 0

    @classmethod
    def of(cls, state: Mapping[str, Any] | None, learning_rate: float) -> "Progress":
        """Returns what `state` returned, and what was not part of it as at the beginning."""
        state = state or {}
        return cls(
            learning_rate=state.get("learning_rate", learning_rate),
            means=Means(state.get("means")),
            module_norms=Means(state.get("module_norms")),
            loss=state.get("loss", math.nan),
            solved=state.get("solved"),
            validation=tuple(state["validation"]) if state.get("validation") else None,
            best_error=state.get("best_error", math.inf),
            not_better=state.get("not_better", 0),
        )

    def validated(self, step: int, error: float) -> None:
        """Takes the error of a validation."""
        self.validation = step, error
        is_better = error < self.best_error
        self.best_error = min(error, self.best_error)
        self.not_better = 0 if is_better else self.not_better + 1

    def state(self) -> dict[str, Any]:
        """Returns it as JSON values."""
        return {
            "learning_rate": self.learning_rate,
            "means": self.means.state,
            "module_norms": self.module_norms.state,
            "loss": self.loss,
            "solved": self.solved,
            "validation": self.validation,
            "best_error": self.best_error,
            "not_better": self.not_better,
        }


class Ending(NamedTuple):
    """How a training ended.

    Attributes:
      is_interrupted: whether it was told to stop.
      failure: why it could not go on, a message; "" if it could.
      error: what was wrong if its end could not be saved.
    """

    is_interrupted: bool
    failure: str
    error: OSError | None


class Loop:
    """Trains step after step, and does at each whatever is due.

    Attributes:
      progress: where the training is.
    """

    def __init__(
        self,
        training: TrainingStep,
        evaluation: Evaluation,
        probe: Probe,
        run: SharedRun,
        events: EventFile,
        distribution: Distribution,
        plan: Plan,
        state: Mapping[str, Any] | None,
        curriculum: Curriculum,
    ):
        """Takes all that a training consists of.

        Args:
          training: makes the steps.
          evaluation: says whether it is solved, and makes samples for reports.
          probe: looks into the memory.
          run: where checkpoints go.
          events: where summaries go.
          distribution: that of the training step.
          plan: when to do what.
          state: what `run.restore` returned.
          curriculum: the one that the training step has its batches from.
        """
        self.progress = Progress.of(state, training.learning_rate)
        self._training = training
        self._evaluation = evaluation
        self._probe = probe
        self._run = run
        self._events = events
        self._distribution = distribution
        self._plan = plan
        self._guard = Guard(plan.nan_policy, plan.nan_limit)
        self._chunk = 1  # How many steps to make at once, at most.
        self._curriculum = curriculum
        self._report = Report(self.step, plan.num_steps, error=training.task.error_name)
        self._shown_step = 0  # Step of the last look into the memory.
        self._is_stopped = False
        training.learning_rate = self.progress.learning_rate

    @property
    def step(self) -> int:
        """The number of steps done."""
        return int(self._training.step)

    def run(self, interruption: Interruption) -> Ending:
        """Trains until all is done, solved or interrupted, or cannot go on; saves the end of it."""
        try:
            failure = self._train(interruption)
        except OUT_OF_MEMORY:
            if self._distribution.num_workers > 1:
                raise  # The others do not know.
            failure = NO_MEMORY
        error = None
        if self.step != self._run.saved_step and not (failure and self.step == 0):
            error = self._save()
        # Now that it is saved: a resumed run looks when it would have anyway.
        if self.step != self._shown_step and failure != NO_MEMORY:
            self._look()
        self._report.close()
        return Ending(self._is_stopped, failure, error)

    def _train(self, interruption: Interruption) -> str:
        """Trains until it is to end. Returns why it cannot go on, or ""."""
        progress, plan = self.progress, self._plan
        if not plan.stop_when_solved:
            progress.solved = None
        elif plan.looks_for_success and progress.solved is None:
            progress.solved = self.step > 0 and self._is_solved()
        if self.step == 0:
            self._look()
            if plan.nan_policy == "restore":  # So that there is something to go back to.
                self._save_on_the_way()
        self._shown_step = self.step

        # By what workers leave the loop must be the same in all, so when they look at it must, too.
        self._is_stopped = self._distribution.any(interruption.requested)
        while not self._is_done():
            if failure := self._advance():
                return failure
            self._is_stopped = self._distribution.any(interruption.requested)
            intervals = filter(None, (plan.checkpoint_interval, plan.validation_interval))
            is_due = any(self.step % interval == 0 for interval in intervals)
            if is_due and not self._is_done():  # The end is saved by `run`.
                self._save_on_the_way()
        return ""

    def _is_done(self) -> bool:
        plan, progress = self._plan, self.progress
        is_enough = self.step >= plan.num_steps or bool(progress.solved)
        is_in_vain = plan.patience is not None and progress.not_better >= plan.patience
        return is_enough or is_in_vain or self._is_stopped

    def _is_solved(self) -> bool:
        return self._distribution.of_chief(lambda: self._evaluation.is_solved(self.step))

    def _advance(self) -> str:
        """Makes some steps and reports, if that is due. Returns why it cannot go on, or ""."""
        progress, plan = self.progress, self._plan
        first_step = self.step
        num_steps = min(self._chunk, plan.steps_until_something(first_step))
        num_steps = self._distribution.of_chief(lambda: num_steps)

        start = time.monotonic()
        totals = self._training.run(num_steps, progress.means.totals, progress.module_norms.totals)
        num_done = self.step - first_step
        progress.means.advance(totals.scalars(), num_done)
        progress.module_norms.advance(totals.module_norms, num_done)
        if num_done < num_steps and (failure := self._deal_with_a_step_not_finite()):
            return failure
        seconds_per_step = (time.monotonic() - start) / (num_done + (num_done < num_steps))
        self._chunk = max(1, min(2 * self._chunk, int(_SECONDS_BETWEEN_LOOKS / seconds_per_step)))

        step = self.step
        self._report.advance(step)
        if step % plan.report_interval == 0 and (scalars := progress.means.take()):
            progress.loss = scalars["loss"]
            if self._curriculum.num_lessons > 1:
                scalars["lesson"] = int(self._curriculum.lesson) + 1
            with self._events.open():
                sample = self._evaluation.sample_at(step)
                self._report.write(step, scalars, sample, str(self._curriculum))
            self._curriculum.advance(scalars)
            # A look costs a thousand sequences: only where success is in sight.
            if plan.looks_for_success and scalars["solved_sequences"] > 0.98:
                progress.solved = self._is_solved()
        if plan.summary_interval and step % plan.summary_interval == 0:
            self._look()
        if plan.validation_interval and step % plan.validation_interval == 0:
            self._validate()
        return ""

    def _validate(self) -> None:
        """Measures how good it is now on what it does not learn from."""
        step, task = self.step, self._training.task
        metrics = self._distribution.of_chief(lambda: self._evaluation.validate(step))
        error = metrics[task.error_name]
        self.progress.validated(step, error)
        if self._plan.stop_when_solved:
            self.progress.solved = task.is_solved(metrics)
        say(
            f"step {step:,}: validation: {task.describe_error(error)}"
            + ("" if self.progress.not_better else ", the best so far")
        )
        with self._events.open():
            for name, value in metrics.items():
                tf.summary.scalar(f"validation/{name}", value, step)

    def _look(self) -> None:
        """Shows what the memory does now."""
        with self._events.open():
            self._probe.write(self.step, self.progress.module_norms.take())
        self._shown_step = self.step

    def _deal_with_a_step_not_finite(self) -> str:
        """Does as the plan says. Returns why the training cannot go on, or ""."""
        run, training = self._run, self._training
        line = self._distribution.of_chief(lambda: training.explain(run.directory, run.checkpoint))
        decision = self._guard.decide(self.step)
        if decision == "skip":
            training.skip()
            warn(f"{line} It is left out.")
            return ""
        if decision == "restore" and (state := run.go_back()) is not None:
            learning_rate = training.learning_rate / 2.0
            before = Progress.of(state, learning_rate)
            self.progress.means = before.means
            self.progress.module_norms = before.module_norms
            self.progress.loss = before.loss
            self.progress.learning_rate = training.learning_rate = learning_rate
            warn(f"{line} Back to step {self.step:,} with a learning rate of {learning_rate:.3g}.")
            return ""
        why = {
            "restore": "There is no checkpoint to go back to",
            "stop": "It stops here"
            + ("" if self._plan.nan_policy == "stop" else ", after too many"),
        }
        return (
            f"{line} {why[decision]}. Look at the report; try a lower learning_rate or "
            "max_grad_norm, max_signal=10, or another nan_policy."
        )

    def _save(self) -> OSError | None:
        """Saves, or returns what was wrong."""
        try:
            self._run.save(self.step, self.progress.state(), self._loss())
        except OSError as error:
            return error
        return None

    def _loss(self) -> float:
        """What the best checkpoint has the smallest of; NaN: this is none to be judged."""
        if self._plan.validation_interval is None:
            return self.progress.loss
        step, error = self.progress.validation or (0, math.nan)
        return error if step == self.step else math.nan

    def _save_on_the_way(self) -> None:
        """Saves; if that fails, the training goes on."""
        if error := self._save():
            warn(
                f"Cannot save step {self.step:,} in {self._run.directory}: {error.strerror}. "
                f"The training goes on. {self._run.last_saved}"
            )
