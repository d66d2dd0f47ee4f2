import io
import signal

import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training.reporting import Interruption, Means, Report

SCALARS = {"loss": 1.25, "wrong_bits": 0.5, "solved_sequences": 0.75}


@pytest.fixture(autouse=True)
def python_handles_interrupts():
    """A shell starts background jobs with SIGINT ignored, and Python leaves it so."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Terminal(io.StringIO):
    def isatty(self):
        return True


def report_of_two(stream):
    report = Report(first_step=0, last_step=2000, stream=stream)
    report.advance(1)
    report.advance(1000)
    report.write(1000, SCALARS, "first sample")
    report.advance(2000)
    report.write(2000, {**SCALARS, "loss": 0.5}, "second sample")
    report.close()


def test_without_a_terminal_each_report_is_a_plain_line_and_a_sample():
    stream = io.StringIO()

    report_of_two(stream)

    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("step 1,000 of 2,000: loss 1.2500, wrong bits 0.500, ")
    assert lines[2] == "first sample"
    assert lines[4].startswith("step 2,000 of 2,000: loss 0.5000, wrong bits 0.500, ")
    assert lines[4].endswith("at most 00:00 left")
    assert lines[6] == "second sample"
    assert "\r" not in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_on_a_terminal_there_is_a_progress_bar_and_the_samples():
    stream = Terminal()

    report_of_two(stream)

    text = stream.getvalue()
    assert "\r" in text
    assert "2000/2000" in text
    assert "Step 1,000: loss 1.2500, wrong bits 0.500\n\nfirst sample\n" in text
    assert "second sample" in text


def test_the_progress_bar_of_a_resumed_run_starts_where_it_stopped():
    stream = Terminal()

    report = Report(first_step=500, last_step=1000, stream=stream)
    report.close()

    assert "500/1000" in stream.getvalue()


def test_standard_output_is_used_by_default(capsys):
    report = Report(first_step=0, last_step=10)
    report.write(5, SCALARS, "the sample")
    report.close()

    assert "the sample" in capsys.readouterr().out


def test_the_first_call_which_compiles_does_not_count_for_the_speed():
    stream = io.StringIO()
    report = Report(first_step=0, last_step=10, stream=stream)
    report.advance(1)
    report.write(1, SCALARS, "the sample")
    report.close()
    assert stream.getvalue().splitlines()[0] == "step 1 of 10: loss 1.2500, wrong bits 0.500"


def test_means_weigh_each_call_by_its_steps_and_start_anew_when_taken():
    means = Means()
    means.add({"loss": tf.constant(1.0), "wrong_bits": tf.constant(2.0)}, 3)
    means.add({"loss": tf.constant(5.0), "wrong_bits": tf.constant(6.0)}, 1)
    assert means.take() == {"loss": 2.0, "wrong_bits": 3.0}
    means.add({"loss": tf.constant(1.0), "wrong_bits": tf.constant(2.0)}, 2)
    assert means.take() == {"loss": 1.0, "wrong_bits": 2.0}
    assert means.take() == {}


def test_the_event_file_holds_every_scalar(tmp_path):
    with tf.summary.create_file_writer(str(tmp_path)).as_default():
        report_of_two(io.StringIO())

    events = EventAccumulator(str(tmp_path)).Reload()

    for name, values in [
        ("loss", [1.25, 0.5]),
        ("wrong_bits", [0.5, 0.5]),
        ("solved_sequences", [0.75, 0.75]),
    ]:
        found = [(e.step, tf.make_ndarray(e.tensor_proto).item()) for e in events.Tensors(name)]
        assert found == [(1000, values[0]), (2000, values[1])]
    for event in events.Tensors("steps_per_second"):
        assert tf.make_ndarray(event.tensor_proto) > 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_only_asks_to_stop(number):
    with Interruption() as interruption:
        assert not interruption.requested
        signal.raise_signal(number)
        assert interruption.requested


def test_a_second_interrupt_stops_at_once():
    with pytest.raises(KeyboardInterrupt), Interruption():
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("num_signals", [0, 1, 2])
def test_the_handlers_from_before_are_back_afterwards(num_signals):
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]

    try:
        with Interruption():
            assert signal.getsignal(signal.SIGINT) != before[0]
            for _ in range(num_signals):
                signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        assert num_signals == 2

    assert [signal.getsignal(number) for number in numbers] == before


def test_an_error_inside_passes_through():
    before = signal.getsignal(signal.SIGINT)

    with pytest.raises(ZeroDivisionError), Interruption():
        _ = 1 / 0

    assert signal.getsignal(signal.SIGINT) == before
