"""An address, such as gs://bucket/run, is used as one or refused; it never becomes a folder."""

import pathlib
import sys

import pytest
import tensorflow as tf

import dnc
import evaluate
import tasks
from bench import results
from dnc_inspector import page
from dnc_trace import paths, schema
from tasks.babi import ask, fetch
from tasks.graphs import route
from tests.scripts import run_train
from tests.traces import make_trace
from training import models, runs, ship
from training.config import Config
from training.reporting import EventFile


def train(argv):
    ended = run_train(*argv[1:])
    sys.stderr.write(ended.err)
    return ended.code


# (command, its flags whose values are paths)
COMMANDS = {
    "train": (train, ["checkpoint_dir", "trace_file"]),
    "train babi": (lambda argv: train([*argv, "--task=babi"]), ["data_dir"]),
    "evaluate": (evaluate.main, ["checkpoint_dir", "plot", "csv"]),
    "tasks.babi.ask": (ask.main, ["checkpoint_dir", "story_file", "trace_file"]),
    "tasks.graphs.route": (route.main, ["checkpoint_dir", "trace_file"]),
    "training.ship": (ship.main, ["checkpoint_dir"]),
    "tasks.babi.fetch": (fetch.main, ["directory", "archive"]),
    "bench.results": (results.main, ["directory"]),
}
FLAGS = [(command, flag) for command, (_, flags) in COMMANDS.items() for flag in flags]


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    """Runs each test in a folder that must still be empty after it."""
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("address", ["gs://bucket/x", "s3://bucket/x", "ram://x", "file:///x/y"])
@pytest.mark.parametrize("command, flag", FLAGS)
def test_a_command_refuses_it_in_one_line(command, flag, address, capsys):
    main, _ = COMMANDS[command]

    assert main([command, f"--{flag}={address}"]) == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert f"{address} is an address" in line
    assert ("Give the path alone: /x/y" if "file" in address else "only local files") in line


def test_the_command_line_of_the_inspector_refuses_it(capsys):
    for arguments in (["gs://b/x"], ["trace.npz", "--output=gs://b/x"]):
        assert page.main(arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("dnc_inspector: gs://b/x is an address, but only local")


@pytest.mark.parametrize("kind", [str, pathlib.Path, str.encode])
def test_a_function_of_the_library_refuses_it(kind):
    address = kind("gs://bucket/x")
    for function in (
        lambda: runs.Run(address, Config()),
        lambda: runs.newest_checkpoint(address),
        lambda: models.load(address),
        lambda: ship.ship(address, "x"),
        lambda: fetch.unpack("x.tar.gz", address),
        lambda: schema.save(address, *make_trace()),
        lambda: dnc.Trace.load(address),
    ):
        with pytest.raises(ValueError, match=r"gs:/+bucket/x is an address, but only local"):
            function()


def test_the_data_of_a_task_are_not_read_from_it():
    with pytest.raises(ValueError, match="gs://b/x is an address"):
        tasks.get("babi", data_dir="gs://b/x,elsewhere")


@pytest.mark.parametrize(
    "path", ["/tmp/x", "x", "a:b/c", "C:/x", "C:\\x", "run:1/x", "x/gs://y", "", "://x"]
)
def test_a_local_path_stays_as_it_is(path):
    assert paths.local(path) == pathlib.Path(path)
    assert paths.for_tensorflow(path) == path


@pytest.mark.parametrize("address", ["gs://bucket/x", "ram://x", "file:///tmp/x", "a+b-c.d://e"])
def test_tensorflow_gets_all_slashes_of_it(address):
    assert paths.for_tensorflow(address) == address
    assert paths.for_tensorflow(pathlib.Path(address)) == address


def test_events_are_written_to_it():
    EventFile(pathlib.Path("ram://events")).close()

    assert tf.io.gfile.glob("ram://events/*")
