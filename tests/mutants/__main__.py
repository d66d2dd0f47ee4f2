"""The command `python -m tests.mutants`: see the package."""

import argparse
import pathlib
import sys
import tempfile
from collections.abc import Iterator, Sequence

import tests.mutants
from tests.mutants import Mutant
from tests.mutants.runner import KILLED, Outcome, run_all
from tests.mutants.table import MUTANTS


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command. Returns the exit code: 1 unless all mutants were killed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants",
        description=tests.mutants.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("words", nargs="*", help="run the rows with one of these words only")
    parser.add_argument("--list", action="store_true", help="list the rows and run nothing")
    parser.add_argument("--jobs", type=int, default=1, help="mutants at a time (default: 1)")
    parser.add_argument(
        "--timeout", type=float, default=900.0, help="seconds for one mutant (default: 900)"
    )
    parser.add_argument("--markdown", type=pathlib.Path, help="file to write the table to")
    flags = parser.parse_args(arguments)
    chosen = _chosen(flags.words)
    if not chosen:
        print(f"No mutant has one of these words: {' '.join(flags.words)}.", file=sys.stderr)
        return 2
    if flags.list:
        for mutant in chosen:
            print(f"{mutant.name:44} {mutant.file:34} {mutant.tests}")
        return 0
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        outcomes = run_all(chosen, pathlib.Path(folder), flags.jobs, flags.timeout, _tell)
    if flags.markdown:
        flags.markdown.write_text("\n".join(_markdown(outcomes)) + "\n", encoding="utf-8")
    alive = [outcome for outcome in outcomes if outcome.result != KILLED]
    print(f"\n{len(outcomes) - len(alive)} of {len(outcomes)} mutants were killed.")
    for outcome in alive:
        print(f"{outcome.result}: {outcome.mutant.name} ({outcome.detail})")
    return int(bool(alive))


def _chosen(words: Sequence[str]) -> list[Mutant]:
    texts = {mutant: f"{mutant.name} {mutant.file} {mutant.tests}" for mutant in MUTANTS}
    return [m for m, text in texts.items() if not words or any(word in text for word in words)]


def _tell(outcome: Outcome) -> None:
    name, file = outcome.mutant.name, outcome.mutant.file
    print(
        f"{outcome.seconds:5.0f} s  {outcome.result:8} {name:44} {file:34} {outcome.detail}",
        flush=True,
    )


def _markdown(outcomes: Sequence[Outcome]) -> Iterator[str]:
    yield "| mutant | file | result | by | s |"
    yield "|---|---|---|---|---|"
    for mutant, result, detail, seconds in outcomes:
        detail = detail.replace("|", "\\|")
        yield f"| {mutant.name} | {mutant.file} | {result} | {detail} | {seconds:.0f} |"


if __name__ == "__main__":
    sys.exit(main())
