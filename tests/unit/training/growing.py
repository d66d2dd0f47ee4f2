"""A task with lessons of its own, whose memory grows with them."""

import dataclasses

from tasks import Lesson, Lessons, option
from tasks.copy import Copy

LESSONS = (Lesson({"length": (1, 1)}, memory_size=3), Lesson({"length": (1, 2)}, memory_size=5))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Growing(Copy):
    """Copy, of one row and then of up to two; each lesson is passed after one batch."""

    max_length: int = option(2, "Maximum number of rows.", minimum=1)
    lessons: Lessons = dataclasses.field(
        default_factory=lambda: Lessons(LESSONS, threshold=float("inf"), window=2), hash=False
    )
