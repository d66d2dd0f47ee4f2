"""Mutants of `dnc`: its unroll."""

from tests.mutants import Mutant

MUTANTS = (
    # --- The unroll.
    Mutant(
        "sequence_length off by one",
        "dnc/unrolling/sequences.py",
        "running = tf.range(num_steps)[:, tf.newaxis] < lengths",
        "running = tf.range(num_steps)[:, tf.newaxis] <= lengths",
        "unit/dnc/test_unroll.py::"
        "test_past_its_end_an_example_gives_0_holds_its_state_and_has_no_gradient",
    ),
    Mutant(
        "outputs in the padding",
        "dnc/unrolling/steps.py",
        'outputs = _nests.where(x["running"], outputs, _nests.zeros_like(outputs))',
        "outputs = tf.nest.map_structure(tf.identity, outputs)",
        "unit/dnc/test_unroll.py::"
        "test_past_its_end_an_example_gives_0_holds_its_state_and_has_no_gradient",
    ),
    Mutant(
        "state not held past the end",
        "dnc/unrolling/steps.py",
        'next_state = _nests.where(x["running"], next_state, state)',
        "next_state = tf.nest.map_structure(tf.identity, next_state)",
        "unit/dnc/test_unroll.py::"
        "test_past_its_end_an_example_gives_0_holds_its_state_and_has_no_gradient",
    ),
    Mutant(
        "reset after the step instead of before",
        "dnc/unrolling/steps.py",
        'outputs, next_state = call(x["inputs"], started)',
        'outputs, next_state = call(x["inputs"], state)\n'
        '    if "reset" in x:\n'
        '        next_state = _nests.where(x["reset"], fresh_state, next_state)',
        "unit/dnc/test_unroll.py::test_pieces_between_resets_equal_sequences_of_their_own",
    ),
    Mutant(
        "infinite padding reaches the gradient",
        "dnc/unrolling/sequences.py",
        "inputs = _nests.where(running, inputs, _nests.zeros_like(inputs))",
        "inputs = tf.nest.map_structure(tf.identity, inputs)",
        "unit/dnc/test_unroll.py::"
        "test_past_its_end_an_example_gives_0_holds_its_state_and_has_no_gradient",
    ),
    Mutant(
        "the last segment is the first again",
        "dnc/unrolling/checkpointing.py",
        "(begin_of_rest, num_steps, num_steps % length)]",
        "(0, num_steps % length, num_steps % length)]",
        "unit/dnc/test_checkpointing.py::test_checkpointing_changes_neither_values_nor_gradients",
    ),
    Mutant(
        "a segment starts from the state after it",
        "dnc/unrolling/checkpointing.py",
        "tf.concat([first[tf.newaxis], x[:-1]], axis=0)",
        "x",
        "unit/dnc/test_checkpointing.py::test_checkpointing_changes_neither_values_nor_gradients",
    ),
    # --- The choice of implementation, and stacks.
    Mutant(
        "steps are fused, too",
        "dnc/unrolling/implementations.py",
        'if implementation == "steps":',
        "if False:",
        "unit/dnc/test_implementations.py::TestChoice::test_steps_are_never_fused",
    ),
    Mutant(
        "random numbers in what runs again",
        "dnc/unrolling/implementations.py",
        "operation = _cores.not_repeatable(core, inputs, dtype, training)",
        "operation = None",
        "unit/dnc/test_implementations.py::TestChoice::test_fused_is_an_error_that_says_why_not",
    ),
    Mutant(
        "a warning at each call",
        "dnc/unrolling/implementations.py",
        "if reason in reasons:",
        "if False:",
        "unit/dnc/test_implementations.py::TestWarning",
    ),
    Mutant(
        "fused without the flag of training",
        "dnc/unrolling/implementations.py",
        "fused.unroll(core, sequence, state, fresh_state, training)",
        "fused.unroll(core, sequence, state, fresh_state)",
        "unit/dnc/test_implementations.py::TestTraining",
    ),
    Mutant(
        "outputs of a stack in the padding",
        "dnc/unrolling/implementations.py",
        'x = _nests.where(sequence["running"], x, _nests.zeros_like(x))',
        "x = tf.nest.map_structure(tf.identity, x)",
        "unit/dnc/test_implementations.py::TestDeepRNN::"
        "test_the_padding_may_be_anything_and_its_outputs_are_0",
    ),
    Mutant(
        "a subclass of the stack is taken apart",
        "dnc/unrolling/implementations.py",
        "if type(core) is not snt.DeepRNN:",
        "if not isinstance(core, snt.DeepRNN):",
        "unit/dnc/test_implementations.py::TestDeepRNN::test_a_subclass_is_a_reason_against",
    ),
    Mutant(
        "an MLP with dropout runs at once",
        "dnc/unrolling/layers.py",
        "return layer._dropout_rate in (None, 0) and all(",
        "return all(",
        "unit/dnc/test_implementations.py::TestDeepRNN::"
        "test_a_layer_that_may_mix_examples_is_a_reason_against",
    ),
    Mutant(
        "normalisation over any axis runs at once",
        "dnc/unrolling/layers.py",
        "return layer._axis in _AXES_OF_ROWS",
        "return True",
        "unit/dnc/test_implementations.py::TestDeepRNN::"
        "test_a_layer_that_may_mix_examples_is_a_reason_against",
    ),
    # --- Directions and dropout.
    Mutant(
        "reversed with the padding",
        "dnc/unrolling/sequences.py",
        "return tf.reverse_sequence(part, lengths, seq_axis=0, batch_axis=1)",
        "return tf.reverse(part, [0])",
        "unit/dnc/test_directions.py::TestReverse",
    ),
    Mutant(
        "outputs stay reversed",
        "dnc/unrolling/sequences.py",
        "results = _reverse_steps(results, given.lengths)",
        "results = tf.nest.map_structure(tf.identity, results)",
        "unit/dnc/test_directions.py::TestReverse",
    ),
    Mutant(
        "outputs of the backward core come first",
        "dnc/unrolling/sequences.py",
        "tf.concat(parts, axis=-1), outputs, other_outputs)",
        "tf.concat(parts, axis=-1), other_outputs, outputs)",
        "unit/dnc/test_directions.py::TestBidirectional",
    ),
    Mutant(
        "the backward core runs forwards",
        "dnc/unrolling/sequences.py",
        "unroll(backward, inputs, second, reverse=True, **options)",
        "unroll(backward, inputs, second, **options)",
        "unit/dnc/test_directions.py::TestBidirectional",
    ),
    Mutant(
        "dropout without a key",
        "dnc/dropout.py",
        "is_on = stream != 0",
        "is_on = stream >= 0",
        "unit/dnc/test_dropout.py::TestDropout",
    ),
    Mutant(
        "the same dropped at each step",
        "dnc/dropout.py",
        "count + tf.cast(is_on, count.dtype)",
        "count",
        "unit/dnc/test_dropout.py::TestDropout unit/dnc/test_dropout.py::TestInUnroll",
    ),
    Mutant(
        "the same dropped in each layer",
        "dnc/dropout.py",
        "layer = tf.constant(next(layers), tf.int64)",
        "layer = tf.constant(0, tf.int64)",
        "unit/dnc/test_dropout.py::TestDropout",
    ),
    Mutant(
        "a reset takes the key of dropout away",
        "dnc/unrolling/sequences.py",
        "fresh_state = with_keys_of(fresh_state, state)",
        "fresh_state = tf.nest.map_structure(tf.identity, fresh_state)",
        "unit/dnc/test_dropout.py::TestInUnroll",
    ),
)
