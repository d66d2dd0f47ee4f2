"""MemoryAccess: one step of writing to and reading from the memory."""

from collections.abc import Callable, Mapping
from typing import Any

import sonnet as snt
import tensorflow as tf

from dnc import _checks, _cores, heads
from dnc.allocation import Freeness, FreenessInputs, usage_after_write
from dnc.content import CosineWeights
from dnc.heads import erase_and_write, read_mode, read_weights, read_words, write_weights
from dnc.initial import LearnedWord
from dnc.interface import Declaration, Extra, Field, Interface, assemble
from dnc.linkage import LinkageInputs, TemporalLinkage
from dnc.parts import HEADS, PARTS, AccessState, AccessStep, fields_of, prefix, split_extras


class MemoryAccess(snt.RNNCore):
    """External memory that is read and written as directed by the interface vector.

    A core whose input is the controller's output, whose output is the words read, and whose state
    is the memory with its bookkeeping (Graves et al. 2016, Methods).

        >>> access = MemoryAccess(memory_size=16, word_size=8, num_reads=2)
        >>> words, state = access(tf.zeros([3, 32]), access.initial_state(batch_size=3))
        >>> words.shape, state.memory.shape
        (TensorShape([3, 2, 8]), TensorShape([3, 16, 8]))

    The variables do not depend on `memory_size`.

    It consists of parts that can be replaced: two content look-ups, `Freeness` and a linkage. A
    part has a method `fields()`, which returns the interface fields that it needs, by name. It gets
    them at each step, activated. A part may also return further quantities of the step as `extras`,
    by name, and then has a method `extras()`, which returns their axes:

        class Recency(dnc.CosineWeights):
            def fields(self):
                return {**super().fields(), "gates": dnc.Field("H", tf.sigmoid)}

            def extras(self):
                return {"similarities": "HN"}

            def compute(self, memory, keys, strengths, gates, usage):
                ...
                return weights, {"similarities": similarities}  # or only the weights

    Letters stand for N slots, W word size, R read heads, V write heads and, in a look-up, its H
    heads. A look-up's fields and extras get the prefix "write_" or "read_". `Freeness` and linkages
    get their fields in the entry `fields` of their inputs, and return extras in the entry `extras`
    of their outputs. docs/extending.md has complete examples.

    Attributes:
      interface: the linear layer and its fields.
      write_content, read_content: the content look-ups.
      freeness: the usage of slots and their allocation.
      linkage: the order of writes.
    """

    def __init__(
        self,
        memory_size: int = 128,
        word_size: int = 20,
        num_reads: int = 1,
        num_writes: int = 1,
        *,
        linkage: snt.RNNCore | None = None,
        freeness: snt.RNNCore | None = None,
        write_content: snt.Module | None = None,
        read_content: snt.Module | None = None,
        content_weights: Callable[..., snt.Module] = CosineWeights,
        strength_op: Callable[[tf.Tensor], tf.Tensor] = tf.nn.softplus,
        with_bias: bool = True,
        layer_norm: bool = False,
        deallocate: bool = False,
        initial_memory: float | LearnedWord = 0.0,
        name: str = "memory_access",
    ):
        """Creates the core.

        Args:
          memory_size: number of slots N, >= 1.
          word_size: width W of a slot, >= 1.
          num_reads: number of read heads R, >= 1.
          num_writes: number of write heads V, >= 1.
          linkage: core that follows the order of writes; by default a dense `TemporalLinkage`.
          freeness: core that tracks the usage and allocates; by default `Freeness(memory_size)`.
          write_content: content look-up of the write heads, such as
            `CosineWeights(num_writes, word_size)`; by default made by `content_weights`.
          read_content: content look-up of the read heads, such as
            `CosineWeights(num_reads, word_size)`; by default made by `content_weights`.
          content_weights: function or class that makes the look-ups that are not given:
            `CosineWeights` as in the paper, or `UsedCosineWeights`, which ignores empty slots.
            It is called with the number of heads, `word_size`, `strength_op` and a `name`.
          strength_op: activation of the strengths of look-ups that are not given: `tf.nn.softplus`
            as in the released code, `dnc.oneplus` as in the paper.
          with_bias: whether the interface layer has a bias (released code) or not (paper).
          layer_norm: whether the interface vector is normalised (Franke et al. 2018).
          deallocate: whether slots that are set free are erased, before the write look-up:
            M <- M psi 1^T (Csordas & Schmidhuber 2019). In the paper, look-ups find their contents
            until they are written again.
          initial_memory: value of every element of the memory before the first step, or a
            `LearnedWord` that every slot contains.
          name: name of the module.

        Raises:
          ValueError: if a size is not a positive integer, a part was made for other sizes or
            declares no fields, two parts declare a field of the same name, or a field has an
            invalid shape.
        """
        super().__init__(name=name)
        self._memory_size = _checks.check_size("memory_size", memory_size)
        self._word_size = _checks.check_size("word_size", word_size)
        self._num_reads = _checks.check_size("num_reads", num_reads)
        self._num_writes = _checks.check_size("num_writes", num_writes)
        _checks.check_callable("content_weights", content_weights)

        def look_up(num_heads: int, name: str) -> snt.Module:
            return content_weights(num_heads, word_size, strength_op, name=name)

        self.freeness = Freeness(memory_size) if freeness is None else freeness
        self.linkage = TemporalLinkage(memory_size, num_writes) if linkage is None else linkage
        self.write_content = write_content or look_up(num_writes, "write_content")
        self.read_content = read_content or look_up(num_reads, "read_content")
        self._check_sizes()
        fields, self._names = assemble(self._declarations())
        self.interface = Interface(fields, with_bias=with_bias, layer_norm=layer_norm)
        self._with_bias = with_bias
        self._deallocates = deallocate
        self.initial_memory = _checked_memory(initial_memory, word_size)

    def _check_sizes(self) -> None:
        """Raises `ValueError` if a part was made for sizes that differ from the access."""
        sizes = {
            name: getattr(self, name)
            for name in ("memory_size", "word_size", "num_reads", "num_writes")
        }
        num_heads = {"write_content": self._num_writes, "read_content": self._num_reads}
        for part in PARTS:
            expected = {**sizes, **({"num_heads": num_heads[part]} if part in num_heads else {})}
            for name, size in expected.items():
                if (actual := getattr(getattr(self, part), name, size)) != size:
                    raise ValueError(
                        f"{part} must have {name}={size} like the access, got {actual}. Make a "
                        f"{type(getattr(self, part)).__name__} of that size."
                    )

    def _declarations(self) -> list[Declaration]:
        """Returns all fields, in the order of the interface vector."""
        sizes = {
            "N": self._memory_size,
            "W": self._word_size,
            "R": self._num_reads,
            "V": self._num_writes,
        }

        def of_part(part: str) -> Declaration:
            heads = HEADS.get(part)
            own_sizes = {**sizes, "H": sizes[heads]} if heads else sizes
            return Declaration(part, prefix(part), fields_of(part, getattr(self, part)), own_sizes)

        vectors = {"erase_vectors": Field("VW", tf.sigmoid), "write_vectors": Field("VW")}
        gates = {"allocation_gate": Field("V", tf.sigmoid), "write_gate": Field("V", tf.sigmoid)}
        return [
            of_part("read_content"),
            of_part("write_content"),
            Declaration("the access", "", vectors, sizes),
            of_part("freeness"),
            Declaration("the access", "", gates, sizes),
            of_part("linkage"),
        ]

    def extras(self) -> dict[str, Extra]:
        """Returns the declarations of all interface fields, and of the extras of the parts."""
        extras = {}
        for owner, own_prefix, fields, _ in self._declarations():
            for name, field in fields.items():
                axes = "".join(size if isinstance(size, str) else "?" for size in field.shape)
                extras[own_prefix + name] = Extra(
                    axes.replace("H", HEADS.get(owner, "")), "read_keys"
                )
        for part, before in PARTS.items():
            declare = getattr(getattr(self, part), "extras", dict)
            for name, axes in declare().items():
                axes = axes.replace("H", HEADS.get(part, "H"))
                extras[prefix(part) + name] = Extra(axes, before)
        if self._deallocates:
            extras["deallocated"] = Extra("N", "write_content_weights")
        return extras

    def __call__(self, inputs: tf.Tensor, prev_state: AccessState) -> tuple[tf.Tensor, AccessState]:
        """Writes, then reads.

        Args:
          inputs: the controller's output, [B, H].
          prev_state: `AccessState` of the previous step.

        Returns:
          The words read, [B, R, W], and the next `AccessState`.

        Raises:
          ValueError: if a rank, a width, a dtype or the structure of the state does not fit.
        """
        step = self.step(inputs, prev_state)
        return step.read_words, step.state

    def step(self, inputs: tf.Tensor, prev_state: AccessState) -> AccessStep:
        """Performs one step, as `__call__` does, and returns all of its quantities.

        Raises:
          ValueError: as for `__call__`.
        """
        inputs = _checks.check_tensor("controller output", inputs, [None, None])
        if isinstance(self.interface, Interface):  # Users may replace it.
            inputs = self.interface.check(inputs)
        self.check_state("memory access state", prev_state, inputs)
        return self.compute(inputs, prev_state)

    def check_state(self, name: str, state: AccessState, inputs: tf.Tensor) -> None:
        """Raises `ValueError` unless a state has the sizes of this core and fits its inputs.

        Args:
          name: name of the state in the message.
          state: the state.
          inputs: tensor with the batch size and the dtype that the state must have.
        """
        sizes, dtype, batch_size = self.state_size, inputs.dtype, inputs.shape[0]
        _checks.check_state(name, state, sizes._replace(linkage=None), dtype, batch_size)
        # A linkage's state may contain slot numbers, so only floating-point parts need the dtype.
        _checks.check_state(
            f"{name}.linkage", state.linkage, sizes.linkage, dtype, batch_size, strict=False
        )

    def compute(self, inputs: tf.Tensor, prev_state: AccessState) -> AccessStep:
        """Computes the result of `step` for checked arguments."""
        fields = _cores.unchecked(self.interface)(inputs)
        extras: dict[str, tf.Tensor] = {}

        allocation, usage = _cores.unchecked(self.freeness)(
            FreenessInputs(
                write_weights=prev_state.write_weights,
                read_weights=prev_state.read_weights,
                write_gates=fields["allocation_gate"] * fields["write_gate"],
                fields=self.own_fields("freeness", fields),
            ),
            prev_state.usage,
        )
        prev_memory = prev_state.memory
        if self._deallocates:
            prev_memory = heads.deallocate(prev_memory, allocation.retention)
            extras["deallocated"] = 1.0 - allocation.retention
        write_content = self._look_up("write_content", prev_memory, fields, usage, extras)
        new_write_weights = write_weights(
            fields["write_gate"], fields["allocation_gate"], allocation.weights, write_content
        )
        memory = erase_and_write(
            prev_memory, new_write_weights, fields["erase_vectors"], fields["write_vectors"]
        )

        directions, linkage_state = _cores.unchecked(self.linkage)(
            LinkageInputs(
                new_write_weights, prev_state.read_weights, self.own_fields("linkage", fields)
            ),
            prev_state.linkage,
        )
        used = usage_after_write(usage, new_write_weights)
        read_content = self._look_up("read_content", memory, fields, used, extras)
        mode = read_mode(fields.get("read_mode"), read_content, self._num_writes)
        if "read_mode" in fields:
            new_read_weights = read_weights(
                mode, read_content, directions.forward, directions.backward
            )
        else:
            new_read_weights = read_content

        return AccessStep(
            interface=fields,
            read_mode=mode,
            allocation_weights=allocation.weights,
            retention=allocation.retention,
            write_content_weights=write_content,
            read_content_weights=read_content,
            forward_weights=directions.forward,
            backward_weights=directions.backward,
            read_words=read_words(memory, new_read_weights),
            state=AccessState(memory, new_read_weights, new_write_weights, linkage_state, usage),
            extras={**extras, **allocation.extras, **directions.extras},
        )

    def _look_up(
        self,
        part: str,
        memory: tf.Tensor,
        fields: Mapping[str, tf.Tensor],
        usage: tf.Tensor,
        extras: dict[str, tf.Tensor],
    ) -> tf.Tensor:
        """Returns a look-up's weights, and adds its extras to `extras`."""
        look_up = _cores.unchecked(getattr(self, part))
        weights, own_extras = split_extras(
            look_up(memory, usage=usage, **self.own_fields(part, fields))
        )
        extras.update({prefix(part) + name: x for name, x in own_extras.items()})
        return weights

    def own_fields(self, part: str, fields: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns the interface fields of a part by the part's own names."""
        return {own: fields[name] for own, name in self.own_field_names(part).items()}

    def own_field_names(self, part: str) -> Mapping[str, str]:
        """Returns the names of a part's interface fields by the part's own names."""
        return self._names.get(part, {})

    def initial_state(self, batch_size: Any, dtype: Any = tf.float32) -> AccessState:
        """Returns the state of an empty memory: all zero, except for `initial_memory`.

        Args:
          batch_size: an integer >= 0 or a scalar integer tensor.
          dtype: float32 or float64.
        """
        batch_size, dtype = _checks.check_batch_size(batch_size), _checks.check_state_dtype(dtype)
        return AccessState(
            memory=self._initial_memory(batch_size, dtype),
            read_weights=tf.zeros([batch_size, self._num_reads, self._memory_size], dtype),
            write_weights=tf.zeros([batch_size, self._num_writes, self._memory_size], dtype),
            linkage=self.linkage.initial_state(batch_size, dtype),
            usage=self.freeness.initial_state(batch_size, dtype),
        )

    def _initial_memory(self, batch_size: Any, dtype: tf.DType) -> tf.Tensor:
        sizes = [batch_size, self._memory_size, self._word_size]
        if isinstance(self.initial_memory, LearnedWord):
            return tf.broadcast_to(tf.cast(self.initial_memory.word, dtype), sizes)
        return tf.fill(sizes, tf.constant(self.initial_memory, dtype))

    @property
    def with_bias(self) -> bool:
        """Whether the interface layer, or its normalisation, has a bias."""
        return self._with_bias

    @property
    def deallocate(self) -> bool:
        """Whether slots that are set free are erased."""
        return self._deallocates

    @property
    def memory_size(self) -> int:
        """Number of slots N."""
        return self._memory_size

    @property
    def word_size(self) -> int:
        """Width W of a slot."""
        return self._word_size

    @property
    def num_reads(self) -> int:
        """Number of read heads R."""
        return self._num_reads

    @property
    def num_writes(self) -> int:
        """Number of write heads V."""
        return self._num_writes

    @property
    def state_size(self) -> AccessState:
        """Shapes of one example's state."""
        return AccessState(
            memory=tf.TensorShape([self._memory_size, self._word_size]),
            read_weights=tf.TensorShape([self._num_reads, self._memory_size]),
            write_weights=tf.TensorShape([self._num_writes, self._memory_size]),
            linkage=self.linkage.state_size,
            usage=self.freeness.state_size,
        )

    @property
    def output_size(self) -> tf.TensorShape:
        """Shape of the words read for one example."""
        return tf.TensorShape([self._num_reads, self._word_size])


def _checked_memory(initial_memory: Any, word_size: int) -> float | LearnedWord:
    """Returns `initial_memory` if it is a finite number or a word of the right size."""
    if not isinstance(initial_memory, LearnedWord):
        return _checks.check_finite("initial_memory", initial_memory)
    if initial_memory.word_size != word_size:
        raise ValueError(
            f"initial_memory must have word_size={word_size} like the access, got "
            f"{initial_memory.word_size}. Make a LearnedWord of that size."
        )
    return initial_memory
