"""Combinations of the unroll that take long to trace or compile."""

import functools

import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from tests.models import (
    after_some_steps,
    assert_same,
    compiled,
    graph,
    make_core,
    random_inputs,
    with_gradients,
)

MASKS = {"sequence_length": [5, 2, 0], "reset": tf.eye(5, 3, dtype=tf.float64) > 0}


def sparse(memory_size, num_writes):
    return dnc.SparseTemporalLinkage(memory_size, num_writes, num_links=3)


@pytest.mark.parametrize(
    ("access", "controller"),
    [
        (
            dnc.MemoryAccess(6, 4, 2, 2, linkage=sparse(6, 2)),
            snt.GRU(7, dtype=tf.float64),
        ),
        (dnc.MemoryAccess(130, 130, 2), dnc.DeepLSTM([4, 3], dtype=tf.float64)),
        (dnc.MemoryAccess(260, 4, 2), dnc.FeedForward(7)),
    ],
    ids=["sparse links, two write heads, GRU", "many columns, DeepLSTM", "sorted, FeedForward"],
)
def test_the_compiled_fused_unroll_is_that_of_the_steps(access, controller):
    core = dnc.DNC(access, controller, 3, 20.0)
    core(tf.zeros([1, 5], tf.float64), core.initial_state(1, tf.float64))
    inputs, state = random_inputs(5, 3), after_some_steps(core)
    run = functools.partial(with_gradients, dnc.unroll, core, **MASKS)
    fused = compiled(functools.partial(run, implementation="fused"))
    assert_same(fused(inputs, state), run(inputs, state), 1e-10)


def test_checkpointing_changes_neither_values_nor_gradients_with_sparse_links():
    core = make_core(dtype=tf.float64, linkage=sparse(6, 1))
    inputs, state = random_inputs(7, 3), after_some_steps(core)
    options = {"sequence_length": [7, 3, 5], "reset": tf.eye(7, 3, dtype=tf.float64) > 0}
    run = functools.partial(with_gradients, dnc.unroll, core, **options)
    checkpointed = graph(functools.partial(run, checkpoint_every=3))
    assert_same(checkpointed(inputs, state), run(inputs, state), 1e-10)


def test_checkpointing_returns_all_states_in_a_graph():
    core = make_core(dtype=tf.float64)
    inputs, state = random_inputs(7, 3), after_some_steps(core)
    run = functools.partial(with_gradients, dnc.unroll, core, return_all_states=True)
    checkpointed = graph(functools.partial(run, checkpoint_every=3))
    assert_same(checkpointed(inputs, state), run(inputs, state), 1e-10)


def test_second_derivatives_are_those_of_the_plain_steps():
    core = make_core(dtype=tf.float64)
    inputs, state = random_inputs(2, 2), after_some_steps(core, 2)

    def second(unroll):
        with tf.GradientTape() as outer:
            outer.watch(inputs)
            with tf.GradientTape() as inner:
                inner.watch(inputs)
                loss = tf.reduce_sum(tf.sin(unroll(core, inputs, state)[0]))
            gradient = inner.gradient(loss, inputs)
            slope = tf.reduce_sum(gradient * tf.cos(gradient))
        return outer.gradient(slope, inputs)

    fast = graph(functools.partial(second, dnc.unroll))()
    assert_same(fast, second(snt.dynamic_unroll), 1e-12)
