"""Interactive episodes, step by step, in which any policy answers."""

import numpy as np
import tensorflow as tf

import tasks
from tasks import draws


def key_of(seed):
    return draws.keys("train", seed, 0, 1)[0]


def rolled_out(task, split, seed, policy):
    """Returns batch and outputs of a policy that maps environment and observation [B, X]."""
    environment, observation = task.start(split, seed, 0)
    seen, records, said = [], [], []
    for t in range(task.num_steps):
        outputs = policy(environment, observation)
        seen.append(observation.numpy())
        said.append(outputs)
        environment, observation, record = task.respond(environment, outputs, key_of(1000 + t))
        records.append(record)
    target, mask, extras = tf.nest.map_structure(lambda *x: np.stack(x), *records)
    return tasks.make_batch(np.stack(seen), target, mask, extras), np.stack(said)
