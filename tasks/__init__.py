"""Tasks by name: `tasks.get("repeat_copy", num_bits=4)`.

Knows TensorFlow and NumPy, knows nothing of `dnc`.
"""

from tasks import (  # noqa: F401  Each registers what it has.
    addition,
    argmax,
    associative_recall,
    babi,
    copy,
    copy_series,
    key_value,
    ngrams,
    priority_sort,
    repeat_copy,
)
from tasks.babi import Babi
from tasks.base import Batch, Task, defaults, get, names

__all__ = ["Babi", "Batch", "Task", "defaults", "get", "names"]
