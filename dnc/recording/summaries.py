"""Summaries of a memory for TensorBoard: scalars, pictures, and episodes for the DNC Memory tab.

In your own training loop, at each evaluation and always on the same inputs:

    trace = dnc.record(core, probe)
    with writer.as_default(step):
        dnc.summaries.write_scalars(trace, {"loss": loss})
        dnc.summaries.write_panels(trace)
        dnc.summaries.write_episode(trace)

Like TensorFlow's own summaries, each function writes nothing where there is no default writer or
`tf.summary.record_if(False)` is active, and returns whether it has written. Call them outside of a
graph, like `dnc.record`.
"""

import functools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf
from tensorboard.compat.proto import summary_pb2
from tensorboard.plugins.image import metadata as image_metadata

from dnc.recording.trace import Trace
from dnc_trace import episode, header


def write_scalars(
    trace: Trace, scalars: Mapping[str, Any] | None = None, step: Any = None, tag: str = "memory"
) -> bool:
    """Writes the `statistics` of a trace as `<tag>/<name>`, and other scalars with them.

    Args:
      trace: a trace of any number of examples.
      scalars: further scalars by name, such as loss and metrics. A mapping inside is a group:
        `{"gradient_norm": dnc.summaries.module_norms(core.trainable_variables, gradients)}`.
      step: training step; by default the writer's step.
      tag: group of the statistics' names.

    Returns:
      Whether they were written.

    Raises:
      ValueError: if there is no step.
    """
    if not tf.summary.should_record_summaries():
        return False
    for name, value in _named({**(scalars or {}), tag: statistics(trace)}):
        tf.summary.scalar(name, value, step)
    return True


def write_panels(trace: Trace, step: Any = None, tag: str = "memory", example: int = 0) -> bool:
    """Writes an episode as three wide images over one time axis.

    `<tag>/1_episode` shows inputs, targets and outputs, and the slots that were written and read.
    `<tag>/2_usage` shows the usage of the slots and the gates, `<tag>/3_read_modes` the read modes
    of each head. Slots are in the order of their first write.

    Args:
      trace: the trace to draw. With targets, wrong answers are marked.
      step: training step; by default the writer's step. (TensorBoard keeps 10 images of a tag,
        unless started with `--samples_per_plugin images=100`.)
      tag: group of the images' names.
      example: number of the example to draw.

    Returns:
      Whether they were written.

    Raises:
      ValueError: if there is no such example, or no step, or the tag has quotes or backslashes.
    """
    batch_size = len(trace.sequence_length)
    if not 0 <= example < batch_size:
        raise ValueError(f"example must be in 0..{batch_size - 1}, got {example}.")
    from dnc.recording import panels as _panels  # Only this needs Pillow.

    return all(
        [
            _write_image(f"{tag}/{name}", functools.partial(draw, trace, example), step, text)
            for name, draw, text in (
                ("1_episode", _panels.episode_panel, "Inputs and outputs; writes and reads."),
                ("2_usage", _panels.usage_panel, "Usage of each slot, and the gates."),
                ("3_read_modes", _panels.read_modes_panel, "Shares of each head's read modes."),
            )
        ]
    )


def write_episode(trace: Trace, step: Any = None, tag: str = "episode") -> bool:
    """Writes all examples of a trace for the DNC Memory tab of TensorBoard.

    Numbers are rounded to float16. Memory and links of all steps are stored if they are small;
    otherwise the viewer computes them and marks them as computed.

    Args:
      trace: a few examples. An example of 43 steps and 32 slots takes 80 kB, for instance.
      step: training step; by default the writer's step. With the same inputs at each step you can
        watch the model learn.
      tag: name of the episode.

    Returns:
      Whether it was written.

    Raises:
      ValueError: if there is no step or no data, or the tag has quotes or backslashes.
    """
    metadata = summary_pb2.SummaryMetadata(
        summary_description="An episode for the DNC Memory tab.",
        plugin_data=summary_pb2.SummaryMetadata.PluginData(plugin_name=header.PLUGIN_NAME),
        data_class=summary_pb2.DATA_CLASS_BLOB_SEQUENCE,
    )
    return _write(tag, lambda: episode.encode(trace.arrays(), trace.meta()), step, metadata)


def statistics(trace: Trace) -> dict[str, float]:
    """Returns statistics of a memory, each a mean over all steps of all examples.

    ====================  ==========================================================================
    write_gate            share of a full write, in [0, 1]
    allocation_gate       1 for writes to allocated slots, 0 for writes to slots found by content
    free_gate             share of the slots just read that is set free, in [0, 1]
    backward_mode, ...    shares of the read modes, which sum to 1: backward, content, forward
    write_strength, ...   strengths of the look-ups: write, read; >= 0
    usage                 share of the memory that is in use, in [0, 1]
    link_mass             sum of all links, at most N for each write head; only if they are recorded
    write_sharpness, ...  1 / the number of slots that share a weighting, sum(w)^2 / sum(w^2), for
                          writes and reads; each weighting counts by its sum; in [0, 1]
    ====================  ==========================================================================

    A trace without any steps has none.
    """
    steps = np.arange(trace.inputs.shape[0])[:, np.newaxis] < trace.sequence_length  # [T, B]
    if not steps.any():
        return {}
    means = {
        "write_gate": trace.write_gate,
        "allocation_gate": trace.allocation_gate,
        "free_gate": trace.free_gate,
        "backward_mode": trace.backward_mode.sum(axis=3),
        "content_mode": trace.content_mode,
        "forward_mode": trace.forward_mode.sum(axis=3),
        "write_strength": trace.write_strengths,
        "read_strength": trace.read_strengths,
        "usage": trace.usage,
    }
    if trace.link is not None:
        means["link_mass"] = trace.link.sum(axis=(2, 3, 4))
    return {
        **{name: float(values[steps].mean()) for name, values in means.items()},
        "write_sharpness": _sharpness(trace.write_weights[steps]),
        "read_sharpness": _sharpness(trace.read_weights[steps]),
    }


def module_norms(variables: Sequence[tf.Variable], values: Sequence[Any]) -> dict[str, tf.Tensor]:
    """Returns the norm of gradients or updates for each module, by the module's name.

    It can be part of a compiled training step.

    Args:
      variables: trainable variables. Modules of the same name count as one.
      values: for each variable a tensor or array of its shape, or `None` for zeros.

    Returns:
      Scalars, each the square root of the sum of squares.

    Raises:
      ValueError: if the numbers of values and variables differ.
    """
    if len(variables) != len(values):
        raise ValueError(
            f"values must be one for each of {len(variables)} variables, got {len(values)}."
        )
    squares: dict[str, list[tf.Tensor]] = {}
    for variable, value in zip(variables, values, strict=True):
        module = variable.name.rpartition("/")[0] or variable.name.partition(":")[0]
        # As in `tf.linalg.global_norm`: in one compiled program both are computed once.
        half = tf.zeros([], variable.dtype) if value is None else tf.nn.l2_loss(value)
        squares.setdefault(module, []).append(half)
    return {module: tf.sqrt(2.0 * tf.add_n(parts)) for module, parts in squares.items()}


def _sharpness(weights: np.ndarray) -> float:
    """Returns the mean of sum(w^2) / sum(w)^2 over weightings [..., N], weighted by sum(w)."""
    mass = weights.sum(axis=-1)
    squares = np.square(weights).sum(axis=-1)
    sharpness = np.divide(squares, mass**2, out=np.zeros_like(mass), where=mass > 1e-6)
    return float((sharpness * mass).sum() / max(mass.sum(), 1e-6))


def _named(scalars: Mapping[str, Any], group: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in scalars.items():
        if isinstance(value, Mapping):
            yield from _named(value, f"{group}{name}/")
        else:
            yield f"{group}{name}", value


def _write_image(tag: str, draw: Callable[[], bytes], step: Any, text: str) -> bool:
    def image() -> list[bytes]:
        png = draw()
        # The first chunk of a PNG file holds its sizes.
        width, height = (int.from_bytes(png[i : i + 4], "big") for i in (16, 20))
        return [str(width).encode(), str(height).encode(), png]

    metadata = image_metadata.create_summary_metadata(display_name="", description=text)
    metadata.data_class = summary_pb2.DATA_CLASS_BLOB_SEQUENCE
    return _write(tag, image, step, metadata)


def _write(
    tag: str, parts: Callable[[], list[bytes]], step: Any, metadata: summary_pb2.SummaryMetadata
) -> bool:
    """Writes byte strings as one record; `parts` is called only if the record is written."""
    if json.dumps(tag, ensure_ascii=False) != f'"{tag}"':
        raise ValueError(
            f"A tag must not contain quotes, backslashes or control characters, got {tag!r}. "
            "TensorBoard's fast reader finds no data under such a tag."
        )
    written = tf.summary.write(tag, lambda: tf.constant(parts()), step, metadata)
    return bool(written)
