"""Display of a training run: a progress line or plain lines, samples, and TensorBoard scalars."""

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, TextIO

import tensorflow as tf
import tqdm
from tensorboard.plugins.hparams import api as hparams

from dnc_trace import paths
from training.messages import reason, say, warn


class Interruption:
    """Context in which the first Ctrl-C or SIGTERM requests a stop and a second one stops at once.

    Attributes:
      requested: whether a stop was requested.
    """

    def __init__(self):
        self.requested = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        if threading.current_thread() is not threading.main_thread():
            return self  # Only the main thread may handle signals.
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


class EventFile:
    """The file for TensorBoard. If it cannot be written, training continues without it."""

    def __init__(self, directory: str | os.PathLike | None, warn: Callable[[str], None] = warn):
        """Starts a new file.

        Args:
          directory: directory of the file; `None`: there is no file.
          warn: called with a message if the file cannot be written.
        """
        self._warn = warn
        self._writer: tf.summary.SummaryWriter | None = None
        if directory is not None:
            with self._until_an_error():
                self._writer = tf.summary.create_file_writer(paths.for_tensorflow(directory))

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Directs summaries to the file within a context. A write error ends only the file."""
        if self._writer is None:
            yield
            return
        with self._writer.as_default(), self._until_an_error():
            yield
            self._writer.flush()

    def write_settings(self, settings: Mapping[str, Any]) -> None:
        """Writes settings for TensorBoard's HParams tab, which compares runs by their settings."""
        with self.open():
            hparams.hparams({k: "" if v is None else v for k, v in settings.items()})

    def close(self) -> None:
        """Closes the file."""
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
                    self._writer.close()  # Otherwise `as_default` would flush it again on exit.
                self._writer = None
            self._warn(
                f"Cannot write for TensorBoard: {reason(error)}. Training continues without it."
            )


class _Line(tqdm.tqdm):
    """Progress in one line, within the width of the terminal."""

    figures = ""

    @property
    def format_dict(self) -> dict[str, Any]:
        """Values for `bar_format`."""
        values = super().format_dict
        done, seconds = values["n"] - values["initial"], values["elapsed"]
        rate = values["rate"] or (done / seconds if seconds else 0.0)
        speed = f", {rate:,.0f}/s" if rate >= 10 else f", {rate:.2g}/s" if rate else ""
        return {**values, "figures": self.figures, "speed": speed}


class Display:
    """Display of the progress of training, which also goes to the default summary writer.

    A terminal shows one progress line below the samples. Elsewhere each report is a line.
    """

    def __init__(
        self,
        last_step: int,
        error_name: str,
        stream: TextIO | None = None,
        is_quiet: bool = False,
    ):
        """Prepares the display.

        Args:
          last_step: number of steps in total.
          error_name: name of the task's error.
          stream: output stream; standard output by default.
          is_quiet: whether to show nothing.
        """
        self._last_step, self._error_name = last_step, error_name
        self._stream, self._is_quiet = stream or sys.stdout, is_quiet
        self._last_report: tuple[int, float] | None = None  # Step and time.
        self._line: _Line | None = None

    def begin(self, step: int) -> None:
        """Starts the display at a step."""
        if self._stream.isatty() and not self._is_quiet:
            self._line = _Line(
                total=self._last_step,
                initial=step,
                file=self._stream,
                dynamic_ncols=True,
                bar_format="{n:,} of {total:,} |{bar}| {figures}{speed}, {remaining} left",
            )

    def advance(self, step: int) -> None:
        """Advances to `step`."""
        if self._last_report is None:  # Speed is measured from here: the first call compiled.
            self._last_report = step, time.monotonic()
        if self._line is not None:
            self._line.update(step - self._line.n)

    def write(self, step: int, scalars: Mapping[str, float], sample: str, note: str = "") -> None:
        """Shows and records the means over the last steps.

        Args:
          step: number of steps done.
          scalars: `loss`, the task's error and further scalars for TensorBoard, by name. If they
            include `tokens`, the number per step, the speed is also shown in tokens.
          sample: an episode as text.
          note: further text.
        """
        last_step, last_time = self._last_report or (step, time.monotonic())
        self._last_report = step, time.monotonic()
        speed = (step - last_step) / max(self._last_report[1] - last_time, 1e-9)
        error = f"{self._error_name.replace('_', ' ')} {scalars[self._error_name]:.3f}"
        figures = ", ".join(filter(None, [f"loss {scalars['loss']:.4f}", error, note]))
        if self._line is not None:
            lesson = note.partition(" (")[0]
            self._line.figures = ", ".join(filter(None, [lesson, error]))
            self._line.write(f"\nStep {step:,}: {figures}\n\n{sample}", file=self._stream)
            self._line.refresh()
        elif not self._is_quiet:
            line = f"step {step:,} of {self._last_step:,}: {figures}"
            if speed > 0:
                left = tqdm.tqdm.format_interval((self._last_step - step) / speed)
                line += f", {speed:.0f} steps/s"
                if "tokens" in scalars:
                    line += f", {speed * scalars['tokens']:,.0f} tokens/s"
                line += f", at most {left} left"
            say(f"{line}\n\n{sample}\n", self._stream)

        for name, value in scalars.items():
            tf.summary.scalar(name, value, step)
        if speed > 0:
            tf.summary.scalar("steps_per_second", speed, step)
        tf.summary.flush()

    def close(self) -> None:
        """Closes the progress line."""
        if self._line is not None:
            self._line.close()
