"""The stock of one relay at one of its ends: chunks it is origin of, and chunks it holds as far end.

An origin's chunk is UNCONFIRMED until the far end has told a masked hash of what it stored, and AVAILABLE
from then on. Bits are cut from the oldest chunk first; marks only rise. What is cut leaves memory and disk.
A chunk of fewer shares than are asked for now is void, wherever it stands.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from southbound.agent.keyplane.chunks import CHECK_BYTES, StockChunk, end_to_end_tag, restored_chunk
from southbound.agent.keyplane.events import (
    AlarmKind,
    ClearAlarm,
    Record,
    RelayFigures,
    RouteConfirmed,
    RoutesChanged,
)
from southbound.agent.keyplane.ledger import LedgerEntry, LedgerKind
from southbound.agent.keyplane.messages import ChunkConfirm, ChunkVoid, Cut, HeadReady, StockMark, StockState
from southbound.agent.keyplane.outbox import NEVER, Outbox
from southbound.agent.keyplane.settings import RelayHop
from southbound.agent.keyplane.shares import Assembly, Partial, SeenIds
from southbound.agent.keyplane.ways import Flight, Way, Ways

_IDS_PER_S: Final = 1_000_000
_HELD_LONGER_S: Final = 30.0
"""The origin ends a chunk and tells: only one that is away for longer than this is not waited for."""


class RelayStock:
    """Both stocks of a relay at one of its ends: `own` (this node is origin) and `held` (the other end is)."""

    def __init__(self, relay: str, node: str, far_node: str) -> None:
        self.relay = relay
        self.node = node
        self.far_node = far_node
        self.ways = Ways(node)
        self.own: dict[int, StockChunk] = {}
        self.held: dict[int, StockChunk] = {}
        self.synchronised = False
        self.told = False
        self.confirmed_bit = self.voided_bit = self.delivered_bit = 0
        # Kept up with every change: whether to send must not cost a walk over the stock.
        self._in_flight: dict[int, StockChunk] = {}
        self._available_bit = 0
        self._unconfirmed_bit = 0
        self._last_id = 0
        self._before_connect_id = 0
        self._seen = SeenIds()
        self._partials = Assembly()
        self._was_older = False
        self._filling = False
        self._ttl_s = NEVER
        self._told_routes: tuple[object, ...] = (0, (), ())

    @property
    def hop(self) -> RelayHop | None:
        """Return the hop whose rate and watermarks count now; None while there is no route."""
        return self.ways.hop

    # ------------------------------------------------------------ settings and connection

    def keep_for(self, ttl_s: float, box: Outbox) -> None:
        """Keep unused chunks no longer than this from now on."""
        self._ttl_s = ttl_s
        # After a restart they are in any order, and the oldest is to end first.
        self.own = dict(sorted(self.own.items()))
        self.held = dict(sorted(self.held.items()))
        self._expire_old(box)

    def configure(self, hops: Iterable[RelayHop], box: Outbox) -> None:
        """Go on with these versions; what is under way on others is void."""
        ready, versions = self.ways.ready, self.ways.versions
        lost = self.ways.configure(hops)
        if not set(versions) <= set(self.ways.versions):
            self._seen.forget_versions_but(self.ways.versions, self.held)
        for partial in self._partials.drop_versions_but(self.ways.versions):
            self._note_partial(partial, box)
        self._ended([chunk_id for _, chunk_id in lost], box)
        self._keep_shares(box)
        if self.told and self.ways.ready != ready:
            self._tell_ready(box)
        self._tell_routes(box)

    def connect(self, box: Outbox) -> None:
        """Tell the other end what we hold of it; ours counts when it has told the same."""
        self.synchronised, self.told = False, True
        self.ways.forget_head()
        self._before_connect_id = self._last_id
        # After a restart they are in any order, and the oldest is to be cut first.
        self.own = dict(sorted(self.own.items()))
        self._in_flight = dict(sorted(self._in_flight.items()))
        self.tell(box, answers=False)
        self._tell_ready(box)
        self._tell_routes(box)

    def disconnect(self) -> None:
        """Hand out nothing until both ends have compared their stocks again."""
        self.synchronised = self.told = False
        self.ways.forget_head()

    def tell(self, box: Outbox, *, answers: bool) -> None:
        """List all that is held."""
        marks = tuple(StockMark(chunk.chunk_id, chunk.mark_bit, chunk.tag) for chunk in self.held.values())
        box.send(self.far_node, StockState(self.relay, answers, marks))

    def on_state(self, state: StockState, box: Outbox) -> None:
        """Void what the far end does not hold, and what we do not; confirm what both do."""
        if not state.answers:
            self.tell(box, answers=True)
            # The other end may have begun to know the relay only now, and missed what we told before.
            self._tell_ready(box)
        theirs = {mark.chunk_id: mark for mark in state.chunks}
        # A chunk that was sent since then may still be on its way; one that was confirmed can't be.
        unknown = [chunk for chunk in self.own.values() if chunk.chunk_id not in theirs]
        self.void_own(
            [chunk.chunk_id for chunk in unknown if chunk.confirmed or chunk.chunk_id <= self._before_connect_id], box
        )
        stray = tuple(chunk_id for chunk_id in theirs if chunk_id not in self.own)
        if stray:
            box.send(self.far_node, ChunkVoid(self.relay, stray))
        for chunk_id in theirs.keys() & self.own.keys():
            chunk, mark = self.own[chunk_id], theirs[chunk_id]
            ways = self.ways.land(chunk_id) if chunk_id <= self._before_connect_id else self.ways.flying(chunk_id)
            if not chunk.confirmed:
                self._confirm(chunk, mark.tag, ways, box)
            if chunk.confirmed and mark.mark_bit > chunk.mark_bit:
                self._was_older = True
                box.alarm(
                    AlarmKind.STORE_OLDER_THAN_PEER,
                    f"keyRelays/{self.relay}",
                    f"key store is older than that of {self.far_node}; restored from a backup? took over its cuts",
                )
                self._cut(chunk, min(mark.mark_bit, chunk.mark_bit + chunk.left_bit), "own", box)
        self.synchronised = True
        self._tell_routes(box)

    def on_head_ready(self, message: HeadReady, box: Outbox) -> None:
        """Keep what the head uses, whether or not we have it yet: with the head the whole route stands."""
        self.ways.hear(version for version in (*message.further_versions, message.route_version) if version)
        self._keep_shares(box)
        self._tell_routes(box)

    def _tell_ready(self, box: Outbox) -> None:
        *further, highest = self.ways.ready or (0,)
        box.send(self.far_node, HeadReady(self.relay, highest, tuple(further)))

    def _tell_routes(self, box: Outbox) -> None:
        routes = self.ways.highest_in_use, self._confirmed_versions(), self.ways.undrained
        if routes != self._told_routes:
            self._told_routes = routes
            box.effects.append(RoutesChanged(self.relay))

    def _confirmed_versions(self) -> tuple[int, ...]:
        return tuple(sorted(self.ways.confirmed))

    def _keep_shares(self, box: Outbox) -> None:
        """Void what was made of fewer shares than are asked for now, at whichever end it was made."""
        needed = self.ways.needed_shares
        self.void_own([chunk.chunk_id for chunk in self.own.values() if chunk.shares < needed], box)
        for chunk in [chunk for chunk in self.held.values() if chunk.shares < needed]:
            del self.held[chunk.chunk_id]
            self._seen.void(chunk.chunk_id)
            self._void(chunk, "held", self.far_node, box)

    # ------------------------------------------------------------ origin

    @property
    def available_bit(self) -> int:
        """Return what is confirmed and uncut."""
        return self._available_bit

    @property
    def unconfirmed_bit(self) -> int:
        """Return what is on its way."""
        return self._unconfirmed_bit

    def wanted_on(self, now_s: float) -> tuple[RelayHop, ...]:
        """Return the first hops of the versions that a new chunk should be sent on now; none if none should be."""
        if not self.synchronised:
            return ()
        ways = list(self.ways.open(now_s))
        if not ways:
            return ()
        # Whether a new route works should show at once, not when the stock has run low.
        probing = [way for way in ways if way.version not in self.ways.confirmed]
        if len(probing) < len(ways):
            hop = ways[-1].hop
            level_bit = self._available_bit + self._unconfirmed_bit
            if level_bit + hop.chunk_bit > hop.stock_high_bit:
                self._filling = False
            elif level_bit < hop.stock_low_bit:
                self._filling = True
            if self._filling:
                probing = ways
        return tuple(way.hop for way in probing if way.version in self.ways.confirmed or not way.flights)

    def make(self, versions: tuple[int, ...], chance: bytes, box: Outbox) -> int:
        """Keep a new chunk UNCONFIRMED, made of key and end-to-end check as they travel; return its id."""
        key, check = chance[:-CHECK_BYTES], chance[-CHECK_BYTES:]
        self._last_id = max(self._last_id + 1, int(box.now_s * _IDS_PER_S))
        tag = end_to_end_tag(relay=self.relay, chunk_id=self._last_id, key=key, check=check)
        ways = [way for version in versions if (way := self.ways.get(version)) is not None]
        # Two versions in use may differ in shares while one takes over: what counts is the least of them.
        shares = min(way.hop.shares for way in ways)
        chunk = StockChunk(self.relay, self._last_id, max(versions), shares, key, tag, box.now_s)
        self.own[chunk.chunk_id] = self._in_flight[chunk.chunk_id] = chunk
        self._unconfirmed_bit += chunk.left_bit
        for way in ways:
            way.flights[chunk.chunk_id] = Flight(tag, box.now_s)
        self._persist(chunk, "own", box)
        box.wake(self.ways.wake_s(box.now_s))
        return chunk.chunk_id

    def flies(self, version: int, chunk_id: int) -> bool:
        """Tell whether it is still of use to send a chunk on a version."""
        way = self.ways.get(version)
        return way is not None and chunk_id in way.flights

    def on_confirm(self, message: ChunkConfirm, box: Outbox) -> None:
        """Make a chunk available if the far end holds the same; see that its copies on other versions are, too."""
        chunk = self.own.get(message.chunk_id)
        way = self.ways.get(message.route_version)
        flight = way.flights.pop(message.chunk_id, None) if way is not None else None
        if chunk is not None and not chunk.confirmed and way is not None and flight is not None:
            self._confirm(chunk, message.tag, [way], box)
        elif way is not None and flight is not None:
            # A copy that came after the first: nothing is made of it, but it tells of the route.
            if flight.tag == message.tag:
                self._came(way, box)
            else:
                self._differs(message.chunk_id, [way], box)
        if chunk is None:
            box.send(self.far_node, ChunkVoid(self.relay, (message.chunk_id,)))
        self._tell_routes(box)

    def _confirm(self, chunk: StockChunk, tag: bytes, ways: list[Way], box: Outbox) -> None:
        if tag != chunk.tag:
            self._differs(chunk.chunk_id, ways, box)
            self.void_own([chunk.chunk_id], box)
            return
        if len(ways) == 1:
            chunk.route_version = ways[0].version
        chunk.confirmed = True
        del self._in_flight[chunk.chunk_id]
        self._unconfirmed_bit -= chunk.left_bit
        self._available_bit += chunk.left_bit
        self._persist(chunk, "own", box)
        self._note_stocked(chunk, self.node, box)
        self.confirmed_bit += chunk.left_bit
        if self._was_older and self.synchronised:
            self._was_older = False
            box.effects.append(ClearAlarm(AlarmKind.STORE_OLDER_THAN_PEER, f"keyRelays/{self.relay}"))
        if len(ways) == 1:
            self._came(ways[0], box)

    def _came(self, way: Way, box: Outbox) -> None:
        way.proven, way.pause_s, way.came_s = True, 0.0, box.now_s
        if way.version not in self.ways.confirmed:
            self.ways.confirmed.add(way.version)
            box.effects.append(RouteConfirmed(self.relay, way.version))

    def _differs(self, chunk_id: int, ways: list[Way], box: Outbox) -> None:
        routes = " or ".join(way.next_hops(forward=way.hop.head == self.node) for way in ways) or "a route that is gone"
        text = f"chunk {chunk_id} came out different at {self.far_node} by {routes}, and was voided"
        box.alarm(AlarmKind.CHECK_FAILED, f"keyRelays/{self.relay}", text)
        for way in ways:
            self._rest(way, box)

    def lost(self, version: int, chunk_id: int, box: Outbox) -> None:
        """Hear that a chunk is not arriving on a version: void it if that was the last, and pause before the next."""
        way = self.ways.get(version)
        if way is not None and way.flights.pop(chunk_id, None) is not None:
            self._rest(way, box)
            self._ended([chunk_id], box)
            self._tell_routes(box)

    def _rest(self, way: Way, box: Outbox) -> None:
        way.rest(box.now_s)
        box.wake(way.paused_until_s)

    def _ended(self, chunk_ids: Iterable[int], box: Outbox) -> None:
        """Void those of the chunks that are neither confirmed nor under way any more."""
        over = [one for one in dict.fromkeys(chunk_ids) if one in self._in_flight and not self.ways.flying(one)]
        self.void_own(over, box)

    def expire(self, box: Outbox) -> None:
        """Void what was not confirmed in time; wipe what came of a chunk and was waited for too long."""
        if late := self.ways.take_late(box.now_s):
            for version, chunk_id in late:
                if (way := self.ways.get(version)) is not None:
                    del way.flights[chunk_id]
                    self._rest(way, box)
            self._ended([chunk_id for _, chunk_id in late], box)
            self._tell_routes(box)
        for partial in self._partials.expire(box.now_s):
            self._note_partial(partial, box)
        self._expire_old(box)
        box.wake(min(self.ways.wake_s(box.now_s), self._partials.due_s()))

    def _expire_old(self, box: Outbox) -> None:
        """Void what was not handed out in its time; the far end of a chunk, which got it later, does so by itself."""
        over = []
        chunk: StockChunk | None
        for chunk in self.own.values():
            if box.now_s < chunk.made_s + self._ttl_s:
                box.wake(chunk.made_s + self._ttl_s)
                break
            if chunk.confirmed:
                over.append(chunk.chunk_id)
        self.void_own(over, box)
        while (chunk := next(iter(self.held.values()), None)) is not None:
            end_s = chunk.made_s + self._ttl_s + _HELD_LONGER_S
            if box.now_s < end_s:
                box.wake(end_s)
                break
            del self.held[chunk.chunk_id]
            self._seen.void(chunk.chunk_id)
            self._void(chunk, "held", self.far_node, box)

    def void_own(self, chunk_ids: list[int], box: Outbox) -> None:
        """Never use these chunks, and tell the far end."""
        for chunk_id in chunk_ids:
            self._void_own(chunk_id, box)
        if chunk_ids:
            box.send(self.far_node, ChunkVoid(self.relay, tuple(chunk_ids)))

    def _void_own(self, chunk_id: int, box: Outbox) -> None:
        chunk = self.own.pop(chunk_id)
        self.ways.land(chunk_id)
        if self._in_flight.pop(chunk_id, None) is None:
            self._available_bit -= chunk.left_bit
        else:
            self._unconfirmed_bit -= chunk.left_bit
        self._void(chunk, "own", self.node, box)

    def cut(self, size_bit: int, box: Outbox, key_id: str) -> tuple[bytes, tuple[Cut, ...]]:
        """Take a key from the oldest chunks, durably. The caller has made sure that there is enough."""
        key, cuts = bytearray(), []
        oldest = (chunk for chunk in list(self.own.values()) if chunk.confirmed)
        while (missing_bit := size_bit - 8 * len(key)) and (chunk := next(oldest, None)) is not None:
            part_bit = min(missing_bit, chunk.left_bit)
            if part_bit:
                cuts.append(cut := Cut(chunk.chunk_id, chunk.mark_bit, part_bit))
                key += chunk.key[: part_bit // 8]
                self._note_cut(chunk, cut, self.node, key_id, box)
                self._cut(chunk, chunk.mark_bit + part_bit, "own", box)
        return bytes(key), tuple(cuts)

    # ------------------------------------------------------------ far end

    def take(self, hop: RelayHop, chunk_id: int, payload: bytes, box: Outbox) -> bool:
        """Take one share of a chunk; with the last, store and confirm the chunk. Return False if it is not wanted."""
        if len(payload) <= CHECK_BYTES or hop.shares < self.ways.needed_shares:
            return False
        version = hop.route_version
        if not (self._seen.stands(chunk_id) or self._seen.twin(chunk_id, version)):
            return False
        if hop.shares > 1:
            whole = self._partials.add(hop, chunk_id, payload, box.now_s)
            if whole is None:
                return False
            if isinstance(whole, Partial):
                for partial in self._partials.overflow():
                    self._note_partial(partial, box)
                box.wake(self._partials.due_s())
                return True
            payload = whole
        key, check = payload[:-CHECK_BYTES], payload[-CHECK_BYTES:]
        tag = end_to_end_tag(relay=self.relay, chunk_id=chunk_id, key=key, check=check)
        if self._seen.stands(chunk_id):
            chunk = StockChunk(self.relay, chunk_id, version, hop.shares, key, tag, box.now_s, confirmed=True)
            self.held[chunk_id] = chunk
            self._persist(chunk, "held", box)
            self._note_stocked(chunk, self.far_node, box)
        self._seen.add(chunk_id, version)
        box.send(self.far_node, ChunkConfirm(self.relay, version, 0, chunk_id, tag))
        return True

    def _note_partial(self, partial: Partial, box: Outbox) -> None:
        for share in sorted(partial.shares):
            box.note(
                LedgerEntry(
                    kind=LedgerKind.WIPE,
                    at_s=box.now_s,
                    relay=self.relay,
                    route_version=partial.version,
                    share=share,
                    origin=self.far_node,
                    chunk_id=partial.chunk_id,
                )
            )

    def on_void(self, message: ChunkVoid, box: Outbox) -> None:
        """Erase what the origin does not hold; refuse it if it still comes."""
        for chunk_id in message.chunk_ids:
            self._seen.void(chunk_id)
            for partial in self._partials.drop(chunk_id):
                self._note_partial(partial, box)
            chunk = self.held.pop(chunk_id, None)
            if chunk is not None:
                self._void(chunk, "held", self.far_node, box)

    def holds(self, cuts: tuple[Cut, ...]) -> bool:
        """Tell whether these bits are held, uncut, and each named once."""
        marks: dict[int, int] = {}
        for cut in cuts:
            chunk = self.held.get(cut.chunk_id)
            if chunk is None or cut.length_bit <= 0 or cut.length_bit % 8 or cut.offset_bit % 8:
                return False
            end_bit = cut.offset_bit + cut.length_bit
            if cut.offset_bit < marks.get(cut.chunk_id, chunk.mark_bit) or end_bit > chunk.mark_bit + chunk.left_bit:
                return False
            marks[cut.chunk_id] = end_bit
        return True

    def take_cuts(self, cuts: tuple[Cut, ...], box: Outbox, key_id: str) -> bytes:
        """Return the bits of cuts that `holds` let pass; they leave the stock, durably, with every gap before them."""
        key = bytearray()
        for cut in cuts:
            chunk = self.held[cut.chunk_id]
            start = (cut.offset_bit - chunk.mark_bit) // 8
            key += chunk.key[start : start + cut.length_bit // 8]
            self._note_cut(chunk, cut, self.far_node, key_id, box)
            self._cut(chunk, cut.offset_bit + cut.length_bit, "held", box)
        return bytes(key)

    # ------------------------------------------------------------ both

    def close(self, box: Outbox) -> None:
        """Erase all: the relay is no more."""
        for chunk_id in list(self.own):
            self._void_own(chunk_id, box)
        for chunk_id in list(self.held):
            self._void(self.held.pop(chunk_id), "held", self.far_node, box)
        for partial in self._partials.drop_versions_but(()):
            self._note_partial(partial, box)

    def restore(self, record: Record) -> None:
        """Take up one persisted chunk."""
        chunk, sent_on = restored_chunk(record)
        if record.table == "own":
            self.own[chunk.chunk_id] = chunk
            self._last_id = max(self._last_id, chunk.chunk_id)
            if not chunk.confirmed:
                self._in_flight[chunk.chunk_id] = chunk
                self._unconfirmed_bit += chunk.left_bit
                for version in sent_on:
                    self.ways.restore_flight(version, chunk.chunk_id, Flight(chunk.tag, chunk.made_s))
            else:
                self._available_bit += chunk.left_bit
                self.ways.confirmed.add(chunk.route_version)
        else:
            self.held[chunk.chunk_id] = chunk
            self._seen.restore(chunk.chunk_id, chunk.route_version)

    def figures(self) -> RelayFigures:
        """Return the figures for reports."""
        return RelayFigures(
            relay=self.relay,
            far_node=self.far_node,
            route_version=self.ways.highest_in_use,
            versions=self.ways.versions,
            confirmed_versions=self._confirmed_versions(),
            undrained_versions=self.ways.undrained,
            available_bit=self.available_bit,
            unconfirmed_bit=self.unconfirmed_bit,
            held_bit=sum(chunk.left_bit for chunk in self.held.values()),
            confirmed_bit=self.confirmed_bit,
            voided_bit=self.voided_bit,
            delivered_bit=self.delivered_bit,
        )

    def _cut(self, chunk: StockChunk, to_bit: int, table: str, box: Outbox) -> None:
        if table == "own":
            self._available_bit -= to_bit - chunk.mark_bit
        chunk.key = chunk.key[(to_bit - chunk.mark_bit) // 8 :]
        chunk.mark_bit = to_bit
        if chunk.key:
            self._persist(chunk, table, box)
            return
        del (self.own if table == "own" else self.held)[chunk.chunk_id]
        self._wipe(chunk, table, self.node if table == "own" else self.far_node, box)

    def _void(self, chunk: StockChunk, table: str, origin: str, box: Outbox) -> None:
        self.voided_bit += chunk.left_bit
        box.note(chunk.entry(LedgerKind.VOID, origin, box, length_bit=chunk.left_bit))
        self._wipe(chunk, table, origin, box)

    def _wipe(self, chunk: StockChunk, table: str, origin: str, box: Outbox) -> None:
        chunk.key = b""
        box.erase(table, f"{self.relay}/{chunk.chunk_id}")
        box.note(chunk.entry(LedgerKind.WIPE, origin, box))

    def _persist(self, chunk: StockChunk, table: str, box: Outbox) -> None:
        sent_on = [] if chunk.confirmed else [way.version for way in self.ways.flying(chunk.chunk_id)]
        box.persist(table, f"{self.relay}/{chunk.chunk_id}", chunk.meta(self.far_node, sent_on), chunk.tag + chunk.key)

    def _note_stocked(self, chunk: StockChunk, origin: str, box: Outbox) -> None:
        entry = chunk.entry(LedgerKind.CHUNK, origin, box, length_bit=chunk.left_bit)
        box.note(replace(entry, count=chunk.shares))

    def _note_cut(self, chunk: StockChunk, cut: Cut, origin: str, key_id: str, box: Outbox) -> None:
        entry = chunk.entry(LedgerKind.CUT, origin, box, length_bit=cut.length_bit)
        box.note(replace(entry, offset_bit=cut.offset_bit, key_id=key_id))
