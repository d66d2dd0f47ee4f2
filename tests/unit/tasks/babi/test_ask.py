import re
import types

import numpy as np
import pytest

import dnc
from dnc_inspector import page
from tasks.babi import ask, data
from tests import golden
from tests.runs import untrained
from training.models import load

STORY = "Mary went to the kitchen.\nJohn took the milk. Where is Mary? What is John carrying?"


def run_of(core, directory):
    data_dir = str(golden.DATA / "babi")
    return untrained(directory, core=core, task="babi", data_dir=data_dir, tasks="1,19")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The directory of a run that was not trained."""
    return run_of("dnc", tmp_path_factory.mktemp("runs") / "stories")


def test_each_answer_is_the_word_that_the_model_finds_the_most_probable(run):
    text = "\n".join(
        " ".join(story.tokens)
        for story in data.read(str(golden.DATA / "babi"), [1, 19], "test")[19]
    )
    core, _ = load(run)

    answered, trace = ask.answer(run, text)

    tokens = text.split()
    inputs = np.eye(159, dtype=np.float32)[[data.NUMBERS[token] for token in tokens]]
    logits = dnc.unroll(core, inputs[:, np.newaxis])[0].numpy()[:, 0]
    words = [data.SYMBOLS[k] for k in logits.argmax(axis=1)]
    said = [word for token, word in zip(tokens, words, strict=True) if token == "-"]
    answers, notes = zip(*re.findall(r"\? (.*)  \((.*?)[,)]", answered), strict=True)
    assert [word for line in answers for word in line.split()] == said
    likely = np.exp(logits).max(axis=1) / np.exp(logits).sum(axis=1)
    of_answers = likely[[k for k, token in enumerate(tokens) if token == "-"]].reshape(-1, 2)
    assert list(notes) == [f"{pair.prod():.0%}" for pair in of_answers]
    assert len(said) == 2 * text.count("?") > 0
    np.testing.assert_allclose(trace.outputs[:, 0], logits, rtol=1e-5, atol=1e-6)
    assert [t for t in trace.tokens[0] if t.startswith("- ")] == [f"- {word}" for word in said]


def test_a_story_comes_back_with_answers_and_a_trace_that_makes_a_page(run, tmp_path, capsys):
    (tmp_path / "story.txt").write_text(STORY)
    trace_file = tmp_path / "of a story.npz"
    arguments = [f"--checkpoint_dir={run}", f"--story_file={tmp_path / 'story.txt'}"]

    assert ask.main(["ask", *arguments, f"--trace_file={trace_file}"]) == 0

    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["mary went to the kitchen.", "john took the milk."]
    assert lines[2].startswith("where is mary? ") and lines[3].startswith("what is john carrying? ")
    assert lines[-1] == f"  python -m dnc_inspector '{trace_file}'"
    trace = dnc.Trace.load(trace_file)
    assert (trace.task, trace.step, len(trace.tokens[0])) == ("babi", 0, 22)
    assert trace.tokens[0][:5] == ["mary", "went", "to", "the", "kitchen"]
    assert page.main([str(trace_file)]) == 0

    assert ask.main(["ask", f"--checkpoint_dir={run}", f"--story={STORY}", "--best"]) == 0
    assert capsys.readouterr().out.splitlines()[-4:] == lines[:4]


def test_the_sentences_that_were_read_most_are_named(run, monkeypatch):
    trace = ask.answer(run, STORY)[1]
    # Each step writes a slot of its own. The first question reads "went" and "milk", the second
    # one "milk" with three times the weight, and its own words.
    slots = np.zeros([22, 1, 1, 40], np.float32)
    slots[range(22), 0, 0, range(22)] = 1.0
    reads = np.zeros([22, 1, 1, 40], np.float32)
    words = trace.tokens[0]
    first, second = (k for k, word in enumerate(words) if word.startswith("- "))
    reads[first, 0, 0, [words.index("went"), words.index("milk")]] = 0.5
    reads[second - 1, 0, 0, [words.index("kitchen"), words.index("milk"), second - 2]] = 0.1, 0.8, 1
    known = types.SimpleNamespace(
        outputs=trace.outputs,
        write_weights=slots,
        read_weights=reads,
        replace=lambda **_: None,
    )
    monkeypatch.setattr(ask.episodes, "watch", lambda *_: known)

    *_, one, other = ask.answer(run, STORY)[0].splitlines()

    assert one.endswith("read from: mary went to the kitchen. john took the milk.)")
    assert other.endswith("read from: john took the milk.)")


def test_a_model_without_memory_answers_too(tmp_path, capsys):
    run = run_of("lstm", tmp_path / "run")
    arguments = ["ask", f"--checkpoint_dir={run}", f"--story={STORY}"]

    assert ask.main(arguments) == 0
    assert "where is mary? " in capsys.readouterr().out
    assert ask.main([*arguments, f"--trace_file={tmp_path / 'trace.npz'}"]) == 2
    assert "has no memory to look into" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--story=a."], "Give --checkpoint_dir or --pretrained"),
        (["--checkpoint_dir=a", "--pretrained=copy_dnc", "--story=a."], "Give --checkpoint_dir or"),
        (["--pretrained=copy_dnc"], "Give --story or --story_file"),
        (
            ["--pretrained=none", "--story=a."],
            "There is no pretrained model 'none'. Choose from: addition_dnc, ",
        ),
        (["--pretrained=copy_dnc", "--story=a."], "Only models of babi answer stories; "),
        (["--checkpoint_dir=missing", "--story=a."], "There is no run in missing."),
        (["--pretrained=copy_dnc", "--story_file=missing"], "No such file or directory: 'missing'"),
        (["a story"], "every option starts with --. See python -m tasks.babi.ask --help."),
    ],
)
def test_what_cannot_be_asked_is_one_line_and_exit_code_2(capsys, arguments, said):
    assert ask.main(["ask", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tasks.babi.ask: ") and said in line


def test_a_word_that_is_not_known_is_told_with_those_that_are_alike(run, capsys):
    assert ask.main(["ask", f"--checkpoint_dir={run}", "--story=Where is Marry?"]) == 2
    told = "'marry' is not one of the 156 words of bAbI. Did you mean mary"
    assert told in capsys.readouterr().err


def test_help_tells_how_to_ask(capsys):
    assert ask.main(["ask", "--help"]) == 0
    assert "Where is Mary?" in capsys.readouterr().out
