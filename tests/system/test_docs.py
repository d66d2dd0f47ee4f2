"""The code in README.md and in the pages of docs/ runs as it stands."""

import os
import pathlib
import re
import shlex
import sys
import tempfile

import pytest

from tests.scripts import start

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_there_are_pages():
    assert {"README", "own_data", "migrating"} <= {page.stem for page in PAGES}


# A piece that begins with the name of a file.
A_FILE = re.compile(r"^```python\n# (\w+\.py)\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)


def test_a_task_of_your_own_is_trained_evaluated_and_inspected(tmp_path):
    page = (ROOT / "docs" / "extending.md").read_text("utf-8")
    (file,) = A_FILE.finditer(page)
    name, text = file.groups()
    assert text.count("\n") <= 60
    (tmp_path / name).write_text(text, "utf-8")
    (commands,) = re.findall(r"^```sh\n(.*?)^```", page[file.end() :], re.DOTALL | re.MULTILINE)
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}"}

    said = []
    for command in commands.splitlines():
        program, *arguments = shlex.split(command)
        assert program == "python"
        arguments = [str(ROOT / x) if x in ("train.py", "evaluate.py") else x for x in arguments]
        ended = start([sys.executable, *arguments], tmp_path, env=environment)
        assert (ended.code, ended.err) == (0, "")
        said.append(ended.out)

    assert "Solved at step " in said[0]
    assert "100.0%  solved" in said[1]
    assert said[2].startswith("Wrote ")


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_the_python_pieces_run_one_after_the_other(page, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    text, names = page.read_text("utf-8"), {"__name__": page.stem}
    text = A_FILE.sub(lambda file: re.sub(".*", "", file[0]), text)
    for piece in re.finditer(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        lines_before = text.count("\n", 0, piece.start(1))  # So that errors name the page's lines.
        exec(compile("\n" * lines_before + piece[1], str(page), "exec"), names)


def test_the_site_is_built_without_warnings(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    ended = start(command, ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"})
    assert ended.code == 0, ended.err
    assert "WARNING" not in ended.err
    for page in ("index.html", "api/memory.html", "source/dnc/core.py.html"):
        assert "DNC" in (tmp_path / page).read_text("utf-8")
