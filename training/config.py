"""Configuration of a training run: each setting is declared here, once."""

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import tasks
from dnc_trace import paths
from tasks import options
from tasks.lessons import CURRICULUM_NAMES
from tasks.options import Option
from training import presets

MAX_SIZE, MAX_STEPS = 2**31 - 1, 2**63 - 1
# Settings of earlier versions. No variables depend on them, except for an LSTM's on the second.
_LSTM_OF_EQUAL_SIZE = "match_parameters"
_LOOK_UP = "content_weights"  # Now `look_up`.
_REMOVED = ("compute_dtype", _LSTM_OF_EQUAL_SIZE, _LOOK_UP)

_model = functools.partial(options.option, group="Model")
_optimizer = functools.partial(options.option, group="Optimizer")
_task = functools.partial(options.option, group="Task")
# No result depends on these, so they may change when a run resumes.
_training = functools.partial(options.option, group="Training", may_change=True, saved=False)
_size = functools.partial(_model, minimum=1, maximum=MAX_SIZE)
_steps = functools.partial(_training, minimum=1, maximum=MAX_STEPS)
_positive = {"minimum": 1e-30, "maximum": 1e30}  # Other values underflow or overflow in 32 bits.


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """All settings of a training run.

    `Config.of` is the usual way to make one.

    Attributes:
      options: options of the task, by name; those that are not given have their defaults.
    """

    core: str = _model(
        "dnc",
        "Core to train; adnc: the advanced DNC, by default with layer_norm, bypass_dropout=0.1 and "
        "linkage=none; biadnc: the same, bidirectional. For comparison: lstm, the controller "
        "alone; ntm, a Neural Turing Machine.",
        choices=("dnc", "adnc", "biadnc", "lstm", "ntm"),
    )
    controller: str = _model(
        "lstm",
        "Controller; deep_lstm: the paper's stack of layers.",
        choices=("lstm", "deep_lstm", "feedforward"),
    )
    hidden_size: int = _size(64, "Size of each layer of the controller.")
    num_layers: int = _model(
        1, "Number of layers of a deep_lstm or feedforward controller.", minimum=1, maximum=100
    )
    feed_reads: bool = _model(
        True, "Whether the controller sees the words read at the previous step (the paper: yes)."
    )
    memory_size: int = _size(16, "Number of memory slots.", may_change=True)
    word_size: int = _size(16, "Width of a memory slot.")
    # Each head makes the program longer: with many more, compilation would never finish.
    num_write_heads: int = _model(1, "Number of write heads.", minimum=1, maximum=100)
    num_read_heads: int = _model(4, "Number of read heads.", minimum=1, maximum=100)
    look_up: str = _model(
        "cosine",
        "Content look-up; masked: by part of a word; used: only among slots in use.",
        choices=("cosine", "used_cosine", "masked_cosine", "used_masked_cosine"),
    )
    mask_min: float = _model(0.0, "Minimum of the masks of a look-up.", minimum=0.0, maximum=1.0)
    deallocate: bool = _model(
        False, "Whether freed slots are erased at once rather than at the next write."
    )
    linkage: str = _model(
        "dense",
        "Links between slots; sparse: the strongest of each slot; none: reads by content alone; "
        "none_0_1: as in version 0.1, multiplied by a content mode.",
        choices=("dense", "sparse", "none", "none_0_1"),
    )
    num_links: int = _size(8, "Number of links of each slot, for linkage=sparse.")
    sharp_links: bool = _model(
        False, "Whether each read head sharpens its forward and backward weightings."
    )
    layer_norm: bool = _model(
        False, "Whether to normalise the interface vector, and the gates of controller=lstm."
    )
    bypass_dropout: float = _model(
        0.0,
        "Dropout rate, in training, of the controller's output where it bypasses the memory.",
        minimum=0.0,
        maximum=0.9999,
    )
    bidirectional: bool = _model(
        False,
        "Whether the output of a second LSTM of hidden_size, which runs from the end of the "
        "sequence, is appended to the controller's; for cores with a DNC.",
    )
    separate_value: bool = _model(
        False,
        "Whether a separate core computes the value of a policy (the paper: yes), in tasks with "
        "rewards.",
    )
    embedding_size: int = _model(
        0,
        "Width of a learned embedding that the controller sees instead of the input; 0: none.",
        minimum=0,
        maximum=MAX_SIZE,
    )
    clip_value: float = _model(
        20.0, "Bound on controller and core outputs; 0: none.", or_zero=True, **_positive
    )

    optimizer: str = _optimizer(
        "rmsprop", "Optimizer; rmsprop: as in TensorFlow 1.", choices=("rmsprop", "adam")
    )
    momentum: float = _optimizer(0.0, "Momentum of RMSProp.", minimum=0.0, maximum=0.9999)
    max_grad_norm: float = _optimizer(
        50.0, "Bound on the global norm of the gradients.", **_positive
    )
    max_signal: float = _optimizer(
        0.0,
        "Bound on each gradient w.r.t. the controller's output and state, at each time step (the "
        "paper: 10); 0: none.",
        or_zero=True,
        **_positive,
    )
    learning_rate: float = _optimizer(1e-4, "Learning rate.", **_positive)
    decay_steps: int = _optimizer(
        0,
        "Number of last steps over which the learning rate decays linearly to 0; 0: constant.",
        minimum=0,
        maximum=MAX_STEPS,
    )
    weight_decay: float = _optimizer(
        0.0,
        "Decoupled weight decay (AdamW-style), multiplied by the learning rate.",
        or_zero=True,
        **_positive,
    )
    optimizer_epsilon: float = _optimizer(1e-10, "Epsilon of the optimizer.", **_positive)

    task: str = _task(
        presets.DEFAULT_TASK,
        f"Task to learn: {', '.join(tasks.names())}; or your own, package.module:Class.",
    )
    batch_size: int = _task(16, "Number of episodes in a batch.", minimum=1, maximum=MAX_SIZE)
    curriculum: str = _task(
        "none",
        "Lessons, from easy to hard episodes, see docs/training.md; none: the task's own, if any.",
        choices=tuple(CURRICULUM_NAMES),
    )
    lesson_threshold: float = _task(
        1.0, "Error below which a lesson is passed.", minimum=0.0, maximum=1e30
    )
    lesson_window: int = _task(
        1600,
        "Number of episodes over which the error of a lesson is measured.",
        minimum=1,
        maximum=MAX_SIZE,
    )
    start_from: str = _task(
        "",
        "Model whose variables to start from: the name of a pretrained model, or the directory of "
        "a run. Its task may be another one with the same widths.",
    )
    seed: int = _task(0, "Seed of the initial values and of the data.", minimum=0, maximum=MAX_SIZE)

    num_training_iterations: int = _steps(100_000, "Number of training steps.")
    stop_when_solved: bool = _training(
        False,
        "Whether to stop as soon as fresh sequences (two sets of 1,000) have no error; with "
        "validation_interval, as soon as a validation finds the task solved.",
    )
    validation_interval: int = _training(
        0,
        "Steps between validations, on all validation data or on fresh sequences. Each saves a "
        "checkpoint; the best is the one with the smallest error. 0: none.",
        minimum=0,
        maximum=MAX_STEPS,
    )
    patience: int = _training(
        0,
        "Number of consecutive validations without improvement after which to stop; 0: never.",
        minimum=0,
        maximum=MAX_STEPS,
    )
    nan_policy: str = _training(
        "stop",
        "Reaction to a loss or gradient that is not finite: stop; skip the update; restore the "
        "last checkpoint and continue with half the learning rate.",
        choices=("stop", "skip", "restore"),
    )
    nan_limit: int = _steps(10, "Maximum number of consecutive skips or restores.")
    checkpoint_dir: str | None = _training(
        None, "Directory of the run; checkpoints/<task> by default."
    )
    checkpoint_interval: int = _training(
        1000, "Steps between checkpoints; -1: only at the end.", minimum=-1, maximum=MAX_STEPS
    )
    checkpoints_kept: int = _steps(3, "Number of newest checkpoints kept in addition to the best.")
    report_interval: int = _steps(100, "Steps between reports.")
    quiet: bool = _training(False, "Whether to print only warnings and errors.")
    summaries: bool = _training(True, "Whether to write summaries for TensorBoard.")
    summary_interval: int = _steps(
        1000, "Steps between looks into the memory for TensorBoard, always in the same episodes."
    )
    trace_file: str | None = _training(
        None, "File for a trace of these episodes at the end; python -m dnc_inspector shows it."
    )
    distribution: str = _training(
        "none",
        "Devices over which to split each batch; mirrored: the GPUs of this machine; multi_worker: "
        "the machines in TF_CONFIG.",
        choices=("none", "mirrored", "multi_worker"),
    )
    jit: bool = _training(True, "Whether to compile with XLA.")
    recompute_every: int = _training(
        0,
        "Time steps between the states kept for the gradients. The others are computed again, "
        "which saves memory in long sequences; 0: keep all.",
        minimum=0,
        maximum=MAX_STEPS,
    )

    options: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        """Checks all settings, and completes the options of the task.

        Raises:
          ValueError: if a setting or option is unknown or out of range.
        """
        options.check(self)
        for name, declared in options.of(self).items():
            if declared.kind is float:
                object.__setattr__(self, name, float(getattr(self, name)))
        for path in (self.checkpoint_dir, self.trace_file):
            if path is not None:
                _check_path(path)
        declared = task_options(self.task)
        if unknown := sorted(self.options.keys() - declared.keys()):
            raise ValueError(
                f"There is no setting {', '.join(unknown)}. Task {self.task} has the options "
                f"{', '.join(declared)}."
            )
        complete = {name: each.default for name, each in declared.items()} | dict(self.options)
        for name, value in complete.items():
            declared[name].check(value)
        object.__setattr__(self, "options", complete)

    @classmethod
    def of(cls, preset: str | None = None, **settings: Any) -> "Config":
        """Returns a configuration.

        Args:
          preset: name of the preset whose settings are the defaults; "none": no preset. By default
            the preset named after the task, if there is one.
          **settings: settings and options of the task, by name.

        Raises:
          ValueError: if a name is unknown or a value is out of range.
        """
        found = {**presets.settings(preset, settings), **settings}
        return cls._divided({**presets.of_core(found.get("core")), **found})

    @classmethod
    def of_run(cls, saved: Mapping[str, Any]) -> "Config":
        """Returns the configuration for a result of `saved`, possibly from an earlier version.

        Raises:
          ValueError: if it can no longer be used.
        """
        if saved.get(_LSTM_OF_EQUAL_SIZE) and saved.get("core") == "lstm":
            raise ValueError(
                f"The run has the setting {_LSTM_OF_EQUAL_SIZE}, which no longer exists. Give "
                "another directory, and a hidden_size."
            )
        settings = {k: v for k, v in saved.items() if k not in _REMOVED}
        if "look_up" not in saved:  # Of version 0.1.
            if _LOOK_UP in saved:
                settings["look_up"] = saved[_LOOK_UP]
            if saved.get("linkage") == "none":
                settings["linkage"] = "none_0_1"
        return cls._divided(settings)

    @classmethod
    def _divided(cls, settings: Mapping[str, Any]) -> "Config":
        own = {field.name for field in dataclasses.fields(cls)}
        return cls(
            **{name: value for name, value in settings.items() if name in own},
            options={name: value for name, value in settings.items() if name not in own},
        )

    def replace(self, **settings: Any) -> "Config":
        """Returns a copy with some settings, or options of the task, replaced."""
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        return self._divided({**own.pop("options"), **own, **settings})

    def saved(self) -> dict[str, Any]:
        """Returns all settings and options on which results depend, as JSON values."""
        own = options.of(self).values()
        return {**{x.name: getattr(self, x.name) for x in own if x.saved}, **self.options}

    @property
    def has_dnc(self) -> bool:
        """Whether the core contains a `dnc.DNC`, whose memory can be recorded."""
        return self.core in ("dnc", "adnc", "biadnc")

    @property
    def decay(self) -> tuple[int, int] | None:
        """First step and number of steps of the decay of the learning rate, if it decays."""
        first = max(self.num_training_iterations - self.decay_steps, 0)
        return (first, self.decay_steps) if self.decay_steps else None

    def declared(self) -> dict[str, Option]:
        """Returns the declarations of all settings and of the options of the task, by name."""
        return {**options.of(self), **task_options(self.task)}

    def check_training(self) -> None:
        """Raises `ValueError` if settings contradict each other for a training run."""
        if self.patience and not self.validation_interval:
            raise ValueError("patience counts validations. Give a validation_interval.")
        if self.trace_file and not self.has_dnc:
            raise ValueError(
                "trace_file needs core=dnc, adnc or biadnc: other cores have no memory to record."
            )


def task_options(task: str) -> dict[str, Option]:
    """Returns the options of a task except the batch size, which is a setting.

    Raises:
      ValueError: if there is no such task.
    """
    declared = options.of(tasks.find(task))
    return {
        name: each._replace(group=f"Task {task}")
        for name, each in declared.items()
        if name != "batch_size"
    }


def _check_path(path: str) -> None:
    try:
        if b"\0" in path.encode():
            raise ValueError
    except ValueError as error:  # Also for bytes that are not UTF-8, which TensorFlow rejects.
        raise ValueError(
            f"A path must be UTF-8 text without null characters, got {path!r}."
        ) from error
    paths.local(path)
