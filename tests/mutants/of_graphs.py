"""Mutants of the graph tasks: how graphs, questions and routes are drawn, and what counts."""

from tests.mutants import Mutant

_GRAPHS = "unit/tasks/test_graphs.py"
_LAYOUTS = "unit/tasks/test_encodings.py"
_ROUTES = "unit/tasks/test_shortest_path.py"
_OWN_ROUTES = "unit/tasks/test_route.py"

MUTANTS = (
    Mutant(
        "a node is its own neighbour",
        "tasks/graphs/graphs.py",
        "~tf.eye(size, dtype=tf.bool) & (",
        "(",
        _GRAPHS,
    ),
    Mutant(
        "more edges than other nodes",
        "tasks/graphs/graphs.py",
        "tf.minimum(degrees, num_nodes[:, tf.newaxis] - 1)",
        "degrees",
        _GRAPHS,
    ),
    Mutant(
        "edges of a node share labels",
        "tasks/graphs/graphs.py",
        "edge_labels = tf.gather(of_names, edge_labels, batch_dims=1)",
        "edge_labels = tf.gather(of_names, edge_labels % 2, batch_dims=1)",
        _GRAPHS,
    ),
    Mutant(
        "triples are told in their order",
        "tasks/graphs/graphs.py",
        "tf.where(self.is_edge, drawn, 1.0)",
        "tf.where(self.is_edge, 0.0 * drawn, 1.0)",
        _GRAPHS,
    ),
    Mutant(
        "walks never take the last edge",
        "tasks/graphs/graphs.py",
        "return tf.minimum(tf.cast(number * tf.cast(bound, tf.float32), tf.int32), bound - 1)",
        "return tf.cast(number * tf.cast(bound - 1, tf.float32), tf.int32)",
        _GRAPHS,
    ),
    Mutant(
        "sizes differ in a batch of training",
        "tasks/graphs/task.py",
        'if split != "train":',
        "if True:",
        _GRAPHS,
    ),
    Mutant(
        "sizes are the same in a batch of the test",
        "tasks/graphs/task.py",
        'if split != "train":',
        "if False:",
        _GRAPHS,
    ),
    Mutant(
        "the query tells where the path leads",
        "tasks/traversal.py",
        "is_first | [[False, True, False]]",
        "is_first | [[True, True, False]]",
        _LAYOUTS,
    ),
    Mutant(
        "the end is not part of the answer",
        "tasks/traversal.py",
        "is_answer = (t >= answer) & (t <= end)",
        "is_answer = (t >= answer) & (t < end)",
        _LAYOUTS,
    ),
    Mutant(
        "one right digit is enough",
        "tasks/graphs/task.py",
        "tf.reduce_any(said != right, axis=2)",
        "tf.reduce_all(said != right, axis=2)",
        _GRAPHS,
    ),
    Mutant(
        "lines of a map run one way",
        "tasks/graphs/maps.py",
        "for one, other in (ends, ends[::-1]):",
        "for one, other in (ends,):",
        _GRAPHS,
    ),
    Mutant(
        "lines leave the zones of the map",
        "tasks/graphs/maps.py",
        'if float(row["zone"]) <= _ZONE}',
        'if float(row["zone"]) <= 2}',
        _GRAPHS,
    ),
    Mutant(
        "relations end one edge early",
        "tasks/inference.py",
        "for label in table.T:",
        "for label in table.T[:-1]:",
        _GRAPHS,
    ),
    Mutant(
        "relations are as long as they can be",
        "tasks/inference.py",
        "& (number <= lengths), number, length)",
        "& (number <= 5), number, length)",
        _GRAPHS,
    ),
    Mutant(
        "no way is longer than two edges",
        "tasks/shortest_path.py",
        "lambda number, *_: number < size,",
        "lambda number, *_: number < 3,",
        _ROUTES,
    ),
    Mutant(
        "ends are nearer than asked for",
        "tasks/shortest_path.py",
        "is_choice = allowed & (distance == largest)",
        "is_choice = allowed",
        _ROUTES,
    ),
    Mutant(
        "the test is taught",
        "tasks/shortest_path.py",
        'is_taught=~is_measured & (split == "train")',
        "is_taught=~is_measured",
        _ROUTES,
    ),
    Mutant(
        "taught episodes are measured",
        "tasks/shortest_path.py",
        "return tf.reduce_sum(found * is_measured) / total",
        "return tf.reduce_mean(found)",
        _ROUTES,
    ),
    Mutant(
        "right edges are always taken in training",
        "tasks/shortest_path.py",
        "taken = tf.where(now.is_taught & is_taught & is_possible, target, own)",
        "taken = tf.where(now.is_taught & is_possible, target, own)",
        _ROUTES,
    ),
    Mutant(
        "the policy is not over the edges of the node alone",
        "tasks/shortest_path.py",
        "return tf.where(is_edge, found, np.float32(-1e9))",
        "return found",
        _ROUTES,
    ),
    Mutant(
        "a path longer by two is within the criterion",
        "tasks/shortest_path.py",
        '"failed_sequences": 1.0 - part_within(1)',
        '"failed_sequences": 1.0 - part_within(2)',
        _ROUTES,
    ),
    Mutant(
        "what was written over counts as read",
        "training/asking.py",
        "return (1.0 - left) * np.cumprod(later, axis=0)[::-1]",
        "return 1.0 - left",
        f"{_OWN_ROUTES}::test_an_answer_is_read_from_what_is_left_in_a_slot",
    ),
    Mutant(
        "a right edge other than the target is wrong",
        "tasks/graphs/own_route.py",
        "np.where(is_right, taken, triples.labels(batch.target))",
        "triples.labels(batch.target)",
        f"{_OWN_ROUTES}::test_a_right_edge_other_than_the_target_is_right",
    ),
)
