"""One HTML page with the viewer and recorded episodes in it, to share and to open anywhere.

    python -m dnc_inspector trace.npz [more.npz ...] [--output=page.html]

The page needs no server, and its security policy prevents it from contacting one.
"""

import argparse
import base64
import hashlib
import html
import json
import os
import pathlib
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dnc_trace import episode, paths, schema

STATIC = pathlib.Path(__file__).with_name("static")

_START = 'import {startPage} from "dnc_inspector/index.js"; startPage(document.body);'
_RELATIVE_SPECIFIER = re.compile(r"""(["'])\./([\w.-]+\.js)\1""")

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
{style}
</style>
<script type="importmap">{import_map}</script>
<script type="application/json" id="episodes">{episodes}</script>
</head>
<body>
<script type="module">{start}</script>
</body>
</html>
"""


def render(
    traces: Mapping[str, tuple[Mapping[str, np.ndarray], Mapping[str, Any]]], title: str
) -> str:
    """Returns a page that shows traces.

    Args:
      traces: arrays and meta data, as `schema.load` returns them, by the name of the run that the
        viewer shows.
      title: title of the page.

    Raises:
      ValueError: if the arrays of a trace do not fit together.
    """
    import_map = _json({"imports": _modules()})
    episodes = {run: _records(run, arrays, meta) for run, (arrays, meta) in traces.items()}
    # Scripts are the two of this page, by their hashes, and the modules. "style" admits the
    # attributes that the viewer sets, "img" pictures of its canvases.
    policy = (
        "default-src 'none'; "
        f"script-src {_hash(import_map)} {_hash(_START)} data:; "
        "style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    return _PAGE.format(
        policy=policy,
        title=html.escape(title),
        style=(STATIC / "style.css").read_text(encoding="utf-8"),
        import_map=import_map,
        episodes=_json({"runs": episodes}),
        start=_START,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes a page that shows the traces named on the command line. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m dnc_inspector",
        description="Makes one HTML page that shows recorded episodes, and needs nothing else.",
    )
    parser.add_argument(
        "traces", nargs="+", metavar="trace.npz", help="file that dnc.Trace.save has written"
    )
    parser.add_argument("--output", metavar="page.html", help="default: trace.html")
    flags = parser.parse_args(arguments)
    try:
        files = list(dict.fromkeys(map(paths.local, flags.traces)))  # Each trace is shown once.
        output = flags.output and paths.local(flags.output)
        traces = dict(zip(_runs(files), map(_load, files), strict=True))
        output = output or files[0].with_name(_name(files[0]) + ".html")
        if os.path.realpath(output) in map(os.path.realpath, files):
            raise ValueError(f"The page would replace the trace {output}. Give another --output.")
        # File names need not be valid text. Invalid bytes are replaced.
        page = render(traces, title=", ".join(map(_name, files))).encode("utf-8", "replace")
        _write(output, page)
    except ValueError as error:
        print(f"dnc_inspector: {error}", file=sys.stderr)
        return 2
    written = os.fsencode(output).decode("utf-8", "replace")
    print(f"Wrote {written} ({len(page) / 1000:,.0f} kB): open it in a browser.")
    return 0


def _name(path: pathlib.Path) -> str:
    return path.name.removesuffix(".npz")


def _runs(files: Sequence[pathlib.Path]) -> list[str]:
    """Returns names of the runs: file names, or whole paths if file names are not distinct."""
    names = [_name(path) for path in files]
    return names if len(set(names)) == len(names) else [str(path) for path in files]


def _load(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    try:
        return schema.load(path)
    except OSError as error:
        raise ValueError(f"Cannot read {path}: {error.strerror}.") from error


def _write(path: pathlib.Path, page: bytes) -> None:
    """Writes the whole page, or nothing."""
    temporary = path.with_name(f"{path.name}.tmp")
    try:
        try:
            temporary.write_bytes(page)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ValueError(f"Cannot write {path}: {error.strerror}.") from error


def _records(
    run: str, arrays: Mapping[str, np.ndarray], meta: Mapping[str, Any]
) -> dict[str, list[dict[str, Any]]]:
    """Lists the episode of a trace as `plugin` lists a run's, with data in place of keys."""
    try:
        header, *examples = episode.encode(arrays, meta)
    except ValueError as error:
        raise ValueError(f"{run}: {error}") from error
    record = {
        "step": meta.get("step", 0),
        "header": json.loads(header),
        "examples": [base64.b64encode(example).decode("ascii") for example in examples],
    }
    return {meta.get("task") or "episode": [record]}


def _modules() -> dict[str, str]:
    """Returns the viewer's modules as data, by name.

    Data has no address that a relative import could refer to, so imports are by name.
    """
    modules = {}
    for path in sorted(STATIC.glob("*.js")):
        source = path.read_text(encoding="utf-8")
        source = _RELATIVE_SPECIFIER.sub(r"\1dnc_inspector/\2\1", source)
        data = base64.b64encode(source.encode("utf-8")).decode("ascii")
        modules[f"dnc_inspector/{path.name}"] = f"data:text/javascript;base64,{data}"
    return modules


def _json(value: Any) -> str:
    """Returns JSON whose contents cannot end a script, as "</script>" would."""
    return json.dumps(value).replace("<", "\\u003c")


def _hash(script: str) -> str:
    """Returns the hash by which a security policy names a script."""
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
