import json
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dnc_trace import schema
from dnc_trace.quantities import AXES, QUANTITIES
from tests.traces import EXTRAS, SIZES, make_trace

REQUIRED = sorted(name for name, quantity in QUANTITIES.items() if not quantity.optional)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "trace.npz"
    schema.save(path, *make_trace())
    return path


def rewrite(path, meta=None, **arrays):
    """Writes a file as `schema.save` does, but of anything."""
    if meta is not None:
        arrays["header"] = np.array(meta if isinstance(meta, str) else json.dumps(meta))
    np.savez_compressed(path, **arrays)


def test_every_axis_has_a_size_in_the_order_of_the_axes():
    sizes = schema.check(*make_trace())
    assert sizes == SIZES
    assert list(sizes) == list(AXES)


def test_a_trace_may_lack_what_the_recorder_cannot_know():
    sizes = schema.check(*make_trace(optional=False))

    assert sizes == {axis: size for axis, size in SIZES.items() if axis != "Z"}


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_field_is_named(name):
    arrays, meta = make_trace()
    del arrays[name]

    with pytest.raises(ValueError, match=rf"has no {name}\."):
        schema.check(arrays, meta)


def test_unknown_fields_are_named():
    arrays, meta = make_trace()

    with pytest.raises(ValueError, match="no field colour, shade"):
        schema.check({**arrays, "shade": arrays["mask"], "colour": arrays["mask"]}, meta)


@pytest.mark.parametrize("name", sorted(QUANTITIES))
@pytest.mark.parametrize("change", ["an axis more", "an axis less", "text", "complex", "object"])
def test_a_field_that_does_not_fit_is_named_with_what_was_expected(name, change):
    arrays, meta = make_trace()
    array = arrays[name]
    arrays[name] = {
        "an axis more": array[..., np.newaxis],
        "an axis less": array[0],
        "text": array.astype(str),
        "complex": array.astype(complex),
        "object": array.astype(object),
    }[change]

    with pytest.raises(ValueError, match=rf"{name} must be numbers of shape \[.*B.*, got"):
        schema.check(arrays, meta)


@pytest.mark.parametrize("name", sorted(QUANTITIES))
def test_sizes_must_agree(name):
    for axis, letter in enumerate(QUANTITIES[name].axes):
        arrays, meta = make_trace()
        if letter in "XYZH":  # Only one field has it, so that any size is right.
            continue
        arrays[name] = np.repeat(arrays[name], 2, axis)
        with pytest.raises(ValueError, match=r"must be numbers of shape|sequence_length"):
            schema.check(arrays, meta)


def test_link_matrices_are_square_whatever_the_order_of_the_fields():
    arrays, meta = make_trace()
    link = arrays.pop("link")

    with pytest.raises(ValueError, match=r"link must .* N=6"):
        schema.check({"link": link[..., :-1, :], **arrays}, meta)


@pytest.mark.parametrize("lengths", [[-1, 1, 1], [1, 6, 1], [1.0, 2.0, 3.0]])
def test_lengths_are_numbers_of_steps(lengths):
    arrays, meta = make_trace()
    arrays["sequence_length"] = np.array(lengths)

    with pytest.raises(ValueError, match=r"sequence_length must be integers in 0\.\.5"):
        schema.check(arrays, meta)


@pytest.mark.parametrize(
    "tokens", ["abc", [], [["a"] * 5] * 2, [["a"] * 4] * 3, [["a", "b", "c", "d", 5]] * 3, 3]
)
def test_tokens_are_a_string_for_each_step_of_each_example(tokens):
    arrays, meta = make_trace()

    with pytest.raises(ValueError, match="tokens must be a list of B=3 lists of T=5 strings"):
        schema.check(arrays, {**meta, "tokens": tokens})


@pytest.mark.parametrize(
    "name, value",
    [("task", 3), ("task", ["copy"]), ("linkage", None), ("step", "3"), ("step", 1.5)],
)
def test_meta_data_of_another_type_is_refused(name, value):
    arrays, meta = make_trace()

    with pytest.raises(ValueError, match=f"{name} must be"):
        schema.check(arrays, {**meta, name: value})


class TestExtras:
    def test_their_axes_may_be_known_or_not(self):
        assert schema.check(*make_trace(extras=True)) == SIZES

    def test_an_axis_without_a_letter_may_have_any_size(self):
        arrays, meta = make_trace(extras=True)
        arrays["habits"] = np.zeros([5, 3, 9])
        other = {"axes": "TB??", "before": "usage"}
        arrays["others"] = np.zeros([5, 3, 2, 7])

        assert schema.check(arrays, {**meta, "declared": {**EXTRAS, "others": other}}) == SIZES

    def test_a_known_axis_must_fit(self):
        arrays, meta = make_trace(extras=True)
        arrays["read_masks"] = arrays["read_masks"][..., :-1]

        with pytest.raises(ValueError, match=r"read_masks must be numbers of shape .* W=3, got"):
            schema.check(arrays, meta)

    @pytest.mark.parametrize("name", EXTRAS)
    def test_one_without_an_array_is_named(self, name):
        arrays, meta = make_trace(extras=True)
        del arrays[name]

        with pytest.raises(ValueError, match=rf"has no {name}\."):
            schema.check(arrays, meta)

    @pytest.mark.parametrize("name", ["usage", "link", "initial_link", "target"])
    def test_a_name_of_the_table_is_taken(self, name):
        arrays, meta = make_trace()
        declared = {name: {"axes": "TBN", "before": "usage"}}

        with pytest.raises(ValueError, match=f"{name} is a quantity of every trace"):
            schema.check(arrays, {**meta, "declared": declared})

    @pytest.mark.parametrize("name", ["header", "file", "allow_pickle", "task", "a b", "", "../x"])
    def test_a_name_that_a_file_cannot_have_is_refused(self, name):
        arrays, meta = make_trace()
        declared = {name: {"axes": "TB", "before": "usage"}}

        with pytest.raises(ValueError, match=f"'{name}' cannot be the name of an extra"):
            schema.check({**arrays, name: arrays["mask"]}, {**meta, "declared": declared})

    @pytest.mark.parametrize(
        "declared, reason",
        [
            (["colour"], "declared must be a dict"),
            ({"colour": "TB"}, "colour must declare axes and before, got 'TB'"),
            ({"colour": {"axes": "TB"}}, "colour must declare axes and before"),
            ({"colour": {"axes": "BT", "before": "usage"}}, "axes of colour must be TB and any of"),
            ({"colour": {"axes": "TBQ", "before": "usage"}}, "got 'TBQ'"),
            ({"colour": {"axes": ["T", "B"], "before": "usage"}}, "axes of colour must be"),
            ({"colour": {"axes": "TB", "before": "target"}}, "before a quantity of a step, got"),
            ({"colour": {"axes": "TB", "before": ["usage"]}}, "before a quantity of a step, got"),
        ],
    )
    def test_a_wrong_declaration_is_refused(self, declared, reason):
        arrays, meta = make_trace()

        with pytest.raises(ValueError, match=reason):
            schema.check({**arrays, "colour": arrays["mask"]}, {**meta, "declared": declared})


@pytest.mark.parametrize("optional, extras", [(False, False), (True, False), (True, True)])
def test_a_file_holds_all_of_a_trace(tmp_path, optional, extras):
    arrays, meta = make_trace(optional=optional, extras=extras)
    meta["tokens"] = [[f"⟨{b}, {t}⟩" for t in range(5)] for b in range(3)]

    schema.save(tmp_path / "trace.npz", arrays, meta)
    loaded, loaded_meta = schema.load(tmp_path / "trace.npz")

    assert loaded_meta == meta
    assert loaded.keys() == arrays.keys()
    for name, array in arrays.items():
        assert loaded[name].dtype == array.dtype
        np.testing.assert_array_equal(loaded[name], array)
    assert os.listdir(tmp_path) == ["trace.npz"]


def test_a_file_that_cannot_be_written_leaves_the_one_before(saved, monkeypatch):
    before = saved.read_bytes()

    def fail(file, **arrays):
        file.write(b"half of")
        raise OSError("disk full")

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(OSError, match="disk full"):
        schema.save(saved, *make_trace(seed=1))

    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_a_wrong_trace_is_not_written(tmp_path):
    arrays, meta = make_trace()
    del arrays["usage"]

    with pytest.raises(ValueError, match="usage"):
        schema.save(tmp_path / "trace.npz", arrays, meta)

    assert not os.listdir(tmp_path)


def test_a_file_that_is_not_there_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        schema.load(tmp_path / "none.npz")


@pytest.mark.parametrize(
    "meta, reason",
    [
        (None, "not a trace"),
        ({"format": "another", "version": 1}, "not a trace"),
        ([1, 2], "not a trace"),
        ({"format": "dnc-trace", "version": 2}, "version 2, and this program reads only 1"),
        ({"format": "dnc-trace"}, "version None"),
        ("{", "Expecting property name"),
        ("[" * 100_000, "recursion"),
        ({"format": "dnc-trace", "version": 1, "task": 5}, "task must be a string"),
        ({"format": "dnc-trace", "version": 1, "declared": []}, "declared must be a dict"),
    ],
)
def test_another_header_is_refused(tmp_path, meta, reason):
    path = tmp_path / "trace.npz"
    rewrite(path, meta, **make_trace()[0])

    with pytest.raises(ValueError, match=reason) as error:
        schema.load(path)

    assert f"Cannot read the trace {path}" in str(error.value)


def test_objects_are_never_unpickled(tmp_path):
    path = tmp_path / "trace.npz"
    arrays, meta = make_trace()
    arrays["usage"] = arrays["usage"].astype(object)
    rewrite(path, {"format": "dnc-trace", "version": 1, **meta}, **arrays)

    with pytest.raises(ValueError, match="allow_pickle=False"):
        schema.load(path)


def test_an_array_alone_is_not_a_trace(tmp_path):
    np.save(tmp_path / "array.npy", np.zeros(3))

    with pytest.raises(ValueError, match="not a trace"):
        schema.load(tmp_path / "array.npy")


@settings(max_examples=50, deadline=None)
@given(data=st.binary() | st.binary().map(lambda data: b"PK\x03\x04" + data))
def test_any_file_that_is_no_trace_is_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("any") / "trace.npz"
    path.write_bytes(data)

    with pytest.raises(ValueError, match=f"Cannot read the trace {path}"):
        schema.load(path)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_damaged_file_is_refused_or_read_as_a_trace(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / f"damaged{os.getpid()}.npz"
    schema.save(path, *make_trace(optional=False, T=2, B=1))
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans(), label="cut"):
        del content[data.draw(st.integers(0, len(content) - 1), label="length") :]
    else:
        for _ in range(data.draw(st.integers(1, 4), label="flips")):
            position = data.draw(st.integers(0, len(content) - 1), label="position")
            content[position] ^= 1 << data.draw(st.integers(0, 7), label="bit")
    path.write_bytes(content)

    try:
        schema.check(*schema.load(path))  # What is not looked at, such as times, may be damaged.
    except ValueError as error:
        message = str(error)
        assert message.startswith(f"Cannot read the trace {path}: ")
        assert "\n" not in message
