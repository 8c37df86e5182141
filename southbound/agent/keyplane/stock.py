"""The stock of one relay at one of its ends: chunks it is origin of, and chunks it holds as far end.

An origin's chunk is UNCONFIRMED until the far end has told a masked hash of what it stored, and AVAILABLE
from then on. Bits are cut from the oldest chunk first; marks only rise. What is cut leaves memory and disk.
"""

import json
from dataclasses import dataclass, field, replace
from typing import Final

from controller.domain.capacity import END_TO_END_CHECK_BIT
from southbound.agent.keyplane.events import AlarmKind, ClearAlarm, Record, RelayFigures, RouteConfirmed
from southbound.agent.keyplane.gf128 import TAG_BYTES, PolynomialHash, bind
from southbound.agent.keyplane.ledger import LedgerEntry, LedgerKind
from southbound.agent.keyplane.messages import ChunkConfirm, ChunkVoid, Cut, HeadReady, StockMark, StockState
from southbound.agent.keyplane.outbox import NEVER, Outbox
from southbound.agent.keyplane.settings import RelayHop

CHECK_BYTES: Final = END_TO_END_CHECK_BIT // 8
CHUNK_TIMEOUT_S: Final = 15.0
_PROBE_TIMEOUT_S: Final = 1.0
"""For the first chunk on a route, doubled each time: an end that is not told of the route yet refuses it, and then
only the hop before that end learns of it."""
_IN_FLIGHT: Final = 16
_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 30.0
_IDS_PER_S: Final = 1_000_000


@dataclass(slots=True)
class StockChunk:
    """A chunk in stock.

    Attributes:
        key: What is left of it; the first of these bits stands at offset `mark_bit`.
        tag: The masked hash of the whole chunk: what the far end told, or must tell.
        confirmed: Whether the origin may hand it out (always true at the far end).
    """

    chunk_id: int
    route_version: int
    key: bytes = field(repr=False)
    tag: bytes = field(repr=False)
    made_s: float
    mark_bit: int = 0
    confirmed: bool = False

    @property
    def left_bit(self) -> int:
        """Return how much is left."""
        return 8 * len(self.key)


def end_to_end_tag(*, relay: str, chunk_id: int, key: bytes, check: bytes) -> bytes:
    """Return the masked hash of a chunk: what the far end tells the origin; hides the chunk."""
    return PolynomialHash(check[:TAG_BYTES]).tag(bind(relay, chunk_id) + key, check[TAG_BYTES:])


class RelayStock:
    """Both stocks of a relay at one of its ends: `own` (this node is origin) and `held` (the other end is)."""

    def __init__(self, relay: str, node: str, far_node: str) -> None:
        self.relay = relay
        self.node = node
        self.far_node = far_node
        self.hop: RelayHop | None = None
        self.own: dict[int, StockChunk] = {}
        self.held: dict[int, StockChunk] = {}
        self.synchronised = False
        self.told = False
        self.confirmed_version = 0
        self.confirmed_bit = self.voided_bit = self.delivered_bit = 0
        # Kept up with every change: whether to send must not cost a walk over the stock.
        self._in_flight: dict[int, StockChunk] = {}
        self._available_bit = 0
        self._last_id = 0
        self._last_held_id = 0
        self._before_connect_id = 0
        self._head_version = 0
        """What the other end, as head, told last on this stream."""
        self._was_older = False
        self._filling = False
        self._pause_s = 0.0
        self._paused_until_s = -NEVER
        self._probe_s = _PROBE_TIMEOUT_S
        self._proven = False

    # ------------------------------------------------------------ settings and connection

    def configure(self, hop: RelayHop | None, box: Outbox) -> None:
        """Go on with a route, or without one; what is in flight on another version of it is void."""
        version = hop.route_version if hop is not None else 0
        if (self.hop.route_version if self.hop is not None else -1) != version:
            old = [chunk.chunk_id for chunk in self._in_flight.values() if chunk.route_version != version]
            self.void_own(old, box)
            self._pause_s = 0.0
            self._paused_until_s = -NEVER
            self._probe_s = _PROBE_TIMEOUT_S
            self._proven = False
        ready = self._ready_version
        self.hop = hop
        if self.told and self._ready_version != ready:
            self._tell_ready(box)

    def connect(self, box: Outbox) -> None:
        """Tell the other end what we hold of it; ours counts when it has told the same."""
        self.synchronised, self.told = False, True
        self._head_version = 0
        self._before_connect_id = self._last_id
        # After a restart they are in any order, and the oldest is to be cut first.
        self.own = dict(sorted(self.own.items()))
        self._in_flight = dict(sorted(self._in_flight.items()))
        self.tell(box, answers=False)
        self._tell_ready(box)

    def disconnect(self) -> None:
        """Hand out nothing until both ends have compared their stocks again."""
        self.synchronised = self.told = False
        self._head_version = 0

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
            if not chunk.confirmed:
                self._confirm(chunk, mark.tag, box)
            if chunk.confirmed and mark.mark_bit > chunk.mark_bit:
                self._was_older = True
                box.alarm(
                    AlarmKind.STORE_OLDER_THAN_PEER,
                    f"keyRelays/{self.relay}",
                    f"key store is older than that of {self.far_node}; restored from a backup? took over its cuts",
                )
                self._cut(chunk, min(mark.mark_bit, chunk.mark_bit + chunk.left_bit), "own", box)
        self.synchronised = True

    def on_head_ready(self, message: HeadReady) -> None:
        """Keep what the head has, whether or not we have it yet: with the head the whole route stands."""
        self._head_version = message.route_version

    @property
    def _ready_version(self) -> int:
        return self.hop.route_version if self.hop is not None and self.node == self.hop.head else 0

    def _tell_ready(self, box: Outbox) -> None:
        box.send(self.far_node, HeadReady(self.relay, self._ready_version))

    # ------------------------------------------------------------ origin

    @property
    def available_bit(self) -> int:
        """Return what is confirmed and uncut."""
        return self._available_bit

    @property
    def unconfirmed_bit(self) -> int:
        """Return what is on its way."""
        return sum(chunk.left_bit for chunk in self._in_flight.values())

    def wants_chunk(self, now_s: float) -> bool:
        """Tell whether a new chunk should be sent now."""
        hop = self.hop
        if hop is None or not self.synchronised or now_s < self._paused_until_s:
            return False
        if not hop.direction_rate_millibit_per_s(forward=self.node == hop.head):
            return False
        if self.node == hop.tail and self._head_version != hop.route_version:
            # The head is told of a route last: before, some node on the way would refuse the chunk.
            return False
        in_flight = len(self._in_flight)
        if in_flight >= (_IN_FLIGHT if self._proven else 1):
            return False
        if self.confirmed_version < hop.route_version:
            # Whether a new route works should show at once, not when the stock has run low.
            return not in_flight
        level_bit = self.available_bit + self.unconfirmed_bit
        if level_bit + hop.chunk_bit > hop.stock_high_bit:
            self._filling = False
        elif level_bit < hop.stock_low_bit:
            self._filling = True
        return self._filling

    def make(self, chance: bytes, box: Outbox) -> tuple[int, bytes]:
        """Keep a new chunk UNCONFIRMED; return its id and what travels: key and end-to-end check."""
        assert self.hop is not None
        key, check = chance[:-CHECK_BYTES], chance[-CHECK_BYTES:]
        self._last_id = max(self._last_id + 1, int(box.now_s * _IDS_PER_S))
        tag = end_to_end_tag(relay=self.relay, chunk_id=self._last_id, key=key, check=check)
        chunk = StockChunk(self._last_id, self.hop.route_version, key, tag, box.now_s)
        self.own[chunk.chunk_id] = self._in_flight[chunk.chunk_id] = chunk
        self._persist(chunk, "own", box)
        box.wake(self._late_s(chunk))
        return chunk.chunk_id, chance

    def on_confirm(self, message: ChunkConfirm, box: Outbox) -> None:
        """Make a chunk available if the far end holds the same."""
        chunk = self.own.get(message.chunk_id)
        if chunk is None:
            box.send(self.far_node, ChunkVoid(self.relay, (message.chunk_id,)))
        elif not chunk.confirmed:
            self._confirm(chunk, message.tag, box)

    def _confirm(self, chunk: StockChunk, tag: bytes, box: Outbox) -> None:
        if tag != chunk.tag:
            text = f"chunk {chunk.chunk_id} came out different at {self.far_node} and was voided"
            box.alarm(AlarmKind.CHECK_FAILED, f"keyRelays/{self.relay}", text)
            self.void_own([chunk.chunk_id], box)
            self._rest(box)
            return
        chunk.confirmed = True
        del self._in_flight[chunk.chunk_id]
        self._available_bit += chunk.left_bit
        self._persist(chunk, "own", box)
        box.note(self._entry(LedgerKind.CHUNK, chunk, box, self.node, length_bit=chunk.left_bit))
        self.confirmed_bit += chunk.left_bit
        self._proven, self._pause_s = True, 0.0
        if self._was_older and self.synchronised:
            self._was_older = False
            box.effects.append(ClearAlarm(AlarmKind.STORE_OLDER_THAN_PEER, f"keyRelays/{self.relay}"))
        if self.hop is not None and chunk.route_version == self.hop.route_version > self.confirmed_version:
            self.confirmed_version = chunk.route_version
            box.effects.append(RouteConfirmed(self.relay, chunk.route_version))

    def lost(self, chunk_id: int, box: Outbox) -> None:
        """Void a chunk that was refused on its way, or cut off, and pause before the next."""
        chunk = self.own.get(chunk_id)
        if chunk is not None and not chunk.confirmed:
            self.void_own([chunk_id], box)
            self._rest(box)

    def _rest(self, box: Outbox) -> None:
        self._proven = False
        self._pause_s = min(_LONGEST_PAUSE_S, max(_PAUSE_S, 2 * self._pause_s))
        self._paused_until_s = box.now_s + self._pause_s
        box.wake(self._paused_until_s)

    def expire(self, box: Outbox) -> None:
        """Void what was not confirmed in time."""
        late = [chunk.chunk_id for chunk in self._in_flight.values() if box.now_s >= self._late_s(chunk)]
        if late:
            self._probe_s = min(CHUNK_TIMEOUT_S, 2 * self._probe_s)
            self.void_own(late, box)
            self._rest(box)
        box.wake(min((self._late_s(chunk) for chunk in self._in_flight.values()), default=NEVER))
        if box.now_s < self._paused_until_s:
            box.wake(self._paused_until_s)

    def _late_s(self, chunk: StockChunk) -> float:
        return chunk.made_s + (CHUNK_TIMEOUT_S if chunk.route_version <= self.confirmed_version else self._probe_s)

    def void_own(self, chunk_ids: list[int], box: Outbox) -> None:
        """Never use these chunks, and tell the far end."""
        for chunk_id in chunk_ids:
            self._void_own(chunk_id, box)
        if chunk_ids:
            box.send(self.far_node, ChunkVoid(self.relay, tuple(chunk_ids)))

    def _void_own(self, chunk_id: int, box: Outbox) -> None:
        chunk = self.own.pop(chunk_id)
        if self._in_flight.pop(chunk_id, None) is None:
            self._available_bit -= chunk.left_bit
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
        """Store a chunk that came, durably, and confirm it; return False if it is void or has no key in it."""
        if chunk_id <= self._last_held_id or len(payload) <= CHECK_BYTES:
            return False
        self._last_held_id = chunk_id
        key, check = payload[:-CHECK_BYTES], payload[-CHECK_BYTES:]
        tag = end_to_end_tag(relay=self.relay, chunk_id=chunk_id, key=key, check=check)
        chunk = StockChunk(chunk_id, hop.route_version, key, tag, box.now_s, confirmed=True)
        self.held[chunk_id] = chunk
        self._persist(chunk, "held", box)
        box.note(self._entry(LedgerKind.CHUNK, chunk, box, self.far_node, length_bit=chunk.left_bit))
        box.send(self.far_node, ChunkConfirm(self.relay, hop.route_version, hop.share, chunk_id, tag))
        return True

    def on_void(self, message: ChunkVoid, box: Outbox) -> None:
        """Erase what the origin does not hold; refuse it if it still comes."""
        for chunk_id in message.chunk_ids:
            self._last_held_id = max(self._last_held_id, chunk_id)
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

    def restore(self, record: Record) -> None:
        """Take up one persisted chunk."""
        meta = json.loads(record.meta)
        chunk = StockChunk(
            chunk_id=meta["chunk_id"],
            route_version=meta["route_version"],
            key=record.secret[TAG_BYTES:],
            tag=record.secret[:TAG_BYTES],
            made_s=meta["made_s"],
            mark_bit=meta["mark_bit"],
            confirmed=meta["confirmed"],
        )
        if record.table == "own":
            self.own[chunk.chunk_id] = chunk
            self._last_id = max(self._last_id, chunk.chunk_id)
            if not chunk.confirmed:
                self._in_flight[chunk.chunk_id] = chunk
            else:
                self._available_bit += chunk.left_bit
                self.confirmed_version = max(self.confirmed_version, chunk.route_version)
        else:
            self.held[chunk.chunk_id] = chunk
            self._last_held_id = max(self._last_held_id, chunk.chunk_id)

    def figures(self) -> RelayFigures:
        """Return the figures for reports."""
        return RelayFigures(
            relay=self.relay,
            far_node=self.far_node,
            route_version=self.hop.route_version if self.hop else 0,
            confirmed_version=self.confirmed_version,
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
        box.note(self._entry(LedgerKind.VOID, chunk, box, origin, length_bit=chunk.left_bit))
        self._wipe(chunk, table, origin, box)

    def _wipe(self, chunk: StockChunk, table: str, origin: str, box: Outbox) -> None:
        chunk.key = b""
        box.erase(table, f"{self.relay}/{chunk.chunk_id}")
        box.note(self._entry(LedgerKind.WIPE, chunk, box, origin))

    def _persist(self, chunk: StockChunk, table: str, box: Outbox) -> None:
        meta = {
            "relay": self.relay,
            "far_node": self.far_node,
            "chunk_id": chunk.chunk_id,
            "route_version": chunk.route_version,
            "mark_bit": chunk.mark_bit,
            "made_s": chunk.made_s,
            "confirmed": chunk.confirmed,
        }
        box.persist(table, f"{self.relay}/{chunk.chunk_id}", meta, chunk.tag + chunk.key)

    def _note_cut(self, chunk: StockChunk, cut: Cut, origin: str, key_id: str, box: Outbox) -> None:
        entry = self._entry(LedgerKind.CUT, chunk, box, origin, length_bit=cut.length_bit)
        box.note(replace(entry, offset_bit=cut.offset_bit, key_id=key_id))

    def _entry(
        self, kind: LedgerKind, chunk: StockChunk, box: Outbox, origin: str, *, length_bit: int = 0
    ) -> LedgerEntry:
        return LedgerEntry(
            kind=kind,
            at_s=box.now_s,
            relay=self.relay,
            route_version=chunk.route_version,
            origin=origin,
            chunk_id=chunk.chunk_id,
            length_bit=length_bit,
        )
