"""train.py as a process: what only a process can show, and a training to its end."""

import contextlib
import json
import random
import re
import shlex
import signal
import subprocess
import sys
import tempfile

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import dnc
from tests.scripts import ROOT, contents, run_evaluate, run_train, start
from tests.unit.test_train import EXPLODING
from training.models import load

TRAIN = [sys.executable, str(ROOT / "train.py")]
TINY = shlex.split(
    "--hidden_size=8 --memory_size=4 --word_size=4 --num_read_heads=1"
    " --checkpoint_dir=run --report_interval=10"
)


def test_a_run_that_goes_well_writes_nothing_on_standard_error(tmp_path):
    ended = start([*TRAIN, *TINY, "--num_training_iterations=10"], tmp_path)

    assert ended.code == 0
    assert ended.lines[0].startswith("Training in run: repeat_copy, ")
    # TensorFlow up to 2.20 logs that it compiles, whatever it is told.
    of_tensorflow = ("I0000 ", "WARNING: All log messages before absl::InitializeLog()")
    assert [x for x in ended.err.splitlines() if not x.startswith(of_tensorflow)] == []


@pytest.mark.parametrize("argument", ["--nonsense=1", "--checkpoint_dir=file/run"])
def test_only_the_error_is_on_standard_error(tmp_path, argument):
    (tmp_path / "file").write_text("")

    ended = start([*TRAIN, argument], tmp_path)

    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("train.py: ")
    assert ended.err.count("\n") == 1


def test_where_no_file_can_grow_the_training_goes_on_to_an_error(tmp_path):
    """A limit for the size of files is as a full disk, and needs no disk."""
    arguments = shlex.split("--num_training_iterations=20 --checkpoint_interval=10 --nojit")
    command = shlex.join([*TRAIN, *TINY, *arguments])

    ended = start(["bash", "-c", f"ulimit -f 10; {command}"], tmp_path)

    assert ended.code == 1
    assert [line for line in ended.lines if line.startswith("Finished step 20.")]
    too_large = "File too large."
    assert [x for x in ended.err.splitlines() if x.startswith(("Warning", "train.py"))] == [
        f"Warning: Cannot write for TensorBoard: {too_large} Training continues without it.",
        f"Warning: Cannot save step 10 in run: {too_large} Training continues. "
        "There is no checkpoint.",
        f"train.py: Cannot save step 20 in run: {too_large} Cannot save in "
        f"{tempfile.gettempdir()} either: {too_large} There is no checkpoint.",
    ]


def interrupt_after_first_report(command, directory):
    """Starts a training, sends SIGINT once it reports progress, and returns all it printed."""
    with subprocess.Popen(
        command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            lines = []
            for line in process.stdout:
                lines.append(line.rstrip("\n"))
                if line.startswith("step "):
                    break
            process.send_signal(signal.SIGINT)
            rest, _ = process.communicate()
        finally:
            process.kill()
    assert process.returncode == 0
    return lines + rest.splitlines()


def step_in(line):
    """The number after the word `step`."""
    return int(line.split("step ")[1].split()[0].rstrip(".;").replace(",", ""))


def test_an_interrupted_run_is_saved_and_its_last_line_resumes_it(tmp_path):
    command = [*TRAIN, *TINY, "--num_training_iterations=100000000", "--nojit"]
    lines = interrupt_after_first_report(command, tmp_path)

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


def test_a_run_killed_again_and_again_ends_as_if_it_had_not_been(tmp_path):
    """During steps, saves, reports and looks: it does all of them all the time."""
    arguments = shlex.split(
        "--hidden_size=4 --memory_size=3 --word_size=2 --num_read_heads=1 --batch_size=2"
        " --max_length=1 --max_repeats=1 --learning_rate=1e-2 --nojit --report_interval=7"
        " --summary_interval=10 --checkpoint_interval=1 --num_training_iterations=150"
        " --stop_when_solved"
    )
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    uninterrupted = run_train(*arguments, f"--checkpoint_dir={whole}")
    assert (uninterrupted.code, uninterrupted.err) == (0, "")
    command = [*TRAIN, *arguments, f"--checkpoint_dir={killed}"]
    generator = random.Random(0)
    said = []
    for _ in range(5):
        before = newest_step(killed)
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            # Up to half a second after its first checkpoint, wherever it is then.
            while newest_step(killed) == before and process.poll() is None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.005)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(generator.uniform(0, 0.5))
            process.kill()
            said += process.stdout.read().splitlines()

    ended = start(command, check=True)

    assert newest_step(whole) == 150
    saved = {name: data for name, data in contents(whole).items() if name.startswith("step-")}
    assert {name: data for name, data in contents(killed).items() if name in saved} == saved
    assert ended.warnings == []

    def reports(lines):
        return set(re.findall(r"^step .* wrong bits [\d.]+", "\n".join(lines), re.MULTILINE))

    assert reports([*said, *ended.lines]) <= reports(uninterrupted.lines)
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

    ended = run_train(*arguments, directory=tmp_path)

    assert ended.code == 0
    assert [line for line in ended.lines if line.startswith("Solved at step ")]
    assert "0 wrong bits per sequence, 100.0% without error" in ended.out
    assert (tmp_path / "checkpoints" / "repeat_copy" / "flags.json").exists()


def test_a_turing_machine_resumes_as_if_it_had_not_been_stopped(tmp_path):
    arguments = [*TINY, "--task=copy", "--max_length=2", "--core=ntm", "--nojit"]
    for run, num_steps in [("run", 3), ("run", 6), ("b", 6)]:
        more = [f"--num_training_iterations={num_steps}", f"--checkpoint_dir={run}"]
        ended = run_train(*arguments, *more, "--summary_interval=2", directory=tmp_path)
        assert (ended.code, ended.err) == (0, "")

    name = "step-6.data-00000-of-00001"
    assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    events = EventAccumulator(str(tmp_path / "b"), size_guidance={"tensors": 0}).Reload()
    assert [event.step for event in events.Tensors("probe/loss")] == [0, 2, 4, 6]
    assert type(load(tmp_path / "run")[0]).__name__ == "NTM"


ALL_PARTS = (
    "--look_up=used_masked_cosine --mask_min=0.1 --deallocate --sharp_links --layer_norm"
    " --bypass_dropout=0.2 --bidirectional"
)


@pytest.mark.filterwarnings("ignore:.*falls back to the step-by-step loop")
@pytest.mark.parametrize("flags", ["--core=adnc", "--core=biadnc", ALL_PARTS])
def test_a_variant_of_the_dnc_resumes_and_is_evaluated_and_watched(tmp_path, flags):
    arguments = [*TINY, "--task=copy", "--max_length=2", "--nojit", *flags.split()]
    arguments += ["--recompute_every=2", "--summary_interval=3", "--trace_file=run.npz"]
    for run, num_steps in [("run", 2), ("run", 4), ("b", 4)]:
        more = [f"--num_training_iterations={num_steps}", f"--checkpoint_dir={run}"]
        ended = run_train(*arguments, *more, directory=tmp_path)
        assert (ended.code, ended.err) == (0, "")
        assert "look into its memory" in ended.out

    name = "step-4.data-00000-of-00001"
    assert (tmp_path / "run" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    events = EventAccumulator(str(tmp_path / "b"), size_guidance={"tensors": 0}).Reload()
    assert [event.step for event in events.Tensors("probe/loss")] == [0, 3, 4]
    assert dnc.Trace.load(tmp_path / "run.npz").outputs.shape[2] == 6
    options = ["--checkpoint_dir=run", "--lengths=2,3", "--num_sequences=4", "--memory_size=4,6"]
    ended = run_evaluate(*options, directory=tmp_path)
    assert (ended.code, ended.err) == (0, "")
    assert len(ended.lines) == 3


def test_a_step_that_is_not_finite_is_made_with_a_lower_learning_rate(tmp_path):
    arguments = [*EXPLODING, "--nan_policy=restore", "--nan_limit=20"]
    more = ["--num_training_iterations=20"]
    ended = run_train(*arguments, *more, directory=tmp_path, evaluates=False)

    assert ended.code == 0
    warnings = [x for x in ended.err.splitlines() if "Back to step" in x]
    assert 2 <= len(warnings) <= 20
    rates = [float(x.rstrip(".").split()[-1]) for x in warnings]
    for i, rate in enumerate(rates):
        assert rate == pytest.approx(1e20 / 2 ** (i + 1), rel=0.01)
    saved = json.loads((tmp_path / "run" / "step-20.json").read_text())
    assert saved["state"]["learning_rate"] == 1e20 / 2 ** len(warnings)

    more = ["--num_training_iterations=30"]
    ended = run_train(*arguments, *more, directory=tmp_path, evaluates=False)

    assert ended.code == 0
    assert "Back to step" not in ended.err


def test_a_step_that_is_not_finite_is_skipped_until_there_are_too_many(tmp_path):
    arguments = [*EXPLODING, "--nan_policy=skip", "--nan_limit=3"]
    arguments.append("--num_training_iterations=30")
    ended = run_train(*arguments, directory=tmp_path, evaluates=False)

    assert ended.code == 1
    warnings = [x for x in ended.err.splitlines() if x.endswith("Skipping this step.")]
    assert [x.split(" is not")[0] for x in warnings] == [
        f"Warning: Training step {step}" for step in (1, 2, 3)
    ]
    assert "Training step 4 is not finite" in ended.err.splitlines()[-1]
    assert "after too many" in ended.err.splitlines()[-1]
