"""One set of weights is one function, also as a SavedModel, in a session and compiled."""

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from tests.models import compiled, make_core, random_inputs
from tests.unit.dnc import test_rnn_cell as rnn_cell
from tests.unit.dnc import test_sparse
from tests.unit.dnc.test_same_everywhere import (
    SIZES,
    Model,
    check_gradients,
    check_outputs,
    each_number_of_writes,
)


class Served(Model):
    """A core, and the SavedModel made of it."""

    def __init__(self, num_writes, path):
        super().__init__(num_writes)
        dnc.export(self.core, path)
        self.loaded = tf.saved_model.load(path)
        self.signature = self.loaded.signatures["sequence"]

    def variables_of(self, run):
        variables = super().variables_of(run)
        if run is not by_saved_model:
            return variables
        # It has its own copies of the variables, in an order of its own.
        copies = {variable.name: variable for variable in self.signature.trainable_variables}
        assert len(copies) == len(variables)
        return [copies[variable.name] for variable in variables]


@each_number_of_writes
def model(request, tmp_path_factory):
    return Served(request.param, tmp_path_factory.mktemp("saved_model"))


def by_saved_model(model, inputs, state):
    # Parts of the state are named after the fields that lead to them.
    names = [
        "access_output",
        "access_state_memory",
        "access_state_read_weights",
        "access_state_write_weights",
        "access_state_linkage_link",
        "access_state_linkage_precedence_weights",
        "access_state_usage",
        "controller_state_hidden",
        "controller_state_cell",
    ]
    parts = dict(zip(names, tf.nest.flatten(state), strict=True))
    results = model.signature(
        inputs=inputs, sequence_length=tf.fill([inputs.shape[1]], inputs.shape[0]), **parts
    )
    assert set(results) == {"outputs", *names}
    last = tf.nest.pack_sequence_as(state, [results[name] for name in names])
    return results["outputs"], last


@pytest.mark.parametrize(("num_steps", "batch_size"), SIZES)
def test_outputs_and_last_state_are_those_of_the_numpy_model(model, num_steps, batch_size):
    check_outputs(model, by_saved_model, num_steps, batch_size)


def test_gradients_are_those_of_the_unroll_step_by_step(model):
    check_gradients(model, by_saved_model)


def test_all_unrolls_give_the_same_in_eager_graph_and_compiled():
    core = make_core(scale=2.0)
    inputs = random_inputs(4, 3, dtype=tf.float32)
    expected = snt.static_unroll(core, inputs, core.initial_state(3))
    for unroll in (snt.static_unroll, snt.dynamic_unroll):

        def run(inputs, unroll=unroll):
            return unroll(core, inputs, core.initial_state(3))

        for wrapped in (run, tf.function(run), tf.function(run, jit_compile=True)):
            tf.nest.map_structure(
                lambda x, y: np.testing.assert_allclose(x, y, atol=1e-5), wrapped(inputs), expected
            )


def test_a_graph_with_a_session_gives_the_same_outputs_state_and_gradients():
    def in_each_way(core, inputs, state, lengths):
        two_steps = tf.ensure_shape(inputs, [2, None, 5])
        results = [
            rnn_cell.unroll(core, inputs, state, lengths),
            rnn_cell.dynamic_rnn(core, inputs, state, lengths),
            rnn_cell.static_rnn(core, two_steps, state, lengths),
        ]
        sources = [inputs, *core.trainable_variables, state.access_state.memory]
        return results, [tf.gradients(outputs, sources) for outputs, _ in results[:2]]

    with rnn_cell.Session(in_each_way) as graph:
        (by_unroll, by_dynamic_rnn, _), _ = graph.fetches
        expected, actual = graph.run((by_unroll, by_dynamic_rnn), [5, 2], num_steps=5)
        rnn_cell.assert_same(actual, expected)

        results, gradients = graph.run(graph.fetches, [2, 0, 1])
        for actual in results[1:]:
            rnn_cell.assert_same(actual, results[0])
        rnn_cell.assert_same(*gradients)
        assert all(np.any(gradient) for gradient in gradients[0])


def test_a_compiled_loop_of_tensorflow_1_gives_the_same():
    rnn_cell.check_function(rnn_cell.dynamic_rnn, "compiled")


@pytest.mark.parametrize("num_writes", [1, 2])
def test_with_as_many_links_as_slots_compiled_links_are_the_dense_ones(num_writes):
    test_sparse.check_all_links(True, num_writes)


def test_a_dnc_with_as_many_links_as_slots_is_the_dense_one():
    full = test_sparse.core_with(None)
    sparse = test_sparse.core_with(
        dnc.SparseTemporalLinkage(test_sparse.SLOTS, 2, num_links=test_sparse.SLOTS)
    )
    inputs = random_inputs(5, 3, dtype=tf.float32)
    results = []
    for core in (full, sparse):

        @compiled
        def run_core(core=core):
            with tf.GradientTape() as tape:
                outputs, _ = dnc.unroll(core, inputs, sequence_length=[5, 2, 4])
                loss = tf.reduce_sum(outputs**2)
            return outputs, tape.gradient(loss, core.trainable_variables)

        results.append(run_core())
    (outputs, gradients), (sparse_outputs, sparse_gradients) = results
    np.testing.assert_allclose(sparse_outputs, outputs, atol=1e-5)
    for one, other in zip(gradients, sparse_gradients, strict=True):
        np.testing.assert_allclose(other, one, atol=1e-6 + 1e-4 * np.abs(one).max())
