"""The network as routing sees it: flat arrays of the links that may carry something new, and their room."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from controller.domain.capacity import (
    capacity_millibit_per_s,
    reserved_by,
    route_charges,
    service_charges,
)
from controller.domain.link import Establishment, Link, LinkKind
from controller.domain.node import Capability
from controller.domain.refusals import NotFound
from controller.domain.route import Route
from controller.domain.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """A link that carries nothing new, and why."""

    nodes: tuple[str, str]
    why: str


@dataclass(frozen=True, kw_only=True)
class Wiring:
    """What reservations do not change; all copies of a graph share it.

    Nodes and links are numbered in the order of their names, so that comparing numbers compares names.

    Attributes:
        nodes, links: Names, by number; links are the usable ones only.
        ends: The two node numbers of each link, the smaller first; shape (n_links,).
        at: For each node (number of a link, number of the node at its far end), by link; shape (n_nodes,).
        relaying: Whether a route may pass the node on its way.
        places: What two nodes share when one event can take both.
        trust_domains: Who runs each node.
        unusable: By name, the links that are left out.
    """

    nodes: tuple[str, ...]
    links: tuple[str, ...]
    ends: tuple[tuple[int, int], ...]
    at: tuple[tuple[tuple[int, int], ...], ...]
    relaying: tuple[bool, ...]
    places: tuple[str, ...]
    trust_domains: tuple[str, ...]
    unusable: Mapping[str, Unusable]

    @cached_property
    def node_number(self) -> Mapping[str, int]:
        """Return the number of each node, by name."""
        return {name: number for number, name in enumerate(self.nodes)}

    @cached_property
    def link_number(self) -> Mapping[str, int]:
        """Return the number of each usable link, by name."""
        return {name: number for number, name in enumerate(self.links)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Graph:
    """An immutable view of a snapshot for routing.

    Attributes:
        rooms: What is free on each link of the wiring in millibit/s; negative where a link weakened
            below what is promised on it; shape (n_links,).
    """

    wiring: Wiring
    rooms: tuple[int, ...]

    def room(self, link: str) -> int | None:
        """Return what is free on a link in millibit/s, or None when it carries nothing new."""
        number = self.wiring.link_number.get(link)
        return None if number is None else self.rooms[number]

    def charged(self, charges: Mapping[str, int]) -> "Graph":
        """Return the graph with that much less room, by link in millibit/s; other links than its own don't matter."""
        rooms = list(self.rooms)
        for link, charge in charges.items():
            number = self.wiring.link_number.get(link)
            if number is not None:
                rooms[number] -= charge
        return replace(self, rooms=tuple(rooms))

    def freed(self, charges: Mapping[str, int]) -> "Graph":
        """Return the graph with that much more room, by link in millibit/s."""
        return self.charged({link: -charge for link, charge in charges.items()})

    def reserving(self, routes: Iterable[Route], rate_millibit_per_s: int) -> "Graph":
        """Return the graph as it is once these routes carry that rate each. Cost: O(links), nothing searched."""
        return self.charged(route_charges(routes, rate_millibit_per_s))

    def without_links(self, links: Collection[str], why: str = "left out") -> "Graph":
        """Return the graph in which these links carry nothing new."""
        kept = [number for number, name in enumerate(self.wiring.links) if name not in links]
        gone = {
            name: Unusable(nodes=(self.wiring.nodes[a], self.wiring.nodes[b]), why=why)
            for name, (a, b) in zip(self.wiring.links, self.wiring.ends, strict=True)
            if name in links
        }
        wiring = _wired(
            replace(self.wiring, unusable={**self.wiring.unusable, **gone}),
            [(self.wiring.links[number], self.wiring.ends[number]) for number in kept],
        )
        return Graph(wiring=wiring, rooms=tuple(self.rooms[number] for number in kept))

    def node(self, name: str) -> int:
        """Return a node's number.

        Raises:
            NotFound: The network has no such node.
        """
        number = self.wiring.node_number.get(name)
        if number is None:
            raise NotFound(f"nodes/{name}")
        return number

    def route(self, start: int, links: Iterable[int]) -> Route:
        """Return the route that leaves a node over these links, given by number."""
        nodes = [start]
        names = []
        for number in links:
            a, b = self.wiring.ends[number]
            nodes.append(b if nodes[-1] == a else a)
            names.append(self.wiring.links[number])
        return Route(nodes=tuple(self.wiring.nodes[node] for node in nodes), links=tuple(names))


def _wired(bare: Wiring, links: Iterable[tuple[str, tuple[int, int]]]) -> Wiring:
    at: list[list[tuple[int, int]]] = [[] for _ in bare.nodes]
    names = []
    ends = []
    for number, (name, (a, b)) in enumerate(links):
        names.append(name)
        ends.append((a, b))
        at[a].append((number, b))
        at[b].append((number, a))
    return replace(bare, links=tuple(names), ends=tuple(ends), at=tuple(tuple(incident) for incident in at))


def why_unusable(snapshot: Snapshot, link: Link) -> str | None:
    """Return why a link carries nothing new for a person to read, or None when it may.

    A link that is down keeps what runs on it, on stored key, but nothing new is promised on it.
    """
    return "makes no key" if link.kind is not LinkKind.QKD else why_no_service(snapshot, link)


def why_no_service(snapshot: Snapshot, link: Link) -> str | None:
    """Return why a link, whatever it makes, carries nothing new, or None when it may."""
    condition = snapshot.condition(link.name)
    if link.establishment is not Establishment.ESTABLISHED:
        return "not established"
    if not link.admin_enabled:
        return "disabled"
    if link.maintenance:
        return "in maintenance"
    if not condition.generating:
        return f"down: {condition.down_reason}" if condition.down_reason else "down"
    if condition.damped:
        return "it went down too often lately, and has to stay up for some minutes first"
    for name in link.nodes:
        node = snapshot.nodes.get(name)
        if node is None:
            return f"nodes/{name} does not exist"
        if not node.admin_enabled:
            return f"nodes/{name} is disabled"
        if node.maintenance:
            return f"nodes/{name} is in maintenance"
    absent = [name for name in link.nodes if name not in snapshot.connected]
    if absent:
        return "stale: no session with " + " and ".join(f"nodes/{name}" for name in absent)
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ground:
    """What relays do not change of a graph, and the snapshot that it was made of."""

    snapshot: Snapshot
    wiring: Wiring
    capacities: tuple[int, ...]

    def fits(self, snapshot: Snapshot) -> bool:
        """Tell whether it would be the same for that snapshot: no collection changes, there are only other ones."""
        made = self.snapshot
        return (
            made.nodes is snapshot.nodes
            and made.links is snapshot.links
            and made.conditions is snapshot.conditions
            and made.connected is snapshot.connected
        )


_last_ground: _Ground | None = None


def _ground_of(snapshot: Snapshot) -> _Ground:
    """Return the ground of a snapshot; the last one made is kept, since most changes are of relays alone."""
    global _last_ground
    ground = _last_ground
    if ground is None or not ground.fits(snapshot):
        _last_ground = ground = _made_ground(snapshot)
    return ground


def _made_ground(snapshot: Snapshot) -> _Ground:
    nodes = sorted(snapshot.nodes)
    numbers = {name: number for number, name in enumerate(nodes)}
    usable: list[Link] = []
    unusable: dict[str, Unusable] = {}
    for name in sorted(snapshot.links):
        link = snapshot.links[name]
        why = why_unusable(snapshot, link)
        if why is None:
            usable.append(link)
        else:
            unusable[name] = Unusable(nodes=link.nodes, why=why)
    bare = Wiring(
        nodes=tuple(nodes),
        links=(),
        ends=(),
        at=(),
        relaying=tuple(Capability.KEY_RELAY in snapshot.nodes[name].capabilities for name in nodes),
        places=tuple(snapshot.nodes[name].place for name in nodes),
        trust_domains=tuple(snapshot.nodes[name].trust_domain for name in nodes),
        unusable=unusable,
    )
    return _Ground(
        snapshot=replace(snapshot, relays={}, requests={}, reserved=None),
        wiring=_wired(bare, [(link.name, (numbers[link.nodes[0]], numbers[link.nodes[1]])) for link in usable]),
        capacities=tuple(capacity_millibit_per_s(link, snapshot.condition(link.name)) for link in usable),
    )


def graph_of(snapshot: Snapshot, *, ignoring: Collection[str] = ()) -> Graph:
    """Return the links on which something new may be promised, with what is free on each.

    Room is capacity less what all relays hold, `releasing` included. Cost: O(links), as of the copies that
    `reserving` and its kin make; more by O(nodes + links log links) when something else than relays has changed,
    and by what relays hold unless the snapshot says it.

    The reservations of the relays named in `ignoring` are not counted.
    """
    if snapshot.reserved is None:
        held = reserved_by(relay for name, relay in snapshot.relays.items() if name not in ignoring)
    else:
        held = dict(snapshot.reserved)
        for ignored in set(ignoring) & snapshot.relays.keys():
            for taken, charge in service_charges(snapshot.relays[ignored]).items():
                held[taken] = held.get(taken, 0) - charge
    ground = _ground_of(snapshot)
    return Graph(
        wiring=ground.wiring,
        rooms=tuple(
            capacity - held.get(link, 0) for link, capacity in zip(ground.wiring.links, ground.capacities, strict=True)
        ),
    )
