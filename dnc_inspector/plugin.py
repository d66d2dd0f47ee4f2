"""The routes of the TensorBoard plugin.

===================  ==============================================================================
`/index`             {"runs": {run: {tag: [{"step", "wall_time", "header", "examples"}, ...]}}}:
                     `header` is a key, `examples` a list of keys, one for each example
`/header?key=`       the header of an episode: JSON, see `episode`
`/example?key=`      the numbers of one example, see `episode`
`/static/<name>`     the viewer
===================  ==============================================================================

The answer to a request that fails is {"error": "reason and remedy"} with a status of 4xx, or of 500
if TensorBoard itself cannot read its data.
"""

import pathlib
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tensorboard import errors, plugin_util
from tensorboard.backend import http_util
from tensorboard.plugins import base_plugin
from tensorboard.util import tb_logging
from werkzeug import wrappers

from dnc_trace import header

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

STATIC = pathlib.Path(__file__).with_name("static")

_MIME_TYPES = {".css": "text/css", ".js": "text/javascript"}
# For the viewer, not for data: the addresses of blobs stay the same when a run is written again.
_SECONDS_TO_CACHE = 60
# The data provider needs a limit. The loader of the data sets the number of episodes kept.
_ALL = 2**31 - 1
# Bytes to inflate at once: however large an example becomes, checking it takes little memory.
_INFLATE = 2**20

_logger = tb_logging.get_logger()


class DncPlugin(base_plugin.TBPlugin):
    """Plugin that shows recorded episodes in the tab "DNC Memory"."""

    plugin_name = header.PLUGIN_NAME

    def __init__(self, context: base_plugin.TBContext):
        self._data_provider = context.data_provider

    def is_active(self) -> bool:
        """Returns False: TensorBoard shows the tab as soon as there is data for this plugin."""
        return False

    def frontend_metadata(self) -> base_plugin.FrontendMetadata:
        """Returns the name of the tab and the module that fills it."""
        return base_plugin.FrontendMetadata(
            es_module_path="/static/index.js", tab_name="DNC Memory"
        )

    def get_plugin_apps(self) -> dict[str, "WSGIApplication"]:
        """Returns the routes."""
        return {
            "/index": _application(self._index),
            "/header": _application(self._header),
            "/example": _application(self._example),
            "/static/*": _application(_static),
        }

    def _index(self, request: wrappers.Request) -> wrappers.Response:
        sequences = self._data_provider.read_blob_sequences(
            plugin_util.context(request.environ),
            experiment_id=plugin_util.experiment_id(request.environ),
            plugin_name=self.plugin_name,
            downsample=_ALL,
        )
        runs: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for run, tags in sorted(sequences.items()):
            for tag, episodes in sorted(tags.items()):
                listed = []
                for episode in episodes:
                    if keys := [blob.blob_key for blob in episode.values]:
                        listed.append(
                            {
                                "step": episode.step,
                                "wall_time": episode.wall_time,
                                "header": keys[0],
                                "examples": keys[1:],
                            }
                        )
                if listed:
                    runs.setdefault(run, {})[tag] = listed
        return http_util.Respond(request, {"runs": runs}, "application/json")

    def _header(self, request: wrappers.Request) -> wrappers.Response:
        data = self._blob(request)
        try:
            header.parse(data)
        except ValueError as error:
            raise _Refusal(422, str(error)) from error
        return http_util.Respond(request, data, "application/json")

    def _example(self, request: wrappers.Request) -> wrappers.Response:
        data = self._blob(request)
        if not _is_gzip(data):
            raise _Refusal(422, "The example is damaged. Record the episode again.")
        # The browser inflates it; for the rare client that cannot, `Respond` does.
        return http_util.Respond(request, data, "application/octet-stream", content_encoding="gzip")

    def _blob(self, request: wrappers.Request) -> bytes:
        """Returns the data that is stored under the key in the request."""
        key = request.args.get("key", "")
        try:
            blob = self._data_provider.read_blob(plugin_util.context(request.environ), blob_key=key)
        except (
            errors.NotFoundError,
            errors.InvalidArgumentError,
            # The provider of --load_fast=false raises these for invalid keys and keys without data.
            LookupError,
            RecursionError,
            TypeError,
            ValueError,
        ) as error:
            raise _Refusal(
                404,
                "There is no data under this key: it is damaged, or its run was removed or written "
                "again. Reload the page.",
            ) from error
        if not isinstance(blob, bytes):
            raise _Refusal(422, "This is not part of an episode: it is not a string of bytes.")
        return blob


class _Refusal(Exception):
    """A request that gets no data."""

    def __init__(self, status: int, reason: str):
        super().__init__(reason)
        self.status = status


def _application(answer: Callable[[wrappers.Request], wrappers.Response]) -> "WSGIApplication":
    """Returns the WSGI application that answers by this function, or with a reason in JSON."""

    @wrappers.Request.application
    def application(request: wrappers.Request) -> wrappers.Response:
        try:
            return answer(request)
        except _Refusal as refusal:
            status, reason, headers = refusal.status, str(refusal), []
        except errors.PublicError as error:  # For example, no permission.
            status, reason, headers = error.http_code, str(error), error.headers
        except Exception as error:
            # The errors that a data provider raises are not specified.
            _logger.exception("%s: cannot answer %s", header.PLUGIN_NAME, request.path)
            status, headers = 500, []
            reason = f"TensorBoard failed with {type(error).__name__}; see its log."
        return http_util.Respond(
            request, {"error": reason}, "application/json", code=status, headers=headers
        )

    return application


def _static(request: wrappers.Request) -> wrappers.Response:
    """Returns a file of the viewer."""
    # A name is compared with the names of the files, and never made a path.
    files = {path.name: path for path in STATIC.iterdir() if path.suffix in _MIME_TYPES}
    name = request.path.removeprefix(f"/data/plugin/{header.PLUGIN_NAME}/static/")
    if name not in files:
        raise _Refusal(404, "The viewer has no such file. Install the package dnc-sonnet again.")
    path = files[name]
    return http_util.Respond(
        request, path.read_bytes(), _MIME_TYPES[path.suffix], expires=_SECONDS_TO_CACHE
    )


def _is_gzip(data: bytes) -> bool:
    """Whether the data is one whole, undamaged gzip member, and nothing else."""
    inflater = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        while not inflater.eof:
            inflated = inflater.decompress(data, _INFLATE)
            data = inflater.unconsumed_tail
            if not (inflated or data or inflater.eof):
                return False  # The end is missing.
    except zlib.error:
        return False
    return not inflater.unused_data
