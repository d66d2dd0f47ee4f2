"""The grid of Mini-SHRDLU, and the policies in it."""

import numpy as np
import pytest

from tasks.shrdlu import boards, grid
from tasks.shrdlu.policies import POLICIES, play
from tasks.shrdlu.task import Shrdlu

SMALL = {"min_goals": 2, "max_goals": 2, "max_depth": 3, "max_constraints": 2, "batch_size": 20}


@pytest.fixture(scope="module")
def played():
    task = Shrdlu(**SMALL)
    return {name: play(task, policy, "test", 0, 0) for name, policy in POLICIES.items()}


def test_each_policy_does_what_it_says(played):
    solved = {name: grid.measure([batch])[1].sum() for name, batch in played.items()}

    assert (played["pass"].extras.action.numpy() == boards.PASS).all()
    assert len(np.unique(played["random"].extras.action)) == boards.ACTIONS
    assert solved["search"] == 20 > solved["greedy"] > solved["random"] >= solved["pass"] == 0
    # Of all actions the greedy one has the most constraints at the next board.
    batch = played["greedy"]
    first = batch.mask.numpy().argmax(axis=0)
    task_goals = Shrdlu(**SMALL).draw("test", 0, 0)
    for b, t in enumerate(first):
        after = boards.tables().after.numpy()[int(task_goals.start[b])]
        goal = task_goals.facts[b, task_goals.chosen[b]].numpy()
        held = boards.tables().facts.numpy()[after][:, goal].mean(axis=1)
        np.testing.assert_allclose(batch.extras.part[t, b], held.max(), rtol=1e-6)


def test_what_is_counted(played):
    batch = played["greedy"]
    count, solved, met = grid.measure([batch, batch])

    expected, of_solved, parts = np.zeros([7, 6]), np.zeros([7, 6]), []
    for b in range(20):
        asked = np.flatnonzero(batch.mask[:, b])
        minimum = int(batch.extras.minimum[0, b])
        place = minimum - 1, int(batch.extras.num_constraints[0, b]) - 1
        expected[place] += 2
        of_solved[place] += 2 * float(batch.extras.part[asked[minimum - 1], b] == 1)
        parts.append(batch.extras.part[asked[-1], b])
    np.testing.assert_array_equal(count, expected)
    np.testing.assert_array_equal(solved, of_solved)
    np.testing.assert_allclose(met, np.mean(parts), rtol=1e-6)


def run(capsys, *arguments):
    code = grid.main(["grid", *arguments])
    said = capsys.readouterr()
    return code, said.out, said.err


def test_policies_are_printed_beside_the_paper(capsys):
    arguments = ["--policies=pass", "--goals=1", "--num_sequences=100"]
    code, out, _ = run(capsys, *arguments)

    assert code == 0
    titles = [line.partition(",")[0] for line in out.splitlines() if "minimum number" in line]
    assert titles == ["DNC of the paper", "LSTM of the paper", "pass"]
    assert "All: 0.0 %; constraints met: " in out


@pytest.mark.parametrize(
    "arguments, text",
    [
        ((), "Give --checkpoint_dir or --pretrained"),
        (
            ("--policies=random,clever",),
            "policies must be among pass, random, greedy, search, got clever",
        ),
        (("--pretrained=copy_dnc",), "Only models of shrdlu can be measured"),
    ],
)
def test_errors_are_one_line(capsys, arguments, text):
    code, _, err = run(capsys, *arguments)

    assert code == 2
    assert text in err and "Traceback" not in err
