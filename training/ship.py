"""Makes a trained model one of those that come with the program.

    python -m training.ship --checkpoint_dir=checkpoints/addition --name=addition_dnc

Of the newest checkpoint it keeps what a model needs, its variables and its flags, and leaves out
what only further training would: the optimizer's averages. `evaluate.py --pretrained=addition_dnc`
finds it in checkpoints/pretrained.
"""

import os
import pathlib
import re
import shutil
import sys
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # Before TensorFlow is imported: only errors.

import tensorflow as tf
from absl import flags

from training import checkpoints
from training.messages import in_one_line, say
from training.models import load
from training.runs import newest_checkpoint

PRETRAINED = pathlib.Path(__file__).parents[1] / "checkpoints" / "pretrained"
MAX_BYTES = 1_000_000  # Of a model: all who clone the program get it.

_FLAGS = flags.FlagValues()  # Its own: train.py has flags of the same names.
flags.DEFINE_string("checkpoint_dir", None, "Where the model was saved.", flag_values=_FLAGS)
flags.DEFINE_string("name", None, "What it is to be called.", flag_values=_FLAGS)
flags.DEFINE_bool("help", False, "Show this help.", short_name="h", flag_values=_FLAGS)


def ship(source: str | os.PathLike, name: str) -> pathlib.Path:
    """Copies the newest checkpoint of a run, without what only training needs.

    Args:
      source: directory of the run.
      name: of the model; one that is there already is replaced.

    Returns:
      The model's directory.

    Raises:
      ValueError: if the name is not of letters, digits and "_", or the model is too large, or
        there is no intact checkpoint.
      OSError: if there is no run in the directory, or nothing can be written.
    """
    if not re.fullmatch(r"[a-z0-9_]+", name):
        raise ValueError(f"--name must be of a to z, 0 to 9 and _, got {name!r}.")
    checkpoint, config = newest_checkpoint(source)
    core, _ = load(source)
    size = sum(variable.numpy().nbytes for variable in core.trainable_variables)
    if size > MAX_BYTES:
        raise ValueError(
            f"The variables in {source} are {size:,} bytes, more than {MAX_BYTES:,}: train a "
            "smaller model."
        )
    directory = PRETRAINED / name
    if directory.exists():
        shutil.rmtree(directory)
    directory.mkdir(parents=True)
    save = tf.train.Checkpoint(core=core).write
    checkpoints.write(directory, checkpoint.step, save, flags=config, state={}, best=None)
    return directory


def main(argv: Sequence[str]) -> int:
    """Runs the command. Returns the exit code."""
    _FLAGS.unparse_flags()  # A second call in one process starts from the defaults.
    try:
        unexpected = _FLAGS(argv)[1:]
        if _FLAGS.help:
            print(f"{__doc__}\n{_FLAGS.get_help()}")
            return 0
        if unexpected:
            raise ValueError(f"Unexpected arguments {unexpected}: every option starts with --.")
        if not (_FLAGS.checkpoint_dir and _FLAGS.name):
            raise ValueError("Give --checkpoint_dir and --name: what to ship, and as what.")
        say(f"Shipped as {ship(_FLAGS.checkpoint_dir, _FLAGS.name)}.")
    except flags.Error as error:
        return _fail(f"{in_one_line(str(error).rstrip('.'))}. See python -m training.ship --help.")
    except (ValueError, OSError) as error:
        return _fail(str(error))
    return 0


def _fail(message: str) -> int:
    print(f"training.ship: {message}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv))
