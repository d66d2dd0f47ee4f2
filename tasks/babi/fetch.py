"""Downloads the bAbI tasks, release 1.2, and checks each file.

    python -m tasks.babi.fetch

The English tasks go to data/babi/en-10k (the DNC paper's) and data/babi/en (a tenth of the
training stories). Pass one of them to train.py as --data_dir. --archive=FILE uses an archive that
you already have.
"""

import hashlib
import pathlib
import shutil
import sys
import tempfile
import urllib.request
from collections.abc import Sequence

from absl import flags

from dnc_trace import paths
from tasks.babi import data
from training import command

URLS = (
    "https://s3.amazonaws.com/text-datasets/babi_tasks_1-20_v1-2.tar.gz",
    "http://www.thespermwhale.com/jaseweston/babi/tasks_1-20_v1-2.tar.gz",
)
FOLDERS = ("en-10k", "en")
_ROOT = pathlib.Path(__file__).parents[2]
_SUMS = pathlib.Path(__file__).with_name("files.sha256")
# Git's hash of the one file whose SHA-256 is not known.
_GIT_NAMES = {
    "en-10k/qa3_three-supporting-facts_train.txt": "9b2b35ca4357ea8ee44692c71ec71892edf51399"
}

_FLAGS = command.new_flags()
flags.DEFINE_string(
    "directory", str(_ROOT / "data" / "babi"), "Directory for the files.", flag_values=_FLAGS
)
flags.DEFINE_string("archive", None, "Archive to use, not to download.", flag_values=_FLAGS)
command.accept_local_paths(_FLAGS, "directory", "archive")


def known_files() -> dict[str, str]:
    """Returns the SHA-256 of each file of the release, by its folder and name."""
    lines = _SUMS.read_text(encoding="ascii").splitlines()
    return {name: checksum for checksum, name in (line.split() for line in lines)}


def unpack(archive: pathlib.Path, directory: pathlib.Path) -> tuple[list[str], list[str]]:
    """Writes the files of the English tasks to a directory, if all of them are as released.

    Args:
      archive: a tar file, compressed or not, with folders en-10k or en.
      directory: target of these folders. Nothing is written anywhere else.

    Returns:
      The folders written, and the files of the release that are missing in them.

    Raises:
      ValueError: if the archive is damaged, contains a file that differs from the release or none
        of the files, or a path is not local. Nothing is written then.
      OSError: if the archive cannot be read, or a file cannot be written.
    """
    archive, directory = paths.local(archive), paths.local(directory)
    expected = {**known_files(), **_GIT_NAMES}

    def folder_and_name(path: pathlib.PurePosixPath) -> str:
        return "/".join(path.parts[-2:])  # Without the enclosing folders.

    found = {
        folder_and_name(path): content
        for path, content in data.in_archive(
            archive, lambda path: folder_and_name(path) in expected
        )
    }
    for name, content in found.items():
        if _name_of(name, content) != expected[name]:
            raise ValueError(f"{name} in {archive} differs from the released file.")
    if not found:
        raise ValueError(
            f"{archive} contains none of the files en-10k/qa1_..._train.txt and so on."
        )
    for name, content in found.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    folders = [folder for folder in FOLDERS if any(name.startswith(f"{folder}/") for name in found)]
    of_release = {name for name in expected if name.split("/")[0] in folders}
    return folders, sorted(of_release - found.keys())


def _name_of(name: str, content: bytes) -> str:
    if name in _GIT_NAMES:
        return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    return hashlib.sha256(content).hexdigest()


def download(path: pathlib.Path) -> None:
    """Downloads the archive of the release from the first address that works.

    Raises:
      OSError: if none works; the message contains each address with its reason.
    """
    reasons = []
    for url in URLS:
        print(f"Downloading {url}.", flush=True)
        try:
            with urllib.request.urlopen(url, timeout=60) as source, open(path, "wb") as target:
                shutil.copyfileobj(source, target)
            return
        except OSError as error:
            reasons.append(f"{url}: {getattr(error, 'reason', error)}")
    raise OSError("; ".join(reasons))


def main(argv: Sequence[str]) -> int:
    """Runs the command. Returns the exit code."""
    return command.run("tasks.babi.fetch", _FLAGS, argv, __doc__, _fetch)


def _fetch() -> None:
    directory = pathlib.Path(_FLAGS.directory)
    with tempfile.TemporaryDirectory() as folder:
        archive = pathlib.Path(_FLAGS.archive or f"{folder}/babi.tar.gz")
        if not _FLAGS.archive:
            try:
                download(archive)
            except OSError as error:
                raise OSError(
                    f"Cannot download bAbI ({error}). Get tasks_1-20_v1-2.tar.gz in another way. "
                    "Then pass it as --archive=FILE, or unpack it and pass its folder en-10k to "
                    "train.py as --data_dir."
                ) from error
        try:
            folders, missing = unpack(archive, directory)
        except OSError as error:
            raise OSError(
                f"Cannot read {archive} or write {directory}: {error.strerror}."
            ) from error
    if missing:
        print(f"Not in the archive: {', '.join(missing)}.")
    print(
        f"The files in {directory} are as released. To train on them:\n"
        f"  python train.py --task=babi --data_dir={directory / folders[0]}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv))
