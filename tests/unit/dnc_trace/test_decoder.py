"""Text of what is in the memory; `training.decode` fits decoders."""

import json

import numpy as np
import pytest

import dnc
from dnc_trace import decoder, episode
from tests.traces import SIZES, make_trace

# The first number of a word says yes or no, the others which digit.
DECODER = {
    "kernel": [[-9, 9, 0, 0, 0], [0, 0, 9, 0, 0], [0, 0, 0, 9, 0]],
    "bias": [0, 0, 0, 0, -9],
    "classes": [["no ", "yes "], ["0", "1", "2"]],
}


def test_a_word_is_the_likeliest_name_of_each_group():
    words = [[1, 1, 0], [-1, 0, 1]]

    assert decoder.decode(DECODER, words).tolist() == ["yes 0", "no 1"]
    assert decoder.decode(DECODER, words[0]).item() == "yes 0"
    np.testing.assert_array_equal(decoder.classes(DECODER, [words]), [[[1, 0], [0, 1]]])


def test_what_is_not_likely_is_unknown():
    thirds = {**DECODER, "bias": [0.0] * 5}

    assert decoder.decode(thirds, [1, 0, 0]).item() == "yes ?"
    assert decoder.decode({**thirds, "bias": [0.0, 0.1, 5, 0, 0]}, [0, 0, 0]).item() == "yes 0"
    assert decoder.named(np.array([-1, 2]), DECODER["classes"]).item() == "? 2"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (3, "A decoder has numbers kernel and bias, and lists classes"),
        ({**DECODER, "bias": ["a"] * 5}, "A decoder has numbers"),
        ({**DECODER, "bias": [0.0] * 4}, r"a bias of shape \[5\], got \[\[3, 5\], \[4\]\]"),
        ({**DECODER, "kernel": DECODER["kernel"][:2]}, r"kernel of shape \[3, 5\].* got \[\[2, 5"),
        ({**DECODER, "classes": [["a", "b"], [0, 1, 2]]}, "in 5 classes"),
        ({**DECODER, "classes": [["a", "b", "c", "d", "e"], []]}, "in 5 classes"),
    ],
)
def test_one_that_does_not_fit_is_refused(wrong, message):
    arrays, meta = make_trace()

    with pytest.raises(ValueError, match=message):
        dnc.Trace(**arrays, **meta, decoder=wrong)


def test_a_trace_keeps_it_and_so_does_an_episode_for_the_inspector(tmp_path):
    arrays, meta = make_trace()
    assert SIZES["W"] == 3
    trace = dnc.Trace(**arrays, **meta).replace(decoder=DECODER)
    trace.save(tmp_path / "trace.npz")

    assert dnc.Trace.load(tmp_path / "trace.npz").decoder == DECODER
    assert trace.examples(1).decoder == DECODER
    head = json.loads(episode.encode(trace.arrays(), trace.meta())[0])
    assert head["decoder"] == DECODER
    assert json.loads(episode.encode(arrays, meta)[0])["decoder"] is None
