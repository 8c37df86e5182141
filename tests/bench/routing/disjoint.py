"""Times pairs of disjoint ways beside networkx, and shows how near routes without a common duct are to their bound."""

from collections.abc import Iterator
from dataclasses import dataclass
from math import atan2, pi
from time import perf_counter
from typing import Any, Final

import networkx as nx
import numpy as np
import topohub
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_array

from controller.domain.key_relay import Demand
from controller.domain.link import Link, LinkEnd
from controller.domain.node import Node
from controller.domain.refusals import Precondition
from controller.domain.snapshot import Snapshot
from controller.routing.graph import Graph, graph_of
from controller.routing.kernels.disjoint import cheapest_disjoint, widest_disjoint
from controller.routing.kernels.net import Int64s, net_of
from controller.routing.shared_risk import RiskSet, find_least_shared, find_risk_disjoint
from tests.bench.collected import Works
from tests.bench.gabriel import gabriel
from tests.bench.line import time_line

_DEMANDS: Final = 10
_ROUNDS: Final = 20
_ANGLE: Final = pi / 3
"""Links that leave a node in directions closer than this lie in one duct there: an assumption, for want of data."""
_MILP_S: Final = 60.0
_MILP_LINKS: Final = 250
"""On larger networks the MILP takes minutes."""


class _Pairs:
    """One Gabriel graph, demands, and our answers."""

    def __init__(self, n_nodes: int, n_demands: int) -> None:
        self.graph = gabriel(n_nodes, 1)
        self.net = net_of(n_nodes, [(a, b) for a, b in self.graph.ends.tolist()])
        self.rooms = np.random.default_rng(1).integers(1, 1_000_000, len(self.graph.ends))
        self.open = np.ones(len(self.graph.ends), np.bool_)
        self.passable = np.ones(n_nodes, np.bool_)
        self.demands: list[tuple[int, int]] = []
        dice = np.random.default_rng(2)
        while len(self.demands) < n_demands:
            a, b = sorted(dice.choice(n_nodes, 2, replace=False).tolist())
            if self.cost(a, b) > 0:
                self.demands.append((a, b))

    def cost(self, a: int, b: int, *, wide: bool = False) -> int:
        """Return the least cost of two ways from a to b that share no node; of the widest two with `wide`."""
        search = widest_disjoint if wide else cheapest_disjoint
        found = search(
            self.net, self.rooms, self.open, self.passable, self.graph.lengths_m, need=1, start=a, goal=b, k=2
        )
        return found.cost

    def timed_us(self, rounds: int, *, wide: bool = False) -> float:
        """Return microseconds for each demand."""
        begun = perf_counter()
        for _ in range(rounds):
            for a, b in self.demands:
                self.cost(a, b, wide=wide)
        return (perf_counter() - begun) / rounds / len(self.demands) * 1e6


def disjoint_1000() -> Iterator[dict[str, object]]:
    """Compare the cheapest pair of node-disjoint ways with networkx's flow of least cost on the split digraph.

    The digraph is built before the clock runs; only the two ends change from one demand to the next.
    """
    pairs = _Pairs(1000, _DEMANDS)
    split: Any = nx.DiGraph()
    for node in range(1000):
        split.add_edge((node, "in"), (node, "out"), capacity=1, weight=0)
    for (a, b), length_m in zip(pairs.graph.ends.tolist(), pairs.graph.lengths_m.tolist(), strict=True):
        split.add_edge((a, "out"), (b, "in"), capacity=1, weight=length_m)
        split.add_edge((b, "out"), (a, "in"), capacity=1, weight=length_m)
    their_s = 0.0
    for a, b in pairs.demands:
        split.nodes[a, "out"]["demand"], split.nodes[b, "in"]["demand"] = -2, 2
        begun = perf_counter()
        cost = nx.min_cost_flow_cost(split)
        their_s += perf_counter() - begun
        del split.nodes[a, "out"]["demand"], split.nodes[b, "in"]["demand"]
        assert cost == pairs.cost(a, b), f"networkx finds {cost}, we {pairs.cost(a, b)}"
    small, large = _Pairs(100, _DEMANDS), _Pairs(10_000, _DEMANDS)
    yield time_line(
        "disjoint-1000",
        pairs.timed_us(_ROUNDS),
        "us",
        "networkx min_cost_flow",
        their_s / len(pairs.demands) * 1e6,
        demands=len(pairs.demands),
        ours_widest_us=round(pairs.timed_us(_ROUNDS, wide=True)),
        ours_100_us=round(small.timed_us(_ROUNDS)),
        ours_10000_us=round(large.timed_us(2)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ducts:
    """A real network with assumed ducts, and what links cost: their length in km."""

    graph: Graph
    costs: Int64s
    demands: tuple[Demand, ...]


def _with_ducts(name: str) -> _Ducts:
    told = topohub.get(name)
    at = {node["id"]: node["pos"] for node in told["nodes"]}
    leaving: dict[int, list[tuple[float, int]]] = {}
    for number, edge in enumerate(told["edges"]):
        for near, far in ((edge["source"], edge["target"]), (edge["target"], edge["source"])):
            east, north = at[far][0] - at[near][0], at[far][1] - at[near][1]
            leaving.setdefault(near, []).append((atan2(north, east), number))
    ducts: dict[int, set[str]] = {}
    for node, links in leaving.items():
        for angle, number in links:
            for other, neighbour in links:
                apart = abs(angle - other)
                if number < neighbour and min(apart, 2 * pi - apart) < _ANGLE:
                    for link in (number, neighbour):
                        ducts.setdefault(link, set()).add(f"d{node}-{number}-{neighbour}")
    built = [
        Link(
            name=f"l{number:04}",
            ends=_ends(f"n{edge['source']:04}", f"n{edge['target']:04}"),
            model_skr_millibit_per_s=1_000_000,
            ducts=frozenset(ducts.get(number, ())),
        )
        for number, edge in enumerate(told["edges"])
    ]
    nodes = [f"n{number:04}" for number in sorted(at)]
    snapshot = Snapshot(
        nodes={node: Node(name=node) for node in nodes},
        links={link.name: link for link in built},
        connected=frozenset(nodes),
    )
    dice = np.random.default_rng(3)
    picked = [sorted(dice.choice(nodes, 2, replace=False).tolist()) for _ in range(_DEMANDS)]
    return _Ducts(
        graph=graph_of(snapshot),
        costs=np.array([max(1, round(edge["dist"])) for edge in told["edges"]], np.int64),
        demands=tuple(Demand(source=a, target=b, rate_millibit_per_s=1000) for a, b in picked),
    )


def _ends(one: str, other: str) -> tuple[LinkEnd, LinkEnd]:
    first, second = sorted((one, other))
    return LinkEnd(node=first, interface=0), LinkEnd(node=second, interface=0)


def shared_risk() -> Iterator[dict[str, object]]:
    """Show value, bound and gap of pairs without a common duct, and a MILP of the same by HiGHS beside our time."""
    for name in ("sndlib/nobel-eu", "sndlib/cost266", "sndlib/germany50", "gabriel/100/0", "gabriel/500/0"):
        world = _with_ducts(name)
        _found(world, world.demands[0])
        value, bound, our_s, their_s, sharing, equal = 0, 0, 0.0, 0.0, 0, 0
        for demand in world.demands:
            begun = perf_counter()
            found = _found(world, demand)
            our_s += perf_counter() - begun
            value, bound, sharing = value + found.value[1], bound + found.bound[1], sharing + bool(found.value[0])
            begun = perf_counter()
            theirs = None if found.value[0] or len(world.costs) > _MILP_LINKS else _by_milp(world, demand)
            their_s += perf_counter() - begun
            if theirs is not None:
                assert found.gap > 0 or theirs == found.value[1], f"HiGHS finds {theirs}, we {found.value}"
                equal += 1
        work = f"shared-risk {name.split('/', 1)[1]}"
        told = {
            "demands": len(world.demands),
            "ours_ms": round(our_s * 1000),
            "gap": round(1 - bound / value, 6),
            "share_a_duct": sharing,
        }
        yield time_line(work, value, "km", "certified bound", bound, **told)
        if equal:
            yield time_line(work, our_s * 1000, "ms", "HiGHS MILP", their_s * 1000, equal_values=equal)


def _found(world: _Ducts, demand: Demand) -> RiskSet:
    try:
        return find_risk_disjoint(world.graph, demand, 2, costs=world.costs)
    except Precondition:
        return find_least_shared(world.graph, demand, 2, costs=world.costs)


def _by_milp(world: _Ducts, demand: Demand) -> int | None:
    """Return the least cost of two routes that share no duct and no node, or None when HiGHS has not got it in time.

    For each route: which arcs it takes and which ducts it touches; each node and duct serves one.
    """
    wiring = world.graph.wiring
    n_nodes, n_arcs = len(wiring.nodes), 2 * len(wiring.links)
    arcs = [*wiring.ends, *((b, a) for a, b in wiring.ends)]
    ducts = sorted(set().union(*wiring.ducts))
    width = n_arcs + len(ducts)
    start, goal = (wiring.node_number[name] for name in (demand.source, demand.target))
    rows: list[dict[int, float]] = []
    lows: list[float] = []
    highs: list[float] = []

    def ask(row: dict[int, float], low: float, high: float) -> None:
        rows.append(row)
        lows.append(low)
        highs.append(high)

    for begin in (0, width):
        for node in range(n_nodes):
            out = {begin + arc: 1.0 for arc, (a, _) in enumerate(arcs) if a == node}
            into = {begin + arc: -1.0 for arc, (_, b) in enumerate(arcs) if b == node}
            ask(out | into, *((float(node == start) - float(node == goal),) * 2))
        for number, duct in enumerate(ducts):
            for arc in range(n_arcs):
                if duct in wiring.ducts[arc % len(wiring.links)]:
                    ask({begin + arc: 1.0, begin + n_arcs + number: -1.0}, -np.inf, 0)
    for node in set(range(n_nodes)) - {goal}:
        into_both = {begin + arc: 1.0 for begin in (0, width) for arc, (_, b) in enumerate(arcs) if b == node}
        ask(into_both, 0, 0 if node == start else 1)
    for number in range(len(ducts)):
        ask({n_arcs + number: 1.0, width + n_arcs + number: 1.0}, 0, 1)
    for link in range(len(wiring.links)):
        ask({begin + arc: 1.0 for begin in (0, width) for arc in (link, link + n_arcs // 2)}, 0, 1)
    table = csr_array(
        (
            [value for row in rows for value in row.values()],
            ([number for number, row in enumerate(rows) for _ in row], [column for row in rows for column in row]),
        ),
        shape=(len(rows), 2 * width),
    )
    one_route = np.concatenate([world.costs, world.costs, np.zeros(len(ducts))])
    solved = milp(
        np.concatenate([one_route, one_route]),
        constraints=LinearConstraint(table, lows, highs),
        integrality=np.ones(2 * width),
        bounds=Bounds(0, 1),
        options={"time_limit": _MILP_S, "mip_rel_gap": 0},
    )
    return None if solved.status != 0 else round(solved.fun)


WORKS: Final[Works] = {"disjoint-1000": disjoint_1000, "shared-risk": shared_risk}
