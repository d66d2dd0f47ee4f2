import argparse
import gzip
import json
import sys
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tensorboard import errors
from tensorboard.backend import application
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.data import provider
from tensorboard.plugins import base_plugin
from werkzeug.test import Client

from dnc_inspector import plugin
from dnc_inspector.loader import DncLoader
from dnc_trace import episode
from tests.traces import make_trace, write_blobs

ROUTE = "/data/plugin/dnc_memory"
GZIPPED = gzip.compress(b"text", mtime=0)


def flags_for(logdir, path_prefix="", samples_per_plugin=None):
    flags = argparse.Namespace(
        logdir=str(logdir),
        path_prefix=path_prefix,
        samples_per_plugin=dict(samples_per_plugin or {}),
        window_title="",
    )
    DncLoader().fix_flags(flags)
    return flags


def serve(logdir, path_prefix="", samples_per_plugin=None):
    """A client of TensorBoard with this plugin alone, that reads data as --load_fast=false does."""
    flags = flags_for(logdir, path_prefix, samples_per_plugin)
    multiplexer = plugin_event_multiplexer.EventMultiplexer(
        tensor_size_guidance=flags.samples_per_plugin
    )
    multiplexer.AddRunsFromDirectory(str(logdir))
    multiplexer.Reload()
    data = data_provider.MultiplexerDataProvider(multiplexer, str(logdir))
    return Client(application.TensorBoardWSGIApp(flags, [DncLoader()], data_provider=data))


class FakeData(provider.DataProvider):
    """Gives `blob` for every key, or raises it, also for the index."""

    def __init__(self, blob=b"", sequences=None):
        self.blob = blob
        self.sequences = sequences

    def read_blob(self, ctx, *, blob_key):
        if isinstance(self.blob, Exception):
            raise self.blob
        return self.blob

    def read_blob_sequences(self, ctx, **filters):
        if isinstance(self.sequences, Exception):
            raise self.sequences
        return self.sequences

    def list_plugins(self, ctx, *, experiment_id):
        return ["dnc_memory"]

    list_scalars = read_scalars = read_last_scalars = None
    list_tensors = read_tensors = list_blob_sequences = list_runs = None


def serve_fake(**data):
    return Client(application.TensorBoardWSGIApp(flags_for("/"), [DncLoader()], FakeData(**data)))


def refusal(response, status):
    """Asserts that a request was refused with this status, and returns the reason."""
    assert response.status_code == status
    assert response.mimetype == "application/json"
    assert response.json.keys() == {"error"}
    assert "Traceback" not in response.json["error"]
    assert response.json["error"].endswith(".")
    return response.json["error"]


@pytest.fixture(scope="module")
def recorded():
    return episode.encode(*make_trace())


@pytest.fixture(scope="module")
def client(tmp_path_factory, recorded):
    """Two runs of three and one episodes, next to data of another plugin and damaged data."""
    logdir = tmp_path_factory.mktemp("logdir")
    write_blobs(logdir / "a", recorded, "copy", steps=[30, 10, 20])
    write_blobs(logdir / "a", recorded[:1], "no examples")
    write_blobs(logdir / "b" / "<img src=x onerror=alert(1)>", recorded, "</script>")
    write_blobs(logdir / "others", recorded, "others", plugin_name="another")
    write_blobs(logdir / "damaged", [b"{", recorded[1][:-3], b"no gzip", b""], "text")
    write_blobs(logdir / "damaged", np.zeros(2), "numbers")
    write_blobs(logdir / "damaged", np.zeros([0], bytes), "empty")
    return serve(logdir)


@pytest.fixture(scope="module")
def index(client):
    return client.get(f"{ROUTE}/index").json["runs"]


def get(client, route, key, **options):
    return client.get(f"{ROUTE}/{route}", query_string={"key": key}, **options)


def test_tensorboard_lists_the_plugin(client):
    listed = client.get("/data/plugins_listing").json

    assert list(listed) == ["dnc_memory"]
    assert listed["dnc_memory"]["enabled"] is True
    assert listed["dnc_memory"]["tab_name"] == "DNC Memory"
    assert listed["dnc_memory"]["loading_mechanism"] == {
        "type": "IFRAME",
        "module_path": f"{ROUTE}/static/index.js",
    }


def test_without_data_the_tab_is_inactive_and_the_index_empty(tmp_path):
    client = serve(tmp_path)

    assert client.get("/data/plugins_listing").json["dnc_memory"]["enabled"] is False
    assert client.get(f"{ROUTE}/index").json == {"runs": {}}


def test_the_index_lists_the_episodes_of_this_plugin_by_step(index):
    assert list(index) == ["a", "b/<img src=x onerror=alert(1)>", "damaged"]
    assert list(index["a"]) == ["copy", "no examples"]
    assert list(index["b/<img src=x onerror=alert(1)>"]) == ["</script>"]
    assert list(index["damaged"]) == ["numbers", "text"]  # "empty" has nothing to show.
    assert [record["step"] for record in index["a"]["copy"]] == [10, 20, 30]
    for record in index["a"]["copy"]:
        assert record.keys() == {"step", "wall_time", "header", "examples"}
        assert record["wall_time"] > 1e9
        assert len(record["examples"]) == 3
        assert len({record["header"], *record["examples"]}) == 4


def test_the_header_is_sent_as_stored(client, index, recorded):
    for record in index["a"]["copy"]:
        response = get(client, "header", record["header"])
        assert response.status_code == 200
        assert response.mimetype == "application/json"
        assert response.data == recorded[0]


def test_examples_are_sent_compressed_as_stored(client, index, recorded):
    for record in index["a"]["copy"]:
        for key, blob in zip(record["examples"], recorded[1:], strict=True):
            response = get(client, "example", key, headers={"Accept-Encoding": "gzip, br"})
            assert response.status_code == 200
            assert response.mimetype == "application/octet-stream"
            assert response.headers["Content-Encoding"] == "gzip"
            assert response.content_length == len(blob)
            assert response.data == blob


@pytest.mark.parametrize("accepted", [None, "", "br", "gzip;q=0", "identity"])
def test_a_client_that_cannot_inflate_gets_examples_inflated(client, index, recorded, accepted):
    headers = {} if accepted is None else {"Accept-Encoding": accepted}

    response = get(client, "example", index["a"]["copy"][0]["examples"][1], headers=headers)

    assert response.status_code == 200
    assert "Content-Encoding" not in response.headers
    assert response.data == gzip.decompress(recorded[2])
    assert response.content_length == len(response.data)


def test_blobs_are_not_cached_because_their_keys_stay_the_same(client, index):
    record = index["a"]["copy"][0]
    for route, key in [("header", record["header"]), ("example", record["examples"][0])]:
        response = get(client, route, key)
        assert response.headers["Cache-Control"] == "no-cache, must-revalidate"


@pytest.mark.parametrize("route", ["header", "example"])
@pytest.mark.parametrize(
    "key",
    [
        "",
        "x",
        "%",
        "ü",
        "../../etc/passwd",
        "bnVsbA",  # null
        "W10",  # []
        "WyIiLCJkbmNfbWVtb3J5IiwiYSIsImNvcHkiLDEwLDk5XQ",  # No such blob,
        "WyIiLCJkbmNfbWVtb3J5IiwiYSIsImNvcHkiLDExLDBd",  # no such step,
        "WyIiLCJkbmNfbWVtb3J5IiwiYSIsIngiLDEwLDBd",  # no such tag,
        "WyIiLCJkbmNfbWVtb3J5IiwieCIsImNvcHkiLDEwLDBd",  # no such run,
        "WyIiLCJkbmNfbWVtb3J5Iixbe31dLDEsImEiLFtdXQ",  # lists in the place of names,
        "W1tb" * 10_000,  # and lists in lists in lists.
    ],
)
def test_a_key_that_is_none_is_not_found(client, route, key):
    assert "no data under this key" in refusal(get(client, route, key), 404)


@pytest.mark.parametrize("route", ["header", "example"])
def test_a_request_without_key_is_not_found(client, route):
    refusal(client.get(f"{ROUTE}/{route}"), 404)


def test_an_example_is_no_header_and_the_other_way_round(client, index):
    record = index["a"]["copy"][0]

    assert "not JSON" in refusal(get(client, "header", record["examples"][0]), 422)
    assert "damaged" in refusal(get(client, "example", record["header"]), 422)


def test_damaged_data_is_refused(client, index):
    (record,) = index["damaged"]["text"]

    assert "not JSON" in refusal(get(client, "header", record["header"]), 422)
    for key in record["examples"]:
        assert "The example is damaged" in refusal(get(client, "example", key), 422)


def test_numbers_in_the_place_of_blobs_are_refused(client, index):
    (record,) = index["damaged"]["numbers"]

    for route, key in [("header", record["header"]), ("example", record["examples"][0])]:
        assert "not a string of bytes" in refusal(get(client, route, key), 422)


@pytest.mark.parametrize(
    "blob",
    [
        GZIPPED + GZIPPED,  # Its end would not tell its whole length.
        GZIPPED + b"\0",
        GZIPPED[:10],
        GZIPPED[:-1],
        zlib.compress(b"text"),
    ],
)
def test_an_example_is_one_whole_gzip_member(blob):
    refusal(get(serve_fake(blob=blob), "example", "key"), 422)


@pytest.mark.parametrize("size", [0, 1, 2**20 - 1, 2**20, 2**20 + 1, 3 * 2**20])
@pytest.mark.parametrize("level", [0, 9])
def test_an_example_may_have_any_size(size, level):
    data = bytes(size)
    blob = gzip.compress(data, level)

    assert get(serve_fake(blob=blob), "example", "key").data == data
    refusal(get(serve_fake(blob=blob[:-8] + b"\1" + blob[-7:]), "example", "key"), 422)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_a_damaged_example_is_refused_or_harmless(data):
    original = episode.encode(*make_trace(T=1, B=1, optional=False))[1]
    blob = bytearray(original)
    if data.draw(st.booleans(), label="cut"):
        del blob[data.draw(st.integers(0, len(blob) - 1), label="length") :]
    else:
        position = data.draw(st.integers(0, len(blob) - 1), label="position")
        blob[position] ^= 1 << data.draw(st.integers(0, 7), label="bit")

    response = get(serve_fake(blob=bytes(blob)), "example", "key")

    if response.status_code == 200:  # The damage is in the time or system of the gzip header.
        assert response.data == gzip.decompress(original)
    else:
        refusal(response, 422)


@settings(max_examples=200, deadline=None)
@given(
    blob=st.binary()
    | st.binary().map(lambda data: b"\x1f\x8b\x08\0" + data)
    | st.text().map(str.encode)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.text() | st.just("dnc-episode"),
        lambda values: (
            st.lists(values)
            | st.dictionaries(st.sampled_from(["format", "version"]) | st.text(), values)
        ),
    ).map(lambda value: json.dumps(value).encode()),
)
def test_any_other_bytes_are_refused(blob):
    client = serve_fake(blob=blob)

    refusal(get(client, "header", "key"), 422)
    refusal(get(client, "example", "key"), 422)


def test_an_episode_of_another_version_is_refused_with_what_to_do(recorded):
    blob = json.dumps({**json.loads(recorded[0]), "version": 7}).encode()

    reason = refusal(get(serve_fake(blob=blob), "header", "key"), 422)

    assert "version 7" in reason and "dnc-sonnet" in reason


@pytest.mark.parametrize(
    "error, status",
    [
        (errors.NotFoundError("x"), 404),
        (errors.InvalidArgumentError("x"), 404),
        (errors.PermissionDeniedError("not yours."), 403),
        (OSError("the server of the data is gone"), 500),
    ],
)
def test_errors_of_the_data_provider_are_answered(error, status):
    for route in ("header", "example"):
        refusal(get(serve_fake(blob=error), route, "key"), status)


def test_errors_of_the_index_are_answered():
    refusal(serve_fake(sequences=OSError("gone")).get(f"{ROUTE}/index"), 500)
    refusal(
        serve_fake(sequences=errors.PermissionDeniedError("not yours.")).get(f"{ROUTE}/index"), 403
    )


def test_an_unknown_challenge_is_passed_on():
    error = errors.UnauthenticatedError("who are you.", challenge="Basic")

    response = serve_fake(sequences=error).get(f"{ROUTE}/index")

    refusal(response, 401)
    assert response.headers["WWW-Authenticate"] == "Basic"


def test_every_episode_is_kept_unless_the_user_says_how_many(tmp_path):
    write_blobs(tmp_path, [b"{}", b"x"], steps=range(150))

    (kept,) = serve(tmp_path).get(f"{ROUTE}/index").json["runs"]["."].values()
    assert [record["step"] for record in kept] == list(range(150))

    client = serve(tmp_path, samples_per_plugin={"dnc_memory": 7})
    (kept,) = client.get(f"{ROUTE}/index").json["runs"]["."].values()
    assert len(kept) == 7


def test_routes_lie_below_the_path_prefix(tmp_path, recorded, static):
    write_blobs(tmp_path, recorded)
    client = serve(tmp_path, path_prefix="/deep/down")

    listed = client.get("/deep/down/data/plugins_listing").json["dnc_memory"]
    assert listed["loading_mechanism"]["module_path"] == f"/deep/down{ROUTE}/static/index.js"
    (record,) = client.get(f"/deep/down{ROUTE}/index").json["runs"]["."]["episode"]
    response = client.get(f"/deep/down{ROUTE}/header", query_string={"key": record["header"]})
    assert response.data == recorded[0]
    assert client.get(f"/deep/down{ROUTE}/static/index.js").status_code == 200
    assert client.get(f"{ROUTE}/index").status_code == 404


@pytest.fixture
def static(tmp_path, monkeypatch):
    """A folder of static files, with others that must not be served."""
    folder = tmp_path / "package" / "static"
    folder.mkdir(parents=True)
    (folder / "index.js").write_text('export const name = "ü";', encoding="utf-8")
    (folder / "style.css").write_text("body {}")
    (folder / "notes.txt").write_text("secret")
    (folder / ".hidden").write_text("secret")
    (folder.parent / "outside.js").write_text("secret")
    monkeypatch.setattr(plugin, "STATIC", folder)
    return folder


@pytest.mark.parametrize(
    "name, mimetype", [("index.js", "text/javascript"), ("style.css", "text/css")]
)
def test_the_viewer_is_served(static, name, mimetype):
    response = serve_fake().get(f"{ROUTE}/static/{name}")

    assert response.status_code == 200
    assert response.mimetype == mimetype
    assert response.headers["Content-Type"].endswith("charset=utf-8")
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    assert response.headers["Cache-Control"] == "private, max-age=60"
    assert response.data == (static / name).read_bytes()


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "none.js",
        "notes.txt",
        ".hidden",
        "index.js/",
        "x/index.js",
        "/index.js",
        "./index.js",
        "../outside.js",
        "..%2foutside.js",
        "%2e%2e/outside.js",
        "%2e%2e%2foutside.js",
        "..%5coutside.js",
        "....//outside.js",
        "x/../index.js",
        "../static/index.js",
        "index.js%00",
        "index.js%00.css",
        "/etc/passwd",
        "%2fetc%2fpasswd",
        "x/static/index.js",
    ],
)
def test_nothing_else_is_served(static, name):
    response = serve_fake().get(f"{ROUTE}/static/{name}")

    assert response.status_code == 404
    assert b"secret" not in response.data


def test_the_entry_page_loads_the_viewer(client):
    page = client.get("/data/plugin_entry.html", query_string={"name": "dnc_memory"})

    assert 'import("./static/index.js")' in page.text


def test_a_broken_plugin_is_left_out_and_logged(tmp_path, monkeypatch, caplog):
    class Works(base_plugin.TBPlugin):
        plugin_name = "works"

        def get_plugin_apps(self):
            return {}

        def is_active(self):
            return True

    monkeypatch.setitem(sys.modules, "dnc_inspector.plugin", None)  # Its import fails.

    app = application.TensorBoardWSGIApp(
        flags_for(tmp_path), [DncLoader(), Works], data_provider=FakeData()
    )

    assert list(Client(app).get("/data/plugins_listing").json) == ["works"]
    assert "Failed to load plugin DncLoader.load; ignoring it" in caplog.text
