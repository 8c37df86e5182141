"""Placements that are carried out while everything else goes wrong: they end, and no promise is broken for them."""

import random
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from apps.restoration import Restoration
from controller.domain.placement import (
    Placement,
    PlacementFigures,
    PlacementState,
    PlannedMove,
    PlannedMoveState,
)
from controller.domain.refusals import Refusal
from controller.domain.route import Route
from controller.domain.service import ServiceState
from controller.service.core import never
from controller.service.requests import (
    CancelPlacement,
    CarryOutPlacement,
    RedeployRelay,
    SetFreeze,
    StorePlacement,
    UpdateRelay,
)
from tests.support.networks import network
from tests.support.virtual_agents import VirtualNetwork

ALICE = "qinet://user/alice"
NODES = "abcdz"
LINKS = [f"{e}{m}" for e in "az" for m in "bcd"] + ["bc", "cd"]
OPEN = (PlannedMoveState.PENDING, PlannedMoveState.MOVING)


def by(*middle: str, ends: str = "az") -> Route:
    nodes = (ends[0], *middle, ends[1])
    names = {"".join(sorted(link)): link for link in LINKS}
    return Route(nodes=nodes, links=tuple(names["".join(sorted(pair))] for pair in pairwise(nodes)))


WAYS = [by("b"), by("c"), by("d"), by("b", "c"), by("c", "d"), by("d", "c"), by("b", "c", "d")]


def world(room_bit_per_s: int = 12) -> VirtualNetwork:
    made = VirtualNetwork(network((link, link[0], link[1], room_bit_per_s) for link in LINKS))
    made.connect_all()
    return made


def move_of(made: VirtualNetwork, name: str, *to: Route) -> PlannedMove:
    relay = made.snapshot.relays[name]
    return PlannedMove(service=name, from_version=relay.route_version, from_routes=relay.routes, to_routes=to)


def stored(made: VirtualNetwork, *moves: PlannedMove) -> str:
    placement = Placement(name="x", moves=moves, before=PlacementFigures(), after=PlacementFigures())
    document = made.ask(StorePlacement(placement=placement, caller=ALICE)).document
    assert isinstance(document, Placement)
    return document.name


def states(made: VirtualNetwork, name: str) -> list[str]:
    return [move.state.value for move in made.snapshot.placements[name].moves]


def asked_and_died(made: VirtualNetwork, name: str) -> None:
    """Ask for a placement to be carried out, and start again before the first move."""
    made.enough = lambda: True
    made.cut("cd")  # has consequences that come first
    made.ask(CarryOutPlacement(placement=name, at_once=1, caller=ALICE))
    assert set(states(made, name)) == {"PENDING"}
    made.restart()
    made.enough = never


def test_a_controller_that_starts_again_goes_on_only_once_its_agents_are_back() -> None:
    made = world()
    made.create("r0", "a", "z", 1)
    made.quiet()
    name = stored(made, move_of(made, "r0", by("b", "c")))
    asked_and_died(made, name)
    while made.work():
        pass
    for node in NODES[:-1]:
        made.connect(node)
        made.quiet()
        assert states(made, name) == ["PENDING"]
    made.connect(NODES[-1])
    made.quiet()
    assert states(made, name) == ["DONE"]
    assert made.snapshot.placements[name].state is PlacementState.DONE


def test_a_node_that_does_not_come_back_after_a_start_holds_a_placement_up_for_a_while_only() -> None:
    made = world()
    made.create("r0", "a", "z", 1)
    made.quiet()
    name = stored(made, move_of(made, "r0", by("b", "c")))
    asked_and_died(made, name)
    made.pass_time(1)
    for node in "abcz":
        made.connect(node)
    made.quiet()
    assert states(made, name) == ["PENDING"]
    made.pass_time(31_000)
    made.quiet()
    assert states(made, name) == ["DONE"]


def test_a_relay_that_is_being_deleted_when_its_turn_comes_is_said_to_be_gone() -> None:
    made = world()
    made.create("r0", "a", "z", 1)
    made.quiet()
    name = stored(made, move_of(made, "r0", by("b", "c")))
    made.delete("r0")
    assert made.snapshot.relays["r0"].removed
    made.ask(CarryOutPlacement(placement=name, at_once=1, caller=ALICE))
    (move,) = made.snapshot.placements[name].moves
    assert (move.state, move.reason) == (PlannedMoveState.LEFT_OUT, "the service is gone")


def test_a_blocked_relay_gets_its_first_route_once_another_has_made_room() -> None:
    # given apps that try nothing by themselves but what a placement says
    made = world(room_bit_per_s=4)
    made.create("r0", "a", "z", 1, avoid_nodes=frozenset("cd"))
    made.quiet()
    made.ask(UpdateRelay(relay="r0", demand={"avoid_nodes": frozenset()}, caller=ALICE))
    made.create_blocked("waits", "a", "z", 1, avoid_nodes=frozenset("cd"))
    made.quiet()
    assert not made.snapshot.relays["waits"].routes
    name = stored(made, move_of(made, "r0", by("d")), move_of(made, "waits", by("b")))
    made.ask(CarryOutPlacement(placement=name, at_once=1, caller=ALICE))
    made.quiet()
    assert states(made, name) == ["DONE", "DONE"]
    assert made.snapshot.relays["waits"].state is ServiceState.ACTIVE


def test_without_an_app_that_moves_it_is_said_of_every_move() -> None:
    made = VirtualNetwork(network((link, link[0], link[1], 12) for link in LINKS), apps=[Restoration()])
    made.connect_all()
    made.create("r0", "a", "z", 1)
    made.quiet()
    name = stored(made, move_of(made, "r0", by("b", "c")))
    made.ask(CarryOutPlacement(placement=name, at_once=1, caller=ALICE))
    made.quiet()
    after = made.snapshot.placements[name]
    assert after.state is PlacementState.DONE
    assert "apps.optimiser.Optimiser is not configured" in after.moves[0].reason


def _by_chance(dice: random.Random) -> bool:
    return dice.random() < 0.5


def _happen(made: VirtualNetwork, dice: random.Random, counter: list[int]) -> None:
    """Let one thing happen, by chance."""
    relays = sorted(made.snapshot.relays)
    link, node = dice.choice(LINKS), dice.choice(NODES)
    relay = dice.choice(relays) if relays else ""
    placements = sorted(made.snapshot.placements)
    thing = dice.randrange(19)
    try:
        match thing:
            case 0:
                made.cut(link)
            case 1 | 2:
                made.repair(link)
            case 3 if made.agents[node].connected:
                made.lose(node, applied=dice.random() < 0.5)
            case 4 | 5 if not made.agents[node].connected:
                made.connect(node)
            case 6 if len(relays) < 7:
                counter[0] += 1
                more: dict[str, Any] = dice.choice([{}, {}, {"manual": True}, {"avoid_nodes": frozenset("b")}])
                made.create_blocked(f"r{counter[0]}", "a", "z", dice.choice([1, 1, 3]), **more)
            case 7 if relay and dice.random() < 0.5:
                made.delete(relay)
            case 8 if relay:
                made.ask(UpdateRelay(relay=relay, demand={"manual": dice.random() < 0.5}, caller=ALICE))
            case 9 if relay:
                made.ask(RedeployRelay(relay=relay, caller=ALICE))
            case 10 if relay:
                made.ask(UpdateRelay(relay=relay, admin_enabled=dice.random() < 0.7, caller=ALICE))
            case 11:
                made.ask(SetFreeze(frozen=dice.random() < 0.4, reason="works", caller=ALICE))
            case 12 if dice.random() < 0.5:
                made.restart(applied=dice.random() < 0.5)
            case 13 | 14 if relays:
                chosen = dice.sample(relays, dice.randint(1, len(relays)))
                stored(made, *(move_of(made, one, dice.choice(WAYS)) for one in chosen))
            case 15 | 16 if placements:
                made.ask(
                    CarryOutPlacement(placement=dice.choice(placements), at_once=dice.choice([1, 2, 5]), caller=ALICE)
                )
            case 17 if placements and dice.random() < 0.3:
                made.ask(CancelPlacement(placement=dice.choice(placements), caller=ALICE))
            case 18:
                made.pass_time(dice.choice([10, 1_000, 40_000]))
            case _:
                pass
    except Refusal:
        pass


def _check(made: VirtualNetwork) -> None:
    made.check_promises()
    running = [one for one in made.snapshot.placements.values() if one.state is PlacementState.RUNNING]
    assert len(running) <= 1
    for placement in made.snapshot.placements.values():
        assert len(placement.moves_in(PlannedMoveState.MOVING)) <= placement.at_once
        for move in placement.moves:
            assert (move.state is PlannedMoveState.LEFT_OUT) == bool(move.reason)
            if placement.state is PlacementState.DONE:
                assert move.state not in OPEN


@pytest.mark.parametrize("first_seed", range(0, 40, 10))
def test_whatever_happens_no_promise_is_broken_and_every_placement_ends(first_seed: int) -> None:
    done = 0
    for seed in range(first_seed, first_seed + 10):
        dice = random.Random(seed)
        made = world(room_bit_per_s=dice.choice([8, 12, 20]))
        made.enough = partial(_by_chance, dice) if seed % 2 else never
        counter = [0]
        for _ in range(60):
            _happen(made, dice, counter)
            for _ in range(dice.randrange(4)):
                made.step(dice.choice(NODES))
                made.confirm_keys()
                made.work()
            _check(made)
        made.enough = never
        made.ask(SetFreeze(frozen=False, caller=ALICE))
        for link in LINKS:
            made.repair(link)
        made.connect_all()
        for _ in range(4):
            made.pass_time(40_000)
            made.quiet()
        made.create_blocked("last", "a", "z", 1)
        made.quiet()
        every = (move_of(made, one, dice.choice(WAYS)) for one in sorted(made.snapshot.relays))
        made.ask(CarryOutPlacement(placement=stored(made, *every), at_once=2, caller=ALICE))
        made.quiet()
        assert not made.core.busy
        _check(made)
        for placement in made.snapshot.placements.values():
            assert placement.state is not PlacementState.RUNNING, (seed, placement)
            if placement.state is PlacementState.CANCELLED:
                assert not placement.moves_in(PlannedMoveState.MOVING), (seed, placement)
            done += len(placement.moves_in(PlannedMoveState.DONE))
            for move in placement.moves_in(PlannedMoveState.DONE):
                relay = made.snapshot.relays.get(move.service)
                same = relay is not None and relay.route_version == move.version
                assert not same or relay is None or relay.routes == move.to_routes
    assert done > 0
