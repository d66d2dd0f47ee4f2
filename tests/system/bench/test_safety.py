import json

from bench import safety


def test_a_training_that_saves_is_timed_beside_a_bare_one(capsys):
    arguments = ["--json", "--rounds=1", "--checkpoint_interval=5"]
    assert safety.main(["bench.safety", *arguments]) == 0

    bare, safe = json.loads(capsys.readouterr().out)["rows"]
    assert (bare["training"], safe["training"]) == ("bare", "safe")
    assert bare["ratio"] == 1.0
    assert safe["ratio"] == safe["median_ms"] / bare["median_ms"]
    assert 0 < safe["min_ms"] <= safe["median_ms"] <= safe["max_ms"]
