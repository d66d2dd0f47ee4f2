import numpy as np
import pytest
import tensorflow as tf

import tasks
from tasks import base
from tests import golden

UNITS = golden.Recording(golden.DATA / "units.npz")


def test_a_task_is_found_by_its_name():
    task = tasks.get("repeat_copy", num_bits=7)

    assert isinstance(task, tasks.Task)
    assert task.num_bits == 7
    assert "repeat_copy" in tasks.names()


def test_names_are_sorted():
    assert tasks.names() == sorted(tasks.names())


def test_defaults_are_those_of_the_released_task():
    assert tasks.defaults("repeat_copy") == {
        "num_bits": 4,
        "batch_size": 16,
        "min_length": 1,
        "max_length": 2,
        "min_repeats": 1,
        "max_repeats": 2,
        "norm_max": 10,
        "log_prob_in_bits": False,
        "time_average_cost": False,
        "layout": "deepmind",
    }


@pytest.mark.parametrize("look_up", [tasks.get, tasks.defaults])
def test_an_unknown_task_is_refused_with_the_known_ones(look_up):
    with pytest.raises(ValueError, match="nonsense") as error:
        look_up("nonsense")

    for name in tasks.names():
        assert name in str(error.value)


def test_unknown_options_are_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="first_typo, second_typo") as error:
        tasks.get("repeat_copy", second_typo=1, num_bits=4, first_typo=2)

    for name in tasks.defaults("repeat_copy"):
        assert name in str(error.value)


@pytest.mark.parametrize("case", range(4))
def test_cross_entropy_has_the_recorded_value_and_gradients(case):
    recorded = {
        name: UNITS[f"masked_sigmoid_cross_entropy/{case}/{name}"]
        for name in ("time_average", "log_prob_in_bits", "loss", "probe/loss")
    }
    inputs = {
        name: tf.constant(UNITS[f"masked_sigmoid_cross_entropy/{case}/{name}"])
        for name in ("logits", "target", "mask")
    }

    with tf.GradientTape() as tape:
        tape.watch(inputs)
        loss = base.masked_sigmoid_cross_entropy(
            **inputs,
            time_average=bool(recorded["time_average"]),
            log_prob_in_bits=bool(recorded["log_prob_in_bits"]),
        )
        probed = loss * recorded["probe/loss"]
    gradients = tape.gradient(probed, inputs)

    np.testing.assert_allclose(loss, recorded["loss"], rtol=0, atol=2e-6)
    for name, gradient in gradients.items():
        expected = UNITS[f"masked_sigmoid_cross_entropy/{case}/grad/{name}"]
        np.testing.assert_allclose(gradient, expected, rtol=0, atol=3e-5 * np.abs(expected).max())


def test_cross_entropy_without_any_step_that_counts_is_zero():
    ones = tf.ones([3, 2, 4])

    for time_average in (False, True):
        loss = base.masked_sigmoid_cross_entropy(ones, ones, tf.zeros([3, 2]), time_average)
        assert loss == 0.0


def test_bit_metrics_count_wrong_bits_and_flawless_episodes():
    # Two steps, three episodes, two channels. Episode 0 is right, 1 has one wrong bit, 2 has three.
    target = tf.constant([[[0, 1], [0, 1], [1, 1]], [[1, 1], [0, 0], [0, 0]]], tf.float32)
    logits = tf.constant([[[-2, 5], [-1, -3], [-1, -1]], [[1, 9], [-4, -4], [-2, 7]]], tf.float32)

    metrics = base.bit_metrics(logits, target, tf.ones([2, 3]))

    np.testing.assert_allclose(metrics["wrong_bits"], (0 + 1 + 3) / 3)
    np.testing.assert_allclose(metrics["solved_sequences"], 1 / 3)


def test_bit_metrics_ignore_steps_that_do_not_count():
    target = tf.zeros([3, 1, 2])
    logits = tf.constant([[[9.0, 9.0]], [[-9.0, -9.0]], [[9.0, 9.0]]])

    metrics = base.bit_metrics(logits, target, tf.constant([[0.0], [1.0], [0.0]]))

    assert metrics["wrong_bits"] == 0.0
    assert metrics["solved_sequences"] == 1.0


def test_a_logit_of_zero_answers_zero():
    logits = tf.zeros([1, 1, 1])

    assert base.bit_metrics(logits, tf.zeros([1, 1, 1]), tf.ones([1, 1]))["wrong_bits"] == 0.0
    assert base.bit_metrics(logits, tf.ones([1, 1, 1]), tf.ones([1, 1]))["wrong_bits"] == 1.0
