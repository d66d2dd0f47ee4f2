"""A DNC as a recurrent policy: balance a pole whose velocities are hidden (advantage actor-critic).

    pip install "gymnasium>=1.1"
    python examples/recurrent_policy.py --core=dnc
    python examples/recurrent_policy.py --core=lstm

The policy sees only the position of the cart and the angle of the pole, so it has to remember
earlier observations. The parts that matter for a problem of your own are `act`, one step of all
environments, and `learn`, the same steps again with gradients. Both use `dnc.unroll` with `reset`:
after the end of an episode the state starts again, even in the middle of a segment.
"""

import argparse
import collections

import gymnasium
import numpy as np
import sonnet as snt
import tensorflow as tf
from gymnasium.vector import AutoresetMode

import dnc

NUM_ENVIRONMENTS, NUM_STEPS = 16, 32  # Steps of a segment, through which gradients flow.
DISCOUNT, TRACE_DECAY, ENTROPY = 0.99, 0.95, 0.01
SEEN = [0, 2]  # Position and angle; 1 and 3 are their velocities.
SOLVED = 400  # Mean return of the last 100 episodes; an episode has at most 500 steps.


def make_core(name: str, num_actions: int) -> snt.RNNCore:
    """Returns a core whose outputs are a logit for each action, and a value."""
    if name == "lstm":
        return snt.DeepRNN([snt.LSTM(64), snt.Linear(num_actions + 1)])
    access = dnc.MemoryAccess(memory_size=16, word_size=8, num_reads=1)
    return dnc.DNC(access, snt.LSTM(64), output_size=num_actions + 1)


def advantages(rewards: np.ndarray, values: np.ndarray, ended: np.ndarray) -> np.ndarray:
    """Returns generalised advantages [T, B] (Schulman et al. 2016).

    Args:
      rewards: [T, B].
      values: [T + 1, B], before each step and after the last.
      ended: [T, B], whether an episode ended with the step.
    """
    found = np.zeros([len(rewards) + 1, rewards.shape[1]], np.float32)
    for t in reversed(range(len(rewards))):
        error = rewards[t] + DISCOUNT * values[t + 1] * ~ended[t] - values[t]
        found[t] = error + DISCOUNT * TRACE_DECAY * found[t + 1] * ~ended[t]
    return found[:-1]


class Agent:
    """A core with an optimizer, and the state of each environment."""

    def __init__(self, core: snt.RNNCore):
        """Starts from the initial state in all environments."""
        self.core = core
        self.optimizer = snt.optimizers.Adam(1e-3)
        self.state = core.initial_state(NUM_ENVIRONMENTS)

    @tf.function
    def act(self, seen: tf.Tensor, reset: tf.Tensor, state: tf.Tensor) -> tuple:
        """Returns actions [B], values [B] and the next state for observations [B, X]."""
        outputs, state = dnc.unroll(self.core, seen[tf.newaxis], state, reset=reset[tf.newaxis])
        action = tf.random.categorical(outputs[0, :, :-1], 1)[:, 0]
        return action, outputs[0, :, -1], state

    @tf.function
    def learn(
        self,
        seen: tf.Tensor,
        reset: tf.Tensor,
        state: tf.Tensor,
        action: tf.Tensor,
        advantage: tf.Tensor,
        returns: tf.Tensor,
    ) -> None:
        """Updates the core on a segment [T, B, ...], which begins with the given state."""
        with tf.GradientTape() as tape:
            outputs, _ = dnc.unroll(self.core, seen, state, reset=reset)
            log_policy, value = tf.nn.log_softmax(outputs[:, :, :-1]), outputs[:, :, -1]
            of_action = tf.gather(log_policy, action, batch_dims=2)
            entropy = -tf.reduce_sum(tf.exp(log_policy) * log_policy, axis=2)
            loss = tf.square(returns - value) / 2 - of_action * advantage - ENTROPY * entropy
            loss = tf.reduce_mean(loss)
        variables = self.core.trainable_variables
        gradients, _ = tf.clip_by_global_norm(tape.gradient(loss, variables), 1.0)
        self.optimizer.apply(gradients, variables)


def train(name: str, num_updates: int, seed: int) -> float:
    """Trains until solved, or for a number of updates. Returns the mean of the last returns."""
    tf.random.set_seed(seed)
    environments = gymnasium.make_vec(
        "CartPole-v1",
        NUM_ENVIRONMENTS,
        vectorization_mode="sync",
        vector_kwargs={"autoreset_mode": AutoresetMode.SAME_STEP},
    )
    agent = Agent(make_core(name, environments.single_action_space.n))
    seen, _ = environments.reset(seed=seed)
    reset = np.zeros(NUM_ENVIRONMENTS, bool)
    running, ended_with = np.zeros(NUM_ENVIRONMENTS), collections.deque([0.0], maxlen=100)
    for update in range(1, num_updates + 1):
        first_state, segment = agent.state, []
        for _ in range(NUM_STEPS):
            now = seen[:, SEEN].astype(np.float32)
            action, value, agent.state = agent.act(now, reset, agent.state)
            seen, reward, terminated, truncated, _ = environments.step(action.numpy())
            ended = terminated | truncated
            segment.append((now, reset, action, reward, value, ended))
            running += reward
            ended_with.extend(running[ended])
            running[ended] = 0.0
            reset = ended
        _, last_value, _ = agent.act(seen[:, SEEN].astype(np.float32), reset, agent.state)
        inputs, resets, action, reward, value, ended = map(np.stack, zip(*segment, strict=True))
        values = np.concatenate([value, [last_value]])
        # Each step has a reward of 1. A twentieth of it keeps the loss of the value small.
        advantage = advantages(reward.astype(np.float32) / 20, values, ended)
        agent.learn(inputs, resets, first_state, action, advantage, advantage + value)
        mean = float(np.mean(ended_with))
        if update % 50 == 0 or mean >= SOLVED:
            print(f"update {update:,}: return of the last episodes {mean:.0f}", flush=True)
        if mean >= SOLVED:
            print("Solved.")
            break
    return mean


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--core", choices=["dnc", "lstm"], default="dnc")
    parser.add_argument("--updates", type=int, default=3000, help="maximum number of updates")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    train(given.core, given.updates, given.seed)
