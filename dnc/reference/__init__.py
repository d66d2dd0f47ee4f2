"""The whole model in plain NumPy, one equation per function, to read and to test against.

Everything here is for one example (no batch axis) and in float64. It is slow on purpose: loops over
heads and slots are written out where they are clearer than an array expression. Symbols are the
paper's (Graves et al., Nature 538, 2016, Methods). Where the released code differs from the paper,
functions follow the released code and note it. N slots of width W, R read heads, V write heads,
controller width H.

    >>> import numpy as np
    >>> w_w, w_r = np.array([[0.3, 0.6]]), np.array([[0.4, 0.1]])
    >>> usage(np.array([0.5, 0.2]), w_w, f=np.array([0.5]), w_r=w_r)
    array([0.52 , 0.646])
    >>> allocation(np.array([0.5, 0.2, 0.9])).round(2)
    array([0.1 , 0.8 , 0.01])

`equations` has the paper's equations, `variants` has the equations in which other members of the
family differ, and `model` combines them into a model. `parameters_of` returns the weights and the
variant of a core.
"""

from dnc.reference.equations import (
    EPSILON,
    LSTMParameters,
    allocation,
    backward,
    content,
    forward,
    link,
    lstm,
    norm,
    oneplus,
    precedence,
    read,
    read_weighting,
    retention,
    sigmoid,
    similarity,
    softmax,
    softplus,
    usage,
    write,
    write_weighting,
    written,
)
from dnc.reference.model import (
    Interface,
    Parameters,
    State,
    Step,
    access,
    initial_state,
    interface,
    lstm_parameters_of,
    parameters_of,
    step,
    unroll,
)
from dnc.reference.variants import (
    PAPER,
    AnyLSTM,
    LayerNormLSTMParameters,
    LookUp,
    Norm,
    Variant,
    context,
    controller,
    deallocate,
    layer_norm,
    layer_norm_lstm,
    look_up,
    masked_content,
    sharpen,
    softmax_allocation,
    used_content,
    write_allocations,
)

__all__ = [
    "EPSILON",
    "PAPER",
    "AnyLSTM",
    "Interface",
    "LSTMParameters",
    "LayerNormLSTMParameters",
    "LookUp",
    "Norm",
    "Parameters",
    "State",
    "Step",
    "Variant",
    "access",
    "allocation",
    "backward",
    "content",
    "context",
    "controller",
    "deallocate",
    "forward",
    "initial_state",
    "interface",
    "layer_norm",
    "layer_norm_lstm",
    "link",
    "look_up",
    "lstm",
    "lstm_parameters_of",
    "masked_content",
    "norm",
    "oneplus",
    "parameters_of",
    "precedence",
    "read",
    "read_weighting",
    "retention",
    "sharpen",
    "sigmoid",
    "similarity",
    "softmax",
    "softmax_allocation",
    "softplus",
    "step",
    "unroll",
    "usage",
    "used_content",
    "write",
    "write_allocations",
    "write_weighting",
    "written",
]
