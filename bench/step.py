"""Times one training step of the DNC, compared with an `snt.LSTM` of the same size.

    python -m bench.step --config=small,medium
    python -m bench.step --config=medium --linkage=dense --variants=content_only,adnc

A step consists of forward pass, loss, gradients, clipping and RMSProp on a batch of random data.
The DNC runs through `dnc.unroll` and `snt.dynamic_unroll`, the LSTM through `snt.dynamic_unroll`,
alternately. Ratios are to the LSTM. The first call traces and compiles.
"""

import functools
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from absl import flags

from bench import _command, _timing, workloads

_FLAGS = _command.new_flags(default_rounds=11)
_CONFIG = _command.define_names(
    _FLAGS, "config", "small,medium,large,single", list(workloads.WORKLOADS), "Workloads"
)
_LINKAGE = _command.define_names(
    _FLAGS, "linkage", "dense,sparse", workloads.LINKAGES, "Links between slots"
)
_VARIANTS = _command.define_names(
    _FLAGS, "variants", "", list(workloads.VARIANTS), "Further members of the family"
)
_NUM_LINKS = _command.define_num_links(_FLAGS)
_JIT = flags.DEFINE_bool("jit", True, "Whether to compile with XLA.", flag_values=_FLAGS)


def rows(
    config: str,
    linkages: Sequence[str],
    num_links: int,
    jit: bool,
    rounds: int,
    variants: Sequence[str] = (),
) -> Iterator[_command.Row]:
    """Times the models of one workload and yields a row for each; the LSTM is the first."""
    workload = workloads.WORKLOADS[config]
    models = [("snt.LSTM", None, "snt.dynamic_unroll")]
    models += [("DNC", linkage, unroll) for linkage in linkages for unroll in workloads.UNROLLS]
    models += [(variant, None, "dnc.unroll") for variant in variants]
    steps: dict[Any, Callable[[], float]] = {}
    for model, linkage, unroll in models:
        if model in workloads.VARIANTS:
            core = workloads.VARIANTS[model](workload)
        elif linkage:
            core = workloads.make_dnc(workload, linkage, num_links)
        else:
            core = workloads.make_lstm(workload)
        steps[model, linkage, unroll] = workloads.training_step(
            core, workload, jit=jit, unroll=workloads.UNROLLS[unroll]
        )
    timings = _timing.time_alternately(steps, rounds)
    for about, timing in timings.items():
        row = dict(zip(("model", "linkage", "unroll"), about, strict=True))
        yield {"config": config, **row, **timing.as_row(timings[models[0]])}


def _all_rows() -> Iterator[_command.Row]:
    for config in _CONFIG.value:
        yield from rows(
            config,
            _LINKAGE.value,
            _NUM_LINKS.value,
            _JIT.value,
            _FLAGS["rounds"].value,
            _VARIANTS.value,
        )


def _check() -> None:
    _command.check_sizes(
        [workloads.WORKLOADS[name] for name in _CONFIG.value],
        _NUM_LINKS.value if "sparse" in _LINKAGE.value else None,
    )


def _title() -> str:
    sizes = "; ".join(f"{name} {workloads.WORKLOADS[name]}" for name in _CONFIG.value)
    return (
        f"One training step, milliseconds: median of {_FLAGS['rounds'].value} (min to max), "
        f"{'XLA' if _JIT.value else 'no XLA'}, {_NUM_LINKS.value} sparse links per slot.\n{sizes}."
    )


def _columns() -> list[_command.Column]:
    return [
        _command.Column("config", 6, lambda row: row["config"]),
        _command.Column("model", 12, _command.model),
        _command.Column("unroll", 18, lambda row: row["unroll"]),
        _command.Column("ms", 26, _command.milliseconds),
        _command.Column("ratio", 6, lambda row: f"{row['ratio']:.2f}"),
        _command.Column("first call, s", 13, lambda row: f"{row['first_call_s']:.1f}"),
    ]


main = functools.partial(
    _command.run,
    "bench.step",
    __doc__,
    _FLAGS,
    check=_check,
    title=_title,
    columns=_columns,
    rows=_all_rows,
)

if __name__ == "__main__":
    sys.exit(main(sys.argv))
