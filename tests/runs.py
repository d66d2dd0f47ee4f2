"""Runs on disk whose cores were not trained."""

import os
from typing import Any

import tensorflow as tf

from training.config import Config
from training.models import make_core, make_task
from training.optimization import rmsprop
from training.runs import Run

TINY = {"hidden_size": 4, "memory_size": 4, "word_size": 3, "num_read_heads": 1}


def untrained(directory: str | os.PathLike, **settings: Any) -> str | os.PathLike:
    """Saves a small core as a run with a checkpoint of step 0; returns the directory."""
    tf.random.set_seed(0)  # What a test compares must not depend on chance.
    config = Config.of(preset="none", **{**TINY, **settings})
    core = make_core(config, make_task(config))
    with Run(directory, config) as run:
        run.restore(core=core, optimizer=rmsprop(core.trainable_variables, 1e-3, 1e-10))
        run.save(0)
    return directory
