"""A network of key planes in memory: streams, disks, modules, time and chance are the test's to order.

Streams keep their order and lose what is under way when they end; which stream moves next is the test's
choice. A disk is what was persisted; a crash loses the plane and, if asked, the batch at hand.
"""

import random
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from southbound.agent.keyplane.events import (
    AlarmKind,
    Answer,
    Append,
    BlockFinished,
    ClearAlarm,
    Configure,
    Effect,
    Entropy,
    Erase,
    Event,
    GetKeys,
    GetKeysById,
    NeedEntropy,
    PeerDown,
    PeerUp,
    Persist,
    RaiseAlarm,
    Received,
    Record,
    RouteConfirmed,
    RoutesChanged,
    Send,
    Tick,
    WakeAt,
)
from southbound.agent.keyplane.ledger import LedgerEntry
from southbound.agent.keyplane.messages import Message
from southbound.agent.keyplane.plane import KeyPlane
from southbound.agent.keyplane.settings import Association, Hop, LinkSetting, RelayHop, Settings

Disk = dict[tuple[str, str], Record]


@dataclass
class Site:
    """One node: its running plane if there is one, and what outlives it."""

    name: str
    plane: KeyPlane | None = None
    settings: Settings = field(default_factory=Settings)
    disk: Disk = field(default_factory=dict)
    ledger: list[LedgerEntry] = field(default_factory=list)
    wake_s: float = float("inf")
    alarms: dict[tuple[AlarmKind, str], str] = field(default_factory=dict)
    confirmed: list[RouteConfirmed] = field(default_factory=list)
    changed: list[str] = field(default_factory=list)
    """Relays of which it was told that what it says of their routes has changed."""

    @property
    def running(self) -> KeyPlane:
        """Return the plane of a site that runs."""
        assert self.plane is not None
        return self.plane


class World:
    """Sites, streams between them, and a clock."""

    def __init__(self, seed: int = 0, *, stride_bit: int = 4096) -> None:
        self.now_s = 0.0
        self.sites: dict[str, Site] = {}
        self.streams: dict[frozenset[str], dict[str, deque[Message]]] = {}
        """By pair of nodes, for those that are up: the messages under way, by receiver."""
        self.cut_off: set[frozenset[str]] = set()
        self.answers: dict[int, Answer] = {}
        self.tamper: Callable[[str, str, Message], Message | None] = lambda _sender, _receiver, message: message
        self.liars: dict[str, Callable[[bytes], bytes]] = {}
        """What nodes do to payloads that they pass on, with valid tags; give it before they start."""
        self.batches = 0
        self._directions: list[tuple[str, str, deque[Message]]] = []
        self._chance = random.Random(seed)
        self._stride_bit = stride_bit
        self._requests = 0
        self._blocks: dict[str, int] = {}

    # ------------------------------------------------------------ sites

    def add(self, *names: str) -> None:
        """Start sites with empty disks."""
        for name in names:
            self.sites[name] = Site(name)
            self.start(name)

    def start(self, name: str) -> None:
        """Start a site from its disk."""
        site = self.sites[name]
        plane = site.plane = KeyPlane(name, stride_bit=self._stride_bit, lie=self.liars.get(name))
        site.wake_s = float("inf")
        self._carry_out(site, plane.restore(list(site.disk.values()), self.now_s))
        self.handle(name, Configure(now_s=self.now_s, settings=site.settings))

    def crash(self, name: str) -> None:
        """Kill a site; its streams end."""
        self.sites[name].plane = None
        self.sites[name].alarms.clear()
        for pair in list(self.streams):
            if name in pair:
                self.drop_stream(*pair)

    def configure(self, name: str, settings: Settings) -> None:
        """Give a site other settings (also while it is down)."""
        self.sites[name].settings = settings
        self.handle(name, Configure(now_s=self.now_s, settings=settings))

    # ------------------------------------------------------------ streams

    def connect(self) -> None:
        """Set up every stream that two running sites need and that is not forbidden."""
        for name, site in self.sites.items():
            for peer in sorted(site.plane.peers()) if site.plane is not None else ():
                pair = frozenset((name, peer))
                other = self.sites.get(peer)
                if other is None or other.plane is None or pair in self.streams or pair in self.cut_off:
                    continue
                self.streams[pair] = {name: deque(), peer: deque()}
                self._directions = self._sorted()
                self.handle(name, PeerUp(now_s=self.now_s, node=peer))
                self.handle(peer, PeerUp(now_s=self.now_s, node=name))

    def drop_stream(self, one: str, other: str) -> None:
        """End a stream; what was under way is lost."""
        if self.streams.pop(frozenset((one, other)), None) is not None:
            self._directions = self._sorted()
            self.handle(one, PeerDown(now_s=self.now_s, node=other))
            self.handle(other, PeerDown(now_s=self.now_s, node=one))

    def moves(self) -> list[tuple[str, str]]:
        """Return (sender, receiver) of every stream direction on which a message waits."""
        return [(sender, receiver) for sender, receiver, queue in self._directions if queue]

    def _sorted(self) -> list[tuple[str, str, deque[Message]]]:
        return [
            (next(iter(pair - {receiver})), receiver, queue)
            for pair, queues in sorted(self.streams.items(), key=lambda item: sorted(item[0]))
            for receiver, queue in sorted(queues.items())
        ]

    def move(self, sender: str, receiver: str, *, crash: str = "") -> None:
        """Deliver the next message of one direction."""
        message = self.streams[frozenset((sender, receiver))][receiver].popleft()
        self.handle(receiver, Received(now_s=self.now_s, node=sender, message=message), crash=crash)

    def settle(self, *, limit: int = 20_000) -> None:
        """Deliver, in an order by chance, until nothing is under way."""
        self.connect()
        for _ in range(limit):
            moves = self.moves()
            if not moves:
                return
            self.move(*self._chance.choice(moves))
        raise AssertionError(f"still busy after {limit} messages")

    def run(self, seconds: float) -> None:
        """Let time pass; ticks come when they were asked for."""
        end_s = self.now_s + seconds
        self.settle()
        while (next_s := min(site.wake_s for site in self.sites.values() if site.plane is not None)) <= end_s:
            self.now_s = max(self.now_s, next_s)
            for name, site in self.sites.items():
                if site.plane is not None and site.wake_s <= self.now_s:
                    self.tick(name)
            self.settle()
        self.now_s = end_s
        for name in self.sites:
            self.tick(name)
        self.settle()

    def tick(self, name: str) -> None:
        """Tell a site the time."""
        self.sites[name].wake_s = float("inf")
        self.handle(name, Tick(now_s=self.now_s))

    # ------------------------------------------------------------ events and effects

    def handle(self, name: str, event: Event, *, crash: str = "") -> None:
        """Let a site decide an event; `crash` kills it "before" or "after" the batch is durable."""
        site = self.sites[name]
        if site.plane is None:
            return
        self.batches += 1
        effects = site.plane.handle(event)
        if crash == "before":
            self.crash(name)
            return
        if crash == "after":
            for effect in effects:
                self._make_durable(site, effect)
            self.crash(name)
            return
        self._carry_out(site, effects)

    def _carry_out(self, site: Site, effects: Iterable[Effect]) -> None:
        effects = list(effects)
        for effect in effects:
            self._make_durable(site, effect)
        for effect in effects:
            match effect:
                case Send():
                    queues = self.streams.get(frozenset((site.name, effect.node)))
                    message = self.tamper(site.name, effect.node, effect.message)
                    if queues is not None and message is not None:
                        queues[effect.node].append(message)
                case Answer():
                    assert effect.request not in self.answers, "answered twice"
                    self.answers[effect.request] = effect
                case RaiseAlarm():
                    site.alarms[effect.kind, effect.object] = effect.text
                case ClearAlarm():
                    site.alarms.pop((effect.kind, effect.object), None)
                case RouteConfirmed():
                    site.confirmed.append(effect)
                case RoutesChanged():
                    site.changed.append(effect.relay)
                case WakeAt():
                    site.wake_s = effect.at_s
                case NeedEntropy():
                    self.handle(site.name, Entropy(now_s=self.now_s, data=self._chance.randbytes(effect.byte_count)))
                case _:
                    pass

    @staticmethod
    def _make_durable(site: Site, effect: Effect) -> None:
        match effect:
            case Persist():
                site.disk[effect.record.table, effect.record.key] = effect.record
            case Erase():
                site.disk.pop((effect.table, effect.key), None)
            case Append():
                site.ledger.append(effect.entry)
            case _:
                pass

    # ------------------------------------------------------------ modules and applications

    def distil(self, link: str, ends: Sequence[str], size_bit: int = 65536, *, measured: float = 0.02) -> int:
        """Let the modules of a link finish a block; a site that is down never gets it."""
        number = self._blocks.get(link, -1) + 1
        self._blocks[link] = number
        key = self._chance.randbytes(size_bit // 8)
        for end in ends:
            self.handle(end, BlockFinished(now_s=self.now_s, link=link, block=number, key=key, measured=measured))
        return number

    def ask(
        self,
        node: str,
        master: str,
        slave: str,
        number: int = 1,
        size_bit: int | None = None,
        more_slaves: tuple[str, ...] = (),
    ) -> int:
        """Send `enc_keys`; return the number of the request."""
        self._requests += 1
        event = GetKeys(
            now_s=self.now_s,
            request=self._requests,
            master=master,
            slave=slave,
            number=number,
            size_bit=size_bit,
            more_slaves=more_slaves,
        )
        self.handle(node, event)
        return self._requests

    def fetch(self, node: str, slave: str, master: str, key_ids: Iterable[str]) -> int:
        """Send `dec_keys`; return the number of the request."""
        self._requests += 1
        event = GetKeysById(
            now_s=self.now_s, request=self._requests, slave=slave, master=master, key_ids=tuple(key_ids)
        )
        self.handle(node, event)
        return self._requests


# ------------------------------------------------------------------ settings of whole networks


@dataclass(frozen=True)
class Wire:
    """A link and its two ends."""

    link: str
    ends: tuple[str, str]

    def far(self, node: str) -> str:
        return self.ends[1] if node == self.ends[0] else self.ends[0]


@dataclass(frozen=True)
class Relay:
    """One version of a key relay as the controller would compile it: one application of its name, one SAE an end.

    `wires` are the way of share 0, `more` those of the others.
    """

    name: str
    head: str
    wires: tuple[Wire, ...]
    more: tuple[tuple[Wire, ...], ...] = ()
    version: int = 1
    passive: bool = False
    chunk_bit: int = 1024
    low_bit: int = 4096
    high_bit: int = 8192
    rate_millibit_per_s: int = 1_000_000
    forward_share: float = 0.5

    @property
    def nodes(self) -> list[str]:
        return self.nodes_of(self.wires)

    @property
    def ways(self) -> tuple[tuple[Wire, ...], ...]:
        return (self.wires, *self.more)

    def nodes_of(self, wires: tuple[Wire, ...]) -> list[str]:
        nodes = [self.head]
        for wire in wires:
            nodes.append(wire.far(nodes[-1]))
        return nodes

    @property
    def tail(self) -> str:
        return self.nodes[-1]

    def sae(self, node: str) -> str:
        return f"sae.{self.name}.{node}"

    def hops(self, node: str) -> list[RelayHop]:
        return [hop for share in range(len(self.ways)) if (hop := self.hop(node, share)) is not None]

    def hop(self, node: str, share: int = 0) -> RelayHop | None:
        wires = self.ways[share]
        nodes = self.nodes_of(wires)
        if node not in nodes:
            return None
        at = nodes.index(node)
        return RelayHop(
            relay=self.name,
            route_version=self.version,
            share=share,
            shares=len(self.ways),
            head=self.head,
            tail=nodes[-1],
            previous=Hop(link=wires[at - 1].link, node=nodes[at - 1]) if at else None,
            next=Hop(link=wires[at].link, node=nodes[at + 1]) if at < len(wires) else None,
            rate_millibit_per_s=self.rate_millibit_per_s,
            forward_share=self.forward_share,
            chunk_bit=self.chunk_bit,
            stock_low_bit=self.low_bit,
            stock_high_bit=self.high_bit,
            passive=self.passive and node == self.head,
        )

    def association(self, node: str) -> Association | None:
        ends = self.head, self.tail
        if node not in ends:
            return None
        other = self.tail if node == self.head else self.head
        return Association(
            application=self.name,
            relay=self.name,
            remote_node=other,
            local_saes=(self.sae(node),),
            remote_saes=(self.sae(other),),
            keys_per_request_max=16,
            key_ttl_s=600,
        )


def settings_of(node: str, wires: Iterable[Wire], relays: Iterable[Relay], **link_fields: float) -> Settings:
    """Return what a controller would tell the node; a relay may stand there in several versions."""
    relays = list(relays)
    applications = {relay.name: relay for relay in relays}
    return Settings(
        links=tuple(
            LinkSetting(link=wire.link, neighbour=wire.far(node), **link_fields)  # type: ignore[arg-type]
            for wire in wires
            if node in wire.ends
        ),
        relays=tuple(hop for relay in relays for hop in relay.hops(node)),
        associations=tuple(each for relay in applications.values() if (each := relay.association(node)) is not None),
    )


def line(hops: int) -> tuple[Wire, ...]:
    """Return the wires of a line of hops + 1 nodes n00, n01, ..."""
    return tuple(Wire(f"l{at:02}", (f"n{at:02}", f"n{at + 1:02}")) for at in range(hops))


def world_of(
    wires: Sequence[Wire], relays: Sequence[Relay], *, seed: int = 0, stride_bit: int = 4096, **link_fields: float
) -> World:
    """Return a world in which all is configured and connected, without any key yet."""
    world = World(seed, stride_bit=stride_bit)
    names = sorted({end for wire in wires for end in wire.ends})
    world.add(*names)
    for name in names:
        world.configure(name, settings_of(name, wires, relays, **link_fields))
    world.settle()
    return world
