"""The controller's core among virtual agents: every delay, loss and order is the test's to choose.

The agents' side follows the protocol (one update in flight, later wishes fold into the next, refused entries are
held back, a lost session may or may not have applied what was under way) without sharing code with the real
sessions.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache

from apps.optimiser import Optimiser
from apps.restoration import Restoration
from apps.retry_blocked import RetryBlocked
from controller.domain.capacity import link_charge_millibit_per_s, resource_capacity
from controller.domain.entanglement_path import EntanglementPath, PairDemand
from controller.domain.entries import Entry, HopRole, LinkEntry, PathEntry, RelayHopEntry, entry_hash
from controller.domain.events import (
    AgentConnected,
    AgentEvent,
    AgentLost,
    ConfigConfirmed,
    ConfigRefused,
    LinkReport,
    ServiceReport,
    TimePassed,
)
from controller.domain.key_relay import Demand, KeyRelay, Protection
from controller.domain.log import LogRecord
from controller.domain.pair_capacity import memories_of, plan_charges
from controller.domain.pair_link import PairModel
from controller.domain.route import Route
from controller.domain.service import Service
from controller.domain.snapshot import COLLECTIONS, AgentRecord, Changes, ElectionId, Snapshot
from controller.service.app_desk import App
from controller.service.core import Core, Enough, Now, never
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
        refuses: Beginnings of the ids of entries that it refuses, whatever their bytes.
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

    def refused(self, entry_id: str) -> bool:
        """Tell whether it refuses an entry."""
        return any(entry_id.startswith(beginning) for beginning in self.refuses)

    def target(self) -> dict[str, bytes]:
        """Return what the next update brings: what is wanted, but for entries that are held back."""
        target = dict(self.wanted)
        for entry_id, content in self.held.items():
            if self.refused(entry_id) and target.get(entry_id) == content:
                del target[entry_id]
                if entry_id in self.in_force:
                    target[entry_id] = self.in_force[entry_id]
        return target


class VirtualNetwork:
    """A core and its agents."""

    def __init__(self, snapshot: Snapshot, *, apps: Sequence[App] | None = None) -> None:
        self._apps: Sequence[App] = [Restoration(), RetryBlocked(), Optimiser()] if apps is None else apps
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
        self.orphans: set[str] = set()
        """Nodes that go on relaying though they have no session."""
        self.enough: Enough = never
        self._confirmed: dict[tuple[str, str], set[int]] = {}
        self._under_way: dict[tuple[str, str], set[int]] = {}
        self._reported: dict[tuple[str, str], ServiceReport] = {}
        self._doubled: set[str] = set()
        self.starved: set[tuple[str, str]] = set()
        """(Key of a service, end): where less comes than was promised."""
        self.fidelity: dict[str, float] = {}
        """By key of a path: the upper end of what its ends measure."""
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
            self.core.take(AgentLost(node=node), self.now, self.enough)

    def restart(self, *, applied: bool = False) -> None:
        """Begin again with what the store kept; all sessions are lost."""
        for agent in self.agents.values():
            if applied and agent.in_flight and agent.connected and not self._refused(agent):
                agent.in_force = dict(agent.in_flight[0])
            agent.connected, agent.in_flight = False, None
        self._reported.clear()
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
            return self.core.decide(request, self.now, self.enough)
        finally:
            self.commit()

    def take(self, event: AgentEvent | TimePassed) -> None:
        self.core.take(event, self.now, self.enough)
        self.commit()

    def work(self) -> bool:
        """Let the core go on with what it left for later turns; False when there is nothing."""
        if not self.core.busy:
            return False
        self.core.work(self.now, self.enough)
        self.commit()
        return True

    def create(self, name: str, source: str, target: str, bit_per_s: int = 1000, **more: object) -> KeyRelay:
        demand = replace(Demand(source=source, target=target, rate_millibit_per_s=bit_per_s * 1000), **more)  # type: ignore[arg-type]
        return self._create(KeyRelay(name=name, demand=demand))

    def create_blocked(self, name: str, source: str, target: str, bit_per_s: int = 1000, **more: object) -> KeyRelay:
        """Create a relay that may be kept waiting for a route."""
        demand = replace(Demand(source=source, target=target, rate_millibit_per_s=bit_per_s * 1000), **more)  # type: ignore[arg-type]
        return self._create(KeyRelay(name=name, demand=demand, accept_blocked=True))

    def _create(self, relay: KeyRelay) -> KeyRelay:
        result = self.ask(Create(caller="qinet://user/test", document=relay))
        assert isinstance(result.document, KeyRelay)
        return result.document

    def create_path(
        self,
        name: str,
        source: str,
        target: str,
        hertz: float = 5.0,
        fidelity: float = 0.8,
        *,
        accept_blocked: bool = False,
        **more: object,
    ) -> EntanglementPath:
        """Create an entanglement path of so many pairs a second."""
        demand = PairDemand(source=source, target=target, minimum_fidelity=fidelity, rate_millihertz=int(1000 * hertz))
        path = EntanglementPath(name=name, demand=replace(demand, **more), accept_blocked=accept_blocked)  # type: ignore[arg-type]
        result = self.ask(Create(caller="qinet://user/test", document=path))
        assert isinstance(result.document, EntanglementPath)
        return result.document

    def delete(self, name: str) -> None:
        self.ask(Delete(caller="qinet://user/test", collection="relays", key=name))

    def delete_path(self, name: str) -> None:
        self.ask(Delete(caller="qinet://user/test", collection="paths", key=name))

    def connect(self, node: str) -> None:
        agent = self.agents[node]
        if not agent.let_in:
            return
        agent.connected, agent.in_flight, agent.announced = True, None, agent.wanted_version
        self._reported = {key: report for key, report in self._reported.items() if key[1] != node}
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
            for entry_id in wanted
            if agent.refused(entry_id) and wanted[entry_id] != agent.in_force.get(entry_id)
        )

    def confirm_keys(self, *, drain: bool = True) -> bool:
        """Let the ends of every service make keys or pairs and report; False when there is nothing new to report.

        One is confirmed on a version that the head end has in use, all of whose nodes have it in force, over nodes that
        run. What was under way on a version that is in use no more stays so until it may drain.
        """
        moved = False
        for service in list(self.snapshot.services()):
            ends = (service.demand.source, service.demand.target)
            in_use = self.versions_in_use(service)
            for version in in_use:
                if self._complete(service, version):
                    for end in ends:
                        self._confirmed.setdefault((service.key, end), set()).add(version)
                        self._under_way.setdefault((service.key, end), set()).add(version)
            for end in ends:
                key = service.key, end
                here = self._versions_at(end, service)
                self._confirmed[key] = self._confirmed.get(key, set()) & here
                under_way = self._under_way.get(key, set()) & here
                self._under_way[key] = under_way & in_use if drain else under_way
                if not self.agents[end].connected:
                    continue
                report = ServiceReport(
                    node=end,
                    service=service.key,
                    route_version=max(in_use, default=0),
                    confirmed=max(in_use, default=0) in self._confirmed[key],
                    confirmed_versions=frozenset(self._confirmed[key]),
                    undrained_versions=frozenset(self._under_way[key] - in_use),
                    starved=key in self.starved,
                    fidelity_at_most=self.fidelity.get(service.key),
                )
                if self._reported.get(key) != report:
                    self._reported[key] = report
                    self.core.take(report, self.now, self.enough)
                    moved = True
        self.commit()
        return moved

    def versions(self, node: str, relay: str) -> dict[tuple[int, int], RelayHopEntry]:
        """Return the hops of a relay in force at a node, by (version, share)."""
        found = {}
        for entry_id, content in self.agents[node].in_force.items():
            if entry_id.startswith(f"keyRelays/{relay}/"):
                entry = _decoded(entry_id, content)
                assert isinstance(entry, RelayHopEntry)
                found[entry.route_version, entry.share] = entry
        return found

    def instructions(self, node: str, path: str) -> dict[int, PathEntry]:
        """Return what a node has in force of a path, by version."""
        found = {}
        for entry_id, content in self.agents[node].in_force.items():
            if entry_id.startswith(f"entanglementPaths/{path}/"):
                entry = _decoded(entry_id, content)
                assert isinstance(entry, PathEntry)
                found[entry.route_version] = entry
        return found

    def _versions_at(self, node: str, service: Service) -> set[int]:
        if isinstance(service, EntanglementPath):
            return set(self.instructions(node, service.name))
        return {version for version, _ in self.versions(node, service.name)}

    def versions_in_use(self, service: Service) -> set[int]:
        """Return the versions on which the head end originates, by what is in force there."""
        if isinstance(service, EntanglementPath):
            told = self.instructions(service.demand.source, service.name)
            return {version for version, entry in told.items() if not entry.passive}
        head = self.versions(service.demand.source, service.name)
        return {version for (version, _), entry in head.items() if not entry.passive and entry.role is HopRole.HEAD}

    def _complete(self, service: Service, version: int) -> bool:
        if isinstance(service, EntanglementPath):
            return self._path_complete(service, version)
        head = self.versions(service.demand.source, service.name)
        shares = [entry for (at, _), entry in head.items() if at == version]
        if not shares or len(shares) < shares[0].shares:
            return False
        for entry in shares:
            node, hop = service.demand.source, entry
            while hop.next is not None:
                node = hop.next.end
                if not self.agents[node].connected and node not in self.orphans:
                    return False
                following = self.versions(node, service.name).get((version, entry.share))
                if following is None or following.previous != hop.next:
                    return False
                hop = following
        return True

    def _path_complete(self, path: EntanglementPath, version: int) -> bool:
        head = self.instructions(path.demand.source, path.name)[version]
        for node in head.nodes[1:]:
            if not self.agents[node].connected and node not in self.orphans:
                return False
            there = self.instructions(node, path.name).get(version)
            if there is None or replace(there, passive=False) != replace(head, passive=False):
                return False
        return not any((end, hop.link) in self.down for hop in head.hops for end in head.nodes)

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

    def unheard(self, node: str, link: str, *, silent: bool) -> None:
        """Let a node say of a link that it does not hear the other end on the peer connection, or that it does."""
        why = "cut" if (node, link) in self.down else ""
        self.take(LinkReport(node=node, link=link, down_reason=why, neighbour_unreachable=silent))

    def exhaust(self, link: str) -> None:
        node = self.snapshot.links[link].nodes[0]
        self.take(LinkReport(node=node, link=link, down_reason="cut", exhausted=True))

    def weaken(self, link: str, bit_per_s: int) -> None:
        """Let an end measure another rate than was promised so far."""
        node = self.snapshot.links[link].nodes[0]
        why = "cut" if (node, link) in self.down else ""
        self.take(LinkReport(node=node, link=link, down_reason=why, promised_skr_millibit_per_s=bit_per_s * 1000))

    def weaken_pairs(self, link: str, *, rate_permille: int | None = None, loss_permille: int | None = None) -> None:
        """Let the end that draws the heralds measure fewer or worse pairs than its model has."""
        node = self.snapshot.links[link].nodes[0]
        why = "cut" if (node, link) in self.down else ""
        self.take(
            LinkReport(
                node=node,
                link=link,
                down_reason=why,
                pair_rate_permille=rate_permille,
                pair_fidelity_loss_permille=loss_permille,
            )
        )

    def pass_time(self, ms: int) -> None:
        self.now_ms += ms
        self.take(TimePassed(service_time_ms=self.now_ms))

    def quiet(self) -> None:
        """Let everything that can happen without a fault happen."""
        moved = True
        while moved:
            steps = [self.step(node) for node in sorted(self.agents)]
            moved = any(steps) or self.confirm_keys() or self.work()

    def connect_all(self) -> None:
        for node in sorted(self.agents):
            if not self.agents[node].connected:
                self.connect(node)
        self.quiet()

    def _hashes(self, node: str) -> dict[str, bytes]:
        return {entry_id: _hash(entry_id, content) for entry_id, content in self.agents[node].in_force.items()}

    def hops(self, node: str) -> dict[tuple[str, int, int], RelayHopEntry]:
        """Return the relay hops in force at a node, by (relay, version, share)."""
        decoded = (_decoded(entry_id, content) for entry_id, content in self.agents[node].in_force.items())
        return {
            (entry.relay, entry.route_version, entry.share): entry
            for entry in decoded
            if isinstance(entry, RelayHopEntry)
        }

    def told(self, node: str) -> set[str]:
        """Return the relays of which a node has hops in force."""
        return {relay for relay, _, _ in self.hops(node)}

    def link_entry(self, node: str, link: str) -> LinkEntry:
        """Return the setting of a link that is in force at a node."""
        entry = _decoded(f"links/{link}", self.agents[node].in_force[f"links/{link}"])
        assert isinstance(entry, LinkEntry)
        return entry

    def carried(self) -> dict[str, int]:
        """Return what services can really draw of each resource, on the versions that their head ends have in use.

        Both ends of a link hold the same hop over it. The head end alone decides which versions are in use.
        """
        use: dict[str, int] = {}
        hops = {node: self.hops(node) for node in self.agents}
        in_use = {
            (relay, version)
            for node in self.agents
            for (relay, version, _), entry in hops[node].items()
            if entry.role is HopRole.HEAD and not entry.passive
        }
        for node in self.agents:
            for (relay, version, share), entry in hops[node].items():
                if entry.next is None or (relay, version) not in in_use:
                    continue
                other = hops.get(entry.next.end, {}).get((relay, version, share))
                if other and other.previous == entry.next:
                    charge = link_charge_millibit_per_s(entry.rate_millibit_per_s)
                    use[entry.next.link] = use.get(entry.next.link, 0) + charge
        for resource, amount in self._pairs_carried():
            use[resource] = use.get(resource, 0) + amount
        return use

    def _pairs_carried(self) -> Iterator[tuple[str, int]]:
        """Yield what paths can draw: a hop makes pairs when both its ends know of a version that the head end uses."""
        for path in self.snapshot.paths:
            told = {node: self.instructions(node, path) for node in self.agents}
            heads = {node: entries for node, entries in told.items() if any(e.head == node for e in entries.values())}
            for node, entries in heads.items():
                for version, entry in entries.items():
                    if entry.passive or entry.head != node:
                        continue
                    models = {hop.link: self._pair_model(hop.link) for hop in entry.hops}
                    route = Route(nodes=entry.nodes, links=tuple(hop.link for hop in entry.hops))
                    charges = plan_charges(
                        entry.regime,
                        route,
                        entry.hops,
                        entry.swaps,
                        models=models,
                        buffer_pairs=entry.buffer_pairs,
                        swap_time_us_per_s={},
                    )
                    knowing = {at for at in entry.nodes if version in told[at]}
                    for hop in route.hops():
                        if {hop.start, hop.end} <= knowing:
                            yield hop.link, charges[hop.link]
                    for at in knowing:
                        yield memories_of(at), charges.get(memories_of(at), 0)

    def _pair_model(self, link: str) -> PairModel:
        model = self.snapshot.links[link].pairs
        assert model is not None
        return model

    def check_heads(self) -> None:
        """Assert that every head end has all shares of a version or none, and all of them in use or none."""
        for node in self.agents:
            by_version: dict[tuple[str, int], list[RelayHopEntry]] = {}
            for (relay, version, _), entry in self.hops(node).items():
                if entry.role is HopRole.HEAD:
                    by_version.setdefault((relay, version), []).append(entry)
            for key, entries in by_version.items():
                assert len(entries) == entries[0].shares, (node, key)
                assert len({entry.passive for entry in entries}) == 1, (node, key)
        for path in self.snapshot.paths.values():
            if path.routes and self.agents[path.demand.source].connected:
                assert len(self.versions_in_use(path)) <= 1, path
        for known in self.snapshot.relays.values():
            head = self.agents[known.demand.source]
            if known.demand.protection is Protection.ONE_PLUS_ONE:
                self._doubled.add(known.name)
            elif head.in_force == head.target():
                self._doubled.discard(known.name)
            if known.routes and head.connected:
                assert len(self.versions_in_use(known)) <= 1 + (known.name in self._doubled), known

    def check_promises(self, weakened: Collection[str] = ()) -> None:
        """Assert what must hold at every moment; links that weakened below what was promised then are named."""
        reserved = self.core.reserved()
        for resource, amount in self.carried().items():
            held = reserved.get(resource, 0)
            assert amount <= held, f"carried on {resource}: {amount} > {held} reserved"
        now = self.snapshot
        for resource, amount in reserved.items():
            capacity = resource_capacity(now.nodes, now.links, now.conditions, resource)
            assert amount <= capacity or resource in weakened, f"reserved on {resource}: {amount} > {capacity}"

    def check_quiet(self) -> None:
        """Assert what must hold once nothing is under way."""
        for node, agent in self.agents.items():
            if agent.connected:
                assert agent.in_force == agent.target(), node
