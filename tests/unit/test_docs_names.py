"""All names in documents and docstrings exist: modules, functions, files, commands, flags.

None of the documentation's code is run here; tests/system/test_docs.py does that.
"""

import ast
import dataclasses
import importlib
import pathlib
import re

import pytest
from absl import flags

import train

ROOT = pathlib.Path(train.__file__).parent
PACKAGES = ("dnc", "dnc_inspector", "dnc_trace", "training", "tasks", "bench")
FOLDERS = (*PACKAGES, "docs", "tests")
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "tests/data/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
SOURCES = [
    *(ROOT / name for name in ("train.py", "evaluate.py")),
    *(path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))),
]
OF_THE_RELEASED_CODE = {
    "dnc.util",
    "dnc.addressing.CosineWeights",
}  # docs/migrating.md says what became of it.
# `dnc.unroll(core, ...)`, `training.models.load`, ``bench.step``
NAME = re.compile(rf"`((?:{'|'.join(PACKAGES)})(?:\.\w+)+)(?![\w/])")
FILE = re.compile(
    rf"(?<![\w./-])((?:{'|'.join(FOLDERS)})/[\w./-]*\w\.(?:py|md|js|npz|png|svg|gz))\b"
)
COMMAND = re.compile(r"python (-m [\w.]+|\w+\.py)((?: \\\n\s+--| --)[^`\n]*(?:\\\n[^`\n]*)*)?")


def text_of(path):
    """A page, or the docstrings of a module."""
    text = path.read_text("utf-8")
    if path.suffix != ".py":
        return text
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [node for node in ast.walk(ast.parse(text)) if isinstance(node, documented)]
    return "\n".join(filter(None, map(ast.get_docstring, nodes)))


def exists(name):
    """Whether a dotted name belongs to a module, or to something in one."""
    thing, *parts = name.split(".")
    found = importlib.import_module(thing)
    for part in parts:
        thing = f"{thing}.{part}"
        fields = {field.name for field in dataclasses.fields(found)} if is_record(found) else ()
        if hasattr(found, part):
            found = getattr(found, part)
        elif part in (*fields, *getattr(found, "__annotations__", ())):
            return True
        else:
            try:
                found = importlib.import_module(thing)
            except ModuleNotFoundError:
                return False
    return True


def is_record(found):
    return isinstance(found, type) and dataclasses.is_dataclass(found)


def flags_of(module):
    for name in ("_FLAGS", "FLAGS"):
        if isinstance(found := getattr(module, name, None), flags.FlagValues):
            return found
    return None


each_text = pytest.mark.parametrize(
    "path", [*PAGES, *SOURCES], ids=lambda path: path.relative_to(ROOT).as_posix()
)


@each_text
def test_every_name_is_that_of_something(path):
    names = set(NAME.findall(text_of(path))) - OF_THE_RELEASED_CODE
    assert [name for name in names if not exists(name)] == []


@each_text
def test_every_file_is_there(path):
    assert [name for name in FILE.findall(text_of(path)) if not (ROOT / name).exists()] == []


@each_text
def test_every_command_has_these_flags(path):
    missing = []
    for target, arguments in COMMAND.findall(text_of(path)):
        name = target.removeprefix("-m ").removesuffix(".py")
        if name.split(".")[0] not in (*PACKAGES, "train", "evaluate"):
            continue
        if not exists(name):
            missing.append(target)
            continue
        known = flags_of(importlib.import_module(name))
        for flag in re.findall(r"--(\w+)", arguments) if known is not None else ():
            if flag not in known and flag.removeprefix("no") not in known:
                missing.append(f"{target} --{flag}")
    assert missing == []


def test_no_text_names_a_folder_outside_the_checkout():
    shared = re.compile(r"(?<!\w)shared/")
    texts = [*PAGES, *SOURCES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "tests").rglob("*.md")]
    own = pathlib.Path(__file__)
    assert [p.name for p in texts if p != own and shared.search(p.read_text("utf-8"))] == []


def test_what_is_not_there_is_found():
    assert exists("dnc.unroll") and exists("dnc.Trace.usage") and exists("training.models.load")
    assert not exists("training.step.rmsprop") and not exists("dnc.nothing.at.all")
    assert COMMAND.findall("`python -m bench.step --x=1`") == [("-m bench.step", " --x=1")]
