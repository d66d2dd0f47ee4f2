import dataclasses
import itertools

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import tasks
from tasks import draws
from tasks.repeat_copy import RepeatCopy
from tests import models
from tests.unit.training.interactive.bandit import Bandit
from tests.unit.training.interactive.feedback import Feedback
from tests.unit.training.two_lengths import TwoLengths
from training import episodes
from training.baselines import LSTMBaseline
from training.config import Config
from training.evaluation import Evaluation
from training.models import make_core
from training.optimization import Update, adam
from training.step import TrainingStep

TASKS = [Feedback(batch_size=8), Bandit(batch_size=8)]


def small_dnc(task):
    return models.make_core(output_size=task.output_size, input_size=task.input_size)


def lstm(task, hidden_size=32, dtype=tf.float32):
    tf.random.set_seed(0)
    core = LSTMBaseline(snt.LSTM(hidden_size, dtype=dtype), task.output_size)
    core(tf.zeros([1, task.input_size], dtype), core.initial_state(1))
    return core


def arrays(batch):
    return [np.asarray(x) for x in tf.nest.flatten(batch)]


class TestCollect:
    def test_a_supervised_task_gives_its_batch(self):
        task = RepeatCopy(batch_size=2)
        found = episodes.collect(None, task, "train", 5, 6)

        for one, other in zip(arrays(found), arrays(task.batch("train", 5, 6)), strict=True):
            np.testing.assert_array_equal(one, other)

    def test_a_batch_has_its_own_length_unless_the_length_is_fixed(self):
        task = TwoLengths()

        lengths = [len(episodes.collect(None, task, "train", 0, step).mask) for step in range(5)]
        in_program = episodes.collect(None, task.of_length(3), "train", 0, tf.constant(0))

        assert lengths == [7, 7, 7, 3, 3]
        assert len(in_program.mask) == 3

    @pytest.mark.parametrize("task", TASKS, ids=type)
    def test_an_interactive_task_is_the_same_in_all_modes(self, task):
        core, seen = small_dnc(task), {}
        for mode, run in models.MODES.items():
            collect = run(lambda step: episodes.collect(core, task, "train", 3, step))
            seen[mode] = collect(tf.constant(4, tf.int64))
            assert seen[mode].observations.shape == [task.num_steps, 8, task.input_size]
            assert seen[mode].mask.shape == [task.num_steps, 8]

        for mode in ("graph", "compiled"):
            for one, other in zip(arrays(seen[mode]), arrays(seen["eager"]), strict=True):
                np.testing.assert_array_equal(one, other, mode)

    def test_shapes_of_an_interactive_batch_are_static_in_a_graph(self):
        task, shapes = TASKS[1], []
        core = lstm(task, 4)

        @models.graph
        def collect():
            batch = episodes.collect(core, task, "train", 3, 4)
            shapes.extend(x.shape.as_list() for x in tf.nest.flatten(batch))

        collect()

        assert shapes == [[5, 8, 3], [5, 8], [8], [5, 8], [5, 8]]

    def test_an_episode_may_have_a_single_step(self):
        task = Feedback(batch_size=2, max_length=2).of_length(1)
        one = dataclasses.replace(Bandit(batch_size=2), delay=1, choices=1)

        assert episodes.collect(lstm(one, 4), one, "train", 0, 0).mask.shape == [2, 2]
        assert episodes.collect(lstm(task, 4), task, "train", 0, 0).mask.shape == [2, 2]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Echo(tasks.InteractiveTask):
    """Each answer is the next observation; the extras are the keys of the time steps."""

    metric_names = ("error",)
    input_size = output_size = 1
    num_steps = 5
    batch_size: int = 1

    def start(self, split, seed, step, lesson=None):
        return tf.constant(0), tf.ones([1, 1])

    def respond(self, environment, outputs, key):
        assert outputs.shape == [1, 1]
        key = tf.cast(key, tf.int64)[tf.newaxis]
        return environment, outputs, tasks.Record((), tf.ones([1]), key)

    loss = metrics = is_solved = None


def test_observations_are_constants_also_under_a_tape():
    core = lstm(Echo(), 4)
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(episodes.collect(core, Echo(), "train", 0, 0).observations)

    assert total != 1.0
    assert all(x is None for x in tape.gradient(total, core.trainable_variables))


def test_the_keys_of_all_time_steps_and_of_the_start_differ():
    task = Echo()
    core = lstm(task, 1)
    of_batch = itertools.product(("train", "validation"), (0, 1), (0, 1))
    keys = []
    for arguments in of_batch:
        keys += episodes.collect(core, task, *arguments).extras[:, 0].numpy().tolist()
        keys += [key.numpy().tolist() for key in draws.keys(*arguments, 4)]

    assert len({tuple(key) for key in keys}) == len(keys) == 8 * (5 + 4)


def in_one_loop(core, task, split, seed, step, variables):
    """Gradients with cores and environment on one tape, step by step; and the outputs."""
    key = draws.fold_in(draws.keys(split, seed, step, 1)[0], episodes._RESPONSES)
    found, records = [], []
    with tf.GradientTape() as tape:
        environment, observation = task.start(split, seed, step)
        state = core.initial_state(task.batch_size)
        for t in range(task.num_steps):
            outputs, state = core(tf.cast(observation, variables[0].dtype), state)
            of_step = draws.fold_in(key, tf.constant(t, tf.int64))
            environment, observation, record = task.respond(environment, outputs, of_step)
            found.append(outputs)
            records.append(record)
        record = tf.nest.map_structure(lambda *x: tf.stack(x), *records)
        outputs = tf.stack(found)
        batch = tasks.make_batch((), record.target, record.mask, record.extras)
        loss = task.loss(outputs, batch)
    return outputs, tape.gradient(loss, variables)


class Doubled(snt.RNNCore):
    """A core of float64 for observations of float32."""

    def __init__(self, core):
        super().__init__()
        self._core = core

    def __call__(self, inputs, state):
        return self._core(tf.cast(inputs, tf.float64), state)

    def initial_state(self, batch_size):
        return self._core.initial_state(batch_size)


@pytest.mark.parametrize("task", TASKS, ids=type)
@pytest.mark.parametrize("dtype, tolerance", [(tf.float32, 1e-6), (tf.float64, 1e-12)])
def test_gradients_are_those_of_the_whole_loop_at_once(task, dtype, tolerance):
    core = small_dnc(task) if dtype == tf.float32 else Doubled(lstm(task, dtype=dtype))
    variables = core.trainable_variables
    expected_outputs, expected = in_one_loop(core, task, "train", 3, 4, variables)

    batch = episodes.collect(core, task, "train", 3, 4)
    with tf.GradientTape() as tape:
        outputs = episodes.replay(core, batch)
        loss = task.loss(outputs, batch)
    found = tape.gradient(loss, variables)

    assert outputs.dtype == dtype
    np.testing.assert_allclose(outputs, expected_outputs, rtol=0, atol=10 * tolerance)
    largest = max(np.abs(gradient).max() for gradient in expected)
    assert largest > 0.01
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=tolerance * largest)


class TestLearning:
    """Both tasks need memory: the bound holds for every function of the current observation."""

    def train(self, task, jit):
        core = lstm(task)
        update = Update(adam(core.trainable_variables, 1e-2, 1e-7), 10.0)
        TrainingStep(core, task, update, seed=0, jit=jit).run(100)
        return core, Evaluation(core, task, seed=0, jit=False).metrics(0, 4)

    def without_memory(self, core, task, right):
        """The fraction that the best function of the observation would get wrong."""
        many = dataclasses.replace(task, batch_size=1000)
        batch = episodes.collect(core, many, "validation", 0, 0)
        counts = batch.mask.numpy() > 0
        _, seen = np.unique(batch.observations.numpy()[counts], axis=0, return_inverse=True)
        table = np.zeros([seen.max() + 1, task.output_size])
        np.add.at(table, (seen.ravel(), right(batch)[counts]), 1)
        return 1.0 - table.max(axis=1).sum() / counts.sum()

    def test_a_sequence_is_continued_from_own_answers(self):
        task = Feedback(batch_size=64)
        core, metrics = self.train(task, jit=False)

        # 4 of 5 answers depend on the shift, one of 3.
        bound = self.without_memory(core, task, lambda batch: batch.target.numpy())
        assert bound == pytest.approx(4 / 5 * 2 / 3, abs=0.03)
        assert metrics["wrong_answers"] < 0.05

    def test_a_cue_is_remembered_for_the_sake_of_rewards(self):
        task = Bandit(batch_size=64)
        core, metrics = self.train(task, jit=True)

        def right(batch):
            action, reward = (x.numpy() for x in batch.extras)
            return np.where(reward > 0, action, 1 - action)

        assert self.without_memory(core, task, right) == pytest.approx(1 / 2, abs=0.03)
        assert metrics["missed_rewards"] < 0.05


def test_own_answers_are_shown_except_for_the_mixture():
    task = Feedback(batch_size=500)
    core = small_dnc(task)

    def fraction_of_own(split):
        batch = episodes.collect(core, task, split, 0, 0)
        own = tf.argmax(episodes.replay(core, batch), axis=2)[:-1]
        right = tf.cast(batch.target[:-1], tf.int64)
        shown = tf.argmax(batch.observations[1:], axis=2)
        return np.mean((own == shown)[own != right])

    assert fraction_of_own("validation") == 1.0
    assert 0.45 < fraction_of_own("train") < 0.55


@pytest.mark.parametrize("task", TASKS, ids=type)
def test_an_interactive_episode_can_be_watched(task):
    core = small_dnc(task)
    batch = episodes.collect(core, task, "validation", 0, 0)

    trace = episodes.watch(core, task, batch, 7)

    np.testing.assert_allclose(trace.outputs, episodes.replay(core, batch), atol=1e-6)
    np.testing.assert_array_equal(trace.sequence_length, [task.num_steps] * 8)
    assert (trace.task, trace.step) == (task.name, 7)
    assert episodes.watch(lstm(task, 4), task, batch, 7) is None


def test_labels_are_those_of_the_batch_s_own_length():
    task = TwoLengths()
    core = small_dnc(task)

    trace = episodes.watch(core, task, episodes.collect(core, task, "train", 0, 3), 0)

    assert trace.tokens[0] == ["row 1", "copy", "1"]


@pytest.fixture(scope="module")
def bidirectional():
    """A core that sees its task's episodes from both ends, and the task."""
    task = RepeatCopy(num_bits=2, max_length=3, max_repeats=2, batch_size=6)
    config = Config.of(preset="none", core="biadnc", hidden_size=5, memory_size=4, word_size=3)
    core, rng = make_core(config, task), np.random.default_rng(0)
    for variable in core.trainable_variables:  # Also biases: then padding has an effect.
        variable.assign(rng.normal(size=variable.shape))
    return core, task


class TestBothDirections:
    def test_padding_makes_no_difference(self, bidirectional):
        core, task = bidirectional
        batch = task.batch("train", 0, 0)
        shortest = int(np.argmin(batch.lengths))
        length = int(batch.lengths[shortest])
        assert length < len(batch.mask)
        alone = tasks.make_batch(
            batch.observations[:length, shortest : shortest + 1],
            batch.target[:length, shortest : shortest + 1],
            batch.mask[:length, shortest : shortest + 1],
        )

        outputs = episodes.replay(core, batch)

        np.testing.assert_allclose(
            episodes.replay(core, alone)[:, 0], outputs[:length, shortest], atol=1e-6
        )

    def test_outputs_depend_on_what_follows(self, bidirectional):
        core, task = bidirectional
        batch = task.batch("train", 0, 0)
        other = batch._replace(
            observations=tf.concat([batch.observations[:1]] * len(batch.mask), 0)
        )

        first, second = (episodes.replay(core, each)[0] for each in (batch, other))

        assert np.abs(first - second).max() > 1e-4

    def test_an_episode_can_be_watched(self, bidirectional):
        core, task = bidirectional
        batch = task.batch("train", 0, 0)

        trace = episodes.watch(core, task, batch, 7)

        np.testing.assert_allclose(trace.outputs, episodes.replay(core, batch), atol=1e-6)
        np.testing.assert_array_equal(trace.inputs[..., : task.input_size], batch.observations)
        assert trace.inputs.shape[2] == task.input_size + 5


def with_extras(task):
    batch = task.batch("train", 3, 4)
    return batch._replace(extras=(batch.lengths + 1, [batch.mask + 1]))


def test_parts_of_a_batch_are_those_of_the_whole():
    task = RepeatCopy(batch_size=6)
    whole = with_extras(task)
    compiled = tf.function(lambda i: episodes.part(with_extras(task), i, 3), jit_compile=True)

    for parts in (
        [episodes.part(whole, i, 3) for i in range(3)],
        [compiled(tf.constant(i)) for i in range(3)],
    ):
        assert parts[0].observations.shape == [task.num_steps, 2, task.input_size]
        assert isinstance(parts[0], tasks.Batch)
        together = zip(*[tf.nest.flatten(part) for part in parts], strict=True)
        for own, of_whole in zip(together, tf.nest.flatten(whole), strict=True):
            axis = int(own[0].shape.rank > 1)
            np.testing.assert_array_equal(tf.concat(own, axis=axis), of_whole)


def test_the_longest_episodes_come_first():
    task = RepeatCopy(batch_size=6)
    whole = with_extras(task)

    longest = episodes.longest(whole, 3)

    assert list(longest.lengths) == sorted(whole.lengths.numpy(), reverse=True)[:3]
    np.testing.assert_array_equal(longest.extras[0], longest.lengths + 1)
    np.testing.assert_array_equal(longest.extras[1][0], longest.mask + 1)
    steps = np.arange(1, task.num_steps + 1)[:, np.newaxis]
    np.testing.assert_array_equal((steps * longest.mask).max(axis=0), longest.lengths)
