"""evaluate.py in this process, on small models that were not trained."""

import csv
import dataclasses
import functools

import pytest
from PIL import Image

from tasks import Benchmark, option
from tasks.copy import Copy
from tests.runs import untrained
from tests.scripts import run_evaluate


@dataclasses.dataclass(frozen=True, kw_only=True)
class Files(Copy):
    """A task with all of its episodes in two batches."""

    folder: str = option("", "Folder of the data.", may_change=True)

    notes = property(lambda self: (f"Data of {self.folder}.",))

    def every_batch(self, split):
        """Yields two batches."""
        if not self.folder:
            raise ValueError("Give folder.")
        return (self.batch(split, 0, step) for step in range(2))


class Known(Copy):
    """A task with standard tests."""

    def benchmarks(self):
        """Returns two."""
        return (
            Benchmark("short", self.with_size("length", 1), (40.0, 81.5)),
            Benchmark("long", self.with_size("length", 3), memory_size=7),
        )


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with small runs in it."""
    folder = tmp_path_factory.mktemp("runs")
    untrained(folder / "adds", task="addition", max_length=3)
    untrained(folder / "adds_lstm", task="addition", max_length=3, core="lstm")
    untrained(folder / "copies", task="copy", max_length=2, num_bits=2)
    untrained(folder / "known", task=f"{__name__}:Known", max_length=2, num_bits=2)
    for name in ("files", "other/files"):
        untrained(folder / name, task=f"{__name__}:Files", max_length=2)
    return folder


@pytest.fixture
def in_folder(runs):
    return functools.partial(run_evaluate, directory=runs)


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


def test_an_option_of_the_task_may_come_first_in_two_words(in_folder):
    ended = in_folder("--num_digits", "2", "--checkpoint_dir=adds", "--lengths=3")

    assert "do not fit a core of these settings" in ended.err


def test_an_option_that_differs_from_training_leaves_no_verdict(in_folder):
    folder = in_folder.keywords["directory"]
    untrained(folder / "repeats", task="repeat_copy", max_length=1, max_repeats=1)
    arguments = ["--checkpoint_dir=repeats", "--lengths=1", "--num_sequences=2"]

    as_trained = in_folder(*arguments)
    other = in_folder(*arguments, "--max_repeats=2")

    assert as_trained.lines[1].endswith("solved")
    assert other.lines[1].endswith("%")
    assert other.lines[1].split()[3] != as_trained.lines[1].split()[3]


def test_episodes_are_shown_with_the_answers_of_the_model(in_folder):
    arguments = ["--checkpoint_dir=copies", "--lengths=1,2", "--num_sequences=3"]
    ended = in_folder(*arguments, "--examples=2")

    assert ended.lines[:3] == in_folder(*arguments).lines
    shown = "\n".join(ended.lines[3:])
    assert shown.count("copies:\nlength 1:\nObservations:") == 2
    assert shown.count("copies:\nlength 2:\nObservations:") == 2
    assert shown.count("Model Output:") == 4


def test_all_episodes_of_a_task_with_files_are_reported(in_folder, tmp_path):
    ended = in_folder(
        "--checkpoint_dir=files,other/files",
        "--folder=somewhere",
        "--memory_size=6",
        "--examples=1",
        f"--plot={tmp_path / 'plot.png'}",
        f"--csv={tmp_path / 'table.csv'}",
    )

    assert (ended.code, ended.err) == (0, "")
    assert ended.lines[:2] == [
        "files: Data of somewhere.",
        "other/files: Data of somewhere.",
    ]
    assert ended.lines[2].split() == ["model", "wrong", "bits", "solved", "sequences"]
    assert [line.split()[0] for line in ended.lines[3:5]] == ["files", "other/files"]
    assert ended.out.count("Model Output:") == 2
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    with open(tmp_path / "table.csv", newline="") as file:
        assert [row["model"] for row in csv.DictReader(file)] == ["files", "other/files"]


def test_help_lists_the_options_of_the_task_of_the_models(in_folder):
    without, of_adds, of_files = (
        in_folder(*models, "--help")
        for models in ([], ["--checkpoint_dir=adds"], ["--checkpoint_dir=files"])
    )

    assert (without.code, without.err) == (0, "")
    assert "--examples" in without.out and "--max_length" not in without.out
    assert "add the options of their task" in without.out
    assert "--max_length" in of_adds.out and "--folder" not in of_adds.out
    assert "Folder of the data." in of_files.out and "--examples" in of_files.out


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "Give checkpoint_dir or pretrained"),
        (["--checkpoint_dir=missing"], "There is no run in missing."),
        (["--pretrained=missing"], "There is no pretrained model 'missing'. Choose from: "),
        (["--checkpoint_dir=adds,copies"], "Only models of one task can be compared, got adds of "),
        (["--checkpoint_dir=adds", "--lengths=3,x"], "lengths must be whole numbers"),
        (["--checkpoint_dir=adds", "--lengths=0"], "lengths must be whole numbers"),
        (["--checkpoint_dir=adds", "--lengths=99999999999"], "at most 2,147,483,647 time steps"),
        (["--checkpoint_dir=adds", "--plot=missing/plot.png"], "no folder for missing/plot.png"),
        (["--checkpoint_dir=adds", "--memory_size=0"], "memory_size must be whole numbers"),
        (
            ["--checkpoint_dir=adds", "--lengths=3,4,5", "--memory_size=4,5"],
            "memory_size must be one number, or one for each of the 3 sizes, got 2",
        ),
        (["--checkpoint_dir=adds", "--memory_size=2147483647"], "GiB of memory, but this machine"),
        (["--checkpoint_dir=adds", "--max_length=5"], "Give lengths, the values of length, inst"),
        (["--checkpoint_dir=adds", "--memory_size=2147483648"], "from 1 to 2,147,483,647"),
        (["--checkpoint_dir=adds", "--examples=x"], "examples"),
        (["--checkpoint_dir=adds", "--folder=here"], "Unknown command line flag 'folder'"),
        (["--checkpoint_dir=files"], "Give folder."),
        (
            ["--checkpoint_dir=files", "--folder=here", "--lengths=3"],
            "lengths is for tasks that generate",
        ),
        (["--checkpoint_dir=files", "--folder=a", "--memory_size=3,4"], "must be one number, got"),
        (["adds"], "Unexpected arguments ['adds']"),
        (["--nonsense"], "nonsense"),
    ],
)
def test_what_cannot_be_measured_is_one_line_and_exit_code_2(in_folder, arguments, said):
    code, out, err = in_folder(*arguments)

    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("evaluate.py: ") and said in line


def test_a_task_with_standard_tests_is_measured_by_them(in_folder, tmp_path):
    files = [f"--csv={tmp_path / 'table.csv'}", f"--plot={tmp_path / 'plot.png'}"]
    arguments = ["--checkpoint_dir=known", "--num_sequences=2", "--nojit"]

    code, out, err = in_folder(*arguments, *files)

    assert (code, err) == (0, "")
    head, *lines = [line.split() for line in out.splitlines()]
    assert head == ["model", "test", "slots", "right", "published"]
    assert lines[0][:5] == ["known", "short", "4", "0.0%", "81.5%"]
    assert lines[1][:4] == ["known", "long", "7", "0.0%"]
    assert all(line[-4:] == ["wrong", "bits", "per", "sequence"] for line in lines)
    with open(tmp_path / "table.csv", newline="") as file:
        assert [row["published"] for row in csv.DictReader(file)] == ["81.5", ""]
    with Image.open(tmp_path / "plot.png") as picture:
        assert picture.width > 300

    code, out, err = in_folder(*arguments, "--memory_size=5")
    assert (code, err) == (0, "")
    assert [line.split()[2] for line in out.splitlines()[1:]] == ["5", "5"]
    # Other sizes or options make other tests.
    code, out, err = in_folder(*arguments, "--lengths=2", "--num_bits=2")
    assert (code, err) == (0, "")
    assert out.split()[1] == "size"
