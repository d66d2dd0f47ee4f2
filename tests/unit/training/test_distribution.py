"""Distribution as far as one process shows it; replicas and workers: tests/system."""

import json

import numpy as np
import pytest
import tensorflow as tf

import tasks
from tasks.repeat_copy import RepeatCopy
from tests.scripts import run_train
from training.distribution import Distribution, parse_cluster, part

CLUSTER = {"worker": ["host0:2222", "host1:2222"]}


def test_parts_of_a_batch_are_those_of_the_whole():
    task = RepeatCopy(batch_size=6)
    whole = task.batch(3, 4)
    compiled = tf.function(lambda i: part(task.batch(3, 4), i, 3), jit_compile=True)

    for parts in (
        [part(whole, i, 3) for i in range(3)],
        [compiled(tf.constant(i)) for i in range(3)],
    ):
        assert parts[0].observations.shape == [task.num_steps, 2, task.input_size]
        assert isinstance(parts[0], tasks.Batch)
        for i, name in enumerate(whole._fields):
            np.testing.assert_array_equal(tf.concat([x[i] for x in parts], axis=1), whole[i], name)


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


def test_without_a_tpu_tpu_is_refused(monkeypatch, tmp_path):
    monkeypatch.delenv("TPU_NAME", raising=False)

    ended = run_train("--distribution=tpu", directory=tmp_path)

    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert line.startswith("train.py: --distribution=tpu: no TPU was found")
