"""Settings for each task, by name. The command line overrides each of them.

A task's own name is its preset by default. docs/results.md says how far each of them gets.
"""

from typing import Any

from absl import flags

NONE = "none"

# What most small tasks do well with; with the released code's 1e-4 they need many times the steps.
_SMALL = {"hidden_size": 64, "word_size": 16, "learning_rate": 1e-3, "max_grad_norm": 10.0}

PRESETS: dict[str, dict[str, Any]] = {
    "repeat_copy": {"task": "repeat_copy"},  # The flags' defaults: those of the released code.
    "repeat_copy_numpy": {
        "task": "repeat_copy",
        "layout": "numpy",
        "time_average_cost": True,
        "max_length": 4,
        "max_repeats": 4,
        "hidden_size": 32,
        "memory_size": 64,
        "word_size": 8,
        "num_read_heads": 2,
        "learning_rate": 1e-3,
    },
    "copy": {
        **_SMALL,
        "task": "copy",
        "num_bits": 6,
        "max_length": 10,
        "memory_size": 32,
        "num_read_heads": 1,
    },
    "copy_series": {
        **_SMALL,
        "task": "copy_series",
        "controller": "feedforward",
        "hidden_size": 128,
        "num_layers": 2,
        "memory_size": 10,
        "word_size": 10,
        "num_read_heads": 1,
    },
    "copy_series_bgavran": {
        **_SMALL,
        "task": "copy_series",
        "num_bits": 6,
        "min_length": 5,
        "max_length": 6,
        "min_copies": 1,
        "max_copies": 5,
        "blank": True,
        "mask_all": True,
        "controller": "feedforward",
        "hidden_size": 256,
        "num_layers": 2,
        "memory_size": 10,
        "word_size": 8,
        "num_read_heads": 1,
        "curriculum": "naive",
    },
    "associative_recall": {
        **_SMALL,
        "task": "associative_recall",
        "memory_size": 32,
        "num_read_heads": 2,
    },
    "key_value": {
        **_SMALL,
        "task": "key_value",
        "max_length": 8,
        "memory_size": 16,
        "word_size": 32,
        "num_read_heads": 1,
    },
    "ngrams": {**_SMALL, "task": "ngrams", "memory_size": 64, "num_read_heads": 1},
    "priority_sort": {**_SMALL, "task": "priority_sort", "memory_size": 32, "num_read_heads": 4},
    "priority_sort_chainer": {
        **_SMALL,
        "task": "priority_sort",
        "layout": "chainer",
        "num_bits": 4,
        "min_length": 2,
        "max_length": 6,
        "memory_size": 16,
        "num_read_heads": 4,
    },
    "addition": {
        **_SMALL,
        "task": "addition",
        "batch_size": 32,
        "memory_size": 32,
        "num_read_heads": 2,
        "optimizer": "adam",
        "optimizer_epsilon": 1e-7,
        "clip_value": 0.0,
    },
    "argmax": {
        **_SMALL,
        "task": "argmax",
        "batch_size": 32,
        "memory_size": 32,
        "num_read_heads": 2,
        "optimizer": "adam",
        "optimizer_epsilon": 1e-7,
    },
}


def apply(values: flags.FlagValues) -> str:
    """Gives flags that were not given the values of --preset; returns these as text, or "".

    Raises:
      ValueError: if there is no such preset, or it is of another task than --task.
    """
    name = values["preset"].value
    if name == NONE:
        return ""
    task = values["task"]
    if name is None:
        name = task.value
        if name not in PRESETS:
            return ""
    elif name not in PRESETS:
        raise ValueError(
            f"--preset must be one of {NONE}, {', '.join(sorted(PRESETS))}, got {name}."
        )
    preset = PRESETS[name]
    if task.present and task.value != preset["task"]:
        raise ValueError(f"--preset={name} is of --task={preset['task']}, not of {task.value}.")
    said = []
    for flag, value in preset.items():
        if not values[flag].present:
            values[flag].value = value
            if flag != "task" and value != values[flag].default:
                said.append(f"--{flag}={value}")
    return f"Preset {name}: {' '.join(said)}" if said else ""
