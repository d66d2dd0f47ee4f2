"""Tells a model that was trained on bAbI a story of your own, and asks it the questions in it.

    python -m training.ask --pretrained=babi_dnc \
        --story="Mary went to the kitchen. John went to the garden. Where is Mary?"

Prints the story with the model's answers. The words must be those of bAbI; where an answer has
several, put a "-" for each after the question. --trace_file saves what the memory did.
"""

import pathlib
import shlex
import sys
from collections.abc import Sequence

from absl import flags

from training.quiet import native_logs_hidden

with native_logs_hidden():
    import tensorflow as tf  # Here, so that what it writes is hidden.

import dnc
from tasks.babi import OwnStory
from training import command, runs
from training.messages import say
from training.models import restore_core
from training.numerics import has_memory

_FLAGS = command.new_flags()
flags.DEFINE_string("checkpoint_dir", None, "Where the model was saved.", flag_values=_FLAGS)
flags.DEFINE_string("pretrained", None, "A model that comes with the program.", flag_values=_FLAGS)
flags.DEFINE_bool(
    "best", False, "Whether to take the best checkpoint, not the newest.", flag_values=_FLAGS
)
flags.DEFINE_string("story", None, "Sentences and questions.", flag_values=_FLAGS)
flags.DEFINE_string("story_file", None, "A text file with them.", flag_values=_FLAGS)
flags.DEFINE_string(
    "trace_file",
    None,
    "Where to save what the memory did, for python -m dnc_inspector.",
    flag_values=_FLAGS,
)
command.accept_local_paths(_FLAGS, "checkpoint_dir", "story_file", "trace_file")


def answer(directory: pathlib.Path, text: str, best: bool = False) -> tuple[str, dnc.Trace | None]:
    """Has a trained model answer the questions in a story.

    Args:
      directory: where the model was saved.
      text: the story, see `tasks.babi_data.from_text`.
      best: whether to take the best checkpoint instead of the newest.

    Returns:
      The story with the answers, a sentence a line; and what the memory did, if the model has one.

    Raises:
      ValueError: if the story is not as it must be, or the model not of bAbI or not intact.
      OSError: if there is no run in the directory.
    """
    checkpoint, config = runs.newest_checkpoint(directory, best)
    if config["task"] != "babi":
        raise ValueError(f"Only models of babi answer stories; {directory} is of {config['task']}.")
    task = OwnStory(text)
    batch = task.batch(0, 0)
    core = restore_core(checkpoint, config, task)
    trace = dnc.record(core, batch.observations) if has_memory(core) else None
    logits = trace.outputs if trace else dnc.unroll(core, batch.observations)[0]
    # What it says takes the place of the answers, which nobody knows.
    said = tf.one_hot(tf.argmax(logits, axis=2), task.target_size) * batch.mask[..., tf.newaxis]
    batch = batch._replace(target=said)
    if trace:
        trace = trace.replace(  # Without a target: nobody says what is right.
            tokens=task.step_labels(batch),
            task=config["task"],
            step=checkpoint.step,
        )
    return task.to_human_readable(batch), trace


def main(argv: Sequence[str]) -> int:
    """Runs the command. Returns the exit code."""
    return command.run("training.ask", _FLAGS, argv, __doc__, _answer)


def _answer() -> None:
    if bool(_FLAGS.checkpoint_dir) == bool(_FLAGS.pretrained):
        raise ValueError("Give --checkpoint_dir or --pretrained: who is to answer.")
    if (_FLAGS.story is None) == (_FLAGS.story_file is None):
        raise ValueError("Give --story or --story_file: what to answer.")
    text = _FLAGS.story
    if text is None:
        text = pathlib.Path(_FLAGS.story_file).read_text("utf-8", errors="replace")
    if _FLAGS.pretrained:
        directory = runs.pretrained(_FLAGS.pretrained)
    else:
        directory = pathlib.Path(_FLAGS.checkpoint_dir)
    answered, trace = answer(directory, text, _FLAGS.best)
    if _FLAGS.trace_file and not trace:
        raise ValueError("--trace_file is for a DNC: this model has no memory to look into.")
    say(answered)
    if _FLAGS.trace_file:
        trace.save(_FLAGS.trace_file)
        quoted = shlex.quote(_FLAGS.trace_file)
        say(f"\nTo make a page of what the memory did:\n  python -m dnc_inspector {quoted}")


if __name__ == "__main__":
    sys.exit(main(sys.argv))
