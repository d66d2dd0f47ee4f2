import csv

import pytest
from PIL import Image

from tasks.report import Report, shown, write_csv

ONE = Report({"wrong_bits": 0.25, "solved_sequences": 0.5})
ROWS = [{"length": 5, "wrong_bits": 0.125}, {"length": 10, "wrong_bits": 1.0, "solved": True}]
SEVERAL = Report({"wrong_bits": 0.5}, ROWS, is_solved=True)


def test_the_first_metric_is_the_error_and_all_are_the_row():
    assert ONE.error == 0.25
    assert ONE.rows == ({"wrong_bits": 0.25, "solved_sequences": 0.5},)
    assert SEVERAL.rows == ROWS


def test_a_table_has_a_line_a_row_and_a_dash_for_what_is_not_there():
    assert list(Report.table({"a": ONE, "longer name": SEVERAL})) == [
        "model        wrong bits  solved sequences  length  solved",
        "a                  0.25               0.5       -       -",
        "longer name       0.125                 -       5       -",
        "longer name           1                 -      10     yes",
    ]


@pytest.mark.parametrize(
    "value, text", [(None, "-"), (True, "yes"), (False, "no"), (1 / 3, "0.3333"), (12, "12")]
)
def test_a_value_is_shown_as_text(value, text):
    assert shown(value) == text


def test_a_file_has_each_row_with_its_model(tmp_path):
    write_csv({"a": ONE, "b": SEVERAL}, tmp_path / "table.csv")

    with open(tmp_path / "table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["model"] for row in rows] == ["a", "b", "b"]
    assert rows[0]["solved_sequences"] == "0.5" and rows[0]["length"] == ""
    assert rows[2] == {
        "model": "b", "wrong_bits": "1.0", "solved_sequences": "", "length": "10", "solved": "True"
    }  # fmt: skip


def test_a_picture_has_a_line_for_each_model(tmp_path):
    colours = []
    for reports in ({"a": SEVERAL}, {"a": SEVERAL, "b": ONE}):
        Report.plot(reports, tmp_path / "plot.png")
        with Image.open(tmp_path / "plot.png") as image:
            assert image.size == (1050, 600)
            colours.append({colour for _, colour in image.convert("RGB").getcolors(10**6)})
    blue, orange = (0x1F, 0x77, 0xB4), (0xFF, 0x7F, 0x0E)
    assert blue in colours[0] and orange not in colours[0]
    assert {blue, orange} <= colours[1]
