"""Routes that share no risk: no duct and no site that one event takes out, beside no node and no link. NP-hard, exact.

Two ways can't be found one after the other here: the cheapest may take a bit of every duct. So a risk that several of
the cheapest ways take is closed to all of them but one, each in turn, and what is left is searched again (branch and
bound). What no such part can undercut bounds the answer from below, whenever the search is ended.
"""

import heapq
import itertools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from controller.domain.capacity import link_charge_millibit_per_s
from controller.domain.key_relay import Demand
from controller.domain.refusals import InvalidValue, NotFound, Precondition, TooHard
from controller.domain.route import Route
from controller.routing.graph import Graph
from controller.routing.kernels.cheapest import cheapest_way
from controller.routing.kernels.compiled import NONE
from controller.routing.kernels.disjoint import cheapest_disjoint
from controller.routing.kernels.net import Int64s
from controller.routing.search import Way
from controller.routing.terrain import Terrain, terrain_of

SEARCHES: Final = 20_000
"""Compiled searches that an answer may take by default; about a second."""
_WEIGHED: Final = 6
"""How many of the contested risks are tried out before one is settled on."""

Value = tuple[int, int]
"""What a set of ways is measured by, less is better: (ducts, locations, nodes and links that several take, cost)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskSet:
    """Routes, and how good they are for sure.

    Attributes:
        routes: In the order of (cost, links by name).
        value: (how many ducts, locations, nodes and links several routes take, cost of all together).
        bound: No set has a smaller value; equal to `value` when the routes are proven best.
        shared: What several routes take: `ducts/x`, `locations/x`, `nodes/x`, `links/x`.
        searches: Compiled searches that it took.
    """

    routes: tuple[Route, ...]
    value: Value
    bound: Value
    shared: tuple[str, ...]
    searches: int

    @property
    def gap(self) -> float:
        """Return the part of the cost that might be saved, in [0, 1]; 1 where it may be that less need be shared."""
        if self.value[0] != self.bound[0]:
            return 1.0
        return (self.value[1] - self.bound[1]) / self.value[1]


def find_risk_disjoint(
    graph: Graph,
    demand: Demand,
    k: int,
    *,
    groups: Mapping[str, Collection[str]] | None = None,
    costs: Int64s | None = None,
    searches: int = SEARCHES,
) -> RiskSet:
    """Return k routes of least total cost that share no node, no link, no location and no duct.

    Exact when the search ends in its steps, else the best set found with a bound. Locations of the two ends are
    exempt. A flow of least cost settles it where its ways happen to share no risk. Of equal sets always the same is
    taken, and from b to a its reverse. Cost: NP-hard; O(nodes + links log links) for each of the searches.

    Args:
        graph: Where there is room.
        demand: What is asked; its `shares` are not looked at, and it must pass nothing.
        k: How many, >= 2.
        groups: For each link, by name, what else it shares a fate with, beside its own ducts.
        costs: Of each link of the wiring, >= 1; None counts links. With costs there is no hop limit.
        searches: Compiled searches that it may take.

    Raises:
        NotFound: An end, or a link of the groups, is none of the network.
        InvalidValue: The demand must pass something, or has a hop limit and costs; or k < 2.
        Precondition: NO_DISJOINT_ROUTES: proven that there are none; `find_least_shared` says what they must share.
        TooHard: No set was found within the searches, and none is proven not to be.
    """
    hunt = _Hunt(_ground(graph, demand, k, groups, costs), sharing=False, searches=searches)
    best = hunt.run()
    if best is not None:
        return best
    if hunt.proven:
        raise Precondition(
            "NO_DISJOINT_ROUTES",
            f"no {k} routes from nodes/{demand.source} to nodes/{demand.target} without a duct, a location, a node or a"
            " link in common; ask for fewer, let them share, or add links in ducts of their own",
            {"source": demand.source, "target": demand.target, "shares": k},
        )
    raise _too_hard(searches)


def find_least_shared(
    graph: Graph,
    demand: Demand,
    k: int,
    *,
    groups: Mapping[str, Collection[str]] | None = None,
    costs: Int64s | None = None,
    searches: int = SEARCHES,
) -> RiskSet:
    """Return k routes with the fewest ducts, locations, nodes and links in common, then of least total cost.

    Where routes can be apart they are; else, for backups that have to make do. Arguments, exactness and errors as of
    `find_risk_disjoint`, but NO_ROUTE where not even sharing helps: a way may be
    taken twice where its links have room for both.
    """
    hunt = _Hunt(_ground(graph, demand, k, groups, costs), sharing=True, searches=searches)
    best = hunt.run()
    if best is None:
        if not hunt.proven:
            raise _too_hard(searches)
        raise Precondition(
            "NO_ROUTE",
            f"no {k} routes from nodes/{demand.source} to nodes/{demand.target}, not even such as share links: ask for"
            " a smaller rate, more hops or fewer routes",
            {"source": demand.source, "target": demand.target},
        )
    return best


def _too_hard(searches: int) -> TooHard:
    return TooHard("TOO_HARD", f"not settled in {searches} searches; allow more, or avoid more nodes or links")


@dataclass(frozen=True, kw_only=True)
class _Ground:
    """Where ways may lead, and what they are not to share.

    Attributes:
        names: Of the risks: declared ones, then one for each node, then one for each link.
        declared: How many are declared.
        links, nodes: What each declared risk closes, by number.
        of_link, of_node: The declared risks of each link and each node.
    """

    terrain: Terrain
    need: int
    k: int
    costs: Int64s
    names: Sequence[str]
    declared: int
    links: Sequence[list[int]]
    nodes: Sequence[list[int]]
    of_link: Sequence[list[int]]
    of_node: Sequence[list[int]]

    def risks_on(self, way: Way) -> set[int]:
        """Return the risks that a way takes."""
        n_nodes = len(self.terrain.passable)
        taken = {self.declared + n_nodes + link for link in way}
        for link in way:
            taken.update(self.of_link[link])
        for node in self.terrain.nodes_on(way)[1:-1]:
            taken.add(self.declared + node)
            taken.update(self.of_node[node])
        return taken

    def without(self, closed: frozenset[int]) -> Terrain:
        """Return the terrain in which ways take none of these risks."""
        n_nodes = len(self.terrain.passable)
        nodes: list[int] = []
        links: list[int] = []
        for risk in closed:
            if risk < self.declared:
                nodes += self.nodes[risk]
                links += self.links[risk]
            elif risk < self.declared + n_nodes:
                nodes.append(risk - self.declared)
            else:
                links.append(risk - self.declared - n_nodes)
        return self.terrain.closing(nodes, links)


def _ground(
    graph: Graph,
    demand: Demand,
    k: int,
    groups: Mapping[str, Collection[str]] | None,
    costs: Int64s | None,
) -> _Ground:
    terrain, wiring = terrain_of(graph, demand), graph.wiring
    if k < 2:
        raise InvalidValue("", ("k", f"{k} is less than 2: one route shares nothing"))
    if demand.pass_nodes or demand.pass_links:
        raise InvalidValue("", ("pass_nodes", "nothing to pass can be asked of routes that share no risk"))
    if costs is not None and terrain.most < len(wiring.nodes) - 1:
        raise InvalidValue("", ("max_hops", "no limit on links can be asked together with costs of links"))
    unknown = sorted(name for name in groups or {} if name not in wiring.link_number)
    if unknown:
        raise NotFound(*(f"links/{name}" for name in unknown))
    links_of: dict[str, list[int]] = {}
    nodes_of: dict[str, list[int]] = {}
    for number, ducts in enumerate(wiring.ducts):
        for duct in {*ducts, *(groups or {}).get(wiring.links[number], ())}:
            links_of.setdefault(f"ducts/{duct}", []).append(number)
    for node in range(len(wiring.nodes)):
        place = terrain.group(node)
        if place != f"nodes/{wiring.nodes[node]}" and node not in (terrain.start, terrain.goal):
            nodes_of.setdefault(f"locations/{place}", []).append(node)
    # A risk of one thing alone is that of the node or the link.
    declared = sorted(name for name, members in (links_of | nodes_of).items() if len(members) > 1)
    of_link: list[list[int]] = [[] for _ in wiring.links]
    of_node: list[list[int]] = [[] for _ in wiring.nodes]
    for risk, name in enumerate(declared):
        for link in links_of.get(name, ()):
            of_link[link].append(risk)
        for node in nodes_of.get(name, ()):
            of_node[node].append(risk)
    return _Ground(
        terrain=terrain,
        need=link_charge_millibit_per_s(demand.rate_millibit_per_s),
        k=k,
        costs=np.ones(len(wiring.links), np.int64) if costs is None else costs,
        names=[*declared, *(f"nodes/{name}" for name in wiring.nodes), *(f"links/{name}" for name in wiring.links)],
        declared=len(declared),
        links=[links_of.get(name, []) for name in declared],
        nodes=[nodes_of.get(name, []) for name in declared],
        of_link=of_link,
        of_node=of_node,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """A part of all sets: each way keeps off some risks, and some risks several ways may take.

    Attributes:
        closed: For each way what it may not take; in a fixed order, since ways have no names.
        shared: Risks that count as shared, and are not kept off any more.
        ways: The cheapest way of each.
        value: No set of this part has a smaller value.
    """

    closed: tuple[frozenset[int], ...]
    shared: frozenset[int]
    ways: tuple[Way, ...] = field(compare=False)
    value: Value


class _Hunt:
    """One search for the best set; `run` it once."""

    def __init__(self, ground: _Ground, *, sharing: bool, searches: int) -> None:
        self._ground = ground
        self._sharing = sharing
        self._budget = searches
        self._left = searches
        self._best: tuple[Value, tuple[Way, ...]] | None = None
        self._cheapest: dict[frozenset[int], tuple[int, Way] | None] = {}
        self._together: dict[frozenset[int], int | None] = {}
        self._risks: dict[Way, set[int]] = {}
        self.proven = False

    def run(self) -> RiskSet | None:
        """Return the best set found, or None; `proven` tells whether that is the last word."""
        none: frozenset[int] = frozenset()
        root = self._part((none,) * self._ground.k, self._unavoidable())
        count = itertools.count()
        parts = [] if root is None else [(root.value, next(count), root)]
        seen = set()
        bound: Value | None = None
        while parts and (self._best is None or parts[0][0] < self._best[0]):
            value, _, part = parts[0]
            if self._left <= 0:
                bound = value
                break
            heapq.heappop(parts)
            self._complete(part)
            for child in self._children(part):
                if (key := (child.closed, child.shared)) not in seen:
                    seen.add(key)
                    heapq.heappush(parts, (child.value, next(count), child))
        self.proven = bound is None
        return self._told(bound)

    def _told(self, bound: Value | None) -> RiskSet | None:
        if self._best is None:
            return None
        ground, (value, ways) = self._ground, self._best
        ordered = sorted(ways, key=lambda way: (sum(int(ground.costs[link]) for link in way), way))
        return RiskSet(
            routes=tuple(ground.terrain.route(way) for way in ordered),
            value=value,
            bound=value if bound is None else bound,
            shared=tuple(sorted(ground.names[risk] for risk in self._in_common(ways))),
            searches=self._budget - self._left,
        )

    def _unavoidable(self) -> frozenset[int]:
        """Return the risks that all ways take, where sharing is allowed: each is on the cheapest way too."""
        none: frozenset[int] = frozenset()
        whole = self._way(none)
        if not self._sharing or whole is None:
            return none
        return frozenset(risk for risk in self._on(whole[1]) if self._way(frozenset({risk})) is None)

    def _on(self, way: Way) -> set[int]:
        if way not in self._risks:
            self._risks[way] = self._ground.risks_on(way)
        return self._risks[way]

    def _in_common(self, ways: Sequence[Way]) -> set[int]:
        once: set[int] = set()
        twice: set[int] = set()
        for way in ways:
            taken = self._on(way)
            twice |= once & taken
            once |= taken
        return twice

    def _way(self, closed: frozenset[int]) -> tuple[int, Way] | None:
        """Return the cheapest way that takes none of these, with its cost."""
        if closed not in self._cheapest:
            self._left -= 1
            terrain = self._ground.without(closed)
            found = cheapest_way(
                terrain.graph.wiring.net,
                self._ground.costs,
                terrain.graph.rooms,
                terrain.open,
                terrain.passable,
                self._ground.need,
                terrain.start,
                terrain.goal,
            )
            way = tuple(found.links.tolist())
            fits = found.cost != NONE and len(way) <= terrain.most
            self._cheapest[closed] = (int(found.cost), way) if fits else None
        return self._cheapest[closed]

    def _flow(self, closed: frozenset[int]) -> int | None:
        """Return the least cost of ways that share no node, when all keep off these; None when there are too few."""
        if closed not in self._together:
            self._left -= 1
            terrain = self._ground.without(closed)
            found = cheapest_disjoint(
                terrain.graph.wiring.net,
                terrain.graph.rooms,
                terrain.open,
                terrain.passable,
                self._ground.costs,
                need=self._ground.need,
                start=terrain.start,
                goal=terrain.goal,
                k=self._ground.k,
            )
            ways = [tuple(way.tolist()) for way in found.ways]
            if ways and not self._in_common(ways) and all(len(way) <= terrain.most for way in ways):
                self._offer(ways)
            self._together[closed] = found.cost if ways else None
        return self._together[closed]

    def _part(self, closed: Sequence[frozenset[int]], shared: frozenset[int]) -> _Part | None:
        """Return a part with its bound, or None when it has no set, or none that is better than the best."""
        found = [self._way(each) for each in closed]
        ways = [each for each in found if each is not None]
        if len(ways) < len(found):
            return None
        cost = sum(cost for cost, _ in ways)
        value = (len(shared), cost)
        if not shared:
            together = self._flow(frozenset.intersection(*closed))
            if together is None and not self._sharing:
                return None
            value = (1, cost) if together is None else (0, max(cost, together))
        if self._best is not None and value >= self._best[0]:
            return None
        return _Part(closed=tuple(closed), shared=shared, ways=tuple(way for _, way in ways), value=value)

    def _offer(self, ways: Sequence[Way]) -> None:
        """Take a set as the best if it is."""
        cost = sum(int(self._ground.costs[link]) for way in ways for link in way)
        value = (len(self._in_common(ways)), cost)
        if not self._sharing and value[0]:
            return
        if (self._best is None or value < self._best[0]) and self._overfull(ways) is None:
            self._best = value, tuple(ways)

    def _overfull(self, ways: Sequence[Way]) -> int | None:
        """Return the risk of the first link that has no room for all the ways over it, or None."""
        ground = self._ground
        uses = Counter(link for way in ways for link in way)
        rooms, first_link = ground.terrain.graph.rooms, ground.declared + len(ground.terrain.passable)
        full = [link for link, use in uses.items() if use > 1 and use * ground.need > int(rooms[link])]
        return first_link + min(full) if full else None

    def _complete(self, part: _Part) -> None:
        """Offer what comes of a part by choosing one way after the other, each off what those before it take."""
        self._offer(part.ways)
        order = range(len(part.ways))
        for first in order:
            chosen = [part.ways[first]]
            for other in order:
                if other != first:
                    taken = set[int]().union(*(self._on(way) for way in chosen))
                    way = self._way(part.closed[other] | (taken - part.shared))
                    if way is None:
                        break
                    chosen.append(way[1])
            if len(chosen) == len(part.ways):
                self._offer(chosen)

    def _children(self, part: _Part) -> Iterator[_Part]:
        """Yield the parts into which one of the risks that several ways take divides this one: one that bounds well."""
        overfull = self._overfull(part.ways)
        if overfull is not None:
            for number, each in enumerate(part.closed):
                less = [*part.closed[:number], each | {overfull}, *part.closed[number + 1 :]]
                child = self._part(sorted(less, key=sorted), part.shared)
                if child is not None:
                    yield _at_least(child, part.value)
            return
        contested = self._in_common(part.ways) - part.shared
        if not contested:
            return
        n_risks = self._ground.declared + len(self._ground.terrain.passable)
        # A link in common is settled with its nodes, unless it goes from end to end.
        weighed = sorted(risk for risk in contested if risk < n_risks) or sorted(contested)
        best: tuple[tuple[Value, ...], list[_Part]] | None = None
        for risk in weighed[:: max(1, len(weighed) // _WEIGHED)][:_WEIGHED]:
            parts = self._divided(part, risk)
            if not parts:
                return
            values = tuple(sorted(each.value for each in parts))
            if best is None or values > best[0]:
                best = values, parts
        assert best is not None
        yield from best[1]

    def _divided(self, part: _Part, risk: int) -> list[_Part]:
        free = [number for number, closed in enumerate(part.closed) if risk not in closed]
        divisions = set()
        for kept in free:
            closed = [
                each | {risk} if number in free and number != kept else each for number, each in enumerate(part.closed)
            ]
            divisions.add(tuple(sorted(closed, key=sorted)))
        found = [self._part(closed, part.shared) for closed in sorted(divisions, key=lambda one: [*map(sorted, one)])]
        if self._sharing:
            found.append(self._part(part.closed, part.shared | {risk}))
        return [_at_least(each, part.value) for each in found if each is not None]


def _at_least(part: _Part, value: Value) -> _Part:
    """Return a part whose bound is no less than that of the part that it is part of."""
    return part if part.value >= value else replace(part, value=value)
