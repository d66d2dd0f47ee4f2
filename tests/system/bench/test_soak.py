import json

from bench import soak
from bench.soak import FAULTS


def test_train_py_survives(capsys):
    assert soak.main(["bench.soak", "--json", "--nojit", "--minutes=0.3"]) == 0

    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["what"] for row in rows] == [*(fault.name for fault in FAULTS), "same end"]
    assert sum(row["tried"] for row in rows[:-1]) >= 1
    assert rows[-1]["tried"] >= 1
    assert all(row["survived"] == row["tried"] for row in rows)
