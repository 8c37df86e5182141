"""Faults in the middle of what an operator asked, and what holds relays where they are: among virtual agents."""

from typing import Any

import pytest

from controller.domain.key_relay import KeyRelay, Phase, Protection, RelayState
from controller.domain.snapshot import Snapshot
from controller.service.requests import Drain, SetFreeze, UpdateAdministration, UpdateRelay
from tests.support.networks import network, ring
from tests.support.virtual_agents import VirtualNetwork

ONE_FOR_ONE: dict[str, Any] = {"protection": Protection.ONE_FOR_ONE}
DETOUR = [("m", "a", "z", 10_000), ("x1", "a", "c", 10_000), ("x2", "c", "z", 10_000)]


def up(snapshot: Snapshot) -> VirtualNetwork:
    world = VirtualNetwork(snapshot)
    world.connect_all()
    return world


def parallel(links: int, *, locations: dict[str, str] | None = None) -> Snapshot:
    """Two nodes, a and z, joined over one node in between for each route: m0, m1, ..."""
    rows = [(f"a{i}", "a", f"m{i}", 10_000) for i in range(links)]
    return network([*rows, *((f"z{i}", f"m{i}", "z", 10_000) for i in range(links))], locations=locations)


def running(links: int, **demand: Any) -> tuple[VirtualNetwork, KeyRelay]:
    """Return a network of so many routes, and the relay r that runs in it."""
    world = up(parallel(links))
    world.create("r", "a", "z", **demand)
    world.quiet()
    return world, world.snapshot.relays["r"]


def relay_of(world: VirtualNetwork) -> KeyRelay:
    return world.snapshot.relays["r"]


def freeze(world: VirtualNetwork, *, on: bool = True) -> None:
    world.ask(SetFreeze(frozen=on, reason="a test", caller="qinet://user/test"))


def administer(world: VirtualNetwork, link: str, *, enabled: bool) -> None:
    world.ask(UpdateAdministration(collection="links", key=link, admin_enabled=enabled))
    world.quiet()


# What was never in use is no reason to leave what is


@pytest.mark.parametrize("kept", ["manual", "frozen"])
def test_also_where_nothing_moves_by_itself_routes_that_fail_before_the_switch_are_given_up(kept: str) -> None:
    world, old = running(2, manual=kept == "manual")
    world.ask(Drain(collection="links", key=old.routes[0].links[0], caller="qinet://user/test"))
    new = relay_of(world)
    assert new.phase is Phase.INSTALLING
    if kept == "frozen":
        freeze(world)
    world.cut(new.routes[0].links[0])
    world.quiet()
    after = relay_of(world)
    assert (after.routes, after.state, after.phase) == (old.routes, RelayState.ACTIVE, Phase.SETTLED)
    assert not after.riding
    world.check_quiet()


def test_routes_in_use_that_work_are_not_left_for_the_backup() -> None:
    world, old = running(3, **ONE_FOR_ONE)
    world.ask(UpdateRelay(relay="r", demand={"pass_nodes": frozenset({"m2"})}))
    assert relay_of(world).phase is Phase.INSTALLING
    world.cut("a2")
    world.quiet()
    after = relay_of(world)
    assert old.backup
    assert after.backup
    assert (after.routes, after.backup.routes) == (old.routes, old.backup.routes)


def test_when_what_is_in_use_fails_the_backup_does_not_wait_for_what_is_being_installed() -> None:
    world, old = running(4, **ONE_FOR_ONE)
    world.ask(UpdateRelay(relay="r", demand={"pass_nodes": frozenset({"m2"})}))
    assert relay_of(world).phase is Phase.INSTALLING
    world.cut(old.routes[0].links[0])
    while world.step("a"):
        pass
    assert old.backup
    assert world.versions_in_use(relay_of(world)) == {old.backup.version}
    world.quiet()
    assert relay_of(world).state is RelayState.ACTIVE
    world.check_quiet()


# Backups over nodes without a session


def test_a_backup_over_a_node_without_session_is_passed_over_for_a_detour_of_which_all_are_heard() -> None:
    world, old = running(3, **ONE_FOR_ONE)
    assert old.backup
    world.lose(old.backup.routes[0].transit[0])
    world.cut(old.routes[0].links[0])
    world.quiet()
    assert relay_of(world).routes[0].transit == ("m2",)
    assert relay_of(world).state is RelayState.ACTIVE


def test_a_backup_over_a_node_without_session_is_better_than_nothing() -> None:
    world, old = running(2, **ONE_FOR_ONE)
    assert old.backup
    away = old.backup.routes[0].transit[0]
    world.lose(away)
    world.orphans.add(away)  # it goes on relaying
    world.cut(old.routes[0].links[0])
    world.quiet()
    assert relay_of(world).routes == old.backup.routes
    assert relay_of(world).confirmed_by == {"a", "z"}


# What stops automatic moves stops all of them, and makes no noise


def test_while_frozen_no_return_is_tried_and_time_begins_when_it_may_be() -> None:
    world, old = running(3, **ONE_FOR_ONE, revertive=True, wait_to_restore_ms=1000)
    link = old.routes[0].links[0]
    world.cut(link)
    world.quiet()
    freeze(world)
    world.repair(link)
    world.quiet()
    before = world.snapshot.histories["r"], world.snapshot.revision
    for _ in range(10):
        world.pass_time(1000)
    assert (world.snapshot.histories["r"], world.snapshot.revision) == before
    freeze(world, on=False)
    world.quiet()
    world.pass_time(1000)
    world.quiet()
    assert relay_of(world).routes == old.routes


def test_a_relay_that_others_made_room_for_gets_it_also_while_frozen() -> None:
    world = up(network([("m", "a", "z", 10_000)]))
    world.create("low", "a", "z", 6000)
    world.quiet()
    freeze(world)
    world.create("r", "a", "z", 6000, priority=5, may_preempt=True)
    world.quiet()
    assert relay_of(world).state is RelayState.ACTIVE


def test_one_that_no_longer_returns_gets_another_backup_for_its_failed_routes() -> None:
    world, old = running(3, **ONE_FOR_ONE, revertive=True)
    world.cut(old.routes[0].links[0])
    world.quiet()
    world.ask(UpdateRelay(relay="r", demand={"revertive": False}))
    world.quiet()
    backup = relay_of(world).backup
    assert backup
    assert backup.links().isdisjoint(old.links())


# Links that are switched off


def test_relays_leave_a_link_that_is_disabled_and_return_where_they_would() -> None:
    world, old = running(2, **ONE_FOR_ONE, revertive=True, wait_to_restore_ms=0)
    link = old.routes[0].links[0]
    administer(world, link, enabled=False)
    assert old.backup
    assert relay_of(world).routes == old.backup.routes
    assert relay_of(world).state_reason == f"unprotected: its backup has links/{link} down"
    administer(world, link, enabled=True)
    world.pass_time(1000)
    world.quiet()
    assert relay_of(world).routes == old.routes


def test_without_a_detour_a_relay_rides_on_what_a_disabled_link_has_stored() -> None:
    world, old = running(1)
    administer(world, "a0", enabled=False)
    assert (relay_of(world).riding, relay_of(world).routes) == (True, old.routes)
    world.restart()
    world.connect_all()
    administer(world, "a0", enabled=True)
    assert (relay_of(world).riding, relay_of(world).state) == (False, RelayState.ACTIVE)


def test_switching_links_off_in_numbers_is_no_loss() -> None:
    world = up(ring(12))
    for link in sorted(world.snapshot.links)[:6]:
        administer(world, link, enabled=False)
    assert world.snapshot.frozen is None


# Links that weakened


def test_a_weak_link_is_relieved_when_there_is_room_elsewhere() -> None:
    world = up(network(DETOUR))
    world.cut("x1")
    for number in range(2):
        world.create(f"r{number}", "a", "z", 3000)
    world.quiet()
    world.weaken("m", 4000)
    world.quiet()
    assert ("", "links/m", "LINK_OVERPROMISED") in world.snapshot.alarms
    world.repair("x1")
    world.quiet()
    assert not world.snapshot.alarms
    world.check_promises()


def test_one_that_had_to_come_back_to_a_weak_link_leaves_it_later() -> None:
    world = up(network([*DETOUR, ("y1", "a", "d", 10_000), ("y2", "d", "z", 10_000)]))
    for number in range(2):
        world.create(f"r{number}", "a", "z", 3000, priority=number)
    world.quiet()
    world.cut("y1")
    world.weaken("m", 4000)
    world.cut("x1")
    world.quiet()
    world.repair("x1")
    world.quiet()
    assert ("", "links/m", "LINK_OVERPROMISED") not in world.snapshot.alarms
    assert {relay.state for relay in world.snapshot.relays.values()} == {RelayState.ACTIVE}


def test_many_relays_that_cannot_leave_a_weak_link_do_not_keep_those_that_can() -> None:
    rows = [("m", "a", "z", 100_000), ("d1", "a", "y", 100_000), ("d2", "y", "z", 100_000)]
    world = up(network(rows))
    for number in range(20):
        world.create(f"b{number:02}", "a", "z", 1000, avoid_nodes=frozenset({"y"}))
    world.create("r", "a", "z", 1000)
    world.quiet()
    world.weaken("m", 20_000 * 1062 // 1000 + 200)
    world.quiet()
    assert relay_of(world).routes[0].links == ("d1", "d2")
    world.check_promises(["m"])


# Backups that stand apart


def test_a_backup_at_a_location_of_the_new_routes_is_replaced_by_one_apart() -> None:
    world = up(parallel(3, locations={"m1": "cellar", "m2": "cellar"}))
    world.create("r", "a", "z", **ONE_FOR_ONE)
    world.quiet()
    assert relay_of(world).backup
    world.ask(UpdateRelay(relay="r", demand={"pass_nodes": frozenset({"m2"})}))
    world.quiet()
    after = relay_of(world)
    assert after.backup
    assert (after.routes[0].transit, after.backup.routes[0].transit) == (("m2",), ("m0",))


def test_where_only_a_route_at_the_backups_location_is_left_the_backup_is_given_up() -> None:
    world = up(parallel(3, locations={"m1": "cellar", "m2": "cellar"}))
    world.create("r", "a", "z", **ONE_FOR_ONE)
    world.quiet()
    world.lose("m1")  # it stands, but nobody would hear that it fails
    world.cut("a0")
    world.quiet()
    after = relay_of(world)
    assert (after.routes[0].transit, after.backup, after.state) == (("m2",), None, RelayState.ACTIVE)
    world.connect("m1")
    world.repair("a0")
    world.quiet()
    again = relay_of(world).backup
    assert again
    assert again.routes[0].transit == ("m0",)


def test_a_relay_gets_its_routes_though_a_backup_fits_only_where_it_still_holds_others() -> None:
    world = up(network([("m", "a", "z", 10_000), ("x1", "a", "c", 10_000), ("x2", "c", "z", 10_000)]))
    world.create("r", "a", "z", 6000, **ONE_FOR_ONE)
    world.quiet()
    for node in "acz":
        world.lose(node)
    world.ask(UpdateRelay(relay="r", admin_enabled=False))
    world.connect("a")
    world.connect("c")
    world.connect("z")
    world.ask(UpdateRelay(relay="r", admin_enabled=True))
    world.quiet()
    after = relay_of(world)
    assert after.state is RelayState.ACTIVE
    assert after.backup_installed
    world.check_quiet()
