import json
import pathlib

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from tasks.repeat_copy import RepeatCopy
from training.runs import Run
from training.step import TrainingStep, create_variables, rmsprop

CONFIG = {"hidden_size": 8, "learning_rate": 0.1, "task": "repeat_copy"}


def model(size=3):
    """A small module, its optimizer and a step counter, as `Run.restore` takes them."""
    module = snt.Linear(size)
    module(tf.zeros([1, 2]))
    optimizer = rmsprop(module.trainable_variables, learning_rate=0.1, epsilon=1e-10)
    return {"core": module, "optimizer": optimizer, "step": tf.Variable(0, dtype=tf.int64)}


def contents(directory):
    return {path.name: path.read_bytes() for path in directory.iterdir()}


@pytest.fixture
def saved(tmp_path):
    """A directory with the checkpoints of steps 1, 2 and 3, where the step variable is 1, 2, 3."""
    run = Run(tmp_path, CONFIG)
    objects = model()
    run.restore(**objects)
    for number in (1, 2, 3):
        objects["step"].assign(number)
        run.save(number)
    return tmp_path


def test_a_new_run_writes_its_configuration(tmp_path):
    run = Run(tmp_path / "deep" / "down", CONFIG)

    assert run.directory == tmp_path / "deep" / "down"
    assert json.loads((run.directory / "flags.json").read_text()) == CONFIG
    assert list(contents(run.directory)) == ["flags.json"]


def test_the_same_configuration_opens_a_run_again(tmp_path):
    Run(tmp_path, CONFIG)
    before = contents(tmp_path)

    Run(str(tmp_path), dict(reversed(CONFIG.items())))

    assert contents(tmp_path) == before


def test_another_configuration_is_refused_with_all_differences(saved):
    before = contents(saved)
    other = {"hidden_size": 8, "learning_rate": 0.25, "task": "sort"}

    with pytest.raises(ValueError, match=str(saved)) as error:
        Run(saved, other)

    for part in ("--learning_rate", "0.1", "0.25", "--task", "repeat_copy", "sort"):
        assert part in str(error.value)
    assert "--hidden_size" not in str(error.value)
    assert contents(saved) == before


@pytest.mark.parametrize("missing_in", ["the saved run", "this run"])
def test_a_flag_that_only_one_run_has_is_a_difference(saved, missing_in):
    configs = [CONFIG, {**CONFIG, "seed": 7}]
    first, second = configs if missing_in == "the saved run" else reversed(configs)
    (saved / "flags.json").write_text(json.dumps(first))

    with pytest.raises(ValueError, match=r"--seed=.*7"):
        Run(saved, second)


def test_a_flag_that_is_newer_than_the_run_counts_as_its_default_there(saved):
    defaults = {"colour": "red", "hidden_size": 1}
    Run(saved, {**CONFIG, "colour": "red"}, defaults)
    with pytest.raises(ValueError, match="--colour=red there, blue here"):
        Run(saved, {**CONFIG, "colour": "blue"}, defaults)


def test_before_the_first_checkpoint_another_configuration_takes_the_place(tmp_path):
    Run(tmp_path, CONFIG)
    Run(tmp_path, {**CONFIG, "seed": 7})
    assert json.loads((tmp_path / "flags.json").read_text()) == {**CONFIG, "seed": 7}


@pytest.mark.parametrize("damage", [b"", b'{"hidden_size": 8', b"[1, 2]", b"8", b"\xff\xfe{}"])
def test_a_damaged_configuration_is_refused_and_left_alone(saved, damage):
    path = saved / "flags.json"
    path.write_bytes(damage)

    with pytest.raises(ValueError, match=rf"{path} is damaged"):
        Run(saved, CONFIG)

    assert path.read_bytes() == damage


def test_checkpoints_without_a_configuration_are_refused(saved):
    (saved / "flags.json").unlink()

    with pytest.raises(ValueError, match=r"no readable flags\.json"):
        Run(saved, CONFIG)

    assert not (saved / "flags.json").exists()


def test_a_path_below_a_file_cannot_be_a_run(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(OSError, match="file"):
        Run(tmp_path / "file" / "run", CONFIG)


@pytest.mark.skipif(not pathlib.Path("/proc").is_dir(), reason="there is no /proc")
def test_a_directory_that_cannot_be_made_cannot_be_a_run():
    with pytest.raises(OSError, match="/proc"):
        Run("/proc/run", CONFIG)


def test_there_is_nothing_to_restore_at_first(tmp_path):
    assert Run(tmp_path, CONFIG).restore(**model()) is False


def test_saving_and_restoring_brings_back_every_variable(tmp_path):
    run = Run(tmp_path, CONFIG)
    objects = model()
    run.restore(**objects)
    variables = objects["core"].trainable_variables
    objects["optimizer"].apply([2.0 * tf.ones_like(v) for v in variables], variables)
    objects["step"].assign(2**40)
    run.save(1)

    fresh = model()
    assert Run(tmp_path, CONFIG).restore(**fresh) is True

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
        core = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(6), task.target_size)
        optimizer = rmsprop(create_variables(core, task), learning_rate=1e-2, epsilon=1e-10)
        return core, TrainingStep(core, task, optimizer, 50.0, seed=0, jit=False)

    def restore(core, step):
        run = Run(tmp_path, CONFIG)
        run.restore(core=core, optimizer=step.optimizer, step=step.step)
        return run

    whole, step = training()
    step.run(6)

    first, step = training()
    run = restore(first, step)
    step.run(4)
    run.save(4)
    second, step = training()
    restore(second, step)
    step.run(2)

    assert step.step == 6
    for left, right in zip(whole.trainable_variables, second.trainable_variables, strict=True):
        np.testing.assert_array_equal(left, right)


def test_only_the_last_three_checkpoints_are_kept(saved):
    objects = model()
    run = Run(saved, CONFIG)
    run.restore(**objects)

    run.save(4)
    run.save(5)

    assert sorted(path.name for path in saved.glob("*.index")) == [
        f"step-{number}.index" for number in (3, 4, 5)
    ]
    assert len(list(saved.glob("*.data-*"))) == 3


def test_saving_a_step_twice_keeps_it(saved):
    run = Run(saved, CONFIG)
    run.restore(**model())

    run.save(3)

    assert len(list(saved.glob("*.index"))) == 3
    fresh = model()
    Run(saved, CONFIG).restore(**fresh)
    assert fresh["step"] == 3


@pytest.mark.parametrize("suffix", ["data-00000-of-00001", "index"])
def test_a_damaged_checkpoint_is_named_and_left_alone(saved, suffix):
    path = saved / f"step-3.{suffix}"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    before = contents(saved)

    with pytest.raises(ValueError, match=r"Cannot read checkpoint .*step-3"):
        Run(saved, CONFIG).restore(**model())

    assert contents(saved) == before


def test_without_its_damaged_checkpoint_a_run_goes_on_from_the_one_before(saved):
    for path in saved.glob("step-3.*"):
        path.unlink()

    objects = model()
    assert Run(saved, CONFIG).restore(**objects) is True

    assert objects["step"] == 2


def test_a_damaged_list_of_checkpoints_does_not_start_the_run_anew(saved):
    (saved / "checkpoint").write_text("nonsense {")

    objects = model()
    assert Run(saved, CONFIG).restore(**objects) is True

    assert objects["step"] == 3


def test_a_checkpoint_of_another_size_is_refused(saved):
    with pytest.raises(ValueError, match=r"Cannot read checkpoint .*step-3"):
        Run(saved, CONFIG).restore(**model(size=4))


def test_a_checkpoint_of_other_objects_is_refused(saved):
    with pytest.raises(ValueError, match=r"Cannot read checkpoint .*step-3"):
        Run(saved, CONFIG).restore(**model(), extra=tf.Variable(0.0))
