import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def pytest_xdist_auto_num_workers() -> int:
    """At least four processes, also on one core: --numprocesses=auto.

    What XLA compiled stays mapped into the memory of a process, a training step in some 500 pieces,
    and Linux allows 65,530: in two processes, one of them gets there and crashes.
    """
    return max(4, min(os.cpu_count() or 1, 8))
