"""Reading bAbI files: the excerpt in tests/data/babi, and all of them after `make babi`."""

import functools
import io
import itertools
import pathlib
import re
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.babi import data
from tests import golden

EXCERPT = golden.DATA / "babi"
COMPLETE = pathlib.Path(data.__file__).parents[2] / "data" / "babi"
PAPER = """\
1 Mary journeyed to the kitchen.
2 Mary moved to the bedroom.
3 John went back to the hallway.
4 John picked up the milk there.
5 What is John carrying? \tmilk\t4
6 John travelled to the garden.
7 John journeyed to the bedroom.
8 What is John carrying? \tmilk\t4
9 Mary travelled to the bathroom.
10 John took the apple there.
11 What is John carrying? \tmilk,apple\t4 10
"""

needs_complete = pytest.mark.skipif(
    len(list(COMPLETE.glob("en-10k/qa*_train*.txt"))) < data.NUM_TASKS,
    reason="the complete bAbI data is not in data/babi: run make babi",
)


def parse(text, task=8):
    return data.parse(text.splitlines(), task, "qa8_some_train.txt")


@functools.cache
def all_stories(part):
    found = data.read(str(COMPLETE / "en-10k"), range(1, 21), part)
    return list(itertools.chain.from_iterable(found.values()))


def archive(path, files):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def test_the_example_of_the_paper_is_encoded_as_there():
    (story,) = parse(PAPER)

    assert len(story.tokens) == 69
    assert story.tokens[:6] == ("mary", "journeyed", "to", "the", "kitchen", ".")
    assert story.tokens[-7:] == ("what", "is", "john", "carrying", "?", "-", "-")
    assert story.answers == ("milk", "milk", "milk", "apple")
    assert story.tokens.count("-") == 4
    assert story.num_questions == 3


def test_an_id_of_one_begins_a_story():
    stories = parse(PAPER + PAPER)

    assert stories == parse(PAPER) * 2


def test_there_are_159_symbols():
    assert len(data.SYMBOLS) == len(set(data.SYMBOLS)) == 159


@pytest.mark.parametrize(
    "text, why",
    [
        ("Mary moved to the bedroom.", "line 1: expected 'ID text'"),
        ("1 Mary moved to the bedroom.\n\n", "line 2: expected 'ID text'.* got ''"),
        ("1 Where is Mary?\tbedroom", "line 1: expected 'ID text'"),
        ("1 Where is Mary?\tbedroom\tx", "line 1: expected 'ID text'"),
        ("1 Where is Mary?\t\t1", "line 1: expected 'ID text'"),
        ("2 Mary moved to the bedroom.", "line 1: expected ID 1, got 2"),
        (
            "1 Mary moved to the bedroom.\n3 Mary moved to the park.",
            "line 2: expected ID 2 or 1, got 3",
        ),
        ("1 Mary moved to the bedroom", "line 1: a sentence must end with '.', got .*bedroom'"),
        (
            "1 Mary moved to the bedroom.\t1\t1",
            "line 1: a question must end with .\\?'",
        ),
        ("1 Mary flew to the bedroom.", "line 1: 'flew' is not one of the 156 words of bAbI 1.2"),
        ("1 Where is Mary?\tpark,park,park,park\t1", "line 1: an answer may have at most 3 words"),
        ("1 Where is Mary?\tmars\t1", "line 1: 'mars' is not one of"),
        ("1 Where is Mary?\tpark,,park\t1", "line 1: '' is not one of"),
        ("1 Mary - moved.", "line 1: '-' is not one of"),
    ],
)
def test_a_line_that_is_wrong_is_named(text, why):
    with pytest.raises(ValueError, match=f"^qa8_some_train.txt, {why}"):
        parse(text)


def test_the_excerpt_is_read():
    found = data.read(str(EXCERPT), [19, 1], "train")

    assert list(found) == [19, 1]
    assert [len(stories) for stories in found.values()] == [12, 12]
    assert {story.task for story in found[19]} == {19}
    assert found[19][0].answers == ("s", "e")


def test_a_folder_an_archive_and_the_folder_around_it_are_the_same(tmp_path):
    files = {f"en-10k/{path.name}": path.read_bytes() for path in EXCERPT.glob("qa*.txt")}
    packed = archive(tmp_path / "babi.tar.gz", files)
    (tmp_path / "data").mkdir()
    with tarfile.open(packed) as tar:
        tar.extractall(tmp_path / "data", filter="data")

    expected = data.read(str(EXCERPT), [1, 8, 19], "test")

    for path in (packed, tmp_path / "data", tmp_path / "data" / "en-10k"):
        assert data.read(str(path), [1, 8, 19], "test") == expected


def test_several_places_are_read_together(tmp_path):
    for name in ("qa1_x_train.txt", "qa8_x_train.txt"):
        (tmp_path / name[:3]).mkdir()
        (tmp_path / name[:3] / name).write_text(PAPER)

    found = data.read(f"{tmp_path / 'qa1'},{tmp_path / 'qa8'}", [1, 8], "train")

    assert [len(stories) for stories in found.values()] == [1, 1]


def test_a_substitute_is_taken_only_where_the_file_itself_is_missing(tmp_path):
    (tmp_path / "qa3_x_train_substitute.txt").write_text(PAPER)
    name, _ = data.find(str(tmp_path))[3, "train"]
    assert data.is_substitute(name)

    (tmp_path / "qa3_x_train.txt").write_text(PAPER)
    name, _ = data.find(str(tmp_path))[3, "train"]
    assert not data.is_substitute(name)


@pytest.mark.parametrize(
    "files, why",
    [
        ({}, "There are no bAbI files"),
        ({"qa2_x_train.txt": PAPER}, "There is no train file of bAbI task 1 in .*, only of 2"),
        ({"qa1_x_train.txt": PAPER, "qa1_y_train.txt": PAPER}, "several train files of .* task 1"),
        ({"qa1_x_train.txt": ""}, "qa1_x_train.txt has no story"),
        ({"qa1_x_train.txt": PAPER + "1 Mary — moved."}, "line 12: this is not ASCII text"),
        ({"qa21_x_train.txt": PAPER}, "There are no bAbI files"),
    ],
)
def test_data_that_is_not_there_is_refused(tmp_path, files, why):
    for name, text in files.items():
        (tmp_path / name).write_text(text, encoding="utf-8")

    with pytest.raises(ValueError, match=why):
        data.read(str(tmp_path), [1], "train")


@pytest.mark.parametrize(
    "text, numbers",
    [("1", (1,)), ("1-20", tuple(range(1, 21))), ("4-6, 1,2,5", (1, 2, 4, 5, 6)), ("20", (20,))],
)
def test_tasks_are_given_by_number_and_range(text, numbers):
    assert data.numbers_of_tasks(text) == numbers


@pytest.mark.parametrize("text", ["", "0", "21", "1,,2", "3-1", "one", "1-", "-1", "1-21", "²"])
def test_tasks_that_do_not_exist_are_refused(text):
    with pytest.raises(ValueError, match="tasks must be numbers from 1 to 20"):
        data.numbers_of_tasks(text)


def test_what_cannot_be_read_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"Cannot read bAbI data from .*nowhere: No such file"):
        data.read(str(tmp_path / "nowhere"), [1], "train")
    with pytest.raises(ValueError, match=r"Cannot read bAbI data from a+: File name too long"):
        data.read(300 * "a", [1], "train")


@pytest.mark.parametrize("name", ["../qa1_x_train.txt", "/qa1_x_train.txt", "a/../../b"])
def test_an_archive_that_points_out_of_its_folder_is_refused(tmp_path, name):
    path = archive(tmp_path / "babi.tar.gz", {name: PAPER.encode()})

    with pytest.raises(ValueError, match="is not safe"):
        data.read(str(path), [1], "train")


def test_a_damaged_archive_is_refused(tmp_path):
    path = archive(tmp_path / "babi.tar.gz", {"qa1_x_train.txt": 1000 * PAPER.encode()})
    whole = path.read_bytes()

    for damaged in (whole[:-100], whole[:40], b"", b"something else"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match="is damaged or not an archive"):
            data.read(str(path), [1], "train")


@needs_complete
def test_all_stories_are_as_counted():
    training, test = all_stories("train"), all_stories("test")

    assert len(training) == 62_661 and len(test) == 6_267
    assert sum(story.num_questions for story in training) == 200_000
    assert sum(story.num_questions for story in test) == 20_000
    assert sum(len(story.answers) for story in test) == 21_069
    of_task = {task: sum(len(s.answers) for s in training if s.task == task) for task in (8, 19)}
    assert of_task == {8: 10_687, 19: 20_000}


@needs_complete
def test_all_words_are_known_and_used():
    stories = all_stories("train") + all_stories("test")
    said = {word for story in stories for word in story.answers}
    shown = {word for story in stories for word in story.tokens}

    assert said | shown == set(data.SYMBOLS)
    assert len(said) == 40
    assert said - shown == set(
        ["e", "maybe", "n", "none", "nothing", "one", "s", "three", "two", "w", "yes"]
    )


@pytest.mark.parametrize(
    "text, tokens",
    [
        ("Where is Mary?", "where is mary ? -"),
        ("WHAT is\n\nmary carrying ?- -", "what is mary carrying ? - -"),
        ("where is mary? - john is up. is he?", "where is mary ? - john is up . is he ? -"),
        ("is mary there?is john there?", "is mary there ? - is john there ? -"),
    ],
)
def test_a_story_of_ones_own_asks_for_a_word_or_as_many_as_there_are_dashes(text, tokens):
    story = data.from_text(text)

    assert " ".join(story.tokens) == tokens
    assert story.answers == ("-",) * tokens.split().count("-")


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "has no question"),
        (
            "mary is here.",
            "'here' is not one of the 156 words of bAbI. Did you mean where or there",
        ),
        ("mary is in the office.", "has no question"),
        ("where is mary? john is in the office", "ending in 'office', needs a '.' or '?'"),
        ("where is mary?.", "no sentence before a '.'"),
        ("? where is mary?", "no sentence before a '?'"),
        ("where is mary? - . where is john?", "no sentence before a '.'"),
        ("mary - is in the office. where is mary?", "'-' must follow a question"),
        ("- where is mary?", "'-' must follow a question"),
    ],
)
def test_a_story_of_ones_own_that_is_none_is_refused(text, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        data.from_text(text)


@given(st.lists(st.sampled_from(["mary", "is", "office", ".", "?", "-", "x", "\n"])).map(" ".join))
def test_a_story_of_ones_own_has_whole_sentences_or_is_refused(text):
    try:
        story = data.from_text(text)
    except ValueError:
        return
    told = "".join({".": ".", "?": "?", "-": "-"}.get(token, "w") for token in story.tokens)
    assert re.fullmatch(r"(w+\.|w+\?-+)+", told) and "?" in told
    assert "".join(story.tokens).replace("-", "") == re.sub(r"[\s-]", "", text)


@needs_complete
def test_lengths_are_as_counted():
    lengths = {
        (part, task): [len(story.tokens) for story in stories if story.task == task]
        for part in ("train", "test")
        for stories in [all_stories(part)]
        for task in range(1, 21)
    }
    test = sorted(n for (part, _), found in lengths.items() if part == "test" for n in found)

    assert test[-1] == 1_393
    assert [sum(n > least for n in test) for least in (500, 800, 1000)] == [84, 13, 3]
    for task, length in {4: 24, 15: 72, 16: 47, 19: 53}.items():
        assert set(lengths["train", task]) == set(lengths["test", task]) == {length}
    assert round(sum(lengths["train", 2]) / len(lengths["train", 2])) == 164
    assert (max(lengths["train", 2]), max(lengths["test", 2])) == (452, 582)
    assert round(sum(lengths["train", 5]) / len(lengths["train", 5])) == 208
    assert max(lengths["train", 5]) == 820
    assert round(sum(lengths["test", 3]) / len(lengths["test", 3])) == 481


@needs_complete
def test_only_task_4_has_stories_in_both_parts():
    training, test = all_stories("train"), all_stories("test")
    seen = set(training)

    assert len({story for story in training if story.task == 4}) == 5_213
    assert sum(story in seen for story in test if story.task == 4) == 741
    assert not any(story in seen for story in test if story.task != 4)


@needs_complete
def test_the_excerpt_is_the_beginning_of_the_files():
    for path in EXCERPT.glob("qa*.txt"):
        assert (COMPLETE / "en-10k" / path.name).read_bytes().startswith(path.read_bytes())
