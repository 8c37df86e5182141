from itertools import combinations
from typing import Any

import networkx as nx
import numpy as np
import pytest
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

from controller.domain.refusals import InvalidValue
from controller.routing.kernels.compiled import NONE, OUT_OF_STEPS, UNREACHED
from controller.routing.kernels.disjoint import DisjointWays, cheapest_disjoint, most_disjoint, widest_disjoint
from controller.routing.kernels.net import Net, net_of

ROOM = 5


class Case:
    """A small random multigraph with closed, full and parallel links, and every loop-free way through it."""

    def __init__(self, seed: int, most_nodes: int = 8, most_links: int = 15) -> None:
        draw = np.random.default_rng(seed)
        n_nodes = int(draw.integers(2, most_nodes + 1))
        n_links = int(draw.integers(1, most_links + 1))
        ends = [(int(a), int(b)) for a, b in (draw.choice(n_nodes, 2, replace=False) for _ in range(n_links))]
        self.net: Net = net_of(n_nodes, ends)
        self.ends = ends
        self.rooms = draw.integers(ROOM - 1, ROOM + 4, n_links)
        self.open = draw.random(n_links) < 0.95
        self.passable = draw.random(n_nodes) < 0.95
        self.costs = draw.integers(1, 4, n_links) if seed % 3 else np.ones(n_links, np.int64)
        self.start, self.goal = map(int, draw.choice(n_nodes, 2, replace=False))
        self.k = int(draw.integers(1, 5))
        self.by_links = bool(seed % 2)

    def asked(self) -> dict[str, Any]:
        return {"need": ROOM, "start": self.start, "goal": self.goal, "by_links": self.by_links}

    def arrays(self) -> tuple[Net, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return self.net, self.rooms, self.open, self.passable, self.costs

    def arcs(self, need: int) -> list[tuple[int, int, int, int]]:
        """Return (tail, head, capacity, cost) of the graph in which nodes and links have an entry and an exit."""
        n_nodes, first_link = len(self.passable), 2 * len(self.passable)
        found = [
            (node, n_nodes + node, 99 if self.by_links else 1, 0)
            for node in range(n_nodes)
            if self.passable[node] and node not in (self.start, self.goal)
        ]
        for link, (a, b) in enumerate(self.ends):
            if not self.open[link] or self.rooms[link] < need:
                continue
            entry = first_link + 2 * link
            found.append((entry, entry + 1, 1, int(self.costs[link])))
            for tail, head in ((a, b), (b, a)):
                if head != self.start and tail != self.goal:
                    found += [(n_nodes + tail, entry, 1, 0), (entry + 1, head, 1, 0)]
        return found

    def most(self, need: int) -> int:
        size = 2 * (len(self.passable) + len(self.ends))
        table = np.zeros((size, size), np.int32)
        for tail, head, capacity, _ in self.arcs(need):
            table[tail, head] = capacity
        return int(maximum_flow(csr_array(table), len(self.passable) + self.start, self.goal).flow_value)

    def least_cost(self, need: int) -> int | None:
        view: nx.DiGraph[int] = nx.DiGraph()
        view.add_node(len(self.passable) + self.start, demand=-self.k)
        view.add_node(self.goal, demand=self.k)
        view.add_edges_from((tail, head, {"capacity": wide, "weight": w}) for tail, head, wide, w in self.arcs(need))
        try:
            return int(nx.min_cost_flow_cost(view))
        except nx.NetworkXUnfeasible:
            return None

    def check(self, found: DisjointWays, need: int) -> None:
        """Check that ways are ways, apart, and told in their order with what they cost and have."""
        assert len(found.ways) == self.k
        nodes: list[int] = []
        links: list[int] = []
        for way in found.ways:
            at, passed = self.start, [self.start]
            for link in map(int, way):
                assert self.open[link]
                assert self.rooms[link] >= need
                a, b = self.ends[link]
                assert at in (a, b)
                at = b if at == a else a
                passed.append(at)
            assert at == self.goal
            assert len(set(passed)) == len(passed)
            assert all(self.passable[node] for node in passed[1:-1])
            nodes += passed[1:-1]
            links += way.tolist()
        assert len(set(links)) == len(links)
        assert self.by_links or len(set(nodes)) == len(nodes)
        assert found.cost == sum(self.costs[link] for link in links)
        assert found.room == min(self.rooms[link] for link in links)
        keys = [(int(self.costs[way].sum()), -int(self.rooms[way].min()), way.tolist()) for way in found.ways]
        assert keys == sorted(keys)


def test_disjoint_ways_cost_what_a_flow_of_least_cost_does_and_their_number_is_the_greatest() -> None:
    outcomes = {True: 0, False: 0}
    for seed in range(520):
        case = Case(seed)
        found = cheapest_disjoint(*case.arrays(), k=case.k, **case.asked())
        least = case.least_cost(ROOM)
        outcomes[least is None] += 1
        if least is None:
            assert found.cost == NONE
            assert found.most == case.most(ROOM) < case.k
        else:
            assert found.cost == least
            assert found.most == case.k
            case.check(found, ROOM)
    assert min(outcomes.values()) > 150


def test_where_ways_are_too_few_as_many_nodes_and_links_separate_the_ends() -> None:
    cuts = 0
    for seed in range(520):
        case = Case(seed)
        found = most_disjoint(*case.arrays()[:4], **case.asked())
        assert found.most == case.most(ROOM)
        assert len(found.cut_nodes) + len(found.cut_links) == found.most
        assert case.by_links is not bool(len(found.cut_nodes)) or not len(found.cut_nodes)
        for link in map(int, found.cut_links):
            assert case.by_links or set(case.ends[link]) == {case.start, case.goal}
        case.open[found.cut_links] = False
        case.passable[found.cut_nodes] = False
        assert case.most(ROOM) == 0
        cuts += found.most > 1
    assert cuts > 120


def test_the_widest_disjoint_ways_are_the_cheapest_of_those_with_that_room() -> None:
    wide = 0
    for seed in range(510):
        case = Case(seed)
        found = widest_disjoint(*case.arrays(), k=case.k, **case.asked())
        widths = [room for room in sorted({*case.rooms.tolist()}) if room >= ROOM and case.most(room) >= case.k]
        if not widths:
            assert found.cost == NONE
            assert found.most == case.most(ROOM)
            continue
        assert found.room == widths[-1]
        assert found.cost == case.least_cost(widths[-1])
        case.check(found, widths[-1])
        wide += widths[-1] > ROOM
    assert wide > 100


def test_bounds_lead_the_search_and_change_no_cost() -> None:
    for seed in range(300):
        case = Case(seed)
        graph: nx.Graph[int] = nx.Graph()
        graph.add_nodes_from(range(len(case.passable)))
        for (a, b), cost in zip(case.ends, case.costs.tolist(), strict=True):
            if not graph.has_edge(a, b) or graph[a][b]["cost"] > cost:
                graph.add_edge(a, b, cost=cost)
        distances = nx.single_source_dijkstra_path_length(graph, case.goal, weight="cost")
        furthest = max(distances.values())
        bounds = np.array([distances.get(node, furthest) for node in range(len(case.passable))]) // (1 + seed % 2)
        led = cheapest_disjoint(*case.arrays(), k=case.k, bounds=bounds, **case.asked())
        assert led.cost == cheapest_disjoint(*case.arrays(), k=case.k, **case.asked()).cost
        if led.cost != NONE:
            case.check(led, ROOM)


def test_disjoint_pairs_equal_the_best_of_all_pairs_of_ways() -> None:
    for seed in range(0, 400, 2):
        case = Case(seed, most_nodes=6, most_links=10)
        case.k = 2
        graph: nx.MultiGraph[int] = nx.MultiGraph([(a, b, link) for link, (a, b) in enumerate(case.ends)])
        graph.add_nodes_from(range(len(case.passable)))
        ways = []
        every: Any = nx.all_simple_edge_paths(graph, case.start, case.goal)
        for edges in every:
            links, nodes = {link for _, _, link in edges}, {b for _, b, _ in edges[:-1]}
            if all(case.open[link] and case.rooms[link] >= ROOM for link in links):
                ways += [(sum(case.costs[link] for link in links), links, nodes)] * all(case.passable[n] for n in nodes)
        sums = [a[0] + b[0] for a, b in combinations(ways, 2) if not a[1] & b[1] and not a[2] & b[2]]
        assert cheapest_disjoint(*case.arrays(), k=2, **case.asked()).cost == min(sums, default=NONE)


def test_the_same_ways_come_from_arrays_that_nobody_may_write_to() -> None:
    case = Case(41)
    once = cheapest_disjoint(*case.arrays(), k=case.k, **case.asked())
    for array in case.arrays()[1:]:
        array.flags.writeable = False
    again = cheapest_disjoint(*case.arrays(), k=case.k, **case.asked())
    assert [way.tolist() for way in once.ways] == [way.tolist() for way in again.ways]


def test_a_search_out_of_steps_says_so() -> None:
    net = net_of(3, [(0, 1), (1, 2), (0, 2)])
    ones, flags = np.ones(3, np.int64), np.ones(3, bool)
    for search in (cheapest_disjoint, widest_disjoint):
        assert search(net, ones, flags, flags, ones, need=0, start=0, goal=2, k=2, steps=1).cost == OUT_OF_STEPS
        assert search(net, ones, flags, flags, ones, need=0, start=0, goal=2, k=2, steps=99).cost == 3


def test_isolated_ends_have_no_way_and_an_empty_cut() -> None:
    none = np.zeros(0, np.int64)
    found = cheapest_disjoint(
        net_of(2, []), none, none.astype(bool), np.ones(2, bool), none, need=0, start=0, goal=1, k=2
    )
    assert (found.cost, found.most, found.room, found.ways) == (NONE, 0, UNREACHED, ())
    assert not len(found.cut_nodes)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("costs", np.array([1.0, np.nan, 1.0])),
        ("costs", np.array([1.0, np.inf, 1.0])),
        ("costs", np.array([1, 0, 1])),
        ("costs", np.array([1, -1, 1])),
        ("costs", np.array([1, 2**40 + 1, 1])),
        ("costs", np.array([1, 1])),
        ("rooms", np.array([1, 1])),
        ("rooms", np.array([1.5, 1, 1])),
        ("open", np.array([1, 1, 1])),
        ("passable", np.array([True])),
        ("bounds", np.array([9, 0, 0])),
        ("bounds", np.array([0, -1, 0])),
        ("start", 3),
        ("goal", -1),
        ("goal", 0),
        ("k", 0),
    ],
)
def test_what_is_out_of_range_is_refused_before_any_search(field: str, value: object) -> None:
    good = {
        "net": net_of(3, [(0, 1), (1, 2), (0, 2)]),
        "rooms": np.ones(3, np.int64),
        "open": np.ones(3, bool),
        "passable": np.ones(3, bool),
        "costs": np.ones(3, np.int64),
        "need": 0,
        "start": 0,
        "goal": 2,
        "k": 2,
    }
    with pytest.raises(InvalidValue) as refused:
        cheapest_disjoint(**{**good, field: value})  # type: ignore[arg-type]
    assert refused.value.fields[0][0] == field
