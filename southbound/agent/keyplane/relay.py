"""Chunks on their way, hop by hop: padded and tagged per hop, acknowledged, never on disk in between.

A node acknowledges a chunk when it has passed it on (at the far end: stored it), and a node sends only
so many unacknowledged ones per relay, so a slow hop holds back the origin and not the memory of the nodes
before it. Nothing is sent twice: what is lost is voided by its origin.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from controller.domain.capacity import END_TO_END_CHECK_BIT, HOP_ACK_BIT, HOP_TAG_BIT
from southbound.agent.keyplane.gf128 import bind, exclusive_or
from southbound.agent.keyplane.ledger import LedgerEntry, LedgerKind, Purpose
from southbound.agent.keyplane.link import QkdLink, range_fields
from southbound.agent.keyplane.messages import Chunk, ChunkAck
from southbound.agent.keyplane.outbox import Outbox
from southbound.agent.keyplane.pool import Cause
from southbound.agent.keyplane.scheduler import LinkScheduler, RelayShare, chunk_cost_bit
from southbound.agent.keyplane.settings import RelayHop

TRANSIT_TIMEOUT_S: Final = 10.0
_UNACKNOWLEDGED_S: Final = 30.0
_WINDOW: Final = 8
_RETRY_S: Final = 0.5


class Ends(Protocol):
    """What the relay asks of the stocks at this node."""

    def wants_chunk(self, hop: RelayHop, now_s: float) -> bool:
        """Tell whether this node, origin of the relay, should send a chunk now."""

    def make(self, hop: RelayHop, box: Outbox) -> tuple[int, bytes]:
        """Return a new chunk's id and payload, kept durably."""

    def take(self, hop: RelayHop, chunk_id: int, payload: bytes, box: Outbox) -> bool:
        """Store a chunk that has arrived; False if it is refused."""

    def lost(self, relay: str, chunk_id: int, box: Outbox) -> None:
        """Hear that a chunk of ours is not arriving."""


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
    route_version: int
    forward: bool
    chunk_id: int
    payload: bytearray = field(repr=False)
    arrived_s: float
    came_by: str
    ack: _PendingAck


@dataclass(frozen=True, slots=True)
class _Load:
    forward: bool
    chunk_id: int
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Sent:
    name: RelayShare
    chunk_id: int
    at_s: float


@dataclass(slots=True)
class _Traffic:
    """What one link has to send, and what it has sent in this session."""

    session: int = -1
    scheduler: LinkScheduler = field(default_factory=LinkScheduler)
    unacknowledged: dict[int, _Sent] = field(default_factory=dict)
    """By sequence number."""
    acks: deque[_PendingAck] = field(default_factory=deque)
    transit: dict[RelayShare, deque[_Transit]] = field(default_factory=dict)


class Forwarder:
    """All hops of all relays at one node."""

    def __init__(self, node: str, ends: Ends) -> None:
        self._node = node
        self._ends = ends
        self._hops: dict[RelayShare, RelayHop] = {}
        self._traffic: dict[str, _Traffic] = {}

    # ------------------------------------------------------------ settings

    def configure(self, hops: Iterable[RelayHop], links: Iterable[str], box: Outbox) -> None:
        """Go on with these hops; chunks of a route that is gone are wiped."""
        new = {(hop.relay, hop.share): hop for hop in hops}
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
            traffic.scheduler.configure(parts, box.now_s)

    def _forget(self, name: RelayShare, hop: RelayHop, box: Outbox) -> None:
        for traffic in self._traffic.values():
            for transit in traffic.transit.pop(name, ()):
                self._wipe(transit, hop, box)
                self._traffic[transit.came_by].acks.append(transit.ack)
            for sequence, sent in list(traffic.unacknowledged.items()):
                if sent.name == name:
                    del traffic.unacknowledged[sequence]

    def _wipe(self, transit: _Transit, hop: RelayHop, box: Outbox) -> None:
        transit.payload[:] = bytes(len(transit.payload))
        box.note(
            LedgerEntry(
                kind=LedgerKind.WIPE,
                at_s=box.now_s,
                relay=hop.relay,
                route_version=transit.route_version,
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
        name = message.relay, message.share
        hop = self._hops.get(name)
        known = hop is not None and hop.route_version == message.route_version and hop.shares == message.shares
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
            traffic.acks.append(_answered(ack, accepted=taken))
            return
        queue = self._traffic[outward.link].transit.setdefault(name, deque())
        queue.append(
            _Transit(
                message.route_version, message.forward, message.chunk_id, bytearray(payload), box.now_s, link.name, ack
            )
        )
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
        hop = self._hops.get((message.relay, message.share))
        origin = hop.origin(forward=message.forward) if hop is not None else ""
        link.pools.accept(message.ranges, _cause(Purpose.CHUNK_ACK, message, origin), box)
        sent = self._traffic[link.name].unacknowledged.pop(message.acknowledged, None)
        if sent is not None and not message.accepted and hop is not None and origin == self._node:
            self._ends.lost(message.relay, sent.chunk_id, box)

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
                    progress |= self._send_chunks(link, traffic, box)

    def _begin(self, link: QkdLink, traffic: _Traffic, box: Outbox) -> None:
        traffic.session = link.session
        traffic.acks.clear()
        lost, traffic.unacknowledged = traffic.unacknowledged, {}
        for sent in lost.values():
            hop = self._hops.get(sent.name)
            if hop is not None and self._node in {hop.head, hop.tail}:
                self._ends.lost(hop.relay, sent.chunk_id, box)

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
        hop = self._hops.get((ack.relay, ack.share))
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

    def _send_chunks(self, link: QkdLink, traffic: _Traffic, box: Outbox) -> bool:
        waiting = {name for name, queue in traffic.transit.items() if queue}
        waiting |= {
            name
            for name, hop in self._hops.items()
            if self._leads(hop, link) and self._ends.wants_chunk(hop, box.now_s)
        }
        sent = False
        for name in traffic.scheduler.order(waiting, box.now_s):
            hop = self._hops[name]
            queue = traffic.transit.get(name)
            cost_bit = chunk_cost_bit(hop.chunk_bit)
            if queue:
                cost_bit = 8 * len(queue[0].payload) + HOP_TAG_BIT
            if not self._may_send(link, traffic, name, cost_bit, box):
                continue
            if queue:
                transit = queue.popleft()
                load = _Load(transit.forward, transit.chunk_id, bytes(transit.payload))
                self._send_chunk(link, traffic, hop, load, box)
                self._wipe(transit, hop, box)
                self._traffic[transit.came_by].acks.append(_answered(transit.ack, accepted=True))
            else:
                chunk_id, payload = self._ends.make(hop, box)
                load = _Load(hop.head == self._node, chunk_id, payload)
                self._send_chunk(link, traffic, hop, load, box)
            traffic.scheduler.drew(name, cost_bit)
            sent = True
        return sent

    def _leads(self, hop: RelayHop, link: QkdLink) -> bool:
        """Tell whether this node is an end of the relay and its own chunks leave by the link."""
        if self._node not in {hop.head, hop.tail}:
            return False
        outward = hop.outward(forward=self._node == hop.head)
        return outward is not None and outward.link == link.name

    def _may_send(self, link: QkdLink, traffic: _Traffic, name: RelayShare, cost_bit: int, box: Outbox) -> bool:
        if sum(1 for sent in traffic.unacknowledged.values() if sent.name == name) >= _WINDOW:
            return False
        # Without bits for its acknowledgement a chunk would only be lost. Those for our own come first, too.
        if link.neighbour_spare_bit() < HOP_ACK_BIT * (len(traffic.unacknowledged) + 1):
            granted = False
        else:
            spare_bit = link.spare_bit(box.now_s) - HOP_ACK_BIT * len(traffic.acks)
            granted = traffic.scheduler.may_draw(name, cost_bit, spare_bit)
        if not granted:
            box.wake(box.now_s + _RETRY_S)
        return granted

    def _send_chunk(
        self,
        link: QkdLink,
        traffic: _Traffic,
        hop: RelayHop,
        load: _Load,
        box: Outbox,
    ) -> None:
        blank = Chunk(
            link=link.name,
            sequence=link.next_sequence(),
            relay=hop.relay,
            route_version=hop.route_version,
            share=hop.share,
            shares=hop.shares,
            forward=load.forward,
            chunk_id=load.chunk_id,
            ranges=(),
            payload=b"",
            tag=b"",
        )
        payload = load.payload
        cause = _cause(Purpose.CHUNK, blank, hop.origin(forward=load.forward))
        ranges, key = link.draw(8 * len(payload) + HOP_TAG_BIT, cause, box)
        padded = replace(blank, ranges=ranges, payload=exclusive_or(payload, key[: len(payload)]))
        box.send(link.neighbour, replace(padded, tag=link.tag(_chunk_content(padded), key[len(payload) :])))
        traffic.unacknowledged[blank.sequence] = _Sent((hop.relay, hop.share), load.chunk_id, box.now_s)
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
            for name, queue in traffic.transit.items():
                while queue and box.now_s >= queue[0].arrived_s + TRANSIT_TIMEOUT_S:
                    transit = queue.popleft()
                    self._wipe(transit, self._hops[name], box)
                    self._traffic[transit.came_by].acks.append(transit.ack)
                if queue:
                    box.wake(queue[0].arrived_s + TRANSIT_TIMEOUT_S)


def _route(hop: RelayHop) -> tuple[object, ...]:
    return hop.route_version, hop.previous, hop.next, hop.head, hop.tail


def _cause(purpose: Purpose, message: Chunk | ChunkAck | _PendingAck, origin: str) -> Cause:
    return Cause(
        purpose=purpose,
        relay=message.relay,
        route_version=message.route_version,
        share=message.share,
        origin=origin,
        chunk_id=message.chunk_id,
    )


def _answered(ack: _PendingAck, *, accepted: bool) -> _PendingAck:
    return replace(ack, accepted=accepted)


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
