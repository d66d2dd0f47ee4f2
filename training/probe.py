"""Looks into the memory while it learns, always on the same episodes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import sonnet as snt
import tensorflow as tf

import dnc
import tasks
from training.numerics import has_memory

_NUM_EXAMPLES = 4


class Probe:
    """A few fixed episodes that show, again and again, what the memory has learnt.

    Attributes:
      last_look: what it remembers from one look to the next, for checkpoints: a trackable object.
    """

    def __init__(self, core: snt.RNNCore, task: tasks.Task, seed: int):
        """Picks the longest episodes of one batch that neither training nor evaluation uses.

        Args:
          core: the core to watch; its variables exist already. If it has no memory, there are
            scalars only.
          task: where the episodes come from.
          seed: the training's seed, >= 0.
        """
        self._core = core
        self._task = task
        # Evaluation has this seed, too, and numbers >= 0.
        drawn = task.batch(-1 - seed, -1)
        is_asked = np.asarray(drawn.mask) > 0
        lengths = np.max(np.arange(1, len(is_asked) + 1)[:, np.newaxis] * is_asked, axis=0)
        longest = np.argsort(-lengths, kind="stable")[:_NUM_EXAMPLES]
        self._lengths = lengths[longest]
        self._batch = tasks.Batch(*(np.asarray(part)[:, longest] for part in drawn))
        self._step_before = tf.Variable(-1, dtype=tf.int64, trainable=False)  # -1: none yet.
        self._before = [tf.Variable(v, trainable=False) for v in core.trainable_variables]
        self.last_look = tf.train.Checkpoint(step=self._step_before, variables=self._before)

    def record(self, step: int) -> dnc.Trace:
        """Returns what the memory does in these episodes, after so many training steps."""
        trace = dnc.record(self._core, self._batch.observations, sequence_length=self._lengths)
        return trace.replace(
            target=self._batch.target,
            mask=self._batch.mask,
            tokens=self._task.step_labels(self._batch),
            task=self._task.name,
            step=step,
        )

    def write(self, step: int, gradient_norms: Mapping[str, float]) -> None:
        """Writes scalars, panels and the episodes to the default summary writer.

        Args:
          step: number of training steps done.
          gradient_norms: of each module, by its name; written as they are. Beside them stands how
            far its variables moved since the last call, per step.
        """
        if not tf.summary.should_record_summaries():
            return
        trace = self.record(step) if has_memory(self._core) else None
        scalars: dict[str, Any] = {"gradient_norm": gradient_norms, "probe": self._metrics(trace)}
        variables = self._core.trainable_variables
        step_before = int(self._step_before)
        if 0 <= step_before < step:
            moves = [
                (now - before) / (step - step_before)
                for now, before in zip(variables, self._before, strict=True)
            ]
            scalars["update_norm"] = dnc.summaries.module_norms(variables, moves)
        for before, now in zip(self._before, variables, strict=True):
            before.assign(now)
        self._step_before.assign(step)
        if trace:
            dnc.summaries.write_scalars(trace, scalars, step)
            dnc.summaries.write_panels(trace, step)
            dnc.summaries.write_episode(trace, step)
        else:
            for group, values in scalars.items():
                for name, value in values.items():
                    tf.summary.scalar(f"{group}/{name}", value, step)
        tf.summary.flush()

    def _metrics(self, trace: dnc.Trace | None) -> dict[str, tf.Tensor]:
        batch = tasks.Batch(*map(tf.constant, self._batch))
        if trace:
            logits = tf.constant(trace.outputs)
        else:
            logits, _ = dnc.unroll(self._core, batch.observations, sequence_length=self._lengths)
        loss = self._task.cost(logits, batch.target, batch.mask)
        return {"loss": loss, **self._task.metrics(logits, batch)}
