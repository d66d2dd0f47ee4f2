"""The training step: data, forward and backward pass and update, compiled as one program."""

import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import sonnet as snt
import tensorflow as tf

import dnc
import tasks
from training.distribution import Distribution, part
from training.numerics import explain
from training.optimization import Update


class Gradients(NamedTuple):
    """What one batch says about the variables."""

    loss: tf.Tensor  # scalar
    gradients: list[tf.Tensor]  # one for each variable, clipped
    norm: tf.Tensor  # scalar, global norm before clipping
    module_norms: dict[str, tf.Tensor]  # scalars by module, likewise
    metrics: dict[str, tf.Tensor]  # scalars


class _Found(NamedTuple):
    """What one batch, or a part of it, says about the variables: means over its episodes."""

    loss: Any  # scalar
    gradients: list[Any]  # one for each variable
    metrics: dict[str, Any]  # scalars


class Totals(NamedTuple):
    """Sums over steps."""

    loss: tf.Tensor
    gradient_norm: tf.Tensor  # before clipping
    module_norms: dict[str, tf.Tensor]  # likewise, of each module's gradients
    metrics: dict[str, tf.Tensor]

    def scalars(self) -> dict[str, tf.Tensor]:
        """Returns loss, gradient norm and metrics by name."""
        return {"loss": self.loss, "gradient_norm": self.gradient_norm, **self.metrics}


def create_variables(core: snt.RNNCore, task: tasks.Task) -> Sequence[tf.Variable]:
    """Creates and returns the core's trainable variables by running it on one observation."""
    core(tf.zeros([1, task.input_size]), core.initial_state(1))
    return core.trainable_variables


def gradients(
    core: snt.RNNCore,
    task: tasks.Task,
    batch: tasks.Batch,
    max_grad_norm: float,
    recompute_every: int | None = None,
) -> Gradients:
    """Runs the core over a batch; returns the loss and its gradients, clipped by global norm.

    With `recompute_every`, only the state of every so many time steps is kept for the gradients.
    """
    found = _find(core, task, batch, recompute_every)
    return _clip(core.trainable_variables, found, max_grad_norm)


def _find(
    core: snt.RNNCore, task: tasks.Task, batch: tasks.Batch, recompute_every: int | None
) -> _Found:
    """Runs the core over a batch, forwards and backwards."""
    with tf.GradientTape() as tape:
        logits, _ = dnc.unroll(core, batch.observations, checkpoint_every=recompute_every)
        loss = task.cost(logits, batch.target, batch.mask)
    gradients = tape.gradient(loss, core.trainable_variables)
    return _Found(loss, gradients, task.metrics(logits, batch))


def _clip(variables: Sequence[tf.Variable], found: _Found, max_grad_norm: float) -> Gradients:
    """Clips what was found for a whole batch by the global norm of its gradients."""
    clipped, norm = tf.clip_by_global_norm(found.gradients, max_grad_norm)
    module_norms = dnc.summaries.module_norms(variables, found.gradients)
    return Gradients(found.loss, clipped, norm, module_norms, found.metrics)


class TrainingStep:
    """Trains a core on a task, some steps at a call.

    Step number s trains on `task.batch(seed, s)`, so a run is determined by the seed and the
    initial values.

    Attributes:
      step: the number of steps done, an int64 variable.
      task: what is learnt.
      update: what a batch's gradients do to the variables.
    """

    def __init__(
        self,
        core: snt.RNNCore,
        task: tasks.Task,
        update: Update,
        seed: int,
        jit: bool = True,
        recompute_every: int | None = None,
        distribution: Distribution | None = None,
        with_batch: Callable[[Any, Any, Callable[[tasks.Batch], Any]], Any] | None = None,
    ):
        """Prepares the step.

        Args:
          core: the core to train; its variables exist already.
          task: where batches and the loss come from.
          update: what a batch's gradients do to the variables.
          seed: seed of the batches.
          jit: whether to compile with XLA.
          recompute_every: as for `gradients`.
          distribution: over whose replicas each batch is split; the core's variables were made in
            its scope. Without replicas all steps of a call are one compiled program.
          with_batch: what to have batches from, as from `Task.with_batch`; by default the task.

        Raises:
          ValueError: if the batch cannot be split.
        """
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.task = task
        self._core = core
        self.update = update
        self._seed = seed
        self._with_batch = with_batch or task.with_batch
        self._recompute_every = recompute_every
        zero, variables = tf.zeros([]), core.trainable_variables
        self._no_totals = Totals(
            loss=zero,
            gradient_norm=zero,
            module_norms=dnc.summaries.module_norms(variables, [zero] * len(variables)),
            metrics={name: zero for name in task.metric_names},
        )
        self._distribution = distribution or None
        if self._distribution:
            self._distribution.check_batch_size(task.batch_size)
            # What is compiled cannot talk to other replicas: it ends where they exchange gradients.
            self._find_part = tf.function(self._part, jit_compile=jit)
        self._jit = jit and not self._distribution
        self._run = self._compile()

    def run(
        self,
        num_steps: int,
        scalars: Mapping[str, float] | None = None,
        module_norms: Mapping[str, float] | None = None,
    ) -> Totals:
        """Makes `num_steps` >= 1 updates, if all goes well.

        It ends before a step whose loss or gradient is not finite: variables, optimizer, totals and
        `step` are then as if that had not been tried, and `step` is its number.

        Args:
          num_steps: number of updates.
          scalars: totals to add to, as `Totals.scalars` gives them; 0 by default. Ten steps, and
            ten more that add to their totals, give the same to the last bit as twenty: the steps'
            values are added one by one.
          module_norms: likewise.

        Returns:
          The totals, with those of these steps added.
        """
        totals = {**self._no_totals.scalars(), **(scalars or {})}
        start = Totals(
            loss=totals.pop("loss"),
            gradient_norm=totals.pop("gradient_norm"),
            module_norms={**self._no_totals.module_norms, **(module_norms or {})},
            metrics=totals,
        )
        start = tf.nest.map_structure(lambda total: tf.convert_to_tensor(total, tf.float32), start)
        return self._run(tf.constant(num_steps, tf.int32), start)

    def explain(self, directory: pathlib.Path, checkpoint: tf.train.Checkpoint) -> str:
        """Says why the next step is not finite, see `numerics.explain`."""
        step = int(self.step)
        return self._with_batch(
            self._seed,
            self.step,
            lambda batch: explain(self._core, self.task, batch, step, directory, checkpoint),
        )

    def skip(self) -> None:
        """Leaves out the next step."""
        self.step.assign_add(1)

    @property
    def learning_rate(self) -> float:
        """The optimizer's learning rate. It is part of the program: a new one is compiled anew."""
        return self.update.optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        if value != self.learning_rate:
            self.update.optimizer.learning_rate = value
            self._run = self._compile()

    def _compile(self) -> Any:
        # The number of steps is an argument, not a constant: one compilation serves all.
        signature = [
            tf.TensorSpec([], tf.int32),
            tf.nest.map_structure(lambda _: tf.TensorSpec([], tf.float32), self._no_totals),
        ]
        return tf.function(self._steps, input_signature=signature, jit_compile=self._jit)

    def _steps(self, num_steps: tf.Tensor, totals: Totals) -> Totals:
        done, is_finite = tf.constant(0), tf.constant(True)
        # Not `tf.range(num_steps)`: XLA would compile anew for every number.
        while done < num_steps and is_finite:
            found, is_finite = self._make_one()
            totals = _add_if(is_finite, totals, found)
            done += 1
        return totals

    def _make_one(self) -> tuple[Totals, tf.Tensor]:
        """Makes one step, if it is finite; returns its values, and whether it is."""
        variables, bound = self._core.trainable_variables, self.update.max_grad_norm
        result = _clip(variables, self._find_mean(), bound)
        # With anything in a gradient that is not finite, the norm is not either.
        is_finite = tf.math.is_finite(result.loss) & tf.math.is_finite(result.norm)
        # Replicas cannot differ here: what they decide by is the mean over all of them.
        if is_finite:
            self.update.apply(result.gradients, variables, self.step)
            self.step.assign_add(1)
        return Totals(result.loss, result.norm, result.module_norms, result.metrics), is_finite

    def _find_mean(self) -> _Found:
        """What the whole batch says."""
        if not self._distribution:
            return self._with_batch(self._seed, self.step, self._find)
        scalar = tf.TensorSpec([])
        like = _Found(
            loss=scalar,
            gradients=[tf.TensorSpec(x.shape, x.dtype) for x in self._core.trainable_variables],
            metrics={name: scalar for name in self.task.metric_names},
        )
        return self._distribution.mean(self._find_part, [self.step.read_value()], like)

    def _part(self, replica: tf.Tensor, step: tf.Tensor) -> _Found:
        """What a replica's part of the batch says."""
        # Each replica draws the whole batch: cheap beside learning from it, right for any task.
        number = self._distribution.num_replicas
        return self._with_batch(
            self._seed, step, lambda batch: self._find(part(batch, replica, number))
        )

    def _find(self, batch: tasks.Batch) -> _Found:
        return _find(self._core, self.task, batch, self._recompute_every)


def _add_if(condition: tf.Tensor, totals: Any, x: Any) -> Any:
    """The totals, with the values `x` added if the condition holds."""
    return tf.nest.map_structure(lambda total, x: tf.where(condition, total + x, total), totals, x)
