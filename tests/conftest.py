import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def pytest_xdist_auto_num_workers() -> int:
    """At least three processes, also on one core: --numprocesses=auto.

    What XLA compiled stays mapped into the memory of a process, and Linux allows 65,530 mappings:
    in two processes, one of them gets there and crashes.
    """
    return max(3, min(os.cpu_count() or 1, 8))
