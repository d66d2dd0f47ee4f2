"""Parts of the family of DNCs: neutral positions, bounds, states, training, wrong arguments."""

import functools

import hypothesis
import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf
from hypothesis import strategies as st

import dnc
from dnc import allocation, content, heads, sharp_links
from tests import golden
from tests.family import VARIANTS, core_of
from tests.models import (
    assert_same,
    make_core,
    random_inputs,
    random_state,
)

seeds = st.integers(0, 10_000)
scales = st.sampled_from([0.0, 1e-3, 1.0, 100.0])


def normal(seed, *shape):
    return tf.constant(np.random.default_rng(seed).normal(size=shape))


def shares(seed, *shape):
    """Numbers in [0, 1], often 0 or 1."""
    rng = np.random.default_rng(seed)
    return tf.constant(np.clip(rng.uniform(-0.5, 1.5, size=shape), 0.0, 1.0))


def with_bias_of(core, **values):
    """The core, its interface's bias changed such that fields have the same value always."""
    linear, start = core.access.interface.linear, 0
    w, b = linear.w.numpy(), linear.b.numpy()
    for name, width in core.access.interface.widths.items():
        if name in values:
            w[:, start : start + width], b[start : start + width] = 0.0, values[name]
        start += width
    linear.w.assign(w), linear.b.assign(b)
    return core


def step_quantities(core):
    step = core.step(random_inputs(1, 2)[0], random_state(core, 2))
    return {**golden.by_name(step.state), "outputs": step.outputs}


def assert_same_values(actual, expected):
    for name, value in expected.items():
        np.testing.assert_allclose(actual[name], value, atol=1e-12, err_msg=name)


def plain_core_like(core, **options):
    """A plain core with the weights of `core` in all fields that a plain one has."""
    plain = core_of("constant word", initial_memory=0.0, **options)
    layer = core.access.interface
    ends = np.cumsum(list(layer.widths.values()))[:-1]
    columns = dict(zip(layer.widths, np.split(layer.linear.w.numpy(), ends, axis=1), strict=True))
    biases = dict(zip(layer.widths, np.split(layer.linear.b.numpy(), ends), strict=True))
    names = plain.access.interface.widths
    parts = [(columns[name], biases[name]) for name in names]
    plain.access.interface.linear.w.assign(np.concatenate([w for w, _ in parts], axis=1))
    plain.access.interface.linear.b.assign(np.concatenate([b for _, b in parts]))
    for name in ("controller", "output_linear"):
        theirs = getattr(core, name).trainable_variables
        for mine, value in zip(getattr(plain, name).trainable_variables, theirs, strict=True):
            mine.assign(value)
    return plain


class TestNeutral:
    """The model with parts that do nothing is the plain one with the same weights."""

    def test_masks_of_1(self):
        core = with_bias_of(core_of("masked"), read_masks=1000.0, write_masks=1000.0)
        assert_same_values(step_quantities(core), step_quantities(plain_core_like(core)))

    def test_a_minimum_mask_of_1(self):
        look_up = functools.partial(dnc.MaskedCosineWeights, mask_min=1.0)
        core = core_of("masked", content_weights=look_up)
        assert_same_values(step_quantities(core), step_quantities(plain_core_like(core)))

    def test_closed_free_gates_erase_nothing(self):
        core = with_bias_of(core_of("deallocate"), free_gate=-1000.0)
        assert_same_values(step_quantities(core), step_quantities(plain_core_like(core)))

    def test_free_gates_that_are_open_do_erase(self):
        core = with_bias_of(core_of("deallocate"), free_gate=1000.0)
        plain = step_quantities(plain_core_like(core))
        assert np.abs(step_quantities(core)["memory"] - plain["memory"]).max() > 0.01

    def test_a_sharpness_of_1_where_links_sum_to_1(self):
        weights = tf.nn.softmax(normal(0, 2, 3, 4))
        sharp = sharp_links.sharpen(weights, tf.ones([2, 3], tf.float64))
        np.testing.assert_allclose(sharp, weights, atol=1e-5)  # Of the epsilon.

    def test_a_key_of_zeros_drops_nothing(self):
        core = core_of("bypass dropout")
        assert_same_values(step_quantities(core), step_quantities(plain_core_like(core)))

    def test_a_rate_of_0_has_no_state(self):
        state = make_core(bypass_dropout=0.0).initial_state(2)
        assert state.bypass == ()
        assert_same(dnc.seed_dropout(state, (0, 1)), state)

    def test_an_initial_memory_of_0_is_the_empty_one(self):
        core, plain = make_core(initial_memory=0.0), make_core()
        assert_same(core.initial_state(2), plain.initial_state(2), 0)


class TestBounds:
    @hypothesis.given(seeds, st.floats(0, 50))
    def test_sharpened_weights_sum_to_1_and_keep_their_order(self, seed, sharpness):
        weights = shares(seed, 3, 5)
        sharp = sharp_links.sharpen(weights, tf.fill([3], tf.constant(sharpness, tf.float64)))
        np.testing.assert_allclose(tf.reduce_sum(sharp, axis=1), 1.0)
        assert (sharp.numpy() >= 0).all()
        for row, sharp_row in zip(weights.numpy(), sharp.numpy(), strict=True):
            assert (np.diff(sharp_row[np.argsort(row)]) >= -1e-12).all()

    def test_following_no_link_gives_equal_weights(self):
        sharp = sharp_links.sharpen(tf.zeros([2, 5]), tf.fill([2], 7.0))
        np.testing.assert_allclose(sharp, np.full([2, 5], 0.2), rtol=1e-6)

    @hypothesis.given(seeds, scales, scales)
    def test_a_masked_cosine_is_between_minus_1_and_1(self, seed, scale, mask_scale):
        memory, keys = scale * normal(seed, 2, 4, 3), scale * normal(seed + 1, 2, 2, 3)
        memory = tf.concat([memory, keys, -keys], axis=1)
        masks = min(mask_scale, 1.0) * shares(seed + 2, 2, 2, 3)
        cosines = content.masked_cosine_similarity(memory, keys, masks).numpy()
        assert (np.abs(cosines) < 1).all()

    @hypothesis.given(seeds, scales)
    def test_rows_of_the_softmax_allocation_sum_to_1(self, seed, scale):
        usage, gates = shares(seed, 2, 5), shares(seed + 1, 2, 3)
        strengths = scale * shares(seed + 2, 2, 3)
        weights = allocation.softmax_allocation_weights(usage, gates, strengths).numpy()
        np.testing.assert_allclose(weights.sum(axis=2), 1.0)
        assert (weights >= 0).all()
        # The first head prefers free slots.
        for row, used in zip(weights[:, 0], usage.numpy(), strict=True):
            assert (np.diff(row[np.argsort(used)]) <= 1e-12).all()

    def test_a_strong_softmax_allocation_takes_another_slot_for_each_head(self):
        usage = tf.constant([[0.9, 0.3, 0.1, 0.6]])
        weights = allocation.softmax_allocation_weights(
            usage, tf.ones([1, 2]), tf.fill([1, 2], 99.0)
        )
        np.testing.assert_array_equal(tf.argmax(weights, axis=2), [[2, 1]])

    @hypothesis.given(seeds, scales)
    def test_deallocation_never_makes_a_number_larger(self, seed, scale):
        memory, retention = scale * normal(seed, 2, 5, 3), shares(seed + 1, 2, 5)
        erased = heads.deallocate(memory, retention).numpy()
        assert (np.abs(erased) <= np.abs(memory)).all()
        assert not erased[retention.numpy() == 0].any()
        np.testing.assert_array_equal(erased[retention == 1], memory.numpy()[retention == 1])

    @pytest.mark.parametrize("scale", [3.0, 100.0])
    def test_a_layer_norm_lstm_ignores_the_scale_of_its_products(self, scale):
        core = dnc.LayerNormLSTM(6, dtype=tf.float64)
        inputs = 10.0 * normal(0, 2, 4)
        state = snt.LSTMState(normal(1, 2, 6), normal(2, 2, 6))
        core(inputs, state)
        weights = [core.input_to_hidden, core.hidden_to_hidden]
        values = [normal(3, 4, 24), normal(4, 6, 24)]
        results = []
        for factor in (1.0, scale):
            for variable, value in zip(weights, values, strict=True):
                variable.assign(factor * value)
            results.append(tf.nest.flatten(core(inputs, state)))
        # The epsilon of the variance is all that the scale changes.
        np.testing.assert_allclose(*results, atol=1e-6)

    def test_the_wiped_memory_is_what_the_write_look_up_sees(self):
        core = with_bias_of(
            core_of("deallocate", num_reads=1, num_writes=1, freeness=dnc.Freeness(5)),
            free_gate=1000.0,
        )
        state = random_state(core, 1)
        access = state.access_state._replace(read_weights=tf.one_hot([[2]], 5, dtype=tf.float64))
        state, x = state._replace(access_state=access), random_inputs(1, 1)[0]
        memory = access.memory.numpy()
        memory[0, 2] = 0.0
        wiped = state._replace(access_state=access._replace(memory=tf.constant(memory)))
        assert_same(core.step(x, state).access, core.step(x, wiped).access)


class TestStates:
    @pytest.mark.parametrize("variant", VARIANTS)
    def test_the_state_size_is_that_of_the_initial_state(self, variant):
        core = core_of(variant)
        sizes = tf.nest.map_structure(lambda x: x.shape[1:], core.initial_state(2))
        tf.nest.assert_same_structure(core.state_size, sizes)
        assert tf.nest.flatten(core.state_size) == tf.nest.flatten(sizes)
        outputs, state = core(random_inputs(1, 2)[0], core.initial_state(2))
        tf.nest.assert_same_structure(state, core.initial_state(2))
        assert outputs.shape[1:] == core.output_size

    def test_a_memory_of_all_parts_is_resized(self):
        core = core_of("all")
        state = dnc.seed_dropout(core.initial_state(2), (0, 1))
        for x in random_inputs(2, 2):
            state = core(x, state)[1]
        larger = dnc.resize_memory(state, 8)
        np.testing.assert_array_equal(larger.access_state.memory[:, :5], state.access_state.memory)
        assert not np.any(larger.access_state.memory[:, 5:])
        assert larger.access_state.linkage.link.shape == [2, 2, 8, 8]
        assert_same(dnc.resize_memory(larger, 5), state, 0)

        linkage = dnc.SharpLinkage(dnc.TemporalLinkage(8, 2))
        freeness = dnc.SoftmaxAllocation(8)
        other = core_of("all", memory_size=8, linkage=linkage, freeness=freeness)
        outputs, _ = other(random_inputs(1, 2)[0], larger)
        assert np.isfinite(outputs).all()

    def test_a_core_with_a_bypass_refuses_a_state_without_a_key(self):
        core = core_of("bypass dropout")
        state = core.initial_state(2)._replace(bypass=())
        with pytest.raises(ValueError, match=r"must be a DropoutState\(key\)"):
            core(random_inputs(1, 2)[0], state)

    @pytest.mark.parametrize(
        ("variant", "variables"),
        [("layer norm", ["offset", "scale", "w"]), ("layer norm without bias", ["scale", "w"])],
    )
    def test_the_bias_of_a_normalised_interface_is_its_offset(self, variant, variables):
        names = [x.name for x in core_of(variant).access.interface.trainable_variables]
        assert sorted(name.split("/")[-1].split(":")[0] for name in names) == variables


class TestBypass:
    def test_the_memory_sees_all_and_the_output_layer_a_part(self):
        core = core_of("bypass dropout")
        plain, x = core.initial_state(2), random_inputs(1, 2)[0]
        keyed = dnc.seed_dropout(plain, (0, 1))
        without, dropped = core.step(x, plain), core.step(x, keyed)
        assert_same(dropped.access, without.access, 0)
        np.testing.assert_array_equal(dropped.controller_output, without.controller_output)
        assert np.abs(dropped.outputs - without.outputs).max() > 1e-3

        words = tf.reshape(dropped.access.read_words, [2, -1])
        hidden, state = core.bypass(dropped.controller_output, keyed.bypass)
        expected = core.output_linear(tf.concat([hidden, words], axis=1))
        np.testing.assert_allclose(dropped.outputs, core.clip(expected))
        assert_same(dropped.state.bypass, state, 0)

    def test_nothing_is_dropped_in_evaluation_and_recording(self):
        core, inputs = core_of("bypass dropout"), random_inputs(3, 2)
        expected, _ = dnc.unroll(core, inputs)
        plain, _ = dnc.unroll(plain_core_like(core), inputs)
        np.testing.assert_allclose(expected, plain, atol=1e-12)
        np.testing.assert_allclose(dnc.record(core, inputs).outputs, plain, atol=1e-12)

        cell, start = dnc.rnn_cell(core), core.initial_state(2)
        outputs, state = cell(inputs[0], cell.zero_state(2, tf.float64))
        np.testing.assert_allclose(outputs, plain[0], atol=1e-12)
        keyed, _ = cell(inputs[0], dnc.seed_dropout(start, (0, 1)))
        assert np.abs(keyed - plain[0]).max() > 1e-3
        assert state.bypass.key.dtype == tf.int64


class TestTraces:
    def test_what_is_set_free_is_recorded_and_the_memory_can_be_derived(self):
        trace = dnc.record(core_of("deallocate"), random_inputs(4, 2))
        assert trace.declared["deallocated"]["axes"] == "TBN"
        np.testing.assert_allclose(trace.extras["deallocated"], 1.0 - trace.retention)
        assert trace.extras["deallocated"].max() > 0.01
        np.testing.assert_allclose(trace.derived_memory(), trace.memory, atol=1e-12)

    def test_links_that_are_sharpened_are_recorded_as_what_they_are(self):
        trace = dnc.record(core_of("sharp links"), random_inputs(4, 2))
        assert trace.linkage == "dense"
        np.testing.assert_allclose(trace.derived_link(), trace.link, atol=1e-12)
        assert trace.extras["sharpness"].shape == (4, 2, 2, 4)
        np.testing.assert_allclose(trace.forward_weights.sum(axis=-1), 1.0)


class TestLearned:
    def test_a_start_gets_gradients_through_the_unroll_also_after_a_reset(self):
        core, inputs = core_of("all"), random_inputs(4, 2)
        learned = [core.access.initial_memory.word, *core.controller.state]
        names = {variable.ref() for variable in core.trainable_variables}
        assert {variable.ref() for variable in learned} <= names
        assert len(learned) == 3
        reset = np.zeros([4, 2], bool)
        reset[2] = True
        given = tf.nest.map_structure(tf.stop_gradient, core.initial_state(2))

        def gradients(reset, state):
            with tf.GradientTape() as tape:
                outputs, _ = dnc.unroll(core, inputs, state, reset=reset, implementation="steps")
                loss = tf.reduce_sum(outputs[2:] ** 2)
            return tape.gradient(loss, learned)

        for gradient in gradients(None, None):
            assert np.abs(gradient).max() > 1e-6
        assert gradients(None, given) == [None] * 3
        for gradient in gradients(reset, core.initial_state(2)):
            assert np.abs(gradient).max() > 1e-6

    def test_a_step_along_the_gradient_of_a_word_lowers_the_loss(self):
        core, inputs = core_of("learned word"), random_inputs(3, 2)
        word = core.access.initial_memory.word

        def loss():
            return tf.reduce_sum(dnc.unroll(core, inputs, implementation="steps")[0] ** 2)

        with tf.GradientTape() as tape:
            before = loss()
        word.assign_sub(1e-3 * tape.gradient(before, word))
        assert loss() < before

    def test_a_state_starts_from_zeros_and_in_the_controllers_structure(self):
        core = dnc.LearnedState(snt.DeepRNN([snt.LSTM(3), snt.GRU(2)]))
        assert_same(core.initial_state(2), core.core.initial_state(2), 0)
        core.state[0].assign_add([1.0, 2.0, 3.0])
        first = tf.nest.flatten(core.initial_state(2))[0]
        np.testing.assert_array_equal(first, [[1.0, 2.0, 3.0]] * 2)


class TestErrors:
    @pytest.mark.parametrize("mask_min", [-0.1, 1.1, "0.5", True, np.nan])
    def test_a_minimum_mask_is_a_share(self, mask_min):
        with pytest.raises(ValueError, match=r"mask_min must be a number in \[0, 1\], got"):
            dnc.MaskedCosineWeights(1, 2, mask_min=mask_min)

    @pytest.mark.parametrize("rate", [-0.1, 1.0, "0.5", True])
    def test_a_rate_is_below_1(self, rate):
        with pytest.raises(ValueError, match=r"rate must be a number in \[0, 1\), got"):
            dnc.DNC({}, {"hidden_size": 4}, 2, bypass_dropout=rate)

    @pytest.mark.parametrize("value", [np.inf, np.nan, "0", None, True])
    def test_an_initial_memory_is_a_finite_number(self, value):
        with pytest.raises(ValueError, match="initial_memory must be a finite number, got"):
            dnc.MemoryAccess(4, 3, initial_memory=value)

    @pytest.mark.parametrize("word_size", [1, 2])
    def test_a_learned_word_has_the_word_size_of_the_memory(self, word_size):
        word = dnc.LearnedWord(word_size)
        with pytest.raises(ValueError, match=f"must have word_size=3 .*got {word_size}"):
            dnc.MemoryAccess(4, 3, initial_memory=word)

    @pytest.mark.parametrize("linkage", [dnc.NoLinkage(4), snt.LSTM(3), None])
    def test_only_links_can_be_sharp(self, linkage):
        with pytest.raises(ValueError, match="SharpLinkage wraps a linkage with read modes"):
            dnc.SharpLinkage(linkage)

    def test_masks_and_allocation_strengths_have_the_shapes_of_their_heads(self):
        look_up, memory = dnc.MaskedCosineWeights(2, 3), tf.zeros([1, 4, 3])
        with pytest.raises(ValueError, match=r"masks must have shape \[1, 2, 3\]"):
            look_up(memory, tf.zeros([1, 2, 3]), tf.zeros([1, 2]), masks=tf.zeros([1, 2, 2]))
        free = {"free_gate": tf.zeros([1, 2]), "allocation_strengths": tf.zeros([1, 3])}
        inputs = allocation.FreenessInputs(
            tf.zeros([1, 2, 4]), tf.zeros([1, 2, 4]), tf.zeros([1, 2]), free
        )
        with pytest.raises(ValueError, match=r"allocation_strengths must have shape \[1, 2\]"):
            dnc.SoftmaxAllocation(4)(inputs, tf.zeros([1, 4]))
