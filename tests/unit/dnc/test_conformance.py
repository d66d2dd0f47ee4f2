"""The core computes what the released code computes, number for number."""

import functools

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

from dnc import deepmind
from tests import golden, models


@functools.cache
def recording(name):
    return golden.Recording(golden.DATA / f"{name}.npz")


@functools.cache
def compiled(name):
    """A core of the recording's sizes, and a function: its step and its unroll with gradients, XLA.

    A recording and its `_warm` twin share it; `golden.core_of` gives the variables.
    """
    core = golden.core_of(recording(name))
    unroll = functools.partial(loss_and_gradients, snt.dynamic_unroll)
    return core, models.compiled(core.step), models.compiled(unroll)


def compiled_for(name):
    core, step, unroll = compiled(name.removesuffix("_warm"))
    deepmind.restore(core, recording(name).below("var/"))
    return core, step, unroll


each_recording = pytest.mark.parametrize("name", golden.TRACES)


def every_step(step, inputs, state, restart_from=None):
    """Runs `step` over the inputs, from `restart_from(t)` if given, and returns all steps."""
    steps = []
    for t, x in enumerate(inputs):
        if restart_from is not None and t > 0:
            state = restart_from(t)
        steps.append(step(x, state))
        state = steps[-1].state
    return steps


def auxiliary(step):
    """The intermediate quantities under their recorded names."""
    return {
        **step.access.interface,
        "write_content_weights": step.access.write_content_weights,
        "write_allocation_weights": step.access.allocation_weights,
        "read_content_weights": step.access.read_content_weights,
        "forward_weights": step.access.forward_weights,
        "backward_weights": step.access.backward_weights,
    }


@pytest.mark.parametrize("jit", [False, True], ids=["graph", "jit"])
@each_recording
def test_each_step_from_the_recorded_state_gives_the_recorded_step(name, jit):
    trace = recording(name)
    recorded_states = trace.below("state/")
    recorded = {**recorded_states, **trace.below("aux/"), "outputs": trace["outputs"]}
    core, step, _ = compiled_for(name)
    steps = every_step(
        step if jit else models.graph(core.step),
        trace["inputs"],
        golden.state_of(trace.below("initial/")),
        restart_from=lambda t: golden.state_of({k: v[t - 1] for k, v in recorded_states.items()}),
    )
    # Where usages nearly tie, rounding decides which slot is allocated: nothing to compare there.
    determined = trace["diag/allocation_sensitivity"] <= 1e-5
    assert determined.mean() > 0.95
    for t, step in enumerate(steps):
        actual = {**golden.by_name(step.state), **auxiliary(step), "outputs": step.outputs}
        assert actual.keys() == recorded.keys()
        actual = {k: np.asarray(v)[np.newaxis, determined[t]] for k, v in actual.items()}
        expected = {k: v[np.newaxis, t, determined[t]] for k, v in recorded.items()}
        if not golden.config(trace)["warm_start"]:
            actual = golden.relabel_slots(actual, expected)
        for name, value in actual.items():
            golden.assert_close(value, expected[name], f"{name} at step {t}")


@each_recording
def test_running_freely_gives_the_recorded_states_at_all_steps(name):
    trace = recording(name)
    _, step, _ = compiled_for(name)
    steps = every_step(step, trace["inputs"], golden.state_of(trace.below("initial/")))
    states = [golden.by_name(step.state) for step in steps]
    states = {name: np.stack([state[name] for state in states]) for name in states[0]}
    recorded = trace.below("state/")
    if not golden.config(trace)["warm_start"]:
        states = golden.relabel_slots(states, recorded)
    for name, value in states.items():
        golden.assert_close(value, recorded[name], f"state/{name}")
    golden.assert_close(np.stack([step.outputs for step in steps]), trace["outputs"], "outputs")


def loss_and_gradients(unroll, core, inputs, initial_state, target, mask):
    """Loss, outputs, and gradients under their recorded names, of the unrolled core."""
    with tf.GradientTape() as tape:
        tape.watch([inputs, initial_state])
        outputs, _ = unroll(core, inputs, initial_state)
        loss = golden.masked_loss(outputs, target, mask)
    interface = core.access.interface.linear
    variables = {
        "input_to_hidden": core.controller.input_to_hidden,
        "hidden_to_hidden": core.controller.hidden_to_hidden,
        "b": core.controller.b,
        "interface_w": interface.w,
        "interface_b": interface.b,
        "output_w": core.output_linear.w,
        "output_b": core.output_linear.b,
    }
    return (
        loss,
        outputs,
        tape.gradient(
            loss,
            (variables, inputs, initial_state),
            unconnected_gradients=tf.UnconnectedGradients.ZERO,
        ),
    )


def recorded_gradients(core, trace):
    """The recorded gradients of the released variables, in the layout of `core`."""
    grad = trace.below("grad/dnc/")
    hidden_size = golden.config(trace)["hidden_size"]
    gates = deepmind._reorder_gates(grad["lstm/w_gates"])
    fields = core.access.interface.widths
    return {
        "input_to_hidden": gates[:-hidden_size],
        "hidden_to_hidden": gates[-hidden_size:],
        "b": deepmind._reorder_gates(grad["lstm/b_gates"]),
        "interface_w": np.concatenate([grad[f"memory_access/{f}/w"] for f in fields], axis=1),
        "interface_b": np.concatenate([grad[f"memory_access/{f}/b"] for f in fields]),
        "output_w": grad["output_linear/w"],
        "output_b": grad["output_linear/b"],
    }


def assert_unroll_conforms(trace, core, run, dtype=tf.float32):
    loss, outputs, gradients = run(
        tf.constant(trace["inputs"], dtype),
        golden.state_of(trace.below("initial/"), dtype),
        trace["target"],
        trace["mask"],
    )
    np.testing.assert_allclose(loss, trace["loss"], rtol=1e-5)
    golden.assert_close(outputs, trace["outputs"], "outputs")

    by_variable, by_input, by_state = gradients
    recorded = recorded_gradients(core, trace)
    assert by_variable.keys() == recorded.keys()
    assert len(recorded) == len(core.trainable_variables)
    for name, value in recorded.items():
        golden.assert_gradient_close(by_variable[name], value, f"gradient of {name}")
    golden.assert_gradient_close(by_input, trace["grad_input"], "gradient of the inputs")

    by_state = golden.by_name(by_state)
    assert not by_state.pop("write_weights").any()  # There is no path: stop_gradient.
    warm = golden.config(trace)["warm_start"]
    for name, value in trace.below("grad_initial/").items():
        if warm or name not in golden.SLOT_AXES:
            golden.assert_gradient_close(by_state[name], value, f"gradient of initial {name}")


COMPILED = ("trace_a_tiny", "trace_b_multiwrite")  # Others: tests/system/test_conformance.py.


@pytest.mark.parametrize("name", COMPILED)
def test_loss_and_all_gradients_of_a_compiled_unroll_are_the_recorded_ones(name):
    check_compiled(name)


def check_compiled(name):
    core, _, unroll = compiled_for(name)
    assert_unroll_conforms(recording(name), core, functools.partial(unroll, core))


WAYS = {
    "eager, dynamic unroll": (snt.dynamic_unroll, tf.float32, lambda f: f),
    "eager, static unroll": (snt.static_unroll, tf.float32, lambda f: f),
    "graph, dynamic unroll": (snt.dynamic_unroll, tf.float32, tf.function),
    # Others: tests/system/test_conformance.py.
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_run_the_core_gives_the_recorded_gradients(way):
    check_way(*WAYS[way])


def check_way(unroll, dtype, wrap):
    trace = recording("trace_b_multiwrite_warm")
    core = golden.core_of(trace, dtype)
    run = wrap(functools.partial(loss_and_gradients, unroll, core))
    assert_unroll_conforms(trace, core, run, dtype)
