from dataclasses import replace
from itertools import combinations, product

import numpy as np
import pytest

from controller.domain.key_relay import Demand
from controller.domain.node import Node
from controller.domain.refusals import InvalidValue, Precondition, TooHard
from controller.domain.route import Route
from controller.domain.snapshot import Snapshot
from controller.routing.break_probability import break_probability, fewest_curious, is_confidential
from controller.routing.graph import graph_of
from controller.routing.secret_sharing import find_cheapest_within, find_safest

from .networks import CHARGE, allowed, demand, link, network, room, simple_routes


def by_counting(routes: list[set[str]], compromise: dict[str, float], threshold: int) -> float:
    """Return the break probability by adding up every way in which nodes may fall."""
    nodes = sorted(set().union(*routes))
    total = 0.0
    for fallen in product((False, True), repeat=len(nodes)):
        owned = {node for node, fell in zip(nodes, fallen, strict=True) if fell}
        if sum(not owned.isdisjoint(route) for route in routes) >= threshold:
            total += float(np.prod([compromise[n] if n in owned else 1 - compromise[n] for n in nodes]))
    return total


def test_break_probabilities_and_curious_relays_equal_what_counting_all_cases_says() -> None:
    for seed in range(520):
        draw = np.random.default_rng(seed)
        nodes = [f"n{number}" for number in range(int(draw.integers(1, 7)))]
        k = int(draw.integers(1, 5))
        routes = [{node for node in nodes if draw.random() < 0.5} for _ in range(k)]
        compromise = {node: float(draw.choice([0.0, 1.0, draw.random(), 0.1])) for node in nodes}
        threshold = int(draw.integers(1, k + 1))
        found = break_probability(routes, compromise, threshold=threshold)
        assert found == pytest.approx(by_counting(routes, compromise, threshold), rel=1e-9, abs=1e-15)
        fewest = min(
            (
                size
                for size in range(1, len(nodes) + 1)
                for owned in combinations(nodes, size)
                if sum(not route.isdisjoint(owned) for route in routes) >= threshold
            ),
            default=None,
        )
        assert fewest_curious(routes, threshold=threshold) == fewest
        for curious in range(3):
            safe = fewest is None or fewest > curious
            assert is_confidential(routes, curious, threshold=threshold) is safe


def test_small_probabilities_keep_their_digits() -> None:
    routes = [{"a", "b"}, {"c"}, {"d"}]
    chances = {"a": 1e-9, "b": 1e-9, "c": 1e-9, "d": 1e-9}
    assert break_probability(routes, chances) == pytest.approx(2e-27, rel=1e-8)


def test_three_routes_that_overlap_in_pairs_resist_one_curious_relay_and_not_two() -> None:
    routes = [{"a", "b"}, {"b", "c"}, {"a", "c"}]
    assert is_confidential(routes, 1)
    assert not is_confidential(routes, 2)
    assert fewest_curious([set(), {"a"}]) is None


@pytest.mark.parametrize("chance", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_probability_that_is_none_is_refused(chance: float) -> None:
    with pytest.raises(InvalidValue):
        break_probability([{"a"}], {"a": chance})
    with pytest.raises(InvalidValue):
        find_safest(graph_of(ladder()), demand("s", "t"), 2, {**CHANCES, "b": chance})
    with pytest.raises(InvalidValue):
        find_cheapest_within(graph_of(ladder()), demand("s", "t"), chance, CHANCES)


def drawn(seed: int) -> tuple[Snapshot, Demand, dict[str, float], dict[str, int]]:
    draw = np.random.default_rng(seed)
    n_nodes, n_links = int(draw.integers(3, 7)), int(draw.integers(4, 11))
    names = [f"n{number}" for number in range(n_nodes)]
    links = []
    for number in range(n_links):
        a, b = draw.choice(n_nodes, 2, replace=False)
        width = int(draw.choice([CHARGE - 1, CHARGE, 2 * CHARGE, 4 * CHARGE], p=[0.05, 0.25, 0.2, 0.5]))
        links.append(link(f"l{number:02}", names[a], names[b], width))
    chances = {name: float(draw.choice([0.01, 0.05, 0.1, draw.random() / 5, 0.0, 1.0])) for name in names}
    source, target = draw.choice(names, 2, replace=False)
    wanted = demand(str(source), str(target), max_hops=int(draw.integers(2, 5)) if seed % 4 == 0 else None)
    nodes = tuple(Node(name=name) for name in names)
    return network(*links, nodes=nodes), wanted, chances, {one.name: int(draw.integers(1, 6)) for one in links}


def all_sets(snapshot: Snapshot, wanted: Demand, k: int) -> list[tuple[Route, ...]]:
    routes = [
        route
        for route in simple_routes(snapshot, wanted.source, wanted.target)
        if allowed(snapshot, wanted, route) and room(snapshot, route) >= CHARGE
    ]
    found = []
    for chosen in combinations(routes, k):
        used = [name for route in chosen for name in route.links]
        if all(used.count(name) * CHARGE <= snapshot.links[name].model_skr_millibit_per_s for name in used):
            found.append(chosen)
    return found


def test_the_safest_set_is_that_of_trying_all() -> None:
    found_some = 0
    for seed in range(520):
        snapshot, wanted, chances, costs = drawn(seed)
        k = 1 + seed % 3
        threshold = k if seed % 2 else 1 + seed % k
        graph = graph_of(snapshot)
        weights = np.array([costs[name] for name in graph.wiring.links])
        sets = all_sets(snapshot, wanted, k)
        if not sets:
            with pytest.raises(Precondition):
                find_safest(graph, wanted, k, chances, threshold=threshold, costs=weights)
            continue
        values = [break_probability([route.transit for route in one], chances, threshold=threshold) for one in sets]
        found = find_safest(graph, wanted, k, chances, threshold=threshold, costs=weights)
        assert found.break_probability == pytest.approx(min(values), rel=1e-9, abs=1e-15)
        assert found.gap == pytest.approx(0, abs=1e-9)
        assert {tuple(one.links) for one in found.routes} in [{one.links for one in chosen} for chosen in sets]
        alike = [
            sum(costs[name] for route in one for name in route.links)
            for one, value in zip(sets, values, strict=True)
            if value == pytest.approx(min(values), rel=1e-13, abs=1e-18)
        ]
        assert found.cost in alike
        back = replace(wanted, source=wanted.target, target=wanted.source)
        again = find_safest(graph, back, k, chances, threshold=threshold, costs=weights)
        assert again.routes == tuple(route.reversed() for route in found.routes)
        found_some += 1
    assert found_some > 250


def test_the_cheapest_set_that_is_safe_enough_is_that_of_trying_all() -> None:
    outcomes = {True: 0, False: 0}
    for seed in range(520):
        snapshot, wanted, chances, costs = drawn(seed)
        most = [1.0, 0.1, 0.02, 0.005, 0.0][seed % 5]
        threshold = None if seed % 3 else 1 + seed % 2
        graph = graph_of(snapshot)
        weights = np.array([costs[name] for name in graph.wiring.links])
        values = [
            sum(costs[name] for route in one for name in route.links)
            for k in ((1, 2, 3) if threshold is None else (3,))
            for one in all_sets(snapshot, wanted, k)
            if break_probability([route.transit for route in one], chances, threshold=threshold) <= most
        ]
        outcomes[bool(values)] += 1
        if not values:
            with pytest.raises(Precondition):
                find_cheapest_within(graph, wanted, most, chances, most_shares=3, threshold=threshold, costs=weights)
            continue
        found = find_cheapest_within(graph, wanted, most, chances, most_shares=3, threshold=threshold, costs=weights)
        assert found.cost == found.bound == min(values)
        assert found.gap == 0
        assert found.break_probability <= most
    assert min(outcomes.values()) > 100


def ladder(rungs: int = 1) -> Snapshot:
    """Return two rows of relays between s and t, joined at each step."""
    links = []
    for step in range(rungs):
        links += [link(f"{row}{step}-{row}{step + 1}", f"{row}{step}", f"{row}{step + 1}") for row in "bc"]
        links += [
            link(f"b{step}-c{step + 1}", f"b{step}", f"c{step + 1}"),
            link(f"b{step}-c{step}", f"b{step}", f"c{step}"),
        ]
    links += [link(f"s-{row}", "s", f"{row}0") for row in "bc"]
    links += [link(f"{row}-t", f"{row}{rungs}", "t") for row in "bc"]
    return network(*links, nodes=(Node(name="b"),))


CHANCES = {"b": 0.1, **{f"{row}{step}": 0.01 * (1 + step % 3) for row in "bc" for step in range(30)}}


def test_where_the_steps_end_the_best_set_is_told_with_a_bound_that_holds() -> None:
    graph, wanted = graph_of(ladder(9)), demand("s", "t")
    best = find_safest(graph, wanted, 2, CHANCES)
    for steps in (60, 300):
        found = find_safest(graph, wanted, 2, CHANCES, steps=steps)
        assert found.bound <= best.break_probability <= found.break_probability
        assert 0 <= found.gap < 1
    with pytest.raises(TooHard):
        find_safest(graph, wanted, 3, CHANCES, steps=1)


def test_what_cannot_be_asked_is_refused() -> None:
    graph, wanted = graph_of(ladder()), demand("s", "t")
    with pytest.raises(InvalidValue):
        find_safest(graph, wanted, 0, CHANCES)
    with pytest.raises(InvalidValue):
        find_safest(graph, wanted, 2, CHANCES, threshold=3)
    with pytest.raises(InvalidValue):
        find_safest(graph, wanted, 2, {"b": 0.1})
    with pytest.raises(InvalidValue):
        find_safest(graph, replace(wanted, pass_nodes=frozenset({"b0"})), 2, CHANCES)
    with pytest.raises(Precondition) as refused:
        find_cheapest_within(graph, wanted, 0.0, CHANCES)
    assert refused.value.reason == "NO_ROUTE"
