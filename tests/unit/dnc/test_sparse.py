"""Sparse links: equal to the dense ones where nothing is dropped, never above them elsewhere."""

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from dnc.linkage import LinkageInputs
from dnc.sparse_linkage import SparseLinks
from tests.models import compiled, make_core, random_inputs

SLOTS, READS = 6, 2


def dense(links):
    """The matrix [B, V, N, N] of sparse links."""
    values, columns = np.asarray(links.values), np.asarray(links.columns)
    matrix = np.zeros([*values.shape[:3], values.shape[2]])
    for b, w, i, k in np.ndindex(values.shape):
        if columns[b, w, i, k] >= 0:
            matrix[b, w, i, columns[b, w, i, k]] += values[b, w, i, k]
        else:
            assert values[b, w, i, k] == 0
    return matrix


def weightings(*shape, seed=0, power=4):
    rng = np.random.default_rng(seed)
    x = rng.random(shape) ** power
    return tf.constant(x / (x.sum(-1, keepdims=True) + rng.random(shape[:-1])[..., np.newaxis]))


def run(linkage, writes, reads):
    """Directional weights at all steps, and all states."""
    state = linkage.initial_state(writes.shape[1], tf.float64)
    directions, states = [], []
    for inputs in zip(tf.unstack(writes), tf.unstack(reads), strict=True):
        direction, state = linkage(LinkageInputs(*inputs), state)
        directions.append(direction)
        states.append(state)
    return directions, states


def random_episode(num_steps=12, batch_size=2, num_writes=1, slots=SLOTS, seed=0, power=4):
    writes = weightings(num_steps, batch_size, num_writes, slots, seed=seed, power=power)
    reads = weightings(num_steps, batch_size, READS, slots, seed=seed + 1, power=power)
    return writes, reads


@pytest.mark.parametrize(
    ("jit", "num_writes"),
    [(False, 1), (False, 2)],  # Compiled: tests/system/test_same_everywhere.py.
    ids=["eager-1", "eager-2"],
)
def test_with_as_many_links_as_slots_values_reads_and_gradients_are_the_dense_ones(jit, num_writes):
    check_all_links(jit, num_writes)


def check_all_links(jit, num_writes):
    writes, reads = random_episode(num_steps=5, num_writes=num_writes)
    probe = [tf.constant(np.random.default_rng(9 + i).normal(size=12)) for i in range(5)]

    def outcome(linkage, writes, reads):
        with tf.GradientTape() as tape:
            tape.watch([writes, reads])
            directions, states = run(linkage, writes, reads)
            loss = sum(
                tf.reduce_sum(tf.reshape(x, [-1, 12]) * p)
                for d, p in zip(directions, probe, strict=True)
                for x in (d.forward, d.backward)
            )
        return directions, states, tape.gradient(loss, [writes, reads])

    results = []
    for linkage in (
        dnc.TemporalLinkage(SLOTS, num_writes),
        dnc.SparseTemporalLinkage(SLOTS, num_writes, num_links=SLOTS),
    ):

        def call(w, r, linkage=linkage):
            return outcome(linkage, w, r)

        call = compiled(call) if jit else call
        results.append(call(writes, reads))
    (directions, states, gradients), (sparse_directions, sparse_states, sparse_gradients) = results
    for full, sparse in zip(states, sparse_states, strict=True):
        np.testing.assert_allclose(dense(sparse.link), full.link, atol=1e-12)
        np.testing.assert_allclose(sparse.precedence_weights, full.precedence_weights, atol=1e-12)
    for full, sparse in zip(directions, sparse_directions, strict=True):
        np.testing.assert_allclose(sparse.forward, full.forward, atol=1e-12)
        np.testing.assert_allclose(sparse.backward, full.backward, atol=1e-12)
    for full, sparse in zip(gradients, sparse_gradients, strict=True):
        np.testing.assert_allclose(sparse, full, atol=1e-10)


def test_for_writes_to_one_slot_at_a_time_a_single_link_is_exact():
    rng = np.random.default_rng(0)
    gates = (rng.random([300, 2, 1, 1]) < 0.8).astype(float)  # Some writes do not take place.
    writes = tf.constant(np.eye(SLOTS)[rng.integers(0, SLOTS, [300, 2, 1])] * gates)
    reads = weightings(300, 2, READS, SLOTS)
    directions, states = run(dnc.SparseTemporalLinkage(SLOTS, num_links=1), writes, reads)
    full_directions, full_states = run(dnc.TemporalLinkage(SLOTS), writes, reads)
    np.testing.assert_array_equal(dense(states[-1].link), full_states[-1].link)
    for sparse, full in zip(directions, full_directions, strict=True):
        np.testing.assert_allclose(sparse.forward, full.forward, atol=1e-15)
        np.testing.assert_allclose(sparse.backward, full.backward, atol=1e-15)


@pytest.mark.parametrize("num_links", [1, 2, 4])
@pytest.mark.parametrize("power", [1, 4, 20])
def test_every_link_is_at_most_the_dense_one(num_links, power):
    writes, reads = random_episode(num_steps=40, power=power)
    linkage = dnc.SparseTemporalLinkage(SLOTS, num_links=num_links, num_candidates=2)
    _, states = run(linkage, writes, reads)
    _, full_states = run(dnc.TemporalLinkage(SLOTS), writes, reads)
    for sparse, full in zip(states, full_states, strict=True):
        missing = np.asarray(full.link) - dense(sparse.link)
        assert missing.min() > -1e-12
    assert missing.max() > 1e-4  # Something was discarded.


def test_more_links_are_closer_to_all_links():
    writes, reads = random_episode(num_steps=40, batch_size=8, slots=12, power=2)
    full, _ = run(dnc.TemporalLinkage(12), writes, reads)
    errors = []
    for num_links in (1, 2, 4, 8, 12):
        sparse, _ = run(dnc.SparseTemporalLinkage(12, num_links=num_links), writes, reads)
        errors.append(
            np.mean([np.abs(s.forward - f.forward) for s, f in zip(sparse, full, strict=True)])
        )
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 10 * errors[-1]
    np.testing.assert_allclose(errors[-1], 0.0, atol=1e-12)


@pytest.mark.parametrize("num_links, mass", [(1, 6.993), (2, 6.996), (8, 6.996)])
def test_weak_writes_hardly_change_a_chain(num_links, mass):
    """Eight full writes in a row, then five of weight 0.001: dense total 7.000 to 6.996."""
    chain = np.eye(16)[:8]
    weak = 0.001 * np.eye(16)[[3, 0, 7, 5, 2]]
    writes = tf.constant(np.concatenate([chain, weak])[:, np.newaxis, np.newaxis])
    reads = tf.zeros([13, 1, 1, 16], tf.float64)
    _, states = run(dnc.SparseTemporalLinkage(16, num_links=num_links), writes, reads)
    totals = [float(tf.reduce_sum(state.link.values)) for state in states]
    assert totals[7] == 7.0
    np.testing.assert_allclose(totals[-1], mass, atol=5e-5)


def test_without_a_write_the_state_stays_bit_for_bit():
    writes, reads = random_episode()
    linkage = dnc.SparseTemporalLinkage(SLOTS, num_links=3)
    _, states = run(linkage, writes, reads)
    _, state = linkage(LinkageInputs(tf.zeros_like(writes[0]), reads[0]), states[-1])
    tf.nest.map_structure(np.testing.assert_array_equal, state, states[-1])


def test_a_row_never_has_two_links_to_one_slot():
    writes, reads = random_episode(num_steps=60, power=1)
    _, states = run(dnc.SparseTemporalLinkage(SLOTS, num_links=4), writes, reads)
    for state in states:
        columns = state.link.columns.numpy().reshape(-1, 4)
        for row in columns:
            linked = row[row >= 0]
            assert len(set(linked)) == len(linked)
        own = np.tile(np.arange(SLOTS), 2)[:, np.newaxis]
        assert not np.any(columns == own)


def test_the_numbering_of_slots_does_not_matter():
    writes, reads = random_episode()
    order = np.random.default_rng(1).permutation(SLOTS)
    linkage = dnc.SparseTemporalLinkage(SLOTS, num_links=3)
    directions, states = run(linkage, writes, reads)
    permuted, permuted_states = run(
        linkage, tf.gather(writes, order, axis=3), tf.gather(reads, order, axis=3)
    )
    matrix = dense(states[-1].link)[:, :, order][:, :, :, order]
    np.testing.assert_allclose(dense(permuted_states[-1].link), matrix, atol=1e-15)
    for one, other in zip(directions, permuted, strict=True):
        np.testing.assert_allclose(other.forward, one.forward.numpy()[..., order], atol=1e-15)
        np.testing.assert_allclose(other.backward, one.backward.numpy()[..., order], atol=1e-15)


def test_each_example_of_a_batch_is_as_if_it_were_alone():
    writes, reads = random_episode(batch_size=3, num_writes=2)
    linkage = dnc.SparseTemporalLinkage(SLOTS, 2, num_links=3)
    directions, states = run(linkage, writes, reads)
    for b in range(3):
        alone, alone_states = run(linkage, writes[:, b : b + 1], reads[:, b : b + 1])
        for part, whole in zip(
            tf.nest.flatten([alone, alone_states]),
            tf.nest.flatten([directions, states]),
            strict=True,
        ):
            np.testing.assert_allclose(part[0], whole[b], atol=1e-15)


def core_with(linkage, **options):
    return make_core(memory_size=SLOTS, num_writes=2, linkage=linkage, scale=2.0, **options)


def test_the_memory_of_a_dnc_with_sparse_links_can_be_resized():
    small = core_with(dnc.SparseTemporalLinkage(SLOTS, 2, num_links=3))
    _, state = dnc.unroll(small, random_inputs(4, 2, dtype=tf.float32))
    grown = dnc.resize_memory(state, 9)
    links = grown.access_state.linkage.link
    matrix = dense(state.access_state.linkage.link)
    np.testing.assert_array_equal(dense(links)[:, :, :SLOTS, :SLOTS], matrix)
    assert not np.any(dense(links)[:, :, SLOTS:])
    tf.nest.map_structure(np.testing.assert_array_equal, dnc.resize_memory(grown, SLOTS), state)
    shrunk = dnc.resize_memory(state, 4, tolerance=1.0).access_state.linkage.link
    np.testing.assert_array_equal(dense(shrunk), matrix[:, :, :4, :4])


def test_numbers_out_of_range_are_refused():
    for arguments in ({"num_links": 7}, {"num_links": 2, "num_candidates": 7}):
        with pytest.raises(ValueError, match="must be at most memory_size=6, got 7"):
            dnc.SparseTemporalLinkage(6, **arguments)
    with pytest.raises(ValueError, match="num_links must be an integer >= 1, got 0"):
        dnc.SparseTemporalLinkage(6, num_links=0)
    linkage = dnc.SparseTemporalLinkage(6, num_links=2)
    state = dnc.SparseTemporalLinkage(6, num_links=3).initial_state(1)
    with pytest.raises(ValueError, match=r"linkage state.link.values .*\[1, 1, 6, 2\]"):
        linkage(LinkageInputs(tf.zeros([1, 1, 6]), tf.zeros([1, 1, 6])), state)
    assert isinstance(state.link, SparseLinks)


def test_a_controller_may_learn_through_sparse_links():
    access = dnc.MemoryAccess(12, 4, 1, linkage=dnc.SparseTemporalLinkage(12, num_links=2))
    core = dnc.DNC(access, snt.LSTM(8), 3)
    with tf.GradientTape() as tape:
        outputs, state = dnc.unroll(core, random_inputs(4, 2, dtype=tf.float32))
        loss = tf.reduce_sum(outputs**2)
    assert state.access_state.linkage.link.columns.dtype == tf.int32
    for gradient in tape.gradient(loss, core.trainable_variables):
        assert np.all(np.isfinite(gradient))
        assert np.any(gradient != 0)


def test_sparse_links_go_through_keras_and_its_configurations():
    core = core_with(dnc.SparseTemporalLinkage(SLOTS, 2, num_links=3))
    inputs = tf.transpose(random_inputs(4, 2, dtype=tf.float32), [1, 0, 2])
    cell = dnc.keras.RNNCell(core)
    layer = tf.keras.layers.RNN(cell, return_sequences=True, return_state=True)
    outputs, *parts = layer(inputs)
    expected, state = dnc.unroll(core, inputs, time_major=False)
    np.testing.assert_allclose(outputs, expected, atol=1e-6)
    links = cell.pack_state(parts).access_state.linkage.link
    np.testing.assert_array_equal(links.columns, state.access_state.linkage.link.columns)
    clone = dnc.keras.RNNCell.from_config(cell.get_config())
    assert clone.core.access.linkage.num_links == 3
    assert clone.get_config() == cell.get_config()
