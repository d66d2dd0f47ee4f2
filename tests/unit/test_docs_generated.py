"""The generated parts of the pages are as `python -m docs.generate` writes them."""

import pytest

from docs import generate
from tasks import options
from training.config import Config


@pytest.mark.parametrize("page", generate.PARTS)
def test_the_generated_part_of_a_page_is_current(page):
    assert (generate.FOLDER / page).read_text("utf-8") == generate.current(page)


def test_every_setting_has_a_row_in_the_table():
    rows = [line for line in generate.all_settings() if line.startswith("| `")]

    assert [row.split("`")[1] for row in rows] == list(options.of(Config))


def test_a_page_without_a_place_for_its_part_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(generate, "FOLDER", tmp_path)
    (tmp_path / "training.md").write_text("# Training\n")

    with pytest.raises(ValueError, match=r"training\.md must have one part between two comments"):
        generate.current("training.md")
