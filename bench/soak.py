"""Runs train.py through faults for a while, and counts the steps lost.

    python -m bench.soak --minutes=10

A small training run is started again and again. Each time one thing goes wrong: it is killed or
asked to stop at a random moment, a bit of its newest checkpoint is flipped, a file of it is cut or
removed, or the disk is full whenever it saves. Each time it finishes, its last checkpoint is
compared, byte by byte, with the last checkpoint of an undisturbed run.

A fault is survived if all steps up to the last checkpoint were saved (unless the disk was full),
and the next start continues from the newest intact checkpoint. "steps lost" is the maximum number
of reported steps that had to be made again. With a full disk these are all steps of that start;
with several damaged checkpoints in a row, all steps since the one before. The exit code is 1 if a
fault was not survived.
"""

import functools
import math
import pathlib
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import tqdm
from absl import flags

from bench import _command

_FLAGS = _command.new_flags(default_rounds=None)
_MINUTES = flags.DEFINE_float(
    "minutes",
    10.0,
    "Minutes of faults; the last run is then finished without any.",
    lower_bound=0.0,
    flag_values=_FLAGS,
)
flags.register_validator("minutes", math.isfinite, "must be finite.", _FLAGS)
_SEED = flags.DEFINE_integer("seed", 0, "Seed of the faults.", flag_values=_FLAGS)
_JIT = flags.DEFINE_bool(
    "jit",
    False,
    "Whether to compile with XLA, with more training steps.",
    flag_values=_FLAGS,
)

_SCRIPT = pathlib.Path(__file__).parents[1] / "train.py"
_LONGEST = 600.0  # Maximum seconds of one start.
_SAME_END = "same end"


class Training(NamedTuple):
    """The training run to disturb."""

    jit: bool
    num_steps: int
    interval: int  # between checkpoints and between reports
    latest: float  # maximum seconds from its beginning to a fault

    def command(self, directory: pathlib.Path) -> list[str]:
        """Returns the command that starts or resumes it."""
        return [
            *(sys.executable, "-u", str(_SCRIPT), f"--checkpoint_dir={directory}"),
            *("--hidden_size=8", "--memory_size=4", "--word_size=4", "--num_read_heads=1"),
            "--jit" if self.jit else "--nojit",
            *(f"--num_training_iterations={self.num_steps}", f"--report_interval={self.interval}"),
            f"--checkpoint_interval={self.interval}",
            f"--summary_interval={5 * self.interval}",
        ]

    def result(self, directory: pathlib.Path) -> bytes:
        """Returns all variables of the last checkpoint."""
        return (directory / f"step-{self.num_steps}.data-00000-of-00001").read_bytes()


class Life(NamedTuple):
    """Result of one start."""

    code: int
    began_at: int | None  # the step at which it continued; None if it did not get that far
    reached: int  # the last step that it reported
    has_ended: bool  # whether it made all steps
    errors: str


class Fault(NamedTuple):
    """One kind of fault."""

    name: str
    number: int  # signal that ends training, at a random moment
    damage: Callable[[pathlib.Path, random.Random], None] | None = None  # damages a file then
    full_disk: bool = False


def _flip(path: pathlib.Path, rng: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    path.write_bytes(data)


def _cut(path: pathlib.Path, rng: random.Random) -> None:
    path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])


def _remove(path: pathlib.Path, rng: random.Random) -> None:
    del rng
    path.unlink()


FAULTS = (
    Fault("kill -9", signal.SIGKILL),
    Fault("SIGTERM", signal.SIGTERM),
    Fault("a bit flipped", signal.SIGKILL, damage=_flip),
    Fault("a file cut", signal.SIGKILL, damage=_cut),
    Fault("a file removed", signal.SIGKILL, damage=_remove),
    Fault("full disk", signal.SIGKILL, full_disk=True),
)


def _limit_files() -> None:
    """Limits files to 4 KiB, too little for a checkpoint, as if the disk were full."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


def start(
    training: Training, directory: pathlib.Path, fault: Fault | None, rng: random.Random
) -> Life:
    """Runs training until it ends, with or without a fault."""
    lines: list[str] = []
    timers: list[threading.Timer] = []
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            training.command(directory),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            preexec_fn=_limit_files if fault and fault.full_disk else None,
        ) as process,
    ):

        def later(seconds: float, number: int) -> None:
            timers.append(threading.Timer(seconds, process.send_signal, [number]))
            timers[-1].start()

        later(_LONGEST, signal.SIGKILL)
        for line in process.stdout:
            lines.append(line)
            if fault and line.startswith(("Training", "Resuming")):
                later(rng.uniform(0.0, training.latest), fault.number)
        process.wait()
        for timer in timers:
            timer.cancel()
        errors.seek(0)
        said = errors.read()
    text = "".join(lines)

    def steps(pattern: str) -> list[int]:
        return [int(s.replace(",", "")) for s in re.findall(pattern, text, re.MULTILINE)]

    began = steps(r"^(?:Training|Resuming) in .*, step ([\d,]+)\.")
    told = steps(r"^(?:step|Stopped at step) ([\d,]+)(?: of|;)")
    return Life(
        code=process.returncode,
        began_at=began[0] if began else None,
        reached=max([*began, *told], default=0),
        has_ended="\nFinished step" in text,
        errors=said,
    )


def disturb(
    training: Training, directory: pathlib.Path, rng: random.Random, deadline: float
) -> Iterator[tuple[str, int, str]]:
    """Starts a run again and again until it is finished; after the deadline, without faults.

    Yields:
      For each fault followed by a start: its name, the number of steps lost, and an error message,
      or "".
    """
    fault: Fault | None = None
    reached, intact, wrong, has_ended = 0, 0, "", False
    while True:
        previous = fault
        disturbed = time.monotonic() < deadline and not has_ended
        fault = rng.choice(FAULTS) if disturbed else None
        life = start(training, directory, fault, rng)
        if life.began_at is None:
            wrong = f"it did not start again: {life.errors}"
        elif life.began_at < intact:
            wrong = f"it continued from {life.began_at:,}, although {intact:,} was intact"
        if previous:
            yield previous.name, max(0, reached - (life.began_at or 0)), wrong
        if fault is None or life.began_at is None:
            return
        reached, has_ended = life.reached, life.has_ended
        wrong = "" if fault.full_disk else _not_saved(training, directory, life)
        intact = max(_harm(directory, fault, rng), 0 if fault.damage else life.began_at)


def _saved_steps(directory: pathlib.Path) -> list[int]:
    return sorted(int(path.stem.removeprefix("step-")) for path in directory.glob("step-*.json"))


def _not_saved(training: Training, directory: pathlib.Path, life: Life) -> str:
    """Returns a message about steps that should have been saved but were not, or ""."""
    missing = life.reached - max(_saved_steps(directory), default=0)
    # A process that is asked to end has time to save.
    allowed = 0 if life.code == 0 else training.interval
    return f"the last {missing:,} steps were not saved" if missing > allowed else ""


def _harm(directory: pathlib.Path, fault: Fault, rng: random.Random) -> int:
    """Damages a checkpoint if the fault does. Returns the step of the newest intact checkpoint."""
    steps = _saved_steps(directory)
    if fault.damage and len(steps) > 1:  # Without the only one it could not continue.
        path = rng.choice(sorted(directory.glob(f"step-{steps.pop()}.*")))
        fault.damage(path, rng)
    return max(steps, default=0)


def rows(minutes: float, seed: int, jit: bool) -> Iterator[_command.Row]:
    """Tries faults for a number of minutes. Yields a row for each kind, and one for the ends."""
    training = Training(jit, 20_000, 200, 16.0) if jit else Training(jit, 400, 10, 12.0)
    rng = random.Random(seed)
    counts = {
        name: {"tried": 0, "survived": 0, "lost": 0}
        for name in (*(fault.name for fault in FAULTS), _SAME_END)
    }

    def count(name: str, lost: int, wrong: str) -> None:
        counts[name]["tried"] += 1
        counts[name]["survived"] += not wrong
        counts[name]["lost"] = max(counts[name]["lost"], lost)
        bar.update()
        if wrong:
            bar.write(f"{name}: {wrong}")

    with tempfile.TemporaryDirectory() as folder, tqdm.tqdm(unit="fault", leave=False) as bar:
        undisturbed = pathlib.Path(folder) / "undisturbed"
        if errors := start(training, undisturbed, None, rng).errors:
            raise _command.CommandError(f"train.py does not run undisturbed: {errors}")
        deadline = time.monotonic() + 60.0 * minutes
        number = 0
        while time.monotonic() < deadline:
            directory = pathlib.Path(folder) / str(number)
            for name, lost, wrong in disturb(training, directory, rng, deadline):
                count(name, lost, wrong)
            try:
                is_same = training.result(directory) == training.result(undisturbed)
            except OSError as error:
                count(_SAME_END, 0, f"there is no end: {error}")
            else:
                count(_SAME_END, 0, "" if is_same else "the end differs")
            number += 1
    for name, found in counts.items():
        yield {"what": name, **found}


def _all_rows() -> Iterator[_command.Row]:
    return rows(_MINUTES.value, _SEED.value, _JIT.value)


def _title() -> str:
    return f"Faults of a training run in {_MINUTES.value:g} minutes"


def _columns() -> list[_command.Column]:
    return [
        _command.Column("what", 14, lambda row: row["what"]),
        _command.Column("tried", 5, lambda row: str(row["tried"])),
        _command.Column("survived", 8, lambda row: str(row["survived"])),
        _command.Column("steps lost", 10, lambda row: str(row["lost"])),
    ]


main = functools.partial(
    _command.run,
    "bench.soak",
    __doc__,
    _FLAGS,
    title=_title,
    columns=_columns,
    rows=_all_rows,
    has_failed=lambda row: row["survived"] < row["tried"],
)

if __name__ == "__main__":
    sys.exit(main(sys.argv))
