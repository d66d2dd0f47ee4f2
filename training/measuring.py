"""Measurement of a trained model in the standard tests of its task, or at several sizes."""

import dataclasses
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tasks import Report, Task
from tasks.report import shown
from training.checkpoints import Checkpoint
from training.config import Config
from training.episodes import Core
from training.evaluation import BATCH_SIZE, Evaluation
from training.models import has_slots, make_task, num_parameters, restore_core

_FACTORS = (1, 2, 4, 8)  # Default sizes, as multiples of the largest size in training.

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class SizeReport(Report):
    """Results of one model at several sizes, one row for each."""

    @staticmethod
    def head(row: Row) -> str:
        """Returns the header of a table, given its first row."""
        return _line("model", "size", "slots", row["error_name"].replace("_", " "), "right", "")

    @staticmethod
    def line(name: str, row: Row) -> str:
        """Returns a line of the table for the model of this name."""
        verdict = {None: "", True: "solved", False: "not solved"}[row["solved"]]
        slots = "-" if row["memory_size"] is None else str(row["memory_size"])
        error, right = f"{row['error']:.4g}", f"{row['solved_sequences']:.1%}"
        return _line(name, str(row["size"]), slots, error, right, verdict)

    @classmethod
    def plot(cls, reports: Mapping[str, Report], path: str | os.PathLike) -> None:
        """Plots error against size into a PNG file, with the range in training shaded."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        first = next(iter(reports.values())).rows[0]
        axes.axvspan(0, first["trained_to"], color="0.92", label="up to the largest in training")
        for name, report in reports.items():
            sizes = [row["size"] for row in report.rows]
            wrong = [100 * (1 - row["solved_sequences"]) for row in report.rows]
            axes.plot(sizes, wrong, marker="o", label=name)
        axes.set_title(first["task"])
        axes.set_xlabel(first["size_name"])
        axes.set_ylabel("sequences with an error, %")
        axes.set_xlim(left=0)
        axes.set_ylim(-3, 103)
        axes.legend()
        figure.savefig(path, dpi=150)


@dataclasses.dataclass(frozen=True)
class BenchmarkReport(Report):
    """Results of one model in the standard tests of its task, one row for each."""

    @staticmethod
    def head(row: Row) -> str:
        """Returns the header of a table."""
        return _test_line("model", "test", "slots", "right", "published")

    @staticmethod
    def line(name: str, row: Row) -> str:
        """Returns a line of the table for the model of this name."""
        published = "" if row["published"] is None else f"{row['published']:.1f}%"
        cells = [shown(row["memory_size"]), f"{row['right']:.1%}", published]
        return _test_line(name, row["test"], *cells, row["in_words"])

    @classmethod
    def plot(cls, reports: Mapping[str, Report], path: str | os.PathLike) -> None:
        """Plots the percentage of right answers in each test, and the published one, as PNG."""
        from matplotlib.figure import Figure

        rows = next(iter(reports.values())).rows
        figure = Figure(figsize=(7, 1 + 0.4 * len(rows)), layout="constrained")
        axes = figure.subplots()
        names = [row["test"] for row in rows]
        published = [math.nan if row["published"] is None else row["published"] for row in rows]
        axes.plot(published, names, "|", color="black", markersize=16, label="published")
        for name, report in reports.items():
            right = [100 * row["right"] for row in report.rows]
            axes.plot(right, names, "o", label=name)
        axes.invert_yaxis()
        axes.set_title(rows[0]["task"])
        axes.set_xlabel("right, %")
        axes.set_xlim(-3, 103)
        axes.legend()
        figure.savefig(path, dpi=150)


def at_benchmarks(
    checkpoint: Checkpoint,
    config: Config,
    slots: int | None = None,
    *,
    num_sequences: int = 1000,
    num_examples: int = 0,
    seed: int = 0,
    jit: bool = True,
) -> Iterator[tuple[Row, list[str]]]:
    """Yields a table row for each standard test of the model's task, and episodes as text.

    Args:
      checkpoint: the model, trained on a task with such tests.
      config: its configuration.
      slots: number of memory slots in all tests; by default as in training, or the test's own.
      num_sequences: number of episodes of each test, rounded up to whole batches.
      num_examples: number of episodes of each test to return as text.
      seed: seed of the episodes.
      jit: whether to compile with XLA.

    Raises:
      ValueError: if a value is out of range.
    """
    for test in make_task(config, min(BATCH_SIZE, num_sequences)).benchmarks():
        memory_size = slots or test.memory_size or config.memory_size
        core = restore_core(checkpoint, config.replace(memory_size=memory_size), test.task)
        evaluation = Evaluation(core, test.task, seed, jit)
        report = evaluation.report("test", num_sequences, num_examples)
        row = {
            "task": test.task.name,
            "test": test.name,
            **_of_model(core, config, memory_size),
            **_result(report, test.task),
            "right": test.task.right(report.metrics),
            "published": test.published[-1] if test.published else None,
            "in_words": test.task.describe_error(report.error),
        }
        yield row, [f"{test.name}:\n{text}" for text in report.examples]


def at_sizes(
    checkpoint: Checkpoint,
    config: Config,
    sizes: Sequence[int] | None = None,
    slots: Sequence[int] | None = None,
    *,
    num_sequences: int = 1000,
    num_examples: int = 0,
    seed: int = 0,
    jit: bool = True,
) -> Iterator[tuple[Row, list[str]]]:
    """Yields a table row for each size, and episodes as text.

    Args:
      checkpoint: the model, trained on a task with sizes.
      config: its configuration, possibly with options of the task changed.
      sizes: values of the task's first size; by default the largest in training, and 2, 4 and 8
        times as large.
      slots: numbers of memory slots, one for all sizes or one for each; by default as in training.
      num_sequences: number of episodes of each size, rounded up to whole batches.
      num_examples: number of episodes of each size to return as text.
      seed: seed of the episodes.
      jit: whether to compile with XLA.

    Raises:
      ValueError: if a value is out of range, or `slots` has neither one entry nor one per size.
    """
    trained = Config.of_run(checkpoint.settings)
    name, (_, trained_to) = next(iter(make_task(trained).sizes.items()))
    for option in (f"min_{name}", f"max_{name}"):
        if config.options.get(option) != trained.options.get(option):
            raise ValueError(f"Give lengths, the values of {name}, instead of {option}.")
    batch_size = min(BATCH_SIZE, num_sequences)
    sizes = sizes or [trained_to * factor for factor in _FACTORS]
    for size, memory_size in zip(sizes, _for_each(sizes, slots, trained), strict=True):
        task = make_task(config.replace(curriculum="none"), batch_size).with_size(name, size)
        core = restore_core(checkpoint, config.replace(memory_size=memory_size), task)
        evaluation = Evaluation(core, task, seed, jit)
        report = evaluation.report("test", num_sequences, num_examples)
        as_trained = not has_slots(config) or memory_size == trained.memory_size
        as_trained = as_trained and config == trained and size == trained_to
        row = {
            "task": task.name,
            **_of_model(core, config, memory_size),
            "size_name": name,
            "size": size,
            "trained_to": trained_to,
            **_result(report, task),
            "solved": report.is_solved if as_trained else None,
        }
        yield row, [f"{name} {size}:\n{text}" for text in report.examples]


def _of_model(core: Core, config: Config, memory_size: int) -> Row:
    return {
        "core": config.core,
        "parameters": num_parameters(core),
        "memory_size": memory_size if has_slots(config) else None,
    }


def _result(report: Report, task: Task) -> Row:
    return {
        "error_name": task.error_name,
        "error": report.metrics[task.error_name],
        "solved_sequences": report.metrics["solved_sequences"],
    }


def _for_each(sizes: Sequence[int], slots: Sequence[int] | None, trained: Config) -> Sequence[int]:
    """Returns the number of memory slots for each size."""
    slots = slots or [trained.memory_size]
    if len(slots) not in (1, len(sizes)):
        raise ValueError(
            f"memory_size must be one number, or one for each of the {len(sizes)} sizes, got "
            f"{len(slots)}."
        )
    return list(slots) * len(sizes) if len(slots) == 1 else slots


def _test_line(
    model: str, test: str, slots: str, right: str, published: str, error: str = ""
) -> str:
    return f"{model:20} {test:36} {slots:>6} {right:>8} {published:>10}  {error}".rstrip()


def _line(model: str, size: str, slots: str, error: str, right: str, verdict: str) -> str:
    return f"{model:28} {size:>6} {slots:>6} {error:>16} {right:>8}  {verdict}".rstrip()
