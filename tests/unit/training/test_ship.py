import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tasks import option
from tasks.copy import Copy
from tests.runs import untrained
from tests.scripts import run_evaluate
from training import checkpoints, runs, ship
from training.models import load


@dataclasses.dataclass(frozen=True, kw_only=True)
class CopyFrom(Copy):
    """A task with an option that depends on the machine."""

    folder: str = option("", "Folder of the data.", may_change=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The directory of a small run that was not trained."""
    directory = tmp_path_factory.mktemp("runs") / "copies"
    return untrained(directory, task="copy", max_length=2, num_bits=2)


@pytest.fixture
def pretrained(tmp_path, monkeypatch):
    """The folder where models go."""
    monkeypatch.setattr(runs, "PRETRAINED", tmp_path / "pretrained")
    return tmp_path / "pretrained"


def test_a_shipped_model_is_the_trained_one_without_the_optimizer(run, pretrained, capsys):
    for _ in range(2):  # The second time it is replaced.
        assert ship.main(["ship", f"--checkpoint_dir={run}", "--name=copy_tiny"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"Shipped as {pretrained / 'copy_tiny'}."

    names = ["step-0.data-00000-of-00001", "step-0.index", "step-0.json"]
    assert sorted(path.name for path in (pretrained / "copy_tiny").iterdir()) == names
    shipped, _ = load(pretrained / "copy_tiny")
    trained, _ = load(run)
    for x, y in zip(shipped.trainable_variables, trained.trainable_variables, strict=True):
        np.testing.assert_array_equal(x, y)
    assert (pretrained / "copy_tiny" / names[0]).stat().st_size < 0.6 * (
        run / names[0]
    ).stat().st_size
    flags = json.loads((run / "flags.json").read_text())
    assert json.loads((pretrained / "copy_tiny" / names[2]).read_text())["flags"] == flags


def test_a_shipped_model_can_be_measured_by_its_name(run, pretrained):
    ship.ship(run, "copy_tiny")
    arguments = ["--num_sequences=2", "--lengths=2"]

    ended = run_evaluate("--pretrained=copy_tiny", *arguments)
    assert ended.code == 0
    assert ended.lines[1].split()[:3] == ["copy_tiny", "2", "4"]
    ended = run_evaluate("--pretrained=copy_dnc", *arguments)
    assert ended.code == 2
    assert "There is no pretrained model 'copy_dnc'. Choose from: copy_tiny." in ended.err


@pytest.mark.parametrize(
    "arguments, said",
    [
        ([], "Give --checkpoint_dir and --name"),
        (["--checkpoint_dir=missing", "--name=a"], "There is no run in missing."),
        (["--checkpoint_dir=missing", "--name=../a"], "The name must consist of a to z"),
        (["--nonsense"], "nonsense"),
        (["missing"], "Unexpected arguments"),
    ],
)
def test_what_cannot_be_shipped_is_one_line_and_exit_code_2(pretrained, capsys, arguments, said):
    assert ship.main(["ship", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("training.ship: ") and said in line
    assert not pretrained.exists()


def test_a_shipped_model_does_not_tell_of_folders(pretrained, tmp_path):
    settings = {"task": f"{__name__}:CopyFrom", "max_length": 2, "folder": "/home/me/data"}
    first = untrained(tmp_path / "first", **settings)
    directory = untrained(tmp_path / "run", **settings, start_from=str(first))

    ship.ship(directory, "copy_tiny")

    flags = json.loads((pretrained / "copy_tiny" / "step-0.json").read_text())["flags"]
    assert flags["folder"] == flags["start_from"] == ""


def test_a_large_model_is_not_shipped(run, pretrained, monkeypatch):
    monkeypatch.setattr(ship, "MAX_BYTES", 100)
    with pytest.raises(ValueError, match="more than 100: train a smaller model"):
        ship.ship(run, "copy_tiny")
    assert not pretrained.exists()


def test_the_best_checkpoint_can_be_shipped(run, pretrained, tmp_path):
    source = tmp_path / "source"
    shutil.copytree(run, source)
    settings = checkpoints.read(source, 0).settings
    save = tf.train.Checkpoint(core=load(run)[0]).write
    for step in (1, 3):
        best = checkpoints.Best(1, 0.0)
        checkpoints.write(source, step, save, settings=settings, state={}, best=best)

    ship.ship(source, "newest")
    assert ship.main(["ship", f"--checkpoint_dir={source}", "--name=best", "--best"]) == 0

    assert checkpoints.steps(pretrained / "newest") == [3]
    assert checkpoints.steps(pretrained / "best") == [1]
