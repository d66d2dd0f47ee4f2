"""Config: all settings of a run, as values, as saved, and as flags."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tasks
from tasks import options
from training.config import Config, task_options
from training.runs import PRETRAINED

SHIPPED = {
    path.parent.name: json.loads(path.read_bytes())["flags"]
    for path in sorted(PRETRAINED.glob("*/step-*.json"))
}


def test_settings_and_options_of_the_task_are_given_together():
    config = Config.of(task="key_value", two_way=True, max_length=4, memory_size=9)

    assert config.memory_size == 9
    assert config.options == {"num_bits": 12, "min_length": 2, "max_length": 4, "two_way": True}


@pytest.mark.parametrize("task", tasks.names())
def test_options_that_are_not_given_have_the_defaults_of_the_task(task):
    declared = options.of(tasks.find(task))
    del declared["batch_size"]

    own = Config.of(preset="none", task=task).options

    assert own == {name: each.default for name, each in declared.items()}


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"task": "chess"}, "Unknown task 'chess'"),
        ({"nonsense": 1}, "There is no setting nonsense. Task repeat_copy has the options "),
        ({"task": "addition", "two_way": True}, "There is no setting two_way. Task addition has"),
        ({"core": "gru"}, "core must be one of dnc, adnc, biadnc, lstm, ntm, got 'gru'"),
        ({"hidden_size": 0}, "hidden_size must be an integer from 1 to 2,147,483,647, got 0"),
        ({"hidden_size": 2.0}, "hidden_size must be an integer"),
        ({"hidden_size": True}, "hidden_size must be an integer"),
        ({"learning_rate": float("nan")}, "learning_rate must be a number"),
        ({"mask_min": 1.1}, "mask_min must be a number from 0 to 1"),
        ({"bypass_dropout": 1.0}, "bypass_dropout must be a number from 0 to 0.9999"),
        ({"look_up": "sine"}, "look_up must be one of cosine, used_cosine, masked_cosine, used_ma"),
        ({"content_weights": "cosine"}, "There is no setting content_weights"),
        ({"clip_value": -1.0}, "clip_value must be 0 or from 1e-30 to 1e"),
        ({"feed_reads": "yes"}, "feed_reads must be true or false"),
        ({"max_length": 0}, "max_length must be an integer"),
        ({"checkpoint_dir": "a\0b"}, "without null characters"),
        ({"trace_file": "gs://bucket/trace.npz"}, "gs://bucket/trace.npz"),
    ],
)
def test_what_is_unknown_or_out_of_range_is_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        Config.of(**settings)


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"patience": 2}, "patience counts validations. Give a validation_interval"),
        ({"trace_file": "trace.npz", "core": "lstm"}, "trace_file needs core=dnc, adnc or biadnc"),
    ],
)
def test_settings_that_contradict_each_other_are_refused_for_training(settings, said):
    config = Config.of(**settings)
    with pytest.raises(ValueError, match=said):
        config.check_training()


@pytest.mark.parametrize(
    "settings",
    [
        {"patience": 2, "validation_interval": 5},
        {"trace_file": "trace.npz"},
        {"trace_file": "trace.npz", "core": "biadnc"},
    ],
)
def test_settings_that_go_together_can_be_trained(settings):
    Config.of(**settings).check_training()


def test_a_whole_number_is_a_number_too():
    assert Config.of(clip_value=5) == Config.of(clip_value=5.0)
    assert isinstance(Config.of(clip_value=5).saved()["clip_value"], float)


def test_replace_changes_settings_and_options_and_nothing_else():
    config = Config.of(task="copy", num_bits=3)

    other = config.replace(memory_size=5, max_length=7)

    assert (other.memory_size, other.options["max_length"], other.options["num_bits"]) == (5, 7, 3)
    assert other.replace(memory_size=config.memory_size, max_length=10) == config
    with pytest.raises(ValueError, match="There is no setting blank"):
        config.replace(blank=True)


def test_saved_settings_are_those_that_results_depend_on():
    saved = Config.of(task="copy", quiet=True, checkpoint_dir="here").saved()

    assert {"core", "learning_rate", "task", "seed", "num_bits", "batch_size"} <= saved.keys()
    assert not {"options", "quiet", "checkpoint_dir", "num_training_iterations"} & saved.keys()


def test_no_result_depends_on_a_setting_that_is_not_saved():
    for each in options.of(Config).values():
        assert each.saved or each.may_change, each.name


OF_VERSION_0_1 = [name for name, saved in SHIPPED.items() if "content_weights" in saved]


@pytest.mark.parametrize("name", OF_VERSION_0_1)
def test_settings_that_earlier_versions_saved_are_read(name):
    saved = SHIPPED[name]

    config = Config.of_run(saved)

    now, declared = config.saved(), config.declared()
    removed = {"match_parameters": False, "compute_dtype": "float32"}
    renamed = {"content_weights": saved["content_weights"]}
    without_links = {"linkage": "none"} if saved["linkage"] == "none" else {}
    different = {name: saved[name] for name in saved if saved[name] != now.get(name)}
    assert different == {**removed, **renamed, **without_links}
    assert now["look_up"] == saved["content_weights"]
    assert now["linkage"] == ("none_0_1" if without_links else saved["linkage"])
    new = now.keys() - saved - {"look_up"}
    assert all(now[name] == declared[name].default for name in new)


def test_a_run_without_links_has_no_modes_since_they_were_removed():
    saved = Config.of(preset="none", task="copy", linkage="none").saved()
    assert Config.of_run(saved).linkage == "none"


def test_a_run_that_needs_a_removed_setting_is_refused():
    saved = {**SHIPPED["addition_lstm"], "match_parameters": True}
    with pytest.raises(ValueError, match="match_parameters, which no longer exists"):
        Config.of_run(saved)
    Config.of_run({**saved, "core": "dnc"})  # There it was without effect.


def values(declared):
    """Values in the range of an option."""
    if declared.choices:
        return st.sampled_from(declared.choices)
    if declared.kind is bool:
        return st.booleans()
    if declared.kind is str:
        return st.text(st.characters(exclude_characters="\0:", exclude_categories=["Cs"]))
    low = -(2**63) if declared.minimum is None else declared.minimum
    high = 2**63 - 1 if declared.maximum is None else declared.maximum
    if declared.kind is int:
        return st.integers(low, high)
    numbers = st.floats(low, high)
    return st.one_of(st.just(0.0), numbers) if declared.or_zero else numbers


@st.composite
def settings_of_a_task(draw):
    """Some settings, with options of the task."""
    task = draw(st.sampled_from(tasks.names()))
    declared = {**options.of(Config), **task_options(task)}
    del declared["task"]
    own = st.fixed_dictionaries({}, optional={k: values(x) for k, x in declared.items()})
    return {"task": task, **draw(own)}


@given(settings_of_a_task())
def test_saved_settings_come_back_as_they_were(settings):
    config = Config(
        **{k: v for k, v in settings.items() if k in options.of(Config)},
        options={k: v for k, v in settings.items() if k not in options.of(Config)},
    )

    saved = json.loads(json.dumps(config.saved()))
    again = Config.of_run(saved)

    assert again.saved() == config.saved() == saved
    changing = {x.name: getattr(config, x.name) for x in options.of(Config).values() if not x.saved}
    assert again.replace(**changing) == config
    assert dataclasses.asdict(again.replace(**changing)) == dataclasses.asdict(config)


@pytest.mark.parametrize(
    "number, decay_steps, expected",
    [(10, 0, None), (10, 10, (0, 10)), (10, 4, (6, 4)), (10, 15, (0, 15))],
)
def test_the_learning_rate_decays_in_the_last_steps(number, decay_steps, expected):
    config = Config.of(preset="none", num_training_iterations=number, decay_steps=decay_steps)
    assert config.decay == expected
