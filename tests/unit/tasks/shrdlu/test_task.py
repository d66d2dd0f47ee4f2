"""Mini-SHRDLU: goals and episodes against slow twins that read the observations."""

import networkx
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks
from tasks.shrdlu import boards
from tasks.shrdlu.task import _any_of_many, advantages, seen_squares
from tests.roll_out import key_of, rolled_out
from tests.unit.tasks.shrdlu.test_boards import moved, network

SEEDS = st.integers(0, 2**31 - 1)
SMALL = {
    "batch_size": 6,
    "min_goals": 1,
    "max_goals": 3,
    "min_blocks": 3,
    "max_blocks": 5,
    "max_constraints": 3,
    "max_depth": 4,
}
CHANNELS = np.cumsum([26, 6, 4, 6, 1])


def small(**more):
    return tasks.get("shrdlu", **{**SMALL, **more})


def holds(squares, constraint):
    """Whether a constraint (first, relation, second) holds on squares [3, 3]."""
    first, relation, second = constraint
    place = {int(squares[i, j]): (i, j) for i in range(3) for j in range(3)}
    if first not in place or second not in place:
        return False
    (i, j), (k, m) = place[first], place[second]
    to = {"above": (1, 0), "below": (-1, 0), "left of": (0, 1), "right of": (0, -1)}
    down, right = to[boards.RELATIONS[relation]]
    return (i + down, j + right) == (k, m)


def read(batch, b):
    """The goals of an episode by letter, the chosen letter, and the step of the query."""
    letters, firsts, relations, seconds, go, _ = np.split(
        np.asarray(batch.observations)[:, b], CHANNELS, axis=1
    )
    query = int(np.flatnonzero(go[:, 0])[0])
    goals = {}
    for t in range(query):
        each = (letters, firsts, relations, seconds)
        assert [x[t].sum() for x in each] == [1, 1, 1, 1] and go[t] == 0
        letter, *constraint = (int(x[t].argmax()) for x in each)
        goals.setdefault(letter, []).append(tuple(constraint))
    assert letters[query].sum() == 1
    for x in (firsts, relations, seconds):
        assert not x[query:].any()
    assert not letters[query + 1 :].any()
    return goals, int(letters[query].argmax()), query


def random_policy(seed, batch_size=6):
    rng = np.random.default_rng(seed)
    return lambda *_: rng.normal(size=[batch_size, 8]).astype(np.float32)


def perfect(environment, _):
    """The logits of a policy that takes a shortest way to the nearest board with the goal."""
    goals = environment.goals
    outputs = np.zeros([len(goals.start), 8], np.float32)
    facts = boards.tables().facts.numpy()
    for b, board in enumerate(environment.board.numpy()):
        goal = goals.facts[b, goals.chosen[b]].numpy()
        ways = networkx.single_source_shortest_path(network(), int(board))
        path = min((ways[n] for n in ways if facts[n, goal].all()), key=len)
        after = boards.tables().after[int(board)].numpy().tolist()
        action = after.index(path[1]) if len(path) > 1 else boards.PASS
        outputs[b, action] = 20.0
    return outputs


@settings(deadline=None, max_examples=6)
@given(
    split=st.sampled_from(["train", "test"]),
    seed=SEEDS,
    depth=st.integers(1, 4),
    constraints=st.integers(1, 3),
)
def test_goals_are_constraints_of_boards_at_a_depth(split, seed, depth, constraints):
    task = small(
        min_depth=depth, max_depth=depth, min_constraints=constraints, max_constraints=constraints
    )
    drawn = task.draw(split, seed, 0)
    tables = boards.tables()

    for b in range(task.batch_size):
        start = int(drawn.start[b])
        lengths = networkx.single_source_shortest_path_length(network(), start)
        at_depth = [n for n, length in lengths.items() if length == depth]
        squares = {n: tables.squares[n].numpy().reshape([3, 3]) for n in (start, *at_depth)}
        for g in range(int(drawn.number[b])):
            assert lengths[int(drawn.boards[b, g])] == depth
            goal = set(np.flatnonzero(drawn.facts[b, g]).tolist())
            on_board = set(np.flatnonzero(tables.facts[int(drawn.boards[b, g])]).tolist())
            old = set(np.flatnonzero(tables.facts[start]).tolist())
            assert goal <= on_board - old
            most = max(len(set(np.flatnonzero(tables.facts[n]).tolist()) - old) for n in squares)
            assert len(goal) == min(constraints, most) >= 1
        goal = drawn.facts[b, drawn.chosen[b]].numpy()
        reached = [n for n in lengths if tables.facts.numpy()[n, goal].all()]
        assert drawn.minimum[b] == min(lengths[n] for n in reached) >= 1


@pytest.mark.parametrize("split", ["train", "test"])
@settings(deadline=None, max_examples=5)
@given(seed=SEEDS)
def test_episodes_are_laid_out_as_the_docstring_says(split, seed):
    task = small(invalid_cost=0.25, undo_cost=0.5)
    drawn = task.draw(split, seed, 0)
    batch, outputs = rolled_out(task, split, seed, random_policy(seed))
    choice = batch.extras

    for b in range(task.batch_size):
        goals, letter, query = read(batch, b)
        assert len(goals) == int(drawn.number[b])
        squares = seen_squares(batch.observations[0, b]).reshape([3, 3])
        for own in goals.values():
            assert not any(holds(squares, constraint) for constraint in own)
            # Not the same twice, in other words or not.
            pairs = {(frozenset((a, c)), r // 2) for a, r, c in own}
            assert len(pairs) == len(own)
        for t in range(query):
            again = seen_squares(batch.observations[t, b]).reshape([3, 3])
            np.testing.assert_array_equal(again, squares)
        goal = goals[letter]
        end = query + int(drawn.minimum[b]) + 6
        np.testing.assert_array_equal(
            batch.mask[:, b], [query <= t < end for t in range(task.num_steps)]
        )
        np.testing.assert_array_equal(batch.observations[:, b, CHANNELS[4] - 1], batch.mask[:, b])
        before = 0
        for t in range(query, end):
            seen = seen_squares(batch.observations[t, b]).reshape([3, 3])
            np.testing.assert_array_equal(seen, squares)
            action = int(choice.action[t, b])
            if split == "test":
                assert action == outputs[t, b, :7].argmax()
            cost = 0.0
            if action != boards.PASS:
                following = moved(squares, *boards.MOVES[action])
                cost = 0.25 * (following == squares).all()
                squares = following
            held = sum(holds(squares, constraint) for constraint in goal)
            cost += 0.5 * (before == len(goal) > held)
            np.testing.assert_allclose(choice.reward[t, b], held - cost, rtol=1e-6)
            np.testing.assert_allclose(choice.part[t, b], held / len(goal), rtol=1e-6)
            assert choice.num_left[t, b] == end - 1 - t
            before = held
        assert not choice.reward[end:, b].any() and not choice.reward[:query, b].any()
        assert not batch.observations[end:, b].any()


def test_where_no_board_is_as_deep_the_deepest_ones_are_taken():
    task = small(batch_size=50, min_blocks=3, max_blocks=3, min_depth=9, max_depth=9)
    drawn = task.draw("test", 0, 0)
    facts = boards.tables().facts.numpy()

    for b in range(50):
        start = int(drawn.start[b])
        lengths = networkx.single_source_shortest_path_length(network(), start)
        deepest = max(length for n, length in lengths.items() if (facts[n] > facts[start]).any())
        assert deepest < 9
        for g in range(int(drawn.number[b])):
            assert lengths[int(drawn.boards[b, g])] == deepest
            assert drawn.facts[b, g].numpy().any()


def test_letters_are_distinct_and_the_goal_is_any_of_them():
    task = small(batch_size=400, min_goals=3)
    drawn = task.draw("train", 0, 0)

    assert all(len(set(own)) == 3 for own in drawn.letters.numpy().tolist())
    assert set(np.unique(drawn.letters)) == set(range(26))
    assert (np.bincount(drawn.chosen) > 90).all()


def test_actions_are_drawn_from_the_policy_in_training():
    logits = np.log([0.4, 0.05, 0.1, 0.15, 0.05, 0.05, 0.2, 1.0]).astype(np.float32)
    task = small(batch_size=2000)
    environment, _ = task.start("train", 0, 0)
    outputs = tf.repeat(logits[np.newaxis], 2000, axis=0)

    _, _, record = task.respond(environment, outputs, key_of(0))

    found = np.bincount(record.extras.action, minlength=7) / 2000
    np.testing.assert_allclose(found, np.exp(logits[:7]), atol=0.05)


def test_who_knows_the_way_reaches_every_goal_with_the_fewest_moves():
    task = small()
    batch, outputs = rolled_out(task, "test", 3, perfect)

    found = task.metrics(tf.constant(outputs), batch)

    assert found["missed_constraints"] == 0 and found["solved_sequences"] == 1
    assert task.is_solved(found)


def test_metrics_are_of_the_last_board_and_of_the_fewest_moves():
    task = small(batch_size=100)
    batch, outputs = rolled_out(task, "train", 0, random_policy(0, 100))

    found = task.metrics(tf.constant(outputs), batch)

    missed, solved = [], []
    for b in range(100):
        asked = np.flatnonzero(batch.mask[:, b])
        missed.append(1 - batch.extras.part[asked[-1], b])
        solved.append(batch.extras.part[asked[int(batch.extras.minimum[0, b]) - 1], b] == 1)
    np.testing.assert_allclose(found["missed_constraints"], np.mean(missed), rtol=1e-5)
    np.testing.assert_allclose(found["solved_sequences"], np.mean(solved), rtol=1e-5)
    np.testing.assert_allclose(found["reward"], batch.extras.reward.sum(axis=0).mean(), rtol=1e-5)
    assert 0 < np.mean(solved) < 0.5
    assert not task.is_solved(found)


@settings(deadline=None, max_examples=30)
@given(seed=SEEDS, length=st.integers(1, 9), trace_decay=st.floats(0, 1))
def test_advantages_are_sums_of_errors_of_the_value(seed, length, trace_decay):
    rng = np.random.default_rng(seed)
    reward, value = rng.normal(size=[2, length, 3])
    expected = np.zeros([length + 1, 3])
    for t in reversed(range(length)):
        following = value[t + 1] if t + 1 < length else 0.0
        expected[t] = reward[t] + following - value[t] + trace_decay * expected[t + 1]

    found = advantages(tf.constant(reward), tf.constant(value), trace_decay)

    np.testing.assert_allclose(found, expected[:length], atol=1e-12)


def test_the_gradient_is_that_of_the_policy_the_value_and_the_entropy():
    task = small(entropy=0.3, trace_decay=0.6)
    batch, outputs = rolled_out(task, "train", 5, random_policy(5))
    outputs = tf.constant(outputs.astype(np.float64))
    with tf.GradientTape() as tape:
        tape.watch(outputs)
        loss = task.loss(outputs, batch)

    found = tape.gradient(loss, outputs).numpy()

    expected = np.zeros_like(found)
    reward = batch.extras.reward.astype(np.float64)
    for b in range(task.batch_size):
        logits, value = outputs[:, b, :7].numpy(), outputs[:, b, 7].numpy()
        steps = np.flatnonzero(batch.mask[:, b]).tolist()
        for t in steps:
            p = np.exp(logits[t]) / np.exp(logits[t]).sum()
            ahead = [u for u in steps if u >= t]
            following = {u: value[u + 1] if u + 1 in steps else 0.0 for u in ahead}
            errors = [reward[u, b] + following[u] - value[u] for u in ahead]
            advantage = sum(0.6 ** (u - t) * e for u, e in zip(ahead, errors, strict=True))
            one_hot = np.eye(7)[batch.extras.action[t, b]]
            entropy = -np.sum(p * np.log(p))
            expected[t, b, :7] = (p - one_hot) * advantage + 0.3 * p * (np.log(p) + entropy)
            expected[t, b, 7] = value[t] - sum(reward[u, b] for u in ahead)
    np.testing.assert_allclose(found, expected / task.batch_size, atol=1e-7)


def test_in_training_all_episodes_of_a_batch_are_of_one_length():
    task = small(batch_size=3, max_goals=6, max_constraints=5)
    lengths = set()
    for step in range(8):
        steps = task.steps_of_batch("train", 0, step)
        drawn = task.of_length(steps).draw("train", 0, step)
        needed = (drawn.num_told + drawn.minimum + 6).numpy()
        assert needed.max() <= steps <= task.num_steps
        lengths.add(steps)
        assert len(set(drawn.number.numpy())) == 1
    assert len(lengths) > 1


def test_the_lessons_of_the_paper():
    task = tasks.get("shrdlu", min_goals=2, min_blocks=3)
    lessons = task.curriculum("paper")

    assert len(lessons) == 26 and lessons.replay == 0.1
    assert lessons[0].ranges == {
        "goals": (2, 2),
        "blocks": (3, 3),
        "constraints": (1, 1),
        "depth": (1, 1),
    }
    assert lessons[25].ranges["constraints"] == (1, 6)
    with pytest.raises(ValueError, match="no curriculum other"):
        task.curriculum("other")


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS, size=st.integers(1, 40))
def test_any_of_many_takes_each_choice_as_often(seed, size):
    is_choice = np.random.default_rng(seed).uniform(size=[2, size]) < 0.5
    is_choice[:, seed % size] = True
    many = tf.constant(np.broadcast_to(is_choice, [3000, 2, size]))

    found = _any_of_many(key_of(seed), many).numpy()

    for k in range(2):
        counts = np.bincount(found[:, k], minlength=size)
        assert (counts[~is_choice[k]] == 0).all()
        mean = 3000 / is_choice[k].sum()
        assert np.abs(counts[is_choice[k]] - mean).max() < 6 * np.sqrt(mean)


def test_an_episode_as_text():
    task = small(batch_size=2)
    batch, _ = rolled_out(task, "test", 1, perfect)

    text = task.to_human_readable(batch)

    goals, letter, query = read(batch, 0)
    name = chr(ord("A") + letter)
    first, relation, second = goals[letter][0]
    assert f"{name}: {first + 1} {boards.RELATIONS[relation]} {second + 1}" in text
    labels = task.step_labels(batch)[0]
    assert labels[query].startswith(f"{name}? ")
    action, *board = labels[query + 1].split("\n")
    assert action in ("pass", *(f"{s + 1}>{t + 1}" for s, t in boards.MOVES))
    assert board == boards.rows(seen_squares(batch.observations[query + 1, 0]))
    lines = text.splitlines()[-3:]
    assert lines[1].startswith(f"{name}? ")
    for line, row in zip(
        lines, boards.rows(seen_squares(batch.observations[query, 0])), strict=True
    ):
        assert line[3:6] == row
    assert len(task.to_human_readable(batch, whole_batch=True).split("\n\n")) == 2


def test_a_compiled_draw_is_the_same():
    task = small(max_blocks=3, max_goals=2)
    compiled = tf.function(lambda step: task.draw("train", 3, step), jit_compile=True)

    for one, other in zip(compiled(tf.constant(4)), task.draw("train", 3, 4), strict=True):
        np.testing.assert_array_equal(one, other)
