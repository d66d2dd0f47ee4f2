import json

import pytest

from bench import solved

TINY = (
    "--hidden_size=8 --memory_size=4 --word_size=4 --num_read_heads=1 --num_training_iterations=5"
    " --nojit"
)


@pytest.fixture
def script(tmp_path, monkeypatch):
    """Returns a function that lets a piece of Python be run in place of train.py."""
    path = tmp_path / "train.py"
    monkeypatch.setattr(solved, "_SCRIPT", path)
    return path.write_text


def run(capsys, *arguments):
    """Runs the command with --json; returns the code, the rows and standard error."""
    code = solved.main(["bench.solved", "--json", *arguments])
    output = capsys.readouterr()
    return code, json.loads(output.out)["rows"] if output.out else None, output.err


def test_the_training_script_that_does_not_solve_its_task_has_no_step(capsys):
    code, rows, _ = run(capsys, "--seeds=0", "--linkage=dense", f"--train_flags={TINY}")

    assert code == 0
    assert [row["solved_at_step"] for row in rows] == [None, None]


def test_flags_that_the_training_script_refuses_are_reported(capsys, script):
    script("import sys\nsys.exit(print('train.py: flag --x is wrong.', file=sys.stderr) or 2)\n")

    code, rows, error = run(capsys, "--seeds=0")

    assert (code, rows) == (2, None)
    assert error.startswith("bench.solved: train.py: flag --x is wrong. ")
    assert error.count("\n") == 1


def test_a_training_that_fails_is_an_error(script, capsys):
    script("raise SystemExit(1)")

    with pytest.raises(RuntimeError, match="--seed=0"):
        run(capsys, "--seeds=0")
