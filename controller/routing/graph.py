"""The network as routing sees it: flat arrays of the links that may carry something new, and their room."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import compress, repeat

import numpy as np

from controller.domain.admission import DEFAULT_ADMISSION, Admission
from controller.domain.capacity import reserved_by, route_charges, service_charges
from controller.domain.refusals import NotFound
from controller.domain.route import Route
from controller.domain.snapshot import Snapshot
from controller.routing.ground import Ground, ground_of
from controller.routing.kernels.net import Flags, Int64s, frozen
from controller.routing.usable import Unusable
from controller.routing.wiring import Wiring


@dataclass(frozen=True, kw_only=True, eq=False)
class Graph:
    """An immutable view of a snapshot for routing.

    Attributes:
        wiring: All QKD links of the network.
        usable: Whether a link may carry something new; shape (n_links,).
        rooms: What is free on each link in millibit/s; negative where a link weakened below what is promised on it,
            and without meaning where it is not usable; shape (n_links,).
        unusable: By name, the links that carry nothing new.
        capacities: What may be promised on each link in millibit/s, taken or not; shape (n_links,).
        admission: By which policy routes are chosen.
    """

    wiring: Wiring
    usable: Flags
    rooms: Int64s
    unusable: Mapping[str, Unusable]
    capacities: Int64s
    admission: Admission = DEFAULT_ADMISSION

    def __eq__(self, other: object) -> bool:
        """Tell whether both promise the same on the same links."""
        return (
            isinstance(other, Graph)
            and (self.wiring.nodes, self.wiring.links) == (other.wiring.nodes, other.wiring.links)
            and np.array_equal(self.usable, other.usable)
            and np.array_equal(self.rooms[self.usable], other.rooms[other.usable])
            and self.unusable == other.unusable
        )

    __hash__ = None  # type: ignore[assignment]  # as of anything with arrays in it

    @cached_property
    def room_list(self) -> list[int]:
        """Return the rooms for who looks at them one by one."""
        rooms: list[int] = self.rooms.tolist()
        return rooms

    @property
    def links(self) -> tuple[str, ...]:
        """Return the names of the usable links, in order."""
        return tuple(compress(self.wiring.links, self.usable.tolist()))

    def room(self, link: str) -> int | None:
        """Return what is free on a link in millibit/s, or None when it carries nothing new."""
        number = self.wiring.link_number.get(link)
        return None if number is None or not self.usable[number] else int(self.rooms[number])

    def charged(self, charges: Mapping[str, int]) -> "Graph":
        """Return the graph with that much less room, by link in millibit/s; other links than its own don't matter."""
        return replace(self, rooms=_less(self.wiring, self.rooms, charges))

    def freed(self, charges: Mapping[str, int]) -> "Graph":
        """Return the graph with that much more room, by link in millibit/s."""
        return self.charged({link: -charge for link, charge in charges.items()})

    def reserving(self, routes: Iterable[Route], rate_millibit_per_s: int) -> "Graph":
        """Return the graph as it is once these routes carry that rate each. Cost: a copy of the rooms."""
        return self.charged(route_charges(routes, rate_millibit_per_s))

    def with_rooms(self, rooms: Int64s) -> "Graph":
        """Return the graph with other rooms, frozen; shape (n_links,)."""
        return replace(self, rooms=rooms)

    def without_links(self, links: Collection[str], why: str = "left out") -> "Graph":
        """Return the graph in which these links carry nothing new."""
        wiring, usable = self.wiring, self.usable.copy()
        unusable = dict(self.unusable)
        for name in links:
            number = wiring.link_number.get(name)
            if number is not None and usable[number]:
                usable[number] = False
                a, b = int(wiring.net.tails[number]), int(wiring.net.heads[number])
                unusable[name] = Unusable(nodes=(wiring.nodes[a], wiring.nodes[b]), why=why)
        frozen(usable)
        return replace(self, usable=usable, unusable=unusable)

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
        net = self.wiring.net
        nodes = [start]
        names = []
        for number in links:
            a, b = int(net.tails[number]), int(net.heads[number])
            nodes.append(b if nodes[-1] == a else a)
            names.append(self.wiring.links[number])
        return Route(nodes=tuple(self.wiring.nodes[node] for node in nodes), links=tuple(names))


def _less(wiring: Wiring, rooms: Int64s, charges: Mapping[str, int]) -> Int64s:
    """Return rooms less charges, by link in millibit/s; what is no link of the wiring is left out."""
    numbers = np.fromiter(map(wiring.link_number.get, charges, repeat(-1)), dtype=np.int64, count=len(charges))
    amounts = np.fromiter(charges.values(), dtype=np.int64, count=len(charges))
    ours = numbers >= 0
    left = rooms.copy()
    left[numbers[ours]] -= amounts[ours]
    frozen(left)
    return left


_last_ground: Ground | None = None


def _ground_at(snapshot: Snapshot) -> Ground:
    """Return the ground of a snapshot; the last one is kept, and brought up to date by what differs."""
    global _last_ground
    _last_ground = ground = ground_of(snapshot) if _last_ground is None else _last_ground.at(snapshot)
    return ground


def graph_of(snapshot: Snapshot, *, ignoring: Collection[str] = ()) -> Graph:
    """Return the links on which something new may be promised, with what is free on each.

    Room is capacity less what all relays hold, `releasing` included. Cost: O(links) to copy, as of the copies that
    `reserving` and its kin make; where links changed, what these need; O(n log n + m log m) where something was built
    or removed; and by what relays hold unless the snapshot says it.

    The reservations of the relays named in `ignoring` are not counted.
    """
    if snapshot.reserved is None:
        held = reserved_by(relay for name, relay in snapshot.relays.items() if name not in ignoring)
    else:
        held = dict(snapshot.reserved)
        for ignored in set(ignoring) & snapshot.relays.keys():
            for taken, charge in service_charges(snapshot.relays[ignored]).items():
                held[taken] = held.get(taken, 0) - charge
    ground = _ground_at(snapshot)
    return Graph(
        wiring=ground.wiring,
        usable=ground.usable,
        rooms=_less(ground.wiring, ground.capacities, held),
        unusable=ground.unusable,
        capacities=ground.capacities,
        admission=snapshot.admission,
    )
