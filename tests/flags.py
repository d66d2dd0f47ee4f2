"""Flags of train.py as hypothesis strategies."""

from absl import flags
from hypothesis import strategies as st

import tasks
import train
from tests import golden
from training import options, presets

SMALL = ["--hidden_size=4", "--memory_size=8", "--word_size=3", "--num_read_heads=1"]
FLAGS = {
    flag.name: flag
    for flag in flags.FLAGS.get_key_flags_for_module(train)
    if flag.name != "distribution"  # It would try other machines.
}
HUGE = [2**31 - 1, 2**31, 2**63 - 1, 2**63, 10**40]
NAMES = st.sampled_from(sorted(FLAGS))
ODD = st.one_of(
    st.sampled_from([*HUGE, "1e-400", "1e400", "0x10", "1_000", " 3 ", "٣", "", "None"]),
    st.integers(-3, 0),
    st.floats(),
    st.text(st.characters(blacklist_characters="/"), max_size=20),
)


def sensible(flag: flags.Flag) -> st.SearchStrategy:
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


def as_arguments(values: dict) -> list[str]:
    """The command line with these flags, of a small model."""
    return [*SMALL, *(f"--{name}={value}" for name, value in values.items())]
