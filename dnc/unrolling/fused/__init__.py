"""The DNC over a whole sequence, with a backward pass written by hand.

The cores in `dnc` define a DNC, one equation per line, and TensorFlow differentiates them. This
package computes the same outputs, states and gradients in less time and memory, for `dnc.unroll`:

================  =================================================================================
`loop`            the loops forwards and backwards through time; products with weights that do not
                  depend on the memory, and the gradients of all weights, for all steps at once
`registry`        the parts that have a hand-written step and gradient; all others run again, under
                  a tape, in the backward pass
`controllers`     one step of the controller; `wrappers` around it
`memory`          one step of the memory, made of `interface`, `content`, `allocation`, `linkage`,
                  `sparse_linkage`, `sharp_links` and `heads`
`normalization`   layer normalisation
`products`        matrix products in the forms that XLA computes fast on a CPU
================  =================================================================================

docs/performance.md derives the gradients. Names spell out the paper's symbols, and `d_x` is the
gradient of the loss w.r.t. x. A gradient w.r.t. a state is the gradient through *later* steps. The
residuals of a step are the values that it keeps for the backward pass.
"""

from dnc.unrolling.fused import (  # noqa: F401  Imported to be registered.
    interface,
    sharp_links,
    sparse_linkage,
    wrappers,
)
from dnc.unrolling.fused.loop import reason_against, recomputes, unroll

__all__ = ["reason_against", "recomputes", "unroll"]
