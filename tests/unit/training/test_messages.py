import errno
import io

import pytest
import tensorflow as tf

from training.messages import muted, reason, say, warn

FULL = "/dev/full"  # Each write to it fails: no space left on device.


def test_messages_are_on_standard_output_and_warnings_on_standard_error(capsys):
    say("hello")
    warn("it is wet")
    assert capsys.readouterr() == ("hello\n", "Warning: it is wet\n")


def test_muted_messages_are_not_printed_but_warnings_are(capsys):
    with muted():
        with muted(False):
            say("hello")
        warn("it is wet")
    say("again")
    assert capsys.readouterr() == ("again\n", "Warning: it is wet\n")


def test_it_can_be_said_elsewhere():
    stream = io.StringIO()
    say("hello", stream)
    assert stream.getvalue() == "hello\n"


@pytest.mark.parametrize(
    "error, expected",
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError("other"), "other"),
        (
            tf.errors.ResourceExhaustedError(
                None, None, "{{function_node x}} /a/b; No space left on device [Op:SaveV2]\nmore"
            ),
            "No space left on device",
        ),
        (tf.errors.DataLossError(None, None, "Unable to parse /a/b"), "Unable to parse /a/b"),
    ],
)
def test_the_reason_is_what_the_system_says(error, expected):
    assert reason(error) == expected
