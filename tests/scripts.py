"""Runs the scripts as a user types them: in this process, or as a process of their own."""

import contextlib
import io
import os
import pathlib
import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

import evaluate
import train
from training import experiment, loop

ROOT = pathlib.Path(train.__file__).resolve().parent


class Ended(NamedTuple):
    """Exit code of a script, and what it printed."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Lines of standard output."""
        return self.out.splitlines()

    @property
    def warnings(self) -> list[str]:
        """Lines of standard error that are warnings."""
        return [line for line in self.err.splitlines() if line.startswith("Warning: ")]


class NoEvaluation:
    """Replacement of `Evaluation`, which is slow to trace, where its results do not matter."""

    def __init__(self, core, task, seed, jit):
        self._metrics = {task.error_name: 0.0, "solved_sequences": 0.0}

    def final(self, step):
        return self._metrics

    def sample_at(self, step):
        return ""


def run_train(*arguments: str, directory: str | os.PathLike = ".", evaluates: bool = True) -> Ended:
    """Runs train.py in this process and in `directory`."""
    with pytest.MonkeyPatch.context() as patch:
        if not evaluates:
            patch.setattr(experiment, "Evaluation", NoEvaluation)
        return _run(lambda: train.main(["train.py", *arguments]), directory)


def save_untrained(*arguments: str, directory: str | os.PathLike = ".") -> Ended:
    """Runs train.py without training, which leaves a run with a checkpoint of step 0."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.Loop, "train", _only_save)
        ended = run_train(*arguments, directory=directory, evaluates=False)
    assert ended.code == 0, ended.err
    return ended


def _only_save(loop: loop.Loop) -> None:
    loop.stop("finished")
    loop.run.save(loop.step, loop.progress.state())


def run_evaluate(*arguments: str, directory: str | os.PathLike = ".") -> Ended:
    """Runs evaluate.py in this process and in `directory`, without XLA."""
    return _run(lambda: evaluate.main(["evaluate", "--nojit", *arguments]), directory)


def _run(main: Callable[[], int], directory: str | os.PathLike) -> Ended:
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = main()
            except SystemExit as error:
                code = error.code
    return Ended(code, out.getvalue(), err.getvalue())


def start(command: list[str], directory: str | os.PathLike = ROOT, **options) -> Ended:
    """Runs a command as a process in `directory`."""
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, **options)
    return Ended(done.returncode, done.stdout, done.stderr)


def modules_after(statement: str) -> set[str]:
    """Returns the modules that a new Python has imported after a statement."""
    command = f"import sys; {statement}; print(*sys.modules)"
    return set(start([sys.executable, "-c", command], check=True).out.split())


def contents(directory: pathlib.Path) -> dict[str, bytes]:
    """Returns the content of each file of a run except the lock."""
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "lock"}


def flip_a_bit(path: pathlib.Path) -> None:
    """Damages a file so that its size is as before."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
