"""Equations in which members of the family differ from the paper's DNC; see the package."""

from typing import NamedTuple

import numpy as np

from dnc.reference.equations import (
    EPSILON,
    LSTMParameters,
    allocation,
    content,
    lstm,
    sigmoid,
    similarity,
    softmax,
)

NORM_EPSILON = 1e-5  # Sonnet: in the variance of a layer normalisation.


class LookUp(NamedTuple):
    """Variant of a content look-up."""

    masked: bool = False  # Compares only the elements that a mask selects.
    mask_min: float = 0.0  # The minimum of a mask.
    used: bool = False  # Each slot counts by its usage.

    def mask(self, x: np.ndarray) -> np.ndarray:
        """m = mask_min + (1 - mask_min) sigmoid(x)."""
        return self.mask_min + (1.0 - self.mask_min) * sigmoid(x)


class Variant(NamedTuple):
    """Equations of a model; by default the paper's."""

    read: LookUp = LookUp()
    write: LookUp = LookUp()
    softmax_allocation: bool = False
    deallocate: bool = False
    links: bool = True  # False: heads read by content only.
    sharp: bool = False  # Directional weightings are sharpened.
    context_size: int = 0  # Number of last inputs, which go to the controller's output instead.


PAPER = Variant()


# --- Content look-ups -----------------------------------------------------------------------------


def masked_content(M: np.ndarray, k: np.ndarray, beta: float, m: np.ndarray) -> np.ndarray:
    """C(M, k, beta, m)[i] = softmax_i(beta D(k * m, M[i] * m)): [N].

    (Csordas & Schmidhuber 2019.)
    """
    return content(M * m, k * m, beta)


def used_content(M: np.ndarray, k: np.ndarray, beta: float, u: np.ndarray) -> np.ndarray:
    """u[i] exp(beta D(k, M[i]) - m) / (sum_j u[j] exp(beta D(k, M[j]) - m) + eps): [N].

    Here m is the largest beta D of a used slot. (Not in a paper: `dnc.UsedCosineWeights`.)
    """
    if not np.any(u > 0):
        return np.zeros_like(u)
    d = beta * np.array([similarity(k, row) for row in M])
    shares = np.array(
        [x * np.exp(y - np.max(d[u > 0])) if x > 0 else 0.0 for x, y in zip(u, d, strict=True)]
    )
    return shares / (np.sum(shares) + EPSILON)


def look_up(
    kind: LookUp, M: np.ndarray, k: np.ndarray, beta: float, m: np.ndarray, u: np.ndarray
) -> np.ndarray:
    """Returns the content weighting of one head: [N]. The variant may ignore mask m and usage u."""
    m = m if kind.masked else np.ones_like(k)
    if kind.used:
        return used_content(M * m, k * m, beta, u)
    return masked_content(M, k, beta, m)


# --- Dynamic allocation ---------------------------------------------------------------------------


def softmax_allocation(u: np.ndarray, beta: float) -> np.ndarray:
    """a = softmax(beta (1 - u)): [N]. (Ben-Ari & Bekker 2017.)"""
    return softmax(beta * (1.0 - u))


def write_allocations(
    u: np.ndarray, g_a: np.ndarray, g_w: np.ndarray, beta_a: np.ndarray | None = None
) -> np.ndarray:
    """Allocates for each write head as if the heads before it had already written: [V, N].

    (Released code.) With strengths beta_a [V], by a softmax.
    """
    allocations = []
    for head, gate in enumerate(g_a * g_w):
        a = allocation(u) if beta_a is None else softmax_allocation(u, beta_a[head])
        u = u + (1.0 - u) * gate * a
        allocations.append(a)
    return np.array(allocations)


def deallocate(M: np.ndarray, psi: np.ndarray) -> np.ndarray:
    """M <- M * psi 1^T: [N, W]. (Csordas & Schmidhuber 2019.)"""
    return M * np.outer(psi, np.ones(M.shape[1]))


# --- Temporal links -------------------------------------------------------------------------------


def sharpen(d: np.ndarray, s: float) -> np.ndarray:
    """S(d, s)[i] = ((d[i] + eps) / max(d + eps))^s / sum_j ((d[j] + eps) / max(d + eps))^s: [N].

    (Csordas & Schmidhuber 2019.)
    """
    powers = ((d + EPSILON) / np.max(d + EPSILON)) ** s
    return powers / np.sum(powers)


# --- Normalisation --------------------------------------------------------------------------------


class Norm(NamedTuple):
    """Weights of a layer normalisation."""

    scale: np.ndarray  # [H]
    offset: np.ndarray  # [H]


def layer_norm(parameters: Norm, x: np.ndarray) -> np.ndarray:
    """(x - mean(x)) / sqrt(var(x) + eps) * scale + offset: [H]."""
    centred = x - np.mean(x)
    return (
        centred / np.sqrt(np.mean(centred**2) + NORM_EPSILON) * parameters.scale + parameters.offset
    )


class LayerNormLSTMParameters(NamedTuple):
    """Weights of an LSTM with layer normalisation, columns as in `LSTMParameters`."""

    w_x: np.ndarray  # [X + R W, 4 H]
    w_h: np.ndarray  # [H, 4 H]
    gates: tuple[Norm, ...]  # of input gate, forget gate, candidate, output gate
    cell: Norm


def layer_norm_lstm(
    parameters: LayerNormLSTMParameters, x: np.ndarray, h: np.ndarray, s: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """s <- sigmoid(LN(f)) s + sigmoid(LN(i)) tanh(LN(g)), h <- sigmoid(LN(o)) tanh(LN(s)).

    Returns hidden and cell state, [H] each. (Ba et al. 2016.)
    """
    parts = np.split(x @ parameters.w_x + h @ parameters.w_h, 4)
    i, f, g, o = (layer_norm(*each) for each in zip(parameters.gates, parts, strict=True))
    s = sigmoid(f) * s + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(layer_norm(parameters.cell, s)), s


# --- Controller -----------------------------------------------------------------------------------

AnyLSTM = LSTMParameters | LayerNormLSTMParameters


def controller(
    parameters: AnyLSTM, x: np.ndarray, h: np.ndarray, s: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Performs one step of an LSTM of either kind: hidden and cell state, [H] each."""
    if isinstance(parameters, LayerNormLSTMParameters):
        return layer_norm_lstm(parameters, x, h, s)
    return lstm(parameters, x, h, s)


def context(parameters: AnyLSTM, xs: np.ndarray) -> np.ndarray:
    """Returns the hidden states of an LSTM that runs over xs [T, X] backwards: [T, H].

    (Franke et al. 2018: the bidirectional DNC appends them to its controller's output.)
    """
    h = s = np.zeros(parameters.w_h.shape[0])
    hidden = []
    for x in xs[::-1]:
        h, s = controller(parameters, x, h, s)
        hidden.append(h)
    return np.array(hidden[::-1])
