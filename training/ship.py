"""Adds a trained model to the pretrained models that come with the program.

    python -m training.ship --checkpoint_dir=checkpoints/addition --name=addition_dnc

It keeps the variables and the settings of the newest checkpoint (with --best, the best one), and
omits the optimizer's averages, which only further training needs.
`evaluate.py --pretrained=addition_dnc` finds it in checkpoints/pretrained.
"""

import os
import pathlib
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence

import tensorflow as tf
from absl import flags

from training import checkpoints, command, models, runs
from training.config import Config, task_options
from training.messages import reason, say

MAX_BYTES = 4_000_000  # Limit for a model, which everyone who clones the program downloads.

_FLAGS = command.new_flags()
flags.DEFINE_string("checkpoint_dir", None, "Directory of the model's run.", flag_values=_FLAGS)
flags.DEFINE_bool(
    "best", False, "Whether to take the best checkpoint, not the newest.", flag_values=_FLAGS
)
flags.DEFINE_string("name", None, "Name of the model.", flag_values=_FLAGS)
command.accept_local_paths(_FLAGS, "checkpoint_dir")


def ship(source: str | os.PathLike, name: str, best: bool = False) -> pathlib.Path:
    """Copies a checkpoint of a run, without the state that only training needs.

    Args:
      source: directory of the run.
      name: name of the model; an existing one is replaced once the new one is written.
      best: whether to take the best checkpoint instead of the newest.

    Returns:
      The model's directory.

    Raises:
      ValueError: if the name does not consist of lower-case letters, digits and "_", the model is
        too large, or there is no intact checkpoint.
      OSError: if there is no run in the directory, or a folder cannot be created.
      tensorflow.errors.OpError: if nothing can be written.
    """
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise ValueError(f"The name must consist of a to z, 0 to 9 and _, got {name!r}.")
    checkpoint = runs.newest_checkpoint(source, best)
    config = Config.of_run(checkpoint.settings)
    core, _ = models.restore(checkpoint, config)
    size = sum(variable.numpy().nbytes for variable in core.trainable_variables)
    if size > MAX_BYTES:
        raise ValueError(
            f"The variables in {source} are {size:,} bytes, more than {MAX_BYTES:,}: train a "
            "smaller model."
        )
    directory = runs.PRETRAINED / name
    runs.PRETRAINED.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=runs.PRETRAINED) as folder:
        new = pathlib.Path(folder) / name
        new.mkdir()
        save = tf.train.Checkpoint(core=core).write
        # Folders of data, or of the model that training started from, differ between machines.
        own = task_options(config.task).values()
        settings = config.saved() | {each.name: each.default for each in own if each.may_change}
        settings["start_from"] = ""
        checkpoints.write(new, checkpoint.step, save, settings=settings, state={})
        if directory.exists():
            shutil.rmtree(directory)
        new.rename(directory)
    return directory


def main(argv: Sequence[str]) -> int:
    """Runs the command. Returns the exit code."""
    return command.run("training.ship", _FLAGS, argv, __doc__, _ship)


def _ship() -> None:
    if not (_FLAGS.checkpoint_dir and _FLAGS.name):
        raise ValueError("Give --checkpoint_dir and --name: the model and its new name.")
    try:
        say(f"Shipped as {ship(_FLAGS.checkpoint_dir, _FLAGS.name, _FLAGS.best)}.")
    except tf.errors.OpError as error:
        raise OSError(f"Cannot write to {runs.PRETRAINED}: {reason(error)}.") from error


if __name__ == "__main__":
    sys.exit(main(sys.argv))
