import contextlib
import json
import pathlib
import random
import shutil
import sys
import threading

import pytest

from training import checkpoints
from training.checkpoints import Best, DamagedError

SETTINGS = {"hidden_size": 8, "learning_rate": 0.1, "task": "repeat_copy", "clip": None}
FILES = {"index": b"index of %d", "data-00000-of-00001": bytes(range(256)) + b"values of %d"}


def write(directory, step, tag=b"", **options):
    """Writes a checkpoint whose files have the step, and `tag`, in them."""

    def save(prefix):
        for suffix, content in FILES.items():
            with open(f"{prefix}.{suffix}", "wb") as file:
                file.write(content.replace(b"%d", str(step).encode() + tag))

    state = {"step": step, "tag": tag.decode(), "mean": 0.1 + step}
    checkpoints.write(directory, step, save, settings=SETTINGS, state=state, **options)


def assert_whole(directory, checkpoint):
    """Asserts that the files of a checkpoint belong to its step and its state."""
    step, tag = checkpoint.state["step"], checkpoint.state["tag"].encode()
    assert step == checkpoint.step
    for suffix, content in FILES.items():
        data = (directory / f"step-{step}.{suffix}").read_bytes()
        assert data == content.replace(b"%d", str(step).encode() + tag)


@pytest.fixture
def saved(tmp_path):
    for step in (1, 2, 3):
        write(tmp_path, step, best=Best(2, 0.5))
    return tmp_path


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_a_checkpoint_comes_back_as_it_was_written(saved):
    found, damaged = checkpoints.newest_intact(saved)

    assert found == checkpoints.Checkpoint(
        prefix=str(saved / "step-3"),
        step=3,
        settings=SETTINGS,
        state={"step": 3, "tag": "", "mean": 3.1},
        best=Best(2, 0.5),
    )
    assert damaged == {}
    assert_whole(saved, found)


def test_the_newest_is_that_of_the_greatest_number(saved):
    write(saved, 10)
    assert checkpoints.steps(saved) == [10, 3, 2, 1]
    assert checkpoints.newest_intact(saved)[0].step == 10
    assert checkpoints.newest_intact(saved, before=3)[0].step == 2
    assert checkpoints.newest_intact(saved, before=1) == (None, {})


def test_what_is_not_a_number_is_remembered_too(tmp_path):
    checkpoints.write(tmp_path, 1, lambda prefix: None, settings={}, state={"loss": float("-inf")})
    assert checkpoints.read(tmp_path, 1).state == {"loss": float("-inf")}


def test_other_files_are_not_taken_for_checkpoints(saved):
    for name in ("step-9.damaged", "step-x.json", "step-9.json.damaged", "step-9.index~"):
        (saved / name).write_text("")
    assert checkpoints.steps(saved) == [3, 2, 1]


def test_removing_a_checkpoint_leaves_the_others(saved):
    (saved / "step-30.index").write_text("")
    checkpoints.remove(saved, 3)
    checkpoints.remove(saved, 4)
    assert checkpoints.steps(saved) == [30, 2, 1]


class KilledError(BaseException):
    """Stands for the end of the process: no code may catch it."""


class Operations:
    """Counts the file operations of this process, and makes one fail, or all from one on.

    Python announces each before it is done. A hook for that cannot be taken away again.
    """

    def __init__(self):
        self.count = 0
        self.fails_at = None
        self.error = None
        sys.addaudithook(self._hook)

    def _hook(self, event, arguments):
        if (
            self.error is None
            or threading.get_ident() != self.thread
            or event
            not in (
                *("open", "os.rename", "os.mkdir", "os.rmdir", "os.remove"),
                *("os.listdir", "os.scandir", "shutil.rmtree", "os.truncate"),
            )
        ):
            return
        self.count += 1
        if self.count == self.fails_at or (self.count > self.fails_at and self.error == "killed"):
            raise KilledError if self.error == "killed" else OSError(5, "Input/output error")

    @contextlib.contextmanager
    def failing(self, at, error):
        self.thread = threading.get_ident()  # Others, such as the one of tests.costs, never fail.
        self.count, self.fails_at, self.error = 0, at, error
        try:
            yield
        finally:
            self.error = None


@pytest.fixture(scope="module")
def operations():
    return Operations()


def save_and_remove(directory, step, tag=b""):
    write(directory, step, tag)
    for old in checkpoints.steps(directory)[2:]:
        checkpoints.remove(directory, old)


@pytest.mark.parametrize("step", [4, 3])
def test_a_kill_at_any_operation_of_saving_leaves_the_old_or_the_new(tmp_path, operations, step):
    number, outcomes = 0, []
    done = False
    while not done:
        number += 1
        directory = tmp_path / str(number)
        directory.mkdir()
        for old in (1, 2, 3):
            write(directory, old)
        try:
            with operations.failing(number, "killed"):
                save_and_remove(directory, step, tag=b" again")
            done = True
        except KilledError:
            pass

        checkpoints.recover(directory)

        found, damaged = checkpoints.newest_intact(directory)
        assert damaged == {}
        assert_whole(directory, found)
        outcomes.append((found.step, found.state["tag"]))
        assert not list(directory.glob("*.tmp"))
        save_and_remove(directory, 5)
        assert checkpoints.steps(directory) == [5, found.step]
        for kept in checkpoints.steps(directory):
            assert_whole(directory, checkpoints.read(directory, kept))

    assert number > 20
    new = outcomes.index((step, " again"))
    assert set(outcomes[:new]) == {(3, "")}
    assert set(outcomes[new:]) == {(step, " again")}


def test_a_text_of_which_half_is_written_leaves_the_old(tmp_path, monkeypatch):
    write_text = pathlib.Path.write_text

    def fill_the_disk(path, text, **options):
        write_text(path, text[:2], **options)
        raise OSError(28, "No space left on device")

    path = tmp_path / "flags.json"
    checkpoints.write_text(path, "old")
    monkeypatch.setattr(pathlib.Path, "write_text", fill_the_disk)

    with pytest.raises(OSError, match="No space"):
        checkpoints.write_text(path, "newer")

    assert path.read_text() == "old"
    assert names(tmp_path) == ["flags.json"]


def test_a_kill_while_recovering_leaves_it_to_the_next_to_recover(tmp_path, operations):
    """Kills at each operation of saving, and then at each of what comes after it."""
    for first in range(1, 40):
        for second in range(1, 12, 3):
            directory = tmp_path / f"{first}-{second}"
            directory.mkdir()
            write(directory, 3)
            with contextlib.suppress(KilledError), operations.failing(first, "killed"):
                write(directory, 3, b" again")
            with contextlib.suppress(KilledError), operations.failing(second, "killed"):
                checkpoints.recover(directory)
            checkpoints.recover(directory)
            found, damaged = checkpoints.newest_intact(directory)
            assert damaged == {}
            assert_whole(directory, found)
            shutil.rmtree(directory)


def test_an_error_at_any_operation_of_saving_leaves_the_old_or_the_new(tmp_path, operations):
    number, failed = 0, True
    while failed:
        number += 1
        directory = tmp_path / str(number)
        directory.mkdir()
        for old in (1, 2, 3):
            write(directory, old)
        try:
            with operations.failing(number, "error"):
                save_and_remove(directory, 4)
            failed = operations.count >= number  # An error while cleaning up is of no importance.
        except OSError:
            pass

        found, damaged = checkpoints.newest_intact(directory)
        assert_whole(directory, found)
        # What was not moved to its place entirely is not a checkpoint yet, but will be.
        assert set(damaged) <= {4}
        assert bool(damaged) <= (directory / "step-4.tmp" / "step-4.json").exists()
        save_and_remove(directory, 5)
        assert checkpoints.newest_intact(directory)[1] == {}
        assert checkpoints.steps(directory) in ([5, 4], [5, 3])
    assert number > 20


def damage(path, generator):
    """Does something to a file that a bad disk or a bad copy could do."""
    data = bytearray(path.read_bytes())
    place = generator.randrange(len(data))
    kind = generator.choice(["flip", "flip", "flip", "cut", "zeros", "grow", "remove", "swap"])
    if kind == "flip":
        data[place] ^= 1 << generator.randrange(8)
    elif kind == "cut":
        del data[place:]
    elif kind == "zeros":
        data[place : place + 512] = bytes(len(data[place : place + 512]))
    elif kind == "grow":
        data += bytes(generator.randrange(1, 9))
    elif kind == "swap":
        other = path.with_name(path.name.replace("step-3", "step-1"))
        data = bytearray(other.read_bytes())
    if kind == "remove":
        path.unlink()
    else:
        path.write_bytes(data)


def is_intact(directory, original, step):
    """Whether a checkpoint is as it was, by comparison with the original."""
    for path in original.glob(f"step-{step}.*"):
        damaged = directory / path.name
        if not damaged.exists():
            return False
        if path.suffix == ".json":
            with contextlib.suppress(ValueError):  # White space does not matter.
                if json.loads(damaged.read_bytes()) == json.loads(path.read_bytes()):
                    continue
        if damaged.read_bytes() != path.read_bytes():
            return False
    return True


@pytest.mark.parametrize("number", range(100))
def test_damage_anywhere_is_found_and_the_newest_intact_is_used(saved, number):
    generator = random.Random(number)
    original = saved / "original"
    shutil.copytree(saved, original)
    files = sorted(path for path in saved.iterdir() if path.is_file())
    for path in generator.sample(files, generator.choice([1, 1, 2, 4])):
        damage(path, generator)
    intact = [step for step in (3, 2, 1) if is_intact(saved, original, step)]

    found, damaged = checkpoints.newest_intact(saved)

    assert (found.step if found else None) == (intact[0] if intact else None)
    assert sorted(damaged) == [step for step in (1, 2, 3) if step > max(intact, default=0)]
    if found:
        assert_whole(saved, found)
        assert found.state == checkpoints.read(original, found.step).state
    for step, message in damaged.items():
        assert message.startswith(f"step-{step}.")
    for step in damaged:
        checkpoints.set_aside(saved, step)
    assert checkpoints.newest_intact(saved) == (found, {})


@pytest.mark.parametrize(
    "text", ["", "[]", "3", "null", "{}", '{"sha256": 1}', "[" * 100_000, '{"files": 3}', "\x00"]
)
def test_a_file_that_is_not_of_a_checkpoint_at_all_is_damaged(saved, text):
    (saved / "step-3.json").write_text(text)
    with pytest.raises(DamagedError, match=r"step-3\.json is damaged"):
        checkpoints.read(saved, 3)


def test_a_file_that_cannot_be_read_is_named(saved):
    (saved / "step-3.index").unlink()
    (saved / "step-3.index").mkdir()
    with pytest.raises(DamagedError, match=r"step-3\.index cannot be read \(Is a directory\)"):
        checkpoints.read(saved, 3)


def test_text_is_written_whole_or_not_at_all(tmp_path, operations):
    path = tmp_path / "flags.json"
    path.write_text("old")
    for number in range(1, 10):
        with contextlib.suppress(KilledError), operations.failing(number, "killed"):
            checkpoints.write_text(path, "the new text")
        assert path.read_text() in ("old", "the new text")
    assert path.read_text() == "the new text"
    checkpoints.recover(tmp_path)
    assert names(tmp_path) == ["flags.json"]
