import json

import pytest

from bench import results

TRAIN = """
import os, pathlib, sys
given = dict(x.removeprefix("--").partition("=")[::2] for x in sys.argv[1:])
directory = pathlib.Path(given["checkpoint_dir"])
directory.mkdir(parents=True, exist_ok=True)
(directory / "arguments").write_text(" ".join(sys.argv[1:]))
print("Goes on" if (directory / "minutes.json").exists() else "Solved")
"""
EVALUATE = """
import csv, pathlib, sys
given = dict(x.removeprefix("--").partition("=")[::2] for x in sys.argv[1:])
with open(given["csv"], "w", newline="") as file:
    writer = csv.writer(file)
    writer.writerow(
        "core parameters memory_size size error_name error solved_sequences solved".split()
    )
    for directory in given["checkpoint_dir"].split(","):
        seed = int(directory[-1])
        for size in given.get("lengths", "3").split(","):
            right = 1 - seed / 10
            solved = seed < 2 if size == "3" else ""
            row = ["dnc", 1234, 16, size, "wrong_bits", seed + 0.5, right, solved]
            writer.writerow(row)
"""


@pytest.fixture
def scripts(tmp_path, monkeypatch):
    """The folder of scripts that stand in for train.py and evaluate.py."""
    monkeypatch.setattr(results, "_ROOT", tmp_path)
    (tmp_path / "train.py").write_text(TRAIN)
    (tmp_path / "evaluate.py").write_text(EVALUATE)
    return tmp_path


def run(capsys, *arguments):
    """Runs the command; returns the code, what it printed, and standard error."""
    code = results.main(["bench.results", *arguments])
    return code, *capsys.readouterr()


def test_a_row_tells_what_the_runs_of_all_seeds_took_and_do(capsys, scripts):
    code, out, _ = run(
        capsys,
        *("--json", "--presets=copy", "--seeds=0,1,4", "--lengths=3,6"),
        f"--directory={scripts / 'runs'}",
    )

    assert code == 0
    (row,) = json.loads(out)["rows"]
    assert (row["preset"], row["core"], row["parameters"]) == ("copy", "dnc", 1234)
    assert (row["solved"], row["runs"], row["error_name"]) == (2, 3, "wrong_bits")
    assert row["minutes"] > 0
    assert [at["size"] for at in row["at"]] == [3, 6]
    assert row["at"][0]["errors"] == [0.5, 1.5, 4.5]
    assert row["at"][0]["right"] == [1.0, 0.9, 0.6]


def test_the_table_shows_the_median_run(capsys, scripts):
    code, out, _ = run(capsys, "--presets=copy", "--seeds=0,1,4", f"--directory={scripts / 'runs'}")

    assert code == 0
    cells = [cell.strip() for cell in out.splitlines()[-1].split("|")[1:-1]]
    assert cells[:3] == ["copy", "dnc", "1,234"]
    assert cells[4:] == ["2 of 3", "wrong bits", "3 (16): 1.5 (90.0%)"]


def test_a_run_is_the_preset_with_a_seed_and_its_first_time_is_kept(capsys, scripts):
    arguments = ["--presets=copy", "--cores=lstm", "--seeds=1", "--train_flags=--num_bits=2"]
    arguments.append(f"--directory={scripts / 'runs'}")
    minutes = set()
    for _ in range(2):
        code, out, _ = run(capsys, "--json", *arguments)
        assert code == 0
        minutes.add(json.loads(out)["rows"][0]["minutes"])
    assert len(minutes) == 1

    directory = scripts / "runs" / "copy_lstm_num_bits-2_1"
    given = (directory / "arguments").read_text().split()
    assert given[:3] == ["--preset=copy", "--core=lstm", "--seed=1"]
    assert given[-2:] == ["--num_bits=2", f"--checkpoint_dir={directory}"]
    assert (directory / "log.txt").read_text() == "Solved\n"


def test_what_is_refused_is_one_line_and_exit_code_2(capsys, scripts):
    code, _, err = run(capsys, "--presets=nonsense")
    assert code == 2
    assert err.startswith("bench.results: ") and "presets" in err

    refuse = "import sys\nprint('train.py: not so.', file=sys.stderr)\nsys.exit(2)\n"
    (scripts / "train.py").write_text(refuse)
    code, _, err = run(capsys, "--presets=copy", f"--directory={scripts / 'runs'}")
    assert code == 2
    assert err.splitlines() == [
        "bench.results: train.py: not so. See python -m bench.results --help."
    ]
