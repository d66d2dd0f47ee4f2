import numpy as np
import pytest
import sonnet as snt

import dnc
from training.models import CONTENT_WEIGHTS, load, make_core, make_task
from training.optimization import rmsprop
from training.runs import Run, pretrained

CONFIG = {
    "task": "repeat_copy",
    "num_bits": 3,
    "max_length": 4,
    "memory_size": 5,
    "word_size": 6,
    "num_read_heads": 2,
    "num_write_heads": 1,
    "hidden_size": 7,
    "clip_value": 20.0,
    "learning_rate": 1e-3,
}


def test_a_task_takes_its_options_from_the_configuration():
    task = make_task(CONFIG, batch_size=9)
    assert (task.num_bits, task.max_length, task.batch_size) == (3, 4, 9)
    with pytest.raises(ValueError, match="Unknown task 'nonsense'"):
        make_task({**CONFIG, "task": "nonsense"}, batch_size=9)


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
    assert make_core({**CONFIG, "clip_value": 0.0}, make_task(CONFIG, 9)).clip_value is None


def test_a_saved_run_is_loaded_without_repeating_its_flags(tmp_path):
    run = Run(tmp_path, CONFIG)
    task = make_task(CONFIG, batch_size=9)
    core = make_core(CONFIG, task)
    run.restore(core=core, optimizer=rmsprop(core.trainable_variables, 1e-3, 1e-10))
    run.save(3)

    loaded, loaded_task = load(tmp_path, batch_size=2)

    inputs = loaded_task.batch(0, 0).observations
    expected, _ = snt.dynamic_unroll(core, inputs, core.initial_state(2))
    outputs, _ = snt.dynamic_unroll(loaded, inputs, loaded.initial_state(2))
    np.testing.assert_array_equal(outputs, expected)


def test_a_saved_run_is_loaded_with_another_memory_and_longer_sequences(tmp_path):
    run = Run(tmp_path, CONFIG)
    core = make_core(CONFIG, make_task(CONFIG, batch_size=9))
    run.restore(core=core, optimizer=rmsprop(core.trainable_variables, 1e-3, 1e-10))
    run.save(3)

    loaded, task = load(tmp_path, memory_size=11, max_length=20)

    assert loaded.access.memory_size == 11
    assert task.max_length == 20
    for new, old in zip(loaded.trainable_variables, core.trainable_variables, strict=True):
        np.testing.assert_array_equal(new, old)
    with pytest.raises(ValueError, match="has no flag memory"):
        load(tmp_path, memory=11)


@pytest.mark.parametrize("name", CONTENT_WEIGHTS)
def test_the_content_look_up_is_that_of_the_configuration(name):
    core = make_core({**CONFIG, "content_weights": name}, make_task(CONFIG, 9))
    assert type(core.access.read_content) is CONTENT_WEIGHTS[name]
    assert type(core.access.write_content) is CONTENT_WEIGHTS[name]


def test_the_linkage_is_that_of_the_configuration():
    task = make_task(CONFIG, 9)
    dense = make_core({**CONFIG, "linkage": "dense", "num_links": 2}, task)
    assert isinstance(dense.access.linkage, dnc.TemporalLinkage)
    sparse = make_core({**CONFIG, "linkage": "sparse", "num_links": 2}, task)
    assert isinstance(sparse.access.linkage, dnc.SparseTemporalLinkage)
    assert sparse.access.linkage.num_links == 2
    with pytest.raises(ValueError, match="num_links must be at most memory_size=5, got 9"):
        make_core({**CONFIG, "linkage": "sparse", "num_links": 9}, task)


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
