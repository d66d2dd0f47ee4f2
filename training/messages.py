"""Messages to the user. Training continues if one cannot be delivered."""

import contextlib
import os
import re
import sys
from collections.abc import Iterator
from typing import TextIO

import tensorflow as tf

OUT_OF_MEMORY = (MemoryError, tf.errors.ResourceExhaustedError)
LESS_MEMORY = (
    "Lower batch_size, the length of the task, memory_size or hidden_size; or try "
    "recompute_every=10, or linkage=sparse."
)
NO_MEMORY = f"There is not enough memory for this. {LESS_MEMORY}"


_is_muted = False


def mute() -> None:
    """Makes `say` print nothing from now on, in workers other than the chief."""
    global _is_muted
    _is_muted = True


@contextlib.contextmanager
def muted(is_muted: bool = True) -> Iterator[None]:
    """Makes `say` print nothing within a context."""
    global _is_muted
    before, _is_muted = _is_muted, _is_muted or is_muted
    try:
        yield
    finally:
        _is_muted = before


def say(text: str, stream: TextIO | None = None) -> None:
    """Prints at once, on standard output by default."""
    if _is_muted:
        return
    stream = stream or sys.stdout
    if stream.encoding:  # Characters that it cannot encode become \\x..
        text = text.encode(stream.encoding, "backslashreplace").decode(stream.encoding)
    try:
        print(text, file=stream, flush=True)
    except OSError as error:  # The disk is full, or nothing reads the pipe.
        warn(f"Cannot write the output: {reason(error)}. Training continues without output.")
        # Python would otherwise try again when it exits, and fail.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def warn(text: str) -> None:
    """Prints a one-line warning on standard error."""
    with contextlib.suppress(OSError):
        print(f"Warning: {text}", file=sys.stderr, flush=True)


def reason(error: OSError | tf.errors.OpError) -> str:
    """Returns why a file could not be written or read, without the parts that TensorFlow adds."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    message = error.message.splitlines()[0]
    of_system = re.search(r"; ([^;\[]+)", message)  # "{{node ...}} <path>; No space left on device"
    return of_system[1].strip() if of_system else message


def in_one_line(text: str) -> str:
    """Returns a text with escapes for characters that do not print, such as line breaks."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
