"""Cheapest ways from one node to many, against networkx and hop by hop."""

import networkx as nx
import numpy as np
import pytest

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.compiled import NONE
from controller.routing.kernels.net import Net, net_of
from controller.routing.kernels.tree import MOST_COST, cheapest_ways


def random_net(chance: np.random.Generator) -> tuple[Net, list[tuple[int, int]]]:
    n_nodes = int(chance.integers(2, 8))
    ends = [tuple(chance.choice(n_nodes, 2, replace=False).tolist()) for _ in range(int(chance.integers(0, 14)))]
    return net_of(n_nodes, ends), ends


def cheapest(
    ends: list[tuple[int, int]], costs: np.ndarray, open: np.ndarray, passable: np.ndarray, start: int, goal: int
) -> int:
    graph: nx.Graph[int] = nx.Graph()
    graph.add_nodes_from((start, goal))
    for link, (a, b) in enumerate(ends):
        if open[link] and all(passable[node] or node in (start, goal) for node in (a, b)):
            cost = min(int(costs[link]), graph.get_edge_data(a, b, {"cost": MOST_COST})["cost"])
            graph.add_edge(a, b, cost=cost)
    try:
        return int(nx.dijkstra_path_length(graph, start, goal, "cost"))
    except nx.NetworkXNoPath:
        return NONE


def within(
    ends: list[tuple[int, int]],
    costs: np.ndarray,
    open: np.ndarray,
    passable: np.ndarray,
    pair: tuple[int, int],
    most: int,
) -> int:
    """Return the least cost over all loop-free ways of up to so many links."""
    start, goal = pair
    best = NONE

    def onward(node: int, seen: tuple[int, ...], cost: int) -> None:
        nonlocal best
        if node == goal:
            best = cost if best == NONE else min(best, cost)
        elif len(seen) <= most and (node == start or passable[node]):
            for link, two in enumerate(ends):
                if open[link] and node in two and (far := sum(two) - node) not in seen:
                    onward(far, (*seen, far), cost + int(costs[link]))

    onward(start, (start,), 0)
    return best


@pytest.mark.parametrize("limited", [False, True])
def test_ways_are_ways_and_cost_what_the_cheapest_do(limited: bool) -> None:
    for seed in range(500):
        chance = np.random.default_rng(seed)
        net, ends = random_net(chance)
        n_nodes = net.first.size - 1
        costs = chance.integers(1, 5, len(ends)).astype(np.int64)
        open, passable = chance.random(len(ends)) < 0.85, chance.random(n_nodes) < 0.8
        most = int(chance.integers(1, 5)) if limited else None
        start, goal = chance.choice(n_nodes, 2, replace=False)
        starts = np.array([start, start, goal], np.int64)
        goals = np.array([goal, (start + 1) % n_nodes, start], np.int64)
        ways = cheapest_ways(net, costs=costs, open=open, passable=passable, starts=starts, goals=goals, most=most)
        for pair, ends_of in enumerate(zip(starts.tolist(), goals.tolist(), strict=True)):
            if most is None:
                assert ways.costs[pair] == cheapest(ends, costs, open, passable, *ends_of), seed
            else:
                assert ways.costs[pair] == within(ends, costs, open, passable, ends_of, most), seed
            way = ways.way(pair)
            assert ways.costs[pair] == (costs[list(way)].sum() if way else NONE)
            node, passed = ends_of[0], []
            for link in way:
                assert open[link]
                node = sum(ends[link]) - node
                passed.append(node)
            assert not way or (node == ends_of[1] and all(passable[one] for one in passed[:-1]))
            assert most is None or len(way) <= most


def test_of_equally_cheap_ways_the_last_link_has_the_smallest_number() -> None:
    net = net_of(4, [(2, 3), (0, 1), (1, 3), (0, 2), (0, 2)])
    ways = cheapest_ways(
        net,
        costs=np.ones(5, np.int64),
        open=np.ones(5, np.bool_),
        passable=np.ones(4, np.bool_),
        starts=np.array([0]),
        goals=np.array([3]),
    )
    assert ways.way(0) == (3, 0)


@pytest.mark.parametrize(
    "changed",
    [
        {"costs": np.array([0])},
        {"costs": np.array([MOST_COST + 1])},
        {"costs": np.array([1, 1])},
        {"open": np.ones(2, np.bool_)},
        {"passable": np.ones(3, np.bool_)},
        {"starts": np.array([2])},
        {"starts": np.array([1])},
        {"goals": np.array([-1])},
        {"goals": np.array([1, 0])},
        {"most": 0},
    ],
)
def test_what_is_out_of_range_is_refused_before_any_search(changed: dict[str, object]) -> None:
    asked: dict[str, object] = {
        "costs": np.array([1]),
        "open": np.ones(1, np.bool_),
        "passable": np.ones(2, np.bool_),
        "starts": np.array([0]),
        "goals": np.array([1]),
        **changed,
    }
    with pytest.raises(InvalidValue):
        cheapest_ways(net_of(2, [(0, 1)]), **asked)  # type: ignore[arg-type]
