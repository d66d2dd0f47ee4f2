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

`tasks.graphs.triples` defines the encoding of a triple. The channel for the beginning of a phase is
1 at steps E and E + k. The channel that requires answers is 1 from step E + k on, where the answers
count (mask 1). Start and path are drawn uniformly.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tasks import encoding
from tasks.base import Batch, Benchmark, make_batch
from tasks.graphs import graphs, triples
from tasks.graphs.graphs import Graphs
from tasks.graphs.task import GraphTask
from tasks.graphs.triples import BLANK, END
from tasks.options import option

# Extended Data Table 3: percentages of right answers after each lesson.
_FINAL = (10.7, 19.7, 27.3, 38.2, 39.7, 47.5, 48.1, 59.4, 59.0, 72.3, 81.6, 90.7, 96.8, 99.0)
_LONDON = (0, 0, 0, 0, 0, 0, 0.1, 13.6, 15.0, 72.8, 88.6, 91.8, 96.0, 98.8)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Traversal(GraphTask):
    """The traversal task: follow a path through a graph."""

    name = "traversal"
    # Extended Data Table 3, with more slots than edges except in a few of the largest graphs.
    paper_lessons = (
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

    max_path: int = option(20, "Maximum number of edges in a path.", minimum=1)

    def steps_after_graph(self, path: Any) -> Any:
        """Returns the number of time steps of query and answer."""
        return 2 * path + 1

    def benchmarks(self) -> Sequence[Benchmark]:
        """Returns the tests of Extended Data Table 3, and others."""
        return (
            self.benchmark("random graphs", published=_FINAL),
            self.benchmark("London, paths of 7", 7, map="london", published=_LONDON),
            self.benchmark("London, paths of 20", 20, map="london"),
            self.benchmark("all lines of London, paths of 7", 7, map="london_all"),
            self.benchmark("Vienna, paths of 7", 7, map="vienna"),
            self.benchmark("family, paths of 4", 4, map="family"),
            self.benchmark("random graphs, paths of 20", 20),
            self.benchmark("random graphs, paths of 40", 40),
            self.benchmark(
                "60 nodes, paths of 10", 10, min_nodes=60, max_nodes=60, memory_size=400
            ),
        )

    def batch(self, split: str, seed: Any, step: Any, lesson: Any = None) -> Batch:
        """Returns a batch that depends on its arguments alone."""
        drawn, told, lengths, key = self.draw_told(split, seed, step, lesson)
        return self.encode(told, self.draw_path(key, drawn), drawn.num_edges, lengths)

    def draw_path(self, key: tf.Tensor, drawn: Graphs) -> tf.Tensor:
        """Returns the triples of a path of the maximum length, int32 [B, K, 3]."""
        return graphs.walk(key, drawn, self.max_path)

    def encode(self, edges: Any, path: Any, num_edges: Any, lengths: Any) -> Batch:
        """Lays out given episodes as observations, targets and mask.

        Args:
          edges: int32 [B, E, 3], labels of the triples in the order in which they are shown.
          path: int32 [B, K, 3], triples of the path.
          num_edges: int32 [B], in [1, E]; triples from there on are ignored.
          lengths: int32 [B], in [1, K], number of edges in the path.
        """
        t = tf.range(self.num_steps)[:, tf.newaxis]
        query, answer = num_edges, num_edges + lengths
        end = answer + lengths
        is_first = tf.range(path.shape[1])[:, tf.newaxis] == 0
        # The query contains the edges and the first node.
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
