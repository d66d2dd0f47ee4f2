"""Scores on bAbI, task by task, as in the papers."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tasks.babi.data import MAX_WORDS, TASK_NAMES
from tasks.base import Batch, Task
from tasks.report import Report, mean_of

FAILED = 0.05  # With a larger error a task counts as failed (Weston et al. 2015).
COUNTS = ("questions", "wrong_questions", "words", "wrong_words")
# Question errors in percent from Graves et al. 2016 (extended data table 1): means of 20 runs.
_LSTM = """28.4 56.0 51.3 0.8 3.2 15.2 16.4 17.7 15.4 28.7
           12.2 5.4 7.2 55.9 47.0 53.3 34.8 5.0 90.9 1.3"""
_DNC1 = """9.0 39.2 39.6 0.4 1.5 6.9 9.8 5.5 7.7 9.6
           3.3 5.0 3.1 11.0 27.2 53.6 32.4 4.2 64.6 0.0"""
PAPER = {name: [*map(float, text.split())] for name, text in {"LSTM": _LSTM, "DNC1": _DNC1}.items()}


class BabiReport(Report):
    """Result on bAbI, with one row for each of its tasks."""

    @classmethod
    def table(cls, reports: Mapping[str, Report]) -> Iterator[str]:
        """Yields the lines of a table of one or more models, next to the paper's results.

        Raises:
          ValueError: if the models are not for the same bAbI tasks.
        """
        numbers = _numbers(reports)
        width = max(16, *(len(name) + 2 for name in reports))
        paper = "".join(f"{name:>7}" for name in PAPER)
        names = "".join(name.rjust(width) for name in reports)
        yield f"{'error, %':29}{names}   paper:{paper}"
        yield f"{'':29}" + len(reports) * "question   word".rjust(width)

        def line(title: str, errors: Iterable[Mapping[str, Any]], of_paper: Iterable[float]) -> str:
            own = "".join(
                f"{100 * x['question_error']:8.1f} {100 * x['word_error']:6.1f}".rjust(width)
                for x in errors
            )
            return f"{title:29}{own}" + " " * 9 + "".join(f"{x:7.1f}" for x in of_paper)

        for k, number in enumerate(numbers):
            errors = [report.rows[k] for report in reports.values()]
            of_paper = [column[number - 1] for column in PAPER.values()]
            yield line(f"{number:2} {TASK_NAMES[number - 1]}", errors, of_paper)
        chosen = [[column[number - 1] for number in numbers] for column in PAPER.values()]
        means = [report.metrics for report in reports.values()]
        yield line("   mean", means, [np.mean(column) for column in chosen])
        failed = "".join(
            str(sum(row["question_error"] > FAILED for row in report.rows)).rjust(width - 7)
            + " " * 7
            for report in reports.values()
        )
        of_paper = "".join(f"{sum(x > 100 * FAILED for x in column):7}" for column in chosen)
        yield f"{'   failed (above 5 %)':29}{failed}" + " " * 9 + of_paper

    @classmethod
    def plot(cls, reports: Mapping[str, Report], path: str | os.PathLike) -> None:
        """Plots the question error of each task, next to the paper's DNC, into a PNG file.

        Raises:
          ValueError: if the models are not for the same bAbI tasks.
        """
        from matplotlib.figure import Figure

        numbers = _numbers(reports)
        places = np.arange(len(numbers))
        figure = Figure(figsize=(8, 4), layout="constrained")
        axes = figure.subplots()
        width = 0.8 / len(reports)
        for k, (name, report) in enumerate(reports.items()):
            errors = [100 * row["question_error"] for row in report.rows]
            axes.bar(places + (k - (len(reports) - 1) / 2) * width, errors, width, label=name)
        of_paper = [PAPER["DNC1"][number - 1] for number in numbers]
        axes.plot(places, of_paper, "k_", markersize=12, label="DNC1 of the paper, mean of 20 runs")
        axes.axhline(100 * FAILED, color="0.6", linewidth=0.8)
        axes.set_xticks(places, [str(number) for number in numbers])
        axes.set_xlabel("bAbI task")
        axes.set_ylabel("wrong questions, %")
        axes.set_ylim(0, 100)
        axes.legend()
        figure.savefig(path, dpi=150)


def report(task: Task, answers: Iterable[tuple[Batch, Any]], num_examples: int = 0) -> BabiReport:
    """Returns the result of an evaluation.

    Args:
      task: the task of the batches, which turns stories into text.
      answers: batches with `Origin` as extras, and the core's outputs.
      num_examples: maximum number of stories to include as text for each bAbI task, both of stories
        with only right answers and of others.
    """
    counts: dict[int, np.ndarray] = {}
    examples: dict[tuple[int, bool], list[str]] = {}
    for batch, outputs in answers:
        counted = np.asarray(count(outputs, batch)).astype(np.int64)
        for b, number in enumerate(map(int, batch.extras.task)):
            if not number:
                continue
            counts[number] = counts.get(number, 0) + counted[b]
            key = number, bool(counted[b, 1] == 0)
            if len(examples.get(key, ())) < num_examples:
                text = task.to_human_readable(batch.episode(b), outputs[:, b : b + 1])
                verdict = "all right" if key[1] else "not all right"
                examples.setdefault(key, []).append(f"task {number}, {verdict}:\n{text}")
    rows = [row(number, counts[number]) for number in sorted(counts)]
    metrics = means(rows)
    shown = [text for key in sorted(examples) for text in examples[key]]
    return BabiReport(metrics, rows, task.is_solved(metrics), shown)


def row(number: int, counts: Sequence[int]) -> dict[str, Any]:
    """Returns the row of a bAbI task in a report, from its four `COUNTS`."""
    found = {"task": number, **dict(zip(COUNTS, map(int, counts), strict=True))}
    found["question_error"] = found["wrong_questions"] / found["questions"]
    found["word_error"] = found["wrong_words"] / found["words"]
    return found


def means(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Returns the metrics: means over the bAbI tasks, and each task's question error."""
    found = mean_of(rows, ("question_error", "word_error"))
    return found | {f"question_error/{row['task']}": row["question_error"] for row in rows}


def count(outputs: tf.Tensor, batch: Batch) -> tf.Tensor:
    """Counts questions and words in each story.

    Args:
      outputs: logits [T, B, Y].
      batch: the batch.

    Returns:
      float32 [B, 4], in the order of `COUNTS`. A question is wrong if any word of its answer is
      wrong.
    """
    is_word = tf.cast(batch.mask, tf.bool)
    wrong = tf.not_equal(tf.argmax(outputs, 2), tf.argmax(batch.target, 2)) & is_word
    before, after = tf.constant([[1, 0], [0, 0]]), tf.constant([[0, 1], [0, 0]])
    is_last = is_word & ~tf.pad(is_word, after)[1:]
    wrong_so_far = wrong
    for _ in range(MAX_WORDS - 1):
        wrong_so_far = wrong | (is_word & tf.pad(wrong_so_far, before)[:-1])
    counted = [is_last, wrong_so_far & is_last, is_word, wrong]
    return tf.stack([tf.reduce_sum(tf.cast(x, tf.float32), axis=0) for x in counted], axis=1)


def _numbers(reports: Mapping[str, Report]) -> Sequence[int]:
    """Returns the numbers of the bAbI tasks."""
    found = {tuple(row["task"] for row in report.rows) for report in reports.values()}
    if len(found) > 1:
        raise ValueError("Only models of the same bAbI tasks can be compared.")
    return found.pop()
