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
