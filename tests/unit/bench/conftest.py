import functools

import pytest

from bench import workloads


@pytest.fixture
def without_xla(monkeypatch):
    """Training steps are graphs that XLA does not compile: what they take does not matter."""
    step = functools.partial(workloads.training_step, jit=False)
    monkeypatch.setattr(workloads, "training_step", step)
