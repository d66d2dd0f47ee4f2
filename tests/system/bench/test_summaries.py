import json

import pytest

from bench import summaries


def test_each_part_of_a_look_is_timed_next_to_training_steps(capsys, monkeypatch):
    monkeypatch.setattr(summaries, "_STEPS_TIMED", 2)
    arguments = ["--json", "--rounds=2", "--memory_size=4", "--summary_interval=500"]
    assert summaries.main(["bench.summaries", *arguments]) == 0

    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["part"] for row in rows] == ["record", "scalars", "panels", "episode", "all"]
    for row in rows:
        assert 0 < row["min_ms"] <= row["median_ms"] <= row["max_ms"]
        assert row["share"] == pytest.approx(row["median_ms"] / (500 * row["step_ms"]))
