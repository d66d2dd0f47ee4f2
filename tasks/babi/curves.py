"""Plots the validation errors of a run on bAbI, task by task, from its TensorBoard events.

    pip install matplotlib
    python -m tasks.babi.curves checkpoints/babi docs/pictures/babi_joint.png

The run must have written summaries.
"""

import sys

import numpy as np
import tensorflow as tf
from matplotlib.figure import Figure
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tasks.babi.data import TASK_NAMES

_ERROR = "validation/question_error"


def main(directory: str, target: str) -> None:
    """Writes the picture."""
    events = EventAccumulator(directory, {"tensors": 0}).Reload()
    tags = [tag for tag in events.Tags()["tensors"] if tag.startswith(f"{_ERROR}/")]
    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.subplots()
    for task in sorted(int(tag.rpartition("/")[2]) for tag in tags):
        label = f"{task} {TASK_NAMES[task - 1]}"
        axes.plot(*_curve(events, f"{_ERROR}/{task}"), linewidth=1, label=label)
    axes.plot(*_curve(events, _ERROR), color="black", linewidth=2, label="mean")
    axes.axhline(5, color="0.6", linewidth=0.8, linestyle="--", label="solved: 5 %")
    axes.set(xlabel="training step", ylabel="wrong questions, %", ylim=(0, None))
    figure.legend(loc="outside right upper")
    figure.savefig(target, dpi=150)


def _curve(events: EventAccumulator, tag: str) -> tuple[np.ndarray, np.ndarray]:
    """Returns steps and percentages."""
    points = events.Tensors(tag)
    values = [100 * float(tf.make_ndarray(point.tensor_proto)) for point in points]
    return np.array([point.step for point in points]), np.array(values)


if __name__ == "__main__":
    main(*sys.argv[1:])
