import itertools

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf
from PIL import Image

import tasks
from tasks import babi_data
from tests import golden
from training import question_answering
from training.question_answering import PAPER, Examination, Score

DATA = str(golden.DATA / "babi")


class Constant(snt.RNNCore):
    """Always says the same word."""

    def __init__(self, word):
        super().__init__()
        self._logits = tf.one_hot(babi_data.NUMBERS[word], 159)

    def __call__(self, inputs, state):
        return tf.tile(self._logits[tf.newaxis], [tf.shape(inputs)[0], 1]), state

    def initial_state(self, batch_size):
        return tf.zeros([batch_size, 1])


@pytest.fixture(scope="module")
def task():
    return tasks.get("babi", data_dir=DATA, tasks="1,8,19", batch_size=2, max_buckets=2)


def counted(word, part="test"):
    """What a model that always says this word gets, counted question by question."""
    found = {}
    for number, stories in babi_data.read(DATA, [1, 8, 19], part).items():
        questions = wrong = words = wrong_words = 0
        for story in stories:
            answers = iter(story.answers)
            for is_dash, run in itertools.groupby(story.tokens, lambda token: token == "-"):
                if is_dash:
                    own = [next(answers) for _ in run]
                    questions, words = questions + 1, words + len(own)
                    wrong += any(answer != word for answer in own)
                    wrong_words += sum(answer != word for answer in own)
        found[number] = Score(questions, wrong, words, wrong_words)
    return found


@pytest.mark.parametrize("word, jit", [("football", True), ("s", False), ("bathroom", False)])
def test_all_questions_of_the_test_are_asked_once(task, word, jit):
    assert Examination(Constant(word), task, jit).scores("test") == counted(word)


def test_examples_are_of_each_task_right_and_wrong(task):
    examination = Examination(Constant("s"), task, jit=False)

    examination.scores("test", num_examples=2)

    kinds = [(example.task, example.is_right) for example in examination.examples]
    assert {kinds.count(kind) for kind in kinds} <= {1, 2}
    assert {task for task, _ in kinds} == {1, 8, 19}
    assert all(("[" in example.text) != example.is_right for example in examination.examples)
    examination.scores("test")
    assert examination.examples == []


def test_the_error_of_a_question_counts_more_than_that_of_its_words():
    score = Score(questions=10, wrong_questions=3, words=20, wrong_words=4)

    assert score.question_error == 0.3
    assert score.word_error == 0.2


def test_the_papers_columns_have_the_means_that_it_prints():
    assert [len(column) for column in PAPER.values()] == [20, 20]
    assert round(np.mean(PAPER["LSTM"]), 1) == 27.3
    assert round(np.mean(PAPER["DNC1"]), 1) == 16.7


def test_the_table_has_both_errors_their_means_and_the_failed_tasks():
    one = {1: Score(1000, 50, 1000, 50), 19: Score(1000, 900, 2000, 1000)}
    other = {1: Score(1000, 51, 1000, 51), 19: Score(1000, 0, 2000, 0)}

    lines = [line.split() for line in question_answering.table({"one": one, "other": other})]

    assert lines[0][-5:] == ["one", "other", "paper:", "LSTM", "DNC1"]
    assert lines[2][-6:] == ["5.0", "5.0", "5.1", "5.1", "28.4", "9.0"]
    assert lines[3][-6:] == ["90.0", "50.0", "0.0", "0.0", "90.9", "64.6"]
    assert lines[4][1:] == ["47.5", "27.5", "2.5", "2.5", "59.7", "36.8"]  # LSTM: 59.65.
    assert lines[5][-4:] == ["1", "1", "2", "2"]
    assert question_answering.num_failed(one) == 1


def test_the_picture_has_a_bar_for_each_task(tmp_path):
    one = {1: Score(1000, 50, 1000, 50), 19: Score(1000, 900, 2000, 1000)}

    question_answering.plot({"one": one}, tmp_path / "plot.png")

    with Image.open(tmp_path / "plot.png") as image:
        assert image.size == (1200, 600)
        assert len(image.convert("RGB").getcolors(10**6)) > 10
