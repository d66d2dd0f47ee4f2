"""Equations of the paper, one per function; see the package."""

from typing import NamedTuple

import numpy as np

EPSILON = 1e-6  # Released code: in norms, in the cosine's denominator, and as the minimum usage.


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


# --- Dynamic allocation ---------------------------------------------------------------------------


def retention(f: np.ndarray, w_r: np.ndarray) -> np.ndarray:
    """psi = prod_i (1 - f^i w^{r,i}), with the previous read weightings: [N]."""
    return np.prod(1.0 - f[:, None] * w_r, axis=0)


def written(u: np.ndarray, w_w: np.ndarray) -> np.ndarray:
    """u + w - u w, with w = 1 - prod_i (1 - w^{w,i}): the usage after a write: [N]."""
    w = 1.0 - np.prod(1.0 - w_w, axis=0)
    return u + w - u * w


def usage(u: np.ndarray, w_w: np.ndarray, f: np.ndarray, w_r: np.ndarray) -> np.ndarray:
    """u <- (u + w - u w) psi, with the previous write weightings: [N]."""
    return written(u, w_w) * retention(f, w_r)


def allocation(u: np.ndarray) -> np.ndarray:
    """a[phi_j] = (1 - u[phi_j]) prod_{i<j} u[phi_i]: [N].

    Here phi sorts u in ascending order, equal values by index.
    """
    u = EPSILON + (1.0 - EPSILON) * u
    a = np.zeros_like(u)
    product = 1.0
    for slot in np.argsort(u, kind="stable"):
        a[slot] = (1.0 - u[slot]) * product
        product *= u[slot]
    return a


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
    """f = L w^r: the slots written after the slots last read: [N]."""
    return L @ w_r


def backward(L: np.ndarray, w_r: np.ndarray) -> np.ndarray:
    """b = L^T w^r: the slots written before the slots last read: [N]."""
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

    The columns belong to input gate, forget gate, candidate and output gate, in this order.
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
