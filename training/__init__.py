"""Training of cores on tasks.

import training

config = training.Config.of(task="copy", num_training_iterations=2000)
result = training.train(config)
core, task = training.load(result.directory)
"""

from training.config import Config
from training.experiment import NotSavedError, Result, train
from training.loop import Callback, NotFiniteError
from training.models import load

__all__ = ["Callback", "Config", "NotFiniteError", "NotSavedError", "Result", "load", "train"]
