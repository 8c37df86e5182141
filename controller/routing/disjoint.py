"""Disjoint routes for the shares of a key relay, or the bottleneck that forbids them."""

import heapq
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from controller.domain.capacity import link_charge_millibit_per_s
from controller.domain.key_relay import Demand
from controller.domain.refusals import InvalidValue, Precondition, TooHard
from controller.domain.route import Route
from controller.routing.explain import listed, no_capacity, no_route
from controller.routing.flow import Flow
from controller.routing.graph import Graph
from controller.routing.key_relay import find_route
from controller.routing.search import Way, best_way, loosened, order_of, ways_in_order
from controller.routing.terrain import ANY_ROOM, Meter, Terrain, terrain_of

_SPREAD_TRIES: Final = 64
"""How many ways of leaving contested locations to one route are tried before the full search."""


def find_routes(graph: Graph, demand: Demand) -> tuple[Route, ...]:
    """Return the routes of a demand, one per share; raises as `find_route` and `find_disjoint_routes`.

    Where the demand asks for a backup, they are routes that leave room for one, if there are such; whether there are
    is `find_backup`'s to say.
    """
    if demand.protected and not (demand.pass_nodes or demand.pass_links):
        try:
            return find_disjoint_routes(graph, demand, 2 * demand.shares)[: demand.shares]
        except (Precondition, TooHard):
            pass  # without a backup then, or with one that is found route by route
    return find_disjoint_routes(graph, demand, demand.shares)


def find_backup(graph: Graph, demand: Demand, routes: Sequence[Route]) -> tuple[Route, ...]:
    """Return backup routes for a demand that has these: one per share, disjoint from them and from each other.

    What is to be passed is passed by the routes, and not asked of the backup. The routes may or may not be charged on
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
        beside: Routes between the same ends with which they share nothing either.

    Raises:
        NotFound: Source or target is no node of the network.
        Precondition: NO_ROUTE: not even one; NO_DISJOINT_ROUTES: fewer than k, names the nodes, locations and
            links that all must pass; NO_CAPACITY: k, but too narrow.
        TooHard: The exact search is out of steps.
    """
    if k < 1:
        raise InvalidValue("", ("shares", f"{k} is not positive"))
    if beside:
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
    if terrain.unmet or _cut_between(terrain, need, k, meter) is not None:
        return None
    ways = _flow_ways(terrain, need, k, meter)
    least = 0 if ways is None else sum(map(len, ways))
    if ways is None or least > k * terrain.most:
        return None
    spread = _spread(terrain, need, k, ways, meter)
    if spread is not None and sum(map(len, spread)) == least:
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
            found = _flow_ways(narrower, need, k, meter)
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


def _flow_ways(terrain: Terrain, need: int, k: int, meter: Meter) -> list[Way] | None:
    """Return k ways of fewest links in all that share no node, locations aside; None when there are fewer."""
    flow = Flow[tuple[int, str]]()
    arcs: list[tuple[int, int, int, int]] = []
    for node, passable in enumerate(terrain.passable):
        if node in (terrain.start, terrain.goal):
            continue
        if passable:
            flow.add((node, "in"), (node, "out"), 1, 0)
    for node in range(len(terrain.passable)):
        if node == terrain.goal or not (terrain.passable[node] or node == terrain.start):
            continue
        for link, far in terrain.ways(node, need):
            if far != terrain.start and (terrain.passable[far] or far == terrain.goal):
                arcs.append((flow.add((node, "out"), (far, "in"), 1, 1), node, link, far))
    meter.spend(len(arcs))
    if flow.send((terrain.start, "out"), (terrain.goal, "in"), k) < k:
        return None
    onward: dict[int, tuple[int, int]] = {}
    ways: list[Way] = []
    first: list[tuple[int, int]] = []
    for arc, node, link, far in arcs:
        if flow.used(arc):
            if node == terrain.start:
                first.append((link, far))
            else:
                onward[node] = (link, far)
    for link, node in first:
        way = [link]
        at = node
        while at != terrain.goal:
            step, at = onward[at]
            way.append(step)
        ways.append(tuple(way))
    return ways


@dataclass(frozen=True, slots=True, kw_only=True)
class _Cut:
    """What every set of disjoint routes must share out: each group of nodes and each link serves one route."""

    width: int
    groups: frozenset[str]
    links: frozenset[int]


def _cut_between(terrain: Terrain, need: int, k: int, meter: Meter) -> _Cut | None:
    """Return a least cut of fewer than k groups and direct links, or None when there is none.

    Every location counts as one node here, wherever its nodes are; so a cut forbids k routes for sure, while its
    absence does not yet promise them.
    """
    flow = Flow[tuple[str, str]]()
    source, sink = ("start", "out"), ("goal", "in")
    groups: set[str] = set()

    def vertex(node: int, side: str) -> tuple[str, str]:
        if node == terrain.start:
            return source
        return sink if node == terrain.goal else (terrain.group(node), side)

    direct: set[int] = set()
    steps = 0
    for node, passable in enumerate(terrain.passable):
        if node == terrain.goal or not (passable or node == terrain.start):
            continue
        if node != terrain.start and (group := terrain.group(node)) not in groups:
            groups.add(group)
            flow.add((group, "in"), (group, "out"), 1, 0)
        for link, far in terrain.ways(node, need):
            if far == terrain.start or not (terrain.passable[far] or far == terrain.goal):
                continue
            steps += 1
            at_ends = node == terrain.start and far == terrain.goal
            if at_ends:
                direct.add(link)
            flow.add(vertex(node, "out"), vertex(far, "in"), 1 if at_ends else k, 0)
    meter.spend(steps)
    width = flow.send(source, sink, k)
    if width == k:
        return None
    near = flow.reachable(source)
    return _Cut(
        width=width,
        groups=frozenset(group for group in groups if (group, "in") in near and (group, "out") not in near),
        links=frozenset(direct),
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
            others = _flow_ways(rest, need, left - 1, meter)
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
        return _no_disjoint(terrain, demand, k, meter)
    steps = sorted({room for room in rooms if room < need})
    low, high = 0, len(steps)
    ways: list[Way] = []
    widest = ANY_ROOM
    while low < high:
        middle = (low + high) // 2
        found = _shortest_set(terrain, steps[middle], k, Meter())
        if found is None:
            high = middle
        else:
            ways, widest, low = found, steps[middle], middle + 1
    names = terrain.graph.wiring.links
    return no_capacity(
        f"no set of {k} disjoint routes from nodes/{demand.source} to nodes/{demand.target}",
        need=need,
        widest=widest,
        tight=sorted(names[link] for way in ways for link in way if rooms[link] <= widest),
        short=sorted(names[link] for way in ways for link in way if rooms[link] < need),
    )


def _no_disjoint(terrain: Terrain, demand: Demand, k: int, meter: Meter) -> Precondition:
    wiring = terrain.graph.wiring
    between = f"from nodes/{demand.source} to nodes/{demand.target}"
    facts: dict[str, object] = {"source": demand.source, "target": demand.target, "shares": k}
    cut = _cut_between(terrain, ANY_ROOM, k, meter)
    if cut is None:
        limits = [name for name in ("max_hops", "pass_nodes", "pass_links") if getattr(demand, name)]
        free = _flow_ways(terrain, ANY_ROOM, k, meter) or []
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
