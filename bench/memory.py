"""Measures the peak memory that a training step adds to the idle model.

    python -m bench.memory --config=long
    python -m bench.memory --config=medium --num_steps=50,100,200,400

The second command measures memory as a function of length. Each figure comes from a separate
process: the increase of its resident memory, on the CPU, during one step that is already compiled.
(Systems other than Linux cannot measure that. There the figure includes compilation, as the table
notes.) Steps are timed alternately in one process if memory suffices. Ratios are to
`snt.dynamic_unroll`.
"""

import functools
import sys
from collections.abc import Iterator, Sequence

from absl import flags

from bench import _command, _timing, workloads
from bench._peak import Peak, Variant, available_mib, peak

_FLAGS = _command.new_flags(default_rounds=3)
_CONFIG = flags.DEFINE_enum(
    "config", "long", list(workloads.WORKLOADS), "Workload.", flag_values=_FLAGS
)
_NUM_STEPS = _command.define_integers(
    _FLAGS, "num_steps", "Lengths of the sequences; by default the workload's."
)
_CHECKPOINT_EVERY = _command.define_integers(
    _FLAGS,
    "checkpoint_every",
    "Steps between the states that dnc.unroll keeps; about the square root of the length by "
    "default.",
)
_CHECKPOINTING = flags.DEFINE_bool(
    "checkpointing", True, "Whether to measure checkpointing.", flag_values=_FLAGS
)
_LINKAGE = flags.DEFINE_enum(
    "linkage", "dense", workloads.LINKAGES, "Links between slots.", flag_values=_FLAGS
)
_NUM_LINKS = _command.define_num_links(_FLAGS)
_MEMORY_SIZE, _BATCH_SIZE = (
    flags.DEFINE_integer(
        name, None, f"Number of {what}; by default the workload's.", 1, flag_values=_FLAGS
    )
    for name, what in (("memory_size", "memory slots"), ("batch_size", "sequences in a batch"))
)


def variants(
    workload: workloads.Workload, checkpoint_every: Sequence[int], **options: int | str
) -> list[Variant]:
    """Returns the unrolls to compare, the plain one first."""
    plain = Variant(workload, unroll="snt.dynamic_unroll", **options)
    fast = plain._replace(unroll="dnc.unroll")
    return [plain, fast, *(fast._replace(checkpoint_every=k) for k in checkpoint_every)]


def square_root(num_steps: int) -> int:
    """Returns the checkpoint interval that keeps about as many states as it computes again."""
    return max(1, round(num_steps**0.5))


def rows(to_compare: Sequence[Variant], rounds: int) -> Iterator[_command.Row]:
    """Measures training steps and yields a row for each; ratios are to the first."""
    peaks = [peak(variant) for variant in to_compare]
    together = _fit_together(peaks)
    if together:
        steps = {i: variant.training_step() for i, variant in enumerate(to_compare) if peaks[i]}
        timings = {i: t._asdict() for i, t in _timing.time_alternately(steps, rounds).items()}
    else:
        timings = {i: {"median_ms": x.step_ms} for i, x in enumerate(peaks) if x}

    for i, (variant, found) in enumerate(zip(to_compare, peaks, strict=True)):
        row = {
            "num_steps": variant.workload.num_steps,
            "linkage": variant.linkage,
            "unroll": variant.unroll,
            "checkpoint_every": variant.checkpoint_every,
            "timed": "alternately" if together else "one step, separately",
            "peak_mib": None,
        }
        if found:
            row |= {
                "idle_mib": found.idle_mib,
                "peak_mib": found.peak_mib,
                "includes_compilation": found.includes_compilation,
                **timings[i],
            }
        if found and peaks[0]:
            if peaks[0].peak_mib > 0:  # Less than a page counts as 0.
                row["memory_ratio"] = found.peak_mib / peaks[0].peak_mib
            row["time_ratio"] = timings[i]["median_ms"] / timings[0]["median_ms"]
        yield row


def _fit_together(peaks: Sequence[Peak | None]) -> bool:
    """Returns whether one process can hold all models and run one step at a time."""
    available = available_mib()
    if available is None or None in peaks:
        return False
    return 2 * max(found.peak_mib + found.idle_mib for found in peaks) < available


def _workload() -> workloads.Workload:
    sizes = {"memory_size": _MEMORY_SIZE.value, "batch_size": _BATCH_SIZE.value}
    given = {name: size for name, size in sizes.items() if size is not None}
    return workloads.WORKLOADS[_CONFIG.value]._replace(**given)


def _workloads() -> list[workloads.Workload]:
    workload = _workload()
    lengths = _command.integers(_NUM_STEPS) or [workload.num_steps]
    return [workload._replace(num_steps=length) for length in lengths]


def _all_rows() -> Iterator[_command.Row]:
    for workload in _workloads():
        every = _command.integers(_CHECKPOINT_EVERY) or [square_root(workload.num_steps)]
        to_compare = variants(
            workload,
            every if _CHECKPOINTING.value else [],
            linkage=_LINKAGE.value,
            num_links=_NUM_LINKS.value,
        )
        for row in rows(to_compare, _FLAGS["rounds"].value):
            yield {"config": _CONFIG.value, **row}


def _check() -> None:
    _command.check_sizes(_workloads(), _NUM_LINKS.value if _LINKAGE.value == "sparse" else None)


def _title() -> str:
    lengths = ", of the lengths T below" if _NUM_STEPS.value else ""
    return (
        f"Peak memory of one training step above the idle model, and its milliseconds: median of "
        f"{_FLAGS['rounds'].value} (min to max), XLA, {_LINKAGE.value} links.\n"
        f"{_CONFIG.value} {_workload()}{lengths}."
    )


def unroll_name(row: _command.Row) -> str:
    """Returns the unroll of a row as text."""
    every = row["checkpoint_every"]
    return row["unroll"] + (f", checkpoint_every={every}" if every else "")


def mib(row: _command.Row) -> str:
    """Returns the peak memory of a row as text."""
    if row["peak_mib"] is None:
        return "out of memory"
    digits = 1 if row["peak_mib"] < 100 else 0
    return f"{row['peak_mib']:,.{digits}f}" + (" with XLA" if row["includes_compilation"] else "")


def _ratio(name: str, row: _command.Row) -> str:
    return f"{row[name]:.2f}" if name in row else "-"


def _columns() -> list[_command.Column]:
    return [
        _command.Column("T", 5, lambda row: f"{row['num_steps']:,}"),
        _command.Column("unroll", 31, unroll_name),
        _command.Column("peak MiB", 14, mib),
        _command.Column("ratio", 6, functools.partial(_ratio, "memory_ratio")),
        _command.Column("ms", 26, _command.milliseconds),
        _command.Column("ratio", 6, functools.partial(_ratio, "time_ratio")),
        _command.Column("timed", 20, lambda row: row["timed"]),
    ]


main = functools.partial(
    _command.run,
    "bench.memory",
    __doc__,
    _FLAGS,
    check=_check,
    title=_title,
    columns=_columns,
    rows=_all_rows,
)

if __name__ == "__main__":
    sys.exit(main(sys.argv))
