"""Asks a trained model for a route on a map.

    python -m tasks.graphs.route --pretrained=traversal_dnc --map=london \
        --start="Oxford Circus" --edges="Victoria S, Victoria S, District E"

The network sees the map in a random order and with random labels. A model of traversal then follows
the edges, and a model of shortest_path finds its own way to --goal. Prints each answer by name,
whether it is right, and the step from whose slot it was read. --trace_file saves a trace of the
memory.
"""

import pathlib
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags

import dnc
from tasks import Batch, encoding
from tasks.graphs import triples
from tasks.graphs.maps import MAPS
from tasks.graphs.own_route import OwnEnds, OwnPath, OwnRoute
from training import asking, command, episodes, runs
from training.config import Config
from training.models import has_slots, restore_core

_FLAGS = asking.new_flags()
flags.DEFINE_enum("map", None, list(MAPS), "The map.", flag_values=_FLAGS)
flags.DEFINE_string("start", None, "Node where the route begins.", flag_values=_FLAGS)
flags.DEFINE_list("edges", None, "Edges to follow, for traversal.", flag_values=_FLAGS)
flags.DEFINE_string("goal", None, "Node where it ends, for shortest_path.", flag_values=_FLAGS)
flags.DEFINE_integer("seed", 0, "Seed of labels and order.", 0, flag_values=_FLAGS)
flags.DEFINE_integer("memory_size", None, "Memory slots; as configured.", 1, flag_values=_FLAGS)


def answer(
    directory: pathlib.Path,
    *,
    map: str,
    start: str,
    edges: Sequence[str] | None = None,
    goal: str | None = None,
    seed: int = 0,
    memory_size: int | None = None,
    best: bool = False,
) -> tuple[str, dnc.Trace | None]:
    """Asks a trained model for a route.

    Args:
      directory: directory of the run.
      map: name of the map.
      start: name of the node where the route begins.
      edges: names of its edges, for a model of traversal.
      goal: name of the node where it ends, for a model of shortest_path.
      seed: seed of the labels and of the order in which the map is shown.
      memory_size: number of slots; by default as configured.
      best: whether to take the best checkpoint instead of the newest.

    Returns:
      The answers, one per line, and a summary; and a trace of the memory, if there is one.

    Raises:
      ValueError: if there is no such route, or the model is for another task, too small or damaged.
      OSError: if there is no run in the directory.
    """
    checkpoint = runs.newest_checkpoint(directory, best)
    config = Config.of_run(checkpoint.settings)
    if memory_size:
        config = config.replace(memory_size=memory_size)
    options = {**config.options, "map": map, "seed": seed, "batch_size": 1}
    task: OwnRoute
    if config.task == OwnPath.name:
        if goal or not edges:
            raise ValueError(f"{directory} is for {config.task}. Give --edges, and no --goal.")
        task = OwnPath.along(options, start, edges)
    elif config.task == OwnEnds.name:
        if edges or not goal:
            raise ValueError(f"{directory} is for {config.task}. Give --goal, and no --edges.")
        task = OwnEnds.between(options, start, goal)
    else:
        raise ValueError(
            f"Only models of {OwnPath.name} and {OwnEnds.name} find routes; {directory} is for "
            f"{config.task}."
        )
    num_edges = len(MAPS[map]().edges)
    if has_slots(config) and num_edges > config.memory_size:
        raise ValueError(
            f"The map {map} has {num_edges} edges, but the memory has {config.memory_size} slots. "
            f"Give --memory_size={num_edges} or more."
        )
    core = restore_core(checkpoint, config, task)
    batch = episodes.collect(core, task, "test", seed, 0)
    trace = episodes.watch(core, task, batch, checkpoint.step)
    return describe(task, batch, trace.outputs if trace else episodes.replay(core, batch), trace)


def describe(
    task: OwnRoute, batch: Batch, outputs: Any, trace: dnc.Trace | None
) -> tuple[str, dnc.Trace | None]:
    """Returns the answers to a question as text, and the trace with names in place of labels.

    Args:
      task: the task of the question.
      batch: the question, the only episode.
      outputs: the outputs of the network, [T, 1, 90].
      trace: a trace of its memory, if it has one.
    """
    said, right = task.answers(batch, outputs)
    is_asked = np.asarray(batch.observations)[:, :, triples.WIDTH + 1]
    batch = batch._replace(target=triples.one_hot(right), mask=is_asked)
    steps = task.to_human_readable(batch, triples.one_hot(said)).splitlines()
    answers, verdicts, is_right = [], [], []
    for t in np.flatnonzero(is_asked[:, 0]):
        own, expected = task.text(said[t, 0]), task.text(right[t, 0])
        if own == expected == "end":
            continue
        answers.append(own)
        is_right.append(own == expected)
        verdict = "right" if own == expected else f"wrong (right: {expected})"
        if trace:
            step = read_from(trace, t)
            verdict += f", read from: {'not one slot' if step is None else steps[step]}"
        verdicts.append(verdict)
    width = max(map(len, answers))
    lines = [f"{own:{width}}  {verdict}" for own, verdict in zip(answers, verdicts, strict=True)]
    if trace:
        tokens = [encoding.padded(steps, len(said))]
        trace = trace.replace(tokens=tokens, target=np.asarray(batch.target), mask=is_asked)
    return "\n".join([*lines, task.summary(batch, is_right)]), trace


def read_from(trace: dnc.Trace, t: int) -> int | None:
    """Returns the step that wrote the slot that the first example reads at step t.

    The reads of a step reach its output. The slot is the one with the largest read weight, summed
    over the heads. The step is the one whose write has the largest share left in it. It may be a
    step of the graph, of a question or of an answer.

    Returns:
      The step; `None` if no head has a weight of at least 0.5 on this slot.
    """
    weights = trace.read_weights[t, 0]
    slot = weights.sum(axis=0).argmax()
    if weights[:, slot].max() < 0.5:
        return None
    return int(asking.remains(trace, t)[:, slot].argmax())


def main(argv: Sequence[str]) -> int:
    """Runs the command. Returns the exit code."""
    return command.run("tasks.graphs.route", _FLAGS, argv, __doc__, _answer)


def _answer() -> None:
    directory = asking.directory_of_model(_FLAGS)
    if not (_FLAGS.map and _FLAGS.start):
        raise ValueError("Give --map and --start, the node where the route begins.")
    names = ("map", "start", "edges", "goal", "seed", "memory_size", "best")
    asking.say_answers(_FLAGS, *answer(directory, **{name: _FLAGS[name].value for name in names}))


if __name__ == "__main__":
    sys.exit(main(sys.argv))
