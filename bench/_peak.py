"""The peak memory of a training step, measured in a process of its own.

`peak` starts that process, which runs this module, and returns what it found. One process a figure,
since what one model has left behind would count for the next.
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
    "CUDA_VISIBLE_DEVICES": "",  # It is the memory of the CPU.
    # With oneDNN comes an allocator that keeps what a step has used: the next one would need
    # nothing. Without it, TensorFlow allocates and frees as any program.
    "TF_ENABLE_ONEDNN_OPTS": "0",
}


class Variant(NamedTuple):
    """A training step whose memory is to be measured."""

    workload: workloads.Workload
    linkage: str = "dense"
    num_links: int = 8
    unroll: str = "dnc.unroll"  # a name in `workloads.UNROLLS`
    checkpoint_every: int | None = None  # an argument of `dnc.unroll`; None: not passed

    def training_step(self) -> Any:
        """Returns the step, as `workloads.training_step`."""
        unroll = workloads.UNROLLS[self.unroll]
        if self.checkpoint_every is not None:
            unroll = functools.partial(unroll, checkpoint_every=self.checkpoint_every)
        core = workloads.make_dnc(self.workload, self.linkage, self.num_links)
        return workloads.training_step(core, self.workload, unroll=unroll)


class Peak(NamedTuple):
    """What one training step needed."""

    idle_mib: float  # resident memory of the process with the model built
    peak_mib: float  # the most that the step added to it
    includes_compilation: bool  # where the system cannot say what a single step took
    step_ms: float  # of the one step that was measured


def peak(variant: Variant) -> Peak | None:
    """Measures in a fresh process; returns None if the system ended it for want of memory.

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

    On Linux the step is one that is compiled already, from the memory that is in use before it. On
    other systems only the largest memory ever is known: it is that of the first call.
    """
    step = variant.training_step()
    if not _reset_peak():
        idle = _largest_ever()
        seconds = _timing.seconds_of(step)
        return Peak(idle, _largest_ever() - idle, True, seconds * 1e3)
    step()
    gc.collect()
    with contextlib.suppress(OSError, AttributeError):
        # What compilation has freed would otherwise stay with the process and hide the step's need.
        ctypes.CDLL("libc.so.6").malloc_trim(0)
    _reset_peak()
    idle = _status("VmRSS")
    seconds = _timing.seconds_of(step)
    return Peak(idle, _status("VmHWM") - idle, False, seconds * 1e3)


def available_mib() -> float | None:
    """Returns the memory that programs could still take; None where the system does not say."""
    path = pathlib.Path("/proc/meminfo")
    found = path.exists() and re.search(r"^MemAvailable:\s+(\d+) kB", path.read_text(), re.M)
    return int(found[1]) * 1024 / _MIB if found else None


def _reset_peak() -> bool:
    """Makes the present resident memory the largest so far; returns whether that can be done."""
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
