"""Looks into the memory while it learns, always on the same episodes."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf

import dnc
import tasks

_NUM_EXAMPLES = 4


class Probe:
    """A few fixed episodes that show, again and again, what the memory has learnt."""

    def __init__(self, core: dnc.DNC, task: tasks.Task, seed: int):
        """Picks the longest episodes of one batch that neither training nor evaluation uses.

        Args:
          core: the core to watch; its variables exist already.
          task: where the episodes come from.
          seed: the training's seed, >= 0.
        """
        self._core = core
        self._task = task
        # Evaluation has this seed, too, and numbers >= 0.
        drawn = task.batch(-1 - seed, -1)
        steps = np.arange(1, task.num_steps + 1)[:, np.newaxis]
        lengths = np.max(steps * (np.asarray(drawn.mask) > 0), axis=0)
        longest = np.argsort(-lengths, kind="stable")[:_NUM_EXAMPLES]
        self._lengths = lengths[longest]
        self._batch = tasks.Batch(*(np.asarray(part)[:, longest] for part in drawn))
        self._before = self._values()
        self._steps_before: int | None = None

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
        trace = self.record(step)
        scalars: dict[str, Any] = {"gradient_norm": gradient_norms, "probe": self._metrics(trace)}
        values = self._values()
        if self._steps_before is not None and step > self._steps_before:
            moves = [
                (now - before) / (step - self._steps_before)
                for now, before in zip(values, self._before, strict=True)
            ]
            scalars["update_norm"] = dnc.summaries.module_norms(
                self._core.trainable_variables, moves
            )
        self._before, self._steps_before = values, step
        dnc.summaries.write_scalars(trace, scalars, step)
        dnc.summaries.write_panels(trace, step)
        dnc.summaries.write_episode(trace, step)
        tf.summary.flush()

    def _metrics(self, trace: dnc.Trace) -> dict[str, tf.Tensor]:
        logits = tf.constant(trace.outputs)
        batch = tasks.Batch(*map(tf.constant, self._batch))
        loss = self._task.cost(logits, batch.target, batch.mask)
        return {"loss": loss, **self._task.metrics(logits, batch)}

    def _values(self) -> list[np.ndarray]:
        return [variable.numpy() for variable in self._core.trainable_variables]
