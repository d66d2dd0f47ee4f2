"""Packaging: `pip install .` installs the library `dnc`; the rest runs from a checkout."""

import pathlib
import re

from setuptools import setup

ROOT = pathlib.Path(__file__).parent
VERSION = re.search(r'^__version__ = "(.*)"', (ROOT / "dnc/__init__.py").read_text("utf-8"), re.M)
# Links and pictures in the checkout, which lead nowhere on PyPI: their text remains. When the
# project has an address, put it before them instead. `names["x"](y)` is not a link.
RELATIVE_LINK = re.compile(r"(?<!\w)!?\[([^]]*)\]\((?!https?:)[^)]*\)")

setup(
    name="dnc-sonnet",
    version=VERSION[1],
    description="Differentiable Neural Computer for TensorFlow 2 and Sonnet 2",
    long_description=RELATIVE_LINK.sub(r"\1", (ROOT / "README.md").read_text("utf-8")),
    long_description_content_type="text/markdown",
    author="The dnc-sonnet authors",
    license_expression="Apache-2.0",
    project_urls={"Paper": "https://doi.org/10.1038/nature20101"},
    keywords="differentiable neural computer, DNC, memory, recurrent, TensorFlow, Sonnet, Keras",
    packages=[
        "dnc",
        "dnc.recording",
        "dnc.reference",
        "dnc.unrolling",
        "dnc.unrolling.fused",
        "dnc_inspector",
        "dnc_trace",
    ],
    package_data={"dnc": ["py.typed"], "dnc_inspector": ["static/*"]},
    # TensorBoard imports this whenever it starts, and an error would stop it.
    entry_points={"tensorboard_plugins": ["dnc_memory = dnc_inspector.loader:DncLoader"]},
    python_requires=">=3.10,<3.14",  # As TensorFlow 2.21, the newest, has wheels for.
    install_requires=[
        # 2.18 is the first TensorFlow that works with NumPy 2. Up to 2.20 it requires its own
        # version of TensorBoard; 2.21 is the first that works with TensorBoard 2.21. Below 3, as
        # for Sonnet, because version 2 of neither ran programs written for version 1.
        "tensorflow>=2.18,<3",
        "dm-sonnet>=2.0.2,<3",  # Modules, recurrent cores, unrolls and optimizers.
        "dm-tree>=0.1.8",  # Nests; already a requirement of Sonnet.
        "numpy>=1.26",  # The reference model; TensorFlow 2.18's own lower bound.
        "pillow>=10.1",  # Draws the panels of dnc.summaries; TensorBoard from 2.20 on requires it.
        # Shows the event files, and runs the plugin in dnc_inspector, from 2.18 on. It starts with
        # setuptools >= 82 only from 2.21 on; TensorFlow up to 2.20 requires older versions.
        "tensorboard>=2.18",
    ],
    extras_require={
        "gpu": ["tensorflow[and-cuda]>=2.18,<3"],  # CUDA libraries from PyPI, on Linux.
        "train": [
            "absl-py>=2.0",  # The flags of the scripts.
            "tqdm>=4.66",  # The progress bar of train.py.
            "matplotlib>=3.8",  # The plots of evaluate.py.
            "scikit-learn>=1.4",  # The logistic regressions of training.decode.
        ],
        "docs": [
            "mkdocs-material>=9.7,<10",  # The web site. mkdocs.yml is written for version 9.
            "mkdocstrings[python]>=1.0",  # Its API reference, from the docstrings.
        ],
        "test": [
            "dnc-sonnet[docs,train]",  # They are tested, too.
            "gymnasium>=1.1",  # The environment of examples/recurrent_policy.py.
            "hypothesis>=6.100",  # Property tests.
            "networkx>=3.0",  # Shortest paths for comparison.
            "pytest>=8.0",
            "pytest-cov>=5.0",  # make coverage.
            "pytest-xdist>=3.5",  # Two processes: most of the tests' time is tracing and compiling.
            "selenium>=4.20",  # Tries the viewer in a browser.
            "ruff>=0.6",  # Formatter and linter; it also sets the signatures in the API reference.
            "mypy>=1.18",  # Type checker; dnc ships its annotations.
        ],
        "dist": [
            "build>=1.2",  # Makes the sdist, and the wheel from it.
            "twine>=6.1",  # Checks that PyPI takes their metadata, and uploads them.
            "check-wheel-contents>=0.6.2",  # Compares the wheel's files with the checkout's.
        ],
    },
    classifiers=[
        "Development Status :: 4 - Beta",
        "Intended Audience :: Developers",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",  # The only one that we have run.
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
