from bench import _peak, workloads
from bench._peak import Variant

TINY = workloads.WORKLOADS["tiny"]


def test_a_process_of_its_own_measures_a_step():
    found = _peak.peak(Variant(TINY._replace(batch_size=64, num_steps=50)))

    assert found.idle_mib > 50
    # The links of all steps take 0.8 MiB, and there is more than links.
    assert 0.8 < found.peak_mib < found.idle_mib
    assert found.step_ms > 0
