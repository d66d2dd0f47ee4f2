"""Protection of standard error from messages that do not concern the user."""

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator


@contextlib.contextmanager
def native_logs_hidden() -> Iterator[None]:
    """Hides all output to standard error within a context, unless it ends in an exception.

    This is for the import of TensorFlow, whose libraries log before any setting applies
    (tensorflow/tensorflow#100442). Later they log only errors by default.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    original = os.dup(2)
    with tempfile.TemporaryFile() as hidden:
        os.dup2(hidden.fileno(), 2)
        try:
            yield
        except BaseException:
            sys.stderr.flush()
            os.dup2(original, 2)
            hidden.seek(0)
            os.write(2, hidden.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(original, 2)
            os.close(original)
