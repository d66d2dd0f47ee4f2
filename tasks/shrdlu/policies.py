"""Policies that see the goal, for comparison with a network: none of them needs a memory."""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from tasks import draws
from tasks.base import Batch, make_batch
from tasks.shrdlu import boards
from tasks.shrdlu.task import Environment, Shrdlu

# From an environment and a source of random numbers to the logits of its actions, [B, 7].
Policy = Callable[[Environment, np.random.Generator], np.ndarray]


def passing(now: Environment, rng: np.random.Generator) -> np.ndarray:
    """Does nothing."""
    return np.tile(np.eye(boards.ACTIONS)[boards.PASS], [len(now.board), 1])


def random(now: Environment, rng: np.random.Generator) -> np.ndarray:
    """Takes any action."""
    return rng.uniform(size=[len(now.board), boards.ACTIONS])


def greedy(now: Environment, rng: np.random.Generator) -> np.ndarray:
    """Takes an action after which most constraints hold."""
    after = tf.gather(boards.tables().after, now.board)
    held = tf.gather(boards.tables().facts, after) @ now.goals.goal[:, :, np.newaxis]
    return held[:, :, 0].numpy() + random(now, rng) / 2


def search(now: Environment, rng: np.random.Generator) -> np.ndarray:
    """Takes the first action of a shortest path to a board on which all constraints hold."""
    is_reached = boards.reached(now.goals.goal)
    after = tf.gather(boards.tables().after, now.board)
    distance = tf.where(is_reached[:, np.newaxis], boards.distances(after), boards.FAR)
    return random(now, rng) / 2 - tf.reduce_min(distance, axis=2).numpy()


POLICIES: dict[str, Policy] = {
    "pass": passing,
    "random": random,
    "greedy": greedy,
    "search": search,
}


def play(task: Shrdlu, policy: Policy, split: str, seed: int, step: int) -> Batch:
    """Returns a batch of episodes in which a policy acts; other arguments are as for `draw`."""
    rng = np.random.default_rng([seed, step])
    key = draws.keys(split, seed, step, 1)[0]
    environment, observation = task.start(split, seed, step)
    seen = []
    for t in range(task.num_steps):
        logits = 1e3 * policy(environment, rng)  # So that nothing is left to chance.
        outputs = tf.constant(np.pad(logits, [[0, 0], [0, 1]]), tf.float32)
        response_key = draws.fold_in(key, t)
        environment, following, record = task.respond(environment, outputs, response_key)
        seen.append((observation, record))
        observation = following
    observations, record = tf.nest.map_structure(lambda *x: tf.stack(x), *seen)
    return make_batch(observations, record.target, record.mask, record.extras)
