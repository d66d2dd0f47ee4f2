"""Common parts of the commands: separate flags, help, and one-line errors."""

import sys
from collections.abc import Callable, Sequence

from absl import flags

from dnc_trace import paths
from training.messages import NO_MEMORY, OUT_OF_MEMORY, in_one_line


def new_flags() -> flags.FlagValues:
    """Returns the flags of one command, initially only --help.

    They are separate from `absl.flags.FLAGS`, because several commands, including train.py, use the
    same names, and a program such as the tests may import more than one.
    """
    values = flags.FlagValues()
    flags.DEFINE_bool("help", False, "Show this help.", short_name="h", flag_values=values)
    return values


def accept_local_paths(values: flags.FlagValues, *names: str) -> None:
    """Makes string and list flags reject addresses, such as gs://bucket/run."""

    def is_local(given: str | Sequence[str] | None) -> bool:
        try:
            for path in [given] if isinstance(given, str) else given or []:
                paths.local(path)
        except ValueError as error:
            raise flags.ValidationError(str(error).rstrip(".")) from error
        return True

    for name in names:
        flags.register_validator(name, is_local, flag_values=values)


def parse(
    values: flags.FlagValues, argv: Sequence[str], doc: str, help_text: str | None = None
) -> bool:
    """Sets the given flags, and the others to their defaults.

    Args:
      values: the command's flags.
      argv: name of the program and arguments.
      doc: first part of the help.
      help_text: description of the flags; by default absl's.

    Returns:
      Whether to continue; false if the help was printed.

    Raises:
      ValueError: if a flag is unknown or out of range, or an argument is not a flag.
    """
    values.unparse_flags()  # A second call in one process starts from the defaults.
    try:
        unexpected = values(argv)[1:]
    except flags.Error as error:
        raise ValueError(in_one_line(str(error).rstrip("."))) from error
    if values["help"].value:
        print(f"{doc}\n{help_text or values.get_help()}")
        return False
    if unexpected:
        raise ValueError(f"Unexpected arguments {unexpected}: every option starts with --")
    return True


def run(
    command: str,
    values: flags.FlagValues,
    argv: Sequence[str],
    doc: str,
    function: Callable[[], int | None],
    help_command: str | None = None,
    help_text: str | None = None,
) -> int:
    """Runs a command: sets its flags and calls a function. An error is printed on one line.

    Args:
      command: name of a script, or of a module for `python -m`.
      values: its flags.
      argv: name of the program and arguments.
      doc: first part of the help.
      function: the command itself, which may return an exit code. Its `ValueError`s and `OSError`s
        are errors in the input.
      help_command: command that prints the help, for errors.
      help_text: as for `parse`.

    Returns:
      The exit code: 0, or 2 after an error.
    """
    try:
        if not parse(values, argv, doc, help_text):
            return 0
    except ValueError as error:
        called = command if command.endswith(".py") else f"python -m {command}"
        return fail(command, f"{error}. See {help_command or f'{called} --help'}.")
    try:
        return function() or 0
    except (ValueError, OSError) as error:
        return fail(command, error)
    except OUT_OF_MEMORY:
        return fail(command, NO_MEMORY)


def fail(command: str, message: Exception | str, code: int = 2) -> int:
    """Prints the reason for a failure in one line on standard error. Returns the exit code."""
    print(f"{command}: {message}", file=sys.stderr)
    return code
