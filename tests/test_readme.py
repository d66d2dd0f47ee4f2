"""What the README shows runs as it stands there."""

import pathlib
import re

import train

README = (pathlib.Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")


def test_the_python_examples_run():
    examples = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    assert examples
    names = {}
    for example in examples:
        exec(example, names)  # Each goes on where the one before ended.


def test_every_flag_of_the_training_script_is_explained():
    explained = set(re.findall(r"`--(?:no)?(\w+)", README))
    own = {flag.name for flag in train.FLAGS.get_key_flags_for_module(train)}
    assert own <= explained


def test_every_file_that_is_linked_exists():
    root = pathlib.Path(__file__).parents[1]
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert link.startswith("https://") or (root / link).exists(), link
