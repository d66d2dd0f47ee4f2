"""Makes fixture.json for the tests of the viewer: a small episode that a model has really run.

    python -m tests.system.js.make_fixture

Next to the episode, as the viewer gets it, are numbers of the trace that it should arrive at.
"""

import base64
import json
import pathlib

import numpy as np
import sonnet as snt
import tensorflow as tf

import dnc
from dnc_trace import episode

PATH = pathlib.Path(__file__).with_name("fixture.json")
LENGTHS = [12, 7]
STEP = 6


def make_trace() -> dnc.Trace:
    """Two examples of different lengths, two heads of each kind, six slots of four numbers."""
    tf.random.set_seed(1)
    rng = np.random.default_rng(1)
    access = dnc.MemoryAccess(6, 4, num_reads=2, num_writes=2)
    core = dnc.DNC(access, snt.LSTM(8), output_size=3)
    inputs = rng.normal(size=[12, 2, 5]).astype(np.float32) * 4.0
    core(tf.constant(inputs[0]), core.initial_state(2))
    for variable in core.trainable_variables:  # Decided gates and sharp look-ups.
        variable.assign(variable * 4.0)
    return dnc.record(core, tf.constant(inputs), sequence_length=LENGTHS).replace(
        target=rng.integers(0, 2, [12, 2, 3]).astype(np.float32),
        mask=(np.arange(12)[:, None] >= [5, 3]).astype(np.float32),
        tokens=[[f"word {t}" for t in range(12)] for _ in LENGTHS],
        task="test",
    )


def main() -> None:
    """Writes the file."""
    trace = make_trace()
    header, *examples = episode.encode(trace.arrays(), trace.meta())
    expected = {
        "step": STEP,
        "link": trace.derived_link()[STEP, 0],
        "memory": trace.derived_memory()[STEP, 0],
        "write_weights": trace.write_weights[STEP, 0],
        "last_read_words": trace.read_words[LENGTHS[1] - 1, 1],
    }
    numbers = {
        name: np.round(value.astype(np.float64), 6).tolist()
        if isinstance(value, np.ndarray)
        else value
        for name, value in expected.items()
    }
    fixture = {
        "header": json.loads(header),
        "examples": [base64.b64encode(example).decode("ascii") for example in examples],
        "expected": numbers,
    }
    PATH.write_text(json.dumps(fixture) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
