"""`checkpoint_every` takes less memory for the same values and gradients."""

import functools

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from tests.models import (
    MODES,
    after_some_steps,
    assert_same,
    make_core,
    random_inputs,
    with_gradients,
)

BATCH_SIZE, INPUT_SIZE = 3, 5

RESET_OF_7 = np.random.default_rng(5).random([7, BATCH_SIZE]) < 0.2
CHECKPOINTED = {
    "fast": ("DNC", "graph"),
    # Sparse links, other intervals: tests/system/test_unrolling.py.
    "plain": ("DNC", "eager"),
    "plain, sparse links": ("sparse", "eager"),
    "another core": ("LSTM", "graph"),
    "another core, compiled": ("LSTM", "compiled"),
}


@pytest.mark.parametrize(
    ("kind", "every"),
    [(kind, 3) for kind in CHECKPOINTED] + [("plain", 10)],
)
def test_checkpointing_changes_neither_values_nor_gradients(kind, every):
    check(kind, every)


def check(kind, every):
    name, mode = CHECKPOINTED[kind]
    inputs = random_inputs(7, BATCH_SIZE)
    if name in ("DNC", "sparse"):
        linkage = dnc.SparseTemporalLinkage(6, num_links=3) if name == "sparse" else None
        core = make_core(dtype=tf.float64, linkage=linkage)
        state = after_some_steps(core)
    else:
        core = snt.LSTM(4, dtype=tf.float64)
        state = core.initial_state(BATCH_SIZE)
        core(inputs[0], state)
    options = {"sequence_length": tf.constant([7, 3, 5]), "reset": tf.constant(RESET_OF_7)}
    run = functools.partial(with_gradients, dnc.unroll, core, **options)
    checkpointed = MODES[mode](functools.partial(run, checkpoint_every=every))
    assert_same(checkpointed(inputs, state), run(inputs, state), 1e-10)


def test_checkpointing_returns_all_states_when_asked():  # In a graph: tests/system.
    core = make_core(dtype=tf.float64)
    inputs, state = random_inputs(7, BATCH_SIZE), after_some_steps(core)
    run = functools.partial(with_gradients, dnc.unroll, core, return_all_states=True)
    assert_same(run(inputs, state, checkpoint_every=3), run(inputs, state), 1e-10)


def test_checkpointing_passes_gradients_to_a_learned_initial_state():
    class Learned(snt.RNNCore):
        def __init__(self):
            super().__init__()
            self.start = tf.Variable(tf.constant([[0.5, -0.25]], tf.float64))

        def __call__(self, inputs, prev_state):
            state = tf.tanh(inputs + prev_state)
            return state, state

        def initial_state(self, batch_size):
            return tf.repeat(self.start, batch_size, axis=0)

    core, inputs = Learned(), random_inputs(4, 2, 2)
    reset = tf.constant([[False, False], [False, True], [False, False], [True, False]])

    def gradient(checkpoint_every=None):
        with tf.GradientTape() as tape:
            outputs, _ = dnc.unroll(core, inputs, reset=reset, checkpoint_every=checkpoint_every)
            loss = tf.reduce_sum(tf.sin(outputs))
        return tape.gradient(loss, core.start)

    expected = gradient()
    for run in (MODES["eager"], MODES["graph"]):
        np.testing.assert_allclose(run(functools.partial(gradient, 3))(), expected, rtol=1e-12)


@pytest.mark.parametrize("every", [0, -1, 2.5, True])
def test_an_impossible_checkpoint_interval_is_an_error(every):
    with pytest.raises(ValueError, match=r"checkpoint_every.*got"):
        dnc.unroll(make_core(), random_inputs(3, 1, dtype=tf.float32), checkpoint_every=every)


def test_checkpointing_an_unknown_number_of_steps_is_an_error():
    core = make_core()

    @tf.function(input_signature=[tf.TensorSpec([None, 2, INPUT_SIZE])])
    def run(inputs):
        return dnc.unroll(core, inputs, checkpoint_every=2)[0]

    with pytest.raises(ValueError, match=r"checkpoint_every needs.*known number of steps"):
        run(tf.zeros([3, 2, INPUT_SIZE]))


def noisy(x):
    return x + tf.random.normal(tf.shape(x))


class Noisy(snt.RNNCore):
    """A core without a memory that does something else when it runs again."""

    def __call__(self, inputs, prev_state):
        return noisy(inputs), prev_state

    def initial_state(self, batch_size, dtype=None):
        return ()


@pytest.mark.parametrize("mode", ["eager", "graph"])
def test_checkpointing_a_stack_with_a_core_that_does_not_repeat_is_an_error(mode):
    core = snt.DeepRNN([Noisy(), dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(4), 2)])
    run = MODES[mode](functools.partial(dnc.unroll, core, checkpoint_every=2))
    with pytest.raises(
        ValueError, match=r"step of deep_rnn would not do the same .*RandomStandard"
    ):
        run(tf.ones([4, 2, INPUT_SIZE]))


@pytest.mark.parametrize(
    "controller",
    {
        "RandomUniform": lambda x: tf.nn.dropout(x, 0.5),
        "RandomStandardNormal": lambda x: tf.cond(x[0, 0] > 0, lambda: x, lambda: noisy(x)),
        "AssignAddVariableOp": snt.BatchNorm(True, True),
    }.items(),
    ids=lambda item: item[0],
)
def test_checkpointing_what_does_not_repeat_is_an_error(controller):
    operation, network = controller
    if isinstance(network, snt.BatchNorm):
        network = functools.partial(network, is_training=True)
    core = dnc.DNC(dnc.MemoryAccess(4, 3), network, 2)
    core.network = controller[1]
    run_steps = functools.partial(dnc.unroll, implementation="steps")
    for run in (run_steps, tf.function(run_steps)):
        with pytest.raises(ValueError, match=rf"step of dnc would not do the same .*{operation}"):
            run(core, tf.ones([4, 2, INPUT_SIZE]), checkpoint_every=2)
