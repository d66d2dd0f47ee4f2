"""An episode in the viewer's format: a header in JSON, then one compressed blob for each example.

TensorBoard stores the list as one record, a blob sequence. A self-contained page has it in base64.
An example's blob is the gzipped concatenation of its fields' numbers, little-endian, in the order
of the header. The viewer fetches the header and only the example that it shows.

Header:

============  =====================================================================================
`format`      "dnc-episode"
`version`     1
`sizes`       the size of each axis of `quantities.AXES`
`task`        name of the task, or ""
`linkage`     "dense", "sparse", "none" or "" (unknown): how the model keeps its links
`memory`      "recorded", or "derived" (the viewer computes it from the writes)
`links`       "recorded" (if at least `link_threshold`), "derived" (the viewer computes them), or
              "missing" (only the model can compute them)
`quantities`  [symbol, meaning] of each field that has a row in `quantities.QUANTITIES`, by name
`extras`      for each quantity that only this model has, `name`, `meaning`, and `axes`: a letter
              for each axis after time, as in `quantities.AXES`, or "?"
`decoder`     decoder of words of the memory into text, see `dnc_trace.decoder`, or null
`examples`    for each example `length` (steps), `tokens` (a string per step, or null), `bytes` (of
              the blob before compression), and `fields`: [name, type, shape, offset in bytes]
============  =====================================================================================

Fields of an example have the names and axes of `quantities.QUANTITIES` without the batch axis; an
extra's field is "extra:" and its name. Types are float16, or float32 for numbers too large for it,
and uint16 and uint32 for links. The links of step t and write head v are entries k with
link_starts[t V + v] <= k < link_starts[t V + v + 1]. Slot link_to[k] was written right after slot
link_from[k], to the degree link_values[k].
"""

import gzip
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from dnc_trace import schema
from dnc_trace.header import FORMAT, VERSION
from dnc_trace.quantities import EXTRA_MEANINGS, QUANTITIES

# Weaker links are not stored. If an example has more than LARGEST_LINKS, the next threshold is
# used.
LINK_THRESHOLDS = (0.01, 0.02, 0.05, 0.1, 0.2)
LARGEST_LINKS = 2**18
# Maximum number of entries of the memory of all steps of an example, and of an extra, with which it
# is stored (1 MiB before compression).
LARGEST_MEMORY = 2**19
LARGEST_EXTRA = 2**19
# Maximum number of entries of the links of all steps of an example that are searched.
LARGEST_LINK = 2**23

# The viewer does not need these, reads them from the header, or gets them in another form.
_NOT_PLAIN = {
    *("controller_output", "forward_weights", "backward_weights", "sequence_length"),
    *("memory", "link", "initial_link"),
}


def encode(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> list[bytes]:
    """Returns the header and the examples of a trace.

    Args:
      arrays: arrays of a trace by name, [T, B, ...].
      meta: `linkage`, `task`, `tokens` and `declared`, see `schema.check`.

    Raises:
      ValueError: if the arrays do not fit together, or there is no example, or no step.
    """
    sizes = schema.check(arrays, meta)
    if not (sizes["T"] and sizes["B"]):
        raise ValueError(f"The trace is empty: {sizes['T']} steps of {sizes['B']} examples.")
    keeps_memory = sizes["T"] * sizes["N"] * sizes["W"] <= LARGEST_MEMORY
    links = _links_from(arrays, meta)
    threshold = _link_threshold(arrays["link"]) if links == "recorded" else LINK_THRESHOLDS[0]
    extras = _extras(arrays, meta.get("declared", {}))
    stored = [name for name in QUANTITIES if name in arrays and name not in _NOT_PLAIN]
    if keeps_memory:
        stored.append("memory")
    examples, blobs = [], []
    for b in range(sizes["B"]):
        fields = {name: _example(arrays, name, b) for name in stored}
        if links == "recorded":
            fields |= _strong_links(arrays["link"][:, b], threshold)
        elif links == "derived" and "initial_link" in arrays:
            fields["initial_link"] = arrays["initial_link"][b]
        fields |= {f"extra:{extra['name']}": arrays[extra["name"]][:, b] for extra in extras}
        table, numbers, offset = [], [], 0
        for name, values in fields.items():
            values = _narrow(values)
            table.append([name, values.dtype.name, list(values.shape), offset])
            data = values.tobytes()
            data += bytes(-len(data) % 4)  # Each field starts at a multiple of four bytes.
            numbers.append(data)
            offset += len(data)
        examples.append(
            {
                "length": int(arrays["sequence_length"][b]),
                "tokens": meta["tokens"][b] if meta.get("tokens") else None,
                "bytes": offset,
                "fields": table,
            }
        )
        blobs.append(gzip.compress(b"".join(numbers), compresslevel=3, mtime=0))
    header = {
        "format": FORMAT,
        "version": VERSION,
        "sizes": sizes,
        "task": meta.get("task", ""),
        "linkage": meta.get("linkage", ""),
        "memory": "recorded" if keeps_memory else "derived",
        "links": links,
        "link_threshold": threshold,
        "quantities": {
            name: [QUANTITIES[name].symbol, QUANTITIES[name].meaning] for name in stored
        },
        "extras": extras,
        "decoder": meta.get("decoder"),
        "examples": examples,
    }
    return [json.dumps(header).encode("utf-8"), *blobs]


def _example(arrays: Mapping[str, np.ndarray], name: str, b: int) -> np.ndarray:
    """Returns an array's numbers of one example."""
    return np.take(arrays[name], b, axis=QUANTITIES[name].axes.index("B"))


def _extras(
    arrays: Mapping[str, np.ndarray], declared: Mapping[str, Mapping[str, str]]
) -> list[dict[str, str]]:
    """Returns the header's entries for all extras that are not too large."""
    return [
        {
            "name": name,
            "axes": each["axes"].removeprefix("TB"),
            "meaning": EXTRA_MEANINGS.get(name)
            or f"quantity of this model alone, computed before {each['before']}",
        }
        for name, each in declared.items()
        # The viewer needs the second one to derive the memory.
        if arrays[name][:, 0].size <= LARGEST_EXTRA or name == "deallocated"
    ]


def _links_from(arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]) -> str:
    """Returns the entry `links` of the header."""
    if "link" in arrays and arrays["link"][:, 0].size <= LARGEST_LINK:
        return "recorded"
    return "derived" if meta.get("linkage") in ("dense", "sparse") else "missing"


def _link_threshold(link: np.ndarray) -> float:
    """Returns the first threshold at which no example has too many links [T, B, V, N, N]."""
    for threshold in LINK_THRESHOLDS[:-1]:
        counts = np.count_nonzero(link >= threshold, axis=(0, 2, 3, 4))
        if counts.max() <= LARGEST_LINKS:
            return threshold
    return LINK_THRESHOLDS[-1]


def _strong_links(link: np.ndarray, threshold: float) -> dict[str, np.ndarray]:
    """Returns the links [T, V, N, N] that reach the threshold, as lists."""
    num_steps, num_heads, num_slots, _ = link.shape
    flat = link.reshape(num_steps * num_heads, num_slots, num_slots)
    matrix, to, after = np.nonzero(flat >= threshold)
    counts = np.bincount(matrix, minlength=len(flat))
    return {
        "link_starts": np.concatenate([[0], np.cumsum(counts)]).astype("<u4"),
        "link_to": to.astype("<u2"),  # LARGEST_LINK admits far fewer than 2**16 slots.
        "link_from": after.astype("<u2"),
        "link_values": flat[matrix, to, after].astype("<f2"),
    }


def _narrow(values: np.ndarray) -> np.ndarray:
    """Returns numbers as float16 if it can hold them, else as float32; integers unchanged."""
    if values.dtype.kind == "u":
        return values
    values = np.asarray(values, "<f4")
    largest = np.max(np.abs(values), initial=0.0, where=np.isfinite(values))
    return values if largest > np.finfo(np.float16).max else values.astype("<f2")
