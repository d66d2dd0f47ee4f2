"""The bAbI tasks: questions about short stories (Weston et al. 2015, release 1.2)."""

from tasks.babi.task import Babi

__all__ = ["Babi"]
