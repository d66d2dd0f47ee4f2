"""What README.md and the pages in docs/ show runs as it stands."""

import pathlib
import re
import tempfile

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def test_there_are_pages():
    assert {"README", "own_data", "migrating"} <= {page.stem for page in PAGES}


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_the_python_pieces_run_one_after_the_other(page, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    text, names = page.read_text("utf-8"), {"__name__": page.stem}
    for piece in re.finditer(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        lines_before = text.count("\n", 0, piece.start(1))  # So that errors name the page's lines.
        exec(compile("\n" * lines_before + piece[1], str(page), "exec"), names)
