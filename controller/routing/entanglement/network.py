"""The entanglement network as routing sees it: its usable links, its nodes, and what of both is free."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from controller.domain.capacity import reserved_by, service_charges
from controller.domain.link import LinkKind
from controller.domain.pair_capacity import (
    SWAP_TIME_US_PER_S,
    EffectiveOption,
    effective_options,
    fastest_millihertz,
    link_pair_capacity,
    memories_of,
    swap_time_of,
)
from controller.domain.pair_link import PairHardware, PairModel, Regime
from controller.domain.refusals import NotFound
from controller.domain.route import Route
from controller.domain.snapshot import Snapshot
from controller.physics.swapping import swap_quality
from controller.routing.kernels.net import Int64s, Net, frozen, net_of
from controller.routing.usable import Unusable, why_no_service


@dataclass(frozen=True, slots=True, kw_only=True)
class PairEdge:
    """A usable link.

    Attributes:
        name: Of the link.
        ends: Numbers of its nodes, the smaller first.
        model: As its topology states it.
        options: As they work now; at least one.
        length_km: 0 where it is unknown.
        capacity: What it can promise, in the unit of its regime.
        fastest_millihertz: Elementary pairs per 1,000 s of the fastest option of the model.
    """

    name: str
    ends: tuple[int, int]
    model: PairModel
    options: tuple[EffectiveOption, ...]
    length_km: float
    capacity: int
    fastest_millihertz: int

    @property
    def regime(self) -> Regime:
        """Return by which rules its pairs are used."""
        return self.model.regime


@dataclass(frozen=True, slots=True, kw_only=True)
class PairStation:
    """What a node does for pairs.

    Attributes:
        hardware: As its topology states it; None for a node without any.
        swap_success: q of one swap; 0 without hardware.
        swap_quality: s, by which a swap multiplies w; in [0, 1].
        decay_per_s: 1/T of a stored qubit; 0 for ideal memories.
    """

    hardware: PairHardware | None
    swap_success: float = 0.0
    swap_quality: float = 0.0
    decay_per_s: float = 0.0

    @property
    def can_swap(self) -> bool:
        """Tell whether a route may pass it, memories aside."""
        return self.swap_success > 0.0 and self.swap_quality > 0.0


@dataclass(frozen=True, kw_only=True)
class PairWiring:
    """What reservations do not change. Nodes and links are numbered in the order of their names.

    Attributes:
        nodes: Names, by number.
        stations: Of each node.
        edges: The usable links.
        at: For each node (number of a link, number of the node at its far end), by link.
        unusable: By name, the entanglement links that are left out.
    """

    nodes: tuple[str, ...]
    stations: tuple[PairStation, ...]
    edges: tuple[PairEdge, ...]
    at: tuple[tuple[tuple[int, int], ...], ...]
    unusable: Mapping[str, Unusable]

    @cached_property
    def node_number(self) -> Mapping[str, int]:
        """Return the number of each node, by name."""
        return {name: number for number, name in enumerate(self.nodes)}

    @cached_property
    def edge_number(self) -> Mapping[str, int]:
        """Return the number of each usable link, by name."""
        return {edge.name: number for number, edge in enumerate(self.edges)}

    @cached_property
    def remembered(self) -> dict[object, Any]:
        """Return where what follows from the wiring alone is kept, by what it is."""
        return {}

    @cached_property
    def net(self) -> Net:
        """Return who is joined with whom, as kernels read it."""
        return net_of(len(self.nodes), [edge.ends for edge in self.edges])

    @cached_property
    def can_swap(self) -> tuple[bool, ...]:
        """Return of each node whether a route may pass it, memories aside."""
        return tuple(station.can_swap for station in self.stations)

    @cached_property
    def swap_losses(self) -> tuple[float, ...]:
        """Return -ln s of each node; infinite where it cannot swap."""
        return tuple(-math.log(station.swap_quality) if station.can_swap else math.inf for station in self.stations)

    @cached_property
    def regimes(self) -> tuple[Regime, ...]:
        """Return the regimes of its usable links."""
        present = {edge.regime for edge in self.edges}
        return tuple(regime for regime in Regime if regime in present)


@dataclass(frozen=True, kw_only=True)
class PairNetwork:
    """An immutable view of a snapshot for routing. Free amounts may be negative: a link weakened below its promises.

    Attributes:
        room: Free on each link, in the unit of its regime; shape (n_links,).
        memories: Free qubits of each node; shape (n_nodes,).
        swap_time: Free microseconds of swapping per second of each node; shape (n_nodes,).
    """

    wiring: PairWiring
    room: tuple[int, ...]
    memories: tuple[int, ...]
    swap_time: tuple[int, ...]

    @cached_property
    def rooms(self) -> Int64s:
        """Return `room` as kernels read it."""
        return _frozen(self.room)

    @cached_property
    def all_memories(self) -> Int64s:
        """Return `memories` as kernels read it."""
        return _frozen(self.memories)

    def free(self, resource: str) -> int | None:
        """Return what is free of a resource, in its unit; None of one that nothing new may be promised on."""
        kind, _, rest = resource.partition("/")
        if kind == "nodes" and rest:
            name, _, what = rest.partition("/")
            number = self.wiring.node_number.get(name)
            amounts = {"memories": self.memories, "swap-time": self.swap_time}.get(what)
            return None if number is None or amounts is None else amounts[number]
        number = self.wiring.edge_number.get(resource)
        return None if number is None else self.room[number]

    def charged(self, charges: Mapping[str, int]) -> "PairNetwork":
        """Return the network with that much less of each resource; others than its own don't matter."""
        if not charges:
            return self
        room, memories, swap_time = list(self.room), list(self.memories), list(self.swap_time)
        for resource, amount in charges.items():
            kind, _, rest = resource.partition("/")
            if kind == "nodes" and rest:
                name, _, what = rest.partition("/")
                number = self.wiring.node_number.get(name)
                if number is not None and what == "memories":
                    memories[number] -= amount
                elif number is not None and what == "swap-time":
                    swap_time[number] -= amount
            elif (number := self.wiring.edge_number.get(resource)) is not None:
                room[number] -= amount
        return replace(self, room=tuple(room), memories=tuple(memories), swap_time=tuple(swap_time))

    def freed(self, charges: Mapping[str, int]) -> "PairNetwork":
        """Return the network with that much more of each resource."""
        return self.charged({resource: -amount for resource, amount in charges.items()})

    def without_links(self, links: Collection[str], why: str = "left out") -> "PairNetwork":
        """Return the network in which these links carry nothing new."""
        wiring = self.wiring
        kept = [number for number, edge in enumerate(wiring.edges) if edge.name not in links]
        gone = {
            edge.name: Unusable(nodes=(wiring.nodes[edge.ends[0]], wiring.nodes[edge.ends[1]]), why=why)
            for edge in wiring.edges
            if edge.name in links
        }
        return replace(
            self,
            wiring=_wired(
                wiring.nodes,
                wiring.stations,
                tuple(wiring.edges[number] for number in kept),
                {**wiring.unusable, **gone},
            ),
            room=tuple(self.room[number] for number in kept),
        )

    def node(self, name: str) -> int:
        """Return a node's number.

        Raises:
            NotFound: The network has no such node.
        """
        number = self.wiring.node_number.get(name)
        if number is None:
            raise NotFound(f"nodes/{name}")
        return number

    def route(self, start: int, links: Collection[int]) -> Route:
        """Return the route that leaves a node over these links, given by number."""
        nodes = [start]
        for number in links:
            a, b = self.wiring.edges[number].ends
            nodes.append(b if nodes[-1] == a else a)
        return Route(
            nodes=tuple(self.wiring.nodes[node] for node in nodes),
            links=tuple(self.wiring.edges[number].name for number in links),
        )


def _frozen(amounts: tuple[int, ...]) -> Int64s:
    made = np.array(amounts, np.int64)
    frozen(made)
    return made


def _wired(
    nodes: tuple[str, ...],
    stations: tuple[PairStation, ...],
    edges: tuple[PairEdge, ...],
    unusable: Mapping[str, Unusable],
) -> PairWiring:
    at: list[list[tuple[int, int]]] = [[] for _ in nodes]
    for number, edge in enumerate(edges):
        a, b = edge.ends
        at[a].append((number, b))
        at[b].append((number, a))
    return PairWiring(
        nodes=nodes,
        stations=stations,
        edges=edges,
        at=tuple(tuple(incident) for incident in at),
        unusable=unusable,
    )


def _station(hardware: PairHardware | None) -> PairStation:
    if hardware is None:
        return PairStation(hardware=None)
    return PairStation(
        hardware=hardware,
        swap_success=hardware.swap_success,
        swap_quality=swap_quality(hardware.gate_quality, hardware.readout_quality, hardware.one_qubit_gate_quality),
        decay_per_s=0.0 if hardware.coherence_s is None else 1.0 / hardware.coherence_s,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """What services do not change of a network, and the snapshot that it was made of."""

    snapshot: Snapshot
    wiring: PairWiring

    def fits(self, snapshot: Snapshot) -> bool:
        made = self.snapshot
        return (
            made.nodes is snapshot.nodes
            and made.links is snapshot.links
            and made.conditions is snapshot.conditions
            and made.connected is snapshot.connected
        )


_last_ground: _Ground | None = None


def _wiring_of(snapshot: Snapshot) -> PairWiring:
    """Return the wiring of a snapshot; the last one made is kept, since most changes are of services alone."""
    global _last_ground
    ground = _last_ground
    if ground is None or not ground.fits(snapshot):
        bare = replace(snapshot, relays={}, paths={}, requests={}, histories={}, reserved=None)
        _last_ground = ground = _Ground(snapshot=bare, wiring=_made_wiring(snapshot))
    return ground.wiring


def _made_wiring(snapshot: Snapshot) -> PairWiring:
    nodes = tuple(sorted(snapshot.nodes))
    numbers = {name: number for number, name in enumerate(nodes)}
    edges: list[PairEdge] = []
    unusable: dict[str, Unusable] = {}
    for name in sorted(snapshot.links):
        link = snapshot.links[name]
        if link.kind is not LinkKind.ENTANGLEMENT or link.pairs is None:
            continue
        condition = snapshot.condition(name)
        options = effective_options(link, condition)
        why = why_no_service(snapshot, link)
        if why is None and not options:
            why = "what is measured of its pairs is not entangled"
        if why is not None:
            unusable[name] = Unusable(nodes=link.nodes, why=why)
            continue
        edges.append(
            PairEdge(
                name=name,
                ends=(numbers[link.nodes[0]], numbers[link.nodes[1]]),
                model=link.pairs,
                options=options,
                length_km=link.length_km or 0.0,
                capacity=link_pair_capacity(link.pairs, condition),
                fastest_millihertz=fastest_millihertz(link.pairs),
            )
        )
    stations = tuple(_station(snapshot.nodes[name].pairs) for name in nodes)
    return _wired(nodes, stations, tuple(edges), unusable)


def pair_network_of(snapshot: Snapshot, *, ignoring: Collection[str] = ()) -> PairNetwork:
    """Return the links on which something new may be promised to paths, with what is free of them and of the nodes.

    Free is capacity less what all paths hold, `releasing` included. Cost: O(nodes + links); more where something else
    than services has changed, and by what paths hold unless the snapshot says it.

    The reservations of the paths named in `ignoring` (by name or key) are not counted.
    """
    left_out = {name.removeprefix("entanglementPaths/") for name in ignoring}
    if snapshot.reserved is None:
        held = reserved_by(path for name, path in snapshot.paths.items() if name not in left_out)
    else:
        held = dict(snapshot.reserved)
        for name in left_out & snapshot.paths.keys():
            for taken, charge in service_charges(snapshot.paths[name]).items():
                held[taken] = held.get(taken, 0) - charge
    wiring = _wiring_of(snapshot)
    return PairNetwork(
        wiring=wiring,
        room=tuple(edge.capacity - held.get(edge.name, 0) for edge in wiring.edges),
        memories=tuple(
            (0 if station.hardware is None else station.hardware.memories) - held.get(memories_of(name), 0)
            for name, station in zip(wiring.nodes, wiring.stations, strict=True)
        ),
        swap_time=tuple(SWAP_TIME_US_PER_S - held.get(swap_time_of(name), 0) for name in wiring.nodes),
    )
