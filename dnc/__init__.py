"""Differentiable Neural Computer for TensorFlow 2 and Sonnet 2.

`DNC` is a recurrent core made of a controller and a `MemoryAccess`; `MemoryAccess` is made of an
interface, content look-ups, `Freeness` and a linkage. Each is a core or module of its own and can
be swapped.
"""

from dnc import deepmind
from dnc.access import AccessState, MemoryAccess
from dnc.addressing import CosineWeights, Freeness, TemporalLinkage, TemporalLinkageState, oneplus
from dnc.controllers import FeedForward
from dnc.core import DNC, DNCState

__all__ = [
    "DNC",
    "AccessState",
    "CosineWeights",
    "DNCState",
    "FeedForward",
    "Freeness",
    "MemoryAccess",
    "TemporalLinkage",
    "TemporalLinkageState",
    "deepmind",
    "oneplus",
]
