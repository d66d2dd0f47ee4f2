"""Timing of functions in turn, and a description of the machine."""

import math
import os
import pathlib
import platform
import statistics
import time
from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any, NamedTuple

import tensorflow as tf

_LEAST_SECONDS = 0.05  # Minimum of one timing, over several calls, since the clock also has a cost.


class Timing(NamedTuple):
    """Times of the calls of one function."""

    median_ms: float  # milliseconds of a call, median over the rounds
    min_ms: float
    max_ms: float
    first_call_s: float  # seconds of the first call, which traces and compiles

    def as_row(self, baseline: "Timing") -> dict[str, float]:
        """Returns the figures by name, and `ratio`, the median divided by the baseline's."""
        return {**self._asdict(), "ratio": self.median_ms / baseline.median_ms}


def time_alternately(
    functions: Mapping[str, Callable[[], Any]], rounds: int, least_seconds: float = _LEAST_SECONDS
) -> dict[str, Timing]:
    """Times each function once per round, in turn, so that all run under the same conditions.

    Args:
      functions: functions to call, by name; each returns when its work is done.
      rounds: number of timings of each, >= 1.
      least_seconds: minimum duration of a timing, which is a mean over the necessary calls.

    Returns:
      A `Timing` by name.
    """
    first, calls = {}, {}
    for name, function in functions.items():
        first[name] = seconds_of(function)
        seconds = seconds_of(function)
        calls[name] = max(1, math.ceil(least_seconds / seconds))

    milliseconds: dict[str, list[float]] = {name: [] for name in functions}
    for _ in range(rounds):
        for name, function in functions.items():
            seconds = seconds_of(function, calls[name]) / calls[name]
            milliseconds[name].append(seconds * 1e3)
    return {
        name: Timing(statistics.median(values), min(values), max(values), first[name])
        for name, values in milliseconds.items()
    }


def seconds_of(function: Callable[[], Any], calls: int = 1) -> float:
    """Returns the wall time of some calls."""
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return time.perf_counter() - start


def machine() -> dict[str, Any]:
    """Returns a description of the machine and its software, as JSON values."""
    return {
        "cpu": _processors()[0].get("model name") or platform.processor() or platform.machine(),
        "physical_cores": physical_cores(),
        "logical_cores": len(_usable_processors()),
        "gpus": [
            tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
            for gpu in tf.config.list_physical_devices("GPU")
        ],
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "sonnet": metadata.version("dm-sonnet"),
    }


def describe(machine: Mapping[str, Any]) -> str:
    """Returns a result of `machine` as one line."""
    load = "" if machine["load"] is None else f" (load before: {machine['load']})"
    return (
        f"{machine['cpu']}, {machine['physical_cores']} cores of {machine['logical_cores']} "
        f"threads{load}, {', '.join(machine['gpus']) or 'no GPU'}, {machine['system']}, "
        f"Python {machine['python']}, TensorFlow {machine['tensorflow']}, "
        f"Sonnet {machine['sonnet']}"
    )


def physical_cores() -> int:
    """Returns the number of cores this process may use; two threads of one core count once."""
    usable = _usable_processors()
    cores = {
        (processor["physical id"], processor["core id"])
        for processor in _processors()
        if {"processor", "physical id", "core id"} <= processor.keys()
        and int(processor["processor"]) in usable
    }
    return len(cores) or len(usable)


def _usable_processors() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return os.sched_getaffinity(0)
    return set(range(os.cpu_count() or 1))


def _processors() -> list[dict[str, str]]:
    """Returns the entries of Linux's list of processors; [{}] elsewhere."""
    path = pathlib.Path("/proc/cpuinfo")
    if not path.exists():
        return [{}]
    entries = path.read_text().strip().split("\n\n")
    pairs = ([line.partition(":") for line in entry.splitlines()] for entry in entries)
    return [{key.strip(): value.strip() for key, _, value in entry} for entry in pairs]
