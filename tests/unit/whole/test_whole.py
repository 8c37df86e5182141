"""Whatever happens to a whole network, controller and agents together keep every promise."""

import random
from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller.domain.entanglement_path import PairDemand
from controller.domain.key_relay import Demand, Protection
from controller.domain.refusals import AlreadyExists, Precondition
from controller.domain.snapshot import Snapshot, put
from controller.service.requests import ApplyTopology, Request, SetFreeze, UpdateAdministration
from tests.support.networks import network
from tests.support.whole_world import WholeWorld

_NOT_NOW = {"NO_ROUTE", "NO_CAPACITY", "NO_DISJOINT_ROUTES"}
_NOT_NOW |= {"APPLICATION_TAKEN", "ALREADY_EXISTS", "IN_USE", "OVER_RESERVED"}


def slow_pairs(snapshot: Snapshot) -> Snapshot:
    """Return the network with links that make five pairs a second for each memory pair: enough to see them come."""
    links = (link for link in snapshot.links.values() if link.pairs is not None)
    return snapshot.applying(
        put(*(replace(link, pairs=replace(link.pairs, attempt_period_s=1e-2)) for link in links if link.pairs))
    )


class Story:
    """A random life of a network."""

    def __init__(self, seed: int, *, nodes: int, extra_links: int) -> None:
        self.chance = random.Random(seed)
        names = [f"n{at}" for at in range(nodes)]
        # A tree, so that everybody can be reached, and some links more: detours, parallel links.
        pairs = [(names[at], names[self.chance.randrange(at)]) for at in range(1, nodes)]
        pairs += [(pair[0], pair[1]) for pair in (self.chance.sample(names, 2) for _ in range(extra_links))]
        repeaters = [(f"e{at}", *pair, self.chance.choice((1, 2, 4))) for at, pair in enumerate(pairs)]
        self.whole = slow_pairs(
            network(
                ((f"l{at}", *pair, self.chance.choice((1000, 3000, 6000))) for at, pair in enumerate(pairs)),
                pairs=repeaters,
            )
        )
        self.world = WholeWorld(self.whole, seed=seed)
        self.names = names
        self.ends: dict[str, list[str]] = {}

    # what may happen

    def create(self) -> None:
        name = f"r{self.chance.randrange(5)}"
        ends = self.ends.setdefault(name, self.chance.sample(self.names, 2))
        source, target = self.chance.sample(ends, 2)
        demand = Demand(
            source=source,
            target=target,
            rate_millibit_per_s=1000 * self.chance.choice((10, 100, 500, 1500)),
            priority=self.chance.randrange(3),
            hold_off_ms=self.chance.choice((0, 0, 3000)),
            lifetime_s=self.chance.choice((None, None, None, 40)),
            forward_share=self.chance.choice((0.5, 0.5, 0.9, 1.0, 0.0)),
            protection=self.chance.choice((Protection.RESTORE, Protection.RESTORE, *Protection)),
            shares=self.chance.choice((1, 1, 2)),
            revertive=self.chance.random() < 0.5,
            wait_to_restore_ms=2000,
        )
        try:
            self.world.create(name, demand, accept_blocked=self.chance.random() < 0.3)
        except (AlreadyExists, Precondition) as refusal:
            if refusal.reason not in _NOT_NOW:
                raise

    def create_path(self) -> None:
        source, target = self.chance.sample(self.names, 2)
        demand = PairDemand(
            source=source,
            target=target,
            minimum_fidelity=0.6,
            rate_millihertz=self.chance.choice((100, 200, 400)),
            priority=self.chance.randrange(3),
            hold_off_ms=self.chance.choice((0, 0, 3000)),
            lifetime_s=self.chance.choice((None, None, None, 40)),
            deadline_s=self.chance.choice((None, None, 60)),
        )
        try:
            name = f"p{self.chance.randrange(3)}"
            self.world.create_path(name, demand, accept_blocked=self.chance.random() < 0.3)
        except (AlreadyExists, Precondition) as refusal:
            if refusal.reason not in _NOT_NOW:
                raise

    def delete_path(self) -> None:
        if self.world.snapshot.paths:
            self.world.delete_path(self.chance.choice(sorted(self.world.snapshot.paths)))

    def delete(self) -> None:
        if self.world.snapshot.relays:
            self.world.delete(self.chance.choice(sorted(self.world.snapshot.relays)))

    def cut(self) -> None:
        link = self.chance.choice(sorted(self.whole.links))
        ends = self.whole.links[link].nodes
        self.world.cut(link, self.chance.choice((ends, ends, ends[:1], ends[1:])))

    def repair(self) -> None:
        self.world.repair(self.chance.choice(sorted(self.whole.links)))

    def measure(self) -> None:
        link = self.chance.choice(sorted(self.whole.links))
        self.world.measure(link, self.chance.choice((400, 2000, 8000)))

    def apply_topology(self) -> None:
        """Leave a link out of the topology, or bring all back."""
        left_out = self.chance.choice((None, *sorted(self.whole.links)))
        links = {name: link for name, link in self.whole.links.items() if name != left_out}
        self.ask(ApplyTopology(nodes=self.whole.nodes, links=links))

    def administrate(self) -> None:
        links = self.world.snapshot.links
        if links:
            enabled, maintenance = self.chance.choice(((False, False), (True, True), (True, False)))
            self.ask(
                UpdateAdministration(
                    collection="links",
                    key=self.chance.choice(sorted(links)),
                    admin_enabled=enabled,
                    maintenance=maintenance,
                )
            )

    def ask(self, request: Request) -> None:
        try:
            self.world.ask(request)
        except Precondition as refusal:
            if refusal.reason not in _NOT_NOW:
                raise

    def mend_topology(self) -> None:
        self.ask(ApplyTopology(nodes=self.whole.nodes, links=self.whole.links))
        for link in self.whole.links:
            self.ask(UpdateAdministration(collection="links", key=link, admin_enabled=True, maintenance=False))

    def crash_agent(self) -> None:
        if self.chance.random() < 0.7:
            self.world.crash_at_a_step()
        else:
            self.world.crash_agent(self.chance.choice(self.names))

    def restart_controller(self) -> None:
        self.world.restart_controller(self.chance.choice(("", "before", "after")))

    def break_session(self) -> None:
        self.world.break_session(self.chance.choice(self.names), silently=self.chance.random() < 0.3)

    def leave(self) -> None:
        self.world.away ^= {self.chance.choice(self.names)}

    def break_stream(self) -> None:
        if self.world.planes.streams:
            pair = self.chance.choice(sorted(sorted(each) for each in self.world.planes.streams))
            self.world.planes.drop_stream(*pair)
            if self.chance.random() < 0.3:
                self.world.planes.cut_off.add(frozenset(pair))

    def mend_streams(self) -> None:
        self.world.planes.cut_off.clear()

    def get(self) -> None:
        if self.world.snapshot.relays:
            relay = self.world.snapshot.relays[self.chance.choice(sorted(self.world.snapshot.relays))]
            master, slave = self.chance.sample([relay.demand.source, relay.demand.target], 2)
            self.world.get(relay.name, master, slave)

    def fetch(self) -> None:
        self.world.read_answers()
        if self.world.given:
            self.world.fetch(self.chance.choice(sorted(self.world.given)))

    def go_on(self) -> None:
        self.world.steps(self.chance.randint(1, 40))

    def wait(self) -> None:
        self.world.run(self.chance.choice((1, 1, 2, 5)))

    def wait_long(self) -> None:
        self.world.run(self.chance.choice((20, 40)))

    def live(self, steps: int) -> None:
        acts = [
            self.create_path,
            self.create_path,
            self.delete_path,
            self.create,
            self.create,
            self.create,
            self.delete,
            self.cut,
            self.repair,
            self.measure,
        ]
        acts += [self.crash_agent, self.world.restart_agents, self.restart_controller, self.break_session, self.leave]
        acts += [self.apply_topology, self.administrate, self.mend_topology]
        acts += [self.break_stream, self.mend_streams, self.get, self.get, self.fetch]
        acts += [self.go_on, self.go_on, self.go_on, self.wait, self.wait, self.wait, self.wait_long]
        self.world.run(2)
        self.create()
        self.create()
        self.create_path()
        self.create_path()
        self.world.run(8)
        for _ in range(steps):
            self.chance.choice(acts)()
            self.world.check()
        self.world.check_ledgers()
        self.mend_topology()
        self.ask(SetFreeze(frozen=False))
        self.world.recover()
        self.world.check_quiet()


@given(seed=st.integers(0, 2**32), nodes=st.integers(2, 6), extra_links=st.integers(0, 4), steps=st.integers(5, 80))
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_no_life_of_a_network_breaks_a_promise_of_its_controller_or_its_agents(
    seed: int, nodes: int, extra_links: int, steps: int
) -> None:
    Story(seed, nodes=nodes, extra_links=extra_links).live(steps)
