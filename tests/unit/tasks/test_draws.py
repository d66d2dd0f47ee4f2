import itertools

import numpy as np
import pytest
import tensorflow as tf

from tasks import draws


def keys(*arguments):
    return [tuple(key.numpy()) for key in draws.keys(*arguments, number=2)]


def test_training_shares_no_keys_with_validation():
    found = {
        split: {
            key
            for seed, step in itertools.product(range(10), range(-10, 10))
            for key in keys(split, seed, step)
        }
        for split in ("train", "validation")
    }

    assert all(len(own) == 10 * 20 * 2 for own in found.values())
    assert not found["train"] & found["validation"]


def test_validation_and_test_share_their_keys():
    assert keys("validation", 3, 4) == keys("test", 3, 4)


def test_keys_are_the_same_for_integers_and_tensors():
    for dtype in (tf.int32, tf.int64):
        assert keys("train", 3, 4) == keys("train", tf.constant(3, dtype), tf.constant(4, dtype))


def test_another_split_is_refused_with_those_that_there_are():
    with pytest.raises(ValueError, match="one of train, validation, test, got 'training'"):
        draws.keys("training", 0, 0, 1)


def test_a_folded_key_depends_on_both():
    first, second = draws.keys("train", 0, 0, 2)
    found = {tuple(draws.fold_in(key, k).numpy()) for key in (first, second) for k in range(9)}

    assert len(found) == 18


def test_uniform_integers_include_both_bounds():
    (key,) = draws.keys("train", 0, 0, 1)

    assert set(draws.uniform_integers(key, [100], 3, 5).numpy()) == {3, 4, 5}


def test_permutations_are_of_each_length():
    (key,) = draws.keys("train", 0, 0, 1)
    lengths = tf.constant([0, 1, 3, 5] * 50)

    found = draws.permutations(key, lengths, 5).numpy()

    for row, length in zip(found, lengths.numpy(), strict=True):
        assert sorted(row[:length]) == list(range(length))
        assert list(row[length:]) == list(range(length, 5))
    assert len({tuple(row) for row in found[2::4]}) == 6
    assert np.unique(found[3::4], axis=0).shape[0] > 20


def test_numbers_are_the_same_with_and_without_compilation():
    def draw(step):
        key, other = draws.keys("train", 3, step, 2)
        numbers = draws.uniform_numbers(key, [50], -1.0, 2.0)
        return numbers, draws.uniform_integers(other, [50], -3, 1000)

    expected = draw(tf.constant(4))
    assert np.min(expected[0]) < -0.5 and np.max(expected[0]) > 1.5
    for jit in (False, True):
        # The step is a tensor: with a constant, TensorFlow would draw while it compiles.
        found = tf.function(draw, jit_compile=jit)(tf.constant(4))
        tf.nest.map_structure(np.testing.assert_array_equal, found, expected)
