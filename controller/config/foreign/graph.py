"""A network as another program described it: its attributes as they stood, and what we understand of them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from controller.config.foreign.sphere import great_circle_km
from controller.config.mistakes import Mistake, Mistakes

LENGTH_ATTRIBUTES: Final = ("length_km", "dist_km", "distance_km", "dist", "distance", "length")
"""Where a link's length in km is looked for, in this order."""

LONGEST_KM: Final = 100_000.0
_LONGITUDES: Final = ("longitude", "Longitude", "longitude_deg", "lon", "lng")
_LATITUDES: Final = ("latitude", "Latitude", "latitude_deg", "lat")
_LABELS: Final = ("name", "label")
_TOO_SHORT: Final = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class RawNode:
    """A node as it stood: its place in the file, its identity there, and its attributes."""

    place: str
    key: str
    attributes: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class RawEdge:
    """An edge as it stood; `ends` are keys of nodes."""

    place: str
    ends: tuple[str, str]
    attributes: Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class RawGraph:
    """A graph as it stood.

    Attributes:
        source: The file, or the key in topohub.
        name: Of the network; may be empty.
        directed: Whether an edge a-b and an edge b-a are the two directions of one link.
        planar: Whether positions are known to be no longitudes and latitudes.
        demands: By the keys of two nodes, in the unit of the source.
    """

    source: str
    name: str
    directed: bool
    nodes: Sequence[RawNode]
    edges: Sequence[RawEdge]
    planar: bool = False
    demands: Mapping[tuple[str, str], object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignNode:
    """A node that is understood; `position` is (longitude, latitude) in degrees, None when unknown."""

    key: str
    label: str
    position: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignEdge:
    """A link that is understood.

    Attributes:
        ends: Keys of two different nodes.
        length_km: In [0, 100000].
        measure: Where the length comes from: an attribute's name, or "" for the great circle between the ends, or
            None for the default length that was asked for.
    """

    ends: tuple[str, str]
    length_km: float
    measure: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForeignGraph:
    """A network that is understood.

    Attributes:
        demands: By the keys of two different nodes, the smaller first; both directions together; > 0.
        warnings: What was left out, merged or doubted, for a person.
    """

    source: str
    name: str
    nodes: tuple[ForeignNode, ...]
    edges: tuple[ForeignEdge, ...]
    demands: Mapping[tuple[str, str], float]
    warnings: tuple[str, ...]


def understand(
    raw: RawGraph, *, length_attribute: str | None = None, default_length_km: float | None = None
) -> ForeignGraph:
    """Return what a graph says in our terms.

    Args:
        raw: As it stood.
        length_attribute: Where lengths in km stand; None looks in `LENGTH_ATTRIBUTES`.
        default_length_km: For a link with neither a length nor two positions; None refuses it.

    Raises:
        Mistakes: Every node and edge that cannot be used, with what to do.
    """
    return _Reading(raw, length_attribute, default_length_km).graph()


class _Reading:
    def __init__(self, raw: RawGraph, length_attribute: str | None, default_length_km: float | None) -> None:
        self._raw = raw
        self._lengths = (length_attribute,) if length_attribute else LENGTH_ATTRIBUTES
        self._default_km = default_length_km
        self._mistakes: list[Mistake] = []
        self._warnings: list[str] = []

    def graph(self) -> ForeignGraph:
        raw = self._raw
        if not raw.nodes:
            self._mistake("", "has no nodes: there is nothing to import")
        nodes = self._nodes()
        edges = self._edges({node.key: node for node in nodes})
        demands = self._demands({node.key for node in nodes})
        if self._mistakes:
            raise Mistakes(self._mistakes)
        self._warn_of_parts(nodes, edges)
        return ForeignGraph(
            source=_one_line(raw.source) or "a file without a name",
            name=_one_line(raw.name),
            nodes=tuple(nodes),
            edges=tuple(edges),
            demands=demands,
            warnings=tuple(self._warnings),
        )

    def _mistake(self, place: str, what: str) -> None:
        self._mistakes.append(Mistake(file=self._raw.source, line=0, field=place, what=what))

    # -- nodes

    def _nodes(self) -> list[ForeignNode]:
        seen: dict[str, str] = {}
        places = [self._position(node) for node in self._raw.nodes]
        if self._raw.planar or any(place and not _on_earth(place) for place in places):
            self._warnings.append("positions are no longitudes and latitudes: none is kept")
            places = [None] * len(places)
        found = []
        for node, position in zip(self._raw.nodes, places, strict=True):
            if node.key in seen:
                self._mistake(node.place, f"the id {node.key!r} is also that of {seen[node.key]}: ids are unique")
            seen.setdefault(node.key, node.place)
            found.append(ForeignNode(key=node.key, label=_label(node), position=position))
        return found

    def _position(self, node: RawNode) -> tuple[float, float] | None:
        attributes = node.attributes
        pair = attributes.get("pos")
        if isinstance(pair, list | tuple) and len(pair) == 2:
            given: tuple[object, object] = (pair[0], pair[1])
        else:
            given = _first(attributes, _LONGITUDES), _first(attributes, _LATITUDES)
            if given == (None, None):
                return None
        longitude, latitude = _number(given[0]), _number(given[1])
        if longitude is None or latitude is None:
            self._mistake(
                node.place, f"its position {given[0]!r}, {given[1]!r} is not two finite numbers; give both, or neither"
            )
            return None
        return longitude, latitude

    # -- edges

    def _edges(self, nodes: Mapping[str, ForeignNode]) -> list[ForeignEdge]:
        usable = [edge for edge in self._raw.edges if self._joins(edge, nodes)]
        if self._raw.directed:
            usable = self._one_direction(usable)
        found = [edge for edge in (self._edge(raw, nodes) for raw in usable) if edge is not None]
        self._warn_of_short_ones(found, nodes)
        return found

    def _joins(self, edge: RawEdge, nodes: Mapping[str, ForeignNode]) -> bool:
        unknown = [end for end in edge.ends if end not in nodes]
        for end in dict.fromkeys(unknown):
            self._mistake(edge.place, f"there is no node {end!r}: add the node, or remove the edge")
        if not unknown and edge.ends[0] == edge.ends[1]:
            self._warnings.append(f"{edge.place} joins {nodes[edge.ends[0]].label} to itself: dropped")
            return False
        return not unknown

    def _one_direction(self, edges: Sequence[RawEdge]) -> list[RawEdge]:
        """Return one edge for the two directions of a link; parallel ones stay as many as either direction has."""
        by_pair: dict[tuple[str, ...], dict[tuple[str, str], list[RawEdge]]] = {}
        for edge in edges:
            by_pair.setdefault(tuple(sorted(edge.ends)), {}).setdefault(edge.ends, []).append(edge)
        kept = {id(edge) for each in by_pair.values() for edge in max(each.values(), key=len)}
        if len(kept) < len(edges):
            merged = len(edges) - len(kept)
            self._warnings.append(f"the graph is directed: {merged} edges are the other direction of a link")
        return [edge for edge in edges if id(edge) in kept]

    def _edge(self, raw: RawEdge, nodes: Mapping[str, ForeignNode]) -> ForeignEdge | None:
        for name in self._lengths:
            if raw.attributes.get(name) is None:
                continue
            length = _number(raw.attributes[name])
            if length is None or not 0 <= length <= LONGEST_KM:
                self._mistake(
                    raw.place,
                    f"its {name} {raw.attributes[name]!r} is not a number of km in [0, {LONGEST_KM:.0f}]: correct it, "
                    "or name another attribute with --length-attribute",
                )
                return None
            return ForeignEdge(ends=raw.ends, length_km=length, measure=name)
        a, b = (nodes[end].position for end in raw.ends)
        if a is not None and b is not None:
            return ForeignEdge(ends=raw.ends, length_km=great_circle_km(a, b), measure="")
        if self._default_km is not None:
            return ForeignEdge(ends=raw.ends, length_km=self._default_km, measure=None)
        self._mistake(
            raw.place,
            f"has no length ({', '.join(self._lengths)}), and its ends have no positions to take the distance of: add "
            "either, name the attribute with --length-attribute, or say --default-length-km",
        )
        return None

    # -- demands

    def _demands(self, nodes: set[str]) -> dict[tuple[str, str], float]:
        found: dict[tuple[str, str], float] = {}
        for (a, b), given in self._raw.demands.items():
            place, amount = f"demands[{a}][{b}]", _number(given)
            if amount is None or amount < 0:
                self._mistake(place, f"{given!r} is not a number >= 0")
            elif a not in nodes or b not in nodes:
                self._mistake(place, f"there is no node {a if a not in nodes else b!r}")
            elif a != b and amount > 0:
                pair = (min(a, b), max(a, b))
                found[pair] = found.get(pair, 0.0) + amount
        return found

    # -- doubts

    def _warn_of_short_ones(self, edges: Sequence[ForeignEdge], nodes: Mapping[str, ForeignNode]) -> None:
        short = []
        for edge in edges:
            a, b = (nodes[end].position for end in edge.ends)
            if edge.measure and a is not None and b is not None and great_circle_km(a, b) * _TOO_SHORT > edge.length_km:
                short.append(" and ".join(nodes[end].label for end in edge.ends))
        if short:
            self._warnings.append(
                f"{len(short)} links are shorter than the straight line between their ends, first that of {short[0]}: "
                "are lengths in km, and positions right?"
            )

    def _warn_of_parts(self, nodes: Sequence[ForeignNode], edges: Sequence[ForeignEdge]) -> None:
        parts = components([node.key for node in nodes], [edge.ends for edge in edges])
        if len(parts) > 1:
            alone = sum(len(part) == 1 for part in parts)
            self._warnings.append(
                f"the network falls into {len(parts)} parts, {alone} of them single nodes: no relay joins two parts"
            )


def components(nodes: Sequence[str], edges: Sequence[tuple[str, str]]) -> list[list[str]]:
    """Return the connected parts, the largest first; of equals the one that was named first.

    >>> components(["a", "b", "c"], [("c", "b")])
    [['b', 'c'], ['a']]
    """
    neighbours: dict[str, list[str]] = {node: [] for node in nodes}
    for a, b in edges:
        neighbours[a].append(b)
        neighbours[b].append(a)
    part_of: dict[str, int] = {}
    for number, start in enumerate(nodes):
        border = [start] if start not in part_of else []
        while border:
            node = border.pop()
            if node not in part_of:
                part_of[node] = number
                border += neighbours[node]
    parts: dict[int, list[str]] = {}
    for node in nodes:
        parts.setdefault(part_of[node], []).append(node)
    return sorted(parts.values(), key=len, reverse=True)


def _label(node: RawNode) -> str:
    texts = [*(str(node.attributes.get(name) or "") for name in _LABELS), node.key]
    return next((shown for text in texts if (shown := _one_line(text))), "?")


def _one_line(text: str) -> str:
    """Return the text as it may stand in a comment or a title: printable, on one line, of 200 characters at most."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:200].rstrip()


def _first(attributes: Mapping[str, object], names: Sequence[str]) -> object:
    return next((attributes[name] for name in names if attributes.get(name) is not None), None)


def _number(given: object) -> float | None:
    """Return a finite number, also one written as text; None for anything else."""
    if isinstance(given, bool) or not isinstance(given, int | float | str):
        return None
    try:
        number = float(given)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def _on_earth(position: tuple[float, float]) -> bool:
    return abs(position[0]) <= 180 and abs(position[1]) <= 90
