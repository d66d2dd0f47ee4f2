"""Whatever is handed in: a `ValueError` that says what is wrong, or what the docstring promises."""

import functools

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import dnc
from tests.dnc import models

ODD = st.one_of(
    st.integers(-2, 3),
    st.sampled_from([10**6, 2**31, 2**63, 10**30]),
    st.floats(),
    st.booleans(),
    st.text(max_size=3),
    st.none(),
    st.lists(st.integers(0, 3), max_size=2),
    st.sampled_from([np.int64(2), np.float32(2.0), np.zeros(2), object, len, b"x", {}, 1j]),
    st.builds(lambda: tf.constant(2)),
    st.builds(lambda: tf.constant([1.0, 2.0])),
    st.builds(lambda: snt.Linear(3)),
)
SIZES = st.integers(1, 5)


def one_odd(**good):
    """Arguments of which one at most is not as it should be."""
    return st.builds(
        lambda arguments, odd: {**arguments, **odd},
        st.fixed_dictionaries(good),
        st.just({}) | st.dictionaries(st.sampled_from(sorted(good)), ODD, max_size=1),
    )


def made(make, arguments):
    """What `make` returns, or `None` if it refuses its arguments as it should."""
    try:
        return make(**arguments)
    except ValueError as error:
        assert str(error)
        return None


def check_output(core, input_size):
    outputs, state = core(tf.zeros([2, input_size]), core.initial_state(2))
    tf.nest.assert_same_structure(state, core.initial_state(2))
    sizes = tf.nest.map_structure(lambda x: x.shape[1:], state)
    assert tf.nest.flatten(sizes) == tf.nest.flatten(core.state_size)
    return outputs


@settings(max_examples=100, deadline=None)
@given(
    arguments=one_odd(
        memory_size=SIZES,
        word_size=SIZES,
        num_reads=SIZES,
        num_writes=SIZES,
        linkage=st.none(),
        content_weights=st.sampled_from([dnc.CosineWeights, dnc.UsedCosineWeights]),
    )
)
def test_any_arguments_of_a_memory(arguments):
    if not all(isinstance(x, int) and x > 1000 for x in arguments.values()):
        access = made(dnc.MemoryAccess, arguments)
        if access:
            outputs = check_output(access, 7)
            assert outputs.shape == [2, arguments["num_reads"], arguments["word_size"]]
