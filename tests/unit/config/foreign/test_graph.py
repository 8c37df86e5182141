"""What a foreign graph says is understood, doubted aloud, or refused with its place."""

import math

import pytest

from controller.config.foreign.graph import understand
from controller.config.mistakes import Mistakes
from tests.unit.config.foreign.networks import raw

BERLIN, MUNICH = {"pos": [13.4, 52.5]}, {"Longitude": "11.6", "Latitude": 48.1}


def told(*arguments: object, **more: object) -> list[str]:
    with pytest.raises(Mistakes) as caught:
        understand(raw(*arguments, **more))  # type: ignore[arg-type]
    return str(caught.value).split("\n")


def test_a_length_in_the_data_goes_before_the_distance_of_the_positions() -> None:
    graph = understand(raw([("a", BERLIN), ("b", MUNICH)], [("a", "b", {"dist": "600"}), ("a", "b", {})]))
    assert [(round(edge.length_km), edge.measure) for edge in graph.edges] == [(600, "dist"), (506, "")]
    assert graph.warnings == ()


def test_the_attribute_that_holds_lengths_can_be_named_and_a_default_given() -> None:
    edges = [("a", "b", {"fibre": 12, "dist": 99}), ("a", "b", {"dist": 99})]
    graph = understand(raw([("a", {}), ("b", {})], edges), length_attribute="fibre", default_length_km=7.0)
    assert [(edge.length_km, edge.measure) for edge in graph.edges] == [(12.0, "fibre"), (7.0, None)]


def test_every_node_and_edge_that_cannot_be_used_is_named_with_a_remedy() -> None:
    nodes = [("a", {"pos": [math.nan, 1]}), ("b", {"lon": 5}), ("b", {})]
    edges = [
        ("a", "z", {"dist": 1}),
        ("a", "b", {"dist": math.nan}),
        ("a", "b", {"length": -3}),
        ("a", "b", {"dist": "far"}),
        ("a", "b", {}),
    ]
    found = told(nodes, edges, demands={("a", "b"): math.inf, ("a", "q"): 1})
    beginnings = [
        "g: nodes[0]: its position nan, 1 is not two finite numbers",
        "g: nodes[1]: its position 5, None is not two finite numbers; give both, or neither",
        "g: nodes[2]: the id 'b' is also that of nodes[1]",
        "g: edges[0]: there is no node 'z': add the node",
        "g: edges[1]: its dist nan is not a number of km in [0, 100000]",
        "g: edges[2]: its length -3 is not a number of km",
        "g: edges[3]: its dist 'far' is not a number of km",
        "g: edges[4]: has no length (length_km, dist_km, distance_km, dist, distance, length), and its ends have no",
        "g: demands[a][b]: inf is not a number >= 0",
        "g: demands[a][q]: there is no node 'q'",
    ]
    assert len(found) == len(beginnings)
    for line, beginning in zip(found, beginnings, strict=True):
        assert line.startswith(beginning)


def test_a_graph_without_nodes_is_refused() -> None:
    assert told([], []) == ["g: has no nodes: there is nothing to import"]


def test_self_loops_are_dropped_and_parts_told() -> None:
    graph = understand(raw([("a", {}), ("b", {}), ("c", {})], [("a", "a", {"dist": 1}), ("a", "b", {"dist": 1})]))
    assert [edge.ends for edge in graph.edges] == [("a", "b")]
    assert graph.warnings == (
        "edges[0] joins a to itself: dropped",
        "the network falls into 2 parts, 1 of them single nodes: no relay joins two parts",
    )


def test_the_two_directions_of_a_directed_graph_are_one_link_and_parallel_links_stay() -> None:
    edges = [("a", "b", {"dist": 1}), ("b", "a", {"dist": 1}), ("a", "b", {"dist": 2}), ("b", "c", {"dist": 3})]
    nodes: list[tuple[str, dict[str, object]]] = [("a", {}), ("b", {}), ("c", {})]
    directed = understand(raw(nodes, edges, directed=True))
    assert [edge.length_km for edge in directed.edges] == [1, 2, 3]
    assert directed.warnings == ("the graph is directed: 1 edges are the other direction of a link",)
    assert len(understand(raw(nodes, edges)).edges) == 4


def test_positions_that_are_on_no_globe_are_dropped_for_all_nodes() -> None:
    graph = understand(raw([("a", {"pos": [400, 20]}), ("b", MUNICH)], [("a", "b", {"dist": 1})]))
    assert [node.position for node in graph.nodes] == [None, None]
    assert graph.warnings == ("positions are no longitudes and latitudes: none is kept",)


def test_a_fibre_shorter_than_the_straight_line_is_doubted() -> None:
    graph = understand(raw([("a", BERLIN), ("b", MUNICH)], [("a", "b", {"dist": 50})]))
    assert graph.warnings[0].startswith("1 links are shorter than the straight line between their ends, first that of")


def test_demands_of_both_directions_are_one() -> None:
    demands = {("a", "b"): 3, ("b", "a"): 4, ("a", "a"): 9, ("b", "c"): 0}
    graph = understand(raw([("a", {}), ("b", {}), ("c", {})], [("a", "b", {"dist": 1})], demands=demands))
    assert graph.demands == {("a", "b"): 7}


def test_names_are_shown_on_one_line() -> None:
    nodes = [
        ("7", {"label": "New\n York\x1b"}),
        ("8\n; rm", {"name": ""}),
        ("\x00", {}),
        ("x" * 999, {"label": "\ud800"}),
    ]
    graph = understand(raw(nodes, [], name="a\nb" * 999))
    assert [node.label for node in graph.nodes] == ["New York", "8 ; rm", "?", "x" * 200]
    assert graph.name.isprintable()
    assert len(graph.name) <= 200
