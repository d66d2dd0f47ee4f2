"""Combinations of the unroll that take long to trace or compile."""

import functools

import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from tests.models import (
    MODES,
    after_some_steps,
    assert_same,
    compiled,
    graph,
    make_core,
    random_inputs,
    with_gradients,
)
from tests.unit.dnc.unrolling import (
    test_checkpointing,
    test_directions,
    test_fused,
    test_implementations,
)
from tests.unit.dnc.unrolling.test_unroll import (
    RESET,
    check_padded,
    make,
    step_by_step,
    steps,
    swap,
)


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
    run = functools.partial(with_gradients, dnc.unroll, core, **test_fused.MASKS)
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


@pytest.mark.parametrize("options", [{}, {**test_fused.MASKS, "checkpoint_every": 2}])
def test_the_bypass_drops_what_it_drops_step_by_step(options):
    test_fused.check_bypass(**options)


@pytest.mark.parametrize(("num_steps", "batch_size"), [(2, 1), (1, 2)])
def test_short_sequences_and_single_examples(num_steps, batch_size):
    test_fused.check_short(num_steps, batch_size)


def test_a_linkage_that_remembers_reads_is_compiled():
    test_fused.TestOtherParts.check_recent_reads("compiled")


def test_a_field_of_two_axes_has_the_gradient_of_its_activation():
    test_fused.TestOtherParts.check_field(("H", 3))


@pytest.mark.parametrize(
    ("name", "mode", "options"),
    [("the tutorial's", "compiled", {}), ("with dropout", "graph", {"checkpoint_every": 2})],
    ids=["compiled", "with less memory"],
)
def test_layers_over_whole_sequences_give_what_the_steps_of_a_stack_give(name, mode, options):
    test_implementations.compare(name, mode, **test_implementations.TestDeepRNN.MASKS, **options)


@pytest.mark.parametrize("every", [1, 7])
def test_checkpoints_at_all_steps_or_at_none_change_nothing(every):
    test_checkpointing.check("fast", every)


def test_checkpointing_a_reversed_sequence_changes_nothing():
    core = make_core(dtype=tf.float64)
    inputs, state = random_inputs(4, 3), after_some_steps(core)
    options = {"sequence_length": test_directions.LENGTHS, "reset": test_directions.RESET}
    run = functools.partial(
        with_gradients, dnc.unroll, core, inputs, state, reverse=True, **options
    )
    checkpointed = MODES["graph"](functools.partial(run, checkpoint_every=3))
    assert_same(checkpointed()[0], run()[0])


def test_a_padded_batch_equals_its_examples_alone_when_it_is_compiled():
    check_padded("DNC", "compiled")


def test_one_trace_serves_any_number_of_steps_and_any_batch_size():
    core, inputs, state = make("DNC", num_steps=5, batch_size=4)
    traces = []

    @graph(
        input_signature=[
            tf.TensorSpec([None, None, 5], tf.float64),
            tf.nest.map_structure(lambda x: tf.TensorSpec([None, *x.shape[1:]], x.dtype), state),
            tf.TensorSpec([None], tf.int32),
            tf.TensorSpec([None, None], tf.bool),
        ]
    )
    def run(inputs, state, lengths, reset):
        traces.append(1)
        plain = step_by_step(core, inputs)
        swapped = tf.transpose(inputs, [1, 0, 2])
        both = dnc.unroll(core, swapped, time_major=False, return_all_states=True)
        masked = with_length_and_reset(inputs, state, lengths, reset)
        return plain, both, masked

    def with_length_and_reset(inputs, state, lengths, reset):
        watched = [inputs, *tf.nest.flatten(state)]
        with tf.GradientTape() as tape:
            tape.watch(watched)
            results = step_by_step(core, inputs, state, sequence_length=lengths, reset=reset)
            loss = tf.add_n([tf.reduce_sum(x**2) for x in tf.nest.flatten(results)])
        sources = [*core.trainable_variables, *watched]
        return results, tape.gradient(loss, sources, unconnected_gradients="zero")

    for num_steps, batch_size in [(5, 4), (1, 1), (3, 2)]:
        arguments = (
            inputs[:num_steps, :batch_size],
            steps(state, 0, batch_size),
            tf.minimum(num_steps, [5, 1, 3, 0])[:batch_size],
            tf.constant(RESET[:num_steps, :batch_size]),
        )
        plain, both, masked = run(*arguments)
        assert_same(plain, dnc.unroll(core, arguments[0]))
        assert_same(both, swap(dnc.unroll(core, arguments[0], return_all_states=True)))
        assert_same(masked, with_length_and_reset(*arguments))
    assert len(traces) == 1


@pytest.mark.parametrize("name", sorted(test_implementations.SLOW))
def test_other_stacks_of_layers_give_what_their_steps_give(name):
    test_implementations.compare(name, **test_implementations.TestDeepRNN.MASKS)
