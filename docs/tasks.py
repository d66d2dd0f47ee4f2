"""Prints the generated part of docs/tasks.md: all tasks with their options.

python -m docs.tasks
"""

from collections.abc import Iterator

import tasks


def lines() -> Iterator[str]:
    """Yields the lines of the part, for each task a heading, a sentence and a table."""
    for name in tasks.names():
        task = tasks.find(name)
        layout = task.__module__.replace(".", "/")
        yield f"\n### {name}\n"
        yield f"{task.__doc__.splitlines()[0]} Layout: [{layout}.py](../{layout}.py).\n"
        own = tasks.options.of(task)
        yield from tasks.options.table([each for key, each in own.items() if key != "batch_size"])


if __name__ == "__main__":
    print("\n".join(lines()))
