"""Draws pictures/architecture.svg, for light and dark backgrounds.

python -m docs.architecture
"""

import pathlib

PICTURE = pathlib.Path(__file__).parent / "pictures/architecture.svg"
WIDTH, HEIGHT = 860, 400
STYLE = """
  text { font: 14px system-ui, sans-serif; fill: #1f2328; text-anchor: middle; }
  .small { font-size: 12px; fill: #59636e; }
  .left { text-anchor: start; }
  rect { fill: #eef2fb; stroke: #3f51b5; rx: 6px; }
  .slot { fill: none; stroke: #8c959f; rx: 0; }
  .written { fill: #3f51b5; stroke: #8c959f; rx: 0; }
  path { fill: none; stroke: #59636e; stroke-width: 1.5; }
  .head { fill: #59636e; stroke: none; }
  .later { stroke-dasharray: 5 4; }
  .link { stroke: #b4540a; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .small { fill: #9da7b3; }
    rect { fill: #1c2340; stroke: #8c9eff; }
    .written { fill: #8c9eff; }
    path { stroke: #9da7b3; }
    .head { fill: #9da7b3; }
    .link { stroke: #f0883e; }
  }
"""


def box(x: int, y: int, width: int, height: int, title: str, *details: str) -> str:
    """Returns a rectangle with lines of text in its middle."""
    middle, top = x + width / 2, y + height / 2 - 8 * len(details) + 5
    lines = [f'<rect x="{x}" y="{y}" width="{width}" height="{height}"/>']
    lines.append(text(middle, top, title))
    lines += [text(middle, top + 17 * i, each, "small") for i, each in enumerate(details, 1)]
    return "\n".join(lines)


def text(x: float, y: float, content: str, kind: str = "") -> str:
    """Returns a line of text."""
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{content}</text>'


def line(*points: tuple[int, int], kind: str = "", arrow: bool = True) -> str:
    """Returns a line through points, with an arrow at its end."""
    path = " L ".join(f"{x} {y}" for x, y in points)
    end = ' marker-end="url(#arrow)"' if arrow else ""
    return f'<path class="{kind}" d="M {path}"{end}/>'


def memory(x: int, y: int) -> list[str]:
    """Returns eight slots of six numbers, with their usage and links."""
    parts = [text(x + 60, y - 12, "Memory")]
    for slot in range(8):
        top = y + 22 * slot
        parts += [
            f'<rect class="slot" x="{x + 20 * i}" y="{top}" width="20" height="22"/>'
            for i in range(6)
        ]
        used = [1.0, 0.9, 1.0, 0.8, 0.3, 0.0, 0.0, 0.0][slot]
        parts.append(f'<rect class="slot" x="{x + 132}" y="{top}" width="24" height="22"/>')
        parts.append(
            f'<rect class="written" x="{x + 132}" y="{top}" width="{24 * used:g}" height="22"/>'
        )
    for slot in range(4):
        top, right = y + 22 * slot + 11, x + 162
        parts.append(
            f'<path class="link" d="M {right} {top} '
            f'C {right + 26} {top}, {right + 26} {top + 22}, {right} {top + 22}"/>'
        )
    parts.append(text(x + 60, y + 194, "N slots of W numbers", "small"))
    parts.append(text(x + 144, y - 12, "usage", "small"))
    parts.append(text(x + 190, y + 60, "links", "small left"))
    return parts


def picture() -> str:
    """Returns the SVG file."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-label="Architecture of the DNC">',
        f"<style>{STYLE}</style>",
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" '
        'markerHeight="7" orient="auto"><path class="head" d="M 0 0 L 8 4 L 0 8 Z"/>'
        "</marker></defs>",
        text(32, 126, "input"),
        line((54, 121), (90, 121)),
        box(90, 81, 120, 80, "Controller", "LSTM"),
        line((210, 121), (250, 121)),
        box(250, 81, 110, 80, "Interface", "keys, gates,", "modes"),
        line((360, 101), (385, 101), (385, 74), (410, 74)),
        line((360, 141), (385, 141), (385, 204), (410, 204)),
        box(410, 36, 140, 76, "Write head", "allocation", "or content"),
        box(410, 166, 140, 76, "Read heads", "backward, content,", "forward"),
        line((550, 74), (610, 74)),
        text(580, 66, "write", "small"),
        line((610, 204), (550, 204)),
        text(580, 196, "read", "small"),
        *memory(610, 50),
        line((480, 242), (480, 302), (360, 302)),
        text(492, 276, "words read", "small left"),
        box(250, 280, 110, 44, "Output layer"),
        line((180, 161), (180, 302), (250, 302)),
        line((420, 302), (420, 350), (120, 350), (120, 161), kind="later"),
        text(128, 368, "words read, in the next step", "small left"),
        line((305, 324), (305, 376)),
        text(305, 394, "output"),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PICTURE.write_text(picture(), "utf-8")
