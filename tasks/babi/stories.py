"""Stories as numbers: read from files, divided by length, laid out as batches."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tasks.babi import data
from tasks.babi.data import NUMBERS, SYMBOLS, TO_ANSWER, Story
from tasks.base import Batch


class Stories(NamedTuple):
    """Stories as numbers, shortest first, in arrays or tensors.

    Attributes:
      task: int32 [S], number of each story's task.
      start: int32 [S], place in `tokens` where each story starts.
      length: int32 [S], number of tokens of each story.
      tokens: uint8 [sum of lengths], numbers of symbols.
      targets: uint8 [sum of lengths], the required word at each "-", elsewhere 0.
    """

    task: np.ndarray
    start: np.ndarray
    length: np.ndarray
    tokens: np.ndarray
    targets: np.ndarray


class Bucket(NamedTuple):
    """Stories that are padded to the same length.

    Attributes:
      num_steps: this length.
      first: number of the first story.
      end: number of the last story, plus 1.
    """

    num_steps: int
    first: int
    end: int


class Origin(NamedTuple):
    """Origin of each story in a batch, stored as its extras.

    Attributes:
      story: int32 [B], number of the story in its split, -1 where there is none.
      task: int32 [B], number of its task, 0 where there is none.
    """

    story: tf.Tensor
    task: tf.Tensor


class Split(NamedTuple):
    """The stories of a split, as tensors, and their buckets."""

    stories: Stories
    buckets: list[Bucket]


@functools.lru_cache(maxsize=12)
def split_of(
    data_dir: str, tasks: tuple[int, ...], split_seed: int, max_buckets: int, split: str
) -> Split:
    """Returns the stories of a split. Files are read once.

    Args:
      data_dir: folder or archive, see `data.read`.
      tasks: numbers of the tasks.
      split_seed: seed of the choice of validation stories.
      max_buckets: maximum number of buckets.
      split: "train", "validation" or "test".

    Raises:
      ValueError: if files are missing or damaged.
    """
    if split == "test":
        found = data.read(data_dir, tasks, "test")
        own = encode([story for stories in found.values() for story in stories])
    else:
        own = _for_training(data_dir, tasks, split_seed)[split]
    with tf.init_scope():  # Tensors of a graph would not outlive it.
        return Split(Stories(*map(tf.constant, own)), buckets(own.length, max_buckets))


@functools.lru_cache(maxsize=4)
def _for_training(data_dir: str, tasks: tuple[int, ...], seed: int) -> dict[str, Stories]:
    """Returns the stories for training, and a tenth of each task's stories for validation."""
    found: dict[str, list[Story]] = {"train": [], "validation": []}
    for task, stories in data.read(data_dir, tasks, "train").items():
        number = -(-len(stories) // 10)
        kept = set(np.random.default_rng([seed, task]).permutation(len(stories))[:number].tolist())
        for k, story in enumerate(stories):
            found["validation" if k in kept else "train"].append(story)
    return {split: encode(stories) for split, stories in found.items()}


def encode(stories: Sequence[Story]) -> Stories:
    """Returns stories as numbers, sorted by length; stories of one length stay in order."""
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
    """Divides stories by length so as to minimise padding.

    Args:
      lengths: [S], ascending.
      most: maximum number of buckets, >= 1.

    Returns:
      The buckets, by length: the best division into the smallest number of buckets that needs at
      most 5 % more steps in total than the best division into the maximum number.
    """
    sizes, first = np.unique(lengths, return_index=True)
    ends = np.append(first[1:], len(lengths))
    # best[j]: steps of all stories of the j shortest lengths, with one bucket per round.
    # choice[j] in each round: number of lengths in the buckets before the last one.
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


def to_batch(stories: Stories, chosen: tf.Tensor, num_steps: int) -> Batch:
    """Returns stories as a batch.

    Args:
      stories: the stories, as tensors.
      chosen: int32 [B], numbers of the stories; -1: an empty one, all zeros.
      num_steps: number of steps to which they are padded.
    """
    t, story = tf.range(num_steps)[:, tf.newaxis], tf.maximum(chosen, 0)
    is_story = chosen >= 0
    lengths = tf.where(is_story, tf.gather(stories.length, story), 0)
    is_there = t < lengths
    place = tf.where(is_there, tf.gather(stories.start, story) + t, 0)
    token = tf.where(is_there, tf.cast(tf.gather(stories.tokens, place), tf.int32), -1)
    is_word = tf.equal(token, NUMBERS[TO_ANSWER])
    target = tf.where(is_word, tf.cast(tf.gather(stories.targets, place), tf.int32), -1)
    return Batch(
        observations=tf.one_hot(token, len(SYMBOLS)),
        target=tf.one_hot(target, len(SYMBOLS)),
        mask=tf.cast(is_word, tf.float32),
        lengths=lengths,
        extras=Origin(chosen, tf.where(is_story, tf.gather(stories.task, story), 0)),
    )
