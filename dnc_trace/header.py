"""The header of an episode, without NumPy, because TensorBoard's start waits for this import."""

import json
from typing import Any, NoReturn

# In summaries, and in the plugin's addresses.
PLUGIN_NAME = "dnc_memory"

FORMAT = "dnc-episode"
VERSION = 1


def parse(data: bytes) -> dict[str, Any]:
    """Returns the header of an episode; `episode` lists its entries.

    Raises:
      ValueError: if the data is damaged, is not an episode, or has a different version.
    """
    try:
        # As strict as a browser: UTF-8, and no NaN.
        header = json.loads(data.decode("utf-8"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            "The episode's header is damaged: it is not JSON. Record the episode again."
        ) from error
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise ValueError(f"This is not the header of an episode: its format is not {FORMAT!r}.")
    version = header.get("version")
    if type(version) is not int or version != VERSION:
        raise ValueError(
            f"The episode has version {version!r}, and this viewer reads only {VERSION}. Use the "
            "version of dnc-sonnet that recorded it."
        )
    return header


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
