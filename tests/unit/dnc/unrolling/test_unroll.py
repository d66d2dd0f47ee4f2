"""`dnc.unroll` equals Sonnet's unroll; lengths, resets and segments mean what they say."""

import functools

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from tests.models import (
    MODES,
    assert_same,
    graph,
    make_core,
    random_inputs,
    random_state,
    weighted_sum,
    with_gradients,
)

# Also in a graph. There the fused implementation, which test_fused.py is about, would warn of cores
# around a DNC.
step_by_step = functools.partial(dnc.unroll, implementation="steps")


class Counting(snt.RNNCore):
    """Takes a nest, gives a nest, and has integers in its state, one for each example."""

    def __init__(self):
        super().__init__()
        self.lstm = snt.LSTM(4, dtype=tf.float64)

    def __call__(self, inputs, prev_state):
        table, number = inputs["pair"]
        x = tf.concat([inputs["vector"], tf.reshape(table, [-1, 6])], axis=1)
        outputs, lstm = self.lstm(x, prev_state["lstm"])
        count = prev_state["count"] + number
        return (outputs, {"count": count}), {"lstm": lstm, "count": count}

    def initial_state(self, batch_size):
        return {
            "lstm": self.lstm.initial_state(batch_size),
            "count": tf.zeros([batch_size], "int32"),
        }

    def random_inputs(self, num_steps, batch_size):
        return {
            "vector": random_inputs(num_steps, batch_size, 2),
            "pair": (
                tf.reshape(random_inputs(num_steps, batch_size, 6), [num_steps, batch_size, 2, 3]),
                tf.reshape(tf.range(num_steps * batch_size) + 1, [num_steps, batch_size]),
            ),
        }


class Warm(snt.RNNCore):
    """A core that starts from some other state than zeros.

    A wrong start cannot go unnoticed. And in an empty memory all slots are equally unused: which is
    written first is then up to rounding, which differs between batch sizes.
    """

    def __init__(self, core, state):
        super().__init__()
        self.core = core
        self.state = state

    def __call__(self, inputs, prev_state):
        return self.core(inputs, prev_state)

    def initial_state(self, batch_size):
        return tf.nest.map_structure(lambda x: tf.repeat(x[:1], batch_size, axis=0), self.state)


KINDS = ["DNC", "LSTM", "GRU", "DeepRNN", "FeedForward", "nests"]


def make(kind, num_steps, batch_size):
    """A core of that kind that is warm, inputs, and a random state."""
    rng = np.random.default_rng(2)
    inputs, state = random_inputs(num_steps, batch_size), None
    if kind == "DNC":
        core = make_core(dtype=tf.float64)
        state = random_state(core, batch_size)
    elif kind == "DeepRNN":
        memory = make_core(dtype=tf.float64, input_size=4)
        core, state = snt.DeepRNN([snt.Linear(4), memory]), (random_state(memory, batch_size),)
    elif kind == "nests":
        core = Counting()
        inputs = core.random_inputs(num_steps, batch_size)
    else:
        core = {
            "LSTM": functools.partial(snt.LSTM, dtype=tf.float64),
            "GRU": functools.partial(snt.GRU, dtype=tf.float64),
            "FeedForward": dnc.FeedForward,
        }[kind](4)

    def values_like(x):
        if x.dtype.is_integer:
            return tf.constant(rng.integers(0, 9, x.shape), x.dtype)
        return tf.constant(rng.uniform(-1, 1, x.shape), x.dtype)

    if state is None:
        state = tf.nest.map_structure(values_like, core.initial_state(batch_size))
    other_state = tf.nest.map_structure(lambda x: tf.reverse(x, [0]), state)
    core = Warm(core, other_state)
    core(
        tf.nest.map_structure(lambda x: tf.zeros([1, *x.shape[2:]], x.dtype), inputs),
        core.initial_state(1),
    )
    if kind != "DNC":
        for variable in core.trainable_variables:
            variable.assign(values_like(variable))
    return core, inputs, state


def example(nest, b):
    return tf.nest.map_structure(lambda x: x[b : b + 1], nest)


def steps(nest, start, stop=None):
    return tf.nest.map_structure(lambda x: x[start:stop], nest)


def stack_nests(nests, axis):
    return tf.nest.map_structure(lambda *parts: tf.stack(parts, axis), *nests)


def concat_nests(nests, axis):
    return tf.nest.map_structure(lambda *parts: tf.concat(parts, axis), *nests)


def each_alone(core, inputs, state, sequence_length=None, reset=None, return_all_states=False):
    """The definition of `unroll`: each example by itself, one step after the other."""
    num_steps, batch_size = tf.nest.flatten(inputs)[0].shape[:2]
    lengths = [num_steps] * batch_size if sequence_length is None else sequence_length
    reset = np.zeros([num_steps, batch_size], bool) if reset is None else reset
    results = []
    for b in range(batch_size):
        own_state, outputs, states = example(state, b), [], []
        for t in range(num_steps):
            x = tf.nest.map_structure(lambda x, t=t, b=b: x[t, b : b + 1], inputs)
            if t < lengths[b]:
                own_state = core.initial_state(1) if reset[t, b] else own_state
                output, own_state = core(x, own_state)
            else:
                output, _ = core(x, own_state)
                output = tf.nest.map_structure(tf.zeros_like, output)
            outputs.append(output)
            states.append(own_state)
        results.append((stack_nests(outputs, 0), stack_nests(states, 0), own_state))
    outputs, states, last = zip(*results, strict=True)
    if return_all_states:
        return concat_nests(outputs, 1), concat_nests(states, 1)
    return concat_nests(outputs, 1), concat_nests(last, 0)


# The same as Sonnet's unroll.


@pytest.mark.parametrize(
    ("kind", "mode"),
    # To compile a DNC takes long: one is enough here, and one in tests/system/test_unrolling.py.
    [(kind, mode) for kind in KINDS for mode in MODES if (kind, mode) != ("DeepRNN", "compiled")],
)
def test_outputs_state_and_gradients_are_those_of_sonnets_unroll(kind, mode):
    core, inputs, state = make(kind, num_steps=4, batch_size=3)
    run = MODES[mode](functools.partial(with_gradients, step_by_step, core))
    results, gradients = run(inputs, state)
    expected, expected_gradients = with_gradients(snt.dynamic_unroll, core, inputs, state)
    assert_same(results, expected)
    assert_same(gradients, expected_gradients)
    num_variables = len(core.trainable_variables)
    assert all(np.any(gradient) for gradient in gradients[: num_variables + 1])


def test_without_a_state_it_starts_from_the_cores_own():
    core, inputs, _ = make("DNC", num_steps=3, batch_size=2)
    assert_same(dnc.unroll(core, inputs), snt.dynamic_unroll(core, inputs, core.initial_state(2)))


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_the_dtype_is_that_of_the_inputs(dtype):
    core = make_core(dtype=dtype)
    outputs, state = dnc.unroll(core, random_inputs(2, 3, dtype=dtype))
    assert {part.dtype for part in tf.nest.flatten((outputs, state))} == {dtype}


def test_integer_inputs_come_with_a_state_of_float32():
    core = make_core()
    from_tokens = snt.DeepRNN([lambda tokens: tf.one_hot(tokens, 5), core])
    tokens = np.array([[1, 4], [0, 2], [3, 3]])
    outputs, (state,) = dnc.unroll(from_tokens, tokens)
    expected = snt.dynamic_unroll(core, tf.one_hot(tokens, 5), core.initial_state(2))
    assert_same((outputs, state), expected)


def test_arrays_and_lists_are_taken_for_tensors():
    core, inputs, state = make("LSTM", num_steps=3, batch_size=2)
    as_arrays = tf.nest.map_structure(lambda x: x.numpy(), state)
    results = dnc.unroll(core, inputs.numpy(), as_arrays, sequence_length=[3, 1])
    assert_same(results, dnc.unroll(core, inputs, state, sequence_length=tf.constant([3, 1])))


class TestFirstContact:
    """Data as people have it."""

    X = np.random.default_rng(0).normal(size=[4, 2, 5])  # float64, as NumPy makes it.

    @pytest.mark.parametrize("controller", [snt.LSTM, dnc.FeedForward])
    def test_arrays_are_taken_in_the_dtype_of_the_core(self, controller):
        core = dnc.DNC(dnc.MemoryAccess(4, 3), controller(6), 2)
        results = dnc.unroll(core, self.X)
        assert_same(results, dnc.unroll(core, tf.constant(self.X, tf.float32)))
        assert {variable.dtype for variable in core.variables} == {tf.float32}
        state = tf.nest.map_structure(lambda x: x.numpy().astype(float), results[1])
        assert dnc.unroll(core, self.X, state)[0].dtype == tf.float32

    def test_a_tensor_of_another_dtype_is_an_error_that_says_how_to_cast(self):
        with pytest.raises(ValueError, match=r"Pass float32, e.g. tf.cast\(inputs, tf.float32\)"):
            dnc.unroll(make_core(), tf.constant(self.X))

    def test_a_ragged_tensor_is_an_error_that_says_how_to_pad(self):
        ragged = tf.ragged.constant([[[1.0] * 5] * 3, [[1.0] * 5]], ragged_rank=1)
        with pytest.raises(ValueError, match=r"to_tensor\(\).*sequence_length=inputs.row_lengths"):
            dnc.unroll(make_core(), ragged, time_major=False)

    def test_a_single_sequence_is_an_error_that_says_how_to_batch(self):
        with pytest.raises(ValueError, match=r"\[T, B, X\], got shape \(4, 5\).*inputs\[:, None"):
            dnc.unroll(make_core(), self.X[:, 0])
        with pytest.raises(ValueError, match=r"\[B, T, X\], got shape \(4, 5\).*inputs\[None\]"):
            tf.function(dnc.unroll)(make_core(), self.X[:, 0], time_major=False)


class TestNoneInStates:
    """`snt.lstm_with_recurrent_dropout` keeps a mask for what it drops, and `None` for the rest."""

    def make(self):
        train, test = snt.lstm_with_recurrent_dropout(6, 0.5, dtype=tf.float64)
        core = dnc.DNC(dnc.MemoryAccess(4, 3), dnc.ClippedSignal(train), 2, clip_value=20.0)
        core(tf.zeros([1, 5], tf.float64), core.initial_state(1))
        return core, test

    @pytest.mark.parametrize("mode", ["eager", "graph"])
    def test_it_is_carried_along(self, mode):
        core, _ = self.make()
        inputs, state = random_inputs(4, 2), core.initial_state(2)
        options = {"checkpoint_every": 2} if mode == "graph" else {}
        results = MODES[mode](functools.partial(step_by_step, core, **options))(inputs, state)
        masks = results[1].controller_state[1]
        assert masks.cell is None
        np.testing.assert_array_equal(masks.hidden, state.controller_state[1].hidden)
        assert_same_but_none(results, snt.static_unroll(core, inputs, state))

    def test_it_goes_with_lengths_resets_and_all_states(self):
        core, _ = self.make()
        options = {"sequence_length": [4, 2], "reset": np.eye(4, 2) > 0, "return_all_states": True}
        _, states = graph(dnc.unroll)(core, random_inputs(4, 2), **options)
        assert states.controller_state[1].cell is None
        assert states.controller_state[1].hidden.shape == [4, 2, 6]

    def test_a_tensor_in_its_place_is_an_error_that_names_the_part(self):
        core, _ = self.make()
        full = tf.nest.map_structure(
            lambda x: tf.zeros([]) if x is None else x, core.initial_state(2)
        )
        with pytest.raises(ValueError, match=r"controller_state.1.cell must be None, as"):
            dnc.unroll(core, random_inputs(4, 2), full)

    def test_it_is_recorded(self):
        core, _ = self.make()
        assert dnc.record(core, random_inputs(3, 2)).outputs.shape == (3, 2, 2)


def assert_same_but_none(actual, expected):
    def without_none(nest):
        return [part for part in tf.nest.flatten(nest) if part is not None]

    assert_same(without_none(actual), without_none(expected))


# Sequences of different lengths.


def spoil(inputs, lengths):
    """Puts what must not be used past the end of each example."""
    past_end = np.arange(tf.nest.flatten(inputs)[0].shape[0])[:, np.newaxis] >= lengths

    def spoil_part(x):
        x = x.numpy()
        if x.dtype.kind == "f":
            x[past_end] = np.resize([np.nan, np.inf, -np.inf, 1e300, 3.0], x[past_end].shape)
        else:
            x[past_end] = -1000
        return tf.constant(x)

    return tf.nest.map_structure(spoil_part, inputs)


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        ("DNC", "eager"),
        ("GRU", "eager"),
        ("GRU", "graph"),
        ("FeedForward", "eager"),
        ("nests", "eager"),
        ("nests", "compiled"),
    ],
)
def test_a_padded_batch_equals_its_examples_alone_whatever_the_padding(kind, mode):
    check_padded(kind, mode)


def check_padded(kind, mode):
    lengths = [4, 0, 3, 1]
    core, inputs, state = make(kind, num_steps=4, batch_size=4)
    expected = with_gradients(each_alone, core, inputs, state, sequence_length=lengths)
    run = functools.partial(with_gradients, step_by_step, core, sequence_length=lengths)
    results, gradients = MODES[mode](run)(spoil(inputs, lengths), state)
    assert_same((results, gradients), expected)


def test_past_its_end_an_example_gives_0_holds_its_state_and_has_no_gradient():
    lengths = [4, 0, 2]
    core, inputs, state = make("DNC", num_steps=4, batch_size=3)
    (outputs, states), gradients = with_gradients(
        dnc.unroll,
        core,
        spoil(inputs, lengths),
        state,
        sequence_length=lengths,
        return_all_states=True,
    )
    input_gradient = gradients[len(core.trainable_variables)]
    for b, length in enumerate(lengths):
        assert not np.any(outputs[length:, b])
        assert not np.any(input_gradient[length:, b])
        assert np.all(np.any(outputs[:length, b], axis=1))
        assert np.all(np.any(input_gradient[:length, b], axis=1))
        last = example(state, b) if length == 0 else example(steps(states, length - 1, length), 0)
        for part, held in zip(tf.nest.flatten(states), tf.nest.flatten(last), strict=True):
            expected = held[0] if length == 0 else held[0, b]
            for t in range(length, 4):
                np.testing.assert_array_equal(part[t, b], expected)


def test_lengths_may_be_of_any_integer_dtype():
    core, inputs, state = make("LSTM", num_steps=3, batch_size=3)
    expected = dnc.unroll(core, inputs, state, sequence_length=[3, 0, 2])
    for dtype in (np.int64, np.uint8, np.int16):
        lengths = np.array([3, 0, 2], dtype)
        assert_same(dnc.unroll(core, inputs, state, sequence_length=lengths), expected)


def test_full_lengths_change_nothing():
    core, inputs, state = make("DNC", num_steps=3, batch_size=2)
    results = dnc.unroll(core, inputs, state, sequence_length=[3, 3])
    assert_same(results, dnc.unroll(core, inputs, state), tolerance=0)


# Resets.

RESET = np.array(
    [  # Examples: at the start and later, never, twice in a row, past its end if that is 3.
        [True, False, False, False],
        [False, False, True, False],
        [False, False, True, True],
        [True, False, False, False],
        [False, False, False, True],
    ]
)


@pytest.mark.parametrize("lengths", [None, [5, 4, 2, 3]], ids=["whole", "padded"])
@pytest.mark.parametrize(
    ("kind", "mode"),
    [("DNC", "eager"), ("LSTM", "graph"), ("LSTM", "compiled"), ("nests", "eager")],
)
def test_a_reset_restarts_its_example_from_the_cores_initial_state(kind, mode, lengths):
    core, inputs, state = make(kind, num_steps=5, batch_size=4)
    expected = with_gradients(each_alone, core, inputs, state, reset=RESET, sequence_length=lengths)
    run = functools.partial(with_gradients, dnc.unroll, core, reset=RESET, sequence_length=lengths)
    assert_same(MODES[mode](run)(inputs, state), expected)


def test_pieces_between_resets_equal_sequences_of_their_own():
    core, inputs, state = make("DNC", num_steps=5, batch_size=2)
    reset = np.zeros([5, 2], bool)
    reset[3, 1] = True
    outputs, last = dnc.unroll(core, inputs, state, reset=reset)
    first, _ = dnc.unroll(core, inputs[:3, 1:], example(state, 1))
    second, restarted = dnc.unroll(core, inputs[3:, 1:])
    assert_same(outputs[:, 1:], tf.concat([first, second], 0))
    assert_same(example(last, 1), restarted)
    whole, undisturbed = dnc.unroll(core, inputs[:, :1], example(state, 0))
    assert_same(outputs[:, :1], whole)
    assert_same(example(last, 0), undisturbed)


def test_a_reset_past_the_end_changes_nothing():
    core, inputs, state = make("DNC", num_steps=4, batch_size=3)
    lengths, reset = [4, 2, 0], np.zeros([4, 3], bool)
    reset[2:, 1] = reset[:, 2] = True
    plain = dnc.unroll(core, inputs, state, sequence_length=lengths)
    assert_same(
        dnc.unroll(core, inputs, state, sequence_length=lengths, reset=reset), plain, tolerance=0
    )


# Segments.


def test_segments_that_carry_the_state_equal_one_long_run():
    core, inputs, state = make("DNC", num_steps=6, batch_size=2)
    outputs, last = dnc.unroll(core, inputs, state)
    parts = []
    for start, stop in [(0, 1), (1, 4), (4, 4), (4, 6)]:
        part, state = dnc.unroll(core, inputs[start:stop], state)
        parts.append(part)
    assert_same((tf.concat(parts, 0), state), (outputs, last), tolerance=0)


def test_a_gradient_does_not_cross_into_the_segment_before():
    core, inputs, state = make("DNC", num_steps=5, batch_size=2)
    with tf.GradientTape() as whole_tape:
        outputs, _ = dnc.unroll(core, inputs, state)
        loss = weighted_sum(outputs[3:])
    full = whole_tape.gradient(loss, core.trainable_variables)

    _, carried = dnc.unroll(core, inputs[:3], state)
    with tf.GradientTape() as tape:
        outputs, _ = dnc.unroll(core, inputs[3:], carried)
        loss = weighted_sum(outputs)
    truncated = tape.gradient(loss, core.trainable_variables)

    constant = tf.nest.map_structure(lambda x: tf.constant(x.numpy()), carried)
    with tf.GradientTape() as tape:
        outputs, _ = each_alone(core, inputs[3:], constant)
        loss = weighted_sum(outputs)
    assert_same(truncated, tape.gradient(loss, core.trainable_variables))
    assert max(np.abs(a - b).max() for a, b in zip(truncated, full, strict=True)) > 1e-3


# Axes, nests and sizes.


def swap(nest):
    return tf.nest.map_structure(lambda x: np.swapaxes(x, 0, 1), nest)


@pytest.mark.parametrize("kind", ["DNC", "nests"])
def test_all_states_are_those_after_every_step(kind):
    core, inputs, state = make(kind, num_steps=5, batch_size=4)
    options = {"sequence_length": [5, 4, 2, 0], "reset": RESET, "return_all_states": True}
    results = with_gradients(dnc.unroll, core, inputs, state, **options)
    assert_same(results, with_gradients(each_alone, core, inputs, state, **options))


@pytest.mark.parametrize("kind", ["DNC", "nests"])
def test_batch_major_is_the_same_with_axes_swapped(kind):
    core, inputs, state = make(kind, num_steps=5, batch_size=4)
    lengths = [5, 4, 2, 0]
    outputs, states = dnc.unroll(
        core, inputs, state, sequence_length=lengths, reset=RESET, return_all_states=True
    )
    batch_major = functools.partial(
        dnc.unroll,
        core,
        swap(inputs),
        state,
        sequence_length=lengths,
        reset=RESET.T,
        time_major=False,
    )
    assert_same(batch_major(return_all_states=True), swap((outputs, states)), tolerance=0)
    last = tf.nest.map_structure(lambda x: x[-1], states)
    assert_same(batch_major(), (swap(outputs), last), tolerance=0)


@pytest.mark.parametrize(("kind", "mode"), [("DNC", "eager"), ("LSTM", "graph")])
def test_no_steps_give_no_outputs_and_the_state_as_it_was(kind, mode):
    core, inputs, state = make(kind, num_steps=0, batch_size=3)
    shape = [0, 3, 3 if kind == "DNC" else 4]
    run = MODES[mode](functools.partial(dnc.unroll, core))
    outputs, last = run(inputs, state)
    assert outputs.shape == shape
    assert_same(last, state, tolerance=0)
    assert_same(run(inputs)[1], core.initial_state(3), tolerance=0)
    outputs, states = run(
        inputs,
        state,
        sequence_length=[0, 0, 0],
        reset=np.zeros([0, 3], bool),
        return_all_states=True,
    )
    assert outputs.shape == shape
    assert_same(states, tf.nest.map_structure(lambda x: x[tf.newaxis][:0], state))


def test_an_empty_batch_gives_empty_outputs():
    outputs, state = dnc.unroll(make_core(), tf.zeros([4, 0, 5]), sequence_length=np.zeros(0, int))
    assert outputs.shape == [4, 0, 3]
    assert state.access_state.memory.shape == [0, 6, 4]


def test_no_steps_are_an_error_where_the_graph_knows_neither_their_number_nor_the_batch_size():
    core = snt.LSTM(4, dtype=tf.float64)
    run = tf.function(
        lambda inputs: dnc.unroll(core, inputs)[0],
        input_signature=[tf.TensorSpec([None, None, 5], tf.float64)],
    )
    assert run(random_inputs(2, 3)).shape == [2, 3, 4]
    with pytest.raises(tf.errors.InvalidArgumentError, match="empty list"):
        run(random_inputs(0, 3))

    known_length = tf.function(
        lambda inputs: dnc.unroll(core, inputs, return_all_states=True),
        input_signature=[tf.TensorSpec([0, None, 5], tf.float64)],
    )
    outputs, states = known_length(random_inputs(0, 3))
    assert outputs.shape == [0, 3, 4]
    assert states.cell.shape == [0, 3, 4]


# Where a state and variables come from.


def test_a_trainable_state_is_trained():
    core, inputs, state = make("DNC", num_steps=3, batch_size=4)
    initial = snt.TrainableState(tf.nest.map_structure(lambda x: x[0], state))
    with tf.GradientTape() as tape:
        loss = weighted_sum(dnc.unroll(core, inputs, initial(4)))
    gradients = tape.gradient(loss, initial.trainable_variables, unconnected_gradients="zero")

    _, expected = with_gradients(dnc.unroll, core, inputs, initial(4))
    for variable, gradient in zip(initial.trainable_variables, gradients, strict=True):
        same = [
            tf.reduce_sum(by_state, 0, keepdims=True)
            for by_state in expected[len(core.trainable_variables) + 1 :]
            if by_state.shape[1:] == variable.shape[1:]
        ]
        assert min(np.abs(gradient - other).max() for other in same) < 1e-12
    # All but the write weights, through which the released code stops the gradient, too.
    assert sum(np.any(gradient) for gradient in gradients) == len(gradients) - 1


@pytest.mark.parametrize("mode", ["graph", "compiled"])
def test_variables_can_be_created_inside_the_function(mode):
    core = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(5), 2)
    run = MODES[mode](lambda x: dnc.unroll(core, x, sequence_length=[3, 1])[0])
    inputs = random_inputs(3, 2, dtype=tf.float32)
    outputs = run(inputs)
    assert len(core.trainable_variables) == 7
    expected, _ = dnc.unroll(core, inputs, sequence_length=[3, 1])
    assert_same(outputs, expected, tolerance=1e-5)


def test_it_runs_in_a_graph_with_a_session():
    with tf.Graph().as_default():
        inputs = tf.compat.v1.placeholder(tf.float64, [None, None, 5])
        lengths = tf.compat.v1.placeholder(tf.int32, [None])
        reset = tf.compat.v1.placeholder(tf.bool, [None, None])
        core = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(5, dtype=tf.float64), 2)
        results = dnc.unroll(core, inputs, sequence_length=lengths, reset=reset)
        results = (results, tf.gradients(results[0], [inputs, *core.trainable_variables]))
        fixed = random_inputs(3, 1)
        zeros = core.initial_state(1, tf.float64)
        first, _ = snt.static_unroll(core, fixed[:1], zeros)
        rest, state = snt.static_unroll(core, fixed[1:], zeros)
        expected = (tf.concat([first, rest], 0), state)
        expected = (expected, tf.gradients(expected[0], [fixed, *core.trainable_variables]))
        with tf.compat.v1.Session() as session:
            session.run(tf.compat.v1.global_variables_initializer())
            padding = np.full([2, 1, 5], np.nan)
            x = np.concatenate([session.run(fixed), padding])
            feed = {inputs: x, lengths: [3], reset: np.arange(5)[:, np.newaxis] == 1}
            (outputs, state), gradients = session.run(results, feed)
            assert not np.any(outputs[3:])
            assert not np.any(gradients[0][3:])
            shortened = (outputs[:3], state), [gradients[0][:3], *gradients[1:]]
            assert_same(shortened, session.run(expected))
            with pytest.raises(tf.errors.InvalidArgumentError, match="sequence_length"):
                session.run(results, {**feed, lengths: [6]})


# Wrong arguments.


def unroll_lstm(inputs=None, **options):
    core = snt.LSTM(4, dtype=tf.float64)
    return dnc.unroll(core, random_inputs(4, 3) if inputs is None else inputs, **options)


def wrong_dnc_state(**changed):
    return random_state(make_core(dtype=tf.float64, **changed), 3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sequence_length": [1, 2]}, r"sequence_length must be integers of shape \[B\] = \[3\]"),
        ({"sequence_length": [2]}, r"got int32 of shape \(1,\)"),
        ({"sequence_length": 2}, r"sequence_length .*got int32 of shape \(\)"),
        ({"sequence_length": [[1], [2], [3]]}, r"sequence_length .*of shape \(3, 1\)"),
        ({"sequence_length": [1.0, 2.0, 3.0]}, "sequence_length must be integers .*got float32"),
        ({"sequence_length": [True, True, False]}, "sequence_length must be integers .*got bool"),
        ({"sequence_length": [1, 5, 2]}, r"between 0 and the number of steps, 4, got \[1, 5, 2\]"),
        ({"sequence_length": [1, -1, 2]}, r"between 0 and .* 4, got \[1, -1, 2\]"),
        ({"sequence_length": np.array([1, 2, 2**32 + 1])}, "between 0 and"),
        ({"reset": np.zeros([4, 3], int)}, "reset must be booleans .*got int64"),
        ({"reset": np.zeros([3, 4], bool)}, r"shape \[T, B\] = \[4, 3\], got bool of .*\(3, 4\)"),
        ({"reset": np.zeros([4, 1], bool)}, r"reset .*\[4, 3\], got bool of shape \(4, 1\)"),
        ({"reset": np.zeros([4, 3, 1], bool)}, r"reset .*got bool of shape \(4, 3, 1\)"),
        ({"reset": np.zeros([4], bool)}, r"reset .*got bool of shape \(4,\)"),
        ({"reset": np.zeros([3, 4], bool), "time_major": False}, "reset must be booleans"),
        ({"reset": np.zeros([4], bool), "time_major": False}, r"\[B, T\] = \[4, 3\], got bool of"),
        ({"inputs": ()}, "inputs must be a tensor or a nest of tensors, got an empty nest"),
        ({"inputs": np.zeros([5])}, r"inputs must have shape \[T, B, ...\], got shape \(5,\)"),
        ({"inputs": np.zeros([5]), "time_major": False}, r"inputs must have shape \[B, T, ...\]"),
        (
            {"inputs": (np.zeros([4, 3, 2]), np.zeros([5, 3, 2]))},
            r"All inputs must start with the same \[T, B, ...\], got .*\(4, 3, 2\) and \(5, 3, 2\)",
        ),
        ({"inputs": {"a": np.zeros([4, 3]), "b": np.zeros([4, 1])}}, "All inputs must start with"),
        (
            {"initial_state": snt.LSTM(6, dtype=tf.float64).initial_state(3)},
            r"initial_state.hidden must have shape \[3, 4\] .*got shape \[3, 6\]",
        ),
        ({"initial_state": snt.LSTM(4).initial_state(3)}, "initial_state.* float64.* float32"),
        ({"initial_state": snt.GRU(4, dtype=tf.float64).initial_state(3)}, "initial_state must be"),
        ({"initial_state": snt.LSTM(4, dtype=tf.float64).initial_state(1)}, "shape"),
    ],
)
def test_wrong_arguments_are_named_with_what_was_expected(options, message):
    with pytest.raises(ValueError, match=message):
        unroll_lstm(**options)


@pytest.mark.parametrize("mode", ["eager", "graph"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sequence_length": [4, 0, 1]},
        {"reset": np.zeros([4, 3], bool)},
    ],
    ids=["plain", "lengths", "reset"],
)
def test_the_state_of_another_core_is_refused(options, mode):
    core = make_core(dtype=tf.float64)
    run = MODES[mode](functools.partial(dnc.unroll, core, random_inputs(4, 3), **options))
    with pytest.raises(ValueError, match=r"memory .*\[3, 6, 4\].*\[3, 8, 4\]"):
        run(wrong_dnc_state(memory_size=8))
    with pytest.raises(ValueError, match=r"state must be a DNCState"):
        run(snt.LSTM(7, dtype=tf.float64).initial_state(3))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sequence_length": [4, 0, 1]},
        {"reset": np.zeros([4, 3], bool)},
    ],
    ids=["plain", "lengths", "reset"],
)
@pytest.mark.parametrize("batch_size", [1, 2])
def test_the_state_of_another_batch_is_refused(options, batch_size):
    core = make_core(dtype=tf.float64)
    with pytest.raises(ValueError, match=rf"access_output .*\[3, 2, 4\].*\[{batch_size}, 2, 4\]"):
        dnc.unroll(core, random_inputs(4, 3), random_state(core, batch_size), **options)


def test_the_state_of_another_core_is_refused_also_for_no_steps():
    with pytest.raises(ValueError, match="memory"):
        dnc.unroll(make_core(dtype=tf.float64), random_inputs(0, 3), wrong_dnc_state(memory_size=8))


@pytest.mark.parametrize("wrong", [-0.1, 1.1])
def test_usage_outside_of_0_to_1_is_an_error_as_allocation_would_be_nan(wrong):
    core = make_core(dtype=tf.float64)
    state = random_state(core, 3)
    usage = tf.tensor_scatter_nd_update(state.access_state.usage, [[1, 2]], [wrong])
    state = state._replace(access_state=state.access_state._replace(usage=usage))
    around = snt.DeepRNN([tf.identity, core])
    for run, given in ((core, state), (around, (state,))):
        with pytest.raises(ValueError, match=r"access_state.usage must be in \[0, 1\]"):
            dnc.unroll(run, random_inputs(2, 3), given)
    with pytest.raises(tf.errors.InvalidArgumentError, match=r"usage must be in \[0, 1\]"):
        graph(dnc.unroll)(core, random_inputs(2, 3), state)


def test_usage_that_is_outside_of_0_to_1_by_rounding_or_nan_passes():
    core = make_core()
    state = random_state(core, 2, tf.float32)
    usage = tf.constant([[1.0 + 2e-7, -1e-8, 0.0, 1.0, 0.5, 0.5], [np.nan] * 6])
    state = state._replace(access_state=state.access_state._replace(usage=usage))
    outputs, _ = dnc.unroll(core, random_inputs(2, 2, dtype=tf.float32), state)
    assert np.all(np.isfinite(outputs[:, 0]))


class Clock(snt.RNNCore):
    """Counts its steps, once for the whole batch."""

    def __call__(self, inputs, prev_state):
        return inputs, prev_state + 1

    def initial_state(self, batch_size):
        del batch_size
        return tf.constant(0)


def test_a_state_without_a_batch_axis_does_without_lengths_and_resets():
    assert dnc.unroll(Clock(), tf.ones([4, 3, 2]))[1].numpy() == 4
    for options in ({"sequence_length": [1, 2, 3]}, {"reset": np.zeros([4, 3], bool)}):
        with pytest.raises(ValueError, match="every part of the state must have a batch axis"):
            dnc.unroll(Clock(), tf.ones([4, 3, 2]), **options)


def test_all_states_without_a_batch_axis_are_one_for_each_step():
    _, states = dnc.unroll(Clock(), tf.ones([4, 3, 2]), return_all_states=True)
    np.testing.assert_array_equal(states, [1, 2, 3, 4])
    options = {"time_major": False, "return_all_states": True}
    compiled = tf.function(lambda x: dnc.unroll(Clock(), x, **options), jit_compile=True)
    np.testing.assert_array_equal(compiled(tf.ones([3, 4, 2]))[1], [1, 2, 3, 4])


def test_a_stack_of_an_lstm_and_a_dnc_runs_in_float64():
    layers = [snt.LSTM(4, dtype=tf.float64), make_core(dtype=tf.float64, input_size=4)]
    core, inputs = snt.DeepRNN(layers), random_inputs(3, 2)
    state = (layers[0].initial_state(2), random_state(layers[1], 2))
    assert_same(dnc.unroll(core, inputs, state), snt.static_unroll(core, inputs, state))


@pytest.mark.parametrize("lengths", [[1, 5], [-1, 2]])
@pytest.mark.parametrize("num_steps", [None, 4], ids=["any-T", "known-T"])
def test_lengths_that_only_the_running_graph_knows_are_checked_there(num_steps, lengths):
    core = snt.LSTM(4, dtype=tf.float64)
    signature = [tf.TensorSpec([num_steps, None, 5], tf.float64), tf.TensorSpec([None], tf.int32)]

    @graph(input_signature=signature)
    def run(inputs, lengths):
        return dnc.unroll(core, inputs, sequence_length=lengths)[0]

    inputs = random_inputs(4, 2)
    assert run(inputs, [4, 0]).shape == [4, 2, 4]
    with pytest.raises(tf.errors.InvalidArgumentError, match="sequence_length must be between 0"):
        run(inputs, lengths)


@pytest.mark.parametrize(
    ("lengths", "reset"),
    [([2], np.zeros([4, 2], bool)), ([2, 1], np.zeros([6, 2], bool)), ([2, 1], [[True]] * 4)],
    ids=["one-length", "long-reset", "one-reset"],
)
def test_shapes_that_only_the_running_graph_knows_are_checked_there(lengths, reset):
    core = snt.LSTM(4, dtype=tf.float64)
    signature = [
        tf.TensorSpec([None, None, 5], tf.float64),
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([None, None], tf.bool),
    ]

    @graph(input_signature=signature)
    def run(inputs, lengths, reset):
        return dnc.unroll(core, inputs, sequence_length=lengths, reset=reset)[0]

    with pytest.raises(tf.errors.InvalidArgumentError):
        run(random_inputs(4, 2), lengths, reset)
