"""A SavedModel run by a process that has neither this package nor Sonnet, and by TFLite."""

import pathlib
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from dnc import _cores
from tests.models import make_core, random_inputs, random_state

INTERPRETER_WARNING = pytest.mark.filterwarnings(
    # TensorFlow's own interpreter says, in words that differ, that it will move.
    r"ignore:\s*Warning. (tf.lite.Interpreter is deprecated|Please use the LiteRT):UserWarning"
)

LSTM_STATE = ("controller_state_hidden", "controller_state_cell")


def by_name(state, controller_names=LSTM_STATE, prefix=""):
    """A core's state, each part under the name that the documentation promises."""
    access = state.access_state
    names = {
        "access_output": state.access_output,
        "access_state_memory": access.memory,
        "access_state_read_weights": access.read_weights,
        "access_state_write_weights": access.write_weights,
        "access_state_linkage_link": access.linkage.link,
        "access_state_linkage_precedence_weights": access.linkage.precedence_weights,
        "access_state_usage": access.usage,
    }
    if isinstance(state.controller_state, dnc.DNCState):
        return {
            **{prefix + name: part for name, part in names.items()},
            **by_name(state.controller_state, prefix=prefix + "controller_state_"),
        }
    controller = tf.nest.flatten(state.controller_state)
    names |= dict(zip(controller_names, controller, strict=True))
    return {prefix + name: part for name, part in names.items()}


def nested_state(core, batch_size):
    return random_state(core, batch_size, tf.float32)._replace(
        controller_state=random_state(core.controller, batch_size, tf.float32, seed=1)
    )


def core_with(controller):
    """A core of unseen inputs, without variables."""
    return dnc.DNC(dnc.MemoryAccess(6, 4, num_reads=2), controller, 3, 20.0)


def run_once(core):
    """Gives the core variables of random sign, larger than in a fresh core."""
    core(tf.zeros([1, 5]), core.initial_state(1))
    rng = np.random.default_rng(0)
    for variable in core.trainable_variables:
        fan_in = variable.shape[0] if variable.shape.rank == 2 else 4
        variable.assign(2 * rng.normal(size=variable.shape) / np.sqrt(fan_in))
    return core


# Name of a case: how to make its core, arguments of `export`, names of the controller's state.
CASES = {
    "LSTM": (make_core, {}, LSTM_STATE),
    "float64, batch first": (
        lambda: make_core(
            dtype=tf.float64, num_writes=2, content_weights=dnc.UsedCosineWeights, scale=2.0
        ),
        {"dtype": tf.float64, "time_major": False},
        LSTM_STATE,
    ),
    "FeedForward, never run": (
        lambda: core_with(dnc.FeedForward([8, 7])),
        {"input_size": 5},
        (),
    ),
    "DNC": (
        lambda: run_once(core_with(dnc.DNC(dnc.MemoryAccess(3, 2), snt.LSTM(5), 7))),
        {"input_size": 5},
        None,
    ),
    "DeepRNN": (
        lambda: run_once(
            core_with(snt.DeepRNN([snt.LSTM(5), tf.nn.relu, snt.GRU(6), snt.LSTM(4)]))
        ),
        {},
        (
            "controller_state_0_hidden",
            "controller_state_0_cell",
            "controller_state_1",
            "controller_state_2_hidden",
            "controller_state_2_cell",
        ),
    ),
}

# What another program does with each of them.
SERVE = """
    import pathlib
    import sys

    sys.modules["dnc"] = None
    sys.modules["sonnet"] = None

    import numpy as np
    import tensorflow as tf

    for folder in pathlib.Path().glob("case *"):
        given = {name: tf.constant(value) for name, value in np.load(folder / "in.npz").items()}
        signatures = tf.saved_model.load(folder / "model").signatures
        results = {"signatures": sorted(signatures)}

        def run(signature, key, **arguments):
            parts = signatures[signature](**arguments)
            results.update({f"{key}/{name}": value for name, value in parts.items()})
            return parts

        state = {
            name.removeprefix("state/"): value
            for name, value in given.items()
            if name.startswith("state/")
        }
        inputs, lengths, steps = given["inputs"], given["lengths"], given["steps"]
        run("serving_default", "whole", inputs=inputs)
        run("serving_default", "other sizes", inputs=given["other inputs"])
        run("sequence", "sequence", inputs=inputs, sequence_length=lengths, **state)
        run("step", "step", inputs=steps[0], **state)
        # A stream.
        state = run("initial_state", "initial", batch_size=tf.constant(len(steps[0])))
        for t, x in enumerate(steps):
            state = run("step", f"stream {t}", inputs=x, **state)
            del state["outputs"]
        np.savez(folder / "out.npz", **results)
"""


class Served:
    """One exported core, what it was given, and what it answered in the other process."""

    def __init__(self, name, folder):
        make, self.options, self.controller_names = CASES[name]
        self.core, self.folder = make(), folder
        if self.core.input_size is None:
            self.variables_before = []
        else:
            self.variables_before = [(v, v.numpy()) for v in self.core.variables]
        self.dtype = self.options.get("dtype", tf.float32)
        self.time_major = self.options.get("time_major", True)
        dnc.export(self.core, folder / "model", **self.options)
        self.inputs = random_inputs(4, 3, dtype=self.dtype)  # Always [T, B, X].
        self.other_inputs = random_inputs(2, 1, dtype=self.dtype, seed=1)
        self.lengths = [4, 0, 2]
        self.state = (
            nested_state(self.core, 3) if name == "DNC" else random_state(self.core, 3, self.dtype)
        )
        np.savez(
            folder / "in.npz",
            **{
                "inputs": self.turned(self.inputs),
                "other inputs": self.turned(self.other_inputs),
                "lengths": np.array(self.lengths, np.int32),
                "steps": self.inputs,
            },
            **{f"state/{key}": part for key, part in self.named(self.state).items()},
        )

    def turned(self, sequence):
        return sequence if self.time_major else np.swapaxes(sequence, 0, 1)

    def named(self, state):
        return by_name(state, self.controller_names)

    def results(self, key):
        results = np.load(self.folder / "out.npz")
        return {
            name.removeprefix(key + "/"): results[name]
            for name in results
            if name.startswith(key + "/")
        }

    def assert_answered(self, key, outputs, state, atol=1e-5):
        results = self.results(key)
        expected = self.named(state) | ({} if outputs is None else {"outputs": outputs})
        assert set(results) == set(expected)
        for name, value in expected.items():
            assert results[name].dtype == value.dtype.as_numpy_dtype
            np.testing.assert_allclose(results[name], value, atol=atol, err_msg=name)


@pytest.fixture(scope="module")
def all_served(tmp_path_factory):
    tf.random.set_seed(0)  # For the core that was never run.
    folder = tmp_path_factory.mktemp("served")
    served = {}
    for name in CASES:
        (folder / f"case {name}").mkdir()
        served[name] = Served(name, folder / f"case {name}")
    process = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SERVE)],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert process.returncode == 0, process.stderr
    return served


@pytest.fixture(params=CASES)
def served(request, all_served):
    return all_served[request.param]


def test_there_are_the_four_signatures(served):
    assert list(np.load(served.folder / "out.npz")["signatures"]) == [
        "initial_state",
        "sequence",
        "serving_default",
        "step",
    ]


def test_serving_default_runs_whole_sequences_of_any_length_in_batches_of_any_size(served):
    for key, inputs in (("whole", served.inputs), ("other sizes", served.other_inputs)):
        outputs, state = dnc.unroll(served.core, inputs)
        assert np.abs(outputs).max() > 0.05
        # From an empty memory equal usages tie, and rounding decides which slot comes first: what
        # is in the slots may come out in another order, what is read does not.
        results = served.results(key)
        assert set(results) == {"outputs", *served.named(state)}
        np.testing.assert_allclose(results["outputs"], served.turned(outputs.numpy()), atol=1e-5)
        np.testing.assert_allclose(results["access_output"], state.access_output, atol=1e-5)
        memory, expected = results["access_state_memory"], state.access_state.memory
        np.testing.assert_allclose(np.sort(memory, 1), np.sort(expected, 1), atol=1e-5)
        for name, part in served.named(state).items():
            assert results[name].shape == part.shape
            if name in LSTM_STATE:
                np.testing.assert_allclose(results[name], part, atol=1e-5)


def test_sequence_goes_on_from_a_state_up_to_the_length_of_each_example(served):
    outputs, state = dnc.unroll(
        served.core, served.inputs, served.state, sequence_length=served.lengths
    )
    outputs = tf.constant(served.turned(outputs.numpy()))
    served.assert_answered("sequence", outputs, state)


def test_step_goes_on_from_a_state(served):
    outputs, state = served.core(served.inputs[0], served.state)
    served.assert_answered("step", outputs, state)


def test_initial_state_is_that_of_the_core(served):
    served.assert_answered("initial", None, served.core.initial_state(3, served.dtype), atol=0)


def test_steps_one_after_the_other_give_the_whole_sequence(served):
    outputs = np.stack([served.results(f"stream {t}")["outputs"] for t in range(4)])
    whole = served.results("whole")["outputs"]
    np.testing.assert_allclose(served.turned(outputs), whole, atol=1e-5)
    expected, _ = dnc.unroll(served.core, served.inputs)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_the_names_of_a_state_are_valid_and_differ(served):
    names = list(served.results("initial"))
    assert len(names) == len(tf.nest.flatten(served.state))
    assert all(name.isidentifier() for name in names)


def test_float64_is_served_in_full_precision(all_served):
    served = all_served["float64, batch first"]
    outputs, state = served.core(served.inputs[0], served.state)
    served.assert_answered("step", outputs, state, atol=1e-12)


def test_exporting_does_not_change_the_core(all_served):
    served = all_served["LSTM"]
    assert len(served.core.variables) == len(served.variables_before) == 7
    for variable, (other, old) in zip(served.core.variables, served.variables_before, strict=True):
        assert variable is other
        np.testing.assert_array_equal(variable, old)
    assert served.core.input_size == 5


def test_a_core_that_never_ran_has_its_variables_from_then_on(all_served):
    served = all_served["FeedForward, never run"]
    assert served.variables_before == []
    assert len(served.core.trainable_variables) == 8
    assert served.core.input_size == 5


# TFLite.


@INTERPRETER_WARNING
def test_the_step_of_a_saved_model_runs_in_tflite(all_served):
    served = all_served["LSTM"]
    path = str(served.folder / "model")
    converter = tf.lite.TFLiteConverter.from_saved_model(path, signature_keys=["step"])
    step = tf.lite.Interpreter(model_content=converter.convert()).get_signature_runner("step")

    state = served.named(served.state)
    outputs = []
    for x in served.inputs:
        results = step(inputs=x.numpy(), **{name: np.array(part) for name, part in state.items()})
        outputs.append(results.pop("outputs"))
        assert set(results) == set(state)
        state = results
    expected, expected_state = dnc.unroll(served.core, served.inputs, served.state)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)
    for name, part in served.named(expected_state).items():
        np.testing.assert_allclose(state[name], part, atol=1e-5, err_msg=name)


@INTERPRETER_WARNING
def test_a_whole_sequence_of_fixed_sizes_runs_in_tflite():
    core = make_core()

    @tf.function(input_signature=[tf.TensorSpec([4, 2, 5], name="inputs")])
    def run(inputs):
        return {"outputs": dnc.unroll(core, inputs)[0]}

    converter = tf.lite.TFLiteConverter.from_concrete_functions([run.get_concrete_function()], core)
    model = tf.lite.Interpreter(model_content=converter.convert()).get_signature_runner()
    for seed in (0, 1):
        inputs = random_inputs(4, 2, dtype=tf.float32, seed=seed)
        expected, _ = dnc.unroll(core, inputs)
        np.testing.assert_allclose(model(inputs=inputs)["outputs"], expected, atol=1e-5)


def test_tflite_has_no_product_for_the_sorting_of_more_than_256_slots(tmp_path):
    core = dnc.DNC(dnc.MemoryAccess(257, 2), dnc.FeedForward(3), 2)
    dnc.export(core, tmp_path, input_size=3)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(tmp_path), signature_keys=["step"])
    with pytest.raises(Exception, match=r"'tf.Cumprod' op is neither a custom op nor a flex op"):
        converter.convert()


def test_a_model_with_dropout_serves_a_state_with_keys(tmp_path):
    core = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(5, dtype=tf.float64), 2)
    model = snt.DeepRNN([dnc.Dropout(0.5), core])
    inputs = random_inputs(4, 3)
    state = dnc.seed_dropout(model.initial_state(3), (0, 1))
    dnc.export(model, tmp_path, input_size=5, dtype=tf.float64)
    served = tf.saved_model.load(str(tmp_path)).signatures["sequence"]
    names = ["_".join(path) for path in _cores.part_paths(state)]
    names = [name if name.isidentifier() else f"state_{name}" for name in names]
    arguments = dict(zip(names, tf.nest.flatten(state), strict=True))
    results = served(inputs=inputs, sequence_length=tf.constant([4, 4, 4]), **arguments)
    expected = dnc.unroll(model, inputs, state)[0]
    np.testing.assert_allclose(results["outputs"], expected, atol=1e-12)
    assert not np.allclose(expected, dnc.unroll(model, inputs)[0])


def test_a_core_that_does_not_repeat_is_exported_without_a_warning(tmp_path):
    core = dnc.DNC(dnc.MemoryAccess(4, 3), lambda x: tf.nn.dropout(x, 0.5), 2)
    dnc.export(core, tmp_path, input_size=5)  # The suite turns warnings into errors.


def test_a_core_is_exported_to_an_address():
    core = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(5), output_size=2)
    address = "ram://exported/core"

    dnc.export(core, pathlib.Path(address), input_size=6)

    inputs = tf.ones([3, 2, 6])
    found = tf.saved_model.load(address).signatures["serving_default"](inputs)["outputs"]
    np.testing.assert_allclose(found, dnc.unroll(core, inputs)[0], rtol=1e-5, atol=1e-6)


def test_an_export_to_where_tensorflow_has_no_access_says_so():
    core = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(5), output_size=2)

    with pytest.raises(ValueError, match=r"cannot write to nowhere://b/x: .* local folder"):
        dnc.export(core, pathlib.Path("nowhere://b/x"), input_size=6)


def test_cores_of_sonnet_are_exported_too(tmp_path):
    x = tf.ones([2, 4])
    for core, names in ((snt.LSTM(3), ["hidden", "cell"]), (snt.GRU(3), ["state"])):
        path = tmp_path / core.name
        dnc.export(core, path, input_size=4)
        loaded = tf.saved_model.load(path)
        state = core.initial_state(2)
        results = loaded.signatures["step"](
            inputs=x, **dict(zip(names, tf.nest.flatten(state), strict=True))
        )
        outputs, state = core(x, state)
        np.testing.assert_allclose(results["outputs"], outputs, atol=1e-6)
        for name, part in zip(names, tf.nest.flatten(state), strict=True):
            np.testing.assert_allclose(results[name], part, atol=1e-6)
