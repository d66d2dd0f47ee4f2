import pytest
from absl import flags
from absl.testing import flagsaver

import tasks
import train
from tests import golden
from training import presets

FLAGS = flags.FLAGS


@pytest.fixture
def applied(monkeypatch):
    def run(*arguments):
        with flagsaver.flagsaver():
            train._parse(["train", *arguments])
            said = presets.apply(FLAGS)
            return said, {name: FLAGS[name].value for name in FLAGS}

    return run


def test_a_task_has_the_preset_of_its_name(applied):
    said, values = applied("--task=addition")

    assert values["optimizer"] == "adam"
    assert said.startswith("Preset addition: ") and "--optimizer=adam" in said


def test_the_default_task_has_the_flags_of_the_released_code(applied):
    said, values = applied()

    assert said == ""
    assert values["learning_rate"] == 1e-4


def test_what_is_given_overrides_it_and_is_not_told(applied):
    said, values = applied("--task=addition", "--optimizer=rmsprop", "--nosummaries")

    assert values["optimizer"] == "rmsprop"
    assert "--optimizer=" not in said
    assert values["summaries"] is False


def test_a_preset_says_which_task_it_is_of(applied):
    said, values = applied("--preset=copy_series_bgavran")

    assert values["task"] == "copy_series"
    assert "--blank=True" in said


def test_an_lstm_does_not_take_the_controller_that_goes_with_a_memory(applied):
    _, with_memory = applied("--task=addition")
    said, values = applied("--task=addition", "--core=lstm")

    assert (with_memory["controller"], with_memory["feed_reads"]) == ("feedforward", False)
    assert (values["controller"], values["feed_reads"]) == ("lstm", True)
    assert values["optimizer"] == "adam" and "--controller" not in said


def test_none_leaves_all_as_it_is(applied):
    said, values = applied("--task=addition", "--preset=none")

    assert said == ""
    assert values["optimizer"] == "rmsprop"


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--preset=nonsense"], "--preset must be one of none, addition, .*, got nonsense"),
        (["--preset=copy", "--task=addition"], "--preset=copy is of --task=copy, not of addition"),
    ],
)
def test_a_preset_that_cannot_be_is_refused(applied, arguments, said):
    with pytest.raises(ValueError, match=said):
        applied(*arguments)


def test_every_task_has_a_preset():
    assert set(tasks.names()) <= presets.PRESETS.keys()


@pytest.mark.parametrize("name", presets.PRESETS)
def test_every_preset_has_flags_and_values_that_are_there(name):
    preset = presets.PRESETS[name]
    for flag, value in preset.items():
        with flagsaver.flagsaver():
            FLAGS(["train", f"--{flag}={value}"])
    own = {option: preset[option] for option in tasks.defaults(preset["task"]) if option in preset}
    if preset["task"] == "babi":
        own |= {"data_dir": str(golden.DATA / "babi"), "tasks": "1,8,19"}
    assert isinstance(tasks.get(preset["task"], **own), tasks.Task)
