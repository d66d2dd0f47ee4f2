"""Construction of a run's task and core from its configuration."""

import dataclasses
import functools
import math
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import sonnet as snt
import tensorflow as tf

import dnc
import tasks
from dnc._version_0_1 import NoLinkageWithModes
from training.baselines import NTM, LSTMBaseline
from training.checkpoints import Checkpoint
from training.config import Config
from training.episodes import Core, run_one_step
from training.messages import LESS_MEMORY
from training.runs import newest_checkpoint
from training.step import create_variables

_LOOK_UPS = {
    "cosine": dnc.CosineWeights,
    "used_cosine": dnc.UsedCosineWeights,
    "masked_cosine": dnc.MaskedCosineWeights,
    "used_masked_cosine": dnc.UsedMaskedCosineWeights,
}


def make_task(config: Config, batch_size: int | None = None) -> tasks.Task:
    """Returns the task of a configuration, with the lessons of its curriculum.

    Args:
      config: the configuration.
      batch_size: number of episodes in a batch; as configured unless given.

    Raises:
      ValueError: if there is no such task, an option is out of range, or the task has no such
        curriculum.
    """
    task = tasks.get(config.task, batch_size=batch_size or config.batch_size, **config.options)
    if config.curriculum == "none":
        return task
    lessons = task.curriculum(
        config.curriculum, threshold=config.lesson_threshold, window=config.lesson_window
    )
    return dataclasses.replace(task, lessons=lessons)


def make_core(config: Config, task: tasks.Task, *, for_training: bool = False) -> Core:
    """Returns the core that a configuration specifies for a task, with its variables created.

    Args:
      config: the configuration.
      task: the task for the core.
      for_training: whether memory is also needed for gradients and the state of an optimizer.

    Raises:
      ValueError: if a part's size is out of range, or the variables and the states of a batch do
        not fit into this machine's memory. In this case none of them is allocated.
    """
    _check_memory(_measure(config, task), task, for_training)
    core = _make_core(config, task)
    create_variables(core, task)
    return core


def with_memory(core: Core, config: Config, task: tasks.Task, memory_size: int) -> Core:
    """Returns a core with the variables of another one but a different number of memory slots.

    Args:
      core: core of the configuration.
      config: the configuration.
      task: the task for the core.
      memory_size: number of slots N.

    Raises:
      ValueError: as for `make_core`.
    """
    resized = make_core(config.replace(memory_size=memory_size), task)
    pairs = zip([resized, *resized.submodules], [core, *core.submodules], strict=True)
    for own, of_core in pairs:
        for name, value in vars(own).items():
            if isinstance(value, tf.Variable):
                setattr(own, name, getattr(of_core, name))
    return resized


def _make_core(config: Config, task: tasks.Task) -> Core:
    """Returns a core without the variables that depend on the width of its input."""
    if not config.separate_value:
        return _make_one(config, task, task.output_size)
    if not task.num_values:
        raise ValueError(f"separate_value is for tasks with rewards, not for {task.name}.")
    sizes = (task.output_size - task.num_values, task.num_values)
    return dnc.Parallel([_make_one(config, task, size) for size in sizes])


def _make_one(config: Config, task: tasks.Task, output_size: int) -> Core:
    controller = _make_controller(config, task.input_size)
    clip_value = config.clip_value or None
    if config.core == "biadnc" and not config.bidirectional:
        raise ValueError("core=biadnc is bidirectional: give core=adnc for one direction.")
    if config.bidirectional:
        return _make_bidirectional(config, controller, task)
    if config.core == "lstm":
        return LSTMBaseline(controller, output_size, clip_value)
    if config.core == "ntm":
        return NTM(
            controller,
            config.memory_size,
            config.word_size,
            config.num_read_heads,
            config.num_write_heads,
            output_size,
            clip_value,
        )
    return _make_dnc(config, controller, output_size)


def _make_controller(config: Config, input_size: int) -> snt.RNNCore:
    sizes = [config.hidden_size] * config.num_layers
    if config.controller == "lstm":
        if len(sizes) > 1:
            raise ValueError("num_layers is for controller=deep_lstm and feedforward.")
        controller = _make_lstm(config)
    else:
        kind = dnc.DeepLSTM if config.controller == "deep_lstm" else dnc.FeedForward
        controller = _with_bounded_signal(config, kind(sizes))
    if config.embedding_size:
        controller = dnc.EmbeddedInputs(controller, input_size, config.embedding_size)
    if not config.feed_reads:
        controller = dnc.InputsOnly(controller, input_size)
    return controller


def _make_lstm(config: Config, **named: str) -> snt.RNNCore:
    kind = dnc.LayerNormLSTM if config.layer_norm else snt.LSTM
    return _with_bounded_signal(config, kind(config.hidden_size, **named))


def _with_bounded_signal(config: Config, core: snt.RNNCore) -> snt.RNNCore:
    return dnc.ClippedSignal(core, config.max_signal) if config.max_signal else core


def _make_bidirectional(
    config: Config, controller: snt.RNNCore, task: tasks.Task
) -> dnc.Bidirectional:
    if not config.has_dnc:
        raise ValueError(f"bidirectional is for core=dnc, adnc and biadnc, not for {config.core}.")
    if isinstance(task, tasks.InteractiveTask):
        raise ValueError(
            f"Task {task.name} is interactive, but a bidirectional core sees the whole sequence "
            "before its first answer. Give core=dnc or adnc, without bidirectional."
        )
    controller = dnc.AppendedContext(controller, task.input_size, config.hidden_size)
    forward = _make_dnc(config, controller, task.output_size)
    return dnc.Bidirectional(forward, _make_lstm(config, name="backward"))


def _make_dnc(config: Config, controller: snt.RNNCore, output_size: int) -> dnc.DNC:
    sizes = {
        "memory_size": config.memory_size,
        "word_size": config.word_size,
        "num_reads": config.num_read_heads,
    }
    access = {
        "num_writes": config.num_write_heads,
        "linkage": _make_linkage(config),
        "content_weights": _look_up(config),
        "layer_norm": config.layer_norm,
        "deallocate": config.deallocate,
    }
    further: dict[str, Any] = {
        "controller": controller,
        "clip_value": config.clip_value or None,
        "bypass_dropout": config.bypass_dropout,
    }
    if config.core == "dnc":
        return dnc.DNC(dnc.MemoryAccess(**sizes, **access), output_size=output_size, **further)
    return dnc.adnc(output_size, **sizes, **access, **further)


def _look_up(config: Config) -> Callable[..., snt.Module]:
    kind = _LOOK_UPS[config.look_up]
    if issubclass(kind, dnc.MaskedCosineWeights):
        return functools.partial(kind, mask_min=config.mask_min)
    if config.mask_min:
        raise ValueError(
            "mask_min is for look_up=masked_cosine and used_masked_cosine, not for "
            f"{config.look_up}."
        )
    return kind


def _make_linkage(config: Config) -> dnc.Linkage:
    slots, writes = config.memory_size, config.num_write_heads
    if config.linkage in ("none", "none_0_1"):
        if config.sharp_links:
            raise ValueError("sharp_links is for linkage=dense and sparse: others have no links.")
        kind = dnc.NoLinkage if config.linkage == "none" else NoLinkageWithModes
        return kind(slots, writes)
    if config.linkage == "sparse":
        linkage = dnc.SparseTemporalLinkage(slots, writes, config.num_links)
    else:
        linkage = dnc.TemporalLinkage(slots, writes)
    return dnc.SharpLinkage(linkage) if config.sharp_links else linkage


def has_slots(config: Config) -> bool:
    """Returns whether the core of a configuration has memory slots."""
    return config.core != "lstm"


def num_parameters(core: Core) -> int:
    """Returns the number of a core's trainable parameters."""
    return sum(math.prod(variable.shape) for variable in core.trainable_variables)


def load(
    directory: str | os.PathLike, batch_size: int = 1, *, best: bool = False, **overrides: Any
) -> tuple[Core, tasks.Task]:
    """Returns the trained core of a run, and its task with batches of the given size.

    Args:
      directory: directory of the run.
      batch_size: number of episodes in a batch of the task.
      best: whether to load the best checkpoint of the run, if there is one, instead of the newest
        intact one.
      **overrides: settings and options of the task to change, if the variables do not depend on
        them, such as `memory_size=64` or `max_length=20`.

    Raises:
      FileNotFoundError: if there is no run in the directory, or no checkpoint.
      ValueError: if a setting is unknown or out of range, no checkpoint is intact, or the variables
        have other shapes.
    """
    checkpoint = newest_checkpoint(directory, best)
    return restore(checkpoint, Config.of_run(checkpoint.settings).replace(**overrides), batch_size)


def restore(
    checkpoint: Checkpoint, config: Config, batch_size: int | None = None
) -> tuple[Core, tasks.Task]:
    """Returns the core of a configuration with a checkpoint's variables, and its task.

    Args:
      checkpoint: result of `newest_checkpoint`.
      config: its configuration, possibly with settings changed as for `load`.
      batch_size: number of episodes in a batch of the task; as configured unless given.

    Raises:
      ValueError: as for `make_task` and `restore_core`.
    """
    task = make_task(config, batch_size)
    return restore_core(checkpoint, config, task), task


def restore_core(checkpoint: Checkpoint, config: Config, task: tasks.Task) -> Core:
    """Returns the core of a configuration with a checkpoint's variables.

    Args:
      checkpoint, config: as for `restore`.
      task: a task with the same widths as the task that the core was trained on.

    Raises:
      ValueError: as for `make_core`, or if the variables have other shapes.
    """
    core = make_core(config, task)
    load_variables(core, checkpoint)
    return core


def load_variables(core: Core, checkpoint: Checkpoint) -> None:
    """Loads the variables of a checkpoint into a core.

    Raises:
      ValueError: if they have other shapes.
    """
    try:
        status = tf.train.Checkpoint(core=core).read(checkpoint.prefix)
        status.assert_existing_objects_matched().expect_partial()
    except (ValueError, AssertionError) as error:
        raise ValueError(
            f"The variables of {checkpoint.prefix} do not fit a core of these settings. Change "
            "only settings that no variable depends on, such as memory_size."
        ) from error


class _Sizes(NamedTuple):
    """Size of a core, in numbers."""

    parameters: int  # in all variables; each is trainable
    state: int  # in the states of one batch


def _measure(config: Config, task: tasks.Task) -> _Sizes:
    """Measures a core without allocating it, by tracing one step with tensors as variables.

    This works for every kind of core, since it requires only this step.
    """
    shapes: list[tf.TensorShape] = []
    state_size = 0

    def note(next_creator: Any, **variable: Any) -> tf.Tensor:
        value = variable["initial_value"]
        value = tf.convert_to_tensor(value() if callable(value) else value)
        shapes.append(value.shape)
        return value

    @tf.function(autograph=False)
    def step() -> None:
        nonlocal state_size
        with tf.variable_creator_scope(note):
            core = _make_core(config, task)
            state = core.initial_state(task.batch_size)
            state_size = sum(math.prod(part.shape) for part in tf.nest.flatten(state))
            if 4 * state_size <= _available_memory():  # Larger states overflow shapes in the step.
                run_one_step(core, tf.zeros([task.batch_size, task.input_size]), state)

    step.get_concrete_function()
    return _Sizes(parameters=sum(math.prod(shape) for shape in shapes), state=state_size)


def _check_memory(sizes: _Sizes, task: tasks.Task, for_training: bool) -> None:
    """Raises `ValueError` if variables and one batch do not fit into this machine's memory.

    An operating system may grant more memory than there is, and end the process that uses it.
    """
    available = _available_memory()
    copies = 4 if for_training else 1  # Value, gradient, and two averages of the optimizer.
    variables = 4 * copies * sizes.parameters
    sequence = task.num_steps * (task.input_size + task.output_size)
    batch = 4 * (sizes.state + task.batch_size * sequence)
    if variables + batch > available:
        training = " with gradients and the optimizer's averages" if for_training else ""
        raise ValueError(
            f"This needs {(variables + batch) / 2**30:,.0f} GiB of memory, but this machine has "
            f"{available / 2**30:,.0f} GiB: {variables / 2**30:,.1f} GiB for "
            f"{sizes.parameters:,} parameters{training}, {batch / 2**30:,.1f} GiB for a batch of "
            f"{task.batch_size:,} and its states. {LESS_MEMORY}"
        )


def _available_memory() -> float:
    """Returns the bytes of memory in this machine; infinity on Windows, where it is unknown."""
    if not hasattr(os, "sysconf"):
        return math.inf
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
