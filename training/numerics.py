"""Search for the first non-finite number in a training step."""

import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
import tree

import dnc
import tasks
from dnc_trace import quantities
from training import episodes
from training.episodes import Core
from training.messages import reason

# Limit for a gradient. Squares of 1e19 and more are not finite, and the size of a gradient that
# explodes depends on the rounding of everything before it.
_TOO_LARGE = 1e15


class Finding(NamedTuple):
    """The first quantity of a training step that is not finite."""

    what: str  # name of a variable, of a quantity of `dnc.Trace`, "loss", or a gradient
    values: str  # "nan", "inf", "-inf", or a number that is too large
    time_step: int | None = None  # for quantities of a time step
    example: int | None = None  # number in the batch

    def __str__(self) -> str:
        place = "" if self.time_step is None else f" at time step {self.time_step}"
        if self.example is not None:
            place += f" of example {self.example}"
        return f"{self.what} contains {self.values}{place}"


def first_not_finite(
    core: Core,
    task: tasks.Task,
    batch: tasks.Batch,
    trace: dnc.Trace | None,
    initial_state: Any = None,
) -> Finding | None:
    """Finds the first non-finite number, in the order in which a training step computes them.

    Args:
      core: the core, with the variables from before the step.
      task: the task, for the loss.
      batch: the batch of the step.
      trace: trace of the core with the batch, if it has a memory.
      initial_state: state from which the core ran; by default its own.

    Returns:
      The first quantity with such a number, or else a gradient so large that the norm of all
      gradients may not be finite, or else `None`. (A compiled step rounds differently: a number
      that was just too large there may be finite here.)
    """
    return next(_not_finite(core, task, batch, trace, initial_state), None)


def _not_finite(
    core: Core,
    task: tasks.Task,
    batch: tasks.Batch,
    trace: dnc.Trace | None,
    initial_state: Any,
) -> Iterator[Finding]:
    for variable in core.trainable_variables:
        if found := _kinds(variable.numpy()):
            yield Finding(f"variable {variable.name}", found)
    for name, array in _arrays(batch).items():
        if array.ndim > 1:
            yield from _by_step(name, array, range(len(array)))
        elif found := _kinds(array):
            yield Finding(name, found)
    if trace:
        arrays, order = trace.arrays(), quantities.in_order(trace.declared)
        for t in range(len(batch.mask)):
            for name in order:
                if name in arrays:
                    yield from _by_step(name, arrays[name], [t])
    with tf.GradientTape() as tape:
        outputs = episodes.replay(core, batch, initial_state=initial_state)
        loss = task.loss(outputs, batch)
    if found := _kinds(loss.numpy()):
        yield Finding("loss", found)
    variables = core.trainable_variables
    gradients = tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
    values = [tf.convert_to_tensor(gradient).numpy() for gradient in gradients]
    for variable, gradient in zip(variables, values, strict=True):
        if found := _kinds(gradient):
            yield Finding(f"gradient of {variable.name}", found)
    for variable, gradient in zip(variables, values, strict=True):
        if (largest := np.abs(gradient).max()) > _TOO_LARGE:
            yield Finding(f"gradient of {variable.name}", f"{largest:.1e}")


def _arrays(batch: tasks.Batch) -> dict[str, np.ndarray]:
    """Returns the arrays of a batch by path, such as "observations" or "extras/0"."""
    found = tree.flatten_with_path(batch)
    return {"/".join(map(str, path)): np.asarray(value) for path, value in found}


def _by_step(name: str, values: np.ndarray, steps: Any) -> Iterator[Finding]:
    """Yields the non-finite numbers in values [T, B, ...] at some of the steps."""
    for t in steps:
        if np.isfinite(values[t]).all():
            continue
        for b, of_example in enumerate(values[t]):
            if found := _kinds(of_example):
                yield Finding(name, found, t, b)


def _kinds(values: np.ndarray) -> str:
    """Returns the kinds of non-finite numbers as text; "" if there are none."""
    odd = values[~np.isfinite(values)]
    return " and ".join(sorted({str(float(x)) for x in odd.ravel()[:1000]}))


class Guard:
    """Policy for steps that are not finite, as specified by the setting nan_policy."""

    def __init__(self, policy: str, limit: int):
        """Sets the policy.

        Args:
          policy: "stop"; "skip" to omit such a step; "restore" to go back to the last checkpoint
            with a lower learning rate.
          limit: maximum number of consecutive skips or restores; the next decision is "stop".
        """
        self._policy = policy
        self._limit = limit
        self._last: int | None = None
        self._in_a_row = 0

    def decide(self, step: int) -> str:
        """Returns "stop", "skip" or "restore" for the step of this number."""
        if self._last is None:
            continues = False
        elif self._policy == "skip":
            continues = step == self._last + 1
        else:  # Since the checkpoint, training has got no further than last time.
            continues = step <= self._last
        self._in_a_row = self._in_a_row + 1 if continues else 1
        self._last = step
        return "stop" if self._in_a_row > self._limit else self._policy


def explain(
    core: Core,
    task: tasks.Task,
    batch: tasks.Batch,
    step: int,
    directory: pathlib.Path,
    checkpoint: tf.train.Checkpoint,
    initial_state: Any = None,
) -> str:
    """Repeats a step that is not finite, finds the first such number, and saves a report.

    Args:
      core: the core, with the variables from before the step.
      task: the task, for the loss.
      batch: the batch of the step.
      step: number of the step.
      directory: parent of the folder with the report, see `write_report`.
      checkpoint: checkpoint of the whole training state.
      initial_state: state from which the core ran; by default its own.

    Returns:
      A line with the finding and the path of the report.
    """
    seen = batch
    if not isinstance(core, dnc.Bidirectional):  # It also runs over the padding of short episodes.
        seen = batch._replace(lengths=np.full(batch.mask.shape[1], batch.mask.shape[0]))
    trace = episodes.watch(core, task, seen, step, initial_state)
    finding = first_not_finite(core, task, batch, trace, initial_state)
    found = finding or "nothing was found when it was repeated"
    line = f"Training step {step:,} is not finite: {found}."
    folder = directory / f"not-finite-{step}"
    try:
        write_report(folder, step, finding, batch, trace, checkpoint)
    except (OSError, tf.errors.OpError) as error:
        return f"{line} The report cannot be written: {reason(error)}."
    return f"{line} Report: {folder}."


def write_report(
    folder: pathlib.Path,
    step: int,
    finding: Finding | None,
    batch: tasks.Batch,
    trace: dnc.Trace | None,
    checkpoint: tf.train.Checkpoint,
) -> None:
    """Saves a report on a training step that is not finite.

    `report.txt` contains the finding, `batch.npz` the arrays of the batch, `trace.npz` a trace of
    the memory (`python -m dnc_inspector` shows it), and `state.*` is a checkpoint of the variables
    and the optimizer before the step.

    Args:
      folder: folder of the report, made if necessary.
      step: number of the training step.
      finding: result of `first_not_finite`.
      batch: the batch of the step.
      trace: trace of the core with the batch, if it has a memory.
      checkpoint: checkpoint of the whole training state.

    Raises:
      OSError, tf.errors.OpError: if the report cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = f"Training step {step}: {finding or 'nothing was found when it was repeated'}.\n"
    (folder / "report.txt").write_text(text, encoding="utf-8")
    np.savez_compressed(folder / "batch.npz", **_arrays(batch))
    if trace:
        trace.save(folder / "trace.npz")
    checkpoint.write(str(folder / "state"))
