"""Triples of labels, as a network sees and says them (Graves et al. 2016, Methods).

A triple is source, edge and destination. A label, from 0 to 999, is three decimal digits, each
one-hot: 30 channels, hundreds first. In a blank label they are all 0. An observation has two
channels more: one is 1 on the first step of each phase after the description, one as long as an
answer is required. The network says a triple as nine groups of ten logits.
"""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from tasks import encoding
from tasks.base import Batch, Task

BLANK = -1
END = 0  # An answer ends with a triple of this label.
DIGITS = 9  # Of a triple.
WIDTH = 10 * DIGITS


def one_hot(triples: Any) -> tf.Tensor:
    """Returns labels [..., 3], from 0 to 999 or `BLANK`, as channels [..., 90]."""
    labels = tf.cast(triples, tf.int32)[..., tf.newaxis]
    digits = tf.where(labels == BLANK, BLANK, labels // tf.constant([100, 10, 1]) % 10)
    return tf.reshape(tf.one_hot(digits, 10), [*labels.shape[:-2], WIDTH])


def labels(channels: Any) -> np.ndarray:
    """Returns the labels [..., 3] of channels or logits [..., 90]; `BLANK` where all are 0."""
    groups = np.reshape(np.asarray(channels), [*np.shape(channels)[:-1], 3, 3, 10])
    found = groups.argmax(axis=-1) @ [100, 10, 1]
    return np.where((groups == 0).all(axis=(-1, -2)), BLANK, found)


def text(triple: Sequence[int]) -> str:
    """Returns a triple as text, such as "031 204 007", with "_" for a blank label."""
    return " ".join("_" if label == BLANK else f"{label:03d}" for label in triple)


def wrong_steps(outputs: tf.Tensor, batch: Batch) -> tf.Tensor:
    """Returns at which steps an answer has a wrong digit, 0 or 1, [T, B]."""
    groups = [*outputs.shape[:2], DIGITS, 10]
    said, right = (tf.argmax(tf.reshape(x, groups), axis=3) for x in (outputs, batch.target))
    return tf.cast(tf.reduce_any(said != right, axis=2), outputs.dtype) * batch.mask


@dataclasses.dataclass(frozen=True, kw_only=True)
class TripleTask(Task):
    """A task about graphs whose answers are triples."""

    metric_names: ClassVar[tuple[str, ...]] = ("wrong_sequences", "wrong_steps", "solved_sequences")

    input_size = property(lambda self: WIDTH + 2)
    output_size = property(lambda self: WIDTH)

    def loss(self, outputs: tf.Tensor, batch: Batch) -> tf.Tensor:
        """Returns the cross-entropy in nats per episode: nine softmaxes at each answer step."""
        groups = [*outputs.shape[:2], DIGITS, 10]
        loss = tf.nn.softmax_cross_entropy_with_logits(
            tf.reshape(batch.target, groups), tf.reshape(outputs, groups)
        )
        return tf.reduce_mean(tf.reduce_sum(tf.reduce_sum(loss, axis=2) * batch.mask, axis=0))

    def metrics(self, outputs: tf.Tensor, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns fractions: of sequences and of answer steps with an error, and of the others.

        An answer is right only if all digits of all of its triples are.
        """
        wrong = wrong_steps(outputs, batch)
        is_wrong = tf.reduce_mean(tf.cast(tf.reduce_any(wrong > 0, axis=0), outputs.dtype))
        return {
            "wrong_sequences": is_wrong,
            "wrong_steps": tf.reduce_sum(wrong) / tf.reduce_sum(batch.mask),
            "solved_sequences": 1.0 - is_wrong,
        }

    def is_solved(self, metrics: Mapping[str, float]) -> bool:
        """Whether at least 98 % of the answers are right."""
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
        """Returns the first episode (or all) as text, a triple a line.

        After an answer stands, in brackets, the model's if it differs.
        """
        target, mask = np.asarray(batch.target), np.asarray(batch.mask)
        said = None if outputs is None else labels(self.answer(outputs))
        right = labels(target)
        episodes = []
        for b, lines in enumerate(self.step_labels(batch)[: None if whole_batch else 1]):
            for t in np.flatnonzero(mask[:, b]):
                if said is not None and (said[t, b] != right[t, b]).any():
                    lines[t] += f"  [{text(said[t, b])}]"
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
            lines = [text(triple) for triple in seen[: starts[0], b]]
            for t in range(starts[0], length):
                lines.append(f"= {text(right[t, b])}" if mask[t, b] else f"? {text(seen[t, b])}")
            found.append(encoding.padded(lines, mask.shape[0]))
        return found


def observations(
    shown: Iterable[tuple[tf.Tensor, tf.Tensor, tf.Tensor]],
    starts: tf.Tensor,
    answers: tf.Tensor,
) -> tf.Tensor:
    """Returns observations [T, B, 92].

    Args:
      shown: rows of triples [B, L, 3], which of them is shown at a step, int32 [T, B], and whether
        one is, bool [T, B].
      starts: bool [T, B], whether a phase begins.
      answers: bool [T, B], whether an answer is required.
    """
    seen = sum(encoding.place(one_hot(rows), index, present) for rows, index, present in shown)
    return tf.concat([seen, encoding.channel(starts), encoding.channel(answers)], axis=2)
