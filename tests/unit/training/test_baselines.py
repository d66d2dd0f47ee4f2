import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
import tasks
from training import models
from training.baselines import NTM, LSTMBaseline, address
from training.config import Config

CONFIG = Config.of(
    preset="none",
    task="copy",
    hidden_size=7,
    memory_size=5,
    word_size=4,
    num_read_heads=2,
    num_write_heads=2,
)
TASK = tasks.get("copy", num_bits=3, max_length=4, batch_size=2)


def softmax(x):
    e = np.exp(x - x.max())
    return e / e.sum()


def slow_address(memory, before, key, strength, gate, shift, sharpening):
    """The equations of one head, slot by slot."""
    similarity = np.array(
        [key @ m / (np.linalg.norm(key) * np.linalg.norm(m) + 1e-6) for m in memory]
    )
    weights = gate * softmax(strength * similarity) + (1 - gate) * before
    slots = len(memory)
    shifted = np.zeros(slots)
    for i in range(slots):
        for s, amount in zip((-1, 0, 1), shift, strict=True):
            shifted[(i + s) % slots] += amount * weights[i]
    sharpened = shifted**sharpening
    return sharpened / sharpened.sum()


def test_heads_are_addressed_as_in_the_paper():
    rng = np.random.default_rng(0)
    memory = rng.normal(size=[3, 6, 4])
    before = np.apply_along_axis(softmax, 2, rng.normal(size=[3, 2, 6]))
    keys = rng.normal(size=[3, 2, 4])
    strengths, gates = rng.uniform(0, 5, [3, 2]), rng.uniform(0, 1, [3, 2])
    shifts = np.apply_along_axis(softmax, 2, rng.normal(size=[3, 2, 3]))
    sharpening = rng.uniform(1, 4, [3, 2])

    found = address(memory, before, keys, strengths, gates, shifts, sharpening)

    for b in range(3):
        for h in range(2):
            arguments = (x[b, h] for x in (before, keys, strengths, gates, shifts, sharpening))
            expected = slow_address(memory[b], *arguments)
            np.testing.assert_allclose(found[b, h], expected, atol=1e-8)


def test_a_focused_head_moves_by_its_shift():
    before = np.zeros([1, 1, 4])
    before[0, 0, 3] = 1.0
    shift_up = np.array([[[0.0, 0.0, 1.0]]])

    found = address(
        np.ones([1, 4, 2]), before, np.ones([1, 1, 2]), [[1.0]], [[0.0]], shift_up, [[1.0]]
    )

    np.testing.assert_allclose(found[0, 0], [1, 0, 0, 0], atol=1e-8)


@pytest.mark.parametrize(
    "core, controller",
    [  # Compiled ones: tests/system/test_training.py.
        ("lstm", "lstm"),
        ("lstm", "feedforward"),
        ("ntm", "deep_lstm"),
        ("ntm", "feedforward"),
    ],
)
def test_a_baseline_is_a_core_that_learns(core, controller):
    check_gradients(core, controller, jit=False)


def check_gradients(core, controller, jit):
    config = CONFIG.replace(
        core=core, controller=controller, num_layers=1 if controller == "lstm" else 2
    )
    made = models.make_core(config, TASK)
    batch = TASK.batch("train", 0, 0)

    @tf.function(jit_compile=jit)
    def gradients():
        with tf.GradientTape() as tape:
            logits, _ = dnc.unroll(made, batch.observations)
            loss = TASK.loss(logits, batch)
        return logits, tape.gradient(loss, made.trainable_variables)

    logits, found = gradients()
    assert logits.shape == batch.target.shape
    assert all(np.isfinite(gradient).all() for gradient in found)
    assert any(np.any(gradient) for gradient in found)


def test_gradients_of_the_turing_machine_are_those_of_finite_differences():
    tf.random.set_seed(0)
    core = NTM(snt.LSTM(3), 4, 2, 1, 1, output_size=2)
    inputs = tf.random.stateless_normal([5, 1, 3], [0, 0])

    def loss():
        outputs, _ = dnc.unroll(core, inputs)
        return tf.reduce_sum(tf.sin(outputs))

    core(inputs[0], core.initial_state(1))
    with tf.GradientTape() as tape:
        value = loss()
    gradients = tape.gradient(value, core.trainable_variables)
    rng = np.random.default_rng(0)
    for variable, gradient in zip(core.trainable_variables, gradients, strict=True):
        direction = rng.normal(size=variable.shape).astype(np.float32)
        before, h = variable.numpy(), 1e-2
        variable.assign(before + h * direction)
        above = float(loss())
        variable.assign(before - h * direction)
        below = float(loss())
        variable.assign(before)
        expected = (above - below) / (2 * h)
        assert float(tf.reduce_sum(gradient * direction)) == pytest.approx(expected, abs=5e-3)


def test_outputs_are_bounded():
    core = LSTMBaseline(snt.LSTM(3), 2, clip_value=0.01)
    outputs, _ = core(100.0 * tf.ones([1, 4]), core.initial_state(1))
    assert np.abs(outputs).max() <= 0.01


def test_several_layers_need_a_controller_that_has_them():
    with pytest.raises(ValueError, match="num_layers is for controller=deep_lstm"):
        models.make_core(CONFIG.replace(num_layers=2), TASK)


@pytest.mark.parametrize("kind", ["dnc", "ntm"])
def test_a_controller_need_not_see_what_was_read(kind):
    sizes = []
    for feed_reads in (True, False):
        config = CONFIG.replace(core=kind, controller="feedforward", feed_reads=feed_reads)
        core = models.make_core(config, TASK)
        sizes.append({v.shape[0] for v in core.trainable_variables if "mlp" in v.name} - {7})
    assert sizes == [{TASK.input_size + 2 * 4}, {TASK.input_size}]
