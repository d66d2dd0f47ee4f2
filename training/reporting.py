"""What a person sees of a training: a progress bar or plain lines, samples, TensorBoard scalars."""

import signal
import sys
import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any, TextIO

import tensorflow as tf
import tqdm


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
    """Means over the steps of several calls of a `TrainingStep`."""

    def __init__(self):
        """Starts with no steps."""
        self._steps = 0
        self._totals: dict[str, float] = {}

    def add(self, scalars: Mapping[str, Any], num_steps: int) -> None:
        """Takes in what a call of `num_steps` steps gave on average, by name."""
        for name, value in scalars.items():
            self._totals[name] = self._totals.get(name, 0.0) + float(value) * num_steps
        self._steps += num_steps

    def take(self) -> dict[str, float]:
        """Returns the mean over the steps of each, and starts anew."""
        means = {name: total / self._steps for name, total in self._totals.items()}
        self._steps, self._totals = 0, {}
        return means


class Report:
    """Shows the progress of a training, and writes it to the default summary writer.

    On a terminal there is a progress bar below the samples; elsewhere each report is a line.
    """

    def __init__(
        self,
        first_step: int,
        last_step: int,
        stream: TextIO | None = None,
    ):
        """Starts the report.

        Args:
          first_step: number of steps already done.
          last_step: number of steps to do in all.
          stream: where to show; standard output by default.
        """
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

    def write(self, step: int, scalars: Mapping[str, float], sample: str) -> None:
        """Shows and records what came out of the last steps.

        Args:
          step: number of steps done.
          scalars: `loss`, `wrong_bits` and whatever else TensorBoard is to show, by name.
          sample: an episode as text.
        """
        last_step, last_time = self._last_report or (step, time.monotonic())
        self._last_report = step, time.monotonic()
        speed = (step - last_step) / max(self._last_report[1] - last_time, 1e-9)
        for name, value in scalars.items():
            tf.summary.scalar(name, value, step)
        if speed > 0:
            tf.summary.scalar("steps_per_second", speed, step)
        tf.summary.flush()

        figures = f"loss {scalars['loss']:.4f}, wrong bits {scalars['wrong_bits']:.3f}"
        if self._bar is not None:
            self._bar.write(f"\nStep {step:,}: {figures}\n\n{sample}", file=self._stream)
            self._bar.set_postfix_str(figures)
        else:
            line = f"step {step:,} of {self._last_step:,}: {figures}"
            if speed > 0:
                left = tqdm.tqdm.format_interval((self._last_step - step) / speed)
                line += f", {speed:.0f} steps/s, at most {left} left"
            print(f"{line}\n\n{sample}\n", file=self._stream, flush=True)

    def close(self) -> None:
        """Ends the progress bar."""
        if self._bar is not None:
            self._bar.close()
