"""Trains a Differentiable Neural Computer on a task, by default repeat copy.

    python train.py --stop_when_solved

The run is saved in --checkpoint_dir; the same command goes on where it was stopped. With the
default flags this is the training of DeepMind's released code: the same model, task, loss and
optimizer.
"""

import errno
import os
import pathlib
import shlex
import signal
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

from absl import app, flags, logging

from training.quiet import native_logs_hidden

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Until there is something to save, just end.
with native_logs_hidden():
    import tensorflow as tf

import sonnet as snt

import tasks
from training import command, curriculum, options, presets
from training.distribution import KINDS, Distribution, SharedRun, leaving_when_a_worker_is_lost
from training.evaluation import BATCH_SIZE, NUM_BATCHES, Evaluation
from training.loop import Loop, Plan, Progress
from training.messages import NO_MEMORY, OUT_OF_MEMORY, in_one_line, say
from training.models import CONTENT_WEIGHTS, make_core, make_task, num_parameters
from training.optimization import Update, adam, rmsprop
from training.probe import Probe
from training.reporting import EventFile, Interruption
from training.runs import Run
from training.step import TrainingStep

_MAX_STEPS = 2**63 - 1


def _define_size(name: str, default: int, help_text: str) -> None:
    flags.DEFINE_integer(name, default, help_text, lower_bound=1, upper_bound=2**31 - 1)


def _define_heads(name: str, default: int, help_text: str) -> None:
    # Each makes the program longer: with many more, compiling it would not come to an end.
    flags.DEFINE_integer(name, default, help_text, lower_bound=1, upper_bound=100)


def _define_steps(name: str, default: int, help_text: str) -> None:
    flags.DEFINE_integer(name, default, help_text, lower_bound=1, upper_bound=_MAX_STEPS)


# Model.
flags.DEFINE_enum(
    "core",
    "dnc",
    ["dnc", "lstm", "ntm"],
    "What to train; to compare with: lstm, the controller alone; ntm, a Neural Turing Machine.",
)
flags.DEFINE_enum(
    "controller",
    "lstm",
    ["lstm", "deep_lstm", "feedforward"],
    "Controller; deep_lstm: the paper's stack of layers.",
)
_define_size("hidden_size", 64, "Size of each layer of the controller.")
flags.DEFINE_integer(
    "num_layers",
    1,
    "Layers of the controllers deep_lstm and feedforward.",
    lower_bound=1,
    upper_bound=100,
)
flags.DEFINE_bool(
    "feed_reads",
    True,
    "Whether the controller sees what was read at the step before (the paper: yes).",
)
flags.DEFINE_bool(
    "match_parameters",
    False,
    "Whether --core=lstm has as many parameters as the DNC would, in place of its hidden size.",
)
_define_size("memory_size", 16, "Number of memory slots.")
_define_size("word_size", 16, "Width of a memory slot.")
_define_heads("num_write_heads", 1, "Number of write heads.")
_define_heads("num_read_heads", 4, "Number of read heads.")
flags.DEFINE_enum(
    "content_weights",
    "cosine",
    sorted(CONTENT_WEIGHTS),
    "Content look-up; used_cosine: among the slots in use only.",
)
flags.DEFINE_enum(
    "linkage",
    "dense",
    ["dense", "sparse", "none"],
    "Links between slots; sparse: the strongest of each; none: reads go by content alone.",
)
_define_size("num_links", 8, "Links of each slot, for --linkage=sparse.")
flags.DEFINE_integer(
    "embedding_size",
    0,
    "Width of a learned embedding that the controller sees in place of the input; 0: the input.",
    lower_bound=0,
    upper_bound=2**31 - 1,
)
flags.DEFINE_float(
    "clip_value", 20.0, "Bound on controller and core outputs; 0: none.", lower_bound=0.0
)

# Optimizer.
flags.DEFINE_enum(
    "optimizer", "rmsprop", ["rmsprop", "adam"], "Optimizer; rmsprop: as in TensorFlow 1."
)
flags.DEFINE_float(
    "momentum", 0.0, "Momentum of RMSProp, from 0 to below 1.", lower_bound=0.0, upper_bound=0.9999
)
flags.DEFINE_float("max_grad_norm", 50.0, "Bound on the global norm of the gradients.")
flags.DEFINE_float(
    "max_signal",
    0.0,
    "Bound on each gradient by the controller's output and state, at each time step (the paper: "
    "10); 0: none.",
    lower_bound=0.0,
)
flags.DEFINE_float("learning_rate", 1e-4, "Learning rate.")
flags.DEFINE_integer(
    "decay_steps",
    0,
    "Steps over which the learning rate goes to 0 in a straight line; 0: it stays as it is.",
    lower_bound=0,
    upper_bound=_MAX_STEPS,
)
flags.DEFINE_float(
    "weight_decay",
    0.0,
    "What part of each weight matrix is taken away in a step, times the learning rate.",
    lower_bound=0.0,
)
flags.DEFINE_float("optimizer_epsilon", 1e-10, "Epsilon of the optimizer.")

# Task.
flags.DEFINE_string(
    "preset",
    None,
    "Settings, which other flags override; by default those of the task's name; "
    f"none, or one of {', '.join(sorted(presets.PRESETS))}.",
)
flags.DEFINE_string("task", "repeat_copy", f"What to learn: {', '.join(tasks.names())}.")
_define_size("batch_size", 16, "Sequences in a batch.")
options.define(flags.FLAGS)
flags.DEFINE_enum(
    "curriculum",
    "none",
    curriculum.KINDS,
    "How episodes get harder: see training/curriculum.py.",
)
flags.DEFINE_float(
    "lesson_threshold",
    1.0,
    "The next lesson comes when the task's error, in a report, is less than this.",
    lower_bound=0.0,
)

# Training.
_define_steps("num_training_iterations", 100_000, "Number of training steps.")
_define_steps("report_interval", 100, "Steps between reports.")
flags.DEFINE_enum(
    "nan_policy",
    "stop",
    ["stop", "skip", "restore"],
    "What to do when a loss or gradient is not finite: stop; skip that update; restore the last "
    "checkpoint and go on with half of the learning rate.",
)
_define_steps("nan_limit", 10, "How often in a row to skip or restore before it stops.")
flags.DEFINE_bool("summaries", True, "Whether to write anything for TensorBoard.")
_define_steps(
    "summary_interval",
    1000,
    "Steps between looks into the memory for TensorBoard, always at the same episodes.",
)
flags.DEFINE_string(
    "trace_file", None, "Where to save these episodes at the end, for python -m dnc_inspector."
)
flags.DEFINE_string("checkpoint_dir", None, "Where to save the run; checkpoints/<task> by default.")
flags.DEFINE_integer(
    "checkpoint_interval",
    1000,
    "Steps between checkpoints; -1: only at the end.",
    lower_bound=-1,
    upper_bound=_MAX_STEPS,
)
_define_steps("checkpoints_kept", 3, "Newest checkpoints to keep, besides the best.")
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
flags.DEFINE_integer(
    "validation_interval",
    0,
    "Steps between validations, on all that is kept for it or on fresh sequences; each is a "
    "checkpoint, and the best is that with the smallest error; 0: none.",
    lower_bound=0,
    upper_bound=_MAX_STEPS,
)
flags.DEFINE_integer(
    "patience",
    0,
    "Stop after so many validations in a row without a better one; 0: never.",
    lower_bound=0,
    upper_bound=_MAX_STEPS,
)
flags.DEFINE_bool("jit", True, "Whether to compile with XLA.")
flags.DEFINE_integer(
    "recompute_every",
    0,
    "Keep the state of every so many time steps only, and compute the others anew for the "
    "gradients: less memory for long sequences; 0: keep all.",
    lower_bound=0,
    upper_bound=_MAX_STEPS,
)
flags.DEFINE_bool(
    "stop_when_solved",
    False,
    "Whether to stop as soon as fresh sequences (twice 1,000) have no error; with "
    "--validation_interval, as soon as a validation says that the task is solved.",
)

FLAGS = flags.FLAGS

# What the result does not depend on may differ between a run and its resumption.
_FREE_FLAGS = (
    "num_training_iterations",
    "report_interval",
    "checkpoint_dir",
    "checkpoint_interval",
    "checkpoints_kept",
    "distribution",
    "jit",
    "nan_limit",
    "nan_policy",
    "patience",
    "preset",
    "recompute_every",
    "stop_when_solved",
    "summaries",
    "summary_interval",
    "trace_file",
    "validation_interval",
)
_CHANGEABLE_FLAGS = ("data_dir", "memory_size")  # No variable depends on them.


def _is_number(value: float) -> bool:
    return 1e-30 <= value <= 1e30  # Others are 0 or infinite somewhere, in 32 bits.


def _is_path(value: str | None) -> bool:
    try:
        return value is None or b"\0" not in value.encode()
    except UnicodeEncodeError:  # Bytes that are not UTF-8: TensorFlow takes no such paths.
        return False


for _name in ("clip_value", "max_signal", "weight_decay"):
    flags.register_validator(
        _name, lambda value: value == 0 or _is_number(value), "must be 0 or from 1e-30 to 1e30."
    )
for _name in ("max_grad_norm", "learning_rate", "optimizer_epsilon"):
    flags.register_validator(_name, _is_number, "must be from 1e-30 to 1e30.")
for _name in ("checkpoint_dir", "trace_file"):
    flags.register_validator(_name, _is_path, "must be UTF-8 text without null characters.")
command.accept_local_paths(FLAGS, "checkpoint_dir", "trace_file")


def main(argv: list[str]) -> int:
    """Trains, evaluates, and says what to look at next. Returns the exit code."""
    try:
        with leaving_when_a_worker_is_lost(FLAGS.distribution):
            return _open_and_train(argv)
    except OUT_OF_MEMORY:
        return _fail(NO_MEMORY)


def _open_and_train(argv: list[str]) -> int:
    """Does what `main` does, where it does not matter which worker fails."""
    logging.set_verbosity(logging.WARNING)
    directory = FLAGS.checkpoint_dir
    try:
        if argv[1:]:
            raise ValueError(f"Unexpected arguments {argv[1:]}: every option starts with --.")
        preset = presets.apply(FLAGS)
        directory = directory or pathlib.Path("checkpoints") / FLAGS.task
        config = _config()
        if 0 < FLAGS.decay_steps < FLAGS.num_training_iterations:
            raise ValueError(
                f"The learning rate is 0 from step {FLAGS.decay_steps:,} on, before "
                f"--num_training_iterations={FLAGS.num_training_iterations}: give --decay_steps of "
                "at least as many, or 0."
            )
        if FLAGS.patience and not FLAGS.validation_interval:
            raise ValueError("--patience is a number of validations: give --validation_interval.")
        if FLAGS.trace_file and FLAGS.core != "dnc":
            raise ValueError("--trace_file needs --core=dnc: others have no memory to look into.")
        task = make_task(config, FLAGS.batch_size)
        distribution = Distribution(FLAGS.distribution)
        distribution.check_batch_size(FLAGS.batch_size)
        tf.random.set_seed(FLAGS.seed)
        with distribution.scope():
            # Before the folder: what cannot be leaves nothing.
            core = make_core(config, task, for_training=True)
        if not distribution.is_chief:
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115 (One voice is enough.)

        def open_run() -> Run:
            if FLAGS.trace_file:
                _check_trace_file(FLAGS.trace_file, directory)
            return Run(
                directory,
                config,
                defaults=_defaults(config),
                may_differ=_CHANGEABLE_FLAGS,
                checkpoints_kept=FLAGS.checkpoints_kept,
            )

        run = SharedRun(distribution, open_run)
    except ValueError as error:
        return _fail(error)
    except OSError as error:
        return _fail(_cannot_write(directory, error))
    with run:
        for line in filter(None, [preset, *task.notes]):
            say(line)
        return _main(run, config, core, task, distribution)


def _main(
    run: SharedRun,
    config: dict[str, Any],
    core: snt.RNNCore,
    task: tasks.Task,
    distribution: Distribution,
) -> int:
    """Does what `main` does, in a run that is open."""
    try:
        variables = core.trainable_variables
        optimizer = _optimizer(variables)
        lessons = curriculum.Curriculum(FLAGS.curriculum, task, FLAGS.lesson_threshold)
        training = TrainingStep(
            core,
            task,
            Update(optimizer, FLAGS.max_grad_norm, FLAGS.decay_steps or None, FLAGS.weight_decay),
            FLAGS.seed,
            FLAGS.jit,
            FLAGS.recompute_every or None,
            distribution,
            lessons.with_batch,
        )
        probe = Probe(core, task, FLAGS.seed)
        state = run.restore(
            core=core,
            optimizer=optimizer,
            step=training.step,
            last_look=probe.last_look,
            **({"lesson": lessons.lesson} if lessons.num_lessons > 1 else {}),
        )
    except ValueError as error:
        return _fail(error)
    except OSError as error:
        return _fail(_cannot_write(run.directory, error))

    evaluation = Evaluation(core, make_task(config, BATCH_SIZE), FLAGS.seed, FLAGS.jit)
    if distribution:
        num_episodes = FLAGS.batch_size // distribution.num_replicas
        say(f"Replicas: {distribution.num_replicas}, of {num_episodes} episodes of each batch.")
    say(
        f"{'Training' if state is None else 'Resuming'} in {run.directory}: {FLAGS.task}, "
        f"{num_parameters(core):,} parameters, step {int(training.step):,}. {_compiling(task)}"
    )
    for name, before in run.changes.items():
        say(f"It goes on with --{name}={config[name]}; before it was {before}.")
    events = EventFile(run.directory if FLAGS.summaries and distribution.is_chief else None)
    loop = Loop(training, evaluation, probe, run, events, distribution, _plan(), state, lessons)
    if run.changes:
        loop.progress.solved = None  # It was another model that was looked at.
    with Interruption() as interruption:
        ending = loop.run(interruption)
    events.close()
    exit_code, step = 0, loop.step
    if ending.error:
        exit_code = _save_elsewhere(run, loop, ending.error)
    if ending.failure:
        return _fail(ending.failure, code=1)
    if FLAGS.trace_file and distribution.is_chief:
        try:
            probe.record(step).save(FLAGS.trace_file)
        except OSError as trace_error:
            return _fail(f"Cannot write --trace_file={FLAGS.trace_file}: {trace_error.strerror}.")
    if ending.is_interrupted:
        if not ending.error:
            say(f"Stopped at step {step:,}; saved. To go on:\n  {_command()}")
        return exit_code

    final = distribution.of_chief(lambda: evaluation.final(step))
    say(
        f"{_how_it_ended(loop.progress)} step {step:,}. "
        f"{BATCH_SIZE * NUM_BATCHES:,} fresh sequences: "
        f"{task.describe_error(final[task.error_name])}, "
        f"{final['solved_sequences']:.1%} without error."
    )
    if FLAGS.trace_file:
        say(
            "To make a page of the trace:\n"
            f"  {_executable('python')} -m dnc_inspector {shlex.quote(FLAGS.trace_file)}"
        )
    if FLAGS.summaries and FLAGS.core == "dnc":
        say(
            "Next, look into its memory: start this, and open http://localhost:6006/#dnc_memory:\n"
            f"  {_executable('tensorboard')} --logdir {run.directory}"
        )
    return exit_code


def _how_it_ended(progress: Progress) -> str:
    if progress.solved:
        return "Solved at"
    if FLAGS.patience and progress.not_better >= FLAGS.patience:
        return f"No better in {progress.not_better:,} validations. Stopped at"
    return "Finished"


def _plan() -> Plan:
    return Plan(
        num_steps=FLAGS.num_training_iterations,
        report_interval=FLAGS.report_interval,
        checkpoint_interval=FLAGS.checkpoint_interval if FLAGS.checkpoint_interval > 0 else None,
        summary_interval=FLAGS.summary_interval if FLAGS.summaries else None,
        stop_when_solved=FLAGS.stop_when_solved,
        nan_policy=FLAGS.nan_policy,
        nan_limit=FLAGS.nan_limit,
        validation_interval=FLAGS.validation_interval or None,
        patience=FLAGS.patience or None,
    )


def _save_elsewhere(run: SharedRun, loop: Loop, error: OSError) -> int:
    """Saves the end of a training among temporary files, so that it is not lost."""
    message = f"Cannot save step {loop.step:,} in {run.directory}: {error.strerror}. "
    try:
        directory = run.save_elsewhere(loop.step, loop.progress.state())
        message += (
            f"It is in {directory} instead: move it to where it is safe. To go on from there:\n"
            f"  {_command(f'--checkpoint_dir={directory}')}"
        )
    except OSError as second_error:
        message += f"Nor in {tempfile.gettempdir()}: {second_error.strerror}. {run.last_saved}"
    return _fail(message, code=1)


def _config() -> dict[str, Any]:
    """The flags of this script that the result depends on, with the options of the task."""
    own_flags = FLAGS.get_key_flags_for_module(sys.modules[__name__])
    others = {*_FREE_FLAGS, *options.names()}
    config = {flag.name: flag.value for flag in own_flags if flag.name not in others}
    return {**config, **options.values(FLAGS.task, FLAGS)}


def _defaults(config: dict[str, Any]) -> dict[str, Any]:
    """What flags were before they existed: their values for older runs."""
    own = tasks.defaults(FLAGS.task)
    return {name: own[name] if name in own else FLAGS[name].default for name in config}


def _compiling(task: tasks.Task) -> str:
    if len(task.lengths) == 1:
        return "Compiling takes a few seconds."
    return (
        f"Compiling for batches of {len(task.lengths)} lengths, {min(task.lengths):,} to "
        f"{max(task.lengths):,} steps, takes up to a minute."
    )


def _optimizer(variables: Sequence[tf.Variable]) -> snt.Optimizer:
    if FLAGS.optimizer == "adam":
        return adam(variables, FLAGS.learning_rate, FLAGS.optimizer_epsilon)
    return rmsprop(variables, FLAGS.learning_rate, FLAGS.optimizer_epsilon, FLAGS.momentum)


def _check_trace_file(path: str, run_directory: str | os.PathLike) -> None:
    """Raises `ValueError` if no file can be written there: now rather than after the training."""
    file, folder = pathlib.Path(path).resolve(), pathlib.Path(run_directory).resolve()
    if file.parent == folder and not file.is_dir():
        return  # The run will make the folder, or has.
    try:
        if file.is_dir() or file == folder or file in folder.parents:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with tempfile.TemporaryFile(dir=file.parent):
            pass
    except OSError as error:
        raise ValueError(f"Cannot write --trace_file={path}: {error.strerror}.") from error


def _executable(name: str) -> str:
    """Path of a program of this Python environment, relative where possible."""
    path = pathlib.Path(sys.executable).parent / name
    return os.path.relpath(path) if path.is_relative_to(pathlib.Path.cwd()) else str(path)


def _command(*more: str) -> str:
    return shlex.join([_executable(pathlib.Path(sys.executable).name), *sys.argv, *more])


def _cannot_write(directory: str | os.PathLike, error: OSError) -> str:
    return f"Cannot write to {directory}: {error.strerror}. Give a writable --checkpoint_dir."


def _fail(message: Exception | str, code: int = 2) -> int:
    return command.fail("train.py", command.in_flags(str(message), FLAGS), code)


def _parse(argv: list[str]) -> list[str]:
    try:
        return FLAGS(argv)
    except flags.Error as error:
        message = str(error).rstrip(".")
        sys.exit(_fail(f"{in_one_line(message)}. See train.py --help."))


if __name__ == "__main__":
    app.run(main, flags_parser=_parse)
