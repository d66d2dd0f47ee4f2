"""The quantities of an episode, in one table for traces, their files, the viewer and the documents.

`STEP` lists them in the order in which a step computes them. A model may add further quantities,
the extras of a trace. Each declares its axes and the quantity of `STEP` before which it is
computed.

    python -m dnc_trace.quantities    # prints the table of docs/inspection.md
"""

from collections.abc import Mapping
from typing import NamedTuple

AXES = {
    "T": "time steps",
    "B": "examples",
    "X": "input width",
    "Y": "output width",
    "Z": "target width",
    "H": "controller width",
    "N": "slots",
    "W": "word size",
    "R": "read heads",
    "V": "write heads",
}


class Quantity(NamedTuple):
    """A row of the table."""

    name: str
    axes: str  # a letter of `AXES` for each axis
    symbol: str  # of the paper; "" if it has none
    meaning: str
    optional: bool = False  # whether a trace may lack it


# Fields of the interface vector that every model has.
INTERFACE = (
    Quantity("read_keys", "TBRW", "k^r", "pattern that each read head looks for"),
    Quantity("read_strengths", "TBR", "beta^r", "sharpness of the look-up by a read key, >= 0"),
    Quantity("write_keys", "TBVW", "k^w", "pattern that each write head looks for"),
    Quantity("write_strengths", "TBV", "beta^w", "sharpness of the look-up by a write key, >= 0"),
    Quantity("erase_vectors", "TBVW", "e", "share of each number of a word to erase, in [0, 1]"),
    Quantity("write_vectors", "TBVW", "v", "word to write"),
    Quantity("free_gate", "TBR", "f", "share of the slots just read to set free, in [0, 1]"),
    Quantity("allocation_gate", "TBV", "g^a", "1: write to a free slot, 0: where the key leads"),
    Quantity("write_gate", "TBV", "g^w", "share of a full write, in [0, 1]"),
)

STEP = (
    Quantity("inputs", "TBX", "x", "input of the core"),
    Quantity("controller_output", "TBH", "h", "output of the controller, after clipping"),
    *INTERFACE,
    Quantity("backward_mode", "TBRV", "pi[1]", "share of reading backward along the links"),
    Quantity("forward_mode", "TBRV", "pi[3]", "share of reading forward along the links"),
    Quantity("content_mode", "TBR", "pi[2]", "share of reading by content; the modes sum to 1"),
    Quantity("retention", "TBN", "psi", "share of the usage that the free gates leave", True),
    Quantity("usage", "TBN", "u", "use of each slot before the step's write, in [0, 1]"),
    Quantity("allocation_weights", "TBVN", "a", "weighting of the slots that are free"),
    Quantity("write_content_weights", "TBVN", "c^w", "weighting by the write key alone"),
    Quantity("write_weights", "TBVN", "w^w", "weighting with which a write head writes"),
    Quantity("memory", "TBNW", "M", "memory after the step's write"),
    Quantity("link", "TBVNN", "L", "L[i, j]: degree to which i was written right after j", True),
    Quantity("precedence_weights", "TBVN", "p", "degree to which a slot was written last", True),
    Quantity("forward_weights", "TBRVN", "f", "weighting of the slots written right after"),
    Quantity("backward_weights", "TBRVN", "b", "weighting of the slots written right before"),
    Quantity("read_content_weights", "TBRN", "c^r", "weighting by the read key alone"),
    Quantity("read_weights", "TBRN", "w^r", "weighting with which a read head reads"),
    Quantity("read_words", "TBRW", "r", "word that a read head gets"),
    Quantity("outputs", "TBY", "y", "output of the core"),
)

_AROUND = (
    Quantity("target", "TBZ", "", "desired output", True),
    Quantity("mask", "TB", "", "1 where an answer counts", True),
    Quantity("sequence_length", "B", "", "number of steps of each example, an integer"),
    Quantity("initial_memory", "BNW", "M_0", "memory before the first step"),
    Quantity("initial_read_weights", "BRN", "w^r_0", "read weighting before the first step"),
    Quantity("initial_write_weights", "BVN", "w^w_0", "write weighting before the first step"),
    Quantity("initial_usage", "BN", "u_0", "usage before the first step"),
    Quantity("initial_precedence_weights", "BVN", "p_0", "precedence before the first step", True),
    Quantity("initial_link", "BVNN", "L_0", "links before the first step, if there are any", True),
)

# Extras of the package's own parts. Extras of custom parts have no meaning here.
EXTRA_MEANINGS = {
    "read_masks": "m^r: share of each number that a read key is compared by, in [0, 1]",
    "write_masks": "m^w: share of each number that a write key is compared by, in [0, 1]",
    "deallocated": "1 - psi: share of a slot's contents that is erased as the slot is set free",
    "sharpness": "s: exponent of each direction, backward then forward; 1: as the links are",
    "allocation_strengths": "beta^a: sharpness of the choice of a free slot, >= 0",
}

QUANTITIES = {quantity.name: quantity for quantity in (*STEP, *_AROUND)}


def in_order(declared: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Returns the names of a step's quantities in the order in which it computes them.

    Args:
      declared: extras by name, see `schema.check`. Each comes right before the quantity that it
        declares to be computed before.
    """
    names: list[str] = []
    for quantity in STEP:
        names += [extra for extra, each in declared.items() if each["before"] == quantity.name]
        names.append(quantity.name)
    return names


def table() -> str:
    """Returns the table in Markdown, for docs/inspection.md."""
    lines = ["| quantity | axes | symbol | meaning |", "|---|---|---|---|"]
    for name, axes, symbol, meaning, optional in QUANTITIES.values():
        shown = f"`{symbol}`" if symbol else ""
        absent = " (optional)" if optional else ""
        lines.append(f"| `{name}`{absent} | {' '.join(axes)} | {shown} | {meaning} |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(table())
