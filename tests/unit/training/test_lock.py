import errno
import os
import signal
import subprocess
import sys

import pytest

from training import lock
from training.lock import Lock

pytestmark = pytest.mark.skipif(lock.fcntl is None, reason="this system has no such locks")
HOLD = """
import pathlib, sys, time
from training.lock import Lock
held = Lock(pathlib.Path(sys.argv[1]), print)
print("held", flush=True)
time.sleep(100)
"""


def test_a_directory_is_locked_once_and_again_after_its_release(tmp_path):
    first = Lock(tmp_path, pytest.fail)
    with pytest.raises(ValueError, match=f"in use by process {os.getpid()} on "):
        Lock(tmp_path, pytest.fail)
    with pytest.raises(ValueError, match=f"in use by process {os.getpid()} on "):
        Lock(tmp_path, pytest.fail)  # The first refusal has not wiped out the name.
    first.release()
    assert (tmp_path / "lock").read_text() == ""
    Lock(tmp_path, pytest.fail).release()


def test_a_killed_process_holds_no_lock(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        with pytest.raises(ValueError, match=f"in use by process {process.pid} on "):
            Lock(tmp_path, pytest.fail)
        process.send_signal(signal.SIGKILL)
        process.wait()
    Lock(tmp_path, pytest.fail).release()


def test_a_program_started_by_the_holder_does_not_hold_the_lock(tmp_path):
    held = Lock(tmp_path, pytest.fail)
    with subprocess.Popen(["sleep", "100"]) as process:
        held.release()
        Lock(tmp_path, pytest.fail).release()
        process.kill()


def test_where_the_file_system_has_no_locks_that_is_said_and_work_goes_on(tmp_path, monkeypatch):
    def flock(file, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    warnings = []
    Lock(tmp_path, warnings.append).release()
    assert "has no locks (No locks available)" in warnings[0]
