"""Progress of a training run: its state besides the variables."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any


class Means:
    """Means over the steps since they were last taken."""

    def __init__(self, state: Mapping[str, Any] | None = None):
        """Starts with no steps, or from the `state` of another instance."""
        self._steps: int = state["steps"] if state else 0
        self._totals: dict[str, float] = dict(state["totals"]) if state else {}

    @property
    def state(self) -> dict[str, Any]:
        """Number of steps and totals, as JSON values."""
        return {"steps": self._steps, "totals": dict(self._totals)}

    @property
    def totals(self) -> dict[str, float]:
        """Sums over the steps, by name; empty if there are none yet."""
        return dict(self._totals)

    def advance(self, totals: Mapping[str, Any], num_steps: int) -> None:
        """Sets the new `totals`, to which `num_steps` steps were added."""
        self._totals = {name: float(total) for name, total in totals.items()}
        self._steps += num_steps

    def take(self) -> dict[str, float]:
        """Returns the means over the steps, {} if there were none, and starts again."""
        means = {name: total / self._steps for name, total in self._totals.items() if self._steps}
        self._steps, self._totals = 0, {}
        return means


@dataclasses.dataclass
class Progress:
    """Progress from one checkpoint to the next.

    It lets a resumed run report, keep checkpoints and stop as if it had never been interrupted.

    Attributes:
      learning_rate: learning rate of the optimizer; may be lower than at the beginning.
      means: loss and metrics since the last report.
      module_norms: norms of each module's gradients, since the last look into the memory.
      window: metrics since the criterion of the lesson was last measured.
      loss: mean loss in the last report; NaN before the first.
      solved: whether fresh sequences had no error; `None`: not measured.
      validation: step and error of the last validation; `None`: there was none.
      best_error: smallest error in a validation so far.
      not_better: number of validations since then.
    """

    learning_rate: float
    means: Means = dataclasses.field(default_factory=Means)
    module_norms: Means = dataclasses.field(default_factory=Means)
    window: Means = dataclasses.field(default_factory=Means)
    loss: float = math.nan
    solved: bool | None = None
    validation: tuple[int, float] | None = None
    best_error: float = math.inf
    not_better: int = 0

    @classmethod
    def of(cls, state: Mapping[str, Any] | None, learning_rate: float) -> "Progress":
        """Returns the progress in a `state`, with initial values for what is missing in it."""
        state = {"learning_rate": learning_rate, **(state or {})}
        values = {f.name: state[f.name] for f in dataclasses.fields(cls) if f.name in state}
        for name in ("means", "module_norms", "window"):
            values[name] = Means(state.get(name))
        if values.get("validation"):
            values["validation"] = tuple(values["validation"])
        return cls(**values)

    def validated(self, step: int, error: float) -> None:
        """Records the error of a validation."""
        self.validation = step, error
        is_better = error < self.best_error
        self.best_error = min(error, self.best_error)
        self.not_better = 0 if is_better else self.not_better + 1

    def state(self) -> dict[str, Any]:
        """Returns the progress as JSON values."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {k: v.state if isinstance(v, Means) else v for k, v in values.items()}
