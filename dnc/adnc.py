"""The advanced DNC of Franke, Niehues & Waibel (MRQA 2018, arXiv 1807.02658), built from parts.

Compared with the DNC of the paper, it normalises the interface vector and the LSTM, applies dropout
to the controller output that bypasses the memory, and has no links: it reads by content alone.
"""

from typing import Any

import sonnet as snt

from dnc.access import MemoryAccess
from dnc.bidirectional import Bidirectional
from dnc.context import AppendedContext
from dnc.core import DNC
from dnc.linkage import NoLinkage
from dnc.normalization import LayerNormLSTM


def adnc(
    output_size: int,
    hidden_size: int = 256,
    memory_size: int = 192,
    word_size: int = 64,
    num_reads: int = 4,
    *,
    controller: snt.RNNCore | None = None,
    bypass_dropout: float = 0.1,
    clip_value: float | None = None,
    **access: Any,
) -> DNC:
    """Returns an ADNC, by default with the sizes used for bAbI.

    Args:
      output_size: width Y of the output.
      hidden_size: width H of the LSTM.
      memory_size: number of slots N.
      word_size: width W of a slot.
      num_reads: number of read heads R.
      controller: a controller in place of `LayerNormLSTM(hidden_size)`.
      bypass_dropout: see `DNC`.
      clip_value: see `DNC`.
      **access: further arguments of the `MemoryAccess`.

    Raises:
      ValueError: if an argument is out of range.
    """
    defaults = {
        "linkage": NoLinkage(memory_size, access.get("num_writes", 1)),
        "layer_norm": True,
        "initial_memory": 1.0 / (memory_size * word_size),
    }
    return DNC(
        MemoryAccess(memory_size, word_size, num_reads, **{**defaults, **access}),
        controller or LayerNormLSTM(hidden_size),
        output_size,
        clip_value,
        bypass_dropout=bypass_dropout,
    )


def biadnc(
    input_size: int, output_size: int, hidden_size: int = 172, **options: Any
) -> Bidirectional:
    """Returns an ADNC with a second LSTM, which reads the sequence backwards.

    Args:
      input_size: width X of the input.
      output_size: width Y of the output.
      hidden_size: width of each of the two LSTMs.
      **options: further arguments of `adnc`.

    Raises:
      ValueError: if an argument is out of range.
    """
    controller = options.pop("controller", None) or LayerNormLSTM(hidden_size)
    controller = AppendedContext(controller, input_size, hidden_size)
    forward = adnc(output_size, controller=controller, **{"memory_size": 128, **options})
    return Bidirectional(forward, LayerNormLSTM(hidden_size))
