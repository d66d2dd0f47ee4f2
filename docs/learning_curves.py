"""Plots the training loss of runs of `train.py` from their TensorBoard events.

    pip install matplotlib
    python docs/learning_curves.py docs/learning_curves.svg dense=runs/dense-0,runs/dense-1 ...

Each argument after the first is a name and the directories of its runs.
"""

import pathlib
import sys

import matplotlib.pyplot as plt
import numpy as np
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

_WINDOW = 1000  # Number of steps averaged in one point.


def curve(directory: str, tag: str = "loss") -> tuple[np.ndarray, np.ndarray]:
    """Returns steps and means of a run's scalar."""
    events = EventAccumulator(directory, {"tensors": 0}).Reload().Tensors(tag)
    steps = np.array([event.step for event in events])
    values = np.array([float(tf.make_ndarray(event.tensor_proto)) for event in events])
    windows = (steps - 1) // _WINDOW
    ends = np.unique(windows)
    return (ends + 1) * _WINDOW, np.array([values[windows == end].mean() for end in ends])


def main(target: str, *groups: str) -> None:
    """Writes the picture."""
    figure, axes = plt.subplots(figsize=(7, 3))
    for group, color in zip(groups, ("tab:blue", "tab:orange", "tab:green"), strict=False):
        name, directories = group.split("=")
        for i, directory in enumerate(directories.split(",")):
            label = {"label": f"{name}, {directories.count(',') + 1} seeds"} if i == 0 else {}
            axes.semilogy(*curve(directory), color=color, linewidth=1, alpha=0.8, **label)
    axes.set(xlabel="training step", ylabel="loss, nats per sequence")
    axes.legend()
    figure.tight_layout()
    figure.savefig(pathlib.Path(target), metadata={"Date": None})


if __name__ == "__main__":
    main(*sys.argv[1:])
