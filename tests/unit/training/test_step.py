import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from tasks.repeat_copy import RepeatCopy
from tests import golden
from training import step
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
        result = step.gradients(core, task, step.tasks.Batch(*batch), max_grad_norm)
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


@pytest.fixture
def task():
    return RepeatCopy(num_bits=2, batch_size=3)


def small_core(task):
    tf.random.set_seed(0)
    access = dnc.MemoryAccess(4, 3, num_reads=1, num_writes=1)
    core = dnc.DNC(access, snt.LSTM(6), task.target_size, 20.0)
    step.create_variables(core, task)
    return core


def training(task, jit=False, seed=0, recompute_every=None, **options):
    core = small_core(task)
    optimizer = rmsprop(core.trainable_variables, learning_rate=1e-2, epsilon=1e-10)
    update = Update(optimizer, 50.0, **options)
    return step.TrainingStep(core, task, update, seed, jit, recompute_every), core


def values(core):
    return [variable.numpy() for variable in core.trainable_variables]


def test_create_variables_returns_all_that_are_trained(task):
    core = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(6), task.target_size)

    variables = step.create_variables(core, task)

    assert len(variables) == 7
    assert variables == core.trainable_variables


def test_training_is_the_same_when_time_steps_are_computed_anew(task):
    anew, anew_core = training(task, jit=True, recompute_every=3)
    plain, plain_core = training(task)

    np.testing.assert_allclose(anew.run(5).loss, plain.run(5).loss, rtol=1e-5)
    for left, right in zip(values(anew_core), values(plain_core), strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=2e-6)


@pytest.mark.parametrize("jit", [False, True])
def test_five_steps_and_three_equal_eight(task, jit):
    split, split_core = training(task, jit)
    split.run(5)
    split.run(3)
    whole, whole_core = training(task, jit)
    whole.run(8)

    for left, right in zip(values(split_core), values(whole_core), strict=True):
        np.testing.assert_array_equal(left, right)
    for left, right in zip(split.update.optimizer.ms, whole.update.optimizer.ms, strict=True):
        np.testing.assert_array_equal(left, right)
    assert split.step == whole.step == 8


def test_training_is_the_same_with_and_without_compilation(task):
    compiled, compiled_core = training(task, jit=True)
    plain, plain_core = training(task, jit=False)

    tf.nest.map_structure(
        lambda left, right: np.testing.assert_allclose(left, right, rtol=1e-5),
        compiled.run(5),
        plain.run(5),
    )
    for left, right in zip(values(compiled_core), values(plain_core), strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=2e-6)


def test_totals_are_sums_over_the_steps(task):
    whole = training(task)[0].run(3)
    single = training(task)[0]
    parts = [single.run(1) for _ in range(3)]

    sums = tf.nest.map_structure(lambda *numbers: np.sum(numbers), *parts)
    tf.nest.map_structure(
        lambda left, right: np.testing.assert_allclose(left, right, rtol=1e-6), whole, sums
    )
    assert set(whole.metrics) == set(task.metric_names)


@pytest.mark.parametrize("jit", [False, True])
def test_totals_are_the_same_to_the_last_bit_however_the_steps_are_divided(task, jit):
    whole = training(task, jit)[0].run(20)
    parts = training(task, jit)[0]
    totals = parts.run(1)
    for num_steps in (2, 9, 8):
        floats = tf.nest.map_structure(float, totals)  # As they are in a checkpoint.
        totals = parts.run(num_steps, floats.scalars(), floats.module_norms)

    tf.nest.map_structure(np.testing.assert_array_equal, whole, totals)


def test_a_step_trains_on_the_batch_of_its_seed_and_number(task):
    trained, core = training(task, seed=5)
    trained.step.assign(41)
    expected = step.gradients(core, task, task.batch(5, 41), 50.0)

    totals = trained.run(1)

    np.testing.assert_allclose(totals.loss, expected.loss, rtol=1e-6)
    np.testing.assert_allclose(totals.gradient_norm, expected.norm, rtol=1e-6)
    assert trained.step == 42


def test_the_step_counter_is_a_64_bit_integer_that_is_not_trained(task):
    counter = training(task)[0].step

    assert counter.dtype == tf.int64
    assert not counter.trainable


def test_gradients_are_clipped_by_their_global_norm(task):
    core = small_core(task)
    batch = task.batch(0, 0)

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

    def check_batch_size(self, batch_size):
        assert batch_size % 2 == 0

    def mean(self, function, arguments, like):
        found = [function(tf.constant(replica), *arguments) for replica in range(2)]
        return tf.nest.map_structure(lambda x, y: (x + y) / 2.0, *found)


def test_gradients_of_replicas_are_clipped_after_their_mean():
    task = RepeatCopy(num_bits=2, batch_size=4)
    trained = []
    for distribution in (None, TwoReplicas()):
        core = small_core(task)
        optimizer = rmsprop(core.trainable_variables, learning_rate=1e-2, epsilon=1e-10)
        update = Update(optimizer, max_grad_norm=0.01)
        training = step.TrainingStep(core, task, update, 0, jit=False, distribution=distribution)
        trained.append((training.run(3), values(core)))

    (alone, expected), (split, found) = trained
    assert alone.gradient_norm > 3 * 0.01
    np.testing.assert_allclose(split.gradient_norm, alone.gradient_norm, rtol=1e-5)
    for left, right in zip(found, expected, strict=True):
        np.testing.assert_allclose(left, right, rtol=0, atol=1e-6)


def test_every_variable_gets_a_gradient(task):
    core = small_core(task)

    result = step.gradients(core, task, task.batch(0, 0), max_grad_norm=50.0)

    for gradient, variable in zip(result.gradients, core.trainable_variables, strict=True):
        assert gradient.shape == variable.shape
        assert np.isfinite(gradient).all()
        assert np.any(gradient), variable.name


@pytest.mark.parametrize("jit", [False, True])
def test_the_learning_rate_goes_to_zero_in_a_straight_line(task, jit):
    decayed, core = training(task, jit, decay_steps=4)
    moved = []
    for _ in range(5):
        before = values(core)
        found = step.gradients(core, task, task.batch(0, decayed.step), max_grad_norm=50.0)
        mean_squares = [
            0.9 * ms.numpy() + 0.1 * np.square(g)
            for ms, g in zip(decayed.update.optimizer.ms, found.gradients, strict=True)
        ]
        decayed.run(1)
        steps = [
            np.sum((b - a) * np.sqrt(ms + 1e-10)) / np.sum(g)
            for b, a, ms, g in zip(before, values(core), mean_squares, found.gradients, strict=True)
        ]
        moved.append(np.median(steps))

    np.testing.assert_allclose(moved, [0.01, 0.0075, 0.005, 0.0025, 0.0], rtol=1e-2, atol=1e-6)
    assert decayed.learning_rate == 0.01


def test_weights_decay_and_biases_do_not(task):
    (plain, core), (decayed, other) = training(task), training(task, weight_decay=0.5)
    before = values(core)

    plain.run(1)
    decayed.run(1)

    for start, alone, variable in zip(before, values(core), other.trainable_variables, strict=True):
        expected = alone - 0.01 * 0.5 * start if variable.shape.rank > 1 else alone
        np.testing.assert_allclose(variable, expected, rtol=1e-5, atol=1e-7)
