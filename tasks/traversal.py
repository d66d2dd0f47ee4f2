"""Graph traversal: see a graph, then follow a path through it (Graves et al. 2016, Methods).

An episode about a graph of E edges and a path of k edges:

=====================  ==========================================  ========================
steps                  observation (92 wide)                       target (90 wide)
=====================  ==========================================  ========================
0 .. E - 1             the triples of all edges in a random order  0
E                      start and first edge of the path, (s, e, _)  0
E + 1 .. E + k - 1     the other edges, (_, e, _)                  0
E + k .. E + 2 k - 1   blank                                       the triples of the path
E + 2 k                blank                                       (000, 000, 000): the end
=====================  ==========================================  ========================

`tasks.graphs.triples` says how a triple is encoded. The channel for the beginning of a phase is 1
at steps E and E + k, the one that asks for answers from step E + k on, where the answers count
(mask 1). Start and path are drawn uniformly.
"""

import dataclasses
from typing import Any

import tensorflow as tf

from tasks import draws, encoding
from tasks.base import Batch, make_batch
from tasks.graphs import graphs, maps, triples
from tasks.graphs.triples import BLANK, END
from tasks.lessons import PAPER, Lesson, Lessons
from tasks.options import option

_MULTIPLE = 16  # Time steps are rounded up to it in training: each number has a program.
# Nodes, out-degree and path of each lesson (Extended Data Table 3), and how many slots it is given:
# more than the graphs have edges, apart from a few of the largest.
_LESSONS = (
    ((3, 10), (2, 4), (1, 1), 48),
    ((3, 10), (2, 4), (1, 2), 48),
    ((5, 10), (2, 4), (1, 3), 48),
    ((5, 10), (2, 4), (1, 4), 48),
    ((10, 15), (2, 4), (1, 4), 64),
    ((10, 15), (2, 4), (1, 5), 64),
    ((10, 20), (2, 4), (1, 5), 96),
    ((10, 20), (2, 4), (1, 6), 96),
    ((10, 30), (2, 4), (1, 6), 128),
    ((10, 30), (2, 4), (1, 7), 128),
    ((10, 30), (2, 4), (1, 8), 128),
    ((10, 30), (2, 4), (1, 9), 128),
    ((10, 40), (2, 6), (1, 10), 256),
    ((10, 40), (2, 6), (1, 20), 256),
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Traversal(triples.TripleTask):
    """The traversal task: follow a path through a graph.

    In training all graphs of a batch have the same number of nodes, the same out-degrees and paths
    of the same length, so that little of it is padding. In evaluation each has its own.

    Attributes:
      batch_steps: number of time steps of all batches in training; `None`: any.
    """

    name = "traversal"

    min_path: int = option(1, "Minimum number of edges in a path; drawn uniformly.", minimum=1)
    max_path: int = option(20, "Maximum number of edges in a path.", minimum=1)
    min_nodes: int = option(10, "Minimum number of nodes; drawn uniformly.", minimum=2)
    max_nodes: int = option(40, "Maximum number of nodes.", minimum=2, maximum=graphs.NUM_LABELS)
    min_degree: int = option(2, "Minimum number of edges from a node; drawn uniformly.", minimum=1)
    max_degree: int = option(6, "Maximum number of edges from a node.", minimum=1)
    map: str = option(
        "", "Map to walk on instead of random graphs.", choices=("", *maps.MAPS), may_change=True
    )
    batch_steps: int | None = None

    @property
    def num_steps(self) -> int:
        """Time steps of the longest batch, or of all."""
        num_edges = len(self._map.edges) if self._map else self.max_nodes * self.max_degree
        return self.batch_steps or num_edges + 2 * self.max_path + 1

    @property
    def _map(self) -> maps.Map | None:
        return maps.MAPS[self.map]() if self.map else None

    def check(self) -> None:
        """Raises `ValueError` if a node cannot have so many edges."""
        if self.max_degree >= self.max_nodes:
            raise ValueError(
                f"max_degree must be below max_nodes, the number of nodes, got {self.max_degree} "
                f"and {self.max_nodes}."
            )

    def curriculum(self, name: str, **more: Any) -> Lessons:
        """Returns lessons; "paper": the fourteen of the paper, with a tenth of replay."""
        if name != PAPER:
            return super().curriculum(name, **more)
        lessons = tuple(
            Lesson({"nodes": nodes, "degree": degree, "path": path}, slots)
            for nodes, degree, path, slots in _LESSONS
        )
        return Lessons(lessons, replay=0.1, **more)

    def steps_of_batch(self, split: str, seed: int, step: int, lesson: int | None = None) -> int:
        """Returns the number of time steps of a batch: in training that of its graphs."""
        if self.batch_steps or split != "train" or self.map:
            return self.num_steps
        with tf.init_scope(), tf.device("CPU"):
            nodes, degrees, length = (x[0] for x in self._draw_sizes(split, seed, step, lesson))
            num_edges = tf.reduce_sum(tf.minimum(degrees[:nodes], nodes - 1))
            steps = int(num_edges + 2 * length + 1)
        return min(-(-steps // _MULTIPLE) * _MULTIPLE, self.num_steps)

    def of_length(self, num_steps: int) -> "Traversal":
        """Returns this task with batches of this number of time steps only."""
        return dataclasses.replace(self, batch_steps=num_steps)

    def batch(self, split: str, seed: Any, step: Any, lesson: Any = None) -> Batch:
        """Returns a batch that depends on its arguments alone."""
        num_nodes, degrees, lengths = self._draw_sizes(split, seed, step, lesson)
        keys = draws.keys(split, seed, step, 6)[3:]
        if self._map:
            drawn = self._map.with_labels(keys[0], self.batch_size)
        else:
            drawn = graphs.draw(keys[0], num_nodes, degrees, self.max_degree)
        return self.encode(
            drawn.in_random_order(keys[1]),
            graphs.walk(keys[2], drawn, self.max_path),
            drawn.num_edges,
            lengths,
        )

    def encode(self, edges: Any, path: Any, num_edges: Any, lengths: Any) -> Batch:
        """Lays out given episodes as observations, targets and mask.

        Args:
          edges: int32 [B, E, 3], labels of the triples in the order in which they are told.
          path: int32 [B, K, 3], triples of the path.
          num_edges: int32 [B], in [1, E]; triples from there on are ignored.
          lengths: int32 [B], in [1, K], number of edges in the path.
        """
        t = tf.range(self.num_steps)[:, tf.newaxis]
        query, answer = num_edges, num_edges + lengths
        end = answer + lengths
        is_first = tf.range(path.shape[1])[:, tf.newaxis] == 0
        # The query names the edges, and the first of the nodes.
        asked = tf.where([[True, True, False]], path, BLANK)
        asked = tf.where(is_first | [[False, True, False]], asked, BLANK)
        is_answer = (t >= answer) & (t <= end)
        observations = triples.observations(
            shown=[
                (edges, t, t < query),
                (asked, t - query, (t >= query) & (t < answer)),
            ],
            starts=(t == query) | (t == answer),
            answers=is_answer,
        )
        said = tf.pad(path, [[0, 0], [0, 1], [0, 0]], constant_values=END)
        index = tf.where(t == end, path.shape[1], t - answer)
        target = encoding.place(triples.one_hot(said), index, is_answer)
        return make_batch(observations, target, is_answer)

    def _draw_sizes(self, split: str, seed: Any, step: Any, lesson: Any) -> list[tf.Tensor]:
        """Numbers of nodes [B], out-degrees [B, N] and lengths of the paths [B]."""
        keys = draws.keys(split, seed, step, 6)
        lesson = self.draw_lessons(split, seed, step, lesson)
        drawn = [
            self.draw_size("nodes", keys[0], lesson),
            self.draw_size("degree", keys[1], lesson, [self.max_nodes]),
            self.draw_size("path", keys[2], lesson),
        ]
        if split == "train":  # The first episode's for all.
            drawn = [tf.repeat(sizes[:1], self.batch_size, axis=0) for sizes in drawn]
        return drawn
