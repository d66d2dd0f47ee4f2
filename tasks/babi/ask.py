"""Asks a model that was trained on bAbI the questions in a story of your own.

    python -m tasks.babi.ask --pretrained=babi_dnc \
        --story="Mary went to the kitchen. John went to the garden. Where is Mary?"

Prints the story with the model's answers. The words must be bAbI's; where an answer has several,
put a "-" for each after the question. --trace_file saves a trace of the memory.
"""

import pathlib
import sys
from collections.abc import Sequence

import tensorflow as tf
from absl import flags

import dnc
from tasks.babi.task import OwnStory
from training import asking, command, episodes, runs
from training.config import Config
from training.models import restore_core

_FLAGS = asking.new_flags()
flags.DEFINE_string("story", None, "Sentences and questions.", flag_values=_FLAGS)
flags.DEFINE_string("story_file", None, "A text file with them.", flag_values=_FLAGS)
command.accept_local_paths(_FLAGS, "story_file")


def answer(directory: pathlib.Path, text: str, best: bool = False) -> tuple[str, dnc.Trace | None]:
    """Answers the questions in a story with a trained model.

    Args:
      directory: directory of the run.
      text: the story, see `tasks.babi.data.from_text`.
      best: whether to take the best checkpoint instead of the newest.

    Returns:
      The story with the answers, a sentence a line; and a trace of the memory, if there is one.

    Raises:
      ValueError: if the story is malformed, or the model is not of bAbI or not intact.
      OSError: if there is no run in the directory.
    """
    checkpoint = runs.newest_checkpoint(directory, best)
    config = Config.of_run(checkpoint.settings)
    if config.task != OwnStory.name:
        raise ValueError(f"Only models of babi answer stories; {directory} is of {config.task}.")
    task = OwnStory(text=text)
    batch = task.batch("test", 0, 0)
    core = restore_core(checkpoint, config, task)
    trace = episodes.watch(core, task, batch, checkpoint.step)
    outputs = trace.outputs if trace else episodes.replay(core, batch)
    # The model's answers take the place of the right ones, which are not known.
    said = tf.one_hot(tf.argmax(outputs, axis=2), task.output_size) * batch.mask[..., tf.newaxis]
    batch = batch._replace(target=said)
    if trace:
        trace = trace.replace(target=None, mask=None, tokens=task.step_labels(batch))
    return task.to_human_readable(batch), trace


def main(argv: Sequence[str]) -> int:
    """Runs the command. Returns the exit code."""
    return command.run("tasks.babi.ask", _FLAGS, argv, __doc__, _answer)


def _answer() -> None:
    directory = asking.directory_of_model(_FLAGS)
    if (_FLAGS.story is None) == (_FLAGS.story_file is None):
        raise ValueError("Give --story or --story_file: the questions.")
    text = _FLAGS.story
    if text is None:
        text = pathlib.Path(_FLAGS.story_file).read_text("utf-8", errors="replace")
    asking.say_answers(_FLAGS, *answer(directory, text, _FLAGS.best))


if __name__ == "__main__":
    sys.exit(main(sys.argv))
