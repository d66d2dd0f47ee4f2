"""The viewer of `dnc_inspector` below a cell of a notebook."""

import html

from dnc import _checks
from dnc.recording.trace import Trace
from dnc_inspector import page

# The page may run its scripts and save pictures. Without "allow-same-origin" it cannot reach the
# notebook around it, whatever a trace contains.
_FRAME = (
    '<iframe title="DNC Memory" sandbox="allow-scripts allow-downloads" width="100%" '
    'height="{height}" style="display: block; box-sizing: border-box; border: 1px solid #d9dde2" '
    'srcdoc="{page}"></iframe>'
)


class View:
    """A trace in the viewer, which a notebook shows as the result of a cell."""

    def __init__(self, trace: Trace, height: int):
        """Makes the page, which needs nothing else."""
        self._trace, self._height = trace, height
        self._page = page.render({"trace": (trace.arrays(), trace.meta())}, title="DNC Memory")

    def __repr__(self) -> str:
        return f"<{self._trace} in the viewer; a notebook shows it>"

    def _repr_html_(self) -> str:
        return _FRAME.format(height=self._height, page=html.escape(self._page))


def show(trace: Trace, height: int = 780) -> View:
    """Shows a trace in a notebook: the viewer of the DNC Memory tab, below the cell.

        >>> import dnc, sonnet as snt, tensorflow as tf
        >>> core = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(8), output_size=2)
        >>> trace = dnc.record(core, tf.random.normal([7, 3, 5]))  # time, batch, input width
        >>> dnc.show(trace)
        <Trace(T=7, B=3, X=5, Y=2, H=8, N=4, W=3, R=1, V=1) in the viewer; a notebook shows it>

    Make it the last line of a cell, or pass it to `display`. It loads nothing, so it also works
    offline and in a notebook that was saved with its results. Each adds some hundred kB to the
    file. Outside of notebooks, `Trace.save` and `python -m dnc_inspector` make a page.

    Args:
      trace: a few examples, see `Trace.examples`. With targets, wrong answers are marked; with
        tokens, steps have labels (`Trace.replace` adds both).
      height: height of the viewer in pixels; it scrolls if it needs more.

    Raises:
      ValueError: if `trace` is not a `dnc.Trace` or has no steps or examples, or the height is not
        an integer >= 1.
    """
    if not isinstance(trace, Trace):
        given = _checks.structure_text(trace)
        raise ValueError(f"trace must be a dnc.Trace, as dnc.record returns it, got {given}.")
    return View(trace, _checks.check_size("height", height))
