import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from controller.domain.admission import Admission, Policy
from controller.domain.capacity import link_charge_millibit_per_s, route_charges
from controller.domain.key_relay import Demand, Protection
from controller.domain.refusals import InvalidValue, Precondition
from controller.domain.route import Route
from controller.domain.snapshot import Snapshot
from controller.routing.admission.guarantee import competitive_ratio, largest_small
from controller.routing.admission.policies import routes_by_policy
from controller.routing.admission.prices import balancing_costs, exponential_prices, load_costs, price_base
from controller.routing.admission.worth import check_worth
from controller.routing.disjoint import find_routes
from controller.routing.graph import Graph, graph_of
from tests.bench.admission.flow_bound import most_carried

from ..networks import CHARGE, RATE, allowed, demand, link, network, simple_routes
from .small_worlds import taken, wanted, world

INSTANCES = 600
PRICED: dict[Policy, Callable[[Graph], np.ndarray]] = {
    Policy.LEAST_LOADED: lambda graph: load_costs(graph.capacities, graph.rooms),
    Policy.BALANCED: lambda graph: balancing_costs(graph.capacities, graph.rooms),
    Policy.EXPONENTIAL: lambda graph: 1 + exponential_prices(graph.capacities, graph.rooms, price_base(5)),
}


def fitting(snapshot: Snapshot, graph: Graph, asked: Demand) -> list[Route]:
    """Return every route that keeps what is asked and has the room."""
    need = link_charge_millibit_per_s(asked.rate_millibit_per_s)
    return [
        route
        for route in simple_routes(snapshot, asked.source, asked.target)
        if allowed(snapshot, asked, route) and all((graph.room(name) or 0) >= need for name in route.links)
    ]


def read_from_smaller(route: Route) -> tuple[str, ...]:
    return route.links if route.source < route.target else route.links[::-1]


def routed(graph: Graph, asked: Demand) -> tuple[Route, ...] | str:
    try:
        return routes_by_policy(graph, asked)
    except Precondition as refusal:
        return refusal.reason


def test_the_priced_route_is_the_cheapest_of_all_that_keep_what_is_asked() -> None:
    found = 0
    for seed in range(INSTANCES):
        rng, policy = random.Random(seed), tuple(PRICED)[seed % len(PRICED)]
        snapshot = world(rng, Admission(policy=policy, longest_route=None))
        graph, asked = taken(rng, snapshot), wanted(rng, snapshot)
        longest = len(snapshot.nodes) - 1
        base = price_base(longest)
        costs = PRICED[policy](graph)
        if policy is Policy.EXPONENTIAL:
            costs = 1 + exponential_prices(graph.capacities, graph.rooms, base)

        def order(route: Route, graph: Graph = graph, costs: np.ndarray = costs) -> tuple[int, int, tuple[str, ...]]:
            total = sum(int(costs[graph.wiring.link_number[name]]) for name in route.links)
            return total, -min(graph.room(name) or 0 for name in route.links), read_from_smaller(route)

        best = min(fitting(snapshot, graph, asked), key=order, default=None)
        answer = routed(graph, asked)
        if best is None:
            assert answer in ("NO_ROUTE", "NO_CAPACITY")
        else:
            assert answer == (best,), seed
            found += 1
    assert found >= 250


def test_the_default_is_what_it_was() -> None:
    for seed in range(50):
        rng = random.Random(seed)
        snapshot = world(rng, Admission())
        graph, asked = taken(rng, snapshot), wanted(rng, snapshot)
        try:
            before: tuple[Route, ...] | str = find_routes(graph, asked)
        except Precondition as refusal:
            before = refusal.reason
        assert routed(graph, asked) == before


def test_shortest_gives_the_route_of_the_idle_network_or_none() -> None:
    for seed in range(60):
        rng = random.Random(seed)
        snapshot = world(rng, Admission(policy=Policy.SHORTEST))
        idle, graph = graph_of(snapshot), taken(rng, snapshot)
        asked = wanted(rng, snapshot, constrained=False)
        first = routed(replace(idle, admission=Admission()), asked)
        if isinstance(first, str) or all((graph.room(name) or 0) >= CHARGE for name in first[0].links):
            assert routed(graph, asked) == first
        else:
            assert routed(graph, asked) == "NO_CAPACITY"


@pytest.mark.parametrize("policy", Policy)
def test_nothing_is_ever_promised_beyond_capacity_however_large_the_relays(policy: Policy) -> None:
    for seed in range(6):
        rng = random.Random(seed)
        snapshot = world(rng, Admission(policy=policy))
        graph = graph_of(snapshot)
        for _ in range(50):
            asked = replace(
                wanted(rng, snapshot, constrained=rng.random() < 0.3),
                rate_millibit_per_s=rng.randint(1, 8 * RATE),
                shares=rng.choice((1, 1, 1, 2)),
                protection=rng.choice((Protection.RESTORE, Protection.RESTORE, Protection.ONE_FOR_ONE)),
            )
            try:
                routes = routes_by_policy(graph, asked)
                check_worth(graph, routes)
            except Precondition:
                continue
            graph = graph.charged(route_charges(routes, asked.rate_millibit_per_s))
            assert all((graph.room(name) or 0) >= 0 for name in graph.links)


@pytest.mark.parametrize("policy", Policy)
def test_the_way_back_is_the_way_there(policy: Policy) -> None:
    for seed in range(20):
        rng = random.Random(seed)
        snapshot = world(rng, Admission(policy=policy))
        graph, asked = taken(rng, snapshot), wanted(rng, snapshot)
        there = routed(graph, asked)
        back = routed(graph, replace(asked, source=asked.target, target=asked.source))
        assert there == back if isinstance(there, str) else back == tuple(route.reversed() for route in there)


def carried_by(graph: Graph, sequence: Sequence[Demand]) -> tuple[int, int]:
    """Return what is carried and how often a price refused, relays taken one after the other."""
    carried = refused = 0
    for asked in sequence:
        try:
            routes = routes_by_policy(graph, asked)
            check_worth(graph, routes)
        except Precondition as refusal:
            refused += refusal.reason == "PRICED_OUT"
            continue
        graph = graph.charged(route_charges(routes, asked.rate_millibit_per_s))
        carried += CHARGE
    return carried, refused


def test_small_relays_that_stay_carry_no_less_than_the_guarantee_of_the_offline_optimum() -> None:
    refusals = 0
    for seed in range(12):
        rng = random.Random(seed)
        snapshot = world(rng, Admission(policy=Policy.EXPONENTIAL), charges=20)
        graph, longest = graph_of(snapshot), len(snapshot.nodes) - 1
        while any(largest_small(int(capacity), longest) < CHARGE for capacity in graph.capacities):
            weak = {name for name in graph.links if largest_small(graph.room(name) or 0, longest) < CHARGE}
            snapshot = replace(snapshot, links={name: one for name, one in snapshot.links.items() if name not in weak})
            graph = graph_of(snapshot)
        # The longest ways first is about the worst that can come.
        sequence = [wanted(rng, snapshot, constrained=False) for _ in range(150)]
        carried, refused = carried_by(graph, sequence)
        refusals += refused
        names = sorted(snapshot.nodes)
        volumes: dict[tuple[int, int], float] = {}
        for asked in sequence:
            a, b = sorted((names.index(asked.source), names.index(asked.target)))
            volumes[a, b] = volumes.get((a, b), 0.0) + CHARGE
        ends = [(int(a), int(b)) for a, b in graph.wiring.ends]
        best = most_carried(len(names), ends, volumes, graph.capacities.astype(float)) if ends else 0.0
        assert best <= competitive_ratio(longest) * carried + 1e-6 * best
    assert refusals


def chain_of_greed(policy: Policy) -> tuple[int, int]:
    """Return what a line of nine links carries of relays over all of it, and then of relays over one link each."""
    names = "abcdefghij"
    links = [link(f"{a}{b}", a, b, room=40 * CHARGE) for a, b in pairwise(names)]
    graph = graph_of(replace(network(*links), admission=Admission(policy=policy)))
    whole = [demand("a", "j")] * 40
    parts = [demand(a, b) for a, b in pairwise(names) for _ in range(40)]
    return carried_by(graph, [*whole, *parts])


def test_a_price_keeps_long_routes_from_taking_what_many_short_ones_could_have() -> None:
    greedy, _ = chain_of_greed(Policy.WIDEST_SHORTEST)
    priced, refused = chain_of_greed(Policy.EXPONENTIAL)
    assert greedy == 40 * CHARGE
    assert refused
    assert priced > 3 * greedy


def test_a_refusal_by_price_names_price_worth_and_dearest_links() -> None:
    snapshot = replace(
        network(link("ab", "a", "b", room=10 * CHARGE), link("bc", "b", "c", room=10 * CHARGE)),
        admission=Admission(policy=Policy.EXPONENTIAL),
    )
    graph = graph_of(snapshot).charged({"bc": 9 * CHARGE})
    with pytest.raises(Precondition) as refusal:
        check_worth(graph, routes_by_policy(graph, demand("a", "c")))
    assert refusal.value.reason == "PRICED_OUT"
    assert refusal.value.facts() == {
        "price": "5.499",
        "worth": "2",
        "n_links": "2",
        "dearest_links": "bc,ab",
        "source": "a",
        "target": "c",
    }
    assert "links/bc (5.499, 90 % taken)" in refusal.value.message


def test_a_route_longer_than_the_longest_is_not_admitted_but_still_found_for_what_must_move() -> None:
    admission = Admission(policy=Policy.EXPONENTIAL, longest_route=1)
    graph = graph_of(replace(network(link("ab", "a", "b"), link("bc", "b", "c")), admission=admission))
    routes = routes_by_policy(graph, demand("a", "c"))
    assert routes[0].links == ("ab", "bc")
    with pytest.raises(Precondition, match=r"2 links, more than admission\.longest_route 1"):
        check_worth(graph, routes)


def test_a_longest_route_of_no_link_is_no_policy() -> None:
    with pytest.raises(InvalidValue):
        Admission(policy=Policy.EXPONENTIAL, longest_route=0)
