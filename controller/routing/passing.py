"""The best way that passes given nodes and links: an exact search, within a step budget."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final, cast

import networkx as nx

from controller.routing.terrain import Meter, Quest, Terrain

_ORDERS_UP_TO: Final = 7
"""Of so many things to pass every order is weighed for the bound; of more, each is taken alone."""

Item = tuple[int, int]
"""What is to be passed: (node, node), or the two ends of a link in either order."""


def way_through(terrain: Terrain, quest: Quest, meter: Meter) -> tuple[int, ...] | None:
    """Return the best rest of a route that passes all it must, or None when there is none.

    A walk that passes two places may have to cross itself, so shortest parts can't be joined: loop-free ways of
    growing length are walked in the order of their names, and left where the rest is provably too long. The first
    one found settles the length; then the room at the bottleneck is halved in on; the first in order of names with
    that room is the best.

    Raises:
        TooHard: The steps are spent before it is settled.
    """
    found = _shortest(terrain, quest, meter)
    if found is None:
        return None
    rooms = terrain.graph.room_list
    length = len(found)
    low = min(rooms[link] for link in found)
    widths = sorted({min(room, quest.cap) for room in rooms if room > low} if low < quest.cap else set())
    while widths:
        middle = len(widths) // 2
        wider = _Walk(terrain, replace(quest, need=widths[middle])).of_length(length, meter)[0]
        if wider is None:
            widths = widths[:middle]
        else:
            found = wider
            reached = min(*(rooms[link] for link in wider), quest.cap)
            widths = [width for width in widths if width > reached]
    width = min(*(rooms[link] for link in found), quest.cap)
    return _Walk(terrain, replace(quest, need=max(width, quest.need))).of_length(length, meter)[0]


def _shortest(terrain: Terrain, quest: Quest, meter: Meter) -> tuple[int, ...] | None:
    walk = _Walk(terrain, quest)
    length = walk.least
    while length <= walk.most:
        way, longer = walk.of_length(int(length), meter)
        if way is not None:
            return way
        length = longer
    return None


class _Walk:
    """A search among the loop-free rests that have the room, with lower bounds of what is still to go."""

    def __init__(self, terrain: Terrain, quest: Quest) -> None:
        self._terrain = terrain
        self._quest = quest
        self._ends = terrain.graph.wiring.ends
        self._inside = _on_some_way(terrain, quest)
        self._bounds: dict[tuple[int, frozenset[int], frozenset[int]], float] = {}
        targets = {terrain.goal, *quest.must_nodes, *(end for link in quest.must_links for end in self._ends[link])}
        open_links = all(
            terrain.open[link] and terrain.graph.room_list[link] >= quest.need for link in quest.must_links
        )
        self.most: float = -1
        self.least: float = math.inf
        if open_links and targets <= self._inside:
            self._from = {target: self._distances(target) for target in targets}
            self.most = min(quest.most, len(self._inside) - 1)
            self.least = self._still(quest.at, quest.must_nodes, quest.must_links)

    def of_length(self, length: int, meter: Meter) -> tuple[tuple[int, ...] | None, float]:
        """Return the first rest in order of names of at most that length, and the least length of what was too long."""
        if length > self.most:
            return None, math.inf
        quest, goal = self._quest, self._terrain.goal
        longer = math.inf
        way: list[int] = []
        visited = [quest.at]
        on_way = {quest.at}
        musts = [(quest.must_nodes, quest.must_links)]
        first: Iterator[tuple[int, int]] = (
            step for step in self._terrain.ways(quest.at, quest.need) if step[0] not in quest.barred
        )
        choices = [first]
        while choices:
            step = next(choices[-1], None)
            if step is None:
                choices.pop()
                musts.pop()
                on_way.discard(visited.pop())
                if way:
                    way.pop()
                continue
            link, far = step
            if far in on_way or far not in self._inside:
                continue
            nodes, links = musts[-1][0] - {far}, musts[-1][1] - {link}
            meter.spend(1 + len(nodes) + len(links))
            if far == goal and (nodes or links):
                continue
            total = len(way) + 1 + self._still(far, nodes, links)
            if total > length:
                longer = min(longer, total)
            elif far == goal:
                return (*way, link), longer
            else:
                way.append(link)
                visited.append(far)
                on_way.add(far)
                musts.append((nodes, links))
                choices.append(self._terrain.ways(far, quest.need))
        return None, longer

    def _distances(self, origin: int) -> dict[int, int]:
        distance = {origin: 0}
        ring = [origin]
        while ring:
            following = []
            for node in ring:
                for _, far in self._terrain.ways(node, self._quest.need):
                    if far in self._inside and far not in distance:
                        distance[far] = distance[node] + 1
                        following.append(far)
            ring = following
        return distance

    def _still(self, node: int, must_nodes: frozenset[int], must_links: frozenset[int]) -> float:
        """Return the least number of links from a node past the musts to the goal, loops allowed."""
        key = node, must_nodes, must_links
        if key not in self._bounds:
            self._bounds[key] = self._bound(node, must_nodes, must_links)
        return self._bounds[key]

    def _bound(self, node: int, must_nodes: frozenset[int], must_links: frozenset[int]) -> float:
        if not must_nodes and not must_links:
            return self._from[self._terrain.goal].get(node, math.inf)
        none: frozenset[int] = frozenset()
        every_order = len(must_nodes) + len(must_links) <= _ORDERS_UP_TO
        bounds = []
        for must in must_nodes:
            left = (must_nodes - {must}, must_links) if every_order else (none, none)
            bounds.append(self._by((must, must), node, *left))
        for link in must_links:
            left = (must_nodes, must_links - {link}) if every_order else (none, none)
            a, b = self._ends[link]
            bounds.append(1 + min(self._by((a, b), node, *left), self._by((b, a), node, *left)))
        # Something comes first, so the least over all firsts bounds; taken alone, each bounds by itself.
        return min(bounds) if every_order else max(bounds)

    def _by(self, item: Item, node: int, must_nodes: frozenset[int], must_links: frozenset[int]) -> float:
        entry, leaving = item
        there = self._from[entry].get(node, math.inf)
        return there if there == math.inf else there + self._still(leaving, must_nodes, must_links)


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
