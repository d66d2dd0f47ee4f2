"""Maps: graphs with names, whose labels are drawn again for each episode."""

import collections
import csv
import functools
import itertools
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tasks import draws
from tasks.graphs.graphs import Graphs, distinct_labels

_LONDON = pathlib.Path(__file__).parent / "london_underground"
# With the zone, this choice gives graphs of the size on which networks are trained. The paper does
# not specify the stations that it used.
_LINES = ("Bakerloo", "Central", "District", "Jubilee", "Northern", "Piccadilly", "Victoria")
_ZONE = 1.5  # Zone 1, and "1.5" on its border with zone 2.


class Edge(NamedTuple):
    """An edge of a map: names of its source, of the edge and of its destination.

    The edges that leave a node have different names.
    """

    source: str
    name: str
    destination: str


class Map:
    """A graph with names.

    Attributes:
      edges: its edges.
      nodes: names of its nodes, sorted.
      labels: names of its edges, each once, sorted.
      degrees: number of edges that leave each node, int32 [N].
      neighbours: number of the node at which each edge ends, int32 [N, D]; 0 in unused places.
      names: number of each edge's name among `labels`, int32 [N, D].
    """

    def __init__(self, edges: Sequence[Edge]):
        """Takes the edges; at least one edge must leave each node."""
        self.edges = tuple(edges)
        self.nodes = sorted({edge.source for edge in edges})
        self.labels = sorted({edge.name for edge in edges})
        of_node = [[edge for edge in edges if edge.source == node] for node in self.nodes]
        self.degrees = np.array([len(own) for own in of_node], np.int32)
        self.neighbours, self.names = np.zeros([2, len(of_node), max(self.degrees)], np.int32)
        for node, own in enumerate(of_node):
            for place, edge in enumerate(own):
                self.neighbours[node, place] = self.nodes.index(edge.destination)
                self.names[node, place] = self.labels.index(edge.name)

    def with_labels(self, key: tf.Tensor, batch_size: int, are_names_fixed: bool = False) -> Graphs:
        """Returns a copy of the map for each of B episodes, with its own random labels.

        If the names are fixed, the labels of the edges are their numbers among `labels`.
        """
        keys = [draws.fold_in(key, number) for number in range(2)]
        of_edges = distinct_labels(keys[1], batch_size, len(self.labels))
        if are_names_fixed:
            of_edges = tf.tile(tf.range(len(self.labels))[tf.newaxis], [batch_size, 1])
        return Graphs(
            num_nodes=tf.fill([batch_size], len(self.nodes)),
            degrees=tf.tile(self.degrees[np.newaxis], [batch_size, 1]),
            neighbours=tf.tile(self.neighbours[np.newaxis], [batch_size, 1, 1]),
            node_labels=distinct_labels(keys[0], batch_size, len(self.nodes)),
            edge_labels=tf.gather(of_edges, self.names, axis=1),
        )


def london(lines: Sequence[str] | None = _LINES) -> Map:
    """Returns the interchanges in the centre of the London Underground, with their links.

    An interchange is a station of zones 1 to 1.5 at which at least two of the lines meet. Two are
    linked, in both directions, if a line runs from one to the other within these zones without a
    further interchange in between. The name of an edge is its line and direction, "Victoria N".
    With the default lines there are 24 interchanges and 92 edges, up to 6 from each.

    Args:
      lines: beginnings of the names of the lines; `None`: all.
    """
    stations = {row["id"]: row for row in _rows("stations") if float(row["zone"]) <= _ZONE}
    of_line = {row["line"]: row["name"].removesuffix(" Line") for row in _rows("lines")}
    links: dict[str, dict[str, set[str]]] = collections.defaultdict(
        lambda: collections.defaultdict(set)
    )
    for row in _rows("connections"):
        line, ends = of_line[row["line"]], (row["station1"], row["station2"])
        if stations.keys() >= {*ends} and (lines is None or line in lines):
            for one, other in (ends, ends[::-1]):
                links[line][one].add(other)
    count = collections.Counter(
        station for of_stations in links.values() for station in of_stations
    )
    interchanges = {station for station, number in count.items() if number >= 2}
    edges = [
        Edge(
            stations[one]["name"],
            f"{line} {_direction(stations[one], stations[other])}",
            stations[other]["name"],
        )
        for line, of_stations in links.items()
        for one in interchanges & of_stations.keys()
        for other in _next(one, of_stations, interchanges)
    ]
    return Map(sorted(edges))


def _next(start: str, links: Mapping[str, set[str]], interchanges: set[str]) -> set[str]:
    """Returns the first interchanges in all directions along a line."""
    found, seen, ahead = set(), {start}, [*links[start]]
    while ahead:
        station = ahead.pop()
        if station in seen:
            continue
        seen.add(station)
        if station in interchanges:
            found.add(station)
        else:
            ahead += links[station]
    return found


def _direction(one: Mapping[str, str], other: Mapping[str, str]) -> str:
    """Returns the direction from one station to another: N, E, S or W."""
    north = float(other["latitude"]) - float(one["latitude"])
    # At 51.5 degrees north, a degree of longitude is 0.62 times as long as one of latitude.
    east = 0.62 * (float(other["longitude"]) - float(one["longitude"]))
    if abs(north) > abs(east):
        return "N" if north > 0 else "S"
    return "E" if east > 0 else "W"


def _rows(name: str) -> list[dict[str, str]]:
    with open(_LONDON / f"{name}.csv", newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


_COUPLES = (
    ("Bob", "Alice"),
    ("Dan", "Carol"),
    ("Frank", "Grace"),
    ("Henry", "Eve"),
    ("Ian", "Mona"),
)
# Son and daughter of a couple.
_CHILDREN = {
    "Bob": ("Frank", "Eve"),
    "Dan": (None, "Grace"),
    "Frank": ("Ian", "Jane"),
    "Henry": ("Leo", "Kate"),
    "Ian": ("Oscar", "Nina"),
}


def family() -> Map:
    """Returns a family of fifteen people in four generations: 54 edges, up to 6 from one person.

    An edge "father" leads to a person's father, and so on. The people are invented, as the paper's
    are not published. Nobody has two sons, daughters, brothers or sisters, because the edges from a
    node must differ.
    """
    edges = []
    for man, woman in _COUPLES:
        edges += [Edge(man, "wife", woman), Edge(woman, "husband", man)]
        son, daughter = _CHILDREN[man]
        for child, name in ((son, "son"), (daughter, "daughter")):
            if child:
                edges += [Edge(parent, name, child) for parent in (man, woman)]
                edges += [Edge(child, "father", man), Edge(child, "mother", woman)]
        if son and daughter:
            edges += [Edge(son, "sister", daughter), Edge(daughter, "brother", son)]
    return Map(sorted(edges))


# The terminus of a line, the interchanges at which it stops, and its other terminus.
_VIENNA = {
    "U1": "Leopoldau; Praterstern, Schwedenplatz, Stephansplatz, Karlsplatz; Oberlaa",
    "U2": "Seestadt; Praterstern, Schottenring, Volkstheater, Karlsplatz; Karlsplatz",
    "U3": "Simmering; Landstraße, Stephansplatz, Volkstheater, Westbahnhof; Ottakring",
    "U4": "Heiligenstadt; Spittelau, Schottenring, Schwedenplatz, Landstraße, Karlsplatz, "
    "Längenfeldgasse; Hütteldorf",
    "U6": "Floridsdorf; Spittelau, Westbahnhof, Längenfeldgasse; Siebenhirten",
}


def vienna() -> Map:
    """Returns the 10 interchanges of the Vienna U-Bahn (2020): 32 edges, up to 4 from each.

    The name of an edge is its line and the terminus to which it leads, "U4 Hütteldorf".
    """
    edges = []
    for line, text in _VIENNA.items():
        first, stops, last = text.split("; ")
        for one, other in itertools.pairwise(stops.split(", ")):
            edges += [Edge(one, f"{line} {last}", other), Edge(other, f"{line} {first}", one)]
    return Map(sorted(edges))


MAPS = {
    "london": functools.cache(london),
    "london_all": functools.cache(lambda: london(None)),
    "vienna": functools.cache(vienna),
    "family": functools.cache(family),
}
