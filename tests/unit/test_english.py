"""The English of code and documents: constructions of CONTRIBUTING.md that a machine can find."""

import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[2]
FOLDERS = (
    "bench",
    "dnc",
    "dnc_inspector",
    "dnc_trace",
    "docs",
    "examples",
    "tasks",
    "tests",
    "training",
)
FILES = [*ROOT.glob("*.*"), *(path for name in FOLDERS for path in (ROOT / name).rglob("*"))]
TEXTS = [
    path.relative_to(ROOT).as_posix()
    for path in sorted(FILES)
    if path.suffix in (".py", ".md", ".js", ".html")
    and path.parent.name != "mutants"
    and path != pathlib.Path(__file__)
]
BETTER = {
    "anew": "again, from scratch",
    "gradients? by": "gradient with respect to",
    "so (many|often)": "the name of the quantity",
    "(go|goes|going|went) on": "continue, resume",
    "(that|those) of": "the noun again",
    "likewise": "also, similarly",
    "learnt": "learned",
    "beside": "next to, compared with",
    "of late": "recently",
    "in the mean": "on average",
    "by heart": "memorise",
    "(leave|leaves|leaving|left) away": "omit",
}
SPACE = r"[\s#*/]+"  # A phrase may continue on the next line of a comment.
PHRASES = {rf"\b{phrase.replace(' ', SPACE)}\b": better for phrase, better in BETTER.items()}
CLAUSE = re.compile(r"(What|Where|Which|Who|How (many|much|often|far|long))\b")


def findings(text, suffix=".py"):
    """Returns all that should be changed, as sorted (line, construction, better wording)."""
    if suffix == ".md":  # A quotation is an example there, as in CONTRIBUTING.md, or a value.
        text = re.sub(r'"[^"\n]*"', '""', text)
    found = [
        (text.count("\n", 0, match.start()) + 1, match[0], better)
        for phrase, better in PHRASES.items()
        for match in re.finditer(phrase, text, re.IGNORECASE)
    ]
    for node in ast.walk(ast.parse(text)) if suffix == ".py" else ():
        documented = isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        if documented and (clause := CLAUSE.match(ast.get_docstring(node) or "")):
            found.append((node.body[0].lineno, clause[0], "a verb for a function, else a noun"))
    return sorted(found)


@pytest.mark.parametrize("name", TEXTS)
def test_a_text_has_no_such_construction(name):
    found = findings((ROOT / name).read_text("utf-8"), pathlib.Path(name).suffix)
    assert [f"{name}:{line}: {text}: better {better}" for line, text, better in found] == []


@pytest.mark.parametrize(
    "text, expected",
    [
        ("# Anew, by heart, likewise", [(1, "Anew"), (1, "by heart"), (1, "likewise")]),
        ("x = 1  # The gradient by x, so many", [(1, "gradient by"), (1, "so many")]),
        ("\n# It goes on with those\n# of y.", [(2, "goes on"), (2, "those\n# of")]),
        ('def f():\n    """How many steps it makes."""', [(2, "How many")]),
        ('class A:\n    """What it keeps of late."""', [(2, "What"), (2, "of late")]),
        ("# Gradients w.r.t. x, besides y, learned: go only so far.", []),
        ('def f():\n    """Returns what it keeps."""', []),
    ],
)
def test_a_construction_is_found_and_its_neighbours_are_not(text, expected):
    assert [(line, found) for line, found, _ in findings(text)] == expected
