"""What a recorded episode consists of, by name and shape, and how it is kept in a file."""

import io
import json
import os
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from dnc_trace import paths

FORMAT = "dnc-trace"
VERSION = 1

# Axes: T time steps, B examples, X width of the input, Y of the output, Z of the target, H of the
# controller's output, N memory slots, W word size, R read heads, V write heads.
AXES = {
    "T": "time steps",
    "B": "examples",
    "X": "input width",
    "Y": "output width",
    "Z": "target width",
    "H": "controller width",
    "N": "slots",
    "W": "word size",
    "R": "read heads",
    "V": "write heads",
}

FIELDS = {
    "inputs": "TBX",
    "outputs": "TBY",
    "controller_output": "TBH",
    "read_keys": "TBRW",
    "read_strengths": "TBR",
    "write_keys": "TBVW",
    "write_strengths": "TBV",
    "erase_vectors": "TBVW",
    "write_vectors": "TBVW",
    "free_gate": "TBR",
    "allocation_gate": "TBV",
    "write_gate": "TBV",
    "backward_mode": "TBRV",
    "forward_mode": "TBRV",
    "content_mode": "TBR",
    "allocation_weights": "TBVN",
    "write_content_weights": "TBVN",
    "read_content_weights": "TBRN",
    "forward_weights": "TBRVN",
    "backward_weights": "TBRVN",
    "read_words": "TBRW",
    "memory": "TBNW",
    "read_weights": "TBRN",
    "write_weights": "TBVN",
    "usage": "TBN",
    "sequence_length": "B",
    "initial_memory": "BNW",
    "initial_read_weights": "BRN",
    "initial_write_weights": "BVN",
    "initial_usage": "BN",
}
OPTIONAL_FIELDS = {
    "precedence_weights": "TBVN",
    "link": "TBVNN",
    "initial_precedence_weights": "BVN",
    "initial_link": "BVNN",
    "target": "TBZ",
    "mask": "TB",
}


def check(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> dict[str, int]:
    """Returns the size of each axis of `AXES`.

    Args:
      arrays: the fields by name; optional ones may be absent.
      meta: `linkage`, `task` and `tokens`, see `dnc.Trace`, and the training `step`; all optional.

    Raises:
      ValueError: if a field is missing, unknown, not of numbers, or does not fit the others.
    """
    shapes = {**FIELDS, **OPTIONAL_FIELDS}
    if missing := FIELDS.keys() - arrays.keys():
        raise ValueError(f"The trace has no {', '.join(sorted(missing))}.")
    if unknown := arrays.keys() - shapes.keys():
        raise ValueError(f"A trace has no field {', '.join(sorted(unknown))}.")
    sizes: dict[str, int] = {}
    for name, axes in shapes.items():  # So that N is known before [N, N] is looked at.
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
    return sizes


def save(
    path: str | os.PathLike[str], arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]
) -> None:
    """Writes a trace as a compressed .npz file, never with pickled objects.

    Raises:
      ValueError: as `check`, or if `path` is not local.
      OSError: if the file cannot be written; a file that was there before is kept.
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
      The fields by name, and the meta data.

    Raises:
      ValueError: if the file is damaged or not a trace, or `path` is not local.
      OSError: if it cannot be read.
    """
    data = paths.local(path).read_bytes()
    try:
        if not zipfile.is_zipfile(io.BytesIO(data)):
            raise ValueError("it is damaged, or not a trace as dnc.Trace.save writes it")
        with np.load(io.BytesIO(data), allow_pickle=False) as file:
            if "header" not in file.files:
                raise ValueError("it is not a trace as dnc.Trace.save writes it")
            header = json.loads(str(file["header"]))
            if not isinstance(header, dict) or header.pop("format", None) != FORMAT:
                raise ValueError("it is not a trace as dnc.Trace.save writes it")
            if (version := header.pop("version", None)) != VERSION:
                raise ValueError(f"it is of version {version}, and only {VERSION} is known")
            arrays = {name: file[name] for name in file.files if name != "header"}
        check(arrays, header)
    except Exception as error:  # A damaged file makes NumPy, zipfile and zlib raise almost any.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(f"Cannot read the trace {os.fspath(path)}: {reason}") from error
    return arrays, header
