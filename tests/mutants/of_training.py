"""Mutants of `training`: steps, checkpoints and all that surrounds them."""

from tests.mutants import Mutant

_STEP = "unit/training/test_step.py"
_RUNS = "unit/training/test_runs.py"
_CHECKPOINTS = "unit/training/test_checkpoints.py"
_NUMERICS = "unit/training/test_numerics.py"
_EVALUATION = "unit/training/test_evaluation.py"

MUTANTS = (
    # --- The step.
    Mutant(
        "seed ignored",
        "training/step.py",
        "return self._with_batch(self._seed, self.step, self._find)",
        "return self._with_batch(0, self.step, self._find)",
        f"{_STEP}::test_a_step_trains_on_the_batch_of_its_seed_and_number",
    ),
    Mutant(
        "a step that is not finite is made",
        "training/step.py",
        "        if is_finite:\n",
        "        if True:\n",
        _NUMERICS,
    ),
    Mutant(
        "a step that is not finite counts in the totals",
        "training/step.py",
        "tf.where(condition, total + x, total)",
        "total + x",
        _NUMERICS,
    ),
    Mutant(
        "gradients clipped before the mean over replicas",
        "training/step.py",
        "self._find(part(batch, replica, number))",
        "self._find(part(batch, replica, number))._replace(gradients=_clip("
        "self._core.trainable_variables, self._find(part(batch, replica, number)), "
        "self.update.max_grad_norm).gradients)",
        f"{_STEP}::test_gradients_of_replicas_are_clipped_after_their_mean",
    ),
    Mutant(
        "all replicas learn from the first part",
        "training/distribution.py",
        "tf.stack([0, index * size[1]] +",
        "tf.stack([0, 0 * size[1]] +",
        "unit/training/test_distribution.py::test_parts_of_a_batch_are_those_of_the_whole",
    ),
    # --- Optimizers and lessons.
    Mutant(
        "mean square starts at 0",
        "training/optimization.py",
        "mean_square.assign(tf.ones_like(mean_square))",
        "mean_square.assign(tf.zeros_like(mean_square))",
        "unit/training/test_optimization.py",
    ),
    Mutant(
        "learning rate does not decay",
        "training/optimization.py",
        "learning_rate *= tf.maximum(1.0 - part_done, 0.0)",
        "learning_rate *= 1.0",
        f"{_STEP}::test_the_learning_rate_goes_to_zero_in_a_straight_line",
    ),
    Mutant(
        "biases decay, too",
        "training/optimization.py",
        "if variable.shape.rank > 1:",
        "if variable.shape.rank > 0:",
        f"{_STEP}::test_weights_decay_and_biases_do_not",
    ),
    Mutant(
        "a lesson too far",
        "training/curriculum.py",
        "return self._least + lesson",
        "return self._least + lesson + 1",
        "unit/training/test_curriculum.py",
    ),
    Mutant(
        "the next lesson comes while the error is large",
        "training/curriculum.py",
        "if not metrics[self._task.error_name] < self._threshold:",
        "if metrics[self._task.error_name] < self._threshold:",
        "unit/training/test_curriculum.py",
    ),
    # --- Checkpoints.
    Mutant(
        "JSON file moved first",
        "training/checkpoints.py",
        "for path in sorted(folder.iterdir(), key=_is_json):",
        "for path in sorted(folder.iterdir(), key=_is_json, reverse=True):",
        _CHECKPOINTS,
    ),
    Mutant(
        "a complete checkpoint discarded",
        "training/checkpoints.py",
        'if (folder / f"{folder.stem}.json").exists():',
        "if False:",
        _CHECKPOINTS,
    ),
    Mutant(
        "a damaged file accepted",
        "training/checkpoints.py",
        "if found[what] != expected[what]:",
        "if False:",
        _CHECKPOINTS,
    ),
    Mutant(
        "a damaged JSON file accepted",
        "training/checkpoints.py",
        'intact = digest == _digest(content) and content["step"] == step',
        "intact = bool(digest)",
        _CHECKPOINTS,
    ),
    Mutant(
        "text written in place",
        "training/checkpoints.py",
        'temporary = path.with_name(f"{path.name}.tmp")',
        "temporary = path",
        _CHECKPOINTS,
    ),
    # --- Runs.
    Mutant(
        "recovery skipped",
        "training/runs.py",
        "            checkpoints.recover(self.directory)\n",
        "",
        f"{_RUNS}::test_a_checkpoint_that_was_being_moved_when_the_process_ended_is_used",
    ),
    Mutant(
        "lock ignored",
        "training/lock.py",
        "            if fcntl:\n",
        "            if False:\n",
        "unit/training/test_lock.py",
    ),
    Mutant(
        "the best checkpoint has the largest loss",
        "training/runs.py",
        "loss < best.loss",
        "loss > best.loss",
        f"{_RUNS}::test_the_checkpoint_with_the_smallest_loss_is_kept_by_resumed_runs",
    ),
    Mutant(
        "the best checkpoint removed as an old one",
        "training/runs.py",
        "if old not in kept and not (best and old == best.step):",
        "if old not in kept:",
        f"{_RUNS}::test_the_checkpoint_with_the_smallest_loss_is_kept_by_resumed_runs",
    ),
    Mutant(
        "a run resumes with other settings",
        "training/runs.py",
        "if name not in declared or not declared[name].may_change",
        "if name not in declared",
        f"{_RUNS}::test_only_what_results_do_not_depend_on_may_change",
    ),
    Mutant(
        "a run cannot resume with more slots",
        "training/config.py",
        '_size(16, "Number of memory slots.", may_change=True)',
        '_size(16, "Number of memory slots.")',
        f"{_RUNS}::test_a_setting_that_may_change_is_in_the_next_checkpoints",
    ),
    Mutant(
        "a run with a setting that was removed is refused",
        "training/config.py",
        "{k: v for k, v in saved.items() if k not in _REMOVED}",
        "dict(saved)",
        f"{_RUNS}::test_a_run_with_a_setting_that_was_removed_resumes_without_it",
    ),
    Mutant(
        "an LSTM of equal size becomes one of another",
        "training/config.py",
        'saved.get(_LSTM_OF_EQUAL_SIZE) and saved.get("core") == "lstm"',
        "False",
        "unit/training/test_config.py::test_a_run_that_needs_a_removed_setting_is_refused",
    ),
    Mutant(
        "options of the task are lost where settings are replaced",
        "training/config.py",
        '{**own.pop("options"), **own, **settings}',
        '{**(own.pop("options") and {}), **own, **settings}',
        "unit/training/test_config.py::test_replace_changes_settings_and_options_and_nothing_else",
    ),
    Mutant(
        "a core with another memory has variables of its own",
        "training/models.py",
        "if isinstance(value, tf.Variable):",
        "if False:",
        "unit/training/test_models.py::test_a_core_with_another_memory_shares_all_variables",
    ),
    Mutant(
        "checkpoint of another model accepted",
        "training/runs.py",
        "tf.train.Checkpoint(**objects).read(checkpoint.prefix).assert_consumed()",
        "tf.train.Checkpoint(**objects).read(checkpoint.prefix).expect_partial()",
        f"{_RUNS}::test_a_checkpoint_of_other_objects_is_refused",
    ),
    # --- Evaluation and the loop.
    Mutant(
        "validation uses the seed of the training",
        "training/evaluation.py",
        "self._seed = -1 - seed",
        "self._seed = seed",
        _EVALUATION,
    ),
    Mutant(
        "the same set confirms that it is solved",
        "training/evaluation.py",
        "return 2 * NUM_BATCHES * step, 2 * NUM_BATCHES * step + NUM_BATCHES",
        "return 2 * NUM_BATCHES * step, 2 * NUM_BATCHES * step",
        _EVALUATION,
    ),
    Mutant(
        "extras are not searched for numbers that are not finite",
        "training/numerics.py",
        "quantities.in_order(trace.declared)",
        "quantities.in_order({})",
        f"{_NUMERICS}::test_the_first_quantity_of_a_time_step_is_named",
    ),
    Mutant(
        "nan_policy: once too few",
        "training/numerics.py",
        "self._in_a_row > self._limit",
        "self._in_a_row >= self._limit",
        f"{_NUMERICS}::test_a_policy_holds_until_it_was_followed_too_often_in_a_row",
    ),
    Mutant(
        "means of the last call only",
        "training/reporting.py",
        "self._steps += num_steps",
        "self._steps = num_steps",
        "unit/training/test_reporting.py",
    ),
    Mutant(
        "learning rate not remembered",
        "training/loop.py",
        'learning_rate=state.get("learning_rate", learning_rate)',
        "learning_rate=learning_rate",
        "unit/training/test_loop.py",
    ),
    Mutant(
        "patience never ends",
        "training/loop.py",
        "self.not_better = 0 if is_better else self.not_better + 1",
        "self.not_better = 0",
        "unit/training/test_loop.py",
    ),
    Mutant(
        "probe looks at a batch of the training",
        "training/probe.py",
        "drawn = task.batch(-1 - seed, -1)",
        "drawn = task.batch(seed, 0)",
        "unit/training/test_probe.py",
    ),
    Mutant(
        "update norms not divided by the steps",
        "training/probe.py",
        "(now - before) / (step - step_before)",
        "(now - before)",
        "unit/training/test_probe.py",
    ),
    Mutant(
        "a preset overrides given settings",
        "training/config.py",
        "{**presets.settings(preset, settings), **settings}",
        "{**settings, **presets.settings(preset, settings)}",
        "unit/training/test_presets.py::test_given_settings_override_a_preset",
    ),
    Mutant(
        "exit code 0 for a wrong flag",
        "training/command.py",
        "    return code\n",
        "    return 0\n",
        "unit/bench/test_commands.py unit/tasks/babi/test_ask.py",
    ),
)
