"""Runs train.py in the process of the tests, as if a user had typed it."""

import sys

import pytest
from absl.testing import flagsaver

import train


def run_train(*arguments):
    """Returns the exit code; flags are as before afterwards."""
    argv = ["train", *arguments]
    with pytest.MonkeyPatch.context() as patch, flagsaver.flagsaver():
        patch.setattr(sys, "argv", argv)
        try:
            return train.main(train._parse(argv))
        except SystemExit as error:
            return error.code
