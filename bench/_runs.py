"""Training runs to measure: trained once, kept in a directory, evaluated at several sizes.

A row with the columns `COLUMNS` contains the cost and the results of several runs of one model.
"""

import csv
import json
import pathlib
import statistics
import tempfile
import time
from collections.abc import Sequence

from bench import _command

_ROOT = pathlib.Path(__file__).parents[1]
_OPTIONS = ("--nosummaries", "--report_interval=1000", "--checkpoint_interval=10000")


def trained(directory: pathlib.Path, arguments: Sequence[str]) -> float:
    """Trains a run unless it is finished, in which case train.py has nothing left to do.

    Args:
      directory: directory of the run.
      arguments: flags of train.py.

    Returns:
      The minutes that training took.

    Raises:
      CommandError: if train.py rejected its flags, or the existing run has different ones.
      RuntimeError: if it failed otherwise.
    """
    done = directory / "minutes.json"
    start = time.perf_counter()
    # Also for a finished run, so that a run with other flags or a changed preset is rejected.
    output = _command.run_script(
        _ROOT / "train.py", [*_OPTIONS, *arguments, f"--checkpoint_dir={directory}"]
    )
    minutes = (time.perf_counter() - start) / 60
    if not done.exists():
        (directory / "log.txt").write_text(output, encoding="utf-8")
        done.write_text(json.dumps(minutes), encoding="utf-8")
    return json.loads(done.read_text(encoding="utf-8"))


def measured(
    directories: Sequence[pathlib.Path], lengths: Sequence[int], memory_size: Sequence[int]
) -> list[dict[str, str]]:
    """Returns the rows that evaluate.py writes for runs.

    Args:
      directories: directories of the runs.
      lengths: sizes; if empty, evaluate.py chooses them.
      memory_size: number of slots, for all sizes or for each; if empty, as in training.
    """
    with tempfile.TemporaryDirectory() as folder:
        arguments = [f"--checkpoint_dir={','.join(map(str, directories))}", f"--csv={folder}/csv"]
        for flag, values in {"lengths": lengths, "memory_size": memory_size}.items():
            if values:
                arguments.append(f"--{flag}={','.join(map(str, values))}")
        _command.run_script(_ROOT / "evaluate.py", arguments)
        with open(f"{folder}/csv", newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))


def summary(found: Sequence[dict[str, str]], minutes: Sequence[float]) -> _command.Row:
    """Returns the cost and the results of the runs of one model.

    Args:
      found: the rows of `measured`, of all runs.
      minutes: the minutes that each run took.
    """
    return {
        "parameters": int(found[0]["parameters"]),
        "minutes": statistics.median(minutes),
        "runs": len(minutes),
        "solved": sum(row["solved"] == "True" for row in found),
        "error_name": found[0]["error_name"],
    }


COLUMNS = (
    _command.Column("parameters", 10, lambda row: f"{row['parameters']:,}"),
    _command.Column("minutes", 7, lambda row: f"{row['minutes']:.1f}"),
    _command.Column("solved", 6, lambda row: f"{row['solved']} of {row['runs']}"),
    _command.Column("error", 14, lambda row: row["error_name"].replace("_", " ")),
)
