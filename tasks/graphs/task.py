"""Base of the graph tasks: sizes, lessons and maps, and answers that are triples."""

import abc
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar

import numpy as np
import tensorflow as tf

from tasks import draws, encoding
from tasks.base import Batch, Benchmark, Contents, Task
from tasks.graphs import graphs, maps, triples
from tasks.graphs.graphs import Graphs
from tasks.graphs.triples import BLANK, DIGITS, WIDTH, labels
from tasks.lessons import PAPER, Lesson, Lessons
from tasks.options import option

T = TypeVar("T", bound="GraphTask")
Range = tuple[int, int]

_MULTIPLE = 16  # Training rounds time steps up to it, because each number has its own program.


def wrong_steps(outputs: tf.Tensor, batch: Batch) -> tf.Tensor:
    """Returns 1 for steps whose answer has a wrong digit, otherwise 0, [T, B]."""
    groups = [*outputs.shape[:2], DIGITS, 10]
    said, right = (tf.argmax(tf.reshape(x, groups), axis=3) for x in (outputs, batch.target))
    return tf.cast(tf.reduce_any(said != right, axis=2), outputs.dtype) * batch.mask


@dataclasses.dataclass(frozen=True, kw_only=True)
class GraphTask(Task):
    """A task about graphs that are shown triple by triple, with triples as answers.

    In training all graphs of a batch have the same number of nodes, the same out-degrees and paths
    of the same length, so that there is little padding. In evaluation each has its own sizes.

    Attributes:
      paper_lessons: nodes, out-degree, path and number of memory slots in each lesson of the paper.
      replay: fraction of replay in these lessons.
      batch_steps: number of time steps of all batches in training; `None`: any.
    """

    paper_lessons: ClassVar[Sequence[tuple[Range, Range, Range, int]]]
    replay: ClassVar[float] = 0.1
    metric_names: ClassVar[tuple[str, ...]] = ("wrong_sequences", "wrong_steps", "solved_sequences")

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
        """Number of time steps of the longest batch, or of all batches."""
        num_edges = len(self._map.edges) if self._map else self.max_nodes * self.max_degree
        return self.batch_steps or num_edges + self.steps_after_graph(self.max_path)

    @abc.abstractmethod
    def steps_after_graph(self, path: Any) -> Any:
        """Returns the number of time steps after the graph, for the length of a path."""

    @property
    def _map(self) -> maps.Map | None:
        return maps.MAPS[self.map]() if self.map else None

    def check(self) -> None:
        """Raises `ValueError` if a node cannot have max_degree edges."""
        if self.max_degree >= self.max_nodes:
            raise ValueError(
                f"max_degree must be below max_nodes, the number of nodes, got {self.max_degree} "
                f"and {self.max_nodes}."
            )

    def curriculum(self, name: str, **more: Any) -> Lessons:
        """Returns lessons; "paper" selects the lessons of the paper."""
        if name != PAPER:
            return super().curriculum(name, **more)
        lessons = tuple(
            Lesson({"nodes": nodes, "degree": degree, "path": path}, slots)
            for nodes, degree, path, slots in self.paper_lessons
        )
        return Lessons(lessons, replay=self.replay, **more)

    def benchmark(
        self,
        name: str,
        path: int | None = None,
        *,
        published: Sequence[float] = (),
        memory_size: int | None = None,
        **options: Any,
    ) -> Benchmark:
        """Returns a test with these options, by default the graphs and paths of the last lesson."""
        task = type(self)(batch_size=self.batch_size, **options)
        if path is not None:
            task = task.with_size("path", path)
        return Benchmark(name, task, published, memory_size)

    def steps_of_batch(self, split: str, seed: int, step: int, lesson: int | None = None) -> int:
        """Returns the number of time steps of a batch; in training, as required by its graphs."""
        if self.batch_steps or split != "train" or self.map:
            return self.num_steps
        with tf.init_scope(), tf.device("CPU"):
            nodes, degrees, length = (x[0] for x in self.draw_sizes(split, seed, step, lesson))
            num_edges = tf.reduce_sum(tf.minimum(degrees[:nodes], nodes - 1))
            steps = int(num_edges + self.steps_after_graph(length))
        return min(-(-steps // _MULTIPLE) * _MULTIPLE, self.num_steps)

    def of_length(self: T, num_steps: int) -> T:
        """Returns this task, restricted to batches of `num_steps` time steps."""
        return dataclasses.replace(self, batch_steps=num_steps)

    input_size = property(lambda self: WIDTH + 2)
    output_size = property(lambda self: WIDTH)

    def loss(self, outputs: tf.Tensor, batch: Batch) -> tf.Tensor:
        """Returns the cross-entropy of the nine digits of answers, in nats per episode."""
        groups = [*outputs.shape[:2], DIGITS, 10]
        loss = tf.nn.softmax_cross_entropy_with_logits(
            tf.reshape(batch.target, groups), tf.reshape(outputs, groups)
        )
        return tf.reduce_mean(tf.reduce_sum(tf.reduce_sum(loss, axis=2) * batch.mask, axis=0))

    def metrics(self, outputs: tf.Tensor, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns the fractions of wrong sequences, wrong answer steps and solved sequences.

        An answer is right only if all digits of all its triples are right.
        """
        wrong = wrong_steps(outputs, batch)
        is_wrong = tf.reduce_mean(tf.cast(tf.reduce_any(wrong > 0, axis=0), outputs.dtype))
        return {
            "wrong_sequences": is_wrong,
            "wrong_steps": tf.reduce_sum(wrong) / tf.reduce_sum(batch.mask),
            "solved_sequences": 1.0 - is_wrong,
        }

    def is_solved(self, metrics: Mapping[str, float]) -> bool:
        """Returns whether at least 98 % of the answers are right."""
        return metrics["solved_sequences"] >= 0.98

    def describe_error(self, error: float) -> str:
        """Returns a fraction of wrong answers as text."""
        return f"{error:.1%} of the answers wrong"

    def answer(self, outputs: Any) -> Any:
        """Returns the triples of the most likely digits, one-hot."""
        groups = np.reshape(np.asarray(outputs), [*np.shape(outputs)[:-1], DIGITS, 10])
        return np.reshape(np.eye(10, dtype=np.float32)[groups.argmax(axis=-1)], np.shape(outputs))

    def to_human_readable(
        self, batch: Batch, outputs: Any = None, whole_batch: bool = False
    ) -> str:
        """Returns the first episode (or all) as text, one triple per line.

        The model's answer follows the right one in brackets if it differs.
        """
        target, mask = np.asarray(batch.target), np.asarray(batch.mask)
        said = None if outputs is None else labels(self.answer(outputs))
        right = labels(target)
        episodes = []
        for b, lines in enumerate(self.step_labels(batch)[: None if whole_batch else 1]):
            for t in np.flatnonzero(mask[:, b]):
                if said is not None and (said[t, b] != right[t, b]).any():
                    lines[t] += f"  [{self.text(said[t, b])}]"
            episodes.append("\n".join(filter(None, lines)))
        return "\n\n".join(episodes)

    def step_labels(self, batch: Batch) -> list[list[str]]:
        """Returns each step's triple: "? 031 204 _" in a query, "= 031 204 007" in an answer."""
        observations, mask = np.asarray(batch.observations), np.asarray(batch.mask)
        seen, right = labels(observations[:, :, :WIDTH]), labels(batch.target)
        found = []
        for b in range(mask.shape[1]):
            starts = np.flatnonzero(observations[:, b, WIDTH])
            length = np.flatnonzero(mask[:, b])[-1] + 1
            lines = [self.text(triple) for triple in seen[: starts[0], b]]
            for t in range(starts[0], length):
                is_answer = mask[t, b] > 0
                triple = self.text((right if is_answer else seen)[t, b])
                lines.append(f"= {triple}" if is_answer else f"? {triple}")
            found.append(encoding.padded(lines, mask.shape[0]))
        return found

    def contents(self, batch: Batch) -> Contents:
        """Returns the digits of the triples of each graph."""
        observations = np.asarray(batch.observations)
        groups = np.reshape(observations[..., :WIDTH], [*observations.shape[:2], DIGITS, 10])
        is_graph = np.cumsum(observations[..., WIDTH], axis=0) == 0
        digits = np.where(is_graph[..., np.newaxis], groups.argmax(axis=3), BLANK)
        # A space after the last digit of each label.
        return Contents(digits, [[f"{n}{' ' * (g % 3 == 2)}" for n in range(10)] for g in range(9)])

    def text(self, triple: Sequence[int]) -> str:
        """Returns a triple as text."""
        return triples.text(triple)

    def draw_told(
        self, split: str, seed: Any, step: Any, lesson: Any = None
    ) -> tuple[Graphs, tf.Tensor, tf.Tensor, tf.Tensor]:
        """Draws the graphs that the network sees, for the arguments of `batch`.

        Returns:
          The graphs; their triples [B, E, 3] in the order in which they are shown; the lengths of
          the paths, int32 [B]; and a key of random numbers for the questions.
        """
        num_nodes, degrees, lengths = self.draw_sizes(split, seed, step, lesson)
        keys = draws.keys(split, seed, step, 6)[3:]
        drawn = self.draw_graphs(keys[0], num_nodes, degrees)
        return drawn, drawn.in_random_order(keys[1]), lengths, keys[2]

    def draw_graphs(
        self,
        key: tf.Tensor,
        num_nodes: tf.Tensor,
        degrees: tf.Tensor,
        num_names: int | None = None,
    ) -> Graphs:
        """Returns random graphs of these sizes, or the map; `num_names` as for `graphs.draw`."""
        if self._map:
            return self._map.with_labels(
                key, self.batch_size, are_names_fixed=num_names is not None
            )
        return graphs.draw(key, num_nodes, degrees, self.max_degree, num_names)

    def draw_sizes(
        self, split: str, seed: Any, step: Any, lesson: Any, path_shape: Sequence[int] = ()
    ) -> list[tf.Tensor]:
        """Returns numbers of nodes [B], out-degrees [B, N] and path lengths [B, *path_shape].

        The arguments are as for `batch`. All episodes of a training batch have the same sizes,
        except lengths with a shape.
        """
        keys = draws.keys(split, seed, step, 6)
        lesson = self.draw_lessons(split, seed, step, lesson)
        drawn = [
            self.draw_size("nodes", keys[0], lesson),
            self.draw_size("degree", keys[1], lesson, [self.max_nodes]),
            self.draw_size("path", keys[2], lesson, path_shape),
        ]
        if split != "train":
            return drawn
        return [
            sizes if path_shape and sizes is drawn[2] else tf.repeat(sizes[:1], len(sizes), axis=0)
            for sizes in drawn
        ]
