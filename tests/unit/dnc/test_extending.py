"""Parts as docs/extending.md defines them: everything takes them up by itself."""

import functools
import pathlib
import re

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from tests.models import after_some_steps, assert_same, graph, random_inputs, with_gradients

PAGE = pathlib.Path(__file__).parents[3] / "docs" / "extending.md"
CLASS = re.compile(r"^(class \w+\(dnc\.\w+\):\n(?:(?:    .*)?\n)+)", flags=re.MULTILINE)
SIZES = {"memory_size": 6, "word_size": 4, "num_reads": 2, "num_writes": 2}


def of_page():
    """The classes that the page defines, by name."""
    names = {"dnc": dnc, "tf": tf}
    for definition in CLASS.findall(PAGE.read_text("utf-8")):
        exec(definition, names)
    return names


PARTS = {
    "read": lambda names: {"read_content": names["NearestWeights"](2, 4)},
    "write": lambda names: {"write_content": names["NearestWeights"](2, 4)},
    "allocation": lambda names: {"freeness": names["FadingUsage"](6)},
    "links": lambda names: {"linkage": names["FadingLinks"](6, 2)},
}


def core_with(part):
    access = dnc.MemoryAccess(**SIZES, **PARTS[part](of_page()))
    core = dnc.DNC(access, snt.LSTM(7, dtype=tf.float64), 3, 20.0)
    core(tf.zeros([1, 5], tf.float64), core.initial_state(1, tf.float64))
    rng = np.random.default_rng(0)
    for variable in core.trainable_variables:
        variable.assign(rng.normal(size=variable.shape) / np.sqrt(variable.shape[0]))
    return core


@pytest.mark.parametrize("part", PARTS)
def test_the_fused_unroll_agrees_with_the_steps(part):
    core = core_with(part)
    inputs, state = random_inputs(5, 3), after_some_steps(core)
    options = {"sequence_length": [5, 2, 0], "reset": np.eye(5, 3, -1, dtype=bool)}
    run = functools.partial(with_gradients, dnc.unroll, core, **options)
    fused = graph(functools.partial(run, implementation="fused"))
    assert_same(fused(inputs, state), run(inputs, state, implementation="steps"), 1e-10)


@pytest.mark.parametrize("part", PARTS)
def test_gradients_are_finite_from_the_empty_memory_on(part):
    core = core_with(part)
    _, gradients = with_gradients(
        dnc.unroll, core, random_inputs(3, 2), core.initial_state(2, tf.float64)
    )
    assert all(np.isfinite(gradient).all() for gradient in gradients)


@pytest.mark.parametrize(
    ("part", "name", "axes", "shape"),
    [
        ("read", "read_precisions", "TBRW", (3, 2, 2, 4)),
        ("write", "write_precisions", "TBVW", (3, 2, 2, 4)),
        ("allocation", "fading", "TB?", (3, 2, 1)),
        ("links", "follow", "TBR", (3, 2, 2)),
    ],
)
def test_a_trace_has_the_field(part, name, axes, shape):
    trace = dnc.record(core_with(part), random_inputs(3, 2))
    assert trace.extras[name].shape == shape
    assert trace.declared[name]["axes"] == axes


def test_default_parts_have_the_fields_of_the_released_code():
    access = dnc.MemoryAccess(16, 4, 3, 2)
    assert access.interface.widths == {
        "read_keys": 12,
        "read_strengths": 3,
        "write_keys": 8,
        "write_strengths": 2,
        "erase_vectors": 8,
        "write_vectors": 8,
        "free_gate": 3,
        "allocation_gate": 2,
        "write_gate": 2,
        "read_mode": 15,
    }


class WithFields(dnc.CosineWeights):
    """A look-up with further fields."""

    def __init__(self, num_heads, word_size, more):
        super().__init__(num_heads, word_size)
        self._more = more

    def fields(self):
        return {**super().fields(), **self._more}


class TestErrors:
    def test_fields_of_one_name_name_both_parts(self):
        with pytest.raises(
            ValueError, match=r"linkage and read_content both declare .*'read_mode'"
        ):
            dnc.MemoryAccess(6, 4, read_content=WithFields(1, 4, {"mode": dnc.Field("H")}))

    @pytest.mark.parametrize("shape", ["HX", (0,), ("H", -1), (2.0,), (True,), ("HW",)])
    def test_an_impossible_shape_names_field_and_part(self, shape):
        with pytest.raises(ValueError, match=r"'odd' of write_content has shape .*letters N, W"):
            dnc.MemoryAccess(6, 4, write_content=WithFields(1, 4, {"odd": dnc.Field(shape)}))

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                {"read_content": dnc.CosineWeights(3, 4)},
                "read_content .* num_heads=2.*got 3",
            ),
            (
                {"write_content": dnc.CosineWeights(2, 5)},
                "write_content .* word_size=4.*got 5",
            ),
            ({"freeness": dnc.Freeness(7)}, "freeness must have memory_size=6.*got 7"),
            ({"linkage": dnc.TemporalLinkage(6)}, "linkage must have num_writes=2.*got 1"),
        ],
    )
    def test_a_part_for_other_sizes_names_both(self, options, message):
        with pytest.raises(ValueError, match=message):
            dnc.MemoryAccess(**SIZES, **options)

    def test_a_part_without_fields_says_what_is_missing(self):
        with pytest.raises(ValueError, match=r"linkage must have a method fields\(\).*got LSTM"):
            dnc.MemoryAccess(6, 4, linkage=snt.LSTM(3))
