"""A run on disk: its configuration, its checkpoints and its event files in one directory."""

import json
import os
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

CONFIG_FILE = "flags.json"
_CHECKPOINT_PREFIX = "step-"
_CHECKPOINTS_KEPT = 3


class Run:
    """The directory of one training run.

    Attributes:
      directory: where everything is, a `pathlib.Path`.
    """

    def __init__(
        self,
        directory: str | os.PathLike,
        config: Mapping[str, Any],
        defaults: Mapping[str, Any] | None = None,
    ):
        """Opens the directory, creating it if need be.

        Args:
          directory: path of the run.
          config: what determines the run's results, as JSON values by flag name.
          defaults: what a flag was before it existed: its value for older runs.

        Raises:
          ValueError: if the directory holds a run of another configuration, or its configuration
            cannot be read.
          OSError: if the directory cannot be written.
        """
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.directory):
            pass  # Fail now rather than at the first checkpoint.

        path = self.directory / CONFIG_FILE
        if latest_checkpoint(self.directory):
            _check_config(path, config, defaults or {})
        else:  # Nothing is lost, whatever was begun here.
            temporary = path.with_suffix(".tmp")
            temporary.write_text(json.dumps(dict(config), indent=2, sort_keys=True) + "\n")
            temporary.replace(path)
        self._manager: tf.train.CheckpointManager | None = None

    def restore(self, **objects: Any) -> bool:
        """Loads the latest checkpoint, if there is one, into the objects that `save` is to save.

        Args:
          **objects: modules and variables by name; their variables exist already.

        Returns:
          Whether there was a checkpoint.

        Raises:
          ValueError: if the checkpoint cannot be read or is not of these objects.
        """
        checkpoint = tf.train.Checkpoint(**objects)
        self._manager = tf.train.CheckpointManager(
            checkpoint,
            str(self.directory),
            max_to_keep=_CHECKPOINTS_KEPT,
            checkpoint_name="step",  # Followed by a dash and the step.
        )
        latest = latest_checkpoint(self.directory)
        if latest is None:
            return False
        try:
            checkpoint.restore(latest).assert_consumed()
        except (tf.errors.OpError, AssertionError, ValueError, IndexError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(
                f"Cannot read checkpoint {latest}: {reason} Remove {latest}.* to go on from the "
                "one before, or give another --checkpoint_dir."
            ) from error
        return True

    def save(self, step: int) -> str:
        """Saves the objects given to `restore` and returns the checkpoint's path.

        Keeps the last three.
        """
        return self._manager.save(checkpoint_number=step)


def latest_checkpoint(directory: str | os.PathLike) -> str | None:
    """Returns the path of a run's newest checkpoint, without suffix, or `None` if there is none.

    Goes by the files that are there, not by TensorFlow's list of them, which may be damaged or name
    files that were removed.
    """
    steps = [
        int(path.stem.removeprefix(_CHECKPOINT_PREFIX))
        for path in pathlib.Path(directory).glob(f"{_CHECKPOINT_PREFIX}*.index")
        if path.stem.removeprefix(_CHECKPOINT_PREFIX).isdecimal()
    ]
    return str(pathlib.Path(directory) / f"{_CHECKPOINT_PREFIX}{max(steps)}") if steps else None


def _check_config(
    path: pathlib.Path, config: Mapping[str, Any], defaults: Mapping[str, Any]
) -> None:
    try:
        saved = {**defaults, **json.loads(path.read_text())}
        differences = [
            f"--{name}={saved.get(name)} there, {config.get(name)} here"
            for name in sorted(saved.keys() | config.keys())
            if saved.get(name) != config.get(name)
        ]
    except OSError as error:
        raise ValueError(
            f"{path.parent} holds checkpoints but no readable {CONFIG_FILE}, so it cannot be told "
            "which model they are of. Give another --checkpoint_dir."
        ) from error
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is damaged: {error}. Give another --checkpoint_dir.") from error
    if differences:
        raise ValueError(
            f"{path.parent} holds a run with other flags: {'; '.join(differences)}. "
            "Give the same flags to resume it, or another --checkpoint_dir to start anew."
        )
