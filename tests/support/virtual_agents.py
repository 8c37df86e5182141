"""The controller's core among virtual agents: every delay, loss and order is the test's to choose.

The agents' side follows the protocol (one update in flight, later wishes fold into the next, a lost session
may or may not have applied what was under way) without sharing code with the real sessions.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from apps.restoration import Restoration
from apps.retry_blocked import RetryBlocked
from controller.domain.capacity import capacity_millibit_per_s, link_charge_millibit_per_s
from controller.domain.entries import RelayHopEntry, entry_hash
from controller.domain.events import AgentConnected, AgentLost, ConfigConfirmed, LinkReport, RelayReport, TimePassed
from controller.domain.key_relay import Demand, KeyRelay
from controller.domain.snapshot import AgentRecord, Snapshot
from controller.service.core import Core, Now
from controller.service.requests import Create, Delete, Request, Result
from controller.wire.entries import entry_from_bytes, entry_to_bytes


@dataclass
class VirtualAgent:
    """What one agent has in force, and what its session wants of it."""

    in_force: dict[str, bytes] = field(default_factory=dict)
    wanted: Mapping[str, bytes] = field(default_factory=dict)
    wanted_version: int = 0
    in_flight: tuple[Mapping[str, bytes], int] | None = None
    announced: int = -1
    connected: bool = False


class VirtualNetwork:
    """A core and its agents."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.core = Core(snapshot, [Restoration(), RetryBlocked()], entry_to_bytes)
        self.agents = {node: VirtualAgent() for node in snapshot.nodes}
        self.down: set[tuple[str, str]] = set()
        self.now_ms = 0
        self._commit()

    @property
    def snapshot(self) -> Snapshot:
        return self.core.snapshot

    @property
    def now(self) -> Now:
        return Now(service_ms=self.now_ms, wall_ms=1_700_000_000_000 + self.now_ms)

    def _commit(self) -> None:
        if self.core.take_changes():
            self.core.committed(self.core.snapshot.revision + 1)
        for node, wanted in self.core.configuration.take_pushes().items():
            if wanted is not None:
                self.agents[node].wanted = wanted
                self.agents[node].wanted_version = self.core.snapshot.revision

    def ask(self, request: Request) -> Result:
        try:
            return self.core.decide(request, self.now)
        finally:
            self._commit()

    def create(self, name: str, source: str, target: str, bit_per_s: int = 1000, **more: object) -> KeyRelay:
        demand = replace(Demand(source=source, target=target, rate_millibit_per_s=bit_per_s * 1000), **more)  # type: ignore[arg-type]
        result = self.ask(Create(caller="qinet://user/test", document=KeyRelay(name=name, demand=demand)))
        assert isinstance(result.document, KeyRelay)
        return result.document

    def delete(self, name: str) -> None:
        self.ask(Delete(caller="qinet://user/test", collection="relays", key=name))

    def connect(self, node: str) -> None:
        agent = self.agents[node]
        agent.connected, agent.in_flight, agent.announced = True, None, agent.wanted_version
        self.core.take(
            AgentConnected(
                record=AgentRecord(node=node, store_id=node, peer_address=f"{node}:1", delivery_address=f"{node}:2"),
                version=agent.wanted_version,
                in_force=self._hashes(node),
                links_down={link: "cut" for at, link in self.down if at == node},
            ),
            self.now,
        )
        self._commit()

    def lose(self, node: str, *, applied: bool = False) -> None:
        agent = self.agents[node]
        if applied and agent.in_flight:
            agent.in_force = dict(agent.in_flight[0])
        agent.connected, agent.in_flight = False, None
        self.core.take(AgentLost(node=node), self.now)
        self._commit()

    def step(self, node: str) -> bool:
        """Let one agent's session make its next move; False when there is none to make."""
        agent = self.agents[node]
        if not agent.connected:
            return False
        if agent.in_flight is not None:
            wanted, version = agent.in_flight
            agent.in_force, agent.in_flight = dict(wanted), None
        elif dict(agent.wanted) != agent.in_force:
            agent.in_flight = (agent.wanted, agent.wanted_version)
            return True
        elif agent.announced < agent.wanted_version:
            version = agent.wanted_version
        else:
            return False
        agent.announced = version
        self.core.take(ConfigConfirmed(node=node, version=version, in_force=self._hashes(node)), self.now)
        self._commit()
        return True

    def confirm_keys(self) -> bool:
        """Let the ends of every relay whose whole route is in force confirm a first key; False when none is new."""
        moved = False
        for relay in list(self.snapshot.relays.values()):
            if relay.routes and self._complete(relay) and not relay.confirmed_by >= relay.origins:
                for end in sorted(relay.origins):
                    self.core.take(
                        RelayReport(node=end, relay=relay.name, route_version=relay.route_version, confirmed=True),
                        self.now,
                    )
                moved = True
        self._commit()
        return moved

    def _complete(self, relay: KeyRelay) -> bool:
        hops = [self.hops(node).get((relay.name, 0)) for route in relay.routes for node in route.nodes]
        return all(hop is not None and hop.route_version == relay.route_version for hop in hops)

    def cut(self, link: str, *, at: str | None = None) -> None:
        for node in (at,) if at else self.snapshot.links[link].nodes:
            self.down.add((node, link))
            if self.agents[node].connected:
                self.core.take(LinkReport(node=node, link=link, down_reason="cut"), self.now)
                self._commit()

    def repair(self, link: str) -> None:
        for node in self.snapshot.links[link].nodes:
            self.down.discard((node, link))
            if self.agents[node].connected:
                self.core.take(LinkReport(node=node, link=link), self.now)
                self._commit()

    def exhaust(self, link: str) -> None:
        node = self.snapshot.links[link].nodes[0]
        self.core.take(LinkReport(node=node, link=link, down_reason="cut", exhausted=True), self.now)
        self._commit()

    def pass_time(self, ms: int) -> None:
        self.now_ms += ms
        self.core.take(TimePassed(service_time_ms=self.now_ms), self.now)
        self._commit()

    def quiet(self) -> None:
        """Let everything that can happen without a fault happen."""
        moved = True
        while moved:
            steps = [self.step(node) for node in sorted(self.agents)]
            moved = self.confirm_keys() or any(steps)

    def connect_all(self) -> None:
        for node in sorted(self.agents):
            if not self.agents[node].connected:
                self.connect(node)
        self.quiet()

    def _hashes(self, node: str) -> dict[str, bytes]:
        return {entry_id: entry_hash(entry_id, content) for entry_id, content in self.agents[node].in_force.items()}

    def hops(self, node: str) -> dict[tuple[str, int], RelayHopEntry]:
        """Return the relay hops in force at a node, by (relay, share)."""
        found = {}
        for entry_id, content in self.agents[node].in_force.items():
            entry = entry_from_bytes(entry_id, content)
            if isinstance(entry, RelayHopEntry):
                found[entry.relay, entry.share] = entry
        return found

    def carried_millibit_per_s(self) -> dict[str, int]:
        """Return what relays can really draw on each link: both ends hold the same version of a hop over it."""
        use: dict[str, int] = {}
        for node in self.agents:
            for key, entry in self.hops(node).items():
                if entry.next is None:
                    continue
                other = self.hops(entry.next.end).get(key)
                if other and other.route_version == entry.route_version and other.previous == entry.next:
                    charge = link_charge_millibit_per_s(entry.rate_millibit_per_s)
                    use[entry.next.link] = use.get(entry.next.link, 0) + charge
        return use

    def check_promises(self) -> None:
        """Assert what must hold at every moment."""
        for what, amounts in (("carried", self.carried_millibit_per_s()), ("reserved", self.core.reserved())):
            for link, amount in amounts.items():
                capacity = capacity_millibit_per_s(self.snapshot.links[link], self.snapshot.condition(link))
                assert amount <= capacity, f"{what} on {link}: {amount} > {capacity}"

    def check_quiet(self) -> None:
        """Assert what must hold once nothing is under way."""
        for node, agent in self.agents.items():
            if agent.connected:
                assert agent.in_force == dict(agent.wanted), node
