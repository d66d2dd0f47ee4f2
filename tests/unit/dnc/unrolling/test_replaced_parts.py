"""The fused unroll of a core with parts that were replaced."""

import functools
import inspect

import pytest
import sonnet as snt
import tensorflow as tf

import dnc
from dnc.interface import Interface
from dnc.unrolling import fused
from tests.models import after_some_steps, graph, make_core, random_inputs, random_state
from tests.unit.dnc.unrolling.test_fused import (
    CONTROLLERS,
    assert_same,
    with_gradients,
    with_variables,
)


class TestReplacedParts:
    """Whatever is replaced in a core, it has the gradients of its plain steps."""

    @staticmethod
    def paths():
        core = make_core(dtype=tf.float64)
        found = core._flatten(predicate=lambda x: isinstance(x, tf.Module), with_path=True)
        return ["", *(".".join(path) for path, _ in found)]

    @staticmethod
    def part(core, path):
        return functools.reduce(getattr, path.split("."), core) if path else core

    @pytest.mark.parametrize("path", paths())
    def test_a_subclass_has_its_own_gradients(self, path, taken):
        core = make_core(memory_size=3, hidden_size=4, dtype=tf.float64)
        part = self.part(core, path)
        # A DNC calls its access without the checks of `__call__`.
        method = "compute" if isinstance(part, dnc.MemoryAccess) else "__call__"

        def changed(self, *args, **kwargs):
            results = getattr(super(kind, self), method)(*args, **kwargs)
            return tf.nest.map_structure(lambda x: 0.8 * tf.sin(x), results)

        kind = type(part)
        kind = type(kind)(f"Changed{kind.__name__}", (kind,), {method: changed})
        object.__setattr__(part, "__class__", kind)

        inputs, state = random_inputs(2, 2), random_state(core, 2)
        run = functools.partial(with_gradients, dnc.unroll, core)
        run_graph = graph(run)
        if part is core:
            with pytest.warns(UserWarning, match="does not support a Changed"):
                results = run_graph(inputs, state)
        else:
            results = run_graph(inputs, state)
        assert_same(results, run(inputs, state), 1e-10)
        assert bool(taken) == (part is not core)

    def test_an_interface_of_its_own_counts(self):
        class Bounded(Interface):
            def compute(self, controller_output):
                return super().compute(tf.tanh(3.0 * controller_output))

        core = dnc.DNC(dnc.MemoryAccess(3, 2, 2), snt.LSTM(4, dtype=tf.float64), 3)
        core.access.interface = Bounded(core.access.interface.fields)
        core = with_variables(core, scale=3.0)
        inputs, state = random_inputs(2, 2), after_some_steps(core, 2)
        run = functools.partial(with_gradients, dnc.unroll, core)
        sonnet = with_gradients(snt.static_unroll, core, inputs, state)
        assert_same(graph(run)(inputs, state), sonnet, 1e-10)

    @pytest.mark.parametrize("controller", CONTROLLERS)
    def test_a_part_with_a_method_of_an_instance_runs_again(self, controller):
        core = with_variables(dnc.DNC(dnc.MemoryAccess(6, 4, 2), CONTROLLERS[controller](), 3))
        outside = {core.output_linear}  # It runs outside of the loop.
        assert fused.reason_against(core) is None
        for part in {core, *core.submodules} - outside:
            methods = [x for x, value in vars(type(part)).items() if inspect.isroutine(value)]
            for name in {"__call__", *methods} - {"__init__", "__new__"}:
                object.__setattr__(part, name, getattr(part, name))
                if part is core:
                    assert fused.reason_against(core) == "a replaced method of the core"
                else:
                    assert fused.recomputes(core)
                object.__delattr__(part, name)
