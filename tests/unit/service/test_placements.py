"""Placements in the core: stored, carried out a few at a time, each move made before broken, and given up."""

from dataclasses import replace

import pytest

from controller.domain.placement import (
    MOST_MOVES,
    PLACEMENTS_KEPT,
    Placement,
    PlacementFigures,
    PlacementState,
    PlannedMove,
    PlannedMoveState,
)
from controller.domain.refusals import InvalidValue, NotFound, Precondition
from controller.domain.route import Route
from controller.domain.service import Phase
from controller.service.requests import CancelPlacement, CarryOutPlacement, SetFreeze, StorePlacement
from tests.support.networks import network
from tests.support.virtual_agents import VirtualNetwork

ALICE = "qinet://user/alice"


def world(relays: int, room_bit_per_s: int = 1_000_000) -> VirtualNetwork:
    """Return a and z joined by way of b and c, with relays by way of b."""
    made = VirtualNetwork(network((f"{min(e, m)}{max(e, m)}", e, m, room_bit_per_s) for m in "bc" for e in "az"))
    made.connect_all()
    for number in range(relays):
        made.create(f"r{number}", "a", "z", 1)
    made.quiet()
    return made


def planned(made: VirtualNetwork, *names: str) -> Placement:
    moves = []
    for name in names:
        relay = made.snapshot.relays[name]
        other = "b" if "c" in relay.nodes() else "c"
        to = Route(nodes=("a", other, "z"), links=(f"a{other}", f"{other}z"))
        moves.append(
            PlannedMove(service=name, from_version=relay.route_version, from_routes=relay.routes, to_routes=(to,))
        )
    return Placement(name="found", moves=tuple(moves), before=PlacementFigures(), after=PlacementFigures())


def stored(made: VirtualNetwork, *names: str) -> str:
    result = made.ask(StorePlacement(placement=planned(made, *names), caller=ALICE))
    assert isinstance(result.document, Placement)
    return result.document.name


def states(made: VirtualNetwork, name: str) -> list[str]:
    return [move.state.value for move in made.snapshot.placements[name].moves]


def test_a_stored_placement_moves_nothing_and_says_who_asked() -> None:
    made = world(2)
    before = dict(made.snapshot.relays)
    name = stored(made, "r0", "r1")
    made.quiet()
    placement = made.snapshot.placements[name]
    assert (placement.state, placement.created_by) == (PlacementState.PROPOSED, ALICE)
    assert dict(made.snapshot.relays) == before


def test_on_the_operators_word_every_relay_comes_to_run_where_it_was_planned() -> None:
    made = world(5)
    planned_routes = {move.service: move.to_routes for move in planned(made, *made.snapshot.relays).moves}
    name = stored(made, *made.snapshot.relays)
    made.ask(CarryOutPlacement(placement=name, at_once=2, caller=ALICE))
    made.quiet()
    assert made.snapshot.placements[name].state is PlacementState.DONE
    assert set(states(made, name)) == {"DONE"}
    for relay in made.snapshot.relays.values():
        assert relay.routes == planned_routes[relay.name]
        assert relay.phase is Phase.SETTLED


@pytest.mark.parametrize("at_once", [1, 3])
def test_no_more_moves_than_asked_are_under_way_at_the_same_time(at_once: int) -> None:
    made = world(6)
    name = stored(made, *made.snapshot.relays)
    made.ask(CarryOutPlacement(placement=name, at_once=at_once, caller=ALICE))
    most = 0
    for turn in range(2000):
        placement = made.snapshot.placements[name]
        most = max(most, len(placement.moves_in(PlannedMoveState.MOVING)))
        moving = [relay for relay in made.snapshot.relays.values() if relay.retiring]
        assert len(moving) <= at_once
        if placement.state is PlacementState.DONE:
            break
        made.step(sorted(made.agents)[turn % len(made.agents)])
        made.confirm_keys()
        made.work()
    assert made.snapshot.placements[name].state is PlacementState.DONE
    assert most == at_once


def test_a_relay_that_was_given_other_routes_meanwhile_is_left_out() -> None:
    made = world(2)
    placement = planned(made, "r0", "r1")
    stale = replace(placement.moves[0], from_version=placement.moves[0].from_version + 7)
    result = made.ask(StorePlacement(placement=placement.with_move(stale), caller=ALICE))
    assert isinstance(result.document, Placement)
    made.ask(CarryOutPlacement(placement=result.document.name, at_once=4, caller=ALICE))
    made.quiet()
    after = made.snapshot.placements[result.document.name]
    assert [move.state for move in after.moves] == [PlannedMoveState.LEFT_OUT, PlannedMoveState.DONE]
    assert "other routes" in after.moves[0].reason
    assert after.state is PlacementState.DONE


def test_relays_that_could_only_change_places_stay_and_say_why() -> None:
    made = world(2, room_bit_per_s=4)
    ways = {name: relay.routes for name, relay in made.snapshot.relays.items()}
    assert len({routes[0].nodes[1] for routes in ways.values()}) == 2
    name = stored(made, "r0", "r1")
    made.ask(CarryOutPlacement(placement=name, at_once=4, caller=ALICE))
    made.quiet()
    after = made.snapshot.placements[name]
    assert after.state is PlacementState.DONE
    assert set(states(made, name)) == {"LEFT_OUT"}
    assert all("free on every link" in move.reason for move in after.moves)
    assert {name: relay.routes for name, relay in made.snapshot.relays.items()} == ways


def test_a_move_into_the_room_that_another_leaves_waits_until_it_is_left() -> None:
    made = VirtualNetwork(network((f"{e}{m}", e, m, 4) for m in "bcd" for e in "az"))
    made.connect_all()
    made.create("r0", "a", "z", 1)
    made.create("r1", "a", "z", 1)
    made.quiet()

    def by(middle: str) -> Route:
        return Route(nodes=("a", middle, "z"), links=(f"a{middle}", f"z{middle}"))

    relays = made.snapshot.relays
    free = next(m for m in "bcd" if by(m) not in (relays["r0"].routes[0], relays["r1"].routes[0]))
    moves = tuple(
        PlannedMove(
            service=name,
            from_version=relays[name].route_version,
            from_routes=relays[name].routes,
            to_routes=(to,),
        )
        for name, to in (("r0", by(free)), ("r1", relays["r0"].routes[0]))
    )
    placement = Placement(name="x", moves=moves, before=PlacementFigures(), after=PlacementFigures())
    result = made.ask(StorePlacement(placement=placement))
    assert isinstance(result.document, Placement)
    made.ask(CarryOutPlacement(placement=result.document.name, at_once=4))
    assert states(made, result.document.name) == ["MOVING", "PENDING"]
    made.quiet()
    assert states(made, result.document.name) == ["DONE", "DONE"]
    assert made.snapshot.relays["r1"].routes == moves[1].to_routes


def test_cancelling_ends_what_has_begun_and_begins_nothing_more() -> None:
    made = world(4)
    name = stored(made, *made.snapshot.relays)
    made.ask(CarryOutPlacement(placement=name, at_once=1, caller=ALICE))
    made.ask(CancelPlacement(placement=name, caller=ALICE))
    made.quiet()
    after = made.snapshot.placements[name]
    assert after.state is PlacementState.CANCELLED
    assert states(made, name) == ["DONE", "LEFT_OUT", "LEFT_OUT", "LEFT_OUT"]
    assert made.ask(CancelPlacement(placement=name, caller=ALICE)).revision == 0


def test_a_freeze_holds_a_placement_up_and_its_end_lets_it_go_on() -> None:
    made = world(3)
    name = stored(made, *made.snapshot.relays)
    made.ask(CarryOutPlacement(placement=name, at_once=1, caller=ALICE))
    made.ask(SetFreeze(frozen=True, reason="works", caller=ALICE))
    made.quiet()
    assert states(made, name) == ["DONE", "PENDING", "PENDING"]
    made.ask(SetFreeze(frozen=False, caller=ALICE))
    made.quiet()
    assert states(made, name) == ["DONE"] * 3


def test_another_controller_goes_on_where_the_first_was() -> None:
    made = world(3)
    name = stored(made, *made.snapshot.relays)
    made.ask(CarryOutPlacement(placement=name, at_once=1, caller=ALICE))
    made.restart()
    made.connect_all()
    made.quiet()
    assert set(states(made, name)) == {"DONE"}


def test_what_cannot_be_done_is_refused_with_a_reason() -> None:
    made = world(2)
    with pytest.raises(NotFound):
        made.ask(CarryOutPlacement(placement="p-9", at_once=1))
    first, second = stored(made, "r0"), stored(made, "r1")
    with pytest.raises(InvalidValue):
        made.ask(CarryOutPlacement(placement=first, at_once=65))
    with pytest.raises(InvalidValue):
        made.ask(CarryOutPlacement(placement=first, at_once=0))
    made.ask(CarryOutPlacement(placement=first, at_once=1))
    with pytest.raises(Precondition, match="being carried out"):
        made.ask(CarryOutPlacement(placement=second, at_once=1))
    made.quiet()
    for request in (CarryOutPlacement(placement=first, at_once=1), CancelPlacement(placement=first)):
        with pytest.raises(Precondition, match=r"DONE|done"):
            made.ask(request)
    made.ask(SetFreeze(frozen=True, reason="works"))
    with pytest.raises(Precondition, match="frozen"):
        made.ask(CarryOutPlacement(placement=second, at_once=1))


def test_the_oldest_placements_go_and_one_that_is_carried_out_stays() -> None:
    made = world(1)
    names = [stored(made, "r0") for _ in range(PLACEMENTS_KEPT + 3)]
    assert set(made.snapshot.placements) == set(names[3:])


def test_a_placement_has_no_more_moves_than_are_stored_at_once() -> None:
    route = Route(nodes=("a", "b"), links=("ab",))
    moves = tuple(
        PlannedMove(service=f"r{number}", from_version=1, from_routes=(), to_routes=(route,))
        for number in range(MOST_MOVES + 1)
    )
    most = Placement(name="x", moves=moves[1:], before=PlacementFigures(), after=PlacementFigures())
    with pytest.raises(InvalidValue, match=str(MOST_MOVES)):
        replace(most, moves=moves)
