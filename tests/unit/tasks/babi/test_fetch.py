import tarfile

import pytest

from tasks.babi import fetch
from tests import golden
from tests.unit.tasks.babi.test_data import COMPLETE, EXCERPT, archive, needs_complete

QUESTIONS = golden.DATA / "babi_test.tar.gz"
CHANGED = {f"en-10k/{path.name}": path.read_bytes() for path in EXCERPT.glob("qa*.txt")}


@pytest.fixture
def released(monkeypatch):
    """Takes the excerpt for the release, with one more file that git knows by its name."""
    sums = {name: fetch._name_of(name, content) for name, content in CHANGED.items()}
    monkeypatch.setattr(fetch, "known_files", lambda: sums)
    return CHANGED


def run(*arguments):
    return fetch.main(["fetch", *map(str, arguments)])


def test_the_files_are_unpacked_whatever_is_around_them(released, tmp_path, capsys):
    around = {f"tasks_1-20_v1-2/{name}": content for name, content in released.items()}
    path = archive(tmp_path / "babi.tar.gz", {**around, "tasks_1-20_v1-2/hn/qa1_test.txt": b"x"})

    assert run(f"--archive={path}", f"--directory={tmp_path / 'data'}") == 0

    found = {p.relative_to(tmp_path / "data").as_posix() for p in tmp_path.glob("data/*/*")}
    assert found == released.keys()
    for name, content in released.items():
        assert (tmp_path / "data" / name).read_bytes() == content
    out = capsys.readouterr().out
    assert "Not in the archive: en-10k/qa3_three-supporting-facts_train.txt." in out
    assert f"--data_dir={tmp_path / 'data' / 'en-10k'}" in out


def test_a_file_that_was_changed_is_refused_and_nothing_written(tmp_path, capsys):
    path = archive(tmp_path / "babi.tar.gz", CHANGED)  # Excerpts only.

    assert run(f"--archive={path}", f"--directory={tmp_path / 'data'}") == 2

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tasks.babi.fetch: en-10k/qa")
    assert line.endswith("differs from the released file.")
    assert not (tmp_path / "data").exists()


def test_a_file_of_which_only_the_name_in_git_is_known_is_checked_by_it(tmp_path, monkeypatch):
    # `echo hello | git hash-object --stdin`
    name = "en-10k/qa3_three-supporting-facts_train.txt"
    monkeypatch.setattr(fetch, "_GIT_NAMES", {name: "ce013625030ba8dba906f756967f9e9ca394464a"})

    fetch.unpack(archive(tmp_path / "a.tar.gz", {name: b"hello\n"}), tmp_path / "data")
    assert (tmp_path / "data" / name).read_bytes() == b"hello\n"
    with pytest.raises(ValueError, match="differs from the release"):
        fetch.unpack(archive(tmp_path / "b.tar.gz", {name: b"hello"}), tmp_path / "data")


@pytest.mark.parametrize(
    "files, said",
    [
        ({"a/../../en-10k/qa1_x.txt": b"x"}, "is not safe"),
        ({"/en-10k/qa1_x.txt": b"x"}, "is not safe"),
        ({"en-10k/something.txt": b"x"}, "contains none of the files"),
        (None, "is damaged or not an archive"),
    ],
)
def test_an_archive_that_cannot_be_is_refused(tmp_path, capsys, files, said):
    path = tmp_path / "babi.tar.gz"
    if files is None:
        path.write_bytes(archive(path, CHANGED).read_bytes()[:-200])
    else:
        archive(path, files)

    assert run(f"--archive={path}", f"--directory={tmp_path / 'data'}") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not (tmp_path / "data").exists()


def test_a_missing_archive_is_named(tmp_path, capsys):
    assert run(f"--archive={tmp_path / 'missing.tar'}") == 2
    assert "missing.tar" in capsys.readouterr().err


def test_without_a_connection_it_says_what_to_do(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(fetch, "URLS", [(tmp_path / "nowhere").as_uri()])

    assert run(f"--directory={tmp_path / 'data'}") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tasks.babi.fetch: Cannot download bAbI (file://")
    assert "--archive=FILE" in line and "--data_dir" in line


def test_the_first_place_that_has_it_is_taken(released, tmp_path, monkeypatch, capsys):
    path = archive(tmp_path / "babi.tar.gz", released)
    monkeypatch.setattr(fetch, "URLS", [(tmp_path / "nowhere").as_uri(), path.as_uri()])

    assert run(f"--directory={tmp_path / 'data'}") == 0
    assert len(list(tmp_path.glob("data/en-10k/*"))) == len(released)


def test_wrong_flags_are_one_line(capsys):
    assert run("--archiv=x") == 2
    assert "See python -m tasks.babi.fetch --help." in capsys.readouterr().err
    assert run("--help") == 0
    assert "--archive" in capsys.readouterr().out


@needs_complete
def test_the_complete_files_are_those_of_the_release(tmp_path):
    with tarfile.open(tmp_path / "babi.tar", "w") as tar:
        tar.add(COMPLETE, arcname="tasks_1-20_v1-2")

    folders, missing = fetch.unpack(tmp_path / "babi.tar", tmp_path / "data")

    assert "en-10k" in folders
    assert set(missing) <= {"en-10k/qa3_three-supporting-facts_train.txt"}  # Or its substitute.


def test_the_questions_of_the_test_are_those_of_the_release(tmp_path):
    folders, _ = fetch.unpack(QUESTIONS, tmp_path)

    assert folders == ["en-10k"]
    names = {path.name.split("_")[0] for path in (tmp_path / "en-10k").iterdir()}
    assert names == {"qa1", "qa4", "qa6", "qa11", "qa15"}
