"""Routes on a map: what a network is asked, and what is printed of its answers."""

import types

import networkx
import numpy as np
import pytest

import dnc
from dnc_inspector import page
from tasks.graphs import maps, route, triples
from tasks.graphs.maps import Edge
from tasks.graphs.own_route import OwnEnds, OwnPath
from tests.runs import untrained
from training import episodes
from training.models import load

EDGES = ("U4 Hütteldorf", "U4 Hütteldorf", "U6 Floridsdorf")
PATH = (
    ("Landstraße", "U4 Hütteldorf", "Karlsplatz"),
    ("Karlsplatz", "U4 Hütteldorf", "Längenfeldgasse"),
    ("Längenfeldgasse", "U6 Floridsdorf", "Westbahnhof"),
)
FOLLOW = ("--map=vienna", "--start=Landstraße", f"--edges={', '.join(EDGES)}")
PLAN = ("--map=vienna", "--start=Landstraße", "--goal=Spittelau")


@pytest.fixture(scope="module")
def follower(tmp_path_factory):
    """The directory of an untrained model of traversal."""
    return untrained(tmp_path_factory.mktemp("runs") / "run", task="traversal", memory_size=32)


@pytest.fixture(scope="module")
def planner(tmp_path_factory):
    """The directory of an untrained model of shortest_path."""
    directory = tmp_path_factory.mktemp("runs") / "run"
    return untrained(directory, task="shortest_path", memory_size=32, num_planning=2)


def path(seed=0):
    return OwnPath.along({"map": "vienna", "batch_size": 1, "seed": seed}, "Landstraße", EDGES)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_network_is_told_the_map_and_the_question(seed):
    task = path(seed)
    batch = task.batch("test", seed, 0)

    (lines,) = task.step_labels(batch)
    asked = ["? Landstraße, U4 Hütteldorf, _", "? _, U4 Hütteldorf, _", "? _, U6 Floridsdorf, _"]
    assert sorted(lines[:32]) == [", ".join(edge) for edge in maps.vienna().edges]
    assert lines[32:] == [*asked, *(f"= {', '.join(edge)}" for edge in PATH), "= end"]


def test_seeds_draw_other_labels_and_another_order():
    one, other = (path(seed) for seed in (0, 1))
    of_one, of_other = (task.batch("test", task.seed, 0) for task in (one, other))

    assert one.step_labels(of_one)[0][:32] != other.step_labels(of_other)[0][:32]
    assert not np.array_equal(one.drawn.node_labels, other.drawn.node_labels)


@pytest.mark.parametrize(
    ("wrong", "lines", "summary"),
    [
        ((), [], "All 3 answers are right."),
        ((1,), [(1, PATH[0], PATH[1])], "2 of 3 answers are right."),
        ((3,), [(3, PATH[0], ("end",))], "3 of 4 answers are right."),
    ],
)
def test_answers_are_compared_with_the_path(wrong, lines, summary):
    task = path()
    batch = task.batch("test", 0, 0)
    outputs = np.array(batch.target)
    for number in wrong:
        outputs[35 + number] = outputs[35]

    text, trace = route.describe(task, batch, outputs, None)

    expected = {number: f"{', '.join(edge)}  right" for number, edge in enumerate(PATH)}
    for number, said, right in lines:
        expected[number] = f"{', '.join(said)}  wrong (right: {', '.join(right)})"
    found = text.splitlines()
    assert [" ".join(line.split()) for line in found[:-1]] == [
        " ".join(line.split()) for line in expected.values()
    ]
    assert (found[-1], trace) == (summary, None)


def test_a_label_without_a_name_is_shown_as_its_digits():
    task = path()
    used = set(task.drawn.node_labels[0].numpy())
    free = next(label for label in range(1, 1000) if label not in used)
    source, edge = int(task.drawn.node_labels[0, 0]), int(task.drawn.edge_labels[0, 0, 0])

    assert task.text([source, edge, free]) == f"Karlsplatz, U1 Leopoldau, {free:03d}"


def recorded(reads, writes):
    """A trace of read weights [R, N] at the last step and of one write head's weights [T, N]."""
    read_weights = np.zeros([len(writes), 1, *np.shape(reads)])
    read_weights[-1, 0] = reads
    return types.SimpleNamespace(
        read_weights=read_weights, write_weights=np.reshape(writes, [len(writes), 1, 1, -1])
    )


@pytest.mark.parametrize(
    ("reads", "writes", "step"),
    [
        ([[0.9, 0.1]], [[0.0, 1.0], [1.0, 0.0], [0.0, 0.9]], 1),
        ([[0.1, 0.9]], [[0.0, 1.0], [1.0, 0.0], [0.0, 0.9]], 2),
        # An earlier write with a larger weight has been replaced, unless by a weak one.
        ([[0.9, 0.1]], [[1.0, 0.0], [0.6, 0.0], [0.0, 0.0]], 1),
        ([[0.9, 0.1]], [[1.0, 0.0], [0.4, 0.0], [0.0, 0.0]], 0),
        # Two heads outvote one, and a head is enough if the others read nowhere.
        ([[0.9, 0.1], [0.2, 0.7], [0.2, 0.7]], [[1.0, 0.0], [0.0, 1.0]], 1),
        ([[0.1, 0.1], [0.6, 0.1]], [[1.0, 0.0], [0.0, 1.0]], 0),
        ([[0.4, 0.3], [0.4, 0.3]], [[1.0, 0.0], [0.0, 1.0]], None),
    ],
)
def test_an_answer_is_read_from_what_is_left_in_a_slot(reads, writes, step):
    assert route.read_from(recorded(reads, writes), len(writes) - 1) == step


def test_later_writes_do_not_count():
    trace = recorded([[1.0]], [[1.0], [0.0], [1.0]])
    trace.read_weights[1] = 1.0

    assert route.read_from(trace, 1) == 0


def test_a_model_follows_and_its_trace_makes_a_page(follower, tmp_path, capsys):
    file = tmp_path / "of a route.npz"

    command = ["route", f"--checkpoint_dir={follower}", *FOLLOW, f"--trace_file={file}"]
    assert route.main(command) == 0

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4 + 1 + 3 and lines[-1] == f"  python -m dnc_inspector '{file}'"
    ends = [*PATH, ("end",)]
    for line, right in zip(lines[:4], ends, strict=True):
        assert f"wrong (right: {', '.join(right)}), read from: " in line
    assert lines[4] == "0 of 4 answers are right."
    trace = dnc.Trace.load(file)
    said = triples.labels(trace.outputs)[35:39, 0]
    assert (trace.task, trace.step) == ("traversal", 0)
    for token, right, triple in zip(trace.tokens[0][35:], ends, said, strict=True):
        assert token == f"= {', '.join(right)}  [{path().text(triple)}]"
    assert page.main([str(file)]) == 0


@pytest.mark.parametrize(
    ("start", "goal", "seed"),
    [
        ("Landstraße", "Spittelau", 0),
        ("Schottenring", "Spittelau", 1),
        ("Spittelau", "Praterstern", 0),
    ],
)
def test_a_model_takes_edges_until_it_is_there(planner, start, goal, seed):
    network = networkx.DiGraph([edge[::2] for edge in maps.vienna().edges])
    to_goal = dict(networkx.single_target_shortest_path_length(network, goal))

    text, trace = route.answer(planner, map="vienna", start=start, goal=goal, seed=seed)

    *lines, summary = text.splitlines()
    node = start
    for number, line in enumerate(lines):
        taken, verdict = line.split("  ", 1)
        edge = Edge(*taken.split(", "))
        assert edge in maps.vienna().edges and edge.source == node != goal
        node = edge.destination
        is_right = to_goal[node] == to_goal[edge.source] - 1
        assert verdict.lstrip().startswith("right, read from" if is_right else "wrong (right: ")
        assert trace.tokens[0][35 + number].endswith(taken if is_right else f"[{taken}]")
    has_arrived = "arrived" if node == goal else "did not arrive"
    number = to_goal[start]
    assert node == goal or len(lines) == number + 2
    assert summary == (
        f"It {has_arrived}. Edges taken: {len(lines)}, in a shortest path: {number}."
    )
    assert trace.tokens[0][32] == f"? {start}, _, {goal}"


def test_a_right_edge_other_than_the_target_is_right(planner):
    options = {"map": "vienna", "batch_size": 1, "num_planning": 2}
    task = OwnEnds.between(options, "Karlsplatz", "Schwedenplatz")
    core, _ = load(planner, map="vienna", curriculum="none")
    batch = episodes.collect(core, task, "test", 0, 0)
    t = 32 + 2 + 1  # The first answer, at Karlsplatz.
    outputs = np.zeros([task.num_steps, 1, 90], np.float32)

    found = {}
    for edge in batch.extras.triples[t, 0, : batch.extras.is_edge[t, 0].numpy().sum()]:
        outputs[t, 0] = triples.one_hot([edge])[0]
        taken, right = task.answers(batch, outputs)
        assert taken[t, 0].tolist() == edge.numpy().tolist()
        found[task.text(taken[t, 0]).split(", ")[2]] = (taken[t] == right[t]).all()

    ways = {"Landstraße", "Stephansplatz"}
    assert found == {
        edge.destination: edge.destination in ways
        for edge in maps.vienna().edges
        if edge.source == "Karlsplatz"
    }


def test_a_model_without_memory_answers_too(tmp_path, capsys):
    run = untrained(tmp_path / "run", core="lstm", task="traversal")
    arguments = ["route", f"--checkpoint_dir={run}", *FOLLOW]

    assert route.main(arguments) == 0
    out = capsys.readouterr().out
    assert "wrong (right: " in out and "read from" not in out
    assert route.main([*arguments, f"--trace_file={tmp_path / 'trace.npz'}"]) == 2
    assert "has no memory to look into" in capsys.readouterr().err


TRAINED = "--pretrained=traversal_dnc"


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (FOLLOW, ["Give --checkpoint_dir or --pretrained"]),
        ([TRAINED, "--start=a"], ["Give --map and --start"]),
        ([TRAINED, "--map=vienna"], ["Give --map and --start"]),
        ([TRAINED, "--map=paris"], ["paris", "london|london_all|vienna|family"]),
        ([TRAINED, *PLAN], ["traversal_dnc is for traversal. Give --edges, and no --goal."]),
        ([TRAINED, *FOLLOW, "--goal=Spittelau"], ["Give --edges, and no --goal."]),
        ([TRAINED, *FOLLOW[:2]], ["Give --edges, and no --goal."]),
        (
            ["--pretrained=copy_dnc", *FOLLOW],
            ["Only models of traversal and shortest_path find routes; ", "copy_dnc is for copy."],
        ),
        (
            [TRAINED, "--map=london", "--start=Oxfort Circus", "--edges=a"],
            ["The map has no 'Oxfort Circus'. Did you mean Oxford Circus?"],
        ),
        (
            [TRAINED, "--map=vienna", "--start=X", "--edges=a"],
            ["no 'X'. It has 10 nodes: Karlsplatz, Landstraße, Längenfeldgasse, "],
        ),
        (
            [TRAINED, *FOLLOW[:2], "--edges=U4 Hütteldorf,U3 Ottakring"],
            ["No edge 'U3 Ottakring' leaves Karlsplatz. These do: U1 Leopoldau, "],
        ),
        ([TRAINED, *FOLLOW, "--memory_size=31"], ["has 32 edges", "31 slots", "=32 or more"]),
        ([TRAINED, *FOLLOW, "--memory_size=0"], ["memory_size=0"]),
        ([TRAINED, *FOLLOW, "--seed=-1"], ["seed=-1"]),
    ],
)
def test_what_cannot_be_asked_is_one_line_and_exit_code_2(capsys, arguments, parts):
    assert route.main(["route", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("tasks.graphs.route: ")
    assert [part for part in parts if part not in line] == []


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (FOLLOW, "is for shortest_path. Give --goal, and no --edges."),
        ([*PLAN, "--edges=a"], "Give --goal, and no --edges."),
        (PLAN[:2], "Give --goal, and no --edges."),
        ([*PLAN[:2], "--goal=Landstraße"], "The goal is the start, Landstraße."),
        ([*PLAN[:2], "--goal=Spitelau"], "Did you mean Spittelau?"),
        ([*PLAN[:2], "--goal=Spittelau", "--memory_size=7"], "has 32 edges"),
    ],
)
def test_what_cannot_be_planned_is_one_line(planner, capsys, arguments, part):
    assert route.main(["route", f"--checkpoint_dir={planner}", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert part in line


def test_a_goal_that_no_path_leads_to_is_refused(monkeypatch):
    one_way = maps.Map([Edge("a", "x", "b"), Edge("b", "x", "c"), Edge("c", "x", "b")])
    monkeypatch.setitem(maps.MAPS, "vienna", lambda: one_way)
    options = {"map": "vienna", "batch_size": 1}

    assert OwnEnds.between(options, "a", "c").max_path == 2
    with pytest.raises(ValueError, match="There is no path from c to a"):
        OwnEnds.between(options, "c", "a")
