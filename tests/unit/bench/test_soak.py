import math
import random

import pytest

from bench import soak
from bench.soak import FAULTS, Life, Training

TRAINING = Training(jit=False, num_steps=40, interval=10, latest=1.0)
KILL, TERM, FLIP, *_, FULL_DISK = FAULTS


@pytest.fixture
def disturbed(tmp_path, monkeypatch):
    """Runs `disturb` on lives that are told; each makes the checkpoints it is given."""

    def run(*lives, fault):
        left = list(lives)

        def start(training, directory, fault, rng):
            life, saved = left.pop(0)
            for path in directory.glob("step-*"):
                path.unlink()
            for step in saved:
                (directory / f"step-{step}.json").write_text("{}")
            return life

        monkeypatch.setattr(soak, "start", start)
        monkeypatch.setattr(soak, "FAULTS", [fault])
        found = list(soak.disturb(TRAINING, tmp_path, random.Random(0), math.inf))
        assert not left
        return found

    return run


def ended(began_at):
    return Life(code=0, began_at=began_at, reached=40, has_ended=True, errors="")


def killed(began_at, reached):
    return Life(code=-9, began_at=began_at, reached=reached, has_ended=False, errors="")


@pytest.mark.parametrize(
    "fault, first, saved, second, lost, wrong",
    [
        (KILL, killed(0, 25), [10, 20], 20, 5, ""),
        (KILL, killed(0, 25), [10, 20], 10, 15, "it continued from 10, although 20 was intact"),
        (KILL, killed(0, 35), [10, 20], 20, 15, "the last 15 steps were not saved"),
        (KILL, killed(20, 25), [10], 10, 15, "it continued from 10, although 20 was intact"),
        (TERM, killed(0, 25)._replace(code=0), [10, 20], 20, 5, "the last 5 steps were not saved"),
        (TERM, killed(0, 25)._replace(code=0), [20, 25], 25, 0, ""),
        (FLIP, killed(0, 25), [10, 20], 10, 15, ""),
        (FLIP, killed(0, 25), [10, 20], 0, 25, "it continued from 0, although 10 was intact"),
        (FULL_DISK, killed(10, 38), [10], 10, 28, ""),
        (FULL_DISK, killed(10, 38), [], 0, 38, "it continued from 0, although 10 was intact"),
    ],
)
def test_what_was_lost_and_should_not_have_been_is_told(
    disturbed, fault, first, saved, second, lost, wrong
):
    lives = [(first, saved), (ended(second), [40]), (ended(40), [40])]
    if fault is FLIP:
        lives[1] = (ended(second), [30, 40])

    found = disturbed(*lives, fault=fault)

    assert found[0] == (fault.name, lost, wrong)


def test_a_training_that_does_not_start_again_is_told(disturbed):
    nothing = Life(code=1, began_at=None, reached=0, has_ended=False, errors="It is broken.")

    found = disturbed((killed(0, 15), [10]), (nothing, [10]), fault=KILL)

    assert found == [(KILL.name, 15, "it did not start again: It is broken.")]
