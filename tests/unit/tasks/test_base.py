import dataclasses
import sys
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tasks
from tasks.lessons import naive

OWN = """
import dataclasses
import tasks


class Outer:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Loud(tasks.find("copy")):
        '''A copy task with one more option.'''

        volume: float = tasks.option(0.5, "Loudness.", minimum=0.0)


class Unfinished(tasks.BitTask):
    input_size = property(lambda self: 1)


number = 3
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A module with a task of somebody's own."""
    (tmp_path / "own_tasks_of_a_test.py").write_text(OWN)
    (tmp_path / "own_tasks_that_fail.py").write_text("import a_module_that_is_missing")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("own_tasks_of_a_test", None)


def test_a_task_is_found_by_its_name():
    task = tasks.get("repeat_copy", num_bits=7)

    assert isinstance(task, tasks.find("repeat_copy"))
    assert task.num_bits == 7
    assert task.name == "repeat_copy"


def test_names_are_sorted():
    assert tasks.names() == sorted(tasks.names())
    assert "repeat_copy" in tasks.names()


def test_defaults_are_those_of_the_released_task():
    defaults = {
        name: each.default for name, each in tasks.options.of(tasks.get("repeat_copy")).items()
    }

    assert defaults == {
        "num_bits": 4,
        "batch_size": 16,
        "min_length": 1,
        "max_length": 2,
        "min_repeats": 1,
        "max_repeats": 2,
        "norm_max": 10,
        "log_prob_in_bits": False,
        "time_average_cost": False,
        "layout": "deepmind",
    }


def test_a_task_of_ones_own_is_found_by_its_path(own):
    task = tasks.get("own_tasks_of_a_test:Outer.Loud", volume=2, num_bits=3)

    assert task.name == "own_tasks_of_a_test:Outer.Loud"
    assert (task.volume, task.num_bits) == (2, 3)
    with pytest.raises(ValueError, match=r"volume must be a number >= 0, got -1\."):
        tasks.get(task.name, volume=-1)


@pytest.mark.parametrize(
    "name, why",
    [
        ("nonsense", "Unknown task 'nonsense'. Choose from: addition, .* or give your own as"),
        ("missing.module:Class", "Cannot load task .*: No module named 'missing'"),
        ("own_tasks_of_a_test:Missing", "Cannot load task .* has no attribute 'Missing'"),
        ("own_tasks_of_a_test:Outer.Missing", "Cannot load task .* has no attribute 'Missing'"),
        ("own_tasks_of_a_test:", "Cannot load task"),
        ("own_tasks_that_fail:Task", "Cannot load task .*a_module_that_is_missing"),
        (":Class", "Cannot load task :Class"),
        (".relative:Class", "Cannot load task .relative:Class"),
        ("own_tasks_of_a_test:number", "number is not a subclass of tasks.Task"),
        ("own_tasks_of_a_test:Outer", "Outer is not a subclass of tasks.Task"),
        ("own_tasks_of_a_test:Unfinished", "Unfinished must define batch, num_steps, output_size"),
    ],
)
@pytest.mark.parametrize("look_up", [tasks.find, tasks.get])
def test_a_task_that_cannot_be_found_is_refused(own, look_up, name, why):
    with pytest.raises(ValueError, match=why):
        look_up(name)


def test_unknown_options_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="first_typo, second_typo") as error:
        tasks.get("repeat_copy", second_typo=1, num_bits=4, first_typo=2)

    for name in tasks.options.of(tasks.find("repeat_copy")):
        assert name in str(error.value)


@pytest.mark.parametrize(
    "name, options, why",
    [
        ("key_value", {"num_bits": 5}, "num_bits must be even, got 5"),
        ("key_value", {"num_bits": 26}, "num_bits must be an integer from 2 to 24, got 26"),
        ("key_value", {"num_bits": 6, "max_length": 9}, "max_length must be at most 8"),
        ("priority_sort", {"layout": "other"}, "layout must be one of ntm, chainer, got 'other'"),
        ("priority_sort", {"layout": "chainer", "min_length": 1}, "min_length must be >= 2 for"),
        ("associative_recall", {"min_items": 1}, "min_items must be an integer >= 2, got 1"),
        ("ngrams", {"context": 17}, "context must be an integer from 1 to 16, got 17"),
        ("copy", {"min_length": 5, "max_length": 4}, "min_length must be at most max_length"),
        ("copy", {"max_length": 2**31}, "at most 2,147,483,647 time steps, got 4,294,967,297"),
        ("copy", {"batch_size": 2**31}, "batch_size must be an integer from 1 to 2,147,483,647"),
    ],
)
def test_options_that_do_not_fit_are_refused(name, options, why):
    with pytest.raises(ValueError, match=why):
        tasks.get(name, **options)


def test_a_class_with_options_must_be_a_dataclass():
    class Forgotten(tasks.find("copy")):
        volume: int = tasks.option(1, "Loudness.")

    with pytest.raises(TypeError, match=r"Forgotten must have the decorator @dataclasses.*frozen"):
        Forgotten()


def test_a_task_is_equal_to_another_with_the_same_options():
    task = tasks.get("copy")
    with_lessons = dataclasses.replace(task, lessons=naive(task.sizes))

    assert tasks.get("copy", num_bits=8) == task != with_lessons
    assert hash(with_lessons) == hash(task)  # tf.function needs one.
    with pytest.raises(dataclasses.FrozenInstanceError):
        task.num_bits = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Noted(tasks.NumberTask):
    """Says the number of its batch; extras are the same in different shapes."""

    input_size = output_size = num_steps = property(lambda self: 1)

    def batch(self, split: str, seed: Any, step: Any, lesson: Any = None) -> tasks.Batch:
        numbers = tf.range(self.batch_size) + 10 * step
        target = tf.cast(numbers, tf.float32)[tf.newaxis, :, tf.newaxis]
        return tasks.make_batch(target, target, tf.ones([1, self.batch_size]), [numbers, target])

    def to_human_readable(self, batch, outputs=None, whole_batch=False):
        numbers, target = batch.extras
        assert numbers.shape == batch.lengths.shape == (1,)
        assert target.shape == outputs.shape == (1, 1, 1)
        return " ".join(f"{np.asarray(x).item():g}" for x in (numbers, target, outputs))


def test_a_report_has_mean_metrics_and_examples_with_their_extras():
    task = Noted(batch_size=2)
    batches = [task.batch("test", 0, step) for step in range(3)]

    report = task.report([(batch, batch.target + 2.0 * k) for k, batch in enumerate(batches)], 3)

    assert report.metrics == {"absolute_error": 2.0, "solved_sequences": pytest.approx(1 / 3)}
    assert (report.error, report.is_solved) == (2.0, False)
    assert report.examples == ["0 0 0", "1 1 1", "10 10 12"]
    assert task.report([(batches[0], batches[0].target)]).is_solved


def test_an_episode_of_a_batch_is_a_batch_of_arrays_or_tensors():
    batch = tasks.get("copy", batch_size=3).batch("train", 0, 0)

    for each in (batch, tasks.Batch(*map(np.asarray, batch[:4]))):
        one = each.episode(1)
        np.testing.assert_array_equal(one.observations, batch.observations[:, 1:2])
        np.testing.assert_array_equal(one.mask, batch.mask[:, 1:2])
        np.testing.assert_array_equal(one.lengths, batch.lengths[1:2])


def test_lengths_end_with_the_last_answer():
    mask = np.array([[0, 1, 0], [1, 0, 0], [0, 0, 0]])

    batch = tasks.make_batch(0, 0, mask > 0)

    assert batch.lengths.numpy().tolist() == [2, 1, 0]
    assert batch.mask.dtype == tf.float32


def test_the_error_below_the_threshold_leads_to_the_next_lesson():
    task = dataclasses.replace(tasks.get("copy"), lessons=tasks.Lessons(threshold=0.5))

    assert task.passes({"wrong_bits": 0.4, "solved_sequences": 0.0})
    assert not task.passes({"wrong_bits": 0.5, "solved_sequences": 1.0})


def test_an_interactive_task_has_no_batch_without_a_network():
    with pytest.raises(TypeError, match="depend on a network"):
        tasks.InteractiveTask.batch(tasks.get("copy"), "train", 0, 0)
