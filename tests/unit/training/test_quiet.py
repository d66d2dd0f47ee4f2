import os
import pathlib
import subprocess
import sys

import pytest

from training.quiet import native_logs_hidden


def test_nothing_reaches_standard_error_meanwhile(capfd):
    with native_logs_hidden():
        os.write(2, b"noise\n")
    os.write(2, b"said after\n")
    assert capfd.readouterr().err == "said after\n"


def test_what_was_hidden_is_shown_when_it_fails(capfd):
    with pytest.raises(ImportError), native_logs_hidden():
        os.write(2, b"the reason\n")
        raise ImportError
    assert capfd.readouterr().err == "the reason\n"


@pytest.mark.parametrize(
    "module", ["evaluate", "training.ship", "training.fetch_babi", "training.ask"]
)
def test_of_a_command_one_reads_what_is_wrong_and_nothing_else(module):
    # TF_CPP_MIN_LOG_LEVEL is what these tests set.
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}

    done = subprocess.run(
        [sys.executable, "-m", module, "--nonsense=1"],
        cwd=pathlib.Path(__file__).parents[3],
        env=environment,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert "Unknown command line flag 'nonsense'" in done.stderr
    assert done.stderr.count("\n") == 1
