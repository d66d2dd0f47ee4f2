"""Cores and inputs for the tests, and the ways to run a function."""

import functools

import numpy as np
import sonnet as snt
import tensorflow as tf

import dnc

# AutoGraph has nothing to convert in this package, and takes half of the time of a trace to
# determine that. The tests of `training` and of `test_core` trace with it, as users do.
graph = functools.partial(tf.function, autograph=False)
compiled = functools.partial(graph, jit_compile=True)
MODES = {"eager": lambda function: function, "graph": graph, "compiled": compiled}


def make_core(
    memory_size=6,
    word_size=4,
    num_reads=2,
    num_writes=1,
    hidden_size=7,
    output_size=3,
    clip_value=20.0,
    dtype=tf.float32,
    input_size=5,
    seed=0,
    scale=1.0,
    controller=None,
    bypass_dropout=0.0,
    **access_options,
):
    """Makes a core whose variables have random sign and size, `scale` times the initial size."""
    access = dnc.MemoryAccess(memory_size, word_size, num_reads, num_writes, **access_options)
    controller = controller or snt.LSTM(hidden_size, dtype=dtype)
    core = dnc.DNC(access, controller, output_size, clip_value, bypass_dropout=bypass_dropout)
    core(tf.zeros([1, input_size], dtype), core.initial_state(1, dtype))
    rng = np.random.default_rng(seed)
    for variable in core.trainable_variables:
        fan_in = variable.shape[0] if variable.shape.rank == 2 else 4
        value = rng.normal(size=variable.shape) * scale / np.sqrt(fan_in)
        variable.assign(value.astype(variable.dtype.as_numpy_dtype))
    return core


def random_state(core, batch_size, dtype=tf.float64, seed=0):
    """Draws a possible state: weightings sum to less than 1, and links obey their bounds."""
    rng = np.random.default_rng(seed)

    def weighting(*shape):
        x = rng.random(shape) ** 4
        return x / (x.sum(-1, keepdims=True) + rng.random(shape[:-1])[..., np.newaxis])

    access = core.access
    slots, reads, writes = access.memory_size, access.num_reads, access.num_writes
    linkage = access.linkage.initial_state(batch_size, dtype)
    link = weighting(batch_size, writes, slots, slots)
    link = link / np.maximum(1.0, link.sum(-2, keepdims=True) * 2) * (1 - np.eye(slots))
    precedence = weighting(batch_size, writes, slots) * (1 - link.sum(-2))
    if isinstance(linkage, dnc.TemporalLinkageState):
        linkage = dnc.TemporalLinkageState(tf.constant(link, dtype), tf.constant(precedence, dtype))
    controller_state = tf.nest.map_structure(
        lambda x: tf.constant(rng.uniform(-1, 1, x.shape), dtype),
        core.controller.initial_state(batch_size),
    )
    return dnc.DNCState(
        access_output=tf.constant(rng.normal(size=[batch_size, reads, access.word_size]), dtype),
        access_state=dnc.AccessState(
            memory=tf.constant(rng.normal(size=[batch_size, slots, access.word_size]), dtype),
            read_weights=tf.constant(weighting(batch_size, reads, slots), dtype),
            write_weights=tf.constant(weighting(batch_size, writes, slots), dtype),
            linkage=linkage,
            usage=tf.constant(rng.random([batch_size, slots]), dtype),
        ),
        controller_state=controller_state,
        bypass=core.initial_state(batch_size).bypass,
    )


def after_some_steps(core, batch_size=3):
    """Returns a state of a run, in which no two slots are equally used."""
    state = core.initial_state(batch_size, tf.float64)
    usage = tf.constant(np.random.default_rng(1).random(state.access_state.usage.shape))
    state = state._replace(access_state=state.access_state._replace(usage=usage))
    for x in random_inputs(4, batch_size, core.input_size, seed=7):
        state = core(x, state)[1]
    return tf.nest.map_structure(tf.stop_gradient, state)


def random_inputs(num_steps, batch_size, input_size=5, dtype=tf.float64, seed=0):
    rng = np.random.default_rng(1000 + seed)
    return tf.constant(rng.normal(size=[num_steps, batch_size, input_size]), dtype)


def floats(nest):
    return [x for x in tf.nest.flatten(nest) if x is not None and x.dtype.is_floating]


def weighted_sum(nest):
    """Returns a scalar to whose gradient every element contributes differently."""
    rng = np.random.default_rng(1)
    return tf.add_n([tf.reduce_sum(x * rng.normal(size=x.shape)) for x in floats(nest)])


def with_gradients(unroll, core, inputs, state, **options):
    """Returns results of `unroll`, and gradients w.r.t. inputs, state and all variables."""
    watched = floats((inputs, state))
    with tf.GradientTape() as tape:
        tape.watch(watched)
        results = unroll(core, inputs, state, **options)
        loss = weighted_sum(results)
    sources = [*core.trainable_variables, *watched]
    return results, tape.gradient(loss, sources, unconnected_gradients="zero")


def assert_same(actual, expected, tolerance=1e-12):
    tf.nest.assert_same_structure(actual, expected)
    for a, b in zip(tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True):
        if b is None:
            assert a is None
            continue
        assert a.dtype == b.dtype
        assert a.shape == b.shape
        a, b = np.asarray(a), np.asarray(b)
        limit = tolerance * max(1.0, np.abs(b).max(initial=0.0))
        np.testing.assert_allclose(a, b, rtol=0, atol=limit)
