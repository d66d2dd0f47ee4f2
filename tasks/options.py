"""Options: fields of a frozen dataclass that carry their help text and their range.

An option is declared once. Checks, command-line flags, `--help` and the tables in the docs derive
from the declaration.
"""

import dataclasses
import numbers
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

_OPTION = "option"
_KINDS = {bool: "true or false", int: "an integer", float: "a number", str: "a text"}


class Option(NamedTuple):
    """Declaration of an option.

    Attributes:
      name: name of the field.
      kind: `bool`, `int`, `float` or `str`.
      default: default value, which may be `None` for a text.
      help: one sentence.
      minimum: smallest value allowed, for numbers.
      maximum: largest value allowed.
      or_zero: whether 0 is allowed in addition to the range.
      choices: texts allowed; empty: any.
      group: heading under which `--help` lists the option.
      may_change: whether the value may change when a run resumes.
      saved: whether it is saved with a run; false if no result depends on it.
    """

    name: str
    kind: type
    default: Any
    help: str
    minimum: float | None = None
    maximum: float | None = None
    or_zero: bool = False
    choices: tuple[str, ...] = ()
    group: str = ""
    may_change: bool = False
    saved: bool = True

    @property
    def range(self) -> str:
        """The values allowed, as text; "" if there is no limit."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        low, high = (_shown(x) for x in (self.minimum, self.maximum))
        if low and high:
            text = f"from {low} to {high}"
        else:
            text = f">= {low}" if low else f"<= {high}" if high else ""
        return f"0 or {text}" if self.or_zero else text

    @property
    def short_range(self) -> str:
        """The range, without a maximum that is merely the limit of integers."""
        is_of_width = self.maximum is not None and self.maximum >= 2**31 - 1
        return self._replace(maximum=None).range if is_of_width else self.range

    def check(self, value: Any) -> None:
        """Raises `ValueError` if a value is not of the option's kind or out of its range."""
        if value is None and self.default is None:
            return
        if not _is_of(self.kind, value):
            raise self._error(value)
        if self.choices and value not in self.choices:
            raise self._error(value)
        if self.or_zero and value == 0:
            return
        # In this form NaN is also rejected.
        if self.minimum is not None and not value >= self.minimum:
            raise self._error(value)
        if self.maximum is not None and not value <= self.maximum:
            raise self._error(value)

    def _error(self, value: Any) -> ValueError:
        kind = "" if self.choices or self.or_zero else _KINDS[self.kind]
        allowed = " ".join(filter(None, [kind, self.range]))
        return ValueError(f"{self.name} must be {allowed}, got {value!r}.")


def option(default: Any, help: str, *, kind: type | None = None, **limits: Any) -> Any:
    """Returns a dataclass field for an option.

    Args:
      default: default value.
      help: one sentence for `--help` and the docs.
      kind: type of the values; the type of the default unless given.
      **limits: further attributes of `Option`.
    """
    declared = {"kind": kind or (str if default is None else type(default)), "help": help, **limits}
    return dataclasses.field(default=default, metadata={_OPTION: declared})


def of(declaring: Any) -> dict[str, Option]:
    """Returns the options of a dataclass, or of an instance of one, by name."""
    return {
        field.name: Option(field.name, default=field.default, **field.metadata[_OPTION])
        for field in dataclasses.fields(declaring)
        if _OPTION in field.metadata
    }


def check(instance: Any) -> None:
    """Checks all options of a dataclass instance, and that each min_x is at most max_x.

    Raises:
      ValueError: if a value is not of its option's kind or out of range.
    """
    for name, declared in of(instance).items():
        declared.check(getattr(instance, name))
    for name, (low, high) in ranges(instance).items():
        if low > high:
            raise ValueError(f"min_{name} must be at most max_{name}, got {low} > {high}.")


def ranges(instance: Any) -> dict[str, tuple[int, int]]:
    """Returns the values of each pair of options min_x and max_x, by x."""
    found = of(instance)
    names = [name.removeprefix("min_") for name in found if name.startswith("min_")]
    return {
        name: (getattr(instance, f"min_{name}"), getattr(instance, f"max_{name}"))
        for name in names
        if f"max_{name}" in found
    }


def table(declared: Sequence[Option]) -> list[str]:
    """Returns a Markdown table of options."""
    lines = ["| option | default | range | meaning |", "|---|---|---|---|"]
    for each in declared:
        default = "" if each.default is None else _shown(each.default)
        lines.append(f"| `{each.name}` | {default} | {each.short_range} | {each.help} |")
    return lines


def _is_of(kind: type, value: Any) -> bool:
    if kind is bool or isinstance(value, (bool, np.bool_)):
        return kind is bool and isinstance(value, (bool, np.bool_))
    if kind is int:
        return isinstance(value, numbers.Integral)
    return isinstance(value, numbers.Real if kind is float else kind)


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    return (
        f"{value:,}"
        if isinstance(value, int)
        else f"{value:g}"
        if isinstance(value, float)
        else value
    )
