"""Draws an episode as wide, short pictures over one time axis, by Pillow.

TensorBoard shows images small: so there are a few pictures with few, labelled bands each, instead
of one that has all. `dnc_inspector` has the rest.
"""

import io
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dnc.trace import Trace

# As in the inspector: read heads by number (those after the last begin anew).
WRITE_COLOUR = (0, 110, 60)
READ_COLOURS = [(204, 68, 152), (0, 114, 178), (230, 120, 0), (120, 94, 180)]
MODE_COLOURS = {"backward": (69, 117, 180), "content": (253, 174, 97), "forward": (27, 135, 85)}
_INK, _USAGE, _GATE = (40, 40, 40), (166, 86, 0), (60, 60, 60)
_NEGATIVE, _WRONG, _NOT_FINITE = (33, 102, 172), (215, 25, 28), (255, 0, 255)
_PAPER, _FRAME, _TEXT = (255, 255, 255), (190, 190, 190), (60, 60, 60)

_LEFT, _RIGHT, _WIDTH, _LEAST_WIDTH = 96, 12, 900, 480
_GAP, _LINE = 6, 16
_LARGEST_CELL = 36
_WIDEST = 4000  # Pixels; of longer episodes only the first steps are drawn.


class Band(NamedTuple):
    """One strip of a picture, with its name to its left."""

    label: str
    colours: np.ndarray  # [rows, T, 3], 0..255
    row_height: int  # pixels


Legend = list[tuple[str, tuple[int, int, int]]]


def episode_panel(trace: Trace, b: int) -> bytes:
    """Inputs, targets, outputs, and where was written and read; as PNG, see `_draw`."""
    length = _length(trace, b)
    slots = slots_by_first_write(trace, b)
    bands = [_band("input", _signed(trace.inputs[:length, b]), 64)]
    legend: Legend = [("write", WRITE_COLOUR)]
    outputs, target, wrong = _answers(trace, b)
    if target is not None:
        bands.append(_band("target", _signed(target), 56))
    colours = _signed(outputs)
    if wrong is not None:
        colours[wrong.T] = _WRONG
        legend.append(("wrong", _WRONG))
    bands.append(_band("output", colours, 56))

    writes = trace.write_weights[:length, b].max(axis=1)[:, slots]
    layers = [(writes, WRITE_COLOUR)]
    for head in range(trace.read_weights.shape[2]):
        colour = READ_COLOURS[head % len(READ_COLOURS)]
        layers.append((trace.read_weights[:length, b, head][:, slots], colour))
        legend.append((f"read head {head}", colour))
    bands.append(_band("slots", _overlaid(layers), 128))
    return _draw(bands, legend)


def usage_panel(trace: Trace, b: int) -> bytes:
    """Usage of the slots, and all gates; as PNG."""
    length = _length(trace, b)
    usage = trace.usage[:length, b][:, slots_by_first_write(trace, b)]
    bands = [_band("usage", _overlaid([(usage, _USAGE)]), 128)]
    for label, gate, colour in (
        ("write gate", trace.write_gate, WRITE_COLOUR),
        ("alloc. gate", trace.allocation_gate, _USAGE),
        ("free gates", trace.free_gate, _GATE),
    ):
        rows = gate.shape[2]
        bands.append(Band(label, _overlaid([(gate[:length, b], colour)]), max(6, 24 // rows)))
    return _draw(bands, [("0", _PAPER), ("1", _USAGE)])


def read_modes_panel(trace: Trace, b: int) -> bytes:
    """The shares of the read modes of each head, as stacked bars; as PNG."""
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
        colours = np.full([height, length, 3], _PAPER, np.uint8)
        for end, colour in reversed(list(zip(ends, MODE_COLOURS.values(), strict=True))):
            colours[rows < end] = colour
        bands.append(Band(f"read head {head}", colours, 1))
    return _draw(bands, list(MODE_COLOURS.items()))


def slots_by_first_write(trace: Trace, b: int) -> np.ndarray:
    """Numbers of the slots, in the order in which they were first written; the others last.

    A slot counts as written from a weight of 0.1 on, or of half of its example's largest, if that
    is less. So writing one slot after the other is a diagonal.
    """
    weights = np.nan_to_num(trace.write_weights[: _length(trace, b), b]).max(axis=1, initial=0.0)
    is_written = weights >= min(0.1, 0.5 * weights.max(initial=0.0) or 0.1)
    at_the_end = np.ones([1, weights.shape[1]], bool)
    first = np.concatenate([is_written, at_the_end]).argmax(axis=0)
    return np.argsort(first, kind="stable")


def _length(trace: Trace, b: int) -> int:
    return min(int(trace.sequence_length[b]), _WIDEST)


def _answers(trace: Trace, b: int) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
    """Outputs and targets [T, Y] as they are drawn, and where outputs are wrong.

    If all targets are 0 or 1, outputs beyond that are taken for logits. Where an answer does not
    count, none is shown.
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
    """A band of rows as high as fit; of rows that do not fit the last ones are left out."""
    num_rows = len(colours)
    if num_rows > height:
        return Band(f"{label}\n{height} of {num_rows}", colours[:height], 1)
    return Band(label, colours, max(1, min(10, height // max(num_rows, 1))))


def _overlaid(layers: list[tuple[np.ndarray, tuple[int, int, int]]]) -> np.ndarray:
    """Weights [T, rows] in [0, 1], each in its colour, like glazes on paper: [rows, T, 3]."""
    shape = [*layers[0][0].T.shape, 3]
    light, is_odd = np.ones(shape), np.zeros(shape[:2], bool)
    for weights, colour in layers:
        weights = weights.T
        is_odd |= ~np.isfinite(weights)
        share = np.clip(np.nan_to_num(weights), 0.0, 1.0)[..., np.newaxis]
        light *= 1.0 - share * (1.0 - np.array(colour) / 255.0)
    colours = (light * 255.0).astype(np.uint8)
    colours[is_odd] = _NOT_FINITE
    return colours


def _signed(values: np.ndarray) -> np.ndarray:
    """Numbers [T, rows], dark for the largest, blue below 0, white for 0: [rows, T, 3]."""
    finite = np.nan_to_num(values, posinf=0.0, neginf=0.0)
    scaled = finite / max(np.abs(finite).max(initial=0.0), 1e-9)
    colours = _overlaid([(np.maximum(scaled, 0.0), _INK), (np.maximum(-scaled, 0.0), _NEGATIVE)])
    colours[~np.isfinite(values.T)] = _NOT_FINITE
    return colours


def _draw(bands: list[Band], legend: Legend) -> bytes:
    """Puts bands of the same number of steps under each other; returns a PNG file."""
    num_steps = max(bands[0].colours.shape[1], 1)
    room = _WIDTH - _LEFT - _RIGHT
    cell = max(1, min(_LARGEST_CELL, room // num_steps))
    width = max(_LEAST_WIDTH, _LEFT + num_steps * cell + _RIGHT)
    heights = [max(len(band.colours) * band.row_height, _LINE - 4) for band in bands]
    height = 2 * _LINE + sum(heights) + _GAP * len(bands) + 6
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
        pixels = band.colours.repeat(band.row_height, axis=0).repeat(cell, axis=1)
        draw.rectangle(
            [_LEFT - 1, y - 1, _LEFT + num_steps * cell, y + band_height], outline=_FRAME
        )
        if pixels.size:
            picture.paste(Image.fromarray(pixels), (_LEFT, y))
        # Three lines of text at most fit to any band.
        draw.multiline_text((8, y - 2), band.label, _TEXT, font, spacing=1)
        y += band_height + _GAP
    for t in range(0, num_steps, _tick(cell)):
        draw.text((_LEFT + t * cell, y - 3), str(t), _TEXT, font)
    label = "step"
    draw.text((8, y - 3), label, _TEXT, font)
    file = io.BytesIO()
    picture.save(file, "PNG", compress_level=3)
    return file.getvalue()


def _tick(cell: int) -> int:
    """Steps between two numbers on the time axis."""
    return next(n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if n * cell >= 30)
