"""Bandit: choose the arm that a cue named some steps ago (advantage actor-critic).

The first observation shows which of two arms pays. After a delay a signal asks for a choice at each
step, and the arm pays 1 or 0. The network's outputs are a logit for each arm and a value.
"""

import dataclasses
from typing import Any

import tensorflow as tf

from tasks import InteractiveTask, Record, draws, option

ARMS = 2


@dataclasses.dataclass(frozen=True, kw_only=True)
class Bandit(InteractiveTask):
    """Learning from rewards alone: there is no right answer in a batch."""

    metric_names = ("missed_rewards", "solved_sequences")

    delay: int = option(3, "Steps from the cue to the first choice.", minimum=1)
    choices: int = option(2, "Number of choices.", minimum=1)
    entropy: float = option(0.01, "Weight of the policy's entropy in the loss.", minimum=0.0)

    input_size = property(lambda self: ARMS + 1)
    output_size = property(lambda self: ARMS + 1)
    num_steps = property(lambda self: self.delay + self.choices)

    def start(self, split: str, seed: Any, step: Any, lesson: Any = None) -> tuple[Any, tf.Tensor]:
        """Returns the arm that pays, the exploration and the step; and the cue."""
        (key,) = draws.keys(split, seed, step, 1)
        arm = draws.uniform_integers(key, [self.batch_size], 0, ARMS - 1)
        exploration = tf.constant(1.0 if split == "train" else 0.0)
        return (arm, exploration, tf.constant(0)), tf.one_hot(arm, ARMS + 1)

    def respond(self, environment: Any, outputs: Any, key: tf.Tensor) -> Any:
        """Draws an action from the policy (in training), and pays."""
        arm, exploration, t = environment
        drawn = draws.uniform_integers(key, [self.batch_size, ARMS], 1, 2**20 - 1)
        noise = -tf.math.log(-tf.math.log(tf.cast(drawn, tf.float32) / 2**20))
        logits = tf.cast(outputs[:, :ARMS], tf.float32)
        action = tf.argmax(logits + exploration * noise, axis=1)
        action = tf.cast(action, tf.int32)
        mask = tf.cast(tf.fill([self.batch_size], t >= self.delay), tf.float32)
        reward = tf.cast(action == arm, tf.float32) * mask
        signal = tf.fill([self.batch_size], tf.where(t + 1 >= self.delay, ARMS, -1))
        observation = tf.one_hot(signal, ARMS + 1)
        return (arm, exploration, t + 1), observation, Record((), mask, (action, reward))

    def loss(self, outputs: Any, batch: Any) -> tf.Tensor:
        """Returns the losses of policy and value, less the entropy, per episode."""
        action, reward = batch.extras
        logits, value = outputs[..., :ARMS], outputs[..., ARMS]
        log_policy, policy = tf.nn.log_softmax(logits), tf.nn.softmax(logits)
        returns = tf.cast(tf.cumsum(reward, axis=0, reverse=True), value.dtype)
        advantage = returns - value
        chosen = tf.gather(log_policy, action, batch_dims=2)
        entropy = -tf.reduce_sum(policy * log_policy, axis=2)
        actor = -chosen * tf.stop_gradient(advantage) - self.entropy * entropy
        each = (actor + 0.5 * tf.square(advantage)) * tf.cast(batch.mask, value.dtype)
        return tf.reduce_mean(tf.reduce_sum(each, axis=0))

    def metrics(self, outputs: Any, batch: Any) -> dict[str, tf.Tensor]:
        """Returns the fraction of choices without a reward, and of episodes without such one."""
        missed = batch.mask - batch.extras[1]
        solved = tf.cast(tf.reduce_sum(missed, axis=0) == 0.0, tf.float32)
        fraction = tf.reduce_sum(missed) / tf.reduce_sum(batch.mask)
        return {"missed_rewards": fraction, "solved_sequences": tf.reduce_mean(solved)}

    def is_solved(self, metrics: Any) -> bool:
        """Whether fewer than 1 % of the rewards are missed."""
        return metrics["missed_rewards"] < 0.01
