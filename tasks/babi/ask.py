"""Asks a model trained on bAbI the questions in a story of your own.

    python -m tasks.babi.ask --pretrained=babi_dnc \
        --story="Mary went to the kitchen. John went to the garden. Where is Mary?"

Prints the story with the model's answers, their probabilities, and the sentences from which it read
most during the question. All words must be from bAbI. If an answer has several, put a "-" for each
after the question. --trace_file saves a trace of the memory.
"""

import pathlib
import sys
from collections.abc import Sequence

import numpy as np
import tensorflow as tf
from absl import flags

import dnc
from tasks.babi import data
from tasks.babi.task import OwnStory
from training import asking, command, episodes, runs
from training.config import Config
from training.models import restore_core

_LEAST_SHARE = 0.25  # Minimum share in the words read for a sentence to be shown.

_FLAGS = asking.new_flags()
flags.DEFINE_string("story", None, "Sentences and questions.", flag_values=_FLAGS)
flags.DEFINE_string("story_file", None, "Text file with a story.", flag_values=_FLAGS)
command.accept_local_paths(_FLAGS, "story_file")


def answer(directory: pathlib.Path, text: str, best: bool = False) -> tuple[str, dnc.Trace | None]:
    """Answers the questions in a story with a trained model.

    Args:
      directory: directory of the run.
      text: the story, see `tasks.babi.data.from_text`.
      best: whether to take the best checkpoint instead of the newest.

    Returns:
      The story with the answers, one sentence per line; and a trace of the memory, if there is one.

    Raises:
      ValueError: if the story is malformed, or the model is not for bAbI or is damaged.
      OSError: if there is no run in the directory.
    """
    checkpoint = runs.newest_checkpoint(directory, best)
    config = Config.of_run(checkpoint.settings)
    if config.task != OwnStory.name:
        raise ValueError(f"Only models of babi answer stories; {directory} is for {config.task}.")
    task = OwnStory(text=text)
    batch = task.batch("test", 0, 0)
    core = restore_core(checkpoint, config, task)
    trace = episodes.watch(core, task, batch, checkpoint.step)
    outputs = trace.outputs if trace else episodes.replay(core, batch)
    # The model's answers replace the right ones, which are unknown.
    said = tf.one_hot(tf.argmax(outputs, axis=2), task.output_size) * batch.mask[..., tf.newaxis]
    batch = batch._replace(target=said)
    (tokens,) = task.step_labels(batch)
    lines = task.to_human_readable(batch).splitlines()
    told = list(lines)
    steps_of = _steps_of_lines(tokens)
    likely = np.max(tf.nn.softmax(outputs), axis=2)[:, 0]
    for number, steps in enumerate(steps_of):
        answers = [t for t in steps if batch.mask[t, 0] > 0]
        if not answers:
            continue
        notes = [f"{np.prod(likely[answers]):.0%}"]
        if trace:
            shares = _shares(trace, steps, steps_of[:number])
            found = [k for k in np.argsort(-shares) if shares[k] >= _LEAST_SHARE]
            notes += [f"read from: {' '.join(told[k] for k in found)}"] if found else []
        lines[number] += f"  ({', '.join(notes)})"
    if trace:
        trace = trace.replace(target=None, mask=None, tokens=[tokens])
    return "\n".join(lines), trace


def _steps_of_lines(tokens: Sequence[str]) -> list[list[int]]:
    """Returns the steps of each sentence, and of each question with its answer."""
    found: list[list[int]] = [[]]
    for t, token in enumerate(tokens):
        is_answer = token.startswith(data.TO_ANSWER)
        if found[-1] and not is_answer and tokens[t - 1].startswith((data.TO_ANSWER, ".")):
            found.append([])
        found[-1].append(t)
    return found


def _shares(trace: dnc.Trace, steps: Sequence[int], sources: Sequence[Sequence[int]]) -> np.ndarray:
    """Returns the share of each source, given by its steps, in the words read at some steps.

    The shares sum to 1. Writes at other steps do not count.
    """
    shares = np.zeros(len(sources))
    for t in steps:
        read = asking.remains(trace, t) @ trace.read_weights[t, 0].sum(axis=0)
        shares += [read[list(source)].sum() for source in sources]
    return shares / max(shares.sum(), 1e-30)


def main(argv: Sequence[str]) -> int:
    """Runs the command. Returns the exit code."""
    return command.run("tasks.babi.ask", _FLAGS, argv, __doc__, _answer)


def _answer() -> None:
    directory = asking.directory_of_model(_FLAGS)
    if (_FLAGS.story is None) == (_FLAGS.story_file is None):
        raise ValueError("Give --story or --story_file with the questions.")
    text = _FLAGS.story
    if text is None:
        text = pathlib.Path(_FLAGS.story_file).read_text("utf-8", errors="replace")
    asking.say_answers(_FLAGS, *answer(directory, text, _FLAGS.best))


if __name__ == "__main__":
    sys.exit(main(sys.argv))
