"""Flags of train.py as hypothesis strategies."""

from hypothesis import strategies as st

import tasks
from tasks import options
from tasks.options import Option
from tests import golden
from training import flags, presets
from training.config import Config, task_options

SMALL = ["--hidden_size=4", "--memory_size=8", "--word_size=3", "--num_read_heads=1"]
# `distribution` would connect to other machines.
SETTINGS = {k: v for k, v in options.of(Config).items() if k not in ("distribution", "task")}
HUGE = [2**31 - 1, 2**31, 2**63 - 1, 2**63, 10**40]
NAMES = st.sampled_from(sorted([*SETTINGS, "task", "preset"]))
ODD = st.one_of(
    st.sampled_from([*HUGE, "1e-400", "1e400", "0x10", "1_000", " 3 ", "٣", "", "None"]),
    st.integers(-3, 0),
    st.floats(),
    st.text(st.characters(blacklist_characters="/"), max_size=20),
)


def sensible(option: Option) -> st.SearchStrategy:
    """Draws small, valid values for an option."""
    if option.name in ("checkpoint_dir", "trace_file"):
        return st.sampled_from(["here", "a/b", "naïve", "with space", "."])
    if option.name == "data_dir":
        return st.just(str(golden.DATA / "babi"))
    if option.name == "tasks":
        return st.sampled_from(["1", "8", "1,19"])
    if option.choices:
        return st.sampled_from(option.choices)
    if option.kind is bool:
        return st.booleans()
    return st.integers(1, 6) if option.kind is int else st.floats(1e-3, 10.0)


@st.composite
def sensible_values(draw):
    """Draws some flags, with the options of one task."""
    task = draw(st.sampled_from(tasks.names()))
    left = {k: sensible(v) for k, v in {**SETTINGS, **task_options(task)}.items()}
    chosen = ["none", task] if task in presets.PRESETS else ["none"]
    small = {"preset": draw(st.sampled_from(chosen))}
    if task == "ngrams":
        small |= {"min_length": 3, "max_length": 4}
    if task == "babi":
        small |= {"data_dir": str(golden.DATA / "babi"), "tasks": "1"}
    return {**small, **draw(st.fixed_dictionaries({}, optional=left)), "task": task}


SENSIBLE = sensible_values()


def as_arguments(values: dict) -> list[str]:
    """Returns the command line with these flags, for a small model."""
    return [*SMALL, *flags.as_arguments(values)]
