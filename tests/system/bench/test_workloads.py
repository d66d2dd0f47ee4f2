import pytest
import sonnet as snt

from bench import workloads

TINY = workloads.WORKLOADS["tiny"]


def test_the_unroll_is_what_was_asked_for():
    lengths = []

    def unroll(core, inputs, state):
        lengths.append(inputs.shape[0])
        return snt.dynamic_unroll(core, inputs, state)

    step = workloads.training_step(workloads.make_dnc(TINY), TINY, jit=False, unroll=unroll)
    other = workloads.training_step(workloads.make_dnc(TINY), TINY, jit=False)

    assert step() == pytest.approx(other(), rel=1e-5)
    assert lengths == [TINY.num_steps]
