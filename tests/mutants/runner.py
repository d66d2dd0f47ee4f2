"""Makes copies of the tree, puts faults into them and runs tests there."""

import json
import os
import pathlib
import queue
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import NamedTuple

from tests.mutants import Mutant, witness

ROOT = pathlib.Path(__file__).parents[2]
# Results other than these two are errors of the table, of the tests or of the machine.
KILLED, SURVIVED = "killed", "SURVIVED"


class Outcome(NamedTuple):
    """What the tests said to a mutant.

    Attributes:
      mutant: the fault.
      result: `KILLED`, `SURVIVED`, "stale" (the text to replace is not there exactly once), "not
        run" (all tests were skipped), "broken" (a test fails without the fault, too) or "error".
      detail: the test that failed first, or what is wrong.
      seconds: time that the tests took.
    """

    mutant: Mutant
    result: str
    detail: str
    seconds: float


class Tests(NamedTuple):
    """What came of a run of tests."""

    failed: list[str]
    num_passed: int
    error: str  # "" if the tests ran


def run_all(
    mutants: Sequence[Mutant],
    folder: pathlib.Path,
    jobs: int,
    seconds: float,
    tell: Callable[[Outcome], None],
) -> list[Outcome]:
    """Runs the tests of each mutant, then those that failed once more without any fault.

    Args:
      mutants: the faults.
      folder: an empty folder for the copies of the tree.
      jobs: number of mutants at a time.
      seconds: limit for the tests of one mutant. A mutant that does not end in time is killed.
      tell: called with each outcome as soon as it is there.

    Returns:
      The outcomes in the order of the mutants.
    """
    copies: queue.SimpleQueue[pathlib.Path] = queue.SimpleQueue()
    for number in range(jobs):
        copies.put(copy_tree(folder / str(number)))

    def judged(mutant: Mutant) -> Outcome:
        copy = copies.get()
        try:
            outcome = judge(mutant, copy, seconds)
        finally:
            copies.put(copy)
        tell(outcome)
        return outcome

    with futures.ThreadPoolExecutor(jobs) as pool:
        outcomes = list(pool.map(judged, mutants))
    return list(_confirmed(outcomes, copies.get()))


def copy_tree(target: pathlib.Path) -> pathlib.Path:
    """Copies all files that git knows or does not ignore, and returns the folder."""
    listed = subprocess.check_output(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT
    )
    for name in listed.decode().split("\0"):
        if name and (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target / name)
    return target


def judge(mutant: Mutant, copy: pathlib.Path, seconds: float) -> Outcome:
    """Puts the fault into a copy of the tree, runs its tests and takes the fault out again."""
    path = copy / mutant.file
    intact = path.read_bytes()
    start = time.monotonic()
    try:
        path.write_bytes(mutant.apply(intact.decode("utf-8")).encode("utf-8"))
        tests = run_tests([f"tests/{test}" for test in mutant.tests.split()], copy, seconds, "-x")
    except ValueError as error:
        return Outcome(mutant, "stale", str(error), 0.0)
    except subprocess.TimeoutExpired:
        return Outcome(mutant, KILLED, f"no end after {seconds:.0f} s", time.monotonic() - start)
    finally:
        path.write_bytes(intact)
    took = time.monotonic() - start
    if tests.error:
        return Outcome(mutant, "error", tests.error, took)
    if tests.failed:
        return Outcome(mutant, KILLED, tests.failed[0], took)
    if not tests.num_passed:
        return Outcome(mutant, "not run", "all tests were skipped", took)
    return Outcome(mutant, SURVIVED, f"{tests.num_passed} tests passed", took)


def run_tests(tests: Sequence[str], copy: pathlib.Path, seconds: float, *options: str) -> Tests:
    """Runs tests in a copy of the tree.

    Raises:
      subprocess.TimeoutExpired: if they do not end in time.
    """
    notes = copy.with_name(f"{copy.name}.json")
    notes.unlink(missing_ok=True)
    line = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    process = subprocess.run(
        [*line, "-p", witness.__name__, *options, *tests],
        cwd=copy,
        env={**os.environ, witness.FILE_VARIABLE: str(notes), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=seconds,
    )
    if not notes.exists():
        return Tests([], 0, _last_line(process.stderr + process.stdout))
    found = json.loads(notes.read_text(encoding="utf-8"))
    error = ""
    if found["foreign"]:
        error = f"imported from another tree: {', '.join(found['foreign'])}"
    elif process.returncode and not found["failed"]:
        error = _last_line(process.stderr + process.stdout)
    return Tests(found["failed"], found["passed"], error)


def _confirmed(outcomes: Sequence[Outcome], copy: pathlib.Path) -> Iterator[Outcome]:
    """The outcomes, where a test that also fails without the fault has killed nothing."""
    killers = {outcome.detail for outcome in outcomes if _is_test(outcome)}
    always = set(run_tests(sorted(killers), copy, 3600.0).failed) if killers else set()
    for outcome in outcomes:
        yield outcome._replace(result="broken") if outcome.detail in always else outcome


def _is_test(outcome: Outcome) -> bool:
    return outcome.result == KILLED and outcome.detail.startswith("tests/")


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["pytest ended without a word"])[-1]
