"""Flags are defined from declarations of options."""

import re

import pytest
from absl import flags

import tasks
from tasks import options
from training.config import Config, task_options
from training.flags import define, given, help_text

DECLARED = [*options.of(Config).values(), *task_options("key_value").values()]


def parsed(*arguments):
    values = flags.FlagValues()
    define(values, DECLARED)
    values(["program", *arguments])
    return values


def test_only_flags_that_were_given_are_settings():
    values = parsed("--two_way", "--nofeed_reads", "--clip_value=0", "--memory_size=16")

    found = given(values, DECLARED)

    assert found == {"two_way": True, "feed_reads": False, "clip_value": 0.0, "memory_size": 16}
    assert given(parsed(), DECLARED) == {}


@pytest.mark.parametrize("argument", ["--num_bits=x", "--two_way=perhaps", "--clip_value=wide"])
def test_a_value_of_another_kind_is_refused(argument):
    with pytest.raises(flags.Error, match=argument[2:7]):
        parsed(argument)


@pytest.mark.parametrize("task", tasks.names())
def test_help_lists_every_setting_once_with_its_default_and_range(task):
    declared = [*options.of(Config).values(), *task_options(task).values()]

    text = help_text(declared)

    listed = re.findall(r"^  --(?:\[no\])?(\w+)", text, re.MULTILINE)
    assert listed == [each.name for each in declared]
    assert "--[no]feed_reads=true" in text
    assert "--clip_value=20.0\n" in text and "--trace_file\n" in text
    one_line = " ".join(text.split())
    for each in declared:
        assert each.help + (f" ({each.short_range})" if each.short_range else "") in one_line
    headings = re.findall(r"^(\S.*):$", text, re.MULTILINE)
    assert headings == ["Model", "Optimizer", "Task", "Training", f"Task {task}"]
