"""The plugin of TensorBoard in a real server, and what its modules import."""

import gzip
import json
import urllib.error
import urllib.request

import pytest

from dnc_trace import episode
from tests.scripts import modules_after
from tests.served import tensorboard
from tests.traces import make_trace, write_blobs

ROUTE = "/data/plugin/dnc_memory"


def test_the_loader_imports_only_the_base_classes_of_tensorboard():
    expected = modules_after("import argparse, json, typing, tensorboard.plugins.base_plugin")

    assert modules_after("import dnc_inspector.loader") == expected | {
        "dnc_inspector",
        "dnc_trace",
        "dnc_trace.header",
        "dnc_inspector.loader",
    }


def test_the_plugin_imports_neither_numpy_nor_a_model():
    imported = modules_after("import dnc_inspector.plugin")

    assert not {"numpy", "tensorflow", "sonnet", "dnc", "grpc"} & imported


def fetch(url):
    try:
        with urllib.request.urlopen(url) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


@pytest.mark.parametrize("load_fast", ["true", "false"])
def test_a_real_tensorboard_finds_the_plugin_and_its_data(tmp_path, load_fast):
    """With either of its readers of data."""
    recorded = episode.encode(*make_trace())
    write_blobs(tmp_path / "logs" / "run", recorded, steps=range(12))
    (tmp_path / "installed").mkdir()

    def runs_at(address):
        return json.loads(fetch(f"{address}{ROUTE}/index")[1])["runs"]

    options = ["--path_prefix=/deep", f"--load_fast={load_fast}"]
    with tensorboard(
        tmp_path / "logs", tmp_path / "installed", *options, has_read=runs_at
    ) as address:
        listed = json.loads(fetch(f"{address}/data/plugins_listing")[1])
        assert listed["dnc_memory"]["enabled"] is True
        records = runs_at(address)["run"]["episode"]
        assert [record["step"] for record in records] == list(range(12))
        assert fetch(f"{address}{ROUTE}/header?key={records[-1]['header']}") == (200, recorded[0])
        for key, blob in zip(records[-1]["examples"], recorded[1:], strict=True):
            expected = (200, gzip.decompress(blob))
            assert fetch(f"{address}{ROUTE}/example?key={key}") == expected
        for key in ("", "nonsense", records[0]["header"][:-2], f"{records[0]['header']}A"):
            status, reason = fetch(f"{address}{ROUTE}/header?key={key}")
            assert status == 404
            assert "no data under this key" in json.loads(reason)["error"]
