import errno
import json
import os
import pathlib
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import flagsaver
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import dnc
import tasks
import train
from training.lock import Lock
from training.models import load

SCRIPT = pathlib.Path(train.__file__).resolve()
TINY = shlex.split(
    "--hidden_size=8 --memory_size=4 --word_size=4 --num_read_heads=1"
    " --checkpoint_dir=run --report_interval=10"
)


def command_line(directory, *arguments):
    """Runs train.py as a user would, in `directory`."""
    return subprocess.run(
        [sys.executable, str(SCRIPT), *arguments],
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=300,
    )


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "lock"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A directory with a run of 20 steps in run/, and what running it gave."""
    directory = tmp_path_factory.mktemp("finished")
    arguments = ["--num_training_iterations=20", "--checkpoint_interval=10"]
    return directory, command_line(directory, *TINY, *arguments)


@pytest.fixture
def copy_of_finished(finished, tmp_path):
    shutil.copytree(finished[0] / "run", tmp_path / "run")
    return tmp_path


def test_a_run_shows_progress_a_sample_the_result_and_what_to_open_next(finished):
    _, process = finished
    lines = process.stdout.splitlines()

    assert process.returncode == 0
    assert lines[0].startswith("Training in run: repeat_copy, ")
    assert [line.split(":")[0] for line in lines if line.startswith("step ")] == [
        "step 10 of 20",
        "step 20 of 20",
    ]
    for title in ("Observations:", "Targets:", "Model Output:"):
        assert lines.count(title) == 2
    assert lines[-3].startswith("Finished step 20. 1,000 fresh sequences: ")
    assert "wrong bits per sequence" in lines[-3]
    assert lines[-2].startswith("Next, look into its memory: ")
    assert lines[-2].endswith("open http://localhost:6006/#dnc_memory:")
    program, option, directory = shlex.split(lines[-1])
    assert pathlib.Path(program).name == "tensorboard"
    assert pathlib.Path(program).is_absolute()
    assert (option, directory) == ("--logdir", "run")


def test_a_run_that_goes_well_writes_nothing_on_standard_error(finished):
    # TensorFlow up to 2.20 logs that it compiles, whatever it is told.
    of_tensorflow = ("I0000 ", "WARNING: All log messages before absl::InitializeLog()")
    assert [x for x in finished[1].stderr.splitlines() if not x.startswith(of_tensorflow)] == []


def test_a_run_leaves_its_flags_a_checkpoint_and_event_files(finished):
    directory, _ = finished
    flags = json.loads((directory / "run" / "flags.json").read_text())

    assert flags["hidden_size"] == 8
    assert flags["learning_rate"] == 1e-4
    assert "num_training_iterations" not in flags
    assert (directory / "run" / "step-20.index").exists()
    assert list((directory / "run").glob("events.out.tfevents.*"))
    assert [path.name for path in directory.iterdir()] == ["run"]


def test_looks_into_the_memory_are_at_the_same_episodes_from_the_first_step_to_the_last(tmp_path):
    arguments = "--num_training_iterations=25 --summary_interval=10 --trace_file=run/last.npz"
    process = command_line(tmp_path, *TINY, *shlex.split(arguments))

    assert process.returncode == 0
    events = EventAccumulator(str(tmp_path / "run"), size_guidance={"tensors": 0}).Reload()
    for tag in ("episode", "memory/1_episode", "memory/usage", "probe/loss"):
        assert [event.step for event in events.Tensors(tag)] == [0, 10, 20, 25]
    for tag in ("gradient_norm/lstm", "update_norm/lstm"):
        assert [event.step for event in events.Tensors(tag)] == [10, 20, 25]

    trace = dnc.Trace.load(tmp_path / "run" / "last.npz")
    core, task = load(tmp_path / "run")
    again = dnc.record(core, trace.inputs, sequence_length=trace.sequence_length)
    np.testing.assert_allclose(again.outputs, trace.outputs, atol=1e-5)
    assert (trace.task, trace.step) == (task.name, 25)
    said = process.stdout.splitlines()
    line = said[said.index("To make a page of the trace:") + 1]
    assert line.endswith(" -m dnc_inspector run/last.npz")


def test_without_summaries_there_are_no_event_files_and_the_same_result(finished, tmp_path):
    process = command_line(tmp_path, *TINY, "--num_training_iterations=20", "--nosummaries")

    assert process.returncode == 0
    assert not list((tmp_path / "run").glob("events.*"))
    assert "localhost" not in process.stdout
    lines = [x for x in process.stdout.splitlines() if x.startswith(("step ", "Finished"))]
    theirs = [x for x in finished[1].stdout.splitlines() if x.startswith(("step ", "Finished"))]
    assert [x.split(", wrong")[0] for x in lines] == [x.split(", wrong")[0] for x in theirs]


def test_the_same_command_with_more_steps_resumes(copy_of_finished):
    process = command_line(copy_of_finished, *TINY, "--num_training_iterations=30")
    lines = process.stdout.splitlines()

    assert process.returncode == 0
    assert lines[0].startswith("Resuming in run: ")
    assert "step 20." in lines[0]
    assert [line.split(":")[0] for line in lines if line.startswith("step ")] == ["step 30 of 30"]
    assert lines[-3].startswith("Finished step 30. ")
    assert (copy_of_finished / "run" / "step-30.index").exists()


def test_a_run_is_not_resumed_with_other_flags(copy_of_finished):
    before = contents(copy_of_finished / "run")
    arguments = ["--learning_rate=0.25", "--num_training_iterations=30"]

    process = command_line(copy_of_finished, *TINY, *arguments)

    assert process.returncode == 2
    assert process.stdout == ""
    assert "Traceback" not in process.stderr
    last_line = process.stderr.splitlines()[-1]
    assert "--learning_rate=0.0001 there, 0.25 here" in last_line
    assert "resume" in last_line
    assert "--checkpoint_dir" in last_line
    assert contents(copy_of_finished / "run") == before


def test_a_run_goes_on_with_another_number_of_slots(copy_of_finished):
    arguments = ["--memory_size=6", "--num_training_iterations=30"]

    process = command_line(copy_of_finished, *TINY, *arguments)

    assert process.returncode == 0
    lines = process.stdout.splitlines()
    assert "step 20." in lines[0]
    assert lines[1] == "It goes on with --memory_size=6; before it was 4."
    assert load(copy_of_finished / "run")[0].access.memory_size == 6


def flip_a_bit(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_a_damaged_checkpoint_is_named_and_the_one_before_goes_on_to_the_same_end(copy_of_finished):
    expected = contents(copy_of_finished / "run")
    flip_a_bit(copy_of_finished / "run" / "step-20.data-00000-of-00001")

    process = command_line(copy_of_finished, *TINY, "--num_training_iterations=20")

    assert process.returncode == 0
    assert (
        "Warning: step-20.data-00000-of-00001 is damaged (checksum): going on from step 10. "
        "The damaged files are kept as *.damaged."
    ) in process.stderr.splitlines()
    found = contents(copy_of_finished / "run")
    for name in expected:
        assert found[name] == expected[name], name


def test_where_all_checkpoints_are_damaged_that_is_an_error_and_nothing_is_changed(
    in_process, copy_of_finished
):
    flip_a_bit(copy_of_finished / "run" / "step-10.index")
    flip_a_bit(copy_of_finished / "run" / "step-20.json")
    before = contents(copy_of_finished / "run")

    code, error = in_process(*TINY, "--num_training_iterations=30")

    assert code == 2
    (line,) = error.splitlines()
    for part in ("step-10.index is damaged", "step-20.json is damaged", "--checkpoint_dir"):
        assert part in line
    assert contents(copy_of_finished / "run") == before


def test_a_second_run_in_the_same_directory_is_refused(in_process, copy_of_finished):
    held = Lock(copy_of_finished / "run", pytest.fail)

    code, error = in_process(*TINY, "--num_training_iterations=30")

    held.release()
    assert code == 2
    (line,) = error.splitlines()
    assert f"run is in use by process {os.getpid()} on " in line


def test_where_no_file_can_grow_the_training_goes_on_and_the_end_is_an_error(tmp_path):
    """A limit for the size of files is as a full disk, and needs no disk."""
    arguments = shlex.split("--num_training_iterations=20 --checkpoint_interval=10 --nojit")
    command = shlex.join([sys.executable, str(SCRIPT), *TINY, *arguments])

    process = subprocess.run(
        ["bash", "-c", f"ulimit -f 10; {command}"], cwd=tmp_path, capture_output=True, text=True
    )

    assert process.returncode == 1
    assert [line for line in process.stdout.splitlines() if line.startswith("Finished step 20.")]
    too_large = "File too large."
    assert [x for x in process.stderr.splitlines() if x.startswith(("Warning", "train.py"))] == [
        f"Warning: Cannot write for TensorBoard: {too_large} The training goes on without.",
        f"Warning: Cannot save step 10 in run: {too_large} The training goes on. "
        "There is no checkpoint.",
        f"train.py: Cannot save step 20 in run: {too_large} Nor in {tempfile.gettempdir()}: "
        f"{too_large} There is no checkpoint.",
    ]


def test_an_end_that_cannot_be_saved_in_its_place_is_saved_in_another(
    tmp_path, monkeypatch, capsys
):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(train.Run, "save", full)
    arguments = [*TINY, "--num_training_iterations=2", "--nojit", "--nosummaries"]
    monkeypatch.setattr(sys, "argv", ["train", *arguments])

    with flagsaver.flagsaver():
        assert train.main(train._parse(sys.argv)) == 1

    message, command = capsys.readouterr().err.splitlines()
    assert message.startswith("train.py: Cannot save step 2 in run: No space left on device. It is")
    (place,) = tmp_path.glob("run-*")
    assert shlex.split(command)[-1] == f"--checkpoint_dir={place}"
    assert load(place)[1].name == "repeat_copy"


def interrupt_after_first_report(command, directory):
    """Starts a training, sends SIGINT once it reports progress, and returns all it printed."""
    with subprocess.Popen(
        command,
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            lines = []
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                if line.startswith("step "):
                    break
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 0
    return lines + rest.splitlines()


def step_in(line):
    """The number after the word `step`."""
    return int(line.split("step ")[1].split()[0].rstrip(".;").replace(",", ""))


@pytest.mark.slow
def test_an_interrupted_run_is_saved_and_its_last_line_resumes_it(tmp_path):
    arguments = [*TINY, "--num_training_iterations=100000000"]
    lines = interrupt_after_first_report([sys.executable, str(SCRIPT), *arguments], tmp_path)

    assert lines[-2].startswith("Stopped at step ")
    assert "saved" in lines[-2]
    stopped = step_in(lines[-2])
    assert (tmp_path / "run" / f"step-{stopped}.index").exists()

    lines = interrupt_after_first_report(shlex.split(lines[-1]), tmp_path)

    assert lines[0].startswith("Resuming in run: ")
    assert step_in(lines[0]) == stopped
    assert step_in(lines[-2]) > stopped


def newest_step(directory):
    steps = [int(path.stem.removeprefix("step-")) for path in directory.glob("step-*.json")]
    return max(steps, default=0)


@pytest.mark.slow
def test_a_run_that_is_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path):
    """During steps, saves, reports and looks: it does all of them all the time."""
    arguments = shlex.split(
        "--hidden_size=4 --memory_size=3 --word_size=2 --num_read_heads=1 --batch_size=2"
        " --max_length=1 --max_repeats=1 --learning_rate=1e-2 --nojit --report_interval=7"
        " --summary_interval=10 --checkpoint_interval=1 --num_training_iterations=150"
        " --stop_when_solved"
    )
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    uninterrupted = command_line(tmp_path, *arguments, f"--checkpoint_dir={whole}")
    command = [sys.executable, str(SCRIPT), *arguments, f"--checkpoint_dir={killed}"]
    generator = random.Random(0)
    said = []
    for _ in range(5):
        before = newest_step(killed)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            end = time.monotonic() + 60
            while newest_step(killed) == before and time.monotonic() < end:
                time.sleep(0.005)
            time.sleep(generator.uniform(0, 0.5))
            process.kill()
            said += process.stdout.read().splitlines()

    process = subprocess.run(command, capture_output=True, text=True, check=True)

    assert newest_step(whole) == 150
    saved = {name: data for name, data in contents(whole).items() if name.startswith("step-")}
    assert {name: data for name, data in contents(killed).items() if name in saved} == saved
    assert not [line for line in process.stderr.splitlines() if line.startswith("Warning")]

    def reports(lines):
        return set(re.findall(r"^step .* wrong bits [\d.]+", "\n".join(lines), re.MULTILINE))

    said += process.stdout.splitlines()
    assert reports(said) <= reports(uninterrupted.stdout.splitlines())
    norms = [
        {
            (tag, event.step): tf.make_ndarray(event.tensor_proto).item()
            for path in sorted(directory.glob("events.*"))
            for events in [EventAccumulator(str(path), size_guidance={"tensors": 0}).Reload()]
            for tag in events.Tags()["tensors"]
            if tag in ("loss", "update_norm/lstm", "gradient_norm/lstm")
            for event in events.Tensors(tag)
        }
        for directory in (whole, killed)
    ]
    assert norms[0].items() >= norms[1].items()
    assert len(norms[1]) > 20


def test_training_learns(tmp_path):
    arguments = shlex.split(
        "--hidden_size=16 --memory_size=4 --word_size=4 --num_read_heads=1"
        " --num_bits=1 --max_length=1 --max_repeats=1 --learning_rate=1e-3"
        " --report_interval=200 --num_training_iterations=5000 --stop_when_solved"
    )

    process = command_line(tmp_path, *arguments)

    assert process.returncode == 0
    assert process.stdout.splitlines()[-3].startswith("Solved at step ")
    assert "0 wrong bits per sequence, 100.0% without error" in process.stdout
    assert (tmp_path / "checkpoints" / "repeat_copy" / "flags.json").exists()


@pytest.fixture
def in_process(tmp_path, monkeypatch, capsys):
    """Runs the flags parser and main in this process; returns the exit code and standard error."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        # The script knows its own flags by sys.argv[0]; imported, they belong to module `train`.
        monkeypatch.setattr(sys, "argv", ["train", *arguments])
        with flagsaver.flagsaver():
            try:
                code = train.main(train._parse(sys.argv))
            except SystemExit as error:
                code = error.code
        return code, capsys.readouterr().err

    return run


@pytest.mark.parametrize(
    "arguments, said",
    [
        ("--num_bits=0", ["num_bits", "0", "[1, 2147483647]"]),
        ("--min_length=3 --max_length=2", ["min_length", "at most max_length", "3 > 2"]),
        ("--task=nonsense", ["nonsense", "repeat_copy"]),
        ("--learning_rate=nan", ["learning_rate", "nan", "1e-30 to 1e30"]),
        ("--learning_rate=0", ["learning_rate", "0", "1e-30 to 1e30"]),
        ("--clip_value=inf", ["clip_value", "inf", "0 or from 1e-30 to 1e30"]),
        ("--clip_value=-1", ["clip_value", "-1", "non-negative"]),
        ("--max_grad_norm=1e300", ["max_grad_norm", "1e+300", "1e-30 to 1e30"]),
        ("--nonsense=1", ["nonsense", "--help"]),
        ("--batch_size=x", ["batch_size", "x", "int"]),
        ("--jit=maybe", ["jit", "maybe", "boolean"]),
        ("--seed=-1", ["seed", "-1", "[0, 2147483647]"]),
        ("--checkpoint_interval=-2", ["checkpoint_interval", "-2", "-1"]),
        ("--summary_interval=0", ["summary_interval", "0", "[1, "]),
        ("--nan_policy=pray", ["nan_policy", "pray", "stop|skip|restore"]),
        ("--max_signal=nan", ["max_signal", "nan", "0 or from"]),
        ("--trace_file=missing/trace.npz", ["--trace_file=missing/trace.npz", "No such file"]),
        ("--trace_file=.", ["--trace_file=.", "Is a directory"]),
        ("--task=addition --two_way", ["addition", "no option --two_way", "it has --num_digits"]),
        ("--task=copy --max_length=0", ["max_length", "0", "[1, "]),
        ("--task=key_value --num_bits=5", ["num_bits", "even", "5"]),
        ("--task=priority_sort --layout=heap", ["layout", "ntm, chainer", "'heap'"]),
        ("--decay_steps=1", ["learning rate is 0 from step 1 on", "--decay_steps"]),
        ("--preset=nonsense", ["--preset", "nonsense", "copy_series_bgavran"]),
        ("--preset=copy --task=argmax", ["--preset=copy", "--task=copy", "argmax"]),
        ("--num_layers=2", ["--num_layers", "deep_lstm"]),
        ("--core=lstm --trace_file=x.npz", ["--trace_file", "--core=dnc"]),
        ("--curriculum=hope", ["curriculum", "hope", "look_back"]),
        ("--momentum=1", ["momentum", "1"]),
        ("--trace_file=run --checkpoint_dir=run", ["--trace_file=run", "Is a directory"]),
        ("--trace_file=a --checkpoint_dir=a/run", ["--trace_file=a", "Is a directory"]),
        ("--trace_file='a\0b'", ["trace_file", "UTF-8 text without null"]),
        ("--checkpoint_dir=\udcff", ["checkpoint_dir", "UTF-8 text"]),
        ("--num_read_heads=101", ["num_read_heads", "101", "[1, 100]"]),
        ("--memory_size=1000000000", ["GiB", "Lower", "--memory_size", "--linkage=sparse"]),
        ("--hidden_size=1000000", ["GiB", "parameters", "Lower", "--hidden_size"]),
        ("--max_length=1000000000", ["3,000,000,003", "time steps", "2,147,483,647"]),
    ],
)
def test_bad_input_is_refused_with_what_is_wrong_and_what_is_allowed(
    in_process, tmp_path, arguments, said
):
    code, error = in_process(*shlex.split(arguments))

    assert code == 2
    assert "Traceback" not in error
    (line,) = error.splitlines()
    for part in said:
        assert part in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "argument, said",
    [
        ("--learning_rate=-1", ["learning_rate", "-1", "1e-30 to 1e30"]),
        ("positional", ["positional", "--"]),
        ("--checkpoint_dir=file/run", ["file/run", "Not a directory"]),
    ],
)
def test_bad_input_on_the_command_line_is_an_exit_code_of_2_and_one_line(tmp_path, argument, said):
    (tmp_path / "file").write_text("")

    process = command_line(tmp_path, argument)

    assert process.returncode == 2
    assert process.stdout == ""
    assert "Traceback" not in process.stderr
    for part in said:
        assert part in process.stderr.splitlines()[-1]
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_only_the_error_is_on_standard_error(tmp_path):
    process = command_line(tmp_path, "--nonsense=1")

    assert process.stderr.startswith("train.py: ")
    assert process.stderr.count("\n") == 1


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
    options = tasks.defaults("repeat_copy")
    assert options.get(name, train.FLAGS[name].default) == default


# So large a learning rate that the second step is not finite.
EXPLODING = shlex.split("--learning_rate=1e20 --nojit --checkpoint_interval=2")


def test_a_step_that_is_not_finite_ends_the_training_with_a_report(tmp_path):
    process = command_line(tmp_path, *TINY, *EXPLODING, "--num_training_iterations=30")

    assert process.returncode == 1
    line = process.stderr.splitlines()[-1]
    assert line.startswith("train.py: Training step 1 is not finite: ")
    for part in ("Report: run/not-finite-1.", "--learning_rate", "--nan_policy"):
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


def test_steps_that_are_not_finite_are_left_out_until_they_are_too_many(tmp_path):
    process = command_line(
        tmp_path, *TINY, *EXPLODING, "--num_training_iterations=30", "--nan_policy=skip",
        "--nan_limit=3",
    )  # fmt: skip

    assert process.returncode == 1
    warnings = [x for x in process.stderr.splitlines() if x.endswith("It is left out.")]
    assert [x.split(" is not")[0] for x in warnings] == [
        f"Warning: Training step {step}" for step in (1, 2, 3)
    ]
    assert "Training step 4 is not finite" in process.stderr.splitlines()[-1]
    assert "after too many" in process.stderr.splitlines()[-1]


def test_from_a_checkpoint_it_goes_on_with_a_lower_learning_rate_and_so_it_does_later(tmp_path):
    arguments = [*TINY, *EXPLODING, "--nan_policy=restore", "--nan_limit=20"]
    process = command_line(tmp_path, *arguments, "--num_training_iterations=20")

    assert process.returncode == 0
    warnings = [x for x in process.stderr.splitlines() if "Back to step" in x]
    assert 2 <= len(warnings) <= 20
    rates = [float(x.rstrip(".").split()[-1]) for x in warnings]
    for i, rate in enumerate(rates):
        assert rate == pytest.approx(1e20 / 2 ** (i + 1), rel=0.01)
    saved = json.loads((tmp_path / "run" / "step-20.json").read_text())
    assert saved["state"]["learning_rate"] == 1e20 / 2 ** len(warnings)

    process = command_line(tmp_path, *arguments, "--num_training_iterations=30")

    assert process.returncode == 0
    assert "Back to step" not in process.stderr


def test_a_bound_on_the_signal_is_a_flag_of_the_model(tmp_path):
    process = command_line(
        tmp_path, *TINY, "--num_training_iterations=10", "--max_signal=0.001", "--nojit"
    )

    assert process.returncode == 0
    core, _ = load(tmp_path / "run")
    assert core.controller.bound == 0.001


def test_a_preset_is_told_and_what_is_given_goes_before_it(tmp_path):
    arguments = "--task=argmax --hidden_size=5 --nojit --num_training_iterations=2"
    process = command_line(tmp_path, *shlex.split(arguments), "--checkpoint_interval=-1")

    assert (process.returncode, process.stderr) == (0, "")
    lines = process.stdout.splitlines()
    assert lines[0].startswith("Preset argmax: ")
    assert "--optimizer=adam" in lines[0] and "hidden_size" not in lines[0]
    assert "absolute error per sequence" in process.stdout
    saved = json.loads((tmp_path / "checkpoints" / "argmax" / "flags.json").read_text())
    assert (saved["optimizer"], saved["hidden_size"], saved["max_length"]) == ("adam", 5, 12)
    assert "min_repeats" not in saved


@pytest.mark.parametrize("core", ["lstm", "ntm"])
def test_a_baseline_trains_saves_and_resumes_like_a_dnc(in_process, tmp_path, core):
    arguments = [*TINY, "--task=copy", "--max_length=2", f"--core={core}", "--nojit"]
    arguments += ["--summary_interval=2"]

    assert in_process(*arguments, "--num_training_iterations=3") == (0, "")
    assert in_process(*arguments, "--num_training_iterations=6") == (0, "")
    assert in_process(*arguments, "--num_training_iterations=6", "--checkpoint_dir=b") == (0, "")

    name = "step-6.data-00000-of-00001"
    assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    events = EventAccumulator(str(tmp_path / "b"), size_guidance={"tensors": 0}).Reload()
    assert [event.step for event in events.Tensors("probe/loss")] == [0, 2, 4, 6]
    trained, task = load(tmp_path / "run")
    assert type(trained).__name__ == {"lstm": "LSTMBaseline", "ntm": "NTM"}[core]
    assert task.name == "copy"


def test_lessons_are_told_saved_and_gone_on_with(in_process, tmp_path):
    arguments = [*TINY, "--task=copy", "--max_length=4", "--curriculum=naive", "--nojit"]
    arguments += ["--lesson_threshold=100", "--report_interval=2"]  # Whatever it does is enough.

    assert in_process(*arguments, "--num_training_iterations=4")[0] == 0
    assert in_process(*arguments, "--num_training_iterations=8")[0] == 0
    assert in_process(*arguments, "--num_training_iterations=8", "--checkpoint_dir=b")[0] == 0

    name = "step-8.data-00000-of-00001"
    assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    events = EventAccumulator(str(tmp_path / "b"), size_guidance={"tensors": 0}).Reload()
    found = [float(tf.make_ndarray(event.tensor_proto)) for event in events.Tensors("lesson")]
    assert found == [1, 2, 3, 4]
