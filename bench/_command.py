"""Common parts of the commands: flags and their errors, a table or JSON."""

import json
import pathlib
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import tensorflow as tf
from absl import flags

from bench import _timing, workloads
from training import command

Row = dict[str, Any]  # JSON values by name.


class CommandError(Exception):
    """Error that the user can correct. The command ends with exit code 2 and this message."""


class Column(NamedTuple):
    """One column of a table."""

    header: str
    width: int
    cell: Callable[[Row], str]


def new_flags(default_rounds: int | None) -> flags.FlagValues:
    """Returns the flags of one command: --json, --help and, if there is a default, --rounds."""
    values = command.new_flags()
    if default_rounds is not None:
        flags.DEFINE_integer(
            "rounds", default_rounds, "Number of timings.", lower_bound=1, flag_values=values
        )
    flags.DEFINE_bool("json", False, "Print one JSON object, not a table.", flag_values=values)
    return values


def define_names(
    values: flags.FlagValues, name: str, default: str, known: Sequence[str], help_text: str
) -> flags.FlagHolder:
    """Defines a flag that lists known names, at least one unless the default is empty."""
    holder = flags.DEFINE_list(
        name, default, f"{help_text}: a list of {', '.join(known)}.", flag_values=values
    )
    flags.register_validator(
        name,
        lambda given: (bool(given) or not default) and set(given) <= set(known),
        f"must be a list of {', '.join(known)}.",
        values,
    )
    return holder


def define_integers(
    values: flags.FlagValues,
    name: str,
    help_text: str,
    default: str | None = None,
    lower_bound: int = 1,
) -> flags.FlagHolder:
    """Defines a flag that lists at least one integer; `integers` returns them."""
    holder = flags.DEFINE_list(name, default, help_text, flag_values=values)

    def is_valid(given: list[str] | None) -> bool:
        if given is None:
            return True
        return (
            bool(given)
            and all(x.isascii() and x.isdecimal() for x in given)
            and (min(map(int, given)) >= lower_bound)
        )

    flags.register_validator(
        name, is_valid, f"must be a list of integers >= {lower_bound}.", values
    )
    return holder


def integers(holder: flags.FlagHolder) -> list[int]:
    """Returns the value of a flag from `define_integers`; [] if it was not given."""
    return [int(x) for x in holder.value or []]


def define_num_links(values: flags.FlagValues) -> flags.FlagHolder[int]:
    """Defines --num_links."""
    return flags.DEFINE_integer(
        "num_links", 8, "Number of sparse links per slot.", lower_bound=1, flag_values=values
    )


def check_sizes(chosen: Iterable[workloads.Workload], num_links: int | None) -> None:
    """Checks that a slot has no more links than there are slots.

    Args:
      chosen: the workloads that will be run.
      num_links: number of links of a slot; None if there are no sparse links.

    Raises:
      CommandError: if there are more.
    """
    for workload in chosen:
        if num_links is not None and num_links > workload.memory_size:
            raise CommandError(
                "--num_links must be at most the number of slots, "
                f"got {num_links} for {workload.memory_size} slots"
            )


def run_script(path: pathlib.Path, arguments: Sequence[str]) -> str:
    """Runs a script of this project in a separate process. Returns its output.

    Raises:
      CommandError: if it rejected its flags.
      RuntimeError: if it failed otherwise.
    """
    line = [sys.executable, str(path), *arguments]
    process = subprocess.run(line, capture_output=True, text=True)
    if process.returncode == 2:
        raise CommandError(process.stderr.splitlines()[-1].rstrip("."))
    if process.returncode:
        raise RuntimeError(f"{shlex.join(line)} failed:\n{process.stderr}")
    return process.stdout


def run(
    name: str,
    doc: str,
    values: flags.FlagValues,
    argv: Sequence[str],
    *,
    title: Callable[[], str],
    columns: Callable[[], Sequence[Column]],
    rows: Callable[[], Iterable[Row]],
    check: Callable[[], None] = lambda: None,
    has_failed: Callable[[Row], bool] = lambda row: False,
) -> int:
    """Runs a command.

    Args:
      name: name of the module, for `python -m`.
      doc: first part of the help.
      values: the command's flags.
      argv: name of the program and arguments.
      title: returns the title of the table; called once flags are parsed, as are the next three.
      columns: returns the columns.
      rows: measures and yields the rows.
      check: raises `CommandError` if flags contradict each other.
      has_failed: returns whether a row is a failure.

    Returns:
      The exit code: 2 if a flag is wrong, after one line on standard error; 1 if a row has failed.
    """
    try:
        if not command.parse(values, argv, doc):
            return 0
    except ValueError as error:
        return _fail(name, str(error))

    tf.get_logger().setLevel("ERROR")  # It warns about making many functions.
    machine = _timing.machine()
    done: list[Row] = []

    def rows_done() -> Iterable[Row]:
        for row in rows():
            done.append(row)
            yield row

    try:
        check()
        if values["json"].value:
            given = {
                flag: value
                for flag, value in values.flag_values_dict().items()
                if flag not in ("json", "help", "h")
            }
            result = {
                "benchmark": name,
                "machine": machine,
                "flags": given,
                "rows": list(rows_done()),
            }
            print(json.dumps(result))
        else:
            print(f"{title()}\n{_timing.describe(machine)}.\n")
            print_table(columns(), rows_done())
    except CommandError as error:
        return _fail(name, str(error))
    return int(any(map(has_failed, done)))


def print_table(columns: Sequence[Column], rows: Iterable[Row]) -> None:
    """Prints a Markdown table, each row as soon as it is available."""
    print("| " + " | ".join(c.header.ljust(c.width) for c in columns) + " |")
    print("|" + "|".join("-" * (c.width + 2) for c in columns) + "|", flush=True)
    for row in rows:
        print("| " + " | ".join(c.cell(row).ljust(c.width) for c in columns) + " |", flush=True)


def model(row: Row) -> str:
    """Returns the model of a row and its links as text."""
    return f"{row['model']} {row['linkage']}" if row["linkage"] else row["model"]


def milliseconds(row: Row | None) -> str:
    """Returns a median and its spread as text, or "-" if nothing was measured."""
    if row is None or "median_ms" not in row:
        return "-"
    digits = 2 - (row["median_ms"] >= 10) - (row["median_ms"] >= 100)
    if "min_ms" not in row:
        return f"{row['median_ms']:,.{digits}f}"
    return "{:,.{d}f} ({:,.{d}f} to {:,.{d}f})".format(
        *(row[key] for key in ("median_ms", "min_ms", "max_ms")), d=digits
    )


def _fail(name: str, message: str) -> int:
    return command.fail(name, f"{message}. See python -m {name} --help.")
