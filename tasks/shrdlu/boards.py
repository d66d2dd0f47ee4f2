"""All boards of Mini-SHRDLU, as tables of their moves, facts and distances.

A board has three columns, each with at most three of the blocks 0 to 5. A move takes the block on
top of a column and drops it onto another one. There are only 9,003 boards of 1 to 6 blocks, so a
table of all of them replaces a search.
"""

import functools
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

COLUMNS = HEIGHT = 3
SQUARES = COLUMNS * HEIGHT
MAX_BLOCKS = 6
MOVES = tuple(itertools.permutations(range(COLUMNS), 2))  # From a column to another one.
PASS = len(MOVES)  # The action that leaves the board as it is.
ACTIONS = len(MOVES) + 1
RELATIONS = ("above", "below", "left of", "right of")
FACTS = 2 * MAX_BLOCKS**2  # A block is directly above another one, or directly left of it.
FAR = 99  # Distance of boards that no moves connect.

Board = tuple[tuple[int, ...], ...]  # The blocks of each column, from the bottom up.


class Tables(NamedTuple):
    """Tables of all S boards, in ascending order of the number of blocks.

    Attributes:
      squares: the block on each square, -1: none, int32 [S, 9]; row by row, the top row first.
      after: the board after each action, int32 [S, 7]; the same board if the action is impossible.
      facts: whether block a is directly above block b (number 6 a + b), or directly left of it
        (36 + 6 a + b), 0 or 1, float32 [S, 72].
      shape: number of the combination of column heights, int32 [S].
      order: number of the order of the blocks, column by column, int32 [S].
      quotient: the order q of blocks in terms of the order p, int32 [p, q].
      distance: number of moves from the board of a shape whose blocks are in ascending order to
        the board of a shape and an order; FAR: unreachable, int32 [shape, shape, order].
      first: number of the first board with each number of blocks, int32 [MAX_BLOCKS + 2].
    """

    squares: Any
    after: Any
    facts: Any
    shape: Any
    order: Any
    quotient: Any
    distance: Any
    first: Any


def boards(num_blocks: int) -> Iterator[Board]:
    """Yields all boards of blocks 0 to `num_blocks` - 1."""
    for heights in itertools.product(range(HEIGHT + 1), repeat=COLUMNS):
        if sum(heights) == num_blocks:
            for order in itertools.permutations(range(num_blocks)):
                ends = np.cumsum((0, *heights))
                yield tuple(order[i:j] for i, j in itertools.pairwise(ends.tolist()))


def move(board: Board, source: int, target: int) -> Board:
    """Returns the board after a move, or the same board if the move is impossible."""
    if not board[source] or len(board[target]) == HEIGHT:
        return board
    columns = list(board)
    columns[source], block = board[source][:-1], board[source][-1]
    columns[target] = (*board[target], block)
    return tuple(columns)


def facts(board: Board) -> list[int]:
    """Returns the numbers of the facts that hold on a board, see `Tables.facts`."""
    above = [MAX_BLOCKS * a + b for column in board for b, a in itertools.pairwise(column)]
    left = [
        MAX_BLOCKS**2 + MAX_BLOCKS * a + b
        for pair in itertools.pairwise(board)
        for a, b in zip(*pair, strict=False)
    ]
    return above + left


@functools.cache
def tables() -> Tables:
    """Returns the tables as tensors, which are made once."""
    of_sizes = [list(boards(number)) for number in range(1, MAX_BLOCKS + 1)]
    all_boards = list(itertools.chain(*of_sizes))
    numbers = {board: number for number, board in enumerate(all_boards)}
    after = np.array(
        [[numbers[move(board, *m)] for m in MOVES] + [n] for board, n in numbers.items()]
    )
    holds = np.zeros([len(all_boards), FACTS], np.float32)
    squares = np.full([len(all_boards), HEIGHT, COLUMNS], -1)
    for number, board in enumerate(all_boards):
        holds[number, facts(board)] = 1.0
        for column, blocks in enumerate(board):
            for height, block in enumerate(blocks):
                squares[number, HEIGHT - 1 - height, column] = block

    heights = [tuple(map(len, board)) for board in all_boards]
    shapes = {shape: number for number, shape in enumerate(dict.fromkeys(heights))}
    shape = np.array([shapes[own] for own in heights])
    orders = list(itertools.permutations(range(MAX_BLOCKS)))
    # The blocks that a board lacks come last, in ascending order.
    rank = {order: number for number, order in enumerate(orders)}
    order = np.array([rank[(*(ks := sum(b, ())), *range(len(ks), MAX_BLOCKS))] for b in all_boards])
    inverse = np.argsort(orders, axis=1)
    powers = MAX_BLOCKS ** np.arange(MAX_BLOCKS)
    rank_of_code = np.zeros(MAX_BLOCKS**MAX_BLOCKS, np.int32)
    rank_of_code[orders @ powers] = np.arange(len(orders))
    quotient = rank_of_code[inverse[:, orders] @ powers]

    distance = np.full([len(shapes), len(shapes), len(orders)], FAR)
    for number in range(len(shapes)):
        start = int(np.flatnonzero((shape == number) & (order == 0))[0])
        distance[number, shape, order] = _search(after, start)
    first = np.cumsum([0, 0, *map(len, of_sizes)])
    found = (squares.reshape([-1, SQUARES]), after, holds, shape, order, quotient, distance, first)
    with tf.init_scope(), tf.device("CPU"):
        return Tables(*(tf.constant(x, tf.float32 if x is holds else tf.int32) for x in found))


def _search(after: np.ndarray, start: int) -> np.ndarray:
    """Returns the number of moves from a board to each board, by breadth-first search."""
    found = np.full(len(after), FAR)
    found[start], reached = 0, np.array([start])
    for number in itertools.count(1):
        reached = np.unique(after[reached])
        reached = reached[found[reached] == FAR]
        if not len(reached):
            return found
        found[reached] = number


def distances(start: tf.Tensor, max_blocks: int = MAX_BLOCKS) -> tf.Tensor:
    """Returns the moves from each start [...] to all boards of at most `max_blocks` blocks.

    Their numbers are int32 [..., S], and FAR if the boards have different numbers of blocks.
    """
    all_boards = tables()
    number = int(all_boards.first[max_blocks + 1])
    orders = tf.gather(all_boards.quotient, tf.gather(all_boards.order, start))
    relative = tf.gather(orders, all_boards.order[:number], axis=-1)
    size = all_boards.distance.shape[2]
    from_start = tf.gather(all_boards.distance, tf.gather(all_boards.shape, start))
    flat = tf.reshape(from_start, [*start.shape, -1])
    return tf.gather(flat, all_boards.shape[:number] * size + relative, batch_dims=start.shape.rank)


def reached(goal: tf.Tensor, max_blocks: int = MAX_BLOCKS) -> tf.Tensor:
    """Returns whether all facts of a goal hold, on each board of at most `max_blocks` blocks.

    Args:
      goal: 0 or 1 for each fact, float32 [B, 72].
      max_blocks: as for `distances`.

    Returns:
      bool [B, S].
    """
    all_boards = tables()
    facts = all_boards.facts[: int(all_boards.first[max_blocks + 1])]
    return goal @ tf.transpose(facts) == tf.reduce_sum(goal, axis=1, keepdims=True)


def rows(squares: Any) -> list[str]:
    """Returns a board [9] as three lines of blocks, 1 to 6, with "." where there is no block."""
    blocks = ["." if block < 0 else str(block + 1) for block in np.asarray(squares)]
    return ["".join(blocks[i : i + COLUMNS]) for i in range(0, SQUARES, COLUMNS)]
