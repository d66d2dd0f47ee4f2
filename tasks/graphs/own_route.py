"""Routes of your own on a map, about which `tasks.graphs.route` asks a model."""

import abc
import dataclasses
import difflib
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tasks import draws
from tasks.base import Batch
from tasks.graphs import triples
from tasks.graphs.graphs import NUM_LABELS, Graphs
from tasks.graphs.maps import MAPS
from tasks.graphs.task import GraphTask
from tasks.shortest_path import ShortestPath, distances, scores
from tasks.traversal import Traversal


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnRoute(GraphTask):
    """A route of your own on a map, with names in place of labels. Every batch contains this route.

    Attributes:
      seed: seed of the labels, and of the order in which the map is shown.
    """

    seed: int = 0

    @functools.cached_property
    def drawn(self) -> Graphs:
        """The map with its labels."""
        return self.draw_told("test", self.seed, 0)[0]

    @functools.cached_property
    def _names(self) -> Sequence[dict[int, str]]:
        """Names of sources, edges and destinations by label."""
        own, is_edge = MAPS[self.map](), self.drawn.is_edge[0].numpy()
        nodes = dict(zip(self.drawn.node_labels[0].numpy(), own.nodes, strict=True))
        names = np.take(own.labels, own.names[is_edge])
        edges = dict(zip(self.drawn.edge_labels[0].numpy()[is_edge], names, strict=True))
        return nodes, edges, nodes

    def text(self, triple: Sequence[int]) -> str:
        """Returns the names of a triple. A label without a name is shown as its digits."""
        if not any(triple):
            return "end"
        pairs = zip(self._names, triple, strict=True)
        return ", ".join(names.get(label) or triples.text([label]) for names, label in pairs)

    @abc.abstractmethod
    def answers(self, batch: Batch, outputs: Any) -> tuple[np.ndarray, np.ndarray]:
        """Returns the network's triples and the right ones, int [T, 1, 3] each."""

    @abc.abstractmethod
    def summary(self, batch: Batch, is_right: Sequence[bool]) -> str:
        """Returns a summary of all answers in one sentence."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnPath(OwnRoute, Traversal):
    """A path to follow.

    Attributes:
      edges: numbers of the source of each edge and of the edge among all edges of this source.
    """

    name = Traversal.name
    edges: Sequence[tuple[int, int]] = ()

    @classmethod
    def along(cls, options: Mapping[str, Any], start: str, edges: Sequence[str]) -> "OwnPath":
        """Returns the path along edges.

        Args:
          options: options of the task.
          start: name of the node where it begins.
          edges: names of its edges.

        Raises:
          ValueError: if there is no such node, or an edge does not leave the node before it.
        """
        own = MAPS[options["map"]]()
        node, found = number_of(own.nodes, start), []
        for name in edges:
            names = [own.labels[label] for label in own.names[node, : own.degrees[node]]]
            if name not in names:
                raise ValueError(
                    f"No edge {name!r} leaves {own.nodes[node]}. These do: {', '.join(names)}."
                )
            found.append((node, names.index(name)))
            node = int(own.neighbours[found[-1]])
        sizes = {"min_path": len(edges), "max_path": len(edges)}
        return cls(**{**options, **sizes}, edges=tuple(found))

    def draw_path(self, key: tf.Tensor, drawn: Graphs) -> tf.Tensor:
        """Returns the triples of the path, int32 [1, K, 3]."""
        return tf.gather_nd(drawn.triples()[0], self.edges)[tf.newaxis]

    def answers(self, batch: Batch, outputs: Any) -> tuple[np.ndarray, np.ndarray]:
        """Returns the network's triples and the right ones, int [T, 1, 3] each."""
        return triples.labels(outputs), triples.labels(batch.target)

    def summary(self, batch: Batch, is_right: Sequence[bool]) -> str:
        """Returns the number of right answers."""
        number = len(is_right)
        if not all(is_right):
            return f"{sum(is_right)} of {number} answers are right."
        return f"All {number} answers are right." if number > 1 else "The answer is right."


@dataclasses.dataclass(frozen=True, kw_only=True)
class OwnEnds(OwnRoute, ShortestPath):
    """A start and a goal, between which the network finds its way.

    Attributes:
      ends: numbers of the two nodes.
    """

    name = ShortestPath.name
    ends: tuple[int, int] = (0, 1)

    @classmethod
    def between(cls, options: Mapping[str, Any], start: str, goal: str) -> "OwnEnds":
        """Returns the question for a path from start to goal.

        Args:
          options: options of the task.
          start: name of a node.
          goal: name of a node.

        Raises:
          ValueError: if there is no such node, or no path, or the two are the same.
        """
        own = MAPS[options["map"]]()
        ends = number_of(own.nodes, start), number_of(own.nodes, goal)
        if start == goal:
            raise ValueError(f"The goal is the start, {start}. Give another one.")
        labelled = own.with_labels(draws.keys("test", 0, 0, 1)[0], 1)
        distance = int(distances(labelled)[0, ends[0], ends[1]])
        if distance == len(own.nodes):
            raise ValueError(f"There is no path from {start} to {goal}.")
        return cls(**{**options, "min_path": distance, "max_path": distance}, ends=ends)

    def draw_ends(self, *_: Any) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the numbers of the start and goal nodes."""
        return tf.constant(self.ends[:1]), tf.constant(self.ends[1:])

    def answers(self, batch: Batch, outputs: Any) -> tuple[np.ndarray, np.ndarray]:
        """Returns the network's edges and right ones, which equal the network's where possible."""
        choice = batch.extras
        own = tf.argmax(scores(outputs, choice.triples, choice.is_edge), axis=2)
        taken = tf.gather(choice.triples, own, batch_dims=2).numpy()
        to_goal = np.zeros(1 + NUM_LABELS, int)
        to_goal[self.drawn.node_labels[0]] = distances(self.drawn)[0, :, self.ends[1]]
        is_right = to_goal[taken[:, :, 2:]] == to_goal[taken[:, :, :1]] - 1
        return taken, np.where(is_right, taken, triples.labels(batch.target))

    def summary(self, batch: Batch, is_right: Sequence[bool]) -> str:
        """Returns a sentence on whether the network arrived, with the number of edges."""
        has_arrived = np.max(batch.extras.num_more) >= 0
        found = "It arrived." if has_arrived else "It did not arrive."
        return f"{found} Edges taken: {len(is_right)}, in a shortest path: {self.max_path}."


def number_of(names: Sequence[str], given: str) -> int:
    """Returns the number of a node.

    Raises:
      ValueError: if there is none of this name.
    """
    if given in names:
        return names.index(given)
    near = difflib.get_close_matches(given, names)
    few = f"It has {len(names)} nodes: {', '.join(names[:5])}, ..."
    advice = f"Did you mean {' or '.join(near)}?" if near else few
    raise ValueError(f"The map has no {given!r}. {advice}")
