"""Mutants of `bench` and of the scripts train.py and evaluate.py."""

from tests.mutants import Mutant

_TRAIN = "unit/test_train.py"
_EVALUATE = "unit/test_evaluate.py"

MUTANTS = (
    Mutant(
        "ratio upside down",
        "bench/_timing.py",
        "self.median_ms / baseline.median_ms",
        "baseline.median_ms / self.median_ms",
        "unit/bench/test_timing.py",
    ),
    Mutant(
        "the shortest time instead of the median",
        "bench/_timing.py",
        "Timing(statistics.median(values), min(values)",
        "Timing(min(values), min(values)",
        "unit/bench/test_timing.py",
    ),
    Mutant(
        "what was intact and lost is not told",
        "bench/soak.py",
        "elif life.began_at < intact:",
        "elif life.began_at > intact:",
        "unit/bench/test_soak.py::test_what_was_lost_and_should_not_have_been_is_told",
    ),
    Mutant(
        "runs that failed count as solved",
        "bench/_runs.py",
        'row["solved"] == "True"',
        'row["solved"] != "True"',
        "unit/bench/test_results.py",
    ),
    Mutant(
        "a benchmark that failed ends with 0",
        "bench/_command.py",
        "return int(any(map(has_failed, done)))",
        "return 0",
        "unit/bench/test_commands.py",
    ),
    Mutant(
        "checkpoints of every second step",
        "bench/memory.py",
        "return max(1, round(num_steps**0.5))",
        "return 2",
        "unit/bench/test_memory.py",
    ),
    Mutant(
        "resume ignores the step",
        "training/experiment.py",
        "            step=self._training.step,\n",
        "",
        f"{_TRAIN}::TestResuming",
    ),
    Mutant(
        "exit code 0 for a training that cannot continue",
        "train.py",
        'return command.fail("train.py", error, code=1)',
        'return command.fail("train.py", error, code=0)',
        f"{_TRAIN}::TestAStepThatIsNotFinite::test_ends_the_training_with_a_report",
    ),
    Mutant(
        "settings on the command line are printed as the preset's",
        "train.py",
        'if k != "task" and k not in settings and v != defaults[k].default',
        'if k != "task" and v != defaults[k].default',
        f"{_TRAIN}::TestARun::test_tells_its_preset_which_other_flags_override",
    ),
    Mutant(
        "a run is resumed with another learning rate",
        "training/runs.py",
        "if name not in declared or not declared[name].may_change",
        "if name not in declared",
        f"{_TRAIN}::TestResuming::test_is_refused_with_other_flags",
    ),
    Mutant(
        "initial values do not depend on the seed",
        "training/experiment.py",
        "tf.random.set_seed(config.seed)",
        "tf.random.set_seed(0)",
        f"{_TRAIN}::TestARun::test_starts_from_the_values_of_its_seed",
    ),
    Mutant(
        "solved at a size that was not trained",
        "training/measuring.py",
        "config == trained and size == trained_to",
        "config == trained",
        _EVALUATE,
    ),
    Mutant(
        "sizes by default stop at twice the trained one",
        "training/measuring.py",
        "_FACTORS = (1, 2, 4, 8)",
        "_FACTORS = (1, 2)",
        f"{_EVALUATE}::test_by_default_sizes_are_the_largest_in_training_and_multiples",
    ),
    Mutant(
        "memory of every size as trained",
        "training/measuring.py",
        "    slots = slots or [trained.memory_size]\n",
        "    slots = [trained.memory_size]\n",
        f"{_EVALUATE}::test_by_default_sizes_are_the_largest_in_training_and_multiples",
    ),
    Mutant(
        "the verdict also for other options than in training",
        "training/measuring.py",
        "config == trained and size == trained_to",
        "size == trained_to",
        f"{_EVALUATE}::test_an_option_that_differs_from_training_leaves_no_verdict",
    ),
    Mutant(
        "options of the task are not flags",
        "evaluate.py",
        "    define(values, of_task)\n",
        "",
        f"{_EVALUATE}::test_an_option_of_the_task_may_come_first_in_two_words",
    ),
)
