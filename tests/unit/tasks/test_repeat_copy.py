import functools

import hypothesis
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import strategies as st

from tasks.repeat_copy import RepeatCopy
from tests import golden

SAMPLES = golden.Recording(golden.DATA / "repeat_copy_samples.npz")


class Sample:
    """A recorded batch, and the released task's draws for it."""

    def __init__(self, number):
        prefix = f"{number}/"
        arrays = {k.removeprefix(prefix): SAMPLES[k] for k in SAMPLES if k.startswith(prefix)}
        flags = {k.removeprefix("flags/"): arrays[k].item() for k in arrays if "flags/" in k}
        self.arrays = arrays
        self.num_steps = len(arrays["observations"])
        self.task = RepeatCopy(**flags)

        repeats_channel = arrays["observations"][:, :, -1]
        self.lengths = repeats_channel.argmax(axis=0) - 1
        self.repeats = np.rint(repeats_channel.max(axis=0) * flags["norm_max"]).astype(int)
        rows = arrays["observations"][1:, :, : flags["num_bits"]].transpose(1, 0, 2)
        self.patterns = rows[:, : flags["max_length"]]
        self.batch = self.task.encode(self.patterns, self.lengths, self.repeats)

    def padded(self, name):
        """The array of this name with zeros up to the task's number of steps."""
        array = self.arrays[name]
        missing = self.task.num_steps - self.num_steps
        return np.pad(array, [(0, missing)] + [(0, 0)] * (array.ndim - 1))


@pytest.fixture(scope="module", params=range(6))
def sample(request):
    return Sample(request.param)


def test_encode_reproduces_the_recorded_batches(sample):
    for name in ("observations", "target", "mask"):
        actual = getattr(sample.batch, name).numpy()
        np.testing.assert_array_equal(actual[: sample.num_steps], sample.arrays[name])
        assert not actual[sample.num_steps :].any()


def test_the_loss_is_the_recorded_one(sample):
    loss = sample.task.loss(sample.padded("logits"), sample.batch)

    np.testing.assert_allclose(loss, sample.arrays["cost"], rtol=1e-6)


def without_padding(recorded, lengths):
    """The recorded text with its two differences to ours taken back.

    Each episode starts with an empty line there, and continues to the end of the longest one; here
    it starts at once, and stops after its own end marker.
    """
    episodes = []
    for episode, length in zip(recorded.removeprefix("\n").split("\n\n\n\n"), lengths, strict=True):
        lines = [
            f"+{' '.join(line.strip('+').split()[:length])}+" if line.startswith("+") else line
            for line in episode.split("\n")
        ]
        episodes.append("\n".join(lines))
    return "\n\n\n".join(episodes)


def test_the_first_episode_reads_as_recorded(sample):
    lengths = sample.lengths * (sample.repeats + 1) + 3

    text = sample.task.to_human_readable(sample.batch)

    assert text == without_padding(str(sample.arrays["readable"]), lengths[:1])


def test_the_whole_batch_with_the_models_answer_reads_as_recorded(sample):
    lengths = sample.lengths * (sample.repeats + 1) + 3

    for logits in (sample.padded("logits"), sample.padded("model_output") - 0.5):
        text = sample.task.to_human_readable(sample.batch, logits, whole_batch=True)
        expected = without_padding(str(sample.arrays["readable_with_output"]), lengths)
        assert text == expected


def test_an_episode_reads_like_this():
    task = RepeatCopy(num_bits=2, batch_size=1)
    batch = task.encode([[[1, 0], [1, 1]]], [2], [1])

    text = task.to_human_readable(batch, tf.ones([task.num_steps, 1, 3]))

    assert text == "\n".join(
        [
            "Observations:",
            "+- 1 1 - - - -+",
            "+- - 1 - - - -+",
            "+1 - - - - - -+",
            "+- - - 1 - - -+",
            "",
            "Targets:",
            "+- - - - 1 1 -+",
            "+- - - - - 1 -+",
            "+- - - - - - 1+",
            "",
            "Model Output:",
            "+- - - - 1 1 1+",
            "+- - - - 1 1 1+",
            "+- - - - 1 1 1+",
        ]
    )


def assert_same(first, second):
    for left, right in zip(*map(tf.nest.flatten, (first, second)), strict=True):
        np.testing.assert_array_equal(left, right)


def test_each_step_has_a_label():
    task = RepeatCopy(max_length=3, max_repeats=2, batch_size=2)
    batch = task.encode(np.zeros([2, 3, 4]), lengths=[2, 3], repeats=[2, 1])
    assert task.step_labels(batch) == [
        ["start", "row 1", "row 2", "x 2", "1.1", "1.2", "2.1", "2.2", "end", "", "", ""],
        ["start", "row 1", "row 2", "row 3", "x 1", "1.1", "1.2", "1.3", "end", "", "", ""],
    ]


def test_a_batch_depends_on_seed_and_step_alone():
    first = RepeatCopy(max_length=5, max_repeats=3).batch("train", 7, 11)
    tf.random.set_seed(1)
    second = RepeatCopy(max_length=5, max_repeats=3).batch("train", 7, 11)

    assert_same(first, second)


@pytest.mark.parametrize("seed, step", [(7, 12), (8, 11), (11, 7), (7, 2**40)])
def test_another_seed_or_step_gives_another_batch(seed, step):
    task = RepeatCopy(max_length=5, max_repeats=3)
    expected = task.batch("train", 7, 11).observations

    assert np.any(task.batch("train", seed, step).observations != expected)


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("dtype", [tf.int32, tf.int64])
def test_compiling_does_not_change_a_batch(jit_compile, dtype):
    task = RepeatCopy(num_bits=3, max_length=5, max_repeats=3)
    compiled = tf.function(functools.partial(task.batch, "train"), jit_compile=jit_compile)

    for seed, step in [(0, 0), (7, 11), (1, 123_456)]:
        batch = compiled(tf.constant(seed, dtype), tf.constant(step, dtype))
        assert_same(batch, task.batch("train", seed, step))


def drawn(task, num_batches):
    """Lengths, repeats and target bits of many episodes."""
    batches = [task.batch("train", 0, step) for step in range(num_batches)]
    observations = np.concatenate([batch.observations for batch in batches], axis=1)
    lengths = observations[:, :, -1].argmax(axis=0) - 1
    repeats = np.rint(observations[:, :, -1].max(axis=0) * task.norm_max).astype(int)
    return lengths, repeats, observations[:, :, : task.num_bits]


def test_lengths_and_repeats_are_uniform_with_their_bounds():
    task = RepeatCopy(batch_size=1000, min_length=2, max_length=5, min_repeats=3, max_repeats=5)

    lengths, repeats, _ = drawn(task, num_batches=10)

    for numbers, values in [(lengths, [2, 3, 4, 5]), (repeats, [3, 4, 5])]:
        found, counts = np.unique(numbers, return_counts=True)
        np.testing.assert_array_equal(found, values)
        expected = len(numbers) / len(values)
        np.testing.assert_allclose(counts, expected, atol=5 * np.sqrt(expected))


def test_lengths_and_repeats_are_drawn_independently():
    lengths, repeats, _ = drawn(RepeatCopy(batch_size=1000, max_length=9, max_repeats=9), 10)

    assert abs(np.corrcoef(lengths, repeats)[0, 1]) < 0.05


def test_half_of_the_bits_of_a_pattern_are_ones():
    task = RepeatCopy(batch_size=1000, min_length=5, max_length=5)

    _, _, patterns = drawn(task, num_batches=5)
    bits = patterns[1:6]

    # In each row and channel, not just overall.
    np.testing.assert_allclose(bits.mean(axis=1), 0.5, atol=0.04)


sizes = st.integers(1, 4)


@hypothesis.settings(max_examples=50, deadline=None)
@hypothesis.given(
    num_bits=sizes,
    batch_size=sizes,
    lengths=st.tuples(sizes, sizes).map(sorted),
    repeats=st.tuples(sizes, sizes).map(sorted),
    norm_max=st.integers(1, 20),
    step=st.integers(0, 2**62),
)
def test_every_episode_is_laid_out_as_documented(
    num_bits, batch_size, lengths, repeats, norm_max, step
):
    task = RepeatCopy(
        num_bits=num_bits,
        batch_size=batch_size,
        min_length=lengths[0],
        max_length=lengths[1],
        min_repeats=repeats[0],
        max_repeats=repeats[1],
        norm_max=norm_max,
    )

    batch = task.batch("train", 0, step)
    observations, target, mask = (part.numpy() for part in batch[:3])

    assert observations.shape == (task.num_steps, batch_size, num_bits + 2)
    assert target.shape == (task.num_steps, batch_size, num_bits + 1)
    assert (task.input_size, task.output_size) == (num_bits + 2, num_bits + 1)
    for b in range(batch_size):
        (repeats_step,) = np.flatnonzero(observations[:, b, num_bits + 1])
        length = repeats_step - 1
        repeat = round(observations[repeats_step, b, num_bits + 1] * norm_max)
        answer = np.arange(repeats_step + 1, repeats_step + 1 + length * repeat + 1)
        pattern = observations[1 : length + 1, b, :num_bits]
        assert lengths[0] <= length <= lengths[1]
        assert repeats[0] <= repeat <= repeats[1]
        assert set(np.unique(pattern)) <= {0.0, 1.0}

        expected = np.zeros_like(observations[:, b])
        expected[0, num_bits] = 1
        expected[1 : length + 1, :num_bits] = pattern
        expected[repeats_step, num_bits + 1] = np.float32(repeat) / np.float32(norm_max)
        np.testing.assert_array_equal(observations[:, b], expected)

        expected = np.zeros_like(target[:, b])
        expected[answer[:-1], :num_bits] = np.tile(pattern, [repeat, 1])
        expected[answer[-1], num_bits] = 1
        np.testing.assert_array_equal(target[:, b], expected)

        assert mask[:, b].sum() == length * repeat + 1
        assert batch.lengths[b] == answer[-1] + 1
        np.testing.assert_array_equal(np.flatnonzero(mask[:, b]), answer)


def test_the_longest_episode_fills_the_batch():
    task = RepeatCopy(batch_size=1, max_length=3, max_repeats=4)

    batch = task.encode(np.ones([1, 3, 4]), [3], [4])

    assert batch.mask.shape == (task.num_steps, 1)
    assert batch.mask[-1, 0] == 1.0


def test_metrics_are_named_as_announced_and_perfect_for_the_target_itself():
    task = RepeatCopy()
    batch = task.batch("train", 0, 0)

    metrics = task.metrics(batch.target - 0.5, batch)

    assert set(metrics) == set(task.metric_names)
    assert metrics["wrong_bits"] == 0.0
    assert metrics["solved_sequences"] == 1.0


@pytest.mark.parametrize(
    "option", ["num_bits", "batch_size", "min_length", "max_length", "min_repeats", "max_repeats"]
)
@pytest.mark.parametrize("value", [0, -1, 1.5, "2", None, True])
def test_a_size_that_is_no_positive_integer_is_refused(option, value):
    with pytest.raises(ValueError, match=rf"{option} must be an integer.* 1.*{value!r}"):
        RepeatCopy(**{option: value})


@pytest.mark.parametrize("value", [0, -3, float("nan")])
def test_a_norm_that_is_not_positive_is_refused(value):
    with pytest.raises(ValueError, match=rf"norm_max must be an integer >= 1, got {value!r}"):
        RepeatCopy(norm_max=value)
