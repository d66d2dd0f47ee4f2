"""All targets of links in README.md and in docs/ exist, and the API reference is complete."""

import pathlib
import re

import pytest

import dnc
from docs import architecture

ROOT = pathlib.Path(__file__).parents[2]
README = ROOT / "README.md"
OTHERS = [ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md")]
PAGES = [README, *OTHERS, *sorted((ROOT / "docs").glob("*.md"))]


def prose(page):
    """The text without its blocks of code."""
    return re.sub(r"^```.*?^```", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page):
    """The anchors that GitHub makes of the headings."""
    headings = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
def test_every_file_and_heading_that_is_linked_exists(page):
    for link in re.findall(r"\]\(([^)]+)\)", prose(page)):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def test_the_api_reference_has_every_public_name():
    pages = (ROOT / "docs" / "api").glob("*.md")
    listed = {
        name
        for page in pages
        for name in re.findall(r"^::: dnc\.(\w+)", page.read_text("utf-8"), re.MULTILINE)
    }
    assert set(dnc.__all__) <= listed


def test_the_drawing_of_the_architecture_is_current():
    assert architecture.PICTURE.read_text("utf-8") == architecture.picture()


def test_the_readme_is_short():
    assert README.read_text("utf-8").count("\n") <= 140
