"""Gradients of a core compiled with XLA are finite wherever the model can get."""

import itertools

import pytest

from tests.models import compiled
from tests.unit.dnc.test_gradients import FiniteCheck


@pytest.fixture(scope="module")
def finite_check():
    return FiniteCheck(compiled, num_writes=2)


@pytest.mark.parametrize("input_scale", [1.0, 1e4])
@pytest.mark.parametrize("weight_scale", [1.0, 1e4])
def test_nothing_overflows_for_large_inputs_and_weights(finite_check, input_scale, weight_scale):
    finite_check.run(input_scale, weight_scale)


@pytest.mark.parametrize(
    ("usage", "memory", "weights"),
    list(itertools.product([0.0, 1.0], [0.0, 1.0, 1e4], ["none", "one-hot"])),
)
def test_empty_full_and_saturated_memories_have_finite_gradients(
    finite_check, usage, memory, weights
):
    finite_check.run_memory(usage, memory, weights)


def test_saturated_gates_have_finite_gradients(finite_check):
    finite_check.run_saturated_gates()
