import gzip
import json

import numpy as np
import pytest

from dnc_trace import episode, header
from dnc_trace.quantities import EXTRA_MEANINGS, QUANTITIES
from tests.traces import EXTRAS, SIZES, make_trace


def decode(record):
    """The header, and the fields of each example, by the layout that `episode` documents."""
    first, *blobs = record
    head = header.parse(first)
    assert len(blobs) == len(head["examples"])
    examples = []
    for example, blob in zip(head["examples"], blobs, strict=True):
        data = gzip.decompress(blob)
        assert len(data) == example["bytes"]
        fields, end = {}, 0
        for name, dtype, shape, offset in example["fields"]:
            assert offset % 4 == 0
            assert 0 <= offset - end < 4, "fields follow each other"
            little_endian = np.dtype(dtype).newbyteorder("<")
            count = int(np.prod(shape))
            fields[name] = np.frombuffer(data, little_endian, count, offset).reshape(shape)
            end = offset + count * little_endian.itemsize
        assert 0 <= len(data) - end < 4
        examples.append(fields)
    return head, examples


def links(fields, num_steps, num_heads, num_slots):
    """The links [T, V, N, N] of an example, from their lists."""
    starts = fields["link_starts"]
    assert starts.shape == (num_steps * num_heads + 1,)
    dense = np.zeros([num_steps, num_heads, num_slots, num_slots], np.float32)
    for t in range(num_steps):
        for v in range(num_heads):
            for k in range(starts[t * num_heads + v], starts[t * num_heads + v + 1]):
                dense[t, v, fields["link_to"][k], fields["link_from"][k]] = fields["link_values"][k]
    return dense


@pytest.mark.parametrize("optional", [False, True])
@pytest.mark.parametrize("num_writes", [1, 3])
def test_every_example_has_its_own_numbers(optional, num_writes):
    arrays, meta = make_trace(optional=optional, V=num_writes)

    head, examples = decode(episode.encode(arrays, meta))

    sizes = {**SIZES, "V": num_writes}
    assert head["sizes"] == {axis: n for axis, n in sizes.items() if optional or axis != "Z"}
    assert [example["length"] for example in head["examples"]] == list(arrays["sequence_length"])
    for b, fields in enumerate(examples):
        for name, values in fields.items():
            if name.startswith("link_"):
                continue
            batch_axis = QUANTITIES[name].axes.index("B")
            expected = np.take(arrays[name], b, axis=batch_axis)
            np.testing.assert_array_equal(values, expected.astype(np.float16), err_msg=name)


def test_nothing_but_what_the_viewer_can_do_without_is_left_out():
    arrays, meta = make_trace()

    _, examples = decode(episode.encode(arrays, meta))

    unused = {"controller_output", "forward_weights", "backward_weights", "sequence_length"}
    unused |= {"link", "initial_link"}  # In lists.
    lists = {"link_starts", "link_to", "link_from", "link_values"}
    for fields in examples:
        assert fields.keys() == (QUANTITIES.keys() - unused) | lists


def test_numbers_too_large_for_float16_are_float32():
    arrays, meta = make_trace()
    arrays["write_strengths"][2, 1] = 70_000.0
    arrays["read_strengths"][2, 1] = 65_504.0  # The largest.
    arrays["usage"][0, 1] = [np.inf, np.nan, -np.inf, 0, 1, 2]

    head, examples = decode(episode.encode(arrays, meta))

    types = [{name: dtype for name, dtype, _, _ in ex["fields"]} for ex in head["examples"]]
    assert [t["write_strengths"] for t in types] == ["float16", "float32", "float16"]
    assert [t["read_strengths"] for t in types] == ["float16"] * 3
    np.testing.assert_array_equal(examples[1]["write_strengths"], arrays["write_strengths"][:, 1])
    np.testing.assert_array_equal(examples[1]["read_strengths"][2], 65_504.0)
    np.testing.assert_array_equal(examples[1]["usage"][0], arrays["usage"][0, 1])


@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int64, np.int8])
def test_numbers_of_any_type_are_taken(dtype):
    arrays, meta = make_trace()
    arrays["inputs"] = np.arange(arrays["inputs"].size).reshape(arrays["inputs"].shape)
    arrays["inputs"] = arrays["inputs"].astype(dtype)

    _, examples = decode(episode.encode(arrays, meta))

    np.testing.assert_array_equal(examples[1]["inputs"], arrays["inputs"][:, 1])


def test_links_below_the_threshold_are_left_out():
    arrays, meta = make_trace(V=2)
    link = arrays["link"]
    link[link < 0.7] *= 0.01
    link[1, 1] = 0  # A step without any.
    link[2, 1, 0, 3, 4] = 2**-6
    assert np.any((link > 0) & (link < episode.LINK_THRESHOLDS[0]))

    head, examples = decode(episode.encode(arrays, meta))

    assert head["links"] == "recorded"
    assert head["link_threshold"] == episode.LINK_THRESHOLDS[0]
    for b, fields in enumerate(examples):
        expected = np.where(link[:, b] >= episode.LINK_THRESHOLDS[0], link[:, b], 0)
        np.testing.assert_array_equal(links(fields, 5, 2, 6), expected.astype(np.float16))
    assert links(examples[1], 5, 2, 6)[2, 0, 3, 4] == 2**-6


@pytest.mark.parametrize(
    "linkage, optional, links",
    [
        ("dense", True, "recorded"),
        ("", True, "recorded"),
        ("dense", False, "derived"),
        ("sparse", False, "derived"),
        ("", False, "missing"),
    ],
)
def test_links_are_recorded_or_derived_or_missing(linkage, optional, links):
    arrays, meta = make_trace(optional=optional)

    head, examples = decode(episode.encode(arrays, {**meta, "linkage": linkage}))

    assert (head["links"], head["linkage"]) == (links, linkage)
    assert ("link_starts" in examples[0]) == (links == "recorded")


def test_links_too_many_to_look_through_are_derived_from_the_first_ones(monkeypatch):
    arrays, meta = make_trace()
    one_example = arrays["link"][:, 0].size
    monkeypatch.setattr(episode, "LARGEST_LINK", one_example)
    assert decode(episode.encode(arrays, meta))[0]["links"] == "recorded"
    monkeypatch.setattr(episode, "LARGEST_LINK", one_example - 1)

    head, examples = decode(episode.encode(arrays, meta))

    assert head["links"] == "derived"
    for b, fields in enumerate(examples):
        assert "link_starts" not in fields
        np.testing.assert_array_equal(
            fields["initial_link"], arrays["initial_link"][b].astype(np.float16)
        )


def test_of_too_many_links_the_weakest_are_left_out(monkeypatch):
    arrays, meta = make_trace()
    largest = max(np.count_nonzero(arrays["link"][:, b] >= 0.05) for b in range(3))
    monkeypatch.setattr(episode, "LARGEST_LINKS", largest)

    head, examples = decode(episode.encode(arrays, meta))

    assert head["link_threshold"] == 0.05
    assert len(examples[0]["link_values"]) == np.count_nonzero(arrays["link"][:, 0] >= 0.05)
    monkeypatch.setattr(episode, "LARGEST_LINKS", 1)
    assert decode(episode.encode(arrays, meta))[0]["link_threshold"] == 0.2


def test_a_memory_too_large_is_derived(monkeypatch):
    arrays, meta = make_trace()
    one_example = arrays["memory"][:, 0].size
    monkeypatch.setattr(episode, "LARGEST_MEMORY", one_example)
    head, examples = decode(episode.encode(arrays, meta))
    assert head["memory"] == "recorded"
    assert "memory" in examples[0]
    monkeypatch.setattr(episode, "LARGEST_MEMORY", one_example - 1)

    head, examples = decode(episode.encode(arrays, meta))

    assert head["memory"] == "derived"
    assert "memory" not in examples[0]
    assert {"initial_memory", "write_weights", "erase_vectors", "write_vectors"} <= examples[
        0
    ].keys()


def test_the_largest_links_that_are_recorded_have_slots_of_two_bytes():
    assert episode.LARGEST_LINK <= (2**16) ** 2


def test_the_header_says_what_the_trace_says():
    arrays, meta = make_trace()
    tokens = [[f"⟨{b}, {t}⟩" for t in range(5)] for b in range(3)]

    head, _ = decode(episode.encode(arrays, {**meta, "task": "repeat copy", "tokens": tokens}))

    assert head["task"] == "repeat copy"
    assert [example["tokens"] for example in head["examples"]] == tokens
    assert (head["format"], head["version"]) == ("dnc-episode", 1)


@pytest.mark.parametrize("optional", [False, True])
def test_the_header_explains_every_field_that_is_in_the_table(optional):
    head, examples = decode(episode.encode(*make_trace(optional=optional)))

    expected = examples[0].keys() & QUANTITIES.keys() - {"initial_link"}
    assert head["quantities"].keys() == expected
    assert head["quantities"]["usage"] == ["u", QUANTITIES["usage"].meaning]


class TestExtras:
    def test_each_example_has_its_own(self):
        arrays, meta = make_trace(extras=True)

        head, examples = decode(episode.encode(arrays, meta))

        assert [(extra["name"], extra["axes"]) for extra in head["extras"]] == [
            ("read_masks", "RW"),
            ("similarities", "VN"),
            ("temperature", ""),
            ("habits", "?"),
        ]
        meanings = [extra["meaning"] for extra in head["extras"]]
        assert meanings[0] == EXTRA_MEANINGS["read_masks"]
        assert meanings[1] == "quantity of this model alone, computed before write_content_weights"
        for b, fields in enumerate(examples):
            for name in EXTRAS:
                np.testing.assert_array_equal(
                    fields[f"extra:{name}"], arrays[name][:, b].astype(np.float16)
                )

    def test_without_any_the_list_is_empty(self):
        assert decode(episode.encode(*make_trace()))[0]["extras"] == []

    def test_one_that_is_too_large_is_left_out(self, monkeypatch):
        arrays, meta = make_trace(extras=True)
        largest = arrays["read_masks"][:, 0].size
        assert largest == max(arrays[name][:, 0].size for name in EXTRAS)
        monkeypatch.setattr(episode, "LARGEST_EXTRA", largest)
        assert len(decode(episode.encode(arrays, meta))[0]["extras"]) == len(EXTRAS)
        monkeypatch.setattr(episode, "LARGEST_EXTRA", largest - 1)

        head, examples = decode(episode.encode(arrays, meta))

        assert "read_masks" not in [extra["name"] for extra in head["extras"]]
        assert "extra:read_masks" not in examples[0]
        assert "extra:habits" in examples[0]


def test_a_trace_without_meta_data_can_be_shown():
    head, _ = decode(episode.encode(make_trace(optional=False)[0], {}))

    assert (head["task"], head["linkage"], head["links"]) == ("", "", "missing")
    assert [example["tokens"] for example in head["examples"]] == [None] * 3


def test_the_same_trace_gives_the_same_bytes():
    assert episode.encode(*make_trace()) == episode.encode(*make_trace())


@pytest.mark.parametrize("size", [{"T": 0}, {"B": 0}])
def test_an_empty_trace_is_refused(size):
    arrays, meta = make_trace()
    for name, quantity in QUANTITIES.items():
        for axis, letter in enumerate(quantity.axes):
            if letter in size:
                arrays[name] = np.take(arrays[name], [], axis)
    arrays["sequence_length"] = 0 * arrays["sequence_length"]

    with pytest.raises(ValueError, match="The trace is empty"):
        episode.encode(arrays, meta)


def test_a_trace_that_does_not_fit_together_is_refused():
    arrays, meta = make_trace()
    arrays["usage"] = arrays["usage"][1:]

    with pytest.raises(ValueError, match="usage must be"):
        episode.encode(arrays, meta)


@pytest.mark.parametrize(
    "data, reason",
    [
        (b"", "damaged: it is not JSON"),
        (b"\xff", "damaged: it is not JSON"),
        (b'{"format": "dnc-episode", "version": NaN}', "damaged: it is not JSON"),
        (b"[" * 100_000, "damaged: it is not JSON"),
        (b"[]", "not the header of an episode"),
        (b'{"format": "dnc-trace", "version": 1}', "not the header of an episode"),
        (b'{"format": "dnc-episode", "version": 2}', "version 2, and this viewer reads only 1"),
        (b'{"format": "dnc-episode"}', "version None"),
        (b'{"format": "dnc-episode", "version": true}', "version True"),
    ],
)
def test_what_is_no_header_is_refused(data, reason):
    with pytest.raises(ValueError, match=reason):
        header.parse(data)


def test_a_header_is_plain_json():
    first = episode.encode(*make_trace())[0]

    assert header.parse(first) == json.loads(first)
