"""The best way through a terrain: fewest links, then roomiest bottleneck, then first link names."""

import heapq
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import cast

import networkx as nx

from controller.routing.terrain import BOUNDLESS, Meter, Quest, Terrain, whole_quest

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
        return _through(terrain, quest, meter)
    return _fewest(terrain, quest, meter)


def best_way(terrain: Terrain, need: int, meter: Meter) -> Way | None:
    """Return the best way whose links all have the room, or None when there is none."""
    return best_rest(terrain, whole_quest(terrain, need), meter)


def widest_way(terrain: Terrain, meter: Meter) -> tuple[int, Way] | None:
    """Return the largest room that some way has on all its links, and the best way with it; None without a way."""
    rooms = sorted({room for room, is_open in zip(terrain.graph.rooms, terrain.open, strict=True) if is_open})
    found: tuple[int, Way] | None = None
    low, high = 0, len(rooms)
    while low < high:
        middle = (low + high) // 2
        way = best_way(terrain, rooms[middle], meter)
        if way is None:
            high = middle
        else:
            found, low = (rooms[middle], way), middle + 1
    return found


def ways_in_order(terrain: Terrain, need: int, meter: Meter) -> Iterator[Way]:
    """Yield every loop-free way that the terrain allows, best first, each found when it is asked for.

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
    """Return the best rest when nothing is to be passed. Cost: O(links).

    Names can't ride along in one search: of two partial ways the roomier survives, yet a narrow link further on
    can make both equal, and then the other's names might have come first. So room is settled from the goal and
    names from the start.
    """
    start, goal, need = quest.at, terrain.goal, quest.need
    rooms = terrain.graph.rooms
    rings: list[dict[int, int]] = [{goal: BOUNDLESS}]  # the k-th: nodes k links off, and the room on from there
    seen = {goal, *quest.behind}
    while start not in rings[-1]:
        if len(rings) > quest.most:
            return None
        ring: dict[int, int] = {}
        meter.spend(len(rings[-1]))
        for node, room in rings[-1].items():
            for link, far in terrain.ways(node, need):
                if far in seen or not (terrain.passable[far] or far == start):
                    continue
                if far == start and link in quest.barred:
                    continue
                ring[far] = max(ring.get(far, need), min(rooms[link], room))
        if not ring:
            return None
        seen |= ring.keys()
        rings.append(ring)
    bottleneck = min(quest.cap, rings[-1][start])
    node, way = start, list[int]()
    for ring in reversed(rings[:-1]):
        link, node = next(
            (link, far)
            for link, far in terrain.ways(node, need)
            if far in ring and min(rooms[link], ring[far]) >= bottleneck and (way or link not in quest.barred)
        )
        way.append(link)
    return tuple(way)


def _through(terrain: Terrain, quest: Quest, meter: Meter) -> Way | None:
    """Return the best rest that passes all it must. Exact, and exponential at worst: the meter ends it.

    A walk that passes two places may have to cross itself, so shortest parts can't be joined: loop-free ways
    of growing length are walked in the order of their names, and only left where the rest is provably too
    long or no roomier than the best so far.
    """
    inside = _on_some_way(terrain, quest)
    if not inside or not all(
        node in inside
        for node in (*quest.must_nodes, *(end for link in quest.must_links for end in terrain.graph.wiring.ends[link]))
    ):
        return None
    if not all(terrain.open[link] and terrain.graph.rooms[link] >= quest.need for link in quest.must_links):
        return None
    far_to = _Distances(terrain, quest, inside)
    limit = min(quest.most, len(inside) - 1)
    length = far_to.still(quest.at, quest.must_nodes, quest.must_links)
    while length <= limit:
        way, longer = _of_length(terrain, quest, int(length), far_to, meter)
        if way is not None:
            return way
        if longer > limit:
            return None
        length = longer
    return None


def _of_length(
    terrain: Terrain, quest: Quest, length: int, far_to: "_Distances", meter: Meter
) -> tuple[Way | None, float]:
    """Return the best rest of exactly that length, and the least length of what was left as too long."""
    rooms, goal = terrain.graph.rooms, terrain.goal
    best: Way | None = None
    best_room = quest.need - 1
    longer = math.inf
    way: list[int] = []
    visited = [quest.at]
    on_way = {quest.at}
    capped = [quest.cap]
    choices = [iter([step for step in terrain.ways(quest.at, quest.need) if step[0] not in quest.barred])]
    musts = [(quest.must_nodes, quest.must_links)]
    while choices:
        step = next(choices[-1], None)
        if step is None:
            choices.pop()
            musts.pop()
            capped.pop()
            on_way.discard(visited.pop())
            if way:
                way.pop()
            continue
        link, far = step
        room = min(capped[-1], rooms[link])
        if far in on_way or far not in far_to.inside or room <= best_room:
            continue
        meter.spend(1)
        nodes, links = musts[-1][0] - {far}, musts[-1][1] - {link}
        if far == goal and (nodes or links):
            continue
        total = len(way) + 1 + far_to.still(far, nodes, links)
        if total > length:
            longer = min(longer, total)
            continue
        if far == goal:
            if total == length:
                best, best_room = (*way, link), room
            continue
        way.append(link)
        visited.append(far)
        on_way.add(far)
        capped.append(room)
        musts.append((nodes, links))
        choices.append(iter(list(terrain.ways(far, quest.need))))
    return best, longer


class _Distances:
    """Lower bounds of how many links are still to go, from plain distances."""

    def __init__(self, terrain: Terrain, quest: Quest, inside: set[int]) -> None:
        self._terrain = terrain
        self.inside = inside
        self._need = quest.need
        self._ends = terrain.graph.wiring.ends
        self._goal = self._from(terrain.goal)
        targets = {*quest.must_nodes, *(end for link in quest.must_links for end in self._ends[link])}
        self._from_node = {node: self._from(node) for node in targets}

    def _from(self, origin: int) -> dict[int, int]:
        distance = {origin: 0}
        ring = [origin]
        while ring:
            following = []
            for node in ring:
                for _, far in self._terrain.ways(node, self._need):
                    if far in self.inside and far not in distance:
                        distance[far] = distance[node] + 1
                        following.append(far)
            ring = following
        return distance

    def still(self, node: int, must_nodes: frozenset[int], must_links: frozenset[int]) -> float:
        """Return the least number of links from a node past any one of the musts to the goal."""
        least: float = self._goal.get(node, math.inf)
        for must in must_nodes:
            way = self._from_node[must]
            least = max(least, way.get(node, math.inf) + way.get(self._terrain.goal, math.inf))
        for link in must_links:
            a, b = self._ends[link]
            there, beyond = self._from_node[a], self._from_node[b]
            least = max(
                least,
                1
                + min(
                    there.get(node, math.inf) + self._goal.get(b, math.inf),
                    beyond.get(node, math.inf) + self._goal.get(a, math.inf),
                ),
            )
        return least


def _on_some_way(terrain: Terrain, quest: Quest) -> set[int]:
    """Return the nodes that lie on some loop-free rest, taken one at a time.

    A node lies on a loop-free way from a to b just when it shares a block (biconnected component) with the
    link a-b once that link is added.
    """
    start, goal = quest.at, terrain.goal
    plain: nx.Graph[int] = nx.Graph()
    plain.add_edge(start, goal)
    walked = {start, goal}
    queue = [start]
    while queue:
        node = queue.pop()
        for link, far in terrain.ways(node, quest.need):
            if far in quest.behind or (far not in (goal, start) and not terrain.passable[far]):
                continue
            if start in (node, far) and link in quest.barred:
                continue
            plain.add_edge(node, far)
            if far not in walked:
                walked.add(far)
                queue.append(far)
    blocks = cast(Iterable[set[int]], nx.biconnected_components(plain))  # the stubs say one block, not many
    return next(block for block in blocks if start in block and goal in block)


def loosened(terrain: Terrain) -> Terrain:
    """Return the terrain without limits on length and without anything to pass."""
    return replace(
        terrain,
        most=len(terrain.graph.wiring.nodes) - 1,
        must_nodes=frozenset(),
        must_links=frozenset(),
        unmet=(),
    )
