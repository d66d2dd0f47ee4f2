"""The family: what takes long to trace."""

import numpy as np
import pytest
import tensorflow as tf

import dnc
from tests.family import VARIANTS, core_of
from tests.finite_differences import check_variant
from tests.models import random_inputs

# The others have the same gradients.
OF_THEIR_OWN = VARIANTS.keys() - {
    "masked reads with a floor",
    "used",
    "constant word",
    "layer norm without bias",
    "layer norm LSTM",
}


@pytest.mark.parametrize("variant", sorted(OF_THEIR_OWN))
def test_gradients_of_variants_equal_finite_differences(variant):
    check_variant(variant)


def test_nothing_is_dropped_in_an_exported_model(tmp_path):
    core, inputs = core_of("bypass dropout"), random_inputs(3, 2)
    expected, _ = dnc.unroll(core, inputs)
    dnc.export(core, tmp_path, dtype=tf.float64)
    served = tf.saved_model.load(tmp_path).signatures["serving_default"](inputs)
    np.testing.assert_allclose(served["outputs"], expected, atol=1e-12)
