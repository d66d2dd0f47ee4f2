"""Shortest path: see a graph, then go from one node to another (Graves et al. 2016, Methods).

An episode about a graph of E edges, with p steps of planning:

================  ==============================================  ===========================
steps             observation (92 wide)                           target (90 wide)
================  ==============================================  ===========================
0 .. E - 1        the triples of all edges in a random order      0
E                 start and goal, (s, _, g)                       0
E + 1 .. E + p    blank                                           0
E + p + 1         blank                                           the first edge of a shortest
                                                                  path from s to g, (s, e, n)
E + p + 2 ...     the edge taken at the previous step             the first edge of a shortest
                                                                  path from there to g
================  ==============================================  ===========================

`tasks.graphs.triples` defines the encoding of a triple. The channel for the beginning of a phase is
1 at steps E and E + p + 1, the channel that requires answers from step E + p + 1 on. An answer
counts (mask 1) until the goal is reached, or two edges more than necessary have been taken.

The edges that leave a node are its possible actions, and the network's output is a policy over
them: the product of the probabilities of a triple's nine digits, normalised over these triples. In
training the edge of the target is taken with probability `teaching`, otherwise the policy's most
likely edge. The loss is the cross-entropy of the policy (as in DAgger, Ross et al. 2011). In
evaluation, and in every eighth training episode, only the policy acts. These episodes are measured.

With `hints`, which the paper does not have, the loss also includes a plan: the edges of a shortest
path from its end to its start, one at each planning step from E + 1 on. (Veličković et al. 2022
call intermediate steps of an algorithm "hints" if they are targets.) The plan is not shown.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from tasks import draws
from tasks.base import Batch, Benchmark, InteractiveTask, Record
from tasks.graphs import graphs, triples
from tasks.graphs.graphs import Graphs
from tasks.graphs.task import GraphTask
from tasks.graphs.triples import BLANK
from tasks.options import option

_MORE = 2  # Edges that may be taken in addition to the necessary ones.
_MEASURED = 8  # In training, one in eight episodes is measured.

# Extended Data Table 5: percentages of shortest paths after each lesson.
_FINAL = (
    *(11.2, 12.7, 13.2, 13.7, 22.8, 27.6, 34.0, 39.7),
    *(41.1, 40.0, 44.0, 47.2, 54.3, 54.0, 64.0),
)
_LONDON = (
    *(8.2, 4.0, 4.0, 9.5, 14.4, 14.2, 28.3, 29.2),
    *(34.4, 32.3, 33.8, 34.9, 40.9, 50.7, 55.3),
)


class Environment(NamedTuple):
    """State of the environment during an episode.

    Attributes:
      t: number of time steps so far, int32 scalar.
      told: triples in the order in which they are shown, int32 [B, E, 3].
      num_edges: int32 [B].
      triples: triples of the edges from each node, int32 [B, N, D, 3].
      neighbours: nodes at which these edges end, int32 [B, N, D].
      is_edge: whether a place contains an edge, bool [B, N, D].
      from_start: distance from the start to each node, int32 [B, N]; N: there is no path.
      to_goal: distance from each node to the goal, int32 [B, N]; N: there is no path.
      planned: first node of the planned part of the path, int32 [B]; initially the goal.
      node: current position, int32 [B].
      num_left: number of edges that may still be taken, int32 [B].
      is_taught: whether edges of the target may be taken, bool [B].
    """

    t: Any
    told: Any
    num_edges: Any
    triples: Any
    neighbours: Any
    is_edge: Any
    from_start: Any
    to_goal: Any
    planned: Any
    node: Any
    num_left: Any
    is_taught: Any


class Choice(NamedTuple):
    """Possible edges at each time step, and the result of the choice.

    Attributes:
      triples: triples of the edges that leave the node, int32 [T, B, D, 3].
      is_edge: whether a place contains an edge, bool [T, B, D].
      target: the place of the target, int32 [T, B].
      num_more: number of unnecessary edges taken up to this step, if it reached the goal, int32
        [T, B]; otherwise -1.
      is_measured: whether the episode is without teaching, bool [T, B].
      hint: triple of the plan, int32 [T, B, 3]; BLANK: none.
    """

    triples: Any
    is_edge: Any
    target: Any
    num_more: Any
    is_measured: Any
    hint: Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class ShortestPath(GraphTask, InteractiveTask):
    """The shortest path task: go from one node to another.

    The size "path" is the distance between the two.
    """

    name = "shortest_path"
    metric_names = ("failed_sequences", "solved_sequences")
    replay = 0.0
    # Extended Data Table 5.
    paper_lessons = (
        ((5, 10), (1, 2), (2, 2), 64),
        ((5, 20), (1, 2), (2, 2), 64),
        ((10, 20), (1, 2), (2, 2), 64),
        ((10, 20), (1, 2), (2, 3), 64),
        ((10, 20), (1, 3), (2, 3), 64),
        ((10, 20), (2, 3), (2, 3), 128),
        ((10, 20), (2, 3), (2, 4), 128),
        ((10, 20), (2, 4), (2, 4), 128),
        ((10, 25), (2, 4), (2, 4), 128),
        ((10, 25), (2, 4), (2, 5), 128),
        ((10, 25), (2, 4), (2, 5), 128),
        ((15, 25), (2, 4), (2, 5), 128),
        ((15, 25), (2, 5), (2, 5), 128),
        ((20, 25), (2, 5), (2, 5), 128),
        ((20, 25), (2, 6), (2, 5), 128),
    )

    min_path: int = option(2, "Minimum distance from start to goal; drawn uniformly.", minimum=1)
    max_path: int = option(5, "Maximum distance from start to goal.", minimum=1)
    min_nodes: int = option(20, "Minimum number of nodes; drawn uniformly.", minimum=2)
    max_nodes: int = option(25, "Maximum number of nodes.", minimum=2, maximum=graphs.NUM_LABELS)
    num_planning: int = option(10, "Steps between the query and the first answer.", minimum=0)
    teaching: float = option(
        0.8, "Probability that a right edge is taken in training.", minimum=0.0, maximum=1.0
    )

    hints: float = option(
        0.0,
        "Weight of the loss of the plan, at planning steps; 0: as in the paper.",
        minimum=0.0,
        maximum=1e30,
    )

    def steps_after_graph(self, path: Any) -> Any:
        """Returns the number of time steps of query, planning and answer."""
        return 1 + self.num_planning + self.max_path + _MORE

    def benchmarks(self) -> Sequence[Benchmark]:
        """Returns the tests of Extended Data Table 5, and others."""
        return (
            self.benchmark("random graphs", published=_FINAL),
            self.benchmark("London, 4 apart", 4, map="london", published=_LONDON),
            *(self.benchmark(f"random graphs, {n} apart", n) for n in range(2, 6)),
        )

    def start(self, split: str, seed: Any, step: Any, lesson: Any = None) -> tuple[Any, tf.Tensor]:
        """Returns the environment at the start of episodes, and the first observations [B, 92]."""
        drawn, told, lengths, key = self.draw_told(split, seed, step, lesson)
        distance = distances(drawn)
        start, goal = self.draw_ends(key, drawn, distance, lengths)
        to_goal = tf.gather(tf.transpose(distance, [0, 2, 1]), goal, batch_dims=1)
        is_measured = tf.range(self.batch_size) % _MEASURED == 0
        environment = Environment(
            t=tf.constant(0),
            told=told,
            num_edges=drawn.num_edges,
            triples=drawn.triples(),
            neighbours=drawn.neighbours,
            is_edge=drawn.is_edge,
            from_start=tf.gather(distance, start, batch_dims=1),
            to_goal=to_goal,
            planned=goal,
            node=start,
            num_left=tf.gather(to_goal, start, batch_dims=1) + _MORE,
            is_taught=~is_measured & (split == "train"),
        )
        return environment, self._observe(environment, tf.fill([self.batch_size, 3], BLANK))

    def draw_ends(
        self, key: tf.Tensor, drawn: Graphs, distance: tf.Tensor, lengths: tf.Tensor
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the numbers of the start and goal nodes, see the function `draw_ends`."""
        return draw_ends(key, drawn, distance, lengths)

    def respond(
        self, environment: Environment, outputs: Any, key: tf.Tensor
    ) -> tuple[Any, tf.Tensor, Record]:
        """Returns the environment after an edge was taken, if an answer was required."""
        now = environment
        at_node = lambda x: tf.gather(x, now.node, batch_dims=1)  # noqa: E731
        choices, is_edge, ends = map(at_node, (now.triples, now.is_edge, now.neighbours))
        distance = at_node(now.to_goal)
        is_goal = distance == 0
        is_asked = self._is_answer(now)
        after = tf.gather(now.to_goal, ends, batch_dims=1)
        is_right = is_edge & (after == distance[:, tf.newaxis] - 1)
        keys = [draws.fold_in(key, number) for number in range(3)]
        target = draws.any_of(keys[0], is_right)
        own = tf.argmax(scores(outputs, choices, is_edge), axis=1, output_type=tf.int32)
        is_taught = draws.uniform_numbers(keys[1], own.shape) < self.teaching
        # Where the goal cannot be reached, there is no right edge.
        is_possible = tf.reduce_any(is_right, axis=1)
        taken = tf.where(now.is_taught & is_taught & is_possible, target, own)
        node = tf.where(is_asked, tf.gather(ends, taken, batch_dims=1), now.node)
        planned, hint = self._plan(now, keys[2])
        following = now._replace(
            t=now.t + 1,
            planned=planned,
            node=node,
            num_left=now.num_left - tf.cast(is_asked, tf.int32),
        )
        has_arrived = is_asked & ~is_goal & (tf.gather(now.to_goal, node, batch_dims=1) == 0)
        shown = tf.where(is_asked[:, tf.newaxis], tf.gather(choices, taken, batch_dims=1), BLANK)
        record = Record(
            target=triples.one_hot(tf.gather(choices, target, batch_dims=1))
            * tf.cast(is_asked & is_possible, tf.float32)[:, tf.newaxis],
            mask=tf.cast(is_asked & is_possible, tf.float32),
            extras=Choice(
                triples=choices,
                is_edge=is_edge,
                target=target,
                num_more=tf.where(has_arrived, _MORE - following.num_left, -1),
                is_measured=~now.is_taught,
                hint=hint,
            ),
        )
        return following, self._observe(following, shown), record

    def loss(self, outputs: tf.Tensor, batch: Batch) -> tf.Tensor:
        """Returns the cross-entropy of the policy in nats per episode, over its answers.

        `hints` times the cross-entropy of the digits of the plan is added.
        """
        choice = batch.extras
        policy = scores(outputs, choice.triples, choice.is_edge)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(choice.target, policy) * batch.mask
        if self.hints:
            is_hint = tf.reduce_any(choice.hint != BLANK, axis=2, keepdims=True)
            planned = scores(outputs, choice.hint[:, :, tf.newaxis], is_hint)
            loss -= self.hints * tf.where(is_hint, planned, 0.0)[:, :, 0]
        return tf.reduce_mean(tf.reduce_sum(loss, axis=0))

    def metrics(self, outputs: tf.Tensor, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns fractions of the episodes without teaching.

        An episode is solved if its path is a shortest one. It fails if its path is more than one
        edge longer, or does not reach the goal (the paper's criterion for the next lesson).
        """
        choice = batch.extras
        is_measured = tf.cast(choice.is_measured[0], outputs.dtype)

        def part_within(number: int) -> tf.Tensor:
            is_within = (choice.num_more >= 0) & (choice.num_more <= number)
            found = tf.cast(tf.reduce_any(is_within, axis=0), outputs.dtype)
            total = tf.maximum(tf.reduce_sum(is_measured), 1.0)
            return tf.reduce_sum(found * is_measured) / total

        return {"failed_sequences": 1.0 - part_within(1), "solved_sequences": part_within(0)}

    def describe_error(self, error: float) -> str:
        """Returns a fraction of failures as text."""
        return f"{error:.1%} of the paths longer than the shortest by more than one"

    def _plan(self, now: Environment, key: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Plans an edge, backwards. Returns the node where it begins, and its triple or BLANK."""
        to_planned = now.neighbours == now.planned[:, tf.newaxis, tf.newaxis]
        distance = tf.gather(now.from_start, now.planned, batch_dims=1)
        is_nearer = now.from_start == distance[:, tf.newaxis] - 1
        is_right = now.is_edge & to_planned & is_nearer[:, :, tf.newaxis]
        is_planning = (now.t > now.num_edges) & (now.t <= now.num_edges + self.num_planning)
        is_right &= is_planning[:, tf.newaxis, tf.newaxis]
        flat = [is_right.shape[0], -1]
        chosen = draws.any_of(key, tf.reshape(is_right, flat))
        triple = tf.gather(tf.reshape(now.triples, [*flat, 3]), chosen, batch_dims=1)
        is_edge = tf.reduce_any(is_right, axis=[1, 2])
        node = tf.where(is_edge, chosen // is_right.shape[2], now.planned)
        return node, tf.where(is_edge[:, tf.newaxis], triple, BLANK)

    def _is_answer(self, now: Environment) -> tf.Tensor:
        """Returns whether an answer is required at a time step, [B]."""
        is_underway = (now.num_left > 0) & (tf.gather(now.to_goal, now.node, batch_dims=1) > 0)
        return (now.t > now.num_edges + self.num_planning) & is_underway

    def _observe(self, now: Environment, taken: tf.Tensor) -> tf.Tensor:
        """Returns the observation at a time step, after an edge was taken (or none)."""
        told = tf.gather(now.told, tf.minimum(now.t, now.told.shape[1] - 1), axis=1)
        ends = [now.node, tf.argmin(now.to_goal, axis=1, output_type=tf.int32)]
        start, goal = (tf.gather(now.triples[:, :, 0, 0], x, batch_dims=1) for x in ends)
        query = tf.stack([start, tf.fill(start.shape, BLANK), goal], axis=1)
        is_answer = self._is_answer(now)
        is_query, is_first = now.t == now.num_edges, now.t == now.num_edges + self.num_planning + 1
        shown = tf.where((now.t < now.num_edges)[:, tf.newaxis], told, BLANK)
        shown = tf.where(is_query[:, tf.newaxis], query, shown)
        shown = tf.where(is_answer[:, tf.newaxis], taken, shown)
        channels = tf.cast(tf.stack([is_query | is_first, is_answer], axis=1), tf.float32)
        return tf.concat([triples.one_hot(shown), channels], axis=1)


def distances(drawn: Graphs) -> tf.Tensor:
    """Returns the number of edges from each node to each other, int32 [B, N, N]; N without a path.

    Row i contains the distances from node i.
    """
    size = drawn.neighbours.shape[1]
    edges = tf.one_hot(drawn.neighbours, size) * tf.cast(drawn.is_edge, tf.float32)[..., tf.newaxis]
    adjacent = tf.reduce_max(edges, axis=2)
    reached = tf.eye(size, batch_shape=[drawn.neighbours.shape[0]])

    def extend(
        number: Any, reached: tf.Tensor, found: tf.Tensor
    ) -> tuple[Any, tf.Tensor, tf.Tensor]:
        found += tf.cast(reached == 0.0, tf.int32)
        return number + 1, tf.maximum(reached, tf.minimum(reached @ adjacent, 1.0)), found

    _, _, found = tf.while_loop(
        lambda number, *_: number < size,
        extend,
        (tf.constant(0), reached, tf.zeros(reached.shape, tf.int32)),
        maximum_iterations=size,
    )
    return found


def draw_ends(
    key: tf.Tensor, drawn: Graphs, distance: tf.Tensor, lengths: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Draws starts and goals at given distances, uniformly among all such pairs of nodes.

    Args:
      key: key of the random numbers.
      drawn: the graphs.
      distance: result of `distances`.
      lengths: int32 [B]; if no pair of nodes has this distance, the next smaller one is used.

    Returns:
      Numbers of the start and goal nodes, int32 [B] each.
    """
    size = distance.shape[1]
    is_node = tf.range(size) < drawn.num_nodes[:, tf.newaxis]
    is_pair = is_node[:, :, tf.newaxis] & is_node[:, tf.newaxis]
    allowed = is_pair & (distance > 0) & (distance <= lengths[:, tf.newaxis, tf.newaxis])
    largest = tf.reduce_max(tf.where(allowed, distance, 0), axis=[1, 2], keepdims=True)
    is_choice = allowed & (distance == largest)
    chosen = draws.any_of(key, tf.reshape(is_choice, [-1, size * size]))
    return chosen // size, chosen % size


def scores(outputs: tf.Tensor, choices: tf.Tensor, is_edge: tf.Tensor) -> tf.Tensor:
    """Returns the log-probability of each triple, or a very low number where there is none.

    Args:
      outputs: [..., 90].
      choices: triples, int32 [..., D, 3].
      is_edge: whether each triple exists, bool [..., D].

    Returns:
      [..., D].
    """
    groups = [*outputs.shape[:-1], triples.DIGITS, 10]
    log_p = tf.nn.log_softmax(tf.reshape(outputs, groups))
    log_p = tf.reshape(log_p, [*outputs.shape[:-1], triples.WIDTH, 1])
    found = tf.squeeze(triples.one_hot(choices) @ log_p, axis=-1)
    return tf.where(is_edge, found, np.float32(-1e9))
