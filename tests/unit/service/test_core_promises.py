"""Whatever happens in whatever order: nothing is over-promised, and once quiet all is as it is wanted."""

import itertools
from contextlib import suppress
from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controller.domain.capacity import reserved_by, service_charges
from controller.domain.key_relay import Phase, Protection, RelayState
from controller.domain.refusals import AlreadyExists, Precondition, Refusal
from controller.domain.route_sets import disjoint, told_sets
from controller.service.core import never
from controller.service.requests import ApplyTopology, SetFreeze, UpdateRelay
from tests.support.networks import network
from tests.support.virtual_agents import VirtualNetwork

NODES = [f"n{i}" for i in range(6)]
RELAYS = [f"r{i}" for i in range(8)]
BEGIN_WITH: list[dict[str, Any]] = [
    {"protection": Protection.ONE_FOR_ONE, "revertive": True, "wait_to_restore_ms": 2000},
    {"protection": Protection.ONE_PLUS_ONE, "priority": 2},
    {"shares": 2, "priority": 1},
    {"protection": Protection.ONE_FOR_ONE},
    {"hold_off_ms": 700},
]
NO_ROOM = {"NO_ROUTE", "NO_CAPACITY", "NO_DISJOINT_ROUTES"}
IN_THE_WAY = {"IN_USE", "OVER_RESERVED"}


class Promises(RuleBasedStateMachine):
    @initialize(
        ring=st.lists(st.integers(2, 8), min_size=5, max_size=6),
        chords=st.lists(
            st.tuples(st.sampled_from(NODES[:5]), st.sampled_from(NODES[:5]), st.integers(1, 6)).filter(
                lambda e: e[0] != e[1]
            ),
            max_size=5,
        ),
    )
    def build(self, ring: list[int], chords: list[tuple[str, str, int]]) -> None:
        around = [(NODES[i], NODES[(i + 1) % len(ring)], capacity) for i, capacity in enumerate(ring)]
        self.world = VirtualNetwork(
            network((f"l{i}", a, b, 1000 * capacity) for i, (a, b, capacity) in enumerate([*around, *chords]))
        )
        self.all_nodes = dict(self.world.snapshot.nodes)
        self.all_links = dict(self.world.snapshot.links)
        self.weakened: set[str] = set()
        self.world.connect_all()
        for number, wanted in enumerate(BEGIN_WITH):
            with suppress(Precondition):
                self.world.create(f"r{number}", NODES[number % 2], NODES[2 + number % 3], 600, **wanted)
        self.world.quiet()

    @property
    def links(self) -> list[str]:
        return sorted(self.world.snapshot.links)

    @property
    def nodes(self) -> list[str]:
        return sorted(self.world.snapshot.nodes)

    @rule(
        data=st.data(),
        name=st.sampled_from(RELAYS),
        rate=st.integers(1, 2000),
        hold=st.sampled_from([0, 0, 700]),
        priority=st.integers(0, 2),
        lifetime=st.sampled_from([None, None, 20]),
        protection=st.sampled_from([Protection.RESTORE, *Protection]),
        shares=st.sampled_from([1, 1, 1, 2]),
        revertive=st.booleans(),
        manual=st.sampled_from([False, False, True]),
        may_preempt=st.booleans(),
    )
    def create(self, data: st.DataObject, name: str, rate: int, hold: int, lifetime: int | None, **more: Any) -> None:
        source, target = data.draw(st.permutations(self.nodes))[:2]
        try:
            self.world.create(
                name, source, target, rate, hold_off_ms=hold, lifetime_s=lifetime, wait_to_restore_ms=2000, **more
            )
        except AlreadyExists:
            assert name in self.world.snapshot.relays
        except Precondition as refusal:
            if refusal.reason not in NO_ROOM:
                raise

    @rule(data=st.data(), rate=st.integers(1, 3000), shares=st.sampled_from([None, 1, 2]))
    def update(self, data: st.DataObject, rate: int, shares: int | None) -> None:
        relays = self.world.snapshot.relays
        if not relays:
            return
        name = data.draw(st.sampled_from(sorted(relays)))
        demand: dict[str, Any] = {"rate_millibit_per_s": rate * 1000}
        if shares is not None:
            demand["shares"] = shares
        try:
            self.world.ask(UpdateRelay(relay=name, demand=demand))
        except Refusal as refusal:
            if refusal.reason not in NO_ROOM | {"NOT_FOUND", "REMOVING"}:
                raise

    @rule(frozen=st.sampled_from([False, False, False, True]))
    def freeze(self, frozen: bool) -> None:
        self.world.ask(SetFreeze(frozen=frozen, reason="a test"))

    @rule(often=st.sampled_from([None, 1, 3]))
    def hurry(self, often: int | None) -> None:
        """Let turns of the writer end after so many steps; what is left is done in later ones."""
        count = itertools.count(1)
        self.world.enough = never if often is None else lambda: next(count) % often == 0

    @rule(data=st.data())
    def unheard(self, data: st.DataObject) -> None:
        """Let a node say that it does not hear its neighbour, or hears it again."""
        link = self.world.snapshot.links[data.draw(st.sampled_from(self.links))]
        node = data.draw(st.sampled_from(link.nodes))
        if self.world.agents[node].connected:
            self.world.unheard(node, link.name, silent=data.draw(st.booleans()))

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

    @rule(drain=st.booleans())
    def keys(self, drain: bool) -> None:
        self.world.confirm_keys(drain=drain)

    @rule()
    def all_is_well_for_a_while(self) -> None:
        for node in self.nodes:
            if not self.world.agents[node].connected:
                self.world.connect(node)
        self.world.quiet()

    @rule(data=st.data())
    def cut_what_is_used(self, data: st.DataObject) -> None:
        used = sorted({link for relay in self.world.snapshot.relays.values() for link in relay.links()})
        if used:
            self.world.cut(data.draw(st.sampled_from(used)))

    @rule(turns=st.integers(1, 5))
    def work(self, turns: int) -> None:
        for _ in range(turns):
            self.world.work()

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
        self.world.check_heads()
        relays = self.world.snapshot.relays.values()
        assert self.world.core.reserved() == reserved_by(relays)

    @invariant()
    @precondition(lambda self: hasattr(self, "world"))
    def what_is_said_of_a_relay_adds_up(self) -> None:
        for relay in self.world.snapshot.relays.values():
            assert (relay.phase is Phase.NONE) == (not relay.routes), relay
            if self.world.core.busy:
                continue
            assert (relay.state in (RelayState.BLOCKED, RelayState.REMOVING)) == (not relay.routes), relay
            assert not relay.removed or service_charges(relay), relay
            sets = told_sets(relay)
            assert len({routes.version for routes in sets}) == len(sets), relay
            assert sum(routes.in_use for routes in relay.retiring) <= (relay.phase is Phase.INSTALLING), relay
            assert all(len(routes.routes) == relay.demand.shares for routes in sets if routes not in relay.retiring)
            if relay.backup is not None:
                assert disjoint(relay.routes, relay.backup.routes), relay

    @invariant()
    @precondition(lambda self: hasattr(self, "world"))
    def every_change_of_a_relay_has_its_line(self) -> None:
        for name, relay in self.world.snapshot.relays.items():
            last = self.world.snapshot.histories[name].changes[-1]
            assert (last.state, last.phase, last.routes) == (relay.state, relay.phase, relay.routes)
            # A line may tell first why it moved in the same decision.
            assert relay.state_reason in last.reason, (last, relay.state_reason)

    def teardown(self) -> None:
        if not hasattr(self, "world"):
            return
        world = self.world
        world.enough = never
        world.ask(SetFreeze(frozen=False))
        for agent in world.agents.values():
            agent.refuses = ()
        for link in self.links:
            world.repair(link)
            for node in world.snapshot.links[link].nodes:
                if world.agents[node].connected:
                    world.unheard(node, link, silent=False)
        world.connect_all()
        for _ in range(6):  # links stop being damped, former routes are returned to, what was refused is tried again
            world.pass_time(130_000)
            world.quiet()
        world.check_promises(self.weakened)
        world.check_heads()
        world.check_quiet()
        assert not world.core.busy
        assert world.core.unconfirmed() == {}
        for relay in world.snapshot.relays.values():
            assert relay.state is RelayState.ACTIVE or (relay.state is RelayState.BLOCKED and relay.state_reason), relay
            assert relay.phase in (Phase.SETTLED, Phase.NONE)
            assert (relay.releasing, relay.retiring, relay.revert_at_ms) == ((), (), None)
            assert relay.backup is None or relay.backup_installed
            assert not relay.riding
        kinds = {"RELAY_BLOCKED", "LINK_OVERPROMISED", "PROTECTION_LOST"}
        assert {alarm.kind for alarm in world.snapshot.alarms.values()} <= kinds, world.snapshot.alarms
        for alarm in world.snapshot.alarms.values():
            _, _, name = alarm.object.partition("/")
            if alarm.kind == "RELAY_BLOCKED":
                assert world.snapshot.relays[name].state is RelayState.BLOCKED
            elif alarm.kind == "PROTECTION_LOST":
                assert world.snapshot.relays[name].backup is None


TestPromises = Promises.TestCase
TestPromises.settings = settings(max_examples=25, stateful_step_count=35, deadline=None)
