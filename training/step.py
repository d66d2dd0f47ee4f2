"""The training step: data, forward and backward pass and update, compiled as one program."""

import itertools
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import tensorflow as tf

import dnc
import tasks
from training import episodes
from training.distribution import Distribution
from training.episodes import Core
from training.numerics import explain
from training.optimization import Update


class Gradients(NamedTuple):
    """Result of the forward and the backward pass of a batch."""

    loss: tf.Tensor  # scalar
    gradients: list[tf.Tensor]  # one for each variable, clipped
    norm: tf.Tensor  # scalar, global norm before clipping
    module_norms: dict[str, tf.Tensor]  # scalars by module, also before clipping
    metrics: dict[str, tf.Tensor]  # scalars


class _Found(NamedTuple):
    """Loss, gradients and metrics of a batch, or a part of it: means over its episodes."""

    loss: Any  # scalar
    gradients: list[Any]  # one for each variable
    metrics: dict[str, Any]  # scalars


class Totals(NamedTuple):
    """Sums over steps."""

    loss: tf.Tensor
    gradient_norm: tf.Tensor  # before clipping
    module_norms: dict[str, tf.Tensor]  # also before clipping, of each module's gradients
    metrics: dict[str, tf.Tensor]
    window: dict[str, tf.Tensor]  # metrics again, for sums over other steps

    def scalars(self) -> dict[str, tf.Tensor]:
        """Returns loss, gradient norm and metrics by name."""
        return {"loss": self.loss, "gradient_norm": self.gradient_norm, **self.metrics}


def create_variables(core: Core, task: tasks.Task) -> Sequence[tf.Variable]:
    """Creates and returns the core's trainable variables by running it on one observation."""
    episodes.run_one_step(core, tf.zeros([1, task.input_size]), core.initial_state(1))
    return core.trainable_variables


def gradients(
    core: Core,
    task: tasks.Task,
    batch: tasks.Batch,
    max_grad_norm: float,
    recompute_every: int | None = None,
    initial_state: Any = None,
) -> Gradients:
    """Runs the core over a batch. Returns the loss and its gradients, clipped by global norm.

    With `recompute_every` k, only the state of every k-th time step is kept for the gradients. The
    initial state is the core's own unless given.
    """
    found = _find(core, task, batch, recompute_every, initial_state)
    return _clip(core.trainable_variables, found, max_grad_norm)


def _find(
    core: Core,
    task: tasks.Task,
    batch: tasks.Batch,
    recompute_every: int | None,
    initial_state: Any,
) -> _Found:
    """Runs the core over a batch, forwards and backwards."""
    with tf.GradientTape() as tape:
        outputs = episodes.replay(core, batch, recompute_every, initial_state)
        loss = task.loss(outputs, batch)
    gradients = tape.gradient(loss, core.trainable_variables)
    return _Found(loss, gradients, task.metrics(outputs, batch))


def _clip(variables: Sequence[tf.Variable], found: _Found, max_grad_norm: float) -> Gradients:
    """Clips the gradients of a whole batch by their global norm."""
    clipped, norm = tf.clip_by_global_norm(found.gradients, max_grad_norm)
    module_norms = dnc.summaries.module_norms(variables, found.gradients)
    return Gradients(found.loss, clipped, norm, module_norms, found.metrics)


class TrainingStep:
    """Training of a core on a task, several steps per call.

    Step s trains on batch s of the split "train", and its dropout has the seed (seed, s). A run is
    therefore determined by the seed, the initial values and the lessons.

    Attributes:
      step: number of steps done, an int64 variable.
      lesson: number of the current lesson, from 0, an int64 variable.
      core: the core that is trained.
      task: the task.
      update: update of the variables by a batch's gradients.
    """

    def __init__(
        self,
        core: Core,
        task: tasks.Task,
        update: Update,
        seed: int,
        jit: bool = True,
        recompute_every: int | None = None,
        distribution: Distribution | None = None,
        with_memory: Callable[[int], Core] | None = None,
    ):
        """Prepares the step.

        Args:
          core: the core to train; its variables exist already.
          task: source of batches and of the loss.
          update: update of the variables by a batch's gradients.
          seed: seed of the batches and of the dropout.
          jit: whether to compile with XLA.
          recompute_every: as for `gradients`.
          distribution: replicas over which each batch is split; the core's variables were created
            in its scope. Without replicas, XLA compiles the entire program.
          with_memory: returns a core with the same variables and a given number of memory slots,
            for lessons that specify one.

        Raises:
          ValueError: if the batch cannot be split, or a lesson specifies a memory size and
            `with_memory` is missing.
        """
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.lesson = tf.Variable(0, dtype=tf.int64, trainable=False, name="lesson")
        self.core = core
        self.task = task
        self.update = update
        self._seed = seed
        self._jit = jit
        self._recompute_every = recompute_every
        zero, variables = tf.zeros([]), core.trainable_variables
        self._no_totals = Totals(
            loss=zero,
            gradient_norm=zero,
            module_norms=dnc.summaries.module_norms(variables, [zero] * len(variables)),
            metrics={name: zero for name in task.metric_names},
            window={name: zero for name in task.metric_names},
        )
        self._distribution = distribution or Distribution()
        self._distribution.check_batch_size(task.batch_size)
        if with_memory is None and any(each.memory_size for each in task.lessons.lessons):
            raise ValueError("The lessons change the memory size. Give with_memory.")
        self._with_memory = with_memory
        self._cores: dict[int | None, Core] = {None: core}
        self._programs: dict[tuple[int, int | None], Any] = {}

    def run(
        self,
        num_steps: int,
        scalars: Mapping[str, float] | None = None,
        module_norms: Mapping[str, float] | None = None,
        window: Mapping[str, float] | None = None,
    ) -> Totals:
        """Makes `num_steps` >= 1 updates, or fewer if a step is not finite.

        It ends before a step whose loss or gradient is not finite. That step changes no variables,
        optimizer state or totals, and `step` is its number.

        Args:
          num_steps: number of updates, the same in all workers.
          scalars: totals to add to, as returned by `Totals.scalars`; 0 by default. The values of
            steps are added one by one, so ten steps, and ten more that add to their totals, give
            exactly the totals of twenty.
          module_norms: totals to add to, as in `Totals`; 0 by default.
          window: totals to add to, as in `Totals`; 0 by default.

        Returns:
          The totals, with the values of these steps added.
        """
        named = {**self._no_totals.scalars(), **(scalars or {})}
        totals = Totals(
            loss=named.pop("loss"),
            gradient_norm=named.pop("gradient_norm"),
            module_norms={**self._no_totals.module_norms, **(module_norms or {})},
            metrics=named,
            window={**self._no_totals.window, **(window or {})},
        )
        totals = tf.nest.map_structure(lambda x: tf.convert_to_tensor(x, tf.float32), totals)
        step, lesson = int(self.step), self._current_lesson
        lengths = (
            self.task.steps_of_batch("train", self._seed, each, lesson)
            for each in range(step, step + num_steps)
        )
        for length, stretch in itertools.groupby(lengths):
            step += (number := sum(1 for _ in stretch))
            totals = self._program(length, lesson)(tf.constant(number, tf.int32), totals)
            if int(self.step) < step:
                break
        return totals

    def agreed(self, num_steps: int) -> int:
        """Returns the chief's number of steps in all workers, which measure different times."""
        return self._distribution.of_chief(lambda: num_steps)

    @property
    def has_peers(self) -> bool:
        """Whether other processes train with this one."""
        return self._distribution.num_workers > 1

    def explain(self, directory: pathlib.Path, checkpoint: tf.train.Checkpoint) -> str:
        """Explains why the next step is not finite, see `numerics.explain`."""
        step, lesson = int(self.step), self._current_lesson
        core = self._core_of(self._memory_size(lesson))

        def explained() -> str:
            batch, state = _start(core, self.task, self._seed, step, lesson)
            return explain(core, self.task, batch, step, directory, checkpoint, state)

        return self._distribution.of_chief(explained)

    def skip(self) -> None:
        """Omits the next step."""
        self.step.assign_add(1)

    @property
    def num_programs(self) -> int:
        """Number of programs: one for each number of time steps and memory size so far."""
        return len(self._programs)

    @property
    def learning_rate(self) -> float:
        """The optimizer's learning rate, a constant in the programs: a new one recompiles them."""
        return self.update.optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        if value != self.learning_rate:
            self.update.optimizer.learning_rate = value
            self._programs.clear()

    @property
    def _current_lesson(self) -> int | None:
        return int(self.lesson) if self.task.lessons else None

    def _memory_size(self, lesson: int | None) -> int | None:
        return None if lesson is None else self.task.lessons[lesson].memory_size

    def _core_of(self, memory_size: int | None) -> Core:
        """Returns the core with the given memory size; `None`: as configured."""
        if memory_size not in self._cores:
            self._cores[memory_size] = core = self._with_memory(memory_size)
            own = [variable.ref() for variable in self.core.trainable_variables]
            if [variable.ref() for variable in core.trainable_variables] != own:
                raise ValueError("with_memory must return a core with the same variables.")
        return self._cores[memory_size]

    def _program(self, num_steps: int, lesson: int | None) -> Any:
        """Returns the program for batches of `num_steps` time steps in a lesson."""
        key = num_steps, self._memory_size(lesson)
        if key not in self._programs:
            core, task = self._core_of(key[1]), self.task.of_length(num_steps)
            self._programs[key] = self._compile(self._finder(core, task))
        return self._programs[key]

    def _recomputes(self, num_steps: int) -> int | None:
        """Returns `recompute_every` for batches of `num_steps` time steps.

        Batches that need no more memory without recomputation than the longest ones need with it
        keep all states, which is faster and halves the program.
        """
        every = self._recompute_every
        if every and num_steps <= every + -(-self.task.num_steps // every):
            return None
        return every

    def _finder(self, core: Core, task: tasks.Task) -> Callable[[], _Found]:
        """Returns a function that collects the batch of the current step and runs over it."""
        recompute_every = self._recomputes(task.num_steps)

        def start(step: tf.Tensor, lesson: tf.Tensor) -> tuple[tasks.Batch, Any]:
            return _start(core, task, self._seed, step, lesson if task.lessons else None)

        def find_all() -> _Found:
            batch, state = start(self.step, self.lesson)
            return _find(core, task, batch, recompute_every, state)

        if not self._distribution:
            return find_all
        number = self._distribution.num_replicas

        def find_part(replica: tf.Tensor, step: tf.Tensor, lesson: tf.Tensor) -> _Found:
            # Each replica draws the whole batch, which is cheap compared with learning from it, and
            # correct for any task.
            batch, state = start(step, lesson)
            own = episodes.part(batch, replica, number)
            own_state = episodes.part_of_state(state, replica, number)
            return _find(core, task, own, recompute_every, own_state)

        # A compiled function cannot exchange gradients with other replicas, so it ends before that.
        find_part = tf.function(find_part, jit_compile=self._jit)
        scalar = tf.TensorSpec([])
        like = _Found(
            loss=scalar,
            gradients=[tf.TensorSpec(x.shape, x.dtype) for x in core.trainable_variables],
            metrics={name: scalar for name in task.metric_names},
        )

        def find_mean() -> _Found:
            current = [self.step.read_value(), self.lesson.read_value()]
            return self._distribution.mean(find_part, current, like)

        return find_mean

    def _compile(self, find: Callable[[], _Found]) -> Any:
        """Returns a program that makes a number of steps and adds to totals."""

        def steps(num_steps: tf.Tensor, totals: Totals) -> Totals:
            done, is_finite = tf.constant(0), tf.constant(True)
            # Not `tf.range(num_steps)`: XLA would compile again for every number.
            while done < num_steps and is_finite:
                found, is_finite = self._make_one(find)
                totals = _add_if(is_finite, totals, found)
                done += 1
            return totals

        # The number of steps is an argument, not a constant: one compilation serves all.
        signature = [
            tf.TensorSpec([], tf.int32),
            tf.nest.map_structure(lambda _: tf.TensorSpec([], tf.float32), self._no_totals),
        ]
        jit = self._jit and not self._distribution
        # Concrete, because TensorFlow warns of retracing if one function has several lengths.
        return tf.function(steps, jit_compile=jit).get_concrete_function(*signature)

    def _make_one(self, find: Callable[[], _Found]) -> tuple[Totals, tf.Tensor]:
        """Makes one step if it is finite. Returns its values, and whether it is finite."""
        variables = self.core.trainable_variables
        result = _clip(variables, find(), self.update.max_grad_norm)
        # If any part of a gradient is not finite, neither is the norm.
        is_finite = tf.math.is_finite(result.loss) & tf.math.is_finite(result.norm)
        # Replicas cannot differ here, because they decide by the mean over all of them.
        if is_finite:
            self.update.apply(result.gradients, variables, self.step)
            self.step.assign_add(1)
        metrics = result.metrics
        found = Totals(result.loss, result.norm, result.module_norms, metrics, metrics)
        return found, is_finite


def _start(
    core: Core, task: tasks.Task, seed: int, step: Any, lesson: Any
) -> tuple[tasks.Batch, Any]:
    """Returns the batch of a training step and the state from which the core runs over it."""
    state = episodes.dropping_state(core, task.batch_size, seed, step)
    return episodes.collect(core, task, "train", seed, step, lesson, state), state


def _add_if(condition: tf.Tensor, totals: Any, x: Any) -> Any:
    """Returns the totals, with the values `x` added if the condition holds."""
    return tf.nest.map_structure(lambda total, x: tf.where(condition, total + x, total), totals, x)
