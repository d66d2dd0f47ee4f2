import errno
import io
import os
import subprocess
import sys

import pytest
import tensorflow as tf

from training.messages import reason, say, warn

FULL = "/dev/full"  # Each write to it fails: no space left on device.


def test_what_is_said_is_on_standard_output_and_what_is_wrong_on_standard_error(capsys):
    say("hello")
    warn("it is wet")
    assert capsys.readouterr() == ("hello\n", "Warning: it is wet\n")


def test_it_can_be_said_elsewhere():
    stream = io.StringIO()
    say("hello", stream)
    assert stream.getvalue() == "hello\n"


@pytest.mark.skipif(not os.path.exists(FULL), reason=f"there is no {FULL}")
@pytest.mark.parametrize("error_stream", ["full", "open"])
def test_where_nothing_can_be_said_the_program_goes_on(error_stream):
    program = (
        "from training.messages import say\nfor _ in range(3): say('hello')\nopen('/dev/null')"
    )
    with open(FULL, "w") as full:
        process = subprocess.run(
            [sys.executable, "-c", program],
            stdout=full,
            stderr=full if error_stream == "full" else subprocess.PIPE,
            text=True,
            env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"},
        )
    assert process.returncode == 0
    if error_stream == "open":
        (line,) = [x for x in process.stderr.splitlines() if x.startswith("Warning")]
        assert "Cannot write the output: No space left on device" in line


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
