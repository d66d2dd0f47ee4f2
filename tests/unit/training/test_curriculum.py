import collections
import functools
import itertools

import numpy as np
import pytest
import tensorflow as tf

import tasks
from tests import golden
from training.curriculum import KINDS, Curriculum

NUM_EPISODES = 1000


def make(kind, least=2, greatest=9, threshold=1.0):
    task = tasks.get("copy", batch_size=NUM_EPISODES, min_length=least, max_length=greatest)
    return Curriculum(kind, task, threshold)


def batch_of(curriculum, seed, step):
    return curriculum.with_batch(seed, step, lambda batch: batch)


def sizes(curriculum, step=0):
    batch = batch_of(curriculum, 0, step)
    lengths = np.sum(batch.mask, axis=0).astype(int)
    return collections.Counter(lengths.tolist())


def at_lesson(kind, lesson):
    curriculum = make(kind)
    curriculum.lesson.assign(lesson)
    return curriculum


@pytest.mark.parametrize(
    "kind, lesson, expected",
    [
        ("none", 0, range(2, 10)),
        ("naive", 0, [2]),
        ("naive", 3, [5]),
        ("look_back", 0, [2]),
        ("look_back", 3, range(2, 6)),
        ("look_back_and_forward", 0, range(2, 10)),
        ("look_back_and_forward", 7, range(2, 10)),
        ("exponential", 0, [2]),
        ("exponential", 1, range(2, 5)),
        ("exponential", 3, range(2, 10)),
    ],
)
def test_the_sizes_of_a_lesson(kind, lesson, expected):
    assert sorted(sizes(at_lesson(kind, lesson))) == list(expected)


@pytest.mark.parametrize(
    "kind, elsewhere", [("look_back", 0.1 * 3 / 4), ("look_back_and_forward", 0.2 * 7 / 8)]
)
def test_so_much_is_not_of_the_lesson(kind, elsewhere):
    found = sizes(at_lesson(kind, 3))

    assert 1 - found[5] / NUM_EPISODES == pytest.approx(elsewhere, abs=0.03)


def test_uniform_sizes_are_those_of_the_task():
    curriculum = make("none")

    np.testing.assert_array_equal(
        batch_of(curriculum, 3, 4).observations, curriculum._task.batch(3, 4).observations
    )


@pytest.mark.parametrize("kind, number", [("naive", 8), ("look_back", 8), ("exponential", 4)])
def test_lessons_come_one_after_another_up_to_the_last(kind, number):
    curriculum = make(kind, threshold=0.5)

    assert curriculum.num_lessons == number
    assert not curriculum.advance({"wrong_bits": 0.5, "loss": 0.0})
    for lesson in range(1, number):
        assert curriculum.advance({"wrong_bits": 0.4, "loss": 9.0})
        assert int(curriculum.lesson) == lesson
    assert not curriculum.advance({"wrong_bits": 0.0, "loss": 0.0})
    assert f"lesson {number} of {number} (length 9)" == str(curriculum)


def test_without_lessons_there_is_nothing_to_say():
    assert make("none").num_lessons == 1
    assert str(make("none")) == ""


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_depends_on_seed_step_and_lesson_alone_and_compiles(kind):
    curriculum = make(kind)
    compiled = tf.function(functools.partial(batch_of, curriculum), jit_compile=True)
    for lesson in range(2):
        curriculum.lesson.assign(lesson)
        for one, other in zip(batch_of(curriculum, 5, 6), compiled(5, 6), strict=True):
            np.testing.assert_array_equal(one, other)


SIZED = [name for name in tasks.names() if name != "babi"]


@pytest.mark.parametrize("task, kind", list(zip(SIZED, itertools.cycle(KINDS), strict=False)))
def test_every_task_has_lessons(task, kind):
    curriculum = Curriculum(kind, tasks.get(task, batch_size=2))

    curriculum.lesson.assign(curriculum.num_lessons - 1)

    assert batch_of(curriculum, 0, 0).mask.shape[1] == 2


def test_a_task_without_sizes_has_no_lessons():
    task = tasks.get("babi", data_dir=str(golden.DATA / "babi"), tasks="1")

    assert Curriculum("none", task).num_lessons == 1
    with pytest.raises(ValueError, match=r"Task babi has no sizes, so there is no curriculum"):
        Curriculum("naive", task)
