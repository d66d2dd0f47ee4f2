"""The list of tasks in docs/tasks.md is the one that the command prints."""

import re

from docs.tasks import lines
from tests import golden

PAGE = (golden.DATA.parents[1] / "docs" / "tasks.md").read_text("utf-8")


def test_the_list_of_tasks_is_current():
    (listed,) = re.findall(r"<!-- begin: .* -->\n(.*)<!-- end -->", PAGE, re.DOTALL)

    assert listed == "\n".join(lines()) + "\n"
