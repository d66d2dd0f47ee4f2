import numpy as np
import pytest

import dnc
from bench import workloads
from tasks.repeat_copy import RepeatCopy
from training.config import Config

TINY = workloads.WORKLOADS["tiny"]


def test_the_small_workload_is_the_default_of_the_training_script():
    small, config, task = workloads.WORKLOADS["small"], Config(), RepeatCopy()

    assert small == (
        *(config.memory_size, config.word_size, config.num_read_heads),
        *(config.hidden_size, config.batch_size),
        *(task.num_steps, task.input_size, task.output_size),
    )
    for name in ("clip_value", "max_grad_norm", "learning_rate"):
        assert getattr(workloads, name.upper()) == getattr(config, name)
    assert config.optimizer_epsilon == workloads.EPSILON


def test_a_workload_is_described_by_its_sizes():
    assert str(workloads.WORKLOADS["small"]) == "N16 W16 R4 H64 B16 T9 X6->Y5"


def test_data_are_always_the_same():
    inputs, targets = workloads.random_batch(TINY)

    assert inputs.shape == [3, 2, 3]
    assert targets.shape == [3, 2, 2]
    assert set(np.unique(targets)) == {0.0, 1.0}
    for x, again in zip((inputs, targets), workloads.random_batch(TINY), strict=True):
        np.testing.assert_array_equal(x, again)


@pytest.mark.parametrize("jit", [False, True])
def test_each_call_is_one_update(jit):
    step = workloads.training_step(workloads.make_lstm(TINY), TINY, jit=jit)

    losses = [step() for _ in range(20)]

    assert losses == sorted(losses, reverse=True)
    assert losses[0] > losses[-1]


def test_links_are_dense_or_the_strongest_of_each_slot():
    assert isinstance(
        workloads.make_dnc(TINY).state_size.access_state.linkage, dnc.TemporalLinkageState
    )
    sparse = workloads.make_dnc(TINY, "sparse", num_links=3).state_size.access_state.linkage
    assert sparse.link.values == [1, TINY.memory_size, 3]
