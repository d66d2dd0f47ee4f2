import gc
import weakref

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from dnc import reference
from dnc.interface import Field
from dnc_trace.quantities import QUANTITIES
from tests import models

T, B = 9, 3
LENGTHS = [9, 4, 0]


def float64_core(**options):
    return models.make_core(dtype=tf.float64, scale=2.0, **options)


def recorded(core, **options):
    return dnc.record(core, models.random_inputs(T, B), **options)


@pytest.fixture(scope="module")
def core():
    return float64_core(num_writes=2)


@pytest.fixture(scope="module")
def trace(core):
    return recorded(core, sequence_length=LENGTHS)


# --- What is recorded -----------------------------------------------------------------------------


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("warm", [False, True])
def test_recorded_states_and_outputs_are_those_of_the_unroll(core, warm, jit_compile):
    inputs = models.random_inputs(T, B)
    state = models.random_state(core, B) if warm else None
    trace = dnc.record(core, inputs, state, jit_compile=jit_compile)
    if warm:
        outputs, states = dnc.unroll(core, inputs, state, return_all_states=True)
    else:  # In a graph, as recorded: from an empty memory the order of slots is up to rounding.
        run = models.graph(dnc.unroll, jit_compile=jit_compile)
        outputs, states = run(core, inputs, return_all_states=True)

    access = states.access_state
    for name, expected in {
        "outputs": outputs,
        "read_words": states.access_output,
        "memory": access.memory,
        "read_weights": access.read_weights,
        "write_weights": access.write_weights,
        "usage": access.usage,
        "link": access.linkage.link,
        "precedence_weights": access.linkage.precedence_weights,
        "controller_output": states.controller_state.hidden,
    }.items():
        actual = getattr(trace, name)
        assert actual.shape == expected.shape, name
        np.testing.assert_allclose(actual, expected, atol=1e-12, err_msg=name)
    np.testing.assert_array_equal(trace.inputs, inputs)
    np.testing.assert_array_equal(trace.sequence_length, [T] * B)


def test_everything_in_a_step_agrees_with_the_reference(core):
    parameters, state = reference.parameters_of(core), models.random_state(core, B)
    inputs = models.random_inputs(T, B)
    trace = dnc.record(core, inputs, state)
    for b in range(B):
        access, controller = state.access_state, state.controller_state
        before = reference.State(
            r=state.access_output[b].numpy(),
            M=access.memory[b].numpy(),
            w_r=access.read_weights[b].numpy(),
            w_w=access.write_weights[b].numpy(),
            L=access.linkage.link[b].numpy(),
            p=access.linkage.precedence_weights[b].numpy(),
            u=access.usage[b].numpy(),
            h=controller.hidden[b].numpy(),
            s=controller.cell[b].numpy(),
        )
        steps = reference.unroll(parameters, inputs[:, b].numpy(), before, clip=20.0)
        for t, step in enumerate(steps):
            num_writes = len(step.xi.g_w)
            for name, expected in {
                "outputs": step.y,
                "controller_output": step.state.h,
                "read_keys": step.xi.k_r,
                "read_strengths": step.xi.beta_r,
                "write_keys": step.xi.k_w,
                "write_strengths": step.xi.beta_w,
                "erase_vectors": step.xi.e,
                "write_vectors": step.xi.v,
                "free_gate": step.xi.f,
                "allocation_gate": step.xi.g_a,
                "write_gate": step.xi.g_w,
                "backward_mode": step.xi.pi[:, :num_writes],
                "forward_mode": step.xi.pi[:, num_writes:-1],
                "content_mode": step.xi.pi[:, -1],
                "allocation_weights": step.a,
                "write_content_weights": step.c_w,
                "read_content_weights": step.c_r,
                "forward_weights": step.f,
                "backward_weights": step.b,
                "read_words": step.state.r,
                "memory": step.state.M,
                "read_weights": step.state.w_r,
                "write_weights": step.state.w_w,
                "usage": step.state.u,
                "precedence_weights": step.state.p,
                "link": step.state.L,
            }.items():
                np.testing.assert_allclose(
                    getattr(trace, name)[t, b], expected, atol=1e-10, err_msg=name
                )


def test_past_the_end_of_an_example_all_is_zero(trace):
    for name, array in trace.arrays().items():
        if QUANTITIES[name].axes.startswith("TB") and name != "inputs":
            assert not np.any(array[4:, 1]), name
            assert not np.any(array[:, 2]), name


def test_an_example_is_recorded_as_if_alone(core, trace):
    alone = dnc.record(core, models.random_inputs(T, B)[:4, 1:2])
    for name in ("outputs", "write_gate", "memory", "link"):
        np.testing.assert_allclose(
            getattr(trace, name)[:4, 1:2], getattr(alone, name), atol=1e-12, err_msg=name
        )


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("sizes", [{}, {"num_writes": 2}, {"memory_size": 40}])
def test_derived_links_and_memory_are_those_recorded(sizes, warm):
    core = float64_core(**sizes)
    state = models.random_state(core, B) if warm else None
    trace = recorded(core, initial_state=state, sequence_length=LENGTHS)
    assert np.abs(trace.link).max() > 0.01
    assert (trace.initial_link is not None) == warm
    np.testing.assert_allclose(trace.derived_link(), trace.link, atol=1e-12)
    np.testing.assert_allclose(trace.derived_memory(), trace.memory, atol=1e-12)


def test_links_are_left_out_where_they_are_not_wanted_or_too_large(core, monkeypatch):
    assert recorded(core, record_link=False).link is None
    monkeypatch.setattr("dnc.recording.recorder.LARGEST_LINK", T * B * 2 * 6 * 6 - 1)
    assert recorded(core).link is None
    assert recorded(core, record_link=True).link is not None
    monkeypatch.setattr("dnc.recording.recorder.LARGEST_LINK", T * B * 2 * 6 * 6)
    assert recorded(core).link is not None


def test_sparse_links_are_recorded_as_a_matrix():
    dense = recorded(float64_core())
    full = recorded(float64_core(linkage=dnc.SparseTemporalLinkage(6, num_links=6)))
    few = recorded(float64_core(linkage=dnc.SparseTemporalLinkage(6, num_links=2)))
    assert [x.linkage for x in (dense, full, few)] == ["dense", "sparse", "sparse"]
    np.testing.assert_allclose(full.link, dense.link, atol=1e-12)
    assert np.count_nonzero(few.link, axis=-1).max() == 2


def test_links_of_a_sparse_linkage_before_the_first_step_are_recorded_too():
    core = float64_core(linkage=dnc.SparseTemporalLinkage(6, num_links=2))
    _, state = dnc.unroll(core, models.random_inputs(T, B, seed=1))
    trace = recorded(core, initial_state=state)
    assert trace.initial_link.shape == (B, 1, 6, 6)
    links = state.access_state.linkage.link
    np.testing.assert_allclose(trace.initial_link.sum(-1), tf.reduce_sum(links.values, -1))


class CountedWrites(snt.RNNCore):
    """A linkage of your own, with a state of its own kind and no links."""

    memory_size, num_writes = 6, 1
    state_size = tf.TensorShape([])

    def fields(self):
        return {}

    def __call__(self, inputs, prev_state):
        zeros = tf.zeros_like(inputs.read_weights)[:, :, tf.newaxis]
        return dnc.linkage.DirectionalWeights(zeros, zeros), prev_state + 1.0

    def initial_state(self, batch_size, dtype=tf.float32):
        return tf.zeros([batch_size], dtype)


def test_a_linkage_of_your_own_is_recorded_without_links():
    trace = recorded(float64_core(linkage=CountedWrites()))
    assert trace.linkage == ""
    assert trace.link is None
    assert trace.precedence_weights is None
    assert np.abs(trace.memory).max() > 0


def test_strengths_are_those_that_the_look_up_computes_with():
    softplus = recorded(float64_core())
    oneplus = recorded(float64_core(strength_op=dnc.oneplus))
    np.testing.assert_allclose(oneplus.write_strengths[0], softplus.write_strengths[0] + 1.0)


# --- Quantities that only some models have --------------------------------------------------------


class Masked(dnc.CosineWeights):
    """A look-up in which a mask hides numbers of the words; it returns the similarities, too."""

    def fields(self):
        return {**super().fields(), "masks": Field("HW", tf.sigmoid)}

    def extras(self):
        return {"similarities": "HN", "is_similar": "HN"}

    def compute(self, memory, keys, strengths, usage, masks):
        words = memory[:, tf.newaxis] * masks[:, :, tf.newaxis]
        similarities = tf.einsum("bhnw,bhw->bhn", words, keys)
        weights = tf.nn.softmax(similarities * self.strength_op(strengths)[..., tf.newaxis])
        return weights, {"similarities": similarities, "is_similar": similarities > 0.0}


class Habits(snt.Module):
    """A look-up without keys and strengths."""

    def __init__(self, num_heads, word_size, strength_op, name):
        super().__init__(name=name)

    def fields(self):
        return {"habits": Field(("H", 6))}

    def __call__(self, memory, usage, habits):
        return tf.nn.softmax(habits)


class TestExtras:
    def test_models_of_the_default_parts_have_none(self, trace):
        assert trace.extras == {}
        assert trace.meta().keys() == {"linkage", "task", "tokens", "step"}

    def test_fields_and_results_of_a_part_are_recorded(self, tmp_path):
        core = float64_core(content_weights=Masked, num_writes=2)
        trace = recorded(core, sequence_length=LENGTHS)
        assert trace.declared == {
            "read_masks": {"axes": "TBRW", "before": "read_keys"},
            "write_masks": {"axes": "TBVW", "before": "read_keys"},
            "read_similarities": {"axes": "TBRN", "before": "read_content_weights"},
            "write_similarities": {"axes": "TBVN", "before": "write_content_weights"},
            "read_is_similar": {"axes": "TBRN", "before": "read_content_weights"},
            "write_is_similar": {"axes": "TBVN", "before": "write_content_weights"},
        }
        extras = trace.extras
        words = trace.memory[:, :, np.newaxis] * extras["read_masks"][:, :, :, np.newaxis]
        similarities = np.einsum("tbhnw,tbhw->tbhn", words, trace.read_keys)
        np.testing.assert_allclose(extras["read_similarities"], similarities, atol=1e-12)
        np.testing.assert_array_equal(extras["read_is_similar"], similarities > 0.0)
        assert not np.any(extras["write_similarities"][4:, 1])
        weights = np.exp(similarities * trace.read_strengths[..., np.newaxis])
        weights /= weights.sum(axis=-1, keepdims=True)
        np.testing.assert_allclose(trace.read_content_weights[:, 0], weights[:, 0], atol=1e-12)
        trace.save(tmp_path / "trace.npz")
        assert dnc.Trace.load(tmp_path / "trace.npz").declared == trace.declared

    def test_those_of_freeness_and_linkage_are_recorded(self):
        class Freeness(dnc.Freeness):
            def extras(self):
                return {"is_full": "N"}

            def compute(self, inputs, prev_state):
                allocation, usage = super().compute(inputs, prev_state)
                return allocation._replace(extras={"is_full": usage > 0.5}), usage

        class Linkage(dnc.TemporalLinkage):
            def extras(self):
                return {"followers": "VN"}

            def compute(self, inputs, prev_state):
                directions, state = super().compute(inputs, prev_state)
                followers = tf.reduce_sum(state.link, axis=2)
                return directions._replace(extras={"followers": followers}), state

        trace = recorded(float64_core(freeness=Freeness(6), linkage=Linkage(6)))
        assert trace.declared == {
            "is_full": {"axes": "TBN", "before": "allocation_weights"},
            "followers": {"axes": "TBVN", "before": "forward_weights"},
        }
        np.testing.assert_array_equal(trace.extras["is_full"], trace.usage > 0.5)
        np.testing.assert_allclose(trace.extras["followers"], trace.link.sum(axis=3), atol=1e-12)

    def test_a_dnc_between_other_layers_has_them_too(self):
        inner = float64_core(input_size=4, content_weights=Masked)
        outer = snt.DeepRNN([snt.Linear(4), inner])
        assert dnc.record(outer, models.random_inputs(T, B)).extras["read_masks"].any()

    def test_the_keys_of_a_look_up_without_keys_are_zero(self):
        trace = recorded(float64_core(content_weights=Habits, num_writes=2))
        for name in ("read_keys", "read_strengths", "write_keys", "write_strengths"):
            assert not np.any(getattr(trace, name))
        weights = np.exp(trace.extras["read_habits"])
        weights /= weights.sum(axis=-1, keepdims=True)
        np.testing.assert_allclose(trace.read_content_weights, weights, atol=1e-12)

    @pytest.mark.parametrize("name", ["inputs", "usage", "link", "mask"])
    def test_one_that_is_called_like_a_quantity_is_refused(self, name):
        class Freeness(dnc.Freeness):
            def extras(self):
                return {name: "N"}

        with pytest.raises(ValueError, match=f"{name} is a quantity of every trace"):
            recorded(float64_core(freeness=Freeness(6)))

    @pytest.mark.parametrize("declared", [{"similarities": "HN", "more": "H"}, {}])
    def test_declared_and_returned_ones_must_agree(self, declared):
        class Other(Masked):
            def extras(self):
                return declared

        with pytest.raises(ValueError, match=r"must return the extras that it declares, and no"):
            recorded(float64_core(content_weights=Other))

    def test_without_links_all_is_read_by_content(self):
        trace = recorded(float64_core(linkage=dnc.NoLinkage(6)))
        assert (trace.linkage, trace.declared) == ("none", {})
        np.testing.assert_array_equal(trace.content_mode, 1.0)
        for name in ("backward_mode", "forward_mode", "backward_weights", "forward_weights"):
            assert not np.any(getattr(trace, name))
        np.testing.assert_array_equal(trace.read_weights, trace.read_content_weights)

    def test_the_retention_is_what_the_free_gates_leave(self, core):
        state = models.random_state(core, B)
        trace = dnc.record(core, models.random_inputs(T, B), state)
        before = np.concatenate([trace.initial_read_weights[np.newaxis], trace.read_weights[:-1]])
        expected = np.prod(1.0 - trace.free_gate[..., np.newaxis] * before, axis=2)
        np.testing.assert_allclose(trace.retention, expected, atol=1e-12)


# --- Of which cores -------------------------------------------------------------------------------


def test_a_dnc_between_other_layers_is_recorded():
    inner = float64_core(input_size=4)
    outer = snt.DeepRNN([snt.Linear(4), inner, tf.nn.relu, snt.Linear(2)])
    inputs = models.random_inputs(T, B)
    trace = dnc.record(outer, inputs)
    outputs, _ = dnc.unroll(outer, inputs)
    np.testing.assert_allclose(trace.outputs, outputs, atol=1e-6)
    np.testing.assert_array_equal(trace.inputs, inputs)
    expected = dnc.record(inner, snt.BatchApply(outer.submodules[0])(inputs))
    np.testing.assert_allclose(trace.write_weights, expected.write_weights, atol=1e-6)


def test_of_a_dnc_within_another_the_outer_one_is_recorded():
    inner = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(5), 7)
    outer = dnc.DNC(dnc.MemoryAccess(6, 2), inner, 3)
    trace = dnc.record(outer, tf.ones([T, B, 5]))
    assert trace.memory.shape == (T, B, 6, 2)


def test_inputs_may_have_more_axes_and_are_recorded_as_vectors():
    core = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(5), 2)
    picture = snt.DeepRNN([snt.Flatten(), core])
    assert dnc.record(picture, tf.ones([T, B, 2, 3])).inputs.shape == (T, B, 6)


def test_a_trace_may_have_no_steps_or_no_examples(core):
    assert recorded(core).inputs.shape == (T, B, 5)
    assert dnc.record(core, tf.zeros([0, B, 5], tf.float64)).memory.shape == (0, B, 6, 4)
    assert dnc.record(core, tf.zeros([T, 0, 5], tf.float64)).memory.shape == (T, 0, 6, 4)


def test_recording_again_does_not_trace_again():
    traced = []

    class Core(dnc.DNC):
        def __call__(self, inputs, prev_state):
            traced.append(inputs)
            return super().__call__(inputs, prev_state)

    core = Core(dnc.MemoryAccess(4, 3), snt.LSTM(5), 2)
    dnc.record(core, tf.ones([T, B, 5]))
    count = len(traced)
    dnc.record(core, tf.zeros([T, B, 5]), sequence_length=[1, 2, 3])
    assert len(traced) == count


def test_recording_follows_the_variables():
    core = float64_core()
    before = recorded(core)
    core.output_linear.b.assign_add(tf.ones_like(core.output_linear.b))
    np.testing.assert_allclose(recorded(core).outputs, before.outputs + 1.0)


def test_a_recorded_core_can_be_forgotten():
    core = float64_core()
    recorded(core)
    reference_to_core = weakref.ref(core)
    del core
    gc.collect()
    assert reference_to_core() is None


# --- Errors ---------------------------------------------------------------------------------------


class Twice(snt.RNNCore):
    def __init__(self, core):
        super().__init__()
        self.core = core

    def __call__(self, inputs, state):
        _, state = self.core(inputs, state)
        return self.core(inputs, state)

    def initial_state(self, batch_size, **kwargs):
        return self.core.initial_state(batch_size, **kwargs)


@pytest.mark.parametrize(
    "core, message",
    [
        (lambda: snt.LSTM(3), "a core with one dnc.DNC in it, got a LSTM with none"),
        (
            lambda: snt.DeepRNN([float64_core(), float64_core(input_size=3)]),
            "a core with one dnc.DNC in it, got a DeepRNN with 2",
        ),
        (lambda: Twice(float64_core()), "calls its dnc.DNC once per step, got one that .* 2 times"),
    ],
)
def test_a_core_that_cannot_be_recorded_is_refused(core, message):
    with pytest.raises(ValueError, match=message):
        recorded(core())


@pytest.mark.parametrize(
    "options, message",
    [
        ({"sequence_length": [1, 2]}, r"sequence_length must be integers of shape \[B\] = \[3\]"),
        (
            {"sequence_length": [1, 2, 10]},
            r"between 0 and the number of steps, 9, got \[1, 2, 10\]",
        ),
        ({"initial_state": ()}, "initial_state must be a DNCState"),
    ],
)
def test_arguments_that_do_not_fit_are_refused_as_by_the_unroll(core, options, message):
    with pytest.raises(ValueError, match=message):
        recorded(core, **options)


def test_inputs_without_time_and_batch_are_refused(core):
    with pytest.raises(ValueError, match=r"inputs must have shape \[T, B, ...\], got shape \(5,\)"):
        dnc.record(core, tf.zeros([5], tf.float64))


def test_in_a_graph_it_says_what_to_do_instead(core):
    with pytest.raises(RuntimeError, match="return_all_states=True"):
        tf.function(lambda: recorded(core), autograph=False)()


def test_after_an_error_the_core_is_as_before(core):
    before = dict(vars(core))
    with pytest.raises(ValueError, match="inputs must have shape"):
        dnc.record(core, tf.zeros([T, B, 4], tf.float64))
    with pytest.raises(ValueError, match="with none"):
        dnc.record(snt.LSTM(3), tf.zeros([T, B, 4]))
    assert vars(core).keys() == before.keys()
    assert recorded(core).inputs.shape == (T, B, 5)
