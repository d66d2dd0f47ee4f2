"""Checks of the arrays of a trace, and the file that stores them."""

import io
import json
import os
import re
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from dnc_trace import decoder, paths
from dnc_trace.quantities import AXES, QUANTITIES, STEP

FORMAT = "dnc-trace"
VERSION = 1

META = ("linkage", "task", "tokens", "step", "declared", "decoder")
# Names that an extra cannot have: an array in the file must not be taken for something else.
_RESERVED = {*META, "header", "file", "allow_pickle"}
_EXTRA_AXES = re.compile(rf"TB[{''.join(AXES)}?]*")


def check(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> dict[str, int]:
    """Returns the size of each axis, in the order of `quantities.AXES`.

    Args:
      arrays: the quantities of `quantities.QUANTITIES` by name, of which optional ones may be
        absent, and those that are declared.
      meta: all optional: `linkage`, `task` and `tokens`, see `dnc.Trace`, the training `step`, a
        `decoder`, see `dnc_trace.decoder`, and `declared`, the quantities that are not in the
        table. For each of these it has a dict of `axes`, "TB" and a letter of `quantities.AXES` for
        each further axis, or "?" for an axis without a letter; and `before`, the name of the
        quantity of `quantities.STEP` before which it is computed.

    Raises:
      ValueError: if an array is missing, unknown, not of numbers, or does not fit the others; or
        if `meta` is not as described.
    """
    declared = check_declared(meta.get("declared", {}))
    required = {name for name, quantity in QUANTITIES.items() if not quantity.optional}
    if missing := (required | declared.keys()) - arrays.keys():
        raise ValueError(f"The trace has no {', '.join(sorted(missing))}.")
    # In this order, so that N is known before [N, N] is checked.
    axes_of = {name: quantity.axes for name, quantity in QUANTITIES.items()} | declared
    if unknown := arrays.keys() - axes_of.keys():
        raise ValueError(f"A trace has no field {', '.join(sorted(unknown))}.")
    sizes: dict[str, int] = {}
    for name, axes in axes_of.items():
        if name not in arrays:
            continue
        array = arrays[name]
        expected = [sizes.get(axis, size) for axis, size in zip(axes, array.shape, strict=False)]
        if array.ndim != len(axes) or list(array.shape) != expected or array.dtype.kind not in "fi":
            sizes_text = ", ".join(f"{axis}={sizes.get(axis, '?')}" for axis in dict.fromkeys(axes))
            raise ValueError(
                f"{name} must be numbers of shape [{', '.join(axes)}] with {sizes_text}, got "
                f"{array.dtype} of shape {list(array.shape)}."
            )
        sizes.update(zip(axes, array.shape, strict=True))
        sizes.pop("?", None)  # Any size is right.
    lengths = arrays["sequence_length"]
    if lengths.dtype.kind != "i" or np.any((lengths < 0) | (lengths > sizes["T"])):
        raise ValueError(
            f"sequence_length must be integers in 0..{sizes['T']}, got {lengths.tolist()}."
        )
    for name in ("linkage", "task"):
        if not isinstance(value := meta.get(name, ""), str):
            raise ValueError(f"{name} must be a string, got {value!r}.")
    if type(step := meta.get("step", 0)) is not int:
        raise ValueError(f"step must be an integer, got {step!r}.")
    tokens = meta.get("tokens")
    if tokens is not None and not (
        isinstance(tokens, list)
        and len(tokens) == sizes["B"]
        and all(
            isinstance(row, list)
            and len(row) == sizes["T"]
            and all(isinstance(token, str) for token in row)
            for row in tokens
        )
    ):
        raise ValueError(
            f"tokens must be a list of B={sizes['B']} lists of T={sizes['T']} strings."
        )
    if (found := meta.get("decoder")) is not None:
        decoder.check(found, sizes["W"])
    return {axis: sizes[axis] for axis in AXES if axis in sizes}


def check_declared(declared: Any) -> dict[str, str]:
    """Returns the axes of declared quantities by name.

    Args:
      declared: as in `check`.

    Raises:
      ValueError: if it is not as `check` describes, or a name is taken.
    """
    if not isinstance(declared, dict):
        raise ValueError(f"declared must be a dict, got {declared!r}.")
    for name, each in declared.items():
        if name in QUANTITIES:
            raise ValueError(f"{name} is a quantity of every trace. Give the extra another name.")
        if not (isinstance(name, str) and name.isidentifier()) or name in _RESERVED:
            raise ValueError(f"{name!r} cannot be the name of an extra. Use another identifier.")
        if not isinstance(each, dict) or each.keys() != {"axes", "before"}:
            raise ValueError(f"{name} must declare axes and before, got {each!r}.")
        axes, before = each["axes"], each["before"]
        if not (isinstance(axes, str) and _EXTRA_AXES.fullmatch(axes)):
            raise ValueError(
                f"The axes of {name} must be TB and any of {''.join(AXES)}?, got {axes!r}."
            )
        if before not in [quantity.name for quantity in STEP]:
            raise ValueError(
                f"{name} must be computed before a quantity of a step, got {before!r}."
            )
    return {name: each["axes"] for name, each in declared.items()}


def save(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]
) -> None:
    """Writes a trace as a compressed .npz file, never with pickled objects.

    Raises:
      ValueError: as for `check`, or if `path` is not local.
      OSError: if the file cannot be written; a previous file is kept.
    """
    path = paths.local(path)
    check(arrays, meta)
    header = json.dumps({"format": FORMAT, "version": VERSION, **meta})
    contents: dict[str, Any] = {"header": np.array(header), **arrays}
    temporary = f"{path}.tmp"
    try:
        with open(temporary, "wb") as file:
            np.savez_compressed(file, **contents)
        os.replace(temporary, path)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)


def load(path: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Reads a file that `save` has written.

    Returns:
      The arrays by name, and the meta data.

    Raises:
      ValueError: if the file is damaged or not a trace, or `path` is not local.
      OSError: if the file cannot be read.
    """
    data = paths.local(path).read_bytes()
    try:
        if not zipfile.is_zipfile(io.BytesIO(data)):
            raise ValueError("it is damaged, or not a trace that dnc.Trace.save has written")
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            if "header" not in file.files:
                raise ValueError("it is not a trace that dnc.Trace.save has written")
            header = json.loads(str(file["header"]))
            if not isinstance(header, dict) or header.pop("format", None) != FORMAT:
                raise ValueError("it is not a trace that dnc.Trace.save has written")
            if (version := header.pop("version", None)) != VERSION:
                raise ValueError(f"it has version {version}, and this program reads only {VERSION}")
            arrays = {name: file[name] for name in file.files if name != "header"}
        check(arrays, header)
    except Exception as error:  # NumPy, zipfile and zlib raise almost any for a damaged file.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"Cannot read the trace {os.fspath(path)}: {reason}") from error
    return arrays, header
