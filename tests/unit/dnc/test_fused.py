"""`dnc.unroll` has a fast way for a `dnc.DNC` in a graph: the same values and gradients."""

import functools
import inspect

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from dnc.core import observed
from dnc.interface import Interface
from dnc.unrolling.fused import loop, parts
from tests.models import (
    MODES,
    after_some_steps,
    graph,
    make_core,
    random_inputs,
    random_state,
)

NUM_STEPS, BATCH_SIZE, INPUT_SIZE = 5, 3, 5
LENGTHS = [5, 2, 0]
RESET = np.array([[0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 1], [1, 0, 0]], bool)


def dense(**options):
    return {"num_writes": 1, **options}


def sparse(memory_size=6, num_writes=1, **options):
    linkage = dnc.SparseTemporalLinkage(memory_size, num_writes, num_links=3)
    return {
        "memory_size": memory_size,
        "num_writes": num_writes,
        "linkage": linkage,
        **options,
    }


ACCESS = {
    "dense links": dense,
    "two write heads": functools.partial(dense, num_writes=2),
    "three write heads, one slot": functools.partial(dense, num_writes=3, memory_size=1),
    "one read head": functools.partial(dense, num_reads=1),
    "sparse links": sparse,
    "sparse links, two write heads": functools.partial(sparse, num_writes=2),
    "no links": lambda: dense(linkage=dnc.NoLinkage(6)),
    "no links, two write heads": lambda: dense(num_writes=2, linkage=dnc.NoLinkage(6, 2)),
    "many columns": functools.partial(dense, memory_size=130, word_size=130),
    "sorted slots": functools.partial(dense, memory_size=260),
    "sorted slots, two write heads": functools.partial(sparse, memory_size=260, num_writes=2),
    "used slots looked up": functools.partial(dense, content_weights=dnc.UsedCosineWeights),
    "used slots, two write heads": functools.partial(
        dense, content_weights=dnc.UsedCosineWeights, num_writes=2
    ),
    "the paper's strengths": functools.partial(dense, strength_op=dnc.oneplus),
    "no bias": functools.partial(dense, with_bias=False),
    "gradient by the write before": lambda: dense(
        num_writes=2, freeness=dnc.Freeness(6, stop_write_gradient=False)
    ),
}
CONTROLLERS = {
    "LSTM": lambda: snt.LSTM(7, dtype=tf.float64),
    "LSTM with projection": lambda: snt.LSTM(7, projection_size=4, dtype=tf.float64),
    "GRU": lambda: snt.GRU(7, dtype=tf.float64),
    "VanillaRNN": lambda: snt.VanillaRNN(7, dtype=tf.float64),
    "DeepLSTM": lambda: dnc.DeepLSTM([4, 3], dtype=tf.float64),
    "FeedForward": lambda: dnc.FeedForward([7, 6]),
    # So small a bound that it makes a difference.
    "ClippedSignal": lambda: dnc.ClippedSignal(snt.LSTM(7, dtype=tf.float64), 0.01),
    "ClippedSignal, twice": lambda: dnc.ClippedSignal(
        dnc.ClippedSignal(snt.LSTM(7, dtype=tf.float64), 0.02), 0.01
    ),
    "ClippedSignal, GRU": lambda: dnc.ClippedSignal(snt.GRU(7, dtype=tf.float64), 0.01),
    "EmbeddedInputs": lambda: dnc.EmbeddedInputs(
        snt.LSTM(7, dtype=tf.float64), INPUT_SIZE, 4, dtype=tf.float64
    ),
    "EmbeddedInputs, DeepLSTM": lambda: dnc.EmbeddedInputs(
        dnc.DeepLSTM([4, 3], dtype=tf.float64), INPUT_SIZE, 4, dtype=tf.float64
    ),
    "EmbeddedInputs, twice": lambda: dnc.EmbeddedInputs(
        dnc.EmbeddedInputs(snt.LSTM(7, dtype=tf.float64), 4, 3, dtype=tf.float64),
        INPUT_SIZE,
        4,
        dtype=tf.float64,
    ),
    "EmbeddedInputs, ClippedSignal": lambda: dnc.EmbeddedInputs(
        dnc.ClippedSignal(snt.LSTM(7, dtype=tf.float64), 0.01), INPUT_SIZE, 4, dtype=tf.float64
    ),
    "InputsOnly": lambda: dnc.InputsOnly(snt.LSTM(7, dtype=tf.float64), INPUT_SIZE),
}


def with_variables(core, scale=1.0):
    """The core with variables of random sign and size."""
    core(tf.zeros([1, INPUT_SIZE], tf.float64), core.initial_state(1, tf.float64))
    rng = np.random.default_rng(0)
    for variable in core.trainable_variables:
        variable.assign(rng.normal(size=variable.shape) * scale / np.sqrt(variable.shape[0]))
    return core


def with_gradients(unroll, core, inputs, state, **options):
    """Outputs and last state; gradients by inputs, state and variables of a loss of all of them."""
    floating = [x for x in tf.nest.flatten(state) if x.dtype.is_floating]
    with tf.GradientTape() as tape:
        tape.watch([inputs, *floating])
        results = unroll(core, inputs, state, **options)
        parts = [x for x in tf.nest.flatten(results) if x.dtype.is_floating]
        loss = sum(tf.reduce_sum(tf.sin(3.0 * x + float(i))) for i, x in enumerate(parts))
    sources = [inputs, *floating, *core.trainable_variables]
    return results, tape.gradient(loss, sources, unconnected_gradients="zero")


def assert_same(actual, expected, tolerance):
    tf.nest.assert_same_structure(actual, expected)
    for one, other in zip(tf.nest.flatten(actual), tf.nest.flatten(expected), strict=True):
        scale = max(1.0, float(np.max(np.abs(other), initial=0.0)))
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * scale)


def check(core, mode, inputs=None, state=None, tolerance=1e-10, **options):
    """Fast and plain way agree for the core; the fast one is taken."""
    assert parts.reason_against(core) is None
    inputs = random_inputs(NUM_STEPS, BATCH_SIZE) if inputs is None else inputs
    state = after_some_steps(core, inputs.shape[1]) if state is None else state
    fast = MODES[mode](functools.partial(with_gradients, dnc.unroll, core, **options))
    # The plain steps, one by one: in eager mode there is no other way.
    plain_options = {name: x for name, x in options.items() if name != "checkpoint_every"}
    plain = with_gradients(dnc.unroll, core, inputs, state, **plain_options)
    assert_same(fast(inputs, state), plain, tolerance)


@pytest.fixture
def taken(monkeypatch):
    """Counts how often the fast way is taken."""
    calls = []
    fast = loop.unroll
    monkeypatch.setattr(loop, "unroll", lambda *x: calls.append(x[0]) or fast(*x))
    return calls


def core_of(memory, controller, clip_value=20.0, scale=1.0):
    sizes = {"memory_size": 6, "word_size": 4, "num_reads": 2} | ACCESS[memory]()
    core = dnc.DNC(dnc.MemoryAccess(**sizes), CONTROLLERS[controller](), 3, clip_value)
    return with_variables(core, scale)


MASKS = {"sequence_length": tf.constant(LENGTHS), "reset": tf.constant(RESET)}


@pytest.mark.parametrize("number", range(max(len(ACCESS), len(CONTROLLERS))))
def test_every_memory_and_controller_gives_what_the_plain_steps_give(number, taken):
    """Neither knows of the other, nor of the masks: each has to be in one case."""
    memory = list(ACCESS)[number % len(ACCESS)]
    controller = list(CONTROLLERS)[number % len(CONTROLLERS)]
    check(core_of(memory, controller), "graph", **(MASKS if number % 2 else {}))
    assert taken


@pytest.mark.parametrize(
    ("memory", "controller", "masks"),
    [
        ("dense links", "LSTM", MASKS),
        ("sparse links, two write heads", "GRU", MASKS),
        ("many columns", "DeepLSTM", {}),
    ],
)
def test_it_gives_the_same_when_it_is_compiled(memory, controller, masks):
    check(core_of(memory, controller), "compiled", **masks)


@pytest.mark.parametrize("controller", ["LSTM", "LSTM with projection", "DeepLSTM"])
def test_what_is_clipped_has_no_gradient(controller):
    check(core_of("dense links", controller, clip_value=0.2, scale=3.0), "graph")


def test_without_a_bound_nothing_is_clipped():
    check(core_of("dense links", "LSTM", clip_value=None, scale=3.0), "graph")


@pytest.mark.parametrize(("num_steps", "batch_size"), [(1, 1), (2, 1), (1, 2)])
def test_short_sequences_and_single_examples(num_steps, batch_size):
    core = make_core(dtype=tf.float64)
    reset = tf.constant(RESET[:num_steps, :batch_size])
    check(core, "graph", random_inputs(num_steps, batch_size), reset=reset)


def test_the_state_of_an_empty_memory_has_the_same_finite_gradients():
    core = make_core(dtype=tf.float64)
    check(core, "graph", state=core.initial_state(BATCH_SIZE, tf.float64))


@pytest.mark.parametrize("memory_size", [6, 260])
def test_full_and_empty_slots_have_the_same_finite_gradients(memory_size):
    core = make_core(memory_size=memory_size, dtype=tf.float64)
    state = after_some_steps(core)
    usage = np.random.default_rng(3).choice([0.0, 0.5, 1.0], [BATCH_SIZE, memory_size])
    access_state = state.access_state._replace(
        usage=tf.constant(usage),
        write_weights=tf.zeros_like(state.access_state.write_weights),
        read_weights=tf.zeros_like(state.access_state.read_weights),
    )
    # One step: after it, slots are equally used but for rounding, which puts them in any order.
    inputs = random_inputs(1, BATCH_SIZE)
    check(core, "graph", inputs, state._replace(access_state=access_state))


def test_float32_agrees_within_its_precision():
    core = make_core(memory_size=20, word_size=8, num_reads=4, hidden_size=16)
    inputs = random_inputs(12, 4, dtype=tf.float32)
    state = random_state(core, 4, tf.float32)
    check(core, "graph", inputs, state, tolerance=1e-5)


def test_gradients_agree_with_finite_differences():
    freeness = dnc.Freeness(4, stop_write_gradient=False)  # Else it is not the whole gradient.
    core = make_core(4, 3, num_writes=2, dtype=tf.float64, freeness=freeness)
    inputs, state = random_inputs(3, 2), random_state(core, 2)
    unroll = graph(lambda inputs: tf.reduce_sum(tf.sin(dnc.unroll(core, inputs, state)[0])))
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        value = unroll(inputs)
    gradient = tape.gradient(value, inputs)
    rng = np.random.default_rng(0)
    for _ in range(5):
        direction = tf.constant(rng.normal(size=inputs.shape))
        step = 1e-5
        slope = (unroll(inputs + step * direction) - unroll(inputs - step * direction)) / (2 * step)
        np.testing.assert_allclose(slope, tf.reduce_sum(gradient * direction), rtol=1e-6)


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


def test_one_trace_serves_any_number_of_steps_and_any_batch_size():
    core = make_core(dtype=tf.float64)
    traces = []

    @graph(input_signature=[tf.TensorSpec([None, None, INPUT_SIZE], tf.float64)])
    def run(inputs):
        traces.append(1)
        return with_gradients(
            dnc.unroll, core, inputs, core.initial_state(tf.shape(inputs)[1], tf.float64)
        )

    for num_steps, batch_size in [(4, 2), (1, 3), (2, 1)]:
        inputs = random_inputs(num_steps, batch_size)
        state = core.initial_state(batch_size, tf.float64)
        plain = with_gradients(dnc.unroll, core, inputs, state)
        assert_same(run(inputs), plain, 1e-10)
    assert len(traces) == 1


# Where it cannot be taken.


class MyFreeness(dnc.Freeness):
    """A part that might do anything."""


class MyCore(dnc.DNC):
    """A core that might do anything."""


def dropout(x):
    return tf.nn.dropout(x, 0.5)


def core_with(controller=None, output_linear=None, **access_options):
    core = dnc.DNC(dnc.MemoryAccess(4, 3, **access_options), controller or snt.LSTM(5), 2)
    core.output_linear = output_linear or core.output_linear
    return core


def core_with_linear(linear):
    core = core_with()
    core.access.interface.linear = linear
    return core


def core_with_frozen_biases():
    gru = snt.GRU(5)
    gru.b = tf.Variable(tf.zeros([15]), trainable=False)
    return core_with(gru)


def core_with_fixed_embedding():
    controller = dnc.EmbeddedInputs(snt.GRU(5), INPUT_SIZE, 4)
    controller.embedding = tf.ones([INPUT_SIZE, 4])
    return core_with(controller)


REASONS = {
    "compute_dtype=bfloat16": lambda: dnc.DNC(
        dnc.MemoryAccess(4, 3), snt.LSTM(5), 2, compute_dtype=tf.bfloat16
    ),
    "a MyCore as the core": lambda: MyCore(dnc.MemoryAccess(4, 3), snt.LSTM(5), 2),
    "a DeepRNN as controller": lambda: core_with(snt.DeepRNN([snt.Linear(4), tf.nn.relu])),
    "a MyFreeness as access.freeness": lambda: core_with(freeness=MyFreeness(4)),
    "the function dropout as access.write_content.strength_op": lambda: core_with(
        strength_op=dropout
    ),
    "the function dropout as controller.activation": lambda: core_with(
        snt.VanillaRNN(5, activation=dropout)
    ),
    "a MLP as output_linear": lambda: core_with(output_linear=snt.nets.MLP([2])),
    "a MLP as access.interface.linear": lambda: core_with_linear(snt.nets.MLP([29])),
    "the function dropout as access.interface.linear": lambda: core_with_linear(dropout),
    "a controller with variables that are not trained": core_with_frozen_biases,
    "a EagerTensor as controller.embedding": core_with_fixed_embedding,
}


@pytest.mark.parametrize("reason", REASONS)
def test_it_refuses_what_it_has_no_gradient_for(reason):
    assert parts.reason_against(REASONS[reason]()) == reason


def test_it_refuses_what_is_read_or_seen_from_outside(taken):
    core = make_core(dtype=tf.float64)
    run = functools.partial(dnc.unroll, core, random_inputs(2, 2))
    with (
        snt.custom_variable_getter(lambda variable: 2.0 * variable),
        pytest.warns(UserWarning, match="does not support a custom variable getter"),
    ):
        assert_same(graph(run)(), run(), 1e-12)
    seen = []
    with observed(lambda core, step: seen.append(tf.inside_function())):
        graph(run)()
    assert any(seen)  # And not only where the variables are created.
    assert not taken


class TestReplacedParts:
    """Whatever is replaced in a core, it has the gradients of its plain steps."""

    @staticmethod
    def paths():
        core = make_core(dtype=tf.float64)
        found = core._flatten(predicate=lambda x: isinstance(x, tf.Module), with_path=True)
        return ["", *(".".join(path) for path, _ in found)]

    @staticmethod
    def part(core, path):
        return functools.reduce(getattr, path.split("."), core) if path else core

    @pytest.mark.parametrize("path", paths())
    def test_a_subclass_has_its_own_gradients(self, path, taken):
        core = make_core(memory_size=3, hidden_size=4, dtype=tf.float64)
        part = self.part(core, path)
        # A DNC calls its access without the checks of `__call__`.
        method = "_step" if isinstance(part, dnc.MemoryAccess) else "__call__"

        def changed(self, *args):
            results = getattr(super(kind, self), method)(*args)
            return tf.nest.map_structure(lambda x: 0.8 * tf.sin(x), results)

        kind = type(part)
        kind = type(kind)(f"Changed{kind.__name__}", (kind,), {method: changed})
        object.__setattr__(part, "__class__", kind)

        inputs, state = random_inputs(2, 2), random_state(core, 2)
        run = functools.partial(with_gradients, dnc.unroll, core)
        with pytest.warns(UserWarning, match=f"does not support a {kind.__name__} as"):
            results = graph(run)(inputs, state)
        assert_same(results, run(inputs, state), 1e-10)
        assert not taken

    def test_an_activation_before_those_of_the_interface_counts(self):
        class Bounded(Interface):
            def activate(self, vector):
                return super().activate(tf.tanh(vector))

        core = dnc.DNC(dnc.MemoryAccess(3, 2, 2), snt.LSTM(4, dtype=tf.float64), 3)
        core.access.interface = Bounded(2, 2, 1)
        core = with_variables(core, scale=3.0)
        inputs, state = random_inputs(2, 2), after_some_steps(core, 2)
        run = functools.partial(with_gradients, dnc.unroll, core)
        sonnet = with_gradients(snt.static_unroll, core, inputs, state)
        with pytest.warns(UserWarning, match="does not support a Bounded as access.interface"):
            results = graph(run)(inputs, state)
        assert_same(results, sonnet, 1e-10)

    @pytest.mark.parametrize("controller", CONTROLLERS)
    def test_a_method_of_an_instance_is_refused_wherever_it_is(self, controller):
        core = with_variables(dnc.DNC(dnc.MemoryAccess(6, 4, 2), CONTROLLERS[controller](), 3))
        assert parts.reason_against(core) is None
        for part in (core, *core.submodules):
            methods = [x for x, value in vars(type(part)).items() if inspect.isroutine(value)]
            for name in {"__call__", *methods} - {"__init__", "__new__"}:
                object.__setattr__(part, name, getattr(part, name))
                assert "is not its class's" in parts.reason_against(core)
                object.__delattr__(part, name)
        assert parts.reason_against(core) is None


def test_all_states_are_returned_by_the_plain_steps(taken):
    core = make_core(dtype=tf.float64)
    inputs, state = random_inputs(3, 2), after_some_steps(core, 2)
    run = functools.partial(dnc.unroll, core, inputs, state, return_all_states=True)
    assert_same(graph(run)(), run(), 1e-12)
    assert not taken
