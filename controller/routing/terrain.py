"""A graph as one demand sees it: where its routes may go, and which part of the way is still to be found."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Final

import numpy as np

from controller.domain.key_relay import Demand
from controller.domain.refusals import TooHard
from controller.domain.route import Route
from controller.routing.graph import Graph
from controller.routing.kernels.net import Flags, frozen

ANY_ROOM: Final = -(2**62)
"""The need of a search that asks only whether there is a way."""
BOUNDLESS: Final = 2**62
STEP_BUDGET: Final = 50_000
"""Nodes that an exact search of a hard kind may look at before it answers TOO_HARD; some tens of milliseconds."""


class Meter:
    """Counts the steps of an exact search, and ends it when they are too many."""

    def __init__(self, budget: int | None = STEP_BUDGET) -> None:
        self._left = budget

    @property
    def left(self) -> int:
        """Return how many steps may still be taken; BOUNDLESS without a budget."""
        return BOUNDLESS if self._left is None else self._left

    def spend(self, steps: int) -> None:
        """Count steps.

        Raises:
            TooHard: The budget is spent.
        """
        if self._left is None:
            return
        self._left -= steps
        if self._left < 0:
            raise TooHard(
                "TOO_HARD",
                "the nodes or links to pass, the hop limit or shared locations make this search too long to be"
                " exact; ask for fewer of them, or name more nodes to pass or to avoid so that less is left open",
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Terrain:
    """Where the routes of a demand may go. All nodes and links by number.

    The way is always searched from the smaller end to the larger, so that b to a is the reverse of a to b.

    Attributes:
        start, goal: The smaller and the larger end.
        flipped: True when the demand's source is the larger end.
        passable: Whether a route may pass a node on its way; shape (n_nodes,).
        open: Whether a route may use a link: it is usable, and not to be avoided; shape (n_links,).
        most: Most links on a route.
        must_nodes, must_links: To be passed.
        unmet: What is to be passed but is no usable part of the network: resource names.
    """

    graph: Graph
    start: int
    goal: int
    flipped: bool
    passable: Flags
    open: Flags
    most: int
    must_nodes: frozenset[int]
    must_links: frozenset[int]
    unmet: tuple[str, ...] = ()

    @cached_property
    def _open_list(self) -> list[bool]:
        flags: list[bool] = self.open.tolist()
        return flags

    def ways(self, node: int, need: int) -> Iterator[tuple[int, int]]:
        """Yield (link, far node) of the open links at a node that have the room, by link."""
        rooms, open_links = self.graph.room_list, self._open_list
        for link, far in self.graph.wiring.at[node]:
            if open_links[link] and rooms[link] >= need:
                yield link, far

    def route(self, links: Iterable[int]) -> Route:
        """Return the route over these links, source to target."""
        route = self.graph.route(self.start, links)
        return route.reversed() if self.flipped else route

    def nodes_on(self, links: Iterable[int]) -> list[int]:
        """Return the nodes of a way from the start, in order."""
        nodes = [self.start]
        for link in links:
            a, b = self.graph.wiring.ends[link]
            nodes.append(b if nodes[-1] == a else a)
        return nodes

    def bottleneck(self, links: Iterable[int]) -> int:
        """Return the least room on a way in millibit/s."""
        return min((int(self.graph.rooms[link]) for link in links), default=BOUNDLESS)

    def closing(self, nodes: Iterable[int], links: Iterable[int]) -> "Terrain":
        """Return the terrain in which these nodes are not passed and these links not used."""
        return replace(self, passable=_without(self.passable, nodes), open=_without(self.open, links))

    def group(self, node: int) -> str:
        """Return what only one of several disjoint routes may touch: the place; at the ends' places just the node.

        Routes meet at the ends anyway, so what can take an end takes them all whatever they pass there.
        """
        places = self.graph.wiring.places
        place = places[node]
        if place in (places[self.start], places[self.goal]):
            return f"nodes/{self.graph.wiring.nodes[node]}"
        return place


def terrain_of(graph: Graph, demand: Demand) -> Terrain:
    """Return where the routes of a demand may go.

    Raises:
        NotFound: The network has no such source or target.
    """
    wiring = graph.wiring
    source, target = graph.node(demand.source), graph.node(demand.target)
    start, goal = sorted((source, target))
    passable = _without(
        wiring.relaying, (wiring.node_number[name] for name in demand.avoid_nodes if name in wiring.node_number)
    )
    if demand.trust_domains:
        passable = passable & np.isin(wiring.trust_domains, sorted(demand.trust_domains))
        frozen(passable)
    most = 1 if demand.no_trusted_transit else len(wiring.nodes) - 1
    return Terrain(
        graph=graph,
        start=start,
        goal=goal,
        flipped=source != start,
        passable=passable,
        open=_without(
            graph.usable, (wiring.link_number[name] for name in demand.avoid_links if name in wiring.link_number)
        ),
        most=most if demand.max_hops is None else min(most, demand.max_hops),
        must_nodes=frozenset(wiring.node_number[name] for name in demand.pass_nodes if name in wiring.node_number)
        - {start, goal},
        must_links=frozenset(wiring.link_number[name] for name in demand.pass_links if graph.room(name) is not None),
        unmet=tuple(
            [f"nodes/{name}" for name in sorted(demand.pass_nodes) if name not in wiring.node_number]
            + [f"links/{name}" for name in sorted(demand.pass_links) if graph.room(name) is None]
        ),
    )


def _without(flags: Flags, numbers: Iterable[int]) -> Flags:
    """Return flags of which these are down; the same array where there are none to take down."""
    down = list(numbers)
    if not down:
        return flags
    left = flags.copy()
    left[down] = False
    frozen(left)
    return left


@dataclass(frozen=True, slots=True, kw_only=True)
class Quest:
    """The rest of a route: where it stands, and what is still wanted of it.

    Attributes:
        at: The node from which the rest is searched.
        need: Room in millibit/s that every link must have.
        cap: Least room of what was walked already; more than that does not help.
        behind: Nodes walked already, without `at`.
        barred: Links not to be taken as the next one.
        most: Most links that the rest may have.
        must_nodes, must_links: Still to be passed.
    """

    at: int
    need: int
    cap: int = BOUNDLESS
    behind: frozenset[int] = frozenset()
    barred: frozenset[int] = frozenset()
    most: int
    must_nodes: frozenset[int] = frozenset()
    must_links: frozenset[int] = frozenset()


def whole_quest(terrain: Terrain, need: int) -> Quest:
    """Return the quest for a whole route."""
    return Quest(
        at=terrain.start,
        need=need,
        most=terrain.most,
        must_nodes=terrain.must_nodes,
        must_links=terrain.must_links,
    )
