"""Small faults that the tests must notice, and a command that makes them one at a time.

    python -m tests.mutants --jobs=2           all faults: some minutes on two cores
    python -m tests.mutants links training     those with one of these words in name, file or tests
    python -m tests.mutants --list

Each fault replaces one piece of text in a copy of the tree. The tests of that row then run until
the first one fails: it has killed the mutant. A mutant that survives shows code that no test
protects, unless the mutated code does the same; then the row is replaced.

The rows also tell what the tests are for. They are in `of_dnc`, `of_family`, `of_unrolling`,
`of_fused`, `of_bridges`, `of_tasks`, `of_graphs`, `of_shrdlu`, `of_training`, `of_inspector` and
`of_tools`. The tests of a row are in the unit tier (`make test`) where these can notice the fault.
"""

from typing import NamedTuple


class Mutant(NamedTuple):
    """One fault.

    Attributes:
      name: what is wrong with it.
      file: the file with the fault, a path in the tree.
      old: text that is in the file exactly once.
      new: the text in its place.
      tests: paths or ids of tests below tests/, with spaces between them, the cheapest first.
    """

    name: str
    file: str
    old: str
    new: str
    tests: str

    @property
    def package(self) -> str:
        """The package that the file belongs to; "scripts" for the scripts in the root."""
        folder = self.file.rpartition("/")[0]
        return folder if folder == "dnc/unrolling/fused" else folder.partition("/")[0] or "scripts"

    @property
    def tier(self) -> str:
        """Whether the tests are "unit" or "system" tests."""
        return "system" if "system/" in self.tests else "unit"

    def apply(self, text: str) -> str:
        """Returns the text of the file with the fault in it.

        Raises:
          ValueError: if the text to replace is not there exactly once.
        """
        if (number := text.count(self.old)) != 1:
            raise ValueError(f"{self.file} has {number} times: {self.old!r}")
        return text.replace(self.old, self.new)
