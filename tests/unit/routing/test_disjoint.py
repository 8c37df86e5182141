from dataclasses import replace
from decimal import Decimal
from itertools import pairwise

import networkx as nx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.key_relay import Demand
from controller.domain.link import Link
from controller.domain.node import Node
from controller.domain.refusals import InvalidValue, Precondition, TooHard
from controller.domain.service import Protection
from controller.domain.snapshot import Snapshot
from controller.routing.disjoint import find_backup, find_disjoint_routes, find_routes
from controller.routing.feasible import check_route
from controller.routing.graph import graph_of
from controller.routing.key_relay import find_route

from .networks import CHARGE, allowed, demand, disjoint_sets, link, network, networks, problems, simple_routes

ANY = -(2**62)


def refusal_of(snapshot: Snapshot, wanted: Demand, k: int) -> Precondition:
    with pytest.raises(Precondition) as refused:
        find_disjoint_routes(graph_of(snapshot), wanted, k)
    return refused.value


@settings(max_examples=200, deadline=None)
@given(problems(places=True, most_nodes=7, most_links=13), st.sampled_from([2, 2, 2, 3]))
def test_disjoint_routes_are_the_shortest_set_of_all_and_their_absence_is_true(
    problem: tuple[Snapshot, Demand], k: int
) -> None:
    snapshot, wanted = problem
    wanted = replace(wanted, shares=k)
    lengths = [sum(len(route.links) for route in chosen) for chosen in disjoint_sets(snapshot, wanted, k, CHARGE)]
    if lengths:
        found = find_disjoint_routes(graph_of(snapshot), wanted, k)
        assert sum(len(route.links) for route in found) == min(lengths)
        check_route(graph_of(snapshot), wanted, found)
        assert all(len(one.links) <= len(other.links) for one, other in pairwise(found))
        back = replace(wanted, source=wanted.target, target=wanted.source)
        assert find_disjoint_routes(graph_of(snapshot), back, k) == tuple(route.reversed() for route in found)
        return
    single = any(
        allowed(snapshot, wanted, route, passing=False)
        for route in simple_routes(snapshot, wanted.source, wanted.target)
    )
    if any(disjoint_sets(snapshot, wanted, k, ANY)):
        expected = "NO_CAPACITY"
    elif single and not _unusable_pass(snapshot, wanted):
        expected = "NO_DISJOINT_ROUTES"
    else:
        expected = "NO_ROUTE"
    assert refusal_of(snapshot, wanted, k).reason == expected


def _unusable_pass(snapshot: Snapshot, wanted: Demand) -> bool:
    return any(name not in graph_of(snapshot).links for name in wanted.pass_links)


@settings(max_examples=100, deadline=None)
@given(problems(places=True, passing=False, most_nodes=7, most_links=12), st.sampled_from([2, 3]))
def test_the_bottleneck_of_disjoint_routes_is_a_cut_and_missing_capacity_makes_room(
    problem: tuple[Snapshot, Demand], k: int
) -> None:
    snapshot, wanted = problem
    wanted = replace(wanted, max_hops=None)
    if any(disjoint_sets(snapshot, wanted, k, CHARGE)):
        return
    refused = refusal_of(snapshot, wanted, k)
    facts = refused.facts()
    if refused.reason == "NO_CAPACITY":
        missing = int(Decimal(facts["missing_bit_per_s"]) * 1000)
        assert missing > 0
        assert not any(disjoint_sets(snapshot, wanted, k, CHARGE - missing + 1))
        short = facts["short_links"].split(",")
        assert set(facts["bottleneck_links"].split(",")) <= set(short)
        widened = {name: replace(snapshot.links[name], model_skr_millibit_per_s=CHARGE) for name in short}
        find_disjoint_routes(graph_of(replace(snapshot, links={**snapshot.links, **widened})), wanted, k)
    elif refused.reason == "NO_DISJOINT_ROUTES" and "possible_shares" in facts:
        nodes = set(facts["bottleneck_nodes"].split(","))
        links = set(facts["bottleneck_links"].split(","))
        ends = {snapshot.nodes[name].place for name in (wanted.source, wanted.target)}
        places = {
            snapshot.nodes[name].place if snapshot.nodes[name].place not in ends else name for name in nodes - {""}
        }
        # every route needs one of fewer than k things that only one route can have
        assert len(places) + len(links - {""}) == int(facts["possible_shares"]) < k
        for route in simple_routes(snapshot, wanted.source, wanted.target):
            if allowed(snapshot, wanted, route):
                assert nodes & set(route.transit) or links & set(route.links)


@settings(max_examples=80, deadline=None)
@given(networks(most_nodes=7, most_links=14), st.data())
def test_without_places_the_number_of_disjoint_routes_is_that_of_menger(
    snapshot: Snapshot, data: st.DataObject
) -> None:
    source, target = data.draw(st.permutations(sorted(snapshot.nodes)))[:2]
    wanted = demand(source, target)
    graph = graph_of(snapshot)
    split: nx.DiGraph[tuple[str, str]] = nx.DiGraph()
    direct = 0
    for number, (a, b) in enumerate(graph.wiring.ends):
        ends = graph.wiring.nodes[a], graph.wiring.nodes[b]
        if not graph.usable[number] or graph.rooms[number] < CHARGE:
            continue
        if set(ends) == {source, target}:
            direct += 1
            continue
        for tail, head in (ends, ends[::-1]):
            split.add_edge((tail, "out"), (head, "in"), capacity=1)
    for number, name in enumerate(graph.wiring.nodes):
        split.add_edge((name, "in"), (name, "out"), capacity=int(graph.wiring.relaying[number]))
    most = direct + int(nx.maximum_flow_value(split, (source, "out"), (target, "in")))
    for k in (most, most + 1):
        if k and k == most:
            assert len(find_disjoint_routes(graph, wanted, k)) == k
        elif k:
            with pytest.raises(Precondition):
                find_disjoint_routes(graph, wanted, k)


def test_a_star_refuses_two_shares_naming_its_middle() -> None:
    star = network(
        link("hakusan-otemachi", "hakusan", "otemachi"),
        link("koganei-otemachi-1", "koganei", "otemachi"),
        link("koganei-otemachi-2", "koganei", "otemachi"),
    )
    refused = refusal_of(star, demand("hakusan", "koganei"), 2)
    assert refused.reason == "NO_DISJOINT_ROUTES"
    assert refused.facts()["bottleneck_nodes"] == "otemachi"
    assert refused.facts()["bottleneck_links"] == ""
    assert "nodes/otemachi" in refused.message


def test_parallel_links_between_neighbours_are_disjoint_routes() -> None:
    snapshot = network(link("p1", "a", "b"), link("p2", "a", "b"))
    assert [route.links for route in find_disjoint_routes(graph_of(snapshot), demand("a", "b"), 2)] == [
        ("p1",),
        ("p2",),
    ]
    refused = refusal_of(snapshot, demand("a", "b"), 3)
    assert refused.facts()["bottleneck_links"] == "p1,p2"


def test_the_two_shortest_routes_may_have_to_give_way_to_two_longer_ones() -> None:
    # the one shortest route a-b-c-d uses both b and c, and leaves nothing for a second
    snapshot = network(
        link("a-b", "a", "b"),
        link("b-c", "b", "c"),
        link("c-d", "c", "d"),
        link("a-x", "a", "x"),
        link("x-c", "x", "c"),
        link("b-y", "b", "y"),
        link("y-d", "y", "d"),
    )
    found = find_disjoint_routes(graph_of(snapshot), demand("a", "d"), 2)
    assert {route.links for route in found} == {("a-x", "x-c", "c-d"), ("a-b", "b-y", "y-d")}


@pytest.mark.parametrize("ends_location", ["", "hall"])
def test_nodes_of_one_location_serve_one_route_unless_an_end_is_there(ends_location: str) -> None:
    snapshot = network(
        link("a-b", "a", "b"),
        link("a-c", "a", "c"),
        link("b-d", "b", "d"),
        link("c-d", "c", "d"),
        nodes=(
            Node(name="a", location=ends_location),
            Node(name="b", location="hall"),
            Node(name="c", location="hall"),
        ),
    )
    if ends_location:
        assert len(find_disjoint_routes(graph_of(snapshot), demand("a", "d"), 2)) == 2
    else:
        facts = refusal_of(snapshot, demand("a", "d"), 2).facts()
        assert facts["bottleneck_nodes"] == "b,c"
        assert facts["bottleneck_locations"] == "hall"


def test_disjoint_routes_that_are_too_narrow_name_the_links_that_lack_room() -> None:
    snapshot = network(
        link("a-b", "a", "b"),
        link("b-d", "b", "d"),
        link("a-c", "a", "c", CHARGE - 7),
        link("c-d", "c", "d", CHARGE - 2),
    )
    refused = refusal_of(snapshot, demand("a", "d"), 2)
    assert refused.reason == "NO_CAPACITY"
    assert refused.facts()["bottleneck_links"] == "a-c"
    assert refused.facts()["short_links"] == "a-c,c-d"
    assert refused.facts()["missing_bit_per_s"] == "0.007"


def test_separated_ends_are_no_route_for_several_shares_too() -> None:
    snapshot = network(link("a-b", "a", "b"), link("c-d", "c", "d"))
    assert refusal_of(snapshot, demand("a", "d"), 2).reason == "NO_ROUTE"


def test_a_network_that_is_too_hard_says_so() -> None:
    # three rows whose locations are shifted against each other: apart for a flow, together in fact
    width = 12
    nodes = []
    links = []
    for step in range(width):
        for row in "uvw":
            nodes.append(Node(name=f"{row}{step:02}", location=f"p{(step * 5 + 'uvw'.index(row)) % width}"))
        for tail in "uvw":
            for head in "uvw":
                if step:
                    links.append(
                        link(f"{tail}{step - 1:02}-{head}{step:02}", f"{tail}{step - 1:02}", f"{head}{step:02}")
                    )
    for row in "uvw":
        links += [link(f"s-{row}", "s", f"{row}00"), link(f"{row}-t", f"{row}{width - 1:02}", "t")]
    snapshot = network(*links, nodes=tuple(nodes))
    with pytest.raises(TooHard) as refused:
        find_disjoint_routes(graph_of(snapshot), demand("s", "t"), 3)
    assert refused.value.reason == "TOO_HARD"


def test_one_share_is_the_plain_route_and_less_is_a_mistake() -> None:
    snapshot = network(link("p1", "a", "b"), link("p2", "a", "b"))
    graph = graph_of(snapshot)
    assert find_disjoint_routes(graph, demand("a", "b"), 1) == (find_route(graph, demand("a", "b")),)
    assert len(find_routes(graph, demand("a", "b", shares=2))) == 2
    with pytest.raises(InvalidValue):
        find_disjoint_routes(graph, demand("a", "b"), 0)


def river(*more: Link) -> Snapshot:
    """Return a network where the two shortest ways from a to z lie in one duct."""
    under = frozenset({"river"})
    return network(
        link("a-b", "a", "b"),
        link("b-z", "b", "z", ducts=under),
        link("a-c", "a", "c"),
        link("c-z", "c", "z", ducts=under),
        *more,
    )


def test_a_backup_keeps_off_the_ducts_of_its_route_where_it_can() -> None:
    wanted = demand("a", "z", protection=Protection.ONE_FOR_ONE)
    dry = river(link("a-d", "a", "d"), link("d-e", "d", "e"), link("e-z", "e", "z"))
    for snapshot, expected in ((dry, ("a-d", "d-e", "e-z")), (river(), ("a-c", "c-z"))):
        graph = graph_of(snapshot)
        routes = find_routes(graph, wanted)
        assert [route.links for route in routes] == [("a-b", "b-z")]
        assert [route.links for route in find_backup(graph, wanted, routes)] == [expected]


def test_a_route_is_chosen_that_leaves_a_backup_in_other_ducts() -> None:
    # the shortest way alone crosses both rivers, and every other way one of them
    snapshot = network(
        link("a-z", "a", "z", ducts=frozenset({"north", "south"})),
        link("a-b", "a", "b", ducts=frozenset({"north"})),
        link("b-z", "b", "z"),
        link("a-c", "a", "c"),
        link("c-z", "c", "z", ducts=frozenset({"south"})),
    )
    graph, wanted = graph_of(snapshot), demand("a", "z", protection=Protection.ONE_FOR_ONE)
    routes = find_routes(graph, wanted)
    assert [route.links for route in routes] == [("a-b", "b-z")]
    assert [route.links for route in find_backup(graph, wanted, routes)] == [("a-c", "c-z")]


def test_shares_keep_off_one_duct_where_they_can() -> None:
    wanted = demand("a", "z", shares=2)
    dry = river(link("a-d", "a", "d"), link("d-e", "d", "e"), link("e-z", "e", "z"))
    assert [route.links for route in find_routes(graph_of(dry), wanted)] == [("a-b", "b-z"), ("a-d", "d-e", "e-z")]
    assert [route.links for route in find_routes(graph_of(river()), wanted)] == [("a-b", "b-z"), ("a-c", "c-z")]
