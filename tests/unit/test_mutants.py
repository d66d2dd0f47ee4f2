"""The table of mutants, without running any: `python -m tests.mutants` does that."""

import ast
import collections

import pytest

from tests.mutants.runner import ROOT
from tests.mutants.table import MUTANTS

PACKAGES = (
    "dnc",
    "dnc/unrolling/fused",
    "dnc_inspector",
    "dnc_trace",
    "tasks",
    "training",
    "bench",
    "scripts",
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_text_of_a_mutant_is_in_its_file_once(mutant):
    mutated = mutant.apply((ROOT / mutant.file).read_text(encoding="utf-8"))

    assert mutant.old != mutant.new
    if mutant.file.endswith(".py"):
        ast.parse(mutated)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_the_tests_of_a_mutant_exist(mutant):
    for test in mutant.tests.split():
        path, *names = test.split("::")
        text = (ROOT / "tests" / path).read_text(encoding="utf-8")
        for depth, name in enumerate(names):
            lines = f"\n{'    ' * depth}def {name}(", f"\nclass {name}:"
            assert any(line in text for line in lines), test


def test_every_package_has_mutants_and_the_viewer_has_some():
    packages = collections.Counter(mutant.package for mutant in MUTANTS)
    viewer = [mutant for mutant in MUTANTS if mutant.file.endswith(".js")]

    assert packages.keys() == set(PACKAGES)
    assert min(packages.values()) >= 3
    assert len(viewer) >= 4


def test_names_of_mutants_differ():
    names = collections.Counter(mutant.name for mutant in MUTANTS)

    assert [name for name, number in names.items() if number > 1] == []
