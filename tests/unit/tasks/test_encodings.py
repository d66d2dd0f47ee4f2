"""Each task's episodes, against an obvious way to make them: one episode and one step at a time."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import tasks
from tasks.lessons import naive

BATCH_SIZE = 3


class Episode:
    """An episode that is written down step by step."""

    def __init__(self, task):
        self.observations = np.zeros([task.num_steps, task.input_size], np.float32)
        self.target = np.zeros([task.num_steps, task.output_size], np.float32)
        self.mask = np.zeros([task.num_steps], np.float32)
        self.t = 0

    def step(self, shown=(), channels=(), said=None, mask=0, at=0):
        """One time step: bits shown from channel `at` on, ones in channels, and the target."""
        self.observations[self.t, at : at + len(shown)] = shown
        self.observations[self.t, list(channels)] = 1
        if said is not None:
            self.target[self.t, : len(said)] = said
        self.mask[self.t] = mask
        self.t += 1


def copy(task, rows, lengths, b):
    episode, n = Episode(task), lengths[b]
    for row in rows[b][:n]:
        episode.step(shown=row)
    episode.step(channels=[task.num_bits])
    for row in rows[b][:n]:
        episode.step(said=row, mask=1)
    return episode


def copy_series(task, rows, lengths, copies, b):
    episode = Episode(task)
    for k in range(copies[b]):
        here = rows[b][k][: lengths[b][k]]
        for row in here:
            episode.step(shown=row, mask=task.mask_all)
        episode.step(channels=[task.num_bits], mask=task.mask_all)
        for row in here:
            episode.step(said=row, mask=1)
        if task.blank:
            episode.step(mask=task.mask_all)
    return episode


def repeat_copy(task, patterns, lengths, repeats, b):
    episode, bits = Episode(task), task.num_bits
    numpy = task.layout == "numpy"
    rows = patterns[b][: lengths[b]]
    episode.step(channels=[1 if numpy else bits], mask=numpy)
    for row in rows:
        episode.step(shown=row, at=2 if numpy else 0, mask=numpy)
    number = repeats[b] if numpy else repeats[b] / np.float32(task.norm_max)
    episode.step(shown=[number], at=0 if numpy else bits + 1, mask=numpy)
    for _ in range(repeats[b]):
        for row in rows:
            episode.step(said=[0, *row] if numpy else row, mask=1)
    episode.step(said=[1] if numpy else [0] * bits + [1], mask=1)
    return episode


def associative_recall(task, items, number, asked, b):
    episode, bits = Episode(task), task.num_bits
    for item in items[b][: number[b]]:
        episode.step(channels=[bits])
        for row in item:
            episode.step(shown=row)
    episode.step(channels=[bits + 1])
    for row in items[b][asked[b]]:
        episode.step(shown=row)
    episode.step(channels=[bits + 1])
    for row in items[b][asked[b] + 1]:
        episode.step(said=row, mask=1)
    return episode


def key_value(task, keys, values, lengths, order, second_order, b):
    episode, n, bits = Episode(task), lengths[b], task.num_bits
    for key, value in zip(keys[b][:n], values[b][:n], strict=True):
        episode.step(shown=[*key, *value], mask=1)
    episode.step(channels=[bits], mask=1)
    for k in order[b][:n]:
        episode.step(shown=keys[b][k], said=values[b][k], mask=1)
    if not task.two_way:
        episode.step(channels=[bits], mask=1)
        return episode
    episode.step(channels=[bits + 1], mask=1)
    for k in second_order[b][:n]:
        episode.step(shown=values[b][k], said=keys[b][k], mask=1)
    episode.step(channels=[bits, bits + 1], mask=1)
    return episode


def ngrams(task, probabilities, drawn, lengths, b):
    episode, bits = Episode(task), []
    for t in range(lengths[b]):
        context = int("".join(map(str, bits[-task.context :])) or "0", 2)
        known = probabilities[b][context] if t >= task.context else 0.5
        bits.append(int(drawn[t][b] < known))
        episode.step(shown=[bits[-2]] if t else [0], said=[bits[-1]], mask=1)
    return episode


def priority_sort(task, rows, priorities, lengths, b):
    episode, n = Episode(task), lengths[b]
    chainer = task.layout == "chainer"
    number = n - 1 if chainer else n
    for row, priority in zip(rows[b][:number], priorities[b][:number], strict=True):
        episode.step(shown=[priority, *row] if chainer else [*row, priority], mask=chainer)
    episode.step(channels=[task.num_bits + 1], mask=chainer)
    pairs = sorted(zip(priorities[b][:number], range(number), strict=True), reverse=not chainer)
    if chainer:
        episode.step(mask=1)
    else:
        pairs = pairs[: max(1, int(0.8 * n + 1e-9))]
    for _, k in pairs:
        episode.step(said=rows[b][k], mask=1)
    return episode


def digits(task, digits, lengths, b):
    episode, here = Episode(task), list(digits[b][: lengths[b]])
    for digit in here:
        episode.step(channels=[digit], mask=task.mask_all)
    answer = sum(here) if task.name == "addition" else here.index(max(here))
    episode.step(channels=[task.num_digits], said=[answer], mask=1)
    return episode


def ranges(name, minimum=1, maximum=4):
    pairs = st.tuples(st.integers(minimum, maximum), st.integers(minimum, maximum)).map(sorted)
    return pairs.map(lambda pair: {f"min_{name}": pair[0], f"max_{name}": pair[1]})


def options(*parts, **more):
    return st.tuples(*parts, st.fixed_dictionaries(more)).map(
        lambda parts: {name: value for part in parts for name, value in part.items()}
    )


def bits_of(triple):
    """Three labels of three digits, each one-hot; nothing for `None`."""
    found = np.zeros([3, 3, 10])
    for part, label in enumerate(triple):
        for place, digit in enumerate("" if label is None else f"{label:03d}"):
            found[part, place, int(digit)] = 1
    return found.ravel()


def traversal(task, edges, path, num_edges, lengths, b):
    episode = Episode(task)
    for triple in edges[b][: num_edges[b]]:
        episode.step(shown=bits_of(triple))
    path = [tuple(triple) for triple in path[b][: lengths[b]]]
    for number, (source, edge, _) in enumerate(path):
        first = number == 0
        asked = bits_of([source if first else None, edge, None])
        episode.step(shown=asked, channels=[90] if first else [])
    for number, triple in enumerate([*path, (0, 0, 0)]):
        channels = [90, 91] if number == 0 else [91]
        episode.step(channels=channels, said=bits_of(triple), mask=1)
    return episode


def inference(task, edges, answers, num_edges, b):
    episode = Episode(task)
    for triple in edges[b][: num_edges[b]]:
        episode.step(shown=bits_of(triple))
    for source, relation, destination in answers[b]:
        episode.step(shown=bits_of([source, relation, None]), channels=[90])
        for _ in range(10):
            episode.step()
        said = bits_of([source, relation, destination])
        episode.step(channels=[90, 91], said=said, mask=1)
    return episode


BITS = st.integers(1, 4)
OPTIONS = {
    "copy": options(ranges("length"), num_bits=BITS),
    "copy_series": options(
        ranges("length", 1, 3),
        ranges("copies", 1, 3),
        num_bits=BITS,
        blank=st.booleans(),
        mask_all=st.booleans(),
    ),
    "repeat_copy": options(
        ranges("length", 1, 3),
        ranges("repeats", 1, 3),
        num_bits=BITS,
        layout=st.sampled_from(["deepmind", "numpy"]),
    ),
    "associative_recall": options(
        ranges("items", 2, 4), num_bits=BITS, rows_per_item=st.integers(1, 3)
    ),
    "key_value": options(ranges("length"), num_bits=st.sampled_from([4, 6]), two_way=st.booleans()),
    "ngrams": options(ranges("length", 1, 12), context=st.integers(1, 4)),
    "priority_sort": options(
        ranges("length", 2, 8), num_bits=BITS, layout=st.sampled_from(["ntm", "chainer"])
    ),
    "addition": options(ranges("length"), num_digits=BITS, mask_all=st.booleans()),
    "argmax": options(ranges("length"), num_digits=BITS, mask_all=st.booleans()),
    "traversal": options(ranges("path", 1, 3), ranges("nodes", 4, 7), ranges("degree", 1, 3)),
    "inference": options(
        ranges("path", 2, 5),
        ranges("nodes", 4, 7),
        ranges("degree", 1, 3),
        num_questions=st.integers(1, 3),
    ),
}
SLOW = {
    "copy": copy,
    "copy_series": copy_series,
    "repeat_copy": repeat_copy,
    "associative_recall": associative_recall,
    "key_value": key_value,
    "ngrams": ngrams,
    "priority_sort": priority_sort,
    "addition": digits,
    "argmax": digits,
    "traversal": traversal,
    "inference": inference,
}
# What is said is bits or a number; test_graphs.py is about triples.
OF_CHANNELS = [name for name in SLOW if name not in ("traversal", "inference")]


def drawn(task, seed):
    """The arguments that the task draws for its `encode`, and the batch."""
    found = {}

    def encode(*arguments, **more):
        names = type(task).encode.__code__.co_varnames[1:]
        found.update(zip(names, arguments, strict=False))
        found.update(more)
        return type(task).encode(task, *arguments, **more)

    vars(task)["encode"] = encode  # A task is frozen.
    batch = task.batch("train", seed, 1)
    del vars(task)["encode"]
    return {name: np.asarray(value) for name, value in found.items()}, batch


def test_all_tasks_are_here():
    # These have tests of their own.
    assert sorted([*SLOW, "babi", "shortest_path", "shrdlu"]) == tasks.names()


@pytest.mark.parametrize("name", SLOW)
@settings(deadline=None, max_examples=30)
@given(data=st.data())
def test_episodes_are_laid_out_as_the_docstring_says(name, data):
    task = tasks.get(name, batch_size=BATCH_SIZE, **data.draw(OPTIONS[name]))
    arguments, batch = drawn(task, data.draw(st.integers(0, 2**31 - 1)))

    assert batch.observations.shape == [task.num_steps, BATCH_SIZE, task.input_size]
    assert batch.target.shape == [task.num_steps, BATCH_SIZE, task.output_size]
    assert batch.mask.shape == [task.num_steps, BATCH_SIZE]
    for b in range(BATCH_SIZE):
        episode = SLOW[name](task, **arguments, b=b)
        np.testing.assert_array_equal(batch.observations[:, b], episode.observations)
        np.testing.assert_array_equal(batch.target[:, b], episode.target)
        np.testing.assert_array_equal(batch.mask[:, b], episode.mask)


@pytest.mark.parametrize("name", SLOW)
@settings(deadline=None, max_examples=10)
@given(data=st.data())
def test_the_same_seed_and_step_are_the_same_batch_and_others_are_not(name, data):
    # Large enough that no two are the same by chance.
    large = {
        "ngrams": {"min_length": 100},
        "priority_sort": {},
        "repeat_copy": {"num_bits": 20, "min_length": 10, "max_length": 10},
        "copy": {"num_bits": 20},
        "addition": {"min_length": 50, "max_length": 50},
        "argmax": {"min_length": 50, "max_length": 50},
    }
    task = tasks.get(name, batch_size=4, **large.get(name, {}))
    split = data.draw(st.sampled_from(["train", "validation"]))
    seed, step = data.draw(st.integers(0, 2**31 - 2)), data.draw(st.integers(0, 2**40))

    first, again = (task.batch(split, f(seed), f(step)) for f in (int, tf.constant))

    for one, other in zip(*map(tf.nest.flatten, (first, again)), strict=True):
        np.testing.assert_array_equal(one, other)
    other_split = "train" if split == "validation" else "validation"
    others = [(split, seed + 1, step), (split, seed, step + 1), (other_split, seed, step)]
    episodes = [first, *(task.batch(*other) for other in others)]
    seen = {x.observations[:, b].numpy().tobytes() for x in episodes for b in range(4)}
    assert len(seen) == 16


@pytest.mark.parametrize("name", SLOW)
def test_a_compiled_batch_is_the_same_with_and_without_a_lesson(name):
    task = tasks.get(name, batch_size=4)
    task = dataclasses.replace(task, lessons=naive(task.sizes, replay=0.5))
    compiled = tf.function(
        lambda lesson: [task.batch("train", 3, 4, each) for each in (None, lesson)],
        jit_compile=True,
    )
    last = len(task.lessons) - 1

    expected = [task.batch("train", 3, 4, lesson) for lesson in (None, last)]
    for one, other in zip(*map(tf.nest.flatten, (compiled(last), expected)), strict=True):
        np.testing.assert_array_equal(one, other)


def sizes_of(task, *arguments):
    """The sizes that the task draws for a batch, by name."""
    found = {}

    def draw_size(name, *more):
        found[name] = type(task).draw_size(task, name, *more)
        return found[name]

    vars(task)["draw_size"] = draw_size
    task.batch(*arguments)
    del vars(task)["draw_size"]
    return {name: np.asarray(values) for name, values in found.items()}


@pytest.mark.parametrize("name", SLOW)
@settings(deadline=None, max_examples=10)
@given(data=st.data())
def test_sizes_are_within_their_range_or_the_lessons(name, data):
    task = tasks.get(name, batch_size=BATCH_SIZE, **data.draw(OPTIONS[name]))
    of_lesson = {}
    for size, (minimum, maximum) in task.sizes.items():
        both = st.tuples(*2 * [st.integers(minimum, maximum)])
        of_lesson[size] = tuple(data.draw(both.map(sorted)))
    lessons = tasks.Lessons((tasks.Lesson({}), tasks.Lesson(of_lesson)))
    task = dataclasses.replace(task, lessons=lessons)

    for lesson, allowed in ((None, task.sizes), (0, task.sizes), (1, of_lesson)):
        found = sizes_of(task, "train", 0, data.draw(st.integers(0, 9)), lesson)
        assert found.keys() == task.sizes.keys()
        for size, values in found.items():
            minimum, maximum = allowed[size]
            assert minimum <= np.min(values) <= np.max(values) <= maximum


def test_each_copy_of_a_series_has_a_length_of_its_own_in_a_lesson():
    lessons = tasks.Lessons((tasks.Lesson({"length": (2, 4)}),))
    task = dataclasses.replace(tasks.get("copy_series", max_length=9), lessons=lessons)

    lengths = sizes_of(task, "train", 0, 0, 0)["length"]

    assert lengths.shape == (16, 10)
    assert set(lengths[0]) == set(lengths.flat) == {2, 3, 4}


@pytest.mark.parametrize("name", SLOW)
def test_all_episodes_can_have_one_size(name):
    task = tasks.get(name)
    for size, (minimum, maximum) in task.sizes.items():
        if (name, size) == ("inference", "path"):  # No relation is longer.
            continue
        larger = task.with_size(size, maximum + 3)

        assert larger.sizes == {**task.sizes, size: (maximum + 3, maximum + 3)}
        assert larger.num_steps > task.num_steps
        assert (sizes_of(larger, "test", 0, 0)[size] == maximum + 3).all()
        assert task.sizes[size] == (minimum, maximum)


@pytest.mark.parametrize("name", OF_CHANNELS)
def test_the_right_answer_has_no_error_and_another_has_some(name):
    task = tasks.get(name, batch_size=4)
    batch = task.batch("train", 0, 0)
    error, solved = task.metric_names
    if name == "ngrams":  # Here even knowing the bits is no certainty, and better than possible.
        right = task.metrics(100.0 * (2 * batch.target - 1), batch)
        assert right[error] < 0 and right[solved] == 1.0
        return
    is_number = isinstance(task, tasks.NumberTask)
    right = batch.target + 0.4 if is_number else 2 * batch.target - 1

    metrics = {k: float(v) for k, v in task.metrics(right, batch).items()}
    assert metrics[error] == pytest.approx(0.4 if is_number else 0.0, abs=1e-5)
    assert metrics[solved] == 1.0

    last = np.flatnonzero(batch.mask[:, 2])[-1]
    wrong = right.numpy()
    wrong[last, 2, 0] = batch.target[last, 2, 0] + 0.6 if is_number else -right[last, 2, 0]
    metrics = {k: float(v) for k, v in task.metrics(tf.constant(wrong), batch).items()}
    assert metrics[solved] == 0.75
    assert metrics[error] == pytest.approx((3 * 0.4 + 0.6) / 4 if is_number else 0.25, abs=1e-5)


@pytest.mark.parametrize("name", OF_CHANNELS)
def test_episodes_can_be_read(name):
    task = tasks.get(name, batch_size=2)
    batch = task.batch("train", 0, 0)

    text = task.to_human_readable(batch, 10.0 * batch.target - 5.0)

    assert [line for line in text.splitlines() if line.endswith(":")] == [
        "Observations:",
        "Targets:",
        "Model Output:",
    ]
    labels = task.step_labels(batch)
    if labels is not None:
        assert [len(episode) for episode in labels] == [task.num_steps] * 2


@pytest.mark.parametrize(
    "name, options, labels",
    [
        ("copy", {}, "row 1|row 2|copy|1|2"),
        ("copy_series", {"max_copies": 2, "min_copies": 2}, "1 row 1|1 row 2|copy|1.1|1.2|"
         "2 row 1|2 row 2|copy|2.1|2.2"),
        ("copy_series", {"max_copies": 1, "min_copies": 1, "blank": True},
         "1 row 1|1 row 2|copy|1.1|1.2|"),
        ("repeat_copy", {"min_repeats": 2}, "start|row 1|row 2|x 2|1.1|1.2|2.1|2.2|end"),
        ("repeat_copy", {"min_repeats": 2, "layout": "numpy"},
         "start|row 1|row 2|x 2|1.1|1.2|2.1|2.2|end"),
        ("associative_recall", {"max_items": 2, "rows_per_item": 1},
         "item 1|1.1|item 2|2.1|which|? 1|next|1"),
        ("priority_sort", {"max_length": 2}, "-0.52|+0.42|sort|no. 1"),
        ("addition", {}, "2|2|= 4"),
    ],
)  # fmt: skip
def test_steps_have_names(name, options, labels):
    if name != "associative_recall":
        options = {"min_length": 2, "max_length": 2, **options}
    task = tasks.get(name, batch_size=1, **options)

    (found,) = task.step_labels(task.batch("train", 0, 0))

    if name in ("priority_sort", "addition"):  # Only the form: the numbers are random.
        assert [x if x.isalpha() else len(x) for x in found] == [
            x if x.isalpha() else len(x) for x in labels.split("|")
        ]
    else:
        assert found == labels.split("|")


@pytest.mark.parametrize("two_way", [False, True])
def test_keys_and_values_are_named_by_their_pair(two_way):
    task = tasks.get("key_value", batch_size=2, min_length=3, max_length=3, two_way=two_way)
    arguments, batch = drawn(task, 5)

    for b, labels in enumerate(task.step_labels(batch)):
        asked = [f"key of {k + 1}" for k in arguments["order"][b]]
        expected = ["pair 1", "pair 2", "pair 3", "values", *asked]
        if two_way:
            expected += ["keys", *(f"value of {k + 1}" for k in arguments["second_order"][b])]
        assert labels == [*expected, "end"]


@pytest.mark.parametrize("length", [1, 3, 4])
def test_in_ngrams_shorter_than_the_context_nothing_can_be_known(length):
    task = tasks.get("ngrams", batch_size=2, min_length=length, max_length=length, context=4)

    best = task.optimal_loss(task.batch("train", 0, 0))

    np.testing.assert_allclose(best, [length, length], rtol=1e-6)  # A bit for each bit.
