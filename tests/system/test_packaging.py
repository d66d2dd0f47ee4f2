"""The sdist and the wheel, built without the network: their files, and that they run."""

import pathlib
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile

import pytest

import dnc
from tests.mutants.runner import copy_tree
from tests.scripts import ROOT, start

PACKAGES = ("dnc", "dnc_inspector", "dnc_trace")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")
OFFLINE = ("--quiet", "--no-index", "--no-deps")
FILES = {
    path.relative_to(ROOT).as_posix()
    for package in PACKAGES
    for path in (ROOT / package).rglob("*")
    if path.suffix in {".py", ".js", ".css", ".typed"}
}
PROGRAM = """
import importlib.metadata, sys, numpy as np, tensorflow as tf, dnc
core = dnc.DNC({"memory_size": 4, "word_size": 3}, {"hidden_size": 5}, 3)
outputs, _ = tf.function(dnc.unroll)(core, np.ones([4, 2, 6], "float32"))
dnc.record(core, np.ones([4, 2, 6], "float32")).save("trace.npz")
(plugin,) = importlib.metadata.entry_points(group="tensorboard_plugins", name="dnc_memory")
modules = [sys.modules[each].__file__ for each in ("dnc", "dnc_trace", plugin.load().__module__)]
print(outputs.shape, importlib.metadata.version("dnc-sonnet"), *modules, sep="\\n")
"""


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    copy = copy_tree(tmp_path_factory.mktemp("copy"))
    subprocess.run([sys.executable, "setup.py", "--quiet", "sdist"], cwd=copy, check=True)
    (made,) = copy.glob("dist/*")
    return made


@pytest.fixture(scope="module")
def wheel(sdist):
    command = [*PIP, "wheel", *OFFLINE, "--no-build-isolation", sdist]
    subprocess.run([*command, f"--wheel-dir={sdist.parent}"], check=True)
    (made,) = sdist.parent.glob("*.whl")
    return made


def test_the_sdist_has_the_packages_and_what_builds_them(sdist):
    with tarfile.open(sdist) as archive:
        files = {each.name.partition("/")[2] for each in archive if each.isfile()}

    others = {"LICENSE", "PKG-INFO", "README.md", "pyproject.toml", "setup.cfg", "setup.py"}
    assert {name for name in files if ".egg-info/" not in name} == FILES | others


def test_the_wheel_has_the_packages_and_the_licence_alone(wheel):
    with zipfile.ZipFile(wheel) as archive:
        files = archive.namelist()

    assert {name for name in files if ".dist-info/" not in name} == FILES
    assert sum(name.endswith("/LICENSE") for name in files) == 1


def test_its_description_is_the_readme_without_links_into_the_checkout(wheel):
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        description = archive.read(metadata).decode("utf-8").partition("\n\n")[2]

    blocks = re.findall(r"^```.*?^```$", (ROOT / "README.md").read_text("utf-8"), re.S | re.M)
    assert blocks
    assert all(block in description for block in blocks)
    assert not re.search(r"[^\"]\]\((?!https://)", description)


def test_it_runs_in_an_environment_of_its_own(wheel, tmp_path):
    """The environment borrows this one's libraries, since TensorFlow takes minutes to install."""
    venv.create(tmp_path / "env", symlinks=True)
    python = str(tmp_path / "env/bin/python")
    subprocess.run([*PIP, f"--python={python}", "install", *OFFLINE, wheel], check=True)
    (site,) = (tmp_path / "env").glob("lib/python*/site-packages")
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib"))

    ran = start([python, "-c", PROGRAM], tmp_path)
    paged = start([python, "-m", "dnc_inspector", "trace.npz", "--output=page.html"], tmp_path)

    assert ran.code == 0, ran.err
    shape, version, *modules = ran.lines
    assert (shape, version) == ("(4, 2, 3)", dnc.__version__)
    assert all(pathlib.Path(module).is_relative_to(site) for module in modules)
    assert (paged.code, paged.err) == (0, "")
