"""A foreign network as it would be built of our links: long spans split by relays, every link with modules."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from controller.config.foreign.graph import ForeignEdge, ForeignGraph, components
from controller.config.foreign.labels import Names, label_of
from controller.config.foreign.sphere import Position, between
from controller.config.mistakes import Mistake, Mistakes
from controller.config.pair_profiles import PairProfile
from controller.config.profiles import Module, Profile, expected_block
from controller.physics.basics import fibre_loss_db

AUTHENTICATION_BIT_PER_S: Final = 10.0
"""What an imported link needs for itself; a span must make more than twice that."""

MOST_NODES: Final = 20_000
"""Of one imported network; a topology file would hardly hold more."""

_LONGEST_NODE_NAME: Final = 40
_LONGEST_LINK_NAME: Final = 54  # leaves room for `-relay-123` of the relays that are called after a link


@dataclass(frozen=True, slots=True, kw_only=True)
class Building:
    """What the network is to be built of.

    Attributes:
        max_span_km: No link is longer; in (0, 100000].
        profile: The QKD modules at both ends of every link; or the hardware of every node, for links that make pairs.
        attenuation_db_per_km: Of every fibre; > 0.
    """

    max_span_km: float
    profile: Profile | PairProfile
    attenuation_db_per_km: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedNode:
    """A node of the network to be.

    Attributes:
        name: DNS label, unique.
        label: As the source calls it; "" for an inserted relay.
        interfaces: How many; they are numbered from 1. True for a transmitter, False for a receiver.
    """

    name: str
    label: str
    position: Position | None
    interfaces: tuple[bool, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedLink:
    """A link of the network to be.

    Attributes:
        ends: Two (node, interface), the transmitter first.
        length_km: Of this span.
        spans: How many the foreign link was split into; 1: it was not.
        measure: As in `ForeignEdge`.
    """

    name: str
    ends: tuple[tuple[str, int], tuple[str, int]]
    length_km: float
    spans: int
    measure: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """The network to be.

    Attributes:
        names: Of the foreign nodes, by their keys.
        suggested: Two foreign nodes far apart; None where no two are joined over a third.
    """

    nodes: tuple[PlannedNode, ...]
    links: tuple[PlannedLink, ...]
    names: Mapping[str, str]
    suggested: tuple[str, str] | None


def _written_km(length_km: float, max_span_km: float) -> float:
    """Return a length as a file has it, to the millimetre, and no longer than the maximum."""
    rounded = round(length_km, 6)
    return rounded if rounded <= max_span_km else math.floor(length_km * 1e6) / 1e6


def spans_of(length_km: float, max_span_km: float) -> int:
    """Return into how many equal spans a link is split, so that none is longer than the maximum.

    >>> spans_of(0.0, 80.0), spans_of(80.0, 80.0), spans_of(80.1, 80.0), spans_of(252.3, 80.0)
    (1, 1, 2, 4)
    """
    spans = max(1, math.ceil(length_km / max_span_km))
    while length_km / spans > max_span_km:  # the quotient was rounded down to a whole number
        spans += 1
    return spans


def reach_db(module: Module) -> float:
    """Return the largest loss, to 0.01 dB, over which such modules make more key than a link needs for itself."""
    low, high = 0.0, 200.0
    if not _makes_key(module, low):
        return 0.0
    while high - low > 0.01:
        middle = (low + high) / 2
        low, high = (middle, high) if _makes_key(module, middle) else (low, middle)
    return math.floor(low * 100) / 100


def _makes_key(module: Module, loss_db: float) -> bool:
    return expected_block(module, loss_db).skr_bit_per_s > 2 * AUTHENTICATION_BIT_PER_S


def plan(graph: ForeignGraph, building: Building) -> Plan:
    """Return the network to be. The same graph gives the same names at every import.

    Raises:
        Mistakes: A span would be beyond the reach of the modules, or there would be too many nodes.
    """
    _check(graph, building)
    return _Planning(graph, building).plan()


def _check(graph: ForeignGraph, building: Building) -> None:
    relays = sum(math.ceil(edge.length_km / building.max_span_km) for edge in graph.edges if edge.length_km)
    if len(graph.nodes) + relays > MOST_NODES:
        raise _refused(
            graph,
            f"would become about {len(graph.nodes) + relays} nodes, and {MOST_NODES} are the most: give a larger "
            "--max-span-km, and see that lengths are in km",
        )
    if isinstance(building.profile, PairProfile):
        return  # without dark counts a long span only makes few pairs
    longest = max(graph.edges, key=lambda edge: _span_km(edge, building), default=None)
    if longest is None:
        return
    span_km = _span_km(longest, building)
    if not _makes_key(building.profile.module, fibre_loss_db(span_km, building.attenuation_db_per_km)):
        labels = {node.key: node.label for node in graph.nodes}
        limit_db = reach_db(building.profile.module)
        reach_km = math.floor(10 * limit_db / building.attenuation_db_per_km) / 10
        raise _refused(
            graph,
            f"{' - '.join(labels[end] for end in longest.ends)}: over a span of {span_km:.1f} km at "
            f"{building.attenuation_db_per_km:g} dB/km the modules of profile {building.profile.name} make no key; "
            f"they reach {reach_km:g} km: give --max-span-km {reach_km:g} or less, or another --profile",
        )


def _refused(graph: ForeignGraph, what: str) -> Mistakes:
    return Mistakes([Mistake(file=graph.source, line=0, field="", what=what)])


def _span_km(edge: ForeignEdge, building: Building) -> float:
    return edge.length_km / spans_of(edge.length_km, building.max_span_km)


class _Planning:
    def __init__(self, graph: ForeignGraph, building: Building) -> None:
        self._graph = graph
        self._building = building
        wanted = [
            label_of(node.label, otherwise=label_of(f"node-{node.key}", otherwise="node"), longest=_LONGEST_NODE_NAME)
            for node in graph.nodes
        ]
        self._node_names = Names(frozenset(wanted))
        self._link_names = Names()
        self.names = {node.key: self._node_names.give(name) for node, name in zip(graph.nodes, wanted, strict=True)}
        self._positions = {node.key: node.position for node in graph.nodes}
        self._ports: dict[str, list[bool]] = {name: [] for name in self.names.values()}
        self._relays: list[tuple[str, Position | None]] = []
        self._links: list[PlannedLink] = []

    def plan(self) -> Plan:
        for edge in self._graph.edges:
            self._build(edge)
        labels = {self.names[node.key]: node for node in self._graph.nodes}
        nodes = [
            PlannedNode(name=name, label=node.label, position=node.position, interfaces=tuple(self._ports[name]))
            for name, node in labels.items()
        ]
        nodes += [
            PlannedNode(name=name, label="", position=position, interfaces=tuple(self._ports[name]))
            for name, position in self._relays
        ]
        return Plan(
            nodes=tuple(nodes),
            links=tuple(self._links),
            names=self.names,
            suggested=self._suggested(),
        )

    def _build(self, edge: ForeignEdge) -> None:
        # The smaller name is the beginning, so that a link and its spans are called the same from both sides.
        start, end = sorted(edge.ends, key=lambda key: self.names[key])
        spans = spans_of(edge.length_km, self._building.max_span_km)
        label = self._link_names.give(
            label_of(f"{self.names[start]}-{self.names[end]}", otherwise="", longest=_LONGEST_LINK_NAME)
        )
        stops = [self.names[start]]
        for number in range(1, spans):
            stops.append(self._relay(f"{label}-relay-{number}", start, end, number / spans))
        stops.append(self.names[end])
        for number, (a, b) in enumerate(pairwise(stops), 1):
            self._links.append(
                PlannedLink(
                    name=label if spans == 1 else self._link_names.give(f"{label}-span-{number}"),
                    ends=((a, self._port(a, transmitter=True)), (b, self._port(b, transmitter=False))),
                    length_km=_written_km(edge.length_km / spans, self._building.max_span_km),
                    spans=spans,
                    measure=edge.measure,
                )
            )

    def _relay(self, wanted: str, start: str, end: str, part: float) -> str:
        name = self._node_names.give(wanted)
        a, b = self._positions[start], self._positions[end]
        self._relays.append((name, between(a, b, part) if a is not None and b is not None else None))
        self._ports[name] = []
        return name

    def _port(self, node: str, *, transmitter: bool) -> int:
        self._ports[node].append(transmitter)
        return len(self._ports[node])

    def _suggested(self) -> tuple[str, str] | None:
        """Return two nodes of the largest part, as far apart as two searches find: almost as far as any two."""
        pairs = [edge.ends for edge in self._graph.edges]
        part = components([node.key for node in self._graph.nodes], pairs)[0]
        neighbours: dict[str, set[str]] = {key: set() for key in part}
        for a, b in pairs:
            if a in neighbours:
                neighbours[a].add(b)
                neighbours[b].add(a)
        one = _farthest(part[0], neighbours, self.names)
        other = _farthest(one, neighbours, self.names)
        if other == one or other in neighbours[one]:
            return None
        first, second = sorted((self.names[one], self.names[other]))
        return first, second


def _farthest(start: str, neighbours: Mapping[str, Iterable[str]], names: Mapping[str, str]) -> str:
    ring: Sequence[str] = [start]
    seen = {start}
    last = ring
    while ring:
        last = ring
        ring = sorted({far for node in ring for far in neighbours[node]} - seen)
        seen |= set(ring)
    return min(last, key=lambda key: names[key])
