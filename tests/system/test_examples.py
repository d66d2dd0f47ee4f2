"""The programs in examples/, as a user runs them."""

import re
import subprocess
import sys

import pytest


@pytest.mark.parametrize("core", ["dnc", "lstm"])
def test_a_recurrent_policy_balances_the_pole_for_longer_than_chance(core):
    pytest.importorskip("gymnasium")
    command = [sys.executable, "examples/recurrent_policy.py", f"--core={core}", "--updates=600"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=600)

    assert done.returncode == 0, done.stderr
    returns = [int(n) for n in re.findall(r"return of the last episodes (\d+)", done.stdout)]
    # An untrained policy's is about 22.
    assert returns[0] < 40 and max(returns) > 80, done.stdout
