import contextlib
import io
import os
import re
import signal
import struct
import threading

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from training.reporting import Display, EventFile, Interruption

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


def show_two_reports(stream, tokens=None, **options):
    scalars = {**SCALARS, "tokens": tokens} if tokens else SCALARS
    display = Display(2000, "wrong_bits", stream, **options)
    display.begin(0)
    display.advance(1)
    display.advance(1000)
    display.write(1000, scalars, "first sample", "lesson 2 of 3 (length 4)")
    display.advance(2000)
    display.write(2000, {**scalars, "loss": 0.5}, "second sample")
    display.close()


def test_without_a_terminal_each_report_is_a_plain_line_and_a_sample():
    stream = io.StringIO()

    show_two_reports(stream)

    lines = stream.getvalue().splitlines()
    figures = "loss 1.2500, wrong bits 0.500, lesson 2 of 3 (length 4), "
    assert lines[0].startswith(f"step 1,000 of 2,000: {figures}")
    assert lines[2] == "first sample"
    assert lines[4].startswith("step 2,000 of 2,000: loss 0.5000, wrong bits 0.500, ")
    assert lines[4].endswith("at most 00:00 left")
    assert lines[6] == "second sample"
    assert "\r" not in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


def test_with_tokens_the_speed_is_in_tokens_too():
    stream = io.StringIO()

    show_two_reports(stream, tokens=250.0)

    line = stream.getvalue().splitlines()[4]
    steps, tokens = re.search(r", (\d+) steps/s, ([\d,]+) tokens/s, at most", line).groups()
    np.testing.assert_allclose(250 * int(steps), int(tokens.replace(",", "")), rtol=1e-2)


def all_of(terminal):
    """Returns everything that was written to a terminal, whose other end is closed."""
    pieces = []
    with contextlib.suppress(OSError):  # Linux's sign for the end.
        while piece := terminal.read(10_000):
            pieces.append(piece)
    return b"".join(pieces)


def test_on_a_terminal_one_line_of_80_columns_stays_below_the_samples():
    pty, fcntl, termios = (pytest.importorskip(x) for x in ("pty", "fcntl", "termios"))
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with os.fdopen(theirs, "w") as stream:
        show_two_reports(stream)
    with open(ours, "rb", buffering=0) as terminal:
        text = all_of(terminal).decode().replace("\r\n", "\n")

    figures = "loss 1.2500, wrong bits 0.500, lesson 2 of 3 (length 4)"
    assert f"Step 1,000: {figures}\n\nfirst sample\n" in text
    assert "second sample" in text
    shown = [x for line in text.splitlines() for x in line.split("\r") if " of 2,000 |" in x]
    last = [x for x in shown if x.startswith("1,000 of")][-1].rstrip()
    assert "| lesson 2 of 3, wrong bits 0.500, " in last
    assert "/s, " in last and last.endswith(" left")
    assert max(map(len, shown)) <= 80


def test_the_line_of_a_resumed_run_starts_where_it_stopped():
    stream = Terminal()

    display = Display(1000, "wrong_bits", stream)
    display.begin(500)
    display.close()

    assert "500 of 1,000 |" in stream.getvalue()


def test_a_quiet_display_shows_nothing_and_records_as_before(tmp_path):
    stream = Terminal()
    with tf.summary.create_file_writer(str(tmp_path)).as_default():
        show_two_reports(stream, is_quiet=True)

    assert stream.getvalue() == ""
    assert [e.step for e in EventAccumulator(str(tmp_path)).Reload().Tensors("loss")] == [
        1000,
        2000,
    ]


def test_standard_output_is_used_by_default(capsys):
    display = Display(10, "wrong_bits")
    display.begin(0)
    display.write(5, SCALARS, "the sample")
    display.close()

    assert "the sample" in capsys.readouterr().out


def test_the_first_call_which_compiles_does_not_count_for_the_speed():
    stream = io.StringIO()
    display = Display(10, "wrong_bits", stream)
    display.begin(0)
    display.advance(1)
    display.write(1, SCALARS, "the sample")
    display.close()
    assert stream.getvalue().splitlines()[0] == "step 1 of 10: loss 1.2500, wrong bits 0.500"


def scalars_in(directory):
    events = EventAccumulator(str(directory)).Reload()
    return [(e.step, tf.make_ndarray(e.tensor_proto).item()) for e in events.Tensors("x")]


def test_summaries_go_to_the_event_file(tmp_path):
    events = EventFile(tmp_path, pytest.fail)
    for step in (1, 2):
        with events.open():
            tf.summary.scalar("x", 0.5, step)
    assert scalars_in(tmp_path) == [(1, 0.5), (2, 0.5)]  # Before it is closed.
    events.close()


def test_without_an_event_file_summaries_go_nowhere():
    events = EventFile(None, pytest.fail)
    with events.open():
        assert not tf.summary.should_record_summaries()
    events.close()


@pytest.fixture
def file_size_limit():
    """A function that sets the size from which on files cannot grow: as on a full disk."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_an_event_file_that_cannot_grow_is_given_up_with_one_warning(tmp_path, file_size_limit):
    warnings, done = [], []
    events = EventFile(tmp_path, warnings.append)
    with events.open():
        tf.summary.scalar("x", 0.5, 1)
    file_size_limit(200)
    for step in range(2, 40):
        with events.open():
            tf.summary.scalar("x", 0.5, step)
            done.append(step)
    events.close()
    file_size_limit(-1)

    (warning,) = warnings
    assert warning == "Cannot write for TensorBoard: File too large. Training continues without it."
    assert done == list(range(2, 40))
    assert scalars_in(tmp_path)[0] == (1, 0.5)


def test_an_event_file_that_cannot_be_made_stops_nothing(tmp_path):
    (tmp_path / "file").write_text("")
    warnings = []
    events = EventFile(tmp_path / "file" / "run", warnings.append)
    with events.open():
        tf.summary.scalar("x", 0.5, 1)
    events.close()
    assert len(warnings) == 1
    assert "TensorBoard" in warnings[0]


def test_other_errors_in_the_context_of_the_event_file_are_not_hidden(tmp_path):
    events = EventFile(tmp_path, pytest.fail)
    with pytest.raises(ZeroDivisionError), events.open():
        _ = 1 / 0
    events.close()


def test_the_event_file_holds_every_scalar(tmp_path):
    with tf.summary.create_file_writer(str(tmp_path)).as_default():
        show_two_reports(io.StringIO())

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


def test_a_thread_that_may_not_handle_signals_trains_without():
    found = []

    def enter():
        with Interruption() as interruption:
            found.append(interruption.requested)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()

    assert found == [False]
