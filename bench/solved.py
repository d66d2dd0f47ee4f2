"""Measures the time that train.py takes to solve repeat copy.

    python -m bench.solved --seeds=0,1,2

Each run is `python train.py --stop_when_solved --report_interval=1000`, as in `make train`, in a
directory that is deleted afterwards, with dense and with sparse links. Wall time is the time of the
entire command, including imports and compilation.
"""

import functools
import pathlib
import re
import shlex
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence

from absl import flags

from bench import _command, workloads

_FLAGS = _command.new_flags(default_rounds=None)
_SEEDS = _command.define_integers(
    _FLAGS, "seeds", "Seeds, one run each.", default="0,1,2", lower_bound=0
)
_LINKAGE = _command.define_names(
    _FLAGS, "linkage", "dense,sparse", workloads.LINKAGES, "Links between slots"
)
_TRAIN_FLAGS = flags.DEFINE_string(
    "train_flags", "", "Further flags of train.py, as on a command line.", flag_values=_FLAGS
)

_SCRIPT = pathlib.Path(__file__).parents[1] / "train.py"


def solved(linkage: str, seed: int, train_flags: Sequence[str] = ()) -> _command.Row:
    """Trains once.

    Args:
      linkage: "dense" or "sparse".
      seed: seed of initial values and data.
      train_flags: further flags of train.py.

    Returns:
      `solved_at_step`, None if the task was not solved, and `minutes`.

    Raises:
      CommandError: if train.py rejected its flags.
      RuntimeError: if it failed otherwise.
    """
    with tempfile.TemporaryDirectory() as directory:
        arguments = [
            *("--stop_when_solved", "--report_interval=1000", f"--checkpoint_dir={directory}"),
            *(f"--linkage={linkage}", f"--seed={seed}", *train_flags),
        ]
        start = time.perf_counter()
        output = _command.run_script(_SCRIPT, arguments)
        minutes = (time.perf_counter() - start) / 60
    found = re.search(r"^Solved at step ([\d,]+)\.", output, re.MULTILINE)
    step = int(found[1].replace(",", "")) if found else None
    return {"linkage": linkage, "seed": seed, "solved_at_step": step, "minutes": minutes}


def rows(
    linkages: Sequence[str], seeds: Sequence[int], train_flags: Sequence[str]
) -> Iterator[_command.Row]:
    """Yields a row for each run, and a row with medians for each linkage, whose seed is None."""
    for linkage in linkages:
        runs = []
        for seed in seeds:
            runs.append(solved(linkage, seed, train_flags))
            yield runs[-1]
        steps = [run["solved_at_step"] for run in runs]
        yield {
            "linkage": linkage,
            "seed": None,
            "solved_at_step": None if None in steps else statistics.median(steps),
            "minutes": statistics.median(run["minutes"] for run in runs),
        }


def _all_rows() -> Iterator[_command.Row]:
    yield from rows(_LINKAGE.value, _command.integers(_SEEDS), shlex.split(_TRAIN_FLAGS.value))


def _title() -> str:
    more = f", {_TRAIN_FLAGS.value}" if _TRAIN_FLAGS.value else ""
    return f"Training steps until repeat copy is solved, train.py's defaults{more}."


def _columns() -> list[_command.Column]:
    return [
        _command.Column("links", 6, lambda row: row["linkage"]),
        _command.Column(
            "seed", 6, lambda row: "median" if row["seed"] is None else f"{row['seed']}"
        ),
        _command.Column(
            "solved at step",
            14,
            lambda row: "-" if row["solved_at_step"] is None else f"{row['solved_at_step']:,.0f}",
        ),
        _command.Column("minutes", 7, lambda row: f"{row['minutes']:.1f}"),
    ]


main = functools.partial(
    _command.run,
    "bench.solved",
    __doc__,
    _FLAGS,
    title=_title,
    columns=_columns,
    rows=_all_rows,
)

if __name__ == "__main__":
    sys.exit(main(sys.argv))
