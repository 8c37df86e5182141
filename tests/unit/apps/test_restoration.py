from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.restoration import Restoration
from apps.retry_blocked import RetryBlocked
from controller.domain.capacity import over_reserved, reserved_by
from controller.domain.commands import BlockService, Command, HoldOff, MoveService, RideOnStore
from controller.domain.events import AppEvent, HoldOffEnded, LinkExhausted, LinkWentDown, NetworkImproved
from controller.domain.key_relay import KeyRelay, Phase, Protection, RelayState
from controller.domain.link import Link, LinkCondition
from controller.domain.refusals import Refusal
from controller.domain.route import Route
from controller.domain.route_sets import all_given_up, highest_version, rerouted
from controller.domain.snapshot import Snapshot
from controller.routing.feasible import check_move
from controller.routing.graph import graph_of
from controller.routing.key_relay import find_route
from tests.unit.routing.networks import CHARGE, demand, down, link, network, networks

P1, P2 = (Route(nodes=("a", "b"), links=(name,)) for name in ("p1", "p2"))
CUT = LinkWentDown(link="p1")


def relay(name: str, *routes: Route, priority: int = 0, **more: object) -> KeyRelay:
    wanted = {field: more.pop(field) for field in ("protection", "hold_off_ms", "shares", "max_hops") if field in more}
    return replace(
        KeyRelay(
            name=name,
            demand=demand("a", "b", priority=priority, **wanted),
            routes=routes,
            route_version=1,
            state=RelayState.ACTIVE if routes else RelayState.BLOCKED,
        ),
        **more,  # type: ignore[arg-type]
    )


def parallel(*relays: KeyRelay, spare: int = 10 * CHARGE, cut: LinkCondition | None = None, **more: object) -> Snapshot:
    """Two nodes joined by p1, which is down, and p2, which has that much capacity."""
    return network(
        link("p1", "a", "b"),
        link("p2", "a", "b", spare),
        relays=relays,
        conditions={"p1": cut or down("fibre cut")},
        **more,  # type: ignore[arg-type]
    )


def restore(event: AppEvent, snapshot: Snapshot) -> list[Command]:
    return list(Restoration().handle(event, snapshot))


def test_a_cut_moves_a_relay_to_the_parallel_link() -> None:
    assert restore(CUT, parallel(relay("one", P1))) == [
        MoveService(service="one", routes=(P2,), because="links/p1 is down (fibre cut)")
    ]


def test_what_does_not_use_the_link_or_is_being_removed_stays() -> None:
    leaving = relay("two", P1, state=RelayState.REMOVING)
    assert restore(CUT, parallel(relay("one", P2), leaving, relay("three"))) == []


def test_a_link_that_is_up_again_moves_nothing() -> None:
    snapshot = parallel(relay("one", P1), cut=LinkCondition())
    for event in (CUT, LinkExhausted(link="p1"), HoldOffEnded(service="one")):
        assert restore(event, snapshot) == []


def test_the_most_important_relays_get_the_room_there_is_and_the_others_ride_on_stored_key() -> None:
    snapshot = parallel(
        relay("b-low", P1, priority=1),
        relay("c-high", P1, priority=9),
        relay("a-low", P1, priority=1),
        spare=2 * CHARGE,
    )
    high, first, last = restore(CUT, snapshot)
    assert high == MoveService(service="c-high", routes=(P2,), because="links/p1 is down (fibre cut)")
    assert first == MoveService(service="a-low", routes=(P2,), because="links/p1 is down (fibre cut)")
    assert isinstance(last, RideOnStore)
    assert last.service == "b-low"
    assert "no detour" in last.because
    assert "links/p2" in last.because


def test_an_unprotected_relay_rides_until_the_stored_key_is_gone_and_is_blocked_then() -> None:
    alone = relay("one", P1, protection=Protection.UNPROTECTED)
    assert [type(command) for command in restore(CUT, parallel(alone))] == [RideOnStore]
    exhausted = parallel(alone, cut=down("fibre cut", exhausted=True))
    for event in (LinkExhausted(link="p1"), CUT):
        (blocked,) = restore(event, exhausted)
        assert blocked == BlockService(
            service="one", because="links/p1 is down and out of stored key (fibre cut); unprotected"
        )


def test_without_a_detour_an_exhausted_link_blocks_and_names_what_separates_the_ends() -> None:
    snapshot = network(link("p1", "a", "b"), relays=(relay("one", P1),), conditions={"p1": down("cut", exhausted=True)})
    (blocked,) = restore(LinkExhausted(link="p1"), snapshot)
    assert isinstance(blocked, BlockService)
    assert "links/p1 (down: cut)" in blocked.because


def test_an_exhausted_link_moves_what_can_move_even_during_its_hold_off() -> None:
    waiting = relay("one", P1, hold_off_ms=500, riding=True, move_at_ms=900)
    (moved,) = restore(LinkExhausted(link="p1"), parallel(waiting, cut=down(exhausted=True)))
    assert isinstance(moved, MoveService)


def test_a_hold_off_is_counted_in_service_time_and_a_second_cut_does_not_begin_it_anew() -> None:
    waiting = relay("one", P1, hold_off_ms=500)
    snapshot = parallel(waiting, service_time_ms=7000)
    assert restore(CUT, snapshot) == [HoldOff(service="one", until_ms=7500, because="links/p1 is down (fibre cut)")]
    assert restore(CUT, parallel(replace(waiting, move_at_ms=7500), service_time_ms=7200)) == []


def test_after_its_hold_off_a_relay_moves_or_rides_on() -> None:
    waiting = relay("one", P1, hold_off_ms=500, riding=True)
    over = HoldOffEnded(service="one")
    assert [type(command) for command in restore(over, parallel(waiting))] == [MoveService]
    assert [type(command) for command in restore(over, parallel(waiting, spare=0))] == [RideOnStore]
    assert restore(HoldOffEnded(service="unknown"), parallel(waiting)) == []


def test_several_shares_move_to_disjoint_routes_and_a_share_that_can_stay_keeps_its_link() -> None:
    p3 = Route(nodes=("a", "b"), links=("p3",))
    snapshot = network(
        *(link(name, "a", "b", CHARGE) for name in ("p1", "p2", "p3")),
        relays=(relay("one", P1, P2, shares=2),),
        conditions={"p1": down()},
    )
    (moved,) = restore(CUT, snapshot)
    assert isinstance(moved, MoveService)
    assert moved.routes == (p3, P2)


def test_blocked_relays_come_back_in_order_of_importance_as_far_as_there_is_room() -> None:
    snapshot = parallel(
        relay("low"), relay("high", priority=3), relay("off", priority=9, admin_enabled=False), spare=CHARGE
    )
    high, low = RetryBlocked().handle(NetworkImproved(), snapshot)
    assert high == MoveService(service="high", routes=(P2,), because="the network has room again")
    assert isinstance(low, BlockService)  # why it still waits is said as it is now
    assert (low.service, "links/p2" in low.because) == ("low", True)


@pytest.mark.parametrize(
    ("change", "moves"),
    [
        ({}, True),
        ({"riding": False}, False),
        ({"move_at_ms": 8000}, False),
        ({"move_at_ms": 7000}, True),
        ({"state": RelayState.REMOVING}, False),
        ({"protection": Protection.UNPROTECTED}, False),
    ],
)
def test_a_relay_that_rides_on_stored_key_moves_once_there_is_a_detour(change: dict[str, Any], moves: bool) -> None:
    snapshot = parallel(relay("one", P1, **{"riding": True, **change}), service_time_ms=7000)
    assert bool(list(RetryBlocked().handle(NetworkImproved(), snapshot))) is moves


def test_a_blocked_relay_that_an_agent_refused_is_not_tried_before_its_time() -> None:
    assert not list(
        RetryBlocked().handle(NetworkImproved(), parallel(relay("one", move_at_ms=8000), service_time_ms=7000))
    )


def carry_out(snapshot: Snapshot, commands: Iterable[Command]) -> Snapshot:
    """Do what the writer does with commands, and check each as it does."""
    for command in commands:
        old = snapshot.relays[command.service]
        match command:
            case MoveService(routes=routes):
                check_move(graph_of(snapshot, ignoring=[old.name]), old, routes)
                new = replace(
                    rerouted(old, routes, version=highest_version(old) + 1),
                    phase=Phase.SETTLED,
                    riding=False,
                    state=RelayState.RESTORING,
                )
            case BlockService():
                new = replace(
                    old,
                    routes=(),
                    retiring=(),
                    releasing=all_given_up(old),
                    riding=False,
                    state=RelayState.BLOCKED,
                    state_reason=command.because,
                )
            case RideOnStore():
                new = replace(old, riding=True)
            case HoldOff(until_ms=until_ms):
                new = replace(old, riding=True, move_at_ms=until_ms)
        snapshot = replace(snapshot, relays={**snapshot.relays, old.name: new})
    return snapshot


@settings(max_examples=80, deadline=None)
@given(networks(most_nodes=5, most_links=9), st.data())
def test_whatever_is_cut_and_repaired_no_link_is_promised_twice_and_every_command_holds(
    snapshot: Snapshot, data: st.DataObject
) -> None:
    snapshot = replace(snapshot, conditions={})
    names = sorted(snapshot.nodes)
    for number in range(data.draw(st.integers(1, 6))):
        source, target = data.draw(st.permutations(names))[:2]
        wanted = demand(
            source, target, priority=number % 3, shares=1, hold_off_ms=data.draw(st.sampled_from([0, 0, 100]))
        )
        try:
            route = find_route(graph_of(snapshot), wanted)
        except Refusal:
            continue
        new = KeyRelay(name=f"r{number}", demand=wanted, routes=(route,), route_version=1, state=RelayState.ACTIVE)
        snapshot = replace(snapshot, relays={**snapshot.relays, new.name: new})
    for _ in range(data.draw(st.integers(1, 5))):
        if not snapshot.links:
            return
        one: Link = data.draw(st.sampled_from([snapshot.links[name] for name in sorted(snapshot.links)]))
        condition = data.draw(st.sampled_from([down(), down(exhausted=True), LinkCondition()]))
        snapshot = replace(snapshot, conditions={**snapshot.conditions, one.name: condition})
        if condition.generating:
            snapshot = carry_out(snapshot, RetryBlocked().handle(NetworkImproved(), snapshot))
        else:
            event = LinkExhausted(link=one.name) if condition.exhausted else LinkWentDown(link=one.name)
            commands = restore(event, snapshot)
            assert commands == restore(event, snapshot)
            snapshot = carry_out(snapshot, commands)
        assert not over_reserved(snapshot.links, snapshot.conditions, reserved_by(snapshot.relays.values()))
