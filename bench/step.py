"""Times a training step of the DNC beside that of an `snt.LSTM` of the same size on the same task.

    python -m bench.step

A step is all of it: making the batch, forward pass, loss, gradients, clipping, RMSProp, compiled as
one program, with the default flags of train.py. The two are timed alternately in one run, since the
machine's speed drifts: the ratio of the medians is the figure that counts.
"""

import json
import os
import platform
import statistics
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import sonnet as snt
import tensorflow as tf
from absl import app, flags, logging

import dnc
import tasks
from training.step import TrainingStep, create_variables, rmsprop

_ROUNDS = flags.DEFINE_integer("rounds", 25, "How often each is timed.", lower_bound=3)
_STEPS = flags.DEFINE_integer("steps", 50, "Training steps in each timing.", lower_bound=1)
_JIT = flags.DEFINE_bool("jit", True, "Whether to compile with XLA.")
_JSON = flags.DEFINE_bool("json", False, "Whether to print JSON instead of a table.")

# As train.py's defaults.
HIDDEN_SIZE, CLIP_VALUE, MAX_GRAD_NORM, LEARNING_RATE, EPSILON = 64, 20.0, 50.0, 1e-4, 1e-10


def training_step(core: snt.RNNCore, task: tasks.Task) -> TrainingStep:
    """Returns the compiled training step of a new core."""
    optimizer = rmsprop(create_variables(core, task), LEARNING_RATE, EPSILON)
    return TrainingStep(core, task, optimizer, MAX_GRAD_NORM, seed=0, jit=_JIT.value)


def time_alternately(
    steps: dict[str, TrainingStep], rounds: int, num_steps: int, steps_per_call: int
) -> dict[str, list[float]]:
    """Returns milliseconds a step, `rounds` figures for each, measured in turn."""
    timings: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            start = time.perf_counter()
            for _ in range(max(1, num_steps // steps_per_call)):
                averages = step.run(steps_per_call)
            averages.loss.numpy()  # Waits for the result.
            done = max(1, num_steps // steps_per_call) * steps_per_call
            timings[name].append((time.perf_counter() - start) / done * 1e3)
    return timings


def main(argv: list[str]) -> None:
    """Measures and prints."""
    del argv
    logging.set_verbosity(logging.WARNING)
    task = tasks.get("repeat_copy")
    cores = {
        "DNC": dnc.DNC(
            dnc.MemoryAccess(memory_size=16, word_size=16, num_reads=4),
            snt.LSTM(HIDDEN_SIZE),
            task.target_size,
            CLIP_VALUE,
        ),
        "snt.LSTM": snt.DeepRNN([snt.LSTM(HIDDEN_SIZE), snt.Linear(task.target_size)]),
    }
    steps, compilation = {}, {}
    for name, core in cores.items():
        start = time.perf_counter()
        steps[name] = training_step(core, task)
        steps[name].run(1)
        compilation[name] = time.perf_counter() - start

    results = []
    for steps_per_call in (1, _STEPS.value):
        timings = time_alternately(steps, _ROUNDS.value, _STEPS.value, steps_per_call)
        medians = {name: statistics.median(values) for name, values in timings.items()}
        results.append(
            {
                "steps_per_call": steps_per_call,
                "milliseconds": medians,
                "spread": {name: [min(values), max(values)] for name, values in timings.items()},
                "ratio": medians["DNC"] / medians["snt.LSTM"],
            }
        )
    machine = (
        f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, "
        f"TensorFlow {tf.__version__}, {len(tf.config.list_physical_devices('GPU'))} GPUs"
    )
    if _JSON.value:
        print(json.dumps({"machine": machine, "compilation": compilation, "results": results}))
        return
    print(f"One training step of repeat copy with train.py's defaults, {machine}.")
    print(
        f"Milliseconds: median of {_ROUNDS.value} timings of {_STEPS.value} steps (min to max).\n"
    )
    print(f"{'steps a call':>12} {'DNC':>24} {'snt.LSTM':>24} {'ratio':>7}")
    for result in results:
        cells = [
            f"{median:.2f} ({result['spread'][name][0]:.2f} to {result['spread'][name][1]:.2f})"
            for name, median in result["milliseconds"].items()
        ]
        print(
            f"{result['steps_per_call']:>12} {cells[0]:>24} {cells[1]:>24} {result['ratio']:>7.2f}"
        )
    print("\nFirst call, compilation included: ", end="")
    print(", ".join(f"{name} {seconds:.1f} s" for name, seconds in compilation.items()))


if __name__ == "__main__":
    app.run(main)
