import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import dnc
import tasks
from tests.unit.training.interactive.feedback import Feedback
from training.baselines import LSTMBaseline
from training.optimization import Update, rmsprop
from training.probe import Probe
from training.step import TrainingStep, create_variables


def make_core(task):
    core = dnc.DNC(dnc.MemoryAccess(6, 4, num_reads=2), snt.LSTM(8), task.output_size, 20.0)
    create_variables(core, task)
    return core


@pytest.fixture
def task():
    return tasks.get("repeat_copy", max_length=4, max_repeats=3)


@pytest.fixture
def core(task):
    return make_core(task)


def write(directory, probe, *steps):
    writer = tf.summary.create_file_writer(str(directory))
    with writer.as_default():
        for step, norms in steps:
            probe.write(step, norms)
    return EventAccumulator(str(directory), size_guidance={"tensors": 0}).Reload()


def values(events, tag):
    return {e.step: tf.make_ndarray(e.tensor_proto).item() for e in events.Tensors(tag)}


def test_it_looks_at_the_longest_of_a_batch_always_the_same(core, task):
    trace = Probe(core, task, seed=0).record(5)
    lengths = np.asarray(task.batch("validation", 0, -1).lengths)
    assert list(trace.sequence_length) == sorted(lengths, reverse=True)[:4]
    again = Probe(core, task, seed=0).record(5)
    for name, array in trace.arrays().items():
        np.testing.assert_array_equal(array, again.arrays()[name], err_msg=name)
    other = Probe(core, task, seed=1).record(5)
    assert np.any(other.inputs != trace.inputs)
    # Of a batch that neither training (another split) nor evaluation (numbers >= 0) has.
    batch = np.asarray(task.batch("validation", 0, -1).observations)
    for episode in np.moveaxis(trace.inputs, 1, 0):
        steps = np.abs(episode).sum(axis=1) > 0
        assert any(np.array_equal(own[steps], episode[steps]) for own in np.moveaxis(batch, 1, 0))


def test_what_it_looks_at_is_labelled(core, task):
    trace = Probe(core, task, seed=0).record(5)
    assert trace.task == "repeat_copy"
    assert trace.step == 5
    assert trace.tokens[0][:3] == ["start", "row 1", "row 2"]
    assert trace.tokens[0][trace.sequence_length[0] - 1] == "end"
    assert not np.any(trace.target[trace.mask == 0])


def test_it_writes_statistics_panels_episodes_and_how_well_the_core_does(tmp_path, core, task):
    events = write(tmp_path, Probe(core, task, seed=0), (0, {}), (5, {"lstm": 2.0}))
    assert {event.step for event in events.Tensors("memory/usage")} == {0, 5}
    assert {event.step for event in events.Tensors("memory/1_episode")} == {0, 5}
    assert {event.step for event in events.Tensors("episode")} == {0, 5}
    assert values(events, "gradient_norm/lstm") == {5: 2.0}
    trace = Probe(core, task, seed=0).record(5)
    expected = task.metrics(
        tf.constant(trace.outputs),
        tasks.make_batch(*map(tf.constant, (trace.inputs, trace.target, trace.mask))),
    )
    assert values(events, "probe/wrong_bits")[0] == pytest.approx(float(expected["wrong_bits"]))
    assert values(events, "probe/loss")[0] > 0


def test_updates_are_how_far_variables_moved_for_each_step(tmp_path, core, task):
    probe = Probe(core, task, seed=0)
    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default():
        probe.write(10, {})
        core.output_linear.b.assign_add([3.0, 0.0, 0.0, 4.0, 0.0])
        probe.write(15, {})
    events = EventAccumulator(str(tmp_path)).Reload()
    assert values(events, "update_norm/dnc/output_linear") == {15: pytest.approx(1.0, rel=1e-5)}
    assert values(events, "update_norm/lstm") == {15: 0.0}


def test_updates_are_the_same_when_resumed_between_two_looks(tmp_path, core, task):
    first = Probe(core, task, seed=0)
    write(tmp_path / "first", first, (10, {}))
    core.output_linear.b.assign_add([3.0, 0.0, 0.0, 4.0, 0.0])
    path = first.last_look.write(str(tmp_path / "checkpoint"))

    second = Probe(core, task, seed=0)
    second.last_look.read(path).assert_consumed()

    events = write(tmp_path / "second", second, (15, {}))
    assert values(events, "update_norm/dnc/output_linear") == {15: pytest.approx(1.0, rel=1e-5)}


def test_without_a_writer_it_does_nothing(core, task, monkeypatch):
    probe = Probe(core, task, seed=0)
    monkeypatch.setattr(probe, "record", None)
    probe.write(0, {})


def test_it_changes_nothing_in_the_training(tmp_path, task):
    core = make_core(task)
    optimizer = rmsprop(core.trainable_variables, 1e-3, 1e-10)
    training = TrainingStep(core, task, Update(optimizer, 50.0), seed=0, jit=False)
    start = tf.train.Checkpoint(core=core, optimizer=optimizer, step=training.step)
    path = start.write(str(tmp_path / "start"))

    def losses(looks):
        start.read(path).assert_consumed()
        probe = Probe(core, task, seed=0)
        found = []
        with tf.summary.create_file_writer(str(tmp_path)).as_default():
            for step in range(5):
                if looks:
                    probe.write(step, {})
                found.append(float(training.run(1).loss))
        return found

    assert losses(True) == losses(False)


def test_gradient_norms_of_modules_make_up_the_whole(core, task):
    optimizer = rmsprop(core.trainable_variables, 1e-3, 1e-10)
    averages = TrainingStep(core, task, Update(optimizer, 50.0), seed=0, jit=False).run(1)
    assert set(averages.module_norms) == {
        "lstm",
        "memory_access/interface/linear",
        "dnc/output_linear",
    }
    np.testing.assert_allclose(
        tf.linalg.global_norm(list(averages.module_norms.values())),
        averages.gradient_norm,
        rtol=1e-5,
    )


def test_interactive_episodes_start_alike_and_follow_the_core():
    task = Feedback(batch_size=8)
    core = make_core(task)
    probe = Probe(core, task, seed=0)
    first = probe.record(0)
    core.output_linear.b.assign([0.0, 9.0, 0.0, 0.0])

    second = probe.record(1)

    np.testing.assert_array_equal(first.inputs[0], second.inputs[0])
    assert np.any(first.inputs[1:] != second.inputs[1:])
    np.testing.assert_array_equal(second.inputs[1:].argmax(axis=2), 1)


def test_a_core_without_memory_has_scalars_only(tmp_path, task):
    core = LSTMBaseline(snt.LSTM(4), task.output_size)
    create_variables(core, task)
    probe = Probe(core, task, seed=0)

    events = write(tmp_path, probe, (0, {}))

    assert probe.record(0) is None
    assert set(events.Tags()["tensors"]) == {
        f"probe/{name}" for name in ("loss", *task.metric_names)
    }
