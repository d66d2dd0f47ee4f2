"""Lessons in the loop, around steps whose error is known."""

import dataclasses
import types

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import tasks
from tasks.lessons import naive
from training.callbacks import Curriculum, Limits, lesson_note
from training.loop import Loop
from training.reporting import EventFile
from training.step import Totals


class Steps:
    """Takes the place of a `TrainingStep`: each step has the next of some errors."""

    has_peers = False
    learning_rate = 1.0

    def __init__(self, task, errors):
        self.task, self.errors = task, errors
        self.step, self.lesson = 0, tf.Variable(0)
        self.lessons = []

    def agreed(self, num_steps):
        return num_steps

    def run(self, num_steps, scalars, module_norms, window):
        total = window.get("wrong_bits", 0.0)
        for _ in range(num_steps):
            self.lessons.append(int(self.lesson))
            total += self.errors[self.step]
            self.step += 1
        return Totals(1.0, 1.0, {}, {}, {"wrong_bits": total})


@pytest.fixture
def task():
    copy = tasks.get("copy", max_length=3, batch_size=2)
    return dataclasses.replace(copy, lessons=naive(copy.sizes, threshold=1.0, window=4))


def train(task, errors, events=None, tests=None):
    steps = Steps(task, errors)
    events = events or EventFile(None)
    run = types.SimpleNamespace(directory="run")
    lessons = Curriculum(task, tests or {}, events)
    Loop(steps, run, [lessons, Limits(len(errors), lambda: False)]).train()
    return steps


def test_after_each_lesson_the_tests_of_the_task_are_measured(task, capsys):
    evaluation = types.SimpleNamespace(metrics=lambda first, number: {"solved_sequences": 0.25})

    train(task, [0.0] * 6, tests={"London": evaluation})

    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if "London" in line] == [
        "  After lesson 1: London: 25.0% right",
        "  After lesson 2: London: 25.0% right",
    ]


def test_the_next_lesson_comes_when_the_criterion_holds_over_a_window(task, capsys):
    # Windows of four episodes, which are two steps; their means are 1.0, 0.5, 2.0 and 0.0.
    steps = train(task, [0.0, 2.0, 1.0, 0.0, 4.0, 0.0, 0.0, 0.0, 0.0, 0.0])

    assert steps.lessons == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2]  # The last one is not left.
    assert capsys.readouterr().out.splitlines() == [
        "step 4: 0.5 wrong bits per sequence. Now lesson 2 of 3 (length 2)",
        "step 8: 0 wrong bits per sequence. Now lesson 3 of 3 (length 3)",
    ]


def test_the_lesson_and_its_error_are_written_for_tensorboard(task, tmp_path):
    events = EventFile(tmp_path, pytest.fail)
    train(task, [0.0, 0.0, 3.0, 1.0], events)
    events.close()

    found = EventAccumulator(str(tmp_path)).Reload()
    for tag, values in {"lesson/number": [1, 2], "lesson/error": [0.0, 2.0]}.items():
        own = [(e.step, tf.make_ndarray(e.tensor_proto).item()) for e in found.Tensors(tag)]
        assert own == list(zip([2, 4], values, strict=True))


def test_a_lesson_is_described_with_all_its_ranges():
    lessons = tasks.Lessons((tasks.Lesson({"length": (1, 2), "repeats": (3, 3)}),))
    task = dataclasses.replace(tasks.get("repeat_copy", max_repeats=3), lessons=lessons)

    assert lesson_note(task, 0) == "lesson 1 of 1 (length 1 to 2, repeats 3)"
    assert lesson_note(tasks.get("copy"), 0) == ""
