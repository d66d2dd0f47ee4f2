"""The shortest path task: its environment against a slow twin that follows the same policy."""

import networkx
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks
from tasks.graphs import graphs, triples
from tasks.shortest_path import distances, draw_ends
from tests.roll_out import key_of, rolled_out

SEEDS = st.integers(0, 2**31 - 1)
SMALL = {"batch_size": 8, "min_nodes": 4, "max_nodes": 9, "min_degree": 1, "max_degree": 3}


def small(**more):
    return tasks.get("shortest_path", **{**SMALL, "max_path": 4, **more})


def drawn_of(seed, batch_size=3, size=8):
    rng = np.random.default_rng(seed)
    num_nodes = tf.constant(rng.integers(4, size + 1, batch_size), tf.int32)
    degrees = tf.constant(rng.integers(1, 3, [batch_size, size]), tf.int32)
    return graphs.draw(key_of(seed), num_nodes, degrees, 2)


def network_of(drawn, b):
    network = networkx.DiGraph()
    network.add_nodes_from(range(int(drawn.num_nodes[b])))
    for node, degree in enumerate(np.asarray(drawn.degrees)[b]):
        network.add_edges_from((node, int(end)) for end in drawn.neighbours[b, node, :degree])
    return network


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS)
def test_distances_are_those_of_networkx(seed):
    drawn = drawn_of(seed)

    found = distances(drawn).numpy()

    for b in range(3):
        lengths = dict(networkx.all_pairs_shortest_path_length(network_of(drawn, b)))
        for one in lengths:
            for other in lengths:
                assert found[b, one, other] == lengths[one].get(other, 8)


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS, length=st.integers(1, 6))
def test_ends_are_as_far_apart_as_possible_up_to_a_length(seed, length):
    drawn = drawn_of(seed)
    distance = distances(drawn)

    start, goal = draw_ends(key_of(seed), drawn, distance, tf.fill([3], length))

    for b in range(3):
        lengths = dict(networkx.all_pairs_shortest_path_length(network_of(drawn, b)))
        allowed = {n for own in lengths.values() for n in own.values() if n <= length}
        assert lengths[int(start[b])][int(goal[b])] == max(allowed)


def test_all_pairs_of_ends_are_drawn():
    one = drawn_of(1, batch_size=1)
    drawn = tf.nest.map_structure(lambda x: tf.repeat(x, 2000, axis=0), one)
    distance = distances(drawn)

    start, goal = draw_ends(key_of(0), drawn, distance, tf.fill([2000], 2))

    _, counts = np.unique(np.stack([start, goal]), axis=1, return_counts=True)
    number = np.sum(distance[0].numpy() == 2)
    assert len(counts) == number >= 5
    assert np.abs(counts - 2000 / number).max() < 5 * np.sqrt(2000 / number)


def environment_of(environment, drawn, start, goal):
    """The environment of one graph, at its first step of planning."""
    distance = distances(drawn)
    return environment._replace(
        t=drawn.num_edges[0] + 1,
        told=drawn.in_random_order(key_of(0)),
        num_edges=drawn.num_edges,
        triples=drawn.triples(),
        neighbours=drawn.neighbours,
        is_edge=drawn.is_edge,
        from_start=distance[:, start],
        to_goal=distance[:, :, goal],
        planned=tf.constant([goal]),
        node=tf.constant([start]),
        num_left=tf.constant([4]),
        is_taught=tf.constant([True]),
    )


def random_policy(seed):
    rng = np.random.default_rng(seed)
    return lambda _, observation: tf.constant(rng.normal(size=[len(observation), 90]), tf.float32)


def perfect(task, split, seed):
    """A policy that knows the way: it says what the records of another one call the target."""

    def policy(environment, observation):
        # The same graphs: the target depends on where the network is.
        now = policy.environment
        _, _, record = task.respond(now, tf.zeros([task.batch_size, 90]), key_of(0))
        outputs = 20.0 * record.target
        policy.environment, _, _ = task.respond(now, outputs, key_of(0))
        return outputs

    policy.environment, _ = task.start(split, seed, 0)
    return policy


@pytest.mark.parametrize("split", ["train", "test"])
@settings(deadline=None, max_examples=5)
@given(seed=SEEDS, planning=st.integers(0, 3))
def test_episodes_are_laid_out_as_the_docstring_says(split, seed, planning):
    task = small(num_planning=planning, teaching=0.5)
    batch, outputs = rolled_out(task, split, seed, random_policy(seed))

    seen = triples.labels(np.asarray(batch.observations)[:, :, :90])
    channels = np.asarray(batch.observations)[:, :, 90:]
    right = triples.labels(batch.target)
    for b in range(task.batch_size):
        (query, answer) = np.flatnonzero(channels[:, b, 0])
        assert answer == query + planning + 1
        network = networkx.DiGraph()
        for source, edge, destination in seen[:query, b]:
            network.add_edge(int(source), int(destination), label=int(edge))
        start, blank, goal = map(int, seen[query, b])
        assert blank == triples.BLANK
        to_goal = dict(networkx.single_target_shortest_path_length(network, goal))
        assert (seen[query + 1 : answer + 1, b] == triples.BLANK).all()

        node, taken, left = start, (triples.BLANK,) * 3, to_goal[start] + 2
        for t in range(answer, task.num_steps):
            is_asked = node != goal and left > 0
            assert channels[t, b, 1] == is_asked
            assert batch.mask[t, b] == (is_asked and node in to_goal)
            if not is_asked:
                assert (seen[t, b] == triples.BLANK).all()
                continue
            assert tuple(seen[t, b]) == taken
            edges = [(node, d["label"], end) for _, end, d in network.out_edges(node, data=True)]
            log_p = tf.nn.log_softmax(outputs[t, b].reshape(9, 10)).numpy().ravel()
            scores = [log_p @ np.asarray(triples.one_hot([edge]))[0] for edge in edges]
            own = edges[int(np.argmax(scores))]
            shortest = [e for e in edges if to_goal.get(e[2], 99) == to_goal.get(node, 0) - 1]
            if batch.mask[t, b]:
                assert tuple(right[t, b]) in shortest
            follows = own
            if t + 1 < task.num_steps and channels[t + 1, b, 1]:
                follows = tuple(map(int, seen[t + 1, b]))
                # A measured episode follows the policy alone.
                is_own = follows == own
                assert is_own or (split == "train" and b % 8 != 0 and follows in shortest)
            elif split == "train":
                break  # The last edge that was taken is not shown.
            node, taken, left = follows[2], follows, left - 1
            is_arrival = node == goal
            assert batch.extras.num_more[t, b] == (2 - left if is_arrival else -1)


def test_a_policy_that_knows_the_way_takes_shortest_paths():
    task = small()
    batch, outputs = rolled_out(task, "test", 0, perfect(task, "test", 0))

    assert task.metrics(tf.constant(outputs), batch) == {
        "failed_sequences": 0,
        "solved_sequences": 1,
    }
    assert float(task.loss(tf.constant(outputs), batch)) < 1e-3


def test_other_policies_fail():
    task = small(batch_size=64)
    batch, outputs = rolled_out(task, "test", 0, random_policy(0))

    found = task.metrics(tf.constant(outputs), batch)

    assert 0 < found["solved_sequences"] < 0.7
    # Some are longer by one than the shortest.
    more = batch.extras.num_more.max(axis=0)
    assert set(more) == {-1, 0, 1, 2}
    np.testing.assert_allclose(found["solved_sequences"], np.mean(more == 0))
    np.testing.assert_allclose(
        found["failed_sequences"], np.mean((more == -1) | (more == 2)), rtol=1e-6
    )


def test_in_training_every_eighth_episode_is_measured():
    task = small(batch_size=64)
    batch, outputs = rolled_out(task, "train", 0, random_policy(0))

    found = task.metrics(tf.constant(outputs), batch)

    more = batch.extras.num_more.max(axis=0)
    np.testing.assert_allclose(found["solved_sequences"], np.mean(more[::8] == 0))
    # Of the others more are solved.
    assert np.mean(more == 0) > found["solved_sequences"]


def test_right_edges_are_taken_as_often_as_asked_for():
    task = small(batch_size=800, teaching=0.3, min_path=4)
    # It never takes a right edge of its own accord where there is another one.
    right = perfect(task, "train", 0)
    batch, _ = rolled_out(task, "train", 0, lambda *seen: -right(*seen))

    # The second answer shows the first edge that was taken; the policy before it was the perfect
    # one's, so that the first target is the same.
    mask = np.asarray(batch.mask)
    seen = triples.labels(np.asarray(batch.observations)[:, :, :90])
    said = triples.labels(batch.target)
    is_measured = batch.extras.is_measured[0]
    assert is_measured.tolist() == [b % 8 == 0 for b in range(800)]
    taken = []
    for b in np.flatnonzero(~is_measured):
        t = int(np.flatnonzero(mask[:, b])[0])
        if batch.extras.is_edge[t, b].sum() == 3:
            taken.append((seen[t + 1, b] == said[t, b]).all())
    # Five standard deviations.
    assert abs(np.mean(taken) - 0.3) < 5 * np.sqrt(0.3 * 0.7 / len(taken))


def test_the_loss_is_the_cross_entropy_of_the_policy():
    task = small()
    batch, _ = rolled_out(task, "train", 3, random_policy(3))
    outputs = np.random.default_rng(0).normal(size=[task.num_steps, 8, 90]).astype(np.float32)

    expected = 0.0
    for t, b in np.argwhere(batch.mask):
        groups = outputs[t, b].reshape(9, 10).astype(np.float64)
        log_p = (groups - np.log(np.exp(groups).sum(axis=1, keepdims=True))).ravel()
        own = batch.extras.triples[t, b][batch.extras.is_edge[t, b]]
        scores = np.asarray(triples.one_hot(own)).astype(np.float64) @ log_p
        target = scores[batch.extras.target[t, b]]
        expected += np.log(np.exp(scores).sum()) - target

    np.testing.assert_allclose(task.loss(tf.constant(outputs), batch), expected / 8, rtol=1e-5)


@settings(deadline=None, max_examples=4)
@given(seed=SEEDS, planning=st.integers(0, 5))
def test_a_hint_is_a_shortest_path_backwards(seed, planning):
    task = small(num_planning=planning)
    batch, _ = rolled_out(task, "train", seed, random_policy(seed))

    seen = triples.labels(np.asarray(batch.observations)[:, :, :90])
    for b in range(task.batch_size):
        query = int(np.flatnonzero(batch.observations[:, b, 90])[0])
        network = networkx.DiGraph([(s, d) for s, _, d in seen[:query, b].tolist()])
        start, _, goal = seen[query, b].tolist()
        number = networkx.shortest_path_length(network, start, goal)
        hints = batch.extras.hint[:, b]
        said = hints[(hints != triples.BLANK).any(axis=1)]
        assert len(said) == min(number, planning)
        np.testing.assert_array_equal(hints[query + 1 : query + 1 + len(said)], said)
        told = {tuple(triple) for triple in seen[:query, b]}
        for distance, triple in enumerate(said):
            assert tuple(triple) in told
            assert triple[2] == (said[distance - 1][0] if distance else goal)
            to_source = networkx.shortest_path_length(network, start, triple[0])
            assert to_source == number - 1 - distance


def test_all_shortest_paths_are_hinted_at():
    # From node 0 to 3 by 1 or by 2.
    ends = tf.constant([[[1, 2], [3, 0], [0, 3], [0, 1]]])
    drawn = graphs.Graphs(
        num_nodes=tf.constant([4]),
        degrees=tf.fill([1, 4], 2),
        neighbours=ends,
        node_labels=tf.constant([[10, 11, 12, 13]]),
        edge_labels=tf.reshape(tf.range(20, 28), [1, 4, 2]),
    )
    task = small(num_planning=1)
    start, _ = task.start("train", 0, 0)

    first = set()
    for number in range(20):
        environment = environment_of(start, drawn, 0, 3)
        _, _, record = task.respond(environment, tf.zeros([1, 90]), key_of(number))
        first.add(tuple(record.extras.hint[0].numpy()))

    assert first == {(11, 22, 13), (12, 25, 13)}


def test_hints_add_the_cross_entropy_of_their_digits():
    task = small(hints=0.3)
    batch, _ = rolled_out(task, "train", 3, random_policy(3))
    outputs = np.random.default_rng(0).normal(size=[task.num_steps, 8, 90]).astype(np.float32)

    groups = outputs.reshape([-1, 8, 9, 10]).astype(np.float64)
    log_p = groups - np.log(np.exp(groups).sum(axis=3, keepdims=True))
    digits = np.asarray(triples.one_hot(batch.extras.hint)).reshape(groups.shape)
    expected = float(small().loss(tf.constant(outputs), batch)) - 0.3 * np.sum(log_p * digits) / 8

    np.testing.assert_allclose(task.loss(tf.constant(outputs), batch), expected, rtol=1e-5)
