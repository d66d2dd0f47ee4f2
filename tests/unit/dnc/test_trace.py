import numpy as np
import pytest
import tensorflow as tf

import dnc
from dnc_trace.quantities import QUANTITIES
from tests.traces import EXTRAS, SIZES, make_trace

T, B = SIZES["T"], SIZES["B"]
META = {"linkage", "task", "tokens", "step"}


def synthetic(**options):
    arrays, meta = make_trace(**options)
    return dnc.Trace(**arrays, **meta)


@pytest.fixture(scope="module")
def trace():
    return synthetic()


class TestAttributes:
    def test_every_quantity_is_one(self, trace):
        for name, array in make_trace()[0].items():
            np.testing.assert_array_equal(getattr(trace, name), array)
        assert trace.arrays().keys() == QUANTITIES.keys()
        assert trace.meta().keys() == META

    def test_an_optional_one_may_be_none(self):
        trace = synthetic(optional=False)
        for name, quantity in QUANTITIES.items():
            assert (getattr(trace, name) is None) == quantity.optional
        assert all(array is not None for array in trace.arrays().values())

    def test_python_lists_and_explains_them(self, trace):
        assert QUANTITIES.keys() | META <= set(dir(trace))
        assert dnc.Trace.usage.__doc__ == f"[T, B, N], u: {QUANTITIES['usage'].meaning}."
        assert dnc.Trace.mask.__doc__.startswith("[T, B]: ")

    def test_an_unknown_one_is_no_attribute(self, trace):
        with pytest.raises(AttributeError, match="colour"):
            _ = trace.colour

    @pytest.mark.parametrize("name", ["usage", "link", "task"])
    def test_none_can_be_set(self, trace, name):
        with pytest.raises(AttributeError):
            setattr(trace, name, 0)

    def test_tensors_and_lists_become_arrays(self):
        arrays, meta = make_trace()
        arrays["usage"] = tf.constant(arrays["usage"])
        arrays["mask"] = arrays["mask"].tolist()
        trace = dnc.Trace(**arrays, **meta)
        assert isinstance(trace.usage, np.ndarray)
        assert trace.mask.shape == (T, B)


def test_its_sizes_are_shown_in_the_order_of_the_axes(trace):
    assert repr(trace) == "Trace(T=5, B=3, X=4, Y=2, Z=2, H=7, N=6, W=3, R=2, V=1)"


class TestReplace:
    def test_what_the_recorder_cannot_know_is_added(self):
        tokens = [[f"{b}/{t}" for t in range(T)] for b in range(B)]
        trace = synthetic(optional=False)
        more = trace.replace(target=tf.ones([T, B, 3]), task="sort", tokens=tokens, step=9)
        assert isinstance(more.target, np.ndarray)
        assert (more.task, more.tokens, more.step) == ("sort", tokens, 9)
        assert trace.target is None
        assert more.replace(target=None).target is None

    @pytest.mark.parametrize(
        "fields, message",
        [
            (
                {"target": np.zeros([T, B + 1, 3])},
                r"target must be numbers of shape \[T, B, Z\] with T=5",
            ),
            ({"mask": np.zeros([T])}, r"mask must be numbers of shape \[T, B\]"),
            ({"mask": np.full([T, B], "x")}, "mask must be numbers"),
            ({"tokens": [["a"] * T] * 2}, "tokens must be a list of B=3 lists of T=5 strings"),
            ({"tokens": [[1] * T] * 3}, "tokens must be a list of B=3 lists of T=5 strings"),
            ({"sequence_length": [T + 1] * B}, r"sequence_length must be integers in 0\.\.5"),
            ({"colour": np.zeros([T, B])}, "no field colour"),
            ({"usage": None}, "has no usage"),
        ],
    )
    def test_what_does_not_fit_is_refused(self, trace, fields, message):
        with pytest.raises(ValueError, match=message):
            trace.replace(**fields)


def test_some_examples_make_a_trace(trace):
    some = trace.replace(tokens=[["a"] * T, ["b"] * T, ["c"] * T]).examples(1, 0)
    assert repr(some).startswith("Trace(T=5, B=2, X=4")
    assert [row[0] for row in some.tokens] == ["b", "a"]
    np.testing.assert_array_equal(some.memory, trace.memory[:, [1, 0]])
    np.testing.assert_array_equal(some.initial_usage, trace.initial_usage[[1, 0]])
    np.testing.assert_array_equal(some.sequence_length, trace.sequence_length[[1, 0]])


class TestExtras:
    def test_they_have_arrays_and_declarations(self):
        trace = synthetic(extras=True)
        assert trace.extras.keys() == EXTRAS.keys()
        assert trace.declared == EXTRAS
        assert trace.extras["read_masks"].shape == (T, B, 2, 3)
        assert trace.arrays().keys() == QUANTITIES.keys() | EXTRAS.keys()

    def test_a_trace_without_any_has_none(self, trace):
        assert trace.extras == {} and trace.declared == {}

    def test_they_stay_with_other_fields_and_examples(self):
        trace = synthetic(extras=True)
        some = trace.replace(task="sort").examples(2)
        assert some.declared == EXTRAS
        np.testing.assert_array_equal(some.extras["habits"], trace.extras["habits"][:, [2]])

    def test_they_can_be_added_and_dropped(self, trace):
        declared = {"colour": {"axes": "TBN", "before": "usage"}}
        more = trace.replace(colour=trace.usage, declared=declared)
        np.testing.assert_array_equal(more.extras["colour"], trace.usage)
        less = more.replace(colour=None, declared={})
        assert less.meta() == trace.meta()
        with pytest.raises(ValueError, match="has no colour"):
            more.replace(colour=None)
        with pytest.raises(ValueError, match="no field colour"):
            trace.replace(colour=trace.usage)


class TestFile:
    @pytest.mark.parametrize("extras", [False, True])
    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    def test_a_trace_comes_back(self, tmp_path, dtype, extras):
        trace = synthetic(extras=extras)
        trace = trace.replace(
            memory=trace.memory.astype(dtype), tokens=[["ä </script>"] * T] * B, task="t", step=7
        )
        trace.save(tmp_path / "trace.npz")
        back = dnc.Trace.load(tmp_path / "trace.npz")
        assert back.meta() == trace.meta()
        assert back.arrays().keys() == trace.arrays().keys()
        for name, array in trace.arrays().items():
            assert back.arrays()[name].dtype == array.dtype
            np.testing.assert_array_equal(back.arrays()[name], array)
        assert [path.name for path in tmp_path.iterdir()] == ["trace.npz"]

    def test_what_a_later_version_adds_to_the_meta_data_is_ignored(self, tmp_path):
        arrays, meta = make_trace()
        header = f'{{"format": "dnc-trace", "version": 1, "task": "{meta["task"]}", "more": 1}}'
        np.savez(tmp_path / "trace.npz", header=np.array(header), **arrays)
        assert dnc.Trace.load(tmp_path / "trace.npz").task == "copy"

    def test_one_that_is_no_trace_is_refused_by_name(self, tmp_path):
        path = tmp_path / "weights.npz"
        np.savez(path, weights=np.zeros(3))
        with pytest.raises(
            ValueError, match=r"Cannot read the trace .*weights\.npz: it is not a trace"
        ):
            dnc.Trace.load(path)

    def test_one_of_pickled_objects_is_refused(self, tmp_path):
        path = tmp_path / "trace.npz"
        np.savez(path, header=np.array([print], dtype=object))
        with pytest.raises(ValueError, match="Cannot read the trace"):
            dnc.Trace.load(path)

    def test_a_save_that_fails_keeps_the_one_before(self, tmp_path, trace, monkeypatch):
        path = tmp_path / "trace.npz"
        trace.save(path)
        before = path.read_bytes()

        def disk_is_full(*args, **kwargs):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(np, "savez_compressed", disk_is_full)
        with pytest.raises(OSError, match="No space left"):
            trace.save(path)
        assert path.read_bytes() == before
        assert [path.name for path in tmp_path.iterdir()] == ["trace.npz"]
