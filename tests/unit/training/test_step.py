import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
import tasks
from tasks.repeat_copy import RepeatCopy
from tests import golden
from tests.unit.training.two_lengths import TwoLengths
from training import episodes, step
from training.baselines import LSTMBaseline
from training.optimization import Update, rmsprop

VARIANTS = ["lr1e-4", "lr1e-3", "lr1e-2_norm1"]
HIDDEN_SIZE = 64


def released_core(variables):
    """A core of the released sizes that holds these released variables."""
    access = dnc.MemoryAccess(16, 16, num_reads=4, num_writes=1)
    core = dnc.DNC(access, snt.LSTM(HIDDEN_SIZE), 5, 20.0)
    dnc.deepmind.restore(core, variables)
    return core


@pytest.fixture(scope="module")
def recorded_training():
    """The recording, a core and an optimizer, and a function: one compiled step of both.

    The learning rate and the limit of the norm are arguments, so one program serves all variants.
    """
    trace = golden.Recording(golden.DATA / "train_trace.npz")
    core = released_core(trace.below("initial/"))
    optimizer = rmsprop(core.trainable_variables, learning_rate=tf.Variable(0.0), epsilon=1e-10)
    task = RepeatCopy()

    @tf.function(jit_compile=True)
    def update(max_grad_norm, *batch):
        result = step.gradients(core, task, tasks.make_batch(*batch), max_grad_norm)
        optimizer.apply(result.gradients, core.trainable_variables)
        return result.loss, result.norm

    return trace, core, optimizer, update


@pytest.mark.parametrize("variant", VARIANTS)
def test_training_goes_as_recorded_for_60_steps(recorded_training, variant):
    trace, core, optimizer, update = recorded_training
    dnc.deepmind.restore(core, trace.below("initial/"))
    for mean_square in optimizer.ms:
        mean_square.assign(tf.ones_like(mean_square))
    for momentum in optimizer.mom:
        momentum.assign(tf.zeros_like(momentum))
    optimizer.learning_rate.assign(trace[f"{variant}/learning_rate"])
    max_grad_norm = tf.constant(trace[f"{variant}/max_grad_norm"], tf.float32)

    batches = zip(trace["observations"], trace["target"], trace["mask"], strict=True)
    losses, norms = zip(*[update(max_grad_norm, *batch) for batch in batches], strict=True)

    np.testing.assert_allclose(losses, trace[f"{variant}/loss"], rtol=2e-5)
    np.testing.assert_allclose(norms, trace[f"{variant}/grad_norm"], rtol=2e-6)

    expected = released_core(trace.below(f"{variant}/final/"))
    for left, right in zip(core.trainable_variables, expected.trainable_variables, strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=2e-6, err_msg=left.name)

    expected = released_core(trace.below(f"{variant}/final_mean_square/"))
    # `restore` adds the forget bias to what it takes for the LSTM's bias.
    forget_gate = slice(HIDDEN_SIZE, 2 * HIDDEN_SIZE)
    expected.controller.b[forget_gate].assign(expected.controller.b[forget_gate] - 1.0)
    for left, right in zip(optimizer.ms, expected.trainable_variables, strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=2e-6, err_msg=right.name)


TASK = RepeatCopy(num_bits=2, batch_size=4)


@pytest.fixture
def task():
    return TASK


def small_core(task):
    tf.random.set_seed(0)
    access = dnc.MemoryAccess(4, 3, num_reads=1, num_writes=1)
    core = dnc.DNC(access, snt.LSTM(6), task.output_size, 20.0)
    step.create_variables(core, task)
    return core


class Training(step.TrainingStep):
    """The step of a small core, that can begin again without being compiled again."""

    def __init__(self, jit=False, seed=0, task=TASK, core=None, update=None, **options):
        core = core or small_core(task)
        optimizer = rmsprop(core.trainable_variables, learning_rate=1e-2, epsilon=1e-10)
        update = Update(optimizer, **{"max_grad_norm": 50.0, **(update or {})})
        super().__init__(core, task, update, seed, jit, **options)
        self.optimizer = optimizer
        self._initial = [variable.numpy() for variable in self._variables]

    @property
    def _variables(self):
        return [*self.values, *self.optimizer.ms, *self.optimizer.mom, self.step]

    @property
    def values(self):
        return self.core.trainable_variables

    @property
    def state(self):
        """All variables as arrays."""
        return [variable.numpy() for variable in self._variables]

    def begin(self):
        """Gives all variables their first values."""
        for variable, value in zip(self._variables, self._initial, strict=True):
            variable.assign(value)
        return self


@pytest.fixture(scope="module")
def trainings():
    """A training compiled with XLA and one without; `begin` before use."""
    return {jit: Training(jit) for jit in (False, True)}


def assert_equal(lefts, rights):
    for left, right in zip(lefts, rights, strict=True):
        np.testing.assert_array_equal(left, right)


def assert_close(lefts, rights, rtol=0.0, atol=2e-6):
    for left, right in zip(lefts, rights, strict=True):
        np.testing.assert_allclose(left, right, rtol=rtol, atol=atol)


def test_create_variables_returns_all_that_are_trained(task):
    core = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(6), task.output_size)

    variables = step.create_variables(core, task)

    assert len(variables) == 7
    assert variables == core.trainable_variables


def test_training_is_the_same_when_time_steps_are_recomputed(trainings):
    recomputed, plain = Training(recompute_every=3), trainings[False].begin()

    np.testing.assert_allclose(recomputed.run(5).loss, plain.run(5).loss, rtol=1e-5)
    assert_close(recomputed.values, plain.values)


@pytest.mark.parametrize("jit", [False, True])
def test_five_steps_and_three_equal_eight(trainings, jit):
    training = trainings[jit].begin()
    training.run(5)
    training.run(3)
    split = training.state
    training.begin().run(8)

    assert_equal(split, training.state)
    assert training.step == 8


def test_training_is_the_same_with_and_without_compilation(trainings):
    compiled, plain = trainings[True].begin(), trainings[False].begin()

    tf.nest.map_structure(
        lambda left, right: np.testing.assert_allclose(left, right, rtol=1e-5),
        compiled.run(5),
        plain.run(5),
    )
    assert_close(compiled.values, plain.values)


def test_totals_are_sums_over_the_steps(trainings, task):
    training = trainings[False]
    whole = training.begin().run(3)
    training.begin()
    parts = [training.run(1) for _ in range(3)]

    sums = tf.nest.map_structure(lambda *numbers: np.sum(numbers), *parts)
    tf.nest.map_structure(
        lambda left, right: np.testing.assert_allclose(left, right, rtol=1e-6), whole, sums
    )
    assert set(whole.metrics) == set(task.metric_names)


@pytest.mark.parametrize("jit", [False, True])
def test_totals_are_the_same_to_the_last_bit_however_steps_are_divided(trainings, jit):
    training = trainings[jit]
    whole = training.begin().run(20)
    totals = training.begin().run(1)
    for num_steps in (2, 9, 8):
        floats = tf.nest.map_structure(float, totals)  # As they are in a checkpoint.
        totals = training.run(num_steps, floats.scalars(), floats.module_norms, floats.window)

    tf.nest.map_structure(np.testing.assert_array_equal, whole, totals)


def test_a_step_trains_on_the_batch_of_its_seed_and_number(task):
    training = Training(seed=5)
    training.step.assign(41)
    expected = step.gradients(training.core, task, task.batch("train", 5, 41), 50.0)

    totals = training.run(1)

    np.testing.assert_allclose(totals.loss, expected.loss, rtol=1e-6)
    np.testing.assert_allclose(totals.gradient_norm, expected.norm, rtol=1e-6)
    assert training.step == 42


def test_the_step_counter_is_a_64_bit_integer_that_is_not_trained(trainings):
    counter = trainings[False].step

    assert counter.dtype == tf.int64
    assert not counter.trainable


def test_gradients_are_clipped_by_their_global_norm(task):
    core = small_core(task)
    batch = task.batch("train", 0, 0)

    free = step.gradients(core, task, batch, max_grad_norm=1e6)
    clipped = step.gradients(core, task, batch, max_grad_norm=0.1)

    assert free.norm > 0.1
    np.testing.assert_allclose(clipped.norm, free.norm)
    np.testing.assert_allclose(tf.linalg.global_norm(free.gradients), free.norm, rtol=1e-6)
    np.testing.assert_allclose(tf.linalg.global_norm(clipped.gradients), 0.1, rtol=1e-6)
    for left, right in zip(clipped.gradients, free.gradients, strict=True):
        np.testing.assert_allclose(left, right * 0.1 / free.norm, rtol=1e-5, atol=1e-9)


class TwoReplicas:
    """A `Distribution` whose replicas compute one after the other, in one process."""

    num_replicas = 2

    def __init__(self, num_steps=None):
        self._num_steps = num_steps

    def check_batch_size(self, batch_size):
        assert batch_size % 2 == 0

    def of_chief(self, function):
        return self._num_steps or function()

    def mean(self, function, arguments, like):
        found = [function(tf.constant(replica), *arguments) for replica in range(2)]
        return tf.nest.map_structure(lambda x, y: (x + y) / 2.0, *found)


def test_gradients_of_replicas_are_clipped_after_their_mean():
    alone = Training(update={"max_grad_norm": 0.01})
    split = Training(update={"max_grad_norm": 0.01}, distribution=TwoReplicas())

    expected, found = alone.run(3), split.run(3)

    assert expected.gradient_norm > 3 * 0.01
    np.testing.assert_allclose(found.gradient_norm, expected.gradient_norm, rtol=1e-5)
    assert_close(split.values, alone.values, atol=1e-6)


def test_every_variable_gets_a_gradient(task):
    core = small_core(task)

    result = step.gradients(core, task, task.batch("train", 0, 0), max_grad_norm=50.0)

    for gradient, variable in zip(result.gradients, core.trainable_variables, strict=True):
        assert gradient.shape == variable.shape
        assert np.isfinite(gradient).all()
        assert np.any(gradient), variable.name


def test_the_learning_rate_goes_to_zero_in_its_last_steps(task):
    training = Training(update={"decay": (2, 4)})
    moved = []
    for _ in range(7):
        before = [variable.numpy() for variable in training.values]
        batch = task.batch("train", 0, training.step)
        found = step.gradients(training.core, task, batch, max_grad_norm=50.0)
        mean_squares = [
            0.9 * ms.numpy() + 0.1 * np.square(g)
            for ms, g in zip(training.optimizer.ms, found.gradients, strict=True)
        ]
        training.run(1)
        steps = [
            np.sum((b - a) * np.sqrt(ms + 1e-10)) / np.sum(g)
            for b, a, ms, g in zip(
                before, training.values, mean_squares, found.gradients, strict=True
            )
        ]
        moved.append(np.median(steps))

    np.testing.assert_allclose(
        moved, [0.01, 0.01, 0.01, 0.0075, 0.005, 0.0025, 0.0], rtol=1e-2, atol=1e-6
    )
    assert training.learning_rate == 0.01


def test_weights_decay_and_biases_do_not(trainings):
    plain, decayed = trainings[False].begin(), Training(update={"weight_decay": 0.5})
    before = [variable.numpy() for variable in plain.values]

    plain.run(1)
    decayed.run(1)

    for start, alone, variable in zip(before, plain.values, decayed.values, strict=True):
        expected = alone - 0.01 * 0.5 * start if variable.shape.rank > 1 else alone
        np.testing.assert_allclose(variable, expected, rtol=1e-5, atol=1e-7)


class SpoiltAt3(TwoLengths):
    """Step 3, the first of 3 time steps, is not finite; it would be with 7 time steps."""

    def batch(self, split, seed, step, lesson=None):
        batch = super().batch(split, seed, step, lesson)
        is_bad = tf.equal(tf.cast(step, tf.int32), 3) & (self.num_steps == 3)
        return batch._replace(observations=tf.where(is_bad, np.nan, batch.observations))


class TestPrograms:
    """Batches of two lengths: 7, 7, 7, 3 and 3 steps, again and again."""

    def training(self, task, **options):
        tf.random.set_seed(0)
        core = LSTMBaseline(snt.LSTM(4), task.output_size)
        step.create_variables(core, task)
        return Training(task=task, core=core, **options)

    def test_short_batches_keep_all_states_where_the_longest_recompute(self, monkeypatch):
        replayed, replay = {}, episodes.replay

        def note(core, batch, recompute_every, initial_state):
            replayed[batch.observations.shape[0]] = recompute_every
            return replay(core, batch, recompute_every, initial_state)

        monkeypatch.setattr(episodes, "replay", note)
        self.training(TwoLengths(), recompute_every=2).run(5)

        # With recomputation the longest keep 4 states and compute up to 2 others at a time.
        assert replayed == {7: 2, 3: None}

    def test_there_is_one_for_each_length_however_many_steps_are_made(self):
        task = TwoLengths()
        training = self.training(task)

        training.run(17)
        training.run(3)

        assert training.num_programs == 2
        assert task.drawn == [7, 3]

    def test_totals_are_the_same_to_the_last_bit_however_steps_are_divided(self):
        training = self.training(TwoLengths(), jit=True)
        whole, state = training.run(9), training.state
        totals = training.begin().run(2)
        for num_steps in (3, 4):
            totals = training.run(num_steps, totals.scalars(), totals.module_norms, totals.window)

        tf.nest.map_structure(np.testing.assert_array_equal, whole, totals)
        assert_equal(state, training.state)

    def test_a_step_trains_on_the_batch_of_its_length(self):
        task = TwoLengths()
        training = self.training(task)
        for number in (2, 3):
            training.step.assign(number)
            batch = episodes.collect(training.core, task, "train", 0, number)
            expected = step.gradients(training.core, task, batch, 50.0)

            np.testing.assert_allclose(training.run(1).loss, expected.loss, rtol=1e-6)

    def test_a_call_ends_at_a_step_that_is_not_finite_also_between_lengths(self):
        training = self.training(SpoiltAt3())

        totals = training.run(20)

        assert training.step == 3
        assert np.isfinite(totals.loss)
        training.skip()
        training.run(3)
        assert training.step == 7

    def test_another_learning_rate_replaces_them(self):
        training = self.training(TwoLengths())
        training.run(5)
        training.learning_rate = 0.0
        values = [variable.numpy() for variable in training.values]

        training.run(1)

        assert training.num_programs == 1
        assert_equal(training.values, values)


def test_the_chief_alone_decides_on_the_number_of_steps(trainings):
    training = trainings[False]
    assert training.agreed(5) == 5

    assert Training(distribution=TwoReplicas(num_steps=2)).agreed(5) == 2
