"""From a run's configuration, the flags by name, to its task and its core."""

import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import sonnet as snt
import tensorflow as tf

import dnc
import tasks
from dnc._version_0_1 import NoLinkageWithModes
from training.baselines import NTM, LSTMBaseline
from training.checkpoints import Checkpoint
from training.messages import LESS_MEMORY
from training.runs import newest_checkpoint
from training.step import create_variables

CONTENT_WEIGHTS = {"cosine": dnc.CosineWeights, "used_cosine": dnc.UsedCosineWeights}


def make_task(config: Mapping[str, Any], batch_size: int) -> tasks.Task:
    """Returns the task of a configuration, with batches of the given size.

    Raises:
      ValueError: if there is no such task or one of its options is out of range.
    """
    name = config["task"]
    options = {option: config[option] for option in tasks.defaults(name) if option in config}
    return tasks.get(name, **{**options, "batch_size": batch_size})


def make_core(
    config: Mapping[str, Any], task: tasks.Task, *, for_training: bool = False
) -> snt.RNNCore:
    """Returns a core of a configuration's kind and sizes for a task, with its variables created.

    Args:
      config: flags by name.
      task: the task that the core is for.
      for_training: whether memory is also needed for gradients and the state of an optimizer.

    Raises:
      ValueError: if a part's size is out of range, or the variables and the states of a batch do
        not fit into this machine's memory. Then none of them was allocated.
    """
    if config.get("core") == "lstm" and config.get("match_parameters"):
        hidden_size = _matching_hidden_size(config, task, for_training)
        config = {**config, "hidden_size": hidden_size}
    _check_memory(_measure(config, task), task, for_training)
    core = _make_core(config, task)
    create_variables(core, task)
    return core


def _make_core(config: Mapping[str, Any], task: tasks.Task) -> snt.RNNCore:
    """A core without those of its variables that depend on the width of its input."""
    kind = config.get("core", "dnc")
    controller = _make_controller(config, task.input_size)
    clip_value = config["clip_value"] or None
    if kind == "lstm":
        return LSTMBaseline(controller, task.target_size, clip_value)
    if kind == "ntm":
        return NTM(
            controller,
            config["memory_size"],
            config["word_size"],
            config["num_read_heads"],
            config["num_write_heads"],
            task.target_size,
            clip_value,
        )
    return _make_dnc(config, controller, task.target_size, clip_value)


def _make_controller(config: Mapping[str, Any], input_size: int) -> snt.RNNCore:
    hidden_size = config["hidden_size"]
    sizes = [hidden_size] * config.get("num_layers", 1)
    kind = config.get("controller", "lstm")
    if kind == "lstm":
        if len(sizes) > 1:
            raise ValueError("num_layers is for controller=deep_lstm and feedforward.")
        controller = snt.LSTM(hidden_size)
    else:
        controller = dnc.DeepLSTM(sizes) if kind == "deep_lstm" else dnc.FeedForward(sizes)
    if bound := config.get("max_signal"):
        controller = dnc.ClippedSignal(controller, bound)
    if size := config.get("embedding_size"):
        controller = dnc.EmbeddedInputs(controller, input_size, size)
    if not config.get("feed_reads", True):
        controller = dnc.InputsOnly(controller, input_size)
    return controller


def _make_dnc(
    config: Mapping[str, Any], controller: snt.RNNCore, output_size: int, clip_value: float | None
) -> dnc.DNC:
    slots, writes = config["memory_size"], config["num_write_heads"]
    linkage = None
    if config.get("linkage") == "sparse":
        linkage = dnc.SparseTemporalLinkage(slots, writes, config["num_links"])
    elif config.get("linkage") == "none":
        linkage = NoLinkageWithModes(slots, writes)  # As runs of version 0.1, which resume.
    access = dnc.MemoryAccess(
        memory_size=slots,
        word_size=config["word_size"],
        num_reads=config["num_read_heads"],
        num_writes=writes,
        linkage=linkage,
        content_weights=CONTENT_WEIGHTS[config.get("content_weights", "cosine")],
    )
    return dnc.DNC(access, controller, output_size, clip_value)


def has_slots(config: Mapping[str, Any]) -> bool:
    """Whether the core of a configuration has memory slots."""
    return config.get("core", "dnc") != "lstm"


def num_parameters(core: snt.RNNCore) -> int:
    """Returns the number of a core's trainable parameters."""
    return sum(math.prod(variable.shape) for variable in core.trainable_variables)


def _matching_hidden_size(config: Mapping[str, Any], task: tasks.Task, for_training: bool) -> int:
    """The hidden size of an LSTM with as many parameters as the DNC of a configuration."""
    sizes = _measure({**config, "core": "dnc"}, task)
    _check_memory(sizes, task, for_training)
    wanted = sizes.parameters
    small, large = 1, 1

    def found(size: int) -> int:
        return _measure({**config, "hidden_size": size}, task).parameters

    while found(large) < wanted:
        small, large = large, 2 * large
    while large - small > 1:
        middle = (small + large) // 2
        small, large = (middle, large) if found(middle) < wanted else (small, middle)
    return min((small, large), key=lambda size: abs(found(size) - wanted))


def load(
    directory: str | os.PathLike, batch_size: int = 1, *, best: bool = False, **overrides: Any
) -> tuple[snt.RNNCore, tasks.Task]:
    """Returns the trained core of a run, and its task with batches of the given size.

    Args:
      directory: where the run was saved.
      batch_size: episodes in a batch of the task.
      best: whether to take the checkpoint with the smallest training loss, if the run knows it,
        instead of the newest one that is intact.
      **overrides: flags by name that are to be others than in training, where the variables do
        not depend on them: `memory_size=64`, `max_length=20`.

    Raises:
      FileNotFoundError: if there is no run in the directory, or no checkpoint.
      ValueError: if the run has no such flag, or no checkpoint is intact.
    """
    checkpoint, flags = newest_checkpoint(directory, best)
    if unknown := overrides.keys() - flags.keys():
        raise ValueError(f"The run in {directory} has no flag {', '.join(sorted(unknown))}.")
    return restore(checkpoint, {**flags, **overrides}, batch_size)


def restore(
    checkpoint: Checkpoint, config: Mapping[str, Any], batch_size: int = 1
) -> tuple[snt.RNNCore, tasks.Task]:
    """Returns the core of a configuration with a checkpoint's variables, and its task.

    Args:
      checkpoint: as `newest_checkpoint` finds it.
      config: its flags, some of which may be others, as for `load`.
      batch_size: episodes in a batch of the task.

    Raises:
      ValueError: as `make_task` and `make_core`.
    """
    task = make_task(config, batch_size)
    return restore_core(checkpoint, config, task), task


def restore_core(
    checkpoint: Checkpoint, config: Mapping[str, Any], task: tasks.Task
) -> snt.RNNCore:
    """Returns the core of a configuration with a checkpoint's variables, as `restore`.

    Args:
      checkpoint: as `newest_checkpoint` finds it.
      config: its flags, some of which may be others, as for `load`.
      task: what the core is for: one with the widths of the task that it was trained on.

    Raises:
      ValueError: as `make_core`.
    """
    core = make_core(config, task)
    status = tf.train.Checkpoint(core=core).read(checkpoint.prefix)
    status.assert_existing_objects_matched().expect_partial()
    return core


class _Sizes(NamedTuple):
    """Numbers that a core consists of."""

    parameters: int  # in all variables; each is trainable
    state: int  # in the states of one batch


def _measure(config: Mapping[str, Any], task: tasks.Task) -> _Sizes:
    """Counts without allocating anything: traces one step, with tensors in place of variables.

    It works for every kind of core, since it needs nothing of the core but this step.
    """
    shapes: list[tf.TensorShape] = []
    state_size = 0

    def note(next_creator: Any, **variable: Any) -> tf.Tensor:
        value = variable["initial_value"]
        value = tf.convert_to_tensor(value() if callable(value) else value)
        shapes.append(value.shape)
        return value

    # More overflow in shapes of 32 bits. That many do not fit either.
    config = {**config, "memory_size": min(config["memory_size"], 2**31 - 1)}

    @tf.function(autograph=False)
    def step() -> None:
        nonlocal state_size
        with tf.variable_creator_scope(note):
            core = _make_core(config, task)
            state = core.initial_state(task.batch_size)
            state_size = sum(math.prod(part.shape) for part in tf.nest.flatten(state))
            if 4 * state_size <= _available_memory():  # Larger ones overflow shapes in the step.
                core(tf.zeros([task.batch_size, task.input_size]), state)

    step.get_concrete_function()
    return _Sizes(parameters=sum(math.prod(shape) for shape in shapes), state=state_size)


def _check_memory(sizes: _Sizes, task: tasks.Task, for_training: bool) -> None:
    """Raises `ValueError` if variables and one batch do not fit into this machine's memory.

    An operating system may well grant more memory than there is, and end the process when it is
    used.
    """
    available = _available_memory()
    copies = 4 if for_training else 1  # Value, gradient, and two averages of the optimizer.
    variables = 4 * copies * sizes.parameters
    sequence = task.num_steps * (task.input_size + task.target_size)
    batch = 4 * (sizes.state + task.batch_size * sequence)
    if variables + batch > available:
        training = " with gradients and the optimizer's averages" if for_training else ""
        raise ValueError(
            f"This needs {(variables + batch) / 2**30:,.0f} GiB of memory, of "
            f"{available / 2**30:,.0f} GiB in this machine: {variables / 2**30:,.1f} GiB for "
            f"{sizes.parameters:,} parameters{training}, {batch / 2**30:,.1f} GiB for a batch of "
            f"{task.batch_size:,} and its states. {LESS_MEMORY}"
        )


def _available_memory() -> float:
    """Bytes of this machine's memory; infinite on Windows, where the number is not at hand."""
    if not hasattr(os, "sysconf"):
        return math.inf
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
