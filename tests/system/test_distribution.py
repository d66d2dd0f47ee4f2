import contextlib
import json
import os
import re
import shlex
import socket
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from tests import golden
from tests.scripts import ROOT, start
from training.distribution import parse_cluster

# What one process does, and the same with each batch split over two logical CPU devices, which have
# to be there before TensorFlow is first used: a program of its own. Its results are arrays.
TWO_DEVICES = """
import sys, tempfile
import numpy as np, sonnet as snt, tensorflow as tf
import dnc
from tasks.babi import Babi
from tasks.repeat_copy import RepeatCopy
from training.distribution import Distribution
from training.optimization import Update, rmsprop
from training.step import TrainingStep, create_variables

(cpu,) = tf.config.list_physical_devices("CPU")
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)

class Bad(RepeatCopy):
    # The last episode of step 205 is not finite: only the second replica gets it.
    def batch(self, split, seed, step, lesson=None):
        batch = super().batch(split, seed, step, lesson)
        last = tf.range(self.batch_size)[:, tf.newaxis] == self.batch_size - 1
        is_bad = last & (tf.cast(step, tf.int32) == 205)
        return batch._replace(observations=tf.where(is_bad, np.nan, batch.observations))

def make(distribution, task):
    tf.random.set_seed(0)
    with distribution.scope():
        core = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(6), task.output_size, 20.0)
        create_variables(core, task)
    optimizer = rmsprop(core.trainable_variables, learning_rate=1e-3, epsilon=1e-10)
    training = TrainingStep(core, task, Update(optimizer, 50.0), seed=0, distribution=distribution)
    checkpoint = tf.train.Checkpoint(core=core, optimizer=optimizer, step=training.step)
    return core, training, checkpoint

def values(core, training):
    variables = [*core.trainable_variables, *training.update.optimizer.ms]
    return np.concatenate([variable.numpy().ravel() for variable in variables])

distributions = {"one": Distribution("none"), "two": Distribution("mirrored")}
bad = Bad(num_bits=2, batch_size=6)
made = {name: make(distribution, bad) for name, distribution in distributions.items()}
found = {"replicas": [distribution.num_replicas for distribution in distributions.values()]}
for name, (core, training, _) in made.items():
    each = [training.run(1) for _ in range(200)]
    found[name + "/losses"] = [x.loss for x in each]
    found[name + "/norms"] = [x.gradient_norm for x in each]
    found[name + "/wrong_bits"] = [x.metrics["wrong_bits"] for x in each]

# Each continues from the other's checkpoint.
folder = tempfile.mkdtemp()
paths = {name: checkpoint.write(folder + name) for name, (_, _, checkpoint) in made.items()}
for name, other in ("one", "two"), ("two", "one"):
    core, training, checkpoint = made[name]
    found[name + "/saved"] = values(core, training)
for name, other in ("one", "two"), ("two", "one"):
    core, training, checkpoint = made[name]
    checkpoint.read(paths[other]).assert_consumed()
    found[name + "/restored"] = values(core, training)
    found[name + "/loss_after"] = training.run(20).loss
    before = values(core, training)
    training.run(1)
    found[name + "/step"] = training.step
    found[name + "/unchanged"] = np.array_equal(before, values(core, training))
core, training, _ = made["two"]
found["copies"] = all(
    np.array_equal(*[copy.numpy() for copy in variable.values])
    for variable in core.trainable_variables
)
try:
    distributions["two"].check_batch_size(3)
except ValueError as error:
    found["error"] = str(error)

# Batches of several lengths.
stories = Babi(data_dir=sys.argv[2], tasks="1,19", batch_size=4, max_buckets=2)
for name, distribution in distributions.items():
    training = make(distribution, stories)[1]
    each = [training.run(1) for _ in range(8)]
    found[name + "/of_stories"] = [[x.loss, x.gradient_norm] for x in each]
found["lengths"] = [stories.steps_of_batch("train", 0, step) for step in range(8)]
np.savez(sys.argv[1], **found)
"""

# train.py with the losses in full, and without evaluations, which only cost time here.
TRAIN = """
import os, signal, sys
import train
from tests.scripts import NoEvaluation
from training import experiment
from training.messages import say
from training.reporting import Display

def write(display, step, scalars, *more):
    say(f"at {step} {scalars['loss']}")
    if step == int(os.environ.get("DIE_AT", 0)):
        os.kill(os.getpid(), signal.SIGKILL)

experiment.Evaluation, Display.write = NoEvaluation, write
sys.exit(train.main(["train.py", *sys.argv[1:]]))
"""
TINY = shlex.split(
    "--hidden_size=6 --memory_size=4 --word_size=3 --num_read_heads=1 --num_bits=2 --batch_size=4"
    " --learning_rate=1e-3 --checkpoint_dir=run --nosummaries --report_interval=10"
    " --checkpoint_interval=50 --num_training_iterations=200"
)


def environment(**variables):
    without = {name: value for name, value in os.environ.items() if name != "TF_CONFIG"}
    return {**without, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3", **variables}


def start_training(directory, *arguments, **variables):
    """Starts TRAIN in `directory`."""
    return subprocess.Popen(
        [sys.executable, "-c", TRAIN, *TINY, *arguments],
        cwd=directory,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(processes):
    """Waits for all; returns the exit codes, and what each wrote to its two outputs."""
    try:
        outputs = [process.communicate() for process in processes]
    finally:
        for process in processes:
            process.kill()
    return [process.returncode for process in processes], outputs


def losses(output):
    lines = [line.split() for line in output.splitlines() if line.startswith("at ")]
    return {int(step): float(loss) for _, step, loss in lines}


def free_ports(number):
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(number)]
        for each in sockets:
            each.bind(("localhost", 0))
        return [each.getsockname()[1] for each in sockets]


def start_workers(directory, *arguments, **variables_of_second):
    addresses = [f"localhost:{port}" for port in free_ports(2)]
    processes = []
    for index, variables in enumerate([{}, variables_of_second]):
        config = {"cluster": {"worker": addresses}, "task": {"type": "worker", "index": index}}
        # Two folders: workers on different machines share none.
        (directory / f"worker{index}").mkdir(exist_ok=True)
        variables = {"TF_CONFIG": json.dumps(config), **variables}
        arguments = ["--distribution=multi_worker", *arguments]
        processes.append(start_training(directory / f"worker{index}", *arguments, **variables))
    return processes


@pytest.fixture(scope="module")
def two_devices(tmp_path_factory):
    path = tmp_path_factory.mktemp("two_devices") / "found.npz"
    subprocess.run(
        [sys.executable, "-c", TWO_DEVICES, str(path), str(golden.DATA / "babi")],
        env=environment(),
        check=True,
    )
    return np.load(path)


def test_two_devices_train_as_one_on_batches_of_several_lengths(two_devices):
    assert len(set(two_devices["lengths"])) == 2
    np.testing.assert_allclose(
        two_devices["two/of_stories"], two_devices["one/of_stories"], rtol=1e-5
    )


@pytest.mark.parametrize("quantity", ["losses", "norms", "wrong_bits"])
def test_two_devices_train_as_one_for_200_steps(two_devices, quantity):
    np.testing.assert_array_equal(two_devices["replicas"], [1, 2])
    assert len(two_devices[f"one/{quantity}"]) == 200
    rtol = 1e-4 if quantity == "norms" else 1e-5
    np.testing.assert_allclose(
        two_devices[f"two/{quantity}"], two_devices[f"one/{quantity}"], rtol=rtol
    )


@pytest.mark.parametrize("saved, restored", [("one", "two"), ("two", "one")])
def test_a_checkpoint_does_not_depend_on_the_number_of_devices(two_devices, saved, restored):
    np.testing.assert_array_equal(
        two_devices[f"{restored}/restored"], two_devices[f"{saved}/saved"]
    )


def test_training_goes_on_alike_from_each_others_checkpoints(two_devices):
    left, right = two_devices["one/loss_after"], two_devices["two/loss_after"]

    np.testing.assert_allclose(left, right, rtol=1e-5)


def test_a_step_that_is_not_finite_on_one_device_is_left_out_on_all(two_devices):
    for name in ("one", "two"):
        assert two_devices[f"{name}/step"] == 205
        assert two_devices[f"{name}/unchanged"]
    assert two_devices["copies"]


def test_a_batch_that_cannot_be_split_evenly_is_refused(two_devices):
    assert "batch_size=3 cannot be split evenly over 2 replicas" in str(two_devices["error"])


def test_two_workers_train_as_one_process_also_when_one_is_killed(tmp_path):
    (expected_code,), ((expected, _),) = finish([start_training(tmp_path)])
    assert expected_code == 0
    expected = losses(expected)

    codes, outputs = finish(start_workers(tmp_path, DIE_AT="120"))
    assert codes == [75, -9]
    last_line = outputs[0][1].splitlines()[-1]
    assert last_line.startswith("train.py: Lost another worker")
    assert "Start all workers again" in last_line
    first_life = losses(outputs[0][0])

    codes, outputs = finish(start_workers(tmp_path))
    assert codes == [0, 0]
    assert "Resuming in run: repeat_copy" in outputs[0][0]
    second_life = losses(outputs[0][0])

    assert min(second_life) == 110  # From the checkpoint of step 100.
    assert sorted(first_life | second_life) == sorted(expected) == list(range(10, 201, 10))
    for life in (first_life, second_life):
        np.testing.assert_allclose(list(life.values()), [expected[s] for s in life], rtol=1e-5)
    # The chief alone prints and saves.
    assert outputs[1][0] == ""
    assert not list((tmp_path / "worker1").iterdir())


def test_all_workers_end_when_the_chief_refuses_the_run(tmp_path):
    (tmp_path / "worker0").mkdir()
    (tmp_path / "worker0" / "run").write_text("")  # Where the folder should be.

    codes, outputs = finish(start_workers(tmp_path))

    assert codes == [2, 2]
    for _, error in outputs:
        assert error.splitlines()[-1].startswith("train.py: Cannot write to run: ")


@pytest.mark.parametrize("language, name", [("bash", "Slurm"), ("yaml", "Kubernetes")])
def test_the_examples_of_schedulers_give_a_cluster(tmp_path, language, name):
    page = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
    (example,) = re.findall(rf"### {name}\n.*?```{language}\n(.*?)```", page, flags=re.DOTALL)
    if name == "Kubernetes":
        example = textwrap.dedent(example[example.index("export") : example.index("exec")])
        example += "printenv TF_CONFIG"
    else:
        # Stand-ins for Slurm's programs, and for ours.
        example = 'scontrol() { echo a1; echo a2; }\nsrun() { shift; "$@"; }\n' + example
        example = re.sub(r"\.venv/bin/python .*?;", "printenv TF_CONFIG;", example)
    variables = {"SLURM_PROCID": "1", "SLURM_JOB_NODELIST": "a[1-2]", "JOB_COMPLETION_INDEX": "1"}

    ended = start(["bash", "-c", example], env=environment(**variables), check=True)

    cluster = parse_cluster(ended.out)
    assert len(cluster.addresses) == 2
    assert cluster.address == cluster.addresses[1]
