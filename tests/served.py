"""A real TensorBoard with this package's plugin."""

import contextlib
import os
import pathlib
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from tests.scripts import ROOT


@contextlib.contextmanager
def tensorboard(
    logdir: pathlib.Path, folder: pathlib.Path, *options: str, has_read: Callable[[str], bool]
) -> Iterator[str]:
    """Runs a TensorBoard, and enters with its address once it has read its logs.

    Args:
      logdir: folder of the logs.
      folder: an empty folder for the package's metadata, as if the package were installed.
      *options: options of TensorBoard.
      has_read: whether everything is available at an address.
    """
    command = [sys.executable, "setup.py", "--quiet", "egg_info", f"--egg-base={folder}"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", logdir, "--port=0"]
    command += ["--host=127.0.0.1", *options]
    environment = {**os.environ, "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        try:
            address = next(
                m[1] for line in process.stderr if (m := re.search(r"(http\S+)/ ", line))
            )
            while not has_read(address):
                assert process.poll() is None, "TensorBoard has ended"
                time.sleep(0.2)
            yield address
        finally:
            process.terminate()
