"""Measures the time that looks into the memory add to training.

    python -m bench.summaries

A look is what train.py does every --summary_interval steps: it runs the core over a few fixed
episodes, records every quantity of every step, and writes scalars, panels and the episodes for
TensorBoard. It is timed alternately with training steps of the same run, with train.py's default
model and task. The share is the time that looks add, relative to training without them.
"""

import contextlib
import functools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf
from absl import flags

import dnc
from bench import _command
from training.config import Config
from training.models import make_core, make_task
from training.optimization import Update, rmsprop
from training.probe import Probe
from training.step import TrainingStep

_FLAGS = _command.new_flags(default_rounds=15)
_INTERVAL = flags.DEFINE_integer(
    "summary_interval", 1000, "Steps between looks.", lower_bound=1, flag_values=_FLAGS
)
_MEMORY_SIZE = flags.DEFINE_integer(
    "memory_size", 16, "Number of memory slots.", lower_bound=1, flag_values=_FLAGS
)
_MAX_LENGTH = flags.DEFINE_integer(
    "max_length", 2, "Maximum length of the pattern.", lower_bound=1, flag_values=_FLAGS
)
_STEPS_TIMED = 200


def rows(interval: int, memory_size: int, max_length: int, rounds: int) -> Iterator[_command.Row]:
    """Times looks and training steps in turn. Yields a row for each part of a look, and for all.

    Args:
      interval: training steps between looks.
      memory_size: number of slots.
      max_length: maximum length of the pattern to copy.
      rounds: number of timings of each.
    """
    config = Config(memory_size=memory_size, options={"max_length": max_length})
    task = make_task(config)
    tf.random.set_seed(0)
    core = make_core(config, task)
    optimizer = rmsprop(core.trainable_variables, config.learning_rate, config.optimizer_epsilon)
    training = TrainingStep(core, task, Update(optimizer, config.max_grad_norm), seed=0)
    probe = Probe(core, task, 0)
    milliseconds: dict[str, list[float]] = {}

    def timed(name: str, function: Callable[[], Any], calls: int = 1) -> Any:
        start = time.perf_counter()
        result = function()
        milliseconds.setdefault(name, []).append((time.perf_counter() - start) * 1e3 / calls)
        return result

    def train() -> float:
        return float(training.run(_STEPS_TIMED).loss)  # Waits for it.

    with tempfile.TemporaryDirectory() as directory:
        writer = tf.summary.create_file_writer(directory)
        with contextlib.closing(writer), writer.as_default():
            for step in range(-1, rounds):  # The first round compiles.
                if step == 0:
                    milliseconds.clear()
                timed("step", train, _STEPS_TIMED)
                trace = timed("record", functools.partial(probe.record, step))
                for part, write in (
                    ("scalars", dnc.summaries.write_scalars),
                    ("panels", dnc.summaries.write_panels),
                    ("episode", dnc.summaries.write_episode),
                ):
                    timed(part, functools.partial(write, trace, step=step, tag="apart"))
                timed("all", functools.partial(probe.write, step, {}))
    step_ms = statistics.median(milliseconds.pop("step"))
    for part, values in milliseconds.items():
        yield {
            "part": part,
            "median_ms": statistics.median(values),
            "min_ms": min(values),
            "max_ms": max(values),
            "step_ms": step_ms,
            "share": statistics.median(values) / (interval * step_ms),
        }


def _all_rows() -> Iterator[_command.Row]:
    return rows(_INTERVAL.value, _MEMORY_SIZE.value, _MAX_LENGTH.value, _FLAGS["rounds"].value)


def _title() -> str:
    return (
        f"Looks into the memory every {_INTERVAL.value} steps of repeat copy, {_MEMORY_SIZE.value} "
        f"slots, patterns of up to {_MAX_LENGTH.value} rows.\nMilliseconds of each look: median of "
        f"{_FLAGS['rounds'].value} (min to max); all: also the metrics, norms and the flush."
    )


def _columns() -> list[_command.Column]:
    return [
        _command.Column("part", 8, lambda row: row["part"]),
        _command.Column("ms", 26, _command.milliseconds),
        _command.Column("training step, ms", 17, lambda row: f"{row['step_ms']:.2f}"),
        _command.Column("share of training", 21, lambda row: f"{row['share']:.2%}"),
    ]


main = functools.partial(
    _command.run,
    "bench.summaries",
    __doc__,
    _FLAGS,
    title=_title,
    columns=_columns,
    rows=_all_rows,
)

if __name__ == "__main__":
    sys.exit(main(sys.argv))
