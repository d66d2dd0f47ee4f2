"""Trains variants of the DNC on small tasks, one run for each seed, to find which helps where.

    python -m bench.ablation --tasks=key_value --variants=DNC,M,LSTM --seeds=0,1,2

Runs that --csv does not contain yet are trained, measured at the largest size in training and at 2,
4 and 8 times this size, and added to it. Interrupted runs resume. The table summarises all runs in
the file with the given tasks, variants and seeds: the number of solved runs, and the median error
at each size. --plot draws it.
"""

import csv
import functools
import itertools
import pathlib
import statistics
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from absl import flags

from bench import _command, _runs
from training import command
from training.presets import PRESETS


class Task(NamedTuple):
    """A task of the ablation."""

    preset: str
    lengths: Sequence[int]  # the largest size in training, and 2, 4, 8 times this size
    memory_size: Sequence[int]  # slots for each, enough for the writes of an episode


TASKS = {
    "key_value": Task("key_value", (8, 16, 32, 64), (8, 16, 32, 64)),
    "associative_recall": Task("associative_recall", (6, 12, 24, 48), (32, 64, 128, 256)),
    "repeat_copy_long": Task("repeat_copy_long", (8, 16, 32, 64), (16,)),
    "copy_series": Task("copy_series", (5, 10, 20, 40), (10,)),
    "priority_sort": Task("priority_sort_chainer", (6, 12, 24, 48), (16, 32, 64, 128)),
    "addition": Task("addition", (12, 24, 48, 96), (4,)),
}


class Variant(NamedTuple):
    """A model of the ablation: switches of the plain DNC that are on, or another core."""

    masks: bool = False
    switches: Sequence[str] = ()
    core: str = "dnc"


VARIANTS = {
    "DNC": Variant(),
    "M": Variant(masks=True),
    "D": Variant(switches=["deallocate"]),
    "S": Variant(switches=["sharp_links"]),
    "MD": Variant(masks=True, switches=["deallocate"]),
    "LN": Variant(switches=["layer_norm"]),
    "ADNC": Variant(switches=["layer_norm"], core="adnc"),
    "LSTM": Variant(core="lstm"),
    "NTM": Variant(core="ntm"),
}
_SWITCHES = ("deallocate", "sharp_links", "layer_norm")

_FLAGS = _command.new_flags(default_rounds=None)
_TASKS = _command.define_names(_FLAGS, "tasks", "key_value", list(TASKS), "Tasks")
_VARIANTS = _command.define_names(_FLAGS, "variants", ",".join(VARIANTS), list(VARIANTS), "Models")
_SEEDS = _command.define_integers(
    _FLAGS, "seeds", "Seeds, one run each.", default="0,1,2", lower_bound=0
)
_DIRECTORY = flags.DEFINE_string(
    "directory", "checkpoints/ablation", "Directory of the runs.", flag_values=_FLAGS
)
_CSV = flags.DEFINE_string(
    "csv", "docs/ablation.csv", "File of the runs, one row for each size.", flag_values=_FLAGS
)
_TRAIN = flags.DEFINE_bool("train", True, "Whether to train missing runs.", flag_values=_FLAGS)
_PLOT = flags.DEFINE_string("plot", None, "Picture file to draw into.", flag_values=_FLAGS)
command.accept_local_paths(_FLAGS, "directory", "csv", "plot")

_KEYS = ("task", "variant", "seed")
_MEASURED = ("memory_size", "size", "error_name", "error", "solved_sequences", "solved")
_COLUMNS = (*_KEYS, "parameters", "minutes", *_MEASURED)


def applies(task: str, variant: str) -> bool:
    """Returns whether a variant applies to a task: it must have links if they are to be sharp."""
    has_links = PRESETS[TASKS[task].preset].get("linkage") != "none"
    return has_links or "sharp_links" not in VARIANTS[variant].switches


def arguments(task: str, variant: str, seed: int) -> list[str]:
    """Returns the flags of train.py for a run."""
    preset = TASKS[task].preset
    masks, on, core = VARIANTS[variant]
    look_up = PRESETS[preset].get("look_up", "cosine")
    if masks:
        look_up = look_up.replace("cosine", "masked_cosine")
    # The preset may have switches of its own.
    switches = [f"--{name}" if name in on else f"--no{name}" for name in _SWITCHES]
    given = {"preset": preset, "seed": seed, "core": core, "look_up": look_up}
    return [*(f"--{name}={value}" for name, value in given.items()), *switches]


def add_missing(path: pathlib.Path, runs: Sequence[tuple[str, str, int]]) -> None:
    """Trains and measures the runs that a file does not contain, and adds each when it is done."""
    known = {tuple(row[key] for key in _KEYS) for row in _read(path)}
    for task, variant, seed in runs:
        if (task, variant, str(seed)) in known or not applies(task, variant):
            continue
        directory = pathlib.Path(_DIRECTORY.value) / f"{task}_{variant}_{seed}"
        minutes = _runs.trained(directory, arguments(task, variant, seed))
        # Only a core with a memory can have another number of slots.
        slots = () if variant == "LSTM" else TASKS[task].memory_size
        found = _runs.measured([directory], TASKS[task].lengths, slots)
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        with open(path, "a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, _COLUMNS, extrasaction="ignore", lineterminator="\n")
            if is_new:
                writer.writeheader()
            own = {"task": task, "variant": variant, "seed": seed, "minutes": f"{minutes:.1f}"}
            for row in found:
                rounded = {
                    name: f"{float(row[name]):.4g}" for name in ("error", "solved_sequences")
                }
                writer.writerow({**row, **rounded, **own})


def _read(path: pathlib.Path) -> list[dict[str, str]]:
    if not path.exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def rows(
    path: pathlib.Path, tasks: Sequence[str], variants: Sequence[str], seeds: Sequence[int]
) -> Iterator[_command.Row]:
    """Yields a row for each task and variant that has runs in a file."""
    found = [row for row in _read(path) if int(row["seed"]) in seeds]
    for task, variant in itertools.product(tasks, variants):
        own = [row for row in found if (row["task"], row["variant"]) == (task, variant)]
        if not own:
            continue
        sizes = sorted({int(row["size"]) for row in own})
        minutes = {row["seed"]: float(row["minutes"]) for row in own}
        yield {
            "task": task,
            "variant": variant,
            **_runs.summary(own, [*minutes.values()]),
            "at": [
                {
                    "size": size,
                    "errors": [float(row["error"]) for row in own if int(row["size"]) == size],
                }
                for size in sizes
            ],
        }


def _all_rows() -> Iterator[_command.Row]:
    path, seeds = pathlib.Path(_CSV.value), _command.integers(_SEEDS)
    if _TRAIN.value:
        add_missing(path, list(itertools.product(_TASKS.value, _VARIANTS.value, seeds)))
    found = list(rows(path, _TASKS.value, _VARIANTS.value, seeds))
    if _PLOT.value:
        plot(found, _PLOT.value)
    yield from found


def plot(found: Sequence[_command.Row], path: str) -> None:
    """Plots the median errors at each size, one panel per task and one line per model."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    tasks = list(dict.fromkeys(row["task"] for row in found))
    figure, axes = plt.subplots(
        1, len(tasks), figsize=(4 * len(tasks), 3.2), squeeze=False, layout="constrained"
    )
    for task, axis in zip(tasks, axes[0], strict=True):
        own = [row for row in found if row["task"] == task]
        for row in own:
            sizes = [at["size"] for at in row["at"]]
            axis.plot(
                sizes,
                [statistics.median(at["errors"]) for at in row["at"]],
                marker="o",
                markersize=3,
                color=f"C{list(VARIANTS).index(row['variant'])}",
                label=row["variant"],
            )
        error_name = own[0]["error_name"].replace("_", " ")
        axis.set(title=task.replace("_", " "), xlabel="size", ylabel=error_name)
        sizes = [at["size"] for at in own[0]["at"]]
        axis.set_xscale("log", base=2)
        axis.set_xticks(sizes, list(map(str, sizes)))
        axis.set_yscale("symlog", linthresh=0.1)
        axis.set_ylim(bottom=0.0)
    handles: dict[str, Any] = {}
    for axis in axes[0]:
        handles.update(zip(*reversed(axis.get_legend_handles_labels()), strict=True))
    figure.legend(handles.values(), handles, loc="outside right center", frameon=False)
    figure.savefig(path, dpi=120)


def _columns() -> list[_command.Column]:
    def at_sizes(row: _command.Row) -> str:
        return ", ".join(f"{at['size']}: {statistics.median(at['errors']):.3g}" for at in row["at"])

    return [
        _command.Column("task", 18, lambda row: row["task"]),
        _command.Column("model", 5, lambda row: row["variant"]),
        *_runs.COLUMNS,
        _command.Column("at size", 44, at_sizes),
    ]


main = functools.partial(
    _command.run,
    "bench.ablation",
    __doc__,
    _FLAGS,
    title=lambda: f"{_CSV.value}: median error over the runs of each model at each size.",
    columns=_columns,
    rows=_all_rows,
)

if __name__ == "__main__":
    sys.exit(main(sys.argv))
