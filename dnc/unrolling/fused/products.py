"""Matrix products in the forms that XLA computes fast on a CPU.

H is the number of heads. A product of few rows with a large matrix is limited by the speed of
reading the matrix, and the form of the product decides how close to that limit it comes.
"""

from collections.abc import Callable, Sequence

import tensorflow as tf

# From this number of columns on, `times_transposed` swaps its operands for few rows.
_MANY_COLUMNS = 128

# Up to this number of elements, a sum of outer products is faster than a matrix product.
_FEW_ELEMENTS = 32 * 32


def times(x: tf.Tensor, a: tf.Tensor) -> tf.Tensor:
    """x a for each example: [B, H, M] times [B, M, N] is [B, H, N]."""
    if _is_vector(x):
        return tf.matmul(_twice(x), a)[:, :1]
    return tf.matmul(x, a)


def times_transposed(x: tf.Tensor, a: tf.Tensor) -> tf.Tensor:
    """x a^T for each example: [B, H, N] times the transpose of [B, M, N] is [B, H, M]."""
    if _is_vector(x):
        return tf.matmul(_twice(x), a, transpose_b=True)[:, :1]
    heads, columns = x.shape[1:]
    if heads > 1 and min(columns, a.shape[1]) >= _MANY_COLUMNS:
        # (a x^T)^T reads `a` along its rows. Written as transposes, XLA would undo them.
        product = tf.matmul(a, tf.stack(tf.unstack(x, axis=1), axis=2))
        return tf.stack(tf.unstack(product, axis=2), axis=1)
    return tf.matmul(x, a, transpose_b=True)


def outer(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """x^T y for each example: the sum of the heads' outer products, [B, M, N]."""
    if x.shape[2] * y.shape[2] <= _FEW_ELEMENTS:
        heads = zip(tf.unstack(x, axis=1), tf.unstack(y, axis=1), strict=True)
        return tf.add_n([u[:, :, tf.newaxis] * v[:, tf.newaxis, :] for u, v in heads])
    return tf.matmul(x, y, transpose_a=True)


def times_transpose_of(w: tf.Tensor, batch_size: int | None) -> Callable[[tf.Tensor], tf.Tensor]:
    """Returns the function x -> x w^T for many calls with [B, N], for weights [M, N]."""
    if batch_size == 1:  # A transposed copy would not make a single row faster.
        return lambda x: tf.matmul(x, w, transpose_b=True)
    transposed = tf.transpose(w)
    return lambda x: tf.matmul(x, transposed)


def inner(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Takes inner products of the rows of x and y: [B, H, N], [B, H, N] to [B, H, 1]."""
    return tf.reduce_sum(x * y, axis=2, keepdims=True)


def products_of_others(factors: Sequence[tf.Tensor]) -> tuple[list[tf.Tensor | None], tf.Tensor]:
    """Returns for each factor the product of all others (`None` for 1), and the product of all.

    It does not divide, because a factor may be 0.
    """
    before: list[tf.Tensor | None] = [None]
    for factor in factors:
        before.append(_multiply(before[-1], factor))
    others, after = [], None
    for i in reversed(range(len(factors))):
        others.append(_multiply(before[i], after))
        after = _multiply(factors[i], after)
    return others[::-1], before[-1]


def _multiply(x: tf.Tensor | None, y: tf.Tensor | None) -> tf.Tensor | None:
    """Returns x y, with `None` for 1."""
    if x is None or y is None:
        return y if x is None else x
    return x * y


def _is_vector(x: tf.Tensor) -> bool:
    # XLA fuses a vector times a matrix into the loop that computes the matrix, element by element.
    # Two rows are a separate product, which is several times faster in total.
    return x.shape[0] == 1 and x.shape[1] == 1


def _twice(x: tf.Tensor) -> tf.Tensor:
    return tf.concat([x, x], axis=1)
