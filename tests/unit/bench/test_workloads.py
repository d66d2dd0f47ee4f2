import numpy as np
import pytest
import sonnet as snt

import dnc
import train
from bench import workloads
from tasks.repeat_copy import RepeatCopy

TINY = workloads.WORKLOADS["tiny"]


def test_the_small_workload_is_the_default_of_the_training_script():
    small, task = workloads.WORKLOADS["small"], RepeatCopy()

    assert small == (
        *(train.FLAGS[name].default for name in ("memory_size", "word_size", "num_read_heads")),
        *(train.FLAGS[name].default for name in ("hidden_size", "batch_size")),
        *(task.num_steps, task.input_size, task.target_size),
    )
    for name in ("clip_value", "max_grad_norm", "learning_rate"):
        assert getattr(workloads, name.upper()) == train.FLAGS[name].default
    assert train.FLAGS["optimizer_epsilon"].default == workloads.EPSILON


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


@pytest.mark.parametrize("linkage", ["dense"])
def test_a_batch_in_parts_gives_the_update_of_the_whole(linkage):
    cores = [workloads.make_dnc(TINY, linkage, num_links=2) for _ in range(2)]
    whole, parts = (
        workloads.training_step(core, TINY, jit=False, shards=shards)
        for core, shards in zip(cores, (1, 2), strict=True)
    )

    for _ in range(3):
        assert whole() == pytest.approx(parts(), rel=1e-5)
    for one, other in zip(*(core.trainable_variables for core in cores), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_the_unroll_is_what_was_asked_for():
    lengths = []

    def unroll(core, inputs, state):
        lengths.append(inputs.shape[0])
        return snt.dynamic_unroll(core, inputs, state)

    step = workloads.training_step(workloads.make_dnc(TINY), TINY, jit=False, unroll=unroll)
    other = workloads.training_step(workloads.make_dnc(TINY), TINY, jit=False)

    assert step() == pytest.approx(other(), rel=1e-5)
    assert lengths == [TINY.num_steps]


def test_links_are_dense_or_the_strongest_of_each_slot():
    assert isinstance(
        workloads.make_dnc(TINY).state_size.access_state.linkage, dnc.TemporalLinkageState
    )
    sparse = workloads.make_dnc(TINY, "sparse", num_links=3).state_size.access_state.linkage
    assert sparse.link.values == [1, TINY.memory_size, 3]
