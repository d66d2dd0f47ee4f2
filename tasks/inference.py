"""Inference: see a graph, then find where relations lead (Graves et al. 2016, Methods).

The edges of the graph have labels from 0 to 9. A relation stands for a sequence of two to five such
edges, as "grandmother" does for "father, mother" or others. There are 400 fixed relations, with the
labels 10 to 409, whose meaning is never shown. An episode about a graph of E edges asks about three
of them, one after another, each in twelve steps:

==============  ==========================================  =======================
steps           observation (92 wide)                       target (90 wide)
==============  ==========================================  =======================
0 .. E - 1      the triples of all edges in a random order  0
E               a start and a relation, (s, r, _)           0
E + 1 .. E + 10 blank                                       0
E + 11          blank                                       where it leads, (s, r, d)
E + 12 ...      the next question
==============  ==========================================  =======================

`tasks.graphs.triples` defines the encoding of a triple. The channel for the beginning of a phase is
1 at the first and the last step of a question. The channel that requires an answer is 1 at the last
step, which counts (mask 1). For each question the length of the relation is drawn uniformly, then a
start and a relation from all pairs that lead somewhere.
"""

import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tasks import draws, encoding
from tasks.base import Batch, Benchmark, make_batch
from tasks.graphs import graphs, triples
from tasks.graphs.graphs import Graphs
from tasks.graphs.task import GraphTask
from tasks.graphs.triples import BLANK
from tasks.options import option

NUM_EDGE_LABELS = 10
FIRST_RELATION = 10  # Its label.
_NONE = -1
_PLANNING = 10  # Steps between a question and its answer.
# Extended Data Table 4: percentages of right answers after each lesson.
_FINAL = (
    *(2.3, 8.9, 14.3, 15.5, 22.7, 25.8, 31.2, 47.6, 55.1),
    *(49.4, 50.2, 66.3, 78.9, 68.6, 78.4, 91.1, 95.5),
)
_FAMILY = (0, 0, 0, 0, 0, 0, 0.1, 0.1, 0, 14.5, 11.1, 20.4, 43.6, 18.6, 26.4, 61.9, 81.8)


@functools.cache
def relations() -> np.ndarray:
    """Returns the edges that each relation stands for, int32 [400, 5], -1 after the last.

    There are a hundred of each length from 2 to 5, including all sequences of length 2. The
    sequences of length 4 were drawn from all that lead somewhere in `maps.family`.
    """
    names = (pathlib.Path(__file__).parent / "graphs" / "relations.txt").read_text("utf-8").split()
    table = np.full([len(names), max(map(len, names))], _NONE, np.int32)
    for row, name in zip(table, names, strict=True):
        row[: len(name)] = [int(edge) for edge in name]
    return table


@dataclasses.dataclass(frozen=True, kw_only=True)
class Inference(GraphTask):
    """The inference task: find where relations lead.

    The size "path" is the number of edges that a relation stands for.
    """

    name = "inference"
    # Extended Data Table 4.
    paper_lessons = (
        ((3, 3), (2, 2), (2, 2), 64),
        ((3, 5), (2, 2), (2, 2), 64),
        ((4, 6), (2, 4), (2, 2), 64),
        ((4, 6), (2, 4), (2, 2), 64),
        ((6, 12), (2, 4), (2, 2), 64),
        ((12, 18), (2, 4), (2, 2), 64),
        ((4, 6), (2, 4), (2, 3), 64),
        ((6, 12), (2, 4), (2, 3), 64),
        ((12, 18), (2, 4), (2, 3), 64),
        ((4, 6), (2, 4), (2, 4), 64),
        ((4, 6), (2, 4), (2, 4), 64),
        ((6, 12), (2, 4), (2, 4), 64),
        ((12, 18), (2, 4), (2, 4), 64),
        ((4, 6), (2, 4), (2, 5), 64),
        ((6, 12), (2, 4), (2, 5), 64),
        ((12, 18), (2, 4), (2, 5), 64),
        ((20, 25), (2, 4), (2, 5), 128),
    )

    min_path: int = option(2, "Minimum length of a relation; drawn uniformly.", minimum=2)
    max_path: int = option(5, "Maximum length of a relation.", minimum=2, maximum=5)
    min_nodes: int = option(20, "Minimum number of nodes; drawn uniformly.", minimum=3)
    max_nodes: int = option(25, "Maximum number of nodes.", minimum=3, maximum=graphs.NUM_LABELS)
    max_degree: int = option(
        4, "Maximum number of edges from a node.", minimum=1, maximum=NUM_EDGE_LABELS
    )
    num_questions: int = option(3, "Number of questions about a graph.", minimum=1)
    map: str = option(
        "", "Map to ask about instead of random graphs.", choices=("", "family"), may_change=True
    )

    metric_names = ("wrong_steps", "wrong_sequences", "solved_sequences")

    def right(self, metrics: Mapping[str, float]) -> float:
        """Returns the share of questions answered right, which the paper must have counted.

        After lesson 6 a network has learned a quarter of the relations of the last lesson, and the
        paper reports 25.8 %. It could solve only 1 in 64 episodes with three questions.
        """
        return 1.0 - metrics["wrong_steps"]

    def describe_error(self, error: float) -> str:
        """Returns a fraction of wrong answers as text."""
        return f"{error:.1%} of the questions answered wrong"

    def steps_after_graph(self, path: Any) -> Any:
        """Returns the number of time steps of all questions."""
        return self.num_questions * (_PLANNING + 2)

    def benchmarks(self) -> Sequence[Benchmark]:
        """Returns the tests of Extended Data Table 4, and others."""
        return (
            self.benchmark("random graphs", published=_FINAL),
            self.benchmark("family, relations of 4", 4, map="family", published=_FAMILY),
            *(self.benchmark(f"random graphs, relations of {n}", n) for n in range(2, 6)),
        )

    def batch(self, split: str, seed: Any, step: Any, lesson: Any = None) -> Batch:
        """Returns a batch that depends on its arguments alone."""
        num_nodes, degrees, lengths = self.draw_sizes(
            split, seed, step, lesson, [self.num_questions]
        )
        keys = draws.keys(split, seed, step, 6)[3:]
        drawn = self.draw_graphs(keys[0], num_nodes, degrees, NUM_EDGE_LABELS)
        start, relation, end = _draw_questions(keys[2], drawn, lengths)
        start, end = (tf.gather(drawn.node_labels, x, batch_dims=1) for x in (start, end))
        answers = tf.stack([start, relation + FIRST_RELATION, end], axis=2)
        return self.encode(drawn.in_random_order(keys[1]), answers, drawn.num_edges)

    def encode(self, edges: Any, answers: Any, num_edges: Any) -> Batch:
        """Lays out given episodes as observations, targets and mask.

        Args:
          edges: int32 [B, E, 3], labels of the triples in the order in which they are shown.
          answers: int32 [B, Q, 3], start, relation and end of each question.
          num_edges: int32 [B], in [1, E]; triples from there on are ignored.
        """
        t = tf.range(self.num_steps)[:, tf.newaxis]
        number, at = (t - num_edges) // (_PLANNING + 2), (t - num_edges) % (_PLANNING + 2)
        is_after = (t >= num_edges) & (number < self.num_questions)
        is_question, is_answer = is_after & (at == 0), is_after & (at == _PLANNING + 1)
        asked = tf.where([[True, True, False]], answers, BLANK)
        observations = triples.observations(
            shown=[(edges, t, t < num_edges), (asked, number, is_question)],
            starts=is_question | is_answer,
            answers=is_answer,
        )
        target = encoding.place(triples.one_hot(answers), number, is_answer)
        return make_batch(observations, target, is_answer)


def _ends(drawn: Graphs) -> tf.Tensor:
    """Returns the node to which each relation leads from each node, or -1, int32 [B, N, R]."""
    batch_size, size, _ = drawn.neighbours.shape
    is_label = drawn.edge_labels[..., tf.newaxis] == tf.range(NUM_EDGE_LABELS)
    is_label &= drawn.is_edge[..., tf.newaxis]
    following = tf.where(is_label, drawn.neighbours[..., tf.newaxis], _NONE)
    # By node and label: no two edges of a node have the same label.
    following = tf.reshape(tf.reduce_max(following, axis=2), [batch_size, -1])
    table = relations()
    start = tf.range(size)[:, tf.newaxis]
    ends = tf.broadcast_to(start, [batch_size, size, len(table)])
    for label in table.T:
        index = tf.maximum(NUM_EDGE_LABELS * ends + label, 0)
        after = tf.where(ends == _NONE, _NONE, tf.gather(following, index, batch_dims=1))
        ends = tf.where(label == _NONE, ends, after)
    # Unused nodes have no edges, so no relation leads from them.
    return ends


def _draw_questions(key: tf.Tensor, drawn: Graphs, lengths: tf.Tensor) -> list[tf.Tensor]:
    """Draws starts and relations that lead somewhere.

    Args:
      key: key of the random numbers.
      drawn: the graphs.
      lengths: [B, Q], lengths of the relations. If no relation of a length leads anywhere, the next
        shorter length with such a relation is used. (From any node, two edges lead somewhere.)

    Returns:
      Numbers of the start, of the relation and of the node to which it leads, int32 [B, Q].
    """
    ends = _ends(drawn)
    of_relation = np.sum(relations() != _NONE, axis=1)
    leads = ends != _NONE
    possible = [tf.reduce_any(leads & (of_relation == n), axis=[1, 2]) for n in range(2, 6)]
    length = tf.fill(lengths.shape, 2)
    for number, is_possible in enumerate(possible, 2):
        length = tf.where(is_possible[:, tf.newaxis] & (number <= lengths), number, length)
    is_choice = leads[:, tf.newaxis] & (of_relation == length[..., tf.newaxis, tf.newaxis])
    chosen = draws.any_of(key, tf.reshape(is_choice, [*lengths.shape, -1]))
    number = len(of_relation)
    end = tf.gather(tf.reshape(ends, [ends.shape[0], -1]), chosen, batch_dims=1)
    return [chosen // number, chosen % number, end]
