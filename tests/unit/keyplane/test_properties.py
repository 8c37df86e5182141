"""Whatever happens to a network, the rules of the key plane hold."""

import random
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from southbound.agent.keyplane.audit import audit
from southbound.agent.keyplane.events import Record
from southbound.agent.keyplane.ledger import LedgerEntry, LedgerKind
from tests.support.keyplane_world import Relay, Wire, World, line, settings_of, world_of

SAE_LIFE_S = 600


def ring(size: int) -> tuple[Wire, ...]:
    return tuple(Wire(f"l{at:02}", (f"n{at:02}", f"n{(at + 1) % size:02}")) for at in range(size))


def way(wires: tuple[Wire, ...], head: str, length: int, *, clockwise: bool) -> tuple[Wire, ...]:
    """Return a way of that many links from a node, round a ring or along a line; shorter where a line ends."""
    route: list[Wire] = []
    node, came = head, None
    order = wires if clockwise else tuple(reversed(wires))
    while len(route) < length:
        onward = [wire for wire in order if node in wire.ends and wire is not came]
        if not onward:
            break
        came = onward[0] if route else onward[0 if clockwise else -1]
        node = came.far(node)
        route.append(came)
    return tuple(route)


class Story:
    """A random life of a network, and what must hold all along it."""

    def __init__(self, seed: int, *, is_ring: bool, size: int) -> None:
        self.chance = random.Random(seed)
        self.wires = ring(size) if is_ring else line(size)
        self.relays: dict[str, Relay] = {}
        self.older: dict[str, list[Relay]] = {}
        """Versions that are still set beside the newest, passive or (1+1) in use."""
        self.world: World = world_of(self.wires, [], seed=seed, stride_bit=self.chance.choice((256, 4096)))
        self.nodes = sorted(self.world.sites)
        self.given: dict[str, tuple[Relay, str, bytes]] = {}
        self.fetched: set[str] = set()
        self.asked: dict[int, tuple[Relay, str]] = {}
        self.versions = 0

    # what may happen

    def create(self) -> None:
        self.versions += 1
        head = self.chance.choice(self.nodes)
        route = way(self.wires, head, self.chance.randint(1, 4), clockwise=self.chance.random() < 0.5)
        relay = Relay(f"r{self.versions}", head, route, version=self.versions)
        if route and relay.tail != head and len(set(relay.nodes)) == len(relay.nodes):
            relay = replace(relay, forward_share=self.chance.choice((0.5, 0.5, 1.0, 0.0)))
            self.relays[relay.name] = self.chance.choice((relay, self.shared(relay)))
            self.tell()

    def shared(self, relay: Relay) -> Relay:
        """Return the relay with a second share, the other way round the ring; as it is where there is none."""
        for clockwise in (True, False):
            route = way(self.wires, relay.head, len(self.wires) - len(relay.wires), clockwise=clockwise)
            if not set(route) & set(relay.wires) and route and replace(relay, wires=route).tail == relay.tail:
                return replace(relay, more=(route,))
        return relay

    def delete(self) -> None:
        if self.relays:
            name = self.chance.choice(sorted(self.relays))
            del self.relays[name]
            self.older.pop(name, None)
            self.tell()

    def move(self) -> None:
        """Give a relay another way between the same ends, or the same with another version.

        The old version goes at once, drains, or stays in use, too.
        """
        if not self.relays:
            return
        relay = self.relays[self.chance.choice(sorted(self.relays))]
        self.versions += 1
        ways = [relay.wires]
        for clockwise in (True, False):
            route = way(self.wires, relay.head, len(self.wires) - len(relay.wires), clockwise=clockwise)
            if route and Relay("", relay.head, route).tail == relay.tail:
                ways.append(route)
        older = self.older.setdefault(relay.name, [])
        old = self.chance.choice((None, replace(relay, passive=True), replace(relay, passive=True), relay))
        older[:] = [] if old is None else [*(replace(each, passive=True) for each in older[-1:]), old]
        moved = replace(relay, wires=self.chance.choice(ways), more=(), version=self.versions)
        self.relays[relay.name] = self.chance.choice((moved, self.shared(moved)))
        self.tell()

    def drop_older(self) -> None:
        """End a change of route."""
        if self.older:
            del self.older[self.chance.choice(sorted(self.older))]
            self.tell()

    def all_versions(self) -> list[Relay]:
        return [each for name, relay in self.relays.items() for each in (*self.older.get(name, ()), relay)]

    def tell(self) -> None:
        """Configure all nodes, in an order by chance, while messages go on."""
        nodes = list(self.nodes)
        self.chance.shuffle(nodes)
        for node in nodes:
            self.world.configure(node, settings_of(node, self.wires, self.all_versions()))
            self.deliver()

    def deliver(self) -> None:
        self.world.connect()
        for _ in range(self.chance.randint(0, 40)):
            if moves := self.world.moves():
                self.world.move(*self.chance.choice(moves))

    def distil(self) -> None:
        wire = self.chance.choice(self.wires)
        size_bit = self.chance.choice((2048, 16384, 65536))
        measured = self.chance.choice((0.02, 0.02, 0.02, 0.2))
        self.world.distil(wire.link, wire.ends, size_bit, measured=measured)

    def crash(self) -> None:
        running = [node for node in self.nodes if self.world.sites[node].plane is not None]
        moves = self.world.moves()
        if moves and self.chance.random() < 0.7:
            self.world.move(*self.chance.choice(moves), crash=self.chance.choice(("before", "after")))
        elif running:
            self.world.crash(self.chance.choice(running))

    def restart(self) -> None:
        self.world.now_s += 0.001
        for node in self.nodes:
            if self.world.sites[node].plane is None:
                self.world.start(node)

    def drop_stream(self) -> None:
        if self.world.streams:
            pair = self.chance.choice(sorted(sorted(each) for each in self.world.streams))
            self.world.drop_stream(*pair)

    def wait(self) -> None:
        self.world.now_s += self.chance.choice((0.1, 1.0, 3.0, 20.0))
        for node in self.nodes:
            site = self.world.sites[node]
            if site.plane is not None:
                self.world.tick(node)
        self.deliver()

    def ask(self) -> None:
        if not self.relays:
            return
        relay = self.relays[self.chance.choice(sorted(self.relays))]
        master, slave = self.chance.sample((relay.head, relay.tail), 2)
        size_bit = self.chance.choice((None, 128, 512))
        number = self.chance.randint(1, 4)
        request = self.world.ask(master, relay.sae(master), relay.sae(slave), number, size_bit)
        self.asked[request] = relay, slave

    def fetch(self) -> None:
        """A slave fetches what its master got: the same bits, or never any."""
        self.read()
        if not self.given:
            return
        key_id = self.chance.choice(sorted(self.given))
        relay, slave, key = self.given[key_id]
        master = relay.tail if slave == relay.head else relay.head
        answer = self.world.answers.get(self.world.fetch(slave, relay.sae(slave), relay.sae(master), [key_id]))
        if answer is None:
            assert self.world.sites[slave].plane is None
        elif answer.status == 200:
            assert key_id not in self.fetched, "given twice"
            assert [each.key for each in answer.keys] == [key]
            self.fetched.add(key_id)
        else:
            assert answer.status == 400
            assert key_id in self.fetched, "lost: its master has it, and its slave never gets it"

    def read(self) -> None:
        for request, (relay, slave) in list(self.asked.items()):
            answer = self.world.answers.get(request)
            if answer is not None:
                del self.asked[request]
                assert answer.status in {200, 503}
                for each in answer.keys:
                    assert each.key_id not in self.given
                    self.given[each.key_id] = relay, slave, each.key

    # what must hold

    def check(self) -> None:
        self.read()
        assert self.faults() == []
        self.status_is_true()
        self.accounts_are_true()
        self.stocks_agree()

    def faults(self) -> list[str]:
        return audit({name: site.ledger for name, site in self.world.sites.items()})

    def status_is_true(self) -> None:
        for relay in self.relays.values():
            for master, slave in ((relay.head, relay.tail), (relay.tail, relay.head)):
                plane = self.world.sites[master].plane
                status = plane.status(relay.sae(master), relay.sae(slave)) if plane is not None else None
                if status is not None:
                    assert 0 <= status.stored_key_count <= status.max_key_count

    def accounts_are_true(self) -> None:
        """What is counted along with every change is what a count of all blocks and chunks finds."""
        for site in self.world.sites.values():
            if site.plane is None:
                continue
            for pools in site.plane._pools.values():
                for sender in (pools.node, pools.neighbour):
                    blocks = (block for block in pools.blocks.values() if pools.sender(block) == sender)
                    assert pools.left_bit(sender) == sum(block.left_bit for block in blocks if block.compared)
            for stock in site.plane._stocks.values():
                assert stock.available_bit == sum(each.left_bit for each in stock.own.values() if each.confirmed)

    def stocks_agree(self) -> None:
        """What an origin may hand out is at the far end bit by bit, and of as many shares as are asked for."""
        for site in self.world.sites.values():
            for stock in site.plane._stocks.values() if site.plane is not None else ():
                far = self.world.sites[stock.far_node].plane
                held = far._stocks[stock.relay].held if far is not None and stock.relay in far._stocks else {}
                for chunk in stock.own.values():
                    assert chunk.shares >= stock.ways.needed_shares
                    other = held.get(chunk.chunk_id)
                    if chunk.confirmed and other is not None:
                        shorter = min(len(chunk.key), len(other.key))
                        assert chunk.key[len(chunk.key) - shorter :] == other.key[len(other.key) - shorter :]
                        assert chunk.shares == other.shares

    def live(self, steps: int) -> None:
        acts = [self.distil, self.deliver, self.deliver, self.deliver, self.ask, self.ask, self.fetch, self.wait]
        acts += [
            self.create,
            self.create,
            self.move,
            self.move,
            self.drop_older,
            self.delete,
            self.crash,
            self.restart,
            self.restart,
        ]
        acts += [self.drop_stream]
        for _ in range(2):
            self.create()
        for wire in self.wires:
            for _ in range(2):
                self.world.distil(wire.link, wire.ends)
        for _ in range(steps):
            self.chance.choice(acts)()
        self.check()
        self.recover()

    def recover(self) -> None:
        """When all is up again, every relay fills its stocks, and its status says what can be had."""
        self.restart()
        self.older.clear()
        self.tell()
        self.world.settle()
        for wire in self.wires:
            for _ in range(6):
                self.world.distil(wire.link, wire.ends, 1 << 17)
        self.world.run(120)
        for relay in self.relays.values():
            for master, slave, share in (
                (relay.head, relay.tail, relay.forward_share),
                (relay.tail, relay.head, 1 - relay.forward_share),
            ):
                plane = self.world.sites[master].plane
                assert plane is not None
                status = plane.status(relay.sae(master), relay.sae(slave))
                assert status is not None
                if share:
                    assert status.stored_key_count >= relay.low_bit // status.key_size_bit
                while status.stored_key_count:
                    number = min(status.stored_key_count, status.max_key_per_request)
                    request = self.world.ask(master, relay.sae(master), relay.sae(slave), number)
                    self.asked[request] = relay, slave
                    for pair in list(self.world.streams):
                        if pair == frozenset((master, slave)):
                            while self.world.answers.get(request) is None:
                                self.world.move(*self.chance.choice(self.world.moves()))
                    assert self.world.answers[request].status == 200
                    status = plane.status(relay.sae(master), relay.sae(slave))
                    assert status is not None
                    if self.chance.random() < 0.5:
                        break
        self.read()
        for key_id, (relay, slave, key) in self.given.items():
            master = relay.tail if slave == relay.head else relay.head
            if key_id in self.fetched or self.world.now_s > SAE_LIFE_S:
                continue
            answer = self.world.answers[self.world.fetch(slave, relay.sae(slave), relay.sae(master), [key_id])]
            assert [each.key for each in answer.keys] == [key]
            self.fetched.add(key_id)
        self.check()


@given(seed=st.integers(0, 2**32), is_ring=st.booleans(), size=st.integers(3, 7), steps=st.integers(10, 120))
@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_life_of_a_network_uses_a_bit_twice_or_parts_the_two_ends(
    seed: int, is_ring: bool, size: int, steps: int
) -> None:
    Story(seed, is_ring=is_ring, size=size).live(steps)


class BackupStory(Story):
    """A life in which a node's store comes back from copies; what was handed out before is not followed then.

    It is always the same node: where both ends of a link come back from copies, nobody is left who knows better.
    """

    def __init__(self, seed: int, *, is_ring: bool, size: int) -> None:
        super().__init__(seed, is_ring=is_ring, size=size)
        self.victim = self.chance.choice(self.nodes)
        self.copies: list[tuple[dict[tuple[str, str], Record], list[LedgerEntry]]] = []

    def copy(self) -> None:
        """Copy the store of the node, stopped: what its process still sends after a copy is in no other's memory."""
        self.world.crash(self.victim)
        site = self.world.sites[self.victim]
        self.copies.append((dict(site.disk), list(site.ledger)))
        self.restart()

    def come_back(self) -> None:
        """Kill the node and start it from a copy of its store of some time ago.

        What it sent since stands in its account all the same: it must never be sent with again.
        """
        if self.copies:
            self.world.crash(self.victim)
            disk, ledger = self.chance.choice(self.copies)
            site = self.world.sites[self.victim]
            known = {id(entry) for entry in ledger}
            sent = [entry for entry in site.ledger if entry.kind is LedgerKind.USE and entry.sent]
            site.disk, site.ledger = dict(disk), ledger + [entry for entry in sent if id(entry) not in known]
            self.world.now_s += 1
            self.restart()

    def live(self, steps: int) -> None:
        acts = [
            self.distil,
            self.deliver,
            self.deliver,
            self.deliver,
            self.wait,
            self.crash,
            self.restart,
            self.restart,
        ]
        acts += [self.create, self.move, self.move, self.drop_older, self.drop_stream, self.copy, self.come_back]
        self.create()
        self.create()
        for _ in range(steps):
            self.chance.choice(acts)()
        self.check()
        self.restart()
        self.older.clear()
        self.tell()
        self.world.settle()
        for wire in self.wires:
            for _ in range(6):
                self.world.distil(wire.link, wire.ends, 1 << 17)
        self.world.run(60)
        self.check()
        for relay in self.relays.values():
            for node, part in ((relay.head, relay.forward_share), (relay.tail, 1 - relay.forward_share)):
                figures = self.world.sites[node].running.figures().relays
                assert not part or next(each for each in figures if each.relay == relay.name).available_bit


@given(seed=st.integers(0, 2**32), is_ring=st.booleans(), size=st.integers(3, 5), steps=st.integers(10, 80))
@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
def test_stores_that_come_back_from_copies_burn_and_never_reuse(
    seed: int, is_ring: bool, size: int, steps: int
) -> None:
    BackupStory(seed, is_ring=is_ring, size=size).live(steps)
