"""The whole model in plain NumPy, one equation a function: to read, and to test against.

Everything here is for one example (no batch axis) and in float64. Slow on purpose: loops over heads
and slots are written out where that says more than an array expression. Symbols are the paper's
(Graves et al., Nature 538, 2016, Methods); where the released code differs from the paper, this
follows the released code and says so. N slots of width W, R read heads, V write heads, controller
width H.

    >>> import numpy as np
    >>> w_w, w_r = np.array([[0.3, 0.6]]), np.array([[0.4, 0.1]])
    >>> usage(np.array([0.5, 0.2]), w_w, f=np.array([0.5]), w_r=w_r)
    array([0.52 , 0.646])
    >>> allocation(np.array([0.5, 0.2, 0.9])).round(2)
    array([0.1 , 0.8 , 0.01])
"""

from typing import Any, NamedTuple

import numpy as np

EPSILON = 1e-6  # Released code: in norms, in the cosine's denominator, and as the least usage.


# --- Activations ----------------------------------------------------------------------------------


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x))."""
    return np.exp(-np.logaddexp(0.0, -x))


def softplus(x: np.ndarray) -> np.ndarray:
    """log(1 + exp(x)): the released code's strength activation."""
    return np.logaddexp(0.0, x)


def oneplus(x: np.ndarray) -> np.ndarray:
    """1 + log(1 + exp(x)): the paper's strength activation."""
    return 1.0 + softplus(x)


def softmax(x: np.ndarray) -> np.ndarray:
    """exp(x_i) / sum_j exp(x_j), along the last axis."""
    e = np.exp(x - np.max(x, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


# --- Content-based addressing ---------------------------------------------------------------------


def norm(x: np.ndarray) -> float:
    """|x| = sqrt(sum_i x_i^2 + eps)."""
    return np.sqrt(np.sum(x * x) + EPSILON)


def similarity(a: np.ndarray, b: np.ndarray) -> float:
    """D(a, b) = a . b / (|a| |b| + eps)."""
    return np.dot(a, b) / (norm(a) * norm(b) + EPSILON)


def content(M: np.ndarray, k: np.ndarray, beta: float) -> np.ndarray:
    """C(M, k, beta)[i] = exp(beta D(k, M[i])) / sum_j exp(beta D(k, M[j])): [N]."""
    return softmax(beta * np.array([similarity(k, row) for row in M]))


def used_content(M: np.ndarray, k: np.ndarray, beta: float, u: np.ndarray) -> np.ndarray:
    """u[i] exp(beta D(k, M[i]) - m) / (sum_j u[j] exp(beta D(k, M[j]) - m) + eps): [N].

    Here m is the largest beta D of a used slot. (Not in the paper: `dnc.UsedCosineWeights`.)
    """
    if not np.any(u > 0):
        return np.zeros_like(u)
    d = beta * np.array([similarity(k, row) for row in M])
    shares = np.array(
        [x * np.exp(y - np.max(d[u > 0])) if x > 0 else 0.0 for x, y in zip(u, d, strict=True)]
    )
    return shares / (np.sum(shares) + EPSILON)


# --- Dynamic allocation ---------------------------------------------------------------------------


def retention(f: np.ndarray, w_r: np.ndarray) -> np.ndarray:
    """psi = prod_i (1 - f^i w^{r,i}), with the previous read weightings: [N]."""
    return np.prod(1.0 - f[:, None] * w_r, axis=0)


def usage(u: np.ndarray, w_w: np.ndarray, f: np.ndarray, w_r: np.ndarray) -> np.ndarray:
    """u <- (u + w - u w) psi: [N].

    Here w = 1 - prod_i (1 - w^{w,i}) over the previous write weightings.
    """
    w = 1.0 - np.prod(1.0 - w_w, axis=0)
    return (u + w - u * w) * retention(f, w_r)


def allocation(u: np.ndarray) -> np.ndarray:
    """a[phi_j] = (1 - u[phi_j]) prod_{i<j} u[phi_i]: [N].

    Here phi sorts u upwards, equal values by index.
    """
    u = EPSILON + (1.0 - EPSILON) * u
    a = np.zeros_like(u)
    product = 1.0
    for slot in np.argsort(u, kind="stable"):
        a[slot] = (1.0 - u[slot]) * product
        product *= u[slot]
    return a


def write_allocations(u: np.ndarray, g_a: np.ndarray, g_w: np.ndarray) -> np.ndarray:
    """Each write head allocates as if the heads before it had already written: [V, N].

    (Released code.)
    """
    allocations = []
    for gate in g_a * g_w:
        a = allocation(u)
        u = u + (1.0 - u) * gate * a
        allocations.append(a)
    return np.array(allocations)


# --- Writing --------------------------------------------------------------------------------------


def write_weighting(g_w: float, g_a: float, a: np.ndarray, c: np.ndarray) -> np.ndarray:
    """w^w = g^w (g^a a + (1 - g^a) c): [N]."""
    return g_w * (g_a * a + (1.0 - g_a) * c)


def write(M: np.ndarray, w_w: np.ndarray, e: np.ndarray, v: np.ndarray) -> np.ndarray:
    """M <- M prod_i (1 - w^i e^i^T) + sum_i w^i v^i^T: [N, W]."""
    erased = M
    for w, erase_vector in zip(w_w, e, strict=True):
        erased = erased * (1.0 - np.outer(w, erase_vector))
    return erased + w_w.T @ v


# --- Temporal links -------------------------------------------------------------------------------


def link(L: np.ndarray, w: np.ndarray, p: np.ndarray) -> np.ndarray:
    """L[i,j] <- (1 - w[i] - w[j]) L[i,j] + w[i] p[j], p from *before* the write: [N, N]."""
    L = (1.0 - w[:, None] - w[None, :]) * L + np.outer(w, p)
    np.fill_diagonal(L, 0.0)
    return L


def precedence(p: np.ndarray, w: np.ndarray) -> np.ndarray:
    """p <- (1 - sum_i w[i]) p + w: [N]."""
    return (1.0 - np.sum(w)) * p + w


def forward(L: np.ndarray, w_r: np.ndarray) -> np.ndarray:
    """f = L w^r: the slots written after those read before: [N]."""
    return L @ w_r


def backward(L: np.ndarray, w_r: np.ndarray) -> np.ndarray:
    """b = L^T w^r: the slots written before those read before: [N]."""
    return L.T @ w_r


# --- Reading --------------------------------------------------------------------------------------


def read_weighting(pi: np.ndarray, b: np.ndarray, c: np.ndarray, f: np.ndarray) -> np.ndarray:
    """w^r = sum of pi times backward [V, N], forward [V, N] and content [N], in that order: [N].

    (Paper: backward, content, forward.)
    """
    return pi @ np.concatenate([b, f, c[None]])


def read(M: np.ndarray, w_r: np.ndarray) -> np.ndarray:
    """r = M^T w^r: [W]."""
    return M.T @ w_r


# --- Controller -----------------------------------------------------------------------------------


class LSTMParameters(NamedTuple):
    """Weights of an LSTM.

    The columns are those of input gate, forget gate, candidate, output gate in this order.
    """

    w_x: np.ndarray  # [X + R W, 4 H]
    w_h: np.ndarray  # [H, 4 H]
    b: np.ndarray  # [4 H], forget bias included


def lstm(
    parameters: LSTMParameters, x: np.ndarray, h: np.ndarray, s: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """s <- sigmoid(f) s + sigmoid(i) tanh(g), h <- sigmoid(o) tanh(s).

    Returns hidden and cell state, [H] each.
    """
    i, f, g, o = np.split(x @ parameters.w_x + h @ parameters.w_h + parameters.b, 4)
    s = sigmoid(f) * s + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(s), s


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


def interface(xi: np.ndarray, W: int, R: int, V: int, strength_op: Any = softplus) -> Interface:
    """Cuts the vector xi in the paper's order and applies the activations."""
    shapes = [(R, W), (R,), (V, W), (V,), (V, W), (V, W), (R,), (V,), (V,), (R, 1 + 2 * V)]
    ends = np.cumsum([np.prod(shape) for shape in shapes])
    parts = [
        part.reshape(shape) for part, shape in zip(np.split(xi, ends[:-1]), shapes, strict=True)
    ]
    k_r, beta_r, k_w, beta_w, e, v, f, g_a, g_w, pi = parts
    return Interface(
        k_r, strength_op(beta_r), k_w, strength_op(beta_w), sigmoid(e), v,
        sigmoid(f), sigmoid(g_a), sigmoid(g_w), softmax(pi),
    )  # fmt: skip


# --- The model ------------------------------------------------------------------------------------


class Parameters(NamedTuple):
    """All weights of a DNC with an LSTM controller."""

    lstm: LSTMParameters
    w_xi: np.ndarray  # [H, interface width]
    b_xi: np.ndarray  # [interface width]
    w_y: np.ndarray  # [H + R W, Y]
    b_y: np.ndarray  # [Y]


class State(NamedTuple):
    """What is carried from step to step."""

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


def initial_state(N: int, W: int, R: int, V: int, H: int) -> State:
    """The state before the first step: all zero."""
    return State(
        r=np.zeros([R, W]),
        M=np.zeros([N, W]),
        w_r=np.zeros([R, N]),
        w_w=np.zeros([V, N]),
        L=np.zeros([V, N, N]),
        p=np.zeros([V, N]),
        u=np.zeros([N]),
        h=np.zeros([H]),
        s=np.zeros([H]),
    )


def access(xi: Interface, old: State) -> tuple[State, dict[str, np.ndarray]]:
    """One step of the memory: usage, allocation, write, links, read.

    Returns the state and what led to it.
    """
    u = usage(old.u, old.w_w, xi.f, old.w_r)
    a = write_allocations(u, xi.g_a, xi.g_w)
    c_w = np.array([content(old.M, k, beta) for k, beta in zip(xi.k_w, xi.beta_w, strict=True)])
    w_w = np.array([write_weighting(*head) for head in zip(xi.g_w, xi.g_a, a, c_w, strict=True)])
    M = write(old.M, w_w, xi.e, xi.v)

    L = np.array([link(*head) for head in zip(old.L, w_w, old.p, strict=True)])
    p = np.array([precedence(*head) for head in zip(old.p, w_w, strict=True)])

    c_r = np.array([content(M, k, beta) for k, beta in zip(xi.k_r, xi.beta_r, strict=True)])
    f = np.array([[forward(graph, w) for graph in L] for w in old.w_r])
    b = np.array([[backward(graph, w) for graph in L] for w in old.w_r])
    w_r = np.array([read_weighting(*head) for head in zip(xi.pi, b, c_r, f, strict=True)])
    r = np.array([read(M, w) for w in w_r])

    state = old._replace(r=r, M=M, w_r=w_r, w_w=w_w, L=L, p=p, u=u)
    return state, {"a": a, "c_w": c_w, "c_r": c_r, "f": f, "b": b}


def step(
    parameters: Parameters,
    x: np.ndarray,
    old: State,
    clip: float | None = None,
    strength_op: Any = softplus,
) -> Step:
    """One step of the DNC for the input x: [X].

    `clip` bounds controller output, its state and the output.
    """
    bound = np.inf if clip is None else clip
    R, W = old.r.shape
    V = old.w_w.shape[0]

    h, s = lstm(parameters.lstm, np.concatenate([x, old.r.ravel()]), old.h, old.s)
    h, s = np.clip(h, -bound, bound), np.clip(s, -bound, bound)
    xi = interface(h @ parameters.w_xi + parameters.b_xi, W, R, V, strength_op)
    state, inner = access(xi, old)
    y = np.concatenate([h, state.r.ravel()]) @ parameters.w_y + parameters.b_y
    return Step(y=np.clip(y, -bound, bound), xi=xi, state=state._replace(h=h, s=s), **inner)


def unroll(
    parameters: Parameters,
    xs: np.ndarray,
    state: State,
    clip: float | None = None,
    strength_op: Any = softplus,
) -> list[Step]:
    """The DNC over the sequence xs: [T, X], from `state`."""
    steps = []
    for x in xs:
        steps.append(step(parameters, x, state, clip, strength_op))
        state = steps[-1].state
    return steps


def parameters_of(core: Any) -> Parameters:
    """Takes the weights out of a `dnc.DNC` with an `snt.LSTM` controller, after its first call."""

    def array(variable: Any) -> np.ndarray:
        return np.asarray(variable.numpy(), np.float64)

    controller, xi, y = core.controller, core.access.interface.linear, core.output_linear
    return Parameters(
        lstm=LSTMParameters(
            array(controller.input_to_hidden),
            array(controller.hidden_to_hidden),
            array(controller.b),
        ),
        w_xi=array(xi.w),
        b_xi=array(xi.b) if xi.with_bias else np.zeros(xi.output_size),
        w_y=array(y.w),
        b_y=array(y.b) if y.with_bias else np.zeros(y.output_size),
    )
