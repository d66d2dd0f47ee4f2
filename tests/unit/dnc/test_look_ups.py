"""The content look-up among the slots in use, alone and inside a memory."""

import numpy as np
import pytest
import tensorflow as tf

import dnc
from dnc import reference
from tests.models import make_core, random_inputs, random_state


def arguments(seed=0, num_slots=7, dtype=np.float64):
    rng = np.random.default_rng(seed)
    memory = rng.normal(size=[3, num_slots, 4])
    keys = rng.normal(size=[3, 2, 4])
    strengths = rng.normal(size=[3, 2]) * 5
    usage = rng.random([3, num_slots]) * (rng.random([3, num_slots]) < 0.7)
    return [tf.constant(x.astype(dtype)) for x in (memory, keys, strengths, usage)]


@pytest.mark.parametrize("seed", range(5))
def test_weights_are_those_of_the_equation(seed):
    memory, keys, strengths, usage = arguments(seed)
    weights = dnc.UsedCosineWeights(2, 4, dnc.oneplus)(memory, keys, strengths, usage)
    expected = [
        [
            reference.used_content(memory[b].numpy(), k, reference.oneplus(beta), usage[b].numpy())
            for k, beta in zip(keys[b].numpy(), strengths[b].numpy(), strict=True)
        ]
        for b in range(3)
    ]
    np.testing.assert_allclose(weights, expected, atol=1e-12)


def test_with_all_slots_fully_used_it_is_the_papers_look_up():
    memory, keys, strengths, usage = arguments()
    np.testing.assert_allclose(
        dnc.UsedCosineWeights(2, 4)(memory, keys, strengths, tf.ones_like(usage)),
        dnc.CosineWeights(2, 4)(memory, keys, strengths),
        atol=2e-6,  # Of EPSILON in the normaliser.
    )


def test_an_unused_slot_gets_no_weight_even_if_it_holds_the_key_itself():
    memory, keys, strengths, _ = arguments()
    strengths = tf.fill([3, 2], tf.constant(1e4, tf.float64))
    memory = tf.concat([keys[:, :1], memory[:, 1:]], axis=1)
    usage = tf.concat([tf.zeros([3, 1], tf.float64), tf.ones([3, 6], tf.float64)], axis=1)
    weights = dnc.UsedCosineWeights(2, 4)(memory, keys, strengths, usage).numpy()
    assert not weights[:, :, 0].any()
    np.testing.assert_allclose(weights.sum(axis=2), 1.0, atol=2e-6)


def test_an_empty_memory_gives_no_weights_and_finite_gradients():
    arrays = [tf.zeros_like(x) for x in arguments(dtype=np.float32)]
    with tf.GradientTape() as tape:
        tape.watch(arrays)
        weights = dnc.UsedCosineWeights(2, 4)(*arrays)
    assert not np.any(weights)
    for gradient in tape.gradient(weights, arrays):
        assert np.all(np.isfinite(gradient))


def test_gradients_agree_with_finite_differences():
    arrays = arguments(num_slots=4)
    arrays[-1] = tf.abs(arrays[-1]) + 0.1  # The set of used slots is fixed around this point.
    probe = tf.constant(np.random.default_rng(9).normal(size=[3, 2, 4]))

    def loss(*arrays):
        return tf.reduce_sum(probe * dnc.UsedCosineWeights(2, 4)(*arrays))

    theoretical, numerical = tf.test.compute_gradient(loss, arrays, delta=1e-5)
    for analytic, numeric in zip(theoretical, numerical, strict=True):
        np.testing.assert_allclose(analytic, numeric, atol=1e-7)


def test_usage_is_asked_for_and_checked():
    memory, keys, strengths, usage = arguments()
    look_up = dnc.UsedCosineWeights(2, 4)
    with pytest.raises(ValueError, match=r"usage must .*\[3, 7\].*\[3, 6\]"):
        look_up(memory, keys, strengths, usage[:, :6])
    with pytest.raises(ValueError, match="needs the usage of the slots, got None"):
        look_up(memory, keys, strengths)


def test_a_memory_reads_what_it_has_just_written():
    core = make_core(content_weights=dnc.UsedCosineWeights, dtype=tf.float64)
    step = core.step(random_inputs(1, 2)[0], core.initial_state(2, tf.float64))
    access = step.access
    # Nothing was in use before: the write look-up finds nothing, the read look-up finds the write.
    assert not np.any(access.write_content_weights)
    written = access.state.write_weights[:, 0].numpy()
    assert written.max() > 1e-3
    reads = access.read_content_weights.numpy()
    slots = np.broadcast_to(written.argmax(axis=1)[:, np.newaxis], [2, 2])
    np.testing.assert_array_equal(reads.argmax(axis=2), slots)
    np.testing.assert_allclose(reads.max(axis=2), 1.0, atol=2e-3)


def test_a_slot_set_free_is_not_found_any_more():
    core = make_core(content_weights=dnc.UsedCosineWeights, dtype=tf.float64)
    state = random_state(core, 1)
    one_hot = tf.one_hot([[2] * core.access.num_reads], 6, dtype=tf.float64)
    state = state._replace(access_state=state.access_state._replace(read_weights=one_hot))
    free = core.access.interface
    column = list(free.widths).index("free_gate")
    start = sum(list(free.widths.values())[:column])
    bias = free.linear.b.numpy()
    bias[start : start + core.access.num_reads] = 50.0  # Free gates open.
    free.linear.b.assign(bias)
    step = core.step(random_inputs(1, 1)[0], state)
    assert step.access.write_content_weights[0, 0, 2] < 1e-12
    assert step.access.write_content_weights[0, 0, 3] > 1e-3
