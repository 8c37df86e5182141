"""Routes for many key relays that lose theirs at once: the same as one after the other would be given, in one search.

Plain relays only: one share without a backup, nothing to pass, under the default policy. Whatever is harder has
searches of its own; so have the reasons why one fits nowhere.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from controller.domain.admission import Policy
from controller.domain.capacity import link_charge_millibit_per_s, service_charges
from controller.domain.key_links import authenticated_by
from controller.domain.key_relay import Demand, KeyRelay
from controller.domain.route import Route
from controller.domain.service import Service
from controller.domain.snapshot import Snapshot
from controller.routing.graph import Graph
from controller.routing.kernels import batch as kernel
from controller.routing.kernels.compiled import NONE
from controller.routing.kernels.net import Flags, Int32s, frozen
from controller.routing.terrain import Terrain, terrain_of

STEPS_TOGETHER: Final = 20_000
"""Nodes that searches may settle before the relays whose routes are known are handed out; about a millisecond."""
_TREE_FROM: Final = 3
"""So many relays with a common end pay for the distances of all nodes from it."""
_MOST_IN_TREES: Final = 2**22


def is_plain(snapshot: Snapshot, service: Service) -> bool:
    """Tell whether a service is a key relay that may be given its route in a batch.

    What it holds is held for one share and is nowhere more than its demand takes: then a link with room for the demand
    has room for all that it holds there.
    """
    if not isinstance(service, KeyRelay) or snapshot.admission.policy is not Policy.WIDEST_SHORTEST:
        return False
    demand = service.demand
    if demand.source not in snapshot.nodes or demand.target not in snapshot.nodes:
        return False
    if demand.shares != 1 or demand.protected or service.backup is not None or demand.pass_nodes or demand.pass_links:
        return False
    charge = link_charge_millibit_per_s(demand.rate_millibit_per_s)
    return (
        len(service.routes) <= 1
        and all(len(left.routes) == 1 and left.charge_millibit_per_s <= charge for left in service.retiring)
        and all(held.share == 0 and held.charge_millibit_per_s <= charge for held in service.releasing)
        and not any(True for _ in authenticated_by(snapshot, service.name))
    )


class Rerouting:
    """Gives plain relays the routes that they would be given one after the other; iterated once."""

    def __init__(self, graph: Graph, relays: Sequence[KeyRelay], threatened: Collection[str] = ()) -> None:
        """Begin. Cost: O(nodes + links) once, and for each different set of what demands avoid.

        Args:
            graph: What is free, with what all relays hold counted.
            relays: Plain ones, the most important first.
            threatened: Links that are taken only by who finds no other way.

        Raises:
            NotFound: A relay's end is no node of the network.
        """
        self._graph = graph
        self._relays = relays
        self._terrains: list[Terrain] = []
        self._batch = _batch_of(graph, relays, threatened, self._terrains) if relays else None

    @property
    def graph(self) -> Graph:
        """Return what the relays leave that were handed out; after the last, or after one that has no route."""
        if self._batch is None:
            return self._graph
        rooms = self._batch.rooms.copy()
        frozen(rooms)
        return self._graph.with_rooms(rooms)

    def __iter__(self) -> Iterator[tuple[KeyRelay, Route | None]]:
        """Yield each relay with its route, or None where there is none now; searched a part at a time."""
        place = 0
        while self._batch is not None and place < len(self._relays):
            for way in kernel.serve(self._batch, place, STEPS_TOGETHER):
                route = None if way is None else _route_over(self._terrains[place], way)
                yield self._relays[place], route
                place += 1


def _route_over(terrain: Terrain, way: Int32s) -> Route:
    wiring = terrain.graph.wiring
    links: list[int] = way.tolist()
    nodes, names = terrain.nodes_on(links), [wiring.links[link] for link in links]
    if terrain.flipped:
        nodes.reverse()
        names.reverse()
    return Route(nodes=tuple(wiring.nodes[node] for node in nodes), links=tuple(names))


def _batch_of(
    graph: Graph, relays: Sequence[KeyRelay], threatened: Collection[str], terrains: list[Terrain]
) -> kernel.Batch:
    """Return the batch, and put each relay's terrain in."""
    masks = _Masks(graph, threatened)
    numbers = graph.wiring.link_number
    questions: dict[tuple[object, ...], int] = {}
    asks: list[list[int]] = []
    held_first, held_links, held_amounts = [0], list[int](), list[int]()
    for relay in relays:
        held = sorted((numbers[link], amount) for link, amount in _held_by(relay).items() if link in numbers)
        held_links += [link for link, _ in held]
        held_amounts += [amount for _, amount in held]
        held_first.append(len(held_links))
        terrain, opens = masks.terrain(relay.demand)
        terrains.append(terrain)
        need = link_charge_millibit_per_s(relay.demand.rate_millibit_per_s)
        asked = [terrain.start, terrain.goal, need, terrain.most, *opens]
        question = questions.setdefault((*asked, *held), len(questions))
        asks.append([*asked, kernel.NO_TREE, 0, question])
    roots = _plant(asks, len(graph.wiring.nodes))
    return kernel.Batch(
        net=graph.wiring.net,
        rooms=graph.rooms.copy(),
        opens=np.ascontiguousarray(masks.opens),
        passables=np.ascontiguousarray(masks.passables),
        asks=np.array(asks, np.int64),
        roots=np.array(roots, np.int64).reshape(len(roots), len(kernel.Root._fields)),
        held_first=np.array(held_first, np.int32),
        held_links=np.array(held_links, np.int32),
        held_amounts=np.array(held_amounts, np.int64),
        marks=graph.wiring.hop_marks,
    )


def _held_by(relay: KeyRelay) -> Mapping[str, int]:
    """Return what a plain relay holds; of most there are no more than its routes."""
    if relay.retiring or relay.releasing or not relay.routes:
        return service_charges(relay)
    return dict.fromkeys(relay.routes[0].links, link_charge_millibit_per_s(relay.demand.rate_millibit_per_s))


class _Masks:
    """The masks of links and nodes that demands differ in, each kept once."""

    def __init__(self, graph: Graph, threatened: Collection[str]) -> None:
        self._graph = graph
        numbers = graph.wiring.link_number
        self._threatened = [numbers[link] for link in threatened if link in numbers]
        self._known: dict[tuple[object, ...], tuple[Terrain, tuple[int, int, int]]] = {}
        self.opens: list[Flags] = []
        self.passables: list[Flags] = []

    def terrain(self, demand: Demand) -> tuple[Terrain, tuple[int, int, int]]:
        """Return where a demand's routes may go, and its masks: open at first, open at last, passable."""
        key = demand.avoid_nodes, demand.avoid_links, demand.trust_domains
        if key not in self._known:
            terrain = terrain_of(self._graph, demand)
            self._known[key] = terrain, self._keep(terrain)
        terrain, masks = self._known[key]
        source, target = self._graph.node(demand.source), self._graph.node(demand.target)
        most = 1 if demand.no_trusted_transit else len(self._graph.wiring.nodes) - 1
        return (
            Terrain(
                graph=self._graph,
                start=min(source, target),
                goal=max(source, target),
                flipped=source > target,
                passable=terrain.passable,
                open=terrain.open,
                most=most if demand.max_hops is None else min(most, demand.max_hops),
                must_nodes=terrain.must_nodes,
                must_links=terrain.must_links,
            ),
            masks,
        )

    def _keep(self, terrain: Terrain) -> tuple[int, int, int]:
        first, last = NONE, len(self.opens)
        self.opens.append(terrain.open)
        if self._threatened and terrain.open[self._threatened].any():
            clear = terrain.open.copy()
            clear[self._threatened] = False
            first = len(self.opens)
            self.opens.append(clear)
        self.passables.append(terrain.passable)
        return first, last, len(self.passables) - 1


def _plant(asks: list[list[int]], n_nodes: int) -> list[kernel.Root]:
    """Have asks with a common end led by the distances from it, and return where those begin."""
    most = _MOST_IN_TREES // max(1, n_nodes)
    common: Mapping[tuple[int, int], int] = Counter((ask[end], ask[5]) for ask in asks for end in (0, 1))
    grown: dict[tuple[int, int], int] = {}
    roots: list[kernel.Root] = []
    for ask in asks:
        ends = [(ask[0], ask[5]), (ask[1], ask[5])]
        from_goal = common[ends[1]] > common[ends[0]]
        end = ends[from_goal]
        if common[end] < _TREE_FROM or (end not in grown and len(roots) >= most):
            continue
        number = grown.setdefault(end, len(roots))
        if number == len(roots):
            roots.append(kernel.Root(node=end[0], open=end[1], need=ask[2]))
        roots[number] = roots[number]._replace(need=min(roots[number].need, ask[2]))
        ask[7], ask[8] = number, int(from_goal)
    return roots
