"""Only modules that have flags name them: who calls the library from a program has arguments."""

import ast
import pathlib
import re

import pytest

import train

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
    assert {"runs", "distribution", "lock", "scoring"} <= names
    assert not {"command", "flags", "ship", "fetch", "page"} & names
