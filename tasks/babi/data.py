"""Files of the bAbI tasks, release 1.2, in folders or archives.

J. Weston et al., "Towards AI-Complete Question Answering: A Set of Prerequisite Toy Tasks",
arXiv:1502.05698. A line is `ID text`, or `ID question <tab> answer <tab> IDs of supporting facts`.
An ID of 1 begins a story. Commas separate the words of an answer.
"""

import collections
import difflib
import functools
import pathlib
import re
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from dnc_trace import paths

TASK_NAMES = (
    "single supporting fact",
    "two supporting facts",
    "three supporting facts",
    "two argument relations",
    "three argument relations",
    "yes/no questions",
    "counting",
    "lists and sets",
    "simple negation",
    "indefinite knowledge",
    "basic coreference",
    "conjunction",
    "compound coreference",
    "time reasoning",
    "basic deduction",
    "basic induction",
    "positional reasoning",
    "size reasoning",
    "path finding",
    "agents' motivations",
)
NUM_TASKS = len(TASK_NAMES)
TO_ANSWER = "-"  # A network sees it where it has to output a word of an answer.
MAX_WORDS = 3  # Of an answer, in all files.
# The words of all tasks, so that the encoding does not depend on the choice of tasks.
_VOCABULARY = """
a above afraid after afternoon afterwards and antoine apple are back bathroom bedroom before below
bernhard bigger bill blue bored box brian carrying cat cats chest chocolate chocolates cinema color
container daniel did discarded do does down dropped e east either emily evening fit fits following
football fred frog from garden gave gertrude get give go got grabbed gray green greg hallway handed
he how hungry in inside is jason jeff jessica john journeyed julie julius kitchen left lily lion
longer many mary maybe mice milk morning mouse moved n no none north not nothing objects of office
one or pajamas park passed picked pink put received rectangle red rhino right s sandra school she
sheep south sphere square suitcase sumit swan than that the then there they thirsty this three tired
to took travelled triangle two up w was went west what where white who why will winona wolf wolves
yann yellow yes yesterday you
"""
_WORDS = tuple(_VOCABULARY.split())
SYMBOLS = (".", "?", TO_ANSWER, *_WORDS)
NUMBERS = {symbol: number for number, symbol in enumerate(SYMBOLS)}

_FILE_NAME = re.compile(r"qa(\d{1,2})_[^/]*_(train|test)(_substitute)?\.txt")
_ID = re.compile(r"[1-9]\d{0,5}", re.ASCII)
_TEXT = re.compile(r"([^\t]*[^\t ]) *(?:\t([^\t]+)\t[\d ]*)?", re.ASCII)


class Story(NamedTuple):
    """One story: sentences and questions in order, as the DNC paper encodes them.

    Attributes:
      task: number of the story's task, from 1.
      tokens: words in lower case, "." and "?", and after each "?" a "-" for each word of the
        answer.
      answers: the words of the answers, one for each "-".
    """

    task: int
    tokens: tuple[str, ...]
    answers: tuple[str, ...]

    @property
    def num_questions(self) -> int:
        """Number of questions."""
        return sum(
            token == TO_ANSWER and before == "?"
            for before, token in zip(self.tokens, self.tokens[1:], strict=False)
        )


def parse(lines: Iterable[str], task: int, name: str) -> list[Story]:
    """Returns the stories of a file.

    Args:
      lines: lines of the file, with or without line ends.
      task: number of the task.
      name: name of the file, for messages.

    Raises:
      ValueError: if a line is malformed; the message names the file and the line.
    """
    stories: list[Story] = []
    tokens: list[str] = []
    answers: list[str] = []
    last = 0

    def end() -> None:
        if tokens:
            stories.append(Story(task, tuple(tokens), tuple(answers)))
            tokens.clear()
            answers.clear()

    for number, line in enumerate(lines, start=1):
        this, _, text = line.rstrip("\r\n").partition(" ")
        try:
            if not _ID.fullmatch(this):
                raise ValueError(_expected(line))
            if this == "1":
                end()
            elif int(this) != last + 1:
                raise ValueError(f"expected ID {f'{last + 1} or 1' if last else 1}, got {this}")
            last = int(this)
            shown, said = _parse_line(text)
        except ValueError as error:
            raise ValueError(f"{name}, line {number}: {error}.") from None
        tokens += shown
        answers += said
    end()
    return stories


@functools.lru_cache(maxsize=2**15)  # Most lines occur many times.
def _parse_line(line: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Returns the tokens and answers of a line without its ID, or raises `ValueError`."""
    match = _TEXT.fullmatch(line)
    if match is None:
        raise ValueError(_expected(line))
    text, answer = match[1].lower(), match[2]
    kind, ending = ("sentence", ".") if answer is None else ("question", "?")
    if text[-1] != ending:
        raise ValueError(f"a {kind} must end with {ending!r}, got {match[1][-20:]!r}")
    words = [*text[:-1].split(), ending]
    said = answer.strip().lower().split(",") if answer else []
    if len(said) > MAX_WORDS:
        raise ValueError(f"an answer may have at most {MAX_WORDS} words, got {answer!r}")
    for word in (*words, *said):
        if word not in NUMBERS or word == TO_ANSWER:
            raise ValueError(f"{word!r} is not one of the {len(_WORDS)} words of bAbI 1.2")
    return (*words, *[TO_ANSWER] * len(said)), tuple(said)


def _expected(line: str) -> str:
    return f"expected 'ID text', or 'ID question<tab>answer<tab>supporting IDs', got {line[:80]!r}"


def from_text(text: str) -> Story:
    """Returns a story of your own in the words of bAbI, in upper or lower case.

    Sentences end with "." and questions with "?". The answers are unknown, so each of their words
    is "-". An answer has one word for each "-" after its question, or one word if there is none.

        mary took the milk. mary took the apple. what is mary carrying? - -

    Returns:
      The story, with 0 as its task.

    Raises:
      ValueError: if a word is not from bAbI, a sentence has no word or no end, or there is no
        question.
    """
    tokens: list[str] = []
    for piece in re.findall(r"[^\s.?]+|[.?]", text.lower()):
        if piece not in NUMBERS:
            alike = difflib.get_close_matches(piece, _WORDS, 3)
            hint = f" Did you mean {' or '.join(alike)}?" if alike else ""
            raise ValueError(f"{piece!r} is not one of the {len(_WORDS)} words of bAbI.{hint}")
        before = tokens[-1] if tokens else "."
        if piece in (".", "?") and before in (".", "?", TO_ANSWER):
            raise ValueError(f"There is no sentence before a {piece!r}.")
        if piece == TO_ANSWER and before not in ("?", TO_ANSWER):
            raise ValueError(f"A {piece!r} must follow a question, but it follows {before!r}.")
        if piece != TO_ANSWER and before == "?":
            tokens.append(TO_ANSWER)
        tokens.append(piece)
    if tokens[-1:] == ["?"]:
        tokens.append(TO_ANSWER)
    number = tokens.count(TO_ANSWER)
    if not number:
        raise ValueError("The story has no question: end a sentence with '?'.")
    if tokens[-1] not in (".", TO_ANSWER):
        raise ValueError(f"The last sentence, ending in {tokens[-1]!r}, needs a '.' or '?'.")
    return Story(0, tuple(tokens), (TO_ANSWER,) * number)


def numbers_of_tasks(text: str) -> tuple[int, ...]:
    """Returns the numbers of tasks in a text such as "1,2,4-20", ascending.

    Raises:
      ValueError: if there are none, or any outside 1 to 20.
    """
    found: set[int] = set()
    for piece in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,2})(?:-(\d{1,2}))?\s*", piece, re.ASCII)
        first, last = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
        if not 1 <= first <= last <= NUM_TASKS:
            raise ValueError(
                f"tasks must be numbers from 1 to {NUM_TASKS}, such as 1,2,4-20, got {text!r}."
            )
        found.update(range(first, last + 1))
    return tuple(sorted(found))


def read(path: str, tasks: Sequence[int], part: str) -> dict[int, list[Story]]:
    """Reads the stories of some tasks.

    Args:
      path: the folder en-10k or en of the release, a folder that contains either, or an archive
        (.tar, .tar.gz) of it. Commas separate several paths.
      tasks: numbers of tasks, from 1 to 20.
      part: "train" or "test".

    Returns:
      The stories by task, in the order of `tasks` and of the files.

    Raises:
      ValueError: if a file is missing, not readable or malformed, or an archive is damaged or
        unsafe.
    """
    files = find(path)
    found = {}
    for task in tasks:
        if (task, part) not in files:
            there = ", ".join(sorted({str(t) for t, p in files if p == part}, key=int))
            raise ValueError(
                f"There is no {part} file of bAbI task {task} in {path}, only of {there or 'none'}."
            )
        name, content = files[task, part]
        try:
            lines = content.decode("ascii").splitlines()
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            raise ValueError(f"{name}, line {line}: this is not ASCII text.") from error
        found[task] = parse(lines, task, name)
        if not found[task]:
            raise ValueError(f"{name} has no story.")
    return found


def find(path: str) -> Mapping[tuple[int, str], tuple[str, bytes]]:
    """Returns the name and the content of each file of stories, by task and part.

    A substitute (`qa3_..._train_substitute.txt`) is used only if the file itself is missing.

    Raises:
      ValueError: if there are no files, or several for one task and part, or one cannot be read or
        is not local, or an archive is damaged or unsafe.
    """
    found = collections.defaultdict(list)
    for one in path.split(","):
        place = paths.local(one).expanduser()
        try:
            for name, content in _files(place):
                match = _FILE_NAME.fullmatch(pathlib.PurePath(name).name)
                if match and 1 <= int(match[1]) <= NUM_TASKS:
                    found[int(match[1]), match[2], bool(match[3])].append((name, content))
        except OSError as error:
            raise ValueError(f"Cannot read bAbI data from {one}: {error.strerror}.") from error
    files = {}
    for (task, part, is_substitute), same in sorted(found.items()):
        if len(same) > 1:
            raise ValueError(
                f"There are several {part} files of bAbI task {task}: "
                f"{', '.join(name for name, _ in same)}. Give the folder of one data set."
            )
        if not is_substitute or (task, part) not in files:  # Originals come first.
            files[task, part] = same[0]
    if not files:
        raise ValueError(f"There are no bAbI files (qa1_..._train.txt, ...) in {path}.")
    return files


def names(path: str, tasks: Sequence[int], part: str) -> dict[int, str]:
    """Returns the name of each task's file, for the tasks that have one."""
    files = find(path)
    return {task: files[task, part][0] for task in tasks if (task, part) in files}


def in_archive(
    path: pathlib.Path, is_wanted: Callable[[pathlib.PurePosixPath], bool]
) -> Iterator[tuple[pathlib.PurePosixPath, bytes]]:
    """Yields names and contents of files in an archive, without writing them anywhere.

    Args:
      path: path of the archive.
      is_wanted: whether to read a file of this name.

    Raises:
      ValueError: if the archive is damaged, or a name in it points outside its folder.
      OSError: if it cannot be read.
    """
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = pathlib.PurePosixPath(member.name)
                if name.is_absolute() or ".." in name.parts:
                    raise ValueError(
                        f"{path} is not safe: {member.name!r} in it points outside its folder."
                    )
                if member.isfile() and is_wanted(name):
                    yield name, archive.extractfile(member).read()
    except (tarfile.TarError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is damaged or not an archive: {error}.") from error


def is_substitute(name: str) -> bool:
    """Returns whether a file is a substitute for a missing one."""
    return name.endswith("_substitute.txt")


def _files(place: pathlib.Path) -> Iterator[tuple[str, bytes]]:
    """Yields names and contents of the files in a folder, its subfolders, or an archive."""
    if place.is_dir():
        for path in sorted(place.glob("qa*.txt")) or sorted(place.glob("*/qa*.txt")):
            yield str(path), path.read_bytes()
    else:
        for name, content in in_archive(place, lambda name: bool(_FILE_NAME.fullmatch(name.name))):
            yield f"{place}:{name}", content
