import os

import pytest

from tasks.quiet import native_logs_hidden


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
