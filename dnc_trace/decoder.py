"""Decoders: linear classifiers that translate words of the memory into text.

A decoder is JSON. For each of G groups, such as the digits of a number, it has a softmax over the
group's classes: `classes` are G lists of names, `kernel` W lists of K numbers and `bias` K numbers,
where K is the number of all classes. The text of a word consists of the likeliest name of each
group, or "?" where none is likely. `training.decode` fits decoders (Graves et al. 2016,
Methods).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

UNKNOWN = -1  # Class of a group without a likely class ...
LEAST = 0.5  # ... which has a smaller probability.


def classes(decoder: Mapping[str, Any], words: Any) -> np.ndarray:
    """Returns the likeliest class of each group for words [..., W], integers [..., G].

    It is -1 where this class has a probability below 0.5.
    """
    logits = np.asarray(words, np.float64) @ np.array(decoder["kernel"]) + decoder["bias"]
    ends = np.cumsum([len(names) for names in decoder["classes"]])
    found = []
    for group in np.split(logits, ends[:-1], axis=-1):
        largest = group.max(axis=-1, keepdims=True)
        is_likely = np.exp(group - largest).sum(axis=-1) <= 1 / LEAST
        found.append(np.where(is_likely, group.argmax(axis=-1), UNKNOWN))
    return np.stack(found, axis=-1)


def decode(decoder: Mapping[str, Any], words: Any) -> np.ndarray:
    """Returns words [..., W] as text, an array of strings [...]."""
    return named(classes(decoder, words), decoder["classes"])


def named(classes: np.ndarray, names: Sequence[Sequence[str]]) -> np.ndarray:
    """Returns classes [..., G] as text, an array of strings [...], "?" for an unknown class."""
    text = np.zeros(classes.shape[:-1], np.str_)
    for g, of_group in enumerate(names):
        space = " " if all(name.endswith(" ") for name in of_group) else ""
        # The last name is for class -1.
        text = np.char.add(text, np.array([*of_group, f"?{space}"])[classes[..., g]])
    return np.char.strip(text)


def check(decoder: Any, word_size: int) -> None:
    """Raises `ValueError` if this is not a decoder of words of W numbers."""
    try:
        classes = decoder["classes"]
        is_text = all(isinstance(name, str) for names in classes for name in names)
        number = sum(map(len, classes))
        kernel, bias = (np.array(decoder[name], np.float64) for name in ("kernel", "bias"))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError("A decoder has numbers kernel and bias, and lists classes.") from error
    shapes = [list(kernel.shape), list(bias.shape)]
    if not (is_text and all(classes)) or shapes != [[word_size, number], [number]]:
        raise ValueError(
            f"A decoder of words of {word_size} numbers in {number} classes has a kernel of shape "
            f"[{word_size}, {number}] and a bias of shape [{number}], got {shapes}."
        )
