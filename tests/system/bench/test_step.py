import json

import pytest

from bench import step

TIMES = {"median_ms", "min_ms", "max_ms", "first_call_s", "ratio"}


def run(capsys, *arguments):
    """Runs the command with --json and returns the rows."""
    assert step.main(["bench.step", "--json", "--rounds=1", *arguments]) == 0
    output = capsys.readouterr()
    assert output.err == ""
    return json.loads(output.out)["rows"]


def test_the_dnc_is_timed_through_both_unrolls_beside_the_lstm(capsys):
    rows = run(capsys, "--config=tiny", "--linkage=dense")

    assert [(row["model"], row["linkage"], row["unroll"]) for row in rows] == [
        ("snt.LSTM", None, "snt.dynamic_unroll"),
        ("DNC", "dense", "dnc.unroll"),
        ("DNC", "dense", "snt.dynamic_unroll"),
    ]
    for row in rows:
        assert row.keys() == {"config", "model", "linkage", "unroll"} | TIMES
        assert row["config"] == "tiny"
        assert 0 < row["min_ms"] <= row["median_ms"] <= row["max_ms"]
        assert row["ratio"] == pytest.approx(row["median_ms"] / rows[0]["median_ms"])


def test_the_table_has_a_line_for_each_model(capsys):
    arguments = ["--config=tiny", "--linkage=sparse", "--rounds=1", "--nojit"]
    assert step.main(["bench.step", *arguments]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert "no XLA" in lines[0]
    assert lines[1] == "tiny N8 W4 R1 H8 B2 T3 X3->Y2."
    assert [line.split("|")[2].strip() for line in lines if line.startswith("| tiny")] == [
        "snt.LSTM",
        "DNC sparse",
        "DNC sparse",
    ]


def test_members_of_the_family_are_timed_next_to_the_others(capsys):
    rows = run(capsys, "--config=tiny", "--linkage=dense", "--variants=masks,adnc")
    assert [(row["model"], row["unroll"]) for row in rows[3:]] == [
        ("masks", "dnc.unroll"),
        ("adnc", "dnc.unroll"),
    ]
