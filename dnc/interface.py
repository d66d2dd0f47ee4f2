"""The interface vector, by which the controller directs the memory at each step.

The parts of a `MemoryAccess` declare the fields that they need, and one linear layer maps the
controller output to a vector that is split into fields. The default parts declare the fields of
the paper (Methods, "Interface parameters"), for R read heads, V write heads and word size W:

================  =============  ==========  =====================================================
field             declared by    width       activation
================  =============  ==========  =====================================================
read_keys         read_content   R W         none
read_strengths    read_content   R           none here: the look-up applies its `strength_op`
write_keys        write_content  V W         none
write_strengths   write_content  V           none here: the look-up applies its `strength_op`
erase_vectors     the access     V W         sigmoid
write_vectors     the access     V W         none
free_gate         freeness       R           sigmoid
allocation_gate   the access     V           sigmoid
write_gate        the access     V           sigmoid
read_mode         linkage        R (1+2 V)   softmax over the modes of each head: backward and
                                             forward along the links of each write head, content
================  =============  ==========  =====================================================

With one write head the width is R W + 3 W + 5 R + 3. The released code has ten linear layers in
parallel, which is the same function. The paper orders the modes backward, content, forward.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import sonnet as snt
import tensorflow as tf

from dnc import _checks


class Field(NamedTuple):
    """One field of the interface vector, as a part declares it in its method `fields`.

    >>> Field("RW")  # a word for each read head
    Field(shape='RW', activation=None)
    >>> gates = Field(("R", 2), tf.sigmoid)  # two gates for each read head
    """

    # Sizes for one example: integers, or letters that stand for sizes of the access: N slots, W
    # word size, R read heads, V write heads; in a content look-up, its H heads.
    shape: Sequence[int | str]
    # Applied to [B, *shape] tensors, unless `None`.
    activation: Callable[[tf.Tensor], tf.Tensor] | None = None

    def resolve(self, owner: str, name: str, sizes: Mapping[str, int]) -> "Field":
        """Returns the field with integers in place of its letters.

        Args:
          owner: the part that declares the field, for the message.
          name: name of the field, for the message.
          sizes: size for each letter.

        Raises:
          ValueError: if the shape has an unknown letter, or a size that is not an integer >= 1.
        """
        shape = [sizes.get(size, size) if isinstance(size, str) else size for size in self.shape]
        if not all(type(size) is int and size >= 1 for size in shape):
            raise ValueError(
                f"The interface field {name!r} of {owner} has shape {self.shape!r}: each size must "
                f"be an integer >= 1 or one of the letters {', '.join(sizes)}."
            )
        return self._replace(shape=tuple(shape))


class Extra(NamedTuple):
    """Declaration of a quantity of a step that only some parts have."""

    axes: str  # letters of its axes after the batch; "?" for an axis without a letter
    before: str  # the quantity of every step before which it is computed


class Declaration(NamedTuple):
    """Fields that one part of a `MemoryAccess` declares."""

    owner: str  # the part
    prefix: str  # of their names in the interface
    fields: Mapping[str, Field]  # by the part's own names
    sizes: Mapping[str, int]  # for letters in their shapes


def assemble(
    declarations: Sequence[Declaration],
) -> tuple[dict[str, Field], dict[str, dict[str, str]]]:
    """Combines declarations.

    Returns:
      All fields by name, with integers as sizes, in the order of the declarations; and for each
      owner the names in the interface by its own names.

    Raises:
      ValueError: if two parts declare a field of the same name, or a shape is invalid.
    """
    fields: dict[str, Field] = {}
    owners: dict[str, str] = {}
    names: dict[str, dict[str, str]] = {}
    for owner, prefix, declared, sizes in declarations:
        for own_name, field in declared.items():
            name = prefix + own_name
            if name in fields:
                raise ValueError(
                    f"{owner} and {owners[name]} both declare the interface field {name!r}. Rename "
                    "it in one of them."
                )
            fields[name], owners[name] = field.resolve(owner, own_name, sizes), owner
            names.setdefault(owner, {})[own_name] = name
    return fields, names


class Interface(snt.Module):
    """Linear layer that maps the controller output to the fields.

    With `layer_norm` the vector is normalised before it is split into fields that are activated
    (Franke et al. 2018: "DNC normalisation"). The offset of the normalisation is then the bias.

    >>> interface = Interface({"keys": Field((2, 3)), "gates": Field((2,), tf.sigmoid)})
    >>> {name: tuple(x.shape) for name, x in interface(tf.zeros([5, 8])).items()}
    {'keys': (5, 2, 3), 'gates': (5, 2)}

    Attributes:
      fields: the fields by name, in the order of the linear layer's columns.
      widths: the number of columns of each field.
      linear: the linear layer.
      norm: the normalisation, an `snt.LayerNorm`, or `None`.
    """

    def __init__(
        self,
        fields: Mapping[str, Field],
        with_bias: bool = True,
        name: str = "interface",
        *,
        layer_norm: bool = False,
    ):
        """Creates the layer.

        Args:
          fields: the fields by name, with integers as sizes.
          with_bias: whether the layer has a bias (released code) or not (paper).
          name: name of the module.
          layer_norm: whether to normalise the vector.

        Raises:
          ValueError: if a size is not an integer >= 1.
        """
        super().__init__(name=name)
        self.fields = {key: field.resolve(name, key, {}) for key, field in fields.items()}
        self.widths = {key: math.prod(map(int, field.shape)) for key, field in self.fields.items()}
        self.linear = snt.Linear(
            sum(self.widths.values()), with_bias=with_bias and not layer_norm, name="linear"
        )
        self.norm = None
        if layer_norm:
            self.norm = snt.LayerNorm(-1, create_scale=True, create_offset=with_bias, name="norm")

    def __call__(self, controller_output: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the fields by name, [B, *shape] each, for the controller output [B, H].

        Raises:
          ValueError: if the rank, the width or the dtype does not fit.
        """
        return self.compute(self.check(controller_output))

    def check(self, controller_output: tf.Tensor) -> tf.Tensor:
        """Returns the controller output as a tensor [B, H].

        Raises:
          ValueError: if the rank, the width or the dtype does not fit.
        """
        weights = getattr(self.linear, "w", None)  # Created by the first call.
        expected = (
            ([None, None], None) if weights is None else ([None, weights.shape[0]], weights.dtype)
        )
        return _checks.check_tensor("controller output", controller_output, *expected)

    def compute(self, controller_output: tf.Tensor) -> dict[str, tf.Tensor]:
        """Computes the result of `__call__` for checked arguments."""
        vector = self.linear(controller_output)
        if self.norm is not None:
            vector = self.norm(vector)
        parts = tf.split(vector, list(self.widths.values()), axis=1)
        return {
            name: _activate(field, tf.reshape(part, [-1, *field.shape]))
            for (name, field), part in zip(self.fields.items(), parts, strict=True)
        }


def _activate(field: Field, x: tf.Tensor) -> tf.Tensor:
    return x if field.activation is None else field.activation(x)
