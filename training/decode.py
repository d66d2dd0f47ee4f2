"""Fits a decoder to a trained network, to put into words what the network has written.

    python -m training.decode --pretrained=traversal_dnc --trace_file=graph.npz

The decoder is a logistic regression from the vector that a step writes to the contents of its
input, such as the digits of a triple of a graph (Graves et al. 2016, Methods). It is fitted to some
episodes and tested on others: on their write vectors, on the slots read for the answers, and on the
keys of the heads that read these slots by content. --trace_file saves a trace of a test episode, in
which the inspector then shows slots and keys in words; --plot draws it.
"""

import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from absl import flags

import dnc
import tasks
from dnc.recording.panels import slots_by_first_write
from dnc_trace.decoder import classes, decode, named
from training import asking, command, episodes, runs
from training.config import Config
from training.models import make_task, restore_core

_L2 = 0.1  # The paper's.
_TRIED = 0.2  # Share of the episodes.
_NEVER = -1e9  # Logit of a class that never occurred.
_BATCH_SIZE = 5
_WRITTEN = 0.1  # Minimum weight with which a step counts as written to a slot.

_FLAGS = asking.new_flags()
flags.DEFINE_integer(
    "num_sequences", 100, "Episodes to fit and to test.", lower_bound=10, flag_values=_FLAGS
)
flags.DEFINE_integer("seed", 0, "Seed of the episodes.", lower_bound=0, flag_values=_FLAGS)
flags.DEFINE_string("plot", None, "PNG file to draw the trace into.", flag_values=_FLAGS)
command.accept_local_paths(_FLAGS, "plot")


def logistic_regression(l2: float) -> Any:
    """Returns a logistic regression of scikit-learn.

    Args:
      l2: weight of the squared coefficients in the loss, > 0.

    Raises:
      ValueError: if scikit-learn is not installed.
    """
    try:
        from sklearn.linear_model import LogisticRegression
    except ImportError as error:
        raise ValueError("A decoder needs scikit-learn: pip install scikit-learn.") from error
    return LogisticRegression(C=1 / l2, max_iter=1000)


def fit(words: Any, classes: Any, names: Sequence[Sequence[str]]) -> dict[str, Any]:
    """Fits a decoder, see `dnc_trace.decoder`.

    Args:
      words: [n, W], vectors that were written.
      classes: integers [n, G], a class for each group.
      names: names of the classes of each group.

    Raises:
      ValueError: if scikit-learn is not installed.
    """
    words, classes = np.asarray(words, np.float64), np.asarray(classes)
    kernels, biases = [], []
    for own, of_group in zip(classes.T, names, strict=True):
        kernel = np.zeros([words.shape[1], len(of_group)])
        bias = np.full(len(of_group), _NEVER)
        seen = np.unique(own)
        if len(seen) == 1:
            bias[seen] = 0.0
        else:
            # With two classes there is only a logit of the second.
            found = logistic_regression(_L2).fit(words, own)
            of = seen if len(seen) > 2 else seen[1:]
            bias[seen] = 0.0
            kernel[:, of], bias[of] = found.coef_.T, found.intercept_
        kernels.append(kernel)
        biases.append(bias)
    return {
        "kernel": np.concatenate(kernels, axis=1).round(4).tolist(),
        "bias": np.concatenate(biases).round(4).tolist(),
        "classes": [list(of_group) for of_group in names],
    }


def recorded(
    core: Any, task: tasks.Task, step: int, seed: int, num_batches: int
) -> Iterator[tuple[dnc.Trace, tasks.Contents]]:
    """Yields traces of a core's memory in fresh episodes, with the contents of their steps.

    Raises:
      ValueError: if the core has no memory, or the task defines no contents.
    """
    if not isinstance(core, dnc.DNC):
        raise ValueError("Only the memory of a dnc can be decoded; this model has none.")
    for number in range(num_batches):
        batch = episodes.collect(core, task, "validation", seed, number)
        contents = task.contents(batch)
        if contents is None:
            raise ValueError(f"Task {task.name} has no contents that a decoder could name.")
        trace = episodes.watch(core, task, batch, step, record_link=False, jit_compile=True)
        yield trace, contents


def told(contents: tasks.Contents) -> np.ndarray:
    """Returns the contents of the steps as text [T, B]; "" for steps without any."""
    is_told = contents.classes[..., 0] >= 0
    return np.where(is_told, named(contents.classes, contents.names), "")


def written_at(trace: dnc.Trace) -> np.ndarray:
    """Returns the step of each slot's last write as of each step, int [T, B, N]; -1: none yet."""
    weights = trace.write_weights.sum(axis=2)
    steps = np.arange(len(weights))[:, np.newaxis, np.newaxis]
    return np.maximum.accumulate(np.where(weights >= _WRITTEN, steps, -1), axis=0)


class Agreement(NamedTuple):
    """Shares of vectors from which a decoder recovers the contents of the steps that wrote them.

    Attributes:
      written: for the write vectors of steps with contents.
      slots: for the slots read most at answers, with the contents of the step that last wrote them.
      keys: for the read keys, at answers, of heads that read by content, with the contents of the
        step that last wrote the slot they read most. One share for each group of classes; empty if
        no head reads by content.
    """

    written: float
    slots: float
    keys: Sequence[float]


def agreement(
    found: Sequence[tuple[dnc.Trace, tasks.Contents]], decoder: Mapping[str, Any]
) -> Agreement:
    """Tests a decoder on episodes from `recorded`."""
    written, slots, keys = [], [], []
    for trace, contents in found:
        text, last = told(contents), written_at(trace)
        said = decode(decoder, trace.write_vectors[:, :, 0])
        written.append((said == text)[text != ""])
        t, b = np.nonzero(trace.mask > 0)
        slot = trace.read_weights[t, b].sum(axis=1).argmax(axis=1)
        source = last[t, b, slot]
        right = decode(decoder, trace.memory[t, b, slot]) == text[source, b]
        slots.append(right[(source >= 0) & (text[source, b] != "")])
        t, b, head = (x[trace.content_mode[t, b] > 0.5] for x in _of_heads(t, b, trace))
        slot = trace.read_weights[t, b, head].argmax(axis=1)
        source = last[t, b, slot]
        right = classes(decoder, trace.read_keys[t, b, head]) == contents.classes[source, b]
        keys.append(right[(source >= 0) & (text[source, b] != "")])
    of_keys = np.concatenate(keys)
    return Agreement(
        float(np.concatenate(written).mean()),
        float(np.mean([*np.concatenate(slots)] or [math.nan])),
        of_keys.mean(axis=0).tolist() if len(of_keys) else [],
    )


def _of_heads(t: np.ndarray, b: np.ndarray, trace: dnc.Trace) -> list[np.ndarray]:
    """Combines steps and episodes [n] with each read head. Returns three arrays [n, R]."""
    shape = [len(t), trace.read_weights.shape[2]]
    heads = np.arange(shape[1])
    return [np.broadcast_to(x, shape) for x in (t[:, np.newaxis], b[:, np.newaxis], heads)]


def draw(trace: dnc.Trace, is_told: np.ndarray, path: str | os.PathLike) -> None:
    """Draws the first episode of a trace with a decoder into a PNG file.

    The upper part shows when each slot is written (blue) and read (red). The slots are in the order
    of their first write, labelled with their decoded final content. The read modes are below.

    Args:
      trace: the trace.
      is_told: bool [T], whether a step has contents to decode. Slots written at other steps have
        the labels of those steps.
      path: path of the file.
    """
    from matplotlib.figure import Figure

    length = int(trace.sequence_length[0])
    tokens = trace.tokens[0][:length]
    weights = trace.write_weights[:length, 0].max(axis=1)
    slots = slots_by_first_write(trace, 0)[: int((weights.max(axis=0) >= _WRITTEN).sum())]
    num_reads = trace.read_weights.shape[2]
    figure = Figure(
        figsize=(4 + 0.14 * length, 2 + 0.14 * (len(slots) + 4 * num_reads)), layout="constrained"
    )
    above, below = figure.subplots(2, sharex=True, height_ratios=[len(slots), 4 * num_reads])
    reads = trace.read_weights[:length, 0].max(axis=1)
    shown = np.ones([len(slots), length, 3])
    shown -= weights[:, slots].T[..., np.newaxis] * [1.0, 0.6, 0.3]
    shown -= reads[:, slots].T[..., np.newaxis] * [0.15, 0.7, 0.9]
    above.imshow(shown.clip(0, 1), aspect="auto", interpolation="nearest")
    decoded = decode(trace.decoder, trace.memory[length - 1, 0, slots])
    steps = written_at(trace)[length - 1, 0, slots]
    names = [text if is_told[t] else tokens[t] for text, t in zip(decoded, steps, strict=True)]
    above.set_yticks(range(len(slots)), names)
    above.set_ylabel("slots, decoded")
    modes = ("backward", "content", "forward")
    of_modes = [trace.backward_mode.sum(axis=3), trace.content_mode, trace.forward_mode.sum(axis=3)]
    bands = np.stack([x[:length, 0] for x in of_modes], axis=2).reshape(length, -1)
    below.imshow(bands.T, aspect="auto", interpolation="nearest", cmap="Greys", vmin=0, vmax=1)
    below.set_yticks(
        range(3 * num_reads), [f"{mode} {head}" for head in range(num_reads) for mode in modes]
    )
    below.set_ylabel("modes of read heads")
    below.set_xticks(range(length), tokens, rotation=90)
    for axes in (above, below):
        axes.tick_params(labelsize=6, length=0)
        axes.tick_params(axis="both", labelfontfamily="monospace")
    figure.savefig(path, dpi=130)


def main(argv: Sequence[str]) -> int:
    """Runs the command. Returns the exit code."""
    return command.run("training.decode", _FLAGS, argv, __doc__, _decode)


def _decode() -> None:
    checkpoint = runs.newest_checkpoint(asking.directory_of_model(_FLAGS), _FLAGS.best)
    config = Config.of_run(checkpoint.settings).replace(curriculum="none")
    task = make_task(config, _BATCH_SIZE)
    core = restore_core(checkpoint, config, task)
    num_batches = math.ceil(_FLAGS.num_sequences / _BATCH_SIZE)
    num_tried = math.ceil(_TRIED * num_batches)
    words, told_classes, tried = [], [], []
    for number, (trace, contents) in enumerate(
        recorded(core, task, checkpoint.step, _FLAGS.seed, num_batches)
    ):
        if number < num_tried:
            tried.append((trace, contents))
            continue
        is_told = contents.classes[..., 0] >= 0
        words.append(trace.write_vectors[:, :, 0][is_told])
        told_classes.append(contents.classes[is_told])
    decoder = fit(np.concatenate(words), np.concatenate(told_classes), contents.names)
    found = agreement(tried, decoder)
    keys = ", ".join(f"{part:.0%}" for part in found.keys)
    trace, contents, b = max(
        ((*found, b) for found in tried for b in range(_BATCH_SIZE)),
        key=lambda x: np.sum(x[0].mask[:, x[2]] > 0) / x[0].sequence_length[x[2]],
    )
    episode = trace.examples(b).replace(decoder=decoder)
    if _FLAGS.plot:
        draw(episode, contents.classes[:, b, 0] >= 0, _FLAGS.plot)
    text = (
        f"Fitted to {sum(map(len, words)):,} words; test on {_BATCH_SIZE * len(tried)} episodes:\n"
        f"  what was written:        {found.written:.1%} right\n"
        f"  slots read for answers:  {found.slots:.1%} right\n"
        f"  keys, class by class:    {keys or 'no head reads by content'}"
    )
    asking.say_answers(_FLAGS, text, episode)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
