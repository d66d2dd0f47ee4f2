"""The viewer without a browser: its types, the tests of js/, and what must not be in its source."""

import os
import re
import shutil
import subprocess

import pytest

from dnc_inspector import page

ROOT = page.STATIC.parents[1]
TESTS = ROOT / "tests" / "system" / "js"
LEAST_NODE = 20  # Its fetch, streams and test runner are those that the tests use.

SOURCES = sorted(page.STATIC.glob("*.js"))
# Names and tokens come from anywhere: as text they are harmless, as HTML they could be scripts.
UNSAFE = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|createContextualFragment|srcdoc|"
    r"\beval\b|\bnew Function\b|javascript:"
)


def node_or_skip():
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed: the tests of the viewer's functions need it")
    version = subprocess.check_output([node, "--version"], text=True)
    if int(version.strip().lstrip("v").split(".")[0]) < LEAST_NODE:
        pytest.skip(f"Node {version.strip()} is older than {LEAST_NODE}")
    return node


def test_the_functions_of_the_viewer():
    files = sorted(str(path) for path in TESTS.glob("*.test.mjs"))
    assert files

    result = subprocess.run(
        [node_or_skip(), "--test", *files], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stdout + result.stderr


def test_its_functions_are_called_as_their_jsdoc_says():
    """The TypeScript compiler checks the types in the comments of the plain modules."""
    tsc = shutil.which("tsc")
    # Where it was promised (make test-all CI=1), a compiler that is missing is a failure.
    if tsc is None and "CI" not in os.environ:
        pytest.skip("tsc, the TypeScript compiler, is not installed")
    assert tsc is not None, "tsc is not installed: run make browser, or npm install -g typescript."

    result = subprocess.run(
        [tsc, "--project", page.STATIC.parent], capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_no_text_becomes_html_or_code(path):
    assert not UNSAFE.findall(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", [*SOURCES, page.STATIC / "style.css"], ids=lambda path: path.name)
def test_nothing_is_fetched_from_elsewhere(path):
    assert not re.findall(r"""https?:|["'(]//""", path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_modules_import_only_each_other_as_the_page_can_tell(path):
    """`page` finds imports line by line, and puts names in their place."""
    source = path.read_text(encoding="utf-8")
    found = re.findall(r'^import \{[^}\n]*\} from "\./([\w.-]+\.js)";$', source, re.MULTILINE)

    assert len(found) == len(
        re.findall(r"\bimport\b(?!\()", re.sub(r"//.*|/\*[\s\S]*?\*/", "", source))
    )
    assert {page.STATIC / name for name in found} <= set(SOURCES)
    assert "import(" not in re.sub(r"\* .*", "", source)


def test_modules_do_not_import_each_other_in_circles():
    imports = {
        path.name: re.findall(r'^import .* from "\./([\w.-]+)";$', path.read_text("utf-8"), re.M)
        for path in SOURCES
    }
    while leaves := [name for name, needed in imports.items() if not set(needed) & set(imports)]:
        for name in leaves:
            del imports[name]

    assert not imports
