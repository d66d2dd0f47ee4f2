"""The graphs of the graph tasks, against slow twins, and how their batches are made."""

import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks
from tasks import draws
from tasks.graphs import graphs, maps, triples
from tasks.inference import relations

BATCH_SIZE = 4
SEEDS = st.integers(0, 2**31 - 1)


def key_of(seed):
    return draws.keys("train", seed, 0, 1)[0]


def arrays(found):
    return tf.nest.map_structure(np.asarray, found)


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS, size=st.integers(3, 9), number=st.integers(1, 2))
def test_neighbours_are_the_nearest_other_nodes(seed, size, number):
    rng = np.random.default_rng(seed)
    points = rng.random([BATCH_SIZE, size, 2], np.float32)
    num_nodes = rng.integers(number + 1, size + 1, BATCH_SIZE)

    found = graphs.nearest_neighbours(points, num_nodes, number).numpy()

    for b, node in itertools.product(range(BATCH_SIZE), range(size)):
        if node < num_nodes[b]:
            others = [other for other in range(num_nodes[b]) if other != node]
            others.sort(key=lambda other: np.sum((points[b, node] - points[b, other]) ** 2))
            assert found[b, node].tolist() == others[:number]


@settings(deadline=None, max_examples=20)
@given(seed=SEEDS, size=st.integers(4, 12), max_degree=st.integers(1, 3))
def test_graphs_have_the_sizes_asked_for_and_different_labels(seed, size, max_degree):
    rng = np.random.default_rng(seed)
    num_nodes = rng.integers(2, size + 1, BATCH_SIZE).astype(np.int32)
    degrees = rng.integers(1, max_degree + 1, [BATCH_SIZE, size]).astype(np.int32)

    drawn = graphs.draw(key_of(seed), tf.constant(num_nodes), tf.constant(degrees), max_degree)
    order = drawn.in_random_order(key_of(seed + 1)).numpy()
    num_edges, found, of_nodes = arrays([drawn.num_edges, drawn, drawn.triples()])

    for b in range(BATCH_SIZE):
        n = num_nodes[b]
        expected = [min(degree, n - 1) for degree in degrees[b, :n]] + [0] * (size - n)
        assert found.degrees[b].tolist() == expected
        assert num_edges[b] == sum(expected)
        labels = found.node_labels[b, :n]
        assert len(set(labels)) == n
        assert labels.min() >= 1 and labels.max() <= 999
        edges, used = [], set()
        for node, degree in enumerate(expected):
            ends = found.neighbours[b, node, :degree].tolist()
            of_edges = found.edge_labels[b, node, :degree].tolist()
            assert len(set(ends)) == len(set(of_edges)) == degree
            assert node not in ends and all(end < n for end in ends)
            used.update(of_edges)
            triples_of_node = [
                (labels[node], label, labels[end])
                for label, end in zip(of_edges, ends, strict=True)
            ]
            assert [tuple(x) for x in of_nodes[b, node, :degree]] == triples_of_node
            edges += triples_of_node
        assert len(used) <= n and min(used) >= 1 and max(used) <= 999
        assert sorted(map(tuple, order[b, : len(edges)])) == sorted(edges)


def test_triples_are_told_in_any_order():
    drawn = graphs.draw(key_of(0), tf.fill([1], 4), tf.fill([1, 4], 1), 1)
    whole = [tuple(x) for x in drawn.triples().numpy().reshape(-1, 3)]

    orders = {
        tuple(whole.index(tuple(x)) for x in drawn.in_random_order(key_of(seed)).numpy()[0])
        for seed in range(300)
    }

    assert len(orders) == 24


@settings(deadline=None, max_examples=10)
@given(seed=SEEDS)
def test_walks_follow_edges(seed):
    drawn = graphs.draw(key_of(seed), tf.fill([BATCH_SIZE], 6), tf.fill([BATCH_SIZE, 6], 2), 3)

    walks = graphs.walk(key_of(seed + 1), drawn, 8).numpy()

    edges = drawn.triples().numpy()[:, :, :2].reshape(BATCH_SIZE, -1, 3)
    for b in range(BATCH_SIZE):
        assert {tuple(x) for x in walks[b]} <= {tuple(x) for x in edges[b]}
        assert (walks[b, 1:, 0] == walks[b, :-1, 2]).all()


def test_walks_start_anywhere_and_take_each_edge_equally_often():
    number, batch_size = 3, 3000
    one = graphs.draw(key_of(0), tf.fill([1], number), tf.fill([1, number], 2), 2)
    drawn = tf.nest.map_structure(lambda x: tf.repeat(x, batch_size, axis=0), one)

    walks = graphs.walk(key_of(1), drawn, 1).numpy()[:, 0]

    _, counts = np.unique(walks, axis=0, return_counts=True)
    assert len(counts) == 6
    # 500 each; five standard deviations.
    assert np.abs(counts - 500).max() < 5 * np.sqrt(500)


@given(st.lists(st.integers(-1, 999), min_size=3, max_size=3))
def test_labels_are_read_as_they_are_written(triple):
    channels = triples.one_hot([triple]).numpy()

    assert triples.labels(channels).tolist() == [triple]
    assert channels.sum() == 3 * sum(label != triples.BLANK for label in triple)


def outputs_of(batch, wrong=()):
    """Logits of the right answers, apart from some (step, episode, digit)."""
    outputs = 5.0 * np.asarray(batch.target)
    for t, b, digit in wrong:
        group = slice(10 * digit, 10 * digit + 10)
        outputs[t, b, group] = np.roll(outputs[t, b, group], 1)
    return tf.constant(outputs)


def test_an_answer_is_wrong_if_one_digit_of_any_triple_is():
    task = tasks.get("traversal", batch_size=4)
    batch = task.batch("test", 0, 0)
    number = np.asarray(batch.mask).sum(axis=0)
    ends = np.asarray(batch.lengths) - 1

    right = task.metrics(outputs_of(batch), batch)
    wrong = [(0, 0, 0), (ends[1], 1, 8), (ends[1], 1, 0), (ends[1] - 1, 1, 4), (ends[3], 3, 0)]
    found = task.metrics(outputs_of(batch, wrong), batch)

    assert arrays(right) == {"wrong_sequences": 0, "wrong_steps": 0, "solved_sequences": 1}
    # An error without a question, at step 0, does not count.
    assert found["wrong_sequences"] == found["solved_sequences"] == 0.5
    np.testing.assert_allclose(found["wrong_steps"], 3 / number.sum(), rtol=1e-6)
    lines = task.to_human_readable(batch.episode(1), outputs_of(batch, wrong)[:, 1:2]).split("\n")
    assert [line.count("[") for line in lines[-3:]] == [0, 1, 1]


def test_the_loss_is_the_cross_entropy_of_nine_digits_at_each_answer():
    task = tasks.get("traversal", batch_size=3, max_nodes=10, max_path=3)
    batch = task.batch("test", 0, 0)
    outputs = np.random.default_rng(0).normal(size=batch.target.shape).astype(np.float32)

    groups = np.reshape(outputs, [*outputs.shape[:2], 9, 10]).astype(np.float64)
    log_p = groups - np.log(np.exp(groups).sum(axis=3, keepdims=True))
    target = np.reshape(batch.target, groups.shape)
    expected = -(log_p * target).sum(axis=(2, 3)) * np.asarray(batch.mask)

    np.testing.assert_allclose(task.loss(outputs, batch), expected.sum() / 3, rtol=1e-5)


@pytest.mark.parametrize("lesson", [0, 5, 13])
def test_a_batch_of_training_has_little_padding(lesson):
    task = tasks.get("traversal", batch_size=5)
    task = dataclasses.replace(task, lessons=task.curriculum("paper"))
    for step in range(5):
        num_steps = task.steps_of_batch("train", 1, step, lesson)
        batch = task.of_length(num_steps).batch("train", 1, step, lesson)

        assert batch.observations.shape[0] == num_steps
        assert len(set(batch.lengths.numpy())) == 1
        assert num_steps - 16 < batch.lengths[0] <= num_steps


def test_episodes_of_an_evaluation_differ_in_size():
    task = tasks.get("traversal", batch_size=20)

    batch = task.batch("test", 0, 0)

    assert batch.observations.shape[0] == task.steps_of_batch("test", 0, 0) == task.num_steps
    assert len(set(batch.lengths.numpy())) > 10


def test_the_lessons_are_the_papers():
    lessons = tasks.get("traversal").curriculum("paper", threshold=0.1)

    assert len(lessons) == 14
    assert lessons[0].ranges == {"nodes": (3, 10), "degree": (2, 4), "path": (1, 1)}
    assert lessons[13].ranges == {"nodes": (10, 40), "degree": (2, 6), "path": (1, 20)}
    assert (lessons.replay, lessons.replay_any, lessons.threshold) == (0.1, False, 0.1)


def test_there_are_no_lessons_of_the_paper_for_other_tasks():
    with pytest.raises(ValueError, match="copy has no curriculum paper; it has naive, look_back"):
        tasks.get("copy").curriculum("paper")


def test_a_lesson_cannot_be_larger_than_the_task():
    task = tasks.get("traversal", max_path=9)
    with pytest.raises(ValueError, match="Lesson 13 has path from 1 to 10; the task has up to 9"):
        dataclasses.replace(task, lessons=task.curriculum("paper"))


def test_a_node_has_fewer_edges_than_there_are_nodes():
    with pytest.raises(ValueError, match=r"max_degree must be below max_nodes, .* got 6 and 6"):
        tasks.get("traversal", min_nodes=3, max_nodes=6)


@pytest.mark.parametrize(
    ("name", "num_nodes", "num_edges", "degree"),
    [
        ("london", 24, 92, 6),
        ("london_all", 43, 212, 10),
        ("vienna", 10, 32, 4),
        ("family", 15, 54, 6),
    ],
)
def test_maps_have_the_sizes_that_the_docs_state(name, num_nodes, num_edges, degree):
    found = maps.MAPS[name]()

    assert (len(found.nodes), len(found.edges), max(found.degrees)) == (
        num_nodes,
        num_edges,
        degree,
    )
    # A query names the edges alone, so that they must differ at each node.
    assert len({(edge.source, edge.name) for edge in found.edges}) == num_edges
    # Lines run in both directions.
    both = {(edge.source, edge.destination) for edge in found.edges}
    assert both == {(destination, source) for source, destination in both}


def test_relatives_are_who_they_are():
    of = {edge[:2]: edge.destination for edge in maps.family().edges}
    inverse = {"father": ("son", "daughter"), "mother": ("son", "daughter")}
    inverse |= {"son": ("father", "mother"), "daughter": ("father", "mother")}
    inverse |= {"husband": ("wife",), "wife": ("husband",)}
    inverse |= {"brother": ("sister",), "sister": ("brother",)}

    for (one, name), other in of.items():
        assert one in {of.get((other, back)) for back in inverse[name]}
    assert of["Nina", "father"] == "Ian" and of["Ian", "mother"] == "Grace"
    assert of["Grace", "father"] == "Dan" and of["Leo", "sister"] == "Kate"


def test_there_are_a_hundred_relations_of_each_length():
    table = relations()

    assert table.shape == (400, 5)
    as_tuples = [tuple(x for x in row if x >= 0) for row in table]
    assert len(set(as_tuples)) == 400
    assert [len(x) for x in as_tuples] == [n for n in range(2, 6) for _ in range(100)]
    assert table.max() == 9


def slow_ends(edges, start):
    """Returns the goals of the relations from a node, by label, following edges one by one."""
    following = {(source, edge): destination for source, edge, destination in edges}
    found = {}
    for number, row in enumerate(relations()):
        node = start
        for edge in row[row >= 0]:
            node = following.get((node, int(edge)))
        if node is not None:
            found[10 + number] = node
    return found


@pytest.mark.parametrize("options", [{}, {"map": "family"}, {"min_nodes": 3, "max_nodes": 5}])
@settings(deadline=None, max_examples=5)
@given(seed=SEEDS)
def test_answers_to_questions_are_where_relations_lead(options, seed):
    task = tasks.get("inference", batch_size=4, num_questions=4, **options)

    batch = task.batch("test", seed, 0)

    seen = triples.labels(np.asarray(batch.observations)[:, :, :90])
    said = triples.labels(batch.target)
    for b in range(4):
        start = int(np.flatnonzero(np.asarray(batch.observations)[:, b, 90])[0])
        edges = [tuple(map(int, triple)) for triple in seen[:start, b]]
        assert {edge for _, edge, _ in edges} <= set(range(10))
        for t in np.flatnonzero(batch.mask[:, b]):
            source, relation, destination = map(int, said[t, b])
            assert slow_ends(edges, source)[relation] == destination


def test_relations_of_all_lengths_are_asked_about_equally_often():
    task = tasks.get("inference", batch_size=100, num_questions=4)

    answers = np.concatenate(
        [
            triples.labels(batch.target)[np.asarray(batch.mask) > 0]
            for batch in (task.batch("train", 0, step) for step in range(5))
        ]
    )

    # Of the longest there is none in some graphs.
    lengths = np.sum(relations() >= 0, axis=1)[answers[:, 1] - 10]
    counts = np.bincount(lengths, minlength=6)[2:]
    assert counts.sum() == 2000
    np.testing.assert_allclose(counts[:2], 500, atol=5 * np.sqrt(500))
    assert counts[3] > 300
    assert len(np.unique(answers[:, 1])) > 250


def test_the_longest_relations_are_asked_about_where_there_are_any():
    task = tasks.get("inference", batch_size=50, min_path=5)

    answers = triples.labels(task.batch("test", 0, 0).target).reshape(-1, 3)

    lengths = np.sum(relations() >= 0, axis=1)[answers[answers[:, 1] > 0][:, 1] - 10]
    assert np.mean(lengths == 5) > 0.8


def test_london_has_the_stations_and_lines_that_a_passenger_knows():
    edges = maps.london().edges

    assert ("Green Park", "Victoria N", "Oxford Circus") in edges
    assert ("Oxford Circus", "Victoria S", "Green Park") in edges
    assert ("King's Cross St. Pancras", "Northern E", "Bank") in edges
    # The Northern Line from one to the other turns at Kennington, which is in zone 2.
    between = {edge.name for edge in edges if edge[::2] == ("Waterloo", "Elephant & Castle")}
    assert between == {"Bakerloo S"}


def test_each_episode_on_a_map_has_labels_of_its_own():
    found, drawn = maps.london(), maps.london().with_labels(key_of(0), 3)
    labels, of_edges, of_nodes = arrays([drawn.triples(), drawn.edge_labels, drawn.node_labels])

    assert len({x.tobytes() for x in of_nodes}) == len({x.tobytes() for x in of_edges}) == 3
    for b in range(3):
        label_of_node = dict(zip(found.nodes, of_nodes[b], strict=True))
        label_of_edge = {}
        for node, name in enumerate(found.nodes):
            own = [edge for edge in found.edges if edge.source == name]
            for place, edge in enumerate(own):
                label_of_edge.setdefault(edge.name, of_edges[b, node, place])
                expected = [
                    label_of_node[name],
                    label_of_edge[edge.name],
                    label_of_node[edge.destination],
                ]
                assert labels[b, node, place].tolist() == expected
        assert len(set(label_of_node.values())) == 24
        assert len(set(label_of_edge.values())) == len(found.labels)


def test_a_map_can_be_walked_on_instead_of_random_graphs():
    task = tasks.get("traversal", batch_size=3, map="london", min_path=7, max_path=7)

    batch = task.batch("test", 0, 0)

    assert batch.observations.shape[0] == task.num_steps == 92 + 2 * 7 + 1
    assert batch.lengths.numpy().tolist() == [107] * 3
    assert task.steps_of_batch("train", 0, 0) == 107


@pytest.mark.parametrize(("name", "num_published"), [("traversal", 2), ("inference", 2)])
def test_the_standard_tests_are_the_papers_and_others(name, num_published):
    task = tasks.get(name, batch_size=2, max_path=3, max_nodes=22)
    lessons = task.paper_lessons

    found = task.benchmarks()

    assert len({test.name for test in found}) == len(found)
    published = [test for test in found if test.published]
    assert len(published) == num_published
    for test in published:
        assert len(test.published) == len(lessons)
    final = published[0].task
    sizes = {size: final.sizes[size] for size in ("nodes", "degree", "path")}
    assert tuple(sizes.values()) == lessons[-1][:3]  # Whatever the task's own options are.
    for test in found:
        batch = test.task.batch("test", 0, 0)
        assert batch.observations.shape[1] == 2


def test_a_step_of_the_graph_tells_its_digits():
    task = tasks.get("traversal", batch_size=2, max_nodes=10, max_path=2)
    batch = task.batch("train", 0, 0)

    contents = task.contents(batch)

    told = contents.classes[..., 0] >= 0
    labels = [
        [
            "".join(names[d] for names, d in zip(contents.names, row, strict=True)).strip()
            for row in rows
        ]
        for rows in contents.classes
    ]
    for b, steps in enumerate(task.step_labels(batch)):
        for t, label in enumerate(steps):
            is_graph = label[:1] not in ("?", "=", "")
            assert told[t, b] == is_graph
            assert not is_graph or labels[t][b] == label


def test_in_inference_each_question_counts():
    task = tasks.get("inference", batch_size=3, min_nodes=3, max_nodes=5)
    batch = task.batch("test", 0, 0)
    outputs = np.array(batch.target)
    first = np.argmax(batch.mask[:, 1])
    outputs[first, 1] = np.roll(outputs[first, 1], 1)

    found = task.metrics(tf.constant(outputs), batch)

    assert task.error_name == "wrong_steps"
    np.testing.assert_allclose(found["wrong_steps"], 1 / 9, rtol=1e-6)
    np.testing.assert_allclose(found["wrong_sequences"], 1 / 3, rtol=1e-6)
    np.testing.assert_allclose(task.right(found), 8 / 9, rtol=1e-6)
    np.testing.assert_allclose(tasks.get("traversal").right(found), 2 / 3, rtol=1e-6)
