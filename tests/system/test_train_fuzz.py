"""train.py with any flags: it works, or says in one line what is wrong."""

import os
import sys

import numpy as np
from absl import flags
from absl.testing import flagsaver
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import dnc
import tasks
import train
from tests import golden
from training import options, presets
from training.loop import Ending, Loop
from training.models import load

SMALL = ["--hidden_size=4", "--memory_size=8", "--word_size=3", "--num_read_heads=1"]
FLAGS = {
    flag.name: flag
    for flag in flags.FLAGS.get_key_flags_for_module(train)
    if flag.name != "distribution"  # It would try other machines.
}
HUGE = [2**31 - 1, 2**31, 2**63 - 1, 2**63, 10**40]
ODD = st.one_of(
    st.sampled_from([*HUGE, "1e-400", "1e400", "0x10", "1_000", " 3 ", "٣", "", "None"]),
    st.integers(-3, 0),
    st.floats(),
    st.text(st.characters(blacklist_characters="/"), max_size=20),
)


def sensible(flag):
    """Values that this flag has use for, small ones."""
    if flag.name in ("checkpoint_dir", "trace_file"):
        return st.sampled_from(["here", "a/b", "naïve", "with space", "."])
    if flag.name == "layout":
        return st.sampled_from(["deepmind", "numpy", "ntm", "chainer"])
    if flag.name == "data_dir":
        return st.just(str(golden.DATA / "babi"))
    if flag.name == "tasks":
        return st.sampled_from(["1", "8", "1,19"])
    if flag.name == "preset":
        return st.sampled_from(["none", *presets.PRESETS])
    if isinstance(flag.parser, flags.EnumParser):
        return st.sampled_from(flag.parser.enum_values)
    if flag.boolean:
        return st.booleans()
    if isinstance(flag.parser, flags.IntegerParser):
        return st.integers(1, 6)
    return st.floats(1e-3, 10.0)


@st.composite
def sensible_values(draw):
    """Some flags, with the options of one task."""
    task = draw(st.sampled_from(tasks.names()))
    others = set(options.names()) - tasks.defaults(task).keys()
    left = {name: sensible(flag) for name, flag in FLAGS.items() if name not in others}
    del left["task"], left["preset"]
    small = {"preset": draw(st.sampled_from(["none", task]))}
    if task == "ngrams":
        small |= {"min_length": 3, "max_length": 4}
    if task == "babi":
        small |= {"data_dir": str(golden.DATA / "babi"), "tasks": "1"}
    return {**small, **draw(st.fixed_dictionaries({}, optional=left)), "task": task}


SENSIBLE = sensible_values()
NAMES = st.sampled_from(sorted(FLAGS))


def as_arguments(values):
    return [f"--{name}={value}" for name, value in values.items()]


def run(directory, *arguments):
    """Runs train.py in this process; returns the exit code."""
    argv, cwd = sys.argv, os.getcwd()
    # The script knows its own flags by sys.argv[0]; imported, they belong to module `train`.
    sys.argv = ["train", *SMALL, *arguments]
    os.chdir(directory)
    try:
        with flagsaver.flagsaver():
            return train.main(train._parse(sys.argv))
    except SystemExit as error:
        return error.code
    finally:
        sys.argv = argv
        os.chdir(cwd)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    values=st.builds(
        lambda sensible, odd: {**sensible, **odd},
        SENSIBLE,
        st.just({}) | st.dictionaries(NAMES, ODD, max_size=1),
    ),
    more=st.just([]) | st.lists(st.text(max_size=5), max_size=1),
)
def test_any_flags_are_accepted_or_refused_in_one_line(
    values, more, monkeypatch, tmp_path_factory, capsys
):
    monkeypatch.setattr(Loop, "run", lambda *_: Ending(True, "", None))
    directory = tmp_path_factory.mktemp("any")
    capsys.readouterr()

    code = run(directory, *as_arguments(values), *more)

    said = capsys.readouterr().err
    if code == 0:
        assert said == ""
    else:
        assert code == 2
        assert said.startswith("train.py: ") and said.count("\n") == 1, said
        assert len(said) < 1000
        assert not list(directory.iterdir())


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(values=SENSIBLE)
def test_sensible_flags_train_a_model_that_can_be_loaded_or_are_refused(
    values, tmp_path_factory, capsys
):
    directory = tmp_path_factory.mktemp("sensible")
    values = {**values, "checkpoint_dir": "run", "num_training_iterations": 3, "jit": False}
    capsys.readouterr()

    code = run(directory, *as_arguments(values))

    said = capsys.readouterr()
    if code == 2:
        assert said.err.count("\n") == 1
        return
    if code == 1:  # With a learning rate of 10, say.
        assert "is not finite" in said.err
        return
    assert code == 0
    core, task = load(directory / "run", batch_size=2)
    batch = task.batch(0, 0)
    outputs, _ = dnc.unroll(core, batch.observations)
    assert outputs.shape == batch.target.shape
    assert np.isfinite(outputs).all()
