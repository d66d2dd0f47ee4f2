"""What a person sees of a training: a progress bar or plain lines, samples, TensorBoard scalars."""

import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, TextIO

import tensorflow as tf
import tqdm

from dnc_trace import paths
from training.messages import reason, say, warn


class Interruption:
    """Context in which the first Ctrl-C or SIGTERM only asks to stop; a second one stops at once.

    Attributes:
      requested: whether to stop.
    """

    def __init__(self):
        self.requested = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        for number in (signal.SIGINT, signal.SIGTERM):
            self._previous[number] = signal.signal(number, self._request)
        return self

    def __exit__(
        self, kind: type | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def _request(self, number: int, frame: Any) -> None:
        self.requested = True
        for number, handler in self._previous.items():
            signal.signal(number, handler)


class Means:
    """Means over the steps since they were last taken."""

    def __init__(self, state: Mapping[str, Any] | None = None):
        """Starts with no steps, or where another one was, given its `state`."""
        self._steps: int = state["steps"] if state else 0
        self._totals: dict[str, float] = dict(state["totals"]) if state else {}

    @property
    def state(self) -> dict[str, Any]:
        """All that there is to remember, as JSON values."""
        return {"steps": self._steps, "totals": dict(self._totals)}

    @property
    def totals(self) -> dict[str, float]:
        """Sums over the steps, by name; empty if there are none yet."""
        return dict(self._totals)

    def advance(self, totals: Mapping[str, Any], num_steps: int) -> None:
        """Takes the new `totals`, to which `num_steps` steps were added."""
        self._totals = {name: float(total) for name, total in totals.items()}
        self._steps += num_steps

    def take(self) -> dict[str, float]:
        """Returns the mean over the steps of each, and starts anew; {} if there were no steps."""
        means = {name: total / self._steps for name, total in self._totals.items() if self._steps}
        self._steps, self._totals = 0, {}
        return means


class EventFile:
    """The file for TensorBoard. Where it cannot be written, the training goes on without."""

    def __init__(self, directory: str | os.PathLike | None, warn: Callable[[str], None] = warn):
        """Starts a new file.

        Args:
          directory: where; `None`: nowhere.
          warn: told if it cannot be written.
        """
        self._warn = warn
        self._writer: tf.summary.SummaryWriter | None = None
        if directory is not None:
            with self._until_an_error():
                self._writer = tf.summary.create_file_writer(paths.for_tensorflow(directory))

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Context in which summaries go to the file. An error in it ends the file, not more."""
        if self._writer is None:
            yield
            return
        with self._writer.as_default(), self._until_an_error():
            yield
            self._writer.flush()

    def close(self) -> None:
        """Ends the file."""
        if self._writer is not None:
            with self._until_an_error():
                self._writer.close()

    @contextlib.contextmanager
    def _until_an_error(self) -> Iterator[None]:
        try:
            yield
        except (OSError, tf.errors.OpError) as error:
            if self._writer is not None:
                with contextlib.suppress(tf.errors.OpError):
                    self._writer.close()  # Or `as_default` would flush it once more at its end.
                self._writer = None
            self._warn(
                f"Cannot write for TensorBoard: {reason(error)}. The training goes on without."
            )


class Report:
    """Shows the progress of a training, and writes it to the default summary writer.

    On a terminal there is a progress bar below the samples; elsewhere each report is a line.
    """

    def __init__(
        self,
        first_step: int,
        last_step: int,
        stream: TextIO | None = None,
        error: str = "wrong_bits",
    ):
        """Starts the report.

        Args:
          first_step: number of steps already done.
          last_step: number of steps to do in all.
          stream: where to show; standard output by default.
          error: name of the task's error.
        """
        self._error = error
        self._stream = stream or sys.stdout
        self._last_step = last_step
        self._last_report: tuple[int, float] | None = None  # Step and time.
        self._bar = None
        if self._stream.isatty():
            self._bar = tqdm.tqdm(
                total=last_step,
                initial=first_step,
                unit="step",
                file=self._stream,
                dynamic_ncols=True,
            )

    def advance(self, step: int) -> None:
        """Moves the progress bar to `step`."""
        if self._last_report is None:  # Speed is counted from here: the first call compiled.
            self._last_report = step, time.monotonic()
        if self._bar is not None:
            self._bar.update(step - self._bar.n)

    def write(self, step: int, scalars: Mapping[str, float], sample: str, note: str = "") -> None:
        """Shows and records what came out of the last steps.

        Args:
          step: number of steps done.
          scalars: `loss`, the task's error and whatever else TensorBoard is to show, by name.
          sample: an episode as text.
          note: what else to show.
        """
        last_step, last_time = self._last_report or (step, time.monotonic())
        self._last_report = step, time.monotonic()
        speed = (step - last_step) / max(self._last_report[1] - last_time, 1e-9)
        error = f"{self._error.replace('_', ' ')} {scalars[self._error]:.3f}"
        figures = ", ".join(filter(None, [f"loss {scalars['loss']:.4f}", error, note]))
        if self._bar is not None:
            self._bar.write(f"\nStep {step:,}: {figures}\n\n{sample}", file=self._stream)
            self._bar.set_postfix_str(figures)
        else:
            line = f"step {step:,} of {self._last_step:,}: {figures}"
            if speed > 0:
                left = tqdm.tqdm.format_interval((self._last_step - step) / speed)
                line += f", {speed:.0f} steps/s, at most {left} left"
            say(f"{line}\n\n{sample}\n", self._stream)

        for name, value in scalars.items():
            tf.summary.scalar(name, value, step)
        if speed > 0:
            tf.summary.scalar("steps_per_second", speed, step)
        tf.summary.flush()

    def close(self) -> None:
        """Ends the progress bar."""
        if self._bar is not None:
            self._bar.close()
