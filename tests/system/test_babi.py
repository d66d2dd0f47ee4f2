"""Training on bAbI with a memory, which takes long to trace, and many batches of its stories."""

import shutil

import pytest

import tasks
from tests.unit.tasks.babi.test_task import DATA as EXCERPT
from tests.unit.tasks.babi.test_task import in_a_batch
from tests.unit.test_babi import DATA, run_train
from training import checkpoints
from training.models import load

DNC = ["--max_buckets=2"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The directory of a run of four steps, two validations and no checkpoints between them."""
    directory = tmp_path_factory.mktemp("runs") / "stories"
    ended = run_train(
        *DNC,
        f"--data_dir={DATA}",
        f"--checkpoint_dir={directory}",
        "--num_training_iterations=4",
        "--validation_interval=2",
        "--checkpoint_interval=-1",
    )
    assert (ended.code, ended.err) == (0, "")
    return directory


def test_each_validation_is_a_checkpoint_and_the_best_is_remembered(trained):
    assert checkpoints.steps(trained) == [4, 2]
    last = checkpoints.read(trained, 4)

    assert last.state["validation"][0] == 4
    assert last.best.step in (2, 4)
    assert last.best.loss == last.state["best_error"] <= last.state["validation"][1]
    core, task = load(trained, best=True)
    assert task.tasks == "1,19"
    assert core.access.memory_size == 4


def test_the_data_may_lie_elsewhere_when_a_run_is_resumed(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    shutil.copytree(DATA, tmp_path / "elsewhere")

    ended = run_train(
        *DNC,
        f"--data_dir={tmp_path / 'elsewhere'}",
        f"--checkpoint_dir={tmp_path / 'run'}",
        "--num_training_iterations=5",
    )

    assert ended.code == 0
    assert f"Continuing with data_dir={tmp_path / 'elsewhere'}" in ended.out
    assert "again for each new length of batches." in ended.out


def test_stories_are_drawn_evenly():
    task = tasks.get("babi", data_dir=EXCERPT, tasks="1,8,19", batch_size=4, max_buckets=3)
    counts = {}
    for step in range(600):
        for story in in_a_batch(task.batch("train", 3, step)):
            counts[story] = counts.get(story, 0) + 1

    assert len(counts) == 30
    # 2,400 draws, but all of a batch from one bucket: 80 each, with a deviation of about 13.
    assert min(counts.values()) > 30 and max(counts.values()) < 150
