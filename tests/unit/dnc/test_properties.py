"""Invariants of the memory (I1 to I8), for any sizes, weights and inputs."""

import hypothesis
import numpy as np
import tensorflow as tf
from hypothesis import strategies as st

import dnc
from dnc import allocation
from tests.models import make_core, random_inputs, random_state

TOLERANCE = 1e-12  # Everything here is in float64.

sizes = st.fixed_dictionaries(
    {
        "memory_size": st.integers(1, 8),
        "word_size": st.integers(1, 4),
        "num_reads": st.integers(1, 3),
        "num_writes": st.integers(1, 2),
        "scale": st.sampled_from([0.1, 1.0, 5.0, 100.0]),
        "seed": st.integers(0, 10_000),
    }
)
usages = st.lists(
    st.one_of(st.sampled_from([0.0, 0.5, 1.0]), st.floats(0, 1)), min_size=1, max_size=12
)


def run(core, num_steps=6, warm=False, seed=0):
    """Runs the core over random inputs and returns its steps."""
    state = random_state(core, 2, seed=seed) if warm else core.initial_state(2, tf.float64)
    steps = []
    for x in random_inputs(num_steps, 2, seed=seed):
        steps.append(core.step(x, state))
        state = steps[-1].state
    return steps


@hypothesis.given(sizes, st.booleans())
def test_weightings_usage_and_links_stay_within_their_bounds(sizes, warm):
    core = make_core(dtype=tf.float64, **sizes)
    for step in run(core, warm=warm, seed=sizes["seed"]):
        access, state = step.access, step.access.state
        usage, gate = state.usage.numpy(), access.interface["write_gate"].numpy()
        # I1
        assert (usage >= 0).all()
        assert (usage <= 1 + TOLERANCE).all()
        # I2, for the first head; the identity holds for the usage with its epsilon.
        raised = 1e-6 + (1 - 1e-6) * usage
        np.testing.assert_allclose(
            tf.reduce_sum(access.allocation_weights[:, 0], axis=1),
            1 - np.prod(raised, axis=1),
            atol=1e-9,
        )
        # I3
        writes = state.write_weights.numpy()
        assert (writes >= 0).all()
        assert (writes.sum(-1) <= gate + TOLERANCE).all()
        precedence = state.linkage.precedence_weights.numpy()
        assert (precedence >= 0).all()
        assert (precedence.sum(-1) <= 1 + TOLERANCE).all()
        # I4
        link = state.linkage.link.numpy()
        assert (link >= -TOLERANCE).all()
        assert not np.diagonal(link, axis1=-2, axis2=-1).any()
        assert (link.sum(-1) <= 1 + TOLERANCE).all()
        assert (link.sum(-2) + precedence <= 1 + TOLERANCE).all()
        # I5
        reads = state.read_weights.numpy()
        assert (reads >= -TOLERANCE).all()
        assert (reads.sum(-1) <= 1 + TOLERANCE).all()


def permuted(state, order):
    """The access state with its slots in another order."""
    take = lambda x, *axes: [x := tf.gather(x, order, axis=axis) for axis in axes][-1]  # noqa: E731
    return dnc.AccessState(
        memory=take(state.memory, 1),
        read_weights=take(state.read_weights, 2),
        write_weights=take(state.write_weights, 2),
        linkage=dnc.TemporalLinkageState(
            take(state.linkage.link, 2, 3), take(state.linkage.precedence_weights, 2)
        ),
        usage=take(state.usage, 1),
    )


@hypothesis.given(sizes, st.randoms(use_true_random=False))
def test_the_order_of_the_slots_does_not_matter(sizes, random):
    # I6: from a state without ties.
    core = make_core(dtype=tf.float64, **sizes)
    order = list(range(sizes["memory_size"]))
    random.shuffle(order)
    state = random_state(core, 2, seed=sizes["seed"])
    inputs = random_inputs(1, 2, seed=sizes["seed"])[0]
    one = core.step(inputs, state)
    other = core.step(inputs, state._replace(access_state=permuted(state.access_state, order)))
    np.testing.assert_allclose(one.outputs, other.outputs, atol=1e-9)
    tf.nest.map_structure(
        lambda x, y: np.testing.assert_allclose(x, y, atol=1e-9),
        permuted(one.access.state, order),
        other.access.state,
    )


@hypothesis.given(usages, st.integers(1, 4))
def test_unused_slots_take_part_only_as_free_slots(usage, extra):
    # I7: they are allocated first, and then the others as before, from what the free ones leave.
    hypothesis.assume(not any(0 < u < 1e-3 for u in usage))
    # Below the epsilon a slot counts as free.
    usage = tf.constant([usage], tf.float64)
    longer = tf.concat([usage, tf.zeros([1, extra], tf.float64)], axis=1)
    before = allocation.allocation_weights(usage).numpy()[0]
    after = allocation.allocation_weights(longer).numpy()[0]
    if usage.numpy().min() > 0:
        assert after[usage.shape[1]] > 1 - 1e-5
        np.testing.assert_allclose(after[: usage.shape[1]], before * 1e-6**extra, rtol=1e-3)
    else:  # The free slot with the lowest index stays the first.
        assert np.argmax(after) == np.argmax(before)

    links = dnc.TemporalLinkage(usage.shape[1] + extra)
    writes = tf.concat([usage / tf.reduce_sum(1 + usage), tf.zeros_like(longer[:, :extra])], axis=1)
    state = links.initial_state(1, tf.float64)
    for _ in range(3):
        inputs = dnc.linkage.LinkageInputs(writes[:, tf.newaxis], writes[:, tf.newaxis])
        directions, state = links(inputs, state)
    assert not state.link.numpy()[..., -extra:].any()
    assert not state.link.numpy()[..., -extra:, :].any()
    assert not directions.forward.numpy()[..., -extra:].any()


@hypothesis.given(usages)
def test_a_free_slot_takes_all_and_a_full_memory_gives_nothing(usage):
    # I8
    usage = np.array(usage)
    usage[usage < 1e-3] = 0.0
    weights = allocation.allocation_weights(tf.constant([usage])).numpy()[0]
    if (usage == 0).any():
        first = np.argmin(usage)
        np.testing.assert_allclose(weights, np.eye(len(usage))[first], atol=3e-6)
    full = allocation.allocation_weights(tf.ones([1, len(usage)], tf.float64))
    np.testing.assert_allclose(full, 0.0, atol=1e-9)


@hypothesis.given(sizes)
def test_a_closed_write_gate_leaves_memory_and_links_as_they_are(sizes):
    core = make_core(dtype=tf.float64, **{**sizes, "scale": 1.0})
    widths = core.access.interface.widths
    bias = np.zeros(sum(widths.values()))
    start = sum(widths[name] for name in list(widths)[: list(widths).index("write_gate")])
    bias[start : start + sizes["num_writes"]] = -1000.0  # sigmoid gives exactly 0.
    core.access.interface.linear.b.assign(bias)
    core.access.interface.linear.w.assign(tf.zeros_like(core.access.interface.linear.w))
    state = random_state(core, 2, seed=sizes["seed"])
    new = core.step(random_inputs(1, 2)[0], state).access.state
    old = state.access_state
    for kept in ("memory", "linkage"):
        tf.nest.map_structure(np.testing.assert_array_equal, getattr(old, kept), getattr(new, kept))


@hypothesis.given(sizes)
def test_an_example_of_a_batch_equals_the_example_alone(sizes):
    core = make_core(dtype=tf.float64, **sizes)
    state, inputs = random_state(core, 3, seed=sizes["seed"]), random_inputs(1, 3)[0]
    together = core(inputs, state)
    for b in range(3):
        alone = core(inputs[b : b + 1], tf.nest.map_structure(lambda x: x[b : b + 1], state))  # noqa: B023
        tf.nest.map_structure(
            lambda x, y: np.testing.assert_allclose(x[b : b + 1], y, atol=1e-12),  # noqa: B023
            together,
            alone,
        )
