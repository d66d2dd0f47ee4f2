"""The README explains what a user can set. (Its examples and links: test_docs.py.)"""

import pathlib
import re

import train

README = (pathlib.Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")


def test_every_flag_of_the_training_script_is_explained():
    explained = set(re.findall(r"`--(\w+)", README))
    own = {flag.name for flag in train.FLAGS.get_key_flags_for_module(train)}
    assert own <= explained | {name.removeprefix("no") for name in explained}
