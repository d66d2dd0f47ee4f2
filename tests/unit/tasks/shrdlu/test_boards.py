"""Boards of Mini-SHRDLU: the tables against geometry on squares, and against a search."""

import collections
import functools
import itertools

import networkx
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tasks.shrdlu import boards

BOARDS = st.integers(0, 9002)
COUNTS = {1: 3, 2: 12, 3: 60, 4: 288, 5: 1440, 6: 7200}


def squares_of(board):
    """The blocks on a board's squares, [3, 3], -1: none; the top row first."""
    return boards.tables().squares[board].numpy().reshape([3, 3])


def moved(squares, source, target):
    """The squares after a move, by looking at them."""
    squares = squares.copy()
    occupied = np.flatnonzero(squares[:, source] >= 0)
    free = np.flatnonzero(squares[:, target] < 0)
    if len(occupied) and len(free):
        squares[free[-1], target] = squares[occupied[0], source]
        squares[occupied[0], source] = -1
    return squares


@functools.cache
def network():
    found = networkx.Graph()
    after = boards.tables().after.numpy()
    found.add_nodes_from(range(len(after)))
    found.add_edges_from((n, int(m)) for n, row in enumerate(after) for m in row if n != m)
    return found


def test_all_boards_are_there_once_by_their_number_of_blocks():
    squares = boards.tables().squares.numpy()
    number = (squares >= 0).sum(axis=1)

    assert collections.Counter(number.tolist()) == COUNTS
    assert len({tuple(own) for own in squares.tolist()}) == len(squares) == 9003
    assert (np.diff(number) >= 0).all()
    first = boards.tables().first.numpy()
    for blocks, count in COUNTS.items():
        assert (number[first[blocks] : first[blocks + 1]] == blocks).all()
        assert first[blocks + 1] - first[blocks] == count


def test_no_block_hangs_in_the_air():
    is_block = boards.tables().squares.numpy().reshape([-1, 3, 3]) >= 0
    assert (is_block[:, :-1] <= is_block[:, 1:]).all()


@settings(deadline=None, max_examples=200)
@given(board=BOARDS)
def test_moves_take_the_block_on_top(board):
    after = boards.tables().after[board].numpy()
    for action, (source, target) in enumerate(boards.MOVES):
        expected = moved(squares_of(board), source, target)
        np.testing.assert_array_equal(squares_of(int(after[action])), expected)
    assert after[boards.PASS] == board


@settings(deadline=None, max_examples=200)
@given(board=BOARDS)
def test_facts_are_about_adjacent_squares(board):
    squares = squares_of(board)
    place = {int(squares[i, j]): (i, j) for i in range(3) for j in range(3) if squares[i, j] >= 0}
    expected = np.zeros([2, 6, 6])
    for a, (i, j) in place.items():
        for b, (k, m) in place.items():
            expected[0, a, b] = (i + 1, j) == (k, m)
            expected[1, a, b] = (i, j + 1) == (k, m)

    np.testing.assert_array_equal(boards.tables().facts[board], expected.ravel())


@settings(deadline=None, max_examples=30)
@given(start=BOARDS)
def test_distances_are_those_of_a_search(start):
    lengths = networkx.single_source_shortest_path_length(network(), start)

    found = boards.distances(tf.constant([start]))[0].numpy()

    expected = np.full(9003, boards.FAR)
    expected[list(lengths)] = list(lengths.values())
    np.testing.assert_array_equal(found, expected)


def test_boards_of_more_blocks_can_be_left_out():
    starts = tf.constant([[0, 20], [100, 300]])
    np.testing.assert_array_equal(boards.distances(starts, 4), boards.distances(starts)[:, :, :363])


@pytest.mark.parametrize(
    "heights, counts",
    [((2, 2, 2), [6, 12, 21, 33, 68, 126, 225]), ((3, 3, 0), [2, 6, 17, 34, 58, 88, 152])],
)
def test_so_many_boards_are_at_each_distance(heights, counts):
    order, ends = tuple(range(6)), np.cumsum([0, *heights])
    board = tuple(order[i:j] for i, j in itertools.pairwise(ends.tolist()))
    start = 1803 + list(boards.boards(6)).index(board)

    found = boards.distances(tf.constant([start]))[0].numpy()

    assert [int((found == d).sum()) for d in range(1, 8)] == counts


def test_a_board_as_text():
    board = 1803 + list(boards.boards(6)).index(((1, 0), (2, 3, 5), (4,)))
    assert boards.rows(boards.tables().squares[board]) == [".6.", "14.", "235"]
