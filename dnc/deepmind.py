"""Loading variables of DeepMind's released DNC (TensorFlow 1, Sonnet 1) into a `dnc.DNC`.

The released model is an LSTM whose output feeds ten linear layers, one for each field of the
interface, and an output layer. Three things differ from the variables of a `dnc.DNC`:

* Sonnet 1 orders the LSTM gates input, candidate, forget, output, and multiplies inputs and hidden
  state by one matrix. Sonnet 2 orders them input, forget, candidate, output, and has two matrices.
* Sonnet 1 adds the forget bias of 1 in each step. Sonnet 2 includes it in the bias variable.
* Here the ten layers are columns of one layer, see `dnc.interface`.
"""

import os
from collections.abc import Mapping
from typing import Any

import numpy as np
import sonnet as snt
import tensorflow as tf

from dnc import _cores
from dnc.core import DNC
from dnc_trace import paths

_FORGET_BIAS = 1.0
# The released layers, in the order of the columns here.
_FIELDS = (
    "read_keys",
    "read_strengths",
    "write_keys",
    "write_strengths",
    "erase_vectors",
    "write_vectors",
    "free_gate",
    "allocation_gate",
    "write_gate",
    "read_mode",
)


def restore(
    core: DNC, variables: Mapping[str, np.ndarray] | str | os.PathLike[str], scope: str = "dnc"
) -> None:
    """Assigns the released model's variables to `core`, creating the core's variables if necessary.

    Args:
      core: a `dnc.DNC` with an `snt.LSTM` controller, biases and the released model's sizes. The
        number of memory slots may differ, because no variable depends on it.
      variables: arrays by name (`dnc/lstm/w_gates`, `dnc/memory_access/read_keys/w`, ...), or the
        path of a TensorFlow 1 checkpoint. A checkpoint may also contain a global step and
        optimizer slots.
      scope: name of the released module, the first part of the variable names.

    Raises:
      ValueError: if `core` has a different controller, interface or output layer, or no biases;
        or if variables are missing, superfluous or of a different shape. The message lists all such
        variables, and nothing is assigned.
      FileNotFoundError: if there is no checkpoint at the path.
    """
    _check_core(core)
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
    fields = [f"{scope}/memory_access/{name}" for name in _FIELDS]
    interface = core.access.interface.linear
    output: Any = core.output_linear  # An `snt.Linear`, as `_check_core` has ensured.
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


def _check_core(core: DNC) -> None:
    """Raises `ValueError` unless the core has the structure of the released model."""
    if not isinstance(core.controller, snt.LSTM):
        raise ValueError(
            "core.controller must be an snt.LSTM like the released model's, got "
            f"{core.controller!r}."
        )
    if tuple(core.access.interface.widths) != _FIELDS:
        raise ValueError(
            f"The core's interface must have the released model's fields {', '.join(_FIELDS)}, got "
            f"{', '.join(core.access.interface.widths)}. Make MemoryAccess with the default parts."
        )
    if not isinstance(core.output_linear, snt.Linear):
        raise ValueError(
            "The core's output layer must be an snt.Linear like the released model's, got "
            f"{core.output_linear!r}. Make DNC with a number as output_size."
        )
    if not (core.access.interface.linear.with_bias and core.output_linear.with_bias):
        raise ValueError(
            "The core must have biases like the released model. Make MemoryAccess and DNC with "
            "with_bias=True."
        )


def _expected_shapes(core: DNC, scope: str) -> dict[str, tuple[int | None, ...]]:
    """Returns the shape of each released variable, with `None` for an unknown number of rows."""
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
    """Returns the variables of a TensorFlow 1 checkpoint, without global step and slots."""
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
            f"The LSTM weights imply an input width of {input_size}, which must be >= 1."
        )
    dtype = core.controller.initial_state(1).hidden.dtype
    _cores.run_on_zeros(core, tf.TensorSpec([None, input_size], dtype), dtype)


def _reorder_gates(x: np.ndarray) -> np.ndarray:
    """Reorders the gates along the last axis.

    From input, candidate, forget, output to input, forget, candidate, output.
    """
    i, j, f, o = np.split(x, 4, axis=-1)
    return np.concatenate([i, f, j, o], axis=-1)
