"""Export of a core as a SavedModel, which is served without this package."""

import os
from collections.abc import Mapping
from typing import Any

import sonnet as snt
import tensorflow as tf

from dnc import _checks, _cores, _nests
from dnc.unrolling.implementations import reason_against
from dnc.unrolling.sequences import unroll
from dnc_trace import paths


def export(
    core: snt.RNNCore,
    path: str | os.PathLike[str],
    *,
    input_size: int | None = None,
    dtype: Any = tf.float32,
    time_major: bool = True,
) -> None:
    """Writes `core` with its variables as a SavedModel that plain TensorFlow runs.

        >>> import dnc, tempfile
        >>> core = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(8), output_size=2)
        >>> path = tempfile.mkdtemp()
        >>> dnc.export(core, path, input_size=5)
        >>> loaded = tf.saved_model.load(path)  # needs neither dnc nor Sonnet
        >>> loaded.signatures["serving_default"](tf.zeros([7, 3, 5]))["outputs"].shape
        TensorShape([7, 3, 2])

    Batch size and number of steps are free. The signatures take and return tensors by name. The
    state is one tensor for each of its parts, named after the fields that lead to the part, such as
    `access_state_memory`:

    ===================  ===================================================  ======================
    signature            takes                                                returns
    ===================  ===================================================  ======================
    `serving_default`    `inputs` [T, B, X]                                   `outputs`, last state
    `sequence`           `inputs` [T, B, X], `sequence_length` [B], state     `outputs`, last state
    `step`               `inputs` [B, X], state                               `outputs`, next state
    `initial_state`      `batch_size`, an int32 scalar                        state
    ===================  ===================================================  ======================

    (Keep the loaded object as long as you use its signatures, because it owns the variables.)

    To serve a stream, call `initial_state` once, then `step` for each input, with the state that
    the previous call returned.

    Args:
      core: a core with inputs [B, X], such as a `dnc.DNC`.
      path: the folder to write, or an address that TensorFlow can write to, such as
        `gs://bucket/model`.
      input_size: width X of the inputs; by default `core.input_size`, known after the first call.
      dtype: floating point dtype of inputs and state.
      time_major: whether sequences are [T, B, ...]; if false, [B, T, ...].

    Raises:
      ValueError: if the input size is missing or differs from the core's, or TensorFlow cannot
        write to such an address.
    """
    known_size = getattr(core, "input_size", None)
    if input_size is None:
        input_size = known_size
    if input_size is None:
        raise ValueError("export needs the width of the inputs. Pass input_size.")
    input_size = _checks.check_size("input_size", input_size)
    if known_size not in (None, input_size):
        raise ValueError(f"input_size must be the core's, {known_size}, got {input_size}.")
    dtype = _checks.check_dtype(dtype)
    spec = tf.TensorSpec([None, input_size], dtype)
    _cores.run_on_zeros(core, spec, dtype)
    reason = reason_against(core, spec, dtype)
    implementation = "auto" if reason is None else "steps"  # "auto" would warn.

    example_with_none = _cores.initial_state(core, 1, dtype)
    example = _nests.without_none(example_with_none)
    names = [_identifier(path) for path in _cores.part_paths(example)]
    state_specs = {
        name: tf.TensorSpec([None, *part.shape[1:]], part.dtype, name)
        for name, part in zip(names, tf.nest.flatten(example), strict=True)
    }

    def by_name(state: Any) -> dict[str, tf.Tensor]:
        return dict(zip(names, tf.nest.flatten(_nests.without_none(state)), strict=True))

    def from_names(parts: Mapping[str, tf.Tensor]) -> Any:
        state = tf.nest.pack_sequence_as(example, [parts[name] for name in names])
        return _nests.with_none(state, example_with_none)

    @tf.function
    def initial_state(batch_size: tf.Tensor) -> dict[str, tf.Tensor]:
        return by_name(_cores.initial_state(core, batch_size, dtype))

    @tf.function
    def step(inputs: tf.Tensor, **state: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs, next_state = core(inputs, from_names(state))
        return {"outputs": outputs, **by_name(next_state)}

    @tf.function
    def sequence(
        inputs: tf.Tensor, sequence_length: tf.Tensor, **state: tf.Tensor
    ) -> dict[str, tf.Tensor]:
        outputs, last_state = unroll(
            core,
            inputs,
            from_names(state),
            sequence_length=sequence_length,
            time_major=time_major,
            implementation=implementation,
        )
        return {"outputs": outputs, **by_name(last_state)}

    @tf.function
    def whole_sequence(inputs: tf.Tensor) -> dict[str, tf.Tensor]:
        outputs, last_state = unroll(
            core, inputs, time_major=time_major, implementation=implementation
        )
        return {"outputs": outputs, **by_name(last_state)}

    step_inputs = tf.TensorSpec([None, input_size], dtype, "inputs")
    sequence_inputs = tf.TensorSpec([None, None, input_size], dtype, "inputs")
    lengths = tf.TensorSpec([None], tf.int32, "sequence_length")
    module = tf.Module()
    module.core = core
    signatures = {
        "serving_default": whole_sequence.get_concrete_function(sequence_inputs),
        "sequence": sequence.get_concrete_function(sequence_inputs, lengths, **state_specs),
        "step": step.get_concrete_function(step_inputs, **state_specs),
        "initial_state": initial_state.get_concrete_function(
            tf.TensorSpec([], tf.int32, "batch_size")
        ),
    }
    place = paths.for_tensorflow(path)
    try:
        tf.saved_model.save(module, place, signatures=signatures)
    except tf.errors.UnimplementedError as error:  # TensorFlow was built without this scheme.
        raise ValueError(
            f"This TensorFlow cannot write to {place}: {error.message}. Export to a local folder "
            "and copy it there."
        ) from error


def _identifier(path: tuple[str, ...]) -> str:
    """Returns the argument name of a part of the state, different from all other arguments."""
    name = "_".join(path) or "state"
    taken = name in ("inputs", "outputs", "sequence_length", "batch_size")
    return name if name.isidentifier() and not taken else f"state_{name}"
