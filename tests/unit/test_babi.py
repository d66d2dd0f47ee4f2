"""Training on bAbI, as a user types it. With a memory: tests/system/test_babi.py."""

import shlex

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import tasks
from tests import golden, scripts
from training import checkpoints

DATA = golden.DATA / "babi"
TINY = shlex.split(
    "--task=babi --tasks=1,19 --batch_size=3 --hidden_size=6 --memory_size=4"
    " --word_size=3 --num_read_heads=1 --recompute_every=0 --nojit --nosummaries"
)
LSTM = ["--max_buckets=1", "--core=lstm"]  # Less to trace, where it does not matter what learns.


def run_train(*arguments):
    return scripts.run_train(*TINY, *arguments)


def test_a_training_without_progress_stops(tmp_path):
    run = tmp_path / "run"
    # The learning rate is too small for any answer to change.
    arguments = [
        *LSTM,
        f"--data_dir={DATA}",
        f"--checkpoint_dir={run}",
        "--num_training_iterations=9",
        "--learning_rate=1e-30",
        "--validation_interval=1",
    ]

    ended = run_train(*arguments, "--patience=2")

    assert ended.code == 0
    said = [line for line in ended.lines if "validation:" in line]
    assert len(said) == 3
    assert said[0].startswith("step 1: validation: ") and said[0].endswith(", the best so far")
    assert "% of the questions wrong" in said[0]
    assert "No improvement in recent validations. Stopped at step 3." in ended.out
    assert checkpoints.read(run, 3).best.step == 1

    ended = run_train(*arguments, "--patience=3")

    assert ended.code == 0
    assert "No improvement in recent validations. Stopped at step 4." in ended.out


def test_a_training_stops_when_a_validation_finds_it_solved(tmp_path, monkeypatch):
    asked = []

    def is_solved(self, metrics):
        asked.append(metrics)
        return len(asked) > 2  # Each validation asks twice: the report, and the loop.

    monkeypatch.setattr(tasks.find("babi"), "is_solved", is_solved)
    arguments = [
        *LSTM,
        f"--data_dir={DATA}",
        f"--checkpoint_dir={tmp_path / 'run'}",
        "--stop_when_solved",
        "--validation_interval=2",
        "--num_training_iterations=9",
        "--summaries",
    ]

    for _ in range(2):  # The second time nothing is left to do.
        ended = run_train(*arguments)
        assert ended.code == 0
        assert ended.out.count("Solved at step 4.") == 1

    assert len(asked) == 4
    last = checkpoints.read(tmp_path / "run", 4)
    assert last.state["validation"] == [4, asked[3]["question_error"]]
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    errors = [
        [
            float(tf.make_ndarray(event.tensor_proto))
            for event in events.Tensors(f"validation/{tag}")
        ]
        for tag in ("question_error", "question_error/1", "question_error/19")
    ]
    np.testing.assert_allclose(errors[0], np.mean(errors[1:], axis=0), rtol=1e-6)
    np.testing.assert_allclose(
        errors[0], [metrics["question_error"] for metrics in asked[::2]], 1e-6
    )


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "Task babi needs data_dir"),
        (["--data_dir=nowhere"], "Cannot read bAbI data from nowhere: No such file or directory."),
        ([f"--data_dir={DATA}", "--tasks=2"], "There is no train file of bAbI task 2"),
        ([f"--data_dir={DATA}", "--tasks=1-30"], "tasks must be numbers from 1 to 20"),
        ([f"--data_dir={DATA}", "--curriculum=naive"], "Task babi has no sizes"),
        (
            [f"--data_dir={DATA}", "--validation_interval=0", "--patience=2"],
            "Give a validation_interval",
        ),
        ([f"--data_dir={DATA}", "--max_length=2"], "flag 'max_length'"),
    ],
)
def test_what_cannot_be_trained_is_one_line_and_exit_code_2(tmp_path, arguments, said):
    ended = run_train(f"--checkpoint_dir={tmp_path / 'run'}", *arguments)

    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert line.startswith("train.py: ") and said in line
