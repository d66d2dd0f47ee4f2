"""A run on disk: its configuration, its checkpoints and its event files in one directory."""

import contextlib
import errno
import json
import math
import os
import pathlib
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import tensorflow as tf

from dnc_trace import paths
from training import checkpoints
from training.checkpoints import Best, Checkpoint, DamagedError
from training.config import Config
from training.lock import Lock
from training.messages import reason, warn

CONFIG_FILE = "flags.json"
# The models that come with this program, one directory each. training/ship.py creates them.
PRETRAINED = pathlib.Path(__file__).parents[1] / "checkpoints" / "pretrained"


class Run:
    """The directory of one training run, for one process at a time.

    Attributes:
      directory: path of the directory, a `pathlib.Path`.
      changes: former values, by name, of settings that changed when the run was resumed.
      saved_step: step of the newest checkpoint, `None` if there is none.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        config: Config,
        *,
        warn: Callable[[str], None] = warn,
    ):
        """Opens the directory, creating it if necessary, and locks it until `close`.

        Args:
          directory: path of the run.
          config: configuration of the run.
          warn: called with a message about a fault that does not end the run.

        Raises:
          ValueError: if the directory is not local, is in use, contains a run with another
            configuration, or contains checkpoints but no intact one.
          OSError: if the directory cannot be written.
        """
        self.directory = paths.local(directory)
        self.changes: dict[str, Any] = {}
        self._config = config
        self._warn = warn
        self.directory.mkdir(parents=True, exist_ok=True)
        self._lock = Lock(self.directory, warn)
        try:
            with tempfile.TemporaryFile(dir=self.directory):
                pass  # Fail now rather than at the first checkpoint.
            checkpoints.recover(self.directory)
            self._found, self._damaged = checkpoints.newest_intact(self.directory)
            self._refuse_if_all_are_damaged()
            if self._found:
                self.changes = _changes(self.directory, self._found, config)
        except BaseException:
            self.close()
            raise
        self.saved_step = self._found.step if self._found else None
        self._best = self._found.best if self._found else None
        self._checkpoint: tf.train.Checkpoint | None = None
        self._objects: dict[str, Any] = {}

    @property
    def checkpoint(self) -> tf.train.Checkpoint:
        """Checkpoint of the objects that `save` saves; `None` before `restore`."""
        return self._checkpoint

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Releases the directory for other processes."""
        self._lock.release()

    def restore(self, **objects: Any) -> dict[str, Any] | None:
        """Loads the newest intact checkpoint, if there is one, into the objects that `save` saves.

        Newer checkpoints, which are damaged, are renamed to `*.damaged`, with a warning.

        Args:
          **objects: modules and variables by name; their variables exist already.

        Returns:
          The state that was passed to `save`; `None` if there was no checkpoint.

        Raises:
          ValueError: if the checkpoint does not match these objects, or none can be read.
          OSError: if the directory cannot be written.
        """
        self._objects = objects
        self._checkpoint = tf.train.Checkpoint(**objects)
        while self._found:
            try:
                _load(self._found, objects)
                break
            except DamagedError as error:
                step = self._found.step
                self._found, more = checkpoints.newest_intact(self.directory, before=step)
                self._damaged |= {step: str(error), **more}
                self._refuse_if_all_are_damaged()
        self._set_damaged_aside()
        self._write_config()
        if self._found is None:
            return None
        self.saved_step, self._best = self._found.step, self._found.best
        return self._found.state

    def go_back(self) -> dict[str, Any] | None:
        """Loads the newest intact checkpoint into the objects given to `restore`.

        Returns:
          The state that was passed to `save`; `None` if there is no checkpoint and nothing was
          loaded.

        Raises:
          OSError: if the directory cannot be written.
        """
        self._found, self._damaged = checkpoints.newest_intact(self.directory)
        return self.restore(**self._objects) if self._found else None

    def save(
        self, step: int, state: Mapping[str, Any] | None = None, loss: float = math.nan
    ) -> None:
        """Saves the objects given to `restore`, then removes surplus checkpoints.

        Args:
          step: number of training steps done.
          state: state of training besides these objects, JSON values.
          loss: recent mean training loss. The checkpoint with the smallest loss is kept.

        Raises:
          OSError: if saving fails. The existing checkpoints then remain as they were.
        """
        best = self._best
        if best and best.step not in checkpoints.steps(self.directory):
            best = None  # The best checkpoint was removed.
        if math.isfinite(loss) and (best is None or loss < best.loss):
            best = Best(step, loss)
        self._write(self.directory, step, state or {}, best)
        self.saved_step, self._best = step, best
        # A file that cannot be removed now is removed after the next checkpoint.
        with contextlib.suppress(OSError):
            kept = checkpoints.steps(self.directory)[: self._config.checkpoints_kept]
            for old in checkpoints.steps(self.directory):
                if old not in kept and not (best and old == best.step):
                    checkpoints.remove(self.directory, old)

    def save_elsewhere(self, step: int, state: Mapping[str, Any] | None = None) -> pathlib.Path:
        """Saves as `save` does, but in a new temporary directory.

        Returns:
          The directory, from which the run can continue.

        Raises:
          OSError: if saving fails.
        """
        directory = pathlib.Path(tempfile.mkdtemp(prefix=f"{self.directory.name}-"))
        try:
            self._write(directory, step, state or {}, None)
        except OSError:
            directory.rmdir()
            raise
        return directory

    def _write(
        self, directory: pathlib.Path, step: int, state: Mapping[str, Any], best: Best | None
    ) -> None:
        try:
            checkpoints.write(
                directory,
                step,
                self._checkpoint.write,
                settings=self._config.saved(),
                state=state,
                best=best,
            )
        except tf.errors.OpError as error:
            raise OSError(errno.EIO, reason(error)) from error

    def _refuse_if_all_are_damaged(self) -> None:
        if self._damaged and self._found is None:
            raise ValueError(
                f"No checkpoint in {self.directory} can be used: "
                f"{'; '.join(self._damaged.values())}. Nothing was changed. "
                "Give another directory to start from scratch."
            )

    def _set_damaged_aside(self) -> None:
        for step in self._damaged:
            checkpoints.set_aside(self.directory, step)
        if self._damaged:
            self._warn(
                f"{'; '.join(self._damaged.values())}: continuing from step {self._found.step:,}. "
                "The damaged files are kept as *.damaged."
            )

    def _write_config(self) -> None:
        path = self.directory / CONFIG_FILE
        try:
            if json.loads(path.read_bytes()) == self._config.saved():
                return
        except (OSError, ValueError) as error:
            if self._found:
                what = "missing" if isinstance(error, FileNotFoundError) else "damaged"
                self._warn(f"{path} is {what}; the checkpoint also contains the settings.")
        text = json.dumps(self._config.saved(), indent=2, sort_keys=True)
        checkpoints.write_text(path, f"{text}\n")


def pretrained(name: str) -> pathlib.Path:
    """Returns the directory of a model that comes with the program.

    Raises:
      ValueError: if there is no model of this name.
    """
    known = sorted(path.name for path in PRETRAINED.glob("*") if path.is_dir())
    if name not in known:
        raise ValueError(
            f"There is no pretrained model {name!r}. Choose from: {', '.join(known) or 'none'}."
        )
    return PRETRAINED / name


def start(name: str) -> Checkpoint:
    """Returns the newest checkpoint of a pretrained model, or else of the run in a directory.

    Raises:
      ValueError: if there is none.
    """
    path = PRETRAINED / name
    try:
        return newest_checkpoint(path if path.is_dir() else name)
    except FileNotFoundError as error:
        raise ValueError(f"start_from is neither a pretrained model nor a run: {error}") from error


def newest_checkpoint(directory: str | os.PathLike, best: bool = False) -> Checkpoint:
    """Returns the newest intact checkpoint of a run, or the best one.

    Raises:
      FileNotFoundError: if there is no checkpoint.
      ValueError: if the directory is not local, or the checkpoint cannot be used.
    """
    directory = paths.local(directory)
    if not directory.is_dir():
        raise FileNotFoundError(f"There is no run in {directory}.")
    found, damaged = checkpoints.newest_intact(directory)
    if found is None and damaged:
        raise ValueError(
            f"No checkpoint in {directory} can be used: {'; '.join(damaged.values())}."
        )
    if found is None:
        raise FileNotFoundError(f"There is no checkpoint in {directory}.")
    if best and found.best:
        try:
            found = checkpoints.read(directory, found.best.step)
        except DamagedError as error:
            raise ValueError(
                f"The best checkpoint in {directory} cannot be used: {error}."
            ) from error
    elif damaged:
        warn(f"{'; '.join(damaged.values())}: using step {found.step:,}.")
    return found


def _load(checkpoint: Checkpoint, objects: Mapping[str, Any]) -> None:
    """Assigns the values of a checkpoint to the objects.

    Raises:
      DamagedError: if its files cannot be read.
      ValueError: if it does not match these objects.
    """
    try:
        tf.train.Checkpoint(**objects).read(checkpoint.prefix).assert_consumed()
    except (tf.errors.OpError, IndexError, RuntimeError) as error:
        name = pathlib.Path(checkpoint.prefix).name
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise DamagedError(f"{name} is damaged ({first_line})") from error
    except (AssertionError, ValueError) as error:
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f"Checkpoint {checkpoint.prefix} belongs to another model: {first_line} "
            "Give another directory."
        ) from error


def _changes(directory: pathlib.Path, checkpoint: Checkpoint, config: Config) -> dict[str, Any]:
    """Returns, by name, the former values of settings that have changed and may do so."""
    saved, now = Config.of_run(checkpoint.settings).saved(), config.saved()
    different = [
        name for name in sorted(saved.keys() | now.keys()) if saved.get(name) != now.get(name)
    ]
    declared = config.declared()
    refused = [
        f"{name}={saved.get(name)} there, {now.get(name)} here"
        for name in different
        if name not in declared or not declared[name].may_change
    ]
    if refused:
        raise ValueError(
            f"{directory} holds a run of another configuration: {'; '.join(refused)}. "
            "Give the same values to resume it, or another directory to start from scratch."
        )
    changes = {name: saved.get(name) for name in different}
    if config.curriculum != "none" and "lesson_window" not in checkpoint.settings:
        changes["lesson_window"] = "the steps of a report"  # In version 0.1.
    return changes
