import collections
import itertools

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tasks
from tasks.babi import data, scoring
from tasks.babi.scoring import PAPER, BabiReport
from tests import golden

DATA = str(golden.DATA / "babi")


@pytest.fixture(scope="module")
def task():
    return tasks.get("babi", data_dir=DATA, tasks="1,8,19", batch_size=2, max_buckets=2)


def counted(word, part="test"):
    """Counts of a model that always says this word, question by question."""
    found = []
    for number, stories in data.read(DATA, [1, 8, 19], part).items():
        questions = wrong = words = wrong_words = 0
        for story in stories:
            answers = iter(story.answers)
            for is_dash, run in itertools.groupby(story.tokens, lambda token: token == "-"):
                if is_dash:
                    own = [next(answers) for _ in run]
                    questions, words = questions + 1, words + len(own)
                    wrong += any(answer != word for answer in own)
                    wrong_words += sum(answer != word for answer in own)
        found.append((number, questions, wrong, words, wrong_words))
    return found


def answers(task, word, split="test"):
    """The answers of a model that always says this word."""
    for batch in task.every_batch(split):
        said = tf.fill(batch.mask.shape, data.NUMBERS[word])
        yield batch, tf.one_hot(said, task.output_size)


@pytest.mark.parametrize("word", ["football", "s", "bathroom"])
def test_all_questions_of_the_test_are_asked_once(task, word):
    report = task.report(answers(task, word))

    expected = counted(word)
    assert [tuple(row.values())[:5] for row in report.rows] == expected
    errors = [wrong / questions for _, questions, wrong, _, _ in expected]
    assert [row["question_error"] for row in report.rows] == errors
    assert report.error == report.metrics["question_error"] == np.mean(errors)
    assert report.metrics["word_error"] == np.mean([wrong / words for *_, words, wrong in expected])
    assert [report.metrics[f"question_error/{number}"] for number in (1, 8, 19)] == errors
    assert not report.is_solved and report.examples == []


def test_a_model_without_an_error_has_solved_it(task):
    batches = task.every_batch("validation")

    report = task.report((batch, batch.target) for batch in batches)

    assert report.error == 0.0 and report.is_solved


def test_examples_are_of_each_task_right_and_wrong(task):
    examples = task.report(answers(task, "s"), num_examples=2).examples

    kinds = collections.Counter(text.split(":")[0] for text in examples)
    assert set(kinds.values()) <= {1, 2}
    assert kinds.keys() >= {"task 1, not all right", "task 19, not all right"}
    assert {kind.split(",")[0] for kind in kinds} == {"task 1", "task 8", "task 19"}
    assert all(("[" in text) == ("not all right" in text) for text in examples)


def report_of(counts):
    """A report of given questions, wrong ones, words and wrong ones, by task."""
    rows = [scoring.row(number, each) for number, each in counts.items()]
    return BabiReport(scoring.means(rows), rows)


def test_the_error_of_a_question_counts_more_than_that_of_its_words():
    row = scoring.row(8, (10, 3, 20, 4))

    assert (row["question_error"], row["word_error"]) == (0.3, 0.2)


def test_the_papers_columns_have_the_means_that_it_prints():
    assert [len(column) for column in PAPER.values()] == [20, 20]
    assert round(np.mean(PAPER["LSTM"]), 1) == 27.3
    assert round(np.mean(PAPER["DNC1"]), 1) == 16.7


def test_the_table_has_both_errors_their_means_and_the_failed_tasks():
    one = report_of({1: (1000, 50, 1000, 50), 19: (1000, 900, 2000, 1000)})
    other = report_of({1: (1000, 51, 1000, 51), 19: (1000, 0, 2000, 0)})

    lines = [line.split() for line in BabiReport.table({"one": one, "other": other})]

    assert lines[0][-5:] == ["one", "other", "paper:", "LSTM", "DNC1"]
    assert lines[2][-6:] == ["5.0", "5.0", "5.1", "5.1", "28.4", "9.0"]
    assert lines[3][-6:] == ["90.0", "50.0", "0.0", "0.0", "90.9", "64.6"]
    assert lines[4][1:] == ["47.5", "27.5", "2.5", "2.5", "59.7", "36.8"]  # LSTM: 59.65.
    assert lines[5][-4:] == ["1", "1", "2", "2"]


def test_models_of_other_tasks_are_not_compared(tmp_path):
    reports = {"one": report_of({1: (9, 0, 9, 0)}), "other": report_of({2: (9, 0, 9, 0)})}

    for show in (lambda: list(BabiReport.table(reports)), lambda: BabiReport.plot(reports, "x")):
        with pytest.raises(ValueError, match="Only models of the same bAbI tasks"):
            show()


def test_the_picture_has_a_bar_for_each_task(tmp_path):
    one = report_of({1: (1000, 50, 1000, 50), 19: (1000, 900, 2000, 1000)})

    BabiReport.plot({"one": one}, tmp_path / "plot.png")

    with Image.open(tmp_path / "plot.png") as image:
        assert image.size == (1200, 600)
        assert len(image.convert("RGB").getcolors(10**6)) > 10
