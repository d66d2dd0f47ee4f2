import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import dnc
from tasks.copy import Copy
from training import episodes
from training.config import Config
from training.models import load, make_core, make_task, with_memory
from training.optimization import rmsprop
from training.runs import Run, pretrained
from training.step import create_variables

CONFIG = Config.of(
    preset="none",
    task="repeat_copy",
    num_bits=3,
    max_length=4,
    memory_size=5,
    word_size=6,
    num_read_heads=2,
    hidden_size=7,
)


def saved(directory, config=CONFIG):
    """Saves an untrained core of a configuration as a run; returns it."""
    core = make_core(config, make_task(config, batch_size=9))
    with Run(directory, config) as run:
        run.restore(core=core, optimizer=rmsprop(core.trainable_variables, 1e-3, 1e-10))
        run.save(3)
    return core


def test_a_task_takes_its_options_from_the_configuration():
    task = make_task(CONFIG, batch_size=9)
    assert (task.num_bits, task.max_length, task.batch_size) == (3, 4, 9)
    assert make_task(CONFIG).batch_size == CONFIG.batch_size == 16


def test_a_task_has_the_lessons_of_the_curriculum():
    config = CONFIG.replace(curriculum="naive", lesson_threshold=0.5, lesson_window=70)

    lessons = make_task(config).lessons

    assert (lessons.threshold, lessons.window) == (0.5, 70)
    assert [lesson.ranges["length"] for lesson in lessons] == [(1, 1), (2, 2), (3, 3), (4, 4)]
    assert not make_task(CONFIG).lessons


@dataclasses.dataclass(frozen=True, kw_only=True)
class NoSizes(Copy):
    """A task whose episodes are all alike."""

    sizes = property(lambda self: {})


def test_a_task_without_sizes_cannot_have_a_curriculum():
    config = Config.of(task=f"{__name__}:NoSizes", curriculum="naive")
    with pytest.raises(ValueError, match="has no sizes: use curriculum=none"):
        make_task(config)


def test_a_core_has_the_sizes_of_the_configuration():
    core = make_core(CONFIG, make_task(CONFIG, batch_size=9))
    access = core.access
    assert (access.memory_size, access.word_size, access.num_reads, access.num_writes) == (
        5,
        6,
        2,
        1,
    )
    assert core.clip_value == 20.0
    assert (core.input_size, core.output_size) == (5, [4])
    assert len(core.trainable_variables) == 7
    assert make_core(CONFIG.replace(clip_value=0.0), make_task(CONFIG, 9)).clip_value is None


def test_a_saved_run_is_loaded_without_repeating_its_settings(tmp_path):
    core = saved(tmp_path)

    loaded, task = load(tmp_path, batch_size=2)

    batch = task.batch("test", 0, 0)
    np.testing.assert_array_equal(episodes.replay(loaded, batch), episodes.replay(core, batch))


def test_a_run_is_loaded_with_another_memory_and_longer_sequences(tmp_path):
    core = saved(tmp_path)

    loaded, task = load(tmp_path, memory_size=11, max_length=20)

    assert loaded.access.memory_size == 11
    assert task.max_length == 20
    for new, old in zip(loaded.trainable_variables, core.trainable_variables, strict=True):
        np.testing.assert_array_equal(new, old)
    with pytest.raises(ValueError, match="There is no setting memory"):
        load(tmp_path, memory=11)


@pytest.mark.parametrize(
    "changes", [{"hidden_size": 8}, {"num_bits": 4}, {"controller": "feedforward"}]
)
def test_settings_that_variables_depend_on_cannot_differ(tmp_path, changes):
    saved(tmp_path)
    with pytest.raises(ValueError, match="do not fit a core of these settings"):
        load(tmp_path, **changes)


KINDS = {
    "dense": {},
    "sparse": {"linkage": "sparse", "num_links": 2},
    "no links": {"linkage": "none"},
    "no links, as in version 0.1": {"linkage": "none_0_1"},
    "used slots": {"look_up": "used_cosine", "num_write_heads": 2},
    "deep": {"controller": "deep_lstm", "num_layers": 2},
    "feedforward": {"controller": "feedforward", "max_signal": 1.0},
    "embedding": {"embedding_size": 4},
    "inputs only": {"feed_reads": False, "embedding_size": 4},
    "masks": {"look_up": "used_masked_cosine", "deallocate": True, "sharp_links": True},
    "adnc": {"core": "adnc", "layer_norm": True, "linkage": "none", "bypass_dropout": 0.1},
    "both directions": {"bidirectional": True, "embedding_size": 4, "feed_reads": False},
    "ntm": {"core": "ntm"},
    "lstm": {"core": "lstm"},
}


@pytest.mark.parametrize("changes", KINDS.values(), ids=KINDS)
def test_a_core_with_another_memory_shares_all_variables(changes):
    config = CONFIG.replace(**changes)
    task = make_task(config, 2)
    core = make_core(config, task)

    resized = with_memory(core, config, task, memory_size=11)

    assert len(resized.variables) == len(core.variables) > 0
    assert {id(x) for x in resized.variables} == {id(x) for x in core.variables}
    for variable in core.trainable_variables:  # It sees what is learned later.
        variable.assign_add(tf.ones_like(variable) * 0.1)
    fresh = make_core(config.replace(memory_size=11), task)
    for own, value in zip(fresh.variables, core.variables, strict=True):
        own.assign(value)
    batch = task.batch("test", 0, 0)
    np.testing.assert_array_equal(episodes.replay(resized, batch), episodes.replay(fresh, batch))
    if config.core != "lstm":
        small = episodes.replay(core, batch)
        assert np.abs(episodes.replay(resized, batch) - small).max() > 1e-6


@pytest.mark.parametrize(
    "name, weights",
    [
        ("cosine", dnc.CosineWeights),
        ("used_cosine", dnc.UsedCosineWeights),
        ("masked_cosine", dnc.MaskedCosineWeights),
        ("used_masked_cosine", dnc.UsedMaskedCosineWeights),
    ],
)
def test_the_configuration_chooses_the_content_look_up(name, weights):
    core = make_core(CONFIG.replace(look_up=name), make_task(CONFIG, 9))
    assert type(core.access.read_content) is weights
    assert type(core.access.write_content) is weights


def test_the_configuration_chooses_the_linkage():
    task = make_task(CONFIG, 9)
    dense = make_core(CONFIG.replace(linkage="dense", num_links=2), task)
    assert isinstance(dense.access.linkage, dnc.TemporalLinkage)
    sparse = make_core(CONFIG.replace(linkage="sparse", num_links=2), task)
    assert isinstance(sparse.access.linkage, dnc.SparseTemporalLinkage)
    assert sparse.access.linkage.num_links == 2
    with pytest.raises(ValueError, match="num_links must be at most memory_size=5, got 9"):
        make_core(CONFIG.replace(linkage="sparse", num_links=9), task)


def test_reads_without_links_have_no_modes():
    core = make_core(CONFIG.replace(linkage="none"), make_task(CONFIG, 9))
    assert type(core.access.linkage) is dnc.NoLinkage
    assert "read_mode" not in core.access.interface.widths


def test_the_configuration_chooses_the_other_parts():
    settings = {"look_up": "masked_cosine", "mask_min": 0.2, "deallocate": True}
    settings |= {"sharp_links": True, "layer_norm": True, "bypass_dropout": 0.3}
    core = make_core(CONFIG.replace(**settings), make_task(CONFIG, 9))

    access = core.access
    assert access.write_content.mask_min == access.read_content.mask_min == 0.2
    assert access.deallocate
    assert isinstance(access.linkage, dnc.SharpLinkage)
    assert isinstance(access.linkage.linkage, dnc.TemporalLinkage)
    assert access.interface.norm is not None
    assert isinstance(core.controller, dnc.LayerNormLSTM)
    assert core.bypass_dropout == 0.3
    links = {"linkage": "sparse", "num_links": 2}
    sparse = make_core(CONFIG.replace(sharp_links=True, **links), make_task(CONFIG, 9))
    assert isinstance(sparse.access.linkage.linkage, dnc.SparseTemporalLinkage)


@pytest.mark.parametrize(
    "settings, said",
    [
        ({"sharp_links": True, "linkage": "none"}, "sharp_links is for linkage=dense and sparse"),
        ({"sharp_links": True, "linkage": "none_0_1"}, "sharp_links is for linkage=dense and spar"),
        ({"mask_min": 0.1}, "mask_min is for look_up=masked_cosine and .*, not for cosine"),
        ({"bidirectional": True, "core": "ntm"}, "bidirectional is for core=dnc, adnc and biadnc"),
        ({"core": "biadnc"}, "core=biadnc is bidirectional: give core=adnc for one direction"),
    ],
)
def test_settings_of_parts_that_do_not_go_together_are_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        make_core(CONFIG.replace(**settings), make_task(CONFIG, 9))


def values_of(core, batch):
    """The outputs of a core whose variables have values that depend on their order alone."""
    rng = np.random.default_rng(0)
    for variable in core.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    return episodes.replay(core, batch)


@pytest.mark.parametrize("kind", ["adnc", "biadnc"])
def test_an_advanced_dnc_is_the_one_of_the_library(kind):
    sizes = {"memory_size": 5, "word_size": 6}
    config = Config.of(preset="none", core=kind, hidden_size=7, num_read_heads=2, **sizes)
    task = make_task(config, 2)
    batch = task.batch("test", 0, 0)
    widths = [task.input_size] * (kind == "biadnc") + [task.output_size]
    options = {"num_reads": 2, "clip_value": 20.0, **sizes}
    expected = getattr(dnc, kind)(*widths, hidden_size=7, **options)
    create_variables(expected, task)

    core = make_core(config, task)

    np.testing.assert_allclose(values_of(core, batch), values_of(expected, batch), atol=1e-6)
    forward = core.forward if kind == "biadnc" else core
    assert forward.bypass_dropout == 0.1


def test_a_bounded_signal_is_bounded_in_both_directions():
    core = make_core(CONFIG.replace(bidirectional=True, max_signal=2.0), make_task(CONFIG, 9))
    assert core.backward.bound == core.forward.controller.core.bound == 2.0


def test_an_interactive_task_has_no_bidirectional_core():
    config = Config.of(task="tests.unit.training.interactive.bandit:Bandit", core="biadnc")
    with pytest.raises(ValueError, match="is interactive, but a bidirectional core sees the whole"):
        make_core(config, make_task(config))


def test_a_core_without_links_has_the_variables_of_version_0_1():
    core, _ = load(pretrained("addition_dnc"))
    assert isinstance(core.access.linkage, dnc.NoLinkage)
    assert core.access.interface.widths["read_mode"] == 3 * core.access.num_reads


def test_a_directory_without_a_run_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=str(tmp_path)):
        load(tmp_path)
    Run(tmp_path, CONFIG)
    with pytest.raises(FileNotFoundError, match="no checkpoint"):
        load(tmp_path)
