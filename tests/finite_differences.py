"""Gradients of a core compared with finite differences, in float64."""

import numpy as np
import sonnet as snt
import tensorflow as tf

import dnc
from tests.family import core_of
from tests.models import floats, graph, random_inputs, random_state


def gradient_check(core, inputs, *points):
    """Compares directional derivatives of a loss with central differences.

    Args:
      core: the core.
      inputs: [T, B, X].
      *points: pairs of a state and whether the gradient w.r.t. it is also checked.
    """
    like = points[0][0]
    probe = tf.constant(np.random.default_rng(5).normal(size=[*inputs.shape[:2], 3]))

    @graph
    def loss_and_gradients(inputs, *state):
        with tf.GradientTape() as tape:
            tape.watch([inputs, *floats(state)])
            outputs, last = snt.dynamic_unroll(
                core, inputs, tf.nest.pack_sequence_as(like, list(state))
            )
            loss = tf.reduce_sum(probe * outputs) + tf.reduce_sum(last.access_state.memory**2)
        sources = [*core.trainable_variables, inputs, *floats(state)]
        return loss, tape.gradient(
            loss, sources, unconnected_gradients=tf.UnconnectedGradients.ZERO
        )

    for state, with_state in points:
        check_directions(core, loss_and_gradients, inputs, state, with_state)


def check_directions(core, loss_and_gradients, inputs, state, with_state):
    """Compares directional derivatives at one point with central differences."""
    flat_state = tf.nest.flatten(state)
    _, gradients = loss_and_gradients(inputs, *flat_state)
    for gradient in gradients:
        assert np.isfinite(gradient).all()
    variables = core.trainable_variables
    values = [tf.identity(x) for x in variables]
    rng = np.random.default_rng(7)
    step = 1e-6
    for trial in range(8):
        directions = [rng.normal(size=x.shape) for x in [*variables, inputs, *floats(state)]]
        if not with_state:
            for direction in directions[len(variables) + 1 :]:
                direction *= 0.0
        expected = sum(np.sum(g * d) for g, d in zip(gradients, directions, strict=True))
        losses = []
        for sign in (1.0, -1.0):
            moves = iter([sign * step * direction for direction in directions])
            for variable, value in zip(variables, values, strict=True):
                variable.assign(value + next(moves))
            rest = [x + next(moves) if x.dtype.is_floating else x for x in [inputs, *flat_state]]
            losses.append(float(loss_and_gradients(*rest)[0]))
        measured = (losses[0] - losses[1]) / (2 * step)
        np.testing.assert_allclose(expected, measured, rtol=2e-5, atol=1e-6, err_msg=str(trial))
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def far_from_kinks(state):
    """Returns the state with other usages, no two alike."""
    usage = tf.constant(np.linspace(0.1, 0.9, 10).reshape(2, 5))
    return state._replace(access_state=state.access_state._replace(usage=usage))


def check_variant(variant):
    """Checks a variant at a generic point and at its initial state."""
    core = core_of(variant, clip_value=None, scale=0.7)
    generic, first = far_from_kinks(random_state(core, 2)), core.initial_state(2)
    points = [(dnc.seed_dropout(generic, (0, 1)), True), (first, False)]
    gradient_check(core, random_inputs(3, 2), *points)
