import dataclasses

import numpy as np
import pytest

from tasks import options
from tasks.options import Option, check, option, ranges, table


@dataclasses.dataclass(frozen=True)
class Declared:
    """One option of each kind, and a field that is none."""

    flag: bool = option(False, "A flag.")
    number: int = option(3, "A number.", minimum=1, maximum=5_000)
    part: float = option(0.5, "A part.", minimum=0.25)
    every: int = option(0, "An interval.", minimum=10, or_zero=True)
    folder: str = option(None, "A folder.")
    kind: str = option("one", "A kind.", choices=("one", "two"), group="kinds", may_change=True)
    min_size: int = option(1, "Minimum size.", minimum=1)
    max_size: int = option(2, "Maximum size.", minimum=1)
    min_of_nothing: int = option(1, "No range.")
    other: int = 7


@pytest.mark.parametrize(
    "good",
    [
        {"flag": True},
        {"flag": np.True_},
        {"number": 1},
        {"number": np.int64(5_000)},
        {"part": 1},
        {"part": 1e9},
        {"part": np.float32(0.25)},
        {"every": 0},
        {"every": 10},
        {"folder": None},
        {"folder": ""},
        {"kind": "two"},
        {"min_size": 2},
        {"other": "anything"},
    ],
    ids=str,
)
def test_values_in_range_are_accepted(good):
    check(Declared(**good))


@pytest.mark.parametrize(
    "bad, why",
    [
        ({"flag": 1}, "flag must be true or false, got 1."),
        ({"number": 0}, "number must be an integer from 1 to 5,000, got 0."),
        ({"number": 5_001}, "number must be an integer from 1 to 5,000, got 5001."),
        ({"number": 2.0}, "number must be an integer from 1 to 5,000, got 2.0."),
        ({"number": True}, "number must be an integer from 1 to 5,000, got True."),
        ({"number": None}, "number must be an integer from 1 to 5,000, got None."),
        ({"part": 0.2}, "part must be a number >= 0.25, got 0.2."),
        ({"part": float("nan")}, "part must be a number >= 0.25, got nan."),
        ({"part": "1"}, "part must be a number >= 0.25, got '1'."),
        ({"every": 9}, "every must be 0 or >= 10, got 9."),
        ({"every": -1}, "every must be 0 or >= 10, got -1."),
        ({"every": False}, "every must be 0 or >= 10, got False."),
        ({"folder": 3}, "folder must be a text, got 3."),
        ({"kind": "three"}, "kind must be one of one, two, got 'three'."),
        ({"kind": None}, "kind must be one of one, two, got None."),
        ({"min_size": 3}, "min_size must be at most max_size, got 3 > 2."),
    ],
    ids=str,
)
def test_other_values_are_refused_with_what_is_allowed(bad, why):
    with pytest.raises(ValueError) as error:
        check(Declared(**bad))

    assert str(error.value) == why


def test_options_are_read_off_a_class_or_an_instance():
    found = options.of(Declared)

    assert found == options.of(Declared(number=4))
    assert "other" not in found
    assert found["folder"] == Option("folder", str, None, "A folder.")
    assert found["kind"] == Option(
        "kind", str, "one", "A kind.", choices=("one", "two"), group="kinds", may_change=True
    )


def test_the_kind_is_that_of_the_default_unless_given():
    @dataclasses.dataclass
    class One:
        x: float = option(1, "A number.", kind=float)

    assert options.of(Declared)["number"].kind is int
    assert options.of(One)["x"].kind is float
    check(One(x=1.5))


def test_each_minimum_with_its_maximum_is_a_range():
    assert ranges(Declared(max_size=9)) == {"size": (1, 9)}


def test_an_upper_limit_alone_is_a_range_too():
    assert Option("x", int, 0, "", maximum=9).range == "<= 9"
    assert Option("x", int, 0, "").range == ""


def test_a_table_has_a_line_for_each_option():
    lines = table(options.of(Declared).values())

    assert lines[2:6] == [
        "| `flag` | false |  | A flag. |",
        "| `number` | 3 | from 1 to 5,000 | A number. |",
        "| `part` | 0.5 | >= 0.25 | A part. |",
        "| `every` | 0 | 0 or >= 10 | An interval. |",
    ]
    assert lines[6:8] == [
        "| `folder` |  |  | A folder. |",
        "| `kind` | one | one of one, two | A kind. |",
    ]
    assert len(lines) == 2 + 9
