"""Common features of all commands: flags, errors, tables and JSON."""

import json
import pathlib

import pytest

from bench import (
    _command,
    ablation,
    inference,
    memory,
    results,
    safety,
    scaling,
    soak,
    solved,
    step,
    summaries,
)

ROOT = pathlib.Path(step.__file__).parents[1]
COMMANDS = {
    "step": step,
    "inference": inference,
    "scaling": scaling,
    "memory": memory,
    "solved": solved,
    "summaries": summaries,
    "safety": safety,
    "soak": soak,
    "results": results,
    "ablation": ablation,
}


@pytest.mark.parametrize(
    "name, argument, said",
    [
        ("step", "--config=huge", ["config", "huge", "small, medium, large"]),
        ("step", "--config=", ["config", "small, medium, large"]),
        ("step", "--linkage=dense,loose", ["linkage", "loose", "dense, sparse"]),
        ("step", "--rounds=0", ["rounds", "0"]),
        ("step", "--variants=mask", ["variants", "mask", "masks, deallocate"]),
        ("step", "--num_links=17", ["--num_links", "17", "16 slots"]),
        ("step", "positional", ["positional", "--"]),
        ("step", "--nonsense", ["nonsense"]),
        ("inference", "--config=huge", ["config", "huge", "small, medium, large"]),
        ("inference", "--num_links=17", ["--num_links", "17", "16 slots"]),
        ("results", "--presets=nonsense", ["presets", "nonsense", "addition"]),
        ("results", "--cores=gru", ["cores", "gru", "biadnc, lstm, ntm"]),
        ("results", "--seeds=", ["seeds", "integers"]),
        ("ablation", "--variants=X", ["variants", "X", "ADNC"]),
        ("ablation", "--csv=gs://bucket/runs.csv", ["csv", "gs://bucket"]),
        ("soak", "--minutes=-1", ["minutes", "-1", "non-negative"]),
        ("soak", "--minutes=nan", ["minutes", "nan"]),
        ("scaling", "--axis=heads", ["axis", "heads", "slots|steps|batch"]),
        ("scaling", "--sizes=4,many", ["sizes", "many", ">= 1"]),
        ("scaling", "--sizes=4", ["--num_links", "8", "4 slots"]),
        ("scaling", "--max_dense_mib=0", ["max_dense_mib", "0"]),
        ("memory", "--config=small,medium", ["config", "small,medium"]),
        ("memory", "--num_steps=0", ["num_steps", "0", ">= 1"]),
        ("memory", "--checkpoint_every=-1", ["checkpoint_every", "-1", ">= 1"]),
        ("safety", "--checkpoint_interval=0", ["checkpoint_interval", "0"]),
        ("summaries", "--summary_interval=0", ["summary_interval", "0"]),
        ("solved", "--seeds=-1", ["seeds", "-1", ">= 0"]),
        ("solved", "--linkage=loose", ["linkage", "loose", "dense, sparse"]),
    ],
)
def test_a_wrong_value_is_an_exit_code_of_2_and_one_line(capsys, name, argument, said):
    code = COMMANDS[name].main([f"bench.{name}", argument])

    output = capsys.readouterr()
    assert code == 2
    assert output.out == ""
    (line,) = output.err.splitlines()
    assert line.startswith(f"bench.{name}: ")
    for part in said:
        assert part in line


@pytest.mark.parametrize("name", COMMANDS)
def test_help_says_what_is_measured_and_which_flags_there_are(capsys, name):
    assert COMMANDS[name].main([f"bench.{name}", "--help"]) == 0

    output = capsys.readouterr().out
    assert f"python -m bench.{name}" in output
    assert "--[no]json" in output


def run(arguments, rows, **options):
    columns = [_command.Column("size", 6, lambda row: str(row["size"]))]
    return _command.run(
        "bench.example",
        "An example.",
        _command.new_flags(default_rounds=3),
        ["bench.example", *arguments],
        title=lambda: "Sizes.",
        columns=lambda: columns,
        rows=lambda: rows,
        **options,
    )


def test_a_table_has_a_title_the_machine_and_the_rows(capsys):
    assert run([], [{"size": 1}, {"size": 20}]) == 0

    title, machine, empty, *table = capsys.readouterr().out.splitlines()
    assert title == "Sizes."
    assert "TensorFlow" in machine
    assert empty == ""
    assert table == ["| size   |", "|--------|", "| 1      |", "| 20     |"]


def test_json_is_one_object_with_the_machine_the_flags_and_the_rows(capsys):
    assert run(["--json", "--rounds=5"], [{"size": 1}]) == 0

    result = json.loads(capsys.readouterr().out)
    assert list(result) == ["benchmark", "machine", "flags", "rows"]
    assert result["benchmark"] == "bench.example"
    assert result["flags"] == {"rounds": 5}
    assert result["rows"] == [{"size": 1}]


@pytest.mark.parametrize("sizes, code", [([1, 20], 0), ([20, 99, 1], 1)])
def test_a_row_that_has_failed_is_an_exit_code_of_1(capsys, sizes, code):
    rows = [{"size": size} for size in sizes]

    assert run(["--json"], rows, has_failed=lambda row: row["size"] > 50) == code

    assert json.loads(capsys.readouterr().out)["rows"] == rows


def test_a_second_run_starts_from_the_defaults(capsys):
    values = _command.new_flags(default_rounds=3)
    rows = dict(title=str, columns=list, rows=lambda: [{"rounds": values["rounds"].value}])

    for arguments, rounds in ((["--rounds=5"], 5), ([], 3)):
        _command.run("bench.example", "", values, ["", "--json", *arguments], **rows)
        assert json.loads(capsys.readouterr().out)["rows"] == [{"rounds": rounds}]


@pytest.mark.parametrize(
    "row, text",
    [
        ({"median_ms": 1.234, "min_ms": 1.0, "max_ms": 12.0}, "1.23 (1.00 to 12.00)"),
        ({"median_ms": 12.34, "min_ms": 9.0, "max_ms": 13.0}, "12.3 (9.0 to 13.0)"),
        ({"median_ms": 1234.5, "min_ms": 999.0, "max_ms": 2000.0}, "1,234 (999 to 2,000)"),
        ({"median_ms": 1.234}, "1.23"),
        ({}, "-"),
        (None, "-"),
    ],
)
def test_milliseconds_have_three_digits_or_more(row, text):
    assert _command.milliseconds(row) == text
