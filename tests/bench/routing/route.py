"""Times one feasible cheapest route on networks some of whose links are too full, beside what a user would pick."""

import gc
import math
import tracemalloc
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from statistics import mean, median
from time import perf_counter
from typing import Any, Final

import igraph
import networkx as nx
import numpy as np
import rustworkx
import topohub

from controller.routing.kernels.cheapest import cheapest_way
from controller.routing.kernels.compiled import NONE
from controller.routing.kernels.landmarks import Landmarks, landmarks, parts
from controller.routing.kernels.live_landmarks import live_landmarks
from controller.routing.kernels.net import Flags, Int64s, Net, net_of
from tests.bench.collected import Works
from tests.bench.gabriel import gabriel
from tests.bench.line import time_line

_NEED: Final = 50
_TOO_FULL: Final = 0.3
_ROUNDS: Final = 3
_BLOCK: Final = 20
"""Demands that one side answers before the next is asked: near in time, yet each in its own warm cache."""

Demand = tuple[int, int]
Ask = Callable[[int, int], object]
"""Answers with the links of a way, or nothing."""
Lines = Iterator[dict[str, object]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A network in some state, and demands on it.

    Attributes:
        kept: The links that have the room, by number; peers know only these.
        fixed: Landmarks over all links, valid whatever is reserved.
        renewed: Landmarks over the links that have the room now, valid until one of the others has it.
        renewing_s: What making the latter took.
    """

    net: Net
    costs: Int64s
    rooms: Int64s
    open: Flags
    passable: Flags
    kept: list[int]
    fixed: Landmarks
    renewed: Landmarks
    renewing_s: float
    joined: tuple[Demand, ...]
    parted: tuple[Demand, ...]

    def way(self, marks: Landmarks, a: int, b: int) -> list[int]:
        """Return the links of the way, or none."""
        found = cheapest_way(
            self.net, self.costs, self.rooms, self.open, self.passable, _NEED, min(a, b), max(a, b), marks
        )
        return [] if found.cost == NONE else found.links.tolist()

    def cost(self, links: Sequence[int]) -> int:
        """Return what a way costs."""
        return int(self.costs[list(links)].sum())


def field(net: Net, costs: Int64s, n_demands: int, seed: int = 2) -> Field:
    """Return a field with demands between joined ends and between parted ones."""
    dice = np.random.default_rng(seed)
    n_nodes, n_links = net.first.size - 1, net.tails.size
    rooms = np.where(dice.random(n_links) < _TOO_FULL, 0, 100).astype(np.int64)
    kept = rooms >= _NEED
    part = parts(net, kept)
    joined, parted = list[Demand](), list[Demand]()
    for _ in range(400 * n_demands):
        a, b = (int(node) for node in dice.integers(0, n_nodes, 2))
        same = joined if part[a] == part[b] else parted
        if a != b and len(same) < n_demands:
            same.append((a, b))
    begun = perf_counter()
    renewed = landmarks(net, costs, kept)
    took = perf_counter() - begun
    return Field(
        net=net,
        costs=costs,
        rooms=rooms,
        open=np.ones(n_links, np.bool_),
        passable=np.ones(n_nodes, np.bool_),
        kept=np.flatnonzero(kept).tolist(),
        fixed=landmarks(net, costs),
        renewed=renewed,
        renewing_s=took,
        joined=tuple(joined),
        parted=tuple(parted),
    )


def gabriel_field(n_nodes: int, n_demands: int) -> Field:
    """Return a field on a Gabriel graph with lengths as costs."""
    graph = gabriel(n_nodes, 1)
    return field(net_of(n_nodes, [(a, b) for a, b in graph.ends.tolist()]), graph.lengths_m, n_demands)


def real_field(name: str, n_demands: int) -> Field:
    """Return a field on a network of topohub with lengths in metres as costs."""
    graph = topohub.get(name)
    number = {node["id"]: place for place, node in enumerate(graph["nodes"])}
    edges = [edge for edge in graph["edges"] if edge["source"] != edge["target"]]
    costs = np.array([max(1, round(1000 * float(edge["dist"]))) for edge in edges], np.int64)
    net = net_of(len(number), [(number[edge["source"]], number[edge["target"]]) for edge in edges])
    return field(net, costs, n_demands)


def peers(on: Field) -> dict[str, tuple[Ask, int]]:
    """Return each peer's best call on the filtered graph with stored weights, and the demands it is asked at most.

    Their answers are links, except networkx's, which is the cost.
    """
    n_nodes = on.net.first.size - 1
    ends = [(int(on.net.tails[link]), int(on.net.heads[link])) for link in on.kept]
    weights = on.costs[on.kept].tolist()
    plain: nx.Graph[int] = nx.Graph()
    plain.add_nodes_from(range(n_nodes))
    for (a, b), weight in zip(ends, weights, strict=True):
        plain.add_edge(a, b, weight=min(weight, plain.edges[a, b]["weight"] if plain.has_edge(a, b) else weight))
    compact = igraph.Graph(n=n_nodes, edges=ends)
    compact.es["weight"] = weights
    rusty: Any = rustworkx.PyGraph()
    rusty.add_nodes_from(range(n_nodes))
    rusty.add_edges_from([(a, b, float(weight)) for (a, b), weight in zip(ends, weights, strict=True)])

    def by_networkx(a: int, b: int) -> object:
        try:
            return nx.bidirectional_dijkstra(plain, a, b)[0]
        except nx.NetworkXNoPath:
            return None

    def by_rustworkx(a: int, b: int) -> object:
        return rustworkx.dijkstra_shortest_paths(rusty, a, b, weight_fn=float)

    def by_igraph(a: int, b: int) -> object:
        return compact.get_shortest_path(a, b, weights="weight", output="epath")

    few = max(_BLOCK, min(200, 400_000 // n_nodes))
    return {
        "networkx bidirectional Dijkstra": (by_networkx, few),
        "igraph": (by_igraph, 10 * few),
        "rustworkx": (by_rustworkx, 2 * few),
    }


def cost_of(on: Field, peer: str, answer: Any, demand: Demand) -> int | None:
    """Return what a peer's answer costs, or None when it found no way."""
    if peer.startswith("networkx"):
        return None if answer is None else int(answer)
    if peer == "igraph":
        return on.cost([on.kept[edge] for edge in answer]) if answer else None
    nodes = list(answer[demand[1]]) if demand[1] in answer else []
    total = 0
    for a, b in pairwise(nodes):
        places = range(on.net.first[a], on.net.first[a + 1])
        links = [int(on.net.links[place]) for place in places if on.net.fars[place] == b]
        total += min(int(on.costs[link]) for link in links if on.rooms[link] >= _NEED)
    return total if nodes else None


def timed(asks: dict[str, tuple[Ask, int]], demands: Sequence[Demand]) -> dict[str, list[tuple[float, Any]]]:
    """Return for each side what it took for each demand, the least of several rounds in s, and its last answer.

    The sides take turns block by block, so that what else the machine does falls on all of them.
    """
    told: dict[str, list[tuple[float, Any]]] = {name: [] for name in asks}
    gc.disable()
    try:
        for begin in range(0, len(demands), _BLOCK):
            for name, (ask, most) in asks.items():
                block = demands[begin : min(begin + _BLOCK, most)]
                best: list[tuple[float, Any]] = [(math.inf, None)] * len(block)
                for _ in range(_ROUNDS):
                    for place, (a, b) in enumerate(block):
                        begun = perf_counter()
                        answer = ask(a, b)
                        best[place] = min(best[place][0], perf_counter() - begun), answer
                told[name] += best
    finally:
        gc.enable()
    return told


def compared(work: str, on: Field, demands: Sequence[Demand], more: dict[str, object]) -> Lines:
    """Yield lines of mean times over the same demands, with both kinds of landmarks; answers are checked."""
    ours: dict[str, tuple[Ask, int]] = {
        "fixed": (partial(on.way, on.fixed), len(demands)),
        "renewed": (partial(on.way, on.renewed), len(demands)),
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # igraph's word for no way
        told = timed(ours | peers(on), demands)
    for peer, theirs in told.items():
        if peer in ours:
            continue
        for kind in ours:
            mine = told[kind][: len(theirs)]
            for demand, (_, links), (_, answer) in zip(demands, mine, theirs, strict=False):
                assert cost_of(on, peer, answer, demand) == (on.cost(links) if links else None), (peer, demand)
            yield time_line(
                work if kind == "fixed" else f"{work}-renewed",
                mean(took for took, _ in mine) * 1e6,
                "us",
                peer,
                mean(took for took, _ in theirs) * 1e6,
                demands=len(theirs),
                ratio_of_medians=round(median(took for took, _ in theirs) / median(took for took, _ in mine), 2),
                **more,
                **({} if kind == "fixed" else {"renewing_ms": round(on.renewing_s * 1e3, 2)}),
            )


def route(n_nodes: int, n_demands: int = 200) -> Lines:
    """Compare on a Gabriel graph: ways, and refusals apart."""
    on = gabriel_field(n_nodes, n_demands)
    more: dict[str, object] = {"nodes": n_nodes, "links": on.net.tails.size}
    yield from compared(f"route-{n_nodes}", on, on.joined, more)
    yield from compared(f"route-{n_nodes}-refused", on, on.parted, more)


def live(n_nodes: int, work: str, changing: int, every: int, n_demands: int = 150) -> Lines:
    """Compare while links fill up and become free between demands; what keeps landmarks valid is counted in ours.

    Peers are handed their filtered graphs anew for nothing.

    Args:
        changing: Links that fill up, and as many that become free, each time.
        every: Demands from one time to the next.
    """
    on = gabriel_field(n_nodes, n_demands)
    dice = np.random.default_rng(3)
    kept = live_landmarks(on.net, on.costs, on.rooms >= _NEED)
    kinds: dict[str, list[float]] = {"repaired": [], "repair": [], "fixed": []}
    theirs: dict[str, list[float]] = {"networkx bidirectional Dijkstra": [], "igraph": []}
    renewed, sides = 0, peers(on)
    for number, (a, b) in enumerate(on.joined):
        repair_s = 0.0
        if number % every == 0:
            on = changed(on, dice, changing)
            sides = peers(on)
            repair_s, after = math.inf, kept
            for _ in range(_ROUNDS):
                begun = perf_counter()
                after = kept.covering(on.rooms >= _NEED)
                repair_s = min(repair_s, perf_counter() - begun)
            renewed += after is not kept and after.joined == 0
            kept = after
        told = best_of({"led": partial(on.way, kept.marks), "fixed": partial(on.way, on.fixed)}, a, b)
        kinds["repair"].append(repair_s)
        kinds["repaired"].append(repair_s + told["led"][0])
        kinds["fixed"].append(told["fixed"][0])
        assert told["led"][1] == told["fixed"][1], (a, b)
        for peer, (took, answer) in best_of({name: sides[name][0] for name in theirs}, a, b).items():
            assert cost_of(on, peer, answer, (a, b)) == (on.cost(told["led"][1]) if told["led"][1] else None), peer
            theirs[peer].append(took)
    for peer, times in theirs.items():
        yield time_line(
            work,
            mean(kinds["repaired"]) * 1e6,
            "us",
            peer,
            mean(times) * 1e6,
            search_us=round((mean(kinds["repaired"]) - mean(kinds["repair"])) * 1e6, 1),
            repair_us=round(mean(kinds["repair"]) * 1e6, 1),
            fixed_us=round(mean(kinds["fixed"]) * 1e6, 1),
            fixed_ratio=round(mean(times) / mean(kinds["fixed"]), 2),
            renewed=renewed,
            links_changing_a_demand=changing / every,
            demands=len(times),
            nodes=n_nodes,
            links=on.net.tails.size,
        )


def changed(on: Field, dice: np.random.Generator, changing: int) -> Field:
    """Return the field once so many links filled up, and as many became free."""
    rooms = on.rooms.copy()
    rooms[dice.choice(np.flatnonzero(on.rooms < _NEED), changing, replace=False)] = 100
    rooms[dice.choice(np.flatnonzero(on.rooms >= _NEED), changing, replace=False)] = 0
    return replace(on, rooms=rooms, kept=np.flatnonzero(rooms >= _NEED).tolist())


def best_of(asks: dict[str, Ask], a: int, b: int) -> dict[str, tuple[float, Any]]:
    """Return for each side what a demand took, the least of several rounds in s, and the answer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # igraph's word for no way
        told = timed({name: (ask, 1) for name, ask in asks.items()}, [(a, b)])
    return {name: answers[0] for name, answers in told.items()}


def real_routes() -> Lines:
    """Compare on networks as they are built, and on larger ones made like them."""
    for name in _REAL:
        on = real_field(name, 100)
        more: dict[str, object] = {"nodes": on.net.first.size - 1, "links": on.net.tails.size}
        yield from compared(f"route-{name.split('/', 1)[1]}", on, on.joined, more)


def growth() -> Lines:
    """Fit how the time of a route grows with the nodes, as an exponent."""
    sizes = [1000, 2000, 4000, 8000, 16_000, 32_000]
    took: dict[str, list[float]] = {}
    for size in sizes:
        on = gabriel_field(size, 60)
        asks: dict[str, tuple[Ask, int]] = {
            "fixed": (partial(on.way, on.fixed), 60),
            "renewed": (partial(on.way, on.renewed), 60),
            "igraph": (peers(on)["igraph"][0], 60),
        }
        for name, times in timed(asks, on.joined).items():
            took.setdefault(name, []).append(mean(time for time, _ in times))
    exponents = {name: float(np.polyfit(np.log(sizes), np.log(times), 1)[0]) for name, times in took.items()}
    for kind, work in (("fixed", "growth of route"), ("renewed", "growth of route, landmarks renewed")):
        means = [round(time * 1e6, 1) for time in took[kind]]
        yield time_line(
            work, exponents[kind], "exponent of nodes", "igraph", exponents["igraph"], nodes=sizes, ours_us=means
        )


def memory() -> Lines:
    """Weigh the net with its landmarks beside networkx's graph of the same."""
    graph = gabriel(10_000, 1)
    ends = [(a, b) for a, b in graph.ends.tolist()]
    net = net_of(10_000, ends)
    marks = landmarks(net, graph.lengths_m)
    things = 10_000 + len(ends)
    flat = sum(array.nbytes for array in net) + 2 * graph.lengths_m.nbytes + len(ends) + 10_000
    tracemalloc.start()
    plain: nx.Graph[int] = nx.Graph()
    plain.add_weighted_edges_from((a, b, int(cost)) for (a, b), cost in zip(ends, graph.lengths_m, strict=True))
    theirs, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    yield time_line(
        "memory of net, costs, rooms, flags and landmarks",
        (flat + marks.table.nbytes) / things,
        "bytes a node or link",
        "networkx graph with costs",
        theirs / things,
        landmarks_bytes_a_node=marks.table.nbytes / 10_000,
        net_bytes_a_node_or_link=round(flat / things, 1),
        nodes=10_000,
        links=len(ends),
    )


_REAL: Final = (
    "sndlib/germany50",
    "sndlib/cost266",
    "sndlib/brain",
    "topozoo/TataNld",
    "gabriel/500/0",
    "backbone/world",
)

WORKS: Final[Works] = {
    "route-100": partial(route, 100),
    "route-1000": partial(route, 1000),
    "route-10000": partial(route, 10_000),
    "route-100000": partial(route, 100_000, 60),
    "route-10000-live": partial(live, 10_000, "route-10000-live", 10, 1),
    "route-10000-live-calm": partial(live, 10_000, "route-10000-live-calm", 1, 10),
    "route-real": real_routes,
    "route-growth": growth,
    "route-memory": memory,
}
