"""What the apps decide of entanglement paths: from an event and a snapshot alone."""

from dataclasses import replace
from typing import Any

import pytest

from apps.restoration import Restoration
from apps.retry_blocked import RetryBlocked
from controller.domain.commands import BlockService, Command, HoldOff, MoveService
from controller.domain.entanglement_path import EntanglementPath, PairDemand
from controller.domain.events import AppEvent, HoldOffEnded, LinkWentDown, ServicesImpaired, ServiceWaits
from controller.domain.link import LinkCondition
from controller.domain.service import Phase, Protection, ServiceState
from controller.domain.snapshot import Snapshot, put, put_condition
from controller.routing.places import find_place, ground_of
from tests.support.networks import network

NET = network([], pairs=[(f"{end}{i}", end, f"m{i}", 2) for end in "az" for i in range(2)])
CUT = LinkCondition(down_at=frozenset({"a"}), down_reason="cut")


def path(name: str, transit: str = "m0", snapshot: Snapshot = NET, **demand: object) -> EntanglementPath:
    """Return a path that runs over one of the nodes between."""
    asked = PairDemand(source="a", target="z", minimum_fidelity=0.8, rate_millihertz=20_000)
    other = "m1" if transit == "m0" else "m0"
    bare = EntanglementPath(name=name, demand=replace(asked, avoid_nodes=frozenset({other})))
    place = find_place(ground_of(snapshot, bare), bare)
    return replace(
        bare,
        demand=replace(asked, **demand),  # type: ignore[arg-type]
        routes=place.routes,
        plan=place.plan,
        route_version=1,
        phase=Phase.SETTLED,
        state=ServiceState.ACTIVE,
    )


def decided(event: AppEvent, snapshot: Snapshot) -> list[Command]:
    return [*Restoration().handle(event, snapshot), *RetryBlocked().handle(event, snapshot)]


def cut(snapshot: Snapshot, *links: str) -> Snapshot:
    for link in links:
        snapshot = snapshot.applying(put_condition(link, CUT))
    return snapshot


def test_a_cut_moves_a_path_to_the_plan_that_routing_finds_beside_it() -> None:
    one = path("one")
    world = cut(NET.applying(put(one)), "a0")
    place = find_place(ground_of(world, one), one)
    assert place.routes[0].transit == ("m1",)
    assert decided(ServicesImpaired(services=("entanglementPaths/one",)), world) == [
        MoveService(
            service="entanglementPaths/one", routes=place.routes, plan=place.plan, because="links/a0 is down (cut)"
        )
    ]


def test_of_two_the_more_important_gets_the_room_and_the_other_is_blocked_for_there_is_nothing_to_ride_on() -> None:
    low = path("low", priority=1)
    world = NET.applying(put(low))
    high = path("high", snapshot=world, priority=5)
    world = cut(world.applying(put(high, path("there", "m1", world))), "a0")
    commands = decided(LinkWentDown(link="a0"), world)
    assert [(type(command), command.service) for command in commands] == [
        (MoveService, "entanglementPaths/high"),
        (BlockService, "entanglementPaths/low"),
    ]
    assert "no detour" in commands[1].because


def test_it_holds_off_though_it_delivers_nothing_meanwhile_and_moves_then() -> None:
    world = cut(NET.applying(put(path("one", hold_off_ms=500))), "a0")
    (wait,) = decided(ServicesImpaired(services=("entanglementPaths/one",)), world)
    assert isinstance(wait, HoldOff)
    assert wait.until_ms == 500
    (move,) = decided(HoldOffEnded(service="entanglementPaths/one"), world)
    assert isinstance(move, MoveService)


@pytest.mark.parametrize(
    "kept", [{"manual": True}, {"protection": Protection.UNPROTECTED}, {"rate_millihertz": 1000, "test_share": 0.5}]
)
def test_links_that_give_less_move_only_what_may_be_moved_and_gets_too_little(kept: dict[str, Any]) -> None:
    weak = NET.applying(put_condition("a0", LinkCondition(pair_rate_permille=300)))
    world = weak.applying(put(path("one")))
    (move,) = decided(ServicesImpaired(services=("entanglementPaths/one",)), world)
    assert isinstance(move, MoveService)
    assert "pairs/s where 20 are asked" in move.because
    assert decided(ServicesImpaired(services=("entanglementPaths/p",)), weak.applying(put(path("p", **kept)))) == []


def test_one_that_waits_gets_what_is_free_and_one_that_runs_well_is_left_alone() -> None:
    waiting = replace(path("one"), routes=(), plan=None, phase=Phase.NONE, state=ServiceState.BLOCKED)
    (move,) = decided(ServiceWaits(service="entanglementPaths/one"), NET.applying(put(waiting)))
    assert isinstance(move, MoveService)
    assert decided(ServiceWaits(service="entanglementPaths/one"), NET.applying(put(path("one")))) == []
