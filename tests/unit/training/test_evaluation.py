import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
import tasks
from tasks.repeat_copy import RepeatCopy
from tests.unit.training.interactive.bandit import Bandit
from tests.unit.training.two_lengths import TwoLengths
from training import episodes
from training.evaluation import Evaluation
from training.step import create_variables


class Silent(snt.RNNCore):
    """Answers 0 in every bit."""

    def __init__(self, output_size):
        super().__init__()
        self._output_size = output_size

    def __call__(self, inputs, prev_state):
        return -tf.ones([inputs.shape[0], self._output_size]), prev_state

    def initial_state(self, batch_size, **unused):
        return tf.zeros([batch_size, 1])


@pytest.fixture(scope="module")
def task():
    # Enough different episodes: the same one does not occur twice by chance.
    return RepeatCopy(num_bits=8, batch_size=4, min_length=4, max_length=4)


@pytest.fixture(scope="module")
def core(task):
    tf.random.set_seed(0)
    core = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(6), task.output_size)
    create_variables(core, task)
    return core


@pytest.fixture(scope="module")
def evaluation(core, task):
    return Evaluation(core, task, seed=0, jit=False)


def observations(text):
    return text.split("\n\n")[0]


def evaluated(evaluation):
    """The observations of ten samples."""
    return {observations(evaluation.sample_at(step)) for step in range(10)}


def test_evaluation_is_deterministic(evaluation, core, task):
    first = evaluation.metrics(3, 2), evaluation.sample_at(3)
    again = evaluation.metrics(3, 2), evaluation.sample_at(3)
    tf.random.set_seed(1)
    other = Evaluation(core, task, seed=0, jit=False)

    assert first == again == (other.metrics(3, 2), other.sample_at(3))


def test_metrics_are_averages_over_the_batches(evaluation):
    parts = [evaluation.metrics(number, 1) for number in (5, 6, 7)]

    averages = evaluation.metrics(5, 3)

    for name, value in averages.items():
        np.testing.assert_allclose(value, np.mean([part[name] for part in parts]), rtol=1e-6)


def test_each_batch_is_a_different_one(evaluation):
    assert len(evaluated(evaluation)) == 10


def test_another_seed_evaluates_on_other_batches(evaluation, task):
    other = Evaluation(Silent(task.output_size), task, seed=1, jit=False)

    assert evaluated(evaluation).isdisjoint(evaluated(other))


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_evaluation_batches_are_no_training_batches(task, seed):
    own = evaluated(Evaluation(Silent(task.output_size), task, seed, jit=False))

    for training_seed in (0, 1, 7):
        for step in range(10):
            batch = task.batch("train", training_seed, step)
            text = task.to_human_readable(batch, whole_batch=True)
            trained = {observations(episode) for episode in text.split("\n\n\n")}
            assert own.isdisjoint(trained)


def test_a_silent_core_gets_every_one_of_the_target_wrong():
    sizes = {"min_length": 2, "max_length": 2, "min_repeats": 2, "max_repeats": 2}
    task = RepeatCopy(num_bits=8, batch_size=100, **sizes)
    evaluation = Evaluation(Silent(task.output_size), task, seed=0, jit=False)

    metrics = evaluation.metrics(0, 10)

    # Half of 2 rows * 2 repeats * 8 bits, and the end marker; each row counts in both repeats.
    np.testing.assert_allclose(metrics["wrong_bits"], 17, atol=5 * np.sqrt(16 / 1000))
    assert metrics["solved_sequences"] == 0.0


def test_an_untrained_core_solves_nothing(evaluation, task):
    metrics = evaluation.metrics(0, 5)

    assert set(metrics) == set(task.metric_names)
    assert all(isinstance(value, float) for value in metrics.values())
    assert 4 * 8 * 0.25 < metrics["wrong_bits"] <= (4 * 2 * 9 + 1)
    assert metrics["solved_sequences"] == 0.0


def test_compiling_does_not_change_the_result(evaluation, core, task):
    compiled = Evaluation(core, task, seed=0, jit=True)

    assert compiled.sample_at(3) == evaluation.sample_at(3)
    metrics = evaluation.metrics(3, 2)
    for name, value in compiled.metrics(3, 2).items():
        np.testing.assert_allclose(value, metrics[name], rtol=1e-6)


def test_a_sample_shows_question_target_and_answer():
    task = RepeatCopy(num_bits=1, max_length=1, max_repeats=1)
    text = Evaluation(Silent(task.output_size), task, seed=0, jit=False).sample_at(0)

    titles = [line for line in text.splitlines() if line.endswith(":")]
    assert titles == ["Observations:", "Targets:", "Model Output:"]
    assert text.endswith("Model Output:\n+- - - - -+\n+- - - - -+")


def test_no_two_steps_are_judged_by_the_same_batches(monkeypatch):
    asked = []

    def metrics(self, first_batch, num_batches):
        asked.append(range(first_batch, first_batch + num_batches))
        return {"solved_sequences": 1.0}

    monkeypatch.setattr(Evaluation, "metrics", metrics)
    evaluation = Evaluation.__new__(Evaluation)

    for step in range(3):
        assert evaluation.is_solved(step)
    sets = [number for each in asked for number in each]
    assert len(sets) == len(set(sets)) == 3 * 2 * 10
    evaluation.final(2)
    assert asked[-1] == asked[-2]  # What confirmed the success is what is shown.


@pytest.mark.parametrize("which", [0, 1])
def test_one_error_in_either_set_is_not_solved(monkeypatch, which):
    answers = [1.0, 1.0]
    answers[which] = 0.999
    monkeypatch.setattr(
        Evaluation, "metrics", lambda self, first, num: {"solved_sequences": answers.pop(0)}
    )

    assert not Evaluation.__new__(Evaluation).is_solved(7)


def test_answers_are_the_outputs_for_the_batches_of_a_split(evaluation, core, task):
    for number, (batch, outputs) in enumerate(evaluation.answers("test", 2, 2), start=2):
        expected = task.batch("test", 0, number)
        np.testing.assert_array_equal(batch.observations, expected.observations)
        np.testing.assert_allclose(outputs, episodes.replay(core, expected), atol=1e-6)


def test_there_is_a_program_for_each_length_that_all_methods_share():
    task = TwoLengths(batch_size=2)
    evaluation = Evaluation(Silent(task.output_size), task, seed=0, jit=False)

    evaluation.metrics(0, 7)
    evaluation.sample_at(1)
    evaluation.final(2)
    report = evaluation.report("validation", num_episodes=11, num_examples=3)

    assert task.drawn == [7, 3]
    assert len(report.examples) == 3
    lengths = [len(batch.mask) for batch, _ in evaluation.answers("validation", 0, 5)]
    assert lengths == [7, 7, 7, 3, 3]


def test_a_report_is_over_as_many_batches_as_it_needs(evaluation):
    report = evaluation.report("validation", num_episodes=9)

    assert dict(report.metrics) == pytest.approx(evaluation.metrics(0, 3), rel=1e-6)


class Finite(RepeatCopy):
    """Two batches of the test split, and one of the others."""

    def every_batch(self, split):
        return iter([self.batch(split, 0, number) for number in range(1 + (split == "test"))])


def test_finite_data_are_evaluated_once_and_completely():
    task = Finite(batch_size=4)
    evaluation = Evaluation(Silent(task.output_size), task, seed=0, jit=True)

    batches = [batch for batch, _ in evaluation.answers("test")]

    assert len(batches) == 2
    np.testing.assert_array_equal(batches[1].target, task.batch("test", 0, 1).target)
    report, expected = evaluation.report("test"), evaluation.metrics(0, 2)
    assert dict(report.metrics) == pytest.approx(expected, rel=1e-6)
    assert evaluation.validate(5) == pytest.approx(evaluation.metrics(0, 1), rel=1e-6)


def test_generated_data_are_validated_on_fresh_batches(evaluation):
    assert evaluation.validate(3) == evaluation.final(3)


def test_an_interactive_task_is_evaluated_without_exploration():
    task = Bandit(batch_size=100)
    core = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(6), task.output_size)
    create_variables(core, task)
    metrics = Evaluation(core, task, seed=0, jit=False).metrics(0, 2)

    batches = [episodes.collect(core, task, "validation", 0, number) for number in (0, 1)]
    missed = [np.mean((batch.mask - batch.extras[1])[-2:]) for batch in batches]
    assert isinstance(batches[0], tasks.Batch)
    np.testing.assert_allclose(metrics["missed_rewards"], np.mean(missed), rtol=1e-6)
    greedy = tf.argmax(episodes.replay(core, batches[0])[..., :2], axis=2)
    np.testing.assert_array_equal(batches[0].extras[0], greedy)
