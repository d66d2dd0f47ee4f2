"""Runs train.py through faults for a while, and counts what was lost.

    python -m bench.soak --minutes=10

A small training is started again and again. Each time one thing goes wrong: it is killed or told
to stop at a random moment, files of its newest checkpoint are flipped, cut or removed, or the disk
is full when it saves. Whenever it gets to its end, its last checkpoint is compared, byte by byte,
with that of a training which nobody disturbed.

Survived means that the next start went on from a checkpoint (or, where there was none yet, from
the beginning). Lost are steps that had been reported and had to be made again: never more than
those since the last intact checkpoint.
"""

import functools
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

from absl import flags

from bench import _command

_FLAGS = _command.new_flags(default_rounds=None)
_MINUTES = flags.DEFINE_float(
    "minutes", 10.0, "How long to go on.", lower_bound=0.0, flag_values=_FLAGS
)
_SEED = flags.DEFINE_integer("seed", 0, "Of what goes wrong when.", flag_values=_FLAGS)

_SCRIPT = pathlib.Path(__file__).parents[1] / "train.py"
_STEPS, _INTERVAL = 400, 10
_TRAINING = [
    *("--hidden_size=8", "--memory_size=4", "--word_size=4", "--num_read_heads=1", "--nojit"),
    *(f"--num_training_iterations={_STEPS}", f"--checkpoint_interval={_INTERVAL}"),
    *(f"--report_interval={_INTERVAL}", f"--summary_interval={5 * _INTERVAL}"),
]
_LATEST = 6.0  # Seconds after the beginning that a fault may come.
_LONGEST = 600.0  # Seconds that one start may take.


class Outcome(NamedTuple):
    """What came of one start of train.py."""

    code: int
    resumed_at: int | None  # the step it went on from; None if it did not get so far
    reported: int  # the last step it reported


class Fault(NamedTuple):
    """One kind of trouble."""

    name: str
    number: int  # of the signal that ends the training, at a random moment
    damage: Callable[[pathlib.Path, random.Random], None]  # what is done to the directory then
    full_disk: bool = False
    checkpoints_lost: int = 0  # how many it may cost


def _nothing(directory: pathlib.Path, rng: random.Random) -> None:
    del directory, rng


def _newest_files(directory: pathlib.Path) -> list[pathlib.Path]:
    steps = [int(path.stem.removeprefix("step-")) for path in directory.glob("step-*.json")]
    # The only one there is stays as it is: nothing could go on from a damaged one.
    return sorted(directory.glob(f"step-{max(steps)}.*")) if len(steps) > 1 else []


def _flip(directory: pathlib.Path, rng: random.Random) -> None:
    if files := _newest_files(directory):
        path = rng.choice(files)
        data = bytearray(path.read_bytes())
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        path.write_bytes(data)


def _cut(directory: pathlib.Path, rng: random.Random) -> None:
    if files := _newest_files(directory):
        path = rng.choice(files)
        path.write_bytes(path.read_bytes()[: rng.randrange(path.stat().st_size)])


def _remove(directory: pathlib.Path, rng: random.Random) -> None:
    if files := _newest_files(directory):
        rng.choice(files).unlink()


FAULTS = (
    Fault("kill -9", signal.SIGKILL, _nothing),
    Fault("SIGTERM", signal.SIGTERM, _nothing),
    Fault("a bit flipped", signal.SIGKILL, _flip, checkpoints_lost=1),
    Fault("a file cut", signal.SIGKILL, _cut, checkpoints_lost=1),
    Fault("a file removed", signal.SIGKILL, _remove, checkpoints_lost=1),
    Fault("full disk", signal.SIGKILL, _nothing, full_disk=True, checkpoints_lost=_STEPS),
)


def _limit_files() -> None:
    """Lets no file grow beyond what an event file needs: as if the disk were full."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))


def start(directory: pathlib.Path, fault: Fault | None, rng: random.Random) -> Outcome:
    """Runs train.py in a directory until it ends, with a fault or without."""
    command = [sys.executable, "-u", str(_SCRIPT), *_TRAINING, f"--checkpoint_dir={directory}"]
    lines: list[str] = []
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        preexec_fn=_limit_files if fault and fault.full_disk else None,
    ) as process:
        timers = [threading.Timer(_LONGEST, process.kill)]
        timers[0].start()
        for line in process.stdout:
            lines.append(line)
            if fault and line.startswith(("Training", "Resuming")):
                delay = rng.uniform(0.0, _LATEST)
                timers.append(threading.Timer(delay, process.send_signal, [fault.number]))
                timers[-1].start()
    for timer in timers:
        timer.cancel()
    text = "".join(lines)
    began = re.search(r"^(?:Training|Resuming) in .*, step ([\d,]+)\.", text, re.MULTILINE)
    reports = re.findall(r"^step ([\d,]+) of", text, re.MULTILINE)

    def number(digits: str) -> int:
        return int(digits.replace(",", ""))

    resumed_at = number(began[1]) if began else None
    return Outcome(process.returncode, resumed_at, number(reports[-1]) if reports else 0)


def result(directory: pathlib.Path) -> bytes:
    """All variables of the last checkpoint."""
    (path,) = directory.glob(f"step-{_STEPS}.data-*")
    return path.read_bytes()


def rows(minutes: float, seed: int) -> Iterator[_command.Row]:
    """Goes through faults for so many minutes; yields a row for each kind, and one for the ends."""
    rng = random.Random(seed)
    counts = {fault.name: {"tried": 0, "survived": 0, "lost": 0, "broken": 0} for fault in FAULTS}
    ends = {"tried": 0, "survived": 0, "lost": 0, "broken": 0}
    with tempfile.TemporaryDirectory() as folder:
        undisturbed = pathlib.Path(folder) / "undisturbed"
        start(undisturbed, None, rng)
        expected = result(undisturbed)
        deadline, number, reached = time.monotonic() + 60 * minutes, 0, 0
        fault: Fault | None = None
        directory = pathlib.Path(folder) / "0"
        while time.monotonic() < deadline:
            previous, fault = fault, rng.choice(FAULTS)
            outcome = start(directory, fault, rng)
            if previous and outcome.resumed_at is not None:
                count = counts[previous.name]
                lost = max(0, reached - outcome.resumed_at)
                allowed = _INTERVAL * (1 + previous.checkpoints_lost)
                count["survived"] += lost <= allowed
                count["broken"] += lost > allowed
                count["lost"] = max(count["lost"], lost)
            elif previous and outcome.code not in (0, -signal.SIGKILL, -signal.SIGTERM):
                counts[previous.name]["broken"] += 1
            counts[fault.name]["tried"] += 1
            reached = max(outcome.reported, outcome.resumed_at or 0)
            fault.damage(directory, rng)
            if reached >= _STEPS:  # Once more, undisturbed: whatever was damaged is made again.
                final = start(directory, None, rng)
                ends["tried"] += 1
                is_same = final.code == 0 and result(directory) == expected
                ends["survived" if is_same else "broken"] += 1
                counts[fault.name]["survived" if is_same else "broken"] += 1
                number, fault, reached = number + 1, None, 0
                directory = pathlib.Path(folder) / str(number)
    for name, count in counts.items():
        yield {"what": name, **count}
    yield {"what": "same end", **ends}


def _all_rows() -> Iterator[_command.Row]:
    return rows(_MINUTES.value, _SEED.value)


def _title() -> str:
    return (
        f"Trainings of {_STEPS} steps, a checkpoint every {_INTERVAL}, for {_MINUTES.value:g} "
        "minutes. The last fault is not followed by a start, and counts as tried only."
    )


def _columns() -> list[_command.Column]:
    return [
        _command.Column("what", 14, lambda row: row["what"]),
        _command.Column("tried", 5, lambda row: str(row["tried"])),
        _command.Column("survived", 8, lambda row: str(row["survived"])),
        _command.Column("steps lost at most", 18, lambda row: str(row["lost"])),
        _command.Column("broken", 6, lambda row: str(row["broken"])),
    ]


main = functools.partial(
    _command.run,
    "bench.soak",
    __doc__,
    _FLAGS,
    title=_title,
    columns=_columns,
    rows=_all_rows,
)

if __name__ == "__main__":
    sys.exit(main(sys.argv))
