import json

import pytest

from bench import _command, solved


@pytest.fixture
def given(monkeypatch):
    """train.py is not run: it says that it is solved. Returns the arguments that it was given."""
    found = []

    def run_script(path, arguments):
        assert path.name == "train.py"
        found.append(arguments)
        seed = int(arguments[4].removeprefix("--seed="))
        step = 1000 * (seed + 1)
        return f"sample\nSolved at step {step:,}. 1,000 fresh sequences: 0 wrong bits\n"

    monkeypatch.setattr(_command, "run_script", run_script)
    return found


def run(capsys, *arguments):
    """Runs the command with --json; returns the code and the rows."""
    code = solved.main(["bench.solved", "--json", *arguments])
    return code, json.loads(capsys.readouterr().out)["rows"]


def test_rows_are_the_step_and_the_time_of_each_run_and_their_medians(capsys, given):
    code, rows = run(capsys, "--seeds=0,1,4", "--linkage=dense")

    assert code == 0
    assert [(row["linkage"], row["seed"], row["solved_at_step"]) for row in rows] == [
        ("dense", 0, 1000),
        ("dense", 1, 2000),
        ("dense", 4, 5000),
        ("dense", None, 2000),
    ]
    assert all(row["minutes"] > 0 for row in rows)


def test_a_run_is_the_one_of_make_train_with_the_seed_and_the_links(capsys, given):
    run(capsys, "--seeds=3", "--linkage=sparse", "--train_flags=--num_bits=2 --nojit")

    ((first, second, directory, *rest),) = given
    assert (first, second) == ("--stop_when_solved", "--report_interval=1000")
    assert directory.startswith("--checkpoint_dir=")
    assert rest == ["--linkage=sparse", "--seed=3", "--num_bits=2", "--nojit"]
