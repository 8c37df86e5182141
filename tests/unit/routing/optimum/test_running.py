"""A snapshot's key relays, placed better."""

from dataclasses import replace

from controller.domain.key_relay import Demand, KeyRelay
from controller.domain.route import Route
from controller.domain.service import Phase, Protection, Releasing, ServiceState
from controller.domain.snapshot import Snapshot
from controller.routing.graph import graph_of
from controller.routing.optimum.placement import Aim
from controller.routing.optimum.running import placement_of
from tests.unit.routing.networks import CHARGE, RATE, demand, down, link, network

BY_B = Route(nodes=("d", "b", "a"), links=("bd", "ab"))
BY_C = Route(nodes=("d", "c", "a"), links=("cd", "ac"))


def relay(name: str, wanted: Demand, *routes: Route, **more: object) -> KeyRelay:
    runs = {"state": ServiceState.ACTIVE, "phase": Phase.SETTLED, "route_version": 3} if routes else {}
    state = {"state": ServiceState.BLOCKED, **runs, **more}
    return KeyRelay(name=name, demand=wanted, routes=routes, **state)  # type: ignore[arg-type]


def square(*relays: KeyRelay, cut: str = "") -> Snapshot:
    """Return a square a-b-d and a-c-d whose links have room for one relay each."""
    links = [link(name, name[0], name[1], room=CHARGE) for name in ("ab", "ac", "bd", "cd")]
    return network(*links, relays=relays, conditions={cut: down("cut")} if cut else None)


WAITING = relay("waiting", demand("a", "b", max_hops=1))


def test_a_relay_goes_round_for_one_that_is_blocked() -> None:
    # given a relay over b, and one from a to b that finds no room
    better = placement_of(square(relay("long", demand("d", "a"), BY_B), WAITING))

    # then the first goes over c, and the second gets its link
    first, second = better.moves
    assert (first.service, first.from_version, first.from_routes, first.to_routes) == ("long", 3, (BY_B,), (BY_C,))
    assert second.from_routes == ()
    assert second.to_routes == (Route(nodes=("a", "b"), links=("ab",)),)
    assert (better.before.carried_millibit_per_s, better.after.carried_millibit_per_s) == (RATE, 2 * RATE)
    assert (better.before.key_use_millibit_per_s, better.after.key_use_millibit_per_s) == (2 * CHARGE, 3 * CHARGE)
    assert (better.before.blocked, better.after.blocked) == (1, 0)
    assert better.before.fullest_ppm == 1_000_000
    assert better.key_use.gap < 1e-6
    assert better.carried[0][1].gap < 1e-6


def test_what_is_held_is_what_the_graph_counts() -> None:
    snapshot = square(relay("long", demand("d", "a"), BY_B))
    assert graph_of(snapshot).room("ab") == 0
    assert placement_of(snapshot).moves == ()
    assert placement_of(snapshot, aim=Aim.SPREAD).moves == ()


def test_what_is_being_moved_or_must_pass_something_or_has_a_backup_stays() -> None:
    settled = relay("long", demand("d", "a"), BY_B)
    left = Releasing(link="ac", share=0, charge_millibit_per_s=CHARGE, nodes=("a", "c"))
    for staying in (
        replace(settled, phase=Phase.DRAINING),
        replace(settled, releasing=(left,)),
        replace(settled, riding=True),
        replace(settled, demand=demand("d", "a", pass_nodes=frozenset({"b"}))),
        replace(settled, demand=demand("d", "a", protection=Protection.ONE_FOR_ONE)),
    ):
        better = placement_of(square(staying, WAITING))
        assert better.moves == ()
        assert (better.before.carried_millibit_per_s, better.before.blocked) == (RATE, 1)
        assert better.key_use.value == 2 * CHARGE


def test_what_a_demand_rules_out_is_not_proposed() -> None:
    for wanted in (
        demand("d", "a", avoid_nodes=frozenset({"c"})),
        demand("d", "a", avoid_links=frozenset({"cd"})),
        demand("d", "a", trust_domains=frozenset({"other"})),
        demand("d", "a", max_hops=1),
    ):
        assert placement_of(square(relay("long", wanted, BY_B), WAITING)).moves == ()


def test_nothing_goes_over_links_that_carry_nothing_new_and_who_rides_on_them_stays() -> None:
    assert placement_of(square(relay("long", demand("d", "a"), BY_B), WAITING, cut="cd")).moves == ()
    assert placement_of(square(relay("long", demand("d", "a"), BY_B), WAITING, cut="bd")).moves == ()


def test_disabled_and_removed_relays_wait_for_nothing() -> None:
    for gone in (replace(WAITING, admin_enabled=False), replace(WAITING, state=ServiceState.REMOVING)):
        better = placement_of(square(gone))
        assert (better.moves, better.before.blocked) == ((), 0)


def test_an_empty_network_has_no_better_placement() -> None:
    better = placement_of(Snapshot())
    assert (better.moves, better.carried, better.key_use.gap) == ((), (), 0.0)
