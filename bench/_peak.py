"""The peak memory of a training step, measured in a separate process.

`peak` starts that process, which runs this module, and returns its result. There is one process per
figure, since memory that one model leaves behind would count for the next.
"""

import contextlib
import ctypes
import functools
import gc
import json
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
from typing import Any, NamedTuple

import tensorflow as tf

from bench import _timing, workloads

_ROOT = pathlib.Path(__file__).parents[1]
_MIB = 2**20
_ENVIRONMENT = {
    "CUDA_VISIBLE_DEVICES": "",  # The CPU's memory is measured.
    # oneDNN's allocator keeps the memory that a step has used, so the next step would need none.
    # Without it, TensorFlow allocates and frees like any program.
    "TF_ENABLE_ONEDNN_OPTS": "0",
}


class Variant(NamedTuple):
    """A training step to measure."""

    workload: workloads.Workload
    linkage: str = "dense"
    num_links: int = 8
    unroll: str = "dnc.unroll"  # a name in `workloads.UNROLLS`
    checkpoint_every: int | None = None  # an argument of `dnc.unroll`; None: not passed

    def training_step(self) -> Any:
        """Returns the step, a result of `workloads.training_step`."""
        unroll = workloads.UNROLLS[self.unroll]
        if self.checkpoint_every is not None:
            unroll = functools.partial(unroll, checkpoint_every=self.checkpoint_every)
        core = workloads.make_dnc(self.workload, self.linkage, self.num_links)
        return workloads.training_step(core, self.workload, unroll=unroll)


class Peak(NamedTuple):
    """Memory and time of one training step."""

    idle_mib: float  # resident memory of the process with the model built
    peak_mib: float  # maximum that the step added to it
    includes_compilation: bool  # true if the system cannot measure a single step
    step_ms: float  # time of the step that was measured


def peak(variant: Variant) -> Peak | None:
    """Measures in a fresh process. Returns None if the system ended it for lack of memory.

    Raises:
      RuntimeError: if the process failed otherwise.
    """
    process = subprocess.run(
        [sys.executable, "-m", "bench._peak", json.dumps(variant._asdict())],
        cwd=_ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, **_ENVIRONMENT},
    )
    if process.returncode == -signal.SIGKILL:
        return None
    if process.returncode:
        raise RuntimeError(f"Measuring {variant} failed:\n{process.stderr}")
    return Peak(**json.loads(process.stdout))


def measure(variant: Variant) -> Peak:
    """Measures in this process, which has run no training step before.

    On Linux the step is already compiled, and its peak is relative to the memory in use before it.
    Other systems only record the maximum so far, which is therefore measured at the first call.
    """
    step = variant.training_step()
    if not _reset_peak():
        idle = _largest_ever()
        seconds = _timing.seconds_of(step)
        return Peak(idle, _largest_ever() - idle, True, seconds * 1e3)
    step()
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        # Memory freed by compilation would otherwise stay with the process and hide the peak.
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    _reset_peak()
    idle = _status("VmRSS")
    seconds = _timing.seconds_of(step)
    return Peak(idle, _status("VmHWM") - idle, False, seconds * 1e3)


def available_mib() -> float | None:
    """Returns the memory available to programs; None if the system does not report it."""
    path = pathlib.Path("/proc/meminfo")
    found = path.exists() and re.search(r"^MemAvailable:\s+(\d+) kB", path.read_text(), re.M)
    return int(found[1]) * 1024 / _MIB if found else None


def _reset_peak() -> bool:
    """Resets the peak to the current resident memory. Returns whether that is possible."""
    try:
        pathlib.Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _status(name: str) -> float:
    """Returns a figure of this process in MiB: VmRSS, resident memory, or VmHWM, its peak."""
    status = pathlib.Path("/proc/self/status").read_text()
    return int(re.search(rf"^{name}:\s+(\d+) kB", status, re.MULTILINE)[1]) * 1024 / _MIB


def _largest_ever() -> float:
    """Returns the largest resident memory of this process in MiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _MIB


if __name__ == "__main__":
    tf.get_logger().setLevel("ERROR")
    given = json.loads(sys.argv[1])
    given["workload"] = workloads.Workload(*given["workload"])
    print(json.dumps(measure(Variant(**given))._asdict()))
