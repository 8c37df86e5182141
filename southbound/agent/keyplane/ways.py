"""The versions of one relay's routes at one of its ends: which are in use, and what is under way on each.

A version that changes is another version: old and new stand side by side until what is under way on the old one has
drained. The head is told by the controller which it uses; the tail hears it from the head. A chunk is sent on every
version in use (1+1); a flight is one chunk on one version, from when it was made until it is known what became of it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from southbound.agent.keyplane.outbox import NEVER
from southbound.agent.keyplane.settings import RelayHop

CHUNK_TIMEOUT_S: Final = 15.0
IN_FLIGHT: Final = 16
_PROBE_TIMEOUT_S: Final = 1.0
"""For the first chunk on a version, doubled each time: an end that is not told of it yet refuses the chunk, and then
only the hop before that end learns of it."""
_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 30.0
_HOLD_S: Final = 2.0
"""How long a version that is full, and confirms nothing, holds up the others in use: chunks go by all of them."""


@dataclass(frozen=True, slots=True)
class Flight:
    """A chunk under way on one version; `tag` is what the far end must tell of it."""

    tag: bytes = field(repr=False)
    made_s: float


@dataclass(slots=True)
class Way:
    """One version of the routes.

    Attributes:
        hops: This end's, in the order of their shares.
        flights: By chunk id, oldest first.
        proven: Whether the last chunk that came to an end on it was confirmed.
        came_s: When a chunk on it was last confirmed.
    """

    version: int
    hops: tuple[RelayHop, ...]
    flights: dict[int, Flight] = field(default_factory=dict)
    proven: bool = False
    came_s: float = -NEVER
    pause_s: float = 0.0
    paused_until_s: float = -NEVER
    probe_s: float = _PROBE_TIMEOUT_S

    @property
    def hop(self) -> RelayHop:
        """Return the first share's hop: what is not of one share is alike in all."""
        return self.hops[0]

    @property
    def complete(self) -> bool:
        """Tell whether all shares are set, and alike: nothing is built of fewer."""
        alike = {(hop.shares, hop.chunk_bit, hop.rate_millibit_per_s, hop.forward_share) for hop in self.hops}
        return len(alike) == 1 and len(self.hops) == self.hop.shares

    @property
    def passive(self) -> bool:
        """Tell whether the head is told not to use it."""
        return any(hop.passive for hop in self.hops)

    @property
    def full(self) -> bool:
        """Tell whether it takes no more chunks until one comes to an end."""
        return len(self.flights) >= (IN_FLIGHT if self.proven else 1)

    @property
    def held_until_s(self) -> float:
        """Return until when the others in use wait for it: it works, and is full."""
        return self.came_s + _HOLD_S if self.proven and self.full else -NEVER

    def goes(self, other: tuple[RelayHop, ...]) -> bool:
        """Tell whether chunks that are under way here arrive by these hops, too."""
        return [_route(hop) for hop in self.hops] == [_route(hop) for hop in other]

    def rest(self, now_s: float) -> None:
        """Pause, longer each time, after a chunk was lost; those that were under way with it are the same loss."""
        self.proven = False
        if now_s < self.paused_until_s:
            return
        self.pause_s = min(_LONGEST_PAUSE_S, max(_PAUSE_S, 2 * self.pause_s))
        self.paused_until_s = now_s + self.pause_s

    def next_hops(self, *, forward: bool) -> str:
        """Return what is known here of the way, for a person."""
        steps = []
        for hop in self.hops:
            if (out := hop.outward(forward=forward)) is not None:
                steps.append(f"share {hop.share} over links/{out.link} to {out.node}")
        return f"route version {self.version} ({', '.join(steps)})"


class Ways:
    """All versions at one end of a relay."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._ways: dict[int, Way] = {}
        self._told: tuple[int, ...] = ()
        self._last_told = 0
        self._early: dict[int, dict[int, Flight]] = {}
        """What was under way before a restart, by version, until the versions are set again."""
        self.confirmed: set[int] = set()
        self.in_use: tuple[int, ...] = ()
        self.needed_shares = 1

    # ------------------------------------------------------------ settings

    def configure(self, hops: Iterable[RelayHop]) -> list[tuple[int, int]]:
        """Go on with these; return (version, chunk id) of what was under way on versions that are gone."""
        grouped: dict[int, list[RelayHop]] = {}
        for hop in hops:
            grouped.setdefault(hop.route_version, []).append(hop)
        old, self._ways = self._ways, {}
        for version in sorted(grouped):
            mine = tuple(sorted(grouped[version], key=lambda hop: hop.share))
            way = old.get(version)
            if way is not None and way.goes(mine):
                way.hops = mine
                del old[version]
            else:
                way = Way(version, mine)
            way.flights |= self._early.pop(version, {})
            self._ways[version] = way
        lost = [(version, chunk_id) for version, way in old.items() for chunk_id in way.flights]
        lost += [(version, chunk_id) for version, flights in self._early.items() for chunk_id in flights]
        self._early.clear()
        self.confirmed &= self._ways.keys()
        self._choose()
        return lost

    def hear(self, versions: Iterable[int]) -> None:
        """Take the head's word of what it uses."""
        self._told = tuple(versions)
        self._last_told = max(self._told, default=0)
        self._choose()

    def forget_head(self) -> None:
        """What the head told does not outlive the stream."""
        self._told = ()
        self._choose()

    def _choose(self) -> None:
        complete = {version: way for version, way in self._ways.items() if way.complete}
        if any(way.hop.head == self._node for way in complete.values()):
            using = [version for version, way in complete.items() if not way.passive]
            self._last_told = max(using, default=0)
        else:
            using = [version for version in sorted(self._told) if version in complete]
        self.in_use = tuple(using)
        if using:
            self.needed_shares = max(complete[version].hop.shares for version in using)

    # ------------------------------------------------------------ what stands

    @property
    def versions(self) -> tuple[int, ...]:
        """Return the versions that are set in full."""
        return tuple(version for version, way in self._ways.items() if way.complete)

    @property
    def highest_in_use(self) -> int:
        """Return the highest version in use, as last known here; 0 if none is."""
        return self._last_told if self._last_told in self._ways else 0

    @property
    def ready(self) -> tuple[int, ...]:
        """Return what a head tells its tail."""
        return tuple(version for version in self.in_use if self._ways[version].hop.head == self._node)

    @property
    def undrained(self) -> tuple[int, ...]:
        """Return the versions not in use on which something of ours is under way."""
        return tuple(version for version, way in self._ways.items() if way.flights and version not in self.in_use)

    @property
    def hop(self) -> RelayHop | None:
        """Return the hop whose figures count: of the highest version in use, else of the highest that is set."""
        version = max(self.in_use, default=None) or max(self._ways, default=None)
        return None if version is None else self._ways[version].hop

    def get(self, version: int) -> Way | None:
        """Return a version."""
        return self._ways.get(version)

    def open(self, now_s: float) -> Iterator[Way]:
        """Yield the versions in use that may take another chunk now, all for chunks of the same kind.

        While one that works is full, only those are that were never confirmed: a chunk goes by all that work.
        """
        if not self.in_use:
            return
        kind = self._ways[self.in_use[-1]].hop
        if not kind.direction_rate_millibit_per_s(forward=self._node == kind.head):
            return
        held = any(now_s < self._ways[version].held_until_s for version in self.in_use)
        for version in self.in_use:
            way = self._ways[version]
            if held and version in self.confirmed:
                continue
            if way.hop.chunk_bit != kind.chunk_bit or way.hop.shares < self.needed_shares:
                continue
            if now_s < way.paused_until_s:
                continue
            if not way.full:
                yield way

    # ------------------------------------------------------------ flights

    def restore_flight(self, version: int, chunk_id: int, flight: Flight) -> None:
        """Take up what was under way when the process ended."""
        self._early.setdefault(version, {})[chunk_id] = flight

    def flying(self, chunk_id: int) -> list[Way]:
        """Return the versions that a chunk is under way on."""
        return [way for way in self._ways.values() if chunk_id in way.flights]

    def land(self, chunk_id: int) -> list[Way]:
        """End all flights of a chunk; return the versions that it was under way on."""
        ways = self.flying(chunk_id)
        for way in ways:
            del way.flights[chunk_id]
        return ways

    def late_s(self, way: Way) -> float:
        """Return when the oldest chunk that is under way on a version is given up."""
        for flight in way.flights.values():
            return flight.made_s + self._patience_s(way)
        return NEVER

    def _patience_s(self, way: Way) -> float:
        return CHUNK_TIMEOUT_S if way.version in self.confirmed else way.probe_s

    def take_late(self, now_s: float) -> list[tuple[int, int]]:
        """Return (version, chunk id) of what did not come to an end in time; a probe is waited for longer then."""
        late = []
        for way in self._ways.values():
            if now_s < self.late_s(way):
                continue
            for chunk_id, flight in way.flights.items():
                if now_s < flight.made_s + self._patience_s(way):
                    break
                late.append((way.version, chunk_id))
            way.probe_s = min(CHUNK_TIMEOUT_S, 2 * way.probe_s)
        return late

    def wake_s(self, now_s: float) -> float:
        """Return when something falls due."""
        due_s = NEVER
        for way in self._ways.values():
            due_s = min(due_s, self.late_s(way))
            if now_s < way.held_until_s:
                due_s = min(due_s, way.held_until_s)
            if now_s < way.paused_until_s:
                due_s = min(due_s, way.paused_until_s)
        return due_s


def _route(hop: RelayHop) -> tuple[object, ...]:
    return hop.share, hop.shares, hop.previous, hop.next, hop.head, hop.tail
