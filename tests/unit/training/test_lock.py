import errno
import os

import pytest

from training import lock
from training.lock import Lock

pytestmark = pytest.mark.skipif(lock.fcntl is None, reason="this system has no such locks")


def test_a_directory_is_locked_once_and_again_after_its_release(tmp_path):
    first = Lock(tmp_path, pytest.fail)
    with pytest.raises(ValueError, match=f"in use by process {os.getpid()} on "):
        Lock(tmp_path, pytest.fail)
    with pytest.raises(ValueError, match=f"in use by process {os.getpid()} on "):
        Lock(tmp_path, pytest.fail)  # The first refusal has not wiped out the name.
    first.release()
    assert (tmp_path / "lock").read_text() == ""
    Lock(tmp_path, pytest.fail).release()


def test_where_the_file_system_has_no_locks_that_is_said_and_work_goes_on(tmp_path, monkeypatch):
    def flock(file, operation):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    warnings = []
    Lock(tmp_path, warnings.append).release()
    assert "has no locks (No locks available)" in warnings[0]
