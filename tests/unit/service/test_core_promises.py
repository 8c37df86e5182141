"""Whatever happens in whatever order: nothing is over-promised, and once quiet all is as it is wanted."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controller.domain.key_relay import RelayState
from controller.domain.refusals import Precondition
from tests.support.networks import network
from tests.support.virtual_agents import VirtualNetwork

NODES = [f"n{i}" for i in range(6)]


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
        self.links = sorted(self.world.snapshot.links)
        self.nodes = sorted(self.world.snapshot.nodes)
        self.count = 0
        self.world.connect_all()

    @rule(data=st.data(), rate=st.integers(1, 3000), hold=st.sampled_from([0, 0, 700]), priority=st.integers(0, 2))
    def create(self, data: st.DataObject, rate: int, hold: int, priority: int) -> None:
        source, target = data.draw(st.permutations(self.nodes))[:2]
        self.count += 1
        try:
            self.world.create(f"r{self.count}", source, target, rate, hold_off_ms=hold, priority=priority)
        except Precondition as refusal:
            if refusal.reason not in {"NO_ROUTE", "NO_CAPACITY"}:
                raise

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
        down = sorted({link for _, link in self.world.down})
        if down:
            self.world.exhaust(data.draw(st.sampled_from(down)))

    @rule(data=st.data())
    def repair(self, data: st.DataObject) -> None:
        self.world.repair(data.draw(st.sampled_from(self.links)))

    @rule(data=st.data(), applied=st.booleans())
    def lose(self, data: st.DataObject, applied: bool) -> None:
        node = data.draw(st.sampled_from(self.nodes))
        if self.world.agents[node].connected:
            self.world.lose(node, applied=applied)

    @rule(data=st.data())
    def connect(self, data: st.DataObject) -> None:
        node = data.draw(st.sampled_from(self.nodes))
        if not self.world.agents[node].connected:
            self.world.connect(node)

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

    @invariant()
    @precondition(lambda self: hasattr(self, "world"))
    def nothing_is_over_promised(self) -> None:
        self.world.check_promises()

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        for link in self.links:
            self.world.repair(link)
        self.world.connect_all()
        self.world.pass_time(100_000)
        self.world.quiet()
        self.world.check_promises()
        self.world.check_quiet()
        for relay in self.world.snapshot.relays.values():
            assert relay.state is RelayState.ACTIVE or (relay.state is RelayState.BLOCKED and relay.state_reason), relay
            assert relay.releasing == ()


TestPromises = Promises.TestCase
TestPromises.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
