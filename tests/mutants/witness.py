"""A plugin of pytest that writes down what ran, for `runner`: see `Witness`.

It does not import TensorFlow, so tests/conftest.py can still set what TensorFlow reads at its
import.
"""

import json
import os
import pathlib
import sys

import pytest

FILE_VARIABLE = "MUTANTS_WITNESS"
_PACKAGES = ("bench", "dnc", "dnc_inspector", "evaluate", "tasks", "tests", "train", "training")


class Witness:
    """Ids of tests that failed, the number of those that passed, and modules of another tree."""

    def __init__(self, path: str):
        self._path = pathlib.Path(path)
        self._failed: list[str] = []
        self._num_passed = 0

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Notes a file that could not be collected."""
        if report.failed:
            self._failed.append(report.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Notes what came of a test."""
        if report.failed:
            self._failed.append(report.nodeid)
        self._num_passed += report.passed and report.when == "call"

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Writes the file, and the name of each module that is not of the tree under test."""
        foreign = [
            name
            for name, module in sys.modules.items()
            if name.partition(".")[0] in _PACKAGES
            and (file := getattr(module, "__file__", None))
            and not pathlib.Path(file).is_relative_to(session.config.rootpath)
        ]
        found = {"failed": self._failed, "passed": self._num_passed, "foreign": foreign}
        self._path.write_text(json.dumps(found), encoding="utf-8")


def pytest_configure(config: pytest.Config) -> None:
    """Registers the witness where `runner` asks for it."""
    if path := os.environ.get(FILE_VARIABLE):
        config.pluginmanager.register(Witness(path))
