"""The options of all tasks, as flags."""

from collections.abc import Mapping
from typing import Any

from absl import flags

import tasks

flags.disclaim_key_flags()  # The flags are those of the script that asks for them.

_HELP = {
    "blank": "Whether each copy ends with a step without anything.",
    "data_dir": "Where the data is: a folder or an archive, or several with commas between them.",
    "context": "How many bits the next one depends on.",
    "layout": "Which implementation's layout the episodes have",
    "log_prob_in_bits": "Whether the loss is in bits; else in nats.",
    "mask_all": "Whether all steps count in the loss, not only those of the answer.",
    "max_buckets": "Greatest number of lengths that batches have; each is compiled.",
    "max_copies": "Greatest number of copies.",
    "max_items": "Greatest number of items.",
    "max_length": "Greatest length.",
    "max_repeats": "Greatest number of repeats.",
    "min_copies": "Least number of copies.",
    "min_items": "Least number of items.",
    "min_length": "Least length.",
    "min_repeats": "Least number of repeats.",
    "norm_max": "What the number of repeats is divided by in the observation.",
    "num_bits": "Width of a row.",
    "num_digits": "Number of different digits.",
    "rows_per_item": "Rows of an item.",
    "split_seed": "Which tenth is kept for validation.",
    "tasks": "Which of its tasks, such as 1,2,4-20",
    "time_average_cost": "Whether the loss is averaged over time; else summed.",
    "two_way": "Whether values are asked for their keys, too.",
}


def define(values: flags.FlagValues) -> None:
    """Defines a flag for each option of any task; `None` stands for the task's own default."""
    for name, defaults in sorted(_defaults().items()):
        own = ", ".join(f"{task} {_shown(value)}" for task, value in defaults.items())
        text = f"{_HELP.get(name, 'Option of the task').rstrip('.')}. By default: {own}."
        # Ranges are the tasks' own matter: they are called from programs, too.
        if _all_are(bool, defaults):
            flags.DEFINE_bool(name, None, text, flag_values=values)
        elif _all_are(int, defaults):
            flags.DEFINE_integer(
                name, None, text, lower_bound=-(2**31), upper_bound=2**31 - 1, flag_values=values
            )
        elif _all_are((int, float), defaults):
            flags.DEFINE_float(name, None, text, flag_values=values)
        else:
            flags.DEFINE_string(name, None, text, flag_values=values)


def names() -> list[str]:
    """Returns the names of all options."""
    return sorted(_defaults())


def values(task: str, given: flags.FlagValues) -> dict[str, Any]:
    """Returns all options of a task by name: those given, and its own defaults.

    Raises:
      ValueError: if there is no such task, or one is given that it does not have.
    """
    own = {name: value for name, value in tasks.defaults(task).items() if name != "batch_size"}
    chosen = {name: given[name].value for name in names() if given[name].value is not None}
    if unknown := sorted(chosen.keys() - own.keys()):
        raise ValueError(
            f"Task {task} has no option --{', --'.join(unknown)}; it has --{', --'.join(own)}."
        )
    return {**own, **chosen}


def _defaults() -> dict[str, dict[str, Any]]:
    """The defaults of each option, by task."""
    found: dict[str, dict[str, Any]] = {}
    for task in tasks.names():
        for name, value in tasks.defaults(task).items():
            if name != "batch_size":
                found.setdefault(name, {})[task] = value
    return found


def _all_are(kind: type | tuple[type, ...], defaults: Mapping[str, Any]) -> bool:
    """Whether the defaults in all tasks are of a kind; a bool is no number."""
    return all(
        isinstance(value, kind) and (kind is bool or not isinstance(value, bool))
        for value in defaults.values()
    )


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
