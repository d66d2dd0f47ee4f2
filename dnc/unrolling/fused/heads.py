"""Write and read heads: gradients of the equations in `dnc.heads`."""

from collections.abc import Mapping

import tensorflow as tf

from dnc.unrolling.fused.products import products_of_others, times, times_transposed

Fields = Mapping[str, tf.Tensor]


def write_gradient(
    fields: Fields, words: tf.Tensor, write_weights: tf.Tensor, d_words: tf.Tensor
) -> tuple[tf.Tensor, dict[str, tf.Tensor], tf.Tensor]:
    """Returns gradients of erasing and writing w.r.t. memory, vectors and write weights."""
    others, all_kept = products_of_others(kept_shares(fields, write_weights))
    d_all_kept = d_words * words
    d_erased, d_erase_vectors = [], []
    for i, other in enumerate(others):
        d_kept = d_all_kept if other is None else d_all_kept * other
        d_erased.append(times(fields["erase_vectors"][:, i : i + 1], d_kept))
        d_erase_vectors.append(-times_transposed(write_weights[:, i : i + 1], d_kept))
    d_write_weights = times(fields["write_vectors"], d_words) - tf.concat(d_erased, axis=1)
    d_vectors = {
        "erase_vectors": tf.concat(d_erase_vectors, axis=1),
        "write_vectors": times_transposed(write_weights, d_words),
    }
    return d_words * all_kept, d_vectors, d_write_weights


def write_weights_gradient(
    fields: Fields, allocation: tf.Tensor, content: tf.Tensor, d_write_weights: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor, dict[str, tf.Tensor]]:
    """Returns gradients w.r.t. allocation weights, write content weights and gates."""
    write_gate = fields["write_gate"][:, :, tf.newaxis]
    allocation_gate = fields["allocation_gate"][:, :, tf.newaxis]
    mixed = allocation_gate * allocation + (1.0 - allocation_gate) * content
    d_mixed = write_gate * d_write_weights
    d_gates = {
        "write_gate": tf.reduce_sum(d_write_weights * mixed, axis=2),
        "allocation_gate": tf.reduce_sum(d_mixed * (allocation - content), axis=2),
    }
    return allocation_gate * d_mixed, (1.0 - allocation_gate) * d_mixed, d_gates


def gates_gradient(fields: Fields, d_products: tf.Tensor | None) -> Fields:
    """Returns gradients w.r.t. both gates from the gradient w.r.t. their products, if any."""
    if d_products is None:
        return {}
    return {
        "allocation_gate": d_products * fields["write_gate"],
        "write_gate": d_products * fields["allocation_gate"],
    }


def kept_shares(fields: Fields, write_weights: tf.Tensor) -> list[tf.Tensor]:
    """Returns the share of the memory that each write head keeps, 1 - e w^T: [B, W, N]."""
    erase_vectors = tf.unstack(fields["erase_vectors"], axis=1)
    return [
        1.0 - e[:, :, tf.newaxis] * w[:, tf.newaxis, :]
        for e, w in zip(erase_vectors, tf.unstack(write_weights, axis=1), strict=True)
    ]


def modes_of(fields: Fields) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns modes of the directions, [B, R, 2 V, 1], and of content, [B, R, 1]."""
    modes = fields["read_mode"]
    return modes[:, :, :-1, tf.newaxis], modes[:, :, -1:]


def sum_by_name(*groups: Fields) -> Fields:
    """Adds gradients w.r.t. fields by name."""
    total: dict[str, tf.Tensor] = {}
    for group in groups:
        for name, x in group.items():
            total[name] = total[name] + x if name in total else x
    return total
