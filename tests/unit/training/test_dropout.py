"""Dropout in training, and nothing is dropped elsewhere. Resumed: tests/system/test_training.py."""

import numpy as np
import sonnet as snt
import tensorflow as tf

import dnc
from tasks.repeat_copy import RepeatCopy
from tests.unit.training.test_episodes import Echo
from tests.unit.training.test_step import TwoReplicas, assert_close
from training import episodes
from training.baselines import LSTMBaseline
from training.evaluation import Evaluation
from training.optimization import Update, rmsprop
from training.probe import Probe
from training.step import TrainingStep, create_variables, gradients

TASK = RepeatCopy(num_bits=2, max_length=2, max_repeats=1, batch_size=4)
SEED = 5


def make_core(task=TASK, rate=0.5, controller=None):
    tf.random.set_seed(0)
    controller = controller or snt.DeepRNN([snt.LSTM(6), dnc.Dropout(rate)])
    core = LSTMBaseline(controller, task.output_size)
    create_variables(core, task)
    return core


def make_dnc(rate=0.5):
    tf.random.set_seed(0)
    access = dnc.MemoryAccess(4, 3, linkage=dnc.NoLinkage(4))
    core = dnc.DNC(access, snt.LSTM(6), TASK.output_size, bypass_dropout=rate)
    create_variables(core, TASK)
    return core


def training(core=None, **options):
    core = core or make_core()
    update = Update(rmsprop(core.trainable_variables, 1e-2, 1e-10), 50.0)
    return TrainingStep(core, TASK, update, SEED, **{"jit": False, **options})


def seeded(core, step, seed=SEED):
    return dnc.seed_dropout(core.initial_state(TASK.batch_size), (seed, step))


def test_a_step_drops_by_its_seed_and_number():
    core = make_core()
    step = training(core)
    step.step.assign(41)
    batch = TASK.batch("train", SEED, 41)
    expected = gradients(core, TASK, batch, 50.0, initial_state=seeded(core, 41))
    without = gradients(core, TASK, batch, 50.0)

    totals = step.run(1)

    np.testing.assert_allclose(totals.loss, expected.loss, rtol=1e-6)
    np.testing.assert_allclose(totals.gradient_norm, expected.norm, rtol=1e-6)
    assert abs(expected.loss - without.loss) > 1e-3


def test_a_core_without_dropout_starts_from_its_own_state():
    assert episodes.dropping_state(make_core(controller=snt.LSTM(6)), 4, SEED, 0) is None


def test_replicas_drop_what_one_device_drops():
    alone, split = training(), training(distribution=TwoReplicas())

    np.testing.assert_allclose(split.run(3).loss, alone.run(3).loss, rtol=1e-5)
    assert_close(split.core.trainable_variables, alone.core.trainable_variables, atol=1e-5)


def test_evaluation_drops_nothing():
    core, without = make_core(), make_core(rate=0.0)
    for own, value in zip(without.trainable_variables, core.trainable_variables, strict=True):
        own.assign(value)

    def answers(core):
        (_, found), *_ = Evaluation(core, TASK, SEED, jit=False).answers("test", 0, 1)
        return found

    np.testing.assert_array_equal(answers(core), answers(without))


def test_a_look_into_the_memory_drops_nothing():
    core, without = make_dnc(), make_dnc(0.0)
    for own, value in zip(without.trainable_variables, core.trainable_variables, strict=True):
        own.assign(value)

    found, expected = (Probe(each, TASK, SEED).record(1) for each in (core, without))

    np.testing.assert_array_equal(found.outputs, expected.outputs)


def test_a_step_that_is_explained_drops_what_it_dropped(tmp_path):
    core = make_dnc()
    step = training(core)
    batch = TASK.batch("train", SEED, 0)
    dropped = episodes.replay(core, batch, initial_state=seeded(core, 0))

    step.explain(tmp_path, tf.train.Checkpoint(core=core))

    trace = dnc.Trace.load(tmp_path / "not-finite-0" / "trace.npz")
    np.testing.assert_allclose(trace.outputs, dropped, atol=1e-6)
    assert np.abs(trace.outputs - episodes.replay(core, batch)).max() > 1e-3


class Inverse(RepeatCopy):
    """A task whose loss is not finite where an output is 0."""

    def loss(self, outputs, batch):
        return tf.reduce_sum(1.0 / outputs)


def test_the_loss_of_an_explained_step_is_the_one_with_dropout(tmp_path):
    core = make_core(rate=0.9)  # At some time steps it drops everything, and the output is 0.
    core.output_linear.b.assign([0.0] * TASK.output_size)
    task = Inverse(num_bits=2, max_length=2, max_repeats=1, batch_size=4)
    update = Update(rmsprop(core.trainable_variables, 1e-2, 1e-10), 50.0)
    step = TrainingStep(core, task, update, SEED, jit=False)

    assert "loss contains" in step.explain(tmp_path, tf.train.Checkpoint(core=core))
    assert np.isfinite(task.loss(episodes.replay(core, TASK.batch("train", SEED, 0)), None))


class JudgedEcho(Echo):
    """An interactive task, in which each answer is the next observation, with a loss."""

    def loss(self, outputs, batch):
        return tf.reduce_sum(outputs)


def test_a_training_plays_an_interactive_episode_with_dropout(tmp_path):
    task = JudgedEcho()
    core = make_core(task, controller=snt.DeepRNN([snt.LSTM(8), dnc.Dropout(0.5)]))
    update = Update(rmsprop(core.trainable_variables, 1e-2, 1e-10), 50.0)
    step = TrainingStep(core, task, update, SEED, jit=False)

    step.explain(tmp_path, tf.train.Checkpoint(core=core))

    batch = TASK.batch("train", 0, 0)._replace(
        observations=np.load(tmp_path / "not-finite-0" / "batch.npz")["observations"]
    )
    state = dnc.seed_dropout(core.initial_state(1), (SEED, 0))
    outputs = episodes.replay(core, batch, initial_state=state)
    np.testing.assert_allclose(batch.observations[1:], outputs[:-1], atol=1e-6)
    assert np.abs(outputs - episodes.replay(core, batch)).max() > 1e-3
