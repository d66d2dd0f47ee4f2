"""Low precision where it does no harm: controller and linear layers, never the memory."""

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from tests.models import random_inputs

HALVES = [tf.bfloat16, tf.float16]


def make_core(compute_dtype, controller=None, **options):
    access = dnc.MemoryAccess(6, 4, 2, 2)
    return dnc.DNC(
        access, controller or snt.LSTM(7), 3, 20.0, compute_dtype=compute_dtype, **options
    )


def copy_variables(source, target):
    for new, old in zip(target.variables, source.variables, strict=True):
        new.assign(old)


def operations(function, *arguments):
    """Names and dtypes of the operations of the traced function."""
    graph = tf.function(function).get_concrete_function(*arguments).graph
    return [(op.type, output.dtype) for op in graph.get_operations() for output in op.outputs]


@pytest.mark.parametrize("dtype", HALVES, ids=lambda dtype: dtype.name)
def test_only_linear_layers_and_the_controller_compute_in_it(dtype):
    core = make_core(dtype)
    state = core.initial_state(2)
    core(tf.zeros([2, 5]), state)
    found = operations(core, tf.zeros([2, 5]), state)
    matrix_products = [dtype for name, dtype in found if name == "MatMul"]
    assert matrix_products == [dtype] * 4  # Two of the LSTM, interface, output.
    memory_operations = {"Softmax", "Exp", "Log", "Softplus", "Sqrt", "BatchMatMulV2", "Einsum"}
    others = [(name, d) for name, d in found if name in memory_operations]
    assert {name for name, _ in others} >= {"Softmax", "Exp", "Log", "Softplus", "Sqrt"}
    assert {d for _, d in others} == {tf.float32}


@pytest.mark.parametrize("dtype", HALVES, ids=lambda dtype: dtype.name)
def test_variables_state_and_outputs_stay_in_float32(dtype):
    for controller in (snt.LSTM(7), snt.GRU(7), dnc.FeedForward(7), dnc.DeepLSTM([4, 3])):
        core = make_core(dtype, controller)
        outputs, state = dnc.unroll(core, random_inputs(3, 2, dtype=tf.float32))
        assert {x.dtype for x in tf.nest.flatten([outputs, state])} == {tf.float32}
        assert {v.dtype for v in core.trainable_variables} == {tf.float32}
        assert core.compute_dtype == dtype


@pytest.mark.parametrize("dtype", HALVES, ids=lambda dtype: dtype.name)
def test_it_is_the_same_model_up_to_rounding_from_the_first_call_on(dtype):
    inputs = random_inputs(1, 3, dtype=tf.float32)[0]
    full, half = make_core(None), make_core(dtype)
    state = full.initial_state(3)
    tf.random.set_seed(0)
    first, _ = half(inputs, state)
    again, _ = half(inputs, state)
    np.testing.assert_array_equal(first, again)
    full(inputs, state)
    copy_variables(half, full)
    exact, _ = full(inputs, state)
    error = np.abs(exact - again).max()
    assert 0 < error < 2e-2  # bfloat16 has 8 significant bits.


def test_gradients_reach_the_float32_variables():
    core = make_core(tf.bfloat16)
    inputs = random_inputs(4, 2, dtype=tf.float32)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(dnc.unroll(core, inputs)[0] ** 2)
    gradients = tape.gradient(loss, core.trainable_variables)
    full = make_core(None)
    dnc.unroll(full, inputs)
    copy_variables(core, full)
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(dnc.unroll(full, inputs)[0] ** 2)
    expected = tape.gradient(loss, full.trainable_variables)
    for gradient, exact in zip(gradients, expected, strict=True):
        assert gradient.dtype == tf.float32
        np.testing.assert_allclose(gradient, exact, atol=0.05 * np.abs(exact).max())


def test_a_dnc_as_controller_computes_as_it_says_itself():
    inner = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(5), 7, compute_dtype=tf.bfloat16)
    core = make_core(tf.bfloat16, inner)
    inputs = random_inputs(2, 2, dtype=tf.float32)
    _, state = dnc.unroll(core, inputs)
    assert state.controller_state.access_state.memory.dtype == tf.float32
    found = operations(core, inputs[0], core.initial_state(2))
    assert {dtype for name, dtype in found if name == "Softmax"} == {tf.float32}
    assert {dtype for name, dtype in found if name == "MatMul"} == {tf.bfloat16}


def test_a_state_in_low_precision_is_refused_with_the_remedy():
    core = make_core(None)
    for refused in (
        lambda: core.initial_state(2, tf.bfloat16),
        lambda: core(tf.zeros([2, 5], tf.bfloat16), core.initial_state(2)),
        lambda: core.access.initial_state(2, tf.bfloat16),
    ):
        with pytest.raises(ValueError, match=r"float32 or float64.*compute_dtype=tf\.bfloat16"):
            refused()
    with pytest.raises(ValueError, match="dtype must be a floating point type, got 'nonsense'"):
        make_core("nonsense")
