import json

import pytest

from bench import _peak, memory, workloads
from bench._peak import Peak, Variant

pytestmark = pytest.mark.usefixtures("without_xla")
TINY = workloads.WORKLOADS["tiny"]


def run(capsys, *arguments):
    """Runs the command with --json and returns the rows."""
    assert memory.main(["bench.memory", "--json", "--rounds=1", "--config=tiny", *arguments]) == 0
    return json.loads(capsys.readouterr().out)["rows"]


def test_a_process_ended_for_want_of_memory_gives_no_figure(monkeypatch):
    class Killed:
        returncode = -9

    monkeypatch.setattr(_peak.subprocess, "run", lambda *_, **__: Killed)

    assert _peak.peak(Variant(TINY)) is None


def test_a_process_that_fails_otherwise_is_an_error(monkeypatch):
    class Failed:
        returncode, stderr = 1, "the reason"

    monkeypatch.setattr(_peak.subprocess, "run", lambda *_, **__: Failed)

    with pytest.raises(RuntimeError, match="the reason"):
        _peak.peak(Variant(TINY))


PEAK = Peak(idle_mib=100.0, peak_mib=50.0, includes_compilation=False, step_ms=7.0)


def test_checkpoints_are_by_default_as_many_as_steps_between_them(capsys, monkeypatch):
    monkeypatch.setattr(memory, "peak", lambda _: PEAK)
    monkeypatch.setattr(memory, "available_mib", lambda: None)

    rows = run(capsys, "--num_steps=3,100")

    assert [(row["num_steps"], row["checkpoint_every"]) for row in rows] == [
        *((3, every) for every in (None, None, 2)),
        *((100, every) for every in (None, None, 10)),
    ]


@pytest.mark.parametrize("available", [None, 299.0])
def test_without_memory_for_all_steps_are_timed_separately(capsys, monkeypatch, available):
    monkeypatch.setattr(memory, "peak", lambda _: PEAK)
    monkeypatch.setattr(memory, "available_mib", lambda: available)

    for row in run(capsys, "--nocheckpointing"):
        assert row["timed"] == "one step, separately"
        assert (row["median_ms"], row["time_ratio"], row["memory_ratio"]) == (7.0, 1.0, 1.0)


def test_what_does_not_fit_has_no_figures(capsys, monkeypatch):
    monkeypatch.setattr(memory, "peak", lambda variant: None)

    assert memory.main(["bench.memory", "--config=tiny", "--nocheckpointing"]) == 0
    assert capsys.readouterr().out.count("| out of memory  | -      | -  ") == 2
