"""Cores side by side; unrolled: unrolling/test_implementations.py."""

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc


def test_outputs_are_joined_and_each_core_keeps_its_state():
    cores = [dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(5), output_size=2), snt.LSTM(3)]
    core = dnc.Parallel(cores)
    inputs = tf.random.normal([2, 6])

    outputs, state = core(inputs, core.initial_state(2))

    expected = [own(inputs, own.initial_state(2)) for own in cores]
    np.testing.assert_array_equal(outputs, tf.concat([y for y, _ in expected], axis=1))
    for one, other in zip(*map(tf.nest.flatten, (state, [s for _, s in expected])), strict=True):
        np.testing.assert_array_equal(one, other)
    assert len(core.trainable_variables) == sum(len(own.trainable_variables) for own in cores)


def test_training_is_passed_on():
    class Mode(snt.RNNCore):
        def __call__(self, inputs, prev_state, training=False):
            return tf.fill([len(inputs), 1], 1.0 if training else 0.0), prev_state

        def initial_state(self, batch_size, dtype=None):
            return ()

    core = dnc.Parallel([Mode(), snt.LSTM(1)])
    state = core.initial_state(1)
    assert [float(core(tf.zeros([1, 2]), state, training=t)[0][0, 0]) for t in (None, True)] == [
        0.0,
        1.0,
    ]


@pytest.mark.parametrize("cores", [[], [snt.Linear(2)]])
def test_what_is_no_core_is_refused(cores):
    with pytest.raises(ValueError, match="cores must be one or more"):
        dnc.Parallel(cores)
