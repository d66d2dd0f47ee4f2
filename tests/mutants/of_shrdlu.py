"""Mutants of Mini-SHRDLU: boards, goals, rewards and what is learned from them."""

from tests.mutants import Mutant

_BOARDS = "unit/tasks/shrdlu/test_boards.py"
_TASK = "unit/tasks/shrdlu/test_task.py"
_GRID = "unit/tasks/shrdlu/test_grid.py"

MUTANTS = (
    Mutant(
        "a full column takes another block",
        "tasks/shrdlu/boards.py",
        "if not board[source] or len(board[target]) == HEIGHT:",
        "if not board[source] or len(board[target]) > HEIGHT - 2:",
        _BOARDS,
    ),
    Mutant(
        "the lowest block is taken",
        "tasks/shrdlu/boards.py",
        "board[source][:-1], board[source][-1]",
        "board[source][1:], board[source][0]",
        _BOARDS,
    ),
    Mutant(
        "left of is right of",
        "tasks/shrdlu/boards.py",
        "for a, b in zip(*pair, strict=False)",
        "for b, a in zip(*pair, strict=False)",
        _BOARDS,
    ),
    Mutant(
        "distances do not know which block is which",
        "tasks/shrdlu/boards.py",
        "relative = tf.gather(orders, all_boards.order[:number], axis=-1)",
        "relative = tf.gather(0 * orders, all_boards.order[:number], axis=-1)",
        _BOARDS,
    ),
    Mutant(
        "goals hold at the beginning",
        "tasks/shrdlu/task.py",
        "tf.gather(holds, chosen_boards) * (1.0 - old[:, tf.newaxis]) > 0",
        "tf.gather(holds, chosen_boards) > 0",
        _TASK,
    ),
    Mutant(
        "boards at any depth",
        "tasks/shrdlu/task.py",
        "distance[:, tf.newaxis] == depth[:, :, tf.newaxis]",
        "distance[:, tf.newaxis] <= depth[:, :, tf.newaxis]",
        _TASK,
    ),
    Mutant(
        "the converse of a relation is the relation",
        "tasks/shrdlu/task.py",
        "2 * is_left + turn,",
        "2 * is_left,",
        _TASK,
    ),
    Mutant(
        "undoing costs nothing",
        "tasks/shrdlu/task.py",
        "reward -= self.undo_cost * tf.cast(is_undone, tf.float32)",
        "reward -= 0.0 * tf.cast(is_undone, tf.float32)",
        _TASK,
    ),
    Mutant(
        "a pass is an impossible move",
        "tasks/shrdlu/task.py",
        "(moved == now.board) & (action != boards.PASS)",
        "(moved == now.board)",
        _TASK,
    ),
    Mutant(
        "the likeliest action in training",
        "tasks/shrdlu/task.py",
        "tf.where(is_drawn, logits + noise, logits)",
        "tf.where(is_drawn, logits, logits)",
        _TASK,
    ),
    Mutant(
        "the policy's gradient moves the value",
        "tasks/shrdlu/task.py",
        "advantages(reward, tf.stop_gradient(value) * mask, self.trace_decay)",
        "advantages(reward, value * mask, self.trace_decay)",
        _TASK,
    ),
    Mutant(
        "the value after the end counts",
        "tasks/shrdlu/task.py",
        "tf.stop_gradient(value) * mask,",
        "tf.stop_gradient(value),",
        _TASK,
    ),
    Mutant(
        "a policy searches from where it is",
        "tasks/shrdlu/policies.py",
        "boards.distances(after), boards.FAR)",
        "boards.distances(tf.zeros_like(after) + now.board[:, tf.newaxis]), boards.FAR)",
        _GRID,
    ),
)
