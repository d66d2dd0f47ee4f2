"""One set of weights is one function, whatever runs it."""

import functools

import keras
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
import dnc.keras
from dnc import reference
from tests import golden
from tests.models import make_core, random_inputs, random_state

# What follows starts from a random state instead of zeros. In an empty memory all slots are equally
# unused: which of them is written first is then up to the last bit, which differs from one way to
# the next, so that the same words may lie in other slots. The function computed is the same, but
# states could be compared only after renumbering the slots (`golden.relabel_slots`).


class Model:
    """A core, and what was made of it once."""

    def __init__(self, num_writes):
        self.core = make_core(num_writes=num_writes)
        self.layer = keras.layers.RNN(
            dnc.keras.RNNCell(self.core), return_sequences=True, return_state=True
        )
        self.parameters = reference.parameters_of(self.core)
        self.expected = functools.cache(self._expected)

    def variables_of(self, run):
        return self.core.trainable_variables

    def inputs_and_state(self, num_steps, batch_size):
        inputs = random_inputs(num_steps, batch_size, dtype=tf.float32)
        return inputs, random_state(self.core, batch_size, tf.float32)

    def _expected(self, num_steps, batch_size):
        """Outputs and last state from the NumPy model, which computes in float64."""
        inputs, state = self.inputs_and_state(num_steps, batch_size)
        arrays = golden.by_name(state)
        examples = []
        for b in range(batch_size):
            start = {key: np.float64(arrays[name][b]) for key, name in golden.SYMBOLS.items()}
            examples.append(
                reference.unroll(
                    self.parameters,
                    np.float64(inputs[:, b]),
                    reference.State(**start),
                    clip=self.core.clip_value,
                )
            )
        outputs = np.stack([[step.y for step in steps] for steps in examples], axis=1)
        last = {
            name: np.stack([getattr(steps[-1].state, key) for steps in examples])
            for key, name in golden.SYMBOLS.items()
        }
        return outputs, last


each_number_of_writes = pytest.fixture(
    scope="module", params=[1, 2], ids=["one-write-head", "two-write-heads"]
)


@each_number_of_writes
def model(request):
    return Model(request.param)


def by_static_unroll(model, inputs, state):
    return snt.static_unroll(model.core, inputs, state)


def by_dynamic_unroll(model, inputs, state):
    return snt.dynamic_unroll(model.core, inputs, state)


def by_unroll(model, inputs, state):
    return dnc.unroll(model.core, inputs, state)


def by_dynamic_rnn(model, inputs, state):
    cell = dnc.rnn_cell(model.core)
    return tf.compat.v1.nn.dynamic_rnn(cell, inputs, initial_state=state, time_major=True)


def by_keras(model, inputs, state):
    cell = model.layer.cell
    outputs, *last = model.layer(
        tf.transpose(inputs, [1, 0, 2]), initial_state=cell.flatten_state(state)
    )
    return tf.transpose(outputs, [1, 0, 2]), cell.pack_state(last)


# As a SavedModel: tests/system/test_same_everywhere.py.
WAYS = [
    by_static_unroll,
    by_dynamic_unroll,
    by_unroll,
    by_dynamic_rnn,
    by_keras,
]
SIZES = [(1, 1), (4, 5)]


@pytest.mark.parametrize(("num_steps", "batch_size"), SIZES)
@pytest.mark.parametrize("run", WAYS)
def test_outputs_and_last_state_are_those_of_the_numpy_model(model, run, num_steps, batch_size):
    check_outputs(model, run, num_steps, batch_size)


def check_outputs(model, run, num_steps, batch_size):
    inputs, state = model.inputs_and_state(num_steps, batch_size)
    outputs, last = run(model, inputs, state)
    assert isinstance(last, dnc.DNCState)
    assert {part.dtype for part in tf.nest.flatten((outputs, last))} == {tf.float32}
    expected, expected_last = model.expected(num_steps, batch_size)
    golden.assert_close(outputs, expected, "outputs")
    for name, part in golden.by_name(last).items():
        golden.assert_close(part, expected_last[name], name)


def gradients(model, run, inputs, state):
    """By all variables, the inputs and the state, of a sum in which every element counts."""
    rng = np.random.default_rng(1)
    watched = [inputs, *tf.nest.flatten(state)]
    with tf.GradientTape() as tape:
        tape.watch(watched)
        results = tf.nest.flatten(run(model, inputs, state))
        loss = tf.add_n([tf.reduce_sum(x * rng.normal(size=x.shape)) for x in results])
    variables = model.variables_of(run)
    return tape.gradient(loss, [*variables, *watched], unconnected_gradients="zero")


@pytest.mark.parametrize("run", [run for run in WAYS if run is not by_static_unroll])
def test_gradients_are_those_of_the_unroll_step_by_step(model, run):
    check_gradients(model, run)


def check_gradients(model, run):
    inputs, state = model.inputs_and_state(num_steps=4, batch_size=5)
    expected = gradients(model, by_static_unroll, inputs, state)
    actual = gradients(model, run, inputs, state)
    variables = [variable.name for variable in model.core.trainable_variables]
    names = [*variables, "inputs", *golden.by_name(state)]
    for name, a, b in zip(names, actual, expected, strict=True):
        # The released code stops the gradient through the write weights of the step before.
        assert np.any(b) or name == "write_weights"
        golden.assert_close(a, b, name)
