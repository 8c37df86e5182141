"""Whatever happens in whatever order: nothing is over-promised, and once quiet all is as it is wanted."""

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controller.domain.capacity import relay_charges, reserved_millibit_per_s
from controller.domain.key_relay import Phase, Protection, RelayState
from controller.domain.refusals import AlreadyExists, Precondition
from controller.service.requests import ApplyTopology
from tests.support.networks import network
from tests.support.virtual_agents import VirtualNetwork

NODES = [f"n{i}" for i in range(6)]
RELAYS = [f"r{i}" for i in range(8)]
NO_ROOM = {"NO_ROUTE", "NO_CAPACITY"}
IN_THE_WAY = {"IN_USE", "OVER_RESERVED"}


class Promises(RuleBasedStateMachine):
    @initialize(
        edges=st.lists(
            st.tuples(st.sampled_from(NODES), st.sampled_from(NODES), st.integers(1, 5)).filter(lambda e: e[0] != e[1]),
            min_size=4,
            max_size=10,
        )
    )
    def build(self, edges: list[tuple[str, str, int]]) -> None:
        self.world = VirtualNetwork(
            network((f"l{i}", a, b, 1000 * capacity) for i, (a, b, capacity) in enumerate(edges))
        )
        self.all_nodes = dict(self.world.snapshot.nodes)
        self.all_links = dict(self.world.snapshot.links)
        self.weakened: set[str] = set()
        self.world.connect_all()

    @property
    def links(self) -> list[str]:
        return sorted(self.world.snapshot.links)

    @property
    def nodes(self) -> list[str]:
        return sorted(self.world.snapshot.nodes)

    @rule(
        data=st.data(),
        name=st.sampled_from(RELAYS),
        rate=st.integers(1, 3000),
        hold=st.sampled_from([0, 0, 700]),
        priority=st.integers(0, 2),
        lifetime=st.sampled_from([None, None, 20]),
        protection=st.sampled_from([Protection.RESTORE, Protection.RESTORE, Protection.UNPROTECTED]),
    )
    def create(
        self,
        data: st.DataObject,
        name: str,
        rate: int,
        hold: int,
        priority: int,
        lifetime: int | None,
        protection: Protection,
    ) -> None:
        source, target = data.draw(st.permutations(self.nodes))[:2]
        try:
            self.world.create(
                name,
                source,
                target,
                rate,
                hold_off_ms=hold,
                priority=priority,
                lifetime_s=lifetime,
                protection=protection,
            )
        except AlreadyExists:
            assert name in self.world.snapshot.relays
        except Precondition as refusal:
            if refusal.reason not in NO_ROOM:
                raise

    @rule(data=st.data(), rate=st.integers(1, 3000), name=st.sampled_from(RELAYS))
    def create_that_may_wait(self, data: st.DataObject, rate: int, name: str) -> None:
        source, target = data.draw(st.permutations(self.nodes))[:2]
        if name not in self.world.snapshot.relays:
            self.world.create_blocked(name, source, target, rate)

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        if self.world.snapshot.relays:
            self.world.delete(data.draw(st.sampled_from(sorted(self.world.snapshot.relays))))

    @rule(data=st.data())
    def cut(self, data: st.DataObject) -> None:
        link = data.draw(st.sampled_from(self.links))
        self.world.cut(link, at=data.draw(st.sampled_from([None, *self.world.snapshot.links[link].nodes])))

    @rule(data=st.data())
    def exhaust(self, data: st.DataObject) -> None:
        down = sorted({link for _, link in self.world.down if link in self.world.snapshot.links})
        if down:
            self.world.exhaust(data.draw(st.sampled_from(down)))

    @rule(data=st.data())
    def repair(self, data: st.DataObject) -> None:
        self.world.repair(data.draw(st.sampled_from(self.links)))

    @rule(data=st.data(), capacity=st.integers(0, 6000))
    def promise_otherwise(self, data: st.DataObject, capacity: int) -> None:
        link = data.draw(st.sampled_from(self.links))
        self.weakened.add(link)
        self.world.weaken(link, capacity)

    @rule(data=st.data(), applied=st.booleans())
    def lose(self, data: st.DataObject, applied: bool) -> None:
        node = data.draw(st.sampled_from(self.nodes))
        if self.world.agents[node].connected:
            self.world.lose(node, applied=applied)

    @rule(data=st.data(), anew=st.sampled_from([False, False, True]))
    def connect(self, data: st.DataObject, anew: bool) -> None:
        node = data.draw(st.sampled_from(self.nodes))
        if anew:
            self.world.replace_agent(node)
        if not self.world.agents[node].connected:
            self.world.connect(node)

    @rule(data=st.data(), relays=st.sets(st.sampled_from(RELAYS), max_size=2))
    def begin_to_refuse(self, data: st.DataObject, relays: set[str]) -> None:
        node = data.draw(st.sampled_from(self.nodes))
        self.world.agents[node].refuses = {f"keyRelays/{relay}/" for relay in relays}

    @rule(order=st.lists(st.sampled_from(NODES), max_size=8))
    def let_agents_work(self, order: list[str]) -> None:
        for node in order:
            if node in self.world.agents:
                self.world.step(node)

    @rule()
    def keys(self) -> None:
        self.world.confirm_keys()

    @rule(ms=st.sampled_from([100, 800, 31_000]))
    def pass_time(self, ms: int) -> None:
        self.world.pass_time(ms)

    @rule(applied=st.booleans())
    def restart(self, applied: bool) -> None:
        self.world.restart(applied=applied)

    @rule(data=st.data(), without=st.sampled_from([None, *NODES]), other_rate=st.integers(500, 6000))
    def apply_topology(self, data: st.DataObject, without: str | None, other_rate: int) -> None:
        nodes = {name: node for name, node in self.all_nodes.items() if name != without}
        links = {name: link for name, link in self.all_links.items() if without not in link.nodes}
        if links:
            changed = data.draw(st.sampled_from(sorted(links)))
            links[changed] = replace(links[changed], model_skr_millibit_per_s=other_rate * 1000)
        before = self.world.snapshot
        if not links:
            return
        try:
            self.world.ask(ApplyTopology(nodes=nodes, links=links))
        except Precondition as refusal:
            if refusal.reason not in IN_THE_WAY or self.world.snapshot != before:
                raise
        self.world.down = {(node, link) for node, link in self.world.down if link in self.world.snapshot.links}

    @invariant()
    @precondition(lambda self: hasattr(self, "world"))
    def nothing_is_over_promised(self) -> None:
        self.world.check_promises(self.weakened)
        relays = self.world.snapshot.relays.values()
        assert self.world.core.reserved() == reserved_millibit_per_s(relays)

    @invariant()
    @precondition(lambda self: hasattr(self, "world"))
    def what_is_said_of_a_relay_adds_up(self) -> None:
        for relay in self.world.snapshot.relays.values():
            assert (relay.phase is Phase.NONE) == (not relay.routes), relay
            assert (relay.state in (RelayState.BLOCKED, RelayState.REMOVING)) == (not relay.routes), relay
            if relay.removed:
                assert relay_charges(relay), relay

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        for agent in world.agents.values():
            agent.refuses = ()
        for link in self.links:
            world.repair(link)
        world.connect_all()
        for _ in range(3):  # after a refusal it is tried again after a minute
            world.pass_time(61_000)
            world.quiet()
        world.check_promises(self.weakened)
        world.check_quiet()
        assert world.core.unconfirmed() == {}
        for relay in world.snapshot.relays.values():
            assert relay.state is RelayState.ACTIVE or (relay.state is RelayState.BLOCKED and relay.state_reason), relay
            assert relay.phase in (Phase.SETTLED, Phase.NONE)
            assert relay.releasing == ()
        about = {alarm.kind for alarm in world.snapshot.alarms.values()}
        assert about <= {"RELAY_BLOCKED", "LINK_OVERPROMISED"}, world.snapshot.alarms
        for alarm in world.snapshot.alarms.values():
            collection, _, name = alarm.object.partition("/")
            if collection == "keyRelays":
                assert world.snapshot.relays[name].state is RelayState.BLOCKED


TestPromises = Promises.TestCase
TestPromises.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
