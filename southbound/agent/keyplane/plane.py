"""The node's key plane: takes every event to the part that decides it, and runs what became possible."""

import json
from collections.abc import Callable, Iterable
from typing import Any, Final

from controller.domain.capacity import END_TO_END_CHECK_BIT
from southbound.agent.keyplane.block import restored_block
from southbound.agent.keyplane.delivery import ID_BYTES, KeyDelivery
from southbound.agent.keyplane.events import (
    BlockFinished,
    Configure,
    Effect,
    Entropy,
    Event,
    Figures,
    GetKeys,
    GetKeysById,
    KeyStatus,
    NeedEntropy,
    PeerDown,
    PeerUp,
    Received,
    Record,
    RelayFigures,
    Send,
    Tick,
    WakeAt,
)
from southbound.agent.keyplane.link import SALT_BYTES, QkdLink
from southbound.agent.keyplane.messages import (
    Assign,
    Assigned,
    BlockCession,
    BlockCompare,
    BlockGone,
    Chunk,
    ChunkAck,
    ChunkConfirm,
    ChunkVoid,
    HashKeyDrawn,
    HeadReady,
    KeyFetched,
    KeyVoid,
    KeyVoided,
    LinkState,
    Message,
    StockState,
)
from southbound.agent.keyplane.outbox import NEVER, Outbox
from southbound.agent.keyplane.pool import LinkPools
from southbound.agent.keyplane.relay import Forwarder
from southbound.agent.keyplane.settings import HopName, LinkSetting, RelayHop, Settings
from southbound.agent.keyplane.shares import split
from southbound.agent.keyplane.stock import RelayStock

_LEAST_RESERVOIR: Final = 4096


class _Reservoir:
    """Random bytes from the shell; each is given once."""

    def __init__(self) -> None:
        self._data = bytearray()
        self.wanted = _LEAST_RESERVOIR
        self.asked = False

    def add(self, data: bytes) -> None:
        """Take bytes in."""
        self._data += data
        self.asked = False

    def missing(self) -> int:
        """Return how many bytes to ask for now; 0 while half of what is wanted is there, or asked for."""
        if self.asked or 2 * len(self._data) >= self.wanted:
            return 0
        return self.wanted - len(self._data)

    def has(self, byte_count: int) -> bool:
        """Tell whether so many are there, and ask for more if not."""
        if byte_count > len(self._data):
            self.wanted = max(self.wanted, 2 * byte_count)
            return False
        return True

    def take(self, byte_count: int) -> bytes:
        """Return bytes that are there."""
        taken = bytes(self._data[:byte_count])
        del self._data[:byte_count]
        return taken


class KeyPlane:
    """All key of one node: links, relays, stocks and deliveries. See `events.py` for the contract."""

    def __init__(self, node: str, *, stride_bit: int = 1 << 16, lie: Callable[[bytes], bytes] | None = None) -> None:
        """Start empty.

        Args:
            node: Whose key it is.
            stride_bit: How far durable marks run ahead; a crash burns at most so much per block.
            lie: Changes what the node passes on for others; only laboratories have one.
        """
        self._node = node
        self._stride_bit = stride_bit
        self._settings = Settings()
        self._connected: set[str] = set()
        self._pools: dict[str, LinkPools] = {}
        self._links: dict[str, QkdLink] = {}
        self._stocks: dict[str, RelayStock] = {}
        self._chance = _Reservoir()
        self._forwarder = Forwarder(node, self, lie)
        self._delivery = KeyDelivery(node, self._stocks, self._chance, self._connected)
        self._due_s = NEVER
        self._told_wake_s = NEVER
        self._now_s = 0.0

    # ------------------------------------------------------------ the contract

    def restore(self, records: Iterable[Record], now_s: float) -> list[Effect]:
        """Take up what was persisted; burns what may have been used. Call it first, once."""
        box = Outbox(now_s)
        marks: dict[tuple[str, int], dict[str, Any]] = {}
        pieces: dict[tuple[str, int], dict[int, bytes]] = {}
        blocks: list[dict[str, Any]] = []
        for record in records:
            meta = json.loads(record.meta)
            match record.table:
                case "link":
                    pools = self._new_pools(meta["link"], meta["neighbour"])
                    pools.last_block = meta["last_block"]
                    pools.sent_bit = pools.sent_durable_bit = meta["sent_bit"]
                    pools.received_bit = meta["received_bit"]
                    pools.key_ttl_s = meta["key_ttl_s"]
                    pools.proven_life = meta.get("proven_life", 0)  # 0.1.0 wrote no lives
                    pools.heard_life = meta.get("heard_life", 0)
                    self._pools[pools.link] = pools
                case "block":
                    blocks.append(meta)
                case "bits":
                    pieces.setdefault((meta["link"], meta["block"]), {})[meta["at_bit"]] = record.secret
                case "mark":
                    marks[meta["link"], meta["block"]] = meta
                case "own" | "held":
                    stock = self._stocks.get(meta["relay"])
                    if stock is None:
                        stock = self._stocks[meta["relay"]] = RelayStock(meta["relay"], self._node, meta["far_node"])
                    stock.restore(record)
                case "key":
                    self._delivery.restore(record, box)
                case _:
                    raise ValueError(f"key store: unknown table {record.table!r}; written by a newer version?")
        for meta in blocks:
            name = meta["link"], meta["block"]
            block = restored_block(meta, marks[name], pieces.get(name, {}))
            self._pools[block.link].restore(block, box)
        return self._finish(box)

    def handle(self, event: Event, *, more: bool = False) -> list[Effect]:
        """Decide one event; the effects are to be carried out in order, see `events.py`.

        With `more`, others follow at once, and `finish` after the last of them: then all relays are looked at once
        for what became possible, not once for every message.
        """
        box = Outbox(max(event.now_s, self._now_s))
        self._now_s = box.now_s
        match event:
            case Configure():
                self._configure(event.settings, box)
            case PeerUp():
                self._peer_up(event.node, box)
            case PeerDown():
                self._peer_down(event.node, box)
            case Received():
                if event.node in self._connected:
                    self._received(event.node, event.message, box)
            case BlockFinished():
                if (link := self._links.get(event.link)) is not None:
                    link.finished(event, box)
            case GetKeys():
                self._delivery.get_keys(event, box)
            case GetKeysById():
                self._delivery.far.get_keys_by_id(event, box)
            case Entropy():
                self._chance.add(event.data)
                self._delivery.entropy_came(box)
            case Tick():
                # A tick that came a little early has used up the shell's timer: ask again.
                self._told_wake_s = NEVER
        if not more:
            return self._finish(box)
        self._due_s = min(self._due_s, box.wake_at_s)
        return self._to_carry_out(box)

    def finish(self, now_s: float) -> list[Effect]:
        """Decide what became possible by the events since the last `finish`."""
        self._now_s = max(now_s, self._now_s)
        return self._finish(Outbox(self._now_s))

    def status(self, master: str, slave: str, now_s: float = 0.0) -> KeyStatus | None:
        """Return the figures of 014's `status` (as of the last event at least); None where none serves the pair."""
        return self._delivery.status(master, slave, max(now_s, self._now_s))

    def peers(self) -> frozenset[str]:
        """Return the nodes that a stream is needed to: neighbours, and far ends of this node's relays."""
        neighbours = {link.neighbour for link in self._links.values()}
        return frozenset(neighbours | {stock.far_node for stock in self._stocks.values()})

    def figures(self) -> Figures:
        """Return the figures for reports and metrics, as of the last event."""
        return Figures(
            links=tuple(
                link.figures(self._now_s, exhausted=self._forwarder.exhausted(link, self._now_s))
                for link in self._links.values()
            ),
            relays=tuple(stock.figures() for stock in self._stocks.values()),
        )

    def relay_figures(self, relay: str) -> RelayFigures | None:
        """Return the figures of one relay that ends here, as of the last event; None where it does not."""
        stock = self._stocks.get(relay)
        return None if stock is None else stock.figures()

    def _finish(self, box: Outbox) -> list[Effect]:
        """Run what became possible, then what fell due; ask for the next tick and for chance."""
        for link in self._links.values():
            link.keep_up(box)
        if box.now_s >= self._due_s:
            self._due_s = NEVER
            for pools in self._pools.values():
                pools.expire(box)
            for link in self._links.values():
                link.expire(box)
            self._forwarder.expire(box)
            for stock in self._stocks.values():
                stock.expire(box)
            self._delivery.expire(box)
        self._forwarder.pump(self._links, box)
        self._due_s = min(self._due_s, box.wake_at_s)
        if self._due_s not in {NEVER, self._told_wake_s}:
            box.effects.append(WakeAt(self._due_s))
        self._told_wake_s = self._due_s
        if missing := self._chance.missing():
            self._chance.asked = True
            box.effects.append(NeedEntropy(missing))
        return self._to_carry_out(box)

    def _to_carry_out(self, box: Outbox) -> list[Effect]:
        return [each for each in box.effects if not isinstance(each, Send) or each.node in self._connected]

    # ------------------------------------------------------------ settings and peers

    def _configure(self, settings: Settings, box: Outbox) -> None:
        old_links, self._links = self._links, {}
        for setting in settings.links:
            self._links[setting.link] = self._take_link(setting, old_links.get(setting.link), box)
        hops = [hop for hop in settings.relays if self._known(hop)]
        ends: dict[str, list[RelayHop]] = {}
        for hop in hops:
            if self._node in {hop.head, hop.tail}:
                ends.setdefault(hop.relay, []).append(hop)
        # A relay that has no route for now keeps its stock, as long as an application may ask for it.
        fars = {association.relay: association.remote_node for association in settings.associations}
        fars |= {relay: self._far(mine[0]) for relay, mine in ends.items()}
        for relay, stock in list(self._stocks.items()):
            if fars.get(relay) != stock.far_node:
                stock.close(box)
                del self._stocks[relay]
        for relay, far in fars.items():
            if relay not in self._stocks:
                self._stocks[relay] = RelayStock(relay, self._node, far)
            stock = self._stocks[relay]
            stock.configure([hop for hop in ends.get(relay, ()) if self._far(hop) == far], box)
            stock.keep_for(
                max((one.key_ttl_s for one in settings.associations if one.relay == relay), default=NEVER), box
            )
            if not stock.told and far in self._connected:
                stock.connect(box)
                self._delivery.connect(stock, box)
        self._forwarder.configure(hops, self._links, box)
        self._delivery.configure(settings.associations, box.now_s)
        self._settings = settings
        longest = max((_payload_bytes(hop) * hop.shares for hop in hops), default=0)
        most = max((association.keys_per_request_max for association in settings.associations), default=0)
        self._chance.wanted = max(_LEAST_RESERVOIR, 64 * longest, 2 * ID_BYTES * most)
        self._due_s = box.now_s

    def _take_link(self, setting: LinkSetting, old: QkdLink | None, box: Outbox) -> QkdLink:
        if old is not None and old.neighbour == setting.neighbour:
            old.setting = setting
            old.pools.keep_for(setting.key_ttl_s, box)
            return old
        pools = self._pools.get(setting.link)
        if pools is None or pools.neighbour != setting.neighbour:
            if pools is not None:
                for block in list(pools.blocks.values()):
                    pools.drop(block, box)
            pools = self._pools[setting.link] = self._new_pools(setting.link, setting.neighbour)
        pools.keep_for(setting.key_ttl_s, box)
        # Sessions of one name are numbered on, or what waits for the old one would be sent in the new.
        salt = int.from_bytes(self._chance.take(SALT_BYTES)) if self._chance.has(SALT_BYTES) else 0
        link = QkdLink(setting, pools, session=0 if old is None else old.session, salt=salt)
        if setting.neighbour in self._connected:
            link.connect(box)
        return link

    def _known(self, hop: RelayHop) -> bool:
        """Tell whether the links that a hop names are set here and lead where it says."""
        for way in (hop.previous, hop.next):
            if way is not None and (way.link not in self._links or self._links[way.link].neighbour != way.node):
                return False
        return True

    def _far(self, hop: RelayHop) -> str:
        return hop.tail if hop.head == self._node else hop.head

    def _new_pools(self, link: str, neighbour: str) -> LinkPools:
        return LinkPools(link=link, node=self._node, neighbour=neighbour, stride_bit=self._stride_bit)

    def _peer_up(self, node: str, box: Outbox) -> None:
        if node in self._connected:
            self._peer_down(node, box)
        self._connected.add(node)
        for link in self._links.values():
            if link.neighbour == node:
                link.connect(box)
        for stock in self._stocks.values():
            if stock.far_node == node:
                stock.connect(box)
                self._delivery.connect(stock, box)

    def _peer_down(self, node: str, box: Outbox) -> None:
        self._connected.discard(node)
        for link in self._links.values():
            if link.neighbour == node:
                link.disconnect()
        for stock in self._stocks.values():
            if stock.far_node == node:
                stock.disconnect()
        self._delivery.disconnect(node, box)

    # ------------------------------------------------------------ messages

    def _received(self, node: str, message: Message, box: Outbox) -> None:
        match message:
            case LinkState() | BlockCompare() | BlockGone() | HashKeyDrawn() | BlockCession() | Chunk() | ChunkAck():
                link = self._links.get(message.link)
                if link is not None and link.neighbour == node:
                    self._received_on_link(link, message, box)
            case StockState() | HeadReady() | ChunkConfirm() | ChunkVoid():
                stock = self._stocks.get(message.relay)
                if stock is not None and stock.far_node == node:
                    self._received_for_stock(stock, message, box)
            case Assign():
                self._delivery.far.on_assign(node, message, box)
            case Assigned():
                self._delivery.on_assigned(node, message, box)
            case KeyVoid():
                self._delivery.far.on_void(node, message, box)
            case KeyVoided():
                self._delivery.on_voided(node, message, box)
            case KeyFetched():
                self._delivery.far.on_fetched(node, message, box)

    def _received_on_link(
        self,
        link: QkdLink,
        message: LinkState | BlockCompare | BlockGone | HashKeyDrawn | BlockCession | Chunk | ChunkAck,
        box: Outbox,
    ) -> None:
        match message:
            case LinkState():
                link.on_state(message, box)
            case BlockCompare():
                link.on_compare(message, box)
            case BlockGone():
                link.gone(message, box)
            case HashKeyDrawn():
                link.on_hash_key(message, box)
            case BlockCession():
                link.on_cession(message, box)
            case Chunk():
                self._forwarder.on_chunk(link, message, box)
            case ChunkAck():
                self._forwarder.on_ack(link, message, box)

    def _received_for_stock(
        self, stock: RelayStock, message: StockState | HeadReady | ChunkConfirm | ChunkVoid, box: Outbox
    ) -> None:
        match message:
            case StockState():
                stock.on_state(message, box)
            case HeadReady():
                stock.on_head_ready(message, box)
            case ChunkConfirm():
                stock.on_confirm(message, box)
            case ChunkVoid():
                stock.on_void(message, box)

    # ------------------------------------------------------------ what the forwarder asks of the ends

    def wanted_on(self, relay: str, now_s: float) -> tuple[RelayHop, ...]:
        """Return first hops of the versions that this node, origin of the relay, should send a new chunk on now."""
        stock = self._stocks.get(relay)
        if stock is None or stock.far_node not in self._connected:
            return ()
        hops = stock.wanted_on(now_s)
        return hops if hops and self._chance.has(_chance_bytes(hops)) else ()

    def make(self, relay: str, hops: tuple[RelayHop, ...], box: Outbox) -> tuple[int, Iterable[tuple[HopName, bytes]]]:
        """Return a new chunk's id and all shares of its payload, for the versions of these hops; kept durably."""
        payload = self._chance.take(_payload_bytes(hops[0]))
        chunk_id = self._stocks[relay].make(tuple(hop.route_version for hop in hops), payload, box)
        loads: list[tuple[HopName, bytes]] = []
        for hop in hops:
            # Split anew for every version: shares of two of them must say nothing together.
            shares = split(payload, self._chance.take(len(payload) * (hop.shares - 1)))
            loads += [((relay, hop.route_version, at), share) for at, share in enumerate(shares)]
        return chunk_id, loads

    def take(self, hop: RelayHop, chunk_id: int, payload: bytes, box: Outbox) -> bool:
        """Take a share that has arrived; False if it is refused."""
        stock = self._stocks.get(hop.relay)
        return stock is not None and stock.take(hop, chunk_id, payload, box)

    def flies(self, name: HopName, chunk_id: int) -> bool:
        """Tell whether it is still of use to send a share of a chunk of ours."""
        stock = self._stocks.get(name[0])
        return stock is not None and stock.flies(name[1], chunk_id)

    def lost(self, relay: str, version: int, chunk_id: int, box: Outbox) -> None:
        """Hear that a chunk of ours is not arriving on a version."""
        if (stock := self._stocks.get(relay)) is not None:
            stock.lost(version, chunk_id, box)


def _payload_bytes(hop: RelayHop) -> int:
    return (hop.chunk_bit + END_TO_END_CHECK_BIT) // 8


def _chance_bytes(hops: tuple[RelayHop, ...]) -> int:
    """Return how many random bytes a chunk takes: itself, and all shares but one on every version."""
    return _payload_bytes(hops[0]) * (1 + sum(hop.shares - 1 for hop in hops))
