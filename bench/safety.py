"""Measures the cost of training that survives faults, compared with training that does not.

    python -m bench.safety

Bare training is only a compiled loop of gradients and updates. Safe training is the loop of
train.py: each step is made only if it is finite, its values are summed, and a checkpoint is written
every --checkpoint_interval steps. Both are timed alternately in one process, one checkpoint
interval at a time, with train.py's default model and task.
"""

import functools
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import sonnet as snt
import tensorflow as tf
from absl import flags

from bench import _command
from tasks import Task
from training.config import Config
from training.models import make_core, make_task
from training.optimization import Update, rmsprop
from training.progress import Means
from training.runs import Run
from training.step import TrainingStep, gradients

_FLAGS = _command.new_flags(default_rounds=15)
_INTERVAL = flags.DEFINE_integer(
    "checkpoint_interval", 1000, "Steps between checkpoints.", lower_bound=1, flag_values=_FLAGS
)
_CONFIG = Config()  # train.py's defaults.


def _start() -> tuple[snt.RNNCore, Task, Update]:
    """Returns a new core, its task and its update."""
    tf.random.set_seed(0)
    task = make_task(_CONFIG)
    core = make_core(_CONFIG, task)
    optimizer = rmsprop(core.trainable_variables, _CONFIG.learning_rate, _CONFIG.optimizer_epsilon)
    return core, task, Update(optimizer, _CONFIG.max_grad_norm)


def bare_training(interval: int) -> Callable[[], None]:
    """Returns a function that only makes a number of steps."""
    core, task, update = _start()
    variables, optimizer = core.trainable_variables, update.optimizer
    step = tf.Variable(0, dtype=tf.int64)

    @tf.function(jit_compile=True)
    def train(num_steps: tf.Tensor) -> tf.Tensor:
        done, loss = tf.constant(0), tf.zeros([])
        while done < num_steps:
            result = gradients(core, task, task.batch("train", 0, step), update.max_grad_norm)
            optimizer.apply(result.gradients, variables)
            step.assign_add(1)
            loss = result.loss
            done += 1
        return loss

    return lambda: float(train(tf.constant(interval)))


def safe_training(interval: int, run: Run) -> Callable[[], None]:
    """Returns a function that makes the same steps and saves a checkpoint."""
    core, task, update = _start()
    training = TrainingStep(core, task, update, seed=0)
    run.restore(core=core, optimizer=update.optimizer, step=training.step)

    def train() -> None:
        means, module_norms = Means(), Means()
        totals = training.run(interval)
        means.advance(totals.scalars(), interval)
        module_norms.advance(totals.module_norms, interval)
        state = {"means": means.state, "module_norms": module_norms.state}
        run.save(int(training.step), state, means.take()["loss"])

    return train


def rows(interval: int, rounds: int) -> Iterator[_command.Row]:
    """Times bare and safe training, and yields a row for each, in this order."""
    with tempfile.TemporaryDirectory() as directory, Run(directory, _CONFIG) as run:
        trainings = {"bare": bare_training(interval), "safe": safe_training(interval, run)}
        milliseconds: dict[str, list[float]] = {name: [] for name in trainings}
        for round_number in range(-1, rounds):  # The first round compiles.
            for name, train in trainings.items():
                start = time.perf_counter()
                train()
                if round_number >= 0:
                    milliseconds[name].append((time.perf_counter() - start) * 1e3 / interval)
    medians = {name: statistics.median(values) for name, values in milliseconds.items()}
    for name, values in milliseconds.items():
        yield {
            "training": name,
            "median_ms": medians[name],
            "min_ms": min(values),
            "max_ms": max(values),
            "ratio": medians[name] / medians["bare"],
        }


def _all_rows() -> Iterator[_command.Row]:
    return rows(_INTERVAL.value, _FLAGS["rounds"].value)


def _title() -> str:
    return (
        f"A training step of repeat copy, and a checkpoint every {_INTERVAL.value} steps.\n"
        f"Milliseconds of a step: median of {_FLAGS['rounds'].value} (min to max)."
    )


def _columns() -> list[_command.Column]:
    return [
        _command.Column("training", 8, lambda row: row["training"]),
        _command.Column("ms", 26, _command.milliseconds),
        _command.Column("ratio", 6, lambda row: f"{row['ratio']:.3f}"),
    ]


main = functools.partial(
    _command.run,
    "bench.safety",
    __doc__,
    _FLAGS,
    title=_title,
    columns=_columns,
    rows=_all_rows,
)

if __name__ == "__main__":
    sys.exit(main(sys.argv))
