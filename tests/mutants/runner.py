"""Makes copies of the tree, puts faults into them and runs tests there."""

import json
import pathlib
import queue
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import NamedTuple

from tests.mutants import Mutant, witness
from tests.mutants.forks import Forks

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


class Workplace(NamedTuple):
    """A copy of the tree, and the process that runs its tests."""

    copy: pathlib.Path
    forks: Forks


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
    places = [Workplace(copy_tree(folder / str(number)), Forks()) for number in range(jobs)]
    free: queue.SimpleQueue[Workplace] = queue.SimpleQueue()
    for place in places:
        free.put(place)

    def judged(mutant: Mutant) -> Outcome:
        place = free.get()
        try:
            outcome = judge(mutant, place, seconds)
        finally:
            free.put(place)
        tell(outcome)
        return outcome

    try:
        with futures.ThreadPoolExecutor(jobs) as pool:
            outcomes = list(pool.map(judged, mutants))
        return list(_confirmed(outcomes, places[0]))
    finally:
        for place in places:
            place.forks.close()


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


def judge(mutant: Mutant, place: Workplace, seconds: float) -> Outcome:
    """Puts the fault into a copy of the tree, runs its tests and takes the fault out again."""
    path = place.copy / mutant.file
    intact = path.read_bytes()
    try:
        mutated = mutant.apply(intact.decode("utf-8"))
    except ValueError as error:
        return Outcome(mutant, "stale", str(error), 0.0)
    start = time.monotonic()
    try:
        path.write_bytes(mutated.encode("utf-8"))
        tests = run_tests([f"tests/{test}" for test in mutant.tests.split()], place, seconds, "-x")
    finally:
        path.write_bytes(intact)
    took = time.monotonic() - start
    if tests is None:
        return Outcome(mutant, KILLED, f"no end after {seconds:.0f} s", took)
    if tests.error:
        return Outcome(mutant, "error", tests.error, took)
    if tests.failed:
        return Outcome(mutant, KILLED, tests.failed[0], took)
    if not tests.num_passed:
        return Outcome(mutant, "not run", "all tests were skipped", took)
    return Outcome(mutant, SURVIVED, f"{tests.num_passed} tests passed", took)


def run_tests(
    tests: Sequence[str], place: Workplace, seconds: float, *options: str
) -> Tests | None:
    """Runs tests in a copy of the tree; returns `None` if they did not end in time."""
    notes, output = (place.copy.with_name(f"{place.copy.name}.{x}") for x in ("json", "txt"))
    notes.unlink(missing_ok=True)
    code = place.forks.run(
        ["-q", "-p", "no:cacheprovider", "-p", witness.__name__, *options, *tests],
        folder=str(place.copy),
        output=str(output),
        environment={witness.FILE_VARIABLE: str(notes)},
        seconds=seconds,
    )
    if code is None:
        return None
    if not notes.exists():
        return Tests([], 0, _last_line(output))
    found = json.loads(notes.read_text(encoding="utf-8"))
    error = ""
    if found["foreign"]:
        error = f"imported from another tree: {', '.join(found['foreign'])}"
    elif code and not found["failed"]:
        error = _last_line(output)
    return Tests(found["failed"], found["passed"], error)


def _confirmed(outcomes: Sequence[Outcome], place: Workplace) -> Iterator[Outcome]:
    """The outcomes, where a test that also fails without the fault has killed nothing."""
    killers = {outcome.detail for outcome in outcomes if _is_test(outcome)}
    tests = run_tests(sorted(killers), place, 3600.0) if killers else None
    always = set(tests.failed) if tests else set()
    for outcome in outcomes:
        yield outcome._replace(result="broken") if outcome.detail in always else outcome


def _is_test(outcome: Outcome) -> bool:
    return outcome.result == KILLED and outcome.detail.startswith("tests/")


def _last_line(output: pathlib.Path) -> str:
    text = output.read_text(encoding="utf-8", errors="replace")
    return (text.strip().splitlines() or ["pytest ended without a word"])[-1]
