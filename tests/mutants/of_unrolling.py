"""Mutants of `dnc`: its unroll."""

from tests.mutants import Mutant

MUTANTS = (
    # --- The unroll.
    Mutant(
        "sequence_length off by one",
        "dnc/unrolling/sequences.py",
        "running = tf.range(num_steps)[:, tf.newaxis] < lengths",
        "running = tf.range(num_steps)[:, tf.newaxis] <= lengths",
        "unit/dnc/unrolling/test_unroll.py::"
        "test_past_its_end_an_example_gives_0_holds_its_state_and_has_no_gradient",
    ),
    Mutant(
        "outputs in the padding",
        "dnc/unrolling/steps.py",
        'outputs = _nests.where(x["running"], outputs, _nests.zeros_like(outputs))',
        "outputs = tf.nest.map_structure(tf.identity, outputs)",
        "unit/dnc/unrolling/test_unroll.py::"
        "test_past_its_end_an_example_gives_0_holds_its_state_and_has_no_gradient",
    ),
    Mutant(
        "state not held past the end",
        "dnc/unrolling/steps.py",
        'next_state = _nests.where(x["running"], next_state, state)',
        "next_state = tf.nest.map_structure(tf.identity, next_state)",
        "unit/dnc/unrolling/test_unroll.py::"
        "test_past_its_end_an_example_gives_0_holds_its_state_and_has_no_gradient",
    ),
    Mutant(
        "reset after the step instead of before",
        "dnc/unrolling/steps.py",
        'outputs, next_state = call(x["inputs"], started)',
        'outputs, next_state = call(x["inputs"], state)\n'
        '    if "reset" in x:\n'
        '        next_state = _nests.where(x["reset"], fresh_state, next_state)',
        "unit/dnc/unrolling/test_unroll.py::test_pieces_between_resets_equal_sequences_of_their_own",
    ),
    Mutant(
        "infinite padding reaches the gradient",
        "dnc/unrolling/sequences.py",
        "inputs = _nests.where(running, inputs, _nests.zeros_like(inputs))",
        "inputs = tf.nest.map_structure(tf.identity, inputs)",
        "unit/dnc/unrolling/test_unroll.py::"
        "test_past_its_end_an_example_gives_0_holds_its_state_and_has_no_gradient",
    ),
    Mutant(
        "the last segment is the first again",
        "dnc/unrolling/checkpointing.py",
        "(begin_of_rest, num_steps, num_steps % length)]",
        "(0, num_steps % length, num_steps % length)]",
        "unit/dnc/unrolling/test_checkpointing.py::test_checkpointing_changes_neither_values_nor_gradients",
    ),
    Mutant(
        "a segment starts from the state after it",
        "dnc/unrolling/checkpointing.py",
        "tf.concat([first[tf.newaxis], x[:-1]], axis=0)",
        "x",
        "unit/dnc/unrolling/test_checkpointing.py::test_checkpointing_changes_neither_values_nor_gradients",
    ),
    # --- The choice of implementation, and stacks.
    Mutant(
        "steps are fused, too",
        "dnc/unrolling/implementations.py",
        'if implementation == "steps":',
        "if False:",
        "unit/dnc/unrolling/test_implementations.py::TestChoice::test_steps_are_never_fused",
    ),
    Mutant(
        "random numbers in what runs again",
        "dnc/unrolling/implementations.py",
        "operation = _cores.not_repeatable(core, inputs, dtype, training)",
        "operation = None",
        "unit/dnc/unrolling/test_implementations.py::TestChoice::test_fused_is_an_error_that_says_why_not",
    ),
    Mutant(
        "fused without the flag of training",
        "dnc/unrolling/implementations.py",
        "fused.unroll(core, sequence, state, fresh_state, training)",
        "fused.unroll(core, sequence, state, fresh_state)",
        "unit/dnc/unrolling/test_implementations.py::TestTraining",
    ),
    Mutant(
        "a subclass of the stack is taken apart",
        "dnc/unrolling/implementations.py",
        "if type(core) not in (snt.DeepRNN, Parallel):",
        "if not isinstance(core, (snt.DeepRNN, Parallel)):",
        "unit/dnc/unrolling/test_implementations.py::TestDeepRNN::test_a_subclass_is_a_reason_against",
    ),
    Mutant(
        "an MLP with dropout runs at once",
        "dnc/unrolling/layers.py",
        "return layer._dropout_rate in (None, 0) and all(",
        "return all(",
        "unit/dnc/unrolling/test_implementations.py::TestDeepRNN::"
        "test_a_layer_that_may_mix_examples_is_a_reason_against",
    ),
    Mutant(
        "a stack has outputs in the padding",
        "dnc/unrolling/implementations.py",
        'if "running" in sequence:',
        'if "running" not in sequence:',
        "unit/dnc/unrolling/test_implementations.py::TestDeepRNN::"
        "test_the_padding_may_be_anything_and_its_outputs_are_0",
    ),
    Mutant(
        "layers of a stack may mix examples",
        "dnc/unrolling/layers.py",
        "return layer._axis in _AXES_OF_ROWS",
        "return True",
        "unit/dnc/unrolling/test_implementations.py::TestDeepRNN::"
        "test_a_layer_that_may_mix_examples_is_a_reason_against",
    ),
    Mutant(
        "a warning at every call",
        "dnc/unrolling/implementations.py",
        "reasons.add(reason)",
        "pass",
        "unit/dnc/unrolling/test_implementations.py::TestWarning::"
        "test_it_comes_once_for_each_core_and_reason",
    ),
    # --- Directions and dropout.
    Mutant(
        "outputs stay reversed",
        "dnc/unrolling/sequences.py",
        "results = _reverse_steps(results, given.lengths)",
        "results = tf.nest.map_structure(tf.identity, results)",
        "unit/dnc/unrolling/test_directions.py::TestReverse",
    ),
    Mutant(
        "outputs of the backward core come first",
        "dnc/unrolling/sequences.py",
        "tf.concat(parts, axis=-1), outputs, other_outputs)",
        "tf.concat(parts, axis=-1), other_outputs, outputs)",
        "unit/dnc/unrolling/test_directions.py::TestBidirectional",
    ),
    Mutant(
        "the reset of a reversed sequence is not reversed",
        "dnc/unrolling/sequences.py",
        "sequence = _reverse_steps(given.sequence, given.lengths) if reverse else given.sequence",
        "sequence = _reverse_steps(given.sequence, given.lengths) if reverse else given.sequence\n"
        '    sequence |= {"reset": given.sequence["reset"]} if "reset" in sequence else {}',
        "unit/dnc/unrolling/test_directions.py::TestReverse::test_it_is_the_unroll_of_the_reversed_sequence",
    ),
    Mutant(
        "padding comes first in a reversed sequence",
        "dnc/unrolling/sequences.py",
        "if lengths is None:\n            return tf.reverse(part, [0])",
        "if lengths is not None:\n            return tf.reverse(part, [0])",
        "unit/dnc/unrolling/test_directions.py::TestReverse::"
        "test_it_sees_the_last_step_first_and_outputs_keep_their_places",
    ),
    Mutant(
        "both directions run forwards",
        "dnc/unrolling/sequences.py",
        "unroll(backward, inputs, second, reverse=True, **options)",
        "unroll(backward, inputs, second, reverse=False, **options)",
        "unit/dnc/unrolling/test_directions.py::TestBidirectional::test_it_is_two_unrolls_side_by_side",
    ),
    Mutant(
        "dropout without a key",
        "dnc/dropout.py",
        "is_on = stream != 0",
        "is_on = stream >= 0",
        "unit/dnc/unrolling/test_dropout.py::TestDropout::test_without_a_key_nothing_is_dropped",
    ),
    Mutant(
        "the same mask at every step",
        "dnc/dropout.py",
        "count + tf.cast(is_on, count.dtype)",
        "count",
        "unit/dnc/unrolling/test_dropout.py::TestDropout::"
        "test_masks_of_steps_examples_layers_and_seeds_differ",
    ),
    Mutant(
        "layers share a mask",
        "dnc/dropout.py",
        "layer = tf.constant(next(layers), tf.int64)",
        "layer = tf.constant(0, tf.int64)",
        "unit/dnc/unrolling/test_dropout.py::TestDropout::"
        "test_masks_of_steps_examples_layers_and_seeds_differ",
    ),
    Mutant(
        "what is kept is not scaled",
        "dnc/dropout.py",
        "tf.constant(1.0 / (1.0 - self._rate), inputs.dtype)",
        "tf.constant(1.0, inputs.dtype)",
        "unit/dnc/unrolling/test_dropout.py::TestDropout::"
        "test_numbers_are_dropped_at_its_rate_and_the_mean_stays",
    ),
    Mutant(
        "a reset switches dropout off",
        "dnc/unrolling/sequences.py",
        "fresh_state = with_keys_of(fresh_state, state)",
        "fresh_state = with_keys_of(fresh_state, fresh_state)",
        "unit/dnc/unrolling/test_dropout.py::TestInUnroll::"
        "test_a_reset_restarts_from_the_key_that_was_passed",
    ),
)
