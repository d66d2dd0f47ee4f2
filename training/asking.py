"""Common parts of the commands that query a trained model: its flags and its answers."""

import pathlib
import shlex

import numpy as np
from absl import flags

import dnc
from training import command, runs
from training.messages import say


def new_flags() -> flags.FlagValues:
    """Returns the common flags of the commands: --help, the model, and the trace file."""
    values = command.new_flags()
    flags.DEFINE_string("checkpoint_dir", None, "Directory of the model's run.", flag_values=values)
    flags.DEFINE_string(
        "pretrained", None, "Name of a model that comes with the program.", flag_values=values
    )
    flags.DEFINE_bool(
        "best", False, "Whether to take the best checkpoint, not the newest.", flag_values=values
    )
    flags.DEFINE_string(
        "trace_file",
        None,
        "File for a trace of the memory, for python -m dnc_inspector.",
        flag_values=values,
    )
    command.accept_local_paths(values, "checkpoint_dir", "trace_file")
    return values


def directory_of_model(values: flags.FlagValues) -> pathlib.Path:
    """Returns the directory of the model that the flags specify.

    Raises:
      ValueError: if they do not specify exactly one, or there is no such pretrained model.
    """
    if bool(values.checkpoint_dir) == bool(values.pretrained):
        raise ValueError("Give --checkpoint_dir or --pretrained to choose a model.")
    if values.pretrained:
        return runs.pretrained(values.pretrained)
    return pathlib.Path(values.checkpoint_dir)


def say_answers(values: flags.FlagValues, text: str, trace: dnc.Trace | None) -> None:
    """Prints a model's answers, and saves the trace of its memory if --trace_file was given.

    Raises:
      ValueError: if --trace_file was given but there is no trace.
      OSError: if the trace cannot be written.
    """
    if values.trace_file and not trace:
        raise ValueError("--trace_file is for a DNC: this model has no memory to look into.")
    say(text)
    if trace and values.trace_file:
        trace.save(values.trace_file)
        quoted = shlex.quote(values.trace_file)
        say(f"\nTo make a page of the memory's trace:\n  python -m dnc_inspector {quoted}")


def remains(trace: dnc.Trace, t: int) -> np.ndarray:
    """Returns the share of each step's write left in each slot of the first example, [t + 1, N].

    A write with weight w keeps the share 1 - w of a slot's content, so the share of the write at
    step s that is left at step t is w_s (1 - w_(s+1)) ... (1 - w_t).
    """
    left = np.prod(1.0 - trace.write_weights[: t + 1, 0], axis=1)
    later = np.append(left[1:], np.ones_like(left[:1]), axis=0)[::-1]
    return (1.0 - left) * np.cumprod(later, axis=0)[::-1]
