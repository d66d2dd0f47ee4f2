import json
import math

import numpy as np
import pytest
import tensorflow as tf

from training.progress import Means, Progress


def test_means_are_over_the_steps_since_they_were_taken():
    means = Means()
    assert means.totals == {}
    means.advance({"loss": tf.constant(3.0), "wrong_bits": tf.constant(6.0)}, 3)
    means.advance({"loss": tf.constant(8.0), "wrong_bits": tf.constant(12.0)}, 1)
    assert means.totals == {"loss": 8.0, "wrong_bits": 12.0}
    assert means.take() == {"loss": 2.0, "wrong_bits": 3.0}
    means.advance({"loss": tf.constant(2.0), "wrong_bits": tf.constant(4.0)}, 2)
    assert means.take() == {"loss": 1.0, "wrong_bits": 2.0}
    assert means.take() == {}


def test_means_continue_from_their_state_as_json():
    means = Means()
    means.advance({"loss": tf.constant(0.1), "gradient_norm": tf.constant(float("nan"))}, 3)
    again = Means(json.loads(json.dumps(means.state)))
    assert np.float32(again.totals["loss"]) == np.float32(0.1)
    again.advance({"loss": 4.0, "gradient_norm": 0.0}, 1)
    assert again.take() == {"loss": 1.0, "gradient_norm": 0.0}


def test_progress_is_what_it_was_before_it_was_saved():
    progress = Progress(learning_rate=0.5, loss=2.0, solved=False, validation=(3, 0.5))
    progress.means.advance({"loss": 3.0}, 2)
    progress.module_norms.advance({"access": 1.0}, 4)
    progress.window.advance({"wrong_bits": 6.0}, 3)

    again = Progress.of(json.loads(json.dumps(progress.state())), learning_rate=1.0)

    assert again.state() == progress.state()
    assert again.means.take() == {"loss": 1.5}
    assert again.module_norms.take() == {"access": 0.25}
    assert again.window.take() == {"wrong_bits": 2.0}


@pytest.mark.parametrize("state", [None, {}, {"solved": None, "validation": None}])
def test_without_a_checkpoint_or_with_an_old_one_progress_is_at_its_start(state):
    progress = Progress.of(state, learning_rate=1.0)

    assert progress.learning_rate == 1.0
    assert math.isnan(progress.loss)
    assert progress.solved is progress.validation is None
    assert progress.means.take() == progress.module_norms.take() == progress.window.take() == {}


def test_validations_without_a_better_one_are_counted():
    progress = Progress(learning_rate=1.0)
    counts = []
    for step, error in enumerate([3.0, 2.0, 2.0, 5.0, 1.0], start=1):
        progress.validated(step, error)
        counts.append(progress.not_better)

    assert counts == [0, 0, 1, 2, 0]
    assert (progress.validation, progress.best_error) == ((5, 1.0), 1.0)
