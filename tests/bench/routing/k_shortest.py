"""Times the 4 shortest loop-free ways and the widest way beside networkx and igraph, on Gabriel graphs."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice, pairwise
from statistics import median
from time import perf_counter
from typing import Any, Final

import igraph
import networkx as nx
import numpy as np

from controller.routing.kernels.k_shortest import ShortestWays
from controller.routing.kernels.landmarks import Landmarks, landmarks
from controller.routing.kernels.net import Flags, Int64s, Net, frozen, net_of
from controller.routing.kernels.widest import widest_way
from tests.bench.collected import Works
from tests.bench.gabriel import gabriel
from tests.bench.line import time_line

_K: Final = 4
_ROUNDS: Final = 5
"""Times that ours is measured for once of a peer's: what takes microseconds is disturbed more."""

Ends = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _World:
    """One graph in each party's own form, and demands."""

    net: Net
    lengths_m: Int64s
    rooms: Int64s
    open: Flags
    passable: Flags
    marks: Landmarks
    plain: Any
    packed: Any
    demands: tuple[Ends, ...]


def _world(n_nodes: int, n_demands: int) -> _World:
    graph = gabriel(n_nodes, 1)
    dice = np.random.default_rng(1)
    lengths_m, rooms = graph.lengths_m.copy(), dice.integers(1, 1_000_000, len(graph.ends))
    is_open, passable = np.ones(len(graph.ends), np.bool_), np.ones(n_nodes, np.bool_)
    for array in (lengths_m, rooms, is_open, passable):
        frozen(array)
    ends = [(a, b) for a, b in graph.ends.tolist()]
    plain: Any = nx.Graph()
    plain.add_nodes_from(range(n_nodes))
    for (a, b), length_m, room in zip(ends, lengths_m.tolist(), rooms.tolist(), strict=True):
        plain.add_edge(a, b, length_m=length_m, room=room)
    packed = igraph.Graph(n=n_nodes, edges=ends)
    packed.es["length_m"], packed.es["room"] = lengths_m.tolist(), rooms.tolist()
    net = net_of(n_nodes, ends)
    pairs = (sorted(dice.choice(n_nodes, 2, replace=False).tolist()) for _ in range(n_demands))
    return _World(
        net=net,
        lengths_m=lengths_m,
        rooms=rooms,
        open=is_open,
        passable=passable,
        marks=landmarks(net, lengths_m),
        plain=plain,
        packed=packed,
        demands=tuple((a, b) for a, b in pairs),
    )


def _timed(
    search: Callable[[Ends], list[int]], demands: tuple[Ends, ...], rounds: int
) -> tuple[float, list[list[int]]]:
    """Return microseconds for a demand, the mean of the medians of each, and what was found."""
    found: list[list[int]] = []
    total_s = 0.0
    for demand in demands:
        taken_s = []
        for _ in range(rounds):
            begun = perf_counter()
            answer = search(demand)
            taken_s.append(perf_counter() - begun)
        found.append(answer)
        total_s += median(taken_s)
    return total_s / len(demands) * 1e6, found


def _compared(
    work: str, world: _World, ours: Callable[[Ends], list[int]], peers: Mapping[str, Callable[[Ends], list[int]]]
) -> Iterator[dict[str, object]]:
    ours(world.demands[0])
    our_us, found = _timed(ours, world.demands, _ROUNDS)
    for peer, search in peers.items():
        their_us, theirs = _timed(search, world.demands, 1)
        assert theirs == found, f"{peer} finds {theirs}, we {found}"
        yield time_line(work, our_us, "us", peer, their_us, demands=len(world.demands))


def _our_ways(world: _World, ends: Ends) -> list[int]:
    ground = (world.net, world.lengths_m, world.rooms, world.open, world.passable, 1)
    return [found.cost for found in ShortestWays(*ground, *ends, world.marks).more(_K)]


def _ways_of_networkx(world: _World, ends: Ends) -> list[int]:
    ways = islice(nx.shortest_simple_paths(world.plain, *ends, weight="length_m"), _K)
    return [sum(world.plain[a][b]["length_m"] for a, b in pairwise(way)) for way in ways]


def _ways_of_igraph(world: _World, ends: Ends) -> list[int]:
    ways = world.packed.get_k_shortest_paths(*ends, k=_K, weights="length_m", output="epath")
    return [sum(int(world.lengths_m[link]) for link in way) for way in ways]


def k_shortest(n_nodes: int, n_demands: int) -> Iterator[dict[str, object]]:
    """Measure the 4 shortest loop-free ways; their costs are equal in the run."""
    world = _world(n_nodes, n_demands)
    peers = {
        "networkx shortest_simple_paths": partial(_ways_of_networkx, world),
        "igraph get_k_shortest_paths (Yen)": partial(_ways_of_igraph, world),
    }
    yield from _compared(f"k{_K}-{n_nodes}: {_K} shortest loop-free routes", world, partial(_our_ways, world), peers)


def _our_width(world: _World, ends: Ends) -> list[int]:
    return [widest_way(world.net, world.rooms, world.open, world.passable, 1, *ends)[0]]


def _width_of_networkx(world: _World, ends: Ends) -> list[int]:
    tree = nx.maximum_spanning_tree(world.plain, weight="room")
    return [min(tree[a][b]["room"] for a, b in pairwise(nx.shortest_path(tree, *ends)))]


def _width_of_igraph(world: _World, ends: Ends) -> list[int]:
    kept = world.packed.spanning_tree(weights=[-room for room in world.packed.es["room"]], return_tree=False)
    tree = world.packed.subgraph_edges(kept, delete_vertices=False)
    (way,) = tree.get_shortest_paths(ends[0], ends[1], output="epath")
    return [min(tree.es[way]["room"])]


def widest(n_nodes: int, n_demands: int) -> Iterator[dict[str, object]]:
    """Measure the widest way; peers have none, so they take the maximum spanning tree, on which it lies."""
    world = _world(n_nodes, n_demands)
    peers = {
        "networkx maximum_spanning_tree": partial(_width_of_networkx, world),
        "igraph spanning_tree": partial(_width_of_igraph, world),
    }
    yield from _compared(f"widest-{n_nodes}: the widest route", world, partial(_our_width, world), peers)


WORKS: Final[Works] = {
    "k4-100": partial(k_shortest, 100, 50),
    "k4-1000": partial(k_shortest, 1_000, 20),
    "k4-10000": partial(k_shortest, 10_000, 3),
    "widest-10000": partial(widest, 10_000, 10),
}
