"""Lessons in a training step; how episodes are drawn in a lesson is in tests/unit/tasks."""

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from tasks import Lesson, Lessons
from tests.unit.training.two_lengths import TwoLengths
from training.optimization import Update, rmsprop
from training.step import TrainingStep, create_variables

SHORT, ALL = {"length": (1, 1)}, {"length": (1, 3)}


def make_core(task, memory_size=4):
    tf.random.set_seed(0)
    core = dnc.DNC(dnc.MemoryAccess(memory_size, 3), snt.LSTM(6), task.output_size, 20.0)
    create_variables(core, task)
    return core


def with_variables_of(core, other):
    """The other core, with the variables of the first."""
    for own, part in zip(core.submodules, other.submodules, strict=True):
        for name, value in vars(own).items():
            if isinstance(value, tf.Variable):
                setattr(part, name, value)
    return other


class Training(TrainingStep):
    """The step of a small core in lessons; `sizes` are the memory sizes that were asked for."""

    def __init__(self, *lessons, **options):
        self.sizes = []
        task = TwoLengths(lessons=Lessons(lessons), min_length=1)
        core = make_core(task)
        optimizer = rmsprop(core.trainable_variables, learning_rate=1e-2, epsilon=1e-10)
        options = {"jit": False, "with_memory": self._with_memory, **options}
        super().__init__(core, task, Update(optimizer, 50.0), 0, **options)

    @property
    def values(self):
        return [variable.numpy() for variable in self.core.trainable_variables]

    def _with_memory(self, memory_size):
        self.sizes.append(memory_size)
        return with_variables_of(self.core, make_core(self.task, memory_size))

    def begin(self, lesson):
        """Starts a lesson, at a step from which on three batches have the same length."""
        self.lesson.assign(lesson)
        self.step.assign(0)


def test_lessons_of_one_length_and_memory_share_a_program():
    training = Training(Lesson(SHORT), Lesson(ALL))
    losses = []
    for lesson in (0, 1):
        training.begin(lesson)
        batch = training.task.batch("train", 0, 0, lesson)
        outputs, _ = dnc.unroll(training.core, batch.observations)
        expected = training.task.loss(outputs, batch)

        losses.append(float(training.run(1).loss))

        np.testing.assert_allclose(losses[-1], expected, rtol=1e-6)
    assert losses[0] != losses[1]
    assert training.num_programs == 1


@pytest.fixture(scope="module")
def growing():
    """A training that two tests continue: its programs take long to trace."""
    return Training(*TestMemory.LESSONS)


class TestMemory:
    LESSONS = Lesson(ALL), Lesson(ALL, 8), Lesson(ALL, 8), Lesson(ALL)

    def test_it_grows_while_the_variables_stay_and_are_trained_on(self, growing):
        training = growing
        training.begin(0)
        training.run(2)
        before = training.values
        larger = with_variables_of(training.core, make_core(training.task, 8))
        batch = training.task.batch("train", 0, 0, 1)
        expected = training.task.loss(dnc.unroll(larger, batch.observations)[0], batch)

        training.begin(1)
        loss = training.run(1).loss

        np.testing.assert_allclose(loss, expected, rtol=1e-6)
        changed = [np.any(a != b) for a, b in zip(before, training.values, strict=True)]
        assert all(changed)

    def test_there_is_a_program_for_each_size_and_a_core_for_each(self, growing):
        training = growing
        for lesson in range(4):
            training.begin(lesson)
            training.run(3)

        assert training.num_programs == 2
        assert training.sizes == [8]

    def test_a_core_with_other_variables_is_refused(self):
        training = Training(Lesson(ALL, 8), with_memory=lambda size: make_core(TwoLengths(), size))

        with pytest.raises(ValueError, match="a core with the same variables"):
            training.run(1)

    def test_a_lesson_that_asks_for_one_needs_a_way_to_make_it(self):
        with pytest.raises(ValueError, match="Give with_memory"):
            Training(*self.LESSONS, with_memory=None)
