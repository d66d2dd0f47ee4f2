"""Optimizers; what an update does in a training is in test_step."""

import numpy as np
import sonnet as snt
import tensorflow as tf

from training.optimization import adam, rmsprop


def test_making_the_optimizer_changes_no_variable():
    variable = tf.Variable([1.0, -2.0])

    optimizer = rmsprop([variable], learning_rate=0.1, epsilon=1e-10)

    np.testing.assert_array_equal(variable, [1.0, -2.0])
    np.testing.assert_array_equal(optimizer.ms[0], [1.0, 1.0])


def test_the_optimizer_is_rmsprop_with_a_mean_square_that_starts_at_one():
    variable = tf.Variable([1.0, -2.0])
    optimizer = rmsprop([variable], learning_rate=0.1, epsilon=1e-3)
    expected, mean_square = np.array([1.0, -2.0]), np.ones(2)

    for gradient in np.array([[0.5, -3.0], [2.0, 0.0], [-1.0, 4.0]]):
        optimizer.apply([tf.constant(gradient, tf.float32)], [variable])
        mean_square = 0.9 * mean_square + 0.1 * gradient**2
        expected -= 0.1 * gradient / np.sqrt(mean_square + 1e-3)

    np.testing.assert_allclose(variable, expected, rtol=1e-6)
    np.testing.assert_allclose(optimizer.ms[0], mean_square, rtol=1e-6)


def test_momentum_goes_on_in_the_same_direction():
    variable = tf.Variable([1.0, -2.0])
    optimizer = rmsprop([variable], learning_rate=0.1, epsilon=1e-3, momentum=0.9)
    expected, mean_square, momentum = np.array([1.0, -2.0]), np.ones(2), np.zeros(2)

    for gradient in np.array([[0.5, -3.0], [2.0, 0.0], [-1.0, 4.0]]):
        optimizer.apply([tf.constant(gradient, tf.float32)], [variable])
        mean_square = 0.9 * mean_square + 0.1 * gradient**2
        momentum = 0.9 * momentum + 0.1 * gradient / np.sqrt(mean_square + 1e-3)
        expected -= momentum

    np.testing.assert_allclose(variable, expected, rtol=1e-6)


def test_making_adam_changes_nothing_and_is_not_a_step():
    made, fresh = tf.Variable([1.0, -2.0]), tf.Variable([1.0, -2.0])
    gradient = [tf.constant([0.5, -3.0])]

    adam([made], learning_rate=0.1, epsilon=1e-7).apply(gradient, [made])
    snt.optimizers.Adam(0.1, epsilon=1e-7).apply(gradient, [fresh])

    np.testing.assert_array_equal(made, fresh)
