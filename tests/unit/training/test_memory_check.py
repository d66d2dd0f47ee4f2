"""A model that cannot fit into memory is refused before any of it is allocated, with any core."""

import math
import os

import pytest
import tensorflow as tf

from training import models
from training.config import MAX_SIZE, Config

CONFIG = Config.of(
    preset="none",
    task="repeat_copy",
    num_bits=3,
    memory_size=5,
    word_size=6,
    num_read_heads=2,
    hidden_size=7,
)
TASK = models.make_task(CONFIG, batch_size=4)
KINDS = {
    "dnc": {},
    "lstm": {"core": "lstm"},
    "ntm": {"core": "ntm"},
    "deep": {"controller": "deep_lstm", "num_layers": 2},
    "feedforward": {"controller": "feedforward", "max_signal": 1.0},
    "embedding": {"embedding_size": 4, "feed_reads": False},
    "sparse": {"linkage": "sparse", "num_links": 2},
    "both directions": {"core": "biadnc", "bidirectional": True, "layer_norm": True},
}
each_kind = pytest.mark.parametrize("changes", KINDS.values(), ids=KINDS)


@pytest.fixture
def machine(monkeypatch):
    """Sets the memory of this machine, in bytes."""

    def set_size(num_bytes):
        sizes = {"SC_PHYS_PAGES": num_bytes, "SC_PAGE_SIZE": 1}
        monkeypatch.setattr(os, "sysconf", sizes.__getitem__)

    return set_size


@each_kind
def test_a_size_of_a_hundred_million_is_refused_before_it_is_allocated(changes, monkeypatch):
    make_core, eager = models._make_core, []
    monkeypatch.setattr(
        models, "_make_core", lambda *x: eager.append(tf.executing_eagerly()) or make_core(*x)
    )

    with pytest.raises(ValueError, match=r"This needs [\d,]+ GiB of memory.* parameters") as error:
        wide = CONFIG.replace(**changes, hidden_size=10**8)
        models.make_core(wide, TASK, for_training=True)

    assert "hidden_size" in str(error.value)
    assert eager == [False]


@each_kind
def test_all_variables_and_states_are_counted(changes, machine):
    config = CONFIG.replace(**changes)
    core = models.make_core(config, TASK)
    numbers = sum(math.prod(variable.shape) for variable in core.variables)
    state = tf.nest.flatten(core.initial_state(TASK.batch_size))
    numbers += sum(math.prod(part.shape) for part in state)
    numbers += TASK.batch_size * TASK.num_steps * (TASK.input_size + TASK.output_size)

    machine(4 * numbers)
    models.make_core(config, TASK)
    machine(4 * numbers - 1)
    with pytest.raises(ValueError, match="This needs"):
        models.make_core(config, TASK)


def test_a_training_also_needs_gradients_and_averages(machine):
    machine(2 * 4 * models.num_parameters(models.make_core(CONFIG, TASK)) + 10_000)

    models.make_core(CONFIG, TASK)
    with pytest.raises(ValueError, match=r"1,1.. parameters with gradients and the optimizer's av"):
        models.make_core(CONFIG, TASK, for_training=True)


def test_more_slots_than_tensorflow_can_count_are_refused():
    for changes in ({}, KINDS["ntm"], KINDS["sparse"], {"linkage": "none"}):
        with pytest.raises(ValueError, match="This needs"):
            models.make_core(CONFIG.replace(**changes, memory_size=MAX_SIZE), TASK)
