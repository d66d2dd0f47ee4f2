import pytest

import tasks
from tests import golden
from training import presets
from training.config import Config


def test_a_task_has_the_preset_of_its_name():
    assert Config.of(task="addition").optimizer == "adam"


def test_the_default_task_has_the_settings_of_the_released_code():
    assert Config.of() == Config()
    assert Config().learning_rate == 1e-4


def test_given_settings_override_a_preset():
    config = Config.of(task="addition", optimizer="rmsprop", summaries=False)

    assert (config.optimizer, config.summaries, config.batch_size) == ("rmsprop", False, 32)


def test_a_preset_chooses_its_task():
    config = Config.of(preset="copy_series_bgavran")

    assert config.task == "copy_series"
    assert config.options["blank"] is True


def test_an_lstm_does_not_take_the_controller_that_goes_with_a_memory():
    with_memory, lstm = (Config.of(task="addition", core=core) for core in ("dnc", "lstm"))

    assert (with_memory.controller, with_memory.feed_reads) == ("feedforward", False)
    assert (lstm.controller, lstm.feed_reads) == ("lstm", True)
    assert lstm.optimizer == "adam"


def test_an_advanced_dnc_has_defaults_that_override_the_preset():
    config = Config.of(task="addition", core="adnc", num_write_heads=2)

    assert (config.layer_norm, config.bypass_dropout, config.linkage) == (True, 0.1, "none")
    assert (config.controller, config.feed_reads, config.bidirectional) == ("lstm", True, False)
    assert (config.optimizer, config.memory_size) == ("adam", 4)
    assert Config.of(task="addition", core="biadnc").bidirectional


def test_given_settings_override_the_defaults_of_an_advanced_dnc():
    config = Config.of(preset="none", core="adnc", linkage="dense", layer_norm=False)

    assert (config.linkage, config.layer_norm, config.bypass_dropout) == ("dense", False, 0.1)


@pytest.mark.parametrize("given", [{"linkage": "none"}, {"core": "adnc"}, {"core": "lstm"}])
def test_links_are_not_sharp_where_there_are_none(given):
    assert Config.of(task="associative_recall").sharp_links
    assert not Config.of(task="associative_recall", **given).sharp_links


def test_none_is_a_preset_without_settings():
    assert Config.of(preset="none", task="addition").optimizer == "rmsprop"


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"preset": "nonsense"}, "preset must be one of none, addition, .*, got nonsense"),
        ({"preset": "copy", "task": "addition"}, "preset=copy is for task=copy, not for addition"),
    ],
)
def test_an_unknown_preset_or_one_of_another_task_is_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        Config.of(**settings)


def test_every_task_has_a_preset():
    assert set(tasks.names()) <= presets.PRESETS.keys()


@pytest.mark.parametrize("name", presets.PRESETS)
def test_every_preset_has_known_settings_and_makes_a_task(name):
    config = Config.of(preset=name)
    own = {"data_dir": str(golden.DATA / "babi"), "tasks": "1,8,19"}
    given = {k: v for k, v in own.items() if k in config.options}

    config.check_training()
    assert isinstance(tasks.get(config.task, **{**config.options, **given}), tasks.Task)
