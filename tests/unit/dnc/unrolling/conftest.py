"""Fixtures of the tests of the unroll."""

import pytest


@pytest.fixture
def taken(monkeypatch):
    """The cores that the fused implementation ran."""
    from dnc.unrolling import fused  # Imports TensorFlow.

    cores = []
    unroll = fused.unroll
    monkeypatch.setattr(fused, "unroll", lambda core, *x: cores.append(core) or unroll(core, *x))
    return cores
