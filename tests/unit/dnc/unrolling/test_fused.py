"""`dnc.unroll` has a fast way for a `dnc.DNC` in a graph: the same values and gradients."""

import functools
import re

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from dnc.unrolling import fused
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
# No example makes more than one step after a reset. At the second, all slots but the written one
# are equally used up to rounding, and in a large memory rounding would decide which is next.
RESET = np.array([[0, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1], [1, 0, 0]], bool)


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


def masked(*args, kind=dnc.MaskedCosineWeights, **options):
    return kind(*args, mask_min=0.1, **options)


used_masked = functools.partial(masked, kind=dnc.UsedMaskedCosineWeights)


def sharp(linkage, **options):
    return lambda: {
        **linkage(**options),
        "linkage": dnc.SharpLinkage(linkage(**options)["linkage"]),
    }


def dense_links(num_writes=1, **options):
    return {"num_writes": num_writes, "linkage": dnc.TemporalLinkage(6, num_writes), **options}


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
    "gradient of the write before": lambda: dense(
        num_writes=2, freeness=dnc.Freeness(6, stop_write_gradient=False)
    ),
    "masks": functools.partial(dense, content_weights=masked),
    "masks, used slots, two write heads": functools.partial(
        dense, content_weights=used_masked, num_writes=2
    ),
    "slots erased, two write heads": functools.partial(dense, deallocate=True, num_writes=2),
    "sharp links, two write heads": sharp(dense_links, num_writes=2),
    "sharp sparse links": sharp(sparse),
    "normalised without a bias": functools.partial(dense, layer_norm=True, with_bias=False),
    "all at once": sharp(
        dense_links, num_writes=2, content_weights=used_masked, deallocate=True, layer_norm=True
    ),
}
CONTROLLERS = {
    "LSTM": lambda: snt.LSTM(7, dtype=tf.float64),
    "LSTM with projection": lambda: snt.LSTM(7, projection_size=4, dtype=tf.float64),
    "GRU": lambda: snt.GRU(7, dtype=tf.float64),
    "VanillaRNN": lambda: snt.VanillaRNN(7, dtype=tf.float64),
    "DeepLSTM": lambda: dnc.DeepLSTM([4, 3], dtype=tf.float64),
    "FeedForward": lambda: dnc.FeedForward(7),
    "FeedForward of two layers": lambda: dnc.FeedForward([7, 6]),
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
    "LayerNormLSTM": lambda: dnc.LayerNormLSTM(7, dtype=tf.float64),
    "LayerNormLSTM, wrapped": lambda: dnc.ClippedSignal(
        dnc.LearnedState(
            dnc.EmbeddedInputs(
                dnc.LayerNormLSTM(7, dtype=tf.float64), INPUT_SIZE, 4, dtype=tf.float64
            )
        ),
        0.01,
    ),
    "AppendedContext": lambda: dnc.AppendedContext(
        dnc.LayerNormLSTM(7, dtype=tf.float64), INPUT_SIZE - 2, 2
    ),
    "InputsOnly": lambda: dnc.InputsOnly(snt.LSTM(7, dtype=tf.float64), INPUT_SIZE),
}


def with_variables(core, scale=1.0):
    """The core with variables of random sign and size."""
    core(tf.zeros([1, INPUT_SIZE], tf.float64), core.initial_state(1, tf.float64))
    rng = np.random.default_rng(0)
    for variable in core.trainable_variables:
        fan_in = variable.shape[0] if variable.shape.rank else 1
        variable.assign(rng.normal(size=variable.shape) * scale / np.sqrt(fan_in))
    return core


def with_gradients(unroll, core, inputs, state, **options):
    """Outputs and last state; gradients of a loss of all of them."""
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
    assert fused.reason_against(core) is None
    inputs = random_inputs(NUM_STEPS, BATCH_SIZE) if inputs is None else inputs
    state = after_some_steps(core, inputs.shape[1]) if state is None else state
    fast = MODES[mode](functools.partial(with_gradients, dnc.unroll, core, **options))
    # The plain steps, one by one: in eager mode there is no other way.
    plain_options = {name: x for name, x in options.items() if name != "checkpoint_every"}
    plain = with_gradients(dnc.unroll, core, inputs, state, **plain_options)
    assert_same(fast(inputs, state), plain, tolerance)


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


def test_it_gives_the_same_when_it_is_compiled():  # Others: tests/system/test_unrolling.py.
    check(core_of("dense links", "LSTM"), "compiled", **MASKS)


@pytest.mark.parametrize(
    "controller",
    [
        *("LSTM", "LSTM with projection", "DeepLSTM", "FeedForward"),
        *("LayerNormLSTM", "AppendedContext"),
    ],
)
def test_what_is_clipped_has_no_gradient(controller):
    check(core_of("dense links", controller, clip_value=0.2, scale=3.0), "graph")


def test_without_a_bound_nothing_is_clipped():
    check(core_of("dense links", "LSTM", clip_value=None, scale=3.0), "graph")


def check_bypass(**options):
    core = with_variables(dnc.adnc(3, 7, 6, 4, 2, controller=CONTROLLERS["LayerNormLSTM"]()))
    state = after_some_steps(core)
    keys = dnc.seed_dropout(state, (0, 1)).bypass
    check(core, "graph", state=state._replace(bypass=keys), **options)


def test_the_bypass_drops_what_it_drops_step_by_step():  # Others: tests/system/test_unrolling.py.
    check_bypass(**MASKS)


def check_short(num_steps, batch_size):
    core = make_core(dtype=tf.float64)
    reset = tf.constant(RESET[:num_steps, :batch_size])
    check(core, "graph", random_inputs(num_steps, batch_size), reset=reset)


def test_a_single_step_of_a_single_example():  # Others: tests/system/test_unrolling.py.
    check_short(1, 1)


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


class MyCore(dnc.DNC):
    """A core that may compute anything."""


def dropout(x):
    return tf.nn.dropout(x, 0.5)


def core_with(controller=None, output_size=2, **access_options):
    core = dnc.DNC(dnc.MemoryAccess(4, 3, **access_options), controller or snt.LSTM(5), output_size)
    core(tf.zeros([1, INPUT_SIZE]), core.initial_state(1))
    return core


REASONS = {
    "a MyCore, which is not dnc.DNC": lambda: MyCore(dnc.MemoryAccess(4, 3), snt.LSTM(5), 2),
    "RandomUniform (dnc/feed_forward": lambda: core_with(dropout),
    "RandomUniform (memory_access/write_content": lambda: core_with(strength_op=dropout),
    "RandomUniform (vanilla_rnn": lambda: core_with(snt.VanillaRNN(5, activation=dropout)),
}


@pytest.mark.parametrize("reason", REASONS)
def test_it_refuses_what_does_not_repeat(reason):
    run = graph(functools.partial(dnc.unroll, REASONS[reason](), implementation="fused"))
    with pytest.raises(ValueError, match=f"does not support {re.escape(reason)}"):
        run(random_inputs(2, 2, dtype=tf.float32))


def test_it_refuses_variables_that_a_getter_replaces(taken):
    core = make_core(dtype=tf.float64)
    run = functools.partial(dnc.unroll, core, random_inputs(2, 2))
    with (
        snt.custom_variable_getter(lambda variable: 2.0 * variable),
        pytest.warns(UserWarning, match="does not support a custom variable getter"),
    ):
        assert_same(graph(run)(), run(), 1e-12)
    assert not taken


def learned_strength():
    """A strength operation with a variable, which only the core's attribute makes known."""
    scale = tf.Variable(tf.constant(0.7, tf.float64))
    return scale, lambda x: tf.nn.softplus(scale * x)


class Frozen(snt.Module):
    """A linear layer whose matrix is trained and whose bias is not."""

    def __init__(self, size):
        super().__init__()
        self.linear = snt.Linear(size, with_bias=False)
        self.b = tf.Variable(tf.fill([size], tf.constant(0.1, tf.float64)), trainable=False)

    def __call__(self, x):
        return self.linear(x) + self.b


@pytest.mark.parametrize("memory", ACCESS)
def test_parts_of_this_package_have_gradients_written_by_hand(memory):
    runs_again = any(word in memory for word in ("no links", "masks", "all at once"))
    assert fused.recomputes(core_of(memory, "ClippedSignal")) == runs_again


class TestOtherParts:
    """Parts without a gradient written by hand run again in the backward pass."""

    @staticmethod
    def check(controller=None, output_size=3, **options):
        sizes = {"memory_size": 6, "word_size": 4, "num_reads": 2, **options}
        controller = controller or snt.LSTM(7, dtype=tf.float64)
        core = dnc.DNC(dnc.MemoryAccess(**sizes), controller, output_size, 20.0)
        check(with_variables(core), "graph", **MASKS)

    def test_a_strength_operation_with_a_variable(self):
        scale, strength_op = learned_strength()
        core = dnc.DNC(
            dnc.MemoryAccess(6, 4, 2, strength_op=strength_op), snt.LSTM(7, dtype=tf.float64), 3
        )
        core.scale = scale
        check(with_variables(core), "graph", **MASKS)

    @staticmethod
    def check_recent_reads(mode):
        class Recent(dnc.Linkage):
            """Follows the slots read before, with a state and a field of its own."""

            def fields(self):
                return {**super().fields(), "decay": dnc.Field("R", tf.sigmoid)}

            def compute(self, inputs, prev_state):
                decay = inputs.fields["decay"][..., tf.newaxis]
                state = decay * prev_state + inputs.read_weights
                directions = tf.stack([state] * self.num_writes, axis=2)
                return dnc.linkage.DirectionalWeights(directions, 0.5 * directions), state

            @property
            def state_size(self):
                return tf.TensorShape([2, self.memory_size])

        sizes = {"memory_size": 6, "word_size": 4, "num_reads": 2, "num_writes": 2}
        access = dnc.MemoryAccess(**sizes, linkage=Recent(6, 2, "recent"))
        core = dnc.DNC(access, snt.LSTM(7, dtype=tf.float64), 3)
        check(with_variables(core), mode, **MASKS)

    def test_a_linkage_that_remembers_reads(self):  # Compiled: tests/system/test_unrolling.py.
        self.check_recent_reads("graph")

    @classmethod
    def check_field(cls, shape):
        class Tilted(dnc.CosineWeights):
            def __init__(self):
                super().__init__(2, 4)
                self.scale = tf.Variable(tf.constant(0.7, tf.float64))

            def fields(self):
                size = dnc.Field("H", lambda x: tf.exp(self.scale * x))
                return {**super().fields(), "choice": dnc.Field(shape, tf.nn.softmax), "size": size}

            def compute(self, memory, keys, strengths, choice, size, usage):
                weights = super().compute(memory, keys, strengths, usage)
                sharpness = tf.reduce_sum(choice**2, axis=list(range(2, choice.shape.rank)))
                return (size * sharpness)[..., tf.newaxis] * weights

        cls.check(read_content=Tilted())

    @pytest.mark.parametrize("shape", ["H", ("H", 3, 2)])  # ("H", 3): tests/system.
    def test_fields_of_any_rank_and_activation(self, shape):
        self.check_field(shape)

    def test_each_part_has_the_gradient_of_its_own_variable(self):
        access = dnc.MemoryAccess(6, 4, 2)
        names = ("interface", "freeness", "write_content", "linkage", "read_content")
        for part in (getattr(access, name) for name in names):

            class Scaled(type(part)):
                def compute(self, *args, **kwargs):
                    results = super().compute(*args, **kwargs)
                    return tf.nest.map_structure(lambda x: tf.sigmoid(self.scale) * x, results)

            object.__setattr__(part, "__class__", Scaled)
            part.scale = tf.Variable(tf.zeros([], tf.float64))
        core = with_variables(dnc.DNC(access, snt.GRU(7, dtype=tf.float64), 3))
        check(core, "graph", **MASKS)

    def test_a_linkage_whose_links_are_never_followed(self):
        class Unread(dnc.TemporalLinkage):
            def fields(self):
                return {}

        self.check(linkage=Unread(6))

    def test_a_freeness_with_a_field_and_a_variable(self):
        class Softmax(dnc.Freeness):
            def __init__(self, memory_size):
                super().__init__(memory_size)
                self.scale = tf.Variable(tf.constant(3.0, tf.float64))

            def fields(self):
                return {**super().fields(), "sharpness": dnc.Field("V", tf.nn.softplus)}

            def compute(self, inputs, prev_state):
                allocated, usage = super().compute(inputs, prev_state)
                logits = -self.scale * inputs.fields["sharpness"][..., tf.newaxis] * usage[:, None]
                return allocated._replace(weights=tf.nn.softmax(logits)), usage

        self.check(freeness=Softmax(6), num_writes=2)

    def test_a_subclass_of_the_access(self):
        class Halved(dnc.MemoryAccess):
            def compute(self, inputs, prev_state):
                step = super().compute(inputs, prev_state)
                return step._replace(read_words=0.5 * step.read_words)

        core = dnc.DNC(Halved(6, 4, 2), snt.LSTM(7, dtype=tf.float64), 3)
        check(with_variables(core), "graph", **MASKS)

    @pytest.mark.parametrize(
        "layer", [snt.nets.MLP([4, 3]), Frozen(3), snt.LayerNorm(-1, True, True)]
    )
    def test_an_output_layer_of_its_own(self, layer):
        self.check(output_size=layer)

    def test_a_controller_with_variables_that_are_not_trained(self):
        gru = snt.GRU(7, dtype=tf.float64)
        gru.b = tf.Variable(tf.zeros([21], tf.float64), trainable=False)
        self.check(gru)

    def test_a_constant_embedding(self):
        controller = dnc.EmbeddedInputs(
            snt.GRU(7, dtype=tf.float64), INPUT_SIZE, 4, dtype=tf.float64
        )
        controller.embedding = tf.ones([INPUT_SIZE, 4], tf.float64)
        self.check(controller)

    def test_a_freeness_that_runs_again_and_erases_slots(self):
        self.check(freeness=dnc.SoftmaxAllocation(6), num_writes=2, deallocate=True)

    def test_a_sharp_linkage_around_one_that_runs_again(self):
        class Slow(dnc.TemporalLinkage):
            """A linkage that this package does not know."""

        self.check(linkage=dnc.SharpLinkage(Slow(6)))

    def test_look_ups_of_two_kinds(self):
        self.check(write_content=dnc.CosineWeights(1, 4), read_content=dnc.UsedCosineWeights(2, 4))


def test_all_states_are_returned_by_the_plain_steps(taken):
    core = make_core(dtype=tf.float64)
    inputs, state = random_inputs(3, 2), after_some_steps(core, 2)
    run = functools.partial(dnc.unroll, core, inputs, state, return_all_states=True)
    assert_same(graph(run)(), run(), 1e-12)
    assert not taken
