"""The first thing that a process does: nothing else may have prepared TensorFlow or Sonnet."""

import subprocess
import sys

import pytest

GRAPH = """
with tf.Graph().as_default(), tf.compat.v1.Session() as session:
    core = dnc.DNC({"memory_size": 4, "word_size": 3}, {"hidden_size": 5}, 3)
    inputs = tf.compat.v1.placeholder(tf.float32, [None, 2, 6])
    outputs, _ = RUN
    gradients = tf.gradients(outputs, core.trainable_variables)
    session.run(tf.compat.v1.global_variables_initializer())
    results = session.run([outputs, *gradients], {inputs: np.ones([4, 2, 6])})
    assert len(results) == 8 and results[0].shape == (4, 2, 3), results[0].shape
"""
PROGRAMS = {
    "a graph of TensorFlow 1, dnc.unroll": GRAPH.replace("RUN", "dnc.unroll(core, inputs)"),
    "a graph of TensorFlow 1, dynamic_rnn": GRAPH.replace(
        "RUN",
        "tf.compat.v1.nn.dynamic_rnn("
        "dnc.rnn_cell(core), inputs, dtype=tf.float32, time_major=True)",
    ),
    "eager execution turned off": "tf.compat.v1.disable_eager_execution()"
    + GRAPH.replace("RUN", "dnc.unroll(core, inputs)"),
    "a function": """
core = dnc.DNC({"memory_size": 4, "word_size": 3}, {"hidden_size": 5}, 3)
assert tf.function(dnc.unroll)(core, np.ones([4, 2, 6], "float32"))[0].shape == [4, 2, 3]
""",
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_fresh_process_can_begin_with(program):
    program = f"import numpy as np\nimport tensorflow as tf\n\nimport dnc\n{PROGRAMS[program]}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
