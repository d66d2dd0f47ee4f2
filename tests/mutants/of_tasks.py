"""Mutants of `tasks`: episodes, losses and metrics."""

from tests.mutants import Mutant

_LAYOUTS = "unit/tasks/test_encodings.py"

MUTANTS = (
    Mutant(
        "mask ignored in the loss",
        "tasks/base.py",
        "loss = tf.reduce_sum(tf.reduce_sum(cross_entropy, axis=2) * mask, axis=0)",
        "loss = tf.reduce_sum(tf.reduce_sum(cross_entropy, axis=2), axis=0)",
        "unit/tasks/test_base.py",
    ),
    Mutant(
        "wrong bits counted in the padding",
        "tasks/base.py",
        "target > 0.5), logits.dtype) * mask[:, :, tf.newaxis]",
        "target > 0.5), logits.dtype)",
        "unit/tasks/test_base.py",
    ),
    Mutant(
        "a batch does not depend on the step",
        "tasks/base.py",
        "tf.stack([tf.cast(seed, tf.int64), tf.cast(step, tf.int64)])",
        "tf.stack([tf.cast(seed, tf.int64), tf.cast(seed, tf.int64)])",
        "unit/tasks/test_repeat_copy.py",
    ),
    Mutant(
        "largest size never drawn",
        "tasks/base.py",
        "shape, key, minimum, maximum + 1, tf.int32",
        "shape, key, minimum, tf.maximum(maximum, minimum + 1), tf.int32",
        "unit/tasks/test_repeat_copy.py",
    ),
    Mutant(
        "an answer off by one counts as right",
        "tasks/base.py",
        "tf.cast(error < 0.5, logits.dtype)",
        "tf.cast(error < 1.5, logits.dtype)",
        f"{_LAYOUTS}::test_the_right_answer_has_no_error_and_another_has_some",
    ),
    Mutant(
        "copy: target shifted",
        "tasks/copy.py",
        "base.place(rows, t - lengths - 1, is_answer)",
        "base.place(rows, t - lengths, is_answer)",
        _LAYOUTS,
    ),
    Mutant(
        "copy: no delimiter",
        "tasks/copy.py",
        "base.channel(t == lengths)",
        "base.channel(t == lengths + 99)",
        _LAYOUTS,
    ),
    Mutant(
        "repeat copy: answer begins too early",
        "tasks/repeat_copy.py",
        "answer_start = lengths + 2",
        "answer_start = lengths + 1",
        "unit/tasks/test_repeat_copy.py",
    ),
    Mutant(
        "repeat copy: no end",
        "tasks/repeat_copy.py",
        "end = base.channel(t == answer_end)",
        "end = base.channel(t == answer_end + 1)",
        "unit/tasks/test_repeat_copy.py",
    ),
    Mutant(
        "priority sort: lowest priority first",
        "tasks/priority_sort.py",
        "-priorities if is_ntm else priorities, 2.0",
        "priorities if is_ntm else -priorities, 2.0",
        _LAYOUTS,
    ),
    Mutant(
        "associative recall: the item itself is the answer",
        "tasks/associative_recall.py",
        "(asked + 1) * per_item + t - answer",
        "asked * per_item + t - answer",
        _LAYOUTS,
    ),
    Mutant(
        "key-value: the key is the answer",
        "tasks/key_value.py",
        "target = base.place(in_order(values, order)",
        "target = base.place(in_order(keys, order)",
        _LAYOUTS,
    ),
    Mutant(
        "copy series: a copy too many",
        "tasks/copy_series.py",
        "is_there = number < copies",
        "is_there = number <= copies",
        _LAYOUTS,
    ),
    Mutant(
        "n-grams: not compared with the optimum",
        "tasks/ngrams.py",
        "excess = cost - tf.reduce_mean(self.optimal_cost(batch))",
        "excess = cost - 0.0",
        _LAYOUTS,
    ),
    Mutant(
        "babi: only the last word of an answer counts",
        "tasks/babi.py",
        "[is_last, wrong_so_far & is_last, is_word, wrong]",
        "[is_last, wrong & is_last, is_word, wrong]",
        "unit/tasks/test_babi.py",
    ),
    Mutant(
        "babi: validation with stories of the training",
        "tasks/babi.py",
        'return "train" if int(seed) >= 0 else "validation"',
        'return "train"',
        "unit/tasks/test_babi.py",
    ),
    Mutant(
        "babi: answers are shown in the input",
        "tasks/babi_data.py",
        "tokens += [*words, *[TO_ANSWER] * len(said)]",
        "tokens += [*words, *said]",
        "unit/tasks/test_babi_data.py",
    ),
    Mutant(
        "babi: an archive may point out of its folder",
        "tasks/babi_data.py",
        'if name.is_absolute() or ".." in name.parts:',
        "if name.is_absolute():",
        "unit/tasks/test_babi_data.py",
    ),
)
