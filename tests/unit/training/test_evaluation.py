import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from tasks.repeat_copy import RepeatCopy
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
    # So many different episodes that the same one does not come up twice by chance.
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


def test_evaluation_is_deterministic(evaluation, core, task):
    first = evaluation.metrics(3, 2), evaluation.sample(3)
    again = evaluation.metrics(3, 2), evaluation.sample(3)
    tf.random.set_seed(1)
    other = Evaluation(core, task, seed=0, jit=False)

    assert first == again == (other.metrics(3, 2), other.sample(3))


def test_metrics_are_averages_over_the_batches(evaluation):
    parts = [evaluation.metrics(number, 1) for number in (5, 6, 7)]

    averages = evaluation.metrics(5, 3)

    for name, value in averages.items():
        np.testing.assert_allclose(value, np.mean([part[name] for part in parts]), rtol=1e-6)


def test_each_batch_is_a_different_one(evaluation):
    assert len({observations(evaluation.sample(number)) for number in range(20)}) == 20


def test_another_seed_evaluates_on_other_batches(evaluation, task):
    other = Evaluation(Silent(task.output_size), task, seed=1, jit=False)

    ours = {observations(evaluation.sample(number)) for number in range(10)}
    assert ours.isdisjoint(observations(other.sample(number)) for number in range(10))


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_evaluation_batches_are_no_training_batches(task, seed):
    evaluation = Evaluation(Silent(task.output_size), task, seed, jit=False)

    evaluated = {observations(evaluation.sample(number)) for number in range(10)}
    for training_seed in (0, 1, 7):
        for step in range(10):
            text = task.to_human_readable(task.batch(training_seed, step), whole_batch=True)
            trained = {observations(episode) for episode in text.split("\n\n\n")}
            assert evaluated.isdisjoint(trained)


def test_a_silent_core_gets_every_one_of_the_target_wrong():
    task = RepeatCopy(8, 100, min_length=2, max_length=2, min_repeats=2, max_repeats=2)
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

    assert compiled.sample(3) == evaluation.sample(3)
    metrics = evaluation.metrics(3, 2)
    for name, value in compiled.metrics(3, 2).items():
        np.testing.assert_allclose(value, metrics[name], rtol=1e-6)


def test_a_sample_shows_question_target_and_answer():
    task = RepeatCopy(num_bits=1, max_length=1, max_repeats=1)
    text = Evaluation(Silent(task.output_size), task, seed=0, jit=False).sample(0)

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
