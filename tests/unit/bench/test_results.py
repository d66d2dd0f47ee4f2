import csv
import json
import pathlib

import pytest

from bench import _command, results


def given(arguments):
    return dict(argument.removeprefix("--").partition("=")[::2] for argument in arguments)


def train(arguments):
    directory = pathlib.Path(given(arguments)["checkpoint_dir"])
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "arguments").write_text(" ".join(arguments))
    return "Resumed\n" if (directory / "minutes.json").exists() else "Solved\n"


def evaluate(arguments):
    flags = given(arguments)
    with open(flags["csv"], "w", newline="") as file:
        writer = csv.writer(file)
        names = "core parameters memory_size size error_name error solved_sequences solved"
        writer.writerow(names.split(" "))
        for directory in flags["checkpoint_dir"].split(","):
            seed = int(directory[-1])
            for size in flags.get("lengths", "3").split(","):
                right = 1 - seed / 10
                solved = seed < 2 if size == "3" else ""
                row = ["dnc", 1234, 16, size, "wrong_bits", seed + 0.5, right, solved]
                writer.writerow(row)
    return ""


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    """The folder for runs; functions stand in for train.py and evaluate.py."""
    scripts = {"train.py": train, "evaluate.py": evaluate}
    monkeypatch.setattr(
        _command, "run_script", lambda path, arguments: scripts[path.name](arguments)
    )
    return tmp_path / "runs"


def run(capsys, *arguments):
    """Runs the command; returns the code, what it printed, and standard error."""
    code = results.main(["bench.results", *arguments])
    return code, *capsys.readouterr()


def test_a_row_tells_what_the_runs_of_all_seeds_took_and_do(capsys, runs):
    code, out, _ = run(
        capsys,
        *("--json", "--presets=copy", "--seeds=0,1,4", "--lengths=3,6"),
        f"--directory={runs}",
    )

    assert code == 0
    (row,) = json.loads(out)["rows"]
    assert (row["preset"], row["core"], row["parameters"]) == ("copy", "dnc", 1234)
    assert (row["solved"], row["runs"], row["error_name"]) == (2, 3, "wrong_bits")
    assert row["minutes"] > 0
    assert [at["size"] for at in row["at"]] == [3, 6]
    assert row["at"][0]["errors"] == [0.5, 1.5, 4.5]
    assert row["at"][0]["right"] == [1.0, 0.9, 0.6]


def test_the_table_shows_the_median_run(capsys, runs):
    code, out, _ = run(capsys, "--presets=copy", "--seeds=0,1,4", f"--directory={runs}")

    assert code == 0
    cells = [cell.strip() for cell in out.splitlines()[-1].split("|")[1:-1]]
    assert cells[:3] == ["copy", "dnc", "1,234"]
    assert cells[4:] == ["2 of 3", "wrong bits", "3 (16): 1.5 (90.0%)"]


def test_a_run_is_the_preset_with_a_seed_and_its_first_time_is_kept(capsys, runs):
    arguments = ["--presets=copy", "--cores=lstm", "--seeds=1", "--train_flags=--num_bits=2"]
    arguments.append(f"--directory={runs}")
    minutes = set()
    for _ in range(2):
        code, out, _ = run(capsys, "--json", *arguments)
        assert code == 0
        minutes.add(json.loads(out)["rows"][0]["minutes"])
    assert len(minutes) == 1

    directory = runs / "copy_lstm_num_bits-2_1"
    expected = f"--preset=copy --core=lstm --seed=1 --num_bits=2 --checkpoint_dir={directory}"
    assert (directory / "arguments").read_text().endswith(expected)
    assert (directory / "log.txt").read_text() == "Solved\n"


def test_what_is_refused_is_one_line_and_exit_code_2(capsys, runs, monkeypatch):
    code, _, err = run(capsys, "--presets=nonsense")
    assert code == 2
    assert err.startswith("bench.results: ") and "presets" in err

    def refuse(path, arguments):
        raise _command.CommandError("train.py: not so")

    monkeypatch.setattr(_command, "run_script", refuse)
    code, _, err = run(capsys, "--presets=copy", f"--directory={runs}")
    assert code == 2
    assert err.splitlines() == [
        "bench.results: train.py: not so. See python -m bench.results --help."
    ]
