import numpy as np
import pytest
import tensorflow as tf

from tasks import answers
from tests import golden

UNITS = golden.Recording(golden.DATA / "units.npz")


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
        loss = answers.masked_sigmoid_cross_entropy(
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
        loss = answers.masked_sigmoid_cross_entropy(ones, ones, tf.zeros([3, 2]), time_average)
        assert loss == 0.0


def test_bit_metrics_count_wrong_bits_and_flawless_episodes():
    # Two steps, three episodes, two channels. Episode 0 is right, 1 has one wrong bit, 2 has three.
    target = tf.constant([[[0, 1], [0, 1], [1, 1]], [[1, 1], [0, 0], [0, 0]]], tf.float32)
    logits = tf.constant([[[-2, 5], [-1, -3], [-1, -1]], [[1, 9], [-4, -4], [-2, 7]]], tf.float32)

    metrics = answers.bit_metrics(logits, target, tf.ones([2, 3]))

    np.testing.assert_allclose(metrics["wrong_bits"], (0 + 1 + 3) / 3)
    np.testing.assert_allclose(metrics["solved_sequences"], 1 / 3)


def test_bit_metrics_ignore_steps_that_do_not_count():
    target = tf.zeros([3, 1, 2])
    logits = tf.constant([[[9.0, 9.0]], [[-9.0, -9.0]], [[9.0, 9.0]]])

    metrics = answers.bit_metrics(logits, target, tf.constant([[0.0], [1.0], [0.0]]))

    assert metrics["wrong_bits"] == 0.0
    assert metrics["solved_sequences"] == 1.0


def test_a_logit_of_zero_answers_zero():
    logits = tf.zeros([1, 1, 1])

    assert answers.bit_metrics(logits, tf.zeros([1, 1, 1]), tf.ones([1, 1]))["wrong_bits"] == 0.0
    assert answers.bit_metrics(logits, tf.ones([1, 1, 1]), tf.ones([1, 1]))["wrong_bits"] == 1.0
