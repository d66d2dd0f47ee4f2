"""Draws one episode of a trained repeat copy model as an SVG: what was written and read where.

    python -m docs.episode checkpoints/repeat_copy docs/episode.svg

Slots are in the order of their first write, so that writing in order shows as a diagonal.
"""

import sys

import numpy as np

from training.models import load

_CELL, _GAP, _LEFT, _TOP = 12, 26, 60, 10
_USED = 0.4  # Slots that are never written more than this are left out.
_COLOURS = {"input": "#444444", "output": "#1b7837", "wrong": "#d73027", "write": "#b35806"}
_READ_COLOURS = ["#2166ac", "#c51b7d", "#7fbc41", "#762a83"]


def episode(directory: str) -> dict[str, np.ndarray]:
    """Runs the model of a run over one of its longest episodes; returns arrays, time first."""
    core, task = load(directory)
    rng = np.random.default_rng(3)
    shape = [1, task.max_length, task.num_bits]
    patterns = rng.integers(0, 2, shape)
    batch = task.encode(patterns, [task.max_length], [task.max_repeats])
    steps, state = [], core.initial_state(1)
    for observation in batch.observations:
        steps.append(core._step(observation, state))
        state = steps[-1].state
    access = [step.access.state for step in steps]
    return {
        "observations": np.asarray(batch.observations)[:, 0],
        "target": np.asarray(batch.target)[:, 0],
        "answer": (np.asarray([s.outputs[0] for s in steps]) > 0)
        * np.asarray(batch.mask)[:, 0, np.newaxis],
        "writes": np.asarray([a.write_weights[0, 0] for a in access]),
        "reads": np.asarray([a.read_weights[0] for a in access]),
    }


def cells(values: np.ndarray, top: float, colour: str) -> list[str]:
    """One square a value: columns are time, rows the second axis, opacity the value in [0, 1]."""
    return [
        f'<rect x="{_LEFT + t * _CELL}" y="{top + row * _CELL}" width="{_CELL - 1}" '
        f'height="{_CELL - 1}" fill="{colour}" fill-opacity="{min(1.0, value):.2f}"/>'
        for (t, row), value in np.ndenumerate(values)
        if value > 0.02
    ]


def draw(arrays: dict[str, np.ndarray]) -> str:
    """Returns the picture."""
    used = np.flatnonzero(arrays["writes"].max(axis=0) > _USED)
    used = used[np.argsort([np.argmax(arrays["writes"][:, slot] > _USED) for slot in used])]
    observations = arrays["observations"] / np.maximum(1.0, arrays["observations"].max(axis=0))
    observations = np.where(arrays["observations"] > 0, np.maximum(observations, 0.5), 0.0)
    right = arrays["answer"] * arrays["target"]
    wrong = np.abs(arrays["answer"] - arrays["target"])
    panels = [
        ("input", [(observations, _COLOURS["input"])]),
        ("output", [(right, _COLOURS["output"]), (wrong, _COLOURS["wrong"])]),
        ("writes", [(arrays["writes"][:, used], _COLOURS["write"])]),
    ]
    heads = arrays["reads"][:, :, used].swapaxes(0, 1)
    panels.append(("reads, a colour for each head", list(zip(heads, _READ_COLOURS, strict=False))))

    num_steps = len(observations)
    width, y, body = _LEFT + num_steps * _CELL + 10, _TOP, []
    for title, layers in panels:
        rows = layers[0][0].shape[1]
        body.append(f'<text x="{_LEFT}" y="{y + 10}">{title}</text>')
        y += 16
        body.append(
            f'<rect x="{_LEFT}" y="{y}" width="{num_steps * _CELL}" height="{rows * _CELL}" '
            'fill="#f4f4f4"/>'
        )
        for values, colour in layers:
            body += cells(values, y, colour)
        unit = "bits" if title in ("input", "output") else "slots"
        body.append(f'<text x="{_LEFT - 8}" y="{y + 11}" text-anchor="end">{unit}</text>')
        y += rows * _CELL + _GAP - 10
    body.append(f'<text x="{_LEFT}" y="{y + 4}">time →</text>')
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y + 12}" width="{width}" '
        'font-family="sans-serif" font-size="12">\n'
        '<rect width="100%" height="100%" fill="white"/>\n' + "\n".join(body) + "\n</svg>\n"
    )


def main(argv: list[str]) -> int:
    """Draws."""
    if len(argv) != 3:
        print("usage: python -m docs.episode RUN_DIRECTORY PICTURE.svg", file=sys.stderr)
        return 2
    with open(argv[2], "w", encoding="utf-8") as file:
        file.write(draw(episode(argv[1])))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
