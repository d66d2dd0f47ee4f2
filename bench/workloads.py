"""Workloads of the benchmarks: models of standard sizes, random data, and a training step."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import sonnet as snt
import tensorflow as tf

import dnc
from training.optimization import rmsprop

# The defaults of train.py.
CLIP_VALUE, MAX_GRAD_NORM, LEARNING_RATE, EPSILON = 20.0, 50.0, 1e-4, 1e-10
LINKAGES = ("dense", "sparse")
_SEED = 0

Unroll = Callable[[snt.RNNCore, tf.Tensor, Any], tuple[tf.Tensor, Any]]
UNROLLS: dict[str, Unroll] = {
    "dnc.unroll": dnc.unroll,
    "snt.dynamic_unroll": snt.dynamic_unroll,
}


class Workload(NamedTuple):
    """Sizes of a model and its data. The LSTM for comparison uses only the sizes that it has."""

    memory_size: int  # N, slots
    word_size: int  # W
    num_reads: int  # R
    hidden_size: int  # H, of the LSTM controller
    batch_size: int  # B
    num_steps: int  # T
    input_size: int  # X
    output_size: int  # Y

    def __str__(self):
        n, w, r, h, b, t, x, y = self
        return f"N{n} W{w} R{r} H{h} B{b} T{t} X{x}->Y{y}"


_MEDIUM = Workload(64, 32, 4, 128, 8, 20, 10, 8)
WORKLOADS = {
    "small": Workload(16, 16, 4, 64, 16, 9, 6, 5),  # train.py's defaults.
    "medium": _MEDIUM,
    "large": Workload(256, 64, 4, 256, 16, 20, 64, 64),
    "single": Workload(256, 64, 4, 256, 1, 13, 6, 1),
    "long": _MEDIUM._replace(batch_size=16, num_steps=200),
    "stories": Workload(256, 64, 4, 256, 16, 108, 159, 159),  # Questions about stories.
    "tiny": Workload(8, 4, 1, 8, 2, 3, 3, 2),  # To try a command; its figures mean nothing.
}


def make_dnc(workload: Workload, linkage: str = "dense", num_links: int = 8) -> dnc.DNC:
    """Returns a DNC with an LSTM controller.

    Args:
      workload: sizes of the model.
      linkage: "dense" for all N x N links, "sparse" for the strongest of each slot.
      num_links: number of links kept for each slot, in 1..N; only for sparse links.
    """
    sparse = None
    if linkage == "sparse":
        sparse = dnc.SparseTemporalLinkage(workload.memory_size, num_links=num_links)
    return _with_parts(workload, linkage=sparse)


def _with_parts(workload: Workload, controller: Any = None, **parts: Any) -> dnc.DNC:
    """Returns a DNC with an LSTM or another controller, and with the given parts."""
    w = workload
    access = dnc.MemoryAccess(w.memory_size, w.word_size, w.num_reads, **parts)
    return dnc.DNC(access, controller or snt.LSTM(w.hidden_size), w.output_size, CLIP_VALUE)


# Members of the family.
VARIANTS: dict[str, Callable[[Workload], dnc.DNC]] = {
    "content_only": lambda w: _with_parts(w, linkage=dnc.NoLinkage(w.memory_size)),
    "masks": lambda w: _with_parts(w, content_weights=dnc.MaskedCosineWeights),
    "deallocate": lambda w: _with_parts(w, deallocate=True),
    "sharp_links": lambda w: _with_parts(
        w, linkage=dnc.SharpLinkage(dnc.TemporalLinkage(w.memory_size))
    ),
    "layer_norm": lambda w: _with_parts(w, dnc.LayerNormLSTM(w.hidden_size), layer_norm=True),
    "adnc": lambda w: dnc.adnc(
        *(w.output_size, w.hidden_size, w.memory_size, w.word_size, w.num_reads),
        clip_value=CLIP_VALUE,
    ),
}


def make_lstm(workload: Workload) -> snt.RNNCore:
    """Returns the baseline: an LSTM of the controller's size and a linear layer."""
    return snt.DeepRNN([snt.LSTM(workload.hidden_size), snt.Linear(workload.output_size)])


def random_batch(workload: Workload) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns normal inputs [T, B, X] and targets [T, B, Y], 0 or 1; always the same."""
    w, seed = workload, [_SEED, 0]
    inputs = tf.random.stateless_normal([w.num_steps, w.batch_size, w.input_size], seed)
    targets = tf.random.stateless_uniform([w.num_steps, w.batch_size, w.output_size], seed)
    return inputs, tf.round(targets)


def create_variables(core: snt.RNNCore, workload: Workload) -> None:
    """Creates the core's variables, always with the same values."""
    tf.random.set_seed(_SEED)
    core(tf.zeros([1, workload.input_size]), core.initial_state(1))


def training_step(
    core: snt.RNNCore,
    workload: Workload,
    *,
    jit: bool = True,
    unroll: Unroll = dnc.unroll,
) -> Callable[[], float]:
    """Returns a function that makes one update of the core and waits for it.

    An update runs the core over a batch and computes sigmoid cross-entropy, gradients, clipping by
    global norm and RMSProp in one program. (XLA's programs for a CPU use one of its cores.)

    Args:
      core: the core to train.
      workload: sizes of its data.
      jit: whether to compile with XLA.
      unroll: runs a core over inputs from an initial state, as `dnc.unroll` does.

    Returns:
      A function that returns the loss. The first call compiles.
    """
    inputs, targets = random_batch(workload)
    create_variables(core, workload)
    variables = core.trainable_variables
    optimizer = rmsprop(variables, LEARNING_RATE, EPSILON)

    @functools.partial(tf.function, jit_compile=jit)
    def update(inputs: tf.Tensor, targets: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            logits, _ = unroll(core, inputs, core.initial_state(workload.batch_size))
            loss = tf.reduce_mean(
                tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)
            )
        gradients = tape.gradient(loss, variables)
        optimizer.apply(tf.clip_by_global_norm(gradients, MAX_GRAD_NORM)[0], variables)
        return loss

    return lambda: float(update(inputs, targets))
