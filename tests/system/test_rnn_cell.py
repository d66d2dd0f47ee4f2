"""`dnc.rnn_cell` in a program for TensorFlow 1, from training to a restored checkpoint."""

import numpy as np
import tensorflow as tf

from tests.unit.dnc import test_rnn_cell as cells


def test_a_graph_is_trained_saved_and_restored(tmp_path):
    def train(core, inputs, state, lengths):
        outputs, _ = cells.dynamic_rnn(core, inputs, state, lengths)
        loss = tf.reduce_mean((outputs - 0.5) ** 2)
        step = cells.v1.train.GradientDescentOptimizer(0.1).minimize(loss)
        return loss, step, cells.v1.train.Saver()

    lengths, path = [2, 1], str(tmp_path / "model")
    with cells.Session(train) as graph:
        loss, step, saver = graph.fetches
        assert len(graph.core.trainable_variables) == 7
        before = graph.run(list(graph.core.trainable_variables), lengths)
        losses = [graph.run([loss, step], lengths)[0] for _ in range(5)]
        assert np.all(np.diff(losses) < 0)
        after = graph.run(list(graph.core.trainable_variables), lengths)
        assert all(np.any(a != b) for a, b in zip(after, before, strict=True))
        with graph.graph.as_default():
            saver.save(graph.session, path)
        trained_loss = graph.run(loss, lengths)
    with cells.Session(train) as graph:  # Other random variables, until they are restored.
        loss, _, saver = graph.fetches
        assert abs(graph.run(loss, lengths) - trained_loss) > 1e-6
        with graph.graph.as_default():
            saver.restore(graph.session, path)
        cells.assert_same(
            graph.run(list(graph.core.trainable_variables), lengths), after, tolerance=0
        )
        np.testing.assert_allclose(graph.run(loss, lengths), trained_loss, rtol=1e-12)
