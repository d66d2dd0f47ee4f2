"""Random graphs as in the DNC paper (Graves et al. 2016, Methods: graph task descriptions).

Nodes are points in the unit square. The edges of a node, whose number is its out-degree, lead to
its nearest neighbours. Labels are numbers from 1 to 999. The labels of all nodes differ, and so do
the labels of the edges that leave the same node.
"""

from typing import Any, NamedTuple

import tensorflow as tf

from tasks import draws

NUM_LABELS = 999  # 1 to 999: label 0 ends an answer.


class Graphs(NamedTuple):
    """A batch of graphs of up to N nodes, each with up to D edges. Unused places are arbitrary.

    Attributes:
      num_nodes: int32 [B], number of nodes.
      degrees: int32 [B, N], number of edges that leave each node; 0 for unused nodes.
      neighbours: int32 [B, N, D], number of the node at which each edge ends.
      node_labels: int32 [B, N].
      edge_labels: int32 [B, N, D].
    """

    num_nodes: Any
    degrees: Any
    neighbours: Any
    node_labels: Any
    edge_labels: Any

    @property
    def is_edge(self) -> tf.Tensor:
        """Whether each place of `neighbours` contains an edge, bool [B, N, D]."""
        return tf.range(self.neighbours.shape[2]) < self.degrees[:, :, tf.newaxis]

    @property
    def num_edges(self) -> tf.Tensor:
        """Number of edges, int32 [B]."""
        return tf.reduce_sum(self.degrees, axis=1)

    def triples(self) -> tf.Tensor:
        """Returns the labels of source, edge and destination of each edge, int32 [B, N, D, 3]."""
        source = tf.broadcast_to(self.node_labels[:, :, tf.newaxis], self.edge_labels.shape)
        destination = tf.gather(self.node_labels, self.neighbours, batch_dims=1)
        return tf.stack([source, self.edge_labels, destination], axis=3)

    def in_random_order(self, key: tf.Tensor) -> tf.Tensor:
        """Returns all triples [B, N D, 3] in a random order, unused places last."""
        size = self.neighbours.shape[1] * self.neighbours.shape[2]
        drawn = draws.uniform_numbers(key, self.neighbours.shape)
        # All drawn numbers are below 1.
        order = tf.argsort(tf.reshape(tf.where(self.is_edge, drawn, 1.0), [-1, size]), axis=1)
        return tf.gather(tf.reshape(self.triples(), [-1, size, 3]), order, batch_dims=1)


def nearest_neighbours(points: tf.Tensor, num_nodes: tf.Tensor, number: int) -> tf.Tensor:
    """Returns the numbers of the nearest other nodes, the nearest first, int32 [B, N, number].

    Args:
      points: [B, N, 2].
      num_nodes: [B], number of nodes; the points that follow are ignored. If there are fewer than
        `number` other nodes, the remaining places are arbitrary.
      number: number of neighbours.
    """
    size = points.shape[1]
    difference = points[:, :, tf.newaxis] - points[:, tf.newaxis]
    squared = tf.reduce_sum(difference**2, axis=3)
    is_other = ~tf.eye(size, dtype=tf.bool) & (
        tf.range(size) < num_nodes[:, tf.newaxis, tf.newaxis]
    )
    squared = tf.where(is_other, squared, float("inf"))
    return tf.argsort(squared, axis=2)[:, :, :number]


def distinct_labels(key: tf.Tensor, batch_size: int, number: int) -> tf.Tensor:
    """Returns different random labels for each episode, int32 [batch_size, number]."""
    everything = tf.fill([batch_size], NUM_LABELS)
    return draws.permutations(key, everything, NUM_LABELS)[:, :number] + 1


def draw(
    key: tf.Tensor,
    num_nodes: tf.Tensor,
    degrees: tf.Tensor,
    max_degree: int,
    num_names: int | None = None,
) -> Graphs:
    """Draws a batch of graphs.

    Args:
      key: key of the random numbers.
      num_nodes: int32 [B].
      degrees: int32 [B, N], the out-degree of each node, at least 1; it is reduced to the number of
        other nodes if necessary.
      max_degree: D.
      num_names: number of edge labels, >= D, which are 0 .. num_names - 1; `None`: one for each
        node of the graph, drawn from 1 .. 999.
    """
    batch_size, size = degrees.shape
    keys = [draws.fold_in(key, number) for number in range(4)]
    points = draws.uniform_numbers(keys[0], [batch_size, size, 2])
    is_node = tf.range(size) < num_nodes[:, tf.newaxis]
    degrees = tf.where(is_node, tf.minimum(degrees, num_nodes[:, tf.newaxis] - 1), 0)
    number = num_names or size
    of_each_node = tf.fill([batch_size * size], number) if num_names else tf.repeat(num_nodes, size)
    names = draws.permutations(keys[3], of_each_node, number)
    edge_labels = tf.reshape(names, [batch_size, size, number])[:, :, :max_degree]
    if num_names is None:
        of_names = distinct_labels(keys[2], batch_size, size)
        edge_labels = tf.gather(of_names, edge_labels, batch_dims=1)
    return Graphs(
        num_nodes=num_nodes,
        degrees=degrees,
        neighbours=nearest_neighbours(points, num_nodes, max_degree),
        node_labels=distinct_labels(keys[1], batch_size, size),
        edge_labels=edge_labels,
    )


def walk(key: tf.Tensor, graphs: Graphs, max_length: int) -> tf.Tensor:
    """Returns the triples of the edges of random walks, int32 [B, max_length, 3].

    Start and edges are drawn uniformly.

    Args:
      key: key of the random numbers.
      graphs: the graphs, in which every node has an edge.
      max_length: number of edges.
    """
    batch_size, size, degree = graphs.neighbours.shape
    drawn = draws.uniform_numbers(key, [max_length + 1, batch_size])

    def choose(number: tf.Tensor, bound: tf.Tensor) -> tf.Tensor:
        return tf.minimum(tf.cast(number * tf.cast(bound, tf.float32), tf.int32), bound - 1)

    def follow(at: tuple[tf.Tensor, tf.Tensor], number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        node = at[1]
        edge = node * degree + choose(number, tf.gather(graphs.degrees, node, batch_dims=1))
        return edge, tf.gather(tf.reshape(graphs.neighbours, [batch_size, -1]), edge, batch_dims=1)

    start = choose(drawn[0], graphs.num_nodes)
    edges, _ = tf.scan(follow, drawn[1:], initializer=(start, start))
    triples = tf.reshape(graphs.triples(), [batch_size, size * degree, 3])
    return tf.gather(triples, tf.transpose(edges), batch_dims=1)
