"""Messages to the user. One that cannot be delivered stops no training."""

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
    """Lets `say` print nothing from now on, in a worker that is not the chief."""
    global _is_muted
    _is_muted = True


@contextlib.contextmanager
def muted(is_muted: bool = True) -> Iterator[None]:
    """Context in which `say` prints nothing."""
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
    if stream.encoding:  # What it has no letters for becomes \\x..
        text = text.encode(stream.encoding, "backslashreplace").decode(stream.encoding)
    try:
        print(text, file=stream, flush=True)
    except OSError as error:  # Its disk is full, or nobody reads it.
        warn(f"Cannot write the output: {reason(error)}. Training continues in silence.")
        # Python would otherwise try again at its end, and fail.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)


def warn(text: str) -> None:
    """Prints one line on standard error about a fault that ends nothing."""
    with contextlib.suppress(OSError):
        print(f"Warning: {text}", file=sys.stderr, flush=True)


def reason(error: OSError | tf.errors.OpError) -> str:
    """Returns why a file could not be written or read, without TensorFlow's surroundings."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    message = error.message.splitlines()[0]
    of_system = re.search(r"; ([^;\[]+)", message)  # "{{node ...}} <path>; No space left on device"
    return of_system[1].strip() if of_system else message


def in_one_line(text: str) -> str:
    """Returns a text with escapes for what would not be printed, such as the end of a line."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
