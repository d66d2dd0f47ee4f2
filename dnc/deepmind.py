"""Loads the variables of DeepMind's released DNC (TensorFlow 1, Sonnet 1) into a `dnc.DNC`.

The released model is an LSTM whose output feeds ten linear layers, one for each field of the
interface, and an output layer. Three things differ from the variables of a `dnc.DNC`:

* Sonnet 1 orders the LSTM gates input, candidate, forget, output and multiplies inputs and hidden
  state by one matrix; Sonnet 2 orders them input, forget, candidate, output and has two matrices.
* Sonnet 1 adds the forget bias of 1 when it runs; Sonnet 2 keeps it in the bias variable.
* The ten layers are columns of one layer here, see `dnc.interface`.
"""

import os
from collections.abc import Mapping

import numpy as np
import sonnet as snt
import tensorflow as tf

from dnc import _cores
from dnc.core import DNC
from dnc_trace import paths

_FORGET_BIAS = 1.0


def restore(
    core: DNC, variables: Mapping[str, np.ndarray] | str | os.PathLike[str], scope: str = "dnc"
) -> None:
    """Assigns the released model's variables to `core`, creating the core's variables if need be.

    Args:
      core: a `dnc.DNC` with an `snt.LSTM` controller and biases, of the released model's sizes (the
        number of memory slots may differ: no variable depends on it).
      variables: arrays by name (`dnc/lstm/w_gates`, `dnc/memory_access/read_keys/w`, ...), or the
        path of a TensorFlow 1 checkpoint. A checkpoint may also hold a global step and optimizer
        slots.
      scope: name of the released module, the first part of the variable names.

    Raises:
      ValueError: if `core` has another controller or no biases; if variables are missing,
        superfluous or of another shape: the message lists all of them, and nothing is assigned.
      FileNotFoundError: if there is no checkpoint at the path.
    """
    if not isinstance(core.controller, snt.LSTM):
        raise ValueError(
            f"The released model has an LSTM controller: core.controller must be an snt.LSTM, got "
            f"{core.controller!r}."
        )
    if not (core.access.interface.linear.with_bias and core.output_linear.with_bias):
        raise ValueError(
            "The released model has biases: make MemoryAccess and DNC with with_bias=True."
        )

    shapes = _expected_shapes(core, scope)
    if isinstance(variables, Mapping):
        arrays = {name: np.asarray(value) for name, value in variables.items()}
    else:
        arrays = _read_checkpoint(variables, shapes)
    _check_arrays(arrays, shapes)

    hidden_size = core.controller.initial_state(1).hidden.shape[1]
    words_size = core.access.num_reads * core.access.word_size
    input_size = arrays[f"{scope}/lstm/w_gates"].shape[0] - words_size - hidden_size
    _create_variables(core, input_size)

    gate_weights = _reorder_gates(arrays[f"{scope}/lstm/w_gates"])
    gate_biases = _reorder_gates(arrays[f"{scope}/lstm/b_gates"])
    gate_biases[hidden_size : 2 * hidden_size] += _FORGET_BIAS
    fields = [f"{scope}/memory_access/{name}" for name in core.access.interface.widths]
    interface, output = core.access.interface.linear, core.output_linear
    for variable, value in (
        (core.controller.input_to_hidden, gate_weights[:-hidden_size]),
        (core.controller.hidden_to_hidden, gate_weights[-hidden_size:]),
        (core.controller.b, gate_biases),
        (interface.w, np.concatenate([arrays[f"{field}/w"] for field in fields], axis=1)),
        (interface.b, np.concatenate([arrays[f"{field}/b"] for field in fields])),
        (output.w, arrays[f"{scope}/output_linear/w"]),
        (output.b, arrays[f"{scope}/output_linear/b"]),
    ):
        variable.assign(tf.cast(value, variable.dtype))


def _expected_shapes(core: DNC, scope: str) -> dict[str, tuple[int | None, ...]]:
    """Shape of each released variable; `None` where it depends on a still unknown input width."""
    hidden_size = core.controller.initial_state(1).hidden.shape[1]
    words_size = core.access.num_reads * core.access.word_size
    input_size = core.input_size
    rows = None if input_size is None else input_size + words_size + hidden_size
    shapes = {
        f"{scope}/lstm/w_gates": (rows, 4 * hidden_size),
        f"{scope}/lstm/b_gates": (4 * hidden_size,),
    }
    layers = {
        f"memory_access/{name}": (hidden_size, width)
        for name, width in core.access.interface.widths.items()
    }
    layers["output_linear"] = (hidden_size + words_size, core.output_size[0])
    for name, (rows, columns) in layers.items():
        shapes[f"{scope}/{name}/w"] = (rows, columns)
        shapes[f"{scope}/{name}/b"] = (columns,)
    return shapes


def _read_checkpoint(
    path: str | os.PathLike[str], shapes: Mapping[str, object]
) -> dict[str, np.ndarray]:
    """Reads a TensorFlow 1 checkpoint without what only its training needed."""
    path = paths.for_tensorflow(path)
    try:
        reader = tf.train.load_checkpoint(path)
    except (tf.errors.OpError, ValueError) as error:
        raise FileNotFoundError(f"No TensorFlow checkpoint at {path}: {error}") from error
    names = [name for name in reader.get_variable_to_shape_map() if name != "global_step"]
    slots = {name for name in names if any(name.startswith(f"{variable}/") for variable in shapes)}
    return {name: reader.get_tensor(name) for name in names if name not in slots}


def _check_arrays(
    arrays: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int | None, ...]]
) -> None:
    problems = [
        f"missing: {name} of shape {shape}" for name, shape in shapes.items() if name not in arrays
    ]
    problems += [f"superfluous: {name}" for name in arrays if name not in shapes]
    for name in shapes.keys() & arrays.keys():
        expected, actual = shapes[name], arrays[name].shape
        if not tf.TensorShape(expected).is_compatible_with(actual):
            problems.append(f"wrong shape: {name} is {actual}, the core needs {expected}")
    if problems:
        raise ValueError("Cannot restore the released model:\n  " + "\n  ".join(sorted(problems)))


def _create_variables(core: DNC, input_size: int) -> None:
    if input_size < 1:
        raise ValueError(
            f"The LSTM weights leave an input width of {input_size}; at least 1 is needed."
        )
    dtype = core.controller.initial_state(1).hidden.dtype
    _cores.run_on_zeros(core, tf.TensorSpec([None, input_size], dtype), dtype)


def _reorder_gates(x: np.ndarray) -> np.ndarray:
    """Reorders the gates along the last axis.

    From input, candidate, forget, output to input, forget, candidate, output.
    """
    i, j, f, o = np.split(x, 4, axis=-1)
    return np.concatenate([i, f, j, o], axis=-1)
