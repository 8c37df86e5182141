"""Whatever happens to a network whose applications have SAEs at several nodes, a key is one key or none."""

import json
import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from southbound.agent.keyplane.audit import audit
from southbound.agent.keyplane.messages import Assign, Message
from tests.support.keyplane_world import Wire, line
from tests.support.multicast_world import App, fill, multicast_world, relays_between, star

NAMES = ("n00", "n01", "n02", "n03")
TTL_S = 600.0


def ring(size: int) -> tuple[Wire, ...]:
    return tuple(Wire(f"l{at}", (NAMES[at], NAMES[(at + 1) % size])) for at in range(size))


class Story:
    """A random life, in which whoever gets a message may die with it, before or after what it decides is durable."""

    def __init__(self, seed: int, shape: str, size: int) -> None:
        self.chance = random.Random(seed)
        shapes = {"line": line(size - 1), "ring": ring(size), "star": star(NAMES[1:size], hub=NAMES[0])}
        self.wires = shapes[shape]
        self.nodes = list(NAMES[:size])
        homes = self.chance.sample(self.nodes, 3)
        saes = {node: tuple(f"sae.{node}.{at}" for at in range(self.chance.randint(1, 2))) for node in homes}
        pair = {node: saes[node] for node in homes[:2]}
        self.apps = [App("all", saes, ttl_s=TTL_S), App("pair", pair, 20_000, TTL_S)]
        self.home = {sae: node for node, names in saes.items() for sae in names}
        self.world = multicast_world(self.wires, relays_between(homes, self.wires), self.apps, seed=seed)
        fill(self.world, self.wires, seconds=5, blocks=2)
        self.asked: dict[int, tuple[str, tuple[str, ...]]] = {}
        self.given: dict[str, tuple[str, tuple[str, ...], bytes]] = {}
        self.fetched: set[tuple[str, str]] = set()
        self.pads: dict[str, set[tuple[int, int]]] = {}
        self.world.tamper = self.hear

    def hear(self, sender: str, _receiver: str, message: Message) -> Message:
        """Of all that an origin ever says it uses, no bit is named twice: pads are one-time also over crashes."""
        if isinstance(message, Assign):
            used = self.pads.setdefault(f"{sender}/{message.relay}", set())
            for key in message.keys:
                for cut in key.cuts:
                    for at in range(cut.offset_bit, cut.offset_bit + cut.length_bit, 8):
                        assert (cut.chunk_id, at) not in used, "a bit of stock was used twice"
                        used.add((cut.chunk_id, at))
        return message

    # what may happen

    def ask(self) -> None:
        master = self.chance.choice(sorted(self.home))
        others = sorted(sae for sae in self.home if self.home[sae] != self.home[master])
        slaves = tuple(self.chance.sample(others, self.chance.randint(1, len(others))))
        number, size_bit = self.chance.randint(1, 3), self.chance.choice((None, 64, 512))
        node = self.home[master]
        if self.world.sites[node].plane is not None:
            request = self.world.ask(node, master, slaves[0], number, size_bit, slaves[1:])
            self.asked[request] = master, slaves

    def deliver(self, crashes: float = 0.0) -> None:
        self.world.connect()
        for _ in range(self.chance.randint(0, 30)):
            if moves := self.world.moves():
                crash = self.chance.choice(("before", "after")) if self.chance.random() < crashes else ""
                self.world.move(*self.chance.choice(moves), crash=crash)

    def deliver_with_crashes(self) -> None:
        self.deliver(0.1)

    def restart(self) -> None:
        self.world.now_s += 0.01
        for node in self.nodes:
            if self.world.sites[node].plane is None:
                self.world.start(node)

    def drop_stream(self) -> None:
        if self.world.streams:
            self.world.drop_stream(*self.chance.choice(sorted(sorted(pair) for pair in self.world.streams)))

    def wait(self) -> None:
        self.world.now_s += self.chance.choice((0.1, 1.0, 6.0))
        for node in self.nodes:
            self.world.tick(node)

    def distil(self) -> None:
        wire = self.chance.choice(self.wires)
        self.world.distil(wire.link, wire.ends, 16384)

    def fetch(self) -> None:
        self.read()
        if self.given:
            key_id = self.chance.choice(sorted(self.given))
            self.fetch_one(key_id, self.chance.choice(self.given[key_id][1]))

    def fetch_one(self, key_id: str, slave: str) -> None:
        master, _, key = self.given[key_id]
        answer = self.world.answers.get(self.world.fetch(self.home[slave], slave, master, [key_id]))
        if answer is None:
            assert self.world.sites[self.home[slave]].plane is None
        elif answer.status == 200:
            assert (key_id, slave) not in self.fetched, "given twice"
            assert [each.key for each in answer.keys] == [key], "not the master's key"
            self.fetched.add((key_id, slave))
        else:
            assert (key_id, slave) in self.fetched, "its master has it, and its slave never gets it"

    def read(self) -> None:
        for request, (master, slaves) in list(self.asked.items()):
            if (answer := self.world.answers.get(request)) is not None:
                del self.asked[request]
                assert answer.status in {200, 503}
                for each in answer.keys:
                    assert each.key_id not in self.given
                    self.given[each.key_id] = master, slaves, each.key

    # what must hold

    def live(self, steps: int) -> None:
        acts = [self.ask, self.ask, self.deliver, self.deliver, self.deliver_with_crashes, self.deliver_with_crashes]
        acts += [self.restart, self.restart, self.fetch, self.fetch, self.wait, self.drop_stream, self.distil]
        for _ in range(steps):
            self.chance.choice(acts)()
        self.read()
        self.restart()
        self.world.run(20)
        self.read()
        for key_id, (_, slaves, _) in self.given.items():
            for slave in slaves:
                self.fetch_one(key_id, slave)
        self.world.settle()
        self.check()

    def check(self) -> None:
        assert audit({name: site.ledger for name, site in self.world.sites.items()}) == []
        records: dict[str, list[dict[str, Any]]] = {}
        for site in self.world.sites.values():
            for (table, key_id), record in site.disk.items():
                if table == "key":
                    records.setdefault(key_id, []).append(json.loads(record.meta))
        for key_id, found in records.items():
            # Nothing waits or is void any more. What is bound still is what died with its answer: bound at all nodes.
            (origin,) = [record for record in found if record["state"] == "DELIVERED"]
            bound = [record for record in found if record["state"] == "BOUND"]
            assert len(found) == 1 + len(bound)
            assert len(bound) == (0 if key_id in self.given else len(origin["relays"]))


@given(
    seed=st.integers(0, 2**32),
    shape=st.sampled_from(("line", "ring", "star")),
    size=st.integers(3, 4),
    steps=st.integers(5, 60),
)
@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_life_gives_a_slave_another_key_than_its_master_or_one_slave_what_another_misses(
    seed: int, shape: str, size: int, steps: int
) -> None:
    Story(seed, shape, size).live(steps)
