import csv
import json
import pathlib

import pytest

from bench import _command, ablation
from training import Config, models


def train(arguments):
    directory = pathlib.Path(arguments[-1].partition("=")[2])
    directory.mkdir(parents=True)
    (directory / "arguments").write_text("\n".join(arguments))
    return "Finished\n"


def evaluate(arguments):
    given = dict(argument.removeprefix("--").partition("=")[::2] for argument in arguments)
    _, variant, seed = pathlib.Path(given["checkpoint_dir"]).name.rsplit("_", 2)
    slots = given.get("memory_size", "").split(",")
    with open(given["csv"], "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([*ablation._MEASURED, "parameters", "more"])
        for number, size in enumerate(given["lengths"].split(",")):
            solved = variant == "M" if number == 0 else ""
            error = number + int(seed) / 10
            row = [slots[number % len(slots)], size, "wrong_bits", error, 1, solved, 7, ""]
            writer.writerow(row)
    return ""


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    """Functions in place of train.py and evaluate.py; the list of what ran."""
    ran = []

    def run_script(path, arguments):
        ran.append(path.stem)
        return {"train": train, "evaluate": evaluate}[path.stem](arguments)

    monkeypatch.setattr(_command, "run_script", run_script)
    return ran


@pytest.fixture
def run(tmp_path, capsys):
    """Runs the command in a folder of its own; returns the rows."""

    def run_command(*arguments):
        places = (f"--directory={tmp_path / 'runs'}", f"--csv={tmp_path / 'runs.csv'}")
        assert ablation.main(["bench.ablation", "--json", *places, *arguments]) == 0
        return json.loads(capsys.readouterr().out)["rows"]

    return run_command


def test_a_row_contains_what_all_seeds_reached(run):
    rows = run("--tasks=key_value", "--variants=DNC,M", "--seeds=0,2,1")
    assert [(row["variant"], row["solved"], row["runs"]) for row in rows] == [
        ("DNC", 0, 3),
        ("M", 3, 3),
    ]
    assert rows[0]["at"][1] == {"size": 16, "errors": [1.0, 1.2, 1.1]}
    assert [at["size"] for at in rows[1]["at"]] == [8, 16, 32, 64]


def test_only_runs_that_are_missing_are_trained(run, scripts):
    run("--variants=M", "--seeds=0")
    assert scripts == ["train", "evaluate"]
    (row,) = run("--variants=M", "--seeds=0,1")
    assert scripts == ["train", "evaluate"] * 2
    assert row["runs"] == 2
    assert run("--variants=M,D", "--notrain") == [row]
    assert scripts == ["train", "evaluate"] * 2


def test_a_plot_is_a_picture(run, tmp_path):
    run("--variants=M,LSTM", "--seeds=0", f"--plot={tmp_path / 'picture.png'}")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("task", ablation.TASKS)
@pytest.mark.parametrize("variant", ablation.VARIANTS)
def test_every_run_is_one_that_can_be_trained(task, variant):
    settings = {}
    for flag in ablation.arguments(task, variant, 3):
        name, is_given, value = flag.removeprefix("--").partition("=")
        settings[name if is_given else name.removeprefix("no")] = value or name[:2] != "no"
    config = Config.of(**{**settings, "seed": int(settings["seed"])})
    if ablation.applies(task, variant):
        models.make_core(config, models.make_task(config))
    else:
        assert (task, variant) == ("addition", "S")


def test_a_variant_has_no_switch_but_its_own():
    assert "--nolayer_norm" in ablation.arguments("associative_recall", "DNC", 0)
    assert "--layer_norm" in ablation.arguments("associative_recall", "LN", 0)


def test_only_models_with_masks_have_a_masked_look_up():
    for variant in ablation.VARIANTS:
        given = ablation.arguments("key_value", variant, 0)
        masked = variant in ("M", "MD")
        assert ("--look_up=used_masked_cosine" in given) == masked
        assert ("--look_up=used_cosine" in given) == (not masked)
