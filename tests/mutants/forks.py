"""A process that has imported TensorFlow runs pytest in forks of itself: half of the time is saved.

As a script it reads requests from standard input, a JSON list of arguments of `_run` in each line,
and answers with the exit code of pytest, or `null` after the time limit. It knows nothing of this
project, so a fork imports all modules of it from the folder that it is told.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Mapping, Sequence

_PRELOADED = ("pytest", "tensorflow", "sonnet")  # Not hypothesis: pytest rewrites its plugin.


class Forks:
    """Runs pytest in forks of one process."""

    def __init__(self):
        """Starts the process."""
        self._process = subprocess.Popen(
            [sys.executable, "-I", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self,
        arguments: Sequence[str],
        folder: str,
        output: str,
        environment: Mapping[str, str],
        seconds: float,
    ) -> int | None:
        """Runs `pytest *arguments`.

        Args:
          arguments: of pytest.
          folder: where to run; modules are imported from there.
          output: file for what pytest prints.
          environment: variables that it gets in addition to the variables of this process.
          seconds: limit, after which all processes that it started are killed.

        Returns:
          The exit code; `None` after the limit.
        """
        request = json.dumps([list(arguments), folder, output, dict(environment), seconds])
        self._process.stdin.write(f"{request}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.wait()


def _run(
    arguments: list[str], folder: str, output: str, environment: dict[str, str], seconds: float
) -> int | None:
    child = os.fork()
    if child == 0:
        _become_pytest(arguments, folder, output, environment)
    late = []

    def kill() -> None:
        late.append(True)
        os.killpg(child, signal.SIGKILL)

    timer = threading.Timer(seconds, kill)
    timer.start()
    status = os.waitpid(child, 0)[1]
    timer.cancel()
    return None if late else os.waitstatus_to_exitcode(status)


def _become_pytest(
    arguments: list[str], folder: str, output: str, environment: dict[str, str]
) -> None:
    """Runs pytest in this process, in place of all else, and ends it."""
    os.setsid()
    with open(output, "wb") as file:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    os.chdir(folder)
    os.environ.update(environment)
    # Compiled files of a second ago may belong to another mutant.
    os.environ["PYTHONDONTWRITEBYTECODE"], sys.dont_write_bytecode = "1", True
    sys.path.insert(0, folder)
    sys.argv = ["pytest", *arguments]
    import pytest

    code = 3
    try:
        code = int(pytest.main(arguments))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _main() -> None:
    error_stream = os.dup(2)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # TensorFlow logs during its import.
    for module in _PRELOADED:
        __import__(module)
    os.dup2(error_stream, 2)
    for line in sys.stdin:
        print(json.dumps(_run(*json.loads(line))), flush=True)


if __name__ == "__main__":
    _main()
