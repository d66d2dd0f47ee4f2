"""The commands other than train.py as processes: exit codes, and what is on standard error."""

import os
import shlex
import signal
import subprocess
import sys

import pytest

from dnc_trace import schema
from tests.runs import untrained
from tests.scripts import ROOT, modules_after, start
from tests.traces import make_trace
from training import lock
from training.lock import Lock

FULL = "/dev/full"  # Each write to it fails: no space left on device.


@pytest.mark.parametrize(
    "module",
    ["evaluate", "training.ship", "tasks.babi.fetch", "tasks.babi.ask", "tasks.graphs.route"],
)
def test_only_the_error_is_on_standard_error(module):
    # TF_CPP_MIN_LOG_LEVEL is what these tests set.
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}

    ended = start([sys.executable, "-m", module, "--nonsense=1"], env=environment)

    assert (ended.code, ended.out) == (2, "")
    assert "Unknown command line flag 'nonsense'" in ended.err
    assert ended.err.count("\n") == 1


def test_of_a_benchmark_only_the_error_is_shown():
    ended = start([sys.executable, "-m", "bench.step", "--config=huge"])

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("bench.step: ")
    assert ended.err.count("\n") == 1


def test_evaluate_prints_a_table_and_nothing_on_standard_error(tmp_path):
    untrained(tmp_path / "copies", task="copy", max_length=2, num_bits=2)

    arguments = "--checkpoint_dir=copies --lengths=1,2,3,4,5,6 --num_sequences=2 --nojit"
    ended = start([sys.executable, str(ROOT / "evaluate.py"), *shlex.split(arguments)], tmp_path)

    assert (ended.code, ended.err) == (0, "")
    assert ended.lines[1].startswith("copies ")


class TestTheInspector:
    COMMAND = (sys.executable, "-m", "dnc_inspector")
    ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}

    def test_has_its_exit_status(self, tmp_path):
        ended = start([*self.COMMAND, "none.npz"], tmp_path, env=self.ENVIRONMENT)

        assert (ended.code, ended.out) == (2, "")
        assert ended.err == "dnc_inspector: Cannot read none.npz: No such file or directory.\n"

    def test_makes_a_page(self, tmp_path):
        schema.save(tmp_path / "trace.npz", *make_trace())
        command = [*self.COMMAND, "trace.npz", "--output=page.html"]
        ended = start(command, tmp_path, env=self.ENVIRONMENT)

        assert (ended.code, ended.err) == (0, "")
        assert ended.out.startswith("Wrote page.html (")
        assert '"trace"' in (tmp_path / "page.html").read_text(encoding="utf-8")

    def test_imports_no_model(self):
        imported = modules_after("import dnc_inspector.page")

        assert not {"tensorflow", "sonnet", "dnc", "tensorboard"} & imported


def test_tasks_need_neither_a_model_nor_training():
    imported = modules_after("import tasks")

    assert "tasks" in imported
    assert not {"dnc", "training", "sonnet"} & imported


@pytest.mark.skipif(not os.path.exists(FULL), reason=f"there is no {FULL}")
@pytest.mark.parametrize("error_stream", ["full", "open"])
def test_where_nothing_can_be_said_the_program_continues(error_stream):
    program = (
        "from training.messages import say\nfor _ in range(3): say('hello')\nopen('/dev/null')"
    )
    with open(FULL, "w") as full:
        process = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            stdout=full,
            stderr=full if error_stream == "full" else subprocess.PIPE,
            text=True,
        )
    assert process.returncode == 0
    if error_stream == "open":
        (line,) = [x for x in process.stderr.splitlines() if x.startswith("Warning")]
        assert "Cannot write the output: No space left on device" in line


@pytest.mark.skipif(lock.fcntl is None, reason="this system has no such locks")
class TestALock:
    HOLD = """
import pathlib, sys
from training.lock import Lock
held = Lock(pathlib.Path(sys.argv[1]), print)
print("held", flush=True)
sys.stdin.read()
"""

    def test_is_not_held_by_a_killed_process(self, tmp_path):
        with subprocess.Popen(
            [sys.executable, "-c", self.HOLD, str(tmp_path)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout.readline() == "held\n"
            with pytest.raises(ValueError, match=f"in use by process {process.pid} on "):
                Lock(tmp_path, pytest.fail)
            process.send_signal(signal.SIGKILL)
            process.wait()
        Lock(tmp_path, pytest.fail).release()

    def test_is_not_held_by_a_program_that_the_holder_started(self, tmp_path):
        held = Lock(tmp_path, pytest.fail)
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
            held.release()
            Lock(tmp_path, pytest.fail).release()
            process.kill()
