"""Judges a core on all stories of a part of bAbI, task by task, as the papers do."""

import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import sonnet as snt
import tensorflow as tf

import dnc
import tasks
from tasks.babi import FAILED, Babi, count
from tasks.babi_data import TASK_NAMES

# Question errors in percent of Graves et al. 2016 (extended data table 1): means of 20 runs.
_LSTM = """28.4 56.0 51.3 0.8 3.2 15.2 16.4 17.7 15.4 28.7
           12.2 5.4 7.2 55.9 47.0 53.3 34.8 5.0 90.9 1.3"""
_DNC1 = """9.0 39.2 39.6 0.4 1.5 6.9 9.8 5.5 7.7 9.6
           3.3 5.0 3.1 11.0 27.2 53.6 32.4 4.2 64.6 0.0"""
PAPER = {name: [*map(float, text.split())] for name, text in {"LSTM": _LSTM, "DNC1": _DNC1}.items()}


class Score(NamedTuple):
    """What was asked, and how much of it was answered wrongly."""

    questions: int
    wrong_questions: int  # a question is right only if all words of its answer are
    words: int  # of answers
    wrong_words: int

    @property
    def question_error(self) -> float:
        """The part of the questions that is wrong."""
        return self.wrong_questions / self.questions

    @property
    def word_error(self) -> float:
        """The part of the words that is wrong."""
        return self.wrong_words / self.words


class Example(NamedTuple):
    """A story with the answers that a core gave."""

    task: int
    text: str
    is_right: bool  # whether all were


class Examination:
    """Asks a core all questions of a part of the stories."""

    def __init__(self, core: snt.RNNCore, task: Babi, jit: bool = True):
        """Prepares it.

        Args:
          core: the core to judge.
          task: where the stories come from, so many at a time as its batch has.
          jit: whether to compile with XLA, once for each length of batches.
        """
        self._core = core
        self._task = task
        self._answer = tf.function(self._answered, jit_compile=jit)
        self.examples: list[Example] = []

    def scores(self, part: str, num_examples: int = 0) -> dict[int, Score]:
        """Returns the score in each task.

        Args:
          part: "train", "validation" or "test".
          num_examples: how many stories to remember in `examples`, for each task and for right and
            wrong ones.

        Raises:
          ValueError: if the stories cannot be read.
        """
        of_task = self._task.stories(part).task
        counts = np.zeros([max(self._task.tasks) + 1, 4], np.int64)
        self.examples = []
        remembered: dict[tuple[int, bool], int] = {}
        for batch, numbers in self._task.every_batch(part):
            logits, found = self._answer(batch)
            found = found.numpy()[: len(numbers)].astype(np.int64)
            np.add.at(counts, of_task[numbers], found)
            for b in range(len(numbers) if num_examples else 0):
                key = int(of_task[numbers[b]]), found[b, 1] == 0
                if remembered.get(key, 0) < num_examples:
                    remembered[key] = remembered.get(key, 0) + 1
                    own = tasks.Batch(*(x[:, b : b + 1] for x in batch))
                    text = self._task.to_human_readable(own, logits[:, b : b + 1])
                    self.examples.append(Example(key[0], text, bool(key[1])))
        return {task: Score(*map(int, counts[task])) for task in self._task.tasks}

    def _answered(self, batch: tasks.Batch) -> tuple[tf.Tensor, tf.Tensor]:
        """The logits, and the four counts of a `Score` for each story, [B, 4]."""
        logits, _ = dnc.unroll(self._core, batch.observations)
        return logits, count(logits, batch)


def mean(scores: Mapping[int, Score]) -> tuple[float, float]:
    """Returns the means of question error and word error over the tasks."""
    return (
        float(np.mean([score.question_error for score in scores.values()])),
        float(np.mean([score.word_error for score in scores.values()])),
    )


def num_failed(scores: Mapping[int, Score]) -> int:
    """Returns how many tasks have a question error above 5 %."""
    return sum(score.question_error > FAILED for score in scores.values())


def table(scores: Mapping[str, Mapping[int, Score]]) -> Iterator[str]:
    """Yields the lines of a table of one or several models, beside the paper's.

    Args:
      scores: by name of the model, then by task.
    """
    numbers = next(iter(scores.values())).keys()
    width = max(16, *(len(name) + 2 for name in scores))
    paper = "".join(f"{name:>7}" for name in PAPER)
    yield f"{'error, %':29}" + "".join(name.rjust(width) for name in scores) + f"   paper:{paper}"
    yield f"{'':29}" + len(scores) * "question   word".rjust(width)

    def row(title: str, errors: Sequence[tuple[float, float]], of_paper: Sequence[float]) -> str:
        own = "".join(f"{100 * q:8.1f} {100 * w:6.1f}".rjust(width) for q, w in errors)
        return f"{title:29}{own}" + " " * 9 + "".join(f"{x:7.1f}" for x in of_paper)

    for number in numbers:
        errors = [(own[number].question_error, own[number].word_error) for own in scores.values()]
        of_paper = [column[number - 1] for column in PAPER.values()]
        yield row(f"{number:2} {TASK_NAMES[number - 1]}", errors, of_paper)
    chosen = [[column[number - 1] for number in numbers] for column in PAPER.values()]
    yield row("   mean", [mean(own) for own in scores.values()], [np.mean(x) for x in chosen])
    failed = "".join(str(num_failed(own)).rjust(width - 7) + 7 * " " for own in scores.values())
    of_paper = "".join(f"{sum(x > 100 * FAILED for x in column):7}" for column in chosen)
    yield f"{'   failed (above 5 %)':29}{failed}" + " " * 9 + of_paper


def plot(scores: Mapping[str, Mapping[int, Score]], path: str | pathlib.Path) -> None:
    """Draws the question error of each task, and the paper's DNC, into a PNG file."""
    from matplotlib.figure import Figure

    numbers = list(next(iter(scores.values())))
    places = np.arange(len(numbers))
    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    width = 0.8 / len(scores)
    for k, (name, own) in enumerate(scores.items()):
        errors = [100 * own[number].question_error for number in numbers]
        axes.bar(places + (k - (len(scores) - 1) / 2) * width, errors, width, label=name)
    of_paper = [PAPER["DNC1"][number - 1] for number in numbers]
    axes.plot(places, of_paper, "k_", markersize=12, label="DNC1 of the paper, mean of 20 runs")
    axes.axhline(100 * FAILED, color="0.6", linewidth=0.8)
    axes.set_xticks(places, [str(number) for number in numbers])
    axes.set_xlabel("bAbI task")
    axes.set_ylabel("wrong questions, %")
    axes.set_ylim(0, 100)
    axes.legend()
    figure.savefig(path, dpi=150)
