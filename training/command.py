"""What the commands beside train.py have in common: flags of their own, help, errors in a line."""

import re
import sys
from collections.abc import Callable, Sequence

from absl import flags

from dnc_trace import paths
from training.messages import NO_MEMORY, OUT_OF_MEMORY, in_one_line


def new_flags() -> flags.FlagValues:
    """Returns the flags of one command: at first only --help.

    They are its own, not `absl.flags.FLAGS`: commands share names of flags, also with train.py, and
    a program may import several, as the tests do.
    """
    values = flags.FlagValues()
    flags.DEFINE_bool("help", False, "Show this help.", short_name="h", flag_values=values)
    return values


def accept_local_paths(values: flags.FlagValues, *names: str) -> None:
    """Makes string and list flags refuse addresses, such as gs://bucket/run."""

    def is_local(given: str | Sequence[str] | None) -> bool:
        try:
            for path in [given] if isinstance(given, str) else given or []:
                paths.local(path)
        except ValueError as error:
            raise flags.ValidationError(str(error).rstrip(".")) from error
        return True

    for name in names:
        flags.register_validator(name, is_local, flag_values=values)


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


def run(
    command: str,
    values: flags.FlagValues,
    argv: Sequence[str],
    doc: str,
    function: Callable[[], None],
) -> int:
    """Runs a command: sets its flags and calls a function; what is wrong is told in one line.

    Args:
      command: its name: a script, or a module that is run with `python -m`.
      values: its flags.
      argv: name of the program and arguments.
      doc: what --help says first.
      function: does what the command is for. Its `ValueError`s and `OSError`s are what is wrong
        with the input.

    Returns:
      The exit code: 0, or 2 if something was wrong.
    """
    try:
        if not parse(values, argv, doc):
            return 0
    except ValueError as error:
        called = command if command.endswith(".py") else f"python -m {command}"
        return fail(command, f"{error}. See {called} --help.")
    try:
        function()
    except (ValueError, OSError) as error:
        return fail(command, in_flags(str(error), values))
    except OUT_OF_MEMORY:
        return fail(command, in_flags(NO_MEMORY, values))
    return 0


def in_flags(message: str, values: flags.FlagValues) -> str:
    """Returns a library's message with the flags of a command in place of the arguments it names.

    The library does not know where its arguments come from. A name becomes a flag only where it
    cannot be another word: with an underscore in it, or "=" behind it.
    """

    def flag(match: re.Match[str]) -> str:
        name, equals = match.groups()
        return f"--{match[0]}" if name in values and ("_" in name or equals) else match[0]

    if "checkpoint_dir" in values:
        message = message.replace("another directory", "another --checkpoint_dir")
    return re.sub(r"(?<![\w./-])([a-z]\w*)(=?)(?![/-])", flag, message)


def fail(command: str, message: Exception | str, code: int = 2) -> int:
    """Tells in one line on standard error why the command ends. Returns the exit code."""
    print(f"{command}: {message}", file=sys.stderr)
    return code
