"""The core and the NumPy model are the same function, and neither knows the other's code."""

import ast
import pathlib

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from dnc import reference
from tests import golden
from tests.family import VARIANTS, core_of
from tests.models import make_core, random_inputs, random_state


def reference_state(state, example):
    """One example of a core's state as the reference's state."""
    s = golden.by_name(state)
    return reference.State(
        **{symbol: np.float64(s[name][example]) for symbol, name in golden.SYMBOLS.items()}
    )


# Interface fields that only some models have.
FIELDS_OF_VARIANTS = {
    "read_masks": "m_r",
    "write_masks": "m_w",
    "allocation_strengths": "beta_a",
    "sharpness": "s",
}


def assert_same_step(step, expected, example, tolerance):
    def same(actual, symbol, value):
        np.testing.assert_allclose(
            np.asarray(actual)[example], value, rtol=tolerance, atol=tolerance, err_msg=symbol
        )

    for symbol, value in reference_state(step.state, example)._asdict().items():
        np.testing.assert_allclose(
            value, getattr(expected.state, symbol), rtol=tolerance, atol=tolerance, err_msg=symbol
        )
    access, fields = step.access, step.access.interface
    same(step.outputs, "y", expected.y)
    same(access.allocation_weights, "a", expected.a)
    same(access.write_content_weights, "c_w", expected.c_w)
    same(access.read_content_weights, "c_r", expected.c_r)
    same(access.forward_weights, "f", expected.f)
    same(access.backward_weights, "b", expected.b)
    same(fields["read_keys"], "k_r", expected.xi.k_r)
    same(fields["write_keys"], "k_w", expected.xi.k_w)
    same(fields["erase_vectors"], "e", expected.xi.e)
    same(fields["write_vectors"], "v", expected.xi.v)
    same(fields["free_gate"], "f", expected.xi.f)
    same(fields["allocation_gate"], "g_a", expected.xi.g_a)
    same(fields["write_gate"], "g_w", expected.xi.g_w)
    for name, symbol in FIELDS_OF_VARIANTS.items():
        assert (name in fields) == (getattr(expected.xi, symbol) is not None)
        if name in fields:
            same(fields[name], symbol, getattr(expected.xi, symbol))
    mode = access.read_mode
    modes = tf.concat([mode.backward, mode.forward, mode.content[..., tf.newaxis]], axis=2)
    same(modes, "pi", expected.xi.pi)


SIZES = [
    {"memory_size": 1, "word_size": 1, "num_reads": 1, "num_writes": 1},
    {"memory_size": 6, "word_size": 4, "num_reads": 2, "num_writes": 1},
    {"memory_size": 5, "word_size": 3, "num_reads": 1, "num_writes": 3, "clip_value": 0.3},
    {"memory_size": 300, "word_size": 2, "num_reads": 3, "num_writes": 2, "clip_value": None},
]


@pytest.mark.parametrize("sizes", SIZES, ids=str)
@pytest.mark.parametrize("strengths", ["softplus", "oneplus"])
def test_every_quantity_of_every_step_agrees_from_a_random_state(sizes, strengths):
    strength_op = {"softplus": tf.nn.softplus, "oneplus": dnc.oneplus}[strengths]
    core = make_core(dtype=tf.float64, scale=3.0, strength_op=strength_op, **sizes)
    state = random_state(core, batch_size=2)
    inputs = random_inputs(4, batch_size=2)
    expected = [
        reference.unroll(
            reference.parameters_of(core),
            inputs[:, example].numpy(),
            reference_state(state, example),
            clip=core.clip_value,
            strength_op=getattr(reference, strengths),
        )
        for example in range(2)
    ]
    for t, x in enumerate(inputs):
        step = core.step(x, state)
        for example in range(2):
            assert_same_step(step, expected[example][t], example, tolerance=1e-10)
        state = step.state


def dropout_masks(core, state, num_steps):
    """The masks [T, B, H] that the bypass dropout draws from `state` on; 1 without."""
    ones, state, masks = tf.ones([2, core.hidden_size], tf.float64), state.bypass, []
    for _ in range(num_steps):
        mask, state = core.bypass(ones, state) if core.bypass else (ones, state)
        masks.append(mask.numpy())
    return np.array(masks)


class TestVariants:
    @pytest.mark.parametrize("start", ["random", "initial"])
    @pytest.mark.parametrize("variant", VARIANTS)
    def test_every_quantity_of_every_step_agrees(self, variant, start):
        core = core_of(variant, scale=3.0)
        strength_op = core.access.read_content.strength_op
        assert strength_op in (tf.nn.softplus, dnc.oneplus)
        state = random_state(core, 2)
        if start == "initial":  # But without ties, in whose order rounding has a say.
            usage, state = state.access_state.usage, core.initial_state(2)
            state = state._replace(access_state=state.access_state._replace(usage=usage))
        state, inputs = dnc.seed_dropout(state, (1, 2)), random_inputs(3, 2)
        parameters, masks = reference.parameters_of(core), dropout_masks(core, state, 3)
        expected = [
            reference.unroll(
                parameters,
                inputs[:, example].numpy(),
                reference_state(state, example),
                clip=core.clip_value,
                strength_op=reference.oneplus if variant == "all" else reference.softplus,
                bypass=masks[:, example],
            )
            for example in range(2)
        ]
        for t, x in enumerate(inputs):
            step = core.step(x, state)
            for example in range(2):
                assert_same_step(step, expected[example][t], example, tolerance=1e-10)
            state = step.state

    @pytest.mark.parametrize("variant", ["constant word", "learned word"])
    def test_the_initial_memory_agrees(self, variant):
        core = core_of(variant)
        word = reference.parameters_of(core).word
        empty = reference.initial_state(N=5, W=3, R=2, V=2, H=6, word=word)
        assert np.abs(empty.M).max() > 0.1
        for symbol, value in reference_state(core.initial_state(1), 0)._asdict().items():
            np.testing.assert_array_equal(value, getattr(empty, symbol), err_msg=symbol)

    def test_a_variant_is_found_in_the_parts_of_the_core(self):
        assert reference.parameters_of(core_of("all")).variant == reference.Variant(
            read=reference.LookUp(masked=True, mask_min=0.2, used=True),
            write=reference.LookUp(masked=True),
            softmax_allocation=True,
            deallocate=True,
            sharp=True,
        )
        assert reference.parameters_of(make_core()).variant == reference.Variant()

    def test_a_bidirectional_core_agrees(self):
        controller = dnc.AppendedContext(dnc.LayerNormLSTM(4, dtype=tf.float64), 3, 2)
        core = dnc.DNC(dnc.MemoryAccess(4, 3), controller, 2, clip_value=0.5)
        both = dnc.Bidirectional(core, dnc.LayerNormLSTM(2, dtype=tf.float64))
        inputs = random_inputs(4, 2, input_size=3)
        both.unroll(inputs)
        rng = np.random.default_rng(0)
        for variable in both.trainable_variables:
            variable.assign(rng.normal(size=variable.shape))
        outputs, _ = both.unroll(inputs)
        parameters = reference.parameters_of(core)
        empty = reference.initial_state(N=4, W=3, R=1, V=1, H=4)
        for example in range(2):
            xs = inputs[:, example].numpy()
            context = reference.context(reference.lstm_parameters_of(both.backward), xs)
            steps = reference.unroll(parameters, np.hstack([xs, context]), empty, clip=0.5)
            np.testing.assert_allclose(outputs[:, example], [x.y for x in steps], atol=1e-10)


def test_the_first_steps_from_an_empty_memory_agree():
    core = make_core(dtype=tf.float64, memory_size=3, scale=3.0)
    inputs = random_inputs(5, batch_size=1)
    empty = reference.initial_state(N=3, W=4, R=2, V=1, H=7)
    expected = reference.unroll(reference.parameters_of(core), inputs[:, 0].numpy(), empty, clip=20)
    outputs, _ = snt.dynamic_unroll(core, inputs, core.initial_state(1, tf.float64))
    np.testing.assert_allclose(outputs[:, 0], [step.y for step in expected], atol=1e-10)


def test_without_biases_they_agree_too():
    access = dnc.MemoryAccess(4, 3, num_reads=2, with_bias=False)
    core = dnc.DNC(access, snt.LSTM(6, dtype=tf.float64), 2, with_bias=False)
    inputs = random_inputs(3, batch_size=1)
    outputs, _ = snt.static_unroll(core, inputs, core.initial_state(1, tf.float64))
    empty = reference.initial_state(N=4, W=3, R=2, V=1, H=6)
    expected = reference.unroll(reference.parameters_of(core), inputs[:, 0].numpy(), empty)
    np.testing.assert_allclose(outputs[:, 0], [step.y for step in expected], atol=1e-10)


@pytest.mark.parametrize("name", golden.TRACES)
def test_the_reference_reproduces_the_recorded_outputs(name):
    trace = golden.Recording(golden.DATA / f"{name}.npz")
    parameters = reference.parameters_of(golden.core_of(trace))
    initial = golden.state_of(trace.below("initial/"))
    for example in range(trace["inputs"].shape[1]):
        steps = reference.unroll(
            parameters,
            np.float64(trace["inputs"][:, example]),
            reference_state(initial, example),
            clip=golden.config(trace)["clip_value"] or None,
        )
        golden.assert_close([s.y for s in steps], trace["outputs"][:, example], "outputs")


def test_the_reference_does_not_import_tensorflow():
    names = set()
    for file in pathlib.Path(reference.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names.add(getattr(node, "module", None) or node.names[0].name)
    own = {f"dnc.reference.{name}" for name in ("equations", "variants", "model")}
    assert names == {"typing", "numpy", *own}


def test_links_and_precedence_of_the_worked_example():
    L, p = np.zeros([3, 3]), np.zeros(3)
    for w in np.array([[0.5, 0.5, 0.0], [0.0, 0.2, 0.6], [0.5, 0.0, 0.0]]):
        L, p = reference.link(L, w, p), reference.precedence(p, w)
    np.testing.assert_allclose(L, [[0, 0.15, 0.3], [0.05, 0, 0], [0.15, 0.3, 0]])
    np.testing.assert_allclose(p, [0.55, 0.15, 0.3])
    w_r = np.array([0.2, 0.3, 0.5])
    np.testing.assert_allclose(reference.forward(L, w_r), [0.195, 0.01, 0.12])
    np.testing.assert_allclose(reference.backward(L, w_r), [0.09, 0.18, 0.06])


def test_the_other_worked_examples():
    M = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    c = reference.content(M, np.array([1.0, 0.0]), 5.0)
    np.testing.assert_allclose(c, [0.807794, 0.005443, 0.186763], atol=3e-6)
    M = reference.write(
        np.array([[1.0, 2.0]]), np.array([[0.5]]), np.array([[1.0, 0.0]]), np.array([[4.0, 6.0]])
    )
    np.testing.assert_allclose(M, [[2.5, 5.0]])
    np.testing.assert_allclose(reference.oneplus(np.array(0.0)), 1.693147, atol=1e-6)
