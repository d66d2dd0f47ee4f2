"""The loops through time: forwards, keeping residuals, and backwards."""

import functools
from typing import Any, NamedTuple

import sonnet as snt
import tensorflow as tf

from dnc import _cores, _nests
from dnc.core import DNC, DNCState, flatten_words
from dnc.unrolling.fused.controllers import controller_step
from dnc.unrolling.fused.memory import access_step
from dnc.unrolling.fused.products import times_transpose_of
from dnc.unrolling.fused.registry import fused_part, is_patched
from dnc.unrolling.steps import unroll_steps


class LoopState(NamedTuple):
    """Quantities that the loops carry from step to step, or their gradients."""

    words: Any  # [B, R W]
    controller: Any
    memory: Any


class Residuals(NamedTuple):
    """Quantities of a step that the backward pass needs, besides the states before and after it."""

    controller: Any
    memory: Any


class SavedSteps(NamedTuple):
    """Quantities that the forward pass saves for the backward pass."""

    states: Any  # stored `LoopState`s before the first step and after each, [T + 1, B, ...]
    hidden: Any  # controller outputs, [T, B, H]
    residuals: Any  # `Residuals` of each step, [T, B, ...]


class Weights(NamedTuple):
    """Weights that the steps multiply by."""

    controller: Any
    memory: Any


class Masks(NamedTuple):
    """Masks of the examples that run, or `None` for all, and that restart, or `None` for none."""

    running: Any  # [T, B], where false the state is kept
    reset: Any  # [T, B], where true the example restarts


def reason_against(core: DNC) -> str | None:
    """Returns the part of a core that this package does not support, or `None`."""
    if type(core) is not DNC:
        return f"a {type(core).__name__}, which is not dnc.DNC itself"
    if is_patched(core):
        return "a replaced method of the core"
    if any(map(_cores.has_custom_getter, (core, *core.submodules))):
        return "a custom variable getter"
    if any(part is None for part in tf.nest.flatten(core.state_size)):
        return "a state that contains None"
    return None


def recomputes(core: DNC) -> bool:
    """Whether parts of a core run again in the backward pass, so that they must be repeatable."""
    return FusedUnroll(core).recomputes


def unroll(
    core: DNC,
    sequence: dict[str, tf.Tensor],
    state: DNCState,
    fresh_state: DNCState,
    training: bool | None = None,
) -> tuple[tf.Tensor, DNCState]:
    """Returns a core's outputs [T, B, Y] for a sequence, and its last state.

    Args:
      core: a core without a `reason_against`.
      sequence: `inputs` [T, B, X]; if given, `running` and `reset`, [T, B] booleans.
      state: state before the first step.
      fresh_state: state to restart from, for `reset`.
      training: passed on to controller and output layer, see `_cores.call_with_training`.
    """
    return FusedUnroll(core, training)(sequence, state, fresh_state)


class FusedUnroll:
    """A core over a whole sequence."""

    def __init__(self, core: DNC, training: bool | None = None):
        """Chooses the `Part` for each part of the core."""
        self._core, self._training = core, training
        self._memory = fused_part(core.access, access_step(core.access))
        self._controller = fused_part(core.controller, controller_step(core, training), core)
        layer = core.output_linear
        self._has_linear_output = type(layer) is snt.Linear and not is_patched(layer)

    @property
    def recomputes(self) -> bool:
        """Whether parts of the core run again in the backward pass or may draw random numbers."""
        parts = (self._controller, self._memory)
        return any(part.recomputes for part in parts) or not self._has_linear_output

    def __call__(
        self, sequence: dict[str, tf.Tensor], state: DNCState, fresh_state: DNCState
    ) -> tuple[tf.Tensor, DNCState]:
        """Returns the outputs and the last state."""
        inputs = sequence["inputs"]
        masks = Masks(sequence.get("running"), sequence.get("reset"))
        prepared = self._controller.prepare(tf.reshape(inputs, [-1, inputs.shape[2]]))
        prepared = _split_steps(prepared, inputs)
        weights = Weights(self._controller.weights(), self._memory.weights())
        states = (state.bypass, fresh_state.bypass, state.bypass)
        state, fresh_state = state._replace(bypass=()), fresh_state._replace(bypass=())
        words, hidden, last = self._differentiable(prepared, masks, state, fresh_state, weights)
        if self._core.bypass is not None:
            spec = tf.TensorSpec(hidden.shape[1:], hidden.dtype)
            (hidden, _), bypass = unroll_steps(
                self._core.bypass, {**sequence, "inputs": hidden}, *states, spec
            )
            last = last._replace(bypass=bypass)
        outputs = self._core.clip(self._output_layer(tf.concat([hidden, words], axis=2)))
        if masks.running is not None:
            outputs = _nests.where(masks.running, outputs, tf.zeros_like(outputs))
        return outputs, last

    def _output_layer(self, x: tf.Tensor) -> tf.Tensor:
        """Maps [T, B, H + R W] to [T, B, Y]: a linear layer at once, others step by step."""
        layer = self._core.output_linear
        if self._has_linear_output:
            return _split_steps(layer(_join_steps(x)), x)
        spec = tf.TensorSpec([x.shape[1], *self._core.output_size], x.dtype)
        call = functools.partial(_cores.call_with_training, layer, training=self._training)
        return tf.map_fn(call, x, fn_output_signature=spec)

    def _differentiable(
        self,
        inputs: tf.Tensor,
        masks: Masks,
        state: DNCState,
        fresh_state: DNCState,
        weights: Weights,
    ) -> tuple[tf.Tensor, tf.Tensor, DNCState]:
        """Returns words [T, B, R W], controller outputs [T, B, H] and the last state.

        `_backward` computes its gradient.
        """
        arguments = (inputs, state, fresh_state, weights)

        @tf.custom_gradient
        def run(*flat: tf.Tensor) -> tuple[list[tf.Tensor], Any]:
            inputs, state, fresh_state, weights = tf.nest.pack_sequence_as(arguments, flat)
            first, fresh = self._pack(state), self._pack(fresh_state)
            words, hidden, last, saved = self._forward(inputs, masks, first, fresh, weights)
            results = (words, hidden, self._unpack(last, state))

            def gradient(*d_flat: tf.Tensor, variables: Any = None) -> Any:
                d_words, d_hidden, d_last = tf.nest.pack_sequence_as(results, d_flat)
                d_arguments, d_variables = self._backward(
                    inputs, masks, fresh, weights, saved, d_words, d_hidden, d_last
                )
                d_flat = tf.nest.flatten(d_arguments)
                if variables is None:
                    return d_flat
                by_variable: dict[Any, tf.Tensor] = {}
                for variable, d in zip(self._variables(), d_variables, strict=True):
                    before = by_variable.get(variable.ref())
                    by_variable[variable.ref()] = d if before is None else before + d
                return d_flat, [by_variable.get(x.ref()) for x in variables]

            return tf.nest.flatten(results), gradient

        flat = run(*tf.nest.flatten(arguments))
        num_parts = len(tf.nest.flatten(state))
        return flat[0], flat[1], tf.nest.pack_sequence_as(state, flat[2 : 2 + num_parts])

    def _variables(self) -> list[tf.Variable]:
        """Returns the variables that the steps read, except `Weights`."""
        return [*self._controller.variables, *self._memory.variables]

    def _pack(self, state: DNCState) -> LoopState:
        words = flatten_words(state.access_output)
        return LoopState(words, state.controller_state, self._memory.pack(state.access_state))

    def _unpack(self, state: LoopState, like: DNCState) -> DNCState:
        """Inverts `_pack`, also for gradients; `like` has the shape of the words."""
        words = tf.reshape(state.words, tf.shape(like.access_output))
        return DNCState(words, self._memory.unpack(state.memory), state.controller)

    def _store(self, state: LoopState) -> LoopState:
        return state._replace(memory=self._memory.store(state.memory))

    def _forward(
        self, inputs: tf.Tensor, masks: Masks, first: LoopState, fresh: LoopState, weights: Weights
    ) -> tuple[tf.Tensor, tf.Tensor, LoopState, SavedSteps]:
        """Returns words and controller outputs of all steps, the last state, and `SavedSteps`."""

        def step(t: tf.Tensor, state: LoopState) -> tuple[LoopState, tf.Tensor, Residuals]:
            started = state
            if masks.reset is not None:
                started = _nests.where(masks.reset[t], fresh, state)
            (hidden, controller), of_controller = self._controller.step(
                (inputs[t], started.words, started.controller), weights.controller
            )
            vector = _linear(hidden, weights.memory)
            (words, memory), of_memory = self._memory.step((vector, started.memory))
            next_state = LoopState(flatten_words(words), controller, memory)
            if masks.running is not None:
                next_state = _nests.where(masks.running[t], next_state, state)
            return next_state, hidden, Residuals(of_controller, of_memory)

        num_steps, batch_size = _nests.length(inputs), inputs.shape[1]
        first_stored = self._store(first)
        hidden_spec = tf.TensorSpec([batch_size, self._core.hidden_size], inputs.dtype)
        residuals_spec = Residuals(
            self._controller.residuals_spec(batch_size, inputs.dtype),
            self._memory.residuals_spec(batch_size, inputs.dtype),
        )
        arrays = (
            _nests.write(_nests.arrays_like(first_stored, num_steps + 1), 0, first_stored),
            _nests.arrays_like(hidden_spec, num_steps),
            _nests.arrays_like(residuals_spec, num_steps),
        )

        def body(t: tf.Tensor, state: LoopState, arrays: Any) -> Any:
            next_state, hidden, of_step = step(t, state)
            states, hiddens, residuals = arrays
            arrays = (
                _nests.write(states, t + 1, self._store(next_state)),
                _nests.write(hiddens, t, hidden),
                _nests.write(residuals, t, of_step),
            )
            return t + 1, next_state, arrays

        _, last, arrays = tf.while_loop(
            lambda t, *_: t < num_steps,
            body,
            (tf.constant(0), first, arrays),
            maximum_iterations=num_steps,
            parallel_iterations=1,  # Each step needs the one before.
        )
        saved = SavedSteps(*_nests.stack(arrays))
        return saved.states.words[1:], saved.hidden, last, saved

    def _backward(
        self,
        inputs: tf.Tensor,
        masks: Masks,
        fresh: LoopState,
        weights: Weights,
        saved: SavedSteps,
        d_words: tf.Tensor,
        d_hidden: tf.Tensor,
        d_last: DNCState,
    ) -> tuple[tuple[tf.Tensor, DNCState, DNCState, Weights], list[tf.Tensor]]:
        """Returns gradients w.r.t. the arguments of `_differentiable`, and w.r.t. `_variables`.

        Args:
          inputs, masks, fresh, weights: as for `_forward`.
          saved: the steps that `_forward` saved.
          d_words, d_hidden, d_last: gradients w.r.t. the results of `_differentiable`.
        """
        num_steps, batch_size = _nests.length(inputs), inputs.shape[1]
        products = tf.nest.map_structure(
            # A bias takes part in no product.
            lambda w: times_transpose_of(w, batch_size) if w.shape.rank == 2 else None,
            weights,
        )
        d_state = LoopState(
            flatten_words(d_last.access_output),
            d_last.controller_state,
            self._memory.pack_gradient(d_last.access_state),
        )
        words_shape = [-1, *self._core.access.output_size]

        def prefetch(t: tf.Tensor) -> Any:
            return _nests.at(saved.states.memory.prefetched, t)

        def restore(t: tf.Tensor, prefetched: Any) -> LoopState:
            rest = saved.states._replace(memory=saved.states.memory.rest)
            stored = _nests.at(rest, t)
            memory = saved.states.memory._replace(prefetched=prefetched, rest=stored.memory)
            return stored._replace(memory=self._memory.restore(memory))

        def body(t: tf.Tensor, prefetched: Any, d_next: LoopState, sums: Any, arrays: Any) -> Any:
            state, next_state = restore(t, prefetched[0]), restore(t + 1, prefetched[1])
            prefetched = (prefetch(tf.maximum(t - 1, 0)), prefetched[0])
            residuals = _nests.at(saved.residuals, t)
            if masks.reset is not None:
                state = _nests.where(masks.reset[t], fresh, state)
            d_held = None
            if masks.running is not None:
                zeros = _nests.zeros_like(d_next)
                d_held = _nests.where(masks.running[t], zeros, d_next)
                d_next = _nests.where(masks.running[t], d_next, zeros)

            # A recomputed interface starts from the controller output, others from the vector.
            hidden = saved.hidden[t]
            (d_vector, d_memory), by_memory = self._memory.gradient(
                (hidden, state.memory),
                (None, next_state.memory),
                residuals.memory,
                (tf.reshape(d_next.words + d_words[t], words_shape), d_next.memory),
            )
            d_output = products.memory[0](d_vector) if products.memory else d_vector
            (d_input, d_read, d_controller), by_controller = self._controller.gradient(
                (inputs[t], state.words, state.controller),
                (hidden, next_state.controller),
                residuals.controller,
                (d_hidden[t] + d_output, d_next.controller),
                products.controller,
            )
            d_state = LoopState(d_read, d_controller, d_memory)
            d_fresh, by_part = sums
            if masks.reset is not None:
                zeros = _nests.zeros_like(d_state)
                d_fresh = _nests.add(d_fresh, _nests.where(masks.reset[t], d_state, zeros))
                d_state = _nests.where(masks.reset[t], zeros, d_state)
            if d_held is not None:
                d_state = _nests.add(d_state, d_held)
            arrays = _nests.write(arrays, t, (d_input, d_vector))
            by_part = _nests.add(by_part, (by_controller, by_memory))
            return t - 1, prefetched, d_state, (d_fresh, by_part), arrays

        input_spec = tf.TensorSpec(inputs.shape[1:], inputs.dtype)
        vector_size = (weights.memory[0] if weights.memory else saved.hidden).shape[-1]
        vector_spec = tf.TensorSpec([batch_size, vector_size], inputs.dtype)
        parts = (self._controller, self._memory)
        _, _, d_state, (d_fresh, by_part), arrays = tf.while_loop(
            lambda t, *_: t >= 0,
            body,
            (
                num_steps - 1,
                (prefetch(num_steps - 1), prefetch(num_steps)),
                d_state,
                (_nests.zeros_like(d_state), tuple(part.no_sums() for part in parts)),
                _nests.arrays_like((input_spec, vector_spec), num_steps),
            ),
            maximum_iterations=num_steps,
            parallel_iterations=1,
        )
        d_inputs, d_vectors = _nests.stack(arrays)
        d_weights = self._weight_gradients(masks, fresh, saved, d_inputs, d_vectors)
        by_arguments = (
            d_inputs,
            self._unpack(d_state, d_last),
            self._unpack(d_fresh, d_last),
            d_weights,
        )
        by_variable = zip(parts, by_part, strict=True)
        return by_arguments, [d for part, x in by_variable for d in part.variable_gradients(x)]

    def _weight_gradients(
        self,
        masks: Masks,
        fresh: LoopState,
        saved: SavedSteps,
        d_inputs: tf.Tensor,
        d_vectors: tf.Tensor,
    ) -> Weights:
        """Returns gradients w.r.t. the weights: one product each for all steps and examples."""
        started = tf.nest.map_structure(
            lambda x: x[:-1], (saved.states.words, saved.states.controller)
        )
        if masks.reset is not None:
            again = tf.nest.map_structure(lambda x: x[tf.newaxis], (fresh.words, fresh.controller))
            started = _nests.where(masks.reset, again, started)
        words, states = tf.nest.map_structure(_join_steps, started)
        return Weights(
            self._controller.weight_gradients((words, states), _join_steps(d_inputs)),
            self._memory.weight_gradients(_join_steps(saved.hidden), _join_steps(d_vectors)),
        )


def _linear(x: tf.Tensor, weights: list[tf.Tensor]) -> tf.Tensor:
    """Returns x W + b, x W or x, depending on the number of weights."""
    if not weights:
        return x
    product = tf.matmul(x, weights[0])
    return product + weights[1] if len(weights) > 1 else product


def _join_steps(x: tf.Tensor) -> tf.Tensor:
    """Reshapes [T, B, ...] to [T B, ...]."""
    return _nests.reshape_first(x, 2, [-1])


def _split_steps(x: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """Reshapes [T B, width] to [T, B, width]."""
    split = tf.reshape(x, [*tf.unstack(tf.shape(like)[:2]), x.shape[1]])
    split.set_shape([*like.shape[:2], x.shape[1]])
    return split
