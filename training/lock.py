"""Keeps two processes from working in one directory."""

import contextlib
import errno
import os
import pathlib
import socket
from collections.abc import Callable

try:
    import fcntl
except ImportError:  # Windows: there, one has to take care oneself.
    fcntl = None

LOCK_FILE = "lock"


class Lock:
    """A directory that belongs to this process until `release`, or until the process ends.

    The operating system holds the lock, so that it never outlives the process, however that ends.
    The file stays behind, empty if it was released.
    """

    def __init__(self, directory: pathlib.Path, warn: Callable[[str], None]):
        """Takes the lock.

        Args:
          directory: an existing directory.
          warn: called with a message if the file system has no locks; then nothing is locked.

        Raises:
          ValueError: if another process has it.
          OSError: if the file cannot be written.
        """
        # Not truncated: it names its holder. Programs started from here do not inherit it.
        self._file = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            if fcntl:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._file, 1000).decode(errors="replace").strip()
            os.close(self._file)
            raise ValueError(
                f"{directory} is in use by {holder or 'another process'}. Wait for it or stop it, "
                "or give another directory."
            ) from None
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
                os.close(self._file)
                raise
            warn(
                f"The file system of {directory} has no locks ({error.strerror}): "
                "start no second run there."
            )
        with contextlib.suppress(
            OSError
        ):  # On a full disk the lock holds, but cannot say for whom.
            os.ftruncate(self._file, 0)
            os.write(self._file, f"process {os.getpid()} on {socket.gethostname()}\n".encode())

    def release(self) -> None:
        """Gives the directory up."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, 0)
        os.close(self._file)
