"""Times a training step for growing numbers of memory slots, time steps or sequences.

    python -m bench.scaling --axis=slots
    python -m bench.scaling --axis=steps --sizes=100,1000
    python -m bench.scaling --axis=batch

`slots`: with dense and with sparse links. `steps`: with dense links, through `snt.dynamic_unroll`,
`dnc.unroll` and `dnc.unroll` with checkpoints, and with the peak memory of a step as in
`bench.memory`. `batch`: the DNC and an `snt.LSTM` of the same size. The entries of a row are timed
alternately.
"""

import functools
import sys
from collections.abc import Callable, Iterator

import sonnet as snt
from absl import flags

from bench import _command, _timing, memory, workloads

_FLAGS = _command.new_flags(default_rounds=5)
_AXIS = flags.DEFINE_enum(
    "axis", "slots", ["slots", "steps", "batch"], "Quantity that grows.", flag_values=_FLAGS
)
_SIZES = _command.define_integers(_FLAGS, "sizes", "Sizes along the axis.")
_CONFIG = flags.DEFINE_enum(
    "config",
    None,
    list(workloads.WORKLOADS),
    "Workload for all other sizes; by default medium, or for slots a smaller one.",
    flag_values=_FLAGS,
)
_NUM_LINKS = _command.define_num_links(_FLAGS)
_MAX_DENSE_MIB = flags.DEFINE_integer(
    "max_dense_mib",
    1024,
    "Maximum MiB of the dense links of all steps, T x B x N x N floats; larger ones are omitted. "
    "A step needs several times this memory.",
    lower_bound=1,
    flag_values=_FLAGS,
)
_CHECKPOINTING = flags.DEFINE_bool(
    "checkpointing", True, "Whether to measure checkpointing, for steps.", flag_values=_FLAGS
)

_SLOTS = workloads.Workload(16, 32, 1, 64, 4, 10, 8, 8)
_FIELDS = {"slots": "memory_size", "steps": "num_steps", "batch": "batch_size"}
_DEFAULT_SIZES = {
    "slots": [16, 64, 256, 1024, 4096, 16384],
    "steps": [20, 100, 500, 2000],
    "batch": [1, 4, 16, 64, 256, 1024],
}
_UNROLLS = ("snt.dynamic_unroll", "dnc.unroll", "checkpointed")
_DENSE, _SPARSE, _LSTM = "DNC dense", "DNC sparse", "snt.LSTM"


def compare_models(
    workload: workloads.Workload,
    with_lstm: bool,
    num_links: int,
    rounds: int,
    max_dense_mib: int,
) -> dict[str, _command.Row | None]:
    """Times models of one size. Returns the times of each, None for dense links above the limit."""
    step = functools.partial(workloads.training_step, workload=workload)
    steps: dict[str, Callable[[], float]] = {}
    if with_lstm:
        steps[_LSTM] = step(workloads.make_lstm(workload), unroll=snt.dynamic_unroll)
    if _dense_mib(workload) <= max_dense_mib:
        steps[_DENSE] = step(workloads.make_dnc(workload))
    steps[_SPARSE] = step(workloads.make_dnc(workload, "sparse", num_links))
    timings = _timing.time_alternately(steps, rounds)
    names = [*([_LSTM] if with_lstm else []), _DENSE, _SPARSE]
    return {name: timings[name]._asdict() if name in timings else None for name in names}


def compare_unrolls(
    workload: workloads.Workload, checkpointing: bool, rounds: int
) -> dict[str, _command.Row]:
    """Measures time and memory of each unroll. Returns rows as in `bench.memory`."""
    every = [memory.square_root(workload.num_steps)] if checkpointing else []
    found = memory.rows(memory.variants(workload, every), rounds)
    return dict(zip(_UNROLLS, found, strict=False))  # The last may be missing.


def _dense_mib(workload: workloads.Workload) -> float:
    """Returns the size of the dense links of all steps, 4 T B N^2, in MiB."""
    return 4 * workload.num_steps * workload.batch_size * workload.memory_size**2 / 2**20


def _to_run() -> list[workloads.Workload]:
    axis = _AXIS.value
    if _CONFIG.value is not None:
        workload = workloads.WORKLOADS[_CONFIG.value]
    else:
        workload = _SLOTS if axis == "slots" else workloads.WORKLOADS["medium"]
    sizes = _command.integers(_SIZES) or _DEFAULT_SIZES[axis]
    return [workload._replace(**{_FIELDS[axis]: size}) for size in sizes]


def _all_rows() -> Iterator[_command.Row]:
    axis, rounds = _AXIS.value, _FLAGS["rounds"].value
    for workload in _to_run():
        if axis == "steps":
            found = compare_unrolls(workload, _CHECKPOINTING.value, rounds)
        else:
            found = compare_models(
                workload, axis == "batch", _NUM_LINKS.value, rounds, _MAX_DENSE_MIB.value
            )
        yield {"axis": axis, "size": getattr(workload, _FIELDS[axis]), **found}


def _check() -> None:
    links = None if _AXIS.value == "steps" else _NUM_LINKS.value
    _command.check_sizes(_to_run(), links)


def _title() -> str:
    field = _FIELDS[_AXIS.value]
    others = {name: x for name, x in _to_run()[0]._asdict().items() if name != field}
    return (
        f"One training step for growing {field}, milliseconds: median of "
        f"{_FLAGS['rounds'].value} (min to max), XLA"
        + ("" if _AXIS.value == "steps" else f", {_NUM_LINKS.value} sparse links per slot")
        + ".\n"
        + ", ".join(f"{name} {x}" for name, x in others.items())
        + "."
    )


def _columns() -> list[_command.Column]:
    columns = [_command.Column(_AXIS.value, 6, lambda row: f"{row['size']:,}")]
    if _AXIS.value == "steps":
        for name in _UNROLLS:
            columns += [
                _command.Column(f"{name}, ms", 24, functools.partial(_steps_milliseconds, name)),
                _command.Column("MiB", 13, functools.partial(_steps_mib, name)),
            ]
        return columns
    names = [_DENSE, _SPARSE] if _AXIS.value == "slots" else [_LSTM, _DENSE, _SPARSE]
    return columns + [
        _command.Column(f"{name}, ms", 26, lambda row, name=name: _command.milliseconds(row[name]))
        for name in names
    ]


def _steps_milliseconds(name: str, row: _command.Row) -> str:
    return _command.milliseconds(row.get(name))


def _steps_mib(name: str, row: _command.Row) -> str:
    return memory.mib(row[name]) if name in row else "-"


main = functools.partial(
    _command.run,
    "bench.scaling",
    __doc__,
    _FLAGS,
    check=_check,
    title=_title,
    columns=_columns,
    rows=_all_rows,
)

if __name__ == "__main__":
    sys.exit(main(sys.argv))
