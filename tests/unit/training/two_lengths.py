"""A task whose batches have one of two lengths, which counts how often it is traced."""

import dataclasses

from tasks import option
from tasks.copy import Copy


@dataclasses.dataclass(frozen=True, kw_only=True)
class TwoLengths(Copy):
    """Copy: of 5 batches 3 have up to `max_length` rows, then 2 have one.

    Attributes:
      drawn: number of time steps of each call of `batch`; in a program there is one a trace.
    """

    batch_size: int = option(4, "Episodes in a batch.", minimum=1)
    num_bits: int = option(2, "Width of a row.", minimum=1)
    max_length: int = option(3, "Maximum number of rows.", minimum=1)
    drawn: list = dataclasses.field(default_factory=list)

    def steps_of_batch(self, split, seed, step, lesson=None):
        return 2 * self.max_length + 1 if step % 5 < 3 else 3

    def of_length(self, num_steps):
        return dataclasses.replace(self, max_length=(num_steps - 1) // 2)

    def batch(self, split, seed, step, lesson=None):
        self.drawn.append(self.num_steps)
        return super().batch(split, seed, step, lesson)
