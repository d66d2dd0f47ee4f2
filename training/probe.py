"""Looks into the memory during training, always in the same episodes."""

from collections.abc import Mapping
from typing import Any

import tensorflow as tf

import dnc
import tasks
from training import episodes
from training.episodes import Core

_NUM_EXAMPLES = 4


class Probe:
    """A few fixed episodes that repeatedly show what the memory has learned.

    Episodes of an interactive task start in the same way at each look. How they continue depends
    on the core.

    Attributes:
      last_look: state kept between two looks, a trackable object for checkpoints.
    """

    def __init__(self, core: Core, task: tasks.Task, seed: int):
        """Prepares the probe.

        Args:
          core: the core to watch; its variables exist already. If it has no memory, only scalars
            are written.
          task: source of the episodes: the longest of a batch that neither training nor evaluation
            uses.
          seed: seed of the training run, >= 0.
        """
        self._core = core
        self._task = task
        self._seed = seed
        self._step_before = tf.Variable(-1, dtype=tf.int64, trainable=False)  # -1: none yet.
        self._before = [tf.Variable(v, trainable=False) for v in core.trainable_variables]
        self.last_look = tf.train.Checkpoint(step=self._step_before, variables=self._before)

    def record(self, step: int) -> dnc.Trace | None:
        """Returns a trace of these episodes after `step` training steps, `None` without memory."""
        return episodes.watch(self._core, self._task, self._episodes(), step)

    def write(self, step: int, gradient_norms: Mapping[str, float]) -> None:
        """Writes scalars, panels and the episodes to the default summary writer.

        Args:
          step: number of training steps done.
          gradient_norms: norm for each module, by name. It is written next to the distance that
            the module's variables have moved per step since the last call.
        """
        if not tf.summary.should_record_summaries():
            return
        batch = self._episodes()
        trace = episodes.watch(self._core, self._task, batch, step)
        probe = self._metrics(batch, trace)
        scalars: dict[str, Any] = {"gradient_norm": gradient_norms, "probe": probe}
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

    def _episodes(self) -> tasks.Batch:
        # Evaluation uses batches of numbers >= 0.
        batch = episodes.collect(self._core, self._task, "validation", self._seed, -1)
        return episodes.longest(batch, _NUM_EXAMPLES)

    def _metrics(self, batch: tasks.Batch, trace: dnc.Trace | None) -> dict[str, tf.Tensor]:
        batch = tf.nest.map_structure(tf.constant, batch)
        outputs = tf.constant(trace.outputs) if trace else episodes.replay(self._core, batch)
        return {"loss": self._task.loss(outputs, batch), **self._task.metrics(outputs, batch)}
