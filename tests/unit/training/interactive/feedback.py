"""Feedback: continue a sequence from your own answers (imitation with a mixture, as in DAgger).

The first observation shows an element of a ring and a secret shift. The right answer is the element
plus the shift. Each further observation shows only the last answer: the network's own or, with
probability beta in training, the right one. The right answer continues from what was shown.
"""

import dataclasses
from typing import Any

import tensorflow as tf

from tasks import InteractiveTask, Record, draws, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class Feedback(InteractiveTask):
    """Imitation of an expert in the states that the network's own answers lead to."""

    metric_names = ("wrong_answers", "solved_sequences")

    ring: int = option(4, "Number of elements K.", minimum=3)
    max_length: int = option(5, "Number of answers.", minimum=2)
    beta: float = option(0.5, "Fraction of right answers shown.", minimum=0.0, maximum=1.0)

    input_size = property(lambda self: 2 * self.ring)
    output_size = property(lambda self: self.ring)
    num_steps = property(lambda self: self.max_length)

    def start(self, split: str, seed: Any, step: Any, lesson: Any = None) -> tuple[Any, tf.Tensor]:
        """Returns the shift, the element and the mixture; and what is shown of them."""
        keys = draws.keys(split, seed, step, 2)
        shift = draws.uniform_integers(keys[0], [self.batch_size], 1, self.ring - 1)
        element = draws.uniform_integers(keys[1], [self.batch_size], 0, self.ring - 1)
        beta = tf.constant(self.beta if split == "train" else 0.0)
        shown = [tf.one_hot(element, self.ring), tf.one_hot(shift, self.ring)]
        return (shift, element, beta), tf.concat(shown, axis=1)

    def respond(self, environment: Any, outputs: Any, key: tf.Tensor) -> Any:
        """Returns the network's answer, or the right one, as the next observation."""
        shift, element, beta = environment
        right = (element + shift) % self.ring
        own = tf.argmax(outputs, axis=1, output_type=tf.int32)
        drawn = tf.cast(draws.uniform_integers(key, [self.batch_size], 1, 1000), tf.float32)
        shown = tf.where(drawn <= 1000.0 * beta, right, own)
        observation = tf.pad(tf.one_hot(shown, self.ring), [[0, 0], [0, self.ring]])
        return (shift, shown, beta), observation, Record(right, tf.ones([self.batch_size]))

    def loss(self, outputs: Any, batch: Any) -> tf.Tensor:
        """Returns the cross-entropy per answer."""
        each = tf.nn.sparse_softmax_cross_entropy_with_logits(batch.target, outputs)
        return tf.reduce_mean(each * tf.cast(batch.mask, each.dtype))

    def metrics(self, outputs: Any, batch: Any) -> dict[str, tf.Tensor]:
        """Returns the fraction of wrong answers, and of episodes without one."""
        wrong = tf.argmax(outputs, axis=2, output_type=tf.int32) != batch.target
        wrong = tf.cast(wrong, tf.float32) * batch.mask
        solved = tf.cast(tf.reduce_sum(wrong, axis=0) == 0.0, tf.float32)
        fraction = tf.reduce_sum(wrong) / tf.reduce_sum(batch.mask)
        return {"wrong_answers": fraction, "solved_sequences": tf.reduce_mean(solved)}

    def is_solved(self, metrics: Any) -> bool:
        """Whether fewer than 1 % of the answers are wrong."""
        return metrics["wrong_answers"] < 0.01
