import json

import numpy as np
import sonnet as snt
import tensorflow as tf

from bench import inference, workloads

TINY = workloads.WORKLOADS["tiny"]


def test_models_are_timed_for_one_sequence_and_for_a_batch(capsys):
    assert inference.main(["bench.inference", "--json", "--rounds=1", "--config=tiny"]) == 0

    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [(row["batch_size"], row["model"], row["linkage"]) for row in rows] == [
        (batch_size, *model)
        for batch_size in (1, 2)
        for model in (("snt.LSTM", None), ("DNC", "dense"), ("DNC", "sparse"))
    ]
    for row in rows:
        assert {"config", "median_ms", "min_ms", "max_ms", "first_call_s", "ratio"} <= row.keys()


def test_each_call_goes_on_from_the_state_before():
    class Counter(snt.RNNCore):
        seen = tf.Variable(tf.zeros([TINY.batch_size]))

        def initial_state(self, batch_size):
            return tf.zeros([batch_size])

        def __call__(self, inputs, state):
            if state.shape == self.seen.shape:
                self.seen.assign(state)
            return inputs, state + 1.0

    core = Counter()
    step = inference.forward_step(core, TINY)

    for count in range(3):
        step()
        np.testing.assert_array_equal(core.seen, [count] * TINY.batch_size)
