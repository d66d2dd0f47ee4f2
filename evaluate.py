"""Measures trained models at sizes they were not trained on.

    python evaluate.py --checkpoint_dir=checkpoints/addition --lengths=12,20,50,100
    python evaluate.py --pretrained=addition_dnc

Prints a table, and whether each model has solved its task; --plot and --csv write files.
"""

import csv
import pathlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from absl import flags

from training.quiet import native_logs_hidden

with native_logs_hidden():
    import tensorflow as tf  # Here, so that what it writes is hidden.

from training import command, question_answering, runs
from training.checkpoints import Checkpoint
from training.evaluation import BATCH_SIZE, Evaluation
from training.messages import say
from training.models import has_slots, make_task, num_parameters, restore
from training.question_answering import Examination

_FACTORS = (1, 2, 4, 8)  # Of the largest size in training, for the sizes tried by default.

FLAGS = command.new_flags()
flags.DEFINE_list(
    "checkpoint_dir", [], "Where the models were saved, one or several.", flag_values=FLAGS
)
flags.DEFINE_list(
    "pretrained", [], "Models that come with this program, one or several.", flag_values=FLAGS
)
flags.DEFINE_list(
    "lengths",
    None,
    "Sizes of episodes (length, number of items, ...: the task's first size) to try; by default "
    "the largest in training, and 2, 4 and 8 times that.",
    flag_values=FLAGS,
)
flags.DEFINE_list(
    "memory_size",
    None,
    "Number of memory slots, if others than in training; one for all sizes, or one for each.",
    flag_values=FLAGS,
)
flags.DEFINE_integer(
    "num_sequences", 1000, "Sequences of each size.", lower_bound=1, flag_values=FLAGS
)
flags.DEFINE_integer(
    "seed", 0, "Seed of the data.", lower_bound=0, upper_bound=2**31 - 1, flag_values=FLAGS
)
flags.DEFINE_bool(
    "best", False, "Whether to take the best checkpoint, not the newest.", flag_values=FLAGS
)
flags.DEFINE_bool("jit", True, "Whether to compile with XLA.", flag_values=FLAGS)
flags.DEFINE_string(
    "data_dir", None, "Where the data is, if not where it was in training.", flag_values=FLAGS
)
flags.DEFINE_integer(
    "stories",
    0,
    "How many stories to show with the model's answers, of each bAbI task and of right and wrong "
    "ones each.",
    lower_bound=0,
    flag_values=FLAGS,
)
flags.DEFINE_string("plot", None, "PNG file to draw error against length into.", flag_values=FLAGS)
flags.DEFINE_string("csv", None, "CSV file to write the table into.", flag_values=FLAGS)
command.accept_local_paths(FLAGS, "checkpoint_dir", "plot", "csv")

# With its flags, by directory.
_Checkpoints = Mapping[pathlib.Path, tuple[Checkpoint, dict[str, Any]]]


class Result(NamedTuple):
    """What one model does at one size."""

    model: str
    task: str
    core: str
    parameters: int
    memory_size: int | None  # None: the core has no memory
    size_name: str  # "length", "copies", ...: what the task calls it
    size: int
    trained_to: int  # the largest size in training
    error_name: str
    error: float
    solved_sequences: float
    solved: bool | None  # by the task's definition; None but for the largest size as trained


def main(argv: list[str]) -> int:
    """Evaluates, prints, draws. Returns the exit code."""
    tf.get_logger().setLevel("ERROR")  # It advises against making many functions.
    return command.run("evaluate.py", FLAGS, argv, __doc__, _evaluate)


def _evaluate() -> None:
    directories = _directories()
    sizes = _whole_numbers("lengths")
    slots = _whole_numbers("memory_size")
    for path in filter(None, [FLAGS.plot, FLAGS.csv]):
        if not pathlib.Path(path).resolve().parent.is_dir():
            raise ValueError(f"There is no folder for {path}.")
    found = _checkpoints(directories)
    if next(iter(found.values()))[1]["task"] == "babi":
        _examine(found, sizes, slots)
    else:
        _measure(found, sizes, slots)


def _measure(found: _Checkpoints, sizes: Sequence[int] | None, slots: Sequence[int] | None) -> None:
    """Measures models at several sizes."""
    for flag in ("data_dir", "stories"):
        if FLAGS[flag].value:
            raise ValueError(f"--{flag} is for models of babi.")
    results = []
    for result in _results(found, sizes, slots):
        if not results:
            error_name = result.error_name.replace("_", " ")
            say(_line("model", "size", "slots", error_name, "right", ""))
        results.append(result)
        say(_row(result))
    if FLAGS.csv:
        _write_csv(Result._fields, results)
    if FLAGS.plot:
        _plot(results, FLAGS.plot)


def _examine(found: _Checkpoints, sizes: Sequence[int] | None, slots: Sequence[int] | None) -> None:
    """Asks models all questions of the test of bAbI."""
    if sizes is not None:
        raise ValueError("--lengths is for tasks with sizes: the stories of babi are as they are.")
    if slots is not None and len(slots) > 1:
        raise ValueError("--memory_size must be one number for babi.")
    scores, examples = {}, {}
    for directory, (checkpoint, config) in found.items():
        changed = {"data_dir": FLAGS.data_dir or config["data_dir"]}
        if slots:
            changed["memory_size"] = slots[0]
        core, task = restore(checkpoint, {**config, **changed}, BATCH_SIZE)
        examination = Examination(core, task, FLAGS.jit)
        scores[directory.name] = examination.scores("test", FLAGS.stories)
        examples[directory.name] = examination.examples
        for note in task.notes:
            say(f"{directory.name}: {note}")
    if len({tuple(own) for own in scores.values()}) > 1:
        raise ValueError("Only models of the same bAbI tasks can be compared.")
    for line in question_answering.table(scores):
        say(line)
    for name, own in examples.items():
        for example in own:
            verdict = "all right" if example.is_right else "not all right"
            say(f"\n{name}, task {example.task}, {verdict}:\n{example.text}")
    if FLAGS.csv:
        rows = [(name, task, *score) for name, own in scores.items() for task, score in own.items()]
        _write_csv(("model", "task", *question_answering.Score._fields), rows)
    if FLAGS.plot:
        question_answering.plot(scores, FLAGS.plot)


def _write_csv(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    with open(FLAGS.csv, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)


def _directories() -> list[pathlib.Path]:
    directories = [pathlib.Path(directory) for directory in FLAGS.checkpoint_dir]
    directories += map(runs.pretrained, FLAGS.pretrained)
    if not directories:
        raise ValueError("Give --checkpoint_dir or --pretrained: what is to be measured.")
    return directories


def _whole_numbers(flag: str) -> list[int] | None:
    """The value of a flag, `None` if it was not given."""
    given = FLAGS[flag].value
    if given is None:
        return None
    if not given or not all(x.isascii() and x.isdecimal() and int(x) for x in given):
        raise ValueError(f"--{flag} must be whole numbers >= 1, got {','.join(given)}.")
    return [int(x) for x in given]


def _checkpoints(directories: Sequence[pathlib.Path]) -> _Checkpoints:
    """The checkpoint and flags of each run; raises `ValueError` unless all are of one task."""
    found = {path: runs.newest_checkpoint(path, FLAGS.best) for path in directories}
    if len({config["task"] for _, config in found.values()}) > 1:
        told = ", ".join(f"{path} of {config['task']}" for path, (_, config) in found.items())
        raise ValueError(f"Only models of one task can be compared, got {told}.")
    return found


def _results(
    found: _Checkpoints, sizes: Sequence[int] | None, slots: Sequence[int] | None
) -> Iterator[Result]:
    batch_size = min(BATCH_SIZE, FLAGS.num_sequences)
    for directory, (checkpoint, config) in found.items():
        name, (_, trained_to) = next(iter(make_task(config, batch_size).sizes.items()))
        own_sizes = sizes or [trained_to * factor for factor in _FACTORS]
        for size, memory_size in zip(own_sizes, _for_each(own_sizes, slots, config), strict=True):
            sized = {f"min_{name}": size, f"max_{name}": size, "memory_size": memory_size}
            core, task = restore(checkpoint, {**config, **sized}, batch_size)
            evaluation = Evaluation(core, task, FLAGS.seed, FLAGS.jit)
            metrics = evaluation.metrics(0, -(-FLAGS.num_sequences // batch_size))
            same_memory = not has_slots(config) or memory_size == config["memory_size"]
            yield Result(
                model=directory.name,
                task=task.name,
                core=config.get("core", "dnc"),
                parameters=num_parameters(core),
                memory_size=memory_size if has_slots(config) else None,
                size_name=name,
                size=size,
                trained_to=trained_to,
                error_name=task.error_name,
                error=metrics[task.error_name],
                solved_sequences=metrics["solved_sequences"],
                solved=task.is_solved(metrics) if same_memory and size == trained_to else None,
            )


def _for_each(
    sizes: Sequence[int], slots: Sequence[int] | None, config: Mapping[str, Any]
) -> Sequence[int]:
    """The number of memory slots for each size."""
    if slots is None:
        return [config["memory_size"]] * len(sizes)
    if len(slots) == 1:
        return [slots[0]] * len(sizes)
    if len(slots) != len(sizes):
        raise ValueError(
            f"--memory_size must be one number, or one for each of the {len(sizes)} sizes, got "
            f"{len(slots)}."
        )
    return slots


def _row(result: Result) -> str:
    verdict = {None: "", True: "solved", False: "not solved"}[result.solved]
    right = f"{result.solved_sequences:.1%}"
    slots = "-" if result.memory_size is None else str(result.memory_size)
    return _line(result.model, str(result.size), slots, f"{result.error:.4g}", right, verdict)


def _line(model: str, size: str, slots: str, error: str, right: str, verdict: str) -> str:
    return f"{model:28} {size:>6} {slots:>6} {error:>16} {right:>8}  {verdict}".rstrip()


def _plot(results: Sequence[Result], path: str) -> None:
    """Draws error against size, the range in training shaded."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    axes.axvspan(0, results[0].trained_to, color="0.92", label="up to the largest in training")
    for model in dict.fromkeys(result.model for result in results):
        own = [result for result in results if result.model == model]
        axes.plot(
            [result.size for result in own],
            [100 * (1 - result.solved_sequences) for result in own],
            marker="o",
            label=model,
        )
    axes.set_title(results[0].task)
    axes.set_xlabel(results[0].size_name)
    axes.set_ylabel("sequences with an error, %")
    axes.set_xlim(left=0)
    axes.set_ylim(-3, 103)
    axes.legend()
    figure.savefig(path, dpi=150)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
