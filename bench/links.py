"""Times a training step with dense and with sparse links, for growing numbers of memory slots.

    python -m bench.links --memory_size=64,256,1024

A step is forward pass, loss, gradients, clipping and RMSProp on random data, compiled as one
program. The two linkages are timed alternately in one run.
"""

import os
import statistics
import time
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import sonnet as snt
import tensorflow as tf
from absl import app, flags

import dnc

_MEMORY_SIZES = flags.DEFINE_list("memory_size", ["64", "256", "1024"], "Numbers of slots.")
_NUM_LINKS = flags.DEFINE_integer("num_links", 8, "Links of each slot.", lower_bound=1)
_DENSE_UP_TO = flags.DEFINE_integer("dense_up_to", 1024, "The most slots for dense links.")
_ROUNDS = flags.DEFINE_integer("rounds", 7, "How often each is timed.", lower_bound=1)
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 4, "Sequences in a batch.", lower_bound=1)
_NUM_STEPS = flags.DEFINE_integer("num_steps", 10, "Time steps of a sequence.", lower_bound=1)

_WORD_SIZE, _NUM_READS, _HIDDEN_SIZE, _WIDTH = 32, 1, 64, 8


def training_step(memory_size: int, linkage: snt.RNNCore | None) -> Callable[[], None]:
    """Returns a function that makes one update of a new core, compiled already."""
    access = dnc.MemoryAccess(memory_size, _WORD_SIZE, _NUM_READS, linkage=linkage)
    core = dnc.DNC(access, snt.LSTM(_HIDDEN_SIZE), _WIDTH, clip_value=20.0)
    inputs = tf.random.normal([_NUM_STEPS.value, _BATCH_SIZE.value, _WIDTH])
    core(inputs[0], core.initial_state(_BATCH_SIZE.value))
    optimizer = snt.optimizers.RMSProp(1e-4)

    @tf.function(jit_compile=True)
    def update() -> tf.Tensor:
        with tf.GradientTape() as tape:
            outputs, _ = dnc.unroll(core, inputs)
            loss = tf.reduce_mean(outputs**2)
        gradients = tape.gradient(loss, core.trainable_variables)
        optimizer.apply(tf.clip_by_global_norm(gradients, 50.0)[0], core.trainable_variables)
        return loss

    update()
    return lambda: update().numpy()  # Waits for the result.


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    print(
        f"Milliseconds of a training step, median of {_ROUNDS.value} (min to max): W {_WORD_SIZE}, "
        f"R {_NUM_READS}, LSTM {_HIDDEN_SIZE}, batch {_BATCH_SIZE.value}, {_NUM_STEPS.value} time "
        f"steps, {os.cpu_count()} cores, TensorFlow {tf.__version__}."
    )
    print(f"{'slots':>6} {'dense':>26} {f'sparse, {_NUM_LINKS.value} links':>26}")
    for memory_size in map(int, _MEMORY_SIZES.value):
        linkage = dnc.SparseTemporalLinkage(memory_size, num_links=_NUM_LINKS.value)
        steps = {"sparse": training_step(memory_size, linkage)}
        if memory_size <= _DENSE_UP_TO.value:
            steps["dense"] = training_step(memory_size, None)
        timings: dict[str, list[float]] = {name: [] for name in steps}
        for _ in range(_ROUNDS.value):
            for name, step in steps.items():
                start = time.perf_counter()
                step()
                timings[name].append((time.perf_counter() - start) * 1e3)
        cells = [
            f"{statistics.median(t):.1f} ({min(t):.1f} to {max(t):.1f})" if t else "-"
            for t in (timings.get("dense"), timings["sparse"])
        ]
        print(f"{memory_size:>6} {cells[0]:>26} {cells[1]:>26}", flush=True)


if __name__ == "__main__":
    app.run(main)
