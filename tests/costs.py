"""A pytest plugin that prints the costs of the tests at the end, so that they stay cheap.

TensorFlow never frees a program that XLA has compiled (tensorflow/tensorflow#64170): each stays
mapped into the memory of its process. So the programs of each process are counted, and the memory
of all processes together is sampled. Seconds are processor time, which does not depend on the load
of the machine.
"""

import collections
import os
import pathlib
import sys
import threading

import pytest

NUM_SHOWN = 10
SAMPLING_INTERVAL = 2.0  # seconds
PROC = pathlib.Path("/proc")  # Linux; elsewhere the memory is not sampled.


class Programs:
    """Number of programs that this process compiles: the traces of functions with `jit_compile`."""

    def __init__(self):
        self.count = 0

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
                    self.count += function.experimental_get_tracing_count() - before

        function_type.__call__ = counted


class Memory(threading.Thread):
    """Sampler of the memory of this process and all its descendants, libraries counted once."""

    def __init__(self):
        super().__init__(daemon=True)
        self.peak_mib = 0
        self.ended = threading.Event()

    def run(self):
        while not self.ended.wait(SAMPLING_INTERVAL):
            private, shared = zip(*map(_private_and_shared_mib, _family(os.getpid())), strict=True)
            self.peak_mib = max(self.peak_mib, sum(private) + max(shared))


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


def _private_and_shared_mib(pid):
    """Returns the resident memory of a process: its own, and the pages of files."""
    try:
        pages = (PROC / str(pid) / "statm").read_text().split()
    except OSError:
        return 0, 0
    resident, shared = (int(number) * os.sysconf("SC_PAGE_SIZE") / 2**20 for number in pages[1:3])
    return resident - shared, shared


def _processor_seconds():
    """Returns the seconds of this process and of those that it has waited for."""
    return sum(os.times()[:4])


class Costs:
    """The plugin: a worker measures and reports to the process that started it, which prints."""

    def __init__(self, config):
        self.config = config
        self.is_worker = hasattr(config, "workerinput")
        self.memory = None if self.is_worker or not PROC.is_dir() else Memory()
        self.programs = Programs()
        self.seconds = {}
        self.processes = []  # Of each process that ran tests: (programs, seconds by test).

    def pytest_sessionstart(self, session):
        if self.memory:
            self.memory.start()

    def pytest_collection_finish(self, session):
        self.programs.watch()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item):
        before = _processor_seconds()
        try:
            return (yield)
        finally:
            self.seconds[item.nodeid] = _processor_seconds() - before

    def pytest_sessionfinish(self, session):
        costs = (self.programs.count, self.seconds)
        if self.is_worker:
            self.config.workeroutput["costs"] = costs
        elif self.seconds:
            self.processes.append(costs)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node, error):
        if output := getattr(node, "workeroutput", None):  # Not of one that crashed.
            self.processes.append(output["costs"])

    def pytest_terminal_summary(self, terminalreporter):
        terminalreporter.section(f"costs; the {NUM_SHOWN} most expensive tests")
        seconds = {test: s for _, by_test in self.processes for test, s in by_test.items()}
        for test in sorted(seconds, key=seconds.get, reverse=True)[:NUM_SHOWN]:
            terminalreporter.line(f"{seconds[test]:7.1f} s  {test}")
        for programs, by_test in self.processes:
            terminalreporter.line(
                f"A process: {len(by_test)} tests, {sum(by_test.values()):.0f} s of processor "
                f"time, {programs} programs compiled by XLA."
            )
        if self.memory:
            self.memory.ended.set()
            terminalreporter.line(
                f"Peak memory of all processes together, sampled: {self.memory.peak_mib:.0f} MiB."
            )


def pytest_configure(config):
    config.pluginmanager.register(Costs(config), "costs of the tests")
