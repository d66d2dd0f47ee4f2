import collections
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

import tasks
from tasks.lessons import CURRICULA, CURRICULUM_NAMES

NUM_EPISODES = 1000


def task_with(kind, minimum=2, maximum=9):
    task = tasks.get("copy", batch_size=NUM_EPISODES, min_length=minimum, max_length=maximum)
    return dataclasses.replace(task, lessons=CURRICULA[kind](task.sizes))


def lengths(task, lesson, split="train", step=0):
    batch = task.batch(split, 0, step, lesson)
    return collections.Counter(np.sum(batch.mask, axis=0).astype(int).tolist())


@pytest.mark.parametrize(
    "kind, lesson, expected",
    [
        ("naive", None, range(2, 10)),
        ("naive", 0, [2]),
        ("naive", 3, [5]),
        ("look_back", 0, [2]),
        ("look_back", 3, range(2, 6)),
        ("look_back", None, range(2, 10)),
        ("look_back_and_forward", 0, range(2, 10)),
        ("look_back_and_forward", 7, range(2, 10)),
        ("exponential", 0, [2]),
        ("exponential", 1, range(2, 5)),
        ("exponential", 3, range(2, 10)),
    ],
)
def test_a_lesson_has_exactly_these_sizes(kind, lesson, expected):
    assert sorted(lengths(task_with(kind), lesson)) == list(expected)


@pytest.mark.parametrize(
    "kind, replayed", [("look_back", 0.1 * 3 / 4), ("look_back_and_forward", 0.2 * 7 / 8)]
)
def test_a_fraction_of_the_episodes_is_of_other_lessons(kind, replayed):
    found = sum(
        (lengths(task_with(kind), 3, step=step) for step in range(5)), start=collections.Counter()
    )

    assert 1 - found[5] / (5 * NUM_EPISODES) == pytest.approx(replayed, abs=0.015)
    others = [found[size] for size in found if size != 5]
    np.testing.assert_allclose(others, np.mean(others), atol=5 * np.sqrt(np.mean(others)))


@pytest.mark.parametrize(
    "kind, maxima",
    [
        ("naive", range(2, 10)),
        ("look_back", range(2, 10)),
        ("look_back_and_forward", range(2, 10)),
        ("exponential", [2, 4, 8, 9]),
    ],
)
def test_lessons_become_harder_up_to_the_last(kind, maxima):
    lessons = CURRICULA[kind]({"length": (2, 9), "repeats": (1, 3)}, threshold=0.5, window=7)

    assert [lesson.ranges["length"][1] for lesson in lessons] == list(maxima)
    assert all(lesson.ranges.keys() == {"length"} for lesson in lessons)
    assert (lessons.threshold, lessons.window) == (0.5, 7)
    assert lessons[len(lessons) - 1] == lessons.lessons[-1]


def test_names_of_curricula_begin_with_none():
    assert ("none", "paper", *CURRICULA) == CURRICULUM_NAMES


def test_a_lesson_has_ranges_of_several_sizes_at_once():
    easy = tasks.Lesson({"length": (2, 3), "repeats": (4, 4)})
    hard = tasks.Lesson({"repeats": (5, 6)}, memory_size=64)
    task = dataclasses.replace(
        tasks.get("repeat_copy", batch_size=300, max_length=5, max_repeats=6),
        lessons=tasks.Lessons((easy, hard)),
    )

    def sizes(lesson):
        observations = np.asarray(task.batch("train", 0, 0, lesson).observations)[:, :, -1]
        repeats = np.rint(observations.max(axis=0) * task.norm_max).astype(int)
        return set(observations.argmax(axis=0) - 1), set(repeats)

    assert sizes(0) == ({2, 3}, {4})
    assert sizes(1) == ({1, 2, 3, 4, 5}, {5, 6})
    assert sizes(None) == ({1, 2, 3, 4, 5}, {1, 2, 3, 4, 5, 6})


def test_a_size_without_lessons_is_drawn_as_ever():
    task = tasks.get("repeat_copy", batch_size=50, max_length=5, max_repeats=6)
    with_lessons = dataclasses.replace(task, lessons=tasks.Lessons((tasks.Lesson({}),)))

    for one, other in zip(
        task.batch("train", 0, 0), with_lessons.batch("train", 0, 0, 0), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("kind", CURRICULA)
def test_a_batch_depends_on_its_arguments_alone_also_as_tensors(kind):
    task = task_with(kind)
    compiled = tf.function(task.batch, jit_compile=True)
    for lesson in range(2):
        expected = task.batch("validation", 5, 6, lesson)
        found = compiled("validation", 5, 6, tf.constant(lesson, tf.int64))
        for one, other in zip(expected[:4], found[:4], strict=True):
            np.testing.assert_array_equal(one, other)


def test_replayed_lessons_are_others_in_each_step_and_split():
    task = task_with("look_back_and_forward")

    drawn = [
        tuple(task.draw_lessons(split, 0, step, 3).numpy())
        for split in ("train", "validation")
        for step in range(3)
    ]
    assert len(set(drawn)) == 6


@pytest.mark.parametrize("bad", [{"replay": 1.0}, {"replay": -0.1}, {"window": 0}], ids=str)
def test_numbers_out_of_range_are_refused(bad):
    ((name, value),) = bad.items()
    with pytest.raises(ValueError, match=f"{name} must be >= .*, got {value}"):
        tasks.Lessons(**bad)


def test_a_lesson_of_a_size_that_does_not_exist_is_refused():
    lessons = tasks.Lessons((tasks.Lesson({"size": (1, 2)}),))
    with pytest.raises(ValueError, match=r"copy has no size size .* it has length\."):
        dataclasses.replace(tasks.get("copy"), lessons=lessons)


def test_a_task_of_one_size_has_no_lessons_of_others():
    task = tasks.get("copy")
    task = dataclasses.replace(task, lessons=task.curriculum("naive"))

    assert task.with_size("length", 3).sizes == {"length": (3, 3)}
    assert not task.with_size("length", 3).lessons


def test_without_lessons_none_is_drawn():
    task = tasks.get("copy")

    assert len(task.lessons) == 0
    assert task.draw_lessons("train", 0, 0, 0) is None
    assert task_with("naive").draw_lessons("train", 0, 0, None) is None
