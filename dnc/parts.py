"""The parts of a `MemoryAccess`, and the quantities of a step that they compute together."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import tensorflow as tf

from dnc.heads import ReadMode
from dnc.interface import Field


class AccessState(NamedTuple):
    """State of a `MemoryAccess`."""

    memory: Any  # [B, N, W]
    read_weights: Any  # [B, R, N]
    write_weights: Any  # [B, V, N]
    linkage: Any  # the linkage's own state, e.g. `TemporalLinkageState`
    usage: Any  # [B, N]


class AccessStep(NamedTuple):
    """All quantities of one step of a `MemoryAccess`."""

    interface: dict[str, tf.Tensor]  # the fields by name, activated
    read_mode: ReadMode  # pi
    allocation_weights: tf.Tensor  # [B, V, N], a
    retention: tf.Tensor  # [B, N], psi
    write_content_weights: tf.Tensor  # [B, V, N], c^w
    read_content_weights: tf.Tensor  # [B, R, N], c^r
    forward_weights: tf.Tensor  # [B, R, V, N], f
    backward_weights: tf.Tensor  # [B, R, V, N], b
    read_words: tf.Tensor  # [B, R, W], r
    state: AccessState
    extras: dict[str, tf.Tensor]  # further quantities that parts return, by name


# The parts, and the quantity of a step before which the extras of each are computed.
PARTS = {
    "freeness": "allocation_weights",
    "write_content": "write_content_weights",
    "linkage": "forward_weights",
    "read_content": "read_content_weights",
}

# The letter of the heads of each look-up.
HEADS = {"write_content": "V", "read_content": "R"}


def prefix(part: str) -> str:
    """Returns the prefix of the names of a part's fields and extras."""
    return part.removesuffix("content") if part.endswith("_content") else ""


def fields_of(name: str, part: Any) -> Mapping[str, Field]:
    """Returns the interface fields of a part.

    Raises:
      ValueError: if it declares none.
    """
    if not callable(getattr(part, "fields", None)):
        raise ValueError(
            f"{name} must have a method fields() that returns its interface fields, got {part!r}. "
            "Return {} for none."
        )
    return part.fields()


def split_extras(weights: Any) -> tuple[tf.Tensor, Mapping[str, tf.Tensor]]:
    """Returns the weights and the extras of a look-up that may have returned both."""
    return weights if isinstance(weights, tuple) else (weights, {})
