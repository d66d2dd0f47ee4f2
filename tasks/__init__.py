"""Tasks by name: `tasks.get("repeat_copy", num_bits=4)`.

Knows TensorFlow and NumPy, knows nothing of `dnc`.
"""

from tasks import repeat_copy as _repeat_copy  # noqa: F401  Registers the task.
from tasks.base import Batch, Task, defaults, get, names

__all__ = ["Batch", "Task", "defaults", "get", "names"]
