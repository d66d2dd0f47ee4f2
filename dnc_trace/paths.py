"""Local paths and addresses from users. An address such as gs://bucket/run is not a local path.

Python would treat it as a local path and make a folder. Like traces and pages, this module does not
need TensorFlow.
"""

import os
import pathlib
import re

# pathlib.Path("gs://bucket/run") is "gs:/bucket/run". One letter and a colon is a Windows drive.
_ADDRESS = re.compile(r"([A-Za-z][\w+.-]+):/+")


def local(path: str | bytes | os.PathLike) -> pathlib.Path:
    """Returns the path of a local file or folder, which need not exist.

    Raises:
      ValueError: if the path is an address, such as `gs://bucket/run` or `file:///tmp/run`.
    """
    text = os.fsdecode(path)
    if match := _ADDRESS.match(text):
        if match[1].lower() == "file":
            raise ValueError(f"{text} is an address. Give the path alone: /{text[match.end() :]}.")
        raise ValueError(
            f"{text} is an address, but only local files and folders work here. Give a local path "
            "and copy what you need, for example with gsutil cp or aws s3 cp."
        )
    return pathlib.Path(text)


def for_tensorflow(path: str | bytes | os.PathLike) -> str:
    """Returns a path or address for TensorFlow: `Path("gs://bucket")` gets both slashes back."""
    text = os.fsdecode(path)
    match = _ADDRESS.match(text)
    # file:///tmp has three: the machine's name between the second and the third is empty.
    if match is None or text[match.end(1) :].startswith("://"):
        return text
    slashes = ":///" if match[1].lower() == "file" else "://"
    return match[1] + slashes + text[match.end() :]
