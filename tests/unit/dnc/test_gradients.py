"""Gradients are right (finite differences, float64) and finite wherever the model can get."""

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from tests.family import core_of
from tests.finite_differences import far_from_kinks, gradient_check
from tests.models import graph, make_core, random_inputs, random_state


# With the stop_gradient the result is, by design, not the gradient of the loss, so it is off here.
# The recorded gradients show that switching it on changes nothing else.
# Gradients of variants: tests/system/test_family.py.
def core_without_stop(**options):
    memory_size = options.pop("memory_size", 5)
    freeness = dnc.Freeness(memory_size, stop_write_gradient=False)
    return make_core(
        memory_size=memory_size, dtype=tf.float64, freeness=freeness, clip_value=None, **options
    )


@pytest.mark.parametrize(("num_writes", "scale"), [(1, 2.0), (2, 0.5)])
def test_gradients_equal_finite_differences_at_random_points(num_writes, scale):
    core = core_without_stop(num_writes=num_writes, scale=scale)
    inputs, state = random_inputs(3, 2), random_state(core, 2)
    gradient_check(core, inputs, (far_from_kinks(state), True))


@pytest.mark.parametrize("num_writes", [1, 2])
def test_gradients_equal_finite_differences_from_the_all_zero_state(num_writes):
    core = core_without_stop(num_writes=num_writes, scale=1.0)
    gradient_check(core, random_inputs(4, 2), (core.initial_state(2, tf.float64), False))


@pytest.mark.parametrize(("variant", "num_fields"), [("plain", 10), ("all", 14)])
def test_every_interface_field_gets_a_finite_nonzero_gradient_over_three_steps(variant, num_fields):
    core = make_core(dtype=tf.float64, num_writes=2) if variant == "plain" else core_of(variant)
    with tf.GradientTape() as tape:
        outputs, _ = snt.static_unroll(core, random_inputs(3, 2), core.initial_state(2, tf.float64))
        loss = tf.reduce_sum(outputs**2)
    gradient = tape.gradient(loss, core.access.interface.linear.w).numpy()
    assert np.isfinite(gradient).all()
    ends = np.cumsum(list(core.access.interface.widths.values()))
    for name, part in zip(
        core.access.interface.widths, np.split(gradient, ends[:-1], axis=1), strict=True
    ):
        assert np.abs(part).max() > 0, name
    assert len(core.access.interface.widths) == num_fields


class FiniteCheck:
    """A float32 core in a graph, run from many states. With XLA: tests/system/test_gradients.py."""

    def __init__(self, wrap=graph, **options):
        self.core = make_core(dtype=tf.float32, **options)
        self._values = [tf.identity(variable) for variable in self.core.trainable_variables]
        self._wrapped = wrap(self._outputs_and_gradients)

    def _outputs_and_gradients(self, inputs, state):
        with tf.GradientTape() as tape:
            tape.watch([inputs, state])
            outputs, last = snt.dynamic_unroll(self.core, inputs, state)
            loss = tf.reduce_sum(outputs**2)
        sources = (self.core.trainable_variables, inputs, state)
        zero = tf.UnconnectedGradients.ZERO
        return outputs, last, tape.gradient(loss, sources, unconnected_gradients=zero)

    def run(self, input_scale=1.0, weight_scale=1.0, state=None, interface_bias=None):
        for variable, value in zip(self.core.trainable_variables, self._values, strict=True):
            variable.assign(value * weight_scale)
        if interface_bias is not None:
            self.core.access.interface.linear.b.assign(interface_bias)
        inputs = random_inputs(4, 2, dtype=tf.float32) * input_scale
        for part in tf.nest.flatten(self._wrapped(inputs, state or self.core.initial_state(2))):
            assert np.isfinite(part).all()

    def run_memory(self, usage, memory, weights):
        """From a memory of one value, used everywhere alike, with weights on the first slot."""
        state = self.core.initial_state(2)
        access = state.access_state
        first_slot = {"none": 0.0, "one-hot": 1.0}[weights] * tf.one_hot(0, 6)
        access = access._replace(
            usage=tf.fill(access.usage.shape, usage),
            memory=tf.fill(access.memory.shape, memory),
            write_weights=access.write_weights + first_slot,
            read_weights=access.read_weights + first_slot,
            linkage=access.linkage._replace(
                precedence_weights=access.linkage.precedence_weights + first_slot
            ),
        )
        self.run(state=state._replace(access_state=access))

    def run_saturated_gates(self):
        """With factors that are exactly 0 or 1: there the released code's gradients are NaN."""
        rng = np.random.default_rng(0)
        for _ in range(10):
            shape = self.core.access.interface.linear.b.shape
            self.run(interface_bias=rng.choice([-200.0, 200.0], size=shape))


@pytest.fixture(scope="module")
def finite_check():
    return FiniteCheck(num_writes=2)


@pytest.mark.parametrize("input_scale", [1.0, 1e4])
@pytest.mark.parametrize("weight_scale", [1.0, 1e4])
def test_nothing_overflows_for_large_inputs_and_weights(finite_check, input_scale, weight_scale):
    finite_check.run(input_scale, weight_scale)


def test_nothing_overflows_without_clipping_either():
    FiniteCheck(clip_value=None).run(input_scale=1e4, weight_scale=1e4)


@pytest.mark.parametrize("usage", [0.0, 1.0])
@pytest.mark.parametrize("memory", [0.0, 1.0, 1e4])
@pytest.mark.parametrize("weights", ["none", "one-hot"])
def test_empty_full_and_saturated_memories_have_finite_gradients(
    finite_check, usage, memory, weights
):
    finite_check.run_memory(usage, memory, weights)


def test_saturated_gates_have_finite_gradients(finite_check):
    finite_check.run_saturated_gates()
