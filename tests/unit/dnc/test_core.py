"""The DNC as a Sonnet core: states, shapes, dtypes, unrolls, and what it says about wrong input."""

import re

import keras
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from tests.models import make_core, random_inputs


def shapes_without_batch(state):
    return [list(part.shape[1:]) for part in tf.nest.flatten(state)]


@pytest.mark.parametrize("num_writes", [1, 3])
@pytest.mark.parametrize("controller", [snt.LSTM(7), snt.GRU(7), dnc.FeedForward(7)], ids=repr)
def test_initial_state_has_the_shapes_of_state_size_and_is_zero(controller, num_writes):
    core = dnc.DNC(dnc.MemoryAccess(6, 4, 2, num_writes), controller, 3)
    for batch_size in (0, 1, 5, tf.constant(5)):
        state = core.initial_state(batch_size)
        sizes = core.state_size
        tf.nest.assert_same_structure(state, sizes)
        assert shapes_without_batch(state) == [list(size) for size in tf.nest.flatten(sizes)]
        assert not any(np.any(part) for part in tf.nest.flatten(state))
    assert core.output_size == tf.TensorShape([3])
    assert core.access.output_size == tf.TensorShape([2, 4])


def test_states_have_the_documented_shapes():
    core = make_core(memory_size=6, word_size=4, num_reads=2, num_writes=3, hidden_size=7)
    state = core.initial_state(5)
    assert state.access_output.shape == [5, 2, 4]
    assert state.access_state.memory.shape == [5, 6, 4]
    assert state.access_state.read_weights.shape == [5, 2, 6]
    assert state.access_state.write_weights.shape == [5, 3, 6]
    assert state.access_state.linkage.link.shape == [5, 3, 6, 6]
    assert state.access_state.linkage.precedence_weights.shape == [5, 3, 6]
    assert state.access_state.usage.shape == [5, 6]
    assert state.controller_state.hidden.shape == [5, 7]


def test_a_step_keeps_structure_shapes_and_dtypes_of_the_state():
    for dtype in (tf.float32, tf.float64):
        core = make_core(dtype=dtype)
        state = core.initial_state(2, dtype)
        outputs, new_state = core(tf.ones([2, 5], dtype), state)
        assert outputs.shape == [2, 3]
        assert outputs.dtype == dtype
        tf.nest.assert_same_structure(state, new_state)
        for old, new in zip(tf.nest.flatten(state), tf.nest.flatten(new_state), strict=True):
            assert (old.shape, old.dtype) == (new.shape, new.dtype)


def test_one_traced_function_serves_any_batch_size():
    core = make_core()
    traces = []

    @tf.function(input_signature=[tf.TensorSpec([None, None, 5])])
    def run(inputs):
        traces.append(1)
        return snt.dynamic_unroll(core, inputs, core.initial_state(tf.shape(inputs)[1]))[0]

    for batch_size in (1, 4):
        inputs = random_inputs(3, batch_size, dtype=tf.float32)
        expected, _ = snt.dynamic_unroll(core, inputs, core.initial_state(batch_size))
        np.testing.assert_allclose(run(inputs), expected, atol=1e-6)
    assert len(traces) == 1


def test_variables_can_be_created_inside_a_compiled_function():
    core = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(5), 2)
    step = tf.function(lambda x: core(x, core.initial_state(2)), jit_compile=True)
    assert step(tf.ones([2, 6]))[0].shape == [2, 2]
    assert len(core.trainable_variables) == 7


def test_the_words_just_read_and_those_read_before_reach_the_output():
    core = make_core()
    state = core.initial_state(1)
    inputs = tf.ones([1, 5])
    base, _ = core(inputs, state)
    # Words read before feed the controller.
    other, _ = core(inputs, state._replace(access_output=tf.ones_like(state.access_output)))
    assert np.abs(other - base).max() > 1e-3
    # Words read in this step feed the output.
    access = state.access_state._replace(memory=tf.ones_like(state.access_state.memory))
    other, _ = core(inputs, state._replace(access_state=access))
    assert np.abs(other - base).max() > 1e-3


def test_clipping_bounds_controller_output_its_state_and_the_output():
    core = make_core(clip_value=0.1, scale=10.0)
    state = core.initial_state(2)
    access = state.access_state._replace(memory=tf.fill([2, 6, 4], 5.0))
    step = core.step(100 * tf.ones([2, 5]), state._replace(access_state=access))
    bounded = [step.outputs, step.controller_output, *step.state.controller_state]
    assert max(np.abs(x).max() for x in bounded) == np.float32(0.1)
    assert np.abs(step.state.access_output).max() > 0.1


def test_the_number_of_parameters_is_the_papers():
    access = dnc.MemoryAccess(256, 64, num_reads=4, with_bias=False)
    core = dnc.DNC(access, snt.LSTM(256), 159, with_bias=False)
    core(tf.zeros([1, 159]), core.initial_state(1))
    assert sum(np.prod(v.shape) for v in core.trainable_variables) == 890_112

    core = dnc.DNC(dnc.MemoryAccess(16, 64, num_reads=4), snt.LSTM(256), 159)
    core(tf.zeros([1, 159]), core.initial_state(1))
    assert sum(np.prod(v.shape) for v in core.trainable_variables) == 890_112 + 471 + 159


def test_access_and_controller_may_be_dicts_as_in_the_released_code():
    core = dnc.DNC(
        {"memory_size": 6, "word_size": 4, "num_reads": 2, "num_writes": 1},
        {"hidden_size": 7},
        3,
        20,
        "my_dnc",
    )
    outputs, _ = core(tf.zeros([2, 5]), core.initial_state(2))
    assert outputs.shape == [2, 3]
    assert isinstance(core.controller, snt.LSTM)
    assert core.name == "my_dnc"
    assert all(variable.name.startswith("my_dnc/") for variable in core.trainable_variables)


@pytest.mark.parametrize(
    "controller",
    [
        dnc.FeedForward([8, 7]),
        dnc.FeedForward(snt.Linear(7)),
        snt.Linear(7),
        lambda x: tf.tanh(x),
        snt.GRU(7),
        snt.DeepRNN([snt.LSTM(5), tf.nn.relu, snt.LSTM(6)]),
        dnc.DNC(dnc.MemoryAccess(3, 2), snt.LSTM(5), 7),
    ],
    ids=["mlp", "feed-forward", "module", "function", "GRU", "DeepRNN", "DNC"],
)
def test_any_core_or_callable_can_be_the_controller(controller):
    core = dnc.DNC(dnc.MemoryAccess(6, 4, num_reads=2), controller, 3)
    outputs, state = snt.dynamic_unroll(core, tf.ones([3, 2, 5]), core.initial_state(2))
    assert outputs.shape == [3, 2, 3]
    tf.nest.assert_same_structure(state, core.state_size)


class CountingLSTM(snt.RNNCore):
    """A controller whose state is not all of floating point."""

    def __init__(self):
        super().__init__()
        self.lstm = snt.LSTM(7)

    def __call__(self, inputs, prev_state):
        count, state = prev_state
        outputs, state = self.lstm(inputs, state)
        return outputs, (count + 1, state)

    def initial_state(self, batch_size):
        return tf.zeros([batch_size, 1], tf.int32), self.lstm.initial_state(batch_size)


def test_a_controller_may_keep_integers_in_its_state():
    core = dnc.DNC(dnc.MemoryAccess(6, 4), CountingLSTM(), 3, clip_value=0.5)
    _, state = snt.dynamic_unroll(core, tf.ones([3, 2, 5]), core.initial_state(2))
    np.testing.assert_array_equal(state.controller_state[0], [[3], [3]])


def test_a_call_that_failed_leaves_the_core_free_for_another_input_width():
    core = dnc.DNC(dnc.MemoryAccess(6, 4), snt.LSTM(7, dtype=tf.float64), 3)
    with pytest.raises(ValueError, match=r"state.controller_state.hidden .*float32.*float64"):
        core(
            tf.zeros([2, 9]),
            core.initial_state(2, tf.float64)._replace(
                access_output=tf.zeros([2, 1, 4]),
                access_state=core.access.initial_state(2),
            ),
        )
    outputs, _ = core(tf.zeros([2, 5], tf.float64), core.initial_state(2, tf.float64))
    assert outputs.shape == [2, 3]


def test_a_feed_forward_controller_tells_its_output_size_if_it_can():
    assert dnc.FeedForward([8, 7]).output_size.as_list() == [7]
    assert dnc.FeedForward(7).output_size.as_list() == [7]
    assert dnc.FeedForward(snt.Linear(7)).output_size.as_list() == [None]


def test_parts_can_be_given_and_must_fit():
    linkage, freeness = dnc.TemporalLinkage(6, num_writes=2), dnc.Freeness(6)
    access = dnc.MemoryAccess(6, 4, num_writes=2, linkage=linkage, freeness=freeness)
    assert access.linkage is linkage
    assert access.freeness is freeness
    with pytest.raises(ValueError, match="linkage must have num_writes=1 like the access, got 2"):
        dnc.MemoryAccess(6, 4, linkage=linkage)
    with pytest.raises(ValueError, match="freeness must have memory_size=7 like the access, got 6"):
        dnc.MemoryAccess(7, 4, freeness=freeness)


def test_the_interface_has_the_papers_layout():
    access = dnc.MemoryAccess(16, 64, num_reads=4)
    offsets = np.cumsum([0, *access.interface.widths.values()])
    assert list(offsets) == [0, 256, 260, 324, 325, 389, 453, 457, 458, 459, 471]
    fields = access.interface(tf.random.stateless_normal([2, 10], [1, 2]))
    assert list(fields) == [
        "read_keys",
        "read_strengths",
        "write_keys",
        "write_strengths",
        "erase_vectors",
        "write_vectors",
        "free_gate",
        "allocation_gate",
        "write_gate",
        "read_mode",
    ]
    np.testing.assert_allclose(tf.reduce_sum(fields["read_mode"], -1), tf.ones([2, 4]), rtol=1e-6)


def test_of_a_part_the_method_nearest_to_its_class_is_called():
    class Half(dnc.CosineWeights):
        def compute(self, *args, **kwargs):
            return 0.5 * super().compute(*args, **kwargs)

    class Quarter(Half):
        def __call__(self, *args, **kwargs):
            return 0.5 * super().__call__(*args, **kwargs)

    class Eighth(Quarter):
        def compute(self, *args, **kwargs):
            return 0.125 * dnc.CosineWeights.compute(self, *args, **kwargs)

    for kind, total in {dnc.CosineWeights: 1.0, Half: 0.5, Quarter: 0.25, Eighth: 0.125}.items():
        core = make_core(read_content=kind(2, 4))
        weights = core.step(tf.zeros([2, 5]), core.initial_state(2)).access.read_content_weights
        np.testing.assert_allclose(tf.reduce_sum(weights, axis=2), tf.fill([2, 2], total), 1e-6)


# Wrong input.


def step(core, inputs=None, **replaced):
    state = core.initial_state(2)
    access = {k: v for k, v in replaced.items() if k in dnc.AccessState._fields}
    state = state._replace(access_state=state.access_state._replace(**access))
    state = state._replace(**{k: v for k, v in replaced.items() if k in state._fields})
    return core(tf.zeros([2, 5]) if inputs is None else inputs, state)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inputs": tf.zeros([5])}, r"inputs must have shape \[\?, 5\].*got shape \[5\]"),
        ({"inputs": tf.zeros([2, 1, 5])}, r"inputs .*got shape \[2, 1, 5\]"),
        ({"inputs": tf.zeros([2, 6])}, r"inputs .*\[\?, 5\].*got shape \[2, 6\]"),
        ({"inputs": tf.zeros([2, 5], tf.float64)}, "inputs must be float32.*got float64"),
        ({"inputs": np.zeros([2, 5], np.int32)}, "a floating point dtype.*int32"),
        ({"inputs": "text"}, "inputs .*got .*string"),
        ({"inputs": tf.zeros([3, 5])}, r"state.access_output .*\[3, 2, 4\].*got shape \[2, 2, 4\]"),
        ({"usage": tf.zeros([2, 7])}, r"state.access_state.usage .*\[2, 6\].*\[2, 7\]"),
        (
            {"memory": tf.zeros([2, 6, 4], tf.float64)},
            "state.access_state.memory .*float32.*float64",
        ),
        ({"access_output": tf.zeros([2, 2, 4], tf.int32)}, "access_output .*float32.*int32"),
        ({"linkage": None}, r"linkage must be a TemporalLinkageState\(.*\).*got a NoneType"),
        ({"controller_state": tf.zeros([2, 7])}, "controller_state must be a LSTMState"),
        ({"access_state": (1, 2)}, r"access_state must be a AccessState\(memory, .*a tuple of 2"),
    ],
)
def test_wrong_inputs_and_states_are_named_with_what_was_expected(arguments, message):
    core = make_core()
    with pytest.raises(ValueError, match=message):
        step(core, **arguments)


@pytest.mark.parametrize("method", ["__call__", "step"])
def test_an_access_alone_names_what_does_not_fit(method):
    access = dnc.MemoryAccess(6, 4)
    call, state = getattr(access, method), access.initial_state(2)
    with pytest.raises(ValueError, match=r"memory access state.usage .*\[2, 6\].*\[2, 7\]"):
        call(tf.zeros([2, 5]), state._replace(usage=tf.zeros([2, 7])))
    with pytest.raises(ValueError, match=r"state.linkage must be a TemporalLinkageState"):
        call(tf.zeros([2, 5]), state._replace(linkage=None))
    with pytest.raises(ValueError, match=r"controller output must .*got shape \[2, 1, 5\]"):
        call(tf.zeros([2, 1, 5]), state)


def test_a_state_of_another_core_is_refused():
    core, other = make_core(memory_size=6), make_core(memory_size=8)
    with pytest.raises(ValueError, match=r"memory .*\[2, 6, 4\].*\[2, 8, 4\]"):
        core(tf.zeros([2, 5]), other.initial_state(2))
    with pytest.raises(ValueError, match=r"state must be a DNCState\(.*\).*a tensor of shape"):
        core(tf.zeros([2, 5]), tf.zeros([2, 7]))


def test_a_width_that_the_interface_was_not_made_for_is_refused():
    access = dnc.MemoryAccess(6, 4)
    access(tf.zeros([2, 5]), access.initial_state(2))
    with pytest.raises(ValueError, match=r"controller output .*\[\?, 5\].*\[2, 6\]"):
        access(tf.zeros([2, 6]), access.initial_state(2))


@pytest.mark.parametrize("batch_size", [-1, 1.5, True, "2", None, tf.zeros([1]), tf.constant(2.0)])
def test_a_batch_size_is_an_integer(batch_size):
    with pytest.raises(ValueError, match="batch_size must be an integer"):
        make_core().initial_state(batch_size)


@pytest.mark.parametrize("dtype", [tf.int32, "nonsense", tf.string])
def test_a_state_is_of_floating_point(dtype):
    with pytest.raises(ValueError, match="dtype must be a floating point type"):
        make_core().access.initial_state(2, dtype)


def test_a_controller_of_another_dtype_is_named():
    with pytest.raises(ValueError, match=r"is float32, but float64 .*cast.* or .*dtype=tf.float64"):
        make_core().initial_state(2, tf.float64)


class TestVariablesOfOthers:
    """Every variable that a core learns from is among its own, or an error says so."""

    @staticmethod
    def run(controller):
        core = dnc.DNC(dnc.MemoryAccess(4, 3), controller, 2)
        core(tf.ones([2, 5]), core.initial_state(2))
        return core

    def test_those_of_a_keras_layer_are_an_error(self):
        message = r"dnc depends on .*never be trained: .*kernel.*bias.*snt.Linear for keras"
        with pytest.raises(ValueError, match=message):
            self.run(keras.layers.Dense(4))
        core = dnc.DNC(dnc.MemoryAccess(4, 3), keras.layers.Dense(4), 2)
        with pytest.raises(ValueError, match=message):
            tf.function(dnc.unroll)(core, tf.ones([3, 2, 5]), implementation="steps")

    def test_those_of_a_layer_before_the_core_are_an_error_in_unroll(self):
        inner = self.run(snt.LSTM(4))
        core = snt.DeepRNN([keras.layers.Dense(5), inner])
        for _ in range(2):  # Not only at the first call.
            with pytest.raises(ValueError, match=r"deep_rnn depends on .*kernel.*bias"):
                dnc.unroll(core, tf.ones([3, 2, 5]))

    def test_that_of_a_function_is_an_error_unless_it_is_held_or_stopped(self):
        weights = tf.Variable(tf.ones([8, 4]))
        with pytest.raises(ValueError, match="dnc depends on variables"):
            self.run(lambda x: tf.matmul(x, weights))
        self.run(lambda x: tf.matmul(x, tf.stop_gradient(weights)))
        core = dnc.DNC(dnc.MemoryAccess(4, 3), lambda x: tf.matmul(x, weights), 2)
        core.others = [weights]
        core(tf.ones([2, 5]), core.initial_state(2))
        assert any(variable is weights for variable in core.trainable_variables)

    @pytest.mark.parametrize("cell", [keras.layers.LSTMCell(4), keras.layers.GRU(4)])
    def test_a_recurrent_layer_of_keras_is_named(self, cell):
        with pytest.raises(ValueError, match=r"without a state, got .*snt.LSTM\(64\)"):
            dnc.DNC(dnc.MemoryAccess(4, 3), cell, 2)


def test_a_stateless_controller_starts_in_the_dtype_of_its_variables():
    core = dnc.DNC(dnc.MemoryAccess(4, 3), dnc.FeedForward([4]), 2)
    core(tf.ones([2, 5], tf.float64), core.initial_state(2, tf.float64))
    assert core.initial_state(2).access_output.dtype == tf.float64


def test_an_array_is_taken_in_the_dtype_of_the_state():
    core = make_core()
    outputs, _ = core(np.ones([2, 5]), core.initial_state(2))
    expected, _ = core(tf.ones([2, 5]), core.initial_state(2))
    np.testing.assert_array_equal(outputs, expected)


def test_bad_constructor_arguments_are_named():
    access = dnc.MemoryAccess(4, 3)
    for name in ("memory_size", "word_size", "num_reads", "num_writes"):
        with pytest.raises(ValueError, match=f"{name} must be an integer >= 1, got 0"):
            dnc.MemoryAccess(**{name: 0})
    with pytest.raises(ValueError, match="output_size must be an integer >= 1, got -2"):
        dnc.DNC(access, snt.LSTM(5), -2)
    for bad in (0, "x", [1.0], True):
        message = f"clip_value must be a number > 0, or None for no clipping, got {bad!r}"
        with pytest.raises(ValueError, match=re.escape(message)):
            dnc.DNC(access, snt.LSTM(5), 2, clip_value=bad)
    with pytest.raises(ValueError, match=r"Cannot construct LSTM from arguments {'size': 3}"):
        dnc.DNC(access, {"size": 3}, 2)
    with pytest.raises(ValueError, match="strength_op must be callable, got 'softplus'"):
        dnc.MemoryAccess(4, 3, strength_op="softplus")
    with pytest.raises(ValueError, match=r"access must be a dnc.MemoryAccess or a dict .*got 3"):
        dnc.DNC(3, snt.LSTM(5), 2)
    with pytest.raises(ValueError, match=r"controller must be an snt.RNNCore, a callable, or"):
        dnc.DNC(access, 3, 2)
    with pytest.raises(ValueError, match="layer size must be an integer >= 1, got 0"):
        dnc.FeedForward([3, 0])
    with pytest.raises(ValueError, match="at least one layer size"):
        dnc.FeedForward([])
