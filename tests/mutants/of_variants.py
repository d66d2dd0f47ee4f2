"""Mutants of `training`: variants of the DNC, and dropout."""

from tests.mutants import Mutant

_DROPOUT = "unit/training/test_dropout.py"
_EPISODES = "unit/training/test_episodes.py"

MUTANTS = (
    Mutant(
        "a run of version 0.1 loses its read modes",
        "training/config.py",
        'settings["linkage"] = "none_0_1"',
        'settings["linkage"] = "none"',
        "unit/training/test_config.py::test_settings_that_earlier_versions_saved_are_read",
    ),
    Mutant(
        "a preset overrides what makes an advanced DNC",
        "training/presets.py",
        'set(_OF_MEMORIES if core == "lstm" else of_core(core))',
        'set(_OF_MEMORIES if core == "lstm" else ())',
        "unit/training/test_presets.py::test_an_advanced_dnc_has_defaults_that_override_the_preset",
    ),
    Mutant(
        "an episode in both directions begins in its padding",
        "training/episodes.py",
        "sequence_length=batch.lengths, checkpoint_every=every",
        "sequence_length=None, checkpoint_every=every",
        f"{_EPISODES}::TestBothDirections::test_padding_makes_no_difference",
    ),
    Mutant(
        "nothing is dropped in training",
        "training/step.py",
        "state = episodes.dropping_state(core, task.batch_size, seed, step)",
        "state = None",
        f"{_DROPOUT}::test_a_step_drops_by_its_seed_and_number",
    ),
    Mutant(
        "each step drops the same",
        "training/episodes.py",
        "dnc.seed_dropout(core.initial_state(batch_size), (seed, step))",
        "dnc.seed_dropout(core.initial_state(batch_size), (seed, 0))",
        f"{_DROPOUT}::test_a_step_drops_by_its_seed_and_number",
    ),
    Mutant(
        "all replicas drop what the first one drops",
        "training/step.py",
        "episodes.part_of_state(state, replica, number)",
        "episodes.part_of_state(state, 0 * replica, number)",
        f"{_DROPOUT}::test_replicas_drop_what_one_device_drops",
    ),
    Mutant(
        "dropout in evaluation",
        "training/evaluation.py",
        "return batch, episodes.replay(core, batch)",
        "state = episodes.dropping_state(core, task.batch_size, seed, step)\n                "
        "return batch, episodes.replay(core, batch, None, state)",
        f"{_DROPOUT}::test_evaluation_drops_nothing",
    ),
    Mutant(
        "dropout in a look into the memory",
        "training/episodes.py",
        "trace = dnc.record(core, inputs, initial_state, sequence_length=batch.lengths, **how)",
        "initial_state = dropping_state(core, size[1], 0, step)\n    "
        "trace = dnc.record(core, inputs, initial_state, sequence_length=batch.lengths, **how)",
        f"{_DROPOUT}::test_a_look_into_the_memory_drops_nothing",
    ),
    Mutant(
        "a step is explained without its dropout",
        "training/numerics.py",
        "episodes.watch(core, task, seen, step, initial_state)",
        "episodes.watch(core, task, seen, step)",
        f"{_DROPOUT}::test_a_step_that_is_explained_drops_what_it_dropped",
    ),
    Mutant(
        "the loss of a step is explained without its dropout",
        "training/numerics.py",
        "episodes.replay(core, batch, initial_state=initial_state)",
        "episodes.replay(core, batch)",
        f"{_DROPOUT}::test_the_loss_of_an_explained_step_is_the_one_with_dropout",
    ),
    Mutant(
        "an interactive episode is played without dropout",
        "training/step.py",
        'episodes.collect(core, task, "train", seed, step, lesson, state), state',
        'episodes.collect(core, task, "train", seed, step, lesson), state',
        f"{_DROPOUT}::test_a_training_plays_an_interactive_episode_with_dropout",
    ),
)
