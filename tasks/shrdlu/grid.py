"""Measures models and simple policies on Mini-SHRDLU, by moves and constraints as in the paper.

    python -m tasks.shrdlu.grid --pretrained=shrdlu_dnc --policies=random,greedy

Prints, for each model and each policy, the percentage of the goals that it reaches with the minimum
number of moves. There is a row for each such number and a column for each number of constraints, as
in Extended Data Figure 3 of Graves et al. 2016, whose percentages come first. A cell with fewer
than 20 episodes is empty. The percentage of constraints that hold at the end comes below. The
policies are pass, random, greedy (most constraints after the next action) and search (a shortest
path). They see the goal at each step.
"""

import pathlib
import sys
from collections.abc import Iterable, Sequence

import numpy as np
from absl import flags

from tasks import Batch
from tasks.shrdlu.policies import POLICIES, play
from tasks.shrdlu.task import Shrdlu, is_solved_at
from training import asking, command, runs
from training.config import Config
from training.episodes import Core
from training.evaluation import BATCH_SIZE, Evaluation
from training.messages import say
from training.models import restore

_LEAST = 20
# Extended Data Figure 3: 10 goals; rows: 1 to 7 moves, columns: 1 to 6 constraints.
_PAPER = {
    "DNC of the paper": """77 94 95 95 93 94  65 79 93 97 97 97  51 63 78 85 92 94
        42 46 58 76 81 85  39 33 46 62 72 81  33 22 32 51 65 68  34 17 18 30 44 50""",
    "LSTM of the paper": """47 48 47 48 48 52  39 38 34 34 31 32  32 42 43 46 44 43
        25 22 18 14 12 14  19 10 3 0.5 0 0.2  20 4.7 1.1 0.2 0 0  18 3 1.1 0 0 0""",
}

_FLAGS = asking.new_flags()
flags.DEFINE_list("policies", [], "Policies for comparison.", flag_values=_FLAGS)
flags.DEFINE_integer("goals", 10, "Number of goals.", 1, 26, flag_values=_FLAGS)
flags.DEFINE_integer("num_sequences", 5000, "Number of episodes.", 1, flag_values=_FLAGS)
flags.DEFINE_integer("seed", 0, "Seed of the episodes.", 0, flag_values=_FLAGS)


def task_of_test(goals: int = 10, batch_size: int = BATCH_SIZE) -> Shrdlu:
    """Returns the task of the test: 6 blocks, 1 to 6 constraints, 1 to 7 moves."""
    return Shrdlu(batch_size=batch_size, min_goals=goals, max_goals=goals)


def restored(directory: pathlib.Path, best: bool, what: str) -> tuple[Core, int]:
    """Returns the core of a model of Mini-SHRDLU, and its number of training steps.

    Args:
      directory: directory of the run.
      best: whether to take the best checkpoint instead of the newest.
      what: ability of such models, such as "have a plan", for the error.

    Raises:
      ValueError: if the model is for another task or damaged.
      OSError: if there is no run in the directory.
    """
    checkpoint = runs.newest_checkpoint(directory, best)
    config = Config.of_run(checkpoint.settings)
    if config.task != Shrdlu.name:
        raise ValueError(f"Only models of {Shrdlu.name} {what}; {directory} is for {config.task}.")
    core, _ = restore(checkpoint, config)
    return core, checkpoint.step


def measure(batches: Iterable[Batch]) -> tuple[np.ndarray, np.ndarray, float]:
    """Counts episodes and solved episodes.

    Returns:
      The number of episodes by minimum number of moves and number of constraints, [7, 6] from 1 on;
      the number solved with the minimum, in the same form; and the mean share of an episode's
      constraints that hold at its end.
    """
    count, solved, met = np.zeros([7, 6]), np.zeros([7, 6]), []
    for batch in batches:
        choice, mask = batch.extras, np.asarray(batch.mask)
        is_solved = np.any(is_solved_at(choice) & (mask > 0), axis=0)
        is_last = mask * (np.asarray(choice.num_left) == 0)
        met += np.sum(np.asarray(choice.part) * is_last, axis=0).tolist()
        place = np.asarray(choice.minimum)[0] - 1, np.asarray(choice.num_constraints)[0] - 1
        np.add.at(count, place, 1)
        np.add.at(solved, place, is_solved)
    return count, solved, float(np.mean(met))


def table(name: str, percent: np.ndarray) -> str:
    """Returns percentages by moves and constraints as text; NaN: an empty cell."""
    lines = [
        f"{name}, solved in the minimum number of moves, %",
        "constraints  1    2    3    4    5    6",
    ]
    for moves, row in enumerate(percent, 1):
        cells = ["     " if np.isnan(x) else f"{x:5.1f}" for x in row]
        lines.append(f"{moves:2} moves  {''.join(cells)}".rstrip())
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    """Runs the command. Returns the exit code."""
    return command.run("tasks.shrdlu.grid", _FLAGS, argv, __doc__, _measure)


def _measure() -> None:
    unknown = [name for name in _FLAGS.policies if name not in POLICIES]
    if unknown:
        raise ValueError(f"policies must be among {', '.join(POLICIES)}, got {', '.join(unknown)}.")
    task, seed = task_of_test(_FLAGS.goals), _FLAGS.seed
    number = -(-_FLAGS.num_sequences // BATCH_SIZE)
    played: dict[str, Iterable[Batch]] = {}
    if _FLAGS.checkpoint_dir or _FLAGS.pretrained or not _FLAGS.policies:
        directory = asking.directory_of_model(_FLAGS)
        played[directory.name] = _of_model(directory, task, number)
    for name in _FLAGS.policies:
        played[name] = (play(task, POLICIES[name], "test", seed, k) for k in range(number))
    for name, text in _PAPER.items():
        say(table(name, np.reshape([*map(float, text.split())], [7, 6])) + "\n")
    for name, batches in played.items():
        count, solved, met = measure(batches)
        with np.errstate(invalid="ignore"):
            percent = np.where(count >= _LEAST, 100 * solved / count, np.nan)
        say(table(name, percent))
        say(f"All: {100 * solved.sum() / count.sum():.1f} %; constraints met: {100 * met:.1f} %\n")


def _of_model(directory: pathlib.Path, task: Shrdlu, number: int) -> Iterable[Batch]:
    """Returns the test episodes in which a model acts."""
    core, _ = restored(directory, _FLAGS.best, "can be measured")
    evaluation = Evaluation(core, task, _FLAGS.seed)
    return (batch for batch, _ in evaluation.answers("test", 0, number))


if __name__ == "__main__":
    sys.exit(main(sys.argv))
