"""Decoders fitted to networks that were not trained, and to memories that are known."""

import numpy as np
import pytest
from PIL import Image

import dnc
import tasks
from dnc_trace.decoder import decode
from tests.runs import untrained
from tests.traces import make_trace
from training import decode as command

NAMES = [["a ", "b "], ["0", "1", "2"]]


def told(rng, size):
    """Random classes, and vectors of which each number belongs to a class."""
    classes = np.stack([rng.integers(0, len(names), size) for names in NAMES], axis=-1)
    one_hot = [np.eye(len(names))[classes[..., g]] for g, names in enumerate(NAMES)]
    return np.concatenate(one_hot, axis=-1), classes


def memory_of(seed=0, num_steps=6, batch_size=2):
    """A trace in which step t writes what it is told to slot t, and the last two read slot 0."""
    words, classes = told(np.random.default_rng(seed), [num_steps, batch_size])
    sizes = {"T": num_steps, "B": batch_size, "N": num_steps, "W": words.shape[-1], "R": 1}
    arrays, meta = make_trace(**sizes)
    steps, slots = np.arange(num_steps), np.arange(num_steps)
    is_written = np.broadcast_to((slots == steps[:, np.newaxis])[:, np.newaxis], [6, 2, 6])
    by_then = (
        np.transpose(words, [1, 0, 2])[np.newaxis]
        * (slots <= steps[:, np.newaxis])[:, np.newaxis, :, np.newaxis]
    )
    is_read = np.zeros([num_steps, batch_size, 1, num_steps])
    is_read[..., 0] = 1.0
    mask = (steps >= num_steps - 2)[:, np.newaxis] * np.ones([1, batch_size])
    arrays |= {
        "write_vectors": words[:, :, np.newaxis],
        "write_weights": is_written[:, :, np.newaxis].astype(np.float32),
        "memory": by_then,
        "read_weights": is_read,
        "content_mode": np.ones([num_steps, batch_size, 1]),
        "read_keys": np.broadcast_to(words[0], words.shape)[:, :, np.newaxis],
        "mask": mask,
        "sequence_length": np.full(batch_size, num_steps),
    }
    return dnc.Trace(**arrays, **meta), tasks.Contents(classes, NAMES)


@pytest.fixture(scope="module")
def decoder():
    words, classes = told(np.random.default_rng(1), [200])
    return command.fit(words, classes, NAMES)


def test_a_decoder_says_what_was_written(decoder):
    words, classes = told(np.random.default_rng(2), [50])

    expected = [f"{NAMES[0][a]}{NAMES[1][b]}" for a, b in classes]
    assert decode(decoder, words).tolist() == expected


def test_classes_that_never_occur_are_never_said():
    words, classes = told(np.random.default_rng(1), [200])
    always_b = np.stack([np.ones(200, int), classes[:, 1] % 2], axis=1)

    decoder = command.fit(words, always_b, NAMES)

    said = decode(decoder, words)
    assert {text[:2] for text in said} == {"b "}
    assert {text[2:] for text in said} == {"0", "1"}


def test_it_is_tried_on_writes_slots_and_keys(decoder):
    trace, contents = memory_of()
    assert command.agreement([(trace, contents)], decoder) == (1.0, 1.0, [1.0, 1.0])

    wrong_keys = np.array(trace.read_keys)
    wrong_keys[..., :2] = 1 - wrong_keys[..., :2]
    other_slot = np.roll(trace.memory, 1, axis=2)
    no_writes = trace.replace(
        read_keys=wrong_keys, memory=other_slot, write_vectors=-trace.write_vectors
    )
    found = command.agreement([(no_writes, contents)], decoder)
    assert found.written == 0.0
    assert found.keys == [0.0, 1.0]
    assert found.slots < 1.0


def test_steps_that_tell_nothing_do_not_count(decoder):
    trace, contents = memory_of()
    classes = np.array(contents.classes)
    classes[1:] = -1
    vectors = np.array(trace.write_vectors)
    vectors[1:] = 0.0

    found = command.agreement(
        [(trace.replace(write_vectors=vectors), tasks.Contents(classes, NAMES))], decoder
    )

    assert found == (1.0, 1.0, [1.0, 1.0])


class TestCommand:
    ARGUMENTS = ("training.decode", "--num_sequences=10")

    def test_it_writes_a_trace_and_a_picture(self, tmp_path, capsys):
        sizes = {"min_nodes": 3, "max_nodes": 4, "max_degree": 2, "max_path": 2}
        run = untrained(tmp_path / "walks", task="traversal", memory_size=8, **sizes)
        paths = [f"--trace_file={tmp_path / 'trace.npz'}", f"--plot={tmp_path / 'plot.png'}"]

        code = command.main([*self.ARGUMENTS, f"--checkpoint_dir={run}", *paths])

        out, err = capsys.readouterr()
        assert (code, err) == (0, "")
        assert "what was written: " in out and "keys, class by class: " in out
        trace = dnc.Trace.load(tmp_path / "trace.npz")
        assert len(trace.decoder["classes"]) == 9
        assert len(trace.tokens) == 1
        with Image.open(tmp_path / "plot.png") as picture:
            assert picture.width > 300

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"task": "copy"}, "Task copy has no contents that a decoder could name."),
            ({"task": "traversal", "core": "lstm"}, "Only the memory of a dnc can be decoded"),
        ],
    )
    def test_what_cannot_be_decoded_is_one_line(self, settings, message, tmp_path, capsys):
        run = untrained(tmp_path / "run", **settings)

        assert command.main([*self.ARGUMENTS, f"--checkpoint_dir={run}"]) == 2
        err = capsys.readouterr().err
        assert message in err and err.count("\n") == 1

    def test_a_model_must_be_given(self, capsys):
        assert command.main(list(self.ARGUMENTS)) == 2
        assert "Give --checkpoint_dir or --pretrained" in capsys.readouterr().err
