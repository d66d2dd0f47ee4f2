"""Judges a core on sequences it was not trained on."""

import sonnet as snt
import tensorflow as tf

import dnc
import tasks
from training import question_answering
from training.question_answering import Examination

BATCH_SIZE, NUM_BATCHES = 100, 10  # 1,000 sequences.


class Evaluation:
    """Runs a core over fresh batches of a task.

    Training uses the batches of seeds >= 0, evaluation those of seeds < 0, so that no batch is
    drawn for both. (A small task has few different sequences: then the same one may well come up in
    both.)
    """

    def __init__(self, core: snt.RNNCore, task: tasks.Task, seed: int, jit: bool = True):
        """Prepares the evaluation.

        Args:
          core: the core to judge.
          task: where the batches come from; all of a call's batches are of its batch size.
          seed: the training's seed, >= 0.
          jit: whether to compile with XLA.
        """
        self._core = core
        self._task = task
        self._seed = -1 - seed
        is_babi = isinstance(task, tasks.Babi)
        self._examination = Examination(core, task, jit) if is_babi else None
        signature = [tf.TensorSpec([], tf.int64), tf.TensorSpec([], tf.int32)]
        self._mean_metrics = tf.function(self._metrics, input_signature=signature, jit_compile=jit)
        self._logits = tf.function(
            lambda observations: dnc.unroll(core, observations)[0], jit_compile=jit
        )

    def metrics(self, first_batch: int, num_batches: int) -> dict[str, float]:
        """Returns the task's metrics, averaged over the batches from number `first_batch` on."""
        means = self._mean_metrics(
            tf.constant(first_batch, tf.int64), tf.constant(num_batches, tf.int32)
        )
        return {name: float(value) for name, value in means.items()}

    def sample(self, number: int) -> str:
        """Returns the first episode of batch `number`, and the core's answer, as text."""
        batch = self._task.batch(self._seed, number)
        return self._task.to_human_readable(batch, self._logits(batch.observations))

    def final(self, step: int) -> dict[str, float]:
        """Returns the metrics of `NUM_BATCHES` fresh batches, others for each training step."""
        return self.metrics(_sets(step)[1], NUM_BATCHES)

    def is_solved(self, step: int) -> bool:
        """Whether two sets of fresh batches have no error: one picks the step, one confirms it.

        The second is that of `final`.
        """
        return all(
            self.metrics(first_batch, NUM_BATCHES)["solved_sequences"] == 1.0
            for first_batch in _sets(step)
        )

    def validate(self, step: int) -> dict[str, float]:
        """Returns metrics by name, of which the task's error tells the best training step.

        Of bAbI they are means over its tasks, in all stories that are kept for validation, and the
        part of each task's questions that is wrong.
        """
        if not self._examination:
            return self.final(step)
        scores = self._examination.scores("validation")
        question, word = question_answering.mean(scores)
        of_tasks = {f"question_error/{task}": own.question_error for task, own in scores.items()}
        return {"question_error": question, "word_error": word, **of_tasks}

    def sample_at(self, step: int) -> str:
        """Returns a fresh episode, another one for each training step, as `sample` does."""
        return self.sample(_sets(step)[0])

    def _metrics(self, first_batch: tf.Tensor, num_batches: tf.Tensor) -> dict[str, tf.Tensor]:
        totals = {name: tf.zeros([]) for name in self._task.metric_names}
        done = tf.constant(0)
        while done < num_batches:
            number = first_batch + tf.cast(done, tf.int64)
            found = self._task.with_batch(self._seed, number, self._metrics_of)
            totals = tf.nest.map_structure(tf.add, totals, found)
            done += 1
        return {name: total / tf.cast(num_batches, tf.float32) for name, total in totals.items()}

    def _metrics_of(self, batch: tasks.Batch) -> dict[str, tf.Tensor]:
        logits, _ = dnc.unroll(self._core, batch.observations)
        return self._task.metrics(logits, batch)


def _sets(step: int) -> tuple[int, int]:
    """Numbers of the first batches of two sets; each training step has its own two."""
    return 2 * NUM_BATCHES * step, 2 * NUM_BATCHES * step + NUM_BATCHES
