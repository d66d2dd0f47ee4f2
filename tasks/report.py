"""Reports: the result of an evaluation, as a table, a picture or a file."""

import csv
import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Report:
    """Result of an evaluation of one model. A task may return a subclass with its own table.

    Attributes:
      metrics: scalars over all episodes, by name. The first is the error, for which 0 is best.
      rows: lines of the table, each with values by column; by default one with the metrics.
      is_solved: whether the task counts as solved.
      examples: episodes as text, with the model's answers.
    """

    metrics: Mapping[str, float]
    rows: Sequence[Mapping[str, Any]] = ()
    is_solved: bool = False
    examples: Sequence[str] = ()

    def __post_init__(self):
        """Makes the metrics the only row if there is none."""
        if not self.rows:
            object.__setattr__(self, "rows", (dict(self.metrics),))

    @property
    def error(self) -> float:
        """The error, which selects the best checkpoint."""
        return next(iter(self.metrics.values()))

    @classmethod
    def table(cls, reports: Mapping[str, "Report"]) -> Iterator[str]:
        """Yields the lines of a table of the reports, which are given by model name."""
        columns = _columns(reports)
        lines = [["model", *(column.replace("_", " ") for column in columns)]]
        for name, report in reports.items():
            lines += [[name, *(shown(row.get(c)) for c in columns)] for row in report.rows]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        for first, *others in lines:
            cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
            yield "  ".join([first.ljust(widths[0]), *cells]).rstrip()

    @classmethod
    def plot(cls, reports: Mapping[str, "Report"], path: str | os.PathLike) -> None:
        """Plots the error of each row into a PNG file, one curve per model."""
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        error = next(iter(next(iter(reports.values())).metrics))
        for name, report in reports.items():
            axes.plot([row[error] for row in report.rows], marker="o", label=name)
        axes.set_ylabel(error.replace("_", " "))
        axes.legend()
        figure.savefig(path, dpi=150)


def write_csv(reports: Mapping[str, Report], path: str | os.PathLike) -> None:
    """Writes the rows of all reports into a CSV file, each after the name of its model."""
    columns = _columns(reports)
    with open(path, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["model", *columns])
        writer.writeheader()
        for name, report in reports.items():
            writer.writerows({"model": name, **row} for row in report.rows)


def mean_of(rows: Sequence[Mapping[str, Any]], columns: Iterable[str]) -> dict[str, float]:
    """Returns the mean of each column over all rows."""
    return {name: float(np.mean([float(row[name]) for row in rows])) for name in columns}


def _columns(reports: Mapping[str, Report]) -> list[str]:
    """Returns the columns of all rows, in the order of their first appearance."""
    return list(dict.fromkeys(c for each in reports.values() for row in each.rows for c in row))


def shown(value: Any) -> str:
    """Returns a value of a table as text."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
