"""Question answering about short stories, the 20 bAbI tasks, as in the DNC paper (Graves 2016)."""

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tasks import babi_data, base
from tasks.babi_data import NUMBERS, SYMBOLS, TO_ANSWER, Story

PARTS = ("train", "validation", "test")
FAILED = 0.05  # With a larger error a task counts as failed (Weston et al. 2015).
_MOST_BUCKETS = 32  # With more it would take very long to compile.


class Stories(NamedTuple):
    """Stories as numbers, the shortest first.

    Attributes:
      task: int32 [S], the number of each story's task.
      start: int32 [S], where in `tokens` each story starts.
      length: int32 [S], how many tokens it has.
      tokens: uint8 [sum of lengths], numbers of symbols.
      targets: uint8, likewise: at a "-" the word to be said, elsewhere 0.
    """

    task: np.ndarray
    start: np.ndarray
    length: np.ndarray
    tokens: np.ndarray
    targets: np.ndarray


class Bucket(NamedTuple):
    """Stories that are padded to the same length."""

    num_steps: int
    first: int  # number of its first story
    end: int  # one more than that of its last


class _Part(NamedTuple):
    """Stories to train on, to validate with, or of the test."""

    stories: Stories
    tensors: Stories  # the same as tensors
    buckets: list[Bucket]


def encode(stories: Sequence[Story]) -> Stories:
    """Returns stories as numbers, sorted by length; those of one length stay in order."""
    stories = sorted(stories, key=lambda story: len(story.tokens))
    lengths = np.array([len(story.tokens) for story in stories], np.int32)
    tokens = np.array([NUMBERS[t] for story in stories for t in story.tokens], np.uint8)
    targets = np.zeros_like(tokens)
    targets[tokens == NUMBERS[TO_ANSWER]] = [
        NUMBERS[word] for story in stories for word in story.answers
    ]
    start = np.concatenate([[0], np.cumsum(lengths)[:-1]]).astype(np.int32)
    tasks = np.array([story.task for story in stories], np.int32)
    return Stories(tasks, start, lengths, tokens, targets)


def buckets(lengths: np.ndarray, most: int) -> list[Bucket]:
    """Divides stories by length so that they are padded little.

    Args:
      lengths: [S], ascending.
      most: greatest number of buckets, >= 1.

    Returns:
      The buckets, by length: as few as need at most 5 % more steps in all than the best division
      into the greatest number of them, and of the divisions into so few the best.
    """
    sizes, first = np.unique(lengths, return_index=True)
    ends = np.append(first[1:], len(lengths))
    # best[j]: steps of all stories of the j shortest lengths, in as many buckets as there were
    # rounds; choice[j] in each round: how many lengths the buckets before the last one have.
    best, choices = np.concatenate([[0.0], np.full(len(sizes), np.inf)]), []
    totals = []
    for _ in range(min(most, len(sizes))):
        start = np.append(0, ends)[:-1]  # Stories before each length.
        steps = sizes[:, np.newaxis] * (ends[:, np.newaxis] - start)  # last length, first length
        steps = np.where(np.tri(len(sizes), dtype=bool), steps + best[:-1], np.inf)
        choices.append(np.argmin(steps, axis=1))
        best = np.append(0.0, np.min(steps, axis=1))
        totals.append(best[-1])
    number = int(np.argmax(np.array(totals) <= 1.05 * totals[-1])) + 1
    found, j = [], len(sizes)
    for choice in reversed(choices[:number]):
        i = int(choice[j - 1])
        found.append(Bucket(int(sizes[j - 1]), int(first[i]), int(ends[j - 1])))
        j = i
    return found[::-1]


def numbers_of_tasks(text: str) -> tuple[int, ...]:
    """Returns the tasks that a text such as "1,2,4-20" names, ascending.

    Raises:
      ValueError: if it names none, or others than 1 to 20.
    """
    found: set[int] = set()
    for piece in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,2})(?:-(\d{1,2}))?\s*", piece, re.ASCII)
        least, greatest = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= least <= greatest <= babi_data.NUM_TASKS:
            raise ValueError(
                f"tasks must be numbers from 1 to {babi_data.NUM_TASKS}, such as 1,2,4-20, got "
                f"{text!r}."
            )
        found.update(range(least, greatest + 1))
    return tuple(sorted(found))


class QuestionAnswering(base.Task):
    """Stories with questions; the answer is to be said word by word when it is asked for.

    Observations [T, B, 159]: one token a step, one-hot: words, ".", "?", and after each "?" a "-"
    for each word of its answer. Target [T, B, 159]: the answer's word at a "-", elsewhere 0; the
    mask is 1 at a "-". Past a story's end all are 0.
    """

    metric_names = ("question_error", "word_error", "solved_sequences")
    input_size = target_size = len(SYMBOLS)
    sizes: Mapping[str, tuple[int, int]] = {}

    def cost(self, logits: tf.Tensor, target: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
        """Returns the cross-entropy in nats per story, over the words of answers."""
        loss = tf.nn.softmax_cross_entropy_with_logits(target, logits) * mask
        return tf.reduce_mean(tf.reduce_sum(loss, axis=0))

    def metrics(self, logits: tf.Tensor, batch: base.Batch) -> dict[str, tf.Tensor]:
        """Returns the parts of questions and of words that are wrong; and `solved_sequences`.

        A question is right only if all words of its answer are.
        """
        counts = count(logits, batch)
        questions, wrong, words, wrong_words = tf.unstack(tf.reduce_sum(counts, axis=0))
        return {
            "question_error": wrong / questions,
            "word_error": wrong_words / words,
            "solved_sequences": tf.reduce_mean(tf.cast(tf.equal(counts[:, 1], 0.0), tf.float32)),
        }

    def is_solved(self, metrics: Mapping[str, float]) -> bool:
        """Whether at most 5 % of the questions are answered wrongly."""
        return metrics["question_error"] <= FAILED

    def describe_error(self, error: float) -> str:
        """Returns a question error as text."""
        return f"{error:.1%} of the questions wrong"

    def to_human_readable(
        self, batch: base.Batch, logits: Any = None, whole_batch: bool = False
    ) -> str:
        """Returns the first story (or all) as text, a sentence a line.

        After a question stands the answer and, if it is another, what the model says.
        """
        said = None if logits is None else np.argmax(np.asarray(logits), axis=2)
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

    def step_labels(self, batch: base.Batch) -> list[list[str]]:
        """Returns the tokens of each story; where an answer is asked for, "- hallway"."""
        observations, target, mask = (np.asarray(part) for part in batch)
        labels = []
        for b in range(mask.shape[1]):
            length = int(np.sum(observations[:, b]))
            tokens = [SYMBOLS[k] for k in np.argmax(observations[:length, b], axis=1)]
            for t in np.flatnonzero(mask[:, b]):
                tokens[t] = f"{TO_ANSWER} {SYMBOLS[np.argmax(target[t, b])]}"
            labels.append(base.padded(tokens, mask.shape[0]))
        return labels


@base.register("babi")
class Babi(QuestionAnswering):
    """The stories of bAbI, read from its files.

    Batches with a seed >= 0 are of the stories to train on, those with a seed < 0 of the tenth of
    each task's that is kept for validation. A story of a batch is any with the same probability,
    but all of a batch are of about the same length: each length in `lengths` is that of one bucket
    of stories, and how many there are in it is how often it comes.

    Attributes:
      tasks: numbers of the tasks.
    """

    def __init__(
        self,
        batch_size: int = 16,
        data_dir: str = "",
        tasks: str = "1-20",
        split_seed: int = 1,
        max_buckets: int = 8,
    ):
        """Reads the stories.

        Args:
          batch_size: stories B in a batch.
          data_dir: where the files are, see `babi_data.read`.
          tasks: which tasks, such as "1,2,4-20".
          split_seed: of what stories are kept for validation.
          max_buckets: how many different lengths batches may have; one program is compiled for
            each.

        Raises:
          ValueError: if an option is out of range, or files are missing or damaged.
        """
        base.check_positive(batch_size=batch_size, split_seed=split_seed, max_buckets=max_buckets)
        if max_buckets > _MOST_BUCKETS:
            raise ValueError(f"max_buckets must be at most {_MOST_BUCKETS}, got {max_buckets}.")
        if not data_dir:
            raise ValueError(
                "Task babi needs data_dir: the folder en-10k of bAbI 1.2, or an archive of it; "
                "make babi fetches it."
            )
        self.batch_size = batch_size
        self.tasks = numbers_of_tasks(tasks)
        self._data_dir, self._max_buckets = data_dir, max_buckets
        self._parts: dict[str, _Part] = {}
        training, validation, substitutes = _split(data_dir, self.tasks, split_seed)
        self._add("train", training)
        self._add("validation", validation)
        self.notes = tuple(
            f"Task {task} is learnt from {name}, which only stands in for a file that is missing: "
            "its errors cannot be compared with published ones."
            for task, name in substitutes.items()
        )
        self.num_steps = max(self.lengths)

    @property
    def lengths(self) -> list[int]:
        """The time steps of each bucket of stories to train on."""
        return [bucket.num_steps for bucket in self._parts["train"].buckets]

    def stories(self, part: str) -> Stories:
        """Returns all stories of one of `PARTS`: "train", "validation" or "test".

        Raises:
          ValueError: if the files of the test cannot be read.
        """
        if part not in self._parts:
            found = babi_data.read(self._data_dir, self.tasks, part)
            self._add(part, encode([story for of_task in found.values() for story in of_task]))
        return self._parts[part].stories

    def every_batch(self, part: str) -> Iterator[tuple[base.Batch, np.ndarray]]:
        """Yields all stories of a part once, in batches, and which ones they are.

        The batch is filled with stories of which nothing is asked where there are no more of its
        length.

        Yields:
          The batch, and the numbers of its stories in `stories(part)`, int [at most B].
        """
        self.stories(part)  # Reads them, if need be.
        own = self._parts[part]
        for num_steps, first, end in own.buckets:
            for start in range(first, end, self.batch_size):
                numbers = np.arange(start, min(start + self.batch_size, end))
                # There is no story -1: where it is drawn all is 0.
                missing = np.full(self.batch_size - len(numbers), -1)
                yield _batch(own.tensors, tf.constant([*numbers, *missing]), num_steps), numbers

    def _add(self, part: str, stories: Stories) -> None:
        tensors = Stories(*map(tf.constant, stories))
        self._parts[part] = _Part(stories, tensors, buckets(stories.length, self._max_buckets))

    def batch(self, seed: Any, step: Any, sizes: Mapping[str, Any] | None = None) -> base.Batch:
        """Returns a batch that depends on its arguments alone; in a graph see `with_batch`."""
        part = _part(seed)
        return self._draw(part, int(self._bucket(part, seed, step)), seed, step)

    def with_batch(
        self,
        seed: Any,
        step: Any,
        function: Callable[[base.Batch], Any],
        sizes: Mapping[str, Any] | None = None,
    ) -> Any:
        """Returns `function(batch)`; in a graph with a branch for each length."""
        if tf.executing_eagerly():
            return function(self.batch(seed, step))
        part = _part(seed)

        def branch(bucket: int) -> Any:
            return function(self._draw(part, bucket, seed, step))

        branches = [functools.partial(branch, k) for k in range(len(self._parts[part].buckets))]
        return tf.switch_case(self._bucket(part, seed, step), branches)

    def _bucket(self, part: str, seed: Any, step: Any) -> tf.Tensor:
        """Number of the bucket that a batch is from, drawn by how many stories it has."""
        ends = tf.constant([bucket.end for bucket in self._parts[part].buckets])
        key = base.split(seed, step, 2)[0]
        drawn = base.uniform_integers(key, [], 0, self._parts[part].buckets[-1].end - 1)
        return tf.reduce_sum(tf.cast(ends <= drawn, tf.int32))

    def _draw(self, part: str, bucket: int, seed: Any, step: Any) -> base.Batch:
        own = self._parts[part]
        num_steps, first, end = own.buckets[bucket]
        key = base.split(seed, step, 2)[1]
        drawn = base.uniform_integers(key, [self.batch_size], first, end - 1)
        return _batch(own.tensors, drawn, num_steps)


class OwnStory(QuestionAnswering):
    """A story that somebody tells, and whose answers nobody gave: every batch is this one.

    The target is "-" where an answer is asked for.
    """

    batch_size = 1

    def __init__(self, text: str):
        """Takes the story, see `babi_data.from_text`.

        Raises:
          ValueError: if a word is unknown, a sentence has no end, or nothing is asked.
        """
        stories = encode([babi_data.from_text(text)])
        self.num_steps = int(stories.length[0])
        self._batch = _batch(Stories(*map(tf.constant, stories)), tf.constant([0]), self.num_steps)

    def batch(self, seed: Any, step: Any, sizes: Mapping[str, Any] | None = None) -> base.Batch:
        """Returns the story, whatever the arguments are."""
        return self._batch


def count(logits: tf.Tensor, batch: base.Batch) -> tf.Tensor:
    """Counts what is asked in each story, and what is answered wrongly.

    Returns:
      float32 [B, 4]: questions; those answered wrongly, since any word of the answer is wrong;
      words of answers; wrong ones.
    """
    is_word = tf.cast(batch.mask, tf.bool)
    wrong = tf.not_equal(tf.argmax(logits, 2), tf.argmax(batch.target, 2)) & is_word
    before, after = tf.constant([[1, 0], [0, 0]]), tf.constant([[0, 1], [0, 0]])
    is_last = is_word & ~tf.pad(is_word, after)[1:]
    wrong_so_far = wrong
    for _ in range(babi_data.MAX_WORDS - 1):
        wrong_so_far = wrong | (is_word & tf.pad(wrong_so_far, before)[:-1])
    counted = [is_last, wrong_so_far & is_last, is_word, wrong]
    return tf.stack([tf.reduce_sum(tf.cast(x, tf.float32), axis=0) for x in counted], axis=1)


def _batch(stories: Stories, chosen: tf.Tensor, num_steps: int) -> base.Batch:
    """The stories with these numbers, padded to so many steps; -1: nothing."""
    t, story = tf.range(num_steps)[:, tf.newaxis], tf.maximum(chosen, 0)
    is_there = (t < tf.gather(stories.length, story)) & (chosen >= 0)
    place = tf.where(is_there, tf.gather(stories.start, story) + t, 0)
    token = tf.where(is_there, tf.cast(tf.gather(stories.tokens, place), tf.int32), -1)
    is_word = tf.equal(token, NUMBERS[TO_ANSWER])
    target = tf.where(is_word, tf.cast(tf.gather(stories.targets, place), tf.int32), -1)
    depth = len(SYMBOLS)
    return base.Batch(
        tf.one_hot(token, depth), tf.one_hot(target, depth), tf.cast(is_word, tf.float32)
    )


def _part(seed: Any) -> str:
    return "train" if int(seed) >= 0 else "validation"


@functools.lru_cache(maxsize=4)
def _split(
    data_dir: str, tasks: tuple[int, ...], seed: int
) -> tuple[Stories, Stories, Mapping[int, str]]:
    """Stories to train on, a tenth of each task's kept for validation, and substitutes' names."""
    training, validation = [], []
    for task, stories in babi_data.read(data_dir, tasks, "train").items():
        number = -(-len(stories) // 10)
        kept = set(np.random.default_rng([seed, task]).permutation(len(stories))[:number].tolist())
        for k, story in enumerate(stories):
            (validation if k in kept else training).append(story)
    names = babi_data.names(data_dir, tasks, "train")
    substitutes = {task: name for task, name in names.items() if babi_data.is_substitute(name)}
    return encode(training), encode(validation), substitutes
