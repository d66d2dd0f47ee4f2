"""Whatever is handed in: a `ValueError` that says what is wrong, or what the docstring promises."""

import functools

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

import dnc
from tests import models

SIZES = st.integers(1, 4)
NUMBERS = st.one_of(
    st.integers(-2, 0),
    st.floats(),
    st.booleans(),
    st.text(max_size=3),
    st.none(),
    st.lists(st.integers(0, 3), max_size=2),
    st.sampled_from([np.int64(2), np.float32(2.0), np.zeros(2), b"x", {}, 1j, tf.float32]),
    st.builds(lambda: tf.constant(2)),
    st.builds(lambda: tf.constant([1.0, 2.0])),
)


@st.composite
def tensors(draw):
    shape = draw(st.lists(st.integers(0, 7), max_size=4))
    dtype = draw(
        st.sampled_from(
            [tf.float32] * 3 + [tf.float64, tf.int32, tf.bool, tf.bfloat16, tf.complex64, tf.string]
        )
    )
    if dtype == tf.string:
        return tf.fill(shape, "x")
    return tf.cast(tf.fill(shape, draw(st.sampled_from([-1, 0, 1]))), dtype)


VALUES = st.one_of(
    tensors(),
    tensors().map(lambda x: x.numpy()),
    NUMBERS,
    st.builds(lambda: tf.ragged.constant([[1.0], [2.0, 3.0]])),
    st.builds(lambda: tf.sparse.from_dense([[1.0, 0.0]])),
)


def mostly(good, odd=VALUES):
    """Mostly the strategy `good`: too many wrong arguments at once would hide each other."""
    return st.sampled_from([good] * 5 + [odd]).flatmap(lambda strategy: strategy)


@st.composite
def states(draw, core):
    """The initial state of two examples, as it is or with one thing wrong."""
    state = core.initial_state(2)
    parts = tf.nest.flatten(state)
    kind = draw(st.sampled_from(["whole"] * 7 + ["other", "plain", "shorter", "part", "cut"]))
    if kind == "other":
        return draw(VALUES)
    if kind == "plain" and isinstance(state, tuple):
        return tuple(state)
    if kind == "shorter" and isinstance(state, tuple):
        return state[:-1]
    if kind in ("part", "cut") and parts:
        number = draw(st.integers(0, len(parts) - 1))
        part = parts[number]
        cut = st.sampled_from([part[..., :-1], part[:1], part[:, tf.newaxis]])
        parts[number] = draw(VALUES if kind == "part" else cut)
        return tf.nest.pack_sequence_as(state, parts)
    return state


def or_refused(function, *arguments, **more):
    """Returns the result, or `None` if it raises a `ValueError` with a message."""
    try:
        return function(*arguments, **more)
    except ValueError as error:
        assert str(error)
        return None


def one_odd(**good):
    """Arguments of which one at most is not as it should be."""
    return st.builds(
        lambda arguments, odd: {**arguments, **odd},
        st.fixed_dictionaries(good),
        st.just({}) | st.dictionaries(st.sampled_from(sorted(good)), NUMBERS, max_size=1),
    )


def check_next_state(core, state, batch_size):
    first = core.initial_state(1)
    tf.nest.assert_same_structure(state, first)
    for part, like in zip(tf.nest.flatten(state), tf.nest.flatten(first), strict=True):
        assert part.shape == [batch_size, *like.shape[1:]]


@given(
    arguments=one_odd(
        memory_size=SIZES,
        word_size=SIZES,
        num_reads=SIZES,
        num_writes=SIZES,
        linkage=st.none(),
        freeness=st.none(),
        content_weights=st.sampled_from([dnc.CosineWeights, dnc.UsedCosineWeights]),
        strength_op=st.sampled_from([tf.nn.softplus, dnc.oneplus]),
    )
)
def test_a_memory_of_any_arguments(arguments):
    if access := or_refused(dnc.MemoryAccess, **arguments):
        words, state = access(tf.zeros([2, 7]), access.initial_state(2))

        assert words.shape == [2, access.num_reads, access.word_size]
        check_next_state(access, state, 2)


@given(
    arguments=one_odd(
        access=st.builds(lambda: dnc.MemoryAccess(3, 2)),
        controller=st.builds(lambda: snt.LSTM(3)),
        output_size=SIZES,
        clip_value=st.none() | st.floats(0.1, 10.0),
    )
)
def test_a_dnc_of_any_arguments(arguments):
    if core := or_refused(dnc.DNC, **arguments):
        result = or_refused(lambda: core(tf.zeros([2, 7]), core.initial_state(2)))
        if result:
            assert result[0].shape == [2, *core.output_size]
            check_next_state(core, result[1], 2)


@given(
    arguments=one_odd(memory_size=SIZES, num_writes=SIZES, num_links=SIZES, num_candidates=SIZES),
    kind=st.sampled_from([dnc.SparseTemporalLinkage, dnc.TemporalLinkage, dnc.NoLinkage]),
)
def test_links_of_any_arguments(arguments, kind):
    if kind is not dnc.SparseTemporalLinkage:
        arguments = {name: arguments[name] for name in ("memory_size", "num_writes")}
    if linkage := or_refused(kind, **arguments):
        slots, writes = linkage.memory_size, linkage.num_writes
        inputs = (tf.zeros([2, writes, slots]), tf.zeros([2, 3, slots]))
        directions, state = linkage(inputs, linkage.initial_state(2))

        assert directions.forward.shape == [2, 3, writes, slots]
        check_next_state(linkage, state, 2)


CORES = {
    "dnc": models.make_core,
    "two writers": lambda: models.make_core(num_writes=2),
    "sparse": lambda: models.make_core(linkage=dnc.SparseTemporalLinkage(6, num_links=2)),
    "deep": lambda: dnc.DeepLSTM([3, 4]),
    "feed forward": lambda: dnc.FeedForward([3, 4]),
    "access": lambda: dnc.MemoryAccess(6, 4, 2),
}


@functools.cache
def core_named(name):
    """The core, made for inputs of a width and a type."""
    core = CORES[name]()
    core(tf.zeros([1, 5]), core.initial_state(1))
    return core


@pytest.mark.parametrize("name", CORES)
@given(data=st.data())
def test_any_inputs_and_any_state(name, data):
    core = core_named(name)
    inputs = data.draw(mostly(st.just(tf.zeros([2, 5]))))
    state = data.draw(states(core))

    if result := or_refused(core, inputs, state):
        assert tf.nest.flatten(result[0])[0].shape[0] == len(inputs)
        check_next_state(core, result[1], len(inputs))


PARTS = {
    "freeness": (
        dnc.Freeness(6),
        [tf.zeros(size) for size in ([2, 1, 6], [2, 3, 6], [2, 3], [2, 1])],
    ),
    "links": (dnc.TemporalLinkage(6), [tf.zeros([2, 1, 6]), tf.zeros([2, 3, 6])]),
    "sparse": (
        dnc.SparseTemporalLinkage(6, num_links=2),
        [tf.zeros([2, 1, 6]), tf.zeros([2, 3, 6])],
    ),
}


@pytest.mark.parametrize("name", PARTS)
@given(data=st.data())
def test_any_inputs_and_any_state_of_a_part(name, data):
    core, good = PARTS[name]
    odd = data.draw(mostly(st.just({}), st.dictionaries(st.integers(0, 3), VALUES, max_size=1)))
    inputs = tuple(odd.get(number, part) for number, part in enumerate(good))
    inputs = data.draw(mostly(st.just(inputs), st.just(inputs[:-1]) | VALUES))

    if result := or_refused(core, inputs, data.draw(states(core))):
        check_next_state(core, result[1], 2)


@pytest.mark.parametrize("name", ["dnc", "two writers", "sparse", "deep", "feed forward"])
@given(data=st.data())
def test_an_unroll_of_anything(name, data):
    core = core_named(name)
    good = tf.zeros([4, 2, 5])
    inputs = data.draw(mostly(st.just(good)))
    options = data.draw(
        st.fixed_dictionaries(
            {},
            optional={
                "sequence_length": mostly(st.just([4, 2])),
                "reset": mostly(st.just(tf.zeros([4, 2], tf.bool))),
                "time_major": st.booleans(),
                "checkpoint_every": mostly(st.just(2)),
                "return_all_states": st.booleans(),
            },
        )
    )
    state = data.draw(st.none() | states(core))

    if result := or_refused(dnc.unroll, core, inputs, state, **options):
        assert result[0].shape == [*np.shape(inputs)[:2], *core.output_size]
        if not options.get("return_all_states"):
            batch_size = np.shape(inputs)[1 if options.get("time_major", True) else 0]
            check_next_state(core, result[1], batch_size)


@pytest.mark.parametrize("name", ["dnc", "two writers", "sparse"])
@given(
    data=st.data(),
    memory_size=mostly(st.integers(1, 9), NUMBERS),
    tolerance=mostly(st.just(0.0), NUMBERS),
)
def test_any_state_resized_to_anything(name, data, memory_size, tolerance):
    core = core_named(name)
    state = data.draw(states(core))

    resized = or_refused(dnc.resize_memory, state, memory_size, tolerance=tolerance)

    if resized is not None:
        (access,) = [part for part in resized if isinstance(part, dnc.AccessState)]
        assert access.memory.shape[1] == memory_size
        assert access.usage.shape[1] == access.read_weights.shape[2] == memory_size


@given(data=st.data(), record_link=mostly(st.none() | st.booleans()))
def test_a_record_of_anything(data, record_link):
    core = core_named("dnc")
    good = tf.zeros([3, 2, 5])
    inputs = data.draw(mostly(st.just(good)))
    lengths = data.draw(mostly(st.none() | st.just([3, 1])))
    state = data.draw(st.none() | states(core))

    trace = or_refused(dnc.record, core, inputs, state, lengths, record_link=record_link)

    if trace:
        assert trace.outputs.shape == (*np.shape(inputs)[:2], 3)
