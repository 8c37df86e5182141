"""Disjoint routes for the shares of a key relay, or the bottleneck that forbids them."""

import heapq
import itertools
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from controller.domain.capacity import link_charge_millibit_per_s
from controller.domain.key_relay import Demand
from controller.domain.refusals import InvalidValue, Precondition, TooHard
from controller.domain.route import Route
from controller.routing.explain import listed, no_capacity, no_route
from controller.routing.graph import Graph
from controller.routing.kernels.disjoint import DisjointWays, cheapest_disjoint, widest_disjoint
from controller.routing.kernels.net import Int32s, net_of
from controller.routing.key_relay import find_route
from controller.routing.search import Way, best_way, loosened, order_of, ways_in_order
from controller.routing.shared_risk import find_risk_disjoint
from controller.routing.terrain import ANY_ROOM, Meter, Terrain, terrain_of

_SPREAD_TRIES: Final = 64
"""How many ways of leaving contested locations to one route are tried before the full search."""
_RISK_SEARCHES: Final = 100
"""What is searched at most for routes that share no duct with each other and a backup; some milliseconds."""
_CALL_STEPS: Final = 40
"""What handing a search to compiled code counts of the steps."""


def find_routes(graph: Graph, demand: Demand) -> tuple[Route, ...]:
    """Return the routes of a demand, one per share; raises as `find_route` and `find_disjoint_routes`.

    Where the demand asks for a backup, they are routes that leave room for one, if there are such; whether there are
    is `find_backup`'s to say. Routes, and a backup, that share no duct are preferred to any others.
    """
    passes = demand.pass_nodes or demand.pass_links
    in_all = 2 * demand.shares if demand.protected else demand.shares
    if in_all > 1 and not passes and any(graph.wiring.ducts):
        with suppress(Precondition, TooHard):
            apart = find_risk_disjoint(graph, demand, in_all, searches=_RISK_SEARCHES)
            return apart.routes[: demand.shares]
    if demand.protected and not passes:
        # Without a backup then, or with one that is found route by route.
        with suppress(Precondition, TooHard):
            return find_disjoint_routes(graph, demand, in_all)[: demand.shares]
    return find_disjoint_routes(graph, demand, demand.shares)


def find_backup(graph: Graph, demand: Demand, routes: Sequence[Route]) -> tuple[Route, ...]:
    """Return backup routes for a demand that has these: one per share, disjoint from them and from each other.

    What is to be passed is passed by the routes, and not asked of the backup. A backup that shares no duct with the
    routes is preferred to any other. The routes may or may not be charged on
    the graph already: a backup uses no link of theirs.

    Raises:
        Precondition: NO_DISJOINT_ROUTES or NO_CAPACITY: there are none beside these.
        TooHard: The exact search is out of steps.
    """
    spare = replace(demand, pass_nodes=frozenset(), pass_links=frozenset())
    try:
        return find_disjoint_routes(graph, spare, demand.shares, beside=routes)
    except Precondition as refusal:
        passed = listed(sorted({f"links/{link}" for route in routes for link in route.links}))
        raise Precondition(
            "NO_CAPACITY" if refusal.reason == "NO_CAPACITY" else "NO_DISJOINT_ROUTES",
            f"no backup disjoint from the route over {passed}: {refusal.message}",
            refusal.facts(),
        ) from refusal


def find_disjoint_routes(graph: Graph, demand: Demand, k: int, *, beside: Sequence[Route] = ()) -> tuple[Route, ...]:
    """Return k >= 1 routes of fewest links in all that share no node, no link and no location between the ends.

    Locations of the two ends are exempt: there only nodes must differ. Every route keeps the demand's limits on
    its own; what is to be passed is passed by one of them. Of equal sets always the same is taken, and from b to a
    its reverse; shorter routes come first. A flow of least cost settles most cases; where shared locations, hop
    limits or passes contradict it, an exact search within a step budget.

    Args:
        graph: Where there is room.
        demand: What is asked; its `shares` are not looked at.
        k: How many.
        beside: Routes between the same ends with which they share nothing either, and no duct where that can be.

    Raises:
        NotFound: Source or target is no node of the network.
        Precondition: NO_ROUTE: not even one; NO_DISJOINT_ROUTES: fewer than k, names the nodes, locations and
            links that all must pass; NO_CAPACITY: k, but too narrow.
        TooHard: The exact search is out of steps.
    """
    if k < 1:
        raise InvalidValue("", ("shares", f"{k} is not positive"))
    if beside:
        ducted = _in_ducts_of(graph, beside)
        if ducted:
            with suppress(Precondition, TooHard):
                return find_disjoint_routes(*_apart_from(graph.without_links(ducted), demand, beside), k)
        graph, demand = _apart_from(graph, demand, beside)
    if k == 1:
        return (find_route(graph, demand),)
    terrain = terrain_of(graph, demand)
    need = link_charge_millibit_per_s(demand.rate_millibit_per_s)
    meter = Meter()
    ways = _shortest_set(terrain, need, k, meter)
    if ways is None:
        raise _why_none(terrain, demand, need, k, meter)
    return tuple(terrain.route(way) for way in sorted(ways, key=lambda way: order_of(terrain, way)))


def _in_ducts_of(graph: Graph, routes: Sequence[Route]) -> set[str]:
    """Return the links that share a duct with routes, other than their own."""
    wiring = graph.wiring
    own = {link for route in routes for link in route.links}
    ducts = {duct for link in own & wiring.link_number.keys() for duct in wiring.ducts[wiring.link_number[link]]}
    if not ducts:
        return set()
    return {link for link, lies_in in zip(wiring.links, wiring.ducts, strict=True) if lies_in & ducts} - own


def _apart_from(graph: Graph, demand: Demand, beside: Sequence[Route]) -> tuple[Graph, Demand]:
    """Return graph and demand without the links of some routes and without the nodes that share a place with them."""
    terrain = terrain_of(graph, demand)
    numbers = graph.wiring.node_number
    touched = {terrain.group(numbers[node]) for route in beside for node in route.transit if node in numbers}
    nodes = {
        name
        for number, name in enumerate(graph.wiring.nodes)
        if number not in (terrain.start, terrain.goal) and terrain.group(number) in touched
    }
    # Its own limits come first: a node that must be passed is no node to avoid.
    apart = replace(demand, avoid_nodes=demand.avoid_nodes | (nodes - demand.pass_nodes))
    return graph.without_links({link for route in beside for link in route.links}, "used already"), apart


def _shortest_set(terrain: Terrain, need: int, k: int, meter: Meter) -> list[Way] | None:
    ways = None if terrain.unmet else _flow_ways(terrain, need, k)
    if ways is None or sum(map(len, ways)) > k * terrain.most:
        return None
    if _allowed_together(terrain, ways):
        return ways
    if _cut_between(terrain, need, k) is not None:
        return None
    spread = _spread(terrain, need, k, ways, meter)
    if spread is not None and sum(map(len, spread)) == sum(map(len, ways)):
        return spread
    return _searched(terrain, need, k, spread, meter)


def _spread(terrain: Terrain, need: int, k: int, ways: list[Way], meter: Meter) -> list[Way] | None:
    """Return the shortest allowed set that comes of leaving each contested location to one of the ways in turn.

    It need not be the shortest of all, since one way might pass both nodes that two ways contested; it is when it is
    as short as the flow that knows of no locations.
    """
    count = itertools.count()
    parts = [(sum(map(len, ways)), next(count), terrain, ways)]
    tries = _SPREAD_TRIES
    while parts and tries:
        _, _, part, ways = heapq.heappop(parts)
        if _allowed_together(terrain, ways):
            return ways
        tries -= 1
        contested = _contested(terrain, ways)
        for mine in contested:
            others = contested[:]
            others.remove(mine)
            narrower = part.closing((node for nodes in others for node in nodes), ())
            meter.spend(_flow_steps(narrower))
            found = _flow_ways(narrower, need, k)
            if found is not None:
                heapq.heappush(parts, (sum(map(len, found)), next(count), narrower, found))
    return None


def _contested(terrain: Terrain, ways: list[Way]) -> list[list[int]]:
    """Return, for the first location that several ways pass, each one's nodes there; nothing when there is none."""
    at: dict[str, list[list[int]]] = {}
    for way in ways:
        here: dict[str, list[int]] = {}
        for node in terrain.nodes_on(way)[1:-1]:
            here.setdefault(terrain.group(node), []).append(node)
        for place, nodes in here.items():
            at.setdefault(place, []).append(nodes)
    return at[min(shared)] if (shared := [place for place, visits in at.items() if len(visits) > 1]) else []


def _allowed_together(terrain: Terrain, ways: list[Way]) -> bool:
    """Tell whether ways that share no node keep also what a flow does not see."""
    groups: set[str] = set()
    nodes: set[int] = set()
    links: set[int] = set()
    for way in ways:
        transit = terrain.nodes_on(way)[1:-1]
        touched = {terrain.group(node) for node in transit}
        if len(way) > terrain.most or groups & touched:
            return False
        groups |= touched
        nodes.update(transit)
        links.update(way)
    return terrain.must_nodes <= nodes and terrain.must_links <= links


def _flow_ways(terrain: Terrain, need: int, k: int) -> list[Way] | None:
    """Return k ways of fewest links in all that share no node, locations aside; None when there are fewer."""
    graph = terrain.graph
    found = cheapest_disjoint(
        graph.wiring.net,
        graph.rooms,
        terrain.open,
        terrain.passable,
        np.ones(len(graph.rooms), np.int64),
        need=need,
        start=terrain.start,
        goal=terrain.goal,
        k=k,
    )
    return _ways_of(found) or None


def _ways_of(found: DisjointWays) -> list[Way]:
    return [tuple(way.tolist()) for way in found.ways]


def _flow_steps(terrain: Terrain) -> int:
    """Return what a flow counts of the steps of a search: compiled, twenty links are looked at in the time of one."""
    return _CALL_STEPS + len(terrain.open) // 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """What every set of disjoint routes must share out: each group of nodes and each link serves one route."""

    width: int
    groups: frozenset[str]
    links: frozenset[int]


def _cut_between(terrain: Terrain, need: int, k: int) -> _Cut | None:
    """Return a least cut of fewer than k groups and direct links, or None when there is none.

    Every location counts as one node here, wherever its nodes are; so a cut forbids k routes for sure, while its
    absence does not yet promise them.
    """
    wiring = terrain.graph.wiring
    numbers: dict[str, int] = {}
    group_of: Int32s = np.array(
        [numbers.setdefault(terrain.group(node), len(numbers)) for node in range(len(wiring.nodes))], np.int32
    )
    tails, heads = group_of[wiring.net.tails], group_of[wiring.net.heads]
    there = terrain.passable.copy()
    there[[terrain.start, terrain.goal]] = True
    kept = np.flatnonzero((tails != heads) & terrain.open & there[wiring.net.tails] & there[wiring.net.heads])
    found = cheapest_disjoint(
        net_of(len(numbers), np.stack([tails[kept], heads[kept]], axis=1)),
        terrain.graph.rooms[kept],
        np.ones(len(kept), np.bool_),
        np.ones(len(numbers), np.bool_),
        np.ones(len(kept), np.int64),
        need=need,
        start=int(group_of[terrain.start]),
        goal=int(group_of[terrain.goal]),
        k=k,
    )
    if found.ways:
        return None
    names = list(numbers)
    return _Cut(
        width=found.most,
        groups=frozenset(names[group] for group in found.cut_nodes.tolist()),
        links=frozenset(kept[found.cut_links].tolist()),
    )


def _searched(limits: Terrain, need: int, k: int, known: list[Way] | None, meter: Meter) -> list[Way] | None:
    """Return the shortest allowed set by trying first routes in order, each with the best set of the others.

    `known` is an allowed set, if there is one: only shorter ones are looked for.
    """
    best = known
    free = loosened(limits)
    bound = k * limits.most + 1 if known is None else sum(map(len, known))

    def extend(terrain: Terrain, chosen: list[Way]) -> None:
        nonlocal best, bound
        left = k - len(chosen)
        length = sum(map(len, chosen))
        for way in ways_in_order(terrain, need, meter):
            meter.spend(len(way))
            # The routes of a set are chosen in their order, so none of the others is shorter.
            if len(way) > limits.most or length + left * len(way) >= bound:
                return
            if chosen and order_of(free, way) < order_of(free, chosen[-1]):
                continue
            now = [*chosen, way]
            if left == 1:
                if _allowed_together(limits, now):
                    best, bound = now, length + len(way)
                    return
                continue
            touched = {terrain.group(node) for node in terrain.nodes_on(way)[1:-1]}
            rest = terrain.closing(
                (node for node in range(len(terrain.passable)) if terrain.group(node) in touched), way
            )
            meter.spend(_flow_steps(rest))
            others = _flow_ways(rest, need, left - 1)
            if others is not None and length + len(way) + sum(map(len, others)) < bound:
                extend(rest, now)

    extend(free, [])
    return best


def _why_none(terrain: Terrain, demand: Demand, need: int, k: int, meter: Meter) -> Precondition:
    if terrain.unmet:
        return no_route(terrain.graph, demand)
    passing_nothing = replace(loosened(terrain), most=terrain.most)
    if best_way(passing_nothing, ANY_ROOM, Meter(None)) is None:
        return no_route(terrain.graph, replace(demand, pass_nodes=frozenset(), pass_links=frozenset()))
    rooms = terrain.graph.room_list
    if _shortest_set(terrain, ANY_ROOM, k, meter) is None:
        return _no_disjoint(terrain, demand, k)
    widest, ways = _widest_set(terrain, need, k)
    names = terrain.graph.wiring.links
    return no_capacity(
        f"no set of {k} disjoint routes from nodes/{demand.source} to nodes/{demand.target}",
        need=need,
        widest=widest,
        tight=sorted(names[link] for way in ways for link in way if rooms[link] <= widest),
        short=sorted(names[link] for way in ways for link in way if rooms[link] < need),
    )


def _widest_set(terrain: Terrain, need: int, k: int) -> tuple[int, list[Way]]:
    """Return the most room, less than `need`, that some allowed set has on all its links, and the shortest with it."""
    graph = terrain.graph
    ones = np.ones(len(graph.rooms), np.int64)
    found = widest_disjoint(
        graph.wiring.net,
        graph.rooms,
        terrain.open,
        terrain.passable,
        ones,
        need=ANY_ROOM,
        start=terrain.start,
        goal=terrain.goal,
        k=k,
    )
    ways = _ways_of(found)
    if found.room < need and _allowed_together(terrain, ways):
        return found.room, ways
    steps = sorted({room for room in graph.room_list if room < need})
    widest, ways = ANY_ROOM, []
    low, high = 0, len(steps)
    while low < high:
        middle = (low + high) // 2
        shortest = _shortest_set(terrain, steps[middle], k, Meter())
        if shortest is None:
            high = middle
        else:
            ways, widest, low = shortest, steps[middle], middle + 1
    return widest, ways


def _no_disjoint(terrain: Terrain, demand: Demand, k: int) -> Precondition:
    wiring = terrain.graph.wiring
    between = f"from nodes/{demand.source} to nodes/{demand.target}"
    facts: dict[str, object] = {"source": demand.source, "target": demand.target, "shares": k}
    cut = _cut_between(terrain, ANY_ROOM, k)
    if cut is None:
        limits = [name for name in ("max_hops", "pass_nodes", "pass_links") if getattr(demand, name)]
        free = _flow_ways(terrain, ANY_ROOM, k) or []
        of_place: dict[str, set[int]] = {}
        for way in free:
            for node in terrain.nodes_on(way)[1:-1]:
                of_place.setdefault(terrain.group(node), set()).add(node)
        shared = {place: nodes for place, nodes in of_place.items() if len(nodes) > 1}
        meeting = f" without meeting at location {listed(shared)}" if shared else ""
        keeping = f" within {' and '.join(limits)}" if limits else ""
        return Precondition(
            "NO_DISJOINT_ROUTES",
            f"no {k} disjoint routes {between}{meeting}{keeping};"
            " ask for fewer shares, loosen the limits, or add links elsewhere",
            {
                **facts,
                "constraint": ",".join(limits),
                "bottleneck_nodes": ",".join(sorted(wiring.nodes[node] for nodes in shared.values() for node in nodes)),
                "bottleneck_locations": ",".join(sorted(shared)),
                "bottleneck_links": "",
            },
        )
    members = [
        node
        for node, passable in enumerate(terrain.passable)
        if passable and node not in (terrain.start, terrain.goal) and terrain.group(node) in cut.groups
    ]
    nodes = sorted(wiring.nodes[node] for node in members)
    locations = sorted(cut.groups & {wiring.places[node] for node in members} - {f"nodes/{name}" for name in nodes})
    links = sorted(wiring.links[link] for link in cut.links)
    passed = listed([f"nodes/{name}" for name in nodes] + [f"links/{name}" for name in links])
    where = f" (one location serves one route: {listed(locations)})" if locations else ""
    return Precondition(
        "NO_DISJOINT_ROUTES",
        f"at most {cut.width} of {k} disjoint routes {between}: every route passes {passed}{where};"
        " ask for fewer shares, or add links around the bottleneck",
        {
            **facts,
            "possible_shares": cut.width,
            "bottleneck_nodes": ",".join(nodes),
            "bottleneck_locations": ",".join(locations),
            "bottleneck_links": ",".join(links),
        },
    )
