"""Measures trained repeat copy models with memories and patterns of other sizes.

    python -m docs.memory_size checkpoints/a checkpoints/b --memory_size=16,64 --length=8,24

Each entry is the share of sequences without a wrong bit, and the number of wrong bits per sequence.
"""

from absl import app, flags

from training.evaluation import Evaluation
from training.models import load

_MEMORY_SIZES = flags.DEFINE_list("memory_size", ["16", "32", "64", "128"], "Numbers of slots.")
_LENGTHS = flags.DEFINE_list("length", ["8", "12", "16", "24", "32"], "Rows of the pattern.")
_REPEATS = flags.DEFINE_integer("repeats", 2, "Number of repeats of the pattern.", lower_bound=1)
_BATCH_SIZE, _BATCHES = 100, 2


def main(argv: list[str]) -> None:
    """Prints one table for each run directory."""
    for directory in argv[1:]:
        print(f"\n{directory}: sequences without error (wrong bits per sequence)")
        print("| slots | " + " | ".join(f"{length} rows" for length in _LENGTHS.value) + " |")
        print("|---|" + "---|" * len(_LENGTHS.value))
        for memory_size in map(int, _MEMORY_SIZES.value):
            entries = []
            for length in map(int, _LENGTHS.value):
                core, task = load(
                    directory,
                    _BATCH_SIZE,
                    memory_size=memory_size,
                    min_length=length,
                    max_length=length,
                    min_repeats=_REPEATS.value,
                    max_repeats=_REPEATS.value,
                )
                metrics = Evaluation(core, task, seed=0).metrics(0, _BATCHES)
                entries.append(f"{metrics['solved_sequences']:.0%} ({metrics['wrong_bits']:.2g})")
            print(f"| {memory_size} | " + " | ".join(entries) + " |", flush=True)


if __name__ == "__main__":
    app.run(main)
