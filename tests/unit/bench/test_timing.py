import json
import os

import pytest

from bench import _timing
from bench._timing import Timing


def test_functions_are_called_in_turn():
    calls = []

    _timing.time_alternately(
        {"a": lambda: calls.append("a"), "b": lambda: calls.append("b")}, rounds=2, least_seconds=0
    )

    assert calls == ["a", "a", "b", "b"] + ["a", "b"] * 2  # First the compilation, and one more.


def test_a_timing_has_as_many_calls_as_fill_its_time(monkeypatch):
    clock = iter(range(1000))
    monkeypatch.setattr(_timing.time, "perf_counter", lambda: float(next(clock)))
    calls = []

    timings = _timing.time_alternately(
        {"a": lambda: calls.append("a")}, rounds=3, least_seconds=4.5
    )

    assert len(calls) == 1 + 1 + 3 * 5  # On this clock each timing takes 1 s.
    assert timings == {"a": Timing(200.0, 200.0, 200.0, 1.0)}


def test_a_timing_is_the_median_with_its_spread(monkeypatch):
    seconds = iter([9.0, 1.0, 0.3, 0.1, 0.2])
    monkeypatch.setattr(_timing, "seconds_of", lambda function, calls=1: next(seconds))

    (timing,) = _timing.time_alternately({"a": None}, rounds=3).values()

    assert timing == pytest.approx((200.0, 100.0, 300.0, 9.0))


def test_ratios_are_of_medians():
    row = Timing(30.0, 20.0, 90.0, 1.5).as_row(Timing(10.0, 5.0, 80.0, 0.5))

    assert row == {
        "median_ms": 30.0,
        "min_ms": 20.0,
        "max_ms": 90.0,
        "first_call_s": 1.5,
        "ratio": 3.0,
    }


def test_the_machine_is_described():
    machine = _timing.machine()

    assert json.loads(json.dumps(machine)) == machine
    assert 1 <= machine["physical_cores"] <= machine["logical_cores"] <= os.cpu_count()
    line = _timing.describe(machine)
    assert "\n" not in line
    for part in (machine["cpu"], machine["python"], machine["tensorflow"]):
        assert part in line


def test_two_threads_of_a_core_are_one_core(monkeypatch):
    processors = [
        {"processor": str(i), "physical id": "0", "core id": str(i // 2)} for i in range(8)
    ]
    monkeypatch.setattr(_timing, "_processors", lambda: processors)
    monkeypatch.setattr(_timing, "_usable_processors", lambda: {0, 1, 2, 3, 4})

    assert _timing.physical_cores() == 3


def test_without_a_list_of_processors_each_counts(monkeypatch):
    monkeypatch.setattr(_timing, "_processors", lambda: [{}])
    monkeypatch.setattr(_timing, "_usable_processors", lambda: {0, 1, 2})

    assert _timing.physical_cores() == 3
