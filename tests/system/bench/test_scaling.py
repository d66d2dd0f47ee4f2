import json

import pytest

from bench import memory, scaling
from bench._peak import Peak

pytestmark = pytest.mark.usefixtures("without_xla")
TIMES = {"median_ms", "min_ms", "max_ms", "first_call_s"}


def run(capsys, *arguments):
    """Runs the command with --json and returns the rows."""
    arguments = ["--rounds=1", "--config=tiny", "--num_links=2", *arguments]
    assert scaling.main(["bench.scaling", "--json", *arguments]) == 0
    return json.loads(capsys.readouterr().out)["rows"]


def test_slots_grow_with_sparse_links_and_with_dense_ones_up_to_a_limit(capsys):
    small, large = run(capsys, "--axis=slots", "--sizes=4,300", "--max_dense_mib=2")

    assert (small["size"], large["size"]) == (4, 300)
    for row in (small, large):
        assert row.keys() == {"axis", "size", "DNC dense", "DNC sparse"}
        assert row["DNC sparse"].keys() == TIMES
    assert small["DNC dense"].keys() == TIMES
    assert large["DNC dense"] is None  # 4 x 3 x 2 x 300 x 300 bytes are 2.06 MiB.


def test_batches_grow_beside_an_lstm(capsys):
    (row,) = run(capsys, "--axis=batch", "--sizes=2")

    assert (row["axis"], row["size"]) == ("batch", 2)
    assert row["snt.LSTM"].keys() == row["DNC dense"].keys() == TIMES


@pytest.fixture
def measured(monkeypatch):
    """Nothing is run; returns which variants were to be measured."""
    variants = []

    def peak(variant):
        variants.append(variant)
        return Peak(100.0, 10.0 * len(variants), False, 5.0)

    monkeypatch.setattr(memory, "peak", peak)
    monkeypatch.setattr(memory, "available_mib", lambda: None)
    return variants


def test_steps_grow_with_and_without_checkpoints(capsys, measured):
    rows = run(capsys, "--axis=steps", "--sizes=9,16")

    assert [(v.workload.num_steps, v.unroll, v.checkpoint_every) for v in measured] == [
        (9, "snt.dynamic_unroll", None),
        (9, "dnc.unroll", None),
        (9, "dnc.unroll", 3),
        (16, "snt.dynamic_unroll", None),
        (16, "dnc.unroll", None),
        (16, "dnc.unroll", 4),
    ]
    assert [row["size"] for row in rows] == [9, 16]
    assert rows[0]["checkpointed"]["peak_mib"] == 30.0
    assert rows[0]["checkpointed"]["memory_ratio"] == 3.0
    assert rows[0]["dnc.unroll"]["median_ms"] == 5.0


def test_the_table_of_steps_shows_time_and_memory(capsys, measured):
    assert scaling.main(["bench.scaling", "--axis=steps", "--sizes=9", "--nocheckpointing"]) == 0

    header, _, row = capsys.readouterr().out.splitlines()[-3:]
    assert [cell.strip() for cell in header.split("|")[1:4]] == [
        "steps",
        "snt.dynamic_unroll, ms",
        "MiB",
    ]
    cells = [cell.strip() for cell in row.split("|")[1:-1]]
    assert cells == ["9", "5.00", "10.0", "5.00", "20.0", "-", "-"]
