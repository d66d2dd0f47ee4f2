"""The loop and its callbacks around steps that do nothing."""

import errno

import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from training.callbacks import Checkpoints, Faults, Limits, Validation
from training.loop import Callback, Loop, NotFiniteError
from training.step import Totals


class Steps:
    """Takes the place of a `TrainingStep`. Some steps are not finite."""

    has_peers = False
    learning_rate = 1.0

    def __init__(self, step=0, not_finite=()):
        self.step, self.not_finite, self.calls = step, not_finite, []

    def agreed(self, num_steps):
        return num_steps

    def run(self, num_steps, scalars, module_norms, window):
        self.calls.append(num_steps)
        for _ in range(num_steps):
            if self.step in self.not_finite:
                break
            self.step += 1
        return Totals(1.0, 1.0, {}, {}, {})

    def explain(self, directory, checkpoint):
        return f"Step {self.step} is not finite."

    def skip(self):
        self.step += 1


class Run:
    """Takes the place of a run, and remembers what was saved."""

    directory, checkpoint, last_saved = "run", None, "There is no checkpoint."

    def __init__(self, error=None):
        self.saved, self.saved_step, self.error = [], None, error

    def save(self, step, state, loss):
        if self.error:
            raise self.error
        self.saved.append((step, loss))
        self.saved_step = step

    def go_back(self):
        return None


class Noting(Callback):
    """Notes when each of its methods is called."""

    def __init__(self, interval=None):
        self.interval, self.notes = interval, []

    def begin(self, loop):
        self.notes.append(("begin", loop.step))

    def after(self, loop):
        self.notes.append(("after", loop.step))

    def end(self, loop):
        self.notes.append(("end", loop.step))


def train(*callbacks, num_steps=10, steps=None, run=None):
    limits = Limits(num_steps, lambda: False)
    loop = Loop(steps or Steps(), run or Run(), [*callbacks, limits])
    loop.train()
    return loop


@given(
    first=st.integers(0, 60),
    number=st.integers(1, 60),
    intervals=st.lists(st.none() | st.integers(1, 50), max_size=3),
)
def test_callbacks_are_called_at_each_multiple_of_their_intervals(first, number, intervals):
    callbacks = [Noting(interval) for interval in intervals]
    last = first + number

    train(*callbacks, num_steps=last, steps=Steps(first))

    for callback in callbacks:
        multiples = range(first + 1, last + 1)
        due = [n for n in multiples if callback.interval and n % callback.interval == 0]
        expected = [("begin", first), *(("after", n) for n in due), ("end", last)]
        assert callback.notes == expected


def test_a_callback_ends_training_after_the_step():
    class Stop(Callback):
        interval = 3

        def after(self, loop):
            loop.stop("enough")

    loop = train(Stop())

    assert (loop.step, loop.ending) == (3, "enough")


def test_a_run_that_has_nothing_left_to_do_makes_no_step():
    steps = Steps(step=10)

    assert train(steps=steps).ending == "finished"
    assert steps.calls == []


def test_an_interruption_is_noticed_after_the_steps_of_one_call():
    asked = []
    limits = Limits(100, lambda: asked.append(None) or len(asked) == 3)
    noting = Noting(interval=2)
    loop = Loop(Steps(), Run(), [noting, limits])
    loop.train()

    assert loop.ending == "interrupted"
    assert loop.step < 100
    assert noting.notes[-1] == ("end", loop.step)


class TestCheckpoints:
    def test_are_saved_at_both_intervals_and_once_at_the_end(self):
        run = Run()
        train(Checkpoints(3, 4, at_start=False), num_steps=9, run=run)
        assert [step for step, _ in run.saved] == [3, 4, 6, 8, 9]

    def test_are_saved_at_the_start_only_if_there_may_be_a_way_back(self):
        run = Run()
        train(Checkpoints(None, None, at_start=True), num_steps=2, run=run)
        assert [step for step, _ in run.saved] == [0, 2]

    def test_are_judged_by_the_validation_of_their_step(self):
        class Errors:
            def validate(self, step):
                return {"error": 1.0 / step}

        class Task:
            error_name = "error"

            def describe_error(self, error):
                return f"{error}"

        class NoEvents:
            def open(self):
                return tf.name_scope("none")

        run = Run()
        validation = Validation(4, Task(), Errors(), NoEvents())
        train(validation, Checkpoints(3, 4, at_start=False), num_steps=8, run=run)
        losses = {step: loss for step, loss in run.saved}
        assert losses == {3: pytest.approx(float("nan"), nan_ok=True), 4: 0.25, 8: 0.125} | {
            6: pytest.approx(float("nan"), nan_ok=True)
        }

    def test_that_cannot_be_saved_do_not_end_training(self, capsys):
        error = OSError(errno.ENOSPC, "No space left on device")
        loop = train(Checkpoints(4, None, at_start=False), num_steps=6, run=Run(error))

        assert (loop.step, loop.unsaved) == (6, error)
        assert capsys.readouterr().err == (
            "Warning: Cannot save step 4 in run: No space left on device. Training continues. "
            "There is no checkpoint.\n"
        )


class TestAStepThatIsNotFinite:
    def test_ends_training_after_the_end_was_saved(self):
        run = Run()
        callbacks = Faults("stop", 1), Checkpoints(None, None, at_start=False)
        loop = train(*callbacks, steps=Steps(not_finite={5}), run=run)

        assert isinstance(loop.failure, NotFiniteError)
        assert "Step 5 is not finite. Training ends." in str(loop.failure)
        assert [step for step, _ in run.saved] == [5]

    def test_is_skipped(self, capsys):
        loop = train(Faults("skip", 1), steps=Steps(not_finite={5, 7}))

        assert (loop.step, loop.failure) == (10, None)
        assert capsys.readouterr().err.count("Skipping this step.") == 2

    def test_is_not_skipped_too_often_in_a_row(self):
        loop = train(Faults("skip", 2), steps=Steps(not_finite={5, 6, 7}))

        assert loop.step == 7
        assert "after too many" in str(loop.failure)

    def test_leaves_no_checkpoint_if_it_is_the_first(self):
        run = Run()
        callbacks = Faults("restore", 1), Checkpoints(None, None, at_start=False)
        loop = train(*callbacks, steps=Steps(not_finite={0}), run=run)

        assert "There is no checkpoint to go back to" in str(loop.failure)
        assert run.saved == []
