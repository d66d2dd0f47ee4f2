"""Records an episode: every quantity of every step, as plain arrays."""

import dataclasses
import os
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import sonnet as snt
import tensorflow as tf

from dnc import _cores, _nests, reference
from dnc.core import DNC, DNCState, DNCStep, observed
from dnc.linkage import NoLinkage, TemporalLinkage
from dnc.sparse_linkage import NO_LINK, SparseLinks, SparseTemporalLinkage
from dnc.unrolling.sequences import unroll
from dnc.unrolling.validation import check_sequence_length
from dnc_trace import schema

# Links are recorded if they have at most so many entries (128 MiB in float32), unless asked for.
LARGEST_LINK = 2**25


@dataclasses.dataclass(frozen=True, eq=False, repr=False)
class Trace:
    """Everything that happened in a batch of episodes, as NumPy arrays.

    Shapes: T steps, B examples, X, Y and Z the widths of inputs, outputs and targets, H that of the
    controller's output, N slots of width W, R read heads, Wn write heads. Past the end of an
    example, if it is shorter than T, all is 0. Symbols are those of the paper.
    """

    inputs: np.ndarray  # [T, B, X], x
    outputs: np.ndarray  # [T, B, Y], y
    controller_output: np.ndarray  # [T, B, H], h
    read_keys: np.ndarray  # [T, B, R, W], k^r
    read_strengths: np.ndarray  # [T, B, R], beta^r >= 0, after `strength_op`
    write_keys: np.ndarray  # [T, B, Wn, W], k^w
    write_strengths: np.ndarray  # [T, B, Wn], beta^w, likewise
    erase_vectors: np.ndarray  # [T, B, Wn, W] in [0, 1], e
    write_vectors: np.ndarray  # [T, B, Wn, W], v
    free_gate: np.ndarray  # [T, B, R] in [0, 1], f
    allocation_gate: np.ndarray  # [T, B, Wn] in [0, 1], g^a
    write_gate: np.ndarray  # [T, B, Wn] in [0, 1], g^w
    backward_mode: np.ndarray  # [T, B, R, Wn], pi[1]; a head's modes sum to 1
    forward_mode: np.ndarray  # [T, B, R, Wn], pi[3]
    content_mode: np.ndarray  # [T, B, R], pi[2]
    allocation_weights: np.ndarray  # [T, B, Wn, N], a
    write_content_weights: np.ndarray  # [T, B, Wn, N], c^w
    read_content_weights: np.ndarray  # [T, B, R, N], c^r
    forward_weights: np.ndarray  # [T, B, R, Wn, N], f
    backward_weights: np.ndarray  # [T, B, R, Wn, N], b
    read_words: np.ndarray  # [T, B, R, W], r
    memory: np.ndarray  # [T, B, N, W], M after the step's write
    read_weights: np.ndarray  # [T, B, R, N], w^r
    write_weights: np.ndarray  # [T, B, Wn, N], w^w
    usage: np.ndarray  # [T, B, N] in [0, 1], u: before the step's write, after its free gates
    sequence_length: np.ndarray  # [B], integers in 0..T

    # What was there before the first step.
    initial_memory: np.ndarray  # [B, N, W]
    initial_read_weights: np.ndarray  # [B, R, N]
    initial_write_weights: np.ndarray  # [B, Wn, N]
    initial_usage: np.ndarray  # [B, N]

    # What only some linkages have, and is recorded only where it is not too large.
    precedence_weights: np.ndarray | None = None  # [T, B, Wn, N], p
    link: np.ndarray | None = None  # [T, B, Wn, N, N], L[i, j]: i was written right after j
    initial_precedence_weights: np.ndarray | None = None  # [B, Wn, N]
    initial_link: np.ndarray | None = None  # [B, Wn, N, N]; None for no links

    # What the recorder cannot know: add it by `replace`.
    target: np.ndarray | None = None  # [T, B, Z], what the outputs should have been
    mask: np.ndarray | None = None  # [T, B], 1 where an answer counts
    tokens: list[list[str]] | None = None  # B lists of T: what to call each step's input
    task: str = ""  # what to call the whole
    step: int = 0  # how many steps the model had been trained
    linkage: str = ""  # "dense", "sparse" or "none": how links are kept; "" for other linkages

    def __post_init__(self) -> None:
        for name in (*schema.FIELDS, *schema.OPTIONAL_FIELDS):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, np.asarray(value))
        schema.check(self.arrays(), self.meta())

    def __repr__(self) -> str:
        sizes = schema.check(self.arrays(), self.meta())
        return f"Trace({', '.join(f'{axis}={size}' for axis, size in sizes.items())})"

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns all arrays that there are, by name."""
        names = (*schema.FIELDS, *schema.OPTIONAL_FIELDS)
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def meta(self) -> dict[str, Any]:
        """Returns what is not an array, by name."""
        return {
            "linkage": self.linkage,
            "task": self.task,
            "tokens": self.tokens,
            "step": self.step,
        }

    def replace(self, **fields: Any) -> "Trace":
        """Returns the trace with other values of some fields: arrays, tensors, or `None`.

            trace = dnc.record(core, inputs).replace(target=target, mask=mask, task="copy")

        Raises:
          ValueError: if a shape does not fit the others.
          TypeError: if there is no such field.
        """
        return dataclasses.replace(self, **fields)

    def examples(self, *indices: int) -> "Trace":
        """Returns a trace of only the examples of these numbers, in this order."""
        changes: dict[str, Any] = {}
        for name, array in self.arrays().items():
            batch_axis = {**schema.FIELDS, **schema.OPTIONAL_FIELDS}[name].index("B")
            changes[name] = np.take(array, indices, axis=batch_axis)
        if self.tokens is not None:
            changes["tokens"] = [self.tokens[index] for index in indices]
        return dataclasses.replace(self, **changes)

    def derived_memory(self) -> np.ndarray:
        """Computes the memory of all steps [T, B, N, W] from what was written.

        Uses the paper's equation, in float64 (`dnc.reference.write`).
        """
        derived = np.zeros(self.memory.shape)
        for t, b in self._steps():
            before = derived[t - 1, b] if t else self.initial_memory[b].astype(np.float64)
            derived[t, b] = reference.write(
                before, self.write_weights[t, b], self.erase_vectors[t, b], self.write_vectors[t, b]
            )
        return derived

    def derived_link(self) -> np.ndarray:
        """Computes the links of all steps [T, B, Wn, N, N] from where was written when.

        Uses the paper's equations, in float64 (`dnc.reference.link`, `dnc.reference.precedence`).
        For a dense linkage that is what the model itself computes; a sparse one keeps less.
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

        `python -m dnc_inspector trace.npz` makes a page of it that shows the episode.

        Raises:
          ValueError: if `path` is not local.
          OSError: if the file cannot be written; a file that was there before is kept.
        """
        schema.save(path, self.arrays(), self.meta())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Trace":
        """Reads what `save` has written.

        Raises:
          ValueError: if the file is damaged or not a trace, or `path` is not local.
          OSError: if it cannot be read.
        """
        arrays, meta = schema.load(path)
        known = {field.name for field in dataclasses.fields(cls)}
        fields: dict[str, Any] = {**arrays, **{k: v for k, v in meta.items() if k in known}}
        return cls(**fields)

    def _steps(self) -> Iterator[tuple[int, int]]:
        """All steps before the ends of the examples."""
        for b, length in enumerate(self.sequence_length):
            for t in range(length):
                yield t, b


def record(
    core: snt.RNNCore,
    inputs: Any,
    initial_state: Any = None,
    sequence_length: Any = None,
    *,
    record_link: bool | None = None,
    jit_compile: bool = False,
) -> Trace:
    """Runs a core over a batch of episodes and returns every quantity of every step.

        >>> import dnc
        >>> core = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(8), output_size=2)
        >>> trace = record(core, tf.random.normal([7, 3, 5]))  # time, batch, input width
        >>> trace
        Trace(T=7, B=3, X=5, Y=2, H=8, R=1, W=3, V=1, N=4)
        >>> trace.write_weights.shape
        (7, 3, 1, 4)

    The steps are those that the core makes when it is called. They run as a `tf.function`, which is
    made once for a core and a shape of inputs.

    Args:
      core: a `dnc.DNC`, or any `snt.RNNCore` with one in it that is called once a step, such as
        `snt.DeepRNN([layer, dnc.DNC(...), layer])`. (Inputs and outputs are then those of the whole
        core; all else, that of the DNC.)
      inputs: [T, B, ...]; axes after the second are recorded as one.
      initial_state: state before the first step; `core.initial_state(B)` by default.
      sequence_length: [B], integers in 0..T: the number of steps of each example. All T by default.
      record_link: whether to record the links [T, B, Wn, N, N]. By default where they have at most
        2^25 entries; `Trace.derived_link` can compute them later.
      jit_compile: whether to compile with XLA: pays when it is called often.

    Raises:
      ValueError: as `dnc.unroll`; or if there is no DNC in the core, or more than one, or it is not
        called once a step.
      RuntimeError: if it is called in a graph, where there are no arrays yet.
    """
    if not tf.executing_eagerly():
        raise RuntimeError(
            "dnc.record returns NumPy arrays and cannot be called inside of a tf.function: call it "
            "outside, or use dnc.unroll(..., return_all_states=True) in the graph."
        )
    recorded = _dnc_in(core)
    inputs = tf.convert_to_tensor(inputs)
    if inputs.shape.rank < 2:
        raise ValueError(f"inputs must have shape [T, B, ...], got shape {inputs.shape}.")
    num_steps, batch_size = inputs.shape[:2]
    if sequence_length is None:
        sequence_length = tf.fill([batch_size], num_steps)
    sequence_length = check_sequence_length(sequence_length, num_steps, batch_size)
    if initial_state is None:
        dtype = inputs.dtype if inputs.dtype.is_floating else None
        initial_state = _cores.initial_state(core, batch_size, dtype)
    initial_state = _nests.map_tensors(tf.convert_to_tensor, initial_state)
    num_links = num_steps * batch_size * recorded.access.num_writes * recorded.access.memory_size**2
    if not (record_link is None or isinstance(record_link, (bool, np.bool_))):
        raise ValueError(f"record_link must be True, False or None, got {record_link!r}.")
    if record_link is None:
        record_link = num_links <= LARGEST_LINK

    run = _compiled(core, record_link, jit_compile)
    steps = tf.nest.map_structure(np.asarray, run(inputs, initial_state, sequence_length))
    (state,) = _find_states(initial_state)
    kinds = {TemporalLinkage: "dense", SparseTemporalLinkage: "sparse", NoLinkage: "none"}
    return Trace(
        inputs=_as_vectors(inputs.numpy()),
        outputs=_as_vectors(steps.pop("outputs")),
        sequence_length=sequence_length.numpy(),
        link=_dense_link(steps.pop("link", None)),
        linkage=kinds.get(type(recorded.access.linkage), ""),
        **steps,
        **_initial_fields(state),
    )


_functions: weakref.WeakKeyDictionary[snt.RNNCore, dict[Any, Any]] = weakref.WeakKeyDictionary()


def _compiled(core: snt.RNNCore, record_link: bool, jit_compile: bool) -> Any:
    """The function that runs and records a core; the same one at each call."""
    functions = _functions.setdefault(core, {})
    if (record_link, jit_compile) not in functions:
        core_if_alive = weakref.ref(core)

        def run(inputs: tf.Tensor, state: Any, sequence_length: tf.Tensor) -> dict[str, Any]:
            recorder = _Recorder(core_if_alive(), record_link)
            steps, _ = unroll(
                recorder,
                inputs,
                state,
                sequence_length=sequence_length,
                implementation="steps",
            )
            return steps

        # Without AutoGraph errors come out as they were raised; there is no loop to convert.
        functions[record_link, jit_compile] = tf.function(
            run, jit_compile=jit_compile, autograph=False
        )
    return functions[record_link, jit_compile]


class _Recorder(snt.RNNCore):
    """A core whose output at each step is a dict of all that happened in it."""

    def __init__(self, core: snt.RNNCore, record_link: bool):
        super().__init__(name="recorder")
        # A function hides the core from those who look through a module's parts.
        self._core: Callable[[], snt.RNNCore] = lambda: core
        self._record_link = record_link

    def __call__(self, inputs: tf.Tensor, prev_state: Any) -> tuple[dict[str, Any], Any]:
        recorded, steps = _dnc_in(self._core()), []

        def observer(core: DNC, step: DNCStep) -> None:
            if core is recorded:
                steps.append(step)

        with observed(observer):
            outputs, state = self._core()(inputs, prev_state)
        self._variables = self._core().variables  # Those that are read are its own, too.
        if len(steps) != 1:
            raise ValueError(
                f"dnc.record needs a core that calls its dnc.DNC once a step, got one that calls "
                f"{recorded.name} {len(steps)} times."
            )
        return {"outputs": outputs, **_fields(recorded, steps[0], self._record_link)}, state

    def initial_state(self, batch_size: Any, **kwargs: Any) -> Any:
        return self._core().initial_state(batch_size, **kwargs)


def _fields(core: DNC, step: DNCStep, record_link: bool) -> dict[str, Any]:
    """The fields of a `Trace` that one step gives."""
    access, interface = step.access, step.access.interface
    fields = interface._asdict()
    mode = fields.pop("read_mode")
    fields["read_strengths"] = _strengths(core.access.read_content, interface.read_strengths)
    fields["write_strengths"] = _strengths(core.access.write_content, interface.write_strengths)
    linkage = access.state.linkage
    if (precedence := getattr(linkage, "precedence_weights", None)) is not None:
        fields["precedence_weights"] = precedence
    if record_link and (link := _link(linkage)) is not None:
        fields["link"] = link
    return {
        **fields,
        "backward_mode": mode.backward,
        "forward_mode": mode.forward,
        "content_mode": mode.content,
        "controller_output": step.controller_output,
        "allocation_weights": access.allocation_weights,
        "write_content_weights": access.write_content_weights,
        "read_content_weights": access.read_content_weights,
        "forward_weights": access.forward_weights,
        "backward_weights": access.backward_weights,
        "read_words": access.read_words,
        "memory": access.state.memory,
        "read_weights": access.state.read_weights,
        "write_weights": access.state.write_weights,
        "usage": access.state.usage,
    }


def _strengths(look_up: Any, strengths: tf.Tensor) -> tf.Tensor:
    """The strengths with which a look-up computes; as they come, if it does not tell."""
    return getattr(look_up, "strength_op", tf.identity)(strengths)


def _link(linkage_state: Any) -> Any:
    """The links of a linkage's state, if they are of a known kind."""
    link: Any = getattr(linkage_state, "link", None)
    is_dense = tf.is_tensor(link) and link.shape.rank == 4
    return link if is_dense or isinstance(link, SparseLinks) else None


def _dense_link(link: Any) -> np.ndarray | None:
    """Links as a matrix [..., N, N]."""
    if not isinstance(link, SparseLinks):
        return None if link is None else np.asarray(link)
    num_slots = link.values.shape[-2]
    # Entries without a link go to one more column, which is cut off.
    dense = np.zeros([*link.values.shape[:-1], num_slots + 1], link.values.dtype)
    columns = np.where(link.columns == NO_LINK, num_slots, link.columns)
    np.put_along_axis(dense, columns, link.values, axis=-1)
    return dense[..., :num_slots]


def _initial_fields(state: DNCState) -> dict[str, Any]:
    """The fields of a `Trace` that say what was there before the first step."""
    access = state.access_state
    names = ("memory", "read_weights", "write_weights", "usage")
    fields: dict[str, Any] = {
        f"initial_{name}": np.asarray(getattr(access, name)) for name in names
    }
    if (precedence := getattr(access.linkage, "precedence_weights", None)) is not None:
        fields["initial_precedence_weights"] = np.asarray(precedence)
    link = tf.nest.map_structure(np.asarray, _link(access.linkage))
    if link is not None and np.any(link.values if isinstance(link, SparseLinks) else link):
        fields["initial_link"] = _dense_link(link)
    return fields


def _dnc_in(core: snt.RNNCore) -> DNC:
    """The core itself, or the one DNC in it that is not part of another."""
    if isinstance(core, DNC):
        return core
    found = [part for part in core.submodules if isinstance(part, DNC)]
    inner = [part for outer in found for part in outer.submodules]
    outermost = [part for part in found if not any(part is other for other in inner)]
    if len(outermost) != 1:
        raise ValueError(
            f"dnc.record needs a core with one dnc.DNC in it, got a {type(core).__name__} with "
            f"{len(outermost) or 'none'}."
        )
    return outermost[0]


def _find_states(state: Any) -> list[DNCState]:
    """The states of DNCs in a nest, but not of those within another."""
    if isinstance(state, DNCState):
        return [state]
    if isinstance(state, (tuple, list)):
        return [found for part in state for found in _find_states(part)]
    if isinstance(state, dict):
        return [found for part in state.values() for found in _find_states(part)]
    return []


def _as_vectors(x: Any) -> np.ndarray:
    """[T, B, ...] to [T, B, X]."""
    x = np.asarray(x)
    return x.reshape([*x.shape[:2], int(np.prod(x.shape[2:]))])
