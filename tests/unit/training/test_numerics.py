import numpy as np
import pytest
import tensorflow as tf

import dnc
import tasks
from training import numerics
from training.models import make_core
from training.optimization import Update, rmsprop
from training.step import TrainingStep

CONFIG = {
    "task": "repeat_copy",
    "hidden_size": 8,
    "memory_size": 6,
    "word_size": 4,
    "num_read_heads": 2,
    "num_write_heads": 1,
    "clip_value": 20.0,
}
TASK = tasks.get("repeat_copy", max_length=3, batch_size=2)


class SpoiltAt(type(TASK)):
    """Repeat copy with a number in the batches of some steps that does not belong there."""

    def __init__(self, value, *steps):
        super().__init__(max_length=3, batch_size=2)
        self.value, self.steps = value, steps

    def batch(self, seed, step, sizes=None):
        batch = super().batch(seed, step)
        is_spoilt = tf.reduce_any(tf.equal(tf.cast(step, tf.int64), self.steps))
        place = tf.scatter_nd([[4, 1, 2]], [self.value], batch.observations.shape)
        observations = tf.where(is_spoilt & (place != 0), self.value, batch.observations)
        return batch._replace(observations=observations)


def make_training(task=TASK, jit=True, learning_rate=1e-3):
    tf.random.set_seed(0)
    core = make_core(CONFIG, task)
    optimizer = rmsprop(core.trainable_variables, learning_rate, 1e-10)
    return core, TrainingStep(core, task, Update(optimizer, 50.0), seed=0, jit=jit)


def values(core, training):
    return [
        x.numpy() for x in (*core.trainable_variables, *training.update.optimizer.ms, training.step)
    ]


def look(core, task, step=0):
    batch = task.batch(0, step)
    return numerics.first_not_finite(core, task, batch, dnc.record(core, batch.observations))


# --- The step -------------------------------------------------------------------------------------


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_call_ends_before_a_step_that_is_not_finite_as_if_it_had_not_been_tried(value, jit):
    core, training = make_training(SpoiltAt(value, 3), jit)
    training.run(10)
    assert int(training.step) == 3
    before = values(core, training)

    training.run(10)

    for array, expected in zip(values(core, training), before, strict=True):
        np.testing.assert_array_equal(array, expected)


def test_the_steps_before_are_as_without_it():
    core, training = make_training(SpoiltAt(np.nan, 3))
    other_core, other = make_training()
    totals, expected = training.run(10), other.run(3)
    for array, wanted in zip(values(core, training), values(other_core, other), strict=True):
        np.testing.assert_array_equal(array, wanted)
    for name, total in totals.scalars().items():
        np.testing.assert_array_equal(total, expected.scalars()[name])


def test_a_step_can_be_left_out():
    core, training = make_training(SpoiltAt(np.nan, 3))
    training.run(10)
    training.skip()
    assert int(training.step) == 4
    training.run(6)
    assert int(training.step) == 10
    assert all(np.isfinite(x).all() for x in values(core, training))


def test_a_gradient_alone_may_be_what_is_not_finite():
    """The loss is finite; its gradient is too large for float32."""

    class Steep(type(TASK)):
        def cost(self, logits, target, mask):
            return super().cost(logits, target, mask) + tf.reduce_sum(
                tf.sqrt(tf.nn.relu(logits) * 0.0)
            )

    core, training = make_training(Steep(max_length=3, batch_size=2))
    before = values(core, training)
    training.run(2)
    for array, expected in zip(values(core, training), before, strict=True):
        np.testing.assert_array_equal(array, expected)
    assert "gradient of " in look(core, Steep(max_length=3, batch_size=2)).what


def test_a_huge_learning_rate_ends_in_a_step_that_is_found():
    core, training = make_training(learning_rate=1e38)
    training.run(50)
    assert int(training.step) < 50
    assert look(core, TASK, int(training.step)) is not None


# --- Where it comes from --------------------------------------------------------------------------


def test_where_all_is_finite_nothing_is_found():
    core, _ = make_training()
    assert look(core, TASK) is None


def test_a_variable_is_named():
    core, _ = make_training()
    weights = core.access.interface.linear.w
    weights.assign(tf.tensor_scatter_nd_update(weights, [[1, 2]], [np.inf]))
    finding = look(core, TASK)
    assert str(finding) == "variable memory_access/interface/linear/w:0 has inf in it"


def test_the_batch_is_named_with_time_step_and_example():
    core, _ = make_training()
    finding = look(core, SpoiltAt(np.nan, 7), step=7)
    assert str(finding) == "observations has nan in it at time step 4 of example 1"


@pytest.mark.parametrize(
    "name", ["controller_output", "usage", "memory", "read_weights", "outputs"]
)
def test_the_first_quantity_of_a_time_step_is_named(name):
    core, _ = make_training()
    batch = TASK.batch(0, 0)
    trace = dnc.record(core, batch.observations)
    spoilt = {}
    # All that comes later, in this step or in those after it, is spoilt, too.
    later = numerics._ORDER[numerics._ORDER.index(name) :]
    for field, array in trace.arrays().items():
        if field in numerics._ORDER:
            spoilt[field] = array.copy()
            spoilt[field][3 if field in later else 4 :, 1] = np.nan
    finding = numerics.first_not_finite(core, TASK, batch, trace.replace(**spoilt))
    assert finding == numerics.Finding(name, "nan", 3, 1)


def test_every_quantity_of_a_time_step_is_looked_at():
    core, _ = make_training()
    fields = dnc.record(core, TASK.batch(0, 0).observations).arrays()
    by_time = {
        name for name, array in fields.items() if array.ndim > 1 and not name.startswith("initial_")
    }
    assert by_time == set(numerics._ORDER)


def test_the_loss_is_named():
    class Bottomless(type(TASK)):
        def cost(self, logits, target, mask):
            return super().cost(logits, target, mask) - np.inf

    core, _ = make_training()
    finding = look(core, Bottomless(max_length=3, batch_size=2))
    assert str(finding) == "loss has -inf in it"


def test_a_gradient_too_large_to_be_squared_is_named():
    class Steep(type(TASK)):
        def cost(self, logits, target, mask):
            return 1e25 * super().cost(logits, target, mask)

    task = Steep(max_length=3, batch_size=2)
    core, training = make_training(task)
    training.run(3)
    assert int(training.step) == 0  # All gradients are finite, but not their norm.
    finding = look(core, task)
    assert finding.what.startswith("gradient of ")
    assert 1e15 < float(finding.values) < np.inf


def test_a_report_holds_what_is_needed_to_find_out_more(tmp_path):
    task = SpoiltAt(np.nan, 2)
    core, training = make_training(task)
    training.run(5)
    batch = task.batch(0, training.step)
    trace = dnc.record(core, batch.observations)
    finding = numerics.first_not_finite(core, task, batch, trace)
    checkpoint = tf.train.Checkpoint(
        core=core, optimizer=training.update.optimizer, step=training.step
    )

    numerics.write_report(tmp_path / "report", 2, finding, batch, trace, checkpoint)

    text = (tmp_path / "report" / "report.txt").read_text()
    assert text == "Training step 2: observations has nan in it at time step 4 of example 1.\n"
    with np.load(tmp_path / "report" / "batch.npz", allow_pickle=False) as saved:
        np.testing.assert_array_equal(saved["observations"], batch.observations)
        assert set(saved.files) == {"observations", "target", "mask"}
    assert np.isnan(dnc.Trace.load(tmp_path / "report" / "trace.npz").inputs).sum() == 1
    other_core, other = make_training()
    tf.train.Checkpoint(core=other_core, optimizer=other.update.optimizer, step=other.step).read(
        str(tmp_path / "report" / "state")
    ).assert_existing_objects_matched()
    for array, expected in zip(values(other_core, other), values(core, training), strict=True):
        np.testing.assert_array_equal(array, expected)


# --- What to do -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "policy, steps, decisions",
    [
        ("stop", [5], ["stop"]),
        ("skip", [5, 6, 7], ["skip", "skip", "stop"]),
        ("skip", [5, 7, 9, 10, 11], ["skip", "skip", "skip", "skip", "stop"]),
        ("restore", [5, 5, 5], ["restore", "restore", "stop"]),
        ("restore", [5, 4, 9, 9, 3], ["restore", "restore", "restore", "restore", "stop"]),
    ],
)
def test_a_policy_holds_until_it_was_followed_too_often_in_a_row(policy, steps, decisions):
    guard = numerics.Guard(policy, limit=2)
    assert [guard.decide(step) for step in steps] == decisions


def test_where_the_report_cannot_be_written_what_was_found_is_said_all_the_same(tmp_path):
    (tmp_path / "not-finite-2").write_text("in the way")
    core, _ = make_training(SpoiltAt(np.nan, 2))
    checkpoint = tf.train.Checkpoint(core=core)
    task = SpoiltAt(np.nan, 2)
    line = numerics.explain(core, task, task.batch(0, 2), 2, tmp_path, checkpoint)
    assert "observations has nan in it at time step 4 of example 1" in line
    assert "The report cannot be written: File exists." in line
