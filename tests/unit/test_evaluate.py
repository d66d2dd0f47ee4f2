"""evaluate.py in this process, on small models that were not trained."""

import csv
import shlex

import pytest
from PIL import Image

from tests.scripts import run_evaluate, save_untrained

TINY = "--hidden_size=4 --memory_size=4 --word_size=3 --num_read_heads=1 --nojit --nosummaries"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with three small runs, in it: adds, adds_lstm and copies."""
    folder = tmp_path_factory.mktemp("runs")
    for name, more in {
        "adds": "--task=addition --max_length=3",
        "adds_lstm": "--task=addition --max_length=3 --core=lstm",
        "copies": "--task=copy --max_length=2 --num_bits=2",
    }.items():
        arguments = shlex.split(f"{TINY} {more} --checkpoint_dir={name}")
        save_untrained(*arguments, directory=folder)
    return folder


@pytest.fixture
def in_folder(runs):
    def run(*arguments):
        return run_evaluate(*arguments, directory=runs)

    return run


def test_a_table_a_picture_and_a_file_compare_models_at_several_sizes(in_folder, tmp_path):
    code, out, err = in_folder(
        "--checkpoint_dir=adds,adds_lstm",
        "--lengths=3,5",
        "--num_sequences=20",
        f"--plot={tmp_path / 'plot.png'}",
        f"--csv={tmp_path / 'table.csv'}",
    )

    assert (code, err) == (0, "")
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["model", "size", "slots", "absolute", "error", "right"]
    assert [line[:2] for line in lines[1:]] == [
        ["adds", "3"],
        ["adds", "5"],
        ["adds_lstm", "3"],
        ["adds_lstm", "5"],
    ]
    assert [line[2] for line in lines[1:]] == ["4", "4", "-", "-"]
    assert lines[1][-2:] == ["not", "solved"]
    assert lines[2][-1].endswith("%")
    with Image.open(tmp_path / "plot.png") as image:
        assert image.size == (1050, 600)
        assert len(image.getcolors(10**6)) > 10
    with open(tmp_path / "table.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["size"] for row in rows] == ["3", "5", "3", "5"]
    assert [row["core"] for row in rows] == ["dnc", "dnc", "lstm", "lstm"]
    assert {row["trained_to"] for row in rows} == {"3"}
    assert {(row["task"], row["size_name"]) for row in rows} == {("addition", "length")}
    assert float(rows[0]["error"]) > 0


def test_by_default_sizes_are_the_largest_in_training_and_multiples(in_folder):
    code, out, _ = in_folder("--checkpoint_dir=copies", "--num_sequences=2", "--memory_size=9")

    assert code == 0
    rows = [line.split()[1:3] for line in out.splitlines()[1:]]
    assert rows == [["2", "9"], ["4", "9"], ["8", "9"], ["16", "9"]]


def test_each_size_can_have_a_memory_of_its_own(in_folder):
    arguments = ["--checkpoint_dir=copies", "--num_sequences=2", "--lengths=2,2,3"]
    code, out, _ = in_folder(*arguments, "--memory_size=4,6,9")

    assert code == 0
    rows = [line.split() for line in out.splitlines()[1:]]
    assert [row[1:3] for row in rows] == [["2", "4"], ["2", "6"], ["3", "9"]]
    # The task's definition of solved is for what was trained.
    assert [row[-1] == "solved" for row in rows] == [True, False, False]


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "Give --checkpoint_dir or --pretrained"),
        (["--checkpoint_dir=missing"], "There is no run in missing."),
        (["--pretrained=missing"], "There is no pretrained model 'missing'. There are: "),
        (["--checkpoint_dir=adds,copies"], "Only models of one task can be compared, got adds of "),
        (["--checkpoint_dir=adds", "--lengths=3,x"], "--lengths must be whole numbers"),
        (["--checkpoint_dir=adds", "--lengths=0"], "--lengths must be whole numbers"),
        (["--checkpoint_dir=adds", "--lengths=99999999999"], "at most 2,147,483,647 time steps"),
        (["--checkpoint_dir=adds", "--plot=missing/plot.png"], "no folder for missing/plot.png"),
        (["--checkpoint_dir=adds", "--memory_size=0"], "--memory_size must be whole numbers"),
        (
            ["--checkpoint_dir=adds", "--lengths=3,4,5", "--memory_size=4,5"],
            "--memory_size must be one number, or one for each of the 3 sizes, got 2",
        ),
        (["--checkpoint_dir=adds", "--memory_size=99999999999"], "GiB of memory, of"),
        (["adds"], "Unexpected arguments ['adds']"),
        (["--nonsense"], "nonsense"),
    ],
)
def test_what_cannot_be_measured_is_one_line_and_exit_code_2(in_folder, arguments, said):
    code, out, err = in_folder(*arguments)

    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("evaluate.py: ") and said in line
