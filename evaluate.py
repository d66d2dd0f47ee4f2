"""Measures trained models on episodes that they were not trained on.

    python evaluate.py --checkpoint_dir=checkpoints/addition --lengths=12,20,50,100
    python evaluate.py --pretrained=addition_dnc

Prints a table, and whether each model has solved its task; --plot and --csv write files. If the
task has standard tests, the table has a row for each, with the published result. If its episodes
have sizes, it has a row for each size, including sizes that did not occur in training.

Models given on the command line add the options of their task to the flags, and to --help.
"""

import functools
import pathlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from absl import flags

from tasks import Report
from tasks.options import Option
from tasks.report import write_csv
from training import command, measuring, runs
from training.checkpoints import Checkpoint
from training.config import MAX_SIZE, Config, task_options
from training.evaluation import BATCH_SIZE, Evaluation
from training.flags import define, given, help_text
from training.measuring import BenchmarkReport, SizeReport
from training.messages import say
from training.models import make_task, restore

# By name; with the configuration to evaluate.
_Models = Mapping[str, tuple[Checkpoint, Config]]

_option = functools.partial(Option, group="Evaluation")
_OPTIONS = (
    _option("checkpoint_dir", str, "", "Directories of models, separated by commas."),
    _option("pretrained", str, "", "Names of models that come with this program."),
    _option("best", bool, False, "Whether to take the best checkpoint, not the newest."),
    _option(
        "lengths",
        str,
        None,
        "Values of the task's first size (length, number of items, ...); by default the task's "
        "standard tests, or the largest size in training, and 2, 4 and 8 times as large.",
    ),
    _option("memory_size", str, None, "Memory slots: one number, or one for each size."),
    _option("num_sequences", int, 1000, "Number of sequences of each size.", 1, MAX_SIZE),
    _option("seed", int, 0, "Seed of the data.", 0, MAX_SIZE),
    _option("examples", int, 0, "Number of episodes to show with answers.", 0),
    _option("jit", bool, True, "Whether to compile with XLA."),
    _option("plot", str, None, "PNG file to draw the errors into."),
    _option("csv", str, None, "CSV file to write the table into."),
)


def main(argv: list[str]) -> int:
    """Evaluates, prints, draws. Returns the exit code."""
    values = command.new_flags()
    define(values, _OPTIONS)
    command.accept_local_paths(values, "checkpoint_dir", "plot", "csv")
    try:
        found = _checkpoints(values, argv)
        declared = task_options(next(iter(found.values())).settings["task"]) if found else {}
    except (ValueError, OSError) as error:
        return command.fail("evaluate.py", error)
    of_task = [each for name, each in declared.items() if name not in values]
    define(values, of_task)
    return command.run(
        "evaluate.py",
        values,
        argv,
        __doc__,
        lambda: _evaluate(found, values.flag_values_dict(), given(values, of_task)),
        help_text=help_text([*_OPTIONS, *of_task]),
    )


def _checkpoints(values: flags.FlagValues, argv: Sequence[str]) -> dict[str, Checkpoint]:
    """Returns the models on a command line, by name. Options of their task are not flags yet."""
    values.set_gnu_getopt(True)  # The value of an unknown flag does not end the flags.
    try:
        values(argv, known_only=True)
    except flags.Error:
        return {}  # `command.run` reports the error.
    directories, shipped = (values[x].value.split(",") for x in ("checkpoint_dir", "pretrained"))
    paths = [*map(pathlib.Path, filter(None, directories))]
    paths += map(runs.pretrained, filter(None, shipped))
    names = [path.name for path in dict.fromkeys(paths)]
    found = {}
    for path in paths:
        name = path.name if names.count(path.name) == 1 else str(path)
        found[name] = runs.newest_checkpoint(path, values["best"].value)
    tasks = {name: checkpoint.settings["task"] for name, checkpoint in found.items()}
    if len(set(tasks.values())) > 1:
        text = ", ".join(f"{name} of {task}" for name, task in tasks.items())
        raise ValueError(f"Only models of one task can be compared, got {text}.")
    return found


def _evaluate(
    found: Mapping[str, Checkpoint], own: Mapping[str, Any], changes: Mapping[str, Any]
) -> None:
    """Evaluates models with some options of their task changed."""
    if not found:
        raise ValueError("Give checkpoint_dir or pretrained to choose the models.")
    for option in _OPTIONS:
        option.check(own[option.name])
    for path in filter(None, [own["plot"], own["csv"]]):
        if not pathlib.Path(path).resolve().parent.is_dir():
            raise ValueError(f"There is no folder for {path}.")
    models = {
        name: (checkpoint, Config.of_run(checkpoint.settings).replace(**changes))
        for name, checkpoint in found.items()
    }
    task = make_task(next(iter(models.values()))[1], batch_size=1)
    if task.benchmarks() and own["lengths"] is None and not changes:
        reports = _at_benchmarks(own, models)
    elif task.sizes and task.every_batch("test") is None:
        reports = _at_sizes(own, models)
    elif own["lengths"]:
        raise ValueError(
            f"lengths is for tasks that generate episodes of any size, not {task.name}."
        )
    else:
        reports = _of_the_test(own, models)
    for name, report in reports.items():
        for example in report.examples:
            say(f"\n{name}:\n{example}")
    if own["csv"]:
        write_csv(reports, own["csv"])
    if own["plot"]:
        next(iter(reports.values())).plot(reports, own["plot"])


def _at_sizes(own: Mapping[str, Any], models: _Models) -> dict[str, Report]:
    """Measures models at several sizes."""
    sizes, slots = _whole_numbers(own, "lengths"), _whole_numbers(own, "memory_size")
    return _tables(
        SizeReport,
        models,
        lambda checkpoint, config: measuring.at_sizes(
            checkpoint, config, sizes, slots, **_how(own)
        ),
    )


def _at_benchmarks(own: Mapping[str, Any], models: _Models) -> dict[str, Report]:
    """Measures models in the standard tests of their task."""
    slots = _number_of_slots(own)
    return _tables(
        BenchmarkReport,
        models,
        lambda checkpoint, config: measuring.at_benchmarks(checkpoint, config, slots, **_how(own)),
    )


def _tables(
    kind: type[SizeReport] | type[BenchmarkReport],
    models: _Models,
    measured: Callable[[Checkpoint, Config], Iterable[tuple[measuring.Row, list[str]]]],
) -> dict[str, Report]:
    """Measures models, and prints each line of the table as soon as it is available."""
    reports: dict[str, Report] = {}
    for name, model in models.items():
        rows, examples = [], []
        for row, texts in measured(*model):
            if not (reports or rows):
                say(kind.head(row))
            say(kind.line(name, row))
            rows.append(row)
            examples += texts
        reports[name] = kind({"error": rows[0]["error"]}, rows, examples=examples)
    return reports


def _how(own: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "num_sequences": own["num_sequences"],
        "num_examples": own["examples"],
        "seed": own["seed"],
        "jit": own["jit"],
    }


def _of_the_test(own: Mapping[str, Any], models: _Models) -> dict[str, Report]:
    """Measures models on all episodes of the test, and prints the task's own table."""
    slots = _number_of_slots(own)
    reports, num_sequences = {}, own["num_sequences"]
    for name, (checkpoint, config) in models.items():
        config = config.replace(memory_size=slots) if slots else config
        core, task = restore(checkpoint, config, min(BATCH_SIZE, num_sequences))
        evaluation = Evaluation(core, task, own["seed"], own["jit"])
        reports[name] = evaluation.report("test", num_sequences, own["examples"])
        for note in task.notes:
            say(f"{name}: {note}")
    for line in next(iter(reports.values())).table(reports):
        say(line)
    return reports


def _number_of_slots(own: Mapping[str, Any]) -> int | None:
    """Returns the only value of memory_size, or `None` if it was not given."""
    slots = _whole_numbers(own, "memory_size") or [None]
    if len(slots) > 1:
        raise ValueError(f"memory_size must be one number, got {len(slots)}.")
    return slots[0]


def _whole_numbers(own: Mapping[str, Any], name: str) -> list[int] | None:
    """Returns the numbers in the value of a flag, or `None` if it was not given."""
    if own[name] is None:
        return None
    texts = own[name].split(",")
    if not all(x.isascii() and x.isdecimal() and int(x) for x in texts):
        raise ValueError(f"{name} must be whole numbers >= 1, got {own[name]}.")
    return [int(x) for x in texts]


if __name__ == "__main__":
    sys.exit(main(sys.argv))
