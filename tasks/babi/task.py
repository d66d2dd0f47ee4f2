"""Question answering about short stories, the 20 bAbI tasks, as in the DNC paper (Graves 2016).

=====================================  ============================  ===================
steps                                  observation (159 wide)        target (159 wide)
=====================================  ============================  ===================
each word, "." and "?" of the story    its token, one-hot            0
after "?", each word of the answer     "-", one-hot                  the word, one-hot
=====================================  ============================  ===================

Answers count (mask 1) at each "-". After a story's end all values are 0.
"""

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tasks import draws, encoding
from tasks.babi import data, scoring, stories
from tasks.babi.data import SYMBOLS, TO_ANSWER
from tasks.base import Batch, Task
from tasks.options import option
from tasks.report import Report


@dataclasses.dataclass(frozen=True, kw_only=True)
class QuestionAnswering(Task):
    """A task of stories with questions, laid out as in `tasks.babi.task`."""

    metric_names = ("question_error", "word_error", "solved_sequences", "tokens")

    input_size = property(lambda self: len(SYMBOLS))
    output_size = property(lambda self: len(SYMBOLS))

    def loss(self, outputs: tf.Tensor, batch: Batch) -> tf.Tensor:
        """Returns the cross-entropy in nats per story, over the words of answers."""
        loss = tf.nn.softmax_cross_entropy_with_logits(batch.target, outputs) * batch.mask
        return tf.reduce_mean(tf.reduce_sum(loss, axis=0))

    def metrics(self, outputs: tf.Tensor, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns fractions of questions, words and stories, and the number of tokens.

        A question is right only if all words of its answer are right. `tokens` is the number of
        tokens in the batch, without padding.
        """
        counts = scoring.count(outputs, batch)
        questions, wrong, words, wrong_words = tf.unstack(tf.reduce_sum(counts, axis=0))
        return {
            "question_error": wrong / questions,
            "word_error": wrong_words / words,
            "solved_sequences": tf.reduce_mean(tf.cast(tf.equal(counts[:, 1], 0.0), tf.float32)),
            # Not the sum, because a replica has only a part of the batch.
            "tokens": tf.reduce_mean(tf.cast(batch.lengths, tf.float32)) * self.batch_size,
        }

    def is_solved(self, metrics: Mapping[str, float]) -> bool:
        """Returns whether at most 5 % of the questions are answered wrongly."""
        return metrics["question_error"] <= scoring.FAILED

    def report(self, answers: Iterable[tuple[Batch, Any]], num_examples: int = 0) -> Report:
        """Returns the result of an evaluation, see `scoring.report`."""
        return scoring.report(self, answers, num_examples)

    def describe_error(self, error: float) -> str:
        """Returns a question error as text."""
        return f"{error:.1%} of the questions wrong"

    def to_human_readable(
        self, batch: Batch, outputs: Any = None, whole_batch: bool = False
    ) -> str:
        """Returns the first story (or all) as text, one sentence per line.

        Each question is followed by the right answer and, if it differs, the model's in brackets.
        """
        said = None if outputs is None else np.argmax(np.asarray(outputs), axis=2)
        labels = self.step_labels(batch)
        stories = []
        for b, words in enumerate(labels if whole_batch else labels[:1]):
            lines, line = [], []
            answer, answered = [], []
            for t, word in enumerate([*words, ""]):
                if answer and not word.startswith(TO_ANSWER):
                    wrong = said is not None and answer != answered
                    line.append(" ".join(answer))
                    lines.append(" ".join(line) + (f"  [{' '.join(answered)}]" if wrong else ""))
                    line, answer, answered = [], [], []
                if not word:
                    break
                if word.startswith(TO_ANSWER):
                    answer.append(word.removeprefix(f"{TO_ANSWER} "))
                    answered.append("" if said is None else SYMBOLS[said[t, b]])
                elif word in (".", "?") and line:
                    line[-1] += word
                    if word == ".":
                        lines.append(" ".join(line))
                        line = []
                else:
                    line.append(word)
            stories.append("\n".join(lines))
        return "\n\n".join(stories)

    def step_labels(self, batch: Batch) -> list[list[str]]:
        """Returns the tokens of each story, with "- hallway" for a required word of an answer."""
        observations, target, mask = (np.asarray(part) for part in batch[:3])
        labels = []
        for b in range(mask.shape[1]):
            length = int(np.sum(observations[:, b]))
            tokens = [SYMBOLS[k] for k in np.argmax(observations[:length, b], axis=1)]
            for t in np.flatnonzero(mask[:, b]):
                tokens[t] = f"{TO_ANSWER} {SYMBOLS[np.argmax(target[t, b])]}"
            labels.append(encoding.padded(tokens, mask.shape[0]))
        return labels


@dataclasses.dataclass(frozen=True, kw_only=True)
class Babi(QuestionAnswering):
    """The bAbI tasks: answer questions about stories, see docs/babi.md.

    A tenth of each task's training stories is kept for validation. All stories are equally likely,
    but the stories of a batch are from one bucket, and therefore have similar lengths. A bucket is
    drawn in proportion to its number of stories.

    Attributes:
      bucket_steps: number of steps of the only bucket used; `None`: all buckets are used.
    """

    name = "babi"

    data_dir: str = option(
        "", "Folder en-10k of bAbI 1.2, or an archive of it; required.", may_change=True
    )
    tasks: str = option("1-20", "Numbers of bAbI tasks, such as 1,2,4-20.")
    split_seed: int = option(1, "Seed of the choice of validation stories.", minimum=1)
    max_buckets: int = option(
        12, "Maximum number of batch lengths, each with its own program.", minimum=1, maximum=32
    )
    bucket_steps: int | None = None

    def check(self) -> None:
        """Raises `ValueError` if training files are missing or damaged."""
        if not self.data_dir:
            raise ValueError(
                "Task babi needs data_dir: the folder en-10k of bAbI 1.2, or an archive of it. "
                "Run make babi to fetch it."
            )
        self._split("train")

    @property
    def task_numbers(self) -> tuple[int, ...]:
        """Numbers of the bAbI tasks, ascending."""
        return data.numbers_of_tasks(self.tasks)

    @property
    def notes(self) -> Sequence[str]:
        """Messages about substitutes for missing files."""
        names = data.names(self.data_dir, self.task_numbers, "train")
        return tuple(
            f"Task {task} uses {name} as a substitute for a missing file: its errors cannot be "
            "compared with published ones."
            for task, name in names.items()
            if data.is_substitute(name)
        )

    @property
    def num_steps(self) -> int:
        """Number of steps of the longest training batch."""
        return self.bucket_steps or self._split("train").buckets[-1].num_steps

    def of_length(self, num_steps: int) -> "Babi":
        """Returns this task, restricted to the bucket of `num_steps` steps."""
        return dataclasses.replace(self, bucket_steps=num_steps)

    def steps_of_batch(self, split: str, seed: int, step: int, lesson: int | None = None) -> int:
        """Returns the number of steps of the bucket from which a batch is drawn."""
        if self.bucket_steps:
            return self.bucket_steps
        with tf.init_scope(), tf.device("CPU"):
            key = draws.keys(split, seed, step, 2)[0]
            found = self._split(split).buckets
            drawn = int(draws.uniform_integers(key, [], 0, found[-1].end - 1))
        return next(bucket.num_steps for bucket in found if drawn < bucket.end)

    def batch(self, split: str, seed: Any, step: Any, lesson: Any = None) -> Batch:
        """Returns a batch that depends on its arguments alone.

        Seed and step may be tensors of a graph only if the task is a result of `of_length`.

        Raises:
          ValueError: if the split has no stories of this length, or its files cannot be read.
        """
        num_steps = self.bucket_steps or self.steps_of_batch(split, int(seed), int(step))
        key = draws.keys(split, seed, step, 2)[1]
        own = self._split(split)
        lengths = {bucket.num_steps: bucket for bucket in own.buckets}
        if num_steps not in lengths:
            raise ValueError(
                f"Batches of the {split} stories have {', '.join(map(str, lengths))} steps, not "
                f"{num_steps}."
            )
        _, first, end = lengths[num_steps]
        chosen = draws.uniform_integers(key, [self.batch_size], first, end - 1)
        return stories.to_batch(own.stories, chosen, num_steps)

    def every_batch(self, split: str) -> Iterator[Batch]:
        """Yields all stories of a split once, in batches that are padded with empty stories.

        Raises:
          ValueError: if the split's files cannot be read.
        """
        own = self._split(split)
        for num_steps, first, end in own.buckets:
            for start in range(first, end, self.batch_size):
                chosen = np.arange(start, start + self.batch_size, dtype=np.int32)
                chosen[chosen >= end] = -1
                yield stories.to_batch(own.stories, tf.constant(chosen), num_steps)

    def _split(self, split: str) -> stories.Split:
        return stories.split_of(
            self.data_dir, self.task_numbers, self.split_seed, self.max_buckets, split
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnStory(QuestionAnswering):
    """A story of your own, whose answers are unknown. Every batch contains this story.

    The target is "-" where a word of an answer is required.
    """

    name = "babi"

    text: str = option("", "Sentences and questions, see `data.from_text`.")
    batch_size: int = option(1, "Number of episodes in a batch.", minimum=1, maximum=1)

    @functools.cached_property
    def _story(self) -> stories.Stories:
        return stories.Stories(*map(tf.constant, stories.encode([data.from_text(self.text)])))

    @property
    def num_steps(self) -> int:
        """Number of tokens.

        Raises:
          ValueError: if a word is unknown, a sentence has no end, or there is no question.
        """
        return int(self._story.length[0])

    def batch(self, split: str, seed: Any, step: Any, lesson: Any = None) -> Batch:
        """Returns the story, for any arguments."""
        return stories.to_batch(self._story, tf.constant([0]), self.num_steps)
