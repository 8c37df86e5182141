"""Controller and agents together under one virtual clock: their real rules; every delay, loss and order by chance.

The controller is its core, its store and its registry of sessions; the agents are their sessions, configurations and
key planes. Only what carries bytes, time and chance is of the test.
"""

import random
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final

import pytest

from apps.restoration import Restoration
from apps.retry_blocked import RetryBlocked
from controller.domain.alarm import Alarm
from controller.domain.application import Application, Sae
from controller.domain.capacity import (
    link_charge_millibit_per_s,
    promised_skr_millibit_per_s,
    reserved_by,
    resource_capacity,
)
from controller.domain.entanglement_path import EntanglementPath, PairDemand
from controller.domain.events import AgentEvent, TimePassed
from controller.domain.key_relay import Demand, KeyRelay, Phase, RelayState
from controller.domain.log import LogRecord
from controller.domain.refusals import Refusal
from controller.domain.snapshot import Snapshot
from controller.ports.observations import Observations
from controller.routing.disjoint import find_routes
from controller.routing.graph import graph_of
from controller.routing.places import find_place, ground_of
from controller.service.core import Core, Now
from controller.service.requests import ApplyTopology, Create, Delete, Request, Result
from controller.service.writer import check_storable
from controller.store.memory import Memory, MemoryStore
from controller.wire.entries import entry_to_bytes
from southbound.agent.keyplane.audit import audit
from southbound.control.endings import Code, Ending, SessionRefused
from southbound.control.registry import Registry
from southbound.control.settings import ControlSettings
from tests.support.keyplane_world import World
from tests.support.whole_agent import Pipe, VirtualNode
from tests.support.whole_pairs import WholePairs

SETTINGS: Final = ControlSettings(heartbeat_interval_ms=5_000, part_bytes=2048, inbox_retry_ms=20)
STEP_S: Final = 1.0
BLOCK_S: Final = 4
KEY_TTL_S: Final = 3600
_COMPARED_BIT: Final = 384
_INBOX_SIZE: Final = 24
_CLOSED: Final = Ending(code=Code.CANCELLED, reason="CLOSED", message="the stream broke")


class VirtualController:
    """One life of a controller on what the store holds. Its inbox waits until the test gives it a turn."""

    def __init__(self, memory: Memory, clock_ms: Callable[[], int]) -> None:
        self._clock_ms = clock_ms
        self._store = MemoryStore(memory)
        snapshot = self._store.load().snapshot
        self.election = self._store.open_term()
        self.inbox: deque[tuple[AgentEvent | TimePassed, Callable[[], None] | None]] = deque()
        self.wanted: dict[str, dict[str, bytes]] = {}
        self._base_ms = snapshot.service_time_ms - clock_ms()
        self.core = Core(snapshot, [Restoration(), RetryBlocked()], entry_to_bytes, check_storable)
        self.registry = Registry(
            deliver=self._deliver, observations=Observations(), settings=SETTINGS, jitter=lambda: 0.5
        )
        self._push()

    @property
    def snapshot(self) -> Snapshot:
        return self.core.snapshot

    @property
    def now(self) -> Now:
        ms = self._clock_ms()
        return Now(service_ms=self._base_ms + ms, wall_ms=1_700_000_000_000 + ms)

    def ask(self, request: Request) -> Result:
        """Decide an operator's request, in a turn of its own."""
        try:
            return self.core.decide(request, self.now)
        finally:
            self._commit()
            self._push()

    def turn(self, most: int, *, crash: str = "") -> bool:
        """Decide some of what waits; with `crash`, the process dies "before" or "after" the commit."""
        done = []
        taken = 0
        while self.inbox and taken < most:
            event, answer = self.inbox.popleft()
            self.core.take(event, self.now)
            taken += 1
            if answer is not None:
                done.append(answer)
        if crash == "before":
            return True
        self._commit()
        if crash == "after":
            return True
        self._push()
        for each in done:
            each()
        assert not self.core.take_app_failures()
        return bool(taken)

    def tick(self) -> None:
        """Let time pass."""
        self.inbox.append((TimePassed(service_time_ms=self.now.service_ms), None))
        ms = self._clock_ms()
        self.registry.tick(ms)
        for session in self.registry.sessions().values():
            session.tick(ms)
            self.registry.collect(session)

    def _deliver(self, event: AgentEvent, done: Callable[[], None] | None) -> bool:
        if len(self.inbox) >= _INBOX_SIZE:
            return False
        self.inbox.append((event, done))
        return True

    def _commit(self) -> None:
        if changes := self.core.take_changes():
            revision = self.core.snapshot.revision
            self._store.commit(LogRecord(revision=revision + 1, election=self.election, changes=changes), revision)
            self.core.committed(revision + 1)

    def _push(self) -> None:
        while pushes := self.core.configuration.take_pushes():
            for node, entries in pushes.items():
                self.wanted[node] = dict(entries or {})
            self.registry.push(pushes, self.core.snapshot.revision, self.election, now_ms=self._clock_ms())


class WholeWorld:
    """A network of agents and their controller."""

    def __init__(self, network: Snapshot, *, seed: int) -> None:
        self.chance = random.Random(seed)
        self.planes = World(seed, stride_bit=self.chance.choice((256, 4096)))
        self._memory = Memory()
        self.controller = VirtualController(self._memory, self.clock_ms)
        self.controller.ask(ApplyTopology(nodes=network.nodes, links=network.links))
        self.pairs = WholePairs(network, seed=seed)
        self.nodes = {
            name: VirtualNode(
                name,
                [link.name for link in network.links.values() if name in link.nodes],
                self.planes,
                self.pairs.nodes.get(name),
            )
            for name in network.nodes
        }
        self.pipes: list[Pipe] = []
        self.away: set[str] = set()
        """Agents that find no way to the controller."""
        self.weakened: set[str] = set()
        """Links that may have become weaker than what was promised on them."""
        self.given: dict[str, tuple[str, str, bytes, float]] = {}
        """By key id: slave, master, bits and since when."""
        self.fetched: set[str] = set()
        self._asked: dict[int, tuple[str, str]] = {}
        self._due_s = {link: self.chance.random() * BLOCK_S for link in network.links.keys() - self.pairs.links}

    @property
    def snapshot(self) -> Snapshot:
        return self.controller.snapshot

    def clock_ms(self) -> int:
        """Return the monotonic time, which outlives every process."""
        return int(1000 * self.planes.now_s)

    # ------------------------------------------------------------ operators

    def create(self, name: str, demand: Demand, *, accept_blocked: bool = False) -> None:
        """Create a relay and, where they are missing, its application and an SAE at each end."""
        saes = {end: sae_of(name, end) for end in (demand.source, demand.target)}
        for end, sae in saes.items():
            if sae not in self.snapshot.saes:
                self.ask(Create(document=Sae(id=sae, node=end)))
        if name not in self.snapshot.applications:
            first, second = sorted(saes.values())
            self.ask(Create(document=Application(name=name, server_sae=first, client_saes=(second,))))
        self.ask(
            Create(document=KeyRelay(name=name, applications=(name,), demand=demand, accept_blocked=accept_blocked))
        )

    def create_path(self, name: str, demand: PairDemand, *, accept_blocked: bool = False) -> None:
        """Create an entanglement path."""
        self.ask(Create(document=EntanglementPath(name=name, demand=demand, accept_blocked=accept_blocked)))

    def delete(self, name: str) -> None:
        """Delete a relay."""
        self.ask(Delete(collection="relays", key=name))

    def delete_path(self, name: str) -> None:
        """Delete an entanglement path."""
        self.ask(Delete(collection="paths", key=name))

    def ask(self, request: Request) -> Result:
        """Have the controller decide a request."""
        return self.controller.ask(request)

    # ------------------------------------------------------------ faults

    def crash_agent(self, name: str) -> None:
        """Kill an agent."""
        self.nodes[name].crash()

    def restart_agents(self) -> None:
        """Start every agent that is not running."""
        for node in self.nodes.values():
            if not node.alive:
                node.start()

    def restart_controller(self, crash: str = "") -> None:
        """Kill the controller in the middle of a turn ("before" or "after" its commit) and start another."""
        if crash:
            self.controller.turn(self.chance.randint(1, 8), crash=crash)
        for pipe in self.pipes:
            pipe.controller_left = True
            if self.chance.random() < 0.5:
                pipe.down.clear()
        self.pipes.clear()
        self.controller = VirtualController(self._memory, self.clock_ms)

    def break_session(self, name: str, *, silently: bool = False) -> None:
        """Break an agent's stream; silently: neither side hears of it."""
        pipe = self.nodes[name].pipe
        if pipe is None:
            return
        if silently:
            pipe.frozen = True
            return
        for _ in range(self.chance.randint(0, len(pipe.up))):
            pipe.up.pop()
        self.nodes[name].hang_up()

    def cut(self, link: str, at: Iterable[str]) -> None:
        """Stop a link's channel, as some of its ends see it."""
        for name in at:
            self.nodes[name].cut(link)

    def repair(self, link: str) -> None:
        """Let a link's channel work again."""
        for node in self.nodes.values():
            if link in node.links or (node.pairs is not None and link in node.pairs.models):
                node.repair(link)

    def measure(self, link: str, bit_per_s: int) -> None:
        """Let both ends of a link measure another rate; of one that makes pairs, attempts succeed less often."""
        if link in self.pairs.links:
            for name in self.pairs.links[link].nodes:
                self.pairs.nodes[name].order(link, self.planes.now_s, factor=bit_per_s / 8000)
            return
        self.weakened.add(link)
        for node in self.nodes.values():
            if link in node.links:
                node.measure(link, bit_per_s)

    # ------------------------------------------------------------ applications

    def get(self, relay: str, node: str, other: str, *, little: bool = False) -> int:
        """Let the SAE at a node ask for keys to share with the one at the other; for `little`, one short one."""
        master, slave = sae_of(relay, node), sae_of(relay, other)
        size_bit = self.chance.choice((None, 128, 512))
        count, size_bit = (1, 128) if little else (self.chance.randint(1, 4), size_bit)
        request = self.planes.ask(node, master, slave, count, size_bit)
        if self.nodes[node].alive:
            self._asked[request] = slave, master
        return request

    def fetch(self, key_id: str) -> None:
        """Let a slave fetch what its master got: the same bits, or, had before or too late, none."""
        slave, master, key, since_s = self.given[key_id]
        node = slave.rpartition(".")[2]
        answer = self.planes.answers.get(self.planes.fetch(node, slave, master, [key_id]))
        if answer is None:
            assert not self.nodes[node].alive, "not answered"
        elif answer.status == 200:
            assert key_id not in self.fetched, "given twice"
            assert [each.key for each in answer.keys] == [key], "the ends differ"
            self.fetched.add(key_id)
        else:
            assert answer.status == 400
            late = self.planes.now_s >= since_s + KEY_TTL_S
            assert key_id in self.fetched or late, "lost: its master has it, and its slave never gets it"

    def read_answers(self) -> None:
        """Take the answers that masters got."""
        for request, (slave, master) in list(self._asked.items()):
            answer = self.planes.answers.get(request)
            if answer is None:
                continue
            del self._asked[request]
            assert answer.status in {200, 503}
            for each in answer.keys:
                assert each.key_id not in self.given, "minted twice"
                self.given[each.key_id] = slave, master, each.key, self.planes.now_s

    # ------------------------------------------------------------ the scheduler

    def steps(self, count: int) -> None:
        """Let some things happen, in an order by chance."""
        for _ in range(count):
            self.chance.choice(self._actors())()

    def crash_at_a_step(self) -> None:
        """Kill an agent while it takes a message, before or after what it decides is durable."""
        crash = self.chance.choice(("before", "after"))
        hearing = [node for node in self.nodes.values() if node.pipe is not None and node.pipe.down]
        moves = self.planes.moves()
        if hearing and (not moves or self.chance.random() < 0.5):
            self.chance.choice(hearing).hear(crash=crash)
        elif moves:
            self.planes.move(*self.chance.choice(moves), crash=crash)
        self._bury()

    def settle(self) -> None:
        """Let everything happen that can without time passing."""
        self.planes.connect()
        self.pairs.tend(self.planes.cut_off, self.planes.now_s)
        for _ in range(20_000):
            actors = self._actors()
            self.chance.shuffle(actors)
            moved = [act() for act in actors]
            if not any(moved):
                return
        raise AssertionError("never quiet")

    def run(self, seconds: float) -> None:
        """Let time pass and modules work; agents come back to their controller by themselves."""
        end_s = self.planes.now_s + seconds
        while self.planes.now_s < end_s:
            self.planes.now_s = min(end_s, self.planes.now_s + STEP_S)
            self._dial()
            self._distil()
            for name, node in self.nodes.items():
                node.end_orphans()
                if node.alive and node.site.wake_s <= self.planes.now_s:
                    self.planes.tick(name)
            self.pairs.tick(self.planes.now_s)
            self.controller.tick()
            self.settle()
            self.read_answers()
            self.check()

    def _dial(self) -> None:
        for name, node in self.nodes.items():
            if node.alive and node.pipe is None and name not in self.away:
                self.pipes.append(node.dial())

    def _distil(self) -> None:
        for link in self.snapshot.links.values():
            if link.name not in self._due_s or self.planes.now_s < self._due_s[link.name]:
                continue
            self._due_s[link.name] = self.planes.now_s + BLOCK_S
            ends = [end for end in link.nodes if self.nodes[end].serves(link.name)]
            if any(link.name in self.nodes[end].down for end in link.nodes):
                continue
            # What comparing costs is not secret key, and a promise is a little less than what is measured.
            rate = promised_skr_millibit_per_s(link, self.snapshot.condition(link.name)) / 1000 / 0.95
            size_bit = (_COMPARED_BIT + int(rate * BLOCK_S)) // 8 * 8
            if ends and rate:
                self.planes.distil(link.name, ends, size_bit)

    def _actors(self) -> list[Callable[[], bool]]:
        actors: list[Callable[[], bool]] = [self._turn]
        actors += [partial(self._move, *move) for move in self.planes.moves()]
        actors += [partial(self.pairs.move, *move, self.planes.now_s) for move in self.pairs.moves()]
        for node in self.nodes.values():
            actors += [node.hear, node.speak]
        for pipe in self.pipes:
            actors += [partial(self._read, pipe), partial(self._write, pipe)]
        return actors

    def _turn(self) -> bool:
        return self.controller.turn(self.chance.randint(1, 8))

    def _move(self, sender: str, receiver: str) -> bool:
        if (sender, receiver) not in self.planes.moves():
            return False
        self.planes.move(sender, receiver)
        return True

    def _read(self, pipe: Pipe) -> bool:
        """Let the controller read one message of a stream, or its end."""
        registry, ms = self.controller.registry, self.clock_ms()
        session = pipe.session
        if pipe not in self.pipes:
            return False
        if session is not None and session.ending is not None:
            self._close(pipe)
            return True
        if session is not None and registry.blocked(pipe.node):
            session.pause()
            if not registry.offer_again(pipe.node):
                return False
            session.resume(ms)
        if pipe.frozen:
            return False
        if pipe.up:
            request = pipe.up.popleft()
            if session is not None:
                session.receive(request, ms)
                registry.collect(session)
                return True
            try:
                pipe.session = registry.open(pipe.node, request, ms)
            except SessionRefused:
                self._close(pipe)
            return True
        if pipe.agent_left:
            if session is not None:
                session.end(_CLOSED)
                registry.collect(session)
            self._close(pipe)
            return True
        return False

    def _write(self, pipe: Pipe) -> bool:
        session = pipe.session
        if session is None or session.ending is not None:
            return False
        message = session.next_message(self.clock_ms())
        self.controller.registry.collect(session)
        if message is not None:
            pipe.down.append(message)
        return message is not None

    def _close(self, pipe: Pipe) -> None:
        pipe.controller_left = True
        self.pipes.remove(pipe)

    def _bury(self) -> None:
        for node in self.nodes.values():
            if not node.alive:
                node.hang_up()

    # ------------------------------------------------------------ what must hold

    def check(self) -> None:
        """Assert what must hold at every moment."""
        snapshot, reserved = self.snapshot, self.controller.core.reserved()
        assert reserved == reserved_by(snapshot.services())
        for link, amount in (self.carried_millibit_per_s() | self.pairs_carried()).items():
            assert amount <= reserved.get(link, 0), f"carried on {link}: {amount} > {reserved.get(link, 0)} reserved"
        for link, amount in reserved.items():
            capacity = resource_capacity(snapshot.nodes, snapshot.links, snapshot.conditions, link)
            told = any(alarm.object == f"links/{link}" for alarm in self._alarms("LINK_OVERPROMISED"))
            assert amount <= capacity or (link in self.weakened and told), f"reserved on {link}: {amount} > {capacity}"

    def carried_millibit_per_s(self) -> dict[str, int]:
        """Return what relays can draw on each link: both ends hold the same hop over it, on disk.

        Of several versions of a share that cross a link the largest counts: agents let them take turns.
        """
        by_share: dict[tuple[str, str, int], int] = {}
        hops = {name: node.hops() for name, node in self.nodes.items()}
        for mine in hops.values():
            for entry_id, entry in mine.items():
                if entry.next is None:
                    continue
                other = hops[entry.next.end].get(entry_id)
                if other and other.previous == entry.next:
                    key = entry.next.link, entry.relay, entry.share
                    by_share[key] = max(by_share.get(key, 0), link_charge_millibit_per_s(entry.rate_millibit_per_s))
        use: dict[str, int] = {}
        for (link, _, _), charge in by_share.items():
            use[link] = use.get(link, 0) + charge
        return use

    def pairs_carried(self) -> dict[str, int]:
        """Return the memory pairs that paths can draw on each link: both its ends hold the same plan, on disk.

        Of several versions of a path that cross a link the largest counts: one is in use at a time.
        """
        by_path: dict[tuple[str, str], int] = {}
        told = {name: node.instructions() for name, node in self.nodes.items()}
        for mine in told.values():
            for entry_id, entry in mine.items():
                for hop, start, end in zip(entry.hops, entry.nodes, entry.nodes[1:], strict=False):
                    if entry_id in told[start] and entry_id in told[end]:
                        key = hop.link, entry.path
                        by_path[key] = max(by_path.get(key, 0), hop.memory_pairs)
        use: dict[str, int] = {}
        for (link, _), amount in by_path.items():
            use[link] = use.get(link, 0) + amount
        return use

    def check_ledgers(self) -> None:
        """Assert that no bit was used twice or by one end only."""
        assert audit({name: site.ledger for name, site in self.planes.sites.items()}) == []

    def recover(self) -> None:
        """End every fault and let the network come to rest."""
        self.away.clear()
        self.planes.cut_off.clear()
        self.restart_agents()
        for node in self.nodes.values():
            if node.pipe is not None and node.pipe.frozen:
                node.hang_up()
        for link in self.snapshot.links:
            self.repair(link)
        self.run(150)

    def check_quiet(self) -> None:
        """Assert what must hold once there was no fault for a while: all is as it is wanted, and keys flow."""
        core = self.controller.core
        for name, node in self.nodes.items():
            assert node.connected, name
            assert node.contents() == self.controller.wanted.get(name, {}), name
        assert core.unconfirmed() == {}
        for relay in self.snapshot.relays.values():
            overpromised = {alarm.object for alarm in self._alarms("LINK_OVERPROMISED")}
            strained = any(f"links/{link}" in overpromised for link in relay.links())
            if relay.routes and strained:
                continue  # it gets what there is, perhaps not even a first key
            assert relay.state in {RelayState.ACTIVE, RelayState.BLOCKED}, relay
            assert relay.state is RelayState.ACTIVE or relay.state_reason, relay
            assert relay.phase in {Phase.SETTLED, Phase.NONE}
            assert relay.releasing == ()
            if relay.state is RelayState.ACTIVE:
                self._check_flow(relay)
            elif relay.state is RelayState.BLOCKED:
                with pytest.raises(Refusal):
                    find_routes(graph_of(self.snapshot), relay.demand)
        for path in self.snapshot.paths.values():
            assert path.phase in {Phase.SETTLED, Phase.NONE}, path
            assert (path.releasing, path.retiring) == ((), ()), path
            assert path.state in {RelayState.ACTIVE, RelayState.BLOCKED}, path
            if path.state is RelayState.BLOCKED:
                assert path.state_reason, path
                with pytest.raises(Refusal):
                    find_place(ground_of(self.snapshot, path), path)
        kinds = {alarm.kind for alarm in self.snapshot.alarms.values()}
        known = {"RELAY_BLOCKED", "PATH_BLOCKED", "LINK_OVERPROMISED", "PROTECTION_LOST"}
        assert kinds <= known, dict(self.snapshot.alarms)
        for key_id in sorted(self.given.keys() - self.fetched):
            self.fetch(key_id)
        self.check_ledgers()

    def _alarms(self, kind: str) -> list[Alarm]:
        return [alarm for alarm in self.snapshot.alarms.values() if alarm.kind == kind]

    def _check_flow(self, relay: KeyRelay) -> None:
        ends = relay.demand.source, relay.demand.target
        for master, slave in (ends, ends[::-1]):
            if master not in relay.origins:
                continue
            request = self.get(relay.name, master, slave, little=True)
            self.settle()
            answer = self.planes.answers[request]
            assert answer.status == 200, (relay.name, master, answer.message)
            self.read_answers()


def sae_of(relay: str, node: str) -> str:
    """Return the SAE at a node for a relay's application."""
    return f"sae.{relay}.{node}"
