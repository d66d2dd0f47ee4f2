"""The model built from the equations, and its weights; see the package."""

from typing import Any, NamedTuple

import numpy as np

from dnc.reference.equations import (
    LSTMParameters,
    backward,
    forward,
    link,
    oneplus,
    precedence,
    read,
    read_weighting,
    retention,
    sigmoid,
    softmax,
    softplus,
    usage,
    write,
    write_weighting,
    written,
)
from dnc.reference.variants import (
    PAPER,
    AnyLSTM,
    LayerNormLSTMParameters,
    LookUp,
    Norm,
    Variant,
    controller,
    deallocate,
    layer_norm,
    look_up,
    sharpen,
    write_allocations,
)

# --- Interface ------------------------------------------------------------------------------------


class Interface(NamedTuple):
    """The interface vector, cut and activated."""

    k_r: np.ndarray  # [R, W] read keys
    beta_r: np.ndarray  # [R] read strengths
    k_w: np.ndarray  # [V, W] write keys
    beta_w: np.ndarray  # [V] write strengths
    e: np.ndarray  # [V, W] erase vectors
    v: np.ndarray  # [V, W] write vectors
    f: np.ndarray  # [R] free gates
    g_a: np.ndarray  # [V] allocation gates
    g_w: np.ndarray  # [V] write gates
    pi: np.ndarray  # [R, 1 + 2 V] read modes: backward, forward, content
    m_r: np.ndarray | None = None  # [R, W] masks of the read look-up
    m_w: np.ndarray | None = None  # [V, W] masks of the write look-up
    beta_a: np.ndarray | None = None  # [V] strengths of the softmax allocation
    s: np.ndarray | None = None  # [R, 2 V] sharpness of the links: backward, forward


def interface(
    xi: np.ndarray,
    W: int,
    R: int,
    V: int,
    strength_op: Any = softplus,
    variant: Variant = PAPER,
) -> Interface:
    """Cuts the vector xi in the paper's order and applies the activations.

    Each field of a variant comes after the fields that it belongs to.
    """
    has = variant
    layout = [
        ("k_r", (R, W), None),
        ("beta_r", (R,), strength_op),
        *([("m_r", (R, W), has.read.mask)] if has.read.masked else []),
        ("k_w", (V, W), None),
        ("beta_w", (V,), strength_op),
        *([("m_w", (V, W), has.write.mask)] if has.write.masked else []),
        ("e", (V, W), sigmoid),
        ("v", (V, W), None),
        ("f", (R,), sigmoid),
        *([("beta_a", (V,), softplus)] if has.softmax_allocation else []),
        ("g_a", (V,), sigmoid),
        ("g_w", (V,), sigmoid),
        *([("pi", (R, 1 + 2 * V), softmax)] if has.links else []),
        *([("s", (R, 2 * V), oneplus)] if has.sharp else []),
    ]
    ends = np.cumsum([np.prod(shape) for _, shape, _ in layout])
    fields = {}
    for (name, shape, activation), part in zip(layout, np.split(xi, ends[:-1]), strict=True):
        part = part.reshape(shape)
        fields[name] = part if activation is None else activation(part)
    content_only = np.eye(1 + 2 * V)[[-1] * R]
    return Interface(**{"pi": content_only, **fields})


# --- The model ------------------------------------------------------------------------------------


class Parameters(NamedTuple):
    """All weights of a DNC with an LSTM controller."""

    lstm: AnyLSTM
    w_xi: np.ndarray  # [H, interface width]
    b_xi: np.ndarray  # [interface width]
    w_y: np.ndarray  # [H + R W, Y]
    b_y: np.ndarray  # [Y]
    norm_xi: Norm | None = None  # normalisation of the interface vector
    word: np.ndarray | float = 0.0  # the word, or each of its numbers, in every slot at the start
    variant: Variant = PAPER


class State(NamedTuple):
    """Quantities carried from step to step."""

    r: np.ndarray  # [R, W] words read
    M: np.ndarray  # [N, W] memory
    w_r: np.ndarray  # [R, N] read weightings
    w_w: np.ndarray  # [V, N] write weightings
    L: np.ndarray  # [V, N, N] links
    p: np.ndarray  # [V, N] precedence
    u: np.ndarray  # [N] usage
    h: np.ndarray  # [H] controller hidden state
    s: np.ndarray  # [H] controller cell state


class Step(NamedTuple):
    """Every quantity of one step."""

    y: np.ndarray  # [Y] output
    xi: Interface
    a: np.ndarray  # [V, N] allocation
    c_w: np.ndarray  # [V, N] write content weighting
    c_r: np.ndarray  # [R, N] read content weighting
    f: np.ndarray  # [R, V, N] forward weighting
    b: np.ndarray  # [R, V, N] backward weighting
    state: State


def initial_state(N: int, W: int, R: int, V: int, H: int, word: np.ndarray | float = 0.0) -> State:
    """Returns the state before the first step: all zero, with the word in every slot."""
    return State(
        r=np.zeros([R, W]),
        M=np.zeros([N, W]) + word,
        w_r=np.zeros([R, N]),
        w_w=np.zeros([V, N]),
        L=np.zeros([V, N, N]),
        p=np.zeros([V, N]),
        u=np.zeros([N]),
        h=np.zeros([H]),
        s=np.zeros([H]),
    )


def access(
    xi: Interface, old: State, variant: Variant = PAPER
) -> tuple[State, dict[str, np.ndarray]]:
    """Performs one step of the memory: usage, allocation, write, links, read.

    Returns the state and the quantities that led to it.
    """
    u = usage(old.u, old.w_w, xi.f, old.w_r)
    a = write_allocations(u, xi.g_a, xi.g_w, xi.beta_a)
    M = deallocate(old.M, retention(xi.f, old.w_r)) if variant.deallocate else old.M
    c_w = _content(variant.write, M, xi.k_w, xi.beta_w, xi.m_w, u)
    w_w = np.array([write_weighting(*head) for head in zip(xi.g_w, xi.g_a, a, c_w, strict=True)])
    M = write(M, w_w, xi.e, xi.v)

    L, p, f, b = _links(xi, old, w_w, variant)
    c_r = _content(variant.read, M, xi.k_r, xi.beta_r, xi.m_r, written(u, w_w))
    w_r = np.array([read_weighting(*head) for head in zip(xi.pi, b, c_r, f, strict=True)])
    r = np.array([read(M, w) for w in w_r])

    state = old._replace(r=r, M=M, w_r=w_r, w_w=w_w, L=L, p=p, u=u)
    return state, {"a": a, "c_w": c_w, "c_r": c_r, "f": f, "b": b}


def _content(
    kind: LookUp,
    M: np.ndarray,
    k: np.ndarray,
    beta: np.ndarray,
    m: np.ndarray | None,
    u: np.ndarray,
) -> np.ndarray:
    """Returns the content weightings of all heads of a look-up."""
    masks = k if m is None else m
    return np.array([look_up(kind, M, *head, u) for head in zip(k, beta, masks, strict=True)])


def _links(xi: Interface, old: State, w_w: np.ndarray, variant: Variant) -> tuple[np.ndarray, ...]:
    """Returns links, precedence, forward and backward weightings."""
    if not variant.links:
        zeros = np.zeros([len(old.w_r), *w_w.shape])
        return old.L, old.p, zeros, zeros
    L = np.array([link(*head) for head in zip(old.L, w_w, old.p, strict=True)])
    p = np.array([precedence(*head) for head in zip(old.p, w_w, strict=True)])
    f = np.array([[forward(graph, w) for graph in L] for w in old.w_r])
    b = np.array([[backward(graph, w) for graph in L] for w in old.w_r])
    if xi.s is not None:
        for head, s in enumerate(xi.s):
            s_b, s_f = np.split(s, 2)
            b[head] = [sharpen(*graph) for graph in zip(b[head], s_b, strict=True)]
            f[head] = [sharpen(*graph) for graph in zip(f[head], s_f, strict=True)]
    return L, p, f, b


def step(
    parameters: Parameters,
    x: np.ndarray,
    old: State,
    clip: float | None = None,
    strength_op: Any = softplus,
    bypass: np.ndarray | float = 1.0,
) -> Step:
    """Performs one step of the DNC for the input x: [X].

    `clip` bounds controller output, its state and the output. `bypass` multiplies the controller
    output [H] on its way to the output, as a dropout mask.
    """
    bound = np.inf if clip is None else clip
    R, W = old.r.shape
    V = old.w_w.shape[0]
    variant = parameters.variant

    x, context = np.split(x, [len(x) - variant.context_size])
    h, s = controller(parameters.lstm, np.concatenate([x, old.r.ravel()]), old.h, old.s)
    h, s, context = (np.clip(part, -bound, bound) for part in (h, s, context))
    output = np.concatenate([h, context])
    vector = output @ parameters.w_xi + parameters.b_xi
    if parameters.norm_xi is not None:
        vector = layer_norm(parameters.norm_xi, vector)
    xi = interface(vector, W, R, V, strength_op, variant)
    state, inner = access(xi, old, variant)
    y = np.concatenate([bypass * output, state.r.ravel()]) @ parameters.w_y + parameters.b_y
    return Step(y=np.clip(y, -bound, bound), xi=xi, state=state._replace(h=h, s=s), **inner)


def unroll(
    parameters: Parameters,
    xs: np.ndarray,
    state: State,
    clip: float | None = None,
    strength_op: Any = softplus,
    bypass: np.ndarray | None = None,
) -> list[Step]:
    """Runs the DNC over the sequence xs: [T, X], from `state`, with masks `bypass`: [T, H]."""
    steps = []
    for t, x in enumerate(xs):
        mask = 1.0 if bypass is None else bypass[t]
        steps.append(step(parameters, x, state, clip, strength_op, mask))
        state = steps[-1].state
    return steps


# --- Weights of a core ----------------------------------------------------------------------------


def parameters_of(core: Any) -> Parameters:
    """Returns weights and variant of a `dnc.DNC` with an LSTM controller, after its first call."""
    access, lstm, context_size = core.access, core.controller, 0
    while hasattr(lstm, "core"):  # A wrapper.
        context_size += getattr(lstm, "context_size", 0)
        lstm = lstm.core
    xi, norm, y = access.interface.linear, access.interface.norm, core.output_linear
    word = access.initial_memory
    return Parameters(
        lstm=lstm_parameters_of(lstm),
        w_xi=_array(xi.w),
        b_xi=_array(xi.b) if xi.with_bias else np.zeros(xi.output_size),
        w_y=_array(y.w),
        b_y=_array(y.b) if y.with_bias else np.zeros(y.output_size),
        norm_xi=None if norm is None else _norm(norm),
        word=_array(word.word) if hasattr(word, "word") else word,
        variant=Variant(
            read=_look_up_of(access.read_content),
            write=_look_up_of(access.write_content),
            softmax_allocation=_is(access.freeness, "SoftmaxAllocation"),
            deallocate=access.deallocate,
            links=not _is(access.linkage, "NoLinkage"),
            sharp=_is(access.linkage, "SharpLinkage"),
            context_size=context_size,
        ),
    )


def lstm_parameters_of(core: Any) -> AnyLSTM:
    """Returns the weights of an `snt.LSTM` or a `dnc.LayerNormLSTM`, after its first call."""
    w_x, w_h = _array(core.input_to_hidden), _array(core.hidden_to_hidden)
    if hasattr(core, "gate_norms"):
        gates = tuple(_norm(norm) for norm in core.gate_norms)
        return LayerNormLSTMParameters(w_x, w_h, gates, _norm(core.cell_norm))
    return LSTMParameters(w_x, w_h, _array(core.b))


def _look_up_of(part: Any) -> LookUp:
    return LookUp(
        masked=hasattr(part, "mask_min"),
        mask_min=getattr(part, "mask_min", 0.0),
        used=_is(part, "UsedCosineWeights"),
    )


def _norm(norm: Any) -> Norm:
    scale = _array(norm.scale)
    return Norm(scale, np.zeros_like(scale) if norm.offset is None else _array(norm.offset))


def _is(part: Any, name: str) -> bool:
    """Whether a part is of the class of this name in `dnc`, which this package does not import."""
    return any(kind.__name__ == name for kind in type(part).__mro__)


def _array(variable: Any) -> np.ndarray:
    return np.asarray(variable.numpy(), np.float64)
