"""The training loop, which makes steps and calls the callbacks that are due."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from training.messages import OUT_OF_MEMORY
from training.progress import Progress
from training.runs import Run
from training.step import TrainingStep

_SECONDS_BETWEEN_POLLS = 0.5  # Run time of the compiled program before Ctrl-C is noticed.


class NotFiniteError(RuntimeError):
    """A step whose loss or gradient is not finite, after which training cannot continue."""


class Callback:
    """An action during training. Override any of the methods, which do nothing by default.

    Attributes:
      interval: steps between two calls of `after`; `None`: it is never called.
    """

    interval: int | None = None

    def next_step(self, step: int) -> int | None:
        """Returns the next step at which to call `after`: a multiple of `interval`."""
        return step - step % self.interval + self.interval if self.interval else None

    def begin(self, loop: "Loop") -> None:
        """Called before the first step, also when a run resumes."""

    def poll(self, loop: "Loop") -> None:
        """Called after each call of the compiled program, about twice a second."""

    def after(self, loop: "Loop") -> None:
        """Called after the steps that `next_step` returns."""

    def not_finite(self, loop: "Loop") -> None:
        """Called before a step whose loss or gradient is not finite; it may skip that step.

        Raises:
          NotFiniteError: if training must end.
        """

    def end(self, loop: "Loop") -> None:
        """Called once after the last step, even after a failure; the last callback comes first."""


class Loop:
    """Loop over training steps.

    Attributes:
      training: the training step.
      run: directory and checkpoints of the run.
      progress: state of training besides the variables.
      ending: reason for the end of training, or "" while it continues: "finished", "solved",
        "no_progress", "interrupted", or a callback's own.
      failure: the exception that ended training, if any.
      unsaved: the exception that prevented saving the end of training, if any.
    """

    def __init__(
        self,
        training: TrainingStep,
        run: Run,
        callbacks: Sequence[Callback],
        state: Mapping[str, Any] | None = None,
    ):
        """Takes the parts of a training run.

        Args:
          training: the training step.
          run: directory and checkpoints of the run.
          callbacks: called in this order.
          state: result of `run.restore`.
        """
        self.training, self.run = training, run
        self.progress = Progress.of(state, training.learning_rate)
        self.ending = ""
        self.failure: Exception | None = None
        self.unsaved: OSError | None = None
        self._callbacks = callbacks
        self._chunk = 1  # Maximum number of steps in one call.
        training.learning_rate = self.progress.learning_rate

    @property
    def step(self) -> int:
        """Number of steps done."""
        return int(self.training.step)

    def stop(self, ending: str) -> None:
        """Ends training after this step."""
        self.ending = self.ending or ending

    def train(self) -> None:
        """Trains until a callback stops the loop or a step fails: see `ending` and `failure`."""
        try:
            for callback in self._callbacks:
                callback.begin(self)
            while not self.ending:
                self._advance()
        except NotFiniteError as error:
            self.failure = error
        except OUT_OF_MEMORY as error:
            if self.training.has_peers:
                raise  # The other workers have not failed.
            self.failure = error
        for callback in reversed(self._callbacks):
            callback.end(self)

    def _advance(self) -> None:
        """Makes some steps, then calls the callbacks that are due."""
        first_step, progress = self.step, self.progress
        due = [(callback, callback.next_step(first_step)) for callback in self._callbacks]
        until_due = min(step - first_step for _, step in due if step is not None)
        num_steps = self.training.agreed(min(self._chunk, until_due))

        start = time.monotonic()
        totals = self.training.run(
            num_steps,
            progress.means.totals,
            progress.module_norms.totals,
            progress.window.totals,
        )
        num_done = self.step - first_step
        progress.means.advance(totals.scalars(), num_done)
        progress.module_norms.advance(totals.module_norms, num_done)
        progress.window.advance(totals.window, num_done)
        if num_done < num_steps:
            for callback in self._callbacks:
                callback.not_finite(self)
        seconds = (time.monotonic() - start) / (num_done + (num_done < num_steps))
        self._chunk = max(1, min(2 * self._chunk, int(_SECONDS_BETWEEN_POLLS / seconds)))

        for callback in self._callbacks:
            callback.poll(self)
        for callback, step in due:
            if step == self.step:
                callback.after(self)
