"""What the commands beside train.py have in common: flags of their own, help, errors in a line."""

import sys
from collections.abc import Sequence

from absl import flags

from training.messages import in_one_line


def new_flags() -> flags.FlagValues:
    """Returns the flags of one command: at first only --help.

    They are its own, not `absl.flags.FLAGS`: commands share names of flags, also with train.py, and
    a program may import several, as the tests do.
    """
    values = flags.FlagValues()
    flags.DEFINE_bool("help", False, "Show this help.", short_name="h", flag_values=values)
    return values


def parse(values: flags.FlagValues, argv: Sequence[str], doc: str) -> bool:
    """Sets the flags to what was given, the others to their defaults.

    Args:
      values: the command's flags.
      argv: name of the program and arguments.
      doc: what --help says first.

    Returns:
      Whether to go on: not if --help was given and answered.

    Raises:
      ValueError: if a flag is unknown or out of range, or an argument is not a flag.
    """
    values.unparse_flags()  # A second call in one process starts from the defaults.
    try:
        unexpected = values(argv)[1:]
    except flags.Error as error:
        raise ValueError(in_one_line(str(error).rstrip("."))) from error
    if values["help"].value:
        print(f"{doc}\n{values.get_help()}")
        return False
    if unexpected:
        raise ValueError(f"Unexpected arguments {unexpected}: every option starts with --")
    return True


def fail(command: str, message: Exception | str, code: int = 2) -> int:
    """Tells in one line on standard error why the command ends. Returns the exit code."""
    print(f"{command}: {message}", file=sys.stderr)
    return code
