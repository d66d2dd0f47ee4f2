"""Reads a trained network's plan from its memory, before its first move.

    python -m tasks.shrdlu.plan --pretrained=shrdlu_dnc

Averages the contents of the slots that the read heads weight by more than 0.01 when the network
sees which goal to reach, and fits a logistic regression from this word to each of the first five
actions (Graves et al. 2016, Methods). Prints its accuracy in episodes to which it was not fitted,
next to the accuracy of the most frequent action. Both are means over 100 random splits into four
fifths for fitting and one fifth for testing.
"""

import sys
from collections.abc import Sequence

import numpy as np
from absl import flags

import dnc
from tasks import Batch
from tasks.shrdlu.grid import restored, task_of_test
from training import asking, command, episodes
from training.decode import logistic_regression
from training.messages import say

NUM_ACTIONS, NUM_SPLITS = 5, 100
_L2 = 1.0  # The paper's.
_LEAST_WEIGHT = 0.01
_BATCH_SIZE = 50

_FLAGS = asking.new_flags()
flags.DEFINE_integer("goals", 10, "Number of goals.", 1, 26, flag_values=_FLAGS)
flags.DEFINE_integer("num_sequences", 800, "Number of episodes.", 50, flag_values=_FLAGS)
flags.DEFINE_integer("seed", 0, "Seed of episodes and splits.", 0, flag_values=_FLAGS)


def found_at_query(trace: dnc.Trace, batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Returns the word that the heads read at the question, [B, W], and the actions, [B, 5]."""
    example = np.arange(batch.mask.shape[1])
    query = np.argmax(np.asarray(batch.mask), axis=0)
    is_read = (trace.read_weights[query, example] > _LEAST_WEIGHT).any(axis=1)
    total = np.einsum("bn,bnw->bw", is_read, trace.memory[query, example])
    words = total / np.maximum(is_read.sum(axis=1, keepdims=True), 1)
    steps = query + np.arange(NUM_ACTIONS)[:, np.newaxis]
    return words, np.asarray(batch.extras.action)[steps, example].T


def accuracy(words: np.ndarray, actions: np.ndarray, seed: int = 0) -> tuple[float, float]:
    """Returns the accuracies of a regression and of the most frequent action, from 0 to 1.

    Args:
      words: [n, W], the words to fit to.
      actions: integers [n].
      seed: seed of the splits.

    Raises:
      ValueError: if scikit-learn is not installed.
    """
    model = logistic_regression(_L2)
    from sklearn.preprocessing import StandardScaler

    rng, right, guessed = np.random.default_rng(seed), [], []
    for _ in range(NUM_SPLITS):
        order = rng.permutation(len(words))
        tried, fitted = np.split(order, [len(words) // 5])
        scaler = StandardScaler().fit(words[fitted])
        model.fit(scaler.transform(words[fitted]), actions[fitted])
        right.append(np.mean(model.predict(scaler.transform(words[tried])) == actions[tried]))
        guessed.append(np.mean(actions[tried] == np.bincount(actions[fitted]).argmax()))
    return float(np.mean(right)), float(np.mean(guessed))


def main(argv: Sequence[str]) -> int:
    """Runs the command. Returns the exit code."""
    return command.run("tasks.shrdlu.plan", _FLAGS, argv, __doc__, _read)


def _read() -> None:
    core, step = restored(asking.directory_of_model(_FLAGS), _FLAGS.best, "have a plan")
    task = task_of_test(_FLAGS.goals, _BATCH_SIZE)
    found = []
    for number in range(-(-_FLAGS.num_sequences // _BATCH_SIZE)):
        batch = episodes.collect(core, task, "test", _FLAGS.seed, number)
        trace = episodes.watch(core, task, batch, step, record_link=False)
        if trace is None:
            raise ValueError("Only the memory of a dnc can be read; this model has none.")
        found.append(found_at_query(trace, batch))
    words, actions = map(np.concatenate, zip(*found, strict=True))
    say("action  from memory  most frequent")
    for number in range(NUM_ACTIONS):
        right, guessed = accuracy(words, actions[:, number], _FLAGS.seed)
        say(f"{number + 1:6}  {right:11.1%}  {guessed:13.1%}")


if __name__ == "__main__":
    sys.exit(main(sys.argv))
