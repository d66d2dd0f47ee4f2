"""Training on several devices and machines: one training step, split over replicas.

A replica is a device with a copy of the model's variables. Each replica computes the gradients of
its part of the batch. Their mean is, up to rounding, the gradient of the whole batch on one device,
and it updates all copies equally. A process (a worker) has one or more replicas. The first worker
is the chief, which alone reads, writes and prints.

All workers must do the same things in the same order, or they wait for each other forever. They
therefore exchange everything that only one of them has, such as the duration of a step, a request
to stop or the contents of the disk, through `Distribution.of_chief`, `shared` and `any`, and
through `SharedRun`. Nothing else in training depends on the number of workers.
"""

import contextlib
import json
import os
import pathlib
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tensorflow as tf

from training.messages import NO_MEMORY, OUT_OF_MEMORY, say
from training.runs import Run

EXIT_CODE_OF_A_LOST_WORKER = os.EX_TEMPFAIL  # 75: "the user is invited to retry".
# Errors that a collective operation may raise, depending on how TensorFlow notices the loss.
_SIGNS_OF_A_LOST_WORKER = (
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
    tf.errors.FailedPreconditionError,
    tf.errors.InternalError,
    tf.errors.UnavailableError,
)

T = TypeVar("T")


class Cluster(NamedTuple):
    """The workers of a training run, and the place of this process among them."""

    jobs: dict[str, list[str]]  # addresses by kind of task: "chief" (one at most) and "worker"
    job: str
    index: int

    @property
    def addresses(self) -> list[str]:
        """Addresses of all workers, the chief first."""
        return [*self.jobs.get("chief", []), *self.jobs.get("worker", [])]

    @property
    def address(self) -> str:
        """Address of this worker."""
        return self.jobs[self.job][self.index]


def parse_cluster(text: str | None) -> Cluster:
    """Reads the environment variable TF_CONFIG.

    Raises:
      ValueError: if it is not set, or TensorFlow could not use it.
    """
    example = (
        '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, '
        '"task": {"type": "worker", "index": 0}}'
    )
    if not text:
        raise ValueError(
            "distribution=multi_worker needs the environment variable TF_CONFIG, the same in all "
            f"workers except for the index. Set TF_CONFIG='{example}'."
        )
    try:
        config = json.loads(text)
        jobs, job, index = config["cluster"], config["task"]["type"], int(config["task"]["index"])
        if not jobs.keys() <= {"chief", "worker"} or len(jobs.get("chief", [])) > 1:
            raise ValueError('its cluster may have one "chief", and "worker"')
        for address in [address for addresses in jobs.values() for address in addresses]:
            if not address.rpartition(":")[0] or not address.rpartition(":")[2].isdecimal():
                raise ValueError(f"{address!r} is not host:port")
        if not 0 <= index < len(jobs.get(job, [])):
            raise ValueError(f"its cluster has no {job} {index}")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise ValueError(f"TF_CONFIG is not like {example}: {reason}.") from error
    return Cluster(jobs, job, index)


class Distribution:
    """The replicas of a training run, and the communication of their processes.

    Attributes:
      num_replicas: number of replicas in total, each with the same number of a batch's episodes.
      num_workers: number of processes.
      is_chief: whether this process is the one that reads, writes and prints.
    """

    def __init__(self, kind: str = "none"):
        """Finds the devices; with several workers, waits until all have started.

        Args:
          kind: "none": this process, without replicas; "mirrored": all GPUs of this machine, or,
            if there are none, all logical CPU devices (one, unless the program made more);
            "multi_worker": the workers in TF_CONFIG, if no TensorFlow operation has run in this
            process yet.

        Raises:
          ValueError: if TF_CONFIG does not specify the workers, or this worker's port is in use.
        """
        self.num_workers, self.is_chief = 1, True
        self._strategy: tf.distribute.Strategy | None = None
        if kind == "mirrored":
            devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
            self._strategy = tf.distribute.MirroredStrategy([device.name for device in devices])
        elif kind == "multi_worker":
            cluster = parse_cluster(os.environ.get("TF_CONFIG"))
            self.num_workers = len(cluster.addresses)
            self.is_chief = cluster.address == cluster.addresses[0]
            self._strategy = _join(cluster)
        self.num_replicas = self._strategy.num_replicas_in_sync if self._strategy else 1

    def __bool__(self) -> bool:
        """Returns whether there are replicas, which kind "none" does not have."""
        return self._strategy is not None

    def scope(self) -> contextlib.AbstractContextManager:
        """Returns a context in which each new variable has a copy on every replica.

        All copies have the chief's initial value.
        """
        return self._strategy.scope() if self._strategy else contextlib.nullcontext()

    def check_batch_size(self, batch_size: int) -> None:
        """Raises `ValueError` if a batch cannot be split into equal parts."""
        if batch_size % self.num_replicas:
            raise ValueError(
                f"batch_size={batch_size} cannot be split evenly over {self.num_replicas} "
                f"replicas. Give a multiple of {self.num_replicas}."
            )

    def mean(self, function: Callable[..., Any], arguments: Sequence[tf.Tensor], like: Any) -> Any:
        """Returns the mean over all replicas of a function's results, for use in a `tf.function`.

        Args:
          function: called on each replica as `function(replica, *arguments)`, with its number, an
            int32 scalar; returns a nest of tensors of one type.
          arguments: further arguments.
          like: the nest with a `tf.TensorSpec` for each tensor.
        """

        def packed(*arguments: tf.Tensor) -> tf.Tensor:
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            found = function(tf.convert_to_tensor(replica, tf.int32), *arguments)
            # One vector, so that all variables go to the other replicas in one message.
            return tf.concat([tf.reshape(part, [-1]) for part in tf.nest.flatten(found)], axis=0)

        total = self._strategy.reduce("mean", self._strategy.run(packed, tuple(arguments)), None)
        specs = tf.nest.flatten(like)
        parts = tf.split(total, [spec.shape.num_elements() for spec in specs])
        parts = [tf.reshape(part, spec.shape) for part, spec in zip(parts, specs, strict=True)]
        return tf.nest.pack_sequence_as(like, parts)

    def of_chief(self, function: Callable[[], T]) -> T:
        """Calls a function in the chief while the others wait. Returns its result in all workers.

        Args:
          function: returns a JSON value.

        Raises:
          ValueError, OSError: in all processes, if the function raises it.
        """
        if self.num_workers == 1:
            return function()
        said = b""
        if self.is_chief:
            try:
                said = json.dumps({"result": function()}).encode()
            except OSError as error:
                said = json.dumps({"errno": error.errno, "message": error.strerror}).encode()
            except ValueError as error:
                said = json.dumps({"message": str(error)}).encode()
        said = np.frombuffer(said, np.uint8).astype(np.int32)
        length = int(self._sum(np.int32(len(said))))
        said = self._sum(said if self.is_chief else np.zeros(length, np.int32))
        answer = json.loads(said.astype(np.uint8).tobytes())
        if "errno" in answer:
            raise OSError(answer["errno"], answer["message"])
        if "message" in answer:
            raise ValueError(answer["message"])
        return answer["result"]

    def shared(self, own: T) -> T:
        """Returns an object whose methods run in the chief alone and return their results in all.

        Results are JSON values; `ValueError` and `OSError` are raised in all processes.

        Args:
          own: the object with these methods. With a single process, it is returned itself.
        """
        return own if self.num_workers == 1 else _Shared(self, own)

    def any(self, flag: bool) -> bool:
        """Returns whether the flag is set in any process."""
        return flag if self.num_workers == 1 else bool(self._sum(np.int32(flag)) > 0)

    def broadcast(self, variables: Sequence[tf.Variable]) -> None:
        """Assigns the chief's values to variables in all processes."""
        if self.num_workers == 1:
            return
        for variable in variables:
            value = variable.numpy()
            variable.assign(self._sum(value if self.is_chief else np.zeros_like(value)))

    def _sum(self, value: np.ndarray) -> np.ndarray:
        """Returns the sum over all processes."""
        num_devices = len(self._strategy.extended.worker_devices)  # In this process.
        values = iter([tf.constant(value)] + [tf.zeros_like(value)] * (num_devices - 1))
        each = self._strategy.experimental_distribute_values_from_function(lambda _: next(values))
        return self._strategy.reduce("sum", each, axis=None).numpy()


class _Shared:
    """Stand-in for an object, see `Distribution.shared`."""

    def __init__(self, distribution: Distribution, own: Any):
        self._distribution, self._own = distribution, own

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = getattr(self._own, name)
        return lambda *arguments, **named: self._distribution.of_chief(
            lambda: method(*arguments, **named)
        )


class SharedRun:
    """The chief's `Run`, whose methods all workers call together.

    The other workers receive the chief's variables and results, and raise its exceptions.

    Attributes:
      directory, changes, saved_step: as in `Run`.
    """

    def __init__(self, distribution: Distribution, open_run: Callable[[], Run]):
        """Opens a run.

        Args:
          distribution: the workers.
          open_run: opens the run, in the chief.
        """
        self._distribution = distribution
        self._run: Run | None = None
        self._variables: list[tf.Variable] = []

        def opened() -> tuple[str, dict[str, Any]]:
            self._run = open_run()
            return os.fspath(self._run.directory), self._run.changes

        directory, self.changes = distribution.of_chief(opened)
        self.directory = pathlib.Path(directory)
        self.saved_step: int | None = self._of_chief(lambda run: run.saved_step)

    @property
    def checkpoint(self) -> tf.train.Checkpoint | None:
        """The checkpoint that `save` writes; `None` except in the chief."""
        return self._run and self._run.checkpoint

    @property
    def last_saved(self) -> str:
        """A sentence about the checkpoint from which the run can continue."""
        if self.saved_step is None:
            return "There is no checkpoint."
        return f"The last checkpoint is of step {self.saved_step:,}."

    def __enter__(self) -> "SharedRun":
        return self

    def __exit__(self, *error: object) -> None:
        if self._run:
            self._run.close()

    def restore(self, **objects: Any) -> dict[str, Any] | None:
        """Loads as `Run.restore` does, into the modules and variables of all workers.

        Other objects are restored in the chief only.
        """
        self._variables = []
        for object in objects.values():
            if isinstance(object, tf.Module):
                self._variables.extend(object.variables)
            elif isinstance(object, tf.Variable):
                self._variables.append(object)
        return self._loaded(lambda run: run.restore(**objects))

    def go_back(self) -> dict[str, Any] | None:
        """Loads as `Run.go_back` does, into the same modules and variables."""
        return self._loaded(lambda run: run.go_back())

    def save(self, step: int, *arguments: Any) -> None:
        """Saves as `Run.save` does."""
        self._of_chief(lambda run: run.save(step, *arguments))
        self.saved_step = step

    def save_elsewhere(self, *arguments: Any) -> pathlib.Path:
        """Saves as `Run.save_elsewhere` does, on the chief's machine."""
        return pathlib.Path(self._of_chief(lambda run: os.fspath(run.save_elsewhere(*arguments))))

    def _loaded(self, load: Callable[[Run], dict[str, Any] | None]) -> dict[str, Any] | None:
        state = self._of_chief(load)
        self._distribution.broadcast(self._variables)
        self.saved_step = self._of_chief(lambda run: run.saved_step)
        return state

    def _of_chief(self, function: Callable[[Run], T]) -> T:
        return self._distribution.of_chief(lambda: function(self._run))


@contextlib.contextmanager
def leaving_when_a_worker_is_lost(
    kind: str, raised_by_all: tuple[type[Exception], ...] = (ValueError, OSError)
) -> Iterator[None]:
    """Ends the process with exit code 75 if this worker's peers are lost within the context.

    A worker that fails alone also ends at once, with exit code 1: in a normal exit TensorFlow would
    wait for peers that wait for this one.

    Args:
      kind: kind of the distribution.
      raised_by_all: exceptions that all workers raise, such as errors in settings and exceptions
        from `Distribution.of_chief`. They leave the context as usual.
    """
    if kind != "multi_worker":
        yield
        return
    try:
        yield
    except raised_by_all:
        raise
    except Exception as error:
        if isinstance(error, _SIGNS_OF_A_LOST_WORKER):
            code = EXIT_CODE_OF_A_LOST_WORKER
            reason = error.message.partition("aborted by: ")[2] or type(error).__name__
            message = (
                f"train.py: Lost another worker ({reason.splitlines()[0].rstrip('.')}). "
                "Start all workers again: they continue from the last checkpoint."
            )
            print(message, file=sys.stderr)
        elif isinstance(error, OUT_OF_MEMORY):
            code = 1
            print(f"train.py: {NO_MEMORY}", file=sys.stderr)
        else:
            code = 1
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _join(cluster: Cluster) -> tf.distribute.Strategy:
    """Waits for all workers of a cluster, and returns the strategy."""
    if cluster.address == cluster.addresses[0] and len(cluster.addresses) > 1:
        say(f"Waiting for {', '.join(cluster.addresses[1:])}.")
    try:
        return tf.distribute.MultiWorkerMirroredStrategy()
    except tf.errors.UnknownError as error:
        if "gRPC server" not in error.message:
            raise
        raise ValueError(f"Cannot listen at {cluster.address}: is the port in use?") from error
    finally:
        # TensorFlow now catches SIGTERM and ignores it. Let it end the process, as before.
        signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
