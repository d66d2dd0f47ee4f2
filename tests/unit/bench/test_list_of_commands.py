"""The package says which commands it has."""

import pathlib
import re

import bench


def test_the_list_of_commands_is_complete():
    listed = re.findall(r"^`bench\.(\w+)`  ", bench.__doc__, re.MULTILINE)
    files = pathlib.Path(bench.__file__).parent.glob("*.py")
    sources = {path.stem: path.read_text("utf-8") for path in files if path.stem[0] != "_"}
    commands = [name for name, text in sources.items() if "__main__" in text]

    assert sorted(listed) == sorted(commands)
