"""A recorded batch of episodes: every quantity of every step, as plain arrays."""

import os
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from dnc import reference
from dnc_trace import schema
from dnc_trace.quantities import QUANTITIES, Quantity


class Trace:
    """Everything that happened in a batch of episodes, as NumPy arrays.

    The arrays are attributes, such as `trace.read_weights`; `dnc_trace.quantities` lists them with
    their axes. Past the end of an example that is shorter than T, all values are 0. Optional arrays
    that are absent are `None`. Quantities that are not in the list, such as the mask of a custom
    look-up, are in `trace.extras`. A trace does not change: `replace` returns a new one.
    """

    def __init__(
        self,
        /,
        *,
        tokens: list[list[str]] | None = None,
        task: str = "",
        step: int = 0,
        linkage: str = "",
        declared: Mapping[str, Mapping[str, str]] | None = None,
        decoder: Mapping[str, Any] | None = None,
        **arrays: Any,
    ):
        """Creates a trace.

        Args:
          tokens: B lists of T labels of the steps' inputs.
          task: name of the task.
          step: number of steps for which the model had been trained.
          linkage: "dense", "sparse" or "none": how links are kept; "" for other linkages.
          declared: for each extra among the arrays its axes, and the quantity before which a step
            computes it: `{"read_masks": {"axes": "TBRW", "before": "read_content_weights"}}`.
            Axes are "TB" and letters of `dnc_trace.quantities.AXES`, or "?" for another axis.
          decoder: decoder of words of the memory into text, see `dnc_trace.decoder`.
          **arrays: arrays or tensors by name; `None` for one that is absent.

        Raises:
          ValueError: if an array is missing, unknown, not of numbers, or does not fit the others.
        """
        self._arrays = {name: np.asarray(x) for name, x in arrays.items() if x is not None}
        self._meta: dict[str, Any] = dict(linkage=linkage, task=task, tokens=tokens, step=step)
        if declared:
            self._meta["declared"] = {name: dict(each) for name, each in declared.items()}
        if decoder is not None:
            self._meta["decoder"] = decoder
        self._sizes = schema.check(self._arrays, self._meta)

    def __repr__(self) -> str:
        return f"Trace({', '.join(f'{axis}={size}' for axis, size in self._sizes.items())})"

    if TYPE_CHECKING:  # The arrays' attributes are made below.

        def __getattr__(self, name: str) -> Any: ...

    @property
    def declared(self) -> dict[str, dict[str, str]]:
        """Axes of each extra, and the quantity before which a step computes it."""
        return self._meta.get("declared", {})

    @property
    def decoder(self) -> dict[str, Any] | None:
        """The decoder of words of the memory, see `dnc_trace.decoder`, or `None`."""
        return self._meta.get("decoder")

    @property
    def extras(self) -> dict[str, np.ndarray]:
        """Arrays [T, B, ...] of the quantities that only this model has, by name."""
        return {name: self._arrays[name] for name in self.declared}

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns all arrays of the trace, extras included, by name."""
        return dict(self._arrays)

    def meta(self) -> dict[str, Any]:
        """Returns all fields that are not arrays, by name."""
        return dict(self._meta)

    def replace(self, **fields: Any) -> "Trace":
        """Returns the trace with new values of some fields: arrays, tensors, or `None`.

            trace = dnc.record(core, inputs).replace(target=target, mask=mask, task="copy")

        Raises:
          ValueError: if a field is unknown, or a shape does not fit the others.
        """
        return Trace(**{**self._arrays, **self._meta, **fields})

    def examples(self, *indices: int) -> "Trace":
        """Returns a trace of only the examples with these numbers, in this order."""
        changes: dict[str, Any] = {}
        for name, array in self._arrays.items():
            axes = QUANTITIES[name].axes if name in QUANTITIES else "TB"
            changes[name] = np.take(array, indices, axis=axes.index("B"))
        if self.tokens is not None:
            changes["tokens"] = [self.tokens[index] for index in indices]
        return self.replace(**changes)

    def derived_memory(self) -> np.ndarray:
        """Computes the memory of all steps [T, B, N, W] from the writes and erasures.

        Uses the paper's equation, in float64 (`dnc.reference.write`).
        """
        derived = np.zeros(self.memory.shape)
        deallocated = self.extras.get("deallocated")
        for t, b in self._steps():
            before = derived[t - 1, b] if t else self.initial_memory[b].astype(np.float64)
            if deallocated is not None:
                before = before * (1.0 - deallocated[t, b, :, np.newaxis])
            derived[t, b] = reference.write(
                before, self.write_weights[t, b], self.erase_vectors[t, b], self.write_vectors[t, b]
            )
        return derived

    def derived_link(self) -> np.ndarray:
        """Computes the links of all steps [T, B, V, N, N] from the write weightings.

        Uses the paper's equations, in float64 (`dnc.reference.link`, `dnc.reference.precedence`).
        A dense linkage computes the same; a sparse one keeps fewer links.
        """
        num_steps, batch_size, num_writes, num_slots = self.write_weights.shape
        derived = np.zeros([num_steps, batch_size, num_writes, num_slots, num_slots])
        precedence = np.zeros([batch_size, num_writes, num_slots])
        if self.initial_precedence_weights is not None:
            precedence += self.initial_precedence_weights
        for t, b in self._steps():
            for head, weights in enumerate(self.write_weights[t, b].astype(np.float64)):
                if t:
                    before = derived[t - 1, b, head]
                elif self.initial_link is not None:
                    before = self.initial_link[b, head].astype(np.float64)
                else:
                    before = np.zeros([num_slots, num_slots])
                derived[t, b, head] = reference.link(before, weights, precedence[b, head])
                precedence[b, head] = reference.precedence(precedence[b, head], weights)
        return derived

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the trace to a compressed .npz file, never with pickled objects.

        `python -m dnc_inspector trace.npz` makes a page that shows the episode.

        Raises:
          ValueError: if `path` is not local.
          OSError: if the file cannot be written; a previous file is kept.
        """
        schema.save(path, self._arrays, self._meta)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Trace":
        """Reads a file that `save` has written.

        Raises:
          ValueError: if the file is damaged or not a trace, or `path` is not local.
          OSError: if it cannot be read.
        """
        arrays, meta = schema.load(path)
        known = {name: value for name, value in meta.items() if name in schema.META}
        fields: dict[str, Any] = {**arrays, **known}
        return cls(**fields)

    def _steps(self) -> Iterator[tuple[int, int]]:
        """Iterates over the steps and examples, up to the end of each example."""
        for b, length in enumerate(self.sequence_length):
            for t in range(length):
                yield t, b


def _array(quantity: Quantity) -> property:
    """Returns the attribute for an array, which is `None` if the trace lacks it."""
    name, axes, symbol, meaning, _ = quantity
    doc = f"[{', '.join(axes)}]{symbol and f', {symbol}'}: {meaning}."
    return property(lambda trace: trace._arrays.get(name), doc=doc)


def _entry(name: str) -> property:
    """Returns the attribute for a field that is not an array."""
    return property(lambda trace: trace._meta[name])


for _quantity in QUANTITIES.values():
    setattr(Trace, _quantity.name, _array(_quantity))
for _name in ("linkage", "task", "tokens", "step"):
    setattr(Trace, _name, _entry(_name))
