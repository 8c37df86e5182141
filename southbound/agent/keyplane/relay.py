"""Chunks on their way, hop by hop: padded and tagged per hop, acknowledged, never on disk in between.

A node acknowledges a chunk when it has passed it on (at the far end: stored it), and a node sends only
so many unacknowledged ones per relay, so a slow hop holds back the origin and not the memory of the nodes
before it. Nothing is sent twice: what is lost is voided by its origin. A chunk is made once every share of it may
be sent; its shares then wait, each for its own link, like chunks of others.
"""

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from controller.domain.capacity import END_TO_END_CHECK_BIT, HOP_ACK_BIT, HOP_TAG_BIT
from southbound.agent.keyplane.gf128 import bind, exclusive_or
from southbound.agent.keyplane.ledger import LedgerEntry, LedgerKind, Purpose
from southbound.agent.keyplane.link import QkdLink, range_fields
from southbound.agent.keyplane.messages import Chunk, ChunkAck
from southbound.agent.keyplane.outbox import Outbox
from southbound.agent.keyplane.pool import Cause
from southbound.agent.keyplane.scheduler import LinkScheduler, chunk_cost_bit
from southbound.agent.keyplane.settings import Hop, HopName, RelayHop

TRANSIT_TIMEOUT_S: Final = 10.0
_UNACKNOWLEDGED_S: Final = 30.0
_WINDOW: Final = 8
_LINK_WINDOW: Final = 32
"""Chunks of all relays that wait for an acknowledgement on a link: while there are more, its own node makes none.

Where hundreds of relays fill their stocks at once, what is made waits for neighbours that cannot keep up, and would be
given up before it has come through. What others made is passed on all the same, or nodes could wait for each other
round a ring.
"""
_RETRY_S: Final = 0.5


class Ends(Protocol):
    """What the relay asks of the stocks at this node."""

    def wanted_on(self, relay: str, now_s: float) -> tuple[RelayHop, ...]:
        """Return first hops of the versions that this node, origin of the relay, should send a new chunk on now."""

    def make(self, relay: str, hops: tuple[RelayHop, ...], box: Outbox) -> tuple[int, Iterable[tuple[HopName, bytes]]]:
        """Return a new chunk's id and all shares of its payload, for the versions of these hops; kept durably."""

    def take(self, hop: RelayHop, chunk_id: int, payload: bytes, box: Outbox) -> bool:
        """Take a share that has arrived; False if it is refused."""

    def flies(self, name: HopName, chunk_id: int) -> bool:
        """Tell whether it is still of use to send a share of a chunk of ours."""

    def lost(self, relay: str, version: int, chunk_id: int, box: Outbox) -> None:
        """Hear that a chunk of ours is not arriving on a version."""


@dataclass(frozen=True, slots=True)
class _PendingAck:
    session: int
    acknowledged: int
    relay: str
    route_version: int
    share: int
    forward: bool
    chunk_id: int
    accepted: bool


@dataclass(slots=True)
class _Transit:
    """What waits for its next hop; what was made here came by no link and is acknowledged to nobody."""

    forward: bool
    chunk_id: int
    payload: bytearray = field(repr=False)
    arrived_s: float
    came_by: str = ""
    ack: _PendingAck | None = None


@dataclass(frozen=True, slots=True)
class _Sent:
    name: HopName
    chunk_id: int
    at_s: float


@dataclass(slots=True)
class _Traffic:
    """What one link has to send, and what it has sent in this session."""

    session: int = -1
    scheduler: LinkScheduler = field(default_factory=LinkScheduler)
    unacknowledged: dict[int, _Sent] = field(default_factory=dict)
    """By sequence number."""
    under_way: Counter[HopName] = field(default_factory=Counter)
    """How many of them each has."""
    acks: deque[_PendingAck] = field(default_factory=deque)
    transit: dict[HopName, deque[_Transit]] = field(default_factory=dict)
    own: tuple[HopName, ...] = ()
    """What this node is origin of and sends by the link."""


class Forwarder:
    """All hops of all relays at one node."""

    def __init__(self, node: str, ends: Ends, lie: Callable[[bytes], bytes] | None = None) -> None:
        """Start without hops; `lie` changes what this node passes on, as a compromised one could: for laboratories."""
        self._node = node
        self._lie = lie
        self._ends = ends
        self._hops: dict[HopName, RelayHop] = {}
        self._traffic: dict[str, _Traffic] = {}

    # ------------------------------------------------------------ settings

    def configure(self, hops: Iterable[RelayHop], links: Mapping[str, QkdLink], box: Outbox) -> None:
        """Go on with these hops; chunks of a version that is gone are wiped."""
        new = {hop.name: hop for hop in hops}
        for name, hop in self._hops.items():
            if name not in new or _route(new[name]) != _route(hop):
                self._forget(name, hop, box)
        self._hops = new
        self._traffic = {link: self._traffic.get(link) or _Traffic() for link in links}
        for link, traffic in self._traffic.items():
            parts = []
            for hop in new.values():
                sends = [
                    (out := hop.outward(forward=forward)) is not None and out.link == link for forward in (True, False)
                ]
                if any(sends):
                    parts.append((hop, sends[0], sends[1]))
            scheduler = traffic.scheduler
            scheduler.configure(parts, box.now_s)
            links[link].promise(
                ours_bit_per_s=scheduler.ours_bit_per_s,
                theirs_bit_per_s=scheduler.theirs_bit_per_s,
                keep_bit=scheduler.keep_bit,
            )
            traffic.own = tuple(
                name for name, hop in new.items() if (out := self._leads(hop)) is not None and out.link == link
            )

    def _forget(self, name: HopName, hop: RelayHop, box: Outbox) -> None:
        for traffic in self._traffic.values():
            for transit in traffic.transit.pop(name, ()):
                self._wipe(transit, hop, box)
                self._answer(transit, accepted=False)
            for sequence, sent in list(traffic.unacknowledged.items()):
                if sent.name == name:
                    del traffic.unacknowledged[sequence]
            del traffic.under_way[name]

    def _answer(self, transit: _Transit, *, accepted: bool) -> None:
        if transit.ack is not None and transit.came_by in self._traffic:
            self._traffic[transit.came_by].acks.append(replace(transit.ack, accepted=accepted))

    def _leads(self, hop: RelayHop) -> Hop | None:
        """Return the way that chunks made at this node take, None where it is no end of the relay."""
        return hop.outward(forward=self._node == hop.head) if self._node in {hop.head, hop.tail} else None

    def _wipe(self, transit: _Transit, hop: RelayHop, box: Outbox) -> None:
        transit.payload[:] = bytes(len(transit.payload))
        box.note(
            LedgerEntry(
                kind=LedgerKind.WIPE,
                at_s=box.now_s,
                relay=hop.relay,
                route_version=hop.route_version,
                share=hop.share,
                origin=hop.origin(forward=transit.forward),
                chunk_id=transit.chunk_id,
            )
        )

    def exhausted(self, link: QkdLink, now_s: float) -> bool:
        """Tell whether no relay can send another chunk over a link, either way.

        Key is left above the floor then, too: less than a chunk, or in the direction that nobody uses.
        """
        spare_bit = {True: link.spare_bit(now_s), False: link.neighbour_spare_bit()}
        needs_bit = [
            (ours, chunk_cost_bit(hop.chunk_bit))
            for hop in self._hops.values()
            for forward in (True, False)
            if hop.direction_rate_millibit_per_s(forward=forward)
            for ours, way in ((True, hop.outward(forward=forward)), (False, hop.inward(forward=forward)))
            if way is not None and way.link == link.name
        ]
        if not needs_bit:
            return max(spare_bit.values()) <= 0
        return all(spare_bit[ours] < cost_bit for ours, cost_bit in needs_bit)

    # ------------------------------------------------------------ receiving

    def on_chunk(self, link: QkdLink, message: Chunk, box: Outbox) -> None:
        """Take a chunk off the hop it came by: store it here, or keep it until the next hop has taken it."""
        traffic = self._traffic[link.name]
        payload_bit = 8 * len(message.payload)
        key = link.check(
            ranges=message.ranges,
            length_bit=payload_bit + HOP_TAG_BIT,
            sequence=message.sequence,
            content=_chunk_content(message),
            tag=message.tag,
            box=box,
        )
        if key is None:
            return
        name = message.relay, message.route_version, message.share
        hop = self._hops.get(name)
        known = hop is not None and hop.shares == message.shares
        came_by = hop.inward(forward=message.forward) if hop is not None else None
        known = known and came_by is not None and came_by.link == link.name
        known = known and hop is not None and payload_bit == hop.chunk_bit + END_TO_END_CHECK_BIT
        origin = hop.origin(forward=message.forward) if hop is not None and known else ""
        cause = _cause(Purpose.CHUNK, message, origin)
        link.pools.accept(message.ranges, cause, box)
        ack = _PendingAck(
            session=link.session,
            acknowledged=message.sequence,
            relay=message.relay,
            route_version=message.route_version,
            share=message.share,
            forward=message.forward,
            chunk_id=message.chunk_id,
            accepted=False,
        )
        if hop is None or not known:
            traffic.acks.append(ack)
            return
        payload = exclusive_or(message.payload, key[: payload_bit // 8])
        outward = hop.outward(forward=message.forward)
        if outward is None:
            taken = self._ends.take(hop, message.chunk_id, payload, box)
            traffic.acks.append(replace(ack, accepted=taken))
            return
        if self._lie is not None:
            payload = self._lie(payload)
        queue = self._traffic[outward.link].transit.setdefault(name, deque())
        queue.append(_Transit(message.forward, message.chunk_id, bytearray(payload), box.now_s, link.name, ack))
        box.wake(box.now_s + TRANSIT_TIMEOUT_S)

    def on_ack(self, link: QkdLink, message: ChunkAck, box: Outbox) -> None:
        """Make room for the next chunk; void what was refused, if it was ours."""
        key = link.check(
            ranges=message.ranges,
            length_bit=HOP_ACK_BIT,
            sequence=message.sequence,
            content=_ack_content(message),
            tag=message.tag,
            box=box,
        )
        if key is None:
            return
        hop = self._hops.get((message.relay, message.route_version, message.share))
        origin = hop.origin(forward=message.forward) if hop is not None else ""
        link.pools.accept(message.ranges, _cause(Purpose.CHUNK_ACK, message, origin), box)
        traffic = self._traffic[link.name]
        sent = traffic.unacknowledged.pop(message.acknowledged, None)
        if sent is not None:
            traffic.under_way[sent.name] -= 1
        if sent is not None and not message.accepted and hop is not None and origin == self._node:
            self._ends.lost(sent.name[0], sent.name[1], sent.chunk_id, box)

    # ------------------------------------------------------------ sending

    def pump(self, links: Mapping[str, QkdLink], box: Outbox) -> None:
        """Send what may be sent now: acknowledgements first, then chunks in the scheduler's order."""
        progress = True
        while progress:
            progress = False
            for name, traffic in self._traffic.items():
                link = links[name]
                if traffic.session != link.session:
                    self._begin(link, traffic, box)
                if link.ready:
                    progress |= self._send_acks(link, traffic, box)
                    progress |= self._send_chunks(links, link, traffic, box)

    def _begin(self, link: QkdLink, traffic: _Traffic, box: Outbox) -> None:
        traffic.session = link.session
        traffic.acks.clear()
        lost, traffic.unacknowledged = traffic.unacknowledged, {}
        traffic.under_way.clear()
        for sent in lost.values():
            hop = self._hops.get(sent.name)
            if hop is not None and self._node in {hop.head, hop.tail}:
                self._ends.lost(hop.relay, hop.route_version, sent.chunk_id, box)

    def _send_acks(self, link: QkdLink, traffic: _Traffic, box: Outbox) -> bool:
        sent = False
        while traffic.acks:
            ack = traffic.acks[0]
            if ack.session != link.session:
                traffic.acks.popleft()
                continue
            if link.spare_bit(box.now_s) < HOP_ACK_BIT:
                box.wake(box.now_s + _RETRY_S)
                break
            traffic.acks.popleft()
            self._send_ack(link, ack, box)
            traffic.scheduler.acknowledged((ack.relay, ack.share))
            sent = True
        return sent

    def _send_ack(self, link: QkdLink, ack: _PendingAck, box: Outbox) -> None:
        hop = self._hops.get((ack.relay, ack.route_version, ack.share))
        origin = hop.origin(forward=ack.forward) if hop is not None else ""
        ranges, mask = link.draw(HOP_ACK_BIT, _cause(Purpose.CHUNK_ACK, ack, origin), box)
        unsigned = ChunkAck(
            link=link.name,
            sequence=link.next_sequence(),
            acknowledged=ack.acknowledged,
            relay=ack.relay,
            route_version=ack.route_version,
            share=ack.share,
            forward=ack.forward,
            chunk_id=ack.chunk_id,
            accepted=ack.accepted,
            ranges=ranges,
            tag=b"",
        )
        box.send(link.neighbour, replace(unsigned, tag=link.tag(_ack_content(unsigned), mask)))

    def _send_chunks(self, links: Mapping[str, QkdLink], link: QkdLink, traffic: _Traffic, box: Outbox) -> bool:
        waiting = {name for name, queue in traffic.transit.items() if queue}
        waiting.update(
            name
            for name in traffic.own
            if name not in waiting and any(hop.route_version == name[1] for hop in self._wanted(name, box))
        )
        sent = False
        for name in traffic.scheduler.order(waiting, box.now_s):
            queue = traffic.transit.setdefault(name, deque())
            while queue and queue[0].ack is None and not self._ends.flies(name, queue[0].chunk_id):
                self._wipe(queue.popleft(), self._hops[name], box)
            made = not queue and self._originate(links, name, box)
            if not made and not (queue and self._may_send(link, traffic, name, box)):
                continue
            transit = queue.popleft()
            self._send_chunk(link, traffic, self._hops[name], transit, box)
            if transit.ack is not None:
                self._wipe(transit, self._hops[name], box)
                self._answer(transit, accepted=True)
            sent = True
        return sent

    def _wanted(self, name: HopName, box: Outbox) -> tuple[RelayHop, ...]:
        return self._ends.wanted_on(name[0], box.now_s)

    def _originate(self, links: Mapping[str, QkdLink], name: HopName, box: Outbox) -> bool:
        """Make a chunk if one is wanted on that version and all shares of it may be sent now; tell whether it was."""
        relay, version, _ = name
        hops = self._wanted(name, box)
        shares = next((hop.shares for hop in hops if hop.route_version == version), 0)
        for other in range(shares):
            other_name = relay, version, other
            out = self._leads(self._hops[other_name])
            if out is None or not links[out.link].ready:
                return False
            other_traffic = self._traffic[out.link]
            if other_traffic.transit.get(other_name) or len(other_traffic.unacknowledged) >= _LINK_WINDOW:
                return False
            if not self._may_send(links[out.link], other_traffic, other_name, box):
                return False
        if shares:
            chunk_id, loads = self._ends.make(relay, hops, box)
            for load_name, payload in loads:
                hop = self._hops[load_name]
                if (out := self._leads(hop)) is not None:
                    queue = self._traffic[out.link].transit.setdefault(load_name, deque())
                    queue.append(_Transit(hop.head == self._node, chunk_id, bytearray(payload), box.now_s))
            box.wake(box.now_s + TRANSIT_TIMEOUT_S)
        return bool(shares)

    def _may_send(self, link: QkdLink, traffic: _Traffic, name: HopName, box: Outbox) -> bool:
        if traffic.under_way[name] >= _WINDOW:
            return False
        cost_bit = chunk_cost_bit(self._hops[name].chunk_bit)
        # Without bits for its acknowledgement a chunk would only be lost. Those for our own come first, too.
        if link.neighbour_spare_bit() < HOP_ACK_BIT * (len(traffic.unacknowledged) + 1):
            granted = False
        else:
            spare_bit = link.spare_bit(box.now_s) - HOP_ACK_BIT * len(traffic.acks)
            granted = traffic.scheduler.may_draw((name[0], name[2]), cost_bit, spare_bit)
        if not granted:
            box.wake(box.now_s + _RETRY_S)
        return granted

    def _send_chunk(self, link: QkdLink, traffic: _Traffic, hop: RelayHop, transit: _Transit, box: Outbox) -> None:
        blank = Chunk(
            link=link.name,
            sequence=link.next_sequence(),
            relay=hop.relay,
            route_version=hop.route_version,
            share=hop.share,
            shares=hop.shares,
            forward=transit.forward,
            chunk_id=transit.chunk_id,
            ranges=(),
            payload=b"",
            tag=b"",
        )
        payload = bytes(transit.payload)
        cause = _cause(Purpose.CHUNK, blank, hop.origin(forward=transit.forward))
        ranges, key = link.draw(8 * len(payload) + HOP_TAG_BIT, cause, box)
        padded = replace(blank, ranges=ranges, payload=exclusive_or(payload, key[: len(payload)]))
        box.send(link.neighbour, replace(padded, tag=link.tag(_chunk_content(padded), key[len(payload) :])))
        traffic.unacknowledged[blank.sequence] = _Sent(hop.name, transit.chunk_id, box.now_s)
        traffic.under_way[hop.name] += 1
        traffic.scheduler.drew((hop.relay, hop.share), 8 * len(payload) + HOP_TAG_BIT)
        box.wake(box.now_s + _UNACKNOWLEDGED_S)

    # ------------------------------------------------------------ time

    def expire(self, box: Outbox) -> None:
        """Wipe what has waited too long; its origin voids it."""
        for traffic in self._traffic.values():
            for sequence, sent in list(traffic.unacknowledged.items()):
                if box.now_s < sent.at_s + _UNACKNOWLEDGED_S:
                    box.wake(sent.at_s + _UNACKNOWLEDGED_S)
                    break
                del traffic.unacknowledged[sequence]
                traffic.under_way[sent.name] -= 1
            for name, queue in traffic.transit.items():
                while queue and box.now_s >= queue[0].arrived_s + TRANSIT_TIMEOUT_S:
                    transit = queue.popleft()
                    self._wipe(transit, self._hops[name], box)
                    if transit.ack is None:
                        self._ends.lost(name[0], name[1], transit.chunk_id, box)
                    self._answer(transit, accepted=False)
                if queue:
                    box.wake(queue[0].arrived_s + TRANSIT_TIMEOUT_S)


def _route(hop: RelayHop) -> tuple[object, ...]:
    return hop.shares, hop.previous, hop.next, hop.head, hop.tail


def _cause(purpose: Purpose, message: Chunk | ChunkAck | _PendingAck, origin: str) -> Cause:
    return Cause(
        purpose=purpose,
        relay=message.relay,
        route_version=message.route_version,
        share=message.share,
        origin=origin,
        chunk_id=message.chunk_id,
    )


def _chunk_content(message: Chunk) -> bytes:
    return bind(
        "chunk",
        message.link,
        message.sequence,
        message.relay,
        message.route_version,
        message.share,
        message.shares,
        message.forward,
        message.chunk_id,
        *range_fields(message.ranges),
        message.payload,
    )


def _ack_content(message: ChunkAck) -> bytes:
    return bind(
        "ack",
        message.link,
        message.sequence,
        message.acknowledged,
        message.relay,
        message.route_version,
        message.share,
        message.forward,
        message.chunk_id,
        message.accepted,
        *range_fields(message.ranges),
    )
