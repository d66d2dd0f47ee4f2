"""`dnc.Bidirectional`: a core that sees the outputs of another, which runs from the end."""

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from tests.models import assert_same, graph, random_inputs

LENGTHS = [4, 2, 0]


@pytest.fixture(scope="module")
def both():
    controller = dnc.AppendedContext(snt.LSTM(4, dtype=tf.float64), 5, 3)
    core = dnc.DNC(dnc.MemoryAccess(4, 3), controller, 2)
    both = dnc.Bidirectional(core, snt.LSTM(3, dtype=tf.float64))
    both.unroll(random_inputs(1, 1))
    rng = np.random.default_rng(0)
    for variable in both.trainable_variables:
        variable.assign(rng.normal(size=variable.shape) / 2)
    return both


class TestUnroll:
    @pytest.mark.parametrize("lengths", [None, LENGTHS])
    def test_it_is_the_composition_of_both_cores(self, both, lengths):
        inputs = random_inputs(4, 3)
        state = both.initial_state(3)
        outputs, last = both.unroll(inputs, sequence_length=lengths)
        assert_same(both.unroll(inputs, state, sequence_length=lengths), (outputs, last), 0)
        for b, length in enumerate(lengths or [4] * 3):
            context, start = [], both.backward.initial_state(1)
            for x in reversed(list(inputs[:length, b : b + 1])):
                output, start = both.backward(x, start)
                context.insert(0, output)
            after = both.forward.initial_state(1)
            for t in range(length):
                x = tf.concat([inputs[t, b : b + 1], context[t]], axis=1)
                output, after = both.forward(x, after)
                np.testing.assert_allclose(outputs[t, b], output[0], atol=1e-12)
            assert not np.any(outputs[length:, b])
            expected = dnc.bidirectional.BidirectionalState(after, start)
            assert_same(tf.nest.map_structure(lambda x: x[b : b + 1], last), expected)  # noqa: B023

    def test_each_core_continues_from_its_own_state(self, both):
        inputs = random_inputs(4, 2)
        _, state = both.unroll(random_inputs(3, 2, seed=1))
        context, backward = dnc.unroll(both.backward, inputs, state.backward, reverse=True)
        with_context = tf.concat([inputs, context], axis=2)
        outputs, forward = dnc.unroll(both.forward, with_context, state.forward)
        expected = outputs, dnc.bidirectional.BidirectionalState(forward, backward)
        assert_same(both.unroll(inputs, state, checkpoint_every=2), expected)

    def test_padding_makes_no_difference(self, both):
        inputs = random_inputs(4, 3).numpy()
        expected = both.unroll(inputs, sequence_length=LENGTHS)
        inputs[2:, 1], inputs[:, 2] = np.inf, np.nan
        assert_same(both.unroll(inputs, sequence_length=LENGTHS), expected, 0)

    def test_the_first_output_depends_on_the_last_input(self, both):
        inputs = random_inputs(4, 1)
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            first = both.unroll(inputs)[0][0]
        assert np.abs(tape.gradient(first, inputs)[3]).max() > 1e-3

    def test_gradients_reach_both_cores_and_a_graph_gives_the_same(self, both):
        inputs = random_inputs(4, 2)

        def run(inputs):
            with tf.GradientTape() as tape:
                outputs, _ = both.unroll(inputs, sequence_length=[4, 3])
                loss = tf.reduce_sum(outputs**2)
            return outputs, tape.gradient(loss, both.trainable_variables)

        outputs, gradients = run(inputs)
        assert len(gradients) == 3 + 7
        assert all(np.abs(gradient).max() > 1e-6 for gradient in gradients)
        assert_same(graph(run)(inputs), (outputs, gradients), 1e-10)

    def test_keys_of_dropout_are_found_in_the_state_of_both(self):
        forward = dnc.DNC(dnc.MemoryAccess(3, 2), snt.LSTM(4), 2, bypass_dropout=0.5)
        both = dnc.Bidirectional(forward, snt.DeepRNN([snt.LSTM(3), dnc.Dropout(0.5)]))
        state = dnc.seed_dropout(both.initial_state(2), (0, 1))
        assert np.all(state.forward.bypass.key) and np.all(state.backward[1].key)
        inputs = random_inputs(3, 2, dtype=tf.float32)
        dropped, plain = both.unroll(inputs, state)[0], both.unroll(inputs)[0]
        assert np.abs(dropped - plain).max() > 1e-3


class TestAppendedContext:
    def test_the_core_does_not_see_the_context_and_the_memory_does(self, both):
        inputs, core = random_inputs(1, 1)[0], both.forward
        steps = [
            core.step(tf.concat([inputs, context], axis=1), core.initial_state(1))
            for context in (tf.zeros([1, 3], tf.float64), tf.ones([1, 3], tf.float64))
        ]
        np.testing.assert_array_equal(
            steps[0].controller_output[:, :4], steps[1].controller_output[:, :4]
        )
        np.testing.assert_array_equal(steps[1].controller_output[:, 4:], [[1.0, 1.0, 1.0]])
        assert_same(steps[0].state.controller_state, steps[1].state.controller_state, 0)
        difference = steps[0].access.interface["read_keys"] - steps[1].access.interface["read_keys"]
        assert np.abs(difference).max() > 1e-3

    def test_inputs_that_are_too_narrow_are_refused(self):
        core = dnc.AppendedContext(snt.LSTM(4), 5, 3)
        with pytest.raises(ValueError, match="8"):
            core(tf.zeros([1, 7]), core.initial_state(1))

    @pytest.mark.parametrize("sizes", [(0, 3), (5, 0)])
    def test_sizes_are_positive(self, sizes):
        with pytest.raises(ValueError, match="_size must be an integer >= 1"):
            dnc.AppendedContext(snt.LSTM(4), *sizes)


@pytest.mark.parametrize("which", ["forward", "backward"])
def test_both_must_be_cores(which):
    cores = {"forward": snt.LSTM(3), "backward": snt.LSTM(3), which: snt.Linear(3)}
    with pytest.raises(ValueError, match=f"{which} must be an snt.RNNCore"):
        dnc.Bidirectional(**cores)


class TestADNC:
    def test_an_adnc_is_made_of_the_papers_parts(self):
        core = dnc.adnc(2, 4, memory_size=5, word_size=3, num_reads=2)
        access = core.access
        assert core.bypass_dropout == 0.1
        assert "read_mode" not in access.interface.fields
        assert access.interface.norm is not None
        assert isinstance(core.controller, dnc.LayerNormLSTM)
        np.testing.assert_allclose(access.initial_state(1).memory, np.full([1, 5, 3], 1 / 15))
        outputs, _ = dnc.unroll(core, tf.ones([2, 1, 3]))
        assert outputs.shape == [2, 1, 2]

    def test_its_parts_can_be_replaced(self):
        linkage = dnc.TemporalLinkage(5)
        core = dnc.adnc(2, 4, 5, 3, 1, linkage=linkage, initial_memory=0.0, deallocate=True)
        assert core.access.linkage is linkage
        assert core.access.deallocate
        assert not np.any(core.access.initial_state(1).memory)

    def test_a_biadnc_sees_the_sequence_from_both_ends(self):
        both = dnc.biadnc(3, 2, 4, memory_size=5, word_size=3, num_reads=1)
        outputs, _ = both.unroll(tf.ones([2, 1, 3]))
        assert outputs.shape == [2, 1, 2]
        assert both.forward.hidden_size == 8
        assert both.forward.controller.context_size == both.backward.hidden_size == 4
