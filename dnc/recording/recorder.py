"""Recording of every quantity of every step of a core."""

import contextlib
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import sonnet as snt
import tensorflow as tf

from dnc import _cores, _nests
from dnc.core import DNC, DNCState, DNCStep
from dnc.linkage import NoLinkage, TemporalLinkage
from dnc.recording.trace import Trace
from dnc.sharp_links import SharpLinkage
from dnc.sparse_linkage import NO_LINK, SparseLinks, SparseTemporalLinkage
from dnc.unrolling.sequences import unroll
from dnc.unrolling.validation import check_sequence_length
from dnc_trace import schema
from dnc_trace.quantities import INTERFACE, STEP

# Maximum number of entries of links that are recorded by default: 128 MiB in float32.
LARGEST_LINK = 2**25


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
        Trace(T=7, B=3, X=5, Y=2, H=8, N=4, W=3, R=1, V=1)
        >>> trace.write_weights.shape
        (7, 3, 1, 4)

    The core is called at each step, in a `tf.function` that is made once for each core and shape of
    inputs. Interface fields and extras of custom parts, see `dnc.MemoryAccess`, are in
    `Trace.extras`.

    Args:
      core: a `dnc.DNC`, or any `snt.RNNCore` with one in it that is called once per step, such as
        `snt.DeepRNN([layer, dnc.DNC(...), layer])`. (Inputs and outputs are then taken from the
        whole core, everything else from the DNC.)
      inputs: [T, B, ...]; axes after the second are recorded as one.
      initial_state: state before the first step; `core.initial_state(B)` by default.
      sequence_length: [B], integers in 0..T: the number of steps of each example. All T by default.
      record_link: whether to record the links [T, B, V, N, N]. By default they are recorded if they
        have at most 2^25 entries; `Trace.derived_link` can compute them later.
      jit_compile: whether to compile with XLA, which pays off if `record` is called often.

    Raises:
      ValueError: as for `dnc.unroll`; or if the core does not contain exactly one DNC, called once
        per step; or if an interface field or extra has the name of another quantity, or axes that
        it does not declare.
      RuntimeError: if it is called in a graph, where there are no arrays yet.
    """
    if not tf.executing_eagerly():
        raise RuntimeError(
            "dnc.record returns NumPy arrays and cannot be called inside a tf.function. Call it "
            "outside, or use dnc.unroll(..., return_all_states=True) in the graph."
        )
    recorded = _dnc_in(core)
    schema.check_declared(_declared(recorded))
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
    linkage = recorded.access.linkage
    if isinstance(linkage, SharpLinkage):
        linkage = linkage.linkage
    kinds = {TemporalLinkage: "dense", SparseTemporalLinkage: "sparse"}
    of_others = "none" if isinstance(linkage, NoLinkage) else ""
    return Trace(
        inputs=_as_vectors(inputs.numpy()),
        outputs=_as_vectors(steps.pop("outputs")),
        sequence_length=sequence_length.numpy(),
        link=_dense_link(steps.pop("link", None)),
        linkage=kinds.get(type(linkage), of_others),
        declared=_declared(recorded),
        **steps,
        **_initial_fields(state),
    )


_functions: weakref.WeakKeyDictionary[snt.RNNCore, dict[Any, Any]] = weakref.WeakKeyDictionary()


def _compiled(core: snt.RNNCore, record_link: bool, jit_compile: bool) -> Any:
    """Returns the function that runs and records a core, the same one at each call."""
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

        # Without AutoGraph, errors stay as they were raised. There is no loop to convert.
        functions[record_link, jit_compile] = tf.function(
            run, jit_compile=jit_compile, autograph=False
        )
    return functions[record_link, jit_compile]


class _Recorder(snt.RNNCore):
    """A core whose output at each step is a dict of the core's output and all quantities."""

    def __init__(self, core: snt.RNNCore, record_link: bool):
        super().__init__(name="recorder")
        # The function hides the core from code that searches a module's parts.
        self._core: Callable[[], snt.RNNCore] = lambda: core
        self._record_link = record_link

    def __call__(self, inputs: tf.Tensor, prev_state: Any) -> tuple[dict[str, Any], Any]:
        recorded = _dnc_in(self._core())
        with _collected(recorded) as steps:
            outputs, state = self._core()(inputs, prev_state)
        self._variables = self._core().variables  # `unroll` looks for the variables of its core.
        if len(steps) != 1:
            raise ValueError(
                f"dnc.record needs a core that calls its dnc.DNC once per step, got one that calls "
                f"{recorded.name} {len(steps)} times."
            )
        return {"outputs": outputs, **_quantities(recorded, steps[0], self._record_link)}, state

    def initial_state(self, batch_size: Any, **kwargs: Any) -> Any:
        return self._core().initial_state(batch_size, **kwargs)


@contextlib.contextmanager
def _collected(core: DNC) -> Iterator[list[DNCStep]]:
    """Collects the steps that a core makes, even when other layers call it.

    Meanwhile the object has its own `step`, which calls the method of its class.
    """
    steps: list[DNCStep] = []

    def step(*args: Any, **kwargs: Any) -> DNCStep:
        steps.append(type(core).step(core, *args, **kwargs))
        return steps[-1]

    core.__dict__["step"] = step
    try:
        yield steps
    finally:
        del core.__dict__["step"]


def _quantities(core: DNC, step: DNCStep, record_link: bool) -> dict[str, Any]:
    """Returns the arrays of a `Trace` for one step, extras included.

    An interface field that the model lacks, such as the keys of a look-up without keys, is zero.
    """
    access, linkage = step.access, step.access.state.linkage
    found = {
        **access.state._asdict(),
        **access._asdict(),
        **access.interface,
        **access.extras,
        "controller_output": step.controller_output,
        "backward_mode": access.read_mode.backward,
        "forward_mode": access.read_mode.forward,
        "content_mode": access.read_mode.content,
        "precedence_weights": getattr(linkage, "precedence_weights", None),
        "link": _link(linkage) if record_link else None,
    }
    for name in ("read", "write"):
        if (strengths := access.interface.get(f"{name}_strengths")) is not None:
            look_up = getattr(core.access, f"{name}_content")
            # As the look-up uses them; unchanged if it has no `strength_op`.
            activation = getattr(look_up, "strength_op", tf.identity)
            found[f"{name}_strengths"] = activation(strengths)
    sizes = {"R": core.access.num_reads, "V": core.access.num_writes, "W": core.access.word_size}
    memory = access.state.memory
    for name, axes, *_ in INTERFACE:
        if name not in found:
            shape = [tf.shape(memory)[0], *(sizes[axis] for axis in axes.removeprefix("TB"))]
            found[name] = tf.zeros(shape, memory.dtype)
    extras = _declared(core)
    if odd := (extras.keys() - found.keys()) | (access.extras.keys() - extras.keys()):
        raise ValueError(
            f"A part of {core.access.name} must return the extras that it declares, and no others. "
            f"It declares or returns {', '.join(sorted(odd))} only."
        )
    for name in extras:
        if found[name].dtype.is_bool:  # A trace holds numbers.
            found[name] = tf.cast(found[name], memory.dtype)
    names = [*(quantity.name for quantity in STEP), *extras]
    return {name: found[name] for name in names if found.get(name) is not None}


def _declared(core: DNC) -> dict[str, dict[str, str]]:
    """Returns the declarations of all quantities that only this model has."""
    everywhere = {"read_mode", *(quantity.name for quantity in INTERFACE)}
    return {
        name: {"axes": f"TB{extra.axes}", "before": extra.before}
        for name, extra in core.access.extras().items()
        if name not in everywhere
    }


def _link(linkage_state: Any) -> Any:
    """Returns the links of a linkage's state, if they are of a known kind."""
    link: Any = getattr(linkage_state, "link", None)
    is_dense = tf.is_tensor(link) and link.shape.rank == 4
    return link if is_dense or isinstance(link, SparseLinks) else None


def _dense_link(link: Any) -> np.ndarray | None:
    """Returns links as a matrix [..., N, N]."""
    if not isinstance(link, SparseLinks):
        return None if link is None else np.asarray(link)
    num_slots = link.values.shape[-2]
    # Entries without a link go to an additional column, which is cut off.
    dense = np.zeros([*link.values.shape[:-1], num_slots + 1], link.values.dtype)
    columns = np.where(link.columns == NO_LINK, num_slots, link.columns)
    np.put_along_axis(dense, columns, link.values, axis=-1)
    return dense[..., :num_slots]


def _initial_fields(state: DNCState) -> dict[str, Any]:
    """Returns the fields of a `Trace` that describe the state before the first step."""
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
    """Returns the core itself, or the only DNC in it that is not part of another."""
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
    """Returns the states of DNCs in a nest, except DNCs within another."""
    if isinstance(state, DNCState):
        return [state]
    if isinstance(state, (tuple, list)):
        return [found for part in state for found in _find_states(part)]
    if isinstance(state, dict):
        return [found for part in state.values() for found in _find_states(part)]
    return []


def _as_vectors(x: Any) -> np.ndarray:
    """Reshapes [T, B, ...] to [T, B, X]."""
    x = np.asarray(x)
    return x.reshape([*x.shape[:2], int(np.prod(x.shape[2:]))])
