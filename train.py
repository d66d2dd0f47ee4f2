"""Trains a Differentiable Neural Computer on a task, by default repeat copy.

    python train.py --stop_when_solved

The run is saved in --checkpoint_dir; the same command goes on where it was stopped. With the
default flags this is the training of DeepMind's released code: the same model, task, loss and
optimizer.
"""

import contextlib
import errno
import math
import os
import pathlib
import shlex
import signal
import sys
import tempfile
import time
from collections.abc import Iterator

from absl import app, flags, logging

from training.quiet import native_logs_hidden

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Until there is something to save, just end.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # Before TensorFlow is imported: only errors.
with native_logs_hidden():
    import tensorflow as tf

import tasks
from training.distribution import KINDS, Distribution, leaving_when_a_worker_is_lost
from training.evaluation import Evaluation
from training.models import CONTENT_WEIGHTS, make_core, make_task
from training.probe import Probe
from training.reporting import Interruption, Means, Report
from training.runs import Run
from training.step import TrainingStep, rmsprop

# Model.
flags.DEFINE_integer("hidden_size", 64, "Size of the LSTM controller.", lower_bound=1)
flags.DEFINE_integer("memory_size", 16, "Number of memory slots.", lower_bound=1)
flags.DEFINE_integer("word_size", 16, "Width of a memory slot.", lower_bound=1)
flags.DEFINE_integer("num_write_heads", 1, "Number of write heads.", lower_bound=1)
flags.DEFINE_integer("num_read_heads", 4, "Number of read heads.", lower_bound=1)
flags.DEFINE_enum(
    "content_weights",
    "cosine",
    sorted(CONTENT_WEIGHTS),
    "Content look-up; used_cosine: among the slots in use only.",
)
flags.DEFINE_enum(
    "linkage", "dense", ["dense", "sparse"], "Links between slots; sparse: the strongest of each."
)
flags.DEFINE_integer("num_links", 8, "Links of each slot, for --linkage=sparse.", lower_bound=1)
flags.DEFINE_enum(
    "compute_dtype",
    "float32",
    ["float32", "bfloat16", "float16"],
    "What the controller and the linear layers compute in; all else is float32.",
)
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
flags.DEFINE_bool("summaries", True, "Whether to write anything for TensorBoard.")
flags.DEFINE_integer(
    "summary_interval",
    1000,
    "Steps between looks into the memory for TensorBoard, always at the same episodes.",
    lower_bound=1,
)
flags.DEFINE_string(
    "trace_file", None, "Where to save these episodes at the end, for python -m dnc_inspector."
)
flags.DEFINE_string("checkpoint_dir", None, "Where to save the run; checkpoints/<task> by default.")
flags.DEFINE_integer(
    "checkpoint_interval", 1000, "Steps between checkpoints; -1: only at the end.", lower_bound=-1
)
flags.DEFINE_integer(
    "seed", 0, "Seed of the initial values and of the data.", lower_bound=0, upper_bound=2**31 - 1
)
flags.DEFINE_enum(
    "distribution",
    "none",
    KINDS,
    "Over what to split each batch; mirrored: the GPUs of this machine; multi_worker: the "
    "machines named in TF_CONFIG; tpu: the cores of a TPU.",
)
flags.DEFINE_bool("jit", True, "Whether to compile with XLA.")
flags.DEFINE_integer(
    "recompute_every",
    0,
    "Keep the state of every so many time steps only, and compute the others anew for the "
    "gradients: less memory for long sequences; 0: keep all.",
    lower_bound=0,
)
flags.DEFINE_bool(
    "stop_when_solved",
    False,
    "Whether to stop as soon as fresh sequences (twice 1,000) have no error.",
)

FLAGS = flags.FLAGS

# What the result does not depend on may differ between a run and its resumption.
_FREE_FLAGS = (
    "num_training_iterations",
    "report_interval",
    "checkpoint_dir",
    "checkpoint_interval",
    "distribution",
    "jit",
    "recompute_every",
    "stop_when_solved",
    "summaries",
    "summary_interval",
    "trace_file",
)
_EVALUATION_BATCHES, _EVALUATION_BATCH_SIZE = 10, 100  # 1,000 sequences.
_SECONDS_BETWEEN_LOOKS = 0.5  # How long the compiled loop runs before Ctrl-C is noticed.


flags.register_validator("clip_value", math.isfinite, "must be finite and >= 0.")
for _name in ("max_grad_norm", "learning_rate", "optimizer_epsilon"):
    flags.register_validator(
        _name, lambda value: math.isfinite(value) and value > 0, "must be finite and > 0."
    )


def main(argv: list[str]) -> int:
    """Trains, evaluates, and says what to look at next. Returns the exit code."""
    with leaving_when_a_worker_is_lost(FLAGS.distribution):
        return _main(argv)


def _main(argv: list[str]) -> int:
    logging.set_verbosity(logging.WARNING)
    try:
        if argv[1:]:
            raise ValueError(f"Unexpected arguments {argv[1:]}: every option starts with --.")
        config = _config()
        task = make_task(config, FLAGS.batch_size)
        directory = pathlib.Path(FLAGS.checkpoint_dir or pathlib.Path("checkpoints") / FLAGS.task)
        distribution = Distribution(FLAGS.distribution)
        distribution.check_batch_size(FLAGS.batch_size)
        if not distribution.is_chief:
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (One voice is enough.)
        if FLAGS.trace_file:
            distribution.on_chief(lambda: _check_writable(FLAGS.trace_file))
        defaults = {name: FLAGS[name].default for name in config}
        run = distribution.on_chief(lambda: Run(directory, config, defaults))

        tf.random.set_seed(FLAGS.seed)
        with distribution.scope():
            core = make_core(config, task)
        variables = core.trainable_variables
        optimizer = rmsprop(variables, FLAGS.learning_rate, FLAGS.optimizer_epsilon)
        training = TrainingStep(
            core,
            task,
            optimizer,
            FLAGS.max_grad_norm,
            FLAGS.seed,
            FLAGS.jit,
            FLAGS.recompute_every or None,
            distribution,
        )
        saved = {"core": core, "optimizer": optimizer, "step": training.step}
        resumed = distribution.on_chief(lambda: run.restore(**saved))
        distribution.broadcast([*core.variables, *optimizer.variables, training.step])
    except ValueError as error:
        return _fail(error)
    except OSError as error:
        return _fail(
            f"Cannot write to {directory}: {error.strerror}. Give a writable --checkpoint_dir."
        )

    probe = Probe(core, task, FLAGS.seed)
    evaluation = Evaluation(core, make_task(config, _EVALUATION_BATCH_SIZE), FLAGS.seed, FLAGS.jit)
    num_variables = sum(math.prod(variable.shape) for variable in variables)
    if distribution:
        num_episodes = FLAGS.batch_size // distribution.num_replicas
        print(f"Replicas: {distribution.num_replicas}, of {num_episodes} episodes of each batch.")
    print(
        f"{'Resuming' if resumed else 'Training'} in {directory}: {FLAGS.task}, "
        f"{num_variables:,} parameters, step {int(training.step):,}. "
        "Compiling takes a few seconds.",
        flush=True,
    )
    with Interruption() as interruption, _summaries(directory, distribution):
        solved = _train(training, evaluation, probe, run, interruption, distribution)
    if FLAGS.trace_file and distribution.is_chief:
        try:
            probe.record(int(training.step)).save(FLAGS.trace_file)
        except OSError as error:
            return _fail(f"Cannot write --trace_file={FLAGS.trace_file}: {error.strerror}.")
    if interruption.requested:
        print(f"Stopped at step {int(training.step):,}; saved. To go on:\n  {_command()}")
        return 0

    step = int(training.step)
    final = evaluation.metrics(_evaluation_sets(step)[1], _EVALUATION_BATCHES)
    num_sequences = _EVALUATION_BATCHES * _EVALUATION_BATCH_SIZE
    print(
        f"{'Solved at' if solved else 'Finished'} step {step:,}. "
        f"{num_sequences:,} fresh sequences: {final['wrong_bits']:.4g} wrong bits per sequence, "
        f"{final['solved_sequences']:.1%} without error."
    )
    if FLAGS.trace_file:
        print(
            "To make a page of the trace:\n"
            f"  {_executable('python')} -m dnc_inspector {shlex.quote(FLAGS.trace_file)}"
        )
    if FLAGS.summaries:
        print(
            "Next, look into its memory: start this, and open http://localhost:6006/#dnc_memory:\n"
            f"  {_executable('tensorboard')} --logdir {directory}"
        )
    return 0


def _train(
    training: TrainingStep,
    evaluation: Evaluation,
    probe: Probe,
    run: Run | None,
    interruption: Interruption,
    distribution: Distribution,
) -> bool:
    """Trains until done, interrupted or, if asked for, solved.

    Returns whether it was found to be solved. `run` is the chief's.
    """
    step = int(training.step)
    solved = FLAGS.stop_when_solved and step > 0
    solved = solved and distribution.of_chief(_is_solved(evaluation, step))
    saved_step = step or None
    report = Report(step, FLAGS.num_training_iterations)
    means, module_norms, chunk = Means(), Means(), 1
    if step == 0:
        probe.write(step, {})
    shown_step = step
    # All workers leave this loop after the same step: each condition is the same in all.
    stopped = distribution.any(interruption.requested)
    while step < FLAGS.num_training_iterations and not solved and not stopped:
        stops = [FLAGS.num_training_iterations, _next_multiple(step, FLAGS.report_interval)]
        if FLAGS.checkpoint_interval > 0:
            stops.append(_next_multiple(step, FLAGS.checkpoint_interval))
        if FLAGS.summaries:
            stops.append(_next_multiple(step, FLAGS.summary_interval))
        num_steps = distribution.of_chief(min(chunk, min(stops) - step))

        start = time.monotonic()
        averages = training.run(num_steps)
        means.add(averages.scalars(), num_steps)
        module_norms.add(averages.module_norms, num_steps)
        seconds_per_step = (time.monotonic() - start) / num_steps
        chunk = max(1, min(2 * chunk, int(_SECONDS_BETWEEN_LOOKS / seconds_per_step)))

        step += num_steps
        report.advance(step)
        if step % FLAGS.report_interval == 0:
            scalars = means.take()
            report.write(step, scalars, evaluation.sample(_evaluation_sets(step)[0]))
            # A look costs a thousand sequences: only where success is in sight.
            if FLAGS.stop_when_solved and scalars["solved_sequences"] > 0.98:
                solved = distribution.of_chief(_is_solved(evaluation, step))
        if FLAGS.summaries and step % FLAGS.summary_interval == 0:
            probe.write(step, module_norms.take())
            shown_step = step
        if FLAGS.checkpoint_interval > 0 and step % FLAGS.checkpoint_interval == 0:
            distribution.on_chief(lambda step=step: run.save(step))
            saved_step = step
        stopped = distribution.any(interruption.requested)
    if step != saved_step:
        distribution.on_chief(lambda: run.save(step))
    if step != shown_step:
        probe.write(step, module_norms.take())
    report.close()
    if stopped:
        interruption.requested = True  # Also where it was another worker that was told to.
    return solved


@contextlib.contextmanager
def _summaries(directory: pathlib.Path, distribution: Distribution) -> Iterator[None]:
    """Context in which summaries go to an event file, if they are wanted."""
    if not FLAGS.summaries or not distribution.is_chief:
        yield
        return
    writer = tf.summary.create_file_writer(os.fspath(directory))
    with contextlib.closing(writer), writer.as_default():
        yield


def _is_solved(evaluation: Evaluation, step: int) -> bool:
    """Whether two sets of fresh sequences have no error: one picks the moment, one confirms it."""
    return all(
        evaluation.metrics(first_batch, _EVALUATION_BATCHES)["solved_sequences"] == 1.0
        for first_batch in _evaluation_sets(step)
    )


def _config() -> dict[str, object]:
    """The flags of this script that the result depends on."""
    own_flags = FLAGS.get_key_flags_for_module(sys.modules[__name__])
    return {flag.name: flag.value for flag in own_flags if flag.name not in _FREE_FLAGS}


def _evaluation_sets(step: int) -> tuple[int, int]:
    """Numbers of the first batches of two sets of fresh sequences.

    Each training step has its own two.
    """
    return 2 * _EVALUATION_BATCHES * step, 2 * _EVALUATION_BATCHES * step + _EVALUATION_BATCHES


def _check_writable(path: str) -> None:
    """Raises `ValueError` if no file can be written there: now rather than after the training."""
    try:
        if os.path.isdir(path):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with tempfile.TemporaryFile(dir=os.path.dirname(path) or "."):
            pass
    except OSError as error:
        raise ValueError(f"Cannot write --trace_file={path}: {error.strerror}.") from error


def _next_multiple(step: int, interval: int) -> int:
    return (step // interval + 1) * interval


def _executable(name: str) -> str:
    """Path of a program of this Python environment, relative where possible."""
    path = pathlib.Path(sys.executable).parent / name
    return os.path.relpath(path) if path.is_relative_to(pathlib.Path.cwd()) else str(path)


def _command() -> str:
    return shlex.join([_executable(pathlib.Path(sys.executable).name), *sys.argv])


def _fail(error: Exception | str) -> int:
    print(f"train.py: {error}", file=sys.stderr)
    return 2


def _parse(argv: list[str]) -> list[str]:
    try:
        return FLAGS(argv)
    except flags.Error as error:
        message = str(error).rstrip(".")
        sys.exit(_fail(f"{message}. See train.py --help."))


if __name__ == "__main__":
    app.run(main, flags_parser=_parse)
