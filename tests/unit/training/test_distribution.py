"""Distribution as far as one process shows it; replicas and workers: tests/system."""

import json

import numpy as np
import pytest

from tests.scripts import run_train
from training.distribution import Distribution, parse_cluster

CLUSTER = {"worker": ["host0:2222", "host1:2222"]}


def test_without_distribution_everything_is_decided_here():
    alone = Distribution("none")

    assert not alone
    assert (alone.num_replicas, alone.num_workers, alone.is_chief) == (1, 1, True)
    assert alone.of_chief(lambda: 3) == 3
    assert alone.any(True) and not alone.any(False)


@pytest.mark.parametrize(
    "job, index, address, first",
    [("worker", 1, "host1:2222", "host0:2222"), ("chief", 0, "host9:1", "host9:1")],
)
def test_a_cluster_is_read(job, index, address, first):
    jobs = CLUSTER if job == "worker" else {**CLUSTER, "chief": ["host9:1"]}
    cluster = parse_cluster(json.dumps({"cluster": jobs, "task": {"type": job, "index": index}}))

    assert cluster.address == address
    assert cluster.addresses[0] == first


@pytest.mark.parametrize(
    "config, said",
    [
        (None, "needs the environment variable TF_CONFIG"),
        ("{", "Expecting property name"),
        ("[]", "list indices"),
        ({"cluster": CLUSTER}, "'task' is missing"),
        ({"cluster": CLUSTER, "task": {"type": "worker"}}, "'index' is missing"),
        ({"cluster": CLUSTER, "task": {"type": "worker", "index": 2}}, "no worker 2"),
        ({"cluster": CLUSTER, "task": {"type": "worker", "index": -1}}, "no worker -1"),
        ({"cluster": CLUSTER, "task": {"type": "chief", "index": 0}}, "no chief 0"),
        ({"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}, 'have one "chief"'),
        ({"cluster": {"worker": ["a"]}, "task": {"type": "worker", "index": 0}}, "not host:port"),
        ({"cluster": {"worker": [1]}, "task": {"type": "worker", "index": 0}}, "is not like"),
        ({"cluster": {"worker": 1}, "task": {"type": "worker", "index": 0}}, "is not like"),
    ],
)
def test_a_bad_tf_config_is_one_line_and_exit_code_2(monkeypatch, tmp_path, config, said):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    if config is not None:
        text = config if isinstance(config, str) else json.dumps(config)
        monkeypatch.setenv("TF_CONFIG", text)

    ended = run_train("--distribution=multi_worker", directory=tmp_path)

    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert line.startswith("train.py: ")
    assert "TF_CONFIG" in line and said in line
    assert not list(tmp_path.iterdir())


def test_a_shared_object_of_one_process_is_the_object_itself():
    own = object()

    assert Distribution("none").shared(own) is own


class TwoWorkers(Distribution):
    """The other of two workers: the chief's results come from elsewhere."""

    def __init__(self, is_chief, answer=None):
        super().__init__("none")
        self.num_workers, self.is_chief = 2, is_chief
        self._received = (
            [] if is_chief else [np.int32(len(answer)), np.frombuffer(answer, np.uint8)]
        )

    def _sum(self, value):
        return value if self.is_chief else self._received.pop(0).astype(np.int32)


class TestShared:
    def test_the_chief_s_result_is_everybody_s(self):
        shared = TwoWorkers(True).shared([3, 1])
        assert shared.index(1) == 1
        assert shared.copy() == [3, 1]

    def test_the_others_get_it_without_a_call(self):
        class Unable:
            def error(self, step):
                raise AssertionError

        shared = TwoWorkers(False, b'{"result": {"wrong_bits": 0.5}}').shared(Unable())
        assert shared.error(step=3) == {"wrong_bits": 0.5}

    def test_errors_of_the_chief_are_everybody_s(self):
        with pytest.raises(ValueError, match="not in list"):
            TwoWorkers(True).shared([3, 1]).index(7)
        with pytest.raises(OSError, match="full"):
            TwoWorkers(False, b'{"errno": 28, "message": "full"}').shared([]).copy()
