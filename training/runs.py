"""A run on disk: its configuration, its checkpoints and its event files in one directory."""

import json
import os
import pathlib
import tempfile
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

_CONFIG_FILE = "flags.json"
_CHECKPOINTS_KEPT = 3


class Run:
    """The directory of one training run.

    Attributes:
      directory: where everything is, a `pathlib.Path`.
    """

    def __init__(self, directory: str | os.PathLike, config: Mapping[str, Any]):
        """Opens the directory, creating it if need be.

        Args:
          directory: path of the run.
          config: what determines the run's results, as JSON values by flag name.

        Raises:
          ValueError: if the directory holds a run of another configuration, or its configuration
            cannot be read.
          OSError: if the directory cannot be written.
        """
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.directory):
            pass  # Fail now rather than at the first checkpoint.

        path = self.directory / _CONFIG_FILE
        if path.exists():
            _check_config(path, config)
        elif tf.train.latest_checkpoint(self.directory):
            raise ValueError(
                f"{self.directory} holds checkpoints but no {_CONFIG_FILE}, so it cannot be told "
                "which model they are of. Give another --checkpoint_dir."
            )
        else:
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
            checkpoint, str(self.directory), max_to_keep=_CHECKPOINTS_KEPT, checkpoint_name="step"
        )
        latest = self._manager.latest_checkpoint
        if latest is None:
            return False
        try:
            checkpoint.restore(latest).assert_consumed()
        except (tf.errors.OpError, AssertionError, ValueError) as error:
            raise ValueError(
                f"Cannot read checkpoint {latest}: {str(error).splitlines()[0]} "
                "Remove it to go on from the one before, or give another --checkpoint_dir."
            ) from error
        return True

    def save(self, step: int) -> str:
        """Saves the objects given to `restore` and returns the checkpoint's path.

        Keeps the last three.
        """
        return self._manager.save(checkpoint_number=step)


def _check_config(path: pathlib.Path, config: Mapping[str, Any]) -> None:
    try:
        saved = json.loads(path.read_text())
        differences = [
            f"--{name}={saved.get(name)} there, {config.get(name)} here"
            for name in sorted(saved.keys() | config.keys())
            if saved.get(name) != config.get(name)
        ]
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{path} is damaged: {error}. Give another --checkpoint_dir.") from error
    if differences:
        raise ValueError(
            f"{path.parent} holds a run with other flags: {'; '.join(differences)}. "
            "Give the same flags to resume it, or another --checkpoint_dir to start anew."
        )
