"""Mini-SHRDLU: see several goals, then move blocks to reach one of them.

The last experiment of Graves et al. 2016 (Methods). An episode with n constraints in total:

============  ==========================================  ==================================
steps         observation (97 wide)                       answer
============  ==========================================  ==================================
0 .. n - 1    a constraint, goal after goal: the goal's   none
              letter, block, relation, block; the board
n             the letter of the goal to be reached, go;   the first action: a move of the
              the board                                   topmost block of one column onto
n + 1 ...     go; the board after the last action         another one (6 pairs), or a pass
============  ==========================================  ==================================

The observation is one-hot in the letter (26), the first block (6), the relation (4), the second
block (6), the signal to go (1), and the block on each of the 9 squares (54). A constraint requires
a block to be directly above, below, left of or right of another one. A goal consists of constraints
that hold on a board `depth` moves away (or fewer, if there is none) and do not hold at the
beginning. An impossible move leaves the board as it is. There are L + 6 actions if the goal can be
reached with L.

The outputs are 7 logits of actions and a value. Actions are drawn from the policy in training, and
are the most likely ones in evaluation. The reward after an action is the number of the goal's
constraints that hold, minus `invalid_cost` for an impossible move and `undo_cost` for a move that
leaves the goal (the paper does not specify these costs). The loss is advantage actor-critic with
generalised advantages (Schulman et al. 2016), without a discount:

    A_t  = sum_u lambda^(u - t) (r_u + V_{u+1} - V_u),   R_t = sum_u r_u,   u = t, t + 1, ...
    loss = sum_t (R_t - V_t)^2 / 2 - log p(a_t) A_t - entropy H(p_t)
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar

import numpy as np
import tensorflow as tf

from tasks import draws, encoding
from tasks.base import Batch, InteractiveTask, Record
from tasks.lessons import PAPER, Lesson, Lessons
from tasks.options import option
from tasks.shrdlu import boards
from tasks.shrdlu.boards import ACTIONS, FACTS, MAX_BLOCKS, MOVES, RELATIONS, SQUARES

T = TypeVar("T", bound="Shrdlu")

LETTERS = 26
MORE = 6  # Actions in addition to the necessary ones.
_GO = LETTERS + 2 * MAX_BLOCKS + len(RELATIONS)  # Channel of the signal.
_MULTIPLE = 8  # Training rounds time steps up to it, because each number has its own program.
_NONE = -1

# Extended Data Table 6: goals, blocks, constraints of each goal, depth.
_LESSONS = (
    ((2, 2), (3, 3), (1, 1), (1, 1)),
    ((2, 3), (3, 4), (1, 2), (1, 1)),
    ((3, 3), (4, 4), (1, 2), (1, 2)),
    ((3, 4), (4, 5), (2, 2), (1, 2)),
    ((4, 4), (5, 5), (2, 2), (2, 2)),
    ((4, 5), (5, 6), (2, 3), (2, 2)),
    ((5, 5), (6, 6), (2, 3), (2, 3)),
    ((5, 6), (6, 6), (3, 3), (2, 3)),
    ((6, 6), (6, 6), (3, 3), (3, 3)),
    ((6, 7), (6, 6), (3, 4), (3, 3)),
    ((7, 7), (6, 6), (3, 4), (3, 4)),
    ((7, 8), (6, 6), (4, 4), (3, 4)),
    ((8, 8), (6, 6), (4, 4), (4, 4)),
    ((8, 9), (6, 6), (4, 5), (4, 4)),
    ((9, 9), (6, 6), (4, 5), (4, 5)),
    ((9, 10), (6, 6), (5, 5), (4, 5)),
    ((10, 10), (6, 6), (5, 5), (5, 5)),
    ((10, 10), (6, 6), (5, 6), (5, 5)),
    ((10, 10), (6, 6), (5, 6), (5, 6)),
    ((10, 10), (6, 6), (6, 6), (5, 6)),
    *[((10, 10), (6, 6), (6, 6), (6, 6))] * 2,
    *[((10, 10), (6, 6), (6, 6), (6, 7))] * 2,
    ((10, 10), (6, 6), (6, 6), (7, 7)),
    ((10, 10), (6, 6), (1, 6), (1, 7)),
)


class Goals(NamedTuple):
    """The problems of a batch, each with at most G goals of at most C constraints.

    Attributes:
      start: number of the first board, int32 [B].
      boards: numbers of the boards that define the goals, int32 [B, G].
      facts: facts of these boards that belong to the goal, see `boards.Tables`, bool [B, G, 72].
      letters: letters of the goals, int32 [B, G].
      number: number of goals, int32 [B].
      chosen: number of the goal to be reached, int32 [B].
      minimum: minimum number of moves to this goal, int32 [B].
      told: letter, block, relation and block of each constraint, int32 [B, G C, 4].
      num_told: number of constraints, int32 [B].
    """

    start: Any
    boards: Any
    facts: Any
    letters: Any
    number: Any
    chosen: Any
    minimum: Any
    told: Any
    num_told: Any

    @property
    def goal(self) -> tf.Tensor:
        """The facts that have to hold, 0 or 1, float32 [B, 72]."""
        return tf.cast(tf.gather(self.facts, self.chosen, batch_dims=1), tf.float32)


class Environment(NamedTuple):
    """State of the environment during an episode.

    Attributes:
      t: number of time steps so far, int32 scalar.
      goals: the problems.
      board: number of the board, int32 [B].
      num_left: number of actions left, int32 [B].
      is_drawn: whether actions are drawn from the policy, bool scalar.
    """

    t: Any
    goals: Goals
    board: Any
    num_left: Any
    is_drawn: Any

    @property
    def is_asked(self) -> tf.Tensor:
        """Whether an action is required, bool [B]."""
        return (self.t >= self.goals.num_told) & (self.num_left > 0)


class Choice(NamedTuple):
    """Action at each time step, and its result.

    Attributes:
      action: int32 [T, B].
      reward: float32 [T, B].
      part: share of the goal's constraints that hold after the action, float32 [T, B].
      num_left: number of actions left after it, int32 [T, B].
      minimum: minimum number of moves to the goal, int32 [T, B].
      num_constraints: number of the goal's constraints, int32 [T, B].
    """

    action: Any
    reward: Any
    part: Any
    num_left: Any
    minimum: Any
    num_constraints: Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shrdlu(InteractiveTask):
    """Mini-SHRDLU: move blocks to reach one of several goals.

    Attributes:
      batch_steps: number of time steps of all batches in training; `None`: any.
    """

    name = "shrdlu"
    metric_names = ("missed_constraints", "reward", "solved_sequences")
    num_values = 1

    min_depth: int = option(1, "Minimum moves from the first board to a goal's.", minimum=1)
    max_depth: int = option(7, "Maximum moves from the first board to a goal's.", minimum=1)
    min_goals: int = option(10, "Minimum number of goals; drawn uniformly.", minimum=1)
    max_goals: int = option(10, "Maximum number of goals.", minimum=1, maximum=LETTERS)
    min_blocks: int = option(6, "Minimum number of blocks; drawn uniformly.", minimum=3)
    max_blocks: int = option(6, "Maximum number of blocks.", minimum=3, maximum=MAX_BLOCKS)
    min_constraints: int = option(1, "Minimum constraints of a goal; drawn uniformly.", minimum=1)
    max_constraints: int = option(
        6, "Maximum constraints of a goal; fewer where its board has no more.", minimum=1, maximum=7
    )
    entropy: float = option(
        0.5, "Weight of the policy's entropy in the loss.", minimum=0.0, maximum=1e30
    )
    trace_decay: float = option(
        0.75, "Lambda of the generalised advantages.", minimum=0.0, maximum=1.0
    )
    invalid_cost: float = option(0.1, "Cost of an impossible move.", minimum=0.0, maximum=1e30)
    undo_cost: float = option(1.0, "Cost of leaving the goal.", minimum=0.0, maximum=1e30)
    batch_steps: int | None = None

    input_size = property(lambda self: _GO + 1 + MAX_BLOCKS * SQUARES)
    output_size = property(lambda self: ACTIONS + 1)

    @property
    def num_steps(self) -> int:
        """Number of time steps of the longest batch, or of all batches."""
        longest = self.max_goals * self.max_constraints + self.max_depth + MORE
        return self.batch_steps or longest

    def curriculum(self, name: str, **more: Any) -> Lessons:
        """Returns lessons; "paper" selects the paper's lessons (Extended Data Table 6)."""
        if name != PAPER:
            return super().curriculum(name, **more)
        names = ("goals", "blocks", "constraints", "depth")
        lessons = tuple(Lesson(dict(zip(names, ranges, strict=True))) for ranges in _LESSONS)
        return Lessons(lessons, replay=0.1, **more)

    def steps_of_batch(self, split: str, seed: int, step: int, lesson: int | None = None) -> int:
        """Returns the number of time steps of a batch; in training, as required by its goals."""
        if self.batch_steps or split != "train":
            return self.num_steps
        with tf.init_scope(), tf.device("CPU"):
            sizes = self._draw_sizes(split, seed, step, lesson)
            goals, _, constraints, depth = (x[0].numpy() for x in sizes)
        steps = int(constraints[:goals].sum() + depth[:goals].max()) + MORE
        return min(-(-steps // _MULTIPLE) * _MULTIPLE, self.num_steps)

    def of_length(self: T, num_steps: int) -> T:
        """Returns this task, restricted to batches of `num_steps` time steps."""
        return dataclasses.replace(self, batch_steps=num_steps)

    def _draw_sizes(self, split: str, seed: Any, step: Any, lesson: Any) -> list[tf.Tensor]:
        """Returns the numbers of goals [B], blocks [B], constraints [B, G], and depths [B, G].

        All episodes of a training batch have the same sizes.
        """
        keys = draws.keys(split, seed, step, 9)
        lesson = self.draw_lessons(split, seed, step, lesson)
        each = [self.max_goals]
        shapes = {"goals": [], "blocks": [], "constraints": each, "depth": each}
        drawn = [
            self.draw_size(name, key, lesson, shape)
            for key, (name, shape) in zip(keys, shapes.items(), strict=False)
        ]
        if split != "train":
            return drawn
        return [tf.repeat(x[:1], len(x), axis=0) for x in drawn]

    def draw(self, split: str, seed: Any, step: Any, lesson: Any = None) -> Goals:
        """Returns the problems of a batch, which depend on the arguments alone."""
        number, num_blocks, num_constraints, depth = self._draw_sizes(split, seed, step, lesson)
        keys = draws.keys(split, seed, step, 9)[4:]
        tables = boards.tables()
        first, end = (tf.gather(tables.first, num_blocks + more) for more in (0, 1))
        start = first + _below(keys[0], end - first)

        # A board at the depth with, if possible, `num_constraints` that did not hold before.
        distance = boards.distances(start, self.max_blocks)
        holds = tables.facts[: distance.shape[1]]
        old = tf.gather(tables.facts, start)
        num_new = tf.cast((1.0 - old) @ tf.transpose(holds), tf.int32)
        depth = _possible(depth, distance, num_new, self.max_depth)
        at_depth = distance[:, tf.newaxis] == depth[:, :, tf.newaxis]
        enough = tf.minimum(num_new[:, tf.newaxis], num_constraints[:, :, tf.newaxis])
        enough = tf.where(at_depth, enough, _NONE)
        is_choice = enough == tf.reduce_max(enough, axis=2, keepdims=True)
        chosen_boards = _any_of_many(keys[1], is_choice)

        # Constraints in a random order. Surplus constraints and goals come last.
        is_goal = tf.range(self.max_goals) < number[:, tf.newaxis]
        is_new = tf.gather(holds, chosen_boards) * (1.0 - old[:, tf.newaxis]) > 0
        in_order = tf.where(is_new, draws.uniform_numbers(keys[2], is_new.shape), 2.0)
        order = tf.argsort(in_order, axis=2)[:, :, : self.max_constraints]
        most = tf.minimum(num_constraints, tf.reduce_sum(tf.cast(is_new, tf.int32), axis=2))
        is_told = tf.range(self.max_constraints) < most[:, :, tf.newaxis]
        is_told &= is_goal[:, :, tf.newaxis]
        facts = tf.reduce_any(tf.one_hot(tf.where(is_told, order, _NONE), FACTS) > 0, axis=2)

        letter_key, phrase_key, choice_key = (draws.fold_in(keys[3], k) for k in range(3))
        all_letters = tf.fill([self.batch_size], LETTERS)
        letters = draws.permutations(letter_key, all_letters, LETTERS)[:, : self.max_goals]
        chosen = _below(choice_key, number)
        goal = tf.cast(tf.gather(facts, chosen, batch_dims=1), tf.float32)
        is_reached = boards.reached(goal, self.max_blocks)
        minimum = tf.reduce_min(tf.where(is_reached, distance, boards.FAR), axis=1)

        told = _phrases(phrase_key, order, letters)
        told = tf.reshape(told, [self.batch_size, -1, 4])
        is_told = tf.reshape(is_told, [self.batch_size, -1])
        in_order = tf.argsort(tf.cast(~is_told, tf.int32), axis=1, stable=True)
        return Goals(
            start=start,
            boards=chosen_boards,
            facts=facts,
            letters=letters,
            number=number,
            chosen=chosen,
            minimum=minimum,
            told=tf.gather(told, in_order, batch_dims=1),
            num_told=tf.reduce_sum(tf.cast(is_told, tf.int32), axis=1),
        )

    def start(self, split: str, seed: Any, step: Any, lesson: Any = None) -> tuple[Any, tf.Tensor]:
        """Returns the environment at the start of episodes, and the first observations [B, 97]."""
        goals = self.draw(split, seed, step, lesson)
        environment = Environment(
            t=tf.constant(0),
            goals=goals,
            board=goals.start,
            num_left=goals.minimum + MORE,
            is_drawn=tf.constant(split == "train"),
        )
        return environment, _observe(environment)

    def respond(
        self, environment: Environment, outputs: Any, key: tf.Tensor
    ) -> tuple[Any, tf.Tensor, Record]:
        """Returns the environment after an action, if one was required."""
        now, goals = environment, environment.goals
        is_asked = now.is_asked
        action = _act(outputs, key, now.is_drawn)
        after = tf.gather(boards.tables().after, now.board)
        moved = tf.gather(after, action, batch_dims=1)
        board = tf.where(is_asked, moved, now.board)

        goal = goals.goal
        number = tf.reduce_sum(goal, axis=1)
        before, held = (
            tf.reduce_sum(tf.gather(boards.tables().facts, x) * goal, axis=1)
            for x in (now.board, board)
        )
        is_invalid = (moved == now.board) & (action != boards.PASS)
        is_undone = (before == number) & (held < number)
        reward = held - self.invalid_cost * tf.cast(is_invalid, tf.float32)
        reward -= self.undo_cost * tf.cast(is_undone, tf.float32)
        following = now._replace(
            t=now.t + 1, board=board, num_left=now.num_left - tf.cast(is_asked, tf.int32)
        )
        mask = tf.cast(is_asked, tf.float32)
        record = Record(
            target=(),
            mask=mask,
            extras=Choice(
                action=action,
                reward=reward * mask,
                part=held / number,
                num_left=following.num_left,
                minimum=goals.minimum,
                num_constraints=tf.cast(number, tf.int32),
            ),
        )
        return following, _observe(following), record

    def loss(self, outputs: tf.Tensor, batch: Batch) -> tf.Tensor:
        """Returns the loss of policy and value, minus the weighted entropy, per episode."""
        choice: Choice = batch.extras
        mask = tf.cast(batch.mask, outputs.dtype)
        reward = tf.cast(choice.reward, outputs.dtype)
        log_policy, value = tf.nn.log_softmax(outputs[..., :ACTIONS]), outputs[..., ACTIONS]
        advantage = advantages(reward, tf.stop_gradient(value) * mask, self.trace_decay)
        returns = advantages(reward, tf.zeros_like(reward), 1.0)
        of_action = tf.gather(log_policy, choice.action, batch_dims=2)
        entropy = -tf.reduce_sum(tf.exp(log_policy) * log_policy, axis=2)
        loss = tf.square(returns - value) / 2 - of_action * advantage - self.entropy * entropy
        return tf.reduce_mean(tf.reduce_sum(loss * mask, axis=0))

    def metrics(self, outputs: tf.Tensor, batch: Batch) -> dict[str, tf.Tensor]:
        """Returns the share of the constraints that do not hold at the end, and other means.

        `reward` is the sum of an episode's rewards, and `solved_sequences` the fraction of goals
        reached with the minimum number of moves.
        """
        choice: Choice = batch.extras
        mask = tf.cast(batch.mask, outputs.dtype)
        is_last = mask * tf.cast(choice.num_left == 0, outputs.dtype)
        part = tf.cast(choice.part, outputs.dtype)
        solved = tf.cast(is_solved_at(choice), outputs.dtype) * mask
        return {
            "missed_constraints": tf.reduce_mean(tf.reduce_sum((1.0 - part) * is_last, axis=0)),
            "reward": tf.reduce_mean(tf.reduce_sum(choice.reward, axis=0)),
            "solved_sequences": tf.reduce_mean(tf.reduce_sum(solved, axis=0)),
        }

    def is_solved(self, metrics: Mapping[str, float]) -> bool:
        """Returns whether at most 15 % of the constraints do not hold at the end."""
        return metrics["missed_constraints"] <= 0.15

    def describe_error(self, error: float) -> str:
        """Returns a fraction of constraints as text."""
        return f"{error:.1%} of the constraints not met at the end"

    def to_human_readable(
        self, batch: Batch, outputs: Any = None, whole_batch: bool = False
    ) -> str:
        """Returns the first episode (or all) as text: the goals, and the boards with the moves."""
        labels, mask = self.step_labels(batch), np.asarray(batch.mask)
        episodes = []
        for b in range(mask.shape[1] if whole_batch else 1):
            asked = np.flatnonzero(mask[:, b])
            told: dict[str, list[str]] = {}
            for label in labels[b][: asked[0]]:
                letter, _, constraint = label.partition(": ")
                told.setdefault(letter, []).append(constraint)
            lines = [f"{letter}: {', '.join(own)}" for letter, own in told.items()]
            actions, *strip = zip(*(labels[b][t].split("\n") for t in asked), strict=True)
            goal, _, first = actions[0].partition(" ")
            actions = (first, *actions[1:])
            width = max(map(len, actions))
            for k, rows in enumerate(strip):
                is_middle = k == boards.HEIGHT // 2
                gaps = [f"  {action if is_middle else '':{width}}  " for action in actions]
                head = f"{goal if is_middle else '':{len(goal)}} "
                cells = [row + gap for row, gap in zip(rows, gaps, strict=True)]
                lines.append((head + "".join(cells)).rstrip())
            episodes.append("\n".join(lines))
        return "\n\n".join(episodes)

    def step_labels(self, batch: Batch) -> list[list[str]]:
        """Returns each step's constraint, "K: 1 above 4", or action, "2>3"; the first is "K? 2>3".

        Each action is followed by the board before it, in three lines.
        """
        seen, mask = np.asarray(batch.observations), np.asarray(batch.mask)
        squares = seen_squares(seen)
        letters, blocks, relations, others = np.split(
            seen[..., :_GO], np.cumsum([LETTERS, MAX_BLOCKS, len(RELATIONS)]), axis=2
        )
        found = []
        for b in range(mask.shape[1]):
            asked = np.flatnonzero(mask[:, b])
            labels = []
            for t in range(asked[-1] + 1):
                letter = chr(ord("A") + letters[t, b].argmax()) if letters[t, b].any() else ""
                if t < asked[0]:
                    first, second = (x[t, b].argmax() + 1 for x in (blocks, others))
                    relation = RELATIONS[relations[t, b].argmax()]
                    labels.append(f"{letter}: {first} {relation} {second}")
                else:
                    action = text_of_action(int(batch.extras.action[t, b]))
                    label = f"{letter}? {action}" if letter else action
                    labels.append("\n".join([label, *boards.rows(squares[t, b])]))
            found.append(encoding.padded(labels, mask.shape[0]))
        return found


def advantages(reward: tf.Tensor, value: tf.Tensor, trace_decay: float) -> tf.Tensor:
    """Returns generalised advantages without a discount (Schulman et al. 2016, equation 16).

    Args:
      reward: [T, B], 0 where there are no actions.
      value: value of the policy before each action [T, B], 0 where there are none.
      trace_decay: lambda, in [0, 1].
    """
    following = tf.concat([value[1:], tf.zeros_like(value[:1])], axis=0)
    steps = np.arange(len(reward))
    ahead = steps - steps[:, np.newaxis]
    weights = np.where(ahead >= 0, float(trace_decay) ** np.maximum(ahead, 0), 0.0)
    return tf.constant(weights, reward.dtype) @ (reward + following - value)


def is_solved_at(choice: Choice) -> Any:
    """Returns whether a step reaches the goal in the minimum number of moves, bool [T, B]."""
    return (choice.part == 1.0) & (choice.num_left == MORE)


def seen_squares(observations: Any) -> np.ndarray:
    """Returns the block on each square in observations [..., 97], -1: none, [..., 9]."""
    squares = np.asarray(observations)[..., _GO + 1 :]
    squares = squares.reshape([*squares.shape[:-1], SQUARES, MAX_BLOCKS])
    return np.where(squares.any(axis=-1), squares.argmax(axis=-1), _NONE)


def text_of_action(action: int) -> str:
    """Returns "1>3" for the move from the first column to the third, or "pass"."""
    if action == boards.PASS:
        return "pass"
    source, target = MOVES[action]
    return f"{source + 1}>{target + 1}"


def _below(key: tf.Tensor, bounds: tf.Tensor) -> tf.Tensor:
    """Returns a random integer >= 0 below each bound, int32."""
    drawn = draws.uniform_numbers(key, bounds.shape)
    return tf.cast(drawn * tf.cast(bounds, tf.float32), tf.int32)


def _possible(depth: tf.Tensor, distance: tf.Tensor, num_new: tf.Tensor, most: int) -> tf.Tensor:
    """Returns the depths [B, G], or the next smaller ones with boards that have new facts."""
    depths = tf.range(1, most + 1)
    is_there = distance[:, tf.newaxis] == depths[:, tf.newaxis]
    is_there = tf.reduce_any(is_there & (num_new[:, tf.newaxis] > 0), axis=2)
    found = tf.where(is_there[:, tf.newaxis] & (depths <= depth[:, :, tf.newaxis]), depths, 0)
    return tf.reduce_max(found, axis=2)


def _any_of_many(key: tf.Tensor, is_choice: tf.Tensor) -> tf.Tensor:
    """Draws as `draws.any_of` does, but with one random number instead of one for each place.

    It counts the choices in groups of places, then within the group that contains the drawn one.
    """
    *shape, size = is_choice.shape
    length = math.isqrt(size) + 1
    padding = [[0, 0]] * len(shape) + [[0, length**2 - size]]
    groups = tf.reshape(tf.pad(tf.cast(is_choice, tf.float32), padding), [*shape, length, length])
    up_to = tf.linalg.band_part(tf.ones([length, length]), 0, -1)
    in_groups = tf.reduce_sum(groups, axis=-1)
    number = _below(key, tf.reduce_sum(in_groups, axis=-1))
    number = tf.cast(number, tf.float32)[..., tf.newaxis]
    is_before = in_groups @ up_to <= number
    group = tf.reduce_sum(tf.cast(is_before, tf.int32), axis=-1)
    number -= tf.reduce_sum(tf.where(is_before, in_groups, 0.0), axis=-1, keepdims=True)
    own = tf.gather(groups, group, batch_dims=len(shape))
    place = tf.reduce_sum(tf.cast(own @ up_to <= number, tf.int32), axis=-1)
    return group * length + place


def _phrases(key: tf.Tensor, facts: tf.Tensor, letters: tf.Tensor) -> tf.Tensor:
    """Returns constraints as letter, block, relation and block, [B, G, C, 4].

    Each is phrased at random: "1 above 2" and "2 below 1" mean the same.
    """
    is_left, pair = facts // MAX_BLOCKS**2, facts % MAX_BLOCKS**2
    first, second = pair // MAX_BLOCKS, pair % MAX_BLOCKS
    turn = draws.uniform_integers(key, facts.shape, 0, 1)
    letter = tf.broadcast_to(letters[:, :, tf.newaxis], facts.shape)
    is_turned = turn == 1
    return tf.stack(
        [
            letter,
            tf.where(is_turned, second, first),
            2 * is_left + turn,
            tf.where(is_turned, first, second),
        ],
        axis=3,
    )


def _act(outputs: tf.Tensor, key: tf.Tensor, is_drawn: tf.Tensor) -> tf.Tensor:
    """Returns the most likely actions, or actions drawn from the policy (with Gumbel noise)."""
    logits = tf.cast(outputs[:, :ACTIONS], tf.float32)
    drawn = tf.maximum(draws.uniform_numbers(key, logits.shape), 1e-7)
    noise = -tf.math.log(-tf.math.log(drawn))
    noisy = tf.where(is_drawn, logits + noise, logits)
    return tf.argmax(noisy, axis=1, output_type=tf.int32)


def _observe(now: Environment) -> tf.Tensor:
    """Returns the observations [B, 97] at a time step."""
    goals = now.goals
    told = tf.gather(goals.told, tf.minimum(now.t, goals.told.shape[1] - 1), axis=1)
    is_told, is_query = now.t < goals.num_told, now.t == goals.num_told
    told = tf.where(is_told[:, tf.newaxis], told, _NONE)
    letter = tf.gather(goals.letters, goals.chosen, batch_dims=1)
    is_go = now.is_asked
    is_seen = is_told | is_go
    squares = tf.gather(boards.tables().squares, now.board)
    squares = tf.where(is_seen[:, tf.newaxis], squares, _NONE)
    return tf.concat(
        [
            tf.one_hot(tf.where(is_query, letter, told[:, 0]), LETTERS),
            tf.one_hot(told[:, 1], MAX_BLOCKS),
            tf.one_hot(told[:, 2], len(RELATIONS)),
            tf.one_hot(told[:, 3], MAX_BLOCKS),
            tf.cast(is_go, tf.float32)[:, tf.newaxis],
            tf.reshape(tf.one_hot(squares, MAX_BLOCKS), [-1, MAX_BLOCKS * SQUARES]),
        ],
        axis=1,
    )
