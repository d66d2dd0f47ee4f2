"""CITATION.cff cites this version."""

import pathlib

import dnc

CITATION = pathlib.Path(__file__).parents[2] / "CITATION.cff"


def test_the_cited_version_is_the_version_of_the_package():
    assert f"version: {dnc.__version__}" in CITATION.read_text("utf-8").splitlines()
