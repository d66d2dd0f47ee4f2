"""Numbers of the released code, in ways to run the core that take long to trace or compile."""

import pytest
import sonnet as snt
import tensorflow as tf

from tests import golden, models
from tests.unit.dnc.test_conformance import COMPILED, check_compiled, check_way

WAYS = {
    "graph, static unroll, float64": (snt.static_unroll, tf.float64, models.graph),
    "jit, dynamic unroll, float64": (snt.dynamic_unroll, tf.float64, models.compiled),
}


@pytest.mark.parametrize("way", WAYS)
def test_every_way_to_run_the_core_gives_the_recorded_gradients(way):
    check_way(*WAYS[way])


@pytest.mark.parametrize("name", sorted({*golden.TRACES} - {*COMPILED}))
def test_loss_and_all_gradients_of_a_compiled_unroll_are_the_recorded_ones(name):
    check_compiled(name)
