"""The bAbI task on the excerpt in tests/data/babi."""

import dataclasses
import functools
import itertools

import numpy as np
import pytest
import sonnet as snt
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

import dnc
import tasks
from tasks import encoding
from tasks.babi import data, stories
from tests.unit.tasks.babi.test_data import EXCERPT

DATA = str(EXCERPT)


@pytest.fixture(scope="module")
def task():
    return tasks.get("babi", data_dir=DATA, tasks="1,8,19", batch_size=4, max_buckets=3)


def stories_of(part, numbers=(1, 8, 19)):
    found = data.read(DATA, numbers, part)
    return list(itertools.chain.from_iterable(found.values()))


def in_a_batch(batch):
    """Tokens and answers of each story of a batch, read off its numbers."""
    observations, target, mask = (np.asarray(part) for part in batch[:3])
    assert (batch.lengths == observations.sum(axis=(0, 2))).numpy().all()
    found = []
    for b in range(mask.shape[1]):
        length = int(observations[:, b].sum())
        assert not observations[length:, b].any() and not target[mask[:, b] == 0, b].any()
        assert (observations[:length, b].sum(axis=1) == 1).all()
        tokens = [data.SYMBOLS[k] for k in observations[:length, b].argmax(axis=1)]
        answered = target[mask[:, b] == 1, b]
        assert (answered.sum(axis=1) == 1).all()
        assert [token == "-" for token in tokens] == list(mask[:length, b] == 1)
        answers = [data.SYMBOLS[k] for k in answered.argmax(axis=1)]
        found.append((tuple(tokens), tuple(answers)))
    return found


def test_a_batch_holds_stories_of_the_files(task):
    known = {(story.tokens, story.answers) for story in stories_of("train")}
    seen = set()
    for step in range(60):
        batch = task.batch("train", 0, step)
        assert batch.observations.shape[0] == task.steps_of_batch("train", 0, step)
        seen.update(in_a_batch(batch))

    assert seen <= known
    kept = {(story.tokens, story.answers) for story in stories_of("train")} - seen
    assert len(kept) == 6  # Two of each task are kept for validation.


def test_validation_has_the_stories_that_are_not_trained_on(task):
    trained, kept, tested = (
        {story for step in range(60) for story in in_a_batch(task.batch(split, 0, step))}
        for split in ("train", "validation", "test")
    )

    assert len(kept) == 6 and len(trained) == 30
    assert not trained & kept
    assert tested == {(story.tokens, story.answers) for story in stories_of("test")}


def test_another_split_seed_keeps_other_stories(task):
    other = tasks.get("babi", data_dir=DATA, tasks="1,8,19", split_seed=2)

    kept = [{s for b in x.every_batch("validation") for s in in_a_batch(b)} for x in (task, other)]

    assert kept[0] != kept[1]


def test_a_batch_depends_on_seed_and_step_alone(task):
    again = tasks.get("babi", data_dir=DATA, tasks="1,8,19", batch_size=4, max_buckets=3)
    first = in_a_batch(task.batch("train", 5, 6))

    assert in_a_batch(again.batch("train", tf.constant(5), tf.constant(6))) == first
    batches = [task.batch("train", *at) for at in [(5, 7), (6, 6), (5, 6 + 2**40)]]
    assert all(in_a_batch(batch) != first for batch in batches)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_task_of_one_length_draws_the_same_batches_in_a_graph(task, split):
    lengths = [task.steps_of_batch(split, 0, step) for step in range(20)]

    for num_steps in set(lengths):
        own = task.of_length(num_steps)
        compiled = tf.function(functools.partial(own.batch, split, 0), jit_compile=True)
        step = lengths.index(num_steps)
        assert own.num_steps == own.steps_of_batch(split, 0, step) == num_steps
        batch, expected = compiled(tf.constant(step)), task.batch(split, 0, step)
        assert batch.observations.shape == expected.observations.shape
        for one, other in zip(*map(tf.nest.flatten, (batch, expected)), strict=True):
            np.testing.assert_array_equal(one, other)
    assert len(set(lengths)) > 1


def test_a_length_that_no_stories_have_is_refused(task):
    with pytest.raises(ValueError, match=r"of the test stories have \d+, .* steps, not 7\."):
        task.of_length(7).batch("test", 0, 0)


def test_files_are_read_once(monkeypatch):
    task = tasks.get("babi", data_dir=DATA, tasks="1", batch_size=2, split_seed=7)
    task.batch("test", 0, 0)
    monkeypatch.setattr(data, "read", None)

    for own in (task.of_length(task.num_steps), dataclasses.replace(task, batch_size=3)):
        assert own.num_steps == task.num_steps
    assert in_a_batch(tasks.get("babi", **options_of(task)).batch("test", 0, 0))


def options_of(task):
    return {name: getattr(task, name) for name in tasks.options.of(task)}


def test_a_batch_reads_as_its_story(task):
    batch = task.batch("train", 0, 0)
    (tokens, answers), *_ = in_a_batch(batch)
    text = task.to_human_readable(batch)

    words = text.replace(".", " .").replace("?", " ?").split()
    expected, answers = [], list(answers)
    for token in tokens:
        expected.append(answers.pop(0) if token == "-" else token)
    assert words == expected
    assert len(task.to_human_readable(batch, whole_batch=True).split("\n\n")) == 4


def test_wrong_answers_stand_next_to_the_right_ones():
    task = tasks.get("babi", data_dir=DATA, tasks="19", batch_size=1)
    batch = task.batch("train", 0, 0)
    right = task.to_human_readable(batch, 10.0 * batch.target)
    wrong = np.asarray(batch.target).copy()
    last = np.flatnonzero(np.asarray(batch.mask)[:, 0])[-1]
    wrong[last, 0] = np.eye(159)[data.NUMBERS["milk"]]

    assert right == task.to_human_readable(batch)
    first_word = right.split("\n")[-1].split()[-2]
    assert task.to_human_readable(batch, wrong) == f"{right}  [{first_word} milk]"


def test_labels_name_tokens_and_answers(task):
    batch = task.batch("train", 0, 1)
    for labels, (tokens, answers) in zip(task.step_labels(batch), in_a_batch(batch), strict=True):
        assert len(labels) == batch.mask.shape[0]
        answers = iter(answers)
        expected = [f"- {next(answers)}" if token == "-" else token for token in tokens]
        assert labels == encoding.padded(expected, len(labels))


def test_the_loss_is_that_of_the_words_of_answers(task):
    batch = task.batch("train", 0, 2)
    logits = np.random.default_rng(0).normal(size=batch.target.shape)
    expected = []
    for b in range(4):
        nats = 0.0
        for t in np.flatnonzero(np.asarray(batch.mask)[:, b]):
            p = np.exp(logits[t, b]) / np.exp(logits[t, b]).sum()
            nats -= np.log(p[np.argmax(batch.target[t, b])])
        expected.append(nats)
    changed = np.where(np.asarray(batch.mask)[:, :, None] == 1, logits, 7.0)

    for x in (logits, changed):
        found = task.loss(tf.constant(x, tf.float32), batch)
        np.testing.assert_allclose(found, np.mean(expected), rtol=1e-5)


def slow_errors(said, stories):
    """Wrong questions, questions, wrong words and words, one story after the other."""
    wrong = questions = wrong_words = words = 0
    for (tokens, answers), own in zip(stories, said, strict=True):
        right, k = None, 0
        for token in tokens:
            if token == "?":
                questions += 1
                wrong += right is False
                right = True
            elif token == "-":
                same = own[k] == answers[k]
                right, k = right and same, k + 1
                words, wrong_words = words + 1, wrong_words + (not same)
        wrong += right is False
    return wrong, questions, wrong_words, words


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 2**31 - 1), part_wrong=st.floats(0, 1))
def test_a_question_is_right_only_if_all_words_of_its_answer_are(task, seed, part_wrong):
    batch = task.batch("train", seed, 0)
    stories = in_a_batch(batch)
    rng = np.random.default_rng(seed)
    said = [
        [word if rng.uniform() >= part_wrong else "milk" for word in answers]
        for _, answers in stories
    ]
    logits = rng.uniform(size=batch.target.shape)
    for b, words in enumerate(said):
        places = np.flatnonzero(np.asarray(batch.mask)[:, b])
        logits[places, b, [data.NUMBERS[word] for word in words]] += 1.0
    wrong, questions, wrong_words, words = slow_errors(said, stories)

    metrics = task.metrics(tf.constant(logits, tf.float32), batch)

    assert set(metrics) == set(task.metric_names)
    np.testing.assert_allclose(metrics["question_error"], wrong / questions, rtol=1e-6)
    np.testing.assert_allclose(metrics["word_error"], wrong_words / words, rtol=1e-6)
    without = np.mean([own == list(right[1]) for own, right in zip(said, stories, strict=True)])
    np.testing.assert_allclose(metrics["solved_sequences"], without)
    tokens = sum(len(words) for words, _ in stories)
    np.testing.assert_allclose(metrics["tokens"], tokens, rtol=1e-6)


def test_at_most_five_percent_of_wrong_questions_is_solved(task):
    assert task.is_solved({"question_error": 0.05})
    assert not task.is_solved({"question_error": 0.051})


def best_by_search(lengths, number):
    """The smallest number of padded steps of any division into this number of runs."""
    sizes = sorted(set(lengths))
    return min(
        sum(min(cut for cut in (*cuts, sizes[-1]) if cut >= n) for n in lengths)
        for cuts in itertools.combinations(sizes[:-1], number - 1)
    )


@settings(deadline=None)
@given(
    lengths=st.lists(st.integers(1, 12), min_size=1, max_size=20).map(sorted),
    most=st.integers(1, 6),
)
def test_as_few_buckets_as_are_almost_the_best(lengths, most):
    found = stories.buckets(np.array(lengths), most)

    assert len(found) <= most
    assert [bucket.first for bucket in found] == [0, *(bucket.end for bucket in found[:-1])]
    assert found[-1].end == len(lengths)
    for bucket in found:
        assert max(lengths[bucket.first : bucket.end]) == bucket.num_steps
    steps = sum(bucket.num_steps * (bucket.end - bucket.first) for bucket in found)
    assert steps == best_by_search(lengths, len(found))
    enough = 1.05 * best_by_search(lengths, min(most, len(set(lengths))))
    assert steps <= enough
    assert len(found) == 1 or best_by_search(lengths, len(found) - 1) > enough


@pytest.mark.parametrize(
    "options, why",
    [
        ({}, "needs data_dir.*make babi"),
        ({"data_dir": "nowhere"}, "Cannot read bAbI data from nowhere: No such file or directory."),
        ({"data_dir": DATA, "tasks": "2"}, "no train file of bAbI task 2 in .*, only of 1, 8, 19"),
        ({"data_dir": DATA, "batch_size": 0}, "batch_size must be"),
        ({"data_dir": DATA, "split_seed": 0}, "split_seed must be"),
        ({"data_dir": DATA, "max_buckets": 0}, "max_buckets must be"),
        (
            {"data_dir": DATA, "tasks": "1", "max_buckets": 33},
            "max_buckets must be an integer from 1 to 32, got 33",
        ),
    ],
)
def test_bad_options_are_refused(options, why):
    with pytest.raises(ValueError, match=why):
        tasks.get("babi", **options)


@pytest.mark.parametrize("split, number", [("train", 30), ("validation", 6), ("test", 9)])
def test_every_story_of_a_split_comes_once(task, split, number):
    seen, origins = [], []
    for batch in task.every_batch(split):
        assert batch.mask.shape[1] == task.batch_size
        found = in_a_batch(batch)
        origins += zip(*map(np.ndarray.tolist, map(np.asarray, batch.extras)), strict=True)
        seen += found
    is_story = [origin != (-1, 0) for origin in origins]

    assert all((story != ((), ())) == there for story, there in zip(seen, is_story, strict=True))
    assert [k for k, _ in itertools.compress(origins, is_story)] == list(range(number))
    known = {
        (story.tokens, story.answers): story.task
        for story in stories_of("test" if split == "test" else "train")
    }
    seen = list(itertools.compress(seen, is_story))
    assert [known[story] for story in seen] == [n for _, n in itertools.compress(origins, is_story)]
    assert len(set(seen)) == number
    assert split != "test" or set(seen) == known.keys()


def test_who_learns_from_a_substitute_is_told(tmp_path, task):
    path = tmp_path / "qa1_x_train_substitute.txt"
    path.write_bytes((EXCERPT / "qa1_single-supporting-fact_train.txt").read_bytes())
    other = tasks.get("babi", data_dir=str(tmp_path), tasks="1")

    assert task.notes == ()
    (note,) = other.notes
    assert note.startswith(f"Task 1 uses {path} as a substitute")


def test_what_comes_after_a_question_does_not_change_its_loss():
    task = tasks.get("babi", data_dir=DATA, tasks="1", batch_size=3)
    tf.random.set_seed(0)
    core = dnc.DNC(dnc.MemoryAccess(4, 3), snt.LSTM(8), task.output_size)
    batch = task.batch("train", 0, 0)
    mask = np.asarray(batch.mask)
    first = np.cumsum(mask, axis=0) * mask == 1  # The first word that is asked for.
    end = int(np.flatnonzero(first.any(axis=1)).max()) + 1
    changed = np.asarray(batch.observations).copy()
    rng = np.random.default_rng(0)
    changed[end:] = np.eye(159)[rng.integers(159, size=changed[end:].shape[:2])]

    def losses(observations, mask):
        outputs, _ = dnc.unroll(core, tf.constant(observations, tf.float32))
        return float(task.loss(outputs, batch._replace(mask=tf.constant(mask, tf.float32))))

    assert losses(batch.observations, first) == losses(changed, first)
    assert losses(batch.observations, batch.mask) != losses(changed, batch.mask)
