import json

import pytest

from bench import solved

TINY = (
    "--hidden_size=8 --memory_size=4 --word_size=4 --num_read_heads=1 --num_training_iterations=5"
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


def test_a_row_tells_the_step_and_the_time_of_a_run_and_the_last_the_medians(capsys, script):
    script(
        "import sys\n"
        "seed = int(sys.argv[-1].removeprefix('--seed='))\n"
        "print('sample')\n"
        "print(f'Solved at step {1000 * (seed + 1):,}. 1,000 fresh sequences: 0 wrong bits')\n"
    )

    code, rows, _ = run(capsys, "--seeds=0,1,4", "--linkage=dense")

    assert code == 0
    assert [(row["linkage"], row["seed"], row["solved_at_step"]) for row in rows] == [
        ("dense", 0, 1000),
        ("dense", 1, 2000),
        ("dense", 4, 5000),
        ("dense", None, 2000),
    ]
    assert all(row["minutes"] > 0 for row in rows)


def test_a_run_is_the_one_of_make_train_with_the_seed_and_the_links(capsys, script, tmp_path):
    note = tmp_path / "arguments"
    script(f"import sys\nopen({str(note)!r}, 'w').write(' '.join(sys.argv[1:]))\n")

    run(capsys, "--seeds=3", "--linkage=sparse", "--train_flags=--num_bits=2 --nojit")

    first, second, directory, *rest = note.read_text().split()
    assert (first, second) == ("--stop_when_solved", "--report_interval=1000")
    assert directory.startswith("--checkpoint_dir=")
    assert rest == ["--linkage=sparse", "--seed=3", "--num_bits=2", "--nojit"]


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
