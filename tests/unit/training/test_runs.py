import json
import math
import os
import pathlib
import shutil
import tempfile

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from tasks.repeat_copy import RepeatCopy
from training import checkpoints
from training.baselines import LSTMBaseline
from training.config import Config
from training.optimization import Update, rmsprop
from training.runs import Run, newest_checkpoint
from training.step import TrainingStep, create_variables

CONFIG = Config.of(preset="none", task="repeat_copy", hidden_size=8, learning_rate=0.1)


def model(size=3):
    """A small module, its optimizer and a step counter, as `Run.restore` takes them."""
    module = snt.Linear(size)
    module(tf.zeros([1, 2]))
    optimizer = rmsprop(module.trainable_variables, learning_rate=0.1, epsilon=1e-10)
    return {"core": module, "optimizer": optimizer, "step": tf.Variable(0, dtype=tf.int64)}


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir() if path.name != "lock"}


def names(directory, pattern="*"):
    return sorted(path.name for path in directory.glob(pattern) if path.name != "lock")


def save(directory, *steps, loss=math.nan, **settings):
    """Saves steps of a run; the step variable has the step as its value."""
    with Run(directory, CONFIG.replace(**settings)) as run:
        objects = model()
        run.restore(**objects)
        for step in steps:
            objects["step"].assign(step)
            run.save(step, {"note": f"at {step}"}, loss)


def other_value(declared, value):
    """Another value of an option."""
    if declared.choices:
        return next(x for x in declared.choices if x != value)
    if declared.kind is bool:
        return not value
    if declared.kind is str:
        return "elsewhere"
    return declared.kind(value + 1) if declared.kind is int else value + 0.25


def restored(directory, config=CONFIG, **options):
    """Opens a run and restores it; returns the step variable and the state."""
    with Run(directory, config, **options) as run:
        objects = model()
        state = run.restore(**objects)
    return int(objects["step"]), state


def test_lessons_of_a_run_of_version_0_1_continue_with_a_word_about_their_window(tmp_path):
    config = CONFIG.replace(curriculum="naive")
    settings = config.saved()
    del settings["lesson_window"]
    save = tf.train.Checkpoint(**model()).write
    checkpoints.write(tmp_path, 1, save, settings=settings, state={})

    with Run(tmp_path, config) as run:
        assert run.changes == {"lesson_window": "the steps of a report"}
        run.restore(**model())
        run.save(2)
    with Run(tmp_path, config) as run:
        assert run.changes == {}


@pytest.fixture
def saved(tmp_path):
    """A directory with the checkpoints of steps 1, 2 and 3."""
    save(tmp_path, 1, 2, 3)
    return tmp_path


def test_a_new_run_writes_its_configuration(tmp_path):
    with Run(tmp_path / "deep" / "down", CONFIG) as run:
        assert run.restore(**model()) is None

    assert run.directory == tmp_path / "deep" / "down"
    assert run.saved_step is None
    assert json.loads((run.directory / "flags.json").read_text()) == CONFIG.saved()
    assert names(run.directory) == ["flags.json"]


def test_the_same_configuration_opens_a_run_again(saved):
    before = contents(saved)

    assert restored(str(saved), Config.of_run(CONFIG.saved())) == (3, {"note": "at 3"})

    assert contents(saved) == before


def test_another_configuration_is_refused_with_all_differences(saved):
    before = contents(saved)
    other = Config.of(preset="none", task="copy", hidden_size=8, learning_rate=0.25)

    with pytest.raises(ValueError, match=str(saved)) as error:
        Run(saved, other)

    for part in (
        "learning_rate=0.1 there, 0.25 here",
        "task=repeat_copy there, copy here",
        "min_repeats=1 there, None here",
    ):
        assert part in str(error.value)
    assert "hidden_size" not in str(error.value)
    assert contents(saved) == before


def test_a_refused_directory_is_not_locked(saved):
    with pytest.raises(ValueError, match="seed=0 there, 7 here"):
        Run(saved, CONFIG.replace(seed=7))
    assert restored(saved)[0] == 3


@pytest.mark.parametrize(
    "setting, there, here",
    [("embedding_size", 0, 5), ("lesson_window", 1600, 7), ("max_repeats", 2, 3)],
)
def test_a_setting_newer_than_the_run_has_its_default_there(tmp_path, setting, there, here):
    as_it_was = CONFIG.saved()
    del as_it_was[setting]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Config, "saved", lambda config: as_it_was)
        save(tmp_path, 1)

    with pytest.raises(ValueError, match=f"{setting}={there} there, {here} here"):
        Run(tmp_path, CONFIG.replace(**{setting: here}))
    assert restored(tmp_path)[0] == 1


def test_a_run_with_a_setting_that_was_removed_resumes_without_it(tmp_path):
    as_it_was = {**CONFIG.saved(), "compute_dtype": "bfloat16"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Config, "saved", lambda config: as_it_was)
        save(tmp_path, 5)

    assert restored(tmp_path)[0] == 5
    assert json.loads((tmp_path / "flags.json").read_text()) == CONFIG.saved()


def test_a_setting_that_may_change_is_in_the_next_checkpoints(saved):
    other = CONFIG.replace(memory_size=9, report_interval=7)
    with Run(saved, other) as run:
        assert run.changes == {"memory_size": CONFIG.memory_size}
        run.restore(**model())
        run.save(4)

    assert json.loads((saved / "flags.json").read_text()) == other.saved()
    assert newest_checkpoint(saved).settings == other.saved()
    with Run(saved, CONFIG) as run:
        assert run.changes == {"memory_size": 9}


# Another task has other options, and another layout limits them.
@pytest.mark.parametrize("name", sorted(CONFIG.declared().keys() - {"task", "layout"}))
def test_only_what_results_do_not_depend_on_may_change(saved, name):
    declared, value = CONFIG.declared()[name], getattr(CONFIG, name, CONFIG.options.get(name))
    other = other_value(declared, value)

    if declared.may_change:
        with Run(saved, CONFIG.replace(**{name: other})) as run:
            assert run.changes == ({name: value} if declared.saved else {})
    else:
        with pytest.raises(ValueError, match=f"{name}={value} there, {other} here"):
            Run(saved, CONFIG.replace(**{name: other}))


def test_before_the_first_checkpoint_another_configuration_is_allowed(tmp_path):
    save(tmp_path)
    other = CONFIG.replace(seed=7)
    with Run(tmp_path, other) as run:
        run.restore(**model())
    assert json.loads((tmp_path / "flags.json").read_text()) == other.saved()


@pytest.mark.parametrize("damage", [None, b"", b'{"hidden_size": 8', b"[1, 2]", b"\xff\xfe{}"])
def test_a_configuration_that_is_damaged_is_found_in_the_checkpoint(saved, damage):
    path = saved / "flags.json"
    path.unlink() if damage is None else path.write_bytes(damage)
    warnings = []

    assert restored(saved, warn=warnings.append)[0] == 3

    assert json.loads(path.read_text()) == CONFIG.saved()
    if damage != b"[1, 2]":
        (warning,) = warnings
        assert f"{path} is {'missing' if damage is None else 'damaged'}" in warning


def test_a_path_below_a_file_cannot_be_a_run(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(OSError, match="file"):
        Run(tmp_path / "file" / "run", CONFIG)


@pytest.mark.skipif(not pathlib.Path("/proc").is_dir(), reason="there is no /proc")
def test_a_directory_that_cannot_be_made_cannot_be_a_run():
    with pytest.raises(OSError, match="/proc"):
        Run("/proc/run", CONFIG)


def test_a_second_run_is_refused_until_the_first_is_closed(saved):
    with Run(saved, CONFIG) as run:
        with pytest.raises(ValueError, match=rf"{saved} is in use by process {os.getpid()} on "):
            Run(saved, CONFIG)
        run.restore(**model())
        run.save(4, {"note": "by the first"})
    assert restored(saved)[1] == {"note": "by the first"}


def test_saving_and_restoring_brings_back_every_variable(tmp_path):
    objects = model()
    variables = objects["core"].trainable_variables
    with Run(tmp_path, CONFIG) as run:
        run.restore(**objects)
        objects["optimizer"].apply([2.0 * tf.ones_like(v) for v in variables], variables)
        objects["step"].assign(2**40)
        run.save(1)

    fresh = model()
    with Run(tmp_path, CONFIG) as run:
        assert run.restore(**fresh) == {}

    assert fresh["step"] == 2**40
    for left, right in zip(variables, fresh["core"].trainable_variables, strict=True):
        np.testing.assert_array_equal(left, right)
    for left, right in zip(objects["optimizer"].ms, fresh["optimizer"].ms, strict=True):
        np.testing.assert_array_equal(left, right)
        assert np.any(left != 1.0)


def test_a_resumed_training_goes_on_as_if_never_stopped(tmp_path):
    def training():
        tf.random.set_seed(0)
        task = RepeatCopy(num_bits=2, batch_size=3)
        core = LSTMBaseline(snt.LSTM(6), task.output_size)
        optimizer = rmsprop(create_variables(core, task), learning_rate=1e-2, epsilon=1e-10)
        return core, TrainingStep(core, task, Update(optimizer, 50.0), seed=0, jit=False)

    whole, step = training()
    step.run(6)

    first, step = training()
    with Run(tmp_path, CONFIG) as run:
        run.restore(core=first, optimizer=step.update.optimizer, step=step.step)
        step.run(4)
        run.save(4)
    second, step = training()
    with Run(tmp_path, CONFIG) as run:
        run.restore(core=second, optimizer=step.update.optimizer, step=step.step)
    step.run(2)

    assert step.step == 6
    for left, right in zip(whole.trainable_variables, second.trainable_variables, strict=True):
        np.testing.assert_array_equal(left, right)


@pytest.mark.parametrize("kept", [1, 3])
def test_only_the_newest_checkpoints_are_kept(tmp_path, kept):
    save(tmp_path, 1, 2, 3, 4, 5, checkpoints_kept=kept)

    assert names(tmp_path) == sorted(
        ["flags.json"]
        + [
            f"step-{step}.{suffix}"
            for step in range(6 - kept, 6)
            for suffix in ("data-00000-of-00001", "index", "json")
        ]
    )


def test_the_checkpoint_with_the_smallest_loss_is_kept_by_resumed_runs(tmp_path):
    for step, loss in enumerate([math.nan, 3.0, 1.0, 2.0, 1.0, math.inf, 5.0], start=1):
        save(tmp_path, step, loss=loss, checkpoints_kept=2)

    assert names(tmp_path, "*.json") == ["flags.json", "step-3.json", "step-6.json", "step-7.json"]
    assert newest_checkpoint(tmp_path).best == (3, 1.0)
    assert newest_checkpoint(tmp_path, best=True).step == 3


def test_a_best_checkpoint_that_was_removed_is_followed_by_another(tmp_path):
    save(tmp_path, 1, loss=1.0)
    save(tmp_path, 2, loss=3.0)
    for path in tmp_path.glob("step-1.*"):
        path.unlink()
    save(tmp_path, 3, loss=2.0)
    assert newest_checkpoint(tmp_path).best == (3, 2.0)


def test_without_a_known_loss_the_best_checkpoint_is_the_newest(saved):
    assert newest_checkpoint(saved, best=True).step == 3


def test_a_damaged_best_checkpoint_is_named(tmp_path):
    save(tmp_path, 1, loss=1.0)
    save(tmp_path, 2, loss=3.0)
    (tmp_path / "step-1.index").write_bytes(b"")
    with pytest.raises(ValueError, match=r"best .* step-1\.index is damaged \(size\)"):
        newest_checkpoint(tmp_path, best=True)


def test_a_checkpoint_that_was_being_moved_when_the_process_ended_is_used(saved):
    folder = saved / "step-3.tmp"
    folder.mkdir()
    for name in ("step-3.index", "step-3.json"):
        (saved / name).rename(folder / name)

    assert restored(saved) == (3, {"note": "at 3"})


def test_saving_a_step_twice_keeps_the_second(saved):
    with Run(saved, CONFIG) as run:
        objects = model()
        run.restore(**objects)
        objects["step"].assign(33)
        run.save(3)

    assert len(names(saved, "*.index")) == 3
    assert restored(saved)[0] == 33


def halve(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


SUFFIXES = ["data-00000-of-00001", "index", "json"]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("damage", [halve, flip, pathlib.Path.unlink])
def test_a_damaged_checkpoint_is_kept_aside_and_the_one_before_used(saved, suffix, damage):
    damage(saved / f"step-3.{suffix}")
    before = contents(saved)
    warnings = []

    assert restored(saved, warn=warnings.append) == (2, {"note": "at 2"})

    (warning,) = warnings
    what = "is missing" if damage == pathlib.Path.unlink else "is damaged"
    assert f"step-3.{suffix} {what}" in warning
    assert "continuing from step 2" in warning
    aside = {name: f"{name}.damaged" for name in before if name.startswith("step-3.")}
    assert contents(saved) == {aside.get(name, name): data for name, data in before.items()}

    save(saved, 3)
    assert restored(saved, warn=pytest.fail)[0] == 3


def test_what_is_kept_aside_is_never_overwritten(saved):
    for _ in range(3):
        flip(saved / "step-3.index")
        assert restored(saved, warn=lambda text: None)[0] == 2
        save(saved, 3)
    assert names(saved, "step-3.json*") == [
        "step-3.json",
        "step-3.json.damaged",
        "step-3.json.damaged-2",
        "step-3.json.damaged-3",
    ]


def test_where_no_checkpoint_is_intact_nothing_is_changed(saved):
    for step, suffix in zip((1, 2, 3), SUFFIXES, strict=True):
        flip(saved / f"step-{step}.{suffix}")
    before = contents(saved)

    with pytest.raises(ValueError, match="can be used") as error:
        Run(saved, CONFIG)
    for step, suffix in zip((1, 2, 3), SUFFIXES, strict=True):
        assert f"step-{step}.{suffix} is damaged" in str(error.value)
    with pytest.raises(ValueError, match="can be used"):
        newest_checkpoint(saved)

    assert contents(saved) == before


def test_a_checkpoint_of_a_later_format_is_refused_and_left_alone(saved, monkeypatch):
    monkeypatch.setattr(checkpoints, "FORMAT", 2)
    save_path = saved / "later"
    save(save_path, 1)
    monkeypatch.undo()
    before = contents(save_path)

    with pytest.raises(ValueError, match="is of format 2; this program reads format 1"):
        Run(save_path, CONFIG)

    assert contents(save_path) == before


def test_a_checkpoint_of_another_size_is_refused_and_left_alone(saved):
    before = contents(saved)
    with Run(saved, CONFIG) as run, pytest.raises(ValueError, match=r"step-3 belongs to another"):
        run.restore(**model(size=4))
    assert contents(saved) == before


def test_a_checkpoint_of_other_objects_is_refused(saved):
    with Run(saved, CONFIG) as run, pytest.raises(ValueError, match=r"step-3 belongs to another"):
        run.restore(**model(), extra=tf.Variable(0.0))


def test_plain_tensorflow_reads_a_checkpoint(saved):
    reader = tf.train.load_checkpoint(str(saved / "step-3"))
    assert reader.get_tensor("step/.ATTRIBUTES/VARIABLE_VALUE") == 3


@pytest.fixture
def unprivileged_directory():
    """A directory of a user who is not root, who may write everywhere; and this process as his."""
    with tempfile.TemporaryDirectory() as directory:
        if os.geteuid() == 0:
            os.chown(directory, 65534, 65534)
            os.seteuid(65534)
        yield pathlib.Path(directory)
        os.seteuid(os.getuid())


def test_a_folder_that_became_read_only_stops_saving_until_it_is_writable(unprivileged_directory):
    directory = unprivileged_directory
    save(directory, 1)
    with Run(directory, CONFIG) as run:
        run.restore(**model())
        directory.chmod(0o555)
        before = contents(directory)
        with pytest.raises(PermissionError):
            run.save(2)
        assert contents(directory) == before
        directory.chmod(0o755)
        run.save(2)
        assert names(directory, "*.json") == ["flags.json", "step-1.json", "step-2.json"]


def test_what_could_not_be_saved_is_saved_elsewhere_and_resumed_there(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with Run(tmp_path / "run", CONFIG) as run:
        objects = model()
        run.restore(**objects)
        objects["step"].assign(7)
        shutil.rmtree(tmp_path / "run")
        with pytest.raises(FileNotFoundError):
            run.save(7)
        place = run.save_elsewhere(7, {"note": "saved"})

    assert place.parent == tmp_path
    assert place.name.startswith("run-")
    assert restored(place, warn=lambda text: None) == (7, {"note": "saved"})
