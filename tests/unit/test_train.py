"""train.py in this process: runs of a few steps, and what it refuses. (As processes: system.)"""

import errno
import json
import os
import pathlib
import shlex
import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import dnc
from tests.scripts import contents, flip_a_bit, run_train, save_untrained
from training import experiment, runs
from training.config import Config
from training.lock import Lock
from training.models import load

TINY = shlex.split(
    "--hidden_size=8 --memory_size=4 --word_size=4 --num_read_heads=1 --batch_size=2"
    " --checkpoint_dir=run --report_interval=10 --nojit"
)
VALUES = "data-00000-of-00001"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A directory with a run of 25 steps in run/, and what running it gave."""
    directory = tmp_path_factory.mktemp("finished")
    intervals = ["--checkpoint_interval=10", "--summary_interval=10"]
    arguments = [*intervals, "--num_training_iterations=25", "--trace_file=run/last.npz"]
    return directory, run_train(*TINY, *arguments, directory=directory)


@pytest.fixture
def copy_of_finished(finished, tmp_path):
    shutil.copytree(finished[0] / "run", tmp_path / "run")
    return tmp_path


def steps_reported(ended):
    return [line.split(":")[0] for line in ended.lines if line.startswith("step ")]


def events_of(directory):
    return EventAccumulator(str(directory), size_guidance={"tensors": 0}).Reload()


class TestARun:
    def test_shows_progress_samples_the_result_and_what_to_open_next(self, finished):
        _, ended = finished
        lines = ended.lines

        assert (ended.code, ended.err) == (0, "")
        assert lines[0].startswith("Training in run: repeat_copy, ")
        assert steps_reported(ended) == ["step 10 of 25", "step 20 of 25"]
        for title in ("Observations:", "Targets:", "Model Output:"):
            assert lines.count(title) == 2
        (final,) = [k for k, line in enumerate(lines) if line.startswith("Finished step 25. ")]
        assert "1,000 fresh sequences: " in lines[final]
        assert "wrong bits per sequence" in lines[final]
        assert lines[final + 1] == "To make a page of the trace:"
        assert lines[final + 2].endswith(" -m dnc_inspector run/last.npz")
        assert lines[-2].startswith("Next, look into its memory: ")
        assert lines[-2].endswith("open http://localhost:6006/#dnc_memory:")
        program, option, directory = shlex.split(lines[-1])
        assert pathlib.Path(program).name == "tensorboard"
        assert pathlib.Path(program).is_absolute()
        assert (option, directory) == ("--logdir", "run")

    def test_leaves_its_flags_checkpoints_and_event_files(self, finished):
        directory, _ = finished
        flags = json.loads((directory / "run" / "flags.json").read_text())

        assert flags["hidden_size"] == 8
        assert flags["learning_rate"] == 1e-4
        assert "num_training_iterations" not in flags
        for step in (10, 20, 25):
            assert (directory / "run" / f"step-{step}.index").exists()
        assert list((directory / "run").glob("events.out.tfevents.*"))
        assert [path.name for path in directory.iterdir()] == ["run"]

    def test_looks_into_the_memory_at_the_same_episodes_to_the_end(self, finished):
        run = finished[0] / "run"
        events = events_of(run)
        for tag in ("episode", "memory/1_episode", "memory/usage", "probe/loss"):
            assert [event.step for event in events.Tensors(tag)] == [0, 10, 20, 25]
        for tag in ("gradient_norm/lstm", "update_norm/lstm"):
            assert [event.step for event in events.Tensors(tag)] == [10, 20, 25]

        trace = dnc.Trace.load(run / "last.npz")
        core, task = load(run)
        again = dnc.record(core, trace.inputs, sequence_length=trace.sequence_length)
        np.testing.assert_allclose(again.outputs, trace.outputs, atol=1e-5)
        assert (trace.task, trace.step) == (task.name, 25)

    def test_without_summaries_has_no_event_files_and_the_same_result(self, finished, tmp_path):
        arguments = [*TINY, "--num_training_iterations=25", "--nosummaries"]
        ended = run_train(*arguments, directory=tmp_path)

        assert ended.code == 0
        assert not list((tmp_path / "run").glob("events.*"))
        assert "localhost" not in ended.out
        lines, theirs = (
            [x.split(", wrong")[0] for x in found.lines if x.startswith(("step ", "Finished"))]
            for found in (ended, finished[1])
        )
        assert lines == theirs

    def test_starts_from_the_values_of_its_seed(self, tmp_path):
        for name, seed in {"a": 0, "b": 0, "c": 1}.items():
            arguments = [f"--checkpoint_dir={name}", f"--seed={seed}"]
            save_untrained(*TINY, *arguments, directory=tmp_path)

        a, b, c = ((tmp_path / name / f"step-0.{VALUES}").read_bytes() for name in "abc")
        assert a == b != c

    def test_tells_its_preset_which_other_flags_override(self, tmp_path):
        arguments = "--task=argmax --hidden_size=5 --memory_size=6 --nojit --max_signal=0.001"
        arguments += " --num_training_iterations=2 --checkpoint_interval=-1"
        ended = run_train(*shlex.split(arguments), directory=tmp_path, evaluates=False)

        assert (ended.code, ended.err) == (0, "")
        assert ended.lines[1].startswith("Preset argmax: ")
        assert "--optimizer=adam" in ended.lines[1] and "memory_size" not in ended.lines[1]
        assert "absolute error per sequence" in ended.out
        run = tmp_path / "checkpoints" / "argmax"
        saved = json.loads((run / "flags.json").read_text())
        assert (saved["optimizer"], saved["hidden_size"], saved["max_length"]) == ("adam", 5, 12)
        assert "min_repeats" not in saved
        assert load(run)[0].controller.bound == 0.001


class TestResuming:
    def test_continues_also_with_another_number_of_slots(self, copy_of_finished):
        arguments = [*TINY, "--memory_size=6", "--num_training_iterations=30"]
        ended = run_train(*arguments, directory=copy_of_finished, evaluates=False)

        assert ended.code == 0
        assert ended.lines[0].startswith("Resuming in run: ")
        assert "step 25." in ended.lines[0]
        assert ended.lines[1] == "Continuing with memory_size=6 (was 4)."
        assert steps_reported(ended) == ["step 30 of 30"]
        assert any(line.startswith("Finished step 30. ") for line in ended.lines)
        assert (copy_of_finished / "run" / "step-30.index").exists()
        assert load(copy_of_finished / "run")[0].access.memory_size == 6

    def test_is_refused_with_other_flags(self, copy_of_finished):
        before = contents(copy_of_finished / "run")
        arguments = [*TINY, "--learning_rate=0.25", "--num_training_iterations=30"]

        ended = run_train(*arguments, directory=copy_of_finished)

        assert (ended.code, ended.out) == (2, "")
        (line,) = ended.err.splitlines()
        assert "learning_rate=0.0001 there, 0.25 here" in line
        assert "resume" in line
        assert "another directory" in line
        assert contents(copy_of_finished / "run") == before

    def test_from_the_last_intact_checkpoint_comes_to_the_same_end(self, copy_of_finished):
        expected = contents(copy_of_finished / "run")
        flip_a_bit(copy_of_finished / "run" / f"step-25.{VALUES}")

        arguments = [*TINY, "--num_training_iterations=25"]
        ended = run_train(*arguments, directory=copy_of_finished, evaluates=False)

        assert ended.code == 0
        assert ended.lines[0].startswith("Resuming in run: ") and "step 20." in ended.lines[0]
        assert ended.err == (
            f"Warning: step-25.{VALUES} is damaged (checksum): continuing from step 20. "
            "The damaged files are kept as *.damaged.\n"
        )
        found = contents(copy_of_finished / "run")
        for name in expected:
            assert found[name] == expected[name], name

    def test_is_refused_where_all_checkpoints_are_damaged(self, copy_of_finished):
        for name in ("step-10.index", "step-20.json", f"step-25.{VALUES}"):
            flip_a_bit(copy_of_finished / "run" / name)
        before = contents(copy_of_finished / "run")

        ended = run_train(*TINY, "--num_training_iterations=30", directory=copy_of_finished)

        assert ended.code == 2
        (line,) = ended.err.splitlines()
        for part in ("step-10.index is damaged", "step-20.json is damaged", "another directory"):
            assert part in line
        assert contents(copy_of_finished / "run") == before

    def test_is_refused_while_another_run_has_the_directory(self, copy_of_finished):
        held = Lock(copy_of_finished / "run", pytest.fail)
        ended = run_train(*TINY, "--num_training_iterations=30", directory=copy_of_finished)
        held.release()

        assert ended.code == 2
        (line,) = ended.err.splitlines()
        assert f"run is in use by process {os.getpid()} on " in line

    def test_comes_to_the_same_end_as_without_a_stop(self, tmp_path):
        arguments = [*TINY, "--task=copy", "--max_length=4", "--core=lstm", "--summary_interval=2"]
        # Any error is small enough for the next lesson.
        arguments += ["--curriculum=naive", "--lesson_threshold=100", "--lesson_window=4"]
        for run, num_steps in [("run", 3), ("run", 8), ("b", 8)]:
            more = [f"--num_training_iterations={num_steps}", f"--checkpoint_dir={run}"]
            ended = run_train(*arguments, *more, directory=tmp_path, evaluates=False)
            assert (ended.code, ended.err) == (0, "")

        name = f"step-8.{VALUES}"
        assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
        events = events_of(tmp_path / "b")
        assert [event.step for event in events.Tensors("probe/loss")] == [0, 2, 4, 6, 8]
        lessons = [float(tf.make_ndarray(e.tensor_proto)) for e in events.Tensors("lesson/number")]
        assert lessons == [1, 2, 3, 4]
        trained, task = load(tmp_path / "run")
        assert type(trained).__name__ == "LSTMBaseline"
        assert task.name == "copy"


def test_an_end_that_cannot_be_saved_in_its_place_is_saved_elsewhere(tmp_path, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(runs.Run, "save", full)
    arguments = [*TINY, "--num_training_iterations=2", "--nosummaries"]

    ended = run_train(*arguments, directory=tmp_path, evaluates=False)

    assert ended.code == 1
    message, _, command = ended.err.splitlines()
    assert message.startswith("train.py: Cannot save step 2 in run: No space left on device. Saved")
    (place,) = tmp_path.glob("run-*")
    assert shlex.split(command)[-1] == f"--checkpoint_dir={place}"
    assert load(place)[1].name == "repeat_copy"


@pytest.mark.parametrize(
    "arguments, said",
    [
        ("--num_bits=0", ["num_bits", ">= 1", "got 0"]),
        ("--min_length=3 --max_length=2", ["min_length", "at most max_length", "3 > 2"]),
        ("--task=nonsense", ["nonsense", "repeat_copy"]),
        ("--learning_rate=nan", ["learning_rate", "nan", "1e-30 to 1e+30"]),
        ("--learning_rate=0", ["learning_rate", "got 0", "1e-30 to 1e+30"]),
        ("--learning_rate=-1", ["learning_rate", "-1", "1e-30 to 1e+30"]),
        ("--clip_value=inf", ["clip_value", "inf", "0 or from 1e-30 to 1e+30"]),
        ("--clip_value=-1", ["clip_value", "-1", "0 or from 1e-30 to 1e+30"]),
        ("--max_grad_norm=1e300", ["max_grad_norm", "1e+300", "1e-30 to 1e+30"]),
        ("--nonsense=1", ["nonsense", "--help"]),
        ("positional", ["positional", "--"]),
        ("--batch_size=x", ["batch_size", "x", "int"]),
        ("--jit=maybe", ["jit", "maybe", "boolean"]),
        ("--seed=-1", ["seed", "-1", "from 0 to 2,147,483,647"]),
        ("--checkpoint_interval=-2", ["checkpoint_interval", "got -2", "from -1 to"]),
        ("--summary_interval=0", ["summary_interval", "got 0", "from 1 to"]),
        ("--nan_policy=pray", ["nan_policy", "pray", "stop, skip, restore"]),
        ("--max_signal=nan", ["max_signal", "nan", "0 or from"]),
        ("--trace_file=missing/trace.npz", ["trace_file=missing/trace.npz", "No such file"]),
        ("--trace_file=.", ["trace_file=.", "Is a directory"]),
        ("--task=addition --two_way", ["'two_way'", "train.py --task=addition --help"]),
        ("--task=copy --max_length=0", ["max_length", ">= 1", "got 0"]),
        ("--task=key_value --num_bits=5", ["num_bits", "even", "5"]),
        ("--task=priority_sort --layout=heap", ["layout", "ntm, chainer", "'heap'"]),
        ("--preset=nonsense", ["preset", "nonsense", "copy_series_bgavran"]),
        ("--preset=copy --task=argmax", ["preset=copy", "task=copy", "argmax"]),
        ("--num_layers=2", ["num_layers", "deep_lstm"]),
        ("--core=lstm --trace_file=x.npz", ["trace_file", "core=dnc"]),
        ("--core=lstm --bidirectional", ["bidirectional", "core=dnc"]),
        ("--core=biadnc --nobidirectional", ["core=biadnc", "core=adnc"]),
        ("--core=adnc --sharp_links", ["sharp_links", "linkage=dense"]),
        ("--mask_min=0.1", ["mask_min", "look_up=masked_cosine"]),
        ("--content_weights=cosine", ["content_weights"]),
        ("--curriculum=hope", ["curriculum", "hope", "look_back"]),
        ("--momentum=1", ["momentum", "1"]),
        ("--trace_file=run --checkpoint_dir=run", ["trace_file=run", "Is a directory"]),
        ("--trace_file=a --checkpoint_dir=a/run", ["trace_file=a", "Is a directory"]),
        ("--trace_file='a\0b'", ["UTF-8 text without null", "a\\x00b"]),
        ("--checkpoint_dir=\udcff", ["UTF-8 text", "udcff"]),
        ("--num_read_heads=101", ["num_read_heads", "101", "from 1 to 100"]),
        ("--memory_size=1000000000", ["GiB", "Lower", "memory_size", "linkage=sparse"]),
        ("--hidden_size=1000000", ["GiB", "parameters", "Lower", "hidden_size"]),
        ("--max_length=1000000000", ["3,000,000,003", "time steps", "2,147,483,647"]),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path, arguments, said):
    ended = run_train(*shlex.split(arguments), directory=tmp_path)

    assert (ended.code, ended.out) == (2, "")
    (line,) = ended.err.splitlines()
    assert line.startswith("train.py: ")
    for part in said:
        assert part in line
    assert not list(tmp_path.iterdir())


def test_memory_that_runs_out_is_one_line_and_exit_code_2(tmp_path, monkeypatch):
    def allocate(*arguments, **options):
        raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")

    monkeypatch.setattr(experiment, "make_core", allocate)

    ended = run_train(directory=tmp_path)

    assert (ended.code, ended.out) == (2, "")
    (line,) = ended.err.splitlines()
    assert line.startswith("train.py: There is not enough memory for this. Lower batch_size")
    assert not list(tmp_path.iterdir())


def test_a_directory_that_cannot_be_made_is_one_line_and_exit_code_2(tmp_path):
    (tmp_path / "file").write_text("")

    ended = run_train("--checkpoint_dir=file/run", directory=tmp_path)

    assert (ended.code, ended.out) == (2, "")
    (line,) = ended.err.splitlines()
    assert "file/run" in line and "Not a directory" in line
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "name, default",
    [
        ("hidden_size", 64),
        ("memory_size", 16),
        ("word_size", 16),
        ("num_write_heads", 1),
        ("num_read_heads", 4),
        ("clip_value", 20),
        ("max_grad_norm", 50),
        ("learning_rate", 1e-4),
        ("optimizer_epsilon", 1e-10),
        ("batch_size", 16),
        ("num_bits", 4),
        ("min_length", 1),
        ("max_length", 2),
        ("min_repeats", 1),
        ("max_repeats", 2),
        ("num_training_iterations", 100_000),
        ("report_interval", 100),
    ],
)
def test_the_flags_of_the_released_script_have_their_defaults(name, default):
    assert Config().declared()[name].default == default


# So large a learning rate that the second step is not finite.
EXPLODING = [*TINY, "--batch_size=16", "--nosummaries"]
EXPLODING += ["--learning_rate=1e20", "--checkpoint_interval=2"]


class TestAStepThatIsNotFinite:  # Or is left out or made again: tests/system/test_train.py.
    def test_ends_the_training_with_a_report(self, tmp_path):
        arguments = [*EXPLODING, "--num_training_iterations=30"]
        ended = run_train(*arguments, directory=tmp_path, evaluates=False)

        assert ended.code == 1
        (line,) = ended.err.splitlines()
        assert line.startswith("train.py: Training step 1 is not finite: ")
        for part in ("Report: run/not-finite-1.", "learning_rate", "nan_policy"):
            assert part in line
        assert {path.name for path in (tmp_path / "run" / "not-finite-1").iterdir()} >= {
            "report.txt",
            "batch.npz",
            "trace.npz",
            "state.index",
        }
        assert (tmp_path / "run" / "step-1.json").exists()  # What was good is saved.
        core, _ = load(tmp_path / "run")
        assert all(np.isfinite(variable).all() for variable in core.trainable_variables)
