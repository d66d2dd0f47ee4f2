"""Any controller, and a DNC inside of other networks: each combination learns."""

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from tests import models
from tests.models import random_inputs

NUM_STEPS, BATCH_SIZE, WIDTH = 6, 8, 4


def access(**options):
    return dnc.MemoryAccess(memory_size=6, word_size=6, num_reads=2, **options)


class Classifier(snt.Module):
    """Features before, a head after, the parts run one after the other on whole sequences."""

    def __init__(self):
        super().__init__()
        self.features = snt.Sequential([snt.Linear(12), tf.nn.relu])
        self.core = dnc.DNC(access(), snt.LSTM(16), output_size=10)
        self.head = snt.nets.MLP([12, WIDTH])

    def __call__(self, inputs):
        features = snt.BatchApply(self.features)(inputs)
        outputs, _ = dnc.unroll(self.core, features)
        return snt.BatchApply(self.head)(outputs)


class WithLearnedStart(snt.Module):
    """A controller whose initial state is a variable."""

    def __init__(self):
        super().__init__()
        self.core = dnc.DNC(access(), snt.LSTM(16), WIDTH)
        nothing = tf.nest.map_structure(lambda _: False, self.core.initial_state(1))
        mask = nothing._replace(controller_state=snt.LSTMState(hidden=True, cell=True))
        self.start = snt.TrainableState.for_core(self.core, mask)

    def __call__(self, inputs):
        return dnc.unroll(self.core, inputs, self.start(BATCH_SIZE))[0]


def unrolled(core):
    """A model of one core."""

    class Model(snt.Module):
        def __init__(self):
            super().__init__()
            self.core = core

        def __call__(self, inputs):
            return dnc.unroll(self.core, inputs)[0]

    return Model()


def with_controller(controller, **options):
    return unrolled(dnc.DNC(access(**options), controller, WIDTH, clip_value=20.0))


MODELS = {
    "FeedForward": lambda: with_controller(dnc.FeedForward([32])),
    "LSTM": lambda: with_controller(snt.LSTM(16)),
    "GRU": lambda: with_controller(snt.GRU(16)),
    "VanillaRNN": lambda: with_controller(snt.VanillaRNN(16)),
    "deep_rnn_with_skip_connections": lambda: with_controller(
        snt.deep_rnn_with_skip_connections([snt.LSTM(12), snt.GRU(8)])
    ),
    "DeepLSTM": lambda: with_controller(dnc.DeepLSTM([12, 8])),
    "module": lambda: with_controller(snt.Sequential([snt.Linear(32), tf.nn.tanh])),
    "function": lambda: with_controller(tf.nn.relu),
    "DNC": lambda: with_controller(dnc.DNC(access(), snt.LSTM(12), 10)),
    "used slots": lambda: with_controller(snt.LSTM(16), content_weights=dnc.UsedCosineWeights),
    "DeepRNN": lambda: unrolled(
        snt.DeepRNN(
            [snt.Linear(10), tf.nn.relu, dnc.DNC(access(), snt.LSTM(16), 8), snt.Linear(WIDTH)]
        )
    ),
    "features and head": Classifier,
    "learned initial state": WithLearnedStart,
}


def examples(seed):
    """Four vectors of signs, then silence in which the first two are to be said again."""
    signs = tf.sign(tf.random.stateless_uniform([4, BATCH_SIZE, WIDTH], [0, seed], -1.0, 1.0))
    inputs = tf.concat([signs, tf.zeros([2, BATCH_SIZE, WIDTH])], axis=0)
    return inputs, signs[:2]


def loss_and_gradients(model, seed):
    inputs, target = examples(seed)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean((model(inputs)[-2:] - target) ** 2)
    return loss, tape.gradient(loss, model.trainable_variables)


@pytest.mark.parametrize("name", MODELS)
def test_every_variable_gets_a_gradient_and_a_step_along_it_lowers_the_loss(name):
    tf.random.set_seed(1)
    model = MODELS[name]()
    model(examples(0)[0])
    before, gradients = loss_and_gradients(model, 0)
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        assert np.isfinite(gradient).all() and np.any(gradient), variable.name
    slope = sum(float(tf.reduce_sum(gradient**2)) for gradient in gradients)
    step = 0.01 * float(before) / slope  # To first order, it takes a hundredth of the loss away.
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        variable.assign_sub(step * gradient)

    after, _ = loss_and_gradients(model, 0)

    assert 0.98 * before < after < 0.995 * before


def test_the_deep_lstm_is_the_papers():
    """Against the equations of the paper's Methods, written out in NumPy."""
    sizes, batch_size = [5, 3, 4], 2
    core = dnc.DeepLSTM(sizes, dtype=tf.float64)
    inputs = random_inputs(1, batch_size)[0]
    rng = np.random.default_rng(0)
    state = tf.nest.map_structure(
        lambda x: tf.constant(rng.normal(size=x.shape)), core.initial_state(batch_size)
    )
    output, new_state = core(inputs, state)

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    below, outputs = np.zeros([batch_size, 0]), []
    for layer, old, new in zip(core._layers._layers, state, new_state, strict=True):
        z = np.concatenate([inputs.numpy(), below, old.hidden.numpy()], axis=1)
        weights = np.concatenate([layer.input_to_hidden.numpy(), layer.hidden_to_hidden.numpy()])
        i, f, s, o = np.split(z @ weights + layer.b.numpy(), 4, axis=1)
        cell = sigmoid(f) * old.cell.numpy() + sigmoid(i) * np.tanh(s)
        below = sigmoid(o) * np.tanh(cell)
        np.testing.assert_allclose(new.cell, cell, atol=1e-12)
        np.testing.assert_allclose(new.hidden, below, atol=1e-12)
        outputs.append(below)
    np.testing.assert_allclose(output, np.concatenate(outputs, axis=1), atol=1e-12)
    assert core.output_size == [12]
    sizes = tf.nest.map_structure(lambda part: part.shape[1:], new_state)
    tf.nest.map_structure(lambda a, b: a.assert_is_compatible_with(b), core.state_size, sizes)


def test_the_deep_lstm_says_what_it_needs():
    for sizes in ([], 64, None):
        with pytest.raises(ValueError, match="hidden_sizes must be a list of layer sizes"):
            dnc.DeepLSTM(sizes)
    with pytest.raises(ValueError, match="hidden size must be an integer >= 1, got 0"):
        dnc.DeepLSTM([3, 0])
    with pytest.raises(ValueError, match="float32 or float64"):
        dnc.DeepLSTM([3], dtype=tf.float16)


def signals(bound):
    """An LSTM's outputs over ten steps, and the gradients of a large loss by inputs and weights."""
    lstm = snt.LSTM(4, dtype=tf.float64)
    core = lstm if bound is None else dnc.ClippedSignal(lstm, bound)
    inputs = random_inputs(10, 2)
    lstm(inputs[0], lstm.initial_state(2))
    rng = np.random.default_rng(0)
    for variable in lstm.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs, _ = dnc.unroll(core, inputs)
        loss = 1000.0 * tf.reduce_sum(outputs[-1])
    return outputs, tape.gradient(loss, [inputs, *lstm.trainable_variables])


def test_a_clipped_signal_changes_only_gradients_and_only_large_ones():
    outputs, gradients = signals(None)
    for bound in (1e9, 10.0):
        clipped_outputs, clipped = signals(bound)
        np.testing.assert_array_equal(clipped_outputs, outputs)
        for x, y in zip(clipped, gradients, strict=True):
            assert np.allclose(x, y, rtol=1e-12) == (bound == 1e9)


def test_a_signal_is_clipped_at_each_step_before_it_goes_on():
    """By hand, for outputs 3 s and the next state 2 s + x."""

    class Adder(snt.RNNCore):
        def __call__(self, inputs, state):
            return 3.0 * state, 2.0 * state + inputs

        def initial_state(self, batch_size, dtype=tf.float64):
            return tf.zeros([batch_size, 1], dtype)

    inputs = tf.zeros([3, 1, 1], tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs, state = dnc.unroll(dnc.ClippedSignal(Adder(), 5.0), inputs)
        loss = tf.reduce_sum(outputs) + 7.0 * tf.reduce_sum(state)
    # From the last state 7, clipped to 5; a step before, 2 * 5 + 3 * 1, clipped to 5, and so on.
    np.testing.assert_allclose(tape.gradient(loss, inputs)[:, 0, 0], [5.0, 5.0, 5.0])
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs, state = dnc.unroll(dnc.ClippedSignal(Adder(), 30.0), inputs)
        loss = tf.reduce_sum(outputs) + 7.0 * tf.reduce_sum(state)
    np.testing.assert_allclose(tape.gradient(loss, inputs)[:, 0, 0], [30.0, 17.0, 7.0])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((tf.nn.relu,), "wraps an snt.RNNCore"),
        ((snt.LSTM(3), 0.0), "bound must be a number > 0, got 0.0"),
        ((snt.LSTM(3), float("nan")), "bound must be a number > 0, got nan"),
    ],
)
def test_a_clipped_signal_says_what_it_needs(arguments, message):
    with pytest.raises(ValueError, match=message):
        dnc.ClippedSignal(*arguments)


def test_a_controller_of_inputs_only_does_not_see_what_was_read():
    controller = dnc.InputsOnly(dnc.FeedForward([7]), 5)
    core = dnc.DNC(dnc.MemoryAccess(6, 4, num_reads=2), controller, output_size=3)
    inputs = models.random_inputs(4, 2, dtype=tf.float32)
    first = dnc.record(core, inputs)
    again = dnc.record(core, tf.reverse(inputs, axis=[0]))

    assert inputs.shape[2] == 5
    assert core.controller.core.trainable_variables[1].shape == [5, 7]
    # What is done at a step depends on its input alone; what is read then does not.
    np.testing.assert_allclose(
        first.write_vectors, np.flip(again.write_vectors, axis=0), rtol=1e-5, atol=1e-6
    )
    assert not np.allclose(first.read_words, np.flip(again.read_words, axis=0), atol=1e-3)


def test_a_controller_of_embedded_inputs_sees_the_embedding_and_what_was_read():
    tf.random.set_seed(0)
    controller = dnc.EmbeddedInputs(dnc.FeedForward([7]), 5, 2)
    core = dnc.DNC(dnc.MemoryAccess(6, 4, num_reads=2), controller, output_size=3)
    dnc.unroll(core, models.random_inputs(4, 2, dtype=tf.float32))
    words, inputs = tf.random.normal([2, 8]), tf.random.normal([2, 5])

    output, _ = controller(tf.concat([inputs, words], axis=1), ())

    embedded = tf.concat([inputs @ controller.embedding, words], axis=1)
    np.testing.assert_allclose(output, controller.core(embedded, ())[0], rtol=1e-6)
    assert controller.embedding.shape == [5, 2]
    assert controller.embedding.ref() in {v.ref() for v in core.trainable_variables}


def test_an_embedding_starts_with_variance_1():
    tf.random.set_seed(0)
    embedding = dnc.EmbeddedInputs(snt.LSTM(3), 1000, 50).embedding

    assert abs(float(tf.reduce_mean(embedding))) < 0.03
    assert 0.97 < float(tf.math.reduce_variance(embedding)) < 1.03


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: dnc.EmbeddedInputs(tf.nn.relu, 5, 2), "EmbeddedInputs wraps an snt.RNNCore"),
        (lambda: dnc.EmbeddedInputs(snt.LSTM(3), 0, 2), "input_size must be .* got 0"),
        (lambda: dnc.EmbeddedInputs(snt.LSTM(3), 5, 0), "embedding_size must be .* got 0"),
        (
            lambda: dnc.EmbeddedInputs(snt.LSTM(3), 6, 2)(tf.zeros([2, 5]), ()),
            r"inputs of width 6 or more, got shape \(2, 5\)",
        ),
    ],
)
def test_a_controller_of_embedded_inputs_says_what_it_needs(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: dnc.InputsOnly(tf.nn.relu, 5), "InputsOnly wraps an snt.RNNCore"),
        (lambda: dnc.InputsOnly(snt.LSTM(3), 0), "input_size must be .* got 0"),
        (
            lambda: dnc.InputsOnly(snt.LSTM(3), 6)(tf.zeros([2, 5]), ()),
            r"inputs of width 6 or more, got shape \(2, 5\)",
        ),
    ],
)
def test_a_controller_of_inputs_only_says_what_it_needs(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_state_of_low_precision_is_refused():
    core = models.make_core()
    for refused in (
        lambda: core.initial_state(2, tf.bfloat16),
        lambda: core(tf.zeros([2, 5], tf.bfloat16), core.initial_state(2)),
        lambda: core.access.initial_state(2, tf.bfloat16),
    ):
        with pytest.raises(ValueError, match="must be float32 or float64, got bfloat16"):
            refused()


def test_a_nested_dnc_runs_in_float64():
    inner = dnc.DNC(access(), snt.LSTM(5, dtype=tf.float64), 7)
    core = dnc.DNC(access(), inner, 3)
    outputs, state = dnc.unroll(core, random_inputs(3, 2))
    assert {x.dtype for x in tf.nest.flatten([outputs, state])} == {tf.float64}


def test_without_links_reads_go_by_content_alone():
    core = models.make_core(linkage=dnc.NoLinkage(6))
    trace = dnc.record(core, models.random_inputs(5, 2, dtype=tf.float32))

    np.testing.assert_array_equal(trace.forward_weights, 0.0)
    np.testing.assert_array_equal(trace.backward_weights, 0.0)
    np.testing.assert_array_equal(trace.content_mode, 1.0)
    np.testing.assert_array_equal(trace.read_weights, trace.read_content_weights)
    assert trace.linkage == "none"


def test_a_linkage_without_links_declares_no_modes():
    with_links, without = models.make_core(), models.make_core(linkage=dnc.NoLinkage(6))

    names = list(with_links.access.interface.fields)
    assert list(without.access.interface.fields) == names[:-1]
    assert names[-1] == "read_mode"
    resized = dnc.resize_memory(without.initial_state(1), 9)
    assert resized.access_state.memory.shape[1] == 9
