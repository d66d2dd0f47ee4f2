"""Evaluation of models of bAbI, as a user types it."""

import csv
import shutil

import pytest

from tests import golden
from tests.runs import untrained
from tests.scripts import run_evaluate
from training import runs, ship

DATA = golden.DATA / "babi"


@pytest.fixture(scope="module")
def stories(tmp_path_factory):
    """The directory of a small run that was not trained."""
    folder = tmp_path_factory.mktemp("runs") / "stories"
    return untrained(
        folder, task="babi", tasks="1,19", data_dir=str(DATA), batch_size=3, max_buckets=2
    )


def test_evaluation_is_a_table_of_all_test_questions_with_files(stories, tmp_path):
    ended = run_evaluate(
        f"--checkpoint_dir={stories}",
        "--examples=1",
        f"--csv={tmp_path / 'table.csv'}",
        f"--plot={tmp_path / 'plot.png'}",
    )

    assert (ended.code, ended.err) == (0, "")
    lines = ended.lines
    assert lines[0].split()[-4:] == ["stories", "paper:", "LSTM", "DNC1"]
    assert lines[2].startswith(" 1 single supporting fact") and lines[2].endswith("28.4    9.0")
    assert "\nstories:\ntask 19, not all right:\n" in ended.out
    with open(tmp_path / "table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["task"], row["questions"], row["words"]) for row in rows] == [
        ("1", "15", "15"),
        ("19", "3", "6"),
    ]
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_a_larger_memory_and_another_folder_can_be_evaluated(stories, tmp_path):
    shutil.copytree(DATA, tmp_path / "elsewhere")

    ended = run_evaluate(
        f"--checkpoint_dir={stories}", "--memory_size=8", f"--data_dir={tmp_path / 'elsewhere'}"
    )

    assert ended.code == 0
    assert len(ended.lines) == 6


def test_a_shipped_model_does_not_say_where_its_data_was(stories, tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "PRETRAINED", tmp_path)
    ship.ship(stories, "babi_tiny")

    refused = run_evaluate("--pretrained=babi_tiny")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err.startswith("evaluate.py: Task babi needs data_dir: the folder en-10k")

    shipped = run_evaluate("--pretrained=babi_tiny", f"--data_dir={DATA}")
    assert shipped.code == 0
    before = run_evaluate(f"--checkpoint_dir={stories}")
    assert shipped.lines[2:] == before.lines[2:]  # All but the name.
    assert str(DATA) not in (tmp_path / "babi_tiny" / "step-0.json").read_text()


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--lengths=3"], "lengths is for tasks that generate episodes"),
        (["--memory_size=3,4"], "memory_size must be one number, got 2"),
        (["--data_dir=nowhere"], "Cannot read bAbI data from nowhere"),
    ],
)
def test_what_cannot_be_evaluated_is_one_line_and_exit_code_2(stories, arguments, said):
    ended = run_evaluate(f"--checkpoint_dir={stories}", *arguments)

    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert line.startswith("evaluate.py: ") and said in line
