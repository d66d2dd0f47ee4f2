"""A lock that keeps two processes from working in one directory."""

import contextlib
import errno
import os
import pathlib
import socket
from collections.abc import Callable

try:
    import fcntl
except ImportError:  # On Windows there is no locking.
    fcntl = None

LOCK_FILE = "lock"


class Lock:
    """Exclusive use of a directory until `release`, or until the process ends.

    The operating system holds the lock, so it never outlives the process, even after a crash. The
    lock file remains; it is empty after a release.
    """

    def __init__(self, directory: pathlib.Path, warn: Callable[[str], None]):
        """Takes the lock.

        Args:
          directory: an existing directory.
          warn: called with a message if the file system has no locks. Nothing is locked then.

        Raises:
          ValueError: if another process holds the lock.
          OSError: if the file cannot be written.
        """
        # Not truncated, as it names the holder. Child processes do not inherit the descriptor.
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
                "do not start a second run there."
            )
        # On a full disk the lock is held, but the file does not name the holder.
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, 0)
            os.write(self._file, f"process {os.getpid()} on {socket.gethostname()}\n".encode())

    def release(self) -> None:
        """Releases the directory."""
        with contextlib.suppress(OSError):
            os.ftruncate(self._file, 0)
        os.close(self._file)
