"""A training run in low precision follows the run in full precision."""

import numpy as np
import sonnet as snt
import tensorflow as tf

import dnc
import tasks
from tests.unit.dnc.test_compute_dtype import HALVES
from training.optimization import rmsprop
from training.step import create_variables


def losses_in_training(compute_dtype, num_steps=500):
    tf.random.set_seed(0)
    task = tasks.get("repeat_copy")
    access = dnc.MemoryAccess(16, 16, 4)
    core = dnc.DNC(access, snt.LSTM(64), task.target_size, 20.0, compute_dtype=compute_dtype)
    optimizer = rmsprop(create_variables(core, task), learning_rate=1e-4, epsilon=1e-10)

    @tf.function(jit_compile=True)
    def losses():
        array = tf.TensorArray(tf.float32, num_steps)
        for number in tf.range(num_steps):
            batch = task.batch(0, tf.cast(number, tf.int64))
            with tf.GradientTape() as tape:
                outputs, _ = dnc.unroll(core, batch.observations)
                loss = task.cost(outputs, batch.target, batch.mask)
            gradients = tape.gradient(loss, core.trainable_variables)
            optimizer.apply(tf.clip_by_global_norm(gradients, 50.0)[0], core.trainable_variables)
            array = array.write(number, loss)
        return array.stack()

    return losses().numpy()


def test_training_in_it_keeps_the_loss_within_one_percent():
    exact = losses_in_training(None)
    assert exact[-50:].mean() < 0.85 * exact[:10].mean()  # It learns.
    for dtype in HALVES:
        np.testing.assert_allclose(losses_in_training(dtype), exact, rtol=0.01)
