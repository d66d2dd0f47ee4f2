"""Measures trained models on episodes that they were not trained on.

    python evaluate.py --checkpoint_dir=checkpoints/addition --lengths=12,20,50,100
    python evaluate.py --pretrained=addition_dnc

Prints a table, and whether each model has solved its task; --plot and --csv write files. Where the
episodes have sizes, the table has a row for each size, also for ones that were not trained.

Models given on the command line add the options of their task to the flags, and to --help.
"""

import pathlib
import sys
from collections.abc import Mapping, Sequence

from absl import flags

from tasks.quiet import native_logs_hidden

with native_logs_hidden():
    import tensorflow as tf  # Here, so that its messages are hidden.

from tasks import Report
from tasks.options import Option
from tasks.report import write_csv
from training import command, measuring, runs
from training.checkpoints import Checkpoint
from training.config import Config, task_options
from training.evaluation import BATCH_SIZE, Evaluation
from training.flags import define, given, help_text
from training.measuring import SizeReport
from training.messages import say
from training.models import make_task, restore

# By name; with the configuration to evaluate.
_Models = Mapping[str, tuple[Checkpoint, Config]]


def main(argv: list[str]) -> int:
    """Evaluates, prints, draws. Returns the exit code."""
    tf.get_logger().setLevel("ERROR")  # It advises against making many functions.
    values = _flags()
    try:
        found = _checkpoints(values, argv)
        declared = task_options(next(iter(found.values())).settings["task"]) if found else {}
    except (ValueError, OSError) as error:
        return command.fail("evaluate.py", error)
    options = [each for name, each in declared.items() if name not in values]
    text = f"{values.get_help()}\n{help_text(options)}"
    define(values, options)
    return command.run(
        "evaluate.py",
        values,
        argv,
        __doc__,
        lambda: _evaluate(values, found, options),
        help_text=text,
    )


def _flags() -> flags.FlagValues:
    """The flags of this program, without the task's."""
    values = command.new_flags()
    for name, text in {
        "checkpoint_dir": "Directories of models, one or several.",
        "pretrained": "Names of models that come with this program, one or several.",
        "lengths": "Sizes of episodes (length, number of items, ...: the task's first size); by "
        "default the largest in training, and 2, 4 and 8 times as large.",
        "memory_size": "Memory slots, if not as in training; one number, or one for each size.",
    }.items():
        default = None if name in ("lengths", "memory_size") else []
        flags.DEFINE_list(name, default, text, flag_values=values)
    for name, default, low, text in (
        ("num_sequences", 1000, 1, "Sequences of each size, where the task generates them."),
        ("seed", 0, 0, "Seed of the data."),
        ("examples", 0, 0, "Episodes to show with the model's answers."),
    ):
        flags.DEFINE_integer(name, default, text, low, 2**31 - 1, flag_values=values)
    flags.DEFINE_bool(
        "best", False, "Whether to take the best checkpoint, not the newest.", flag_values=values
    )
    flags.DEFINE_bool("jit", True, "Whether to compile with XLA.", flag_values=values)
    flags.DEFINE_string("plot", None, "PNG file to draw the errors into.", flag_values=values)
    flags.DEFINE_string("csv", None, "CSV file to write the table into.", flag_values=values)
    command.accept_local_paths(values, "checkpoint_dir", "plot", "csv")
    return values


def _checkpoints(values: flags.FlagValues, argv: Sequence[str]) -> dict[str, Checkpoint]:
    """The models on a command line, by name. The options of their task are unknown yet."""
    values.set_gnu_getopt(True)  # The value of an unknown flag does not end the flags.
    try:
        values(argv, known_only=True)
    except flags.Error:
        return {}  # `command.run` finds it again.
    paths = [pathlib.Path(directory) for directory in values["checkpoint_dir"].value]
    paths += map(runs.pretrained, values["pretrained"].value)
    names = [path.name for path in dict.fromkeys(paths)]
    found = {
        path.name if names.count(path.name) == 1 else str(path): runs.newest_checkpoint(
            path, values["best"].value
        )
        for path in paths
    }
    tasks = {name: checkpoint.settings["task"] for name, checkpoint in found.items()}
    if len(set(tasks.values())) > 1:
        text = ", ".join(f"{name} of {task}" for name, task in tasks.items())
        raise ValueError(f"Only models of one task can be compared, got {text}.")
    return found


def _evaluate(
    values: flags.FlagValues, found: Mapping[str, Checkpoint], options: Sequence[Option]
) -> None:
    if not found:
        raise ValueError("Give checkpoint_dir or pretrained: the models to measure.")
    plot, table = values["plot"].value, values["csv"].value
    for path in filter(None, [plot, table]):
        if not pathlib.Path(path).resolve().parent.is_dir():
            raise ValueError(f"There is no folder for {path}.")
    changes = given(values, options)
    models = {
        name: (checkpoint, Config.of_run(checkpoint.settings).replace(**changes))
        for name, checkpoint in found.items()
    }
    task = make_task(next(iter(models.values()))[1], batch_size=1)
    if task.sizes and task.every_batch("test") is None:
        reports = _at_sizes(values, models)
    elif values["lengths"].value:
        raise ValueError(
            f"lengths is for tasks that generate episodes of any size, not {task.name}."
        )
    else:
        reports = _of_the_test(values, models)
    for name, report in reports.items():
        for example in report.examples:
            say(f"\n{name}:\n{example}")
    if table:
        write_csv(reports, table)
    if plot:
        next(iter(reports.values())).plot(reports, plot)


def _at_sizes(values: flags.FlagValues, models: _Models) -> dict[str, Report]:
    """Measures models at several sizes; prints each line of the table as soon as it is there."""
    reports = {}
    for name, (checkpoint, config) in models.items():
        rows, examples = [], []
        for row, texts in measuring.at_sizes(
            checkpoint,
            config,
            _whole_numbers(values, "lengths"),
            _whole_numbers(values, "memory_size"),
            num_sequences=values["num_sequences"].value,
            num_examples=values["examples"].value,
            seed=values["seed"].value,
            jit=values["jit"].value,
        ):
            if not (reports or rows):
                say(SizeReport.head(row))
            say(SizeReport.line(name, row))
            rows.append(row)
            examples += texts
        reports[name] = SizeReport({"error": rows[0]["error"]}, rows, examples=examples)
    return reports


def _of_the_test(values: flags.FlagValues, models: _Models) -> dict[str, Report]:
    """Measures models on all episodes of the test; prints the task's own table."""
    slots = _whole_numbers(values, "memory_size") or []
    if len(slots) > 1:
        raise ValueError(f"memory_size must be one number, got {len(slots)}.")
    reports, num_sequences = {}, values["num_sequences"].value
    for name, (checkpoint, config) in models.items():
        config = config.replace(memory_size=slots[0]) if slots else config
        core, task = restore(checkpoint, config, min(BATCH_SIZE, num_sequences))
        evaluation = Evaluation(core, task, values["seed"].value, values["jit"].value)
        reports[name] = evaluation.report("test", num_sequences, values["examples"].value)
        for note in task.notes:
            say(f"{name}: {note}")
    for line in next(iter(reports.values())).table(reports):
        say(line)
    return reports


def _whole_numbers(values: flags.FlagValues, name: str) -> list[int] | None:
    """The value of a flag, `None` if it was not given."""
    texts = values[name].value
    if texts is None:
        return None
    if not texts or not all(x.isascii() and x.isdecimal() and int(x) for x in texts):
        raise ValueError(f"{name} must be whole numbers >= 1, got {','.join(texts)}.")
    return [int(x) for x in texts]


if __name__ == "__main__":
    sys.exit(main(sys.argv))
