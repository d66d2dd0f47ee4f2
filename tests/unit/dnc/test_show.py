"""The viewer in a notebook; in a browser: tests/system/test_browser.py."""

import html.parser

import numpy as np
import pytest

import dnc
from dnc_inspector import page
from tests.traces import make_trace

HOSTILE = '"></iframe><script>alert(1)</script>&quot;{page}'


def make(**meta):
    arrays, known = make_trace()
    return dnc.Trace(**arrays, **{**known, **meta})


class Elements(html.parser.HTMLParser):
    """The elements of a text, each with its attributes, and what is outside of them."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.others = [], ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.others += data


def frame_of(view):
    found = Elements(view._repr_html_())
    ((tag, attributes),) = found.elements
    assert (tag, found.others) == ("iframe", "")
    return attributes


@pytest.mark.parametrize("task", ["copy", HOSTILE])
def test_a_notebook_shows_the_page_of_the_trace_in_a_frame(task):
    trace = make(task=task, tokens=[[task] * 5] * 3, step=7)

    frame = frame_of(dnc.show(trace))

    expected = page.render({"trace": (trace.arrays(), trace.meta())}, title="DNC Memory")
    assert frame["srcdoc"] == expected
    assert (frame["width"], frame["height"]) == ("100%", "780")


def test_the_frame_cannot_reach_the_notebook_around_it():
    assert set(frame_of(dnc.show(make()))["sandbox"].split()) == {
        "allow-scripts",
        "allow-downloads",
    }


@pytest.mark.parametrize("height", [1, np.int64(500)])
def test_the_height_is_the_height_of_the_frame(height):
    assert frame_of(dnc.show(make(), height))["height"] == str(height)


def test_elsewhere_its_sizes_are_printed():
    assert repr(dnc.show(make())).startswith("<Trace(T=5, B=3, X=4, Y=2,")


@pytest.mark.parametrize(
    "given, named",
    [
        (None, "a NoneType"),
        ("trace.npz", "a str"),
        (make_trace()[0], "a dict"),
        ([make(), make()], "a list of 2"),
    ],
)
def test_what_is_not_a_trace_is_refused(given, named):
    with pytest.raises(ValueError, match=rf"^trace must be a dnc\.Trace, .* got {named}\.$"):
        dnc.show(given)


@pytest.mark.parametrize("height", [0, -1, 2.5, "500", "100%", True, None])
def test_a_height_that_is_no_number_of_pixels_is_refused(height):
    with pytest.raises(ValueError, match=r"^height must be an integer >= 1, got "):
        dnc.show(make(), height=height)


def test_a_trace_without_examples_is_refused():
    with pytest.raises(ValueError, match=r"^trace: The trace is empty: 5 steps of 0 examples\.$"):
        dnc.show(make().examples())
