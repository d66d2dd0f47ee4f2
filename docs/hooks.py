"""Hooks of mkdocs: pages from files outside docs/, so that every link of the repository works.

README.md becomes the first page. CONTRIBUTING.md, CHANGELOG.md and each file that a page links to
become pages of their own; a link to a directory becomes its name.
"""

import json
import os
import pathlib
import re
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = pathlib.Path(__file__).parents[1]
MOVED = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
}
# Code, in which nothing is a link, or a link to a file of the repository, pictures included.
_LINK = re.compile(
    r"(?P<code>^```.*?^```|`[^`\n]*`)|\[(?P<text>(?:[^][]|\[[^]]*\])*)\]"
    r"\((?P<path>(?!https?://)[^)#\s]+)(?P<anchor>#[^)]*)?\)",
    re.MULTILINE | re.DOTALL,
)


def place(path: str) -> str | None:
    """Returns the place in the site of a file of the repository; `None` for a directory."""
    if not (ROOT / path).is_file():
        return None
    if path in MOVED:
        return MOVED[path]
    if path.startswith("docs/") and not path.endswith((".py", ".csv")):
        return path.removeprefix("docs/")
    return f"source/{path}.md"


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages for files outside docs/."""
    pages = {f"docs/{file.src_uri}" for file in files.documentation_pages()} | set(MOVED)
    linked = {resolved(page, path) for page in pages for path in links(ROOT / page)}
    for path in sorted(linked | set(MOVED)):
        uri = place(path)
        if uri and not files.get_file_from_path(uri):
            files.append(File.generated(config, uri, content=text_of(path)))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Points the links and pictures of a page at files of the site."""
    uri = page.file.src_uri
    source = {moved: path for path, moved in MOVED.items()}.get(uri, f"docs/{uri}")
    if uri.startswith("source/"):
        source = uri.removeprefix("source/").removesuffix(".md")
    if not source.endswith((".md", ".ipynb")):
        return markdown

    def link(found: re.Match[str]) -> str:
        if found["code"]:
            return found[0]
        target = place(resolved(source, found["path"]))
        if target is None:
            return found["text"]
        relative = os.path.relpath(target, os.path.dirname(uri) or ".")
        return f"[{found['text']}]({relative}{found['anchor'] or ''})"

    return _LINK.sub(link, markdown)


def links(page: pathlib.Path) -> list[str]:
    """Returns the paths that a page links to."""
    text = page.read_text("utf-8")
    return [found["path"] for found in _LINK.finditer(text) if not found["code"]]


def resolved(page: str, link: str) -> str:
    """Returns the path of a link, from the root of the repository."""
    return os.path.normpath(os.path.join(os.path.dirname(page), link))


def text_of(path: str) -> str:
    """Returns a page with the content of a file."""
    text = (ROOT / path).read_text("utf-8")
    if path.endswith(".md"):
        return text
    if path.endswith(".ipynb"):
        cells = [(each["cell_type"], "".join(each["source"])) for each in json.loads(text)["cells"]]
        return "\n\n".join(x if kind == "markdown" else f"```python\n{x}\n```" for kind, x in cells)
    language = {".py": "python", ".yml": "yaml"}.get(pathlib.Path(path).suffix, "text")
    return f"# {path}\n\n````{language}\n{text}````\n"
