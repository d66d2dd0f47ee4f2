"""`training.train`, as a program or a notebook calls it. More: tests/system/test_training.py."""

import shutil

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import plugin_data_pb2

import training

TINY = {
    "task": "copy",
    "max_length": 2,
    "num_bits": 2,
    "hidden_size": 4,
    "memory_size": 4,
    "word_size": 3,
    "num_read_heads": 1,
    "batch_size": 2,
    "num_training_iterations": 5,
    "jit": False,
}


def config(tmp_path, **settings):
    return training.Config.of(
        preset="none", **{**TINY, "checkpoint_dir": str(tmp_path), **settings}
    )


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return training.train(config(tmp_path_factory.mktemp("run") / "run", quiet=True))


def test_the_result_is_the_trained_core_with_its_task_and_metrics(result):
    assert (result.step, result.ending) == (5, "finished")
    assert result.task.max_length == 2
    assert result.metrics.keys() == {"wrong_bits", "solved_sequences"}
    core, task = training.load(result.directory)
    assert task.name == "copy"
    for loaded, own in zip(core.trainable_variables, result.core.trainable_variables, strict=True):
        tf.debugging.assert_equal(loaded, own)


def test_the_settings_are_in_the_tab_hparams(result):
    events = EventAccumulator(str(result.directory)).Reload()
    content = events.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    settings = plugin_data_pb2.HParamsPluginData.FromString(content).session_start_info.hparams
    assert settings["learning_rate"].number_value == 1e-4
    assert settings["max_length"].number_value == 2
    assert settings["task"].string_value == "copy"
    assert "num_training_iterations" not in settings  # No result depends on it alone.


def test_quiet_training_prints_nothing(tmp_path, capsys):
    training.train(config(tmp_path, quiet=True, report_interval=2, validation_interval=2))

    assert capsys.readouterr() == ("", "")


def test_settings_that_contradict_each_other_leave_nothing(tmp_path):
    with pytest.raises(ValueError, match="Give a validation_interval"):
        training.train(config(tmp_path / "run", patience=2))

    assert not list(tmp_path.iterdir())


def test_training_may_start_from_another_model_which_is_then_not_needed(result, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(result.directory, source)
    # So small a learning rate changes no number.
    settings = {"learning_rate": 1e-30, "quiet": True, "summaries": False}
    own = config(
        tmp_path / "own",
        start_from=str(source),
        memory_size=6,
        num_training_iterations=1,
        **settings,
    )

    started = training.train(own)

    pairs = zip(started.core.trainable_variables, result.core.trainable_variables, strict=True)
    for variable, at_start in pairs:
        tf.debugging.assert_equal(variable, at_start)
    shutil.rmtree(source)
    assert training.train(own.replace(num_training_iterations=2)).step == 2


@pytest.mark.parametrize(
    ("source", "settings", "message"),
    [
        ("nowhere", {}, "neither a pretrained model nor a run: There is no run in nowhere"),
        ("the result", {"hidden_size": 5}, "do not fit a core of these settings"),
    ],
)
def test_a_model_that_cannot_be_started_from_leaves_nothing(
    source, settings, message, result, tmp_path
):
    start_from = str(result.directory) if source == "the result" else source

    with pytest.raises(ValueError, match=message):
        training.train(config(tmp_path / "own", start_from=start_from, **settings))

    assert not (tmp_path / "own").exists()
