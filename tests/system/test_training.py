"""`training` in this process: what takes long to trace, mostly twice."""

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import training
from tests.unit.dnc import test_composition as composition
from tests.unit.training import test_baselines, test_step
from tests.unit.training import test_dropout as dropout
from tests.unit.training import test_numerics as numerics
from tests.unit.training.interactive.bandit import Bandit
from tests.unit.training.test_experiment import config
from tests.unit.training.two_lengths import TwoLengths
from training.config import Config
from training.runs import Run


def test_a_resumed_training_drops_as_if_never_stopped(tmp_path):
    whole = dropout.training(recompute_every=2)
    whole.run(4)

    for num_steps in (1, 3):
        step = dropout.training(recompute_every=2)
        with Run(tmp_path, Config()) as run:
            run.restore(core=step.core, optimizer=step.update.optimizer, step=step.step)
            step.run(num_steps)
            run.save(int(step.step))

    assert step.step == 4
    test_step.assert_equal(step.core.trainable_variables, whole.core.trainable_variables)


def test_time_steps_that_are_computed_again_drop_the_same():
    plain, recomputed = dropout.training(), dropout.training(recompute_every=2)

    np.testing.assert_allclose(recomputed.run(3).loss, plain.run(3).loss, rtol=1e-5)
    test_step.assert_close(recomputed.core.trainable_variables, plain.core.trainable_variables)


def test_replicas_train_on_all_lengths():
    make = test_step.TestPrograms().training
    alone = make(TwoLengths())
    split = make(TwoLengths(), distribution=test_step.TwoReplicas())

    np.testing.assert_allclose(split.run(5).loss, alone.run(5).loss, rtol=1e-5)
    test_step.assert_close(split.values, alone.values, atol=1e-6)


@pytest.mark.parametrize("core, controller", [("lstm", "deep_lstm"), ("ntm", "lstm")])
def test_a_compiled_baseline_is_a_core_that_learns(core, controller):
    test_baselines.check_gradients(core, controller, jit=True)


def test_a_report_on_an_interactive_task_contains_what_the_core_saw(tmp_path):
    task = Bandit(batch_size=2)
    step = numerics.Training(task)
    bias = step.core.access.interface.linear.b
    bias.assign(tf.fill(bias.shape, np.inf))

    step.run(1)
    line = step.explain(tmp_path, tf.train.Checkpoint(core=step.core))

    assert "variable memory_access/interface/linear/b:0 contains inf" in line
    with np.load(tmp_path / "not-finite-0" / "batch.npz") as saved:
        names = {"observations", "mask", "lengths", "extras/0", "extras/1"}
        assert set(saved.files) == names
        assert saved["extras/0"].shape == (5, 2)


class Stop(training.Callback):
    """Stops after three steps, and notes the calls."""

    interval = 3

    def __init__(self):
        self.calls = []

    def begin(self, loop):
        self.calls.append("begin")

    def after(self, loop):
        self.calls.append(loop.step)
        loop.stop("enough")

    def end(self, loop):
        self.calls.append("end")


def test_a_callback_of_your_own_can_end_training_which_then_resumes(tmp_path, capsys):
    callback = Stop()
    stopped = training.train(config(tmp_path), [callback])

    assert callback.calls == ["begin", 3, "end"]
    assert (stopped.step, stopped.ending) == (3, "enough")

    resumed = training.train(config(tmp_path))

    assert (resumed.step, resumed.ending) == (5, "finished")
    assert "Resuming in" in capsys.readouterr().out


def test_memory_grows_with_the_lessons_of_a_task_of_your_own(tmp_path, capsys):
    own = {"task": "tests.unit.training.growing:Growing", "num_training_iterations": 3}
    result = training.train(config(tmp_path, **own))

    lines = capsys.readouterr().out.splitlines()
    assert [line.split(". ")[1] for line in lines if line.startswith("step 1: ")] == [
        "Now lesson 2 of 2 (length 1 to 2)"
    ]
    assert "lesson" in "".join(name for name, _ in tf.train.list_variables(f"{tmp_path}/step-3"))
    core, task = training.load(tmp_path)
    assert (result.step, core.access.memory_size, len(task.lessons)) == (3, 4, 2)
    resumed = training.train(config(tmp_path, **{**own, "num_training_iterations": 4}))
    assert resumed.step == 4
    assert "Now lesson" not in capsys.readouterr().out  # It is the last one already.


def test_a_dnc_between_other_layers_learns_in_a_few_hundred_steps():
    tf.random.set_seed(1)
    model = composition.MODELS["DeepRNN"]()
    model(composition.examples(0)[0])
    variables = model.trainable_variables
    optimizer = snt.optimizers.Adam(3e-3)

    @composition.models.compiled
    def train(seed):
        loss, gradients = composition.loss_and_gradients(model, seed)
        optimizer.apply(tf.clip_by_global_norm(gradients, 5.0)[0], variables)
        return loss

    losses = [float(train(seed)) for seed in tf.range(300)]
    assert np.mean(losses[-20:]) < 0.9 * np.mean(losses[:20])
