"""Notebooks are committed without results. tests/system/test_examples.py runs them."""

import json
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "examples").glob("*.ipynb"))
each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def test_there_are_notebooks():
    assert "quickstart" in [path.stem for path in NOTEBOOKS]


@each_notebook
def test_a_notebook_has_no_results_and_nothing_of_a_machine(path):
    """As `jupyter nbconvert --clear-output --ClearMetadataPreprocessor.enabled=True --inplace`."""
    notebook = json.loads(path.read_text("utf-8"))

    assert notebook["metadata"] == {"language_info": {"name": "python"}}
    for cell in notebook["cells"]:
        assert cell["metadata"] == {}
        if cell["cell_type"] == "code":
            assert (cell["outputs"], cell["execution_count"]) == ([], None)


@each_notebook
def test_a_notebook_is_written_as_jupyter_writes_it(path):
    """So that a change is a few lines."""
    text = path.read_text("utf-8")
    notebook = json.loads(text)

    assert text == json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)


@each_notebook
def test_every_file_that_a_notebook_links_exists(path):
    cells = json.loads(path.read_text("utf-8"))["cells"]
    text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")

    links = re.findall(r"\]\(([^)#]+)", text)
    assert links and [link for link in links if not (path.parent / link).exists()] == []
