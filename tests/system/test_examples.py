"""The programs and notebooks in examples/, as a user runs them."""

import ast
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import pytest

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("core", ["dnc", "lstm"])
def test_a_recurrent_policy_balances_the_pole_for_longer_than_chance(core):
    pytest.importorskip("gymnasium")
    command = [sys.executable, "examples/recurrent_policy.py", f"--core={core}", "--updates=600"]

    done = subprocess.run(command, capture_output=True, text=True, timeout=600)

    assert done.returncode == 0, done.stderr
    returns = [int(n) for n in re.findall(r"return of the last episodes (\d+)", done.stdout)]
    # An untrained policy's is about 22.
    assert returns[0] < 40 and max(returns) > 80, done.stdout


def run_cell(source, names, place):
    """Runs a cell; returns the value of the expression in its last line, as a notebook does."""
    statements = ast.parse(source).body
    last = statements.pop() if statements and isinstance(statements[-1], ast.Expr) else None
    exec(compile(ast.Module(statements, []), place, "exec"), names)
    return last and eval(compile(ast.Expression(last.value), place, "eval"), names)


def test_the_first_look_solves_its_task_and_shows_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cells = json.loads((EXAMPLES / "quickstart.ipynb").read_text("utf-8"))["cells"]
    names = {"__name__": "quickstart"}

    results = [
        run_cell("".join(cell["source"]), names, f"quickstart.ipynb, cell {number}")
        for number, cell in enumerate(cells)
        if cell["cell_type"] == "code"
    ]

    wrong_bits = names["wrong_bits"]
    assert wrong_bits(names["core"], num_rows=8) == 0.0
    # Of 160, and a guess is wrong in half of them.
    assert wrong_bits(names["core"], num_rows=20) > 20
    assert wrong_bits(names["larger"], num_rows=20) < 2
    assert wrong_bits(names["larger_without"], num_rows=20) > 20
    shown = [result._repr_html_() for result in results if hasattr(result, "_repr_html_")]
    assert [html.partition(" ")[0] for html in shown] == ["<iframe"] * 2
