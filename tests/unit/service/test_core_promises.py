"""Whatever happens in whatever order: nothing is over-promised, and once quiet all is as it is wanted."""

import itertools
from contextlib import suppress
from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from controller.domain.capacity import reserved_by, service_charges
from controller.domain.entanglement_path import PRE_SHARED, EntanglementPath, PairUse
from controller.domain.key_relay import Phase, Protection, RelayState
from controller.domain.reachability import fault
from controller.domain.refusals import AlreadyExists, Precondition, Refusal
from controller.domain.route_sets import disjoint, told_sets, wanted_set
from controller.service.core import never
from controller.service.requests import ApplyTopology, RedeployPath, SetFreeze, UpdatePath, UpdateRelay
from tests.support.networks import network
from tests.support.virtual_agents import VirtualNetwork

NODES = [f"n{i}" for i in range(6)]
RELAYS = [f"r{i}" for i in range(8)]
PATHS = [f"p{i}" for i in range(4)]
KEYING: dict[str, Any] = {
    "use": PairUse.MEASURE,
    "key_link": "kp2",
    "authentication": PRE_SHARED,
    "distillation_block_bit": 2**24,
}
BEGIN_WITH: list[dict[str, Any]] = [
    {"protection": Protection.ONE_FOR_ONE, "revertive": True, "wait_to_restore_ms": 2000},
    {"protection": Protection.ONE_PLUS_ONE, "priority": 2},
    {"shares": 2, "priority": 1},
    {"protection": Protection.ONE_FOR_ONE},
    {"hold_off_ms": 700},
]
NO_ROOM = {"NO_ROUTE", "NO_CAPACITY", "NO_DISJOINT_ROUTES"}
NO_PAIRS = {"NO_ROUTE", "NO_CAPACITY", "FIDELITY_UNREACHABLE", "NO_MEMORIES", "NO_SECRET_KEY"}
IN_THE_WAY = {"IN_USE", "OVER_RESERVED"}


class Promises(RuleBasedStateMachine):
    @initialize(
        ring=st.lists(st.integers(2, 8), min_size=5, max_size=6),
        repeaters=st.lists(st.integers(1, 6), min_size=5, max_size=5),
        chords=st.lists(
            st.tuples(st.sampled_from(NODES[:5]), st.sampled_from(NODES[:5]), st.integers(1, 6)).filter(
                lambda e: e[0] != e[1]
            ),
            max_size=5,
        ),
    )
    def build(self, ring: list[int], repeaters: list[int], chords: list[tuple[str, str, int]]) -> None:
        around = [(NODES[i], NODES[(i + 1) % len(ring)], capacity) for i, capacity in enumerate(ring)]
        self.world = VirtualNetwork(
            network(
                ((f"l{i}", a, b, 1000 * capacity) for i, (a, b, capacity) in enumerate([*around, *chords])),
                pairs=[(f"e{i}", NODES[i], NODES[(i + 1) % 5], memories) for i, memories in enumerate(repeaters)],
            )
        )
        self.all_nodes = dict(self.world.snapshot.nodes)
        self.all_links = dict(self.world.snapshot.links)
        self.weakened: set[str] = set()
        self.world.connect_all()
        for number, wanted in enumerate(BEGIN_WITH):
            with suppress(Precondition):
                self.world.create(f"r{number}", NODES[number % 2], NODES[2 + number % 3], 600, **wanted)
        for number in range(2):
            with suppress(Precondition):
                self.world.create_path(f"p{number}", NODES[number], NODES[2 + number], 10.0)
        with suppress(Precondition):
            self.world.create_path("p2", NODES[0], NODES[2], 20.0, 0.9, **KEYING)
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

    @rule(
        data=st.data(),
        name=st.sampled_from(PATHS),
        hertz=st.integers(1, 100),
        fidelity=st.sampled_from([0.7, 0.9, 0.97]),
        accept_blocked=st.booleans(),
        hold=st.sampled_from([0, 0, 700]),
        priority=st.integers(0, 2),
        lifetime=st.sampled_from([None, None, 20]),
        deadline=st.sampled_from([None, None, 15]),
        protection=st.sampled_from([Protection.RESTORE, Protection.RESTORE, Protection.UNPROTECTED]),
        manual=st.sampled_from([False, False, True]),
        key_link=st.sampled_from([False, False, True]),
    )
    def create_path(
        self,
        data: st.DataObject,
        name: str,
        hertz: int,
        fidelity: float,
        *,
        hold: int,
        lifetime: int | None,
        deadline: int | None,
        key_link: bool,
        **more: Any,
    ) -> None:
        source, target = data.draw(st.permutations(self.nodes))[:2]
        keying = {**KEYING, "key_link": f"k{name}"} if key_link else {}
        more |= {"hold_off_ms": hold, "lifetime_s": lifetime, "deadline_s": deadline, **keying}
        try:
            self.world.create_path(name, source, target, hertz, fidelity, **more)
        except AlreadyExists:
            assert name in self.world.snapshot.paths
        except Precondition as refusal:
            if refusal.reason not in NO_PAIRS:
                raise

    @rule(
        data=st.data(),
        hertz=st.sampled_from([None, 5, 50]),
        fidelity=st.sampled_from([None, 0.7, 0.95]),
        admin_enabled=st.sampled_from([None, None, True, False]),
        redeploy=st.booleans(),
    )
    def update_path(
        self,
        data: st.DataObject,
        hertz: int | None,
        fidelity: float | None,
        admin_enabled: bool | None,
        redeploy: bool,
    ) -> None:
        paths = self.world.snapshot.paths
        if not paths:
            return
        name = data.draw(st.sampled_from(sorted(paths)))
        demand = {"rate_millihertz": hertz and hertz * 1000, "minimum_fidelity": fidelity}
        changed = {field: value for field, value in demand.items() if value is not None}
        request = (
            RedeployPath(path=name) if redeploy else UpdatePath(path=name, demand=changed, admin_enabled=admin_enabled)
        )
        try:
            self.world.ask(request)
        except Precondition as refusal:
            if refusal.reason not in NO_PAIRS | {"REMOVING", "DISABLED"}:
                raise

    @rule(data=st.data())
    def delete_path(self, data: st.DataObject) -> None:
        if self.world.snapshot.paths:
            try:
                self.world.delete_path(data.draw(st.sampled_from(sorted(self.world.snapshot.paths))))
            except Precondition as refusal:
                if refusal.reason != "IN_USE":
                    raise

    @rule(data=st.data(), rate=st.sampled_from([None, 0, 300, 950, 1000]), loss=st.sampled_from([None, 0, 40, 300]))
    def measure_pairs(self, data: st.DataObject, rate: int | None, loss: int | None) -> None:
        links = [name for name, link in self.world.snapshot.links.items() if link.pairs is not None]
        if links:
            self.world.weaken_pairs(data.draw(st.sampled_from(sorted(links))), rate_permille=rate, loss_permille=loss)

    @rule(data=st.data(), poor=st.booleans(), scarce=st.booleans())
    def measure_path(self, data: st.DataObject, poor: bool, scarce: bool) -> None:
        """Let the ends of a path measure what they get."""
        paths = self.world.snapshot.paths
        if paths:
            path = paths[data.draw(st.sampled_from(sorted(paths)))]
            self.world.fidelity[path.key] = 0.5 if poor else 1.0
            end = path.key, path.demand.target
            (self.world.starved.add if scarce else self.world.starved.discard)(end)

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
        self.world.agents[node].refuses = {
            *(f"keyRelays/{relay}/" for relay in relays),
            *(f"entanglementPaths/{relay.replace('r', 'p')}/" for relay in relays),
        }

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
        used = sorted({link for service in self.world.snapshot.services() for link in service.links()})
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
            pairs = links[changed].pairs
            if pairs is None:
                links[changed] = replace(links[changed], model_skr_millibit_per_s=other_rate * 1000)
            else:
                links[changed] = replace(links[changed], pairs=replace(pairs, memory_pairs=1 + other_rate // 1000))
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
        assert self.world.core.reserved() == reserved_by(self.world.snapshot.services())

    @invariant()
    @precondition(lambda self: hasattr(self, "world"))
    def what_is_said_of_a_service_adds_up(self) -> None:
        for relay in self.world.snapshot.services():
            assert (relay.phase is Phase.NONE) == (not relay.routes), relay
            if self.world.core.busy:
                continue
            assert (relay.state in (RelayState.BLOCKED, RelayState.REMOVING)) == (not relay.routes), relay
            key_link = relay.demand.key_link if isinstance(relay, EntanglementPath) else ""
            assert not relay.removed or service_charges(relay) or key_link in self.world.snapshot.links, relay
            sets = told_sets(relay)
            assert len({routes.version for routes in sets}) == len(sets), relay
            assert sum(routes.in_use for routes in relay.retiring) <= (relay.phase is Phase.INSTALLING), relay
            assert all(len(routes.routes) == relay.demand.shares for routes in sets if routes not in relay.retiring)
            if relay.backup is not None:
                assert disjoint(relay.routes, relay.backup.routes), relay
            if isinstance(relay, EntanglementPath):
                assert not relay.riding, relay
                assert all(routes.plan is not None for routes in sets), relay

    @invariant()
    @precondition(lambda self: hasattr(self, "world"))
    def key_links_are_as_their_paths_are(self) -> None:
        snapshot = self.world.snapshot
        if self.world.core.busy:
            return
        made = {path.demand.key_link: path for path in snapshot.paths.values() if path.demand.key_link}
        assert {name for name, link in snapshot.links.items() if link.path} <= made.keys()
        for name, path in made.items():
            if not path.removed:
                assert snapshot.links[name].path == path.name
            if name in snapshot.links and not path.routes:
                assert not snapshot.condition(name).generating

    @invariant()
    @precondition(lambda self: hasattr(self, "world"))
    def every_change_of_a_service_has_its_line(self) -> None:
        for relay in self.world.snapshot.services():
            last = self.world.snapshot.histories[relay.key].changes[-1]
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
            if world.snapshot.links[link].pairs is not None:
                world.weaken_pairs(link, rate_permille=1000, loss_permille=0)
            for node in world.snapshot.links[link].nodes:
                if world.agents[node].connected:
                    world.unheard(node, link, silent=False)
        world.fidelity.clear()
        world.starved.clear()
        world.connect_all()
        for _ in range(6):  # links stop being damped, former routes are returned to, what was refused is tried again
            world.pass_time(130_000)
            world.quiet()
        world.check_promises(self.weakened)
        world.check_heads()
        world.check_quiet()
        assert not world.core.busy
        assert world.core.unconfirmed() == {}
        for relay in world.snapshot.services():
            assert relay.state is RelayState.ACTIVE or (relay.state is RelayState.BLOCKED and relay.state_reason), relay
            assert relay.phase in (Phase.SETTLED, Phase.NONE)
            assert (relay.releasing, relay.retiring, relay.revert_at_ms) == ((), (), None)
            assert relay.backup is None or relay.backup_installed
            # Every link was repaired; only that of a path may be down, while its path fits nowhere.
            assert not relay.riding or fault(world.snapshot, wanted_set(relay)), relay
        kinds = {"RELAY_BLOCKED", "PATH_BLOCKED", "LINK_DOWN", "LINK_OVERPROMISED", "PROTECTION_LOST"}
        assert {alarm.kind for alarm in world.snapshot.alarms.values()} <= kinds, world.snapshot.alarms
        for alarm in world.snapshot.alarms.values():
            _, _, name = alarm.object.partition("/")
            if alarm.kind == "RELAY_BLOCKED":
                assert world.snapshot.relays[name].state is RelayState.BLOCKED
            elif alarm.kind == "PATH_BLOCKED":
                assert world.snapshot.paths[name].state is RelayState.BLOCKED
            elif alarm.kind == "LINK_DOWN":
                assert world.snapshot.paths[world.snapshot.links[name].path].state is RelayState.BLOCKED
            elif alarm.kind == "PROTECTION_LOST":
                backup = world.snapshot.relays[name].backup
                assert backup is None or fault(world.snapshot, backup)


TestPromises = Promises.TestCase
TestPromises.settings = settings(max_examples=25, stateful_step_count=35, deadline=None)
