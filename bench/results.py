"""Trains presets with several seeds, and measures them beyond the trained sizes: docs/results.md.

    python -m bench.results --presets=addition --cores=dnc,lstm --seeds=0,1,2

Each run is `python train.py --preset=... --core=... --seed=...`, and stays in its own directory
under --directory, where the next call finds or resumes it. Wall time is the time of the entire last
command, including imports and compilation. Errors are from evaluate.py, for the median run.
"""

import functools
import pathlib
import shlex
import statistics
import sys
from collections.abc import Iterator, Sequence

from absl import flags

from bench import _command, _runs
from tasks import options
from training import command
from training.config import Config
from training.presets import PRESETS

_FLAGS = _command.new_flags(default_rounds=None)
_PRESETS = _command.define_names(
    _FLAGS, "presets", "repeat_copy", sorted(PRESETS), "Presets of train.py"
)
_CORES = _command.define_names(_FLAGS, "cores", "dnc", options.of(Config)["core"].choices, "Cores")
_SEEDS = _command.define_integers(
    _FLAGS, "seeds", "Seeds, one run each.", default="0,1,2", lower_bound=0
)
_LENGTHS = _command.define_integers(
    _FLAGS,
    "lengths",
    "Sizes to measure; by default the largest in training and 2, 4 and 8 times it.",
)
_MEMORY_SIZE = _command.define_integers(
    _FLAGS, "memory_size", "Number of slots to measure with, for all sizes or for each."
)
_TRAIN_FLAGS = flags.DEFINE_string(
    "train_flags", "", "Further flags of train.py, as on a command line.", flag_values=_FLAGS
)
_DIRECTORY = flags.DEFINE_string(
    "directory", "checkpoints/results", "Directory of the runs.", flag_values=_FLAGS
)
command.accept_local_paths(_FLAGS, "directory")


def trained(preset: str, core: str, seed: int) -> tuple[pathlib.Path, float]:
    """Trains as `_runs.trained` does. Returns the directory of the run and the minutes it took."""
    more = shlex.split(_TRAIN_FLAGS.value)
    name = "_".join([preset, core, *(flag.lstrip("-").replace("=", "-") for flag in more)])
    directory = pathlib.Path(_DIRECTORY.value) / f"{name}_{seed}"
    arguments = [f"--preset={preset}", f"--core={core}", f"--seed={seed}", *more]
    return directory, _runs.trained(directory, arguments)


def rows(
    presets: Sequence[str], cores: Sequence[str], seeds: Sequence[int]
) -> Iterator[_command.Row]:
    """Yields a row for each preset and core, with the cost and the errors of its runs."""
    for preset in presets:
        for core in cores:
            runs = [trained(preset, core, seed) for seed in seeds]
            found = _runs.measured(
                [directory for directory, _ in runs],
                _command.integers(_LENGTHS),
                _command.integers(_MEMORY_SIZE),
            )
            sizes = dict.fromkeys((row["size"], row["memory_size"]) for row in found)
            yield {
                "preset": preset,
                "core": core,
                **_runs.summary(found, [minutes for _, minutes in runs]),
                "at": [_at(*size, found) for size in sizes],
            }


def _at(size: str, slots: str, found: Sequence[dict[str, str]]) -> _command.Row:
    """Returns the results of all runs at one size and number of slots ("" without a memory)."""
    own = [row for row in found if (row["size"], row["memory_size"]) == (size, slots)]
    return {
        "size": int(size),
        "slots": int(slots) if slots else None,
        "errors": [float(row["error"]) for row in own],
        "right": [float(row["solved_sequences"]) for row in own],
    }


def _all_rows() -> Iterator[_command.Row]:
    yield from rows(_PRESETS.value, _CORES.value, _command.integers(_SEEDS))


def _title() -> str:
    more = f", {_TRAIN_FLAGS.value}" if _TRAIN_FLAGS.value else ""
    return (
        f"Presets{more}, seeds {', '.join(_SEEDS.value)}: error (and right episodes) of the median "
        "run at each size (number of slots)."
    )


def _result(at: _command.Row) -> str:
    where = f"{at['size']}" + (f" ({at['slots']})" if at["slots"] else "")
    error, right = statistics.median(at["errors"]), statistics.median(at["right"])
    return f"{where}: {error:.3g} ({right:.1%})"


def _columns() -> list[_command.Column]:
    return [
        _command.Column("preset", 22, lambda row: row["preset"]),
        _command.Column("core", 4, lambda row: row["core"]),
        *_runs.COLUMNS,
        _command.Column(
            "at size (slots)", 60, lambda row: ", ".join(_result(at) for at in row["at"])
        ),
    ]


main = functools.partial(
    _command.run,
    "bench.results",
    __doc__,
    _FLAGS,
    title=_title,
    columns=_columns,
    rows=_all_rows,
)

if __name__ == "__main__":
    sys.exit(main(sys.argv))
