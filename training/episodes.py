"""Episodes: the only module that runs a core on a task.

`collect` returns a batch, `replay` the core's outputs for it, with gradients, and `watch` a trace
of the memory. Training, evaluation, the probe and the search for non-finite numbers all use these.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import sonnet as snt
import tensorflow as tf

import dnc
import tasks
from tasks import draws

# A `dnc.Bidirectional` sees the whole sequence before its first output, so it is no `snt.RNNCore`.
Core = snt.RNNCore | dnc.Bidirectional

_RESPONSES = 2**31 - 1  # Folded into a batch's key for the draws of an environment.


def run_one_step(core: Core, inputs: tf.Tensor, state: Any) -> None:
    """Runs a core on inputs [B, X], so that its variables exist."""
    if isinstance(core, dnc.Bidirectional):
        context, _ = core.backward(inputs, state.backward)
        core, inputs, state = core.forward, tf.concat([inputs, context], axis=1), state.forward
    core(inputs, state)


def dropping_state(core: Core, batch_size: int, seed: Any, step: Any) -> Any:
    """Returns the initial state of a training step, in which every `dnc.Dropout` has a key.

    Every other run starts from the core's own state, with which nothing is dropped.

    Args:
      core: the core.
      batch_size: number of episodes B.
      seed: integer or integer scalar tensor, as is `step`.
      step: number of the training step.

    Returns:
      The state; `None`, for the core's own, if there is nothing to drop.
    """
    if not any(isinstance(module, dnc.Dropout) for module in core.submodules):
        return None
    return dnc.seed_dropout(core.initial_state(batch_size), (seed, step))


def collect(
    core: Core,
    task: tasks.Task,
    split: str,
    seed: Any,
    step: Any,
    lesson: Any = None,
    initial_state: Any = None,
) -> tasks.Batch:
    """Returns a batch of a task.

    An interactive task is rolled out: the core answers and the environment responds, step by step,
    without gradients. The observations of the batch are then the inputs of the core.

    Args:
      core: the core that answers.
      task: the task. If its batches differ in length and an argument is a tensor, whose value is
        not available yet, it must be the result of `Task.of_length`.
      split: "train", "validation" or "test".
      seed: integer >= 0 or integer scalar tensor, as are `step` and `lesson`.
      step: number of the batch.
      lesson: number of the lesson, from 0; `None`: episodes of all sizes.
      initial_state: initial state of the core; by default its own.
    """
    if not any(tf.is_tensor(argument) for argument in (seed, step, lesson)):
        task = task.of_length(task.steps_of_batch(split, seed, step, lesson))
    if isinstance(task, tasks.InteractiveTask):
        if initial_state is None:
            initial_state = core.initial_state(task.batch_size)
        return _roll_out(core, task, split, seed, step, lesson, initial_state)
    return task.batch(split, seed, step, lesson)


# AutoGraph has nothing to convert in a core, and would take most of the tracing time to find out.
@tf.autograph.experimental.do_not_convert
def replay(
    core: Core,
    batch: tasks.Batch,
    recompute_every: int | None = None,
    initial_state: Any = None,
) -> Any:
    """Returns the core's outputs [T, B, Y] for the observations of a batch.

    A unidirectional core also computes them in the padding of short episodes, where they are not
    used. The backward pass of a bidirectional core starts at each episode's own end.

    Args:
      core: the core.
      batch: the batch.
      recompute_every: as `checkpoint_every` of `dnc.unroll`.
      initial_state: as for `dnc.unroll`.
    """
    inputs, every = batch.observations, recompute_every
    if isinstance(core, dnc.Bidirectional):
        outputs, _ = core.unroll(
            inputs, initial_state, sequence_length=batch.lengths, checkpoint_every=every
        )
    else:
        outputs, _ = dnc.unroll(core, inputs, initial_state, checkpoint_every=every)
    return outputs


def watch(
    core: Core,
    task: tasks.Task,
    batch: tasks.Batch,
    step: int,
    initial_state: Any = None,
    **how: Any,
) -> dnc.Trace | None:
    """Returns a trace of the core's memory in a batch; `None` if it has none.

    Args:
      core: the core.
      task: the task of the batch, for its name and the labels of the steps.
      batch: the batch.
      step: number of training steps done.
      initial_state: as for `dnc.unroll`.
      **how: further arguments of `dnc.record`.
    """
    if not has_memory(core):
        return None
    size, inputs = tuple(batch.mask.shape), batch.observations
    if isinstance(core, dnc.Bidirectional):
        forward, backward = initial_state or (None, None)
        inputs, _ = core.with_context(inputs, backward, sequence_length=batch.lengths)
        core, initial_state = core.forward, forward
    elif isinstance(core, dnc.Parallel):  # The first one acts.
        core, initial_state = core.cores[0], initial_state[0] if initial_state else None
    trace = dnc.record(core, inputs, initial_state, sequence_length=batch.lengths, **how)
    target = [
        np.reshape(np.asarray(x, np.float32), [*size, -1]) for x in tf.nest.flatten(batch.target)
    ]
    return trace.replace(
        target=np.concatenate(target, axis=2) if target else None,
        mask=batch.mask,
        tokens=task.of_length(size[0]).step_labels(batch),
        task=task.name,
        step=step,
    )


def has_memory(core: Core) -> bool:
    """Returns whether a core has a memory that can be recorded."""
    if isinstance(core, dnc.Parallel):
        core = core.cores[0]
    return isinstance(core, (dnc.DNC, dnc.Bidirectional))


def part(batch: tasks.Batch, index: tf.Tensor, num_parts: int) -> tasks.Batch:
    """Returns one of several equal parts of a batch's episodes.

    Args:
      batch: the batch, of tensors.
      index: number of the part, an int32 scalar.
      num_parts: number of parts, a divisor of B.
    """
    return _of_episodes(batch, lambda x, axis: _cut(x, axis, index, num_parts))


def part_of_state(state: Any, index: tf.Tensor, num_parts: int) -> Any:
    """Returns the same part of a state, a nest of tensors [B, ...]; `None` for `None`."""
    if state is None:
        return None
    return tf.nest.map_structure(lambda x: _cut(x, 0, index, num_parts), state)


def _cut(x: tf.Tensor, axis: int, index: tf.Tensor, num_parts: int) -> tf.Tensor:
    size = x.shape.as_list()
    size[axis] //= num_parts
    begin = [0] * len(size)
    begin[axis] = index * size[axis]
    # Sizes are constants, so that shapes stay static.
    return tf.slice(x, tf.stack(begin), size)


def longest(batch: tasks.Batch, number: int) -> tasks.Batch:
    """Returns the longest episodes of a batch, the longest first, as arrays."""
    chosen = np.argsort(-np.asarray(batch.lengths), kind="stable")[:number]
    return _of_episodes(batch, lambda x, axis: np.take(np.asarray(x), chosen, axis))


def _of_episodes(batch: tasks.Batch, select: Callable[[Any, int], Any]) -> tasks.Batch:
    """Applies select(array, axis of the episodes) to each array of a batch."""
    return tf.nest.map_structure(lambda x: select(x, int(len(x.shape) > 1)), batch)


def _roll_out(
    core: snt.RNNCore,
    task: tasks.InteractiveTask,
    split: str,
    seed: Any,
    step: Any,
    lesson: Any,
    initial_state: Any,
) -> tasks.Batch:
    key = draws.fold_in(draws.keys(split, seed, step, 1)[0], _RESPONSES)

    def advance(t: Any, environment: Any, observation: tf.Tensor, state: Any) -> Any:
        outputs, state = tf.autograph.experimental.do_not_convert(core)(observation, state)
        # An integer of the key's type, so that all bits of the new key are random.
        response_key = draws.fold_in(key, tf.cast(t, tf.int64))
        environment, following, record = task.respond(environment, outputs, response_key)
        return environment, following, state, (observation, record)

    environment, observation = task.start(split, seed, step, lesson)
    *following, seen = advance(0, environment, observation, initial_state)
    # The first step is outside the loop: its result determines what to stack.
    stacks = [
        tf.TensorArray(x.dtype, task.num_steps, element_shape=x.shape).write(0, x)
        for x in tf.nest.flatten(seen)
    ]

    def body(t: Any, environment: Any, observation: Any, state: Any, stacks: Any) -> Any:
        *following, seen = advance(t, environment, observation, state)
        written = zip(stacks, tf.nest.flatten(seen), strict=True)
        return t + 1, *following, [stack.write(t, x) for stack, x in written]

    *_, stacks = tf.while_loop(
        lambda t, *_: t < task.num_steps,
        body,
        (tf.constant(1), *following, stacks),
        maximum_iterations=task.num_steps - 1,
    )
    stacked = [tf.stop_gradient(stack.stack()) for stack in stacks]
    observations, record = tf.nest.pack_sequence_as(seen, stacked)
    return tasks.make_batch(observations, record.target, record.mask, record.extras)
