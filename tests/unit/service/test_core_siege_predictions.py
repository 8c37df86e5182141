"""What a what-if and a drain foretell is what then happens, on any network that is at rest."""

import random
from contextlib import suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from controller.domain.key_relay import Protection
from controller.domain.prediction import Outcome, PredictedMove
from controller.domain.refusals import Refusal
from controller.service.maintenance_desk import Leaving, in_maintenance, plan_drain, to_drain
from controller.service.requests import Drain
from controller.service.what_if import Failure, what_if
from tests.support.networks import network
from tests.support.virtual_agents import VirtualNetwork

NODES = [f"n{number}" for number in range(6)]


def loaded(draw: random.Random) -> VirtualNetwork:
    """Return a ring with chords, and relays of all kinds that run on it."""
    rows = [(f"l{i}", NODES[i], NODES[(i + 1) % 6], 1000 * draw.randint(2, 8)) for i in range(6)]
    for number in range(5):
        first, second = draw.sample(NODES, 2)
        rows.append((f"c{number}", first, second, 1000 * draw.randint(2, 6)))
    world = VirtualNetwork(network(rows))
    world.connect_all()
    for number in range(7):
        source, target = draw.sample(NODES, 2)
        with suppress(Refusal):
            world.create(
                f"r{number}",
                source,
                target,
                draw.randint(200, 2500),
                priority=draw.randint(0, 3),
                protection=draw.choice(list(Protection)),
                revertive=draw.random() < 0.3,
                shares=draw.choice([1, 1, 2]),
                manual=draw.random() < 0.15,
            )
        world.quiet()
    return world


def check(world: VirtualNetwork, told: list[PredictedMove]) -> None:
    while world.work():
        pass
    for move in told:
        relay = world.snapshot.relays[move.service]
        if move.outcome is Outcome.BLOCKED:
            assert relay.riding or not relay.routes, (move, relay)
        else:
            assert relay.routes == move.routes, (move, relay)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_what_is_foretold_of_a_cut_happens(seed: int) -> None:
    draw = random.Random(seed)
    world = loaded(draw)
    link = draw.choice(sorted(world.snapshot.links))
    told = list(what_if(world.snapshot, Failure(links=frozenset({link})), lambda: None))
    world.cut(link)
    check(world, told)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_what_is_foretold_of_a_drain_happens(seed: int) -> None:
    draw = random.Random(seed)
    world = loaded(draw)
    link = draw.choice(sorted(world.snapshot.links))
    what = Leaving.of("links", link)
    told = list(plan_drain(in_maintenance(world.snapshot, what), what, to_drain(world.snapshot, what)))
    world.ask(Drain(collection="links", key=link))
    check(world, told)
