import base64
import hashlib
import html.parser
import json
import os
import pathlib
import re

import numpy as np
import pytest

from dnc_inspector import page
from dnc_trace import episode, schema
from dnc_trace.quantities import QUANTITIES
from tests.traces import make_trace

ROOT = pathlib.Path(page.__file__).parents[1]
SHIPPED = page.STATIC
HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)><!--{style}&amp;\u2028\"'"


@pytest.fixture
def static(tmp_path, monkeypatch):
    """A small viewer."""
    folder = tmp_path / "static"
    folder.mkdir()
    (folder / "index.js").write_text(
        'import {a} from "./a.js";\n'
        "export * from './b.view.js';\n"
        "export const startPage = async () => (await import('./a.js')).a + '../a.js';\n"
    )
    (folder / "a.js").write_text('import "./b.view.js"; export const a = "ü";\n', "utf-8")
    (folder / "b.view.js").write_text("export const b = 1;\n")
    (folder / "style.css").write_text("body { content: 'ü'; }", "utf-8")
    (folder / "notes.txt").write_text("not part of the viewer")
    monkeypatch.setattr(page, "STATIC", folder)
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with two traces in it."""
    folder = tmp_path / "work"
    (folder / "other").mkdir(parents=True)
    schema.save(folder / "trace.npz", *make_trace())
    schema.save(folder / "other" / "trace.npz", *make_trace(seed=1))
    monkeypatch.chdir(folder)
    return folder


class Page(html.parser.HTMLParser):
    """The elements of a page in their order, each with its attributes and text."""

    def __init__(self, text):
        super().__init__()
        self.elements = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes), ""))

    def handle_data(self, data):
        if self.elements:
            tag, attributes, text = self.elements.pop()
            self.elements.append((tag, attributes, text + data))

    def scripts(self):
        return [(attrs, text.strip()) for tag, attrs, text in self.elements if tag == "script"]

    def text(self, tag):
        (text,) = (text for name, _, text in self.elements if name == tag)
        return text

    def policy(self):
        (policy,) = (
            attributes["content"]
            for tag, attributes, _ in self.elements
            if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
        )
        return policy

    def modules(self):
        """The source of each module, by its name."""
        urls = json.loads(self.scripts()[0][1])["imports"]
        prefix = "data:text/javascript;base64,"
        assert all(url.startswith(prefix) for url in urls.values())
        return {
            name: base64.b64decode(url.removeprefix(prefix), validate=True).decode("utf-8")
            for name, url in urls.items()
        }

    def runs(self):
        return json.loads(self.scripts()[1][1])["runs"]


def rendered(title="title", **traces):
    return Page(page.render(traces or {"run": make_trace()}, title))


def test_a_page_has_the_viewer_and_the_episodes_and_nothing_else(static):
    result = rendered()

    assert [tag for tag, _, _ in result.elements] == [
        *["html", "head", "meta", "meta", "meta", "title", "style"],
        *["script", "script", "body", "script"],
    ]
    assert [attributes for attributes, _ in result.scripts()] == [
        {"type": "importmap"},
        {"type": "application/json", "id": "episodes"},
        {"type": "module"},
    ]
    assert 'startPage} from "dnc_inspector/index.js"' in result.scripts()[2][1]
    assert "content: 'ü'" in result.text("style")


def test_modules_import_each_other_by_name(static):
    assert rendered().modules() == {
        "dnc_inspector/a.js": 'import "dnc_inspector/b.view.js"; export const a = "ü";\n',
        "dnc_inspector/b.view.js": "export const b = 1;\n",
        "dnc_inspector/index.js": 'import {a} from "dnc_inspector/a.js";\n'
        "export * from 'dnc_inspector/b.view.js';\n"
        "export const startPage = async () => "
        "(await import('dnc_inspector/a.js')).a + '../a.js';\n",
    }


@pytest.mark.skipif(not SHIPPED.is_dir(), reason="there is no viewer yet")
def test_all_imports_of_the_viewer_are_in_the_page():
    result = rendered()
    modules = result.modules()

    assert "dnc_inspector/index.js" in modules
    for source in modules.values():
        imported = re.findall(r"""\b(?:from|import)\s*\(?\s*["']([^"']+)["']""", source)
        assert set(imported) <= modules.keys()
    assert "</" not in result.text("style")


def test_the_security_policy_admits_only_the_scripts_of_the_page(static):
    result = rendered()
    hashes = [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        for _, text in (result.scripts()[0], result.scripts()[2])
    ]

    directives = dict(part.strip().split(" ", 1) for part in result.policy().split(";"))

    assert directives == {
        "default-src": "'none'",
        "script-src": f"'sha256-{hashes[0]}' 'sha256-{hashes[1]}' data:",
        "style-src": "'unsafe-inline'",
        "img-src": "data: blob:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_no_element_asks_for_another_file(static):
    for _, attributes, _ in rendered().elements:
        assert not {"src", "href", "action", "srcset"} & attributes.keys()


def test_every_example_is_in_the_page(static):
    first, second = make_trace(), make_trace(seed=1, optional=False)
    second[1].update(task="", step=7)

    runs = rendered(one=first, two=second).runs()

    assert {run: list(tags) for run, tags in runs.items()} == {"one": ["copy"], "two": ["episode"]}
    for trace, record, step in [
        (first, runs["one"]["copy"], 0),
        (second, runs["two"]["episode"], 7),
    ]:
        header, *examples = episode.encode(*trace)
        assert record == [
            {
                "step": step,
                "header": json.loads(header),
                "examples": [base64.b64encode(example).decode() for example in examples],
            }
        ]


def test_names_and_tokens_cannot_leave_their_place(static):
    arrays, meta = make_trace()
    meta.update(task=HOSTILE, tokens=[[HOSTILE] * 5] * 3)

    result = rendered(title=HOSTILE, **{HOSTILE: (arrays, meta)})

    harmless = rendered()
    assert [tag for tag, _, _ in result.elements] == [tag for tag, _, _ in harmless.elements]
    assert result.text("title").strip() == HOSTILE
    header = result.runs()[HOSTILE][HOSTILE][0]["header"]
    assert header["task"] == HOSTILE
    assert header["examples"][0]["tokens"] == [HOSTILE] * 5
    assert "<" not in result.scripts()[1][1]
    assert result.policy() == harmless.policy()


def test_an_empty_trace_is_refused_by_name(static):
    arrays, meta = make_trace(B=1)
    arrays = {
        name: np.take(array, [], QUANTITIES[name].axes.index("B")) for name, array in arrays.items()
    }

    with pytest.raises(ValueError, match="empty run: The trace is empty"):
        page.render({"empty run": (arrays, meta)}, "title")


def test_the_same_traces_give_the_same_page(static):
    assert page.render({"run": make_trace()}, "a") == page.render({"run": make_trace()}, "a")


def test_the_page_lies_beside_the_first_trace(static, folder, capsys):
    assert page.main(["other/trace.npz"]) == 0

    text = (folder / "other" / "trace.html").read_text(encoding="utf-8")
    assert list(Page(text).runs()) == ["trace"]
    assert Page(text).text("title").strip() == "trace"
    size = f"{len(text.encode()) / 1000:,.0f} kB"
    assert capsys.readouterr().out == f"Wrote other/trace.html ({size}): open it in a browser.\n"
    assert sorted(os.listdir("other")) == ["trace.html", "trace.npz"]


@pytest.mark.parametrize(
    "arguments, runs",
    [
        (["trace.npz"], ["trace"]),
        (["trace.npz", "trace.npz", "./trace.npz"], ["trace"]),
        (["trace.npz", "b.npz"], ["trace", "b"]),
        (["other/trace.npz", "trace.npz", "b.npz"], ["other/trace.npz", "trace.npz", "b.npz"]),
        (["b.npz", "b"], ["b.npz", "b"]),
        (["b"], ["b"]),
    ],
)
def test_runs_are_named_after_the_files_and_distinct(static, folder, arguments, runs):
    for name in ("b", "b.npz"):
        (folder / name).write_bytes((folder / "trace.npz").read_bytes())

    assert page.main([*arguments, "--output=page.html"]) == 0

    assert list(Page(pathlib.Path("page.html").read_text(encoding="utf-8")).runs()) == runs


@pytest.mark.parametrize(
    "name", [f"{HOSTILE.replace('/', '|')}.npz", "ü.npz", os.fsdecode(b"\xff.npz"), "-.npz"]
)
def test_a_trace_may_have_any_name(static, folder, name, capsys):
    (folder / "trace.npz").rename(folder / name)

    assert page.main(["--output=page.html", "--", name]) == 0

    result = Page(pathlib.Path("page.html").read_text(encoding="utf-8"))
    assert list(result.runs()) == [name.removesuffix(".npz")]
    assert [tag for tag, _, _ in result.elements] == [tag for tag, _, _ in rendered().elements]


@pytest.mark.parametrize(
    "arguments, reason",
    [
        (["none.npz"], "Cannot read none.npz: No such file or directory."),
        (["other"], "Cannot read other: Is a directory."),
        (["text.npz"], "Cannot read the trace text.npz: it is damaged, or not a trace"),
        (["half.npz"], "Cannot read the trace half.npz: it is damaged, or not a trace"),
        (["trace.npz", "half.npz"], "Cannot read the trace half.npz"),
        (["arrays.npz"], "Cannot read the trace arrays.npz: it is not a trace"),
        (["trace.npz", "--output=none/page.html"], "Cannot write none/page.html: No such file"),
        (["trace.npz", "--output=other"], "Cannot write other: Is a directory."),
        (["trace.npz", "--output=text.npz/page.html"], "Cannot write text.npz/page.html: Not a"),
        (["trace.npz", "--output=other/../trace.npz"], "The page would replace the trace"),
    ],
)
def test_what_cannot_be_shown_is_told_in_one_line(static, folder, arguments, reason, capsys):
    (folder / "text.npz").write_text("text")
    content = (folder / "trace.npz").read_bytes()
    (folder / "half.npz").write_bytes(content[: len(content) // 2])
    np.savez(folder / "arrays.npz", a=np.zeros(3))
    before = sorted(folder.rglob("*"))

    assert page.main(arguments) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"dnc_inspector: {reason}")
    assert err.count("\n") == 1
    assert sorted(folder.rglob("*")) == before
    assert (folder / "trace.npz").read_bytes() == content


def test_a_page_that_cannot_be_written_leaves_the_one_before(static, folder, monkeypatch, capsys):
    (folder / "trace.html").write_text("before")

    def fail(path, data):
        path.write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", fail)

    assert page.main(["trace.npz"]) == 2

    assert "Cannot write trace.html: No space left on device." in capsys.readouterr().err
    assert (folder / "trace.html").read_text() == "before"
    assert sorted(os.listdir(folder)) == ["other", "trace.html", "trace.npz"]


@pytest.mark.parametrize("arguments", [[], ["--nonsense"], ["trace.npz", "--output"]])
def test_wrong_arguments_are_told_with_the_usage(folder, capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        page.main(arguments)

    assert ended.value.code == 2
    assert "usage: python -m dnc_inspector" in capsys.readouterr().err


def test_help_says_what_it_does(capsys):
    with pytest.raises(SystemExit) as ended:
        page.main(["--help"])

    assert ended.value.code == 0
    assert "recorded episodes" in capsys.readouterr().out
