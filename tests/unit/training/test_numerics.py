import dataclasses

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
import tasks
from dnc_trace import quantities
from training import numerics
from training.optimization import Update, rmsprop
from training.step import TrainingStep, create_variables

TASK = tasks.get("repeat_copy", max_length=3, batch_size=2)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Spoilt(type(TASK)):
    """Repeat copy with a number in the batch of one step that does not belong there.

    Both are variables: one program serves all tests. A step of -1 is none.
    """

    value: tf.Variable
    step: tf.Variable

    def batch(self, split, seed, step, lesson=None):
        batch = super().batch(split, seed, step)
        is_spoilt = tf.equal(tf.cast(step, tf.int64), self.step)
        place = tf.scatter_nd([[4, 1, 2]], [1.0], batch.observations.shape)
        observations = tf.where(is_spoilt & (place != 0), self.value, batch.observations)
        return batch._replace(observations=observations)


def spoilt(value=np.nan, step=-1):
    value, step = tf.Variable(value, dtype=tf.float32), tf.Variable(step, dtype=tf.int64)
    return Spoilt(max_length=3, batch_size=2, value=value, step=step)


def make_core(task, num_reads=2):
    access = dnc.MemoryAccess(6, 4, num_reads=num_reads)
    core = dnc.DNC(access, snt.LSTM(8), task.output_size, 20.0)
    create_variables(core, task)
    return core


class Training(TrainingStep):
    """The step of a small core."""

    def __init__(self, task, jit=False, learning_rate=1e-3):
        tf.random.set_seed(0)
        core = make_core(task)
        optimizer = rmsprop(core.trainable_variables, learning_rate, 1e-10)
        super().__init__(core, task, Update(optimizer, 50.0), seed=0, jit=jit)
        self._initial = self.values

    @property
    def _variables(self):
        return [*self.core.trainable_variables, *self.update.optimizer.ms, self.step]

    @property
    def values(self):
        return [variable.numpy() for variable in self._variables]

    def begin(self, value=np.nan, spoilt_step=-1):
        """Gives all variables their first values, and the task these ones."""
        for variable, initial in zip(self._variables, self._initial, strict=True):
            variable.assign(initial)
        self.task.value.assign(value)
        self.task.step.assign(spoilt_step)
        return self


@pytest.fixture(scope="module")
def trainings():
    """A training with XLA and one without; `begin` before use."""
    return {jit: Training(spoilt(), jit) for jit in (False, True)}


@pytest.fixture(scope="module")
def core():
    tf.random.set_seed(0)
    return make_core(TASK)


def look(core, task, step=0):
    batch = task.batch("train", 0, step)
    return numerics.first_not_finite(core, task, batch, dnc.record(core, batch.observations))


def assert_equal(lefts, rights):
    for left, right in zip(lefts, rights, strict=True):
        np.testing.assert_array_equal(left, right)


# --- The step -------------------------------------------------------------------------------------


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_call_ends_before_a_step_that_is_not_finite_as_if_untried(trainings, value, jit):
    training = trainings[jit].begin(value, 3)
    training.run(10)
    assert int(training.step) == 3
    before = training.values

    training.run(10)

    assert_equal(training.values, before)


def test_the_steps_before_are_as_without_it(trainings):
    training = trainings[True]
    totals, values = training.begin(np.nan, 3).run(10), training.values
    expected = training.begin().run(3)

    assert_equal(values, training.values)
    for name, total in totals.scalars().items():
        np.testing.assert_array_equal(total, expected.scalars()[name])


def test_a_step_can_be_left_out(trainings):
    training = trainings[True].begin(np.nan, 3)
    training.run(10)
    training.skip()
    assert int(training.step) == 4
    training.run(6)
    assert int(training.step) == 10
    assert all(np.isfinite(x).all() for x in training.values)


def test_a_gradient_alone_may_be_what_is_not_finite():
    """The loss is finite; its gradient is too large for float32."""

    class Steep(type(TASK)):
        def loss(self, outputs, batch):
            return super().loss(outputs, batch) + tf.reduce_sum(tf.sqrt(tf.nn.relu(outputs) * 0.0))

    training = Training(Steep(max_length=3, batch_size=2))
    before = training.values
    training.run(2)
    assert_equal(training.values, before)
    assert "gradient of " in look(training.core, training.task).what


def test_a_huge_learning_rate_ends_in_a_step_that_is_found():
    training = Training(TASK, learning_rate=1e38)
    training.run(50)
    assert int(training.step) < 50
    assert look(training.core, TASK, int(training.step)) is not None


# --- Where it comes from --------------------------------------------------------------------------


def test_where_all_is_finite_nothing_is_found(core):
    assert look(core, TASK) is None


def test_a_variable_is_named():
    core = make_core(TASK)
    weights = core.access.interface.linear.w
    weights.assign(tf.tensor_scatter_nd_update(weights, [[1, 2]], [np.inf]))
    finding = look(core, TASK)
    assert str(finding) == "variable memory_access/interface/linear/w:0 contains inf"


def test_the_batch_is_named_with_time_step_and_example(core):
    finding = look(core, spoilt(np.nan, 7), step=7)
    assert str(finding) == "observations contains nan at time step 4 of example 1"


@pytest.fixture(scope="module")
def trace(core):
    return dnc.record(core, TASK.batch("train", 0, 0).observations)


@pytest.mark.parametrize(
    "name", ["controller_output", "usage", "memory", "heat", "read_weights", "outputs"]
)
def test_the_first_quantity_of_a_time_step_is_named(core, trace, name):
    """All that comes later, in this step or in those after it, is spoilt, too."""
    declared = {"heat": {"axes": "TB", "before": "read_content_weights"}}
    trace = trace.replace(heat=trace.usage[..., 0], declared=declared)
    order = quantities.in_order(declared)
    later = order[order.index(name) :]
    spoilt = {each: trace.arrays()[each].copy() for each in order if each in trace.arrays()}
    for each, array in spoilt.items():
        array[3 if each in later else 4 :, 1] = np.nan
    finding = numerics.first_not_finite(
        core, TASK, TASK.batch("train", 0, 0), trace.replace(**spoilt)
    )
    assert finding == numerics.Finding(name, "nan", 3, 1)


def test_every_quantity_of_a_time_step_is_looked_at(core, trace):
    by_time = [name for name in trace.arrays() if name in quantities.in_order({})]
    assert len(by_time) > 20
    for name in by_time:
        spoilt = trace.arrays()[name].copy()
        spoilt[5, 0] = np.inf
        finding = numerics.first_not_finite(
            core, TASK, TASK.batch("train", 0, 0), trace.replace(**{name: spoilt})
        )
        assert finding == numerics.Finding(name, "inf", 5, 0)


def test_the_loss_is_named(core):
    class Bottomless(type(TASK)):
        def loss(self, outputs, batch):
            return super().loss(outputs, batch) - np.inf

    finding = look(core, Bottomless(max_length=3, batch_size=2))
    assert str(finding) == "loss contains -inf"


def test_a_gradient_too_large_to_be_squared_is_named():
    class Steep(type(TASK)):
        def loss(self, outputs, batch):
            return 1e25 * super().loss(outputs, batch)

    training = Training(Steep(max_length=3, batch_size=2))
    training.run(3)
    assert int(training.step) == 0  # All gradients are finite, but not their norm.
    finding = look(training.core, training.task)
    assert finding.what.startswith("gradient of ")
    assert 1e15 < float(finding.values) < np.inf


def test_a_report_holds_what_is_needed_to_find_out_more(trainings, tmp_path):
    training = trainings[True].begin(np.nan, 2)
    core, task = training.core, training.task
    training.run(5)
    batch = task.batch("train", 0, training.step)
    trace = dnc.record(core, batch.observations)
    finding = numerics.first_not_finite(core, task, batch, trace)
    checkpoint = tf.train.Checkpoint(
        core=core, optimizer=training.update.optimizer, step=training.step
    )

    numerics.write_report(tmp_path / "report", 2, finding, batch, trace, checkpoint)

    text = (tmp_path / "report" / "report.txt").read_text()
    assert text == "Training step 2: observations contains nan at time step 4 of example 1.\n"
    with np.load(tmp_path / "report" / "batch.npz", allow_pickle=False) as saved:
        np.testing.assert_array_equal(saved["observations"], batch.observations)
        assert set(saved.files) == {"observations", "target", "mask", "lengths"}
    assert np.isnan(dnc.Trace.load(tmp_path / "report" / "trace.npz").inputs).sum() == 1
    other = Training(TASK)
    tf.train.Checkpoint(core=other.core, optimizer=other.update.optimizer, step=other.step).read(
        str(tmp_path / "report" / "state")
    ).assert_existing_objects_matched()
    assert_equal(other.values, training.values)


def test_the_trace_of_a_report_includes_padding(core, tmp_path):
    batch = TASK.batch("train", 0, 0)
    assert min(batch.lengths) < TASK.num_steps

    numerics.explain(core, TASK, batch, 0, tmp_path, tf.train.Checkpoint(core=core))

    trace = dnc.Trace.load(tmp_path / "not-finite-0" / "trace.npz")
    assert list(trace.sequence_length) == [TASK.num_steps] * 2


def test_the_trace_of_a_report_on_both_directions_has_no_padding(tmp_path):
    controller = dnc.AppendedContext(snt.LSTM(4), TASK.input_size, 4)
    forward = dnc.DNC(dnc.MemoryAccess(4, 3), controller, TASK.output_size)
    core = dnc.Bidirectional(forward, snt.LSTM(4))
    batch = TASK.batch("train", 0, 0)

    numerics.explain(core, TASK, batch, 0, tmp_path, tf.train.Checkpoint(core=core))

    trace = dnc.Trace.load(tmp_path / "not-finite-0" / "trace.npz")
    np.testing.assert_array_equal(trace.sequence_length, batch.lengths)
    assert trace.inputs.shape[2] == TASK.input_size + 4


def test_an_extra_that_is_not_finite_is_named(core):
    batch = TASK.batch("train", 0, 0)
    rewards = np.zeros([*batch.mask.shape, 1])
    rewards[2, 1] = np.inf
    found = numerics.first_not_finite(core, TASK, batch._replace(extras=[rewards]), None)
    assert str(found) == "extras/0 contains inf at time step 2 of example 1"
    of_episode = batch._replace(extras={"gain": np.array([0.0, np.nan])})
    found = numerics.first_not_finite(core, TASK, of_episode, None)
    assert str(found) == "extras/gain contains nan"


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


def test_a_report_that_cannot_be_written_does_not_hide_the_finding(core, tmp_path):
    (tmp_path / "not-finite-2").write_text("in the way")
    checkpoint = tf.train.Checkpoint(core=core)
    task = spoilt(np.nan, 2)
    line = numerics.explain(core, task, task.batch("train", 0, 2), 2, tmp_path, checkpoint)
    assert "observations contains nan at time step 4 of example 1" in line
    assert "The report cannot be written: File exists." in line
