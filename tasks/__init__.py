"""Tasks by name: `tasks.get("repeat_copy", num_bits=4)`. Nothing here depends on `dnc`."""

import importlib
import inspect
import pkgutil
from typing import Any

from tasks.quiet import native_logs_hidden

with native_logs_hidden():
    import tensorflow  # noqa: F401  Imported first, so that its messages are hidden.

from tasks import options
from tasks.answers import BitTask, NumberTask
from tasks.base import Batch, Benchmark, Contents, InteractiveTask, Record, Task, make_batch
from tasks.lessons import Lesson, Lessons
from tasks.options import option
from tasks.report import Report

__all__ = [
    "Batch",
    "Benchmark",
    "BitTask",
    "Contents",
    "InteractiveTask",
    "Lesson",
    "Lessons",
    "NumberTask",
    "Record",
    "Report",
    "Task",
    "find",
    "get",
    "make_batch",
    "names",
    "option",
]


def _of_modules() -> dict[str, type[Task]]:
    """Returns the tasks of this package, each from the module of its name."""
    found = {}
    for module in pkgutil.iter_modules(__path__):
        for value in vars(importlib.import_module(f"{__name__}.{module.name}")).values():
            if isinstance(value, type) and vars(value).get("name") == module.name:
                found[module.name] = value
    return found


_TASKS = _of_modules()


def names() -> list[str]:
    """Returns the names of all tasks of this package."""
    return sorted(_TASKS)


def find(name: str) -> type[Task]:
    """Returns the class of a task.

    Args:
      name: one of `names()`, or "package.module:Class" for a task of your own.

    Raises:
      ValueError: if there is no such task.
    """
    if ":" not in name:
        if name not in _TASKS:
            raise ValueError(
                f"Unknown task {name!r}. Choose from: {', '.join(names())}; or give your own as "
                "package.module:Class."
            )
        return _TASKS[name]
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for part in path.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"Cannot load task {name}: {error}.") from error
    if not (isinstance(found, type) and issubclass(found, Task)):
        raise ValueError(f"{name} is not a subclass of tasks.Task.")
    if inspect.isabstract(found):
        missing = ", ".join(sorted(found.__abstractmethods__))
        raise ValueError(f"{name} must define {missing}.")
    return found


def get(name: str, **given: Any) -> Task:
    """Returns a task.

    Args:
      name: as for `find`.
      **given: options of the task; the others keep their defaults.

    Raises:
      ValueError: if there is no such task or option, or an option is out of range.
    """
    task = find(name)
    allowed = options.of(task)
    if unknown := sorted(given.keys() - allowed.keys()):
        raise ValueError(
            f"Task {name} has no option {', '.join(unknown)}; it has {', '.join(allowed)}."
        )
    return task(**given)
