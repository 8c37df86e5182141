from dataclasses import replace
from itertools import combinations_with_replacement

import numpy as np
import pytest

from controller.domain.key_relay import Demand
from controller.domain.node import Node
from controller.domain.refusals import InvalidValue, NotFound, Precondition, TooHard
from controller.domain.route import Route
from controller.domain.snapshot import Snapshot
from controller.routing.graph import graph_of
from controller.routing.shared_risk import Value, find_least_shared, find_risk_disjoint

from .networks import CHARGE, allowed, demand, link, network, room, simple_routes


def drawn(seed: int) -> tuple[Snapshot, Demand, int, dict[str, int]]:
    """Return a small random network with ducts and sites, what is asked of it, how many routes, and costs."""
    draw = np.random.default_rng(seed)
    n_nodes, n_links = int(draw.integers(3, 7)), int(draw.integers(4, 11))
    names = [f"n{number}" for number in range(n_nodes)]
    links = []
    for number in range(n_links):
        a, b = draw.choice(n_nodes, 2, replace=False)
        ducts = frozenset(f"d{duct}" for duct in draw.integers(0, 5, int(draw.integers(0, 3))))
        width = int(draw.choice([CHARGE - 1, CHARGE, 2 * CHARGE, 3 * CHARGE], p=[0.05, 0.25, 0.2, 0.5]))
        links.append(link(f"l{number:02}", names[a], names[b], width, ducts=ducts))
    nodes = tuple(Node(name=name, location=str(draw.choice(["", "", "here", "there"]))) for name in names)
    source, target = draw.choice(names, 2, replace=False)
    wanted = demand(str(source), str(target), max_hops=int(draw.integers(2, 5)) if seed % 4 == 0 else None)
    costs = {one.name: int(draw.integers(1, 6)) if seed % 4 == 1 else 1 for one in links}
    return network(*links, nodes=nodes), wanted, 3 if seed % 5 == 0 else 2, costs


def risks(snapshot: Snapshot, route: Route) -> tuple[set[str], set[str]]:
    """Return the ducts and sites of a route, and its nodes and links."""
    wires, sites = snapshot.links, snapshot.nodes
    ducts = {duct for name in route.links for duct in wires[name].ducts if _lies_in_many(snapshot, duct)}
    ends = {sites[route.source].place, sites[route.target].place}
    places = {sites[name].location for name in route.transit if sites[name].place not in ends} - {""}
    return ducts | places, {*route.links, *route.transit}


def _lies_in_many(snapshot: Snapshot, duct: str) -> bool:
    return sum(duct in one.ducts for one in snapshot.links.values()) > 1


def value_of(snapshot: Snapshot, chosen: tuple[Route, ...], costs: dict[str, int]) -> Value:
    """Return what routes share and cost; a site of one node is that node."""
    sizes = {node.location: 0 for node in snapshot.nodes.values()}
    for name, node in snapshot.nodes.items():
        sizes[node.location] += name not in (chosen[0].source, chosen[0].target)
    taken = [one for route in chosen for kind in risks(snapshot, route) for one in kind]
    shared = {one for one in taken if taken.count(one) > 1 and sizes.get(one, 2) > 1}
    return len(shared), sum(costs[name] for route in chosen for name in route.links)


def best_by_trying_all(snapshot: Snapshot, wanted: Demand, k: int, costs: dict[str, int]) -> list[Value]:
    routes = [
        route
        for route in simple_routes(snapshot, wanted.source, wanted.target)
        if allowed(snapshot, wanted, route) and room(snapshot, route) >= CHARGE
    ]
    values = []
    for chosen in combinations_with_replacement(routes, k):
        used = [name for route in chosen for name in route.links]
        if all(used.count(name) * CHARGE <= snapshot.links[name].model_skr_millibit_per_s for name in used):
            values.append(value_of(snapshot, chosen, costs))
    return sorted(values)


def test_routes_without_a_common_risk_are_the_cheapest_such_set_or_there_is_none() -> None:
    seen = {True: 0, False: 0}
    for seed in range(520):
        snapshot, wanted, k, costs = drawn(seed)
        graph = graph_of(snapshot)
        values = [value for value in best_by_trying_all(snapshot, wanted, k, costs) if not value[0]]
        weights = None if seed % 4 != 1 else np.array([costs[name] for name in graph.wiring.links])
        seen[bool(values)] += 1
        if not values:
            with pytest.raises(Precondition) as refused:
                find_risk_disjoint(graph, wanted, k, costs=weights)
            assert refused.value.reason == "NO_DISJOINT_ROUTES"
            continue
        found = find_risk_disjoint(graph, wanted, k, costs=weights)
        assert found.value == found.bound == values[0] == value_of(snapshot, found.routes, costs)
        assert not found.shared
        assert found.gap == 0
        back = replace(wanted, source=wanted.target, target=wanted.source)
        again = find_risk_disjoint(graph, back, k, costs=weights)
        assert again.routes == tuple(route.reversed() for route in found.routes)
    assert min(seen.values()) > 80


def test_where_routes_must_share_they_share_the_least_there_is() -> None:
    shared = 0
    for seed in range(520):
        snapshot, wanted, k, costs = drawn(seed)
        graph = graph_of(snapshot)
        values = best_by_trying_all(snapshot, wanted, k, costs)
        weights = None if seed % 4 != 1 else np.array([costs[name] for name in graph.wiring.links])
        if not values:
            with pytest.raises(Precondition) as refused:
                find_least_shared(graph, wanted, k, costs=weights)
            assert refused.value.reason == "NO_ROUTE"
            continue
        found = find_least_shared(graph, wanted, k, costs=weights)
        assert found.value == found.bound == values[0] == value_of(snapshot, found.routes, costs)
        assert len(found.shared) == values[0][0]
        shared += bool(found.shared)
    assert shared > 150


def trap() -> Snapshot:
    """Return a network where the two shortest ways lie in one duct under the river."""
    return network(
        link("a-b", "a", "b"),
        link("b-z", "b", "z", ducts=frozenset({"river"})),
        link("a-c", "a", "c"),
        link("c-z", "c", "z", ducts=frozenset({"river"})),
        link("a-d", "a", "d"),
        link("d-e", "d", "e"),
        link("e-z", "e", "z"),
    )


def test_a_longer_route_is_taken_where_the_short_ones_lie_in_one_duct() -> None:
    found = find_risk_disjoint(graph_of(trap()), demand("a", "z"), 2)
    assert [route.links for route in found.routes] == [("a-b", "b-z"), ("a-d", "d-e", "e-z")]


def test_groups_told_beside_the_network_count_too() -> None:
    groups = {"d-e": ["hill"], "a-b": ["hill"]}
    found = find_risk_disjoint(graph_of(trap()), demand("a", "z"), 2, groups=groups)
    assert [route.links for route in found.routes] == [("a-c", "c-z"), ("a-d", "d-e", "e-z")]
    with pytest.raises(NotFound):
        find_risk_disjoint(graph_of(trap()), demand("a", "z"), 2, groups={"x-y": ["hill"]})


def test_what_routes_share_is_named() -> None:
    found = find_least_shared(graph_of(trap()), demand("a", "z"), 3)
    assert found.shared == ("ducts/river",)
    assert found.value == (1, 7)


def many_ducts(width: int = 9) -> Snapshot:
    """Return three rows of nodes with ducts across, so that much has to be tried."""
    draw = np.random.default_rng(1)
    links = []
    for step in range(width):
        for row in "uvw":
            for head in "uvw":
                ducts = frozenset(f"d{duct:02}" for duct in draw.integers(0, 3 * width, 2))
                links.append(link(f"{row}{step}-{head}{step + 1}", f"{row}{step}", f"{head}{step + 1}", ducts=ducts))
    for row in "uvw":
        links += [link(f"s-{row}", "s", f"{row}0"), link(f"{row}-t", f"{row}{width}", "t")]
    return network(*links)


def test_where_the_searches_end_the_best_set_is_told_with_a_bound_that_holds() -> None:
    graph, wanted = graph_of(many_ducts()), demand("s", "t")
    costs = np.random.default_rng(2).integers(1, 10, len(graph.wiring.links))
    best = find_risk_disjoint(graph, wanted, 2, costs=costs)
    assert best.gap == 0
    gaps = []
    for part in (6, 3, 2):
        found = find_risk_disjoint(graph, wanted, 2, costs=costs, searches=best.searches // part)
        assert found.bound <= best.value <= found.value
        gaps.append(found.gap)
    assert gaps == sorted(gaps, reverse=True)
    assert 0 < gaps[-1] <= gaps[0] < 0.5


def test_out_of_searches_without_any_set_is_too_hard() -> None:
    with pytest.raises(TooHard):
        find_risk_disjoint(graph_of(many_ducts()), demand("s", "t"), 3, searches=1)


def test_what_cannot_be_asked_is_refused() -> None:
    graph = graph_of(trap())
    with pytest.raises(InvalidValue):
        find_risk_disjoint(graph, demand("a", "z"), 1)
    with pytest.raises(InvalidValue):
        find_risk_disjoint(graph, demand("a", "z", pass_nodes=frozenset({"b"})), 2)
    with pytest.raises(InvalidValue):
        find_risk_disjoint(graph, demand("a", "z", max_hops=3), 2, costs=np.ones(7, np.int64))
    with pytest.raises(InvalidValue):
        find_risk_disjoint(graph, demand("a", "z"), 2, costs=np.zeros(7, np.int64))
