"""Differentiable Neural Computer for TensorFlow 2 and Sonnet 2.

`DNC` is a recurrent core that consists of a controller and a `MemoryAccess`, which consists of an
interface, content look-ups, `Freeness` and a linkage. Each is a core or module and can be replaced.
`unroll` runs a core over sequences, `record` returns every quantity of every step, and `rnn_cell`,
`keras` and `export` connect a core to other libraries.

===================  ===============================================================================
`core`               the DNC: controller, memory and output layer
`controllers`        controllers in addition to Sonnet's cores; `normalization`: an LSTM with
                     layer normalisation
`dropout`            dropout that repeats
`access`             the memory: one step of its parts and heads; `parts` names them
`interface`          the interface vector, made of the fields that the parts declare
`content`            content look-ups
`allocation`         usage of the slots and their allocation
`linkage`            the order of writes; `sparse_linkage` keeps the strongest links only,
                     `sharp_links` follows them without blurring
`initial`            initial states that are learned
`heads`              equations of the write and read heads
`unrolling`          `unroll` and its implementations; `bidirectional`: a core that also runs
                     over a sequence backwards
`parallel`           cores side by side, such as a policy and its value function
`adnc`               the DNC of Franke et al. (2018), assembled from these parts
`recording`          `record`, traces, `show` for notebooks and summaries for TensorBoard
`keras`              layers and cells for Keras 3
`rnn_cells`          cells for TensorFlow 1
`saved_model`        `export`
`deepmind`           variables of the released program
`resizing`           states with a different number of slots
`reference`          the whole model in NumPy, one function for each equation
===================  ===============================================================================

No part imports the core, and the core does not import `unrolling`. docs/extending.md explains how
to write parts.
"""

import importlib
from types import ModuleType
from typing import TYPE_CHECKING

import sonnet as snt
import tensorflow as tf

from dnc import deepmind
from dnc.access import MemoryAccess
from dnc.adnc import adnc, biadnc
from dnc.allocation import Freeness, SoftmaxAllocation
from dnc.bidirectional import Bidirectional
from dnc.content import (
    CosineWeights,
    MaskedCosineWeights,
    UsedCosineWeights,
    UsedMaskedCosineWeights,
    oneplus,
)
from dnc.context import AppendedContext
from dnc.controllers import ClippedSignal, DeepLSTM, EmbeddedInputs, FeedForward, InputsOnly
from dnc.core import DNC, DNCState
from dnc.dropout import Dropout, DropoutState, seed_dropout
from dnc.initial import LearnedState, LearnedWord
from dnc.interface import Field
from dnc.linkage import Linkage, NoLinkage, TemporalLinkage, TemporalLinkageState
from dnc.normalization import LayerNormLSTM
from dnc.parallel import Parallel
from dnc.parts import AccessState
from dnc.recording import summaries
from dnc.recording.recorder import record
from dnc.recording.trace import Trace
from dnc.recording.viewer import show
from dnc.resizing import resize_memory
from dnc.rnn_cells import rnn_cell
from dnc.saved_model import export
from dnc.sharp_links import SharpLinkage
from dnc.sparse_linkage import SparseTemporalLinkage
from dnc.unrolling.sequences import bidirectional_unroll, unroll

if tf.executing_eagerly():
    # Sonnet checks for TensorFlow 2 when its first module is created. Inside a `tf.Graph`, as in a
    # program written for TensorFlow 1, the check would fail.
    snt.Module()

__version__ = "0.2.0"

__all__ = [
    "DNC",
    "AccessState",
    "AppendedContext",
    "Bidirectional",
    "ClippedSignal",
    "CosineWeights",
    "DNCState",
    "DeepLSTM",
    "Dropout",
    "DropoutState",
    "EmbeddedInputs",
    "FeedForward",
    "Field",
    "Freeness",
    "InputsOnly",
    "LayerNormLSTM",
    "LearnedState",
    "LearnedWord",
    "Linkage",
    "MaskedCosineWeights",
    "MemoryAccess",
    "NoLinkage",
    "Parallel",
    "SharpLinkage",
    "SoftmaxAllocation",
    "SparseTemporalLinkage",
    "TemporalLinkage",
    "TemporalLinkageState",
    "Trace",
    "UsedCosineWeights",
    "UsedMaskedCosineWeights",
    "adnc",
    "biadnc",
    "bidirectional_unroll",
    "deepmind",
    "export",
    "keras",
    "oneplus",
    "record",
    "resize_memory",
    "rnn_cell",
    "seed_dropout",
    "show",
    "summaries",
    "unroll",
]


if TYPE_CHECKING:  # Type checkers accept any attribute of a module with `__getattr__`.
    from dnc import keras
else:

    def __getattr__(name: str) -> ModuleType:
        if name == "keras":  # Imported on demand: few users need Keras.
            return importlib.import_module("dnc.keras")
        raise AttributeError(f"module 'dnc' has no attribute {name!r}")
