import pytest

import dnc
from bench import _peak, memory, workloads
from bench._peak import Variant
from tests.unit.bench.test_memory import run

TINY = workloads.WORKLOADS["tiny"]


def test_a_process_of_its_own_measures_a_step():
    found = _peak.peak(Variant(TINY._replace(batch_size=64, num_steps=50)))

    assert found.idle_mib > 50
    # The links of all steps take 0.8 MiB, and there is more than links.
    assert 0.8 < found.peak_mib < found.idle_mib
    assert found.step_ms > 0


@pytest.fixture
def checkpointing(monkeypatch):
    """Unrolls note the `checkpoint_every` they were given; returns the notes."""
    given = []

    def unroll(core, inputs, state, checkpoint_every=None):
        given.append(checkpoint_every)
        return dnc.unroll(core, inputs, state, checkpoint_every=checkpoint_every)

    monkeypatch.setitem(workloads.UNROLLS, "dnc.unroll", unroll)
    return given


@pytest.fixture
def in_process(monkeypatch):
    monkeypatch.setattr(memory, "peak", _peak.measure)


@pytest.mark.usefixtures("without_xla")
def test_where_peaks_cannot_be_reset_compilation_is_included(monkeypatch):
    monkeypatch.setattr(_peak, "_reset_peak", lambda: False)

    found = _peak.measure(Variant(TINY))

    assert found.includes_compilation
    assert found.peak_mib >= 0


@pytest.mark.usefixtures("without_xla")
def test_unrolls_are_compared_with_the_plain_one(capsys, checkpointing, in_process):
    rows = run(capsys, "--checkpoint_every=2")

    assert [(row["unroll"], row["checkpoint_every"]) for row in rows] == [
        ("snt.dynamic_unroll", None),
        ("dnc.unroll", None),
        ("dnc.unroll", 2),
    ]
    assert set(checkpointing) == {None, 2}
    for row in rows:
        assert row["config"] == "tiny"
        assert row["num_steps"] == 3
        assert {"idle_mib", "peak_mib", "median_ms", "min_ms", "max_ms", "timed"} <= row.keys()
        assert row["time_ratio"] == pytest.approx(row["median_ms"] / rows[0]["median_ms"])


@pytest.mark.usefixtures("without_xla")
def test_sizes_of_the_workload_can_be_changed(capsys, in_process):
    run(capsys, "--nocheckpointing", "--memory_size=12", "--batch_size=3")
    assert memory._workload() == TINY._replace(memory_size=12, batch_size=3)
