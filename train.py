"""Trains a Differentiable Neural Computer on a task, by default repeat copy.

    python train.py --stop_when_solved
    python train.py --task=copy --help

The run is saved in --checkpoint_dir; the same command resumes it. With the default flags this is
the training of DeepMind's released code: the same model, task, loss and optimizer.
"""

import os
import pathlib
import shlex
import signal
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from absl import flags

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Until there is something to save, just end.

import training
from tasks import options
from tasks.options import Option
from training import Callback, Config, command, presets
from training.config import task_options
from training.distribution import leaving_when_a_worker_is_lost
from training.flags import as_arguments, define, given, help_text
from training.messages import muted, say

# Raised by all workers together.
_OF_ALL = (ValueError, OSError, training.NotFiniteError)
_PRESET = Option(
    "preset",
    str,
    None,
    "Preset settings, which other flags override: none, or one of "
    f"{', '.join(sorted(presets.PRESETS))}. By default the preset named after the task.",
    group="Preset",
)


def main(argv: Sequence[str]) -> int:
    """Trains, and prints the next commands to use. Returns the exit code."""
    try:
        task = _task(argv)
        declared = [_PRESET, *options.of(Config).values(), *task_options(task).values()]
    except ValueError as error:
        return command.fail("train.py", error)
    values = command.new_flags()
    define(values, declared)
    return command.run(
        "train.py",
        values,
        argv,
        __doc__,
        lambda: _train(argv, given(values, declared)),
        help_command=f"train.py --task={task} --help",
        help_text=help_text(declared),
    )


def _task(argv: Sequence[str]) -> str:
    """Returns the task on a command line, whose options are also flags."""
    values = command.new_flags()
    flags.DEFINE_string("task", presets.DEFAULT_TASK, "", flag_values=values)
    flags.DEFINE_string("preset", presets.NONE, "", flag_values=values)
    try:
        values(argv, known_only=True)
    except flags.Error as error:
        raise ValueError(f"{error}. See train.py --help.") from error
    preset = presets.PRESETS.get(values["preset"].value)
    return preset["task"] if preset and not values["task"].present else values["task"].value


def _train(argv: Sequence[str], settings: Mapping[str, Any]) -> int:
    config = Config.of(**settings)
    try:
        with leaving_when_a_worker_is_lost(config.distribution, _OF_ALL), muted(config.quiet):
            result = training.train(config, [_SayPreset(settings)])
            _say_what_is_next(config, result, argv)
    except training.NotSavedError as error:
        code = command.fail("train.py", error.strerror, code=1)
        if error.directory:
            again = _command(argv, f"--checkpoint_dir={error.directory}")
            print(f"To continue from there:\n  {again}", file=sys.stderr)
        return code
    except training.NotFiniteError as error:
        return command.fail("train.py", error, code=1)
    except OSError as error:
        place = error.filename or config.checkpoint_dir
        raise ValueError(
            f"Cannot write to {place}: {error.strerror}. Give a writable checkpoint_dir and "
            "trace_file."
        ) from error
    return 0


class _SayPreset(Callback):
    """Callback that prints the settings of the preset that differ from the defaults."""

    def __init__(self, settings: Mapping[str, Any]):
        """Takes the settings on the command line."""
        name = settings.get("preset") or settings.get("task") or presets.DEFAULT_TASK
        preset = presets.settings(settings.get("preset"), settings)
        defaults = Config(task=preset["task"]).declared() if preset else {}
        said = {
            k: v
            for k, v in preset.items()
            if k != "task" and k not in settings and v != defaults[k].default
        }
        self._text = f"Preset {name}: {' '.join(as_arguments(said))}" if said else ""

    def begin(self, loop: Any) -> None:
        """Prints the settings, if there are any."""
        if self._text:
            say(self._text)


def _say_what_is_next(config: Config, result: training.Result, argv: Sequence[str]) -> None:
    if result.ending == "interrupted":
        say(f"Stopped at step {result.step:,}; saved. To continue:\n  {_command(argv)}")
        return
    if config.trace_file:
        say(
            "To make a page of the trace:\n"
            f"  {_executable('python')} -m dnc_inspector {shlex.quote(config.trace_file)}"
        )
    if config.summaries and config.has_dnc:
        say(
            "Next, look into its memory: start this, and open http://localhost:6006/#dnc_memory:\n"
            f"  {_executable('tensorboard')} --logdir {result.directory}"
        )


def _executable(name: str) -> str:
    """Returns the path of a program of this Python environment, relative if possible."""
    path = pathlib.Path(sys.executable).parent / name
    return os.path.relpath(path) if path.is_relative_to(pathlib.Path.cwd()) else str(path)


def _command(argv: Sequence[str], *more: str) -> str:
    return shlex.join([_executable(pathlib.Path(sys.executable).name), *argv, *more])


if __name__ == "__main__":
    sys.exit(main(sys.argv))
