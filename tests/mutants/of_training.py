"""Mutants of `training`: steps, checkpoints and all that surrounds them."""

from tests.mutants import Mutant

_STEP = "unit/training/test_step.py"
_RUNS = "unit/training/test_runs.py"
_CHECKPOINTS = "unit/training/test_checkpoints.py"
_NUMERICS = "unit/training/test_numerics.py"
_EPISODES = "unit/training/test_episodes.py"
_LESSONS = "unit/training/test_curriculum.py"
_EVALUATION = "unit/training/test_evaluation.py"

MUTANTS = (
    # --- The step.
    Mutant(
        "seed ignored",
        "training/step.py",
        'episodes.collect(core, task, "train", self._seed, step, lesson)',
        'episodes.collect(core, task, "train", 0, step, lesson)',
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
        "return _find(core, task, own, self._recompute_every)",
        "found = _find(core, task, own, self._recompute_every)\n            return found._replace("
        "gradients=_clip(core.trainable_variables, found, self.update.max_grad_norm).gradients)",
        f"{_STEP}::test_gradients_of_replicas_are_clipped_after_their_mean",
    ),
    Mutant(
        "all replicas learn from the first part",
        "training/episodes.py",
        "begin[axis] = index * size[axis]",
        "begin[axis] = 0 * size[axis]",
        f"{_EPISODES}::test_parts_of_a_batch_are_those_of_the_whole",
    ),
    Mutant(
        "a call continues after a stretch that ended early",
        "training/step.py",
        "if int(self.step) < step:",
        "if False:",
        f"{_STEP}::TestPrograms::test_a_call_ends_at_a_step_that_is_not_finite_also_between_lengths",
    ),
    Mutant(
        "a program for each stretch",
        "training/step.py",
        "        if key not in self._programs:\n",
        "        if True:\n",
        f"{_STEP}::TestPrograms::test_there_is_one_for_each_length_however_many_steps_are_made",
    ),
    Mutant(
        "programs stay when the learning rate changes",
        "training/step.py",
        "            self._programs.clear()\n",
        "",
        f"{_STEP}::TestPrograms::test_another_learning_rate_replaces_them",
    ),
    Mutant(
        "lessons have no effect on batches",
        "training/step.py",
        "lesson = lesson if task.lessons else None",
        "lesson = None",
        _LESSONS,
    ),
    Mutant(
        "memory does not grow with the lessons",
        "training/step.py",
        "core, task = self._core_of(key[1]), self.task.of_length(num_steps)",
        "core, task = self._core_of(None), self.task.of_length(num_steps)",
        _LESSONS,
    ),
    # --- Episodes.
    Mutant(
        "the same random numbers at each time step of an episode",
        "training/episodes.py",
        "draws.fold_in(key, tf.cast(t, tf.int64))",
        "draws.fold_in(key, tf.cast(0 * t, tf.int64))",
        f"{_EPISODES}::test_the_keys_of_all_time_steps_and_of_the_start_differ",
    ),
    Mutant(
        "an environment's keys are those of the start",
        "training/episodes.py",
        "key = draws.fold_in(draws.keys(split, seed, step, 1)[0], _RESPONSES)",
        "key = draws.keys('train', seed, step, 1)[0]",
        f"{_EPISODES}::test_the_keys_of_all_time_steps_and_of_the_start_differ",
    ),
    Mutant(
        "the state of the core is lost between the steps of a roll-out",
        "training/episodes.py",
        "*following, seen = advance(t, environment, observation, state)",
        "state = core.initial_state(task.batch_size)\n"
        "        *following, seen = advance(t, environment, observation, state)",
        f"{_EPISODES}::test_gradients_are_those_of_the_whole_loop_at_once",
    ),
    Mutant(
        "gradients through the observations of a roll-out",
        "training/episodes.py",
        "tf.stop_gradient(stack.stack())",
        "stack.stack()",
        f"{_EPISODES}::test_observations_are_constants_also_under_a_tape",
    ),
    Mutant(
        "eager batches are not narrowed to their length",
        "training/episodes.py",
        "if not any(tf.is_tensor(argument) for argument in (seed, step, lesson)):",
        "if False:",
        f"{_EPISODES}::TestCollect::test_a_batch_has_its_own_length_unless_the_length_is_fixed",
    ),
    # --- Optimizers.
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
        "a run is resumed with other flags",
        "training/runs.py",
        "        if name not in may_differ\n",
        "        if False\n",
        _RUNS,
    ),
    Mutant(
        "a run with a flag that no longer exists is refused",
        "training/runs.py",
        "for name, value in flags.items() if name not in _REMOVED_FLAGS",
        "for name, value in flags.items()",
        f"{_RUNS}::test_a_run_with_a_flag_that_no_longer_exists_is_resumed_without_it",
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
        "samples are of the training's batches",
        "training/evaluation.py",
        'self.answers("validation", _sets(step)[0], 1)',
        'self.answers("train", _sets(step)[0], 1)',
        _EVALUATION,
    ),
    Mutant(
        "finite data are not evaluated completely",
        "training/evaluation.py",
        'if self._is_finite("validation"):',
        "if False:",
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
        "the search for non-finite numbers ignores padding",
        "training/numerics.py",
        "trace = episodes.watch(core, task, whole, step)",
        "trace = episodes.watch(core, task, batch, step)",
        _NUMERICS,
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
        'episodes.collect(self._core, self._task, "validation", self._seed, -1)',
        'episodes.collect(self._core, self._task, "train", self._seed, 0)',
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
        "a preset overrides what was given",
        "training/presets.py",
        "if not values[flag].present and flag not in unused:",
        "if flag not in unused:",
        "unit/training/test_presets.py",
    ),
    Mutant(
        "exit code 0 for a wrong flag",
        "training/command.py",
        "    return code\n",
        "    return 0\n",
        "unit/bench/test_commands.py unit/tasks/babi/test_ask.py",
    ),
)
