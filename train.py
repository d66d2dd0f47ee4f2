"""Trains a Differentiable Neural Computer on a task, by default repeat copy.

    python train.py --stop_when_solved

The run is saved in --checkpoint_dir; the same command goes on where it was stopped. With the
default flags this is the training of DeepMind's released code: the same model, task, loss and
optimizer.
"""

import math
import os
import pathlib
import shlex
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # Before TensorFlow is imported: only errors.

import sonnet as snt
import tensorflow as tf
from absl import app, flags, logging

import dnc
import tasks
from training.evaluation import Evaluation
from training.reporting import Interruption, Report
from training.runs import Run
from training.step import TrainingStep, create_variables, rmsprop

# Model.
flags.DEFINE_integer("hidden_size", 64, "Size of the LSTM controller.", lower_bound=1)
flags.DEFINE_integer("memory_size", 16, "Number of memory slots.", lower_bound=1)
flags.DEFINE_integer("word_size", 16, "Width of a memory slot.", lower_bound=1)
flags.DEFINE_integer("num_write_heads", 1, "Number of write heads.", lower_bound=1)
flags.DEFINE_integer("num_read_heads", 4, "Number of read heads.", lower_bound=1)
flags.DEFINE_float(
    "clip_value", 20.0, "Bound on controller and core outputs; 0: none.", lower_bound=0.0
)

# Optimizer.
flags.DEFINE_float("max_grad_norm", 50.0, "Bound on the global norm of the gradients, > 0.")
flags.DEFINE_float("learning_rate", 1e-4, "Learning rate of RMSProp, > 0.")
flags.DEFINE_float("optimizer_epsilon", 1e-10, "Epsilon of RMSProp, > 0.")

# Task.
flags.DEFINE_string("task", "repeat_copy", f"What to learn: {', '.join(tasks.names())}.")
flags.DEFINE_integer("batch_size", 16, "Sequences in a batch.", lower_bound=1)
flags.DEFINE_integer("num_bits", 4, "Width of the pattern to copy.", lower_bound=1)
flags.DEFINE_integer("min_length", 1, "Least length of the pattern.", lower_bound=1)
flags.DEFINE_integer("max_length", 2, "Greatest length of the pattern.", lower_bound=1)
flags.DEFINE_integer("min_repeats", 1, "Least number of repeats.", lower_bound=1)
flags.DEFINE_integer("max_repeats", 2, "Greatest number of repeats.", lower_bound=1)
flags.DEFINE_bool("log_prob_in_bits", False, "Whether the loss is in bits; else in nats.")
flags.DEFINE_bool(
    "time_average_cost", False, "Whether the loss is averaged over time; else summed."
)

# Training.
flags.DEFINE_integer("num_training_iterations", 100_000, "Number of training steps.", lower_bound=1)
flags.DEFINE_integer("report_interval", 100, "Steps between reports.", lower_bound=1)
flags.DEFINE_string("checkpoint_dir", None, "Where to save the run; checkpoints/<task> by default.")
flags.DEFINE_integer(
    "checkpoint_interval", 1000, "Steps between checkpoints; -1: only at the end.", lower_bound=-1
)
flags.DEFINE_integer(
    "seed", 0, "Seed of the initial values and of the data.", lower_bound=0, upper_bound=2**31 - 1
)
flags.DEFINE_bool("jit", True, "Whether to compile with XLA.")
flags.DEFINE_bool(
    "stop_when_solved",
    False,
    "Whether to stop as soon as fresh sequences (twice 1,000) have no error.",
)

FLAGS = flags.FLAGS
FLAGS.set_default("verbosity", logging.WARNING)

# What the result does not depend on may differ between a run and its resumption.
_FREE_FLAGS = (
    "num_training_iterations",
    "report_interval",
    "checkpoint_dir",
    "checkpoint_interval",
    "jit",
    "stop_when_solved",
)
_EVALUATION_BATCHES, _EVALUATION_BATCH_SIZE = 10, 100  # 1,000 sequences.
_SECONDS_BETWEEN_LOOKS = 0.5  # How long the compiled loop runs before Ctrl-C is noticed.


@flags.multi_flags_validator(
    ["clip_value", "max_grad_norm", "learning_rate", "optimizer_epsilon"],
    "must be finite, and > 0 (clip_value >= 0)",
)
def _are_positive(values: dict[str, float]) -> bool:
    return all(
        math.isfinite(value) and (value > 0 or name == "clip_value")
        for name, value in values.items()
    )


def main(argv: list[str]) -> int:
    """Trains, evaluates, and says what to look at next. Returns the exit code."""
    try:
        if argv[1:]:
            raise ValueError(f"Unexpected arguments {argv[1:]}: every option starts with --.")
        task = _task(FLAGS.batch_size)
        run = Run(FLAGS.checkpoint_dir or pathlib.Path("checkpoints") / FLAGS.task, _config())

        tf.random.set_seed(FLAGS.seed)
        core = _core(task)
        variables = create_variables(core, task)
        optimizer = rmsprop(variables, FLAGS.learning_rate, FLAGS.optimizer_epsilon)
        training = TrainingStep(core, task, optimizer, FLAGS.max_grad_norm, FLAGS.seed, FLAGS.jit)
        resumed = run.restore(core=core, optimizer=optimizer, step=training.step)
    except (ValueError, OSError) as error:
        return _fail(error)

    evaluation = Evaluation(core, _task(_EVALUATION_BATCH_SIZE), FLAGS.seed, FLAGS.jit)
    num_variables = sum(math.prod(variable.shape) for variable in variables)
    print(
        f"{'Resuming' if resumed else 'Training'} in {run.directory}: {FLAGS.task}, "
        f"{num_variables:,} parameters, step {int(training.step):,}. "
        "Compiling takes a few seconds.",
        flush=True,
    )
    with Interruption() as interruption:
        solved = _train(training, evaluation, run, interruption)
    if interruption.requested:
        print(f"Stopped at step {int(training.step):,}; saved. To go on:\n  {_command()}")
        return 0

    step = int(training.step)
    final = evaluation.metrics(_evaluation_sets(step)[1], _EVALUATION_BATCHES)
    num_sequences = _EVALUATION_BATCHES * _EVALUATION_BATCH_SIZE
    print(
        f"{'Solved at' if solved else 'Finished'} step {step:,}. "
        f"{num_sequences:,} fresh sequences: {final['wrong_bits']:.4g} wrong bits per sequence, "
        f"{final['solved_sequences']:.1%} without error.\n"
        "Next, open the curves in your browser:\n"
        f"  {_executable('tensorboard')} --logdir {run.directory}"
    )
    return 0


def _train(
    training: TrainingStep, evaluation: Evaluation, run: Run, interruption: Interruption
) -> bool:
    """Trains until done, interrupted or, if asked for, solved.

    Returns whether it was found to be solved.
    """
    step, solved = int(training.step), False
    report = Report(run.directory, step, FLAGS.num_training_iterations)
    chunk, steps_since_report, totals = 1, 0, None
    while step < FLAGS.num_training_iterations and not solved and not interruption.requested:
        stops = [FLAGS.num_training_iterations, _next_multiple(step, FLAGS.report_interval)]
        if FLAGS.checkpoint_interval > 0:
            stops.append(_next_multiple(step, FLAGS.checkpoint_interval))
        num_steps = min(chunk, min(stops) - step)

        start = time.monotonic()
        averages = tf.nest.map_structure(
            lambda mean, n=num_steps: float(mean) * n, training.run(num_steps)
        )
        seconds_per_step = (time.monotonic() - start) / num_steps
        chunk = max(1, min(2 * chunk, int(_SECONDS_BETWEEN_LOOKS / seconds_per_step)))

        step += num_steps
        steps_since_report += num_steps
        totals = (
            averages if totals is None else tf.nest.map_structure(float.__add__, totals, averages)
        )
        report.advance(step)
        if step % FLAGS.report_interval == 0:
            means = tf.nest.map_structure(lambda total, n=steps_since_report: total / n, totals)
            scalars = {"loss": means.loss, "gradient_norm": means.gradient_norm, **means.metrics}
            report.write(step, scalars, evaluation.sample(_evaluation_sets(step)[0]))
            if (
                FLAGS.stop_when_solved and means.metrics["solved_sequences"] > 0.98
            ):  # Else it is no use to look.
                # Two sets, one after the other: the first picks the moment, the second confirms it.
                solved = all(
                    evaluation.metrics(first, _EVALUATION_BATCHES)["solved_sequences"] == 1.0
                    for first in _evaluation_sets(step)
                )
            steps_since_report, totals = 0, None
        if FLAGS.checkpoint_interval > 0 and step % FLAGS.checkpoint_interval == 0:
            run.save(step)
    run.save(step)
    report.close()
    return solved


def _task(batch_size: int) -> tasks.Task:
    options = {name: FLAGS[name].value for name in tasks.defaults(FLAGS.task) if name in FLAGS}
    return tasks.get(FLAGS.task, **{**options, "batch_size": batch_size})


def _core(task: tasks.Task) -> dnc.DNC:
    access = dnc.MemoryAccess(
        FLAGS.memory_size,
        FLAGS.word_size,
        num_reads=FLAGS.num_read_heads,
        num_writes=FLAGS.num_write_heads,
    )
    return dnc.DNC(access, snt.LSTM(FLAGS.hidden_size), task.target_size, FLAGS.clip_value or None)


def _config() -> dict[str, object]:
    """The flags of this script that the result depends on."""
    own_flags = FLAGS.get_key_flags_for_module(sys.argv[0])
    return {flag.name: flag.value for flag in own_flags if flag.name not in _FREE_FLAGS}


def _evaluation_sets(step: int) -> tuple[int, int]:
    """Numbers of the first batches of two sets of fresh sequences.

    Each training step has its own two.
    """
    return 2 * _EVALUATION_BATCHES * step, 2 * _EVALUATION_BATCHES * step + _EVALUATION_BATCHES


def _next_multiple(step: int, interval: int) -> int:
    return (step // interval + 1) * interval


def _executable(name: str) -> str:
    """Path of a program of this Python environment, relative where possible."""
    path = pathlib.Path(sys.executable).parent / name
    return os.path.relpath(path) if path.is_relative_to(pathlib.Path.cwd()) else str(path)


def _command() -> str:
    return shlex.join([_executable(pathlib.Path(sys.executable).name), *sys.argv])


def _fail(error: Exception) -> int:
    print(f"train.py: {error}", file=sys.stderr)
    return 2


def _parse(argv: list[str]) -> list[str]:
    try:
        return FLAGS(argv)
    except flags.Error as error:
        sys.exit(_fail(f"{error} See train.py --help."))


if __name__ == "__main__":
    app.run(main, flags_parser=_parse)
