"""Why there is no route, for a person and for a program: what separates the ends, or which links lack room."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

import numpy as np

from controller.domain.capacity import rate_within
from controller.domain.key_relay import Demand
from controller.domain.refusals import Precondition, TooHard
from controller.routing.graph import Graph
from controller.routing.search import Way, best_way, widest_way
from controller.routing.terrain import ANY_ROOM, Meter, Terrain, terrain_of

_NAMED: Final = 12
"""How many names of one kind a message lists before it only counts the rest."""

_CONSTRAINTS: Final = {
    "pass_links": frozenset[str](),
    "pass_nodes": frozenset[str](),
    "max_hops": None,
    "trust_domains": frozenset[str](),
    "avoid_links": frozenset[str](),
    "avoid_nodes": frozenset[str](),
}
"""What may narrow a demand, and the value with which it does not; in the order in which they are suspected."""


def bit_per_s(rate_millibit_per_s: int) -> str:
    """Return a rate in bit/s, exactly.

    >>> bit_per_s(1500), bit_per_s(2000), bit_per_s(854), bit_per_s(-10)
    ('1.5', '2', '0.854', '-0.01')
    """
    sign = "-" if rate_millibit_per_s < 0 else ""
    whole, rest = divmod(abs(rate_millibit_per_s), 1000)
    return f"{sign}{whole}.{rest:03}".rstrip("0").rstrip(".") if rest else f"{sign}{whole}"


def listed(names: Iterable[str]) -> str:
    """Return names for a message, sorted, and cut short where they are many.

    >>> listed(["links/b", "links/a"])
    'links/a, links/b'
    """
    ordered = sorted(names)
    more = len(ordered) - _NAMED
    return ", ".join(ordered[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def why_none(terrain: Terrain, demand: Demand, need: int, meter: Meter) -> Precondition:
    """Return why a demand that needs that room on every link has no route: NO_ROUTE or NO_CAPACITY.

    Raises:
        TooHard: Something is to be passed, and the exact search for it is out of steps.
    """
    widest = widest_way(terrain, meter)
    if widest is None:
        return no_route(terrain.graph, demand)
    return _no_capacity(terrain, demand, need, *widest)


def no_route(graph: Graph, demand: Demand) -> Precondition:
    """Return what separates the ends of a demand that would have no route with all the capacity in the world."""
    between = f"no route from nodes/{demand.source} to nodes/{demand.target}"
    facts: dict[str, object] = {"source": demand.source, "target": demand.target}
    bare = replace(demand, **_CONSTRAINTS)  # type: ignore[arg-type]  # by name, each of its own type
    if best_way(terrain_of(graph, bare), ANY_ROOM, Meter()) is None:
        return _separated(terrain_of(graph, bare), between, facts)
    stated = [name for name, free in _CONSTRAINTS.items() if getattr(demand, name) != free]
    for name in stated:
        freer = replace(demand, **{name: _CONSTRAINTS[name]})  # type: ignore[arg-type]  # as above
        try:
            way = best_way(terrain_of(graph, freer), ANY_ROOM, Meter())
        except TooHard:
            continue
        if way is not None:
            return _constrained(graph, demand, [name], f"; without it there is one of {_links(way)}")
    return _constrained(graph, demand, stated, "; no single one of them is the reason")


def _links(way: Way) -> str:
    return f"{len(way)} link{'s' if len(way) != 1 else ''}"


def _constrained(graph: Graph, demand: Demand, names: list[str], hint: str) -> Precondition:
    facts: dict[str, object] = {"source": demand.source, "target": demand.target, "constraint": ",".join(names)}
    told = []
    for name in names:
        value = getattr(demand, name)
        told.append(f"{name} = {value if name == 'max_hops' else listed(value)}")
    unmet = terrain_of(graph, demand).unmet
    reasons = []
    for resource in unmet:
        unusable = graph.unusable.get(resource.removeprefix("links/"))
        reasons.append(f"{resource} ({unusable.why if unusable else 'does not exist'})")
    if reasons and any(name.startswith("pass") for name in names):
        hint = f"; not usable: {', '.join(reasons)}" + hint
        facts = {**facts, "unusable": ",".join(unmet)}
    return Precondition(
        "NO_ROUTE",
        f"no route from nodes/{demand.source} to nodes/{demand.target} keeps {' and '.join(told)}{hint};"
        f" loosen {'it' if len(names) == 1 else 'one of them'}",
        facts,
    )


def _separated(terrain: Terrain, between: str, facts: dict[str, object]) -> Precondition:
    """Return the refusal for ends that the usable links do not join."""
    wiring = terrain.graph.wiring
    everywhere = replace(terrain, passable=np.ones(len(wiring.nodes), np.bool_))
    way = best_way(everywhere, ANY_ROOM, Meter())
    if way is not None:
        blocking = [wiring.nodes[node] for node in everywhere.nodes_on(way)[1:-1] if not wiring.relaying[node]]
        return Precondition(
            "NO_ROUTE",
            f"{between}: the way leads over {listed(f'nodes/{name}' for name in blocking)},"
            " which can't relay keys; give them the capability or add links around them",
            {**facts, "not_relaying": ",".join(sorted(blocking))},
        )
    sides = [reached(terrain, end, ANY_ROOM) for end in (terrain.start, terrain.goal)]
    side = {wiring.nodes[node] for node in min(sides, key=len)}
    joining = {
        name: unusable.why
        for name, unusable in sorted(terrain.graph.unusable.items())
        if (unusable.nodes[0] in side) != (unusable.nodes[1] in side)
    }
    told = [f"links/{name} ({why})" for name, why in joining.items()]
    remedy = (
        f"bring back one of {listed(told)}" if told else "no link, not even an unusable one, leaves them: add a link"
    )
    return Precondition(
        "NO_ROUTE",
        f"{between}: no usable link joins {listed(f'nodes/{name}' for name in side)} with the rest; {remedy}",
        {**facts, "separated_nodes": ",".join(sorted(side)), "unusable_links": ",".join(joining)},
    )


def reached(terrain: Terrain, origin: int, need: int) -> set[int]:
    """Return the nodes that ways with that room reach from an end, without passing the other end."""
    ends = (terrain.start, terrain.goal)
    seen, queue = {origin}, [origin]
    while queue:
        node = queue.pop()
        if node != origin and (node in ends or not terrain.passable[node]):
            continue
        for _, far in terrain.ways(node, need):
            if far not in seen:
                seen.add(far)
                queue.append(far)
    return seen


def _no_capacity(terrain: Terrain, demand: Demand, need: int, widest: int, way: Way) -> Precondition:
    wiring, rooms = terrain.graph.wiring, terrain.graph.room_list
    bounded = demand.max_hops is not None or demand.no_trusted_transit
    plain = not bounded and not demand.pass_nodes and not demand.pass_links
    tight = _cut(terrain, widest) if plain else [link for link in way if rooms[link] <= widest]
    names = sorted(wiring.links[link] for link in tight)
    return no_capacity(
        f"no route from nodes/{demand.source} to nodes/{demand.target}",
        need=need,
        widest=widest,
        tight=names,
        short=sorted(wiring.links[link] for link in way if rooms[link] < need),
    )


def no_capacity(what: str, *, need: int, widest: int, tight: list[str], short: list[str]) -> Precondition:
    """Return the refusal NO_CAPACITY. Rates in millibit/s on a link: what is carried, and its tags.

    Facts: `bottleneck_links` hold the widest routes down; `short_links` are those of the best of the widest routes
    that are too narrow, so that the demand fits once each has `missing_bit_per_s` more; `possible_bit_per_s` is the
    largest rate that fits now.
    """
    possible = rate_within(max(widest, 0))
    return Precondition(
        "NO_CAPACITY",
        f"{what} has {bit_per_s(need)} bit/s free on every link (rate and tags);"
        f" the bottleneck is {listed(f'links/{name}' for name in tight)} with {bit_per_s(max(widest, 0))} bit/s free:"
        f" {bit_per_s(need - widest)} bit/s are missing; "
        + (f"a relay of {bit_per_s(possible)} bit/s would fit now" if possible else "nothing fits there now"),
        {
            "bottleneck_links": ",".join(tight),
            "short_links": ",".join(short),
            "missing_bit_per_s": bit_per_s(need - widest),
            "possible_bit_per_s": bit_per_s(possible),
        },
    )


def _cut(terrain: Terrain, widest: int) -> list[int]:
    """Return a least set of links, none roomier than the widest way, of which every way uses one."""
    rooms = terrain.graph.room_list
    near = reached(terrain, terrain.start, widest + 1)
    near = {node for node in near if terrain.passable[node] or node == terrain.start}
    # What lies on neither side matters to no way: only links into the goal's part are cut.
    beyond, queue = {terrain.goal}, [terrain.goal]
    cut: set[int] = set()
    while queue:
        node = queue.pop()
        for link, far in terrain.ways(node, ANY_ROOM):
            if far in near:
                cut.add(link)
            elif far not in beyond and terrain.passable[far]:
                beyond.add(far)
                queue.append(far)
    assert all(rooms[link] <= widest for link in cut)
    return sorted(cut)
