"""Checkpoints on disk: each is either complete or absent, and damage is detected.

The checkpoint of step 3,000 is `step-3000.index` and `step-3000.data-...`, as TensorFlow writes
them (`tf.train.load_checkpoint("run/step-3000")` reads them), and `step-3000.json` with the
settings, the progress of the run, and a checksum of each file. Nothing in them can be
executed.

It is written into the folder `step-3000.tmp`, the JSON file last, and then moved out of it. If such
a folder is left over, `recover` finishes the move if the JSON file shows that the checkpoint is
complete, and otherwise discards the folder. The JSON file is also removed last, so that the remains
of an interrupted removal are not taken for a checkpoint.
"""

import contextlib
import hashlib
import json
import os
import pathlib
import re
import shutil
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

FORMAT = 1
_FILE_NAME = re.compile(r"step-(\d+)\.(?:json|index|data-\d{5}-of-\d{5})")


class DamagedError(Exception):
    """A checkpoint that cannot be used; the message names the file and the fault."""


class Best(NamedTuple):
    """The checkpoint with the smallest loss so far.

    Attributes:
      step: number of training steps done.
      loss: mean training loss before the checkpoint.
    """

    step: int
    loss: float


class Checkpoint(NamedTuple):
    """Description of a checkpoint.

    Attributes:
      prefix: path of its files without the suffix.
      step: number of training steps done.
      settings: configuration of the run, see `Config.saved`.
      state: state of training besides the variables, as JSON values.
      best: the best checkpoint so far, or `None` if none has a loss.
    """

    prefix: str
    step: int
    settings: dict[str, Any]
    state: dict[str, Any]
    best: Best | None


def write(
    directory: pathlib.Path,
    step: int,
    save: Callable[[str], Any],
    *,
    settings: Mapping[str, Any],
    state: Mapping[str, Any],
    best: Best | None = None,
) -> None:
    """Writes a checkpoint. If that fails or the process ends, all others remain as they were.

    Args:
      directory: directory of the run.
      step: number of training steps done. A checkpoint of the same step is replaced.
      save: writes TensorFlow's files for a given prefix.
      settings: configuration of the run, JSON values.
      state: state of training besides the variables, JSON values.
      best: the best checkpoint so far, which may be this one.

    Raises:
      OSError: if a file cannot be written.
      tensorflow.errors.OpError: if `save` cannot write its files.
    """
    recover(directory)
    name = f"step-{step}"
    folder = directory / f"{name}.tmp"
    folder.mkdir()
    try:
        save(str(folder / name))
        content: dict[str, Any] = {
            "format": FORMAT,
            "step": step,
            "best": best._asdict() if best else None,
            "flags": dict(settings),
            "state": dict(state),
            "files": {path.name: _checksum(path) for path in sorted(folder.iterdir())},
        }
        for path in folder.iterdir():
            _flush(path)
        content["sha256"] = _digest(content)
        write_text(folder / f"{name}.json", json.dumps(content, indent=2) + "\n")
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    _move_out(folder)


def read(directory: pathlib.Path, step: int) -> Checkpoint:
    """Reads the description of a checkpoint, and verifies all its files.

    Raises:
      DamagedError: if a file is missing or was altered.
      ValueError: if a later version of this program wrote the checkpoint.
    """
    path = directory / f"step-{step}.json"
    content = _content(path, step)
    for name, expected in content["files"].items():
        try:
            found = _checksum(directory / name)
        except OSError as error:
            raise DamagedError(_unreadable(name, error)) from error
        for what in ("size", "sha256"):
            if found[what] != expected[what]:
                raise DamagedError(
                    f"{name} is damaged ({'checksum' if what == 'sha256' else what})"
                )
    return Checkpoint(
        prefix=str(path.with_suffix("")),
        step=step,
        settings=content["flags"],
        state=content["state"],
        best=Best(**content["best"]) if content["best"] else None,
    )


def newest_intact(
    directory: pathlib.Path, before: int | None = None
) -> tuple[Checkpoint | None, dict[int, str]]:
    """Finds the newest intact checkpoint.

    Args:
      directory: directory of the run.
      before: if given, only checkpoints of earlier steps are considered.

    Returns:
      The checkpoint, or `None` if there is none; and the faults of newer ones, by step.

    Raises:
      ValueError: if a later version of this program wrote one of them.
    """
    damaged: dict[int, str] = {}
    for step in steps(directory):
        if before is None or step < before:
            try:
                return read(directory, step), damaged
            except DamagedError as error:
                damaged[step] = str(error)
    return None, damaged


def steps(directory: pathlib.Path) -> list[int]:
    """Returns the steps of all checkpoints, including damaged ones, newest first."""
    return sorted(_files(directory), reverse=True)


def remove(directory: pathlib.Path, step: int) -> None:
    """Removes a checkpoint."""
    for path in _files(directory).get(step, []):
        path.unlink()


def set_aside(directory: pathlib.Path, step: int) -> None:
    """Renames the files of a checkpoint to `*.damaged`, so that it no longer counts as one."""
    for path in _files(directory).get(step, []):
        new, number = path.with_name(f"{path.name}.damaged"), 1
        while new.exists():
            number += 1
            new = path.with_name(f"{path.name}.damaged-{number}")
        path.rename(new)


def recover(directory: pathlib.Path) -> None:
    """Cleans up after a process that ended while it was writing a checkpoint."""
    for folder in directory.glob("step-*.tmp"):
        if (folder / f"{folder.stem}.json").exists():
            _move_out(folder)
        else:
            shutil.rmtree(folder)
    for path in directory.glob("*.json.tmp"):
        path.unlink()


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a file atomically: at any time, either the old or the new one exists and is complete.

    Raises:
      OSError: if it cannot be written.
    """
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        temporary.write_text(text, encoding="utf-8")
        _flush(temporary)
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise
    _flush(path.parent)


def _move_out(folder: pathlib.Path) -> None:
    """Moves the files of a complete checkpoint into the parent folder, the JSON file last."""
    for path in sorted(folder.iterdir(), key=_is_json):
        path.replace(folder.parent / path.name)
    _flush(folder.parent)
    folder.rmdir()


def _files(directory: pathlib.Path) -> dict[int, list[pathlib.Path]]:
    """Returns the files of all checkpoints by step, the JSON file last."""
    found: dict[int, list[pathlib.Path]] = {}
    for path in directory.iterdir():
        if match := _FILE_NAME.fullmatch(path.name):
            found.setdefault(int(match[1]), []).append(path)
    return {step: sorted(paths, key=_is_json) for step, paths in found.items()}


def _is_json(path: pathlib.Path) -> bool:
    return path.suffix == ".json"


def _content(path: pathlib.Path, step: int) -> dict[str, Any]:
    """Returns the content of a checkpoint's JSON file, verified."""
    try:
        content = json.loads(path.read_bytes())
        digest = content.pop("sha256")
        intact = digest == _digest(content) and content["step"] == step
    except OSError as error:
        raise DamagedError(_unreadable(path.name, error)) from error
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise DamagedError(f"{path.name} is damaged") from error
    if not intact:
        raise DamagedError(f"{path.name} is damaged (checksum)")
    if content["format"] != FORMAT:
        raise ValueError(
            f"{path} is of format {content['format']}; this program reads format {FORMAT}."
        )
    return content


def _unreadable(name: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{name} is missing"
    return f"{name} cannot be read ({error.strerror})"


def _digest(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _checksum(path: pathlib.Path) -> dict[str, Any]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
            size += len(block)
    return {"size": size, "sha256": digest.hexdigest()}


def _flush(path: pathlib.Path) -> None:
    """Waits until a file, or the list of files in a folder, is physically on the disk."""
    if path.is_dir() and os.name == "nt":
        return  # On Windows only files can be flushed.
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
