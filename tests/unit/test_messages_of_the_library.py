"""Only modules that have flags name them: who calls the library from a program has arguments."""

import ast
import pathlib
import re

import pytest
from absl import flags

import train
from training import command

ROOT = pathlib.Path(train.__file__).parent
LIBRARY = [
    path
    for folder in ("dnc", "dnc_inspector", "tasks", "training")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not re.search(r"^(import|from) (absl|argparse)\b", path.read_text("utf-8"), re.MULTILINE)
]
FLAG = re.compile(r"(?<![\w-])--[a-z]\w*")


def texts(path):
    """The strings of a module, without docstrings."""
    tree = ast.parse(path.read_text("utf-8"))
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    docs = {ast.get_docstring(n, clean=False) for n in ast.walk(tree) if isinstance(n, documented)}
    for node in ast.walk(tree):
        is_text = isinstance(node, ast.Constant) and isinstance(node.value, str)
        if is_text and node.value not in docs:
            yield node.lineno, node.value


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_message_of_a_module_without_flags_names_a_flag(path):
    assert [(line, text) for line, text in texts(path) if FLAG.search(text)] == []


def test_there_are_modules_of_both_kinds():
    names = {path.stem for path in LIBRARY}
    assert {"runs", "distribution", "lock", "babi"} <= names
    assert not {"command", "presets", "ship", "fetch_babi", "page"} & names


@pytest.mark.parametrize(
    "message, expected",
    [
        ("batch_size=3 is odd.", "--batch_size=3 is odd."),
        ("Lower hidden_size or core=lstm.", "Lower --hidden_size or --core=lstm."),
        ("Task addition has a core.", "Task addition has a core."),
        ("my_size, --hidden_size, x.hidden_size", "my_size, --hidden_size, x.hidden_size"),
        ("/tmp/hidden_size and hidden_size/x", "/tmp/hidden_size and hidden_size/x"),
        ("Give another directory.", "Give another --checkpoint_dir."),
    ],
)
def test_a_command_puts_its_flags_for_the_arguments(message, expected):
    values = flags.FlagValues()
    for name in ("batch_size", "hidden_size", "core", "task", "checkpoint_dir"):
        flags.DEFINE_string(name, None, "Any.", flag_values=values)

    assert command.in_flags(message, values) == expected
