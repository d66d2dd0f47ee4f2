"""Times one forward step of the DNC, compared with an `snt.LSTM` of the same size.

    python -m bench.inference --config=small

A call takes an input [B, X] and the state from the previous call, and is compiled with XLA. It is
timed for one sequence, as in serving, and for a batch. Ratios are to the LSTM. The first call
traces and compiles.
"""

import functools
import sys
from collections.abc import Callable, Iterator, Sequence

import sonnet as snt
import tensorflow as tf

from bench import _command, _timing, workloads

_FLAGS = _command.new_flags(default_rounds=21)
_CONFIG = _command.define_names(
    _FLAGS, "config", "small,medium,large", list(workloads.WORKLOADS), "Workloads"
)
_LINKAGE = _command.define_names(
    _FLAGS, "linkage", "dense,sparse", workloads.LINKAGES, "Links between slots"
)
_NUM_LINKS = _command.define_num_links(_FLAGS)


def forward_step(core: snt.RNNCore, workload: workloads.Workload) -> Callable[[], None]:
    """Returns a function that makes one step of a sequence and waits for the result."""
    workloads.create_variables(core, workload)
    inputs = workloads.random_batch(workload)[0][0]
    state = core.initial_state(workload.batch_size)
    compiled = tf.function(core, jit_compile=True)

    def step() -> None:
        nonlocal state
        outputs, state = compiled(inputs, state)
        outputs.numpy()  # Waits.

    return step


def rows(
    config: str, batch_size: int, linkages: Sequence[str], num_links: int, rounds: int
) -> Iterator[_command.Row]:
    """Times the models of one workload and yields a row for each; the LSTM is the first."""
    workload = workloads.WORKLOADS[config]._replace(batch_size=batch_size)
    cores = {None: workloads.make_lstm(workload)}
    cores |= {name: workloads.make_dnc(workload, name, num_links) for name in linkages}
    steps = {linkage: forward_step(core, workload) for linkage, core in cores.items()}
    timings = _timing.time_alternately(steps, rounds)
    for linkage, timing in timings.items():
        yield {
            "config": config,
            "batch_size": batch_size,
            "model": "DNC" if linkage else "snt.LSTM",
            "linkage": linkage,
            **timing.as_row(timings[None]),
        }


def _all_rows() -> Iterator[_command.Row]:
    for config in _CONFIG.value:
        for batch_size in sorted({1, workloads.WORKLOADS[config].batch_size}):
            yield from rows(
                config, batch_size, _LINKAGE.value, _NUM_LINKS.value, _FLAGS["rounds"].value
            )


def _check() -> None:
    _command.check_sizes(
        [workloads.WORKLOADS[name] for name in _CONFIG.value],
        _NUM_LINKS.value if "sparse" in _LINKAGE.value else None,
    )


def _title() -> str:
    sizes = "; ".join(f"{name} {workloads.WORKLOADS[name]}" for name in _CONFIG.value)
    return (
        f"One forward step, milliseconds: median of {_FLAGS['rounds'].value} (min to max), "
        f"XLA, {_NUM_LINKS.value} sparse links per slot.\n{sizes}."
    )


def _columns() -> list[_command.Column]:
    return [
        _command.Column("config", 6, lambda row: row["config"]),
        _command.Column("batch", 5, lambda row: str(row["batch_size"])),
        _command.Column("model", 10, _command.model),
        _command.Column("ms", 26, _command.milliseconds),
        _command.Column("ratio", 6, lambda row: f"{row['ratio']:.2f}"),
        _command.Column("first call, s", 13, lambda row: f"{row['first_call_s']:.1f}"),
    ]


main = functools.partial(
    _command.run,
    "bench.inference",
    __doc__,
    _FLAGS,
    check=_check,
    title=_title,
    columns=_columns,
    rows=_all_rows,
)

if __name__ == "__main__":
    sys.exit(main(sys.argv))
