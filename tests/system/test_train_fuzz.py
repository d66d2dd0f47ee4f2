"""train.py with any sensible flags: it trains a model that can be loaded."""

import numpy as np
from hypothesis import given, settings

from tests.flags import SENSIBLE, as_arguments
from tests.scripts import run_train
from training import episodes
from training.models import load


@settings(max_examples=6)
@given(values=SENSIBLE)
def test_sensible_flags_train_a_model_or_are_refused(values, tmp_path_factory):
    directory = tmp_path_factory.mktemp("sensible")
    values = {**values, "checkpoint_dir": "run", "num_training_iterations": 3, "jit": False}

    ended = run_train(*as_arguments(values), directory=directory)

    if ended.code == 2:
        assert ended.err.count("\n") == 1
        return
    if ended.code == 1:  # With a learning rate of 10, say.
        assert "is not finite" in ended.err
        return
    assert ended.code == 0
    core, task = load(directory / "run", batch_size=2)
    task = task.of_length(task.steps_of_batch("train", 0, 0))
    batch = episodes.collect(core, task, "train", 0, 0)
    outputs = episodes.replay(core, batch)
    assert outputs.shape == (*batch.mask.shape, task.output_size)
    assert np.isfinite(outputs).all()
