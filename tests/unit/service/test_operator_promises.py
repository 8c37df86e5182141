"""Whatever operators ask in whatever order: nothing is over-promised, and what is refused has changed nothing."""

from collections.abc import Mapping
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controller.domain.capacity import over_reserved, reserved_by
from controller.domain.etag import etag
from controller.domain.key_relay import Phase, Protection, RelayState
from controller.domain.refusals import AlreadyExists, NotFound, Precondition, TooHard
from controller.service.requests import (
    Drain,
    RedeployRelay,
    Request,
    SetFreeze,
    UpdateAdministration,
    UpdateRelay,
)
from controller.service.what_if import Failure, what_if
from tests.support.networks import network
from tests.support.virtual_agents import VirtualNetwork

NODES = [f"n{i}" for i in range(6)]
RELAYS = [f"r{i}" for i in range(6)]
CALLER = "qinet://user/test"
NO_WAY = {"NO_ROUTE", "NO_CAPACITY", "NO_DISJOINT_ROUTES", "REMOVING", "DISABLED", "STALE_ETAG"}

demands: st.SearchStrategy[Mapping[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "rate_millibit_per_s": st.integers(1, 3000).map(lambda rate: 1000 * rate),
        "shares": st.sampled_from([1, 1, 2]),
        "protection": st.sampled_from(list(Protection)),
        "forward_share": st.sampled_from([0.0, 0.5, 1.0]),
        "priority": st.integers(0, 3),
        "max_hops": st.sampled_from([None, 1, 2, 3]),
        "manual": st.booleans(),
        "may_preempt": st.booleans(),
        "revertive": st.booleans(),
        "wait_to_restore_ms": st.sampled_from([0, 500]),
        "hold_off_ms": st.sampled_from([0, 700]),
    },
)


class OperatorPromises(RuleBasedStateMachine):
    @initialize(
        edges=st.lists(
            st.tuples(st.sampled_from(NODES), st.sampled_from(NODES), st.integers(2, 6)).filter(lambda e: e[0] != e[1]),
            min_size=6,
            max_size=12,
        )
    )
    def build(self, edges: list[tuple[str, str, int]]) -> None:
        self.world = VirtualNetwork(
            network((f"l{i}", a, b, 1000 * capacity) for i, (a, b, capacity) in enumerate(edges))
        )
        self.links = sorted(self.world.snapshot.links)
        self.nodes = sorted(self.world.snapshot.nodes)
        self.world.connect_all()

    def asked(self, request: Request) -> bool:
        """Ask; what is refused has changed nothing."""
        before = self.world.snapshot
        try:
            self.world.ask(request)
        except Precondition as refusal:
            if refusal.reason not in NO_WAY or self.world.snapshot != before:
                raise
            return False
        except (NotFound, TooHard):
            assert self.world.snapshot == before
            return False
        return True

    @rule(data=st.data(), name=st.sampled_from(RELAYS), rate=st.integers(1, 2000), demand=demands)
    def create(self, data: st.DataObject, name: str, rate: int, demand: Mapping[str, Any]) -> None:
        source, target = data.draw(st.permutations(self.nodes))[:2]
        more = {key: value for key, value in demand.items() if key != "rate_millibit_per_s"}
        try:
            self.world.create(name, source, target, rate, **more)
        except AlreadyExists:
            assert name in self.world.snapshot.relays
        except Precondition as refusal:
            if refusal.reason not in NO_WAY:
                raise

    @rule(
        name=st.sampled_from(RELAYS),
        demand=demands,
        enabled=st.sampled_from([None, None, None, True, False]),
        waits=st.sampled_from([None, True]),
        guarded=st.booleans(),
    )
    def update(
        self, name: str, demand: Mapping[str, Any], enabled: bool | None, waits: bool | None, guarded: bool
    ) -> None:
        relay = self.world.snapshot.relays.get(name)
        tag = etag(relay) if guarded and relay is not None else ""
        request = UpdateRelay(
            relay=name, demand=demand, admin_enabled=enabled, accept_blocked=waits, etag=tag, caller=CALLER
        )
        if not self.asked(request) or relay is None:
            return
        after = self.world.snapshot.relays[name]
        assert all(getattr(after.demand, field) == value for field, value in demand.items())
        assert after.ever_active or not relay.ever_active
        if demand or enabled is not None:
            unchanged = (after.demand, after.admin_enabled, after.accept_blocked) == (
                relay.demand,
                relay.admin_enabled,
                relay.accept_blocked,
            )
            assert (etag(after) == etag(relay)) == unchanged

    @rule(name=st.sampled_from(RELAYS))
    def redeploy(self, name: str) -> None:
        if self.asked(RedeployRelay(relay=name, caller=CALLER)):
            assert self.world.snapshot.relays[name].state_reason

    @rule(name=st.sampled_from(RELAYS))
    def delete(self, name: str) -> None:
        if name in self.world.snapshot.relays:
            self.world.delete(name)

    @rule(data=st.data(), again=st.booleans())
    def drain(self, data: st.DataObject, again: bool) -> None:
        name = data.draw(st.sampled_from(self.nodes + self.links))
        collection = "nodes" if name in self.nodes else "links"
        if again:
            self.asked(UpdateAdministration(collection=collection, key=name, maintenance=False, caller=CALLER))
        else:
            self.asked(Drain(collection=collection, key=name, caller=CALLER))

    @rule(frozen=st.booleans())
    def freeze(self, frozen: bool) -> None:
        self.asked(SetFreeze(frozen=frozen, reason="storm", caller=CALLER))
        assert (self.world.snapshot.frozen is not None) == frozen

    @rule(data=st.data())
    def look_ahead(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(self.nodes + self.links))
        only = frozenset({name})
        failure = Failure(nodes=only) if name in self.nodes else Failure(links=only)
        list(what_if(self.world.snapshot, failure, lambda: None))

    @rule(data=st.data(), repair=st.booleans())
    def cut(self, data: st.DataObject, repair: bool) -> None:
        link = data.draw(st.sampled_from(self.links))
        if repair:
            self.world.repair(link)
        else:
            self.world.cut(link)

    @rule(order=st.lists(st.sampled_from(NODES), max_size=8))
    def let_agents_work(self, order: list[str]) -> None:
        for node in order:
            if node in self.world.agents:
                self.world.step(node)

    @rule()
    def keys(self) -> None:
        self.world.confirm_keys()

    @rule()
    def quiet(self) -> None:
        self.world.quiet()

    @rule(ms=st.sampled_from([100, 800, 31_000]))
    def pass_time(self, ms: int) -> None:
        self.world.pass_time(ms)

    @rule(applied=st.booleans())
    def restart(self, applied: bool) -> None:
        self.world.restart(applied=applied)
        self.world.connect_all()

    @invariant()
    @precondition(lambda self: hasattr(self, "world"))
    def nothing_is_over_promised(self) -> None:
        snapshot = self.world.snapshot
        reserved = reserved_by(snapshot.relays.values())
        assert over_reserved(snapshot.links, snapshot.conditions, reserved) == {}
        self.world.check_promises()
        self.world.check_heads()

    @invariant()
    @precondition(lambda self: hasattr(self, "world"))
    def a_relay_has_all_its_shares_or_none(self) -> None:
        for relay in self.world.snapshot.relays.values():
            assert len(relay.routes) in (0, relay.demand.shares), relay
            assert relay.admin_enabled or not relay.routes, relay

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        world.ask(SetFreeze(frozen=False, caller=CALLER))
        for link in self.links:
            world.repair(link)
        world.connect_all()
        for _ in range(5):
            world.pass_time(61_000)
            world.quiet()
        world.check_promises()
        world.check_quiet()
        assert world.core.unconfirmed() == {}
        for relay in world.snapshot.relays.values():
            assert relay.state is RelayState.ACTIVE or (relay.state is RelayState.BLOCKED and relay.state_reason), relay
            assert relay.phase in (Phase.SETTLED, Phase.NONE), relay
            assert (relay.releasing, relay.retiring) == ((), ()), relay
        kinds = {alarm.kind for alarm in world.snapshot.alarms.values()}
        assert kinds <= {"RELAY_BLOCKED", "PROTECTION_LOST"}, kinds


TestOperatorPromises = OperatorPromises.TestCase
TestOperatorPromises.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
