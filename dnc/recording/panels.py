"""Pictures of an episode, wide and short, over one time axis, drawn with Pillow.

TensorBoard displays images at a small size, so there are several pictures with a few labelled bands
each instead of a single picture with all of them. `dnc_inspector` shows the rest.
"""

import io
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dnc.recording.trace import Trace

Colour = tuple[int, int, int]

# As in the inspector, writing is ink, and read heads have hues that differ for any kind of colour
# vision. The hues repeat after the last one.
INK: Colour = (28, 33, 40)
READ_COLOURS: list[Colour] = [
    *((0, 114, 178), (213, 94, 0), (0, 158, 115), (143, 58, 114)),
    *((181, 123, 0), (58, 150, 210), (107, 79, 187), (140, 130, 0)),
]
_USAGE: Colour = (124, 88, 20)
_NEGATIVE, _WRONG, _NOT_FINITE = (33, 102, 172), (194, 0, 61), (255, 0, 212)
_PAPER, _FRAME, _TEXT = (255, 255, 255), (200, 204, 210), (60, 66, 74)
# Strength of a head's colour, and of ink over it, for each of its modes.
_MODES = {"backward": (1.0, 0.6), "content": (0.3, 0.0), "forward": (1.0, 0.0)}

_LEFT, _RIGHT, _WIDTH, _LEAST_WIDTH = 96, 12, 900, 480
_GAP, _LINE = 6, 16
_LARGEST_CELL = 36
_WIDEST = 4000  # Pixels. A step takes at least one for each read head; later steps are not drawn.


class Band(NamedTuple):
    """One strip of a picture, with its name to its left."""

    label: str
    colours: np.ndarray  # [rows, T, stripes, 3], 0..255: a step's colours, side by side
    row_height: int  # pixels


Legend = list[tuple[str, Colour]]


def episode_panel(trace: Trace, b: int) -> bytes:
    """Draws inputs, targets, outputs, and the slots written and read, as PNG; see `_draw`."""
    length = _length(trace, b)
    slots = slots_by_first_write(trace, b)
    bands = [_band("input", _signed(trace.inputs[:length, b]), 64)]
    legend: Legend = [("write", INK)]
    outputs, target, wrong = _answers(trace, b)
    if target is not None:
        bands.append(_band("target", _signed(target), 56))
    colours = _signed(outputs)
    if wrong is not None:
        colours[wrong.T] = _WRONG
        legend.append(("wrong", _WRONG))
    bands.append(_band("output", colours, 56))

    # Each head has its own stripe of a step, so that all are visible where they read the same slot.
    writes = trace.write_weights[:length, b].max(axis=1)[:, slots]
    stripes = []
    for head in range(trace.read_weights.shape[2]):
        reads = trace.read_weights[:length, b, head][:, slots]
        stripes.append(_glazed([(writes, INK), (reads, _read_colour(head))]))
        legend.append((f"read head {head}", _read_colour(head)))
    bands.append(_band("slots", np.concatenate(stripes, axis=2), 128))
    return _draw(trace, b, bands, legend)


def usage_panel(trace: Trace, b: int) -> bytes:
    """Draws the usage of the slots and all gates, as PNG."""
    length = _length(trace, b)
    usage = trace.usage[:length, b][:, slots_by_first_write(trace, b)]
    bands = [_band("usage", _glazed([(usage, _USAGE)]), 128)]
    for label, gate in (
        ("write gate", trace.write_gate),
        ("alloc. gate", trace.allocation_gate),
        ("free gates", trace.free_gate),
    ):
        bands.append(_band(label, _glazed([(gate[:length, b], INK)]), 24))
    return _draw(
        trace, b, bands, [("free", _PAPER), ("in use", _USAGE), ("gate 0", _PAPER), ("1", INK)]
    )


def read_modes_panel(trace: Trace, b: int) -> bytes:
    """Draws the shares of the read modes of each head as stacked bars, as PNG."""
    length, bands = _length(trace, b), []
    num_reads = trace.read_weights.shape[2]
    height = max(12, min(36, 180 // num_reads))
    for head in range(num_reads):
        shares = [
            trace.backward_mode[:length, b, head].sum(axis=1),
            trace.content_mode[:length, b, head],
            trace.forward_mode[:length, b, head].sum(axis=1),
        ]
        ends = np.round(np.cumsum(np.nan_to_num(shares), axis=0) * height)
        rows = np.arange(height)[:, np.newaxis]
        colours = np.full([height, length, 1, 3], _PAPER, np.uint8)
        for end, mode in reversed(list(zip(ends, _MODES, strict=True))):
            colours[rows < end] = mode_colour(mode, _read_colour(head))
        bands.append(Band(f"read head {head}", colours, 1))
    legend = [(mode, mode_colour(mode, _read_colour(0))) for mode in _MODES]
    return _draw(trace, b, bands, legend)


def mode_colour(mode: str, colour: Colour) -> Colour:
    """Returns the colour for a mode of a head with this colour."""
    strength, ink = (np.array([[share]]) for share in _MODES[mode])
    red, green, blue = _glazed([(strength, colour), (ink, INK)])[0, 0, 0]
    return int(red), int(green), int(blue)


def _read_colour(head: int) -> Colour:
    return READ_COLOURS[head % len(READ_COLOURS)]


def slots_by_first_write(trace: Trace, b: int) -> np.ndarray:
    """Returns the slots in the order of their first write; slots never written are last.

    A slot counts as written if its weight reaches 0.1, or half of its example's maximum weight if
    that is smaller. Writing one slot after another then appears as a diagonal.
    """
    weights = np.nan_to_num(trace.write_weights[: _length(trace, b), b]).max(axis=1, initial=0.0)
    is_written = weights >= min(0.1, 0.5 * weights.max(initial=0.0) or 0.1)
    at_the_end = np.ones([1, weights.shape[1]], bool)
    first = np.concatenate([is_written, at_the_end]).argmax(axis=0)
    return np.argsort(first, kind="stable")


def _length(trace: Trace, b: int) -> int:
    """Returns the number of steps to draw: all of the example, unless there are too many."""
    return min(int(trace.sequence_length[b]), _WIDEST // trace.read_weights.shape[2])


def _answers(trace: Trace, b: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Returns outputs and targets [T, Y] as they are drawn, and a mask of the wrong outputs.

    If all targets are 0 or 1, outputs outside of that range are treated as logits. Answers that do
    not count are not shown.
    """
    length = _length(trace, b)
    outputs = trace.outputs[:length, b]
    if trace.target is None:
        return outputs, None, None
    target = trace.target[:length, b]
    counts = np.ones([length, 1]) if trace.mask is None else trace.mask[:length, b, np.newaxis] > 0
    wrong = None
    if target.shape == outputs.shape and np.isin(target, [0, 1]).all():
        if np.any(outputs < 0) or np.any(outputs > 1):
            outputs = 0.5 + 0.5 * np.tanh(0.5 * outputs)  # Sigmoid.
        wrong = ((outputs > 0.5) != (target > 0.5)) & (counts > 0)
    return outputs * counts, target, wrong


def _band(label: str, colours: np.ndarray, height: int) -> Band:
    """Returns a band with rows as high as possible, without the last rows if there are too many."""
    num_rows = len(colours)
    if num_rows > height:
        return Band(f"{label}\n{height} of {num_rows}", colours[:height], 1)
    return Band(label, colours, max(1, min(10, height // max(num_rows, 1))))


def _glazed(layers: list[tuple[np.ndarray, Colour]]) -> np.ndarray:
    """Layers weights [T, rows] in [0, 1] in their colours like glazes on paper: [rows, T, 1, 3]."""
    shape = [*layers[0][0].T.shape, 3]
    light, is_odd = np.ones(shape), np.zeros(shape[:2], bool)
    for weights, colour in layers:
        weights = weights.T
        is_odd |= ~np.isfinite(weights)
        share = np.clip(np.nan_to_num(weights), 0.0, 1.0)[..., np.newaxis]
        light *= 1.0 - share * (1.0 - np.array(colour) / 255.0)
    colours = np.rint(light * 255.0).astype(np.uint8)
    colours[is_odd] = _NOT_FINITE
    return colours[:, :, np.newaxis]


def _signed(values: np.ndarray) -> np.ndarray:
    """Returns colours [rows, T, 1, 3]: white at 0, darker for larger values, blue below 0."""
    finite = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    scaled = finite / max(np.abs(finite).max(initial=0.0), 1e-9)
    colours = _glazed([(np.maximum(scaled, 0.0), INK), (np.maximum(-scaled, 0.0), _NEGATIVE)])
    colours[~np.isfinite(values.T)] = _NOT_FINITE
    return colours


def _draw(trace: Trace, b: int, bands: list[Band], legend: Legend) -> bytes:
    """Stacks bands of an example over one time axis; returns a PNG file."""
    num_steps = max(_length(trace, b), 1)
    is_whole = num_steps >= trace.sequence_length[b]
    axis = "step" if is_whole else f"step\n{num_steps} of {trace.sequence_length[b]}"
    room = _WIDTH - _LEFT - _RIGHT
    cell = max(1, min(_LARGEST_CELL, room // num_steps))
    stripes = trace.read_weights.shape[2]
    cell = max(cell, stripes) // stripes * stripes
    width = max(_LEAST_WIDTH, _LEFT + num_steps * cell + _RIGHT)
    heights = [max(len(band.colours) * band.row_height, _LINE - 4) for band in bands]
    height = (2 + axis.count("\n")) * _LINE + sum(heights) + _GAP * len(bands) + 6
    picture = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(size=12)

    x = _LEFT
    for name, colour in legend:
        draw.rectangle([x, 4, x + 9, 13], fill=colour, outline=_FRAME)
        draw.text((x + 14, 1), name, _TEXT, font)
        x += 28 + int(draw.textlength(name, font))
    y = _LINE + 4
    for band, band_height in zip(bands, heights, strict=True):
        pixels = band.colours.repeat(cell // band.colours.shape[2], axis=2)
        pixels = pixels.reshape([len(pixels), -1, 3]).repeat(band.row_height, axis=0)
        draw.rectangle(
            [_LEFT - 1, y - 1, _LEFT + num_steps * cell, y + band_height], outline=_FRAME
        )
        if pixels.size:
            picture.paste(Image.fromarray(pixels), (_LEFT, y))
        draw.multiline_text((8, y - 2), band.label, _TEXT, font, spacing=1)
        y += band_height + _GAP
    for t in range(0, num_steps, _tick(cell)):
        draw.text((_LEFT + t * cell, y - 3), str(t), _TEXT, font)
    draw.multiline_text((8, y - 3), axis, _TEXT, font, spacing=1)
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=3)
    return file.getvalue()


def _tick(cell: int) -> int:
    """Returns the number of steps between two numbers on the time axis."""
    return next(n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if n * cell >= 30)
