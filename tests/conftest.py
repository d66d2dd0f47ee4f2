"""Settings of all tests: effort of XLA, number of examples of hypothesis, limits for a hang.

Set before TensorFlow is imported, and inherited by the processes that tests start.
"""

import faulthandler
import functools
import os

import hypothesis
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Compiling costs more than the tests' tiny programs ever run. `make test-all` repeats the
# comparison with the recorded numbers with XLA_FLAGS= , as users compile.
os.environ.setdefault(
    "XLA_FLAGS", "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)

pytest_plugins = ["tests.costs"]

hypothesis.settings.register_profile(
    "fast",
    deadline=None,
    max_examples=20,
    derandomize=True,
    print_blob=True,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],  # A busy machine may be.
)
hypothesis.settings.register_profile(
    "thorough", hypothesis.settings.get_profile("fast"), max_examples=200
)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))

MAX_SECONDS = 75 * 60  # For a whole run, which takes minutes. Only a hang reaches it.


def pytest_configure(config):
    # The only limit in seconds, because no test may fail on a slow machine.
    faulthandler.dump_traceback_later(MAX_SECONDS, exit=True)


def pytest_unconfigure(config):
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture
def without_xla(monkeypatch):
    """Runs training steps of `bench` without XLA, because their times do not matter."""
    from bench import workloads  # Imports TensorFlow.

    step = functools.partial(workloads.training_step, jit=False)
    monkeypatch.setattr(workloads, "training_step", step)
