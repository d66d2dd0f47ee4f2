"""A pytest plugin that prints at the end what the tests cost, so that they stay cheap.

TensorFlow never frees a program that XLA has compiled (tensorflow/tensorflow#64170): each stays
mapped into the memory of its process. So the programs of each process are counted, and the memory
of all processes together is sampled.
"""

import collections
import os
import pathlib
import sys
import threading

import pytest

SAMPLING_INTERVAL = 2.0  # seconds
PROC = pathlib.Path("/proc")  # Linux; elsewhere the memory is not sampled.


class Programs:
    """Counts what this process compiles with XLA: the traces of functions with `jit_compile`."""

    def __init__(self):
        self.count = 0
        self.by_file = collections.Counter()
        self.file = ""

    def watch(self):
        tf = sys.modules.get("tensorflow")
        if tf is None:  # No test that was collected uses it.
            return
        function_type = type(tf.function(lambda: None))
        call = function_type.__call__

        def counted(function, *args, **kwargs):
            before = function.experimental_get_tracing_count()
            try:
                return call(function, *args, **kwargs)
            finally:
                if function._jit_compile:
                    traced = function.experimental_get_tracing_count() - before
                    self.count += traced
                    self.by_file[self.file] += traced

        function_type.__call__ = counted


class Memory(threading.Thread):
    """Samples the proportional set size of this process and all that it has started."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak_mib = 0
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(SAMPLING_INTERVAL):
            self.peak_mib = max(self.peak_mib, sum(map(_memory_mib, _family(os.getpid()))))


def _family(pid):
    """Returns the process and all its descendants."""
    children = collections.defaultdict(list)
    for path in PROC.glob("[0-9]*/stat"):
        try:
            parent = path.read_text().rpartition(")")[2].split()[1]
        except OSError:  # It has ended.
            continue
        children[int(parent)].append(int(path.parent.name))
    family = [pid]
    for member in family:
        family += children[member]
    return family


def _memory_mib(pid):
    try:
        lines = (PROC / str(pid) / "smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


class Costs:
    """The plugin: a worker counts and tells the process that started it, which prints."""

    def __init__(self, config):
        self.is_worker = hasattr(config, "workerinput")
        self.config = config
        self.programs = Programs()
        self.memory = None
        self.lines = []

    def pytest_sessionstart(self, session):
        if not self.is_worker and PROC.is_dir():
            self.memory = Memory()
            self.memory.start()

    def pytest_collection_finish(self, session):
        self.programs.watch()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        self.programs.file = item.path.name
        return (yield)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node, error):
        self.lines.append(getattr(node, "workeroutput", {}).get("costs", "It was lost."))

    def pytest_sessionfinish(self, session):
        most = ", ".join(f"{name} {n}" for name, n in self.programs.by_file.most_common(5) if n)
        costs = f"{self.programs.count} programs compiled by XLA" + (f" ({most})" if most else "")
        if self.is_worker:
            self.config.workeroutput["costs"] = costs
        elif not self.lines:
            self.lines.append(costs)

    def pytest_terminal_summary(self, terminalreporter):
        terminalreporter.section("costs")
        for number, line in enumerate(self.lines):
            terminalreporter.line(f"process {number}: {line}")
        if self.memory is not None:
            self.memory.ended.set()
            terminalreporter.line(
                f"peak memory of all processes, sampled: {self.memory.peak_mib:.0f} MiB"
            )


def pytest_configure(config):
    config.pluginmanager.register(Costs(config), "costs of the tests")
