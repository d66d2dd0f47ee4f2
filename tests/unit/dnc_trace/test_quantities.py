import pathlib
import re

import pytest

import dnc_trace
from dnc_trace import quantities
from dnc_trace.quantities import AXES, INTERFACE, QUANTITIES, STEP
from tests.traces import EXTRAS

DOCUMENT = pathlib.Path(dnc_trace.__file__).parents[1] / "docs" / "inspection.md"


def test_every_row_is_complete():
    assert len(QUANTITIES) == len(set(QUANTITIES))
    for name, quantity in QUANTITIES.items():
        assert name == quantity.name and name.isidentifier()
        assert set(quantity.axes) <= set(AXES)
        assert quantity.meaning


def test_the_quantities_of_a_step_have_time_and_batch_first():
    assert all(quantity.axes.startswith("TB") for quantity in STEP)
    assert len({quantity.name for quantity in STEP}) == len(STEP)
    assert set(INTERFACE) < set(STEP)


def test_without_extras_the_order_is_that_of_the_table():
    assert quantities.in_order({}) == [quantity.name for quantity in STEP]


def test_extras_come_right_before_what_they_say():
    order = quantities.in_order(EXTRAS)

    assert [name for name in order if name not in EXTRAS] == quantities.in_order({})
    for first, *names in (
        ("read_masks", "read_content_weights"),
        ("similarities", "write_content_weights"),
        ("temperature", "habits", "read_weights"),
    ):
        start = order.index(first)
        assert order[start + 1 : start + 1 + len(names)] == names


@pytest.mark.parametrize("before, after", [("free_gate", "usage"), ("usage", "allocation_weights")])
def test_a_quantity_comes_after_those_that_it_is_computed_from(before, after):
    order = quantities.in_order({})
    assert order.index(before) < order.index(after)


def test_the_document_has_the_table():
    found = re.search(
        r"<!-- python -m dnc_trace.quantities -->\n\n(.*?)\n\n<!-- end -->",
        DOCUMENT.read_text("utf-8"),
        re.DOTALL,
    )
    assert found is not None
    assert found[1] == quantities.table(), "Put the output of python -m dnc_trace.quantities there."
