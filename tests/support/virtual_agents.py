"""The controller's core among virtual agents: every delay, loss and order is the test's to choose.

The agents' side follows the protocol (one update in flight, later wishes fold into the next, refused entries are
held back, a lost session may or may not have applied what was under way) without sharing code with the real
sessions.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from apps.restoration import Restoration
from apps.retry_blocked import RetryBlocked
from controller.domain.capacity import capacity_millibit_per_s, link_charge_millibit_per_s
from controller.domain.entries import Entry, LinkEntry, RelayHopEntry, entry_hash
from controller.domain.events import (
    AgentConnected,
    AgentEvent,
    AgentLost,
    ConfigConfirmed,
    ConfigRefused,
    LinkReport,
    RelayReport,
    TimePassed,
)
from controller.domain.key_relay import Demand, KeyRelay
from controller.domain.log import LogRecord
from controller.domain.snapshot import COLLECTIONS, AgentRecord, Changes, ElectionId, Snapshot
from controller.service.app_desk import App
from controller.service.core import Core, Now
from controller.service.requests import Create, Delete, Request, Result
from controller.service.writer import check_storable
from controller.store.memory import MemoryStore
from controller.wire.entries import entry_from_bytes, entry_to_bytes

_hash = lru_cache(maxsize=100_000)(entry_hash)
_ELECTION = ElectionId(epoch=1, term=1)


@lru_cache(maxsize=100_000)
def _decoded(entry_id: str, content: bytes) -> Entry:
    return entry_from_bytes(entry_id, content)


@dataclass
class VirtualAgent:
    """What one agent has in force, and what its session wants of it.

    Attributes:
        refuses: Entry ids that it refuses, whatever their bytes.
        held: Bytes that were refused, by entry id: not sent again while they are refused.
        let_in: Whether its node is in the topology.
    """

    in_force: dict[str, bytes] = field(default_factory=dict)
    wanted: Mapping[str, bytes] = field(default_factory=dict)
    wanted_version: int = 0
    in_flight: tuple[Mapping[str, bytes], int] | None = None
    announced: int = -1
    connected: bool = False
    let_in: bool = True
    refuses: Collection[str] = ()
    held: dict[str, bytes] = field(default_factory=dict)

    def target(self) -> dict[str, bytes]:
        """Return what the next update brings: what is wanted, but for entries that are held back."""
        target = dict(self.wanted)
        for entry_id, content in self.held.items():
            if entry_id in self.refuses and target.get(entry_id) == content:
                del target[entry_id]
                if entry_id in self.in_force:
                    target[entry_id] = self.in_force[entry_id]
        return target


class VirtualNetwork:
    """A core and its agents."""

    def __init__(self, snapshot: Snapshot, *, apps: Sequence[App] | None = None) -> None:
        self._apps: Sequence[App] = [Restoration(), RetryBlocked()] if apps is None else apps
        self._log = [
            Changes(
                writes=tuple(
                    (collection, key, document)
                    for collection in COLLECTIONS
                    for key, document in getattr(snapshot, collection).items()
                )
            )
        ]
        self.core = self._core_on(snapshot)
        self.agents = {node: VirtualAgent() for node in snapshot.nodes}
        self.down: set[tuple[str, str]] = set()
        self.now_ms = 0
        self.commit()

    def _core_on(self, snapshot: Snapshot) -> Core:
        return Core(snapshot, self._apps, entry_to_bytes, check_storable)

    @property
    def snapshot(self) -> Snapshot:
        return self.core.snapshot

    @property
    def now(self) -> Now:
        return Now(service_ms=self.now_ms, wall_ms=1_700_000_000_000 + self.now_ms)

    def commit(self) -> None:
        """End a turn of the writer."""
        if changes := self.core.take_changes():
            self._log.append(changes)
            self.core.committed(self.core.snapshot.revision + 1)
        while pushes := self.core.configuration.take_pushes():
            for node, wanted in pushes.items():
                self._push(self.agents.setdefault(node, VirtualAgent()), node, wanted)

    def _push(self, agent: VirtualAgent, node: str, wanted: Mapping[str, bytes] | None) -> None:
        agent.let_in = wanted is not None
        agent.wanted = wanted or {}
        agent.wanted_version = self.core.snapshot.revision
        if wanted is None and agent.connected:
            agent.connected, agent.in_flight = False, None
            self.core.take(AgentLost(node=node), self.now)

    def restart(self, *, applied: bool = False) -> None:
        """Begin again with what the store kept; all sessions are lost."""
        for agent in self.agents.values():
            if applied and agent.in_flight and agent.connected and not self._refused(agent):
                agent.in_force = dict(agent.in_flight[0])
            agent.connected, agent.in_flight = False, None
        store = MemoryStore()
        for revision, changes in enumerate(self._log, start=1):
            store.commit(LogRecord(revision=revision, election=_ELECTION, changes=changes), revision - 1)
        kept = Snapshot()
        for record in store.tail(0):
            kept = replace(kept.applying(record.changes), revision=record.revision)
        assert kept == replace(self.snapshot, connected=frozenset())
        self.now_ms = kept.service_time_ms
        self.core = self._core_on(kept)
        self.commit()

    def ask(self, request: Request) -> Result:
        try:
            return self.core.decide(request, self.now)
        finally:
            self.commit()

    def take(self, event: AgentEvent | TimePassed) -> None:
        self.core.take(event, self.now)
        self.commit()

    def create(self, name: str, source: str, target: str, bit_per_s: int = 1000, **more: object) -> KeyRelay:
        demand = replace(Demand(source=source, target=target, rate_millibit_per_s=bit_per_s * 1000), **more)  # type: ignore[arg-type]
        return self._create(KeyRelay(name=name, demand=demand))

    def create_blocked(self, name: str, source: str, target: str, bit_per_s: int = 1000) -> KeyRelay:
        """Create a relay that may be kept waiting for a route."""
        demand = Demand(source=source, target=target, rate_millibit_per_s=bit_per_s * 1000)
        return self._create(KeyRelay(name=name, demand=demand, accept_blocked=True))

    def _create(self, relay: KeyRelay) -> KeyRelay:
        result = self.ask(Create(caller="qinet://user/test", document=relay))
        assert isinstance(result.document, KeyRelay)
        return result.document

    def delete(self, name: str) -> None:
        self.ask(Delete(caller="qinet://user/test", collection="relays", key=name))

    def connect(self, node: str) -> None:
        agent = self.agents[node]
        if not agent.let_in:
            return
        agent.connected, agent.in_flight, agent.announced = True, None, agent.wanted_version
        self.take(
            AgentConnected(
                record=AgentRecord(node=node, store_id=node, peer_address=f"{node}:1", delivery_address=f"{node}:2"),
                version=agent.wanted_version,
                in_force=self._hashes(node),
                links_down={link: "cut" for at, link in self.down if at == node},
            )
        )

    def lose(self, node: str, *, applied: bool = False) -> None:
        agent = self.agents[node]
        if applied and agent.in_flight and not self._refused(agent):
            agent.in_force = dict(agent.in_flight[0])
        agent.connected, agent.in_flight = False, None
        self.take(AgentLost(node=node))

    def replace_agent(self, node: str) -> None:
        """Put another agent, which knows nothing, in the place of one."""
        if self.agents[node].connected:
            self.lose(node)
        self.agents[node].in_force.clear()

    def step(self, node: str) -> bool:
        """Let one agent's session make its next move; False when there is none to make."""
        agent = self.agents[node]
        if not agent.connected:
            return False
        if agent.in_flight is not None:
            wanted, version = agent.in_flight
            agent.in_flight = None
            if refused := self._refused_of(agent, wanted):
                agent.held |= {entry_id: wanted[entry_id] for entry_id in refused}
                told = {
                    entry_id: ("FAILED_PRECONDITION", "no")
                    for entry_id in refused
                    if agent.wanted.get(entry_id) == wanted[entry_id]
                }
                if told:
                    self.take(ConfigRefused(node=node, version=version, refused=told))
                return True
            agent.in_force = dict(wanted)
        elif (target := agent.target()) != agent.in_force:
            agent.in_flight = (target, agent.wanted_version)
            return True
        elif agent.announced < agent.wanted_version:
            version = agent.wanted_version
        else:
            return False
        agent.announced = version
        self.take(ConfigConfirmed(node=node, version=version, in_force=self._hashes(node)))
        return True

    def _refused(self, agent: VirtualAgent) -> list[str]:
        return self._refused_of(agent, agent.in_flight[0]) if agent.in_flight else []

    def _refused_of(self, agent: VirtualAgent, wanted: Mapping[str, bytes]) -> list[str]:
        return sorted(
            entry_id
            for entry_id in agent.refuses
            if entry_id in wanted and wanted[entry_id] != agent.in_force.get(entry_id)
        )

    def confirm_keys(self) -> bool:
        """Let the ends of every relay whose whole route is in force confirm a first key; False when none is new."""
        moved = False
        for relay in list(self.snapshot.relays.values()):
            if relay.routes and not relay.confirmed_by >= relay.origins and self._complete(relay):
                for end in sorted(relay.origins):
                    self.core.take(
                        RelayReport(node=end, relay=relay.name, route_version=relay.route_version, confirmed=True),
                        self.now,
                    )
                moved = True
        self.commit()
        return moved

    def _complete(self, relay: KeyRelay) -> bool:
        hops = [self.hop(node, relay.name) for route in relay.routes for node in route.nodes]
        return all(hop is not None and hop.route_version == relay.route_version for hop in hops)

    def cut(self, link: str, *, at: str | None = None) -> None:
        for node in (at,) if at else self.snapshot.links[link].nodes:
            self.down.add((node, link))
            if self.agents[node].connected:
                self.take(LinkReport(node=node, link=link, down_reason="cut"))

    def repair(self, link: str) -> None:
        for node in self.snapshot.links[link].nodes:
            self.down.discard((node, link))
            if self.agents[node].connected:
                self.take(LinkReport(node=node, link=link))

    def exhaust(self, link: str) -> None:
        node = self.snapshot.links[link].nodes[0]
        self.take(LinkReport(node=node, link=link, down_reason="cut", exhausted=True))

    def weaken(self, link: str, bit_per_s: int) -> None:
        """Let an end measure another rate than was promised so far."""
        node = self.snapshot.links[link].nodes[0]
        why = "cut" if (node, link) in self.down else ""
        self.take(LinkReport(node=node, link=link, down_reason=why, promised_skr_millibit_per_s=bit_per_s * 1000))

    def pass_time(self, ms: int) -> None:
        self.now_ms += ms
        self.take(TimePassed(service_time_ms=self.now_ms))

    def quiet(self) -> None:
        """Let everything that can happen without a fault happen."""
        moved = True
        while moved:
            steps = [self.step(node) for node in sorted(self.agents)]
            moved = any(steps) or self.confirm_keys()

    def connect_all(self) -> None:
        for node in sorted(self.agents):
            if not self.agents[node].connected:
                self.connect(node)
        self.quiet()

    def _hashes(self, node: str) -> dict[str, bytes]:
        return {entry_id: _hash(entry_id, content) for entry_id, content in self.agents[node].in_force.items()}

    def hop(self, node: str, relay: str) -> RelayHopEntry | None:
        """Return the hop of a relay's first share that is in force at a node."""
        entry_id = f"keyRelays/{relay}/shares/0"
        content = self.agents[node].in_force.get(entry_id)
        entry = _decoded(entry_id, content) if content is not None else None
        return entry if isinstance(entry, RelayHopEntry) else None

    def hops(self, node: str) -> dict[tuple[str, int], RelayHopEntry]:
        """Return the relay hops in force at a node, by (relay, share)."""
        decoded = (_decoded(entry_id, content) for entry_id, content in self.agents[node].in_force.items())
        return {(entry.relay, entry.share): entry for entry in decoded if isinstance(entry, RelayHopEntry)}

    def link_entry(self, node: str, link: str) -> LinkEntry:
        """Return the setting of a link that is in force at a node."""
        entry = _decoded(f"links/{link}", self.agents[node].in_force[f"links/{link}"])
        assert isinstance(entry, LinkEntry)
        return entry

    def carried_millibit_per_s(self) -> dict[str, int]:
        """Return what relays can really draw on each link: both ends hold the same version of a hop over it."""
        use: dict[str, int] = {}
        hops = {node: self.hops(node) for node in self.agents}
        for node in self.agents:
            for key, entry in hops[node].items():
                if entry.next is None:
                    continue
                other = hops[entry.next.end].get(key) if entry.next.end in hops else None
                if other and other.route_version == entry.route_version and other.previous == entry.next:
                    charge = link_charge_millibit_per_s(entry.rate_millibit_per_s)
                    use[entry.next.link] = use.get(entry.next.link, 0) + charge
        return use

    def check_promises(self, weakened: Collection[str] = ()) -> None:
        """Assert what must hold at every moment; links that weakened below what was promised then are named."""
        reserved = self.core.reserved()
        for link, amount in self.carried_millibit_per_s().items():
            assert amount <= reserved.get(link, 0), f"carried on {link}: {amount} > {reserved.get(link, 0)} reserved"
        for link, amount in reserved.items():
            capacity = capacity_millibit_per_s(self.snapshot.links[link], self.snapshot.condition(link))
            assert amount <= capacity or link in weakened, f"reserved on {link}: {amount} > {capacity}"

    def check_quiet(self) -> None:
        """Assert what must hold once nothing is under way."""
        for node, agent in self.agents.items():
            if agent.connected:
                assert agent.in_force == agent.target(), node
