"""Mutants of `dnc`: the bridges to other libraries, and what is recorded."""

from tests.mutants import Mutant

MUTANTS = (
    # --- Bridges.
    Mutant(
        "released variables without the forget bias",
        "dnc/deepmind.py",
        "+= _FORGET_BIAS",
        "+= 0.0",
        "unit/dnc/test_deepmind.py",
    ),
    Mutant(
        "released variables into other fields",
        "dnc/deepmind.py",
        "if tuple(core.access.interface.widths) != _FIELDS:",
        "if False:",
        "unit/dnc/test_deepmind.py::test_a_core_made_in_another_way_is_refused",
    ),
    Mutant(
        "gates in the released order",
        "dnc/deepmind.py",
        "return np.concatenate([i, f, j, o], axis=-1)",
        "return np.concatenate([i, j, f, o], axis=-1)",
        "unit/dnc/test_deepmind.py",
    ),
    Mutant(
        "links resized along one axis only",
        "dnc/linkage.py",
        "link=resize_slots(self.link, memory_size, axes=(2, 3))",
        "link=resize_slots(self.link, memory_size, axes=(2,))",
        "unit/dnc/test_resizing.py",
    ),
    Mutant(
        "new slots added at the front",
        "dnc/linkage.py",
        "padding[axis] = [0, memory_size - size[axis]]",
        "padding[axis] = [memory_size - size[axis], 0]",
        "unit/dnc/test_resizing.py",
    ),
    Mutant(
        "used slots dropped without a word",
        "dnc/resizing.py",
        "return _checks.require(tf.reduce_all(largest <= tolerance), message, state)",
        "return state",
        "unit/dnc/test_resizing.py",
    ),
    Mutant(
        "mask of Keras ignored",
        "dnc/keras.py",
        "return super().call(sequences, initial_state, mask, training)",
        "return super().call(sequences, initial_state, None, training)",
        "unit/dnc/test_keras.py::TestMask",
    ),
    Mutant(
        "RNN cell takes the width for the batch size",
        "dnc/rnn_cells.py",
        "tf.shape(inputs)[0], inputs.dtype",
        "tf.shape(inputs)[1], inputs.dtype",
        "unit/dnc/test_rnn_cell.py::test_the_cell_says_what_tensorflow_asks",
    ),
    Mutant(
        "parts of a served state in the reverse order",
        "dnc/saved_model.py",
        "tf.nest.flatten(_nests.without_none(state)), strict=True)",
        "tf.nest.flatten(_nests.without_none(state))[::-1], strict=True)",
        "unit/dnc/test_saved_model.py",
    ),
    Mutant(
        "backward mode recorded as forward mode",
        "dnc/recording/recorder.py",
        '"forward_mode": access.read_mode.forward,',
        '"forward_mode": access.read_mode.backward,',
        "unit/dnc/test_recorder.py",
    ),
    Mutant(
        "links recorded of the wrong slot",
        "dnc/recording/recorder.py",
        "np.where(link.columns == NO_LINK, num_slots, link.columns)",
        "np.where(link.columns == NO_LINK, 0, link.columns)",
        "unit/dnc/test_recorder.py",
    ),
    Mutant(
        "extras are not recorded",
        "dnc/recording/recorder.py",
        "for name, extra in core.access.extras().items()",
        "for name, extra in {}.items()",
        "unit/dnc/test_recorder.py::TestExtras",
    ),
    Mutant(
        "examples of an extra by its first axis",
        "dnc/recording/trace.py",
        'if name in QUANTITIES else "TB"',
        'if name in QUANTITIES else "BT"',
        "unit/dnc/test_trace.py::TestExtras",
    ),
    Mutant(
        "groups of scalars without their tag",
        "dnc/recording/summaries.py",
        'yield f"{group}{name}", value',
        "yield name, value",
        "unit/dnc/test_summaries.py",
    ),
    Mutant(
        "statistics of the padding",
        "dnc/recording/summaries.py",
        "[:, np.newaxis] < trace.sequence_length",
        "[:, np.newaxis] <= trace.sequence_length",
        "unit/dnc/test_summaries.py",
    ),
    Mutant(
        "configuration forgets the linkage",
        "dnc/_config.py",
        'parts = ("write_content", "read_content", "linkage", "freeness")',
        'parts = ("write_content", "read_content", "freeness")',
        "unit/dnc/test_keras_saving.py::test_a_configuration_names_classes_and_their_arguments",
    ),
    Mutant(
        "configuration of version 0.1 with an unknown argument",
        "dnc/_config.py",
        'arguments.pop("compute_dtype", None)',
        "pass",
        "unit/dnc/test_keras_saving.py::test_a_cell_of_version_0_1_is_loaded",
    ),
    Mutant(
        "a core of version 0.1 without links loses its read modes",
        "dnc/_config.py",
        'linkage = {**linkage, "class": NoLinkageWithModes.__name__}',
        "linkage = dict(linkage)",
        "unit/dnc/test_keras_saving.py::"
        "test_a_core_of_version_0_1_without_links_has_the_same_interface",
    ),
    Mutant(
        "an unregistered function saved by its name",
        "dnc/_config.py",
        "return name if keras.saving.get_registered_object(name) is x else None",
        "return name",
        "unit/dnc/test_keras_saving.py::"
        "test_a_part_that_cannot_be_described_is_refused_with_the_remedy",
    ),
)
