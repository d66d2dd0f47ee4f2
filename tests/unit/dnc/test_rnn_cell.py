"""`dnc.rnn_cell` in TensorFlow 1's RNN functions gives what `dnc.unroll` gives."""

import functools

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from tests.models import MODES, graph, make_core, random_inputs, random_state

v1 = tf.compat.v1


def dynamic_rnn(core, inputs, state, lengths=None):
    return v1.nn.dynamic_rnn(
        dnc.rnn_cell(core),
        inputs,
        initial_state=state,
        sequence_length=lengths,
        time_major=True,
        dtype=inputs.dtype,
    )


def static_rnn(core, inputs, state, lengths=None):
    outputs, state = v1.nn.static_rnn(
        dnc.rnn_cell(core),
        tf.unstack(inputs),
        initial_state=state,
        sequence_length=lengths,
        dtype=inputs.dtype,
    )
    return tf.stack(outputs), state


def unroll(core, inputs, state, lengths=None):
    return dnc.unroll(core, inputs, state, sequence_length=lengths)


def with_gradients(run, core, inputs, state, lengths=None):
    """Returns the results of `run` and gradients of a sum with a weight for every element."""
    watched = [inputs] if state is None else [inputs, *tf.nest.flatten(state)]
    rng = np.random.default_rng(1)
    with tf.GradientTape() as tape:
        tape.watch(watched)
        results = run(core, inputs, state, lengths)
        loss = tf.add_n(
            [tf.reduce_sum(x * rng.normal(size=x.shape)) for x in tf.nest.flatten(results)]
        )
    sources = [*core.trainable_variables, *watched]
    return results, tape.gradient(loss, sources, unconnected_gradients="zero")


def assert_same(actual, expected, tolerance=1e-12):
    tf.nest.assert_same_structure(actual, expected)
    for a, b in zip(tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        limit = tolerance * max(1.0, np.abs(b).max(initial=0.0))
        np.testing.assert_allclose(a, b, rtol=0, atol=limit)


def core_inputs_and_state(num_steps=4, batch_size=3):
    core = make_core(dtype=tf.float64)
    return core, random_inputs(num_steps, batch_size), random_state(core, batch_size)


def swap(x):
    return tf.transpose(x, [1, 0, 2])


@pytest.mark.parametrize("lengths", [None, [4, 0, 2]], ids=["whole", "padded"])
@pytest.mark.parametrize("from_state", [True, False], ids=["warm", "from-zeros"])
@pytest.mark.parametrize("run", [dynamic_rnn, static_rnn])
def test_outputs_state_and_gradients_are_those_of_unroll(run, from_state, lengths):
    core, inputs, state = core_inputs_and_state()
    state = state if from_state else None
    assert_same(
        with_gradients(run, core, inputs, state, lengths),
        with_gradients(unroll, core, inputs, state, lengths),
    )


@pytest.mark.parametrize("run", [dynamic_rnn, static_rnn])
def test_a_function_gives_the_same(run):  # Compiled: tests/system/test_same_everywhere.py.
    check_function(run, "graph")


def check_function(run, mode):
    core, inputs, state = core_inputs_and_state(num_steps=2)
    lengths = [2, 0, 1]
    wrapped = MODES[mode](functools.partial(with_gradients, run, core, lengths=lengths))
    assert_same(wrapped(inputs, state), with_gradients(unroll, core, inputs, state, lengths))


def test_one_trace_serves_any_number_of_steps_and_any_batch_size():
    core, inputs, state = core_inputs_and_state()
    signature = [
        tf.TensorSpec([None, None, 5], tf.float64),
        tf.nest.map_structure(lambda x: tf.TensorSpec([None, *x.shape[1:]], x.dtype), state),
        tf.TensorSpec([None], tf.int32),
    ]
    traces = []

    @graph(input_signature=signature)
    def run(inputs, state, lengths):
        traces.append(1)
        return dynamic_rnn(core, inputs, state, lengths)

    for num_steps, batch_size, lengths in [(4, 3, [4, 0, 2]), (1, 1, [1]), (2, 3, [0, 1, 2])]:
        part = inputs[:num_steps, :batch_size]
        start = random_state(core, batch_size)
        assert_same(run(part, start, lengths), unroll(core, part, start, lengths))
    assert len(traces) == 1


@pytest.mark.parametrize("lengths", [None, [4, 0, 2]], ids=["whole", "padded"])
def test_dynamic_rnn_is_batch_major_unless_told_otherwise(lengths):
    core, inputs, state = core_inputs_and_state()
    outputs, last = v1.nn.dynamic_rnn(dnc.rnn_cell(core), swap(inputs), lengths, state)
    assert_same((swap(outputs), last), unroll(core, inputs, state, lengths))


@pytest.mark.parametrize("time_major", [True, False])
@pytest.mark.parametrize("lengths", [None, [4, 0, 2]], ids=["whole", "padded"])
def test_bidirectional_dynamic_rnn_runs_one_core_in_each_direction(lengths, time_major):
    core, inputs, state = core_inputs_and_state()
    back = make_core(dtype=tf.float64, hidden_size=6, output_size=2, seed=1)
    back_state = random_state(back, 3, seed=1)
    (forth_outputs, back_outputs), last = v1.nn.bidirectional_dynamic_rnn(
        dnc.rnn_cell(core),
        dnc.rnn_cell(back),
        inputs if time_major else swap(inputs),
        sequence_length=lengths,
        initial_state_fw=state,
        initial_state_bw=back_state,
        time_major=time_major,
    )
    if not time_major:
        forth_outputs, back_outputs = swap(forth_outputs), swap(back_outputs)

    def reverse(x):
        return tf.reverse_sequence(x, [4] * 3 if lengths is None else lengths, 0, 1)

    assert_same((forth_outputs, last[0]), unroll(core, inputs, state, lengths))
    expected, expected_last = unroll(back, reverse(inputs), back_state, lengths)
    assert_same((back_outputs, last[1]), (reverse(expected), expected_last))


def test_variables_can_be_created_inside_a_function_and_a_loop():
    core = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(5), 2)
    inputs = random_inputs(3, 2, dtype=tf.float32)
    outputs, _ = tf.function(lambda x: dynamic_rnn(core, x, None))(inputs)
    cell = dnc.rnn_cell(core)
    assert len(core.trainable_variables) == 7
    assert cell.trainable_variables == core.trainable_variables
    assert cell.variables == core.variables
    np.testing.assert_allclose(outputs, unroll(core, inputs, None)[0], atol=1e-6)


def test_the_cell_says_what_tensorflow_asks():
    core = make_core()
    cell = dnc.rnn_cell(core)
    assert cell.core is core
    assert cell.output_size == [3]
    assert cell.state_size == core.state_size
    for state in (
        cell.zero_state(2, tf.float32),
        cell.zero_state(tf.constant(2), "float32"),
        cell.get_initial_state(batch_size=2, dtype=tf.float32),
        cell.get_initial_state(inputs=np.zeros([2, 5], np.float32)),
    ):
        assert_same(state, core.initial_state(2), tolerance=0)
    state, inputs = random_state(core, 2, tf.float32), tf.ones([2, 5])
    assert_same(cell(inputs, state), core(inputs, state), tolerance=0)
    assert_same(cell(inputs, state, "scope"), core(inputs, state), tolerance=0)


# In a graph with a session. (Compared with other ways: tests/system/test_same_everywhere.py.)


class Session:
    """A core in a graph of its own, fed through placeholders of any number of steps and examples.

    It starts from a random state: in an empty memory all slots are equally unused, and rounding
    decides which is written first.
    """

    def __init__(self, run):
        like = make_core(memory_size=4, word_size=3, num_reads=1, hidden_size=5, output_size=2)
        with tf.Graph().as_default() as self.graph:
            self.core = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(5, dtype=tf.float64), 2)
            self.inputs = v1.placeholder(tf.float64, [None, None, 5])
            self.lengths = v1.placeholder(tf.int32, [None])
            self.state = tf.nest.map_structure(
                lambda x: v1.placeholder(tf.float64, [None, *x.shape[1:]]), like.initial_state(1)
            )
            self.fetches = run(self.core, self.inputs, self.state, self.lengths)
            self.initialize = v1.global_variables_initializer()
        self.session = v1.Session(graph=self.graph)
        self.like = like

    def __enter__(self):
        self.session.run(self.initialize)
        return self

    def __exit__(self, *error):
        self.session.close()

    def run(self, fetches, lengths, num_steps=2):
        rng = np.random.default_rng(1)
        state = tf.nest.map_structure(np.asarray, random_state(self.like, len(lengths)))
        feed = {self.inputs: rng.normal(size=[num_steps, len(lengths), 5]), self.lengths: lengths}
        for placeholder, value in zip(
            tf.nest.flatten(self.state), tf.nest.flatten(state), strict=True
        ):
            feed[placeholder] = value
        return self.session.run(fetches, feed)


# Wrong arguments.


def test_a_core_that_does_not_tell_its_sizes_is_refused():
    for core in (snt.LSTM(4), tf.tanh, None):
        with pytest.raises(ValueError, match="needs a core with initial_state, state_size and"):
            dnc.rnn_cell(core)
    assert dnc.rnn_cell(dnc.FeedForward(4)).output_size == [4]


def test_none_in_a_state_is_an_empty_tuple_to_tensorflow():
    train, _ = snt.lstm_with_recurrent_dropout(6, 0.5)
    core = dnc.DNC(dnc.MemoryAccess(4, 3), train, 2)
    inputs = random_inputs(3, 2, dtype=tf.float32)
    state = dnc.rnn_cell(core).zero_state(2, tf.float32)
    outputs, _ = tf.function(dynamic_rnn)(core, inputs, state)
    masks = state.controller_state[1]
    assert masks.cell == ()
    own = state._replace(controller_state=(state.controller_state[0], masks._replace(cell=None)))
    np.testing.assert_allclose(outputs, dnc.unroll(core, inputs, own)[0], atol=1e-6)


def test_neither_a_dtype_nor_a_state_is_refused():
    core, inputs, _ = core_inputs_and_state()
    cell = dnc.rnn_cell(core)
    with pytest.raises(ValueError, match="dtype"):
        v1.nn.dynamic_rnn(cell, inputs)
    with pytest.raises(ValueError, match="dtype"):
        v1.nn.static_rnn(cell, tf.unstack(inputs))
    with pytest.raises(ValueError, match="dtype"):
        v1.nn.bidirectional_dynamic_rnn(cell, cell, inputs)
    with pytest.raises(ValueError, match=r"zero_state needs a dtype, such as tf.float32, got None"):
        cell.zero_state(3, None)
    with pytest.raises(ValueError, match=r"zero_state needs a dtype"):
        cell.get_initial_state(batch_size=3)
    with pytest.raises(ValueError, match="needs inputs, or batch_size and dtype"):
        cell.get_initial_state(dtype=tf.float32)


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize("run", [dynamic_rnn, static_rnn])
def test_the_state_of_another_core_is_refused(run, mode):
    core, inputs, _ = core_inputs_and_state()
    run = MODES[mode](functools.partial(run, core))
    with pytest.raises(ValueError, match=r"memory .*\[3, 6, 4\].*\[3, 8, 4\]"):
        run(inputs, random_state(make_core(memory_size=8), 3))
    with pytest.raises(ValueError, match="state must be a DNCState"):
        run(inputs, snt.LSTM(7, dtype=tf.float64).initial_state(3))
    with pytest.raises(ValueError, match=r"access_output .*\[3, 2, 4\].*\[2, 2, 4\]"):
        run(inputs, random_state(core, 2))


@pytest.mark.parametrize(
    ("dtype", "message"),
    [
        (tf.float32, r"is float64, but float32 .*dtype=tf.float32"),
        (tf.float16, "must be float32 or float64"),
        (tf.int32, "dtype must be a floating point type, got int32"),
        ("nonsense", "dtype must be a floating point type, got 'nonsense'"),
    ],
)
def test_a_wrong_dtype_is_named(dtype, message):
    core, inputs, _ = core_inputs_and_state()
    with pytest.raises(ValueError, match=message):
        dnc.rnn_cell(core).zero_state(3, dtype)
    if dtype != "nonsense":  # TensorFlow has an error of its own for that.
        with pytest.raises(ValueError, match=message):
            v1.nn.dynamic_rnn(dnc.rnn_cell(core), inputs, dtype=dtype)


def test_inputs_of_another_dtype_than_the_state_are_refused():
    core, inputs, state = core_inputs_and_state()
    with pytest.raises(ValueError, match=r"is float64, but float32"):
        v1.nn.dynamic_rnn(
            dnc.rnn_cell(core), tf.cast(inputs, tf.float32), initial_state=state, time_major=True
        )
