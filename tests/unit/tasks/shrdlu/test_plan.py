"""The decoder of plans, on memories that are made up."""

import types

import numpy as np
import pytest

from tasks.shrdlu import plan


def test_what_the_heads_find_at_the_question_is_averaged():
    rng = np.random.default_rng(0)
    memory = rng.normal(size=[9, 2, 4, 3])
    weights = np.zeros([9, 2, 2, 4])
    weights[2, 0, 0, [1, 3]] = [0.5, 0.02]
    weights[2, 0, 1, 1] = 0.3
    weights[2, 0, 1, 2] = 0.005  # Too little.
    weights[3, 1, 0, 0] = 1.0
    mask = np.zeros([9, 2])
    mask[2:8, 0] = mask[3:9, 1] = 1
    action = rng.integers(0, 7, [9, 2])
    batch = types.SimpleNamespace(mask=mask, extras=types.SimpleNamespace(action=action))
    trace = types.SimpleNamespace(read_weights=weights, memory=memory)

    words, actions = plan.found_at_query(trace, batch)

    np.testing.assert_allclose(words[0], (memory[2, 0, 1] + memory[2, 0, 3]) / 2)
    np.testing.assert_allclose(words[1], memory[3, 1, 0])
    np.testing.assert_array_equal(actions, [action[2:7, 0], action[3:8, 1]])


def test_what_is_in_the_words_is_read_and_what_is_not_is_guessed():
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(1)
    actions = rng.choice(7, size=200, p=[0.4, *[0.1] * 6])
    known = np.eye(7)[actions] + 0.1 * rng.normal(size=[200, 7])

    right, guessed = plan.accuracy(known, actions)
    assert right > 0.97
    assert 0.3 < guessed < 0.5
    nothing, _ = plan.accuracy(rng.normal(size=[200, 7]), actions)
    assert nothing < 0.5


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "Give --checkpoint_dir or --pretrained"),
        (["--pretrained=copy_dnc"], "Only models of shrdlu have a plan"),
    ],
)
def test_errors_are_one_line(capsys, arguments, text):
    assert plan.main(["plan", *arguments]) == 2
    error = capsys.readouterr().err
    assert text in error and "Traceback" not in error
