"""Loading the released code's variables; that they then compute the same is test_conformance."""

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from tests import golden

TRACE = golden.Recording(golden.DATA / "trace_b_multiwrite.npz")
VARIABLES = TRACE.below("var/")


def fresh_core(**changes):
    sizes = {"memory_size": 10, "word_size": 5, "num_reads": 3, "num_writes": 2, **changes}
    controller, output = sizes.pop("controller", snt.LSTM(20)), sizes.pop("output", 3)
    return dnc.DNC(dnc.MemoryAccess(**sizes), controller, output, 20.0)


def values(core):
    return [variable.numpy() for variable in core.trainable_variables]


def assert_all_equal(one, other):
    for x, y in zip(one, other, strict=True):
        np.testing.assert_array_equal(x, y)


def write_checkpoint(path, arrays):
    """Writes arrays by name in the format of a TensorFlow 1 `Saver`."""
    names, tensors = zip(*arrays.items(), strict=True)
    tf.raw_ops.SaveV2(
        prefix=str(path), tensor_names=names, shape_and_slices=[""] * len(names), tensors=tensors
    )
    return path


def test_a_checkpoint_is_loaded_without_step_and_optimizer_slots(tmp_path):
    expected = fresh_core()
    dnc.deepmind.restore(expected, VARIABLES)
    slots = {f"{name}/RMSProp": np.ones_like(value) for name, value in VARIABLES.items()}
    path = write_checkpoint(tmp_path / "model.ckpt-7", {**VARIABLES, **slots, "global_step": 7})
    core = fresh_core()
    dnc.deepmind.restore(core, path)
    assert_all_equal(values(core), values(expected))


def test_another_scope_can_be_named():
    renamed = {name.replace("dnc/", "agent/memory/", 1): v for name, v in VARIABLES.items()}
    core, expected = fresh_core(), fresh_core()
    dnc.deepmind.restore(core, renamed, scope="agent/memory")
    dnc.deepmind.restore(expected, VARIABLES)
    assert_all_equal(values(core), values(expected))


def test_the_number_of_slots_may_differ():
    core = fresh_core(memory_size=99)
    dnc.deepmind.restore(core, VARIABLES)
    assert core.initial_state(1).access_state.usage.shape == [1, 99]


def test_the_forget_bias_is_added_and_the_gates_are_reordered():
    core = fresh_core()
    dnc.deepmind.restore(core, VARIABLES)
    i, j, f, o = np.split(VARIABLES["dnc/lstm/b_gates"], 4)
    np.testing.assert_array_equal(core.controller.b, np.concatenate([i, f + 1, j, o]))


def test_existing_variables_are_assigned_not_replaced():
    core = fresh_core()
    core(tf.zeros([1, 7]), core.initial_state(1))
    before = core.trainable_variables
    dnc.deepmind.restore(core, VARIABLES)
    assert all(x is y for x, y in zip(before, core.trainable_variables, strict=True))


def test_all_missing_superfluous_and_misshapen_variables_are_listed_and_nothing_is_assigned():
    wrong = dict(VARIABLES)
    del wrong["dnc/lstm/w_gates"], wrong["dnc/output_linear/b"]
    wrong["dnc/surplus"] = np.zeros(3)
    wrong["dnc/memory_access/read_keys/w"] = np.zeros([20, 14])
    core = fresh_core()
    core(tf.zeros([1, 7]), core.initial_state(1))
    before = values(core)
    with pytest.raises(ValueError) as error:
        dnc.deepmind.restore(core, wrong)
    message = str(error.value)
    assert "missing: dnc/lstm/w_gates" in message
    assert "missing: dnc/output_linear/b of shape (3,)" in message
    assert "superfluous: dnc/surplus" in message
    assert "dnc/memory_access/read_keys/w is (20, 14), the core needs (20, 15)" in message
    assert_all_equal(values(core), before)


@pytest.mark.parametrize(
    "changes", [{"word_size": 6}, {"num_reads": 2}, {"num_writes": 1}, {"controller": snt.LSTM(21)}]
)
def test_a_core_of_other_sizes_is_refused(changes):
    with pytest.raises(ValueError, match="wrong shape: dnc/"):
        dnc.deepmind.restore(fresh_core(**changes), VARIABLES)


def test_a_core_built_for_another_input_width_is_refused():
    core = fresh_core()
    core(tf.zeros([1, 9]), core.initial_state(1))
    with pytest.raises(ValueError, match=r"w_gates is \(42, 80\), the core needs \(44, 80\)"):
        dnc.deepmind.restore(core, VARIABLES)


def test_weights_too_small_for_any_input_are_refused():
    wrong = {**VARIABLES, "dnc/lstm/w_gates": np.zeros([35, 80])}
    with pytest.raises(ValueError, match="input width of 0"):
        dnc.deepmind.restore(fresh_core(), wrong)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"controller": snt.GRU(20)}, r"core.controller must be an snt.LSTM .*got GRU"),
        (
            {"linkage": dnc.NoLinkage(10, 2)},
            r"must have the released model's fields .*, read_mode, got .*, write_gate\.",
        ),
        ({"output": snt.nets.MLP([3])}, r"output layer must be an snt.Linear .*got MLP"),
        ({"with_bias": False}, r"Make .* with_bias=True"),
    ],
    ids=["controller", "fields", "output layer", "biases"],
)
def test_a_core_made_in_another_way_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        dnc.deepmind.restore(fresh_core(**changes), VARIABLES)


def test_a_path_without_checkpoint_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nothing-here"):
        dnc.deepmind.restore(fresh_core(), tmp_path / "nothing-here")
