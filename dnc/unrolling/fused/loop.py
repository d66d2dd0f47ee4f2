"""The loops through time: forwards, keeping what is needed, and backwards."""

from typing import Any, NamedTuple

import tensorflow as tf

from dnc import _nests
from dnc.core import DNC, DNCState, flatten_words
from dnc.unrolling.fused.controllers import LSTMController, OtherController
from dnc.unrolling.fused.memory import Access
from dnc.unrolling.fused.products import times_transpose_of


class _State(NamedTuple):
    """What is carried from step to step; gradients by it, too."""

    words: Any  # [B, R W]
    controller: Any
    access: Any


class _Kept(NamedTuple):
    """What is kept of every step for the backward pass, besides its states."""

    interface: Any  # [B, I], activated
    controller: Any
    access: Any


class _Trail(NamedTuple):
    """What the forward pass leaves for the backward pass."""

    states: Any  # stored `_State`s before the first step and after each, [T + 1, B, ...]
    hidden: Any  # controller outputs, [T, B, H]
    kept: Any  # `_Kept` of each step, [T, B, ...]


class _Weights(NamedTuple):
    """What the steps multiply with. A bias that is not there is 0."""

    interface: Any  # [H, I]
    interface_bias: Any  # [I]
    controller: Any


class _Masks(NamedTuple):
    """Which examples do what at which step; `None`: none."""

    running: Any  # [T, B], where false the state is held
    reset: Any  # [T, B], where true the example starts anew


def unroll(
    core: DNC, sequence: dict[str, tf.Tensor], state: DNCState, fresh_state: DNCState
) -> tuple[tf.Tensor, DNCState]:
    """Returns a core's outputs [T, B, Y] for a sequence and its last state.

    Args:
      core: the core; there must be no `parts.reason_against` it.
      sequence: `inputs` [T, B, X]; if given, `running` and `reset`, [T, B] booleans.
      state: before the first step.
      fresh_state: what to start anew from, for `reset`.
    """
    return _Unroll(core)(sequence, state, fresh_state)


class _Unroll:
    def __init__(self, core: DNC):
        self._core = core
        self._access = Access(core.access)
        kind = LSTMController if LSTMController.fits(core.controller) else OtherController
        self._controller = kind(core)

    def __call__(
        self, sequence: dict[str, tf.Tensor], state: DNCState, fresh_state: DNCState
    ) -> tuple[tf.Tensor, DNCState]:
        inputs = sequence["inputs"]
        masks = _Masks(sequence.get("running"), sequence.get("reset"))
        prepared = self._controller.prepare(tf.reshape(inputs, [-1, inputs.shape[2]]))
        prepared = _split_steps(prepared, inputs)
        linear = self._core.access.interface.linear
        weights = _Weights(
            tf.convert_to_tensor(linear.w),
            tf.convert_to_tensor(linear.b) if linear.with_bias else tf.zeros([], inputs.dtype),
            self._controller.weights(),
        )
        words, hidden, last = self._differentiable(prepared, masks, state, fresh_state, weights)

        outputs = self._core.output_linear(_join_steps(tf.concat([hidden, words], axis=2)))
        outputs = _split_steps(self._core.clip(outputs), inputs)
        if masks.running is not None:
            outputs = _nests.where(masks.running, outputs, tf.zeros_like(outputs))
        return outputs, last

    def _differentiable(
        self,
        inputs: tf.Tensor,
        masks: _Masks,
        state: DNCState,
        fresh_state: DNCState,
        weights: _Weights,
    ) -> tuple[tf.Tensor, tf.Tensor, DNCState]:
        """Returns words [T, B, R W] and controller outputs [T, B, H] of all steps; the last state.

        With the gradient written here.
        """
        arguments = (inputs, state, fresh_state, weights)

        @tf.custom_gradient
        def run(*flat: tf.Tensor) -> tuple[list[tf.Tensor], Any]:
            inputs, state, fresh_state, weights = tf.nest.pack_sequence_as(arguments, flat)
            first, fresh = self._pack(state), self._pack(fresh_state)
            words, hidden, last, trail = self._forward(inputs, masks, first, fresh, weights)
            results = (words, hidden, self._unpack(last, state))

            def gradient(*d_flat: tf.Tensor, variables: Any = None) -> Any:
                d_words, d_hidden, d_last = tf.nest.pack_sequence_as(results, d_flat)
                d_arguments, d_variables = self._backward(
                    inputs, masks, fresh, weights, trail, d_words, d_hidden, d_last
                )
                d_flat = tf.nest.flatten(d_arguments)
                if variables is None:
                    return d_flat
                by_variable = dict(
                    zip([v.ref() for v in self._controller.variables], d_variables, strict=True)
                )
                return d_flat, [by_variable[v.ref()] for v in variables]

            return tf.nest.flatten(results), gradient

        flat = run(*tf.nest.flatten(arguments))
        num_parts = len(tf.nest.flatten(state))
        return flat[0], flat[1], tf.nest.pack_sequence_as(state, flat[2 : 2 + num_parts])

    def _pack(self, state: DNCState) -> _State:
        words = flatten_words(state.access_output)
        return _State(words, state.controller_state, self._access.pack(state.access_state))

    def _unpack(self, state: _State, like: DNCState) -> DNCState:
        """The inverse of `_pack`, also for gradients; `like` has the shape of the words."""
        words = tf.reshape(state.words, tf.shape(like.access_output))
        return DNCState(words, self._access.unpack(state.access), state.controller)

    def _store(self, state: _State) -> _State:
        return state._replace(access=self._access.store_state(state.access))

    def _restore(self, stored: _State) -> _State:
        return stored._replace(access=self._access.restore_state(stored.access))

    def _forward(
        self, inputs: tf.Tensor, masks: _Masks, first: _State, fresh: _State, weights: _Weights
    ) -> tuple[tf.Tensor, tf.Tensor, _State, _Trail]:
        """Runs all steps: words and controller outputs of each, the last state, the trail."""

        def step(t: tf.Tensor, state: _State) -> tuple[_State, tf.Tensor, _Kept]:
            started = state
            if masks.reset is not None:
                started = _nests.where(masks.reset[t], fresh, state)
            hidden, controller, kept_of_controller = self._controller.step(
                inputs[t], started.words, started.controller, weights.controller
            )
            interface = self._core.access.interface.activate(
                tf.matmul(hidden, weights.interface) + weights.interface_bias
            )
            words, access, kept = self._access.step(interface, started.access)
            next_state = _State(flatten_words(words), controller, access)
            if masks.running is not None:
                next_state = _nests.where(masks.running[t], next_state, state)
            stored = _Kept(interface, kept_of_controller, self._access.store_kept(kept))
            return next_state, hidden, stored

        num_steps = _nests.length(inputs)
        first_stored = self._store(first)
        spec = tf.TensorSpec([inputs.shape[1], weights.interface.shape[0]], inputs.dtype)
        arrays = (
            _nests.write(_nests.arrays_like(first_stored, num_steps + 1), 0, first_stored),
            _nests.arrays_like(spec, num_steps),
            _nests.arrays_like(self._kept_spec(spec, weights), num_steps),
        )

        def body(t: tf.Tensor, state: _State, arrays: Any) -> Any:
            next_state, hidden, kept = step(t, state)
            states, hiddens, kepts = arrays
            arrays = (
                _nests.write(states, t + 1, self._store(next_state)),
                _nests.write(hiddens, t, hidden),
                _nests.write(kepts, t, kept),
            )
            return t + 1, next_state, arrays

        _, last, arrays = tf.while_loop(
            lambda t, *_: t < num_steps,
            body,
            (tf.constant(0), first, arrays),
            maximum_iterations=num_steps,
            parallel_iterations=1,  # Each step needs the one before.
        )
        trail = _Trail(*_nests.stack(arrays))
        return trail.states.words[1:], trail.hidden, last, trail

    def _kept_spec(self, hidden: tf.TensorSpec, weights: _Weights) -> _Kept:
        batch_size, dtype = hidden.shape[0], hidden.dtype
        return _Kept(
            tf.TensorSpec([batch_size, weights.interface.shape[1]], dtype),
            self._controller.kept_spec(batch_size, dtype),
            self._access.kept_spec(batch_size, dtype),
        )

    def _backward(
        self,
        inputs: tf.Tensor,
        masks: _Masks,
        fresh: _State,
        weights: _Weights,
        trail: _Trail,
        d_words: tf.Tensor,
        d_hidden: tf.Tensor,
        d_last: DNCState,
    ) -> tuple[tuple[tf.Tensor, DNCState, DNCState, _Weights], list[tf.Tensor]]:
        """Gradients by the arguments of `_differentiable`, and by the controller's variables.

        Those by what comes out of each step and by the last state are given.
        """
        num_steps, batch_size = _nests.length(inputs), inputs.shape[1]
        back_to_hidden = times_transpose_of(weights.interface, batch_size)
        back_from_gates = [times_transpose_of(w, batch_size) for w in weights.controller]
        d_state = _State(
            flatten_words(d_last.access_output),
            d_last.controller_state,
            self._access.pack_gradient(d_last.access_state),
        )
        access_shape = [-1, *self._core.access.output_size]

        def fetch(t: tf.Tensor) -> Any:
            return _nests.at(trail.states.access.fetched, t)

        def restore(t: tf.Tensor, fetched: Any) -> _State:
            stored = _nests.at(trail.states, t)
            return self._restore(stored._replace(access=stored.access._replace(fetched=fetched)))

        def body(t: tf.Tensor, fetched: Any, d_next: _State, sums: Any, arrays: Any) -> Any:
            state, next_state = restore(t, fetched[0]), restore(t + 1, fetched[1])
            fetched = (fetch(tf.maximum(t - 1, 0)), fetched[0])
            kept = _nests.at(trail.kept, t)
            if masks.reset is not None:
                state = _nests.where(masks.reset[t], fresh, state)
            d_held = None
            if masks.running is not None:
                none = _nests.zeros_like(d_next)
                d_held = _nests.where(masks.running[t], none, d_next)
                d_next = _nests.where(masks.running[t], d_next, none)

            d_interface, d_access = self._access.gradient(
                kept.interface,
                state.access,
                next_state.access,
                self._access.restore_kept(kept.access),
                tf.reshape(d_next.words + d_words[t], access_shape),
                d_next.access,
            )
            d_controller = self._controller.gradient(
                inputs[t],
                state.words,
                state.controller,
                kept.controller,
                back_from_gates,
                d_hidden[t] + back_to_hidden(d_interface),
                d_next.controller,
            )
            d_state = _State(d_controller.words, d_controller.state, d_access)
            d_fresh, d_variables = sums
            if masks.reset is not None:
                none = _nests.zeros_like(d_state)
                d_fresh = _nests.add(d_fresh, _nests.where(masks.reset[t], d_state, none))
                d_state = _nests.where(masks.reset[t], none, d_state)
            if d_held is not None:
                d_state = _nests.add(d_state, d_held)
            sums = (d_fresh, _nests.add(d_variables, d_controller.variables))
            arrays = _nests.write(arrays, t, (d_controller.inputs, d_interface))
            return t - 1, fetched, d_state, sums, arrays

        sums = (
            _nests.zeros_like(fresh._replace(access=fresh.access._replace(norms=()))),
            _nests.zeros_like(list(self._controller.variables)),
        )
        interface = tf.TensorSpec([batch_size, weights.interface.shape[1]], inputs.dtype)
        _, _, d_state, (d_fresh, d_variables), arrays = tf.while_loop(
            lambda t, *_: t >= 0,
            body,
            (
                num_steps - 1,
                (fetch(num_steps - 1), fetch(num_steps)),
                d_state,
                sums,
                _nests.arrays_like(
                    (tf.TensorSpec(inputs.shape[1:], inputs.dtype), interface), num_steps
                ),
            ),
            maximum_iterations=num_steps,
            parallel_iterations=1,
        )
        d_inputs, d_interfaces = _nests.stack(arrays)

        # The gradients of all weights: one product each for all steps and examples.
        started = tf.nest.map_structure(
            lambda x: x[:-1], (trail.states.words, trail.states.controller)
        )
        if masks.reset is not None:
            anew = tf.nest.map_structure(lambda x: x[tf.newaxis], (fresh.words, fresh.controller))
            started = _nests.where(masks.reset, anew, started)
        words, states = tf.nest.map_structure(_join_steps, started)
        d_interfaces = _join_steps(d_interfaces)
        d_weights = _Weights(
            tf.matmul(_join_steps(trail.hidden), d_interfaces, transpose_a=True),
            _sum_to(weights.interface_bias, d_interfaces),
            self._controller.weight_gradients(words, states, _join_steps(d_inputs)),
        )
        by_arguments = (
            d_inputs,
            self._unpack(d_state, d_last),
            self._unpack(d_fresh, d_last),
            d_weights,
        )
        return by_arguments, d_variables


def _join_steps(x: tf.Tensor) -> tf.Tensor:
    """[T, B, ...] to [T B, ...]."""
    return _nests.reshape_first(x, 2, [-1])


def _split_steps(x: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    """[T B, width] to [T, B, width]."""
    split = tf.reshape(x, [*tf.unstack(tf.shape(like)[:2]), x.shape[1]])
    split.set_shape([*like.shape[:2], x.shape[1]])
    return split


def _sum_to(bias: tf.Tensor, d_sums: tf.Tensor) -> tf.Tensor:
    """Gradient by a bias, or by the 0 in its place, from that by the sums, [T B, width]."""
    return tf.reduce_sum(d_sums, axis=0 if bias.shape.rank == 1 else None)
