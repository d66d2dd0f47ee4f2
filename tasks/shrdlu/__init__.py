"""Mini-SHRDLU: move blocks to reach one of several goals (Graves et al. 2016)."""

from tasks.shrdlu.task import Shrdlu

__all__ = ["Shrdlu"]
