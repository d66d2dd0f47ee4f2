"""Command-line flags from declarations of options."""

import textwrap
from collections.abc import Iterable, Mapping
from typing import Any

from absl import flags

from tasks.options import Option

_DEFINE = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}


def define(values: flags.FlagValues, declared: Iterable[Option]) -> None:
    """Defines a flag for each option. Ranges are checked later, where the options are used."""
    for each in declared:
        _DEFINE[each.kind](each.name, each.default, each.help, flag_values=values)


def given(values: flags.FlagValues, declared: Iterable[Option]) -> dict[str, Any]:
    """Returns the values of the flags that were given, by name."""
    return {each.name: values[each.name].value for each in declared if values[each.name].present}


def help_text(declared: Iterable[Option]) -> str:
    """Returns the options as text, under the headings of their groups."""
    lines, group = [], None
    for each in declared:
        if each.group != group:
            group = each.group
            lines += ["", f"{group}:"]
        name = f"--[no]{each.name}" if each.kind is bool else f"--{each.name}"
        default = str(each.default).lower() if each.kind is bool else each.default
        lines.append(f"  {name}" + ("" if default in (None, "") else f"={default}"))
        allowed = f" ({each.short_range})" if each.short_range else ""
        lines += textwrap.wrap(
            each.help + allowed, 90, initial_indent=8 * " ", subsequent_indent=8 * " "
        )
    return "\n".join(lines[1:])


def as_arguments(settings: Mapping[str, Any]) -> list[str]:
    """Returns settings as command-line arguments."""
    return [f"--{name}={value}" for name, value in settings.items()]
