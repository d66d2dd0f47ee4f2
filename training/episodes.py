"""Episodes: the only module that runs a core on a task.

`collect` returns a batch, `replay` the core's outputs for it, with gradients, and `watch` a trace of
the memory. Training, evaluation, the probe and the search for non-finite numbers all use these.
"""

from typing import Any

import sonnet as snt
import tensorflow as tf

import dnc
import tasks
from tasks import draws

_RESPONSES = 2**31 - 1  # Folded into a batch's key for what an environment draws.


def collect(
    core: snt.RNNCore, task: tasks.Task, split: str, seed: Any, step: Any, lesson: Any = None
) -> tasks.Batch:
    """Returns a batch of a task.

    An interactive task is rolled out: the core answers and the environment responds, step by step,
    without gradients. The observations of the batch are then what the core saw.

    Args:
      core: the core that answers.
      task: the task.
      split: as for `Task.batch`, as are the others.
      seed: see `split`.
      step: see `split`.
      lesson: see `split`.
    """
    if isinstance(task, tasks.InteractiveTask):
        return _roll_out(core, task, split, seed, step, lesson)
    return task.batch(split, seed, step, lesson)


def replay(
    core: snt.RNNCore, batch: tasks.Batch, recompute_every: int | None = None
) -> Any:
    """Returns the core's outputs [T, B, Y] for the observations of a batch.

    Args:
      core: the core.
      batch: the batch.
      recompute_every: as `checkpoint_every` of `dnc.unroll`.
    """
    return dnc.unroll(core, batch.observations, checkpoint_every=recompute_every)[0]


def watch(
    core: snt.RNNCore, task: tasks.Task, batch: tasks.Batch, step: int
) -> dnc.Trace | None:
    """Returns a trace of the core's memory in a batch; `None` if it has none.

    Args:
      core: the core.
      task: the task of the batch, for its name and the labels of the steps.
      batch: the batch.
      step: number of training steps done.
    """
    if not has_memory(core):
        return None
    trace = dnc.record(core, batch.observations, sequence_length=batch.lengths)
    return trace.replace(
        target=batch.target,
        mask=batch.mask,
        tokens=task.step_labels(batch),
        task=task.name,
        step=step,
    )


def has_memory(core: snt.RNNCore) -> bool:
    """Whether a core has a memory that can be recorded."""
    return isinstance(core, dnc.DNC)


def _roll_out(
    core: snt.RNNCore,
    task: tasks.InteractiveTask,
    split: str,
    seed: Any,
    step: Any,
    lesson: Any,
) -> tasks.Batch:
    key = draws.fold_in(draws.keys(split, seed, step, 1)[0], _RESPONSES)

    def advance(t: Any, environment: Any, observation: tf.Tensor, state: Any) -> Any:
        outputs, state = core(observation, state)
        environment, following, record = task.respond(environment, outputs, draws.fold_in(key, t))
        return environment, following, state, (observation, record)

    environment, observation = task.start(split, seed, step, lesson)
    environment, observation, state, seen = advance(
        0, environment, observation, core.initial_state(task.batch_size)
    )
    # The first step is outside of the loop: it shows what there is to stack.
    stacks = [
        tf.TensorArray(x.dtype, task.num_steps, element_shape=x.shape).write(0, x)
        for x in tf.nest.flatten(seen)
    ]

    def body(t: Any, environment: Any, observation: Any, state: Any, stacks: Any) -> Any:
        *following, seen = advance(t, environment, observation, state)
        written = zip(stacks, tf.nest.flatten(seen), strict=True)
        return t + 1, *following, [stack.write(t, x) for stack, x in written]

    _, _, _, _, stacks = tf.while_loop(
        lambda t, *_: t < task.num_steps,
        body,
        (tf.constant(1), environment, observation, state, stacks),
        maximum_iterations=task.num_steps,
    )
    stacked = tf.nest.map_structure(tf.stop_gradient, [stack.stack() for stack in stacks])
    observations, record = tf.nest.pack_sequence_as(seen, stacked)
    return tasks.make_batch(observations, record.target, record.mask, record.extras)
