import io
import json

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import dnc
from dnc.recording import panels as _panels
from dnc.recording import summaries
from dnc_trace.quantities import QUANTITIES
from tests import models

SIZES = {"T": 6, "B": 2, "X": 3, "Y": 3, "H": 4, "N": 5, "W": 2, "R": 2, "V": 1, "Z": 3}
WHITE = (255, 255, 255)


def make_trace(sizes=None, sequence_length=None, **fields):
    """A trace of zeros, but for the given fields."""
    sizes = {**SIZES, **(sizes or {})}
    arrays = {
        name: np.zeros([sizes[axis] for axis in quantity.axes])
        for name, quantity in QUANTITIES.items()
        if not quantity.optional
    }
    lengths = [sizes["T"]] * sizes["B"] if sequence_length is None else sequence_length
    arrays["sequence_length"] = np.array(lengths, int)
    return dnc.Trace(**{**arrays, **fields})


@pytest.fixture(scope="module")
def trace():
    core = models.make_core()
    inputs = models.random_inputs(7, 3, dtype=tf.float32)
    return dnc.record(core, inputs, sequence_length=[7, 3, 0])


def events(directory):
    return EventAccumulator(str(directory), size_guidance={"tensors": 0}).Reload()


def scalars(directory, step):
    found = events(directory)
    return {
        tag: tf.make_ndarray(event.tensor_proto).item()
        for tag in found.Tags()["tensors"]
        for event in found.Tensors(tag)
        if event.step == step
    }


def one_hot(slots, num_slots=SIZES["N"]):
    """[T, B, 1, N] with 1 at a slot for each step, the same in both examples."""
    return np.repeat(np.eye(num_slots)[slots][:, np.newaxis, np.newaxis], SIZES["B"], axis=1)


# --- Scalars --------------------------------------------------------------------------------------


def test_statistics_count_the_steps_of_each_example_only():
    gate = np.ones([6, 2, 1])
    gate[4:, 0] = 100.0
    trace = make_trace(write_gate=gate, sequence_length=[4, 6])
    assert summaries.statistics(trace)["write_gate"] == 1.0


def test_sharpness_is_one_for_single_slots_and_less_for_many():
    sharp = make_trace(write_weights=one_hot([0, 1, 2, 3, 4, 0]))
    blurred = make_trace(write_weights=np.full([6, 2, 1, 5], 0.1))
    assert summaries.statistics(sharp)["write_sharpness"] == pytest.approx(1.0)
    assert summaries.statistics(blurred)["write_sharpness"] == pytest.approx(0.2)
    assert summaries.statistics(make_trace())["read_sharpness"] == 0.0


def test_sharpness_counts_a_weighting_as_much_as_it_does():
    weights = one_hot([0] * 6)
    weights[1:] = 1e-4
    trace = make_trace(write_weights=weights)
    assert summaries.statistics(trace)["write_sharpness"] > 0.99


def test_link_mass_needs_recorded_links():
    link = np.zeros([6, 2, 1, 5, 5])
    link[:, :, 0, 1, 0] = 0.5
    assert "link_mass" not in summaries.statistics(make_trace())
    assert summaries.statistics(make_trace(link=link))["link_mass"] == 0.5


def test_every_statistic_is_explained(trace):
    doc = summaries.statistics.__doc__.replace("backward_mode, ...", "").replace(", ...", "")
    names = summaries.statistics(trace).keys()
    assert {"usage", "write_gate", "link_mass"} <= names
    for name in names:
        kind, _, what = name.rpartition("_")
        assert name in doc or (what in doc and kind in doc), name


def test_shares_of_read_modes_sum_to_one(trace):
    found = summaries.statistics(trace)
    total = sum(found[f"{mode}_mode"] for mode in ("backward", "content", "forward"))
    assert total == pytest.approx(1.0, rel=1e-5)


@pytest.mark.parametrize("sizes", [{"T": 0}, {"B": 0}, {"N": 1}])
def test_an_odd_trace_has_statistics_or_none(sizes):
    assert all(np.isfinite(list(summaries.statistics(make_trace(sizes)).values())))


def test_scalars_are_written_with_those_of_the_user_beside_them(tmp_path, trace):
    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default(7):
        more = {"loss": 1.5, "gradient_norm": {"lstm": tf.constant(2.0), "output": 3}}
        assert summaries.write_scalars(trace, more)
    found = scalars(tmp_path, 7)
    assert found["loss"] == 1.5
    assert found["gradient_norm/lstm"] == 2.0
    assert found["gradient_norm/output"] == 3.0
    for name, value in summaries.statistics(trace).items():
        assert found[f"memory/{name}"] == pytest.approx(value)


def test_norms_are_those_of_all_variables_of_a_module():
    core = models.make_core()
    variables = core.trainable_variables
    values = [tf.random.normal(variable.shape) for variable in variables]
    found = summaries.module_norms(variables, values)
    assert set(found) == {"lstm", "memory_access/interface/linear", "dnc/output_linear"}
    np.testing.assert_allclose(
        tf.linalg.global_norm(list(found.values())), tf.linalg.global_norm(values), rtol=1e-5
    )
    mine = [x for v, x in zip(variables, values, strict=True) if v.name.startswith("lstm/")]
    np.testing.assert_allclose(found["lstm"], tf.linalg.global_norm(mine), rtol=1e-5)


def test_a_missing_gradient_counts_as_zero():
    variables = [tf.Variable([3.0], name="a/w"), tf.Variable([4.0], name="b")]
    norms = summaries.module_norms(variables, [None, tf.constant([-4.0])])
    assert {name: float(norm) for name, norm in norms.items()} == {"a": 0.0, "b": 4.0}


def test_norms_need_a_value_for_each_variable():
    with pytest.raises(ValueError, match="one for each of 1 variables, got 0"):
        summaries.module_norms([tf.Variable(0.0)], [])


# --- Panels ---------------------------------------------------------------------------------------


def picture(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def colours(png):
    return {tuple(map(int, colour)) for colour in picture(png).reshape(-1, 3)}


@pytest.mark.parametrize("draw", [_panels.episode_panel, _panels.usage_panel])
def test_slots_are_in_the_order_of_their_first_write(draw):
    weights = one_hot([3, 1, 3, 0, 1, 2])
    assert list(_panels.slots_by_first_write(make_trace(write_weights=weights), 0)) == [
        *(3, 1, 0, 2),
        4,
    ]
    assert draw(make_trace(write_weights=weights), 0) == draw(
        make_trace(write_weights=one_hot([0, 1, 0, 2, 1, 3])), 0
    )


def test_a_write_is_drawn_in_its_cell_and_nowhere_else():
    """Step 2 writes to slot 0: its cell, third from the left in the first row, is full."""
    weights = one_hot([0] * 6) * np.eye(6)[2][:, np.newaxis, np.newaxis, np.newaxis]
    drawn = picture(_panels.episode_panel(make_trace(write_weights=weights), 0))
    legend_end = 20
    is_write = (drawn == _panels.INK).all(axis=2)
    rows, columns = np.nonzero(is_write[legend_end:])
    cell = columns.max() - columns.min() + 1
    assert is_write[legend_end:].sum() == cell * (rows.max() - rows.min() + 1)
    assert columns.min() - _panels._LEFT == 2 * cell


def test_each_head_has_its_own_colour_and_its_stripe_of_a_step():
    reads = np.zeros([6, 2, 2, 5])
    reads[0, :, 0, 0] = reads[1, :, 1, 1] = reads[2, :, :, 2] = 1.0
    drawn = picture(_panels.episode_panel(make_trace(read_weights=reads), 0))[20:]
    first, second = ((drawn == c).all(axis=2).nonzero()[1] for c in _panels.READ_COLOURS[:2])
    cell = 36
    assert sorted({(x - _panels._LEFT) // cell for x in first}) == [0, 2]
    assert sorted({(x - _panels._LEFT) // cell for x in second}) == [1, 2]
    assert {(x - _panels._LEFT) % cell // (cell // 2) for x in first} == {0}
    assert {(x - _panels._LEFT) % cell // (cell // 2) for x in second} == {1}


def test_wrong_answers_are_marked_where_they_count():
    target = np.zeros([6, 2, 3])
    target[1] = 1.0
    outputs = np.where(target > 0, 5.0, -5.0)
    right = make_trace(target=target, outputs=outputs)
    wrong = right.replace(outputs=-outputs)
    unasked = wrong.replace(mask=np.zeros([6, 2]))
    red = _panels._WRONG
    in_band = [
        int((picture(_panels.episode_panel(x, 0))[20:] == red).all(axis=2).sum())
        for x in (right, wrong, unasked)
    ]
    assert in_band[0] == in_band[2] == 0
    assert in_band[1] > 0


def test_without_a_target_nothing_is_marked_and_no_target_drawn():
    with_target = make_trace(target=np.zeros([6, 2, 3]))
    heights = [len(picture(_panels.episode_panel(x, 0))) for x in (make_trace(), with_target)]
    assert heights[0] < heights[1]
    assert _panels._WRONG not in colours(_panels.episode_panel(make_trace(), 0))


def test_numbers_that_are_not_finite_are_seen():
    inputs = np.zeros([6, 2, 3])
    inputs[2, 0, 1] = np.nan
    inputs[3, 0, 1] = np.inf
    assert _panels._NOT_FINITE in colours(_panels.episode_panel(make_trace(inputs=inputs), 0))
    usage = np.full([6, 2, 5], np.nan)
    assert _panels._NOT_FINITE in colours(_panels.usage_panel(make_trace(usage=usage), 0))
    modes = np.full([6, 2, 2], np.nan)
    assert _panels.read_modes_panel(make_trace(content_mode=modes), 0)


def test_read_modes_are_bars_of_their_shares():
    trace = make_trace(
        forward_mode=np.full([6, 2, 2, 1], 0.5),
        content_mode=np.full([6, 2, 2], 0.25),
        backward_mode=np.full([6, 2, 2, 1], 0.25),
    )
    drawn = picture(_panels.read_modes_panel(trace, 0))[20:]
    counts = {
        mode: int((drawn == _panels.mode_colour(mode, _panels.READ_COLOURS[1])).all(axis=2).sum())
        for mode in ("backward", "content", "forward")
    }
    assert counts["forward"] == 2 * counts["content"] == 2 * counts["backward"] > 0


@pytest.mark.parametrize("name", ["episode_panel", "usage_panel", "read_modes_panel"])
@pytest.mark.parametrize(
    "sizes", [{}, {"T": 0}, {"T": 1}, {"T": 5000}, {"N": 400, "T": 200}, {"X": 300, "R": 20}]
)
def test_panels_of_any_size_are_wide_and_not_too_large(name, sizes):
    drawn = picture(getattr(_panels, name)(make_trace({**sizes, "B": 1}), 0))
    height, width, _ = drawn.shape
    assert 480 <= width <= 4200
    assert height <= 420
    assert len(np.unique(drawn.reshape(-1, 3), axis=0)) > 5


def test_panels_are_written_as_images(tmp_path, trace):
    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default(3):
        assert summaries.write_panels(trace, example=1)
    found = events(tmp_path)
    for name, draw in {
        "memory/1_episode": _panels.episode_panel,
        "memory/2_usage": _panels.usage_panel,
        "memory/3_read_modes": _panels.read_modes_panel,
    }.items():
        assert found.SummaryMetadata(name).plugin_data.plugin_name == "images"
        (event,) = found.Tensors(name)
        width, height, png = tf.make_ndarray(event.tensor_proto)
        assert event.step == 3
        assert png == draw(trace, 1)
        assert Image.open(io.BytesIO(png)).size == (int(width), int(height))


@pytest.mark.parametrize("example", [-1, 3])
def test_an_example_that_is_not_there_is_refused(trace, example):
    with pytest.raises(ValueError, match=rf"example must be in 0\.\.2, got {example}"):
        summaries.write_panels(trace, step=0, example=example)


# --- Episodes -------------------------------------------------------------------------------------


def test_an_episode_is_one_record_with_all_examples(tmp_path, trace):
    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default():
        assert summaries.write_episode(trace, step=5, tag="eval/episode")
    found = events(tmp_path)
    metadata = found.SummaryMetadata("eval/episode")
    assert metadata.plugin_data.plugin_name == "dnc_memory"
    (event,) = found.Tensors("eval/episode")
    header, *examples = tf.make_ndarray(event.tensor_proto)
    assert event.step == 5
    assert [x["length"] for x in json.loads(header)["examples"]] == [7, 3, 0]
    assert len(examples) == 3


# --- As TensorFlow's own summaries ----------------------------------------------------------------

each_writer = pytest.mark.parametrize(
    "write", [summaries.write_scalars, summaries.write_panels, summaries.write_episode]
)


@each_writer
def test_without_a_writer_nothing_is_written_or_computed(write, trace, monkeypatch):
    def fail(*args):
        raise AssertionError("called for nothing")

    monkeypatch.setattr(summaries, "statistics", fail)
    monkeypatch.setattr(_panels, "_draw", fail)
    monkeypatch.setattr(summaries.episode, "encode", fail)
    assert not write(trace, step=0)


@each_writer
def test_where_recording_is_off_nothing_is_written(tmp_path, write, trace):
    writer = tf.summary.create_file_writer(str(tmp_path))
    with writer.as_default(0), tf.summary.record_if(False):
        assert not write(trace)
    assert not events(tmp_path).Tags()["tensors"]


@each_writer
def test_without_a_step_it_is_refused(tmp_path, write, trace):
    with (
        tf.summary.create_file_writer(str(tmp_path)).as_default(),
        pytest.raises(ValueError, match=r"[Nn]o step"),
    ):
        write(trace)


@pytest.mark.parametrize("write", [summaries.write_panels, summaries.write_episode])
@pytest.mark.parametrize("tag", ['a "b"', "a\\b", "a\nb"])
def test_a_tag_that_tensorboards_fast_reader_cannot_find_is_refused(tmp_path, write, tag, trace):
    with (
        tf.summary.create_file_writer(str(tmp_path)).as_default(),
        pytest.raises(ValueError, match="must not contain quotes, backslashes or control"),
    ):
        write(trace, step=0, tag=tag)


def test_three_lines_do_in_a_loop_of_ones_own(tmp_path):
    core = models.make_core()
    probe = models.random_inputs(7, 3, dtype=tf.float32)
    writer = tf.summary.create_file_writer(str(tmp_path))
    for step in range(3):
        trace = dnc.record(core, probe)
        with writer.as_default(step):
            dnc.summaries.write_scalars(trace, {"loss": 1.0})
            dnc.summaries.write_panels(trace)
            dnc.summaries.write_episode(trace)
    found = events(tmp_path)
    for tag in ("loss", "memory/usage", "memory/1_episode", "episode"):
        assert [event.step for event in found.Tensors(tag)] == [0, 1, 2]
