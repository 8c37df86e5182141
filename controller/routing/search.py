"""The best way through a terrain: fewest links, then roomiest bottleneck, then first link names."""

import heapq
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from controller.routing.kernels import widest
from controller.routing.kernels.compiled import NONE
from controller.routing.kernels.hops import fewest_way
from controller.routing.kernels.k_shortest import ShortestWays
from controller.routing.passing import way_through
from controller.routing.terrain import ANY_ROOM, Meter, Quest, Terrain, whole_quest

Way = tuple[int, ...]
"""Links by number, from the terrain's start or a quest's place towards the goal."""


def best_rest(terrain: Terrain, quest: Quest, meter: Meter) -> Way | None:
    """Return the best rest of a route, or None when there is none.

    Raises:
        TooHard: Something is to be passed, and the exact search for it is out of steps.
    """
    if terrain.unmet:
        return None
    if quest.must_nodes or quest.must_links:
        return way_through(terrain, quest, meter)
    return _fewest(terrain, quest, meter)


def best_way(terrain: Terrain, need: int, meter: Meter) -> Way | None:
    """Return the best way whose links all have the room, or None when there is none."""
    return best_rest(terrain, whole_quest(terrain, need), meter)


def widest_way(terrain: Terrain, meter: Meter) -> tuple[int, Way] | None:
    """Return the largest room that some way has on all its links, and the best way with it; None without a way.

    Raises:
        TooHard: Something is to be passed, and the exact search for it is out of steps.
    """
    if terrain.unmet:
        return None
    if not (terrain.must_nodes or terrain.must_links):
        graph = terrain.graph
        room, way = widest.widest_way(
            graph.wiring.net,
            graph.rooms,
            terrain.open,
            terrain.passable,
            ANY_ROOM,
            terrain.start,
            terrain.goal,
            graph.wiring.hop_marks,
            most=terrain.most,
        )
        return None if way.cost == NONE else (room, tuple(way.links.tolist()))
    rooms: list[int] = np.unique(terrain.graph.rooms[terrain.open]).tolist()
    found: tuple[int, Way] | None = None
    low, high = 0, len(rooms)
    while low < high:
        middle = (low + high) // 2
        through = best_way(terrain, rooms[middle], meter)
        if through is None:
            high = middle
        else:
            found, low = (rooms[middle], through), middle + 1
    return found


def ways_in_order(terrain: Terrain, need: int, meter: Meter) -> Iterator[Way]:
    """Yield every loop-free way that the terrain allows, best first, each found when it is asked for.

    Raises:
        TooHard: The steps are spent.
    """
    if terrain.unmet:
        return
    if terrain.must_nodes or terrain.must_links:
        yield from _passing_in_order(terrain, need, meter)
        return
    graph = terrain.graph
    ways = ShortestWays(
        graph.wiring.net,
        graph.wiring.unit_costs,
        graph.rooms,
        terrain.open,
        terrain.passable,
        need,
        terrain.start,
        terrain.goal,
        graph.wiring.hop_marks,
        most=terrain.most,
        steps=meter.left,
    )
    for found in ways:
        meter.spend(found.steps)
        yield tuple(found.links.tolist())


def _passing_in_order(terrain: Terrain, need: int, meter: Meter) -> Iterator[Way]:
    """Yield the ways that pass what is to be passed, best first.

    Lawler's partition of Yen's: what is left after a way was yielded falls into the ways that leave it at its
    first link, its second, ...; each part has one best way, and the best of all parts is the next.
    """
    whole = best_way(terrain, need, meter)
    if whole is None:
        return
    none: frozenset[int] = frozenset()
    parts = [(order_of(terrain, whole), 0, none)]
    while parts:
        (_, _, way), leaves_at, barred = heapq.heappop(parts)
        yield way
        nodes = terrain.nodes_on(way)
        for index in range(leaves_at, len(way)):
            now_barred = barred | {way[index]} if index == leaves_at else frozenset({way[index]})
            walked = way[:index]
            quest = Quest(
                at=nodes[index],
                need=need,
                cap=terrain.bottleneck(walked),
                behind=frozenset(nodes[:index]),
                barred=now_barred,
                most=terrain.most - index,
                must_nodes=terrain.must_nodes.difference(nodes[: index + 1]),
                must_links=terrain.must_links.difference(walked),
            )
            rest = best_rest(terrain, quest, meter)
            if rest is not None:
                heapq.heappush(parts, (order_of(terrain, walked + rest), index, now_barred))


def order_of(terrain: Terrain, way: Way) -> tuple[int, int, Way]:
    """Return what whole ways are ordered by, the best first."""
    return len(way), -terrain.bottleneck(way), way


def _fewest(terrain: Terrain, quest: Quest, meter: Meter) -> Way | None:
    """Return the best rest when nothing is to be passed. Cost: O(links), mostly only those near the way."""
    graph = terrain.graph
    wiring = graph.wiring
    behind = None
    if quest.behind:
        behind = np.zeros(len(wiring.nodes), np.bool_)
        behind[list(quest.behind)] = True
    found = fewest_way(
        wiring.net,
        graph.rooms,
        terrain.open,
        terrain.passable,
        quest.need,
        start=quest.at,
        goal=terrain.goal,
        most=quest.most,
        barred=np.array(sorted(quest.barred), np.int32),
        behind=behind,
        cap=quest.cap,
        marks=wiring.hop_marks,
    )
    meter.spend(found.steps)
    return None if found.cost == NONE else tuple(found.links.tolist())


def loosened(terrain: Terrain) -> Terrain:
    """Return the terrain without limits on length and without anything to pass."""
    return replace(
        terrain,
        most=len(terrain.graph.wiring.nodes) - 1,
        must_nodes=frozenset(),
        must_links=frozenset(),
        unmet=(),
    )
