"""What README.md and the pages in docs/ show runs as it stands, and what they link to exists."""

import pathlib
import re
import tempfile

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]

each_page = pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])


def prose(page):
    """The text without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page):
    """The anchors that GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_there_are_pages():
    assert {"README", "own_data", "migrating"} <= {page.stem for page in PAGES}


@each_page
def test_the_python_pieces_run_one_after_the_other(page, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    text, names = page.read_text("utf-8"), {"__name__": page.stem}
    for piece in re.finditer(r"^```python\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE):
        lines_before = text.count("\n", 0, piece.start(1))  # So that errors name the page's lines.
        exec(compile("\n" * lines_before + piece[1], str(page), "exec"), names)


@each_page
def test_every_file_and_heading_that_is_linked_exists(page):
    for link in re.findall(r"\]\(([^)]+)\)", prose(page)):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link
