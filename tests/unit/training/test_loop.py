import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.loop import Plan, Progress

intervals = st.none() | st.integers(1, 50)


@given(
    step=st.integers(0, 200),
    num_steps=st.integers(201, 300),
    report=st.integers(1, 50),
    checkpoint=intervals,
    summary=intervals,
)
def test_the_next_stop_is_the_first_step_where_there_is_something_to_do(
    step, num_steps, report, checkpoint, summary
):
    plan = Plan(num_steps, report, checkpoint, summary)

    def has_something_to_do(step):
        return step == num_steps or any(
            step % interval == 0 for interval in (report, checkpoint, summary) if interval
        )

    until = plan.steps_until_something(step)

    assert has_something_to_do(step + until)
    assert not any(has_something_to_do(step + k) for k in range(1, until))


def test_progress_is_what_it_was_before_it_was_saved():
    progress = Progress(learning_rate=0.5, loss=2.0, solved=False)
    progress.means.advance({"loss": 3.0}, 2)
    progress.module_norms.advance({"access": 1.0}, 4)

    again = Progress.of(progress.state(), learning_rate=1.0)

    assert again.state() == progress.state()
    assert again.means.take() == {"loss": 1.5}
    assert again.module_norms.take() == {"access": 0.25}


@pytest.mark.parametrize("state", [None, {}, {"solved": None}])
def test_without_a_checkpoint_or_with_an_old_one_progress_is_at_its_start(state):
    progress = Progress.of(state, learning_rate=1.0)

    assert progress.learning_rate == 1.0
    assert math.isnan(progress.loss)
    assert progress.solved is None
    assert progress.means.take() == progress.module_norms.take() == {}


def test_validations_without_a_better_one_are_counted():
    progress = Progress(learning_rate=1.0)
    counts = []
    for step, error in enumerate([3.0, 2.0, 2.0, 5.0, 1.0], start=1):
        progress.validated(step, error)
        counts.append(progress.not_better)

    assert counts == [0, 0, 1, 2, 0]
    assert (progress.validation, progress.best_error) == ((5, 1.0), 1.0)
