"""Writes the generated parts of pages: all tasks into tasks.md, all settings into training.md.

python -m docs.generate
"""

import pathlib
import re
from collections.abc import Callable, Iterator

import tasks
from tasks import options
from training.config import Config, task_options

FOLDER = pathlib.Path(__file__).parent
_PART = re.compile(r"(<!-- begin: python -m docs.generate -->\n).*(<!-- end -->)", re.DOTALL)


def all_tasks() -> Iterator[str]:
    """Yields a heading, a sentence and a table of options for each task."""
    for name in tasks.names():
        task = tasks.find(name)
        layout = task.__module__.replace(".", "/")
        yield f"\n### {name}\n"
        yield f"{task.__doc__.splitlines()[0]} Layout: [{layout}.py](../{layout}.py).\n"
        yield from options.table(list(task_options(name).values()))


def all_settings() -> Iterator[str]:
    """Yields a heading and a table for each group of settings."""
    declared = list(options.of(Config).values())
    for group in dict.fromkeys(each.group for each in declared):
        own = [each for each in declared if each.group == group]
        changing = [f"`{each.name}`" for each in own if each.may_change]
        yield f"\n### {group}\n"
        yield from options.table(own)
        if changing:
            names = "all" if len(changing) == len(own) else ", ".join(changing)
            yield f"\nThese may change when a run resumes: {names}."


PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "tasks.md": all_tasks,
    "training.md": all_settings,
}


def current(page: str) -> str:
    """Returns the text of a page with its generated part up to date.

    Raises:
      ValueError: if the page does not have exactly one place for it.
    """
    text = (FOLDER / page).read_text("utf-8")
    parts = "\n".join(PARTS[page]()).replace("<", "&lt;")
    text, number = _PART.subn(lambda found: f"{found[1]}{parts}\n{found[2]}", text)
    if number != 1:
        raise ValueError(f"{page} must have one part between two comments, has {number}.")
    return text


if __name__ == "__main__":
    for name in PARTS:
        (FOLDER / name).write_text(current(name), "utf-8")
