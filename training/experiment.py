"""A complete training run, from its configuration to its result."""

import contextlib
import errno
import os
import pathlib
import tempfile
from collections.abc import Callable, Sequence
from typing import NamedTuple

import tensorflow as tf

import tasks
from tasks.lessons import PAPER
from training.callbacks import (
    Checkpoints,
    Curriculum,
    Faults,
    Limits,
    Look,
    Report,
    Success,
    Validation,
)
from training.config import Config
from training.distribution import Distribution, SharedRun
from training.episodes import Core
from training.evaluation import BATCH_SIZE, NUM_BATCHES, Evaluation
from training.loop import Callback, Loop
from training.messages import mute, muted, say, warn
from training.models import load_variables, make_core, make_task, num_parameters, with_memory
from training.optimization import Update, adam, rmsprop
from training.probe import Probe
from training.reporting import Display, EventFile, Interruption
from training.runs import CONFIG_FILE, Run, start
from training.step import TrainingStep


class Result(NamedTuple):
    """Result of a training run.

    Attributes:
      core: the trained core.
      task: the task, as configured.
      directory: directory of the run; `training.load` loads it again.
      step: number of training steps done.
      metrics: the task's metrics on fresh sequences; {} if training was interrupted.
      ending: "solved", "finished", "no_progress", "interrupted", or a callback's own ending.
    """

    core: Core
    task: tasks.Task
    directory: pathlib.Path
    step: int
    metrics: dict[str, float]
    ending: str


class NotSavedError(OSError):
    """Failure to save the end of training in the directory of the run.

    Attributes:
      directory: directory in which it was saved instead; `None`: it was not saved.
    """

    directory: pathlib.Path | None = None


def train(config: Config, callbacks: Sequence[Callback] = ()) -> Result:
    """Trains a core on a task, or resumes the run in the directory.

        >>> import training
        >>> config = training.Config.of(task="copy", num_training_iterations=2000)
        >>> result = training.train(config)  # doctest: +SKIP

    Args:
      config: all settings.
      callbacks: called after the callbacks of the configuration, before a checkpoint is saved.

    Raises:
      ValueError: if settings contradict each other, or the directory contains another run.
      OSError: if the directory cannot be written; a `NotSavedError` at the end of training.
      NotFiniteError: if a step is not finite, and `nan_policy` has no remedy.
      MemoryError, tf.errors.ResourceExhaustedError: if there is not enough memory.
    """
    config.check_training()
    task = make_task(config)
    directory = config.checkpoint_dir or pathlib.Path("checkpoints") / task.name.rpartition(":")[2]
    distribution = Distribution(config.distribution)
    distribution.check_batch_size(config.batch_size)
    tf.random.set_seed(config.seed)
    with distribution.scope():
        # Before the directory is created, so that a faulty configuration leaves nothing behind.
        core = make_core(config, task, for_training=True)
        if config.start_from and not (pathlib.Path(directory) / CONFIG_FILE).exists():
            load_variables(core, start(config.start_from))

    def open_run() -> Run:
        if config.trace_file:
            _check_trace_file(config.trace_file, directory)
        return Run(directory, config)

    if not distribution.is_chief:
        mute()
    with muted(config.quiet), SharedRun(distribution, open_run) as run:
        for note in task.notes:
            say(note)
        return _Experiment(config, core, task, distribution, run).result(callbacks)


class _Experiment:
    """The assembled parts of one run."""

    def __init__(
        self,
        config: Config,
        core: Core,
        task: tasks.Task,
        distribution: Distribution,
        run: SharedRun,
    ):
        """Creates the parts, and loads the newest checkpoint, if there is one."""
        self._config, self._core, self._task, self._run = config, core, task, run
        self._distribution = distribution
        variables = core.trainable_variables
        if config.optimizer == "adam":
            optimizer = adam(variables, config.learning_rate, config.optimizer_epsilon)
        else:
            optimizer = rmsprop(
                variables, config.learning_rate, config.optimizer_epsilon, config.momentum
            )
        self._training = TrainingStep(
            core,
            task,
            Update(optimizer, config.max_grad_norm, config.decay, config.weight_decay),
            config.seed,
            config.jit,
            config.recompute_every or None,
            distribution,
            lambda memory_size: with_memory(core, config, task, memory_size),
        )
        self._probe = Probe(core, task, config.seed)
        self._state = run.restore(
            core=core,
            optimizer=optimizer,
            step=self._training.step,
            last_look=self._probe.last_look,
            **({"lesson": self._training.lesson} if task.lessons else {}),
        )
        own = Evaluation(core, make_task(config, BATCH_SIZE), config.seed, config.jit)
        self._evaluation = distribution.shared(own)

    def result(self, callbacks: Sequence[Callback]) -> Result:
        """Trains, and returns the result."""
        config, run, task = self._config, self._run, self._task
        self._announce()
        with contextlib.ExitStack() as stack:
            writes = config.summaries and self._distribution.is_chief
            events = EventFile(run.directory if writes else None)
            stack.callback(events.close)
            events.write_settings(config.saved())
            interruption = stack.enter_context(Interruption())
            # All workers must leave the loop at the same step.
            is_interrupted = lambda: self._distribution.any(interruption.requested)  # noqa: E731
            own = self._callbacks(events, is_interrupted)
            loop = Loop(self._training, run, [*own[:-1], *callbacks, own[-1]], self._state)
            if run.changes or not config.stop_when_solved:
                loop.progress.solved = None  # The earlier result may be for another model.
            loop.train()
        unsaved = loop.unsaved and self._save_elsewhere(loop)
        if loop.failure:
            if unsaved:
                warn(unsaved.strerror)
            raise loop.failure
        if config.trace_file and self._distribution.is_chief:
            self._probe.record(loop.step).save(config.trace_file)
        metrics = {} if loop.ending == "interrupted" else self._evaluation.final(loop.step)
        if metrics:
            ending = _ENDINGS.get(loop.ending, loop.ending)
            say(f"{ending} step {loop.step:,}. {self._found(metrics)}")
        if unsaved:
            raise unsaved
        return Result(self._core, task, run.directory, loop.step, metrics, loop.ending)

    def _announce(self) -> None:
        config, run, training = self._config, self._run, self._training
        varies = type(self._task).steps_of_batch is not tasks.Task.steps_of_batch
        if self._distribution:
            number = self._distribution.num_replicas
            say(f"Replicas: {number}, of {config.batch_size // number} episodes of each batch.")
        say(
            f"{'Training' if self._state is None else 'Resuming'} in {run.directory}: "
            f"{config.task}, {num_parameters(self._core):,} parameters, step "
            f"{int(training.step):,}. Compiling takes a few seconds"
            + (", again for each new length of batches." if varies else ".")
        )
        for name, before in run.changes.items():
            say(f"Continuing with {name}={config.saved()[name]} (was {before}).")

    def _callbacks(self, events: EventFile, is_interrupted: Callable[[], bool]) -> list[Callback]:
        """Returns the callbacks of the configuration, in order. The last one saves."""
        config, task, evaluation = self._config, self._task, self._evaluation
        steps = config.num_training_iterations
        validates = config.validation_interval or None
        display = Display(
            steps,
            task.error_name,
            is_quiet=config.quiet or not self._distribution.is_chief,
        )
        report = Report(config.report_interval, evaluation, display, events)
        found: list[Callback] = [report]
        if task.lessons:
            found.append(Curriculum(task, self._tests(), events))
        if config.stop_when_solved and not validates:
            found.append(Success(report, evaluation))
        found.append(
            Look(config.summary_interval if config.summaries else None, self._probe, events)
        )
        if validates:
            found.append(
                Validation(
                    validates,
                    task,
                    evaluation,
                    events,
                    stops_when_solved=config.stop_when_solved,
                    patience=config.patience or None,
                )
            )
        interval = config.checkpoint_interval if config.checkpoint_interval > 0 else None
        return [
            *found,
            Limits(steps, is_interrupted),
            Faults(config.nan_policy, config.nan_limit),
            Checkpoints(interval, validates, at_start=config.nan_policy == "restore"),
        ]

    def _tests(self) -> dict[str, Evaluation]:
        """Returns the tests of the task with published results after each lesson."""
        config = self._config
        return {
            each.name: self._distribution.shared(
                Evaluation(self._core, each.task, config.seed, config.jit)
            )
            for each in make_task(config, BATCH_SIZE).benchmarks()
            if each.published and config.curriculum == PAPER
        }

    def _found(self, metrics: dict[str, float]) -> str:
        error = self._task.describe_error(metrics[self._task.error_name])
        return (
            f"{BATCH_SIZE * NUM_BATCHES:,} fresh sequences: {error}, "
            f"{metrics['solved_sequences']:.1%} without error."
        )

    def _save_elsewhere(self, loop: Loop) -> NotSavedError:
        """Saves the end of training in a temporary directory, so that it is not lost."""
        why = loop.unsaved.strerror
        message = f"Cannot save step {loop.step:,} in {self._run.directory}: {why}. "
        error = NotSavedError(loop.unsaved.errno, "")
        try:
            error.directory = self._run.save_elsewhere(loop.step, loop.progress.state())
            message += f"Saved in {error.directory} instead. Move it to a safe place."
        except OSError as second:
            message += (
                f"Cannot save in {tempfile.gettempdir()} either: {second.strerror}. "
                f"{self._run.last_saved}"
            )
        error.strerror = message
        return error


_ENDINGS = {
    "solved": "Solved at",
    "no_progress": "No improvement in recent validations. Stopped at",
    "finished": "Finished",
}


def _check_trace_file(path: str, run_directory: str | os.PathLike) -> None:
    """Raises `ValueError` if the file cannot be written, rather than failing after training."""
    file, folder = pathlib.Path(path).resolve(), pathlib.Path(run_directory).resolve()
    if file.parent == folder and not file.is_dir():
        return  # The run creates this folder.
    try:
        if file.is_dir() or file == folder or file in folder.parents:
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
        with tempfile.TemporaryFile(dir=file.parent):
            pass
    except OSError as error:
        raise ValueError(f"Cannot write trace_file={path}: {error.strerror}.") from error
